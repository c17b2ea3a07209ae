//! The storm as it is seen: in a terminal a few lines that are redrawn, elsewhere a line each second.

use std::collections::VecDeque;
use std::io::{self, Write};

use super::Screen;
use super::cast::KEYS;
use super::status::KeyStates;
use super::storm::Scene;
use super::summary::{Summary, in_words};
use crate::simulator::tally::{KeyTally, Tally};

/// The requests in a second that fill a bar.
const BAR: usize = 12;
/// The redraws in a second.
const SECOND: usize = 5;
/// Lines that are too long are cut at the terminal's edge instead of taking two: else the next picture
/// would not come to lie on this one.
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

/// What has been drawn.
#[derive(Debug)]
pub(super) struct View {
    screen: Screen,
    lines: usize,
    /// The tallies of the last second, the oldest first.
    before: VecDeque<Tally>,
}

impl View {
    pub(super) fn new(screen: Screen) -> Self {
        Self { screen, lines: 0, before: VecDeque::new() }
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
                write!(out, "{NO_WRAP}")?;
                for line in &lines {
                    writeln!(out, "\x1b[2K{line}")?;
                }
                write!(out, "{WRAP}")?;
                self.lines = lines.len();
            }
        }
        self.before.push_back(scene.tally.clone());
        if self.before.len() > SECOND {
            self.before.pop_front();
        }
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
        for (name, labels) in KEYS {
            for (nth, label) in labels.iter().enumerate() {
                let account = if nth == 0 { name } else { "" };
                let now = key_of(&scene.tally, name, label);
                let was = self.before.front().map(|tally| key_of(tally, name, label));
                let recent = seen(&now) - was.as_ref().map_or(0, seen);
                lines.push(key_line([account, label], &now, recent, states.get(*label)));
            }
        }
        lines.push(String::new());
        lines.push(format!("absorbed      {}", absorbed(&scene.tally)));
        lines
    }
}

fn key_of(tally: &Tally, account: &str, label: &str) -> KeyTally {
    let account = tally.accounts.get(account);
    account.and_then(|account| account.keys.get(label)).cloned().unwrap_or_default()
}

/// The requests that came with a key.
fn seen(key: &KeyTally) -> u64 {
    key.served + key.refused.values().sum::<u64>()
}

fn key_line(
    [account, label]: [&str; 2],
    key: &KeyTally,
    recent: u64,
    state: Option<&String>,
) -> String {
    let refused: u64 = key.refused.values().sum();
    let state = state.map_or("", String::as_str);
    let filled = usize::try_from(recent).unwrap_or(BAR).min(BAR);
    let bar = format!("{}{}", "\u{2588}".repeat(filled), "\u{2591}".repeat(BAR - filled));
    let served = key.served;
    format!("{account:<13} {label:<10} {bar}  {served:>5} served {refused:>5} refused   {state}")
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
