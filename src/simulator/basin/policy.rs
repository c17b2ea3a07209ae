//! What a sidecar does with the requests that come to it: the one thing that is compared.

mod aimd;
mod fixed;
mod headers;
mod oracle;
mod ours;
mod queued;
mod rotate;

use std::fmt;
use std::sync::Arc;

use fastrand::Rng;

use super::answer::Answer;
use super::plant::Plant;
use super::scenario::Scenario;
use super::site::{Lane, Site};
use super::world::{self, Run};
use crate::callers::Priority;
use crate::clock::Moment;
use crate::formats::Usage;

/// The policies that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// What runs in the proxy.
    Keyweir,
    /// A plain queue gated by `remaining` headers.
    Headers,
    /// Each sidecar takes an N-th of the configured limits.
    Static,
    /// Each sidecar takes the whole of the configured limits, and waits when it is told to.
    Whole,
    /// The adaptive mode of the AWS SDKs: the rate falls with each 429 and grows in between.
    Aimd,
    /// Any key, and after a failure another, six tries with back-off.
    Rotate,
    /// One queue for all sidecars that sees the providers' own limits: what could be done at best.
    Oracle,
}

impl Kind {
    /// Every policy.
    pub const ALL: [Self; 7] = [
        Self::Keyweir,
        Self::Headers,
        Self::Static,
        Self::Whole,
        Self::Aimd,
        Self::Rotate,
        Self::Oracle,
    ];

    /// The word for it in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keyweir => "keyweir",
            Self::Headers => "headers",
            Self::Static => "static",
            Self::Whole => "whole",
            Self::Aimd => "aimd",
            Self::Rotate => "rotate",
            Self::Oracle => "oracle",
        }
    }

    /// Runs a scenario under it.
    pub(super) fn run(self, scenario: &Scenario) -> Run {
        match self {
            Self::Keyweir => world::run::<ours::Keyweir>(scenario),
            Self::Headers => world::run::<queued::Queued<headers::Gated>>(scenario),
            Self::Static => world::run::<queued::Queued<fixed::Share>>(scenario),
            Self::Whole => world::run::<queued::Queued<fixed::Whole>>(scenario),
            Self::Aimd => world::run::<queued::Queued<aimd::Aimd>>(scenario),
            Self::Rotate => world::run::<rotate::Rotate>(scenario),
            Self::Oracle => world::run::<oracle::Oracle>(scenario),
        }
    }
}

/// What one sidecar does. It knows what a proxy could know: its requests by estimate, and what the
/// providers answer.
pub(super) trait Policy {
    /// What it keeps of a request that is under way.
    type Note: fmt::Debug;

    /// Whether one of it decides for all sidecars.
    const CENTRAL: bool = false;

    /// The policy of that sidecar.
    fn new(site: &Arc<Site>, sidecar: u32) -> Self;

    /// A request has come. It is sent, shed, or waits.
    fn arrive(&mut self, job: &Job, out: &mut Out<'_, Self::Note>);

    /// The head of an answer. The note goes back where the request is being served; any other answer
    /// leads to another try, a wait or an end.
    fn heard(
        &mut self,
        job: &Job,
        note: Self::Note,
        answer: &Answer,
        out: &mut Out<'_, Self::Note>,
    ) -> Option<Self::Note>;

    /// A request that was served is over.
    fn ended(&mut self, job: &Job, note: Self::Note, usage: &Usage, out: &mut Out<'_, Self::Note>);

    /// The moment has come for which it asked.
    fn wake(&mut self, out: &mut Out<'_, Self::Note>);

    /// When it wants to be woken.
    fn wake_at(&self) -> Moment;
}

/// A request as the sidecar knows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    pub(super) id: u32,
    /// What it asks for.
    pub(super) name: u16,
    /// Who asks.
    pub(super) caller: u16,
    pub(super) priority: Priority,
    pub(super) arrived: Moment,
    pub(super) deadline: Moment,
    /// Input tokens, estimated.
    pub(super) input: u64,
    /// The bound on output that it declares.
    pub(super) max_output: Option<u64>,
    /// What tells the beginning of its prompt from others, where it is long enough to be cached.
    pub(super) prefix: Option<u64>,
}

/// What a policy may do.
#[derive(Debug)]
pub(super) struct Out<'a, N> {
    pub(super) now: Moment,
    pub(super) random: &'a mut Rng,
    /// The providers themselves: for the oracle's eyes only.
    pub(super) plant: &'a mut Plant,
    pub(super) actions: &'a mut Vec<Action<N>>,
}

#[derive(Debug)]
pub(super) enum Action<N> {
    Send(u32, Lane, N),
    Shed(u32, Shed),
}

/// Why a request is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shed {
    /// Nothing has, or will have, capacity for it before its deadline.
    Deadline,
    /// Too many wait already, or lower classes make room.
    QueueFull,
    /// A provider's 429 was passed on.
    Passed429,
    /// A provider's failure was passed on, or nothing was left to try.
    Failed,
    /// It is larger than its limits can ever hold.
    Oversized,
    /// No key may serve it.
    NoKey,
    /// Its caller's own limits.
    CallerLimit,
}

impl Shed {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::Deadline,
        Self::QueueFull,
        Self::Passed429,
        Self::Failed,
        Self::Oversized,
        Self::NoKey,
        Self::CallerLimit,
    ];

    /// The word for it in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::QueueFull => "queueFull",
            Self::Passed429 => "upstream429",
            Self::Failed => "upstreamError",
            Self::Oversized => "oversized",
            Self::NoKey => "noKey",
            Self::CallerLimit => "callerLimit",
        }
    }
}

impl<N> Out<'_, N> {
    /// Sends a request that way.
    pub(super) fn send(&mut self, job: &Job, lane: Lane, note: N) {
        self.actions.push(Action::Send(job.id, lane, note));
    }

    /// Gives a request up.
    pub(super) fn shed(&mut self, job: &Job, why: Shed) {
        self.actions.push(Action::Shed(job.id, why));
    }
}
