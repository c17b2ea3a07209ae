use http::{HeaderName, HeaderValue};
use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::clock::Moment;

fn now() -> Now {
    Now { at: Moment::from_nanos(1), wall: "2026-11-20T12:00:00Z".parse().unwrap() }
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pairs = pairs.iter().map(|(name, value)| {
        (HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap())
    });
    pairs.fold(HeaderMap::new(), |mut map, (name, value)| {
        map.append(name, value);
        map
    })
}

/// Each sample as `dimension remaining/limit reset window`, with `-` for what is not told.
fn read(dialect: Dialect, pairs: &[(&str, &str)]) -> Vec<String> {
    let number = |n: Option<u64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
    let length = |d: Option<Duration>| d.map_or_else(|| "-".to_owned(), |d| format!("{d:?}"));
    let samples = levels(dialect, &headers(pairs), now());
    let lines = samples.iter().map(|sample| {
        let (dimension, limit) = (sample.dimension.as_str(), number(sample.limit));
        let (remaining, reset) = (number(sample.remaining), length(sample.reset_in));
        format!("{dimension} {remaining}/{limit} {reset} {}", length(sample.window))
    });
    lines.collect()
}

const OPENAI: [(&str, &str); 6] = [
    ("x-ratelimit-limit-requests", "500"),
    ("x-ratelimit-limit-tokens", "30000"),
    ("x-ratelimit-remaining-requests", "499"),
    ("x-ratelimit-remaining-tokens", "29979"),
    ("x-ratelimit-reset-requests", "120ms"),
    ("x-ratelimit-reset-tokens", "42ms"),
];

#[test]
fn openai_tells_requests_and_tokens_of_the_minute() {
    let told = read(Dialect::OpenAi, &OPENAI);
    assert_eq!(told, ["requests 499/500 120ms 60s", "tokens 29979/30000 42ms 60s"]);
}

#[test]
fn openai_requests_that_come_back_slowly_are_those_of_a_day() {
    let told = read(
        Dialect::OpenAi,
        &[
            ("x-ratelimit-limit-requests", "10000"),
            ("x-ratelimit-remaining-requests", "9999"),
            ("x-ratelimit-reset-requests", "8.64s"),
        ],
    );
    assert_eq!(told, ["requests 9999/10000 8.64s 86400s"]);
}

#[test]
fn openai_projects_have_a_limit_of_their_own() {
    let told = read(
        Dialect::OpenAi,
        &[
            ("x-ratelimit-limit-tokens", "2000000"),
            ("x-ratelimit-remaining-tokens", "1999000"),
            ("x-ratelimit-limit-project-tokens", "100000"),
            ("x-ratelimit-remaining-project-tokens", "0"),
            ("x-ratelimit-reset-project-tokens", "3s"),
        ],
    );
    assert_eq!(told, ["tokens 1999000/2000000 - 60s", "tokens 0/100000 3s 60s"]);
}

#[test]
fn azure_tells_resets_in_bare_seconds() {
    let told = read(
        Dialect::Azure,
        &[
            ("x-ratelimit-limit-requests", "10"),
            ("x-ratelimit-remaining-requests", "9"),
            ("x-ratelimit-reset-requests", "10"),
            ("x-ratelimit-remaining-tokens", "300"),
        ],
    );
    assert_eq!(told, ["requests 9/10 10s 60s", "tokens 300/- - 60s"]);
}

#[test]
fn anthropic_tells_times_of_full_replenishment_in_four_dimensions() {
    let told = read(
        Dialect::Anthropic,
        &[
            ("anthropic-ratelimit-requests-limit", "1000"),
            ("anthropic-ratelimit-requests-remaining", "999"),
            ("anthropic-ratelimit-requests-reset", "2026-11-20T12:00:01Z"),
            ("anthropic-ratelimit-tokens-limit", "2400000"),
            ("anthropic-ratelimit-tokens-remaining", "2399000"),
            ("anthropic-ratelimit-input-tokens-limit", "2000000"),
            ("anthropic-ratelimit-input-tokens-remaining", "1999000"),
            ("anthropic-ratelimit-input-tokens-reset", "2026-11-20T12:00:30Z"),
            ("anthropic-ratelimit-output-tokens-limit", "400000"),
            ("anthropic-ratelimit-output-tokens-remaining", "400000"),
            ("anthropic-ratelimit-output-tokens-reset", "2026-11-20T12:00:00Z"),
            ("anthropic-ratelimit-unified-5h-reset", "1795180000"),
            ("anthropic-ratelimit-unified-status", "allowed"),
        ],
    );
    assert_eq!(
        told,
        [
            "requests 999/1000 1s 60s",
            "tokens 2399000/2400000 - 60s",
            "inputTokens 1999000/2000000 30s 60s",
            "outputTokens 400000/400000 0ns 60s",
        ]
    );
}

#[test]
fn groq_counts_requests_by_the_day_and_tokens_by_the_minute() {
    let told = read(
        Dialect::Groq,
        &[
            ("x-ratelimit-limit-requests", "14400"),
            ("x-ratelimit-remaining-requests", "14370"),
            ("x-ratelimit-reset-requests", "2m59.56s"),
            ("x-ratelimit-limit-tokens", "18000"),
            ("x-ratelimit-remaining-tokens", "17997"),
            ("x-ratelimit-reset-tokens", "7.66s"),
        ],
    );
    assert_eq!(told, ["requests 14370/14400 179.56s 86400s", "tokens 17997/18000 7.66s 60s"]);
}

#[test]
fn mistral_and_cerebras_name_the_window_in_the_header() {
    let mistral = [
        ("x-ratelimit-limit-req-minute", "60"),
        ("x-ratelimit-remaining-req-minute", "59"),
        ("x-ratelimit-limit-tokens-minute", "500000"),
        ("x-ratelimit-remaining-tokens-minute", "499000"),
        ("x-ratelimit-limit-tokens-month", "1000000000"),
        ("x-ratelimit-tokens-query-cost", "12"),
    ];
    assert_eq!(
        read(Dialect::Mistral, &mistral),
        ["requests 59/60 - 60s", "tokens 499000/500000 - 60s", "tokens -/1000000000 - 2592000s"]
    );
    let cerebras = [
        ("x-ratelimit-limit-requests-day", "14400"),
        ("x-ratelimit-remaining-requests-day", "14399"),
        ("x-ratelimit-reset-requests-day", "33011.382867"),
        ("x-ratelimit-limit-tokens-minute", "60000"),
        ("x-ratelimit-remaining-tokens-minute", "59000"),
        ("x-ratelimit-reset-tokens-minute", "11.38"),
    ];
    assert_eq!(
        read(Dialect::Cerebras, &cerebras),
        ["requests 14399/14400 33011.382867s 86400s", "tokens 59000/60000 11.38s 60s"]
    );
}

#[test]
fn together_counts_by_the_second_and_fireworks_tells_prompts_from_generated() {
    let together = [
        ("x-ratelimit-limit", "10"),
        ("x-ratelimit-remaining", "9"),
        ("x-ratelimit-reset", "1"),
        ("x-tokenlimit-limit", "3000"),
        ("x-tokenlimit-remaining", "2900"),
    ];
    assert_eq!(
        read(Dialect::Together, &together),
        ["requests 9/10 1s 1s", "tokens 2900/3000 - 1s"]
    );
    let fireworks = [
        ("x-ratelimit-limit-requests", "600"),
        ("x-ratelimit-remaining-requests", "599"),
        ("x-ratelimit-limit-tokens-prompt", "60000"),
        ("x-ratelimit-remaining-tokens-prompt", "59000"),
        ("x-ratelimit-limit-tokens-cache-adjusted-prompt", "60000"),
        ("x-ratelimit-limit-tokens-generated", "6000"),
        ("x-ratelimit-remaining-tokens-generated", "6000"),
        ("x-ratelimit-over-limit", "no"),
    ];
    assert_eq!(
        read(Dialect::Fireworks, &fireworks),
        ["requests 599/600 - 60s", "inputTokens 59000/60000 - 60s", "outputTokens 6000/6000 - 60s"]
    );
}

#[test]
fn openrouter_tells_its_reset_as_a_unix_time_in_milliseconds() {
    let told = read(
        Dialect::OpenRouter,
        &[
            ("X-RateLimit-Limit", "20"),
            ("X-RateLimit-Remaining", "0"),
            ("X-RateLimit-Reset", "1795176060000"),
        ],
    );
    assert_eq!(told, ["requests 0/20 60s -"]);
}

#[test]
fn the_drafts_of_the_ietf_are_read_in_all_their_forms() {
    let early = [
        ("RateLimit-Limit", "100, 100;w=60"),
        ("RateLimit-Remaining", "50"),
        ("RateLimit-Reset", "30"),
    ];
    assert_eq!(read(Dialect::Generic, &early), ["requests 50/100 30s 60s"]);
    let seventh = [("RateLimit", "limit=100, remaining=50, reset=5")];
    assert_eq!(read(Dialect::Generic, &seventh), ["requests 50/100 5s -"]);
    let newest = [
        ("RateLimit", r#""burst";r=50;t=30, "a,b;c";r=900"#),
        ("RateLimit-Policy", r#""burst";q=100;w=60"#),
        ("RateLimit-Policy", r#""a,b;c";q=1000;w=86400, "bytes";q=5;qu="content-bytes""#),
    ];
    assert_eq!(
        read(Dialect::HuggingFace, &newest),
        ["requests 50/100 30s 60s", "requests 900/1000 - 86400s"]
    );
    let bytes =
        [("RateLimit", r#""b";r=50"#), ("RateLimit-Policy", r#""b";q=5;qu="content-bytes""#)];
    assert!(read(Dialect::Generic, &bytes).is_empty(), "bytes are not requests");
}

#[test]
fn the_usual_answers_are_read_without_an_allocation() {
    let anthropic = ["requests", "tokens", "input-tokens", "output-tokens"].map(|subject| {
        let name = format!("anthropic-ratelimit-{subject}-remaining");
        (HeaderName::try_from(name).unwrap(), HeaderValue::from_static("1"))
    });
    assert!(!levels(Dialect::OpenAi, &headers(&OPENAI), now()).spilled());
    assert!(!levels(Dialect::Anthropic, &anthropic.into_iter().collect(), now()).spilled());
}

#[test]
fn garbage_makes_no_sample() {
    for value in ["", "many", "-1", "99999999999999999999999", "1e6", "\u{7f}", "１", "5x"] {
        let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) else { continue };
        let names = OPENAI.map(|(name, _)| HeaderName::from_static(name));
        let headers = names.into_iter().map(|name| (name, value.clone())).collect();
        assert!(levels(Dialect::OpenAi, &headers, now()).is_empty(), "{value:?}");
    }
}

#[test]
fn of_a_repeated_header_the_first_counts_and_a_flood_is_bounded() {
    let twice = [("x-ratelimit-remaining-requests", "7"), ("x-ratelimit-remaining-requests", "9")];
    assert_eq!(read(Dialect::Azure, &twice), ["requests 7/- - 60s"]);
    let flood = (0..100).map(|n| format!("\"{n}\";r={n}")).collect::<Vec<_>>().join(", ");
    assert_eq!(read(Dialect::Generic, &[("ratelimit", &flood)]).len(), MAX_SAMPLES);
}

proptest! {
    #[test]
    fn whatever_the_headers_say_levels_are_bounded(
        pairs in prop::collection::vec(
            (
                prop::sample::select(vec![
                    "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests",
                    "x-ratelimit-reset-requests", "x-ratelimit-limit", "x-ratelimit-reset-day",
                    "anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset",
                    "ratelimit", "ratelimit-policy", "ratelimit-limit", "x-tokenlimit-remaining",
                ]),
                "[ -~]{0,24}|[0-9]{1,22}(ms|s|m)?|\"[a-z,;]{0,3}\";[rqtw]=[0-9]{1,22}",
            ),
            0..24,
        ),
        second in -377_705_023_201_i64..253_402_207_200,
    ) {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let headers = headers(&pairs);
        let now = Now { at: Moment::ZERO, wall: Timestamp::from_second(second).unwrap() };
        for dialect in [Dialect::OpenAi, Dialect::Anthropic, Dialect::Together, Dialect::Generic] {
            let samples = levels(dialect, &headers, now);
            prop_assert!(samples.len() <= MAX_SAMPLES);
            for sample in samples {
                prop_assert!(sample.limit.is_some() || sample.remaining.is_some());
                prop_assert!(sample.reset_in.is_none_or(|reset| reset <= delay::LONGEST));
            }
        }
    }
}
