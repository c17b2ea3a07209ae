//! What is simulated: providers as they are and as the configuration believes them to be, who asks
//! them for what, and what goes wrong meanwhile.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::draw::Draw;
use crate::callers::Per;
use crate::callers::Priority;
use crate::clock::Moment;
use crate::formats::Dialect;
use crate::keys::{LimitSpec, Spec};
use crate::limits::{Charging, Clause};
use crate::simulator::meter::Terms;

/// One whole simulation.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The providers.
    pub providers: Vec<Provider>,
    /// What requests may ask for.
    pub names: Vec<Name>,
    /// Who asks.
    pub callers: Vec<Caller>,
    /// What is asked for.
    pub load: Load,
    /// What goes wrong, and when.
    pub faults: Vec<Fault>,
    /// For how long requests come.
    pub duration: Duration,
    /// Who takes them in.
    pub fleet: Fleet,
    /// How far the estimate of a request's input is off: the standard deviation of its relative error.
    pub estimate_error: f64,
    /// Sending again to a group that was tried.
    pub retry: Retry,
    /// Where all randomness begins.
    pub seed: u64,
    /// What the wall clock reads at the beginning.
    pub start: Timestamp,
}

/// A provider.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Its name.
    pub name: Box<str>,
    /// Whose habits its answers have.
    pub dialect: Dialect,
    /// How it really charges.
    pub charging: Charging,
    /// Its keys and limits as the proxy would be given them.
    pub spec: Spec,
    /// What it really grants, where that is something else.
    pub grants: Option<Vec<LimitSpec>>,
    /// What else holds for each of its accounts.
    pub terms: Terms,
    /// How fast it answers.
    pub pace: Pace,
}

/// How fast a provider answers.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From a request to the first byte of its answer, in seconds.
    pub first_byte: Draw,
    /// Output tokens a second from then on.
    pub speed: Draw,
    /// From a request to its rejection.
    pub rejection: Duration,
}

/// A model name, and what it may resolve to.
#[derive(Clone, Debug)]
pub struct Name {
    /// What requests ask for.
    pub name: Box<str>,
    /// Provider, the provider's own model name, and weight; in the order in which they are tried.
    pub targets: Vec<(usize, Box<str>, u32)>,
    /// Whether the first of them is drawn by weight.
    pub weighted: Weighted,
}

/// Whether a request draws its first target by weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weighted {
    /// It takes them in order.
    #[default]
    No,
    /// It does.
    Yes,
}

/// Who asks.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// Its name.
    pub name: Box<str>,
    /// For whom its limits are counted apart.
    pub per: Per,
    /// What it may use, all sidecars together.
    pub limits: Vec<Clause>,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub enum Load {
    /// Drawn from distributions.
    Streams(Vec<Stream>),
    /// As it was written down, in order of time.
    Trace(Arc<[Arrival]>),
}

/// Requests of one kind.
#[derive(Clone, Debug)]
pub struct Stream {
    /// How they come.
    pub process: Process,
    /// How many a second, on average.
    pub rate: f64,
    /// What they ask for: index into the names, and weight.
    pub names: Vec<(usize, f64)>,
    /// Who asks: index into the callers, and weight.
    pub callers: Vec<(usize, f64)>,
    /// The class that they wait in.
    pub priority: Priority,
    /// How long they wait.
    pub max_wait: Duration,
    /// Input tokens.
    pub input: Draw,
    /// The share of the input that the provider has in its cache, 0 to 1.
    pub cached: f64,
    /// Output tokens.
    pub output: Draw,
    /// The bound on output that they declare.
    pub max_output: Option<Draw>,
    /// Whether each begins a conversation.
    pub turns: Option<Turns>,
}

/// A loop of an agent: each answer leads to a further request with a longer prompt.
#[derive(Clone, Copy, Debug)]
pub struct Turns {
    /// How many requests there are in a row.
    pub count: Draw,
    /// Seconds between an answer's end and the next request.
    pub pause: Draw,
    /// Input tokens that each turn adds beside the answer before.
    pub growth: Draw,
    /// The share of what was sent before that the provider reads from its cache, where the same quota
    /// group is asked again within five minutes.
    pub cached: f64,
}

/// How requests come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Process {
    /// Each on its own.
    Poisson,
    /// At `factor` times the rate for so long in each period; less in between, so that the mean is
    /// the rate.
    Bursts {
        /// How much more.
        factor: f64,
        /// For how long.
        length: Duration,
        /// How often.
        period: Duration,
    },
    /// With the hours of a day: the rate swings around its mean by this share.
    Diurnal {
        /// 0 to 1.
        swing: f64,
        /// A day, as a rule.
        period: Duration,
    },
    /// In clumps: gaps are gamma-distributed with that coefficient of variation (`BurstGPT`: 2 to 5).
    Gamma {
        /// 1 is Poisson.
        variation: f64,
    },
    /// Evenly.
    Constant,
}

/// One request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrival {
    /// When it comes.
    pub at: Moment,
    /// Index into the names.
    pub name: u16,
    /// Index into the callers.
    pub caller: u16,
    /// The class that it waits in.
    pub priority: Priority,
    /// How long it waits.
    pub max_wait: Duration,
    /// Input tokens.
    pub input: u64,
    /// Those of them that the provider has in its cache.
    pub cached: u64,
    /// Output tokens.
    pub output: u64,
    /// The bound on output that it declares.
    pub max_output: Option<u64>,
}

/// Who takes requests in.
#[derive(Clone, Copy, Debug)]
pub struct Fleet {
    /// Sidecars.
    pub sidecars: u32,
    /// How requests spread over them.
    pub spread: Spread,
    /// How many sidecars each of them believes there are; `None`: nobody told it.
    pub told: Option<NonZeroU32>,
}

/// How requests spread over sidecars.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Spread {
    /// Evenly.
    #[default]
    Even,
    /// The i-th has 1/i of what the first has.
    Skewed,
    /// One of them has this share, 0 to 1, of all.
    Greedy(f64),
}

/// Sending again.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// Retries for a thousand requests.
    pub permille: u32,
    /// Thousandths of a retry a second, however few the requests.
    pub floor: u64,
    /// The shortest wait before one.
    pub base: Duration,
    /// The longest.
    pub max: Duration,
}

/// Something that goes wrong for a while.
#[derive(Clone, Debug)]
pub struct Fault {
    /// When it begins.
    pub at: Duration,
    /// How long it lasts; `None`: to the end.
    pub lasts: Option<Duration>,
    /// What.
    pub kind: Trouble,
    /// Only at this provider, by index.
    pub provider: Option<usize>,
    /// Only this quota group.
    pub group: Option<Box<str>>,
    /// Only this key.
    pub key: Option<Box<str>>,
    /// Only this model.
    pub model: Option<Box<str>>,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trouble {
    /// The key is refused.
    KeyDies,
    /// The account has no credit.
    CreditGone,
    /// The account is on hold.
    Suspended,
    /// Limits are so many thousandths of what they were.
    Limits(u64),
    /// Somebody else takes so many thousandths of what the limits grant.
    Foreign(u64),
    /// Answers carry no rate-limit headers.
    Headers(Chaos),
    /// So many thousandths of the requests are answered with an overload (503, 529).
    Overload(u64),
    /// First bytes come so many thousandths later.
    Slow(u64),
    /// So many sidecars are there.
    Sidecars(u32),
}

/// What becomes of rate-limit headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chaos {
    /// They are gone.
    Gone,
    /// Each answer's are gone, stale, swapped between dimensions, or absurd.
    Nonsense,
}

impl Trouble {
    /// Whether it strikes keys, rather than what they draw on.
    pub const fn is_of_keys(self) -> bool {
        matches!(self, Self::KeyDies | Self::CreditGone | Self::Suspended)
    }

    /// How many sidecars there are, where that is what it changes.
    pub(super) const fn sidecars(self) -> Option<u32> {
        if let Self::Sidecars(count) = self { Some(count) } else { None }
    }
}

impl Scenario {
    /// The most sidecars that there ever are.
    pub(super) fn most_sidecars(&self) -> u32 {
        let grown = self.faults.iter().filter_map(|fault| fault.kind.sidecars());
        grown.fold(self.fleet.sidecars, u32::max).max(1)
    }
}

impl Default for Pace {
    /// A first byte after half a second, 80 tokens a second, a rejection after 50 ms.
    fn default() -> Self {
        use super::draw::Kind;
        let first_byte = Kind::LogNormal { median: 0.5, sigma: 0.4 };
        let speed = Kind::LogNormal { median: 80.0, sigma: 0.3 };
        Self {
            first_byte: Draw::of(first_byte).at_most(60.0),
            speed: Draw { min: 1.0, ..Draw::of(speed) },
            rejection: Duration::from_millis(50),
        }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            permille: 100,
            floor: 1_000,
            base: Duration::from_millis(100),
            max: Duration::from_secs(10),
        }
    }
}
