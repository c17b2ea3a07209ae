//! Rate-limit headers: every answer's free sample of the quota group's levels.
//!
//! One walk over the headers, no allocation in the usual case: this runs on every answer.

mod structured;

use std::time::Duration;

use http::HeaderMap;
use smallvec::SmallVec;

use super::{Dialect, Dimension, Sample, delay};
use crate::clock::Now;

/// What one answer tells. Two samples of one dimension are two limits that hold at once: a project's
/// and its organisation's, or those of two windows.
pub type Samples = SmallVec<[Sample; 4]>;

/// At most this many limits of one answer are read; no provider names more.
const MAX_SAMPLES: usize = 8;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const MONTH: Duration = Duration::from_hours(30 * 24);

/// Reads the levels that an answer's headers tell, at most eight. What cannot be read is left out.
///
/// Sources: the rate-limit guides of OpenAI, Azure OpenAI, Anthropic, Groq, Together and OpenRouter,
/// headers seen from Mistral, Fireworks and Cerebras, and the IETF's `RateLimit` drafts.
pub fn levels(dialect: Dialect, headers: &HeaderMap, now: Now) -> Samples {
    let mut board = Board::default();
    let mut has_structured = false;
    for (name, value) in headers {
        let name = name.as_str();
        if let Some((subject, part)) = read_name(dialect, name) {
            if let Ok(text) = value.to_str() {
                board.note(subject, part, text, now);
            }
        } else if name == "ratelimit" {
            has_structured = true;
        }
    }
    let mut samples = board.finish(dialect);
    if has_structured {
        structured::read(headers, &mut samples);
    }
    samples
}

/// What a header is about. Headers of one subject make one sample.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Subject {
    dimension: Dimension,
    window: Option<Duration>,
    owner: Owner,
}

/// Whose limit it is, where a provider tells two apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// The organisation's, or nobody says.
    Usual,
    /// The project's: OpenAI's `project-tokens`.
    Project,
}

/// Which of a limit's three numbers a header carries.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Limit,
    Remaining,
    Reset,
}

/// The samples so far, and beside each what it is about.
#[derive(Default)]
struct Board {
    subjects: SmallVec<[Subject; 4]>,
    samples: Samples,
}

impl Board {
    /// Notes one header. Of a repeated one the first counts.
    fn note(&mut self, subject: Subject, part: Part, text: &str, now: Now) {
        let Some(sample) = self.sample_of(subject) else { return };
        match part {
            Part::Limit => {
                sample.limit = sample.limit.or_else(|| amount(text));
                sample.window = sample.window.or_else(|| window_in(text));
            }
            Part::Remaining => sample.remaining = sample.remaining.or_else(|| amount(text)),
            Part::Reset => {
                sample.reset_in = sample.reset_in.or_else(|| delay::header(text, now.wall));
            }
        }
    }

    fn sample_of(&mut self, subject: Subject) -> Option<&mut Sample> {
        let known = self.subjects.iter().position(|other| *other == subject);
        let index = known.unwrap_or(self.subjects.len());
        if known.is_none() && index < MAX_SAMPLES {
            self.subjects.push(subject);
            self.samples.push(Sample {
                dimension: subject.dimension,
                limit: None,
                remaining: None,
                reset_in: None,
                window: subject.window,
            });
        }
        self.samples.get_mut(index)
    }

    /// The samples that tell an amount.
    fn finish(mut self, dialect: Dialect) -> Samples {
        self.samples.retain(|sample| sample.limit.is_some() || sample.remaining.is_some());
        if dialect == Dialect::OpenAi {
            for sample in &mut self.samples {
                sample.window = sample.window.or_else(|| refill_window(sample));
            }
        }
        self.samples
    }
}

/// What a header of this name tells, if it is one of a limit.
fn read_name(dialect: Dialect, name: &str) -> Option<(Subject, Part)> {
    if let Some(rest) = name.strip_prefix("x-ratelimit-") {
        let (part, subject) = part_first(rest)?;
        return Some((subject_named(dialect, subject)?, part));
    }
    if let Some(rest) = name.strip_prefix("anthropic-ratelimit-") {
        let (subject, part) = rest.rsplit_once('-')?;
        let (part, _) = part_first(part)?;
        return Some((subject_named(dialect, subject)?, part));
    }
    if let Some(rest) = name.strip_prefix("ratelimit-") {
        let (part, subject) = part_first(rest)?;
        return Some((subject_named(dialect, subject)?, part));
    }
    let (part, subject) = part_first(name.strip_prefix("x-tokenlimit-")?)?;
    let window = habit(dialect, Dimension::Tokens);
    let tokens = Subject { dimension: Dimension::Tokens, window, owner: Owner::Usual };
    subject.is_empty().then_some((tokens, part))
}

/// `limit-tokens` is the limit of `tokens`; `reset` is the reset of the only limit there is.
fn part_first(text: &str) -> Option<(Part, &str)> {
    let (part, rest) = if let Some(rest) = text.strip_prefix("limit") {
        (Part::Limit, rest)
    } else if let Some(rest) = text.strip_prefix("remaining") {
        (Part::Remaining, rest)
    } else {
        (Part::Reset, text.strip_prefix("reset")?)
    };
    if rest.is_empty() { Some((part, rest)) } else { Some((part, rest.strip_prefix('-')?)) }
}

/// `requests`, `tokens`, `req-minute`, `tokens-prompt`, `requests-day`, `project-tokens`, `day`...
fn subject_named(dialect: Dialect, text: &str) -> Option<Subject> {
    let (dimension, owner, window) = if let Some((dimension, owner)) = counted(text) {
        (dimension, owner, habit(dialect, dimension))
    } else {
        let (what, unit) = text.rsplit_once('-').unwrap_or(("", text));
        let (dimension, owner) = counted(what)?;
        (dimension, owner, Some(window_named(unit)?))
    };
    Some(Subject { dimension, window, owner })
}

fn counted(what: &str) -> Option<(Dimension, Owner)> {
    match what {
        "" | "requests" | "req" => Some((Dimension::Requests, Owner::Usual)),
        "project-requests" => Some((Dimension::Requests, Owner::Project)),
        "tokens" => Some((Dimension::Tokens, Owner::Usual)),
        "project-tokens" => Some((Dimension::Tokens, Owner::Project)),
        "input-tokens" | "tokens-prompt" => Some((Dimension::InputTokens, Owner::Usual)),
        "output-tokens" | "tokens-generated" => Some((Dimension::OutputTokens, Owner::Usual)),
        _ => None,
    }
}

fn window_named(unit: &str) -> Option<Duration> {
    match unit {
        "second" => Some(SECOND),
        "minute" => Some(MINUTE),
        "hour" => Some(HOUR),
        "day" => Some(DAY),
        "month" => Some(MONTH),
        _ => None,
    }
}

/// The window that a provider means where its headers do not say.
fn habit(dialect: Dialect, dimension: Dimension) -> Option<Duration> {
    let counts_requests = dimension == Dimension::Requests;
    match dialect {
        // Small OpenAI tiers count requests by the day: told by how fast they come back.
        Dialect::OpenAi => (!counts_requests).then_some(MINUTE),
        // Groq rate-limit guide: requests "always refers to requests per day", tokens to the minute.
        Dialect::Groq => Some(if counts_requests { DAY } else { MINUTE }),
        Dialect::Together => Some(SECOND),
        Dialect::Azure
        | Dialect::Anthropic
        | Dialect::Mistral
        | Dialect::Xai
        | Dialect::Fireworks => Some(MINUTE),
        Dialect::Gemini
        | Dialect::Cohere
        | Dialect::DeepSeek
        | Dialect::OpenRouter
        | Dialect::Perplexity
        | Dialect::Cerebras
        | Dialect::Nvidia
        | Dialect::HuggingFace
        | Dialect::Ollama
        | Dialect::Vllm
        | Dialect::Generic => None,
    }
}

/// The window of a bucket that refills evenly, told by how long what is missing takes to come back:
/// with 1 of 10,000 used and 8.64 s to wait, a whole bucket takes a day. One that comes back sooner
/// than in a minute is a slice of a minute's limit ("60,000 a minute may be enforced as 1,000 a
/// second", OpenAI help centre on rate limits): what is left is the slice's, the limit the minute's.
fn refill_window(sample: &Sample) -> Option<Duration> {
    let (limit, reset) = (sample.limit?, sample.reset_in?);
    let used = limit.checked_sub(sample.remaining?).filter(|used| *used > 0)?;
    #[expect(clippy::cast_precision_loss, reason = "a quarter either way is near enough")]
    let whole = reset.as_secs_f64() * limit as f64 / used as f64;
    if whole < MINUTE.as_secs_f64() {
        return Some(MINUTE);
    }
    [MINUTE, DAY].into_iter().find(|window| (0.8..=1.25).contains(&(whole / window.as_secs_f64())))
}

/// The whole number that `text` begins with, if it ends there or goes on as a decimal or a list.
fn amount(text: &str) -> Option<u64> {
    let (number, rest) = delay::whole(text.trim_ascii_start())?;
    matches!(rest.as_bytes(), [] | [b'.' | b',' | b';' | b' ', ..]).then_some(number)
}

/// The window in `100, 100;w=60`, as the earlier IETF drafts write a limit.
fn window_in(text: &str) -> Option<Duration> {
    let (_, window) = text.split_once(';')?.1.split_once("w=")?;
    amount(window).filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

#[cfg(test)]
mod tests;
