//! Anthropic's API (API reference: overview, errors, rate limits, versioning).

mod batches;
pub(super) mod error;
mod files;
mod message_request;
mod messages;
mod models;
mod stream;

use http::{HeaderMap, Method};

use super::call::{Call, Scene};
use super::meter::{Reading, Readings};
use super::problem::Problem;
use super::reply::{Answered, Reply};
use super::wires::{only, set};
use crate::clock::Now;
use crate::formats::Dimension;

use error::mistake;

/// The version that allows sampling parameters.
pub(super) const OLD_VERSION: &str = "2023-06-01";
/// The versions there are (versioning page).
const VERSIONS: [&str; 2] = [OLD_VERSION, "2026-10-21"];
/// What `anthropic-beta` may name (the SDK's list); a `*` stands for any date.
const BETAS: &[&str] = &[
    "message-batches-*",
    "prompt-caching-*",
    "computer-use-*",
    "pdfs-*",
    "token-counting-*",
    "token-efficient-tools-*",
    "output-128k-*",
    "output-300k-*",
    "files-api-*",
    "mcp-client-*",
    "mcp-servers-*",
    "dev-full-thinking-*",
    "interleaved-thinking-*",
    "code-execution-*",
    "extended-cache-ttl-*",
    "context-1m-*",
    "context-management-*",
    "model-context-window-exceeded-*",
    "skills-*",
    "structured-outputs-*",
    "fast-mode-*",
    "compact-*",
    "task-budgets-*",
    "server-side-fallback-*",
    "fallback-credit-*",
    "message-threads-*",
    "managed-agents-*",
    "agent-memory-*",
    "oauth-*",
    "claude-code-*",
    "fine-grained-tool-streaming-*",
    "advanced-tool-use-*",
    "effort-*",
];

/// Answers a request to `/v1/...`.
pub(super) fn answer(call: &Call) -> Answered {
    check_version(call)?;
    check_betas(call)?;
    let post = || only(call, &Method::POST);
    match call.scene.segments().as_slice() {
        ["v1", "messages"] => post().and_then(|()| messages::answer(call)),
        ["v1", "messages", "count_tokens"] => post().and_then(|()| messages::count(call)),
        ["v1", "messages", "batches", rest @ ..] => batches::answer(call, rest),
        ["v1", "models", rest @ ..] => models::answer(call, rest),
        ["v1", "files", rest @ ..] => files::answer(call, rest),
        _ => Err(call.scene.refuse(&Problem::NoSuchPath)),
    }
}

pub(super) fn stamp(scene: &Scene, headers: &mut HeaderMap) {
    set(headers, "request-id", &scene.request_id);
    if !scene.account.is_empty() {
        set(headers, "anthropic-organization-id", &scene.account);
    }
}

/// The rate-limit headers (rate-limits page, "Response headers"): moments of full refill, tokens left
/// rounded to thousands, and under `tokens` the tightest of the token limits.
pub(super) fn limit_headers(readings: &Readings, now: Now, headers: &mut HeaderMap) {
    let mut tightest: Option<&Reading> = None;
    for reading in readings {
        let what = match reading.dimension {
            Dimension::Requests => "requests",
            Dimension::InputTokens => "input-tokens",
            Dimension::OutputTokens => "output-tokens",
            Dimension::Tokens => "tokens",
        };
        if reading.dimension != Dimension::Requests
            && tightest.is_none_or(|other| reading.remaining < other.remaining)
        {
            tightest = Some(reading);
        }
        limit_header(what, reading, now, headers);
    }
    if let Some(reading) = tightest {
        limit_header("tokens", reading, now, headers);
    }
}

fn limit_header(what: &str, reading: &Reading, now: Now, headers: &mut HeaderMap) {
    let thousands = (reading.remaining + 500) / 1_000 * 1_000;
    let remaining =
        if reading.dimension == Dimension::Requests { reading.remaining } else { thousands };
    // Whole seconds, rounded up: full no sooner than it says.
    let whole = now.wall_at(now.at + reading.reset);
    let seconds = whole.as_second() + i64::from(whole.subsec_nanosecond() > 0);
    let reset = jiff::Timestamp::from_second(seconds).unwrap_or(whole);
    let name = |field: &str| format!("anthropic-ratelimit-{what}-{field}");
    set(headers, &name("limit"), &reading.limit.to_string());
    set(headers, &name("remaining"), &remaining.to_string());
    set(headers, &name("reset"), &reset.to_string());
}

fn check_version(call: &Call) -> Result<(), Box<Reply>> {
    match call.scene.header("anthropic-version") {
        None => Err(mistake(&call.scene, "anthropic-version: header is required")),
        Some(version) if VERSIONS.contains(&version) => Ok(()),
        Some(version) => {
            let text = format!("anthropic-version: \"{version}\" is not a valid version");
            Err(mistake(&call.scene, &text))
        }
    }
}

fn check_betas(call: &Call) -> Result<(), Box<Reply>> {
    let given = call.scene.headers.get_all("anthropic-beta");
    let values = given.into_iter().filter_map(|value| value.to_str().ok());
    let names = values.flat_map(|value| value.split(',')).map(str::trim);
    let known = |name: &str| BETAS.iter().any(|beta| name.starts_with(beta.trim_end_matches('*')));
    let unknown: Vec<&str> = names.filter(|name| !name.is_empty() && !known(name)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let text = format!(
        "Unexpected value(s) `{}` for the `anthropic-beta` header. Please consult our \
         documentation at docs.claude.com or try again without the header.",
        unknown.join("`, `")
    );
    Err(mistake(&call.scene, &text))
}
