//! The storm as it is seen: in a terminal a few lines that are redrawn, elsewhere a line each second.

use std::io::{self, Write};

use super::Screen;
use super::cast::ACCOUNTS;
use super::status::KeyStates;
use super::storm::Scene;
use super::summary::{Summary, in_words};
use crate::simulator::tally::{KeyTally, Tally};

/// The requests in one redraw that fill a bar.
const FULL: u64 = 6;
const BAR: usize = 12;

/// What has been drawn.
#[derive(Debug)]
pub(super) struct View {
    screen: Screen,
    lines: usize,
    before: Tally,
}

impl View {
    pub(super) fn new(screen: Screen) -> Self {
        Self { screen, lines: 0, before: Tally::default() }
    }

    /// Shows this moment.
    pub(super) fn draw<W: Write>(
        &mut self,
        out: &mut W,
        scene: &Scene,
        summary: &Summary,
        states: &KeyStates,
    ) -> io::Result<()> {
        match self.screen {
            Screen::Lines => writeln!(out, "{}", line(scene, summary))?,
            Screen::Terminal => {
                let lines = self.picture(scene, summary, states);
                if self.lines > 0 {
                    // Up to the first line, whose place the new picture takes.
                    write!(out, "\x1b[{}A", self.lines)?;
                }
                for line in &lines {
                    writeln!(out, "\x1b[2K{line}")?;
                }
                self.lines = lines.len();
            }
        }
        self.before.clone_from(&scene.tally);
        out.flush()
    }

    fn picture(&self, scene: &Scene, summary: &Summary, states: &KeyStates) -> Vec<String> {
        let phase = scene.phase.map_or_else(
            || "the last answers".to_owned(),
            |phase| format!("{}, {} requests a second", phase.name, phase.rate),
        );
        let (elapsed, length) = (scene.elapsed.as_secs_f64(), scene.length.as_secs());
        let mut lines = vec![
            format!("{elapsed:5.1} s of {length}   {phase}"),
            format!(
                "application   {} answered   {} failed   {} waiting in Keyweir   {} at providers",
                summary.answers,
                summary.failed(),
                scene.waiting(),
                scene.at_providers
            ),
            String::new(),
        ];
        for name in ACCOUNTS {
            let now = scene.tally.accounts.get(name).cloned().unwrap_or_default();
            let before = self.before.accounts.get(name);
            for (nth, (label, key)) in now.keys.iter().enumerate() {
                let account = if nth == 0 { name } else { "" };
                let was = before.and_then(|before| before.keys.get(label));
                lines.push(key_line(account, (label, key), was, states.get(label)));
            }
        }
        lines.push(String::new());
        lines.push(format!("absorbed      {}", absorbed(&scene.tally)));
        lines
    }
}

fn key_line(
    account: &str,
    (label, key): (&str, &KeyTally),
    was: Option<&KeyTally>,
    state: Option<&String>,
) -> String {
    let sum = |key: &KeyTally| key.served + key.refused.values().sum::<u64>();
    let recent = sum(key) - was.map_or(0, sum);
    let refused: u64 = key.refused.values().sum();
    let state = state.map_or("", String::as_str);
    format!(
        "{account:<13} {label:<10} {}  {:>5} served {refused:>5} refused   {state}",
        bar(recent),
        key.served
    )
}

fn bar(recent: u64) -> String {
    let filled =
        usize::try_from(recent.min(FULL)).unwrap_or(0) * BAR / usize::try_from(FULL).unwrap_or(1);
    format!("{}{}", "\u{2588}".repeat(filled), "\u{2591}".repeat(BAR - filled))
}

fn line(scene: &Scene, summary: &Summary) -> String {
    format!(
        "{:>4.0} s  {:<16}  {:>4} answered  {:>3} failed  {:>3} waiting  absorbed: {}",
        scene.elapsed.as_secs_f64(),
        scene.phase.map_or("the last answers", |phase| phase.name),
        summary.answers,
        summary.failed(),
        scene.waiting(),
        absorbed(&scene.tally)
    )
}

/// What the providers refused so far.
fn absorbed(tally: &Tally) -> String {
    let kinds: Vec<String> = tally
        .refused()
        .iter()
        .map(|(kind, count)| format!("{count} \u{d7} {}", in_words(kind)))
        .collect();
    if kinds.is_empty() { "nothing".to_owned() } else { kinds.join(", ") }
}
