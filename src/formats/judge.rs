//! What an upstream answer means: the one place where a status, headers and an error body become a
//! verdict.
//!
//! A provider's own words are asked first, in a file of its own; where it says nothing known, HTTP
//! itself decides (`generic`). Codes are trusted wherever they stand. Wording is trusted only
//! where no code exists, and where it would put a key away only at the very beginning of a message:
//! further in, a message may quote the prompt, and no prompt may bench a key.

mod anthropic;
mod azure;
mod family;
mod gemini;
mod generic;
mod hints;
mod openai;
mod problem;
mod ruling;

use std::fmt;

use http::{HeaderMap, StatusCode};
use jiff::Timestamp;

use self::hints::Hold;
use self::problem::Problem;
use self::ruling::{Return, Ruling};
use super::{Dialect, Judgement, Scope, Verdict, delay};
use crate::clock::Now;

/// An upstream answer as it came, before anything of it has been passed on.
#[derive(Clone, Copy)]
pub struct Evidence<'a> {
    /// Its status.
    pub status: StatusCode,
    /// Its headers; a body encoded with gzip or deflate is decoded as `content-encoding` says.
    pub headers: &'a HeaderMap,
    /// Its body, or the beginning of it: at most the first 64 KiB are read, and none of an answer
    /// that is no error.
    pub body: &'a [u8],
    /// The model that was asked for, where the request named one.
    pub model: Option<&'a str>,
}

impl fmt::Debug for Evidence<'_> {
    /// Leaves out what may quote a prompt or an answer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evidence")
            .field("status", &self.status)
            .field("body_len", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Judges an answer. Never fails: what cannot be read is judged by its status.
///
/// `retry_at` is never before `now`, and at most 31 days after it. A rate limit that tells no moment
/// has none: how long to rest then is for the key rack to decide.
pub fn judge(dialect: Dialect, evidence: &Evidence<'_>, now: Now) -> Judgement {
    if is_answer(evidence.status) {
        return Judgement::of(Verdict::Ok);
    }
    let case = Case {
        dialect,
        status: evidence.status.as_u16(),
        headers: evidence.headers,
        model: evidence.model,
        problem: Problem::read(evidence.headers, evidence.body),
        now,
    };
    let ruling = by_words(&case).unwrap_or_else(|| generic::by_status(&case));
    carry_out(&case, ruling)
}

/// Judges an error inside a stream whose answer was 200, by the code (or type, or status word) it
/// carries: what there is to learn from it, though the stream is passed on as it came.
///
/// Sources: `response.failed` of OpenAI's Responses API, `event: error` of Anthropic, the error
/// chunks of Gemini, OpenRouter and vLLM.
pub fn judge_event(dialect: Dialect, code: Option<&str>) -> Judgement {
    let code = code.unwrap_or_default();
    let verdict = match code {
        "rate_limit_exceeded" | "rate_limit_error" | "RESOURCE_EXHAUSTED" | "429" => {
            Verdict::RateLimited
        }
        "overloaded_error" | "UNAVAILABLE" | "insufficient_system_resource" | "503" | "529" => {
            Verdict::Overloaded
        }
        _ if openai::is_billing(code) => Verdict::BillingExhausted,
        _ => Verdict::MidStream,
    };
    let is_billing = verdict == Verdict::BillingExhausted;
    let scope = if is_billing { Scope::Group } else { generic::scope_of_limit(dialect) };
    Judgement { scope, code: problem::clean(code), ..Judgement::of(verdict) }
}

/// An answer that is no 2xx, read once.
struct Case<'a> {
    dialect: Dialect,
    status: u16,
    headers: &'a HeaderMap,
    model: Option<&'a str>,
    problem: Problem,
    now: Now,
}

impl Case<'_> {
    fn wall(&self) -> Timestamp {
        self.now.wall
    }

    /// A header's value, the first if it is repeated; empty if there is none.
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// 2xx, or the answer to a conditional request.
fn is_answer(status: StatusCode) -> bool {
    status.is_success() || status == StatusCode::NOT_MODIFIED
}

/// What the provider's own words settle.
fn by_words(case: &Case<'_>) -> Option<Ruling> {
    match case.dialect {
        Dialect::OpenAi => openai::rule(case),
        Dialect::Azure => azure::rule(case),
        Dialect::Anthropic => anthropic::rule(case),
        Dialect::Gemini => gemini::rule(case),
        Dialect::Mistral => family::mistral(case),
        Dialect::Cohere => family::cohere(case),
        Dialect::Groq => family::groq(case),
        Dialect::Xai => family::xai(case),
        Dialect::OpenRouter => family::openrouter(case),
        Dialect::Together => family::together(case),
        Dialect::Fireworks => family::fireworks(case),
        Dialect::Cerebras => family::cerebras(case),
        Dialect::Nvidia => family::nvidia(case),
        Dialect::HuggingFace => family::hugging_face(case),
        Dialect::Ollama => family::ollama(case),
        Dialect::DeepSeek | Dialect::Perplexity | Dialect::Vllm | Dialect::Generic => {
            openai::words(case)
        }
    }
}

/// Fills in when to come back and what was exhausted, as far as the verdict gives them a meaning.
fn carry_out(case: &Case<'_>, ruling: Ruling) -> Judgement {
    let Ruling { verdict, scope, back, oversized } = ruling;
    let hold = match verdict {
        Verdict::RateLimited | Verdict::QuotaExhausted => hints::limit(case),
        Verdict::Overloaded | Verdict::ServerError => {
            Hold { delay: hints::told(case), ..Hold::NONE }
        }
        Verdict::Ok
        | Verdict::BillingExhausted
        | Verdict::KeyInvalid
        | Verdict::Suspended
        | Verdict::KeyForbidden
        | Verdict::Timeout
        | Verdict::ConnectFailed
        | Verdict::RequestInvalid
        | Verdict::MidStream => Hold::NONE,
    };
    let delay = match back {
        Return::AsHinted => hold.delay,
        Return::At(when) => Some(delay::ahead(when, case.wall()).min(delay::LONGEST)),
        Return::After(usual) => Some(hold.delay.unwrap_or(usual)),
        Return::Untold => None,
    };
    let delay = delay.filter(|delay| !delay.is_zero());
    Judgement {
        verdict,
        scope,
        retry_at: delay.map(|delay| case.now.at + delay),
        dimension: hold.dimension,
        oversized,
        code: case.problem.word(),
    }
}

#[cfg(test)]
mod tests;
