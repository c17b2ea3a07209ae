//! What a provider lets through, as it would: pure functions of the time they are handed.
//!
//! A [`Meter`] stands for one model of one account (the provider-side quota group). It is asked with
//! [`Meter::admit`], told of output with [`Meter::produce`] and of the end with [`Meter::finish`], and
//! read with [`Meter::readings`], which is all that its rate-limit headers may tell. How a provider
//! charges and counts is a [`Tariff`].

mod midnight;
mod ramp;
mod rule;
mod spend;
mod tariff;
#[cfg(test)]
mod tests;

use std::time::Duration;

use smallvec::SmallVec;

use crate::clock::{Moment, Now};
use crate::formats::Dimension;

use ramp::Ramp;
use rule::Rule;
use spend::Spend;

pub use spend::{SpendLimit, SpendSpan};
pub use tariff::Tariff;

/// The window that most limits are counted in.
pub const MINUTE: Duration = Duration::from_mins(1);
/// The longer window.
pub const DAY: Duration = Duration::from_hours(24);

/// Whose habits a simulated account has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Habit {
    /// OpenAI.
    OpenAi,
    /// Azure OpenAI.
    Azure,
    /// Anthropic.
    Anthropic,
    /// Google Gemini.
    Gemini,
}

impl Habit {
    /// The word for it in names, paths and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Azure => "azure",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
        }
    }

    /// How it charges.
    pub const fn tariff(self) -> Tariff {
        match self {
            Self::OpenAi => Tariff::OpenAi,
            Self::Azure => Tariff::Azure,
            Self::Anthropic => Tariff::Anthropic,
            Self::Gemini => Tariff::Gemini,
        }
    }
}

/// What an account is granted for one model. What is `None` is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests per minute: every provider.
    pub requests_per_minute: Option<u64>,
    /// Requests per day: OpenAI (a bucket), Gemini (until midnight Pacific).
    pub requests_per_day: Option<u64>,
    /// Tokens per minute: OpenAI and Azure as they charge them, Gemini's input.
    pub tokens_per_minute: Option<u64>,
    /// Tokens per day: OpenAI.
    pub tokens_per_day: Option<u64>,
    /// Input tokens per minute without cache reads: Anthropic.
    pub input_tokens_per_minute: Option<u64>,
    /// Output tokens per minute: Anthropic.
    pub output_tokens_per_minute: Option<u64>,
    /// OpenAI: how much of a minute the buckets hold (one second where limits are quantised), a minute
    /// by default. Anthropic: the same for requests. Azure: the window requests are counted in (1 s or 10 s), 10 s by default.
    pub quantum: Option<Duration>,
    /// What a refused request costs.
    pub rejections: Rejections,
}

/// An amount in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What is counted.
    pub dimension: Dimension,
    /// In what time.
    pub window: Duration,
    /// How much of it.
    pub amount: u64,
}

/// What holds for an account beside amounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// As [`Limits::quantum`].
    pub quantum: Option<Duration>,
    /// What a refused request costs.
    pub rejections: Rejections,
    /// Requests under way at once; told of by [`Meter::finish`].
    pub concurrency: Option<u64>,
    /// Thousandths of the requests of a minute that the next one may have, where growth is limited.
    pub ramp: Option<u64>,
    /// What may be spent.
    pub spend: Option<SpendLimit>,
}

/// What a refused request costs its account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rejections {
    /// Nothing.
    #[default]
    Free,
    /// As much of the request limit as a served one (OpenAI's rate-limit guide: "unsuccessful
    /// requests contribute to your per-minute limit"; Azure's quota page says the same).
    Count,
}

/// What a request asks of the limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// Input tokens, cached ones included.
    pub input: u64,
    /// Those of them that the provider reads from its cache.
    pub cached: u64,
    /// The bound on output that the request declares.
    pub max_output: Option<u64>,
    /// Answers asked for (`n`, `candidateCount`); 0 counts as 1.
    pub choices: u32,
}

/// Why a request was not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of limit binds.
    pub cause: Cause,
    /// The limit that binds longest.
    pub dimension: Dimension,
    /// Its window; zero for concurrency.
    pub window: Duration,
    /// Its size in that window.
    pub limit: u64,
    /// What is used of it.
    pub used: u64,
    /// What this request would take of it.
    pub requested: u64,
    /// When all limits would let it through if nobody else came; the longest duration if never.
    pub retry_after: Duration,
}

/// What kind of limit a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// A rate.
    Rate,
    /// Requests under way at once.
    Concurrency,
    /// Growth that is too sharp.
    Ramp,
    /// Money.
    Spend,
}

impl Refusal {
    /// Whether the request alone is larger than the whole limit.
    pub const fn oversized(&self) -> bool {
        self.requested > self.limit
    }
}

/// What one limit's headers may tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What is counted.
    pub dimension: Dimension,
    /// In what time.
    pub window: Duration,
    /// The limit's size.
    pub limit: u64,
    /// What is left.
    pub remaining: u64,
    /// How long until all of it is there again.
    pub reset: Duration,
}

/// The readings of one meter.
pub type Readings = SmallVec<[Reading; 4]>;

/// The limits of one model of one account, with what is used of them.
#[derive(Clone, Debug)]
pub struct Meter {
    tariff: Tariff,
    rules: SmallVec<[Rule; 4]>,
    rejections: Rejections,
    places: Option<Places>,
    ramp: Option<Ramp>,
    spend: Option<Spend>,
}

/// Requests that may be under way at once, and that are.
#[derive(Clone, Copy, Debug)]
struct Places {
    limit: u64,
    taken: u64,
}

impl Meter {
    /// Untouched limits.
    pub fn new(habit: Habit, limits: &Limits, now: Now) -> Self {
        let grants = limits.grants(habit);
        let (quantum, rejections) = (limits.quantum, limits.rejections);
        let terms = Terms { quantum, rejections, ..Terms::default() };
        Self::of(habit.tariff(), &grants, &terms, now)
    }

    /// Untouched limits of that tariff.
    pub fn of(tariff: Tariff, grants: &[Grant], terms: &Terms, now: Now) -> Self {
        let rules = grants.iter().map(|grant| Rule::new(tariff, *grant, terms.quantum, now.at));
        let per_minute =
            |grant: &&Grant| grant.dimension == Dimension::Requests && grant.window == MINUTE;
        let requests = grants.iter().find(per_minute).map_or(0, |grant| grant.amount);
        let counts = tariff.counts_rejections();
        Self {
            tariff,
            rules: rules.collect(),
            rejections: if counts { Rejections::Count } else { terms.rejections },
            places: terms.concurrency.map(|limit| Places { limit, taken: 0 }),
            ramp: terms.ramp.map(|permille| Ramp::new(permille, requests)),
            spend: terms.spend.map(Spend::new),
        }
    }

    /// Lets a request through, charged by the provider's own rule, or says why not. All of the limits
    /// are charged or, but for a counted rejection, none.
    pub fn admit(&mut self, ask: Ask, now: Now) -> Result<(), Refusal> {
        if let Err(refusal) = self.check(ask, now) {
            if self.rejections == Rejections::Free {
                return Err(refusal);
            }
            // What the rejection costs is part of the wait, or the hint would not be honest.
            self.count_rejection(now.at);
            return Err(self.check(ask, now).err().unwrap_or(refusal));
        }
        self.take(ask, now);
        Ok(())
    }

    /// Whether a request would be let through; nothing is charged. Of several limits in its way the
    /// one that binds longest is told, so that `retry_after` is honest for all of them.
    pub fn check(&mut self, ask: Ask, now: Now) -> Result<(), Refusal> {
        let mut refusal: Option<Refusal> = None;
        let mut consider = |outcome: Result<(), Refusal>| {
            if let Err(other) = outcome
                && refusal.is_none_or(|held| other.retry_after > held.retry_after)
            {
                refusal = Some(other);
            }
        };
        for rule in &mut self.rules {
            rule.begin_day(now);
            consider(rule.check(self.tariff, ask, now.at));
        }
        if let Some(places) = self.places {
            consider(places.check());
        }
        if let Some(ramp) = &mut self.ramp {
            consider(ramp.check(now.at));
        }
        if let Some(spend) = &mut self.spend {
            consider(spend.check(ask, now));
        }
        refusal.map_or(Ok(()), Err)
    }

    /// Charges a request without asking: what others use of the same account, or what a check of
    /// several meters has let through.
    pub fn take(&mut self, ask: Ask, now: Now) {
        for rule in &mut self.rules {
            rule.spend(self.tariff.upfront(rule.dimension, ask), now.at);
        }
        if let Some(places) = &mut self.places {
            places.taken += 1;
        }
        if let Some(ramp) = &mut self.ramp {
            ramp.count(now.at);
        }
        if let Some(spend) = &mut self.spend {
            spend.charge(ask.input, 0, now);
        }
    }

    /// A request was refused, by this meter or by another that counts it too.
    pub fn count_rejection(&mut self, now: Moment) {
        if self.rejections == Rejections::Count {
            for rule in &mut self.rules {
                if rule.dimension == Dimension::Requests {
                    rule.forfeit(1, now);
                }
            }
        }
    }

    /// Somebody else draws on the same limits: `permille` thousandths of what each grants in `time`
    /// are taken, into debt if need be, for others are as quick as we are.
    pub fn drain(&mut self, permille: u64, time: Duration, now: Moment) {
        for rule in &mut self.rules {
            let Grant { window, amount, .. } = rule.grant();
            let each = u128::from(amount) * u128::from(permille);
            let by = |nanos: u128| each.saturating_mul(nanos) / (1_000 * window.as_nanos().max(1));
            // Of all that was ever taken, so that no fraction of a unit is lost.
            let (end, length) = (u128::from(now.as_nanos()), time.as_nanos());
            let units = by(end) - by(end.saturating_sub(length));
            rule.spend(u64::try_from(units).unwrap_or(u64::MAX), now);
        }
    }

    /// Counts output as it is produced, where the provider does.
    pub fn produce(&mut self, output: u64, now: Now) {
        for rule in &mut self.rules {
            let units = self.tariff.flowing(rule.dimension, output);
            if units > 0 {
                rule.spend(units, now.at);
            }
        }
        if let Some(spend) = &mut self.spend {
            spend.charge(0, output, now);
        }
    }

    /// A request that was let through is over, and had so much output: its place is free, and a
    /// provider that settles (Bedrock) does.
    pub fn finish(&mut self, ask: Ask, output: u64, now: Now) {
        for rule in &mut self.rules {
            if let Some(actual) = self.tariff.settled(rule.dimension, ask, output) {
                rule.correct(self.tariff.upfront(rule.dimension, ask), actual, now.at);
            }
        }
        if let Some(places) = &mut self.places {
            places.taken = places.taken.saturating_sub(1);
        }
    }

    /// What its headers may tell now; nothing where the provider has none. OpenAI tells one window of
    /// each dimension: that of which less is left.
    pub fn readings(&mut self, now: Now) -> Readings {
        let mut readings = Readings::new();
        if !self.tariff.has_headers() {
            return readings;
        }
        for rule in &mut self.rules {
            let reading = rule.reading(now.at);
            match readings.iter_mut().find(|other| other.dimension == reading.dimension) {
                Some(other) if other.remaining > reading.remaining => *other = reading,
                Some(_) => {}
                None => readings.push(reading),
            }
        }
        readings
    }

    /// Puts other limits in the place of its own (a tier change, a limit halved); what is used stays
    /// used. Which limits there are does not change.
    pub fn resize(&mut self, habit: Habit, limits: &Limits, now: Now) {
        self.regrant(&limits.grants(habit), now.at);
    }

    /// The same, for limits of any tariff.
    pub fn regrant(&mut self, grants: &[Grant], now: Moment) {
        for rule in &mut self.rules {
            if let Some(grant) = grants.iter().find(|grant| rule.is_of(grant)) {
                rule.resize(grant.amount, now);
            }
        }
    }

    /// How it charges.
    pub const fn tariff(&self) -> Tariff {
        self.tariff
    }

    /// What is granted, each with what can be taken of it before anything refills.
    pub fn grants(&self) -> impl Iterator<Item = (Grant, u64)> {
        self.rules.iter().map(|rule| (rule.grant(), rule.depth()))
    }

    /// Of each grant, the units that ran over so far because its bucket was full.
    pub fn spilt(&mut self, now: Moment) -> SmallVec<[u64; 4]> {
        self.rules.iter_mut().map(|rule| rule.spilt(now)).collect()
    }
}

impl Places {
    fn check(self) -> Result<(), Refusal> {
        if self.taken < self.limit {
            return Ok(());
        }
        Err(Refusal {
            cause: Cause::Concurrency,
            dimension: Dimension::Requests,
            window: Duration::ZERO,
            limit: self.limit,
            used: self.taken,
            requested: 1,
            retry_after: PLACE_SOON,
        })
    }
}

/// Nobody knows when a place will be free; providers say "soon".
const PLACE_SOON: Duration = Duration::from_secs(1);

impl Limits {
    /// No limits at all.
    pub const NONE: Self = Self {
        requests_per_minute: None,
        requests_per_day: None,
        tokens_per_minute: None,
        tokens_per_day: None,
        input_tokens_per_minute: None,
        output_tokens_per_minute: None,
        quantum: None,
        rejections: Rejections::Free,
    };

    /// The same limits times `permille` thousandths, each at least 1.
    #[must_use]
    pub fn scaled(&self, permille: u64) -> Self {
        let scale =
            |limit: Option<u64>| limit.map(|limit| (limit.saturating_mul(permille) / 1_000).max(1));
        Self {
            requests_per_minute: scale(self.requests_per_minute),
            requests_per_day: scale(self.requests_per_day),
            tokens_per_minute: scale(self.tokens_per_minute),
            tokens_per_day: scale(self.tokens_per_day),
            input_tokens_per_minute: scale(self.input_tokens_per_minute),
            output_tokens_per_minute: scale(self.output_tokens_per_minute),
            quantum: self.quantum,
            rejections: self.rejections,
        }
    }

    /// Those of them that a provider has.
    fn grants(&self, habit: Habit) -> SmallVec<[Grant; 6]> {
        let of = |dimension, window, amount: Option<u64>| {
            amount.map(|amount| Grant { dimension, window, amount })
        };
        let requests = of(Dimension::Requests, MINUTE, self.requests_per_minute);
        let tokens = of(Dimension::Tokens, MINUTE, self.tokens_per_minute);
        let requests_of_day = of(Dimension::Requests, DAY, self.requests_per_day);
        let all = match habit {
            Habit::OpenAi => {
                let tokens_of_day = of(Dimension::Tokens, DAY, self.tokens_per_day);
                [requests, tokens, requests_of_day, tokens_of_day]
            }
            Habit::Azure => [requests, tokens, None, None],
            Habit::Anthropic => {
                let input = of(Dimension::InputTokens, MINUTE, self.input_tokens_per_minute);
                let output = of(Dimension::OutputTokens, MINUTE, self.output_tokens_per_minute);
                [requests, input, output, None]
            }
            Habit::Gemini => {
                let input = of(Dimension::InputTokens, MINUTE, self.tokens_per_minute);
                [requests, input, requests_of_day, None]
            }
        };
        all.into_iter().flatten().collect()
    }
}
