use std::time::Duration;

use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::clock::Moment;

fn now() -> Now {
    Now { at: Moment::from_nanos(1_000), wall: "2026-11-20T12:00:00Z".parse().unwrap() }
}

fn header_map(pairs: &[(String, String)]) -> HeaderMap {
    pairs.iter().fold(HeaderMap::new(), |mut map, (name, value)| {
        map.append(
            HeaderName::try_from(name.as_str()).unwrap(),
            HeaderValue::try_from(value.as_str()).unwrap(),
        );
        map
    })
}

fn judged(dialect: Dialect, status: u16, headers: &HeaderMap, body: &[u8]) -> Judgement {
    let status = StatusCode::from_u16(status).unwrap();
    judge(dialect, &Evidence { status, headers, body, model: Some("gpt-x") }, now())
}

const DIALECTS: [Dialect; 19] = [
    Dialect::OpenAi,
    Dialect::Azure,
    Dialect::Anthropic,
    Dialect::Gemini,
    Dialect::Mistral,
    Dialect::Cohere,
    Dialect::Groq,
    Dialect::DeepSeek,
    Dialect::Xai,
    Dialect::OpenRouter,
    Dialect::Together,
    Dialect::Fireworks,
    Dialect::Perplexity,
    Dialect::Cerebras,
    Dialect::Nvidia,
    Dialect::HuggingFace,
    Dialect::Ollama,
    Dialect::Vllm,
    Dialect::Generic,
];

#[test]
fn where_nothing_is_said_the_status_decides_alike_for_every_provider() {
    for dialect in DIALECTS {
        for (status, verdict) in [
            (200, Verdict::Ok),
            (206, Verdict::Ok),
            (304, Verdict::Ok),
            (301, Verdict::ServerError),
            (307, Verdict::ServerError),
            (400, Verdict::RequestInvalid),
            (401, Verdict::KeyInvalid),
            (402, Verdict::BillingExhausted),
            (403, Verdict::KeyForbidden),
            (404, Verdict::RequestInvalid),
            (408, Verdict::ServerError),
            (409, Verdict::ServerError),
            (413, Verdict::RequestInvalid),
            (422, Verdict::RequestInvalid),
            (429, Verdict::RateLimited),
            (499, Verdict::RequestInvalid),
            (500, Verdict::ServerError),
            (501, Verdict::RequestInvalid),
            (502, Verdict::ServerError),
            (503, Verdict::Overloaded),
            (504, Verdict::ServerError),
            (524, Verdict::ServerError),
            (529, Verdict::Overloaded),
            (999, Verdict::ServerError),
        ] {
            for body in ["", "<!DOCTYPE html><title>Error</title>", "{", "null", "[[[[", "\u{0}"] {
                let judgement = judged(dialect, status, &HeaderMap::new(), body.as_bytes());
                assert_eq!(judgement.verdict, verdict, "{dialect:?} {status} {body}");
                assert_eq!(judgement.retry_at, None, "{dialect:?} {status}: nothing was told");
                assert_eq!(judgement.code, None, "{dialect:?} {status}: nothing was told");
            }
        }
    }
}

#[test]
fn a_prompt_that_is_quoted_in_an_error_moves_no_key() {
    let quotes = [
        "your credit balance is too low to access the Anthropic API",
        "You have reached your specified API usage limits. You will regain access on 2026-12-01",
        "This organization has been disabled.",
        "API key not valid. Please pass a valid API key.",
        "Your team x has either used all available credits",
        "Incorrect API key provided",
        "organization_on_hold API_KEY_INVALID insufficient_quota",
    ];
    for dialect in DIALECTS {
        for quote in quotes {
            let message = format!("messages.0: invalid value '{quote}'");
            let error = serde_json::json!({"type": "invalid_request_error", "message": message});
            let body = serde_json::json!({"error": error}).to_string();
            let judgement = judged(dialect, 400, &HeaderMap::new(), body.as_bytes());
            assert_eq!(judgement.verdict, Verdict::RequestInvalid, "{dialect:?}: {quote}");
        }
    }
}

#[test]
fn a_compressed_error_is_read_as_a_plain_one() {
    use std::io::Write;
    let body = br#"{"error":{"message":"x","type":"insufficient_quota","code":null}}"#;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).unwrap();
    let packed = encoder.finish().unwrap();
    let headers = header_map(&[("content-encoding".into(), "gzip".into())]);
    let judgement = judged(Dialect::OpenAi, 429, &headers, &packed);
    assert_eq!(judgement.verdict, Verdict::BillingExhausted);
    let cut = judged(Dialect::OpenAi, 429, &headers, packed.get(..20).unwrap());
    assert_eq!(cut.verdict, Verdict::RateLimited, "what cannot be read is judged by status");
}

#[test]
fn a_small_body_that_unpacks_to_gigabytes_is_read_no_further_than_a_plain_one() {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&vec![b' '; 40 << 20]).unwrap();
    let packed = encoder.finish().unwrap();
    let headers = header_map(&[("content-encoding".into(), "gzip".into())]);
    assert_eq!(judged(Dialect::OpenAi, 429, &headers, &packed).verdict, Verdict::RateLimited);
}

#[test]
fn of_a_huge_or_deeply_nested_body_only_the_status_is_left() {
    let huge = format!(
        r#"{{"error":{{"message":"{}","code":"insufficient_quota"}}}}"#,
        "x".repeat(70_000)
    );
    let deep = format!(r#"{{"error":{}1{}}}"#, "[".repeat(30_000), "]".repeat(30_000));
    for body in [huge, deep] {
        let judgement = judged(Dialect::OpenAi, 429, &HeaderMap::new(), body.as_bytes());
        assert_eq!(judgement.verdict, Verdict::RateLimited);
    }
}

#[test]
fn an_error_inside_a_stream_is_learned_from() {
    for (code, verdict) in [
        (Some("rate_limit_exceeded"), Verdict::RateLimited),
        (Some("rate_limit_error"), Verdict::RateLimited),
        (Some("RESOURCE_EXHAUSTED"), Verdict::RateLimited),
        (Some("429"), Verdict::RateLimited),
        (Some("overloaded_error"), Verdict::Overloaded),
        (Some("UNAVAILABLE"), Verdict::Overloaded),
        (Some("insufficient_quota"), Verdict::BillingExhausted),
        (Some("server_error"), Verdict::MidStream),
        (Some("api_error"), Verdict::MidStream),
        (Some("you said: hello"), Verdict::MidStream),
        (None, Verdict::MidStream),
    ] {
        let judgement = judge_event(Dialect::OpenAi, code);
        assert_eq!(judgement.verdict, verdict, "{code:?}");
        assert_eq!(judgement.retry_at, None);
        assert_eq!(judgement.code.is_some(), code.is_some_and(|code| !code.contains(' ')));
    }
}

#[test]
fn evidence_never_prints_what_it_holds() {
    let headers = header_map(&[("set-cookie".into(), "secret".into())]);
    let body = b"a prompt";
    let status = StatusCode::BAD_REQUEST;
    let evidence = Evidence { status, headers: &headers, body, model: Some("gpt-x") };
    let printed = format!("{evidence:?}");
    assert!(!printed.contains("secret") && !printed.contains("prompt"), "{printed}");
}

/// Names and values that the readers look for, mixed with nonsense.
fn any_headers() -> impl Strategy<Value = Vec<(String, String)>> {
    let names = prop::sample::select(vec![
        "retry-after",
        "retry-after-ms",
        "date",
        "x-ratelimit-remaining-requests",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-limit-requests",
        "x-ratelimit-reset-requests",
        "x-ratelimit-reset-tokens",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
        "anthropic-ratelimit-tokens-remaining",
        "anthropic-ratelimit-tokens-reset",
        "anthropic-ratelimit-unified-5h-status",
        "anthropic-ratelimit-unified-5h-reset",
        "ratelimit",
        "content-encoding",
    ]);
    let values = "-?[0-9]{1,20}(\\.[0-9]{1,12})?(ms|s|m|h|d)?|[ -~]{0,20}|0|rejected|gzip|NaN\
                  |[0-9]{4}-12-01T00:00:00Z|Sat, 21 Nov [0-9]{4} 00:00:00 GMT|\"a\";r=0;t=[0-9]{1,12}";
    prop::collection::vec((names.prop_map(str::to_owned), values), 0..10)
}

/// Bodies of the known shapes with nonsense in their fields, and nonsense.
fn any_body() -> impl Strategy<Value = Vec<u8>> {
    let word = "insufficient_quota|rate_limit_exceeded|[ -~]{0,80}|project_spend_limit_exceeded\
                |enforced_spend_limit_reached|in_flight_budget_exhausted|[0-9]{1,5}";
    let message = "(Please (re)?try (again in|after|in) [0-9.]{1,30} ?(ms|s|m|h|d|days)\\.|\
                   regain access on [0-9]{4}-[0-9]{2}-[0-9]{2} at [0-9:]{5} UTC|limit: 0|\
                   Limit [0-9,]{1,30}, Requested [0-9,]{1,30}|per day|\\PC{0,30}| ){0,6}";
    let shaped = (word, word, message, word, any::<bool>()).prop_map(
        |(code, kind, message, reason, array)| {
            let details = serde_json::json!([
                {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason},
                {"@type": "type.googleapis.com/google.rpc.QuotaFailure",
                 "violations": [{"quotaId": reason, "quotaMetric": kind}]},
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": message},
            ]);
            let error = serde_json::json!({
                "code": code, "type": kind, "message": message, "details": details,
                "metadata": {"reason": reason, "headers": {"X-RateLimit-Reset": code}},
            });
            let body = serde_json::json!({"error": error, "estimated_time": -1e300});
            let body = if array { serde_json::json!([body]) } else { body };
            body.to_string().into_bytes()
        },
    );
    prop_oneof![4 => shaped, 1 => prop::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    #[test]
    fn whatever_comes_a_judgement_is_bounded(
        status in 100..1000_u16,
        headers in any_headers(),
        body in any_body(),
        second in -377_705_023_201_i64..253_402_207_200,
        dialect in prop::sample::select(DIALECTS.to_vec()),
    ) {
        let headers = header_map(&headers);
        let now = Now { at: now().at, wall: Timestamp::from_second(second).unwrap() };
        let status = StatusCode::from_u16(status).unwrap();
        let evidence = Evidence { status, headers: &headers, body: &body, model: Some("gpt-x") };
        let judgement = judge(dialect, &evidence, now);

        if let Some(retry_at) = judgement.retry_at {
            prop_assert!(retry_at > now.at, "a moment that is told lies ahead");
            prop_assert!(retry_at <= now.at + delay::LONGEST);
        }
        if let Some(code) = &judgement.code {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
            prop_assert!((1..=64).contains(&code.len()) && code.bytes().all(fits), "{code}");
        }
        prop_assert_eq!(judgement.verdict == Verdict::Ok, is_answer(status));
        prop_assert!(!judgement.oversized || judgement.retry_at.is_none());
        let unreachable = [Verdict::Timeout, Verdict::ConnectFailed, Verdict::MidStream];
        prop_assert!(!unreachable.contains(&judgement.verdict));
    }

    #[test]
    fn a_plain_retry_after_is_honoured_to_the_second(seconds in 1..2_678_400_u32) {
        let headers = header_map(&[("retry-after".into(), seconds.to_string())]);
        for dialect in DIALECTS {
            let judgement = judged(dialect, 429, &headers, b"");
            let expected = now().at + Duration::from_secs(seconds.into());
            prop_assert_eq!(judgement.retry_at, Some(expected));
        }
    }
}
