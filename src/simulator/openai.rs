//! OpenAI's API (API reference, rate-limit guide and error-codes guide; the published
//! `OpenAPI`
//! document). Azure serves the same operations under other paths.

mod audio;
mod batches;
mod chat;
mod chat_request;
mod chunks;
mod completions;
mod embeddings;
pub(super) mod error;
mod fields;
mod files;
mod models;
mod response_events;
mod responses;
mod vector_stores;

use std::time::Duration;

use http::{HeaderMap, Method};

use super::call::{Call, Scene};
use super::meter::Readings;
use super::problem::Problem;
use super::reply::Answered;
use super::wires::{only, set};
use crate::formats::Dimension;

pub(super) use embeddings::embedding;

/// Answers a request to `/v1/...`.
pub(super) fn answer(call: &Call) -> Answered {
    match call.scene.segments().split_first() {
        Some((&"v1", operation)) => serve(call, operation, None),
        _ => Err(call.scene.refuse(&Problem::NoSuchPath)),
    }
}

/// Answers an operation; `deployment` is the model where the path names it (Azure).
pub(super) fn serve(call: &Call, operation: &[&str], deployment: Option<&str>) -> Answered {
    let post = || only(call, &Method::POST);
    match operation {
        ["chat", "completions"] => post().and_then(|()| chat::answer(call, deployment)),
        ["completions"] => post().and_then(|()| completions::answer(call, deployment)),
        ["embeddings"] => post().and_then(|()| embeddings::answer(call, deployment)),
        ["moderations"] => post().and_then(|()| models::moderation(call)),
        ["audio", "transcriptions"] => post().and_then(|()| audio::transcription(call, deployment)),
        ["audio", "speech"] => post().and_then(|()| audio::speech(call, deployment)),
        ["responses", rest @ ..] => responses::answer(call, rest),
        ["models", rest @ ..] => models::answer(call, rest),
        ["files", rest @ ..] => files::answer(call, rest),
        ["batches", rest @ ..] => batches::answer(call, rest),
        ["vector_stores", rest @ ..] => vector_stores::answer(call, rest),
        _ => Err(call.scene.refuse(&Problem::NoSuchPath)),
    }
}

/// The headers of every answer (API reference, "Debugging requests").
pub(super) fn stamp(scene: &Scene, headers: &mut HeaderMap) {
    set(headers, "x-request-id", &scene.request_id);
    set(headers, "openai-version", "2020-10-01");
    set(headers, "openai-processing-ms", "17");
    if !scene.account.is_empty() {
        set(headers, "openai-organization", &scene.account);
    }
}

/// The rate-limit headers (rate-limit guide, "Rate limits in headers").
pub(super) fn limit_headers(readings: &Readings, headers: &mut HeaderMap) {
    for reading in readings {
        let what = counted(reading.dimension);
        set(headers, &format!("x-ratelimit-limit-{what}"), &reading.limit.to_string());
        set(headers, &format!("x-ratelimit-remaining-{what}"), &reading.remaining.to_string());
        set(headers, &format!("x-ratelimit-reset-{what}"), &go_duration(reading.reset));
    }
}

/// The word for what is counted in OpenAI's header names and error types.
pub(super) const fn counted(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Requests => "requests",
        Dimension::Tokens | Dimension::InputTokens | Dimension::OutputTokens => "tokens",
    }
}

/// A duration as Go prints it, rounded up to milliseconds: `0s`, `20ms`, `8.64s`, `6m0s`, `1h2m3s`.
pub(super) fn go_duration(duration: Duration) -> String {
    let millis = duration.as_nanos().div_ceil(1_000_000);
    if millis == 0 {
        return "0s".to_owned();
    }
    if millis < 1_000 {
        return format!("{millis}ms");
    }
    let (minutes, millis) = (millis / 60_000, millis % 60_000);
    let fraction = format!("{:03}", millis % 1_000);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    let seconds = format!("{}{point}{fraction}s", millis / 1_000);
    match (minutes / 60, minutes % 60) {
        (0, 0) => seconds,
        (0, minutes) => format!("{minutes}m{seconds}"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_go_does() {
        for (millis, text) in [
            (0, "0s"),
            (20, "20ms"),
            (1_000, "1s"),
            (8_640, "8.64s"),
            (60_000, "1m0s"),
            (360_000, "6m0s"),
            (3_723_050, "1h2m3.05s"),
        ] {
            assert_eq!(go_duration(Duration::from_millis(millis)), text);
        }
        assert_eq!(go_duration(Duration::from_nanos(1)), "1ms", "never sooner than it is");
    }
}
