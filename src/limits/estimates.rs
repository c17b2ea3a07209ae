//! What requests will need, by what earlier ones of their kind did.

use std::collections::HashMap;

use crate::formats::{Facts, Usage};

use super::charging::Demand;
use super::estimate::{Estimator, Features};
use super::lengths::Lengths;

/// What was learned of each kind of request, a kind being whatever the caller of this calls one: a
/// model, or a model and a route. A new kind begins with what all have taught.
///
/// Bounded: kinds not asked for in a long time are forgotten first.
#[derive(Debug)]
pub struct Estimates {
    young: HashMap<Box<str>, Kind>,
    old: HashMap<Box<str>, Kind>,
    all: Kind,
    bound: usize,
}

/// What is known of one kind.
#[derive(Clone, Debug, Default)]
struct Kind {
    input: Estimator,
    output: Lengths,
    cached: Cached,
    /// Bytes of text for a token of an answer, smoothed; zero before anything is known.
    bytes_per_token: f64,
}

/// What part of the input is read from the provider's cache.
#[derive(Clone, Copy, Debug, Default)]
struct Cached {
    mean: f64,
    /// How far it is from that, as a rule.
    off: f64,
}

/// Names longer than this are cut, for nobody may fill the memory with them.
const LONGEST_NAME: usize = 256;
/// Bytes of text for a token before anything is known (OpenAI's help page on tokens).
const USUAL: f64 = 4.0;
const WEIGHT: f64 = 1.0 / 16.0;

impl Estimates {
    /// Remembers `bound` kinds at most, and the latest half of them for certain.
    pub fn new(bound: usize) -> Self {
        let all = Kind::default();
        Self { young: HashMap::new(), old: HashMap::new(), all, bound }
    }

    /// What a request of that kind will need.
    pub fn demand(&mut self, kind: &str, facts: &Facts) -> Demand {
        let kind = self.find(kind);
        let input = kind.input.estimate(&Features::of(facts)).high;
        Demand {
            input,
            cached: kind.cached.part_of(input),
            output: kind.output.mean(),
            output_high: kind.output.high(),
            max_output: facts.max_output,
            choices: facts.choices,
        }
    }

    /// A request of that kind, with these features and that many answers, used that much.
    pub fn learn(&mut self, kind: &str, features: &Features, choices: u32, usage: &Usage) {
        self.all.learn(features, choices, usage);
        self.find(kind).learn(features, choices, usage);
    }

    /// An answer of that kind had `bytes` of text and was that many tokens.
    pub fn learn_output(&mut self, kind: &str, bytes: u64, tokens: u64) {
        self.all.learn_output(bytes, tokens);
        self.find(kind).learn_output(bytes, tokens);
    }

    /// How many tokens are in so many bytes of an answer's text.
    pub fn output_tokens(&mut self, kind: &str, bytes: u64) -> u64 {
        let per_token = self.find(kind).bytes_per_token;
        whole(as_f64(bytes) / if per_token > 0.0 { per_token } else { USUAL })
    }

    /// How many kinds are remembered.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.young.is_empty() && self.old.is_empty()
    }

    fn find(&mut self, name: &str) -> &mut Kind {
        let end = name.floor_char_boundary(LONGEST_NAME);
        let name = name.get(..end).unwrap_or_default();
        if !self.young.contains_key(name) {
            if self.young.len() >= (self.bound / 2).max(1) {
                self.old = std::mem::take(&mut self.young);
            }
            let kind = self.old.remove(name).unwrap_or_else(|| self.all.clone());
            self.young.insert(name.into(), kind);
        }
        self.young.entry(name.into()).or_default()
    }
}

impl Kind {
    fn learn(&mut self, features: &Features, choices: u32, usage: &Usage) {
        self.input.learn(features, usage.input);
        self.output.learn(usage.output / u64::from(choices.max(1)));
        if usage.input > 0 {
            self.cached.learn(as_f64(usage.cached_input) / as_f64(usage.input));
        }
    }

    fn learn_output(&mut self, bytes: u64, tokens: u64) {
        if bytes == 0 || tokens == 0 {
            return;
        }
        let ratio = (as_f64(bytes) / as_f64(tokens)).clamp(0.5, 16.0);
        let before = self.bytes_per_token;
        let known = before > 0.0;
        self.bytes_per_token = if known { before + (ratio - before) * WEIGHT } else { ratio };
    }
}

impl Cached {
    fn learn(&mut self, part: f64) {
        let part = part.clamp(0.0, 1.0);
        self.off += ((part - self.mean).abs() - self.off) * WEIGHT;
        self.mean += (part - self.mean) * WEIGHT;
    }

    /// What can be relied on to be cached: where it varies, little.
    fn part_of(self, input: u64) -> u64 {
        whole(as_f64(input) * (self.mean - 2.0 * self.off).max(0.0))
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
const fn as_f64(count: u64) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast saturates, and nothing here is negative"
)]
fn whole(tokens: f64) -> u64 {
    tokens.max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::TextCounts;

    fn usage(input: u64, cached_input: u64, output: u64) -> Usage {
        Usage { input, cached_input, output, ..Usage::default() }
    }

    fn facts(letters: u64) -> Facts {
        let text = TextCounts { alphabetic: letters, ..TextCounts::default() };
        Facts { text, choices: 1, ..Facts::default() }
    }

    #[test]
    fn a_new_kind_begins_with_what_all_have_taught() {
        let mut estimates = Estimates::new(10);
        let features = Features::of(&facts(10_000));
        let before = estimates.demand("a", &facts(10_000)).input;
        for _ in 0..50 {
            estimates.learn("a", &features, 1, &usage(4_000, 0, 30));
        }
        let taught = estimates.demand("b", &facts(10_000));
        assert!(before < 2_000 && (4_000..5_000).contains(&taught.input), "{before} {taught:?}");
        assert_eq!((taught.output, taught.output_high), (30, 31));
    }

    #[test]
    fn what_is_reliably_cached_is_not_reckoned_with_and_what_varies_is() {
        let mut estimates = Estimates::new(10);
        let features = Features::of(&facts(4_000));
        for n in 0..200 {
            estimates.learn("steady", &features, 1, &usage(1_000, 800, 10));
            estimates.learn("moody", &features, 1, &usage(1_000, 1_000 * (n % 2), 10));
        }
        let part = |demand: Demand| demand.cached * 100 / demand.input;
        assert!((75..=80).contains(&part(estimates.demand("steady", &facts(4_000)))));
        assert_eq!(part(estimates.demand("moody", &facts(4_000))), 0);
    }

    #[test]
    fn several_answers_are_each_as_long_as_their_share() {
        let mut estimates = Estimates::new(10);
        for _ in 0..50 {
            estimates.learn("m", &Features::default(), 4, &usage(10, 0, 400));
        }
        assert_eq!(estimates.demand("m", &facts(1)).output, 100);
    }

    #[test]
    fn the_tokens_of_an_answer_are_told_by_its_bytes() {
        let mut estimates = Estimates::new(10);
        assert_eq!(estimates.output_tokens("m", 400), 100);
        (0..100).for_each(|_| estimates.learn_output("m", 300, 150));
        assert_eq!(estimates.output_tokens("m", 400), 200);
        estimates.learn_output("m", u64::MAX, 0);
        estimates.learn_output("m", 0, u64::MAX);
        assert_eq!(estimates.output_tokens("m", 400), 200, "what cannot be teaches nothing");
    }

    #[test]
    fn the_bound_holds_and_what_is_asked_for_stays() {
        let mut estimates = Estimates::new(16);
        for _ in 0..50 {
            estimates.learn("kept", &Features::default(), 1, &usage(10, 0, 7));
        }
        for n in 0..1_000 {
            estimates.learn(&n.to_string(), &Features::default(), 1, &usage(10, 0, 900));
            assert!(estimates.len() <= 16);
            assert_eq!(estimates.demand("kept", &facts(1)).output, 7);
        }
        estimates.demand(&"é".repeat(1_000), &facts(1));
    }
}
