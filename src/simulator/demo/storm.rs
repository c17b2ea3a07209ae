//! The course of the storm: when what is asked, when what breaks, and what is shown meanwhile.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::cast::FAILING;
use super::client::{Manner, Question, ask};
use super::status::{self, KeyStates};
use super::summary::Summary;
use super::view::View;
use super::{ProxyAddress, Screen};
use crate::formats::Wire;
use crate::simulator::fault::{Fault, FaultKind, mix};
use crate::simulator::server::Simulator;

/// A stretch of the storm, in thousandths of its length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Phase {
    pub(super) name: &'static str,
    until: u32,
    /// Requests per second, of all wire formats.
    pub(super) rate: u32,
}

/// The providers serve about 48 requests a second together, 22 of them OpenAI's two accounts.
const PHASES: [Phase; 5] = [
    Phase { name: "calm", until: 200, rate: 14 },
    Phase { name: "burst", until: 400, rate: 90 },
    Phase { name: "calm again", until: 480, rate: 10 },
    Phase { name: "outage", until: 720, rate: 14 },
    Phase { name: "recovery", until: 1_000, rate: 18 },
];
/// When the failing account is slow, and when it is down, in thousandths.
const SLOW: (u32, u32) = (480, 720);
const DOWN: (u32, u32) = (520, 700);
/// How much slower a failing account answers.
const SLOWER_MS: u64 = 700;
/// How often the screen is drawn anew.
const REDRAW: Duration = Duration::from_millis(200);
/// How often a line is written where there is no terminal.
const LINE: Duration = Duration::from_secs(1);

/// A storm about to begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Storm<'a> {
    pub(super) simulator: &'a Simulator,
    pub(super) proxy: ProxyAddress,
    pub(super) length: Duration,
    pub(super) screen: Screen,
}

/// A question and when it is asked.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    at: Duration,
    question: Question,
}

/// What became of a question.
struct Outcome {
    took: Duration,
    result: Result<(), String>,
}

impl Storm<'_> {
    /// Runs it to the end of its last answer.
    pub(super) async fn run<W: Write>(self, out: &mut W) -> io::Result<Summary> {
        let begun = Instant::now();
        self.plan_breakdown();
        let mut arrivals = arrivals(self.length);
        let mut questions = JoinSet::new();
        let mut summary = Summary::default();
        let mut view = View::new(self.screen);
        let mut states = KeyStates::default();
        let mut asked = JoinSet::new();
        let interrupted = interrupted();
        tokio::pin!(interrupted);
        let mut tick = tokio::time::interval(self.period());
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while !(arrivals.is_empty() && questions.is_empty()) {
            let next = arrivals.front().map(|arrival| begun + arrival.at);
            tokio::select! {
                () = sleep_until(next), if next.is_some() => {
                    if let Some(arrival) = arrivals.pop_front() {
                        questions.spawn(self.answer(arrival.question));
                    }
                }
                Some(Ok(outcome)) = questions.join_next() => {
                    summary.count(outcome.took, outcome.result);
                }
                _ = tick.tick() => {
                    let scene = self.scene(begun.elapsed(), questions.len());
                    view.draw(out, &scene, &summary, &states)?;
                    if asked.is_empty() {
                        asked.spawn(status::fetch_states(self.proxy.admin));
                    }
                }
                Some(Ok(Some(told))) = asked.join_next() => states = told,
                () = &mut interrupted => break,
            }
        }
        summary.finish(self.simulator.tally(), begun.elapsed());
        view.draw(out, &self.scene(begun.elapsed(), 0), &summary, &states)?;
        Ok(summary)
    }

    /// The account that breaks down does so by the simulator's own clock, at the right moments.
    fn plan_breakdown(self) {
        let part = |thousandths: u32| self.length * thousandths / 1_000;
        let slow = Fault::every(FaultKind::Latency { ms: SLOWER_MS });
        let down = Fault::every(FaultKind::Outage { status: 503 });
        for (fault, (from, until)) in [(slow, SLOW), (down, DOWN)] {
            let fault = fault.account(FAILING).beginning(part(from)).lasting(part(until - from));
            self.simulator.break_with(fault);
        }
    }

    fn period(self) -> Duration {
        match self.screen {
            Screen::Terminal => REDRAW,
            Screen::Lines => LINE,
        }
    }

    fn answer(self, question: Question) -> impl Future<Output = Outcome> + Send + 'static {
        let proxy = self.proxy.data;
        async move {
            let begun = Instant::now();
            let result = ask(proxy, question).await;
            Outcome { took: begun.elapsed(), result }
        }
    }

    fn scene(self, elapsed: Duration, open: usize) -> Scene {
        let tally = self.simulator.tally();
        let served: u64 = tally.accounts.values().map(|account| account.in_flight).sum();
        let phase = phase_at(elapsed, self.length);
        Scene { elapsed, length: self.length, phase, open, at_providers: served, tally }
    }
}

/// What there is to see at one moment.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub(super) elapsed: Duration,
    pub(super) length: Duration,
    pub(super) phase: Option<Phase>,
    /// Questions of the application that have no answer yet.
    pub(super) open: usize,
    /// Requests that providers are answering.
    pub(super) at_providers: u64,
    pub(super) tally: crate::simulator::Tally,
}

impl Scene {
    /// Questions that wait inside the proxy.
    pub(super) fn waiting(&self) -> usize {
        self.open.saturating_sub(usize::try_from(self.at_providers).unwrap_or(usize::MAX))
    }
}

async fn sleep_until(next: Option<Instant>) {
    if let Some(next) = next {
        tokio::time::sleep_until(next).await;
    }
}

async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn phase_at(elapsed: Duration, length: Duration) -> Option<Phase> {
    PHASES.into_iter().find(|phase| elapsed < length * phase.until / 1_000)
}

/// Every question of the storm, evenly spaced in each phase, the wire formats mixed.
fn arrivals(length: Duration) -> VecDeque<Arrival> {
    let mut arrivals = VecDeque::new();
    let mut at = Duration::ZERO;
    while let Some(phase) = phase_at(at, length) {
        let question = question(arrivals.len());
        arrivals.push_back(Arrival { at, question });
        at += Duration::from_secs(1) / phase.rate;
    }
    arrivals
}

/// Two in three speak OpenAI's format, the others Anthropic's or Gemini's; every other is streamed.
fn question(nth: usize) -> Question {
    let chance = mix(nth as u64);
    let wire = match chance % 12 {
        0..8 => Wire::OpenAi,
        8..10 => Wire::Anthropic,
        _ => Wire::Gemini,
    };
    let manner = if chance & (1 << 20) == 0 { Manner::Whole } else { Manner::Streamed };
    Question { wire, manner, tokens: 10 + (chance >> 32) % 40 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_as_long_as_it_says_and_has_every_kind_of_question() {
        let length = Duration::from_secs(22);
        let storm = arrivals(length);
        // By hand: 4.4 s at 14, 4.4 at 90, 1.76 at 10, 5.28 at 14 and 6.16 at 18 a second.
        assert!((657..=661).contains(&storm.len()), "{} questions", storm.len());
        assert!(storm.iter().all(|arrival| arrival.at < length));
        for wire in [Wire::OpenAi, Wire::Anthropic, Wire::Gemini] {
            for manner in [Manner::Whole, Manner::Streamed] {
                let asked = |arrival: &Arrival| {
                    (arrival.question.wire, arrival.question.manner) == (wire, manner)
                };
                assert!(storm.iter().any(asked), "{wire:?} {manner:?}");
            }
        }
        assert!(arrivals(Duration::ZERO).is_empty());
    }

    #[test]
    fn the_burst_is_more_than_openais_accounts_can_serve() {
        let length = Duration::from_secs(20);
        let burst = arrivals(length);
        let during = burst.iter().filter(|arrival| (4..8).contains(&arrival.at.as_secs()));
        let openai = during.filter(|arrival| arrival.question.wire == Wire::OpenAi).count();
        assert!(openai > 4 * 22, "{openai} in four seconds");
    }
}
