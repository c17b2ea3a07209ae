//! Each row of the table of verdicts: absorbed while another key works, and told as it should be
//! when none does.

use crate::kit::{self, Format};
use crate::support::http::Reply;
use crate::support::process::{Proxy, Setup};
use crate::support::upstream::Then;

/// One upstream answer, the verdict it deserves, and what a client sees whose only key met it.
#[derive(Clone, Copy, Debug)]
struct Case {
    format: Format,
    status: u16,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    verdict: &'static str,
    alone: Alone,
}

/// What a client sees whose only key met it, and who does not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alone {
    /// 429 with a moment within a minute.
    Soon,
    /// 429 without one that an SDK should sleep for.
    Later,
    /// 503: there is no valid key.
    NoKey,
    /// The provider's own answer.
    Own,
}

const fn case(
    format: Format,
    status: u16,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    (verdict, alone): (&'static str, Alone),
) -> Case {
    Case { format, status, headers, body, verdict, alone }
}

/// Bodies are the providers' own, as their error guides show them.
const ABSORBED: [Case; 25] = [
    case(
        Format::OpenAi,
        429,
        &[("retry-after", "7")],
        r#"{"error":{"message":"Rate limit reached for gpt-4o in organization org-x on requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in 7s.","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#,
        ("rateLimited", Alone::Soon),
    ),
    case(
        Format::OpenAi,
        429,
        &[
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-limit-requests", "3"),
            ("x-ratelimit-reset-requests", "9s"),
        ],
        r#"{"error":{"message":"Rate limit reached","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#,
        ("rateLimited", Alone::Soon),
    ),
    case(
        Format::OpenAi,
        429,
        &[("retry-after", "3600")],
        r#"{"error":{"message":"Rate limit reached","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#,
        ("rateLimited", Alone::Later),
    ),
    case(
        Format::OpenAi,
        429,
        &[],
        r#"{"error":{"message":"Project spend limit reached","type":"insufficient_quota","param":null,"code":"project_spend_limit_exceeded"}}"#,
        ("quotaExhausted", Alone::Later),
    ),
    case(
        Format::OpenAi,
        429,
        &[],
        r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
        ("billingExhausted", Alone::Later),
    ),
    case(
        Format::OpenAi,
        401,
        &[],
        r#"{"error":{"message":"Incorrect API key provided: sk-xxxx.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#,
        ("keyInvalid", Alone::NoKey),
    ),
    case(
        Format::OpenAi,
        403,
        &[],
        r#"{"error":{"message":"Your account has been deactivated.","type":"invalid_request_error","param":null,"code":"account_deactivated"}}"#,
        ("suspended", Alone::NoKey),
    ),
    case(
        Format::OpenAi,
        404,
        &[],
        r#"{"error":{"message":"The model `gpt-4o` does not exist or you do not have access to it.","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#,
        ("keyForbidden", Alone::Own),
    ),
    case(
        Format::OpenAi,
        403,
        &[],
        r#"{"error":{"message":"Project does not have access to model","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#,
        ("keyForbidden", Alone::Own),
    ),
    case(
        Format::OpenAi,
        503,
        &[],
        r#"{"error":{"message":"The engine is currently overloaded, please try again later","type":"server_error","param":null,"code":null}}"#,
        ("overloaded", Alone::Own),
    ),
    case(
        Format::OpenAi,
        500,
        &[],
        r#"{"error":{"message":"The server had an error while processing your request","type":"server_error","param":null,"code":null}}"#,
        ("serverError", Alone::Own),
    ),
    case(
        Format::Anthropic,
        429,
        &[("retry-after", "12")],
        r#"{"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed your organization's rate limit"},"request_id":"req_1"}"#,
        ("rateLimited", Alone::Soon),
    ),
    case(
        Format::Anthropic,
        429,
        &[],
        r#"{"type":"error","error":{"type":"rate_limit_error","message":"You will regain access on 2099-01-01 at 00:00 UTC.","details":{"error_code":"enforced_spend_limit_reached"}},"request_id":"req_1"}"#,
        ("quotaExhausted", Alone::Later),
    ),
    case(
        Format::Anthropic,
        400,
        &[],
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits."},"request_id":"req_1"}"#,
        ("billingExhausted", Alone::Later),
    ),
    case(
        Format::Anthropic,
        401,
        &[],
        r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"},"request_id":"req_1"}"#,
        ("keyInvalid", Alone::NoKey),
    ),
    case(
        Format::Anthropic,
        400,
        &[],
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"This organization has been disabled.","details":{"error_code":"organization_on_hold"}},"request_id":"req_1"}"#,
        ("suspended", Alone::NoKey),
    ),
    case(
        Format::Anthropic,
        404,
        &[],
        r#"{"type":"error","error":{"type":"not_found_error","message":"model: claude-sonnet-4-5"},"request_id":"req_1"}"#,
        ("keyForbidden", Alone::Own),
    ),
    case(
        Format::Anthropic,
        529,
        &[],
        r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}"#,
        ("overloaded", Alone::Own),
    ),
    case(
        Format::Anthropic,
        500,
        &[],
        r#"{"type":"error","error":{"type":"api_error","message":"Internal server error"},"request_id":"req_1"}"#,
        ("serverError", Alone::Own),
    ),
    case(
        Format::Gemini,
        429,
        &[],
        r#"{"error":{"code":429,"message":"You exceeded your current quota. Please retry in 20.5s.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaMetric":"generativelanguage.googleapis.com/generate_content_requests","quotaId":"GenerateRequestsPerMinutePerProjectPerModel"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"20.5s"}]}}"#,
        ("rateLimited", Alone::Soon),
    ),
    case(
        Format::Gemini,
        429,
        &[],
        r#"{"error":{"code":429,"message":"You exceeded your current quota","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaMetric":"generativelanguage.googleapis.com/generate_content_requests","quotaId":"GenerateRequestsPerDayPerProjectPerModel"}]}]}}"#,
        ("quotaExhausted", Alone::Later),
    ),
    case(
        Format::Gemini,
        402,
        &[],
        r#"{"error":{"code":402,"message":"Your prepayment credits are depleted.","status":"RESOURCE_EXHAUSTED"}}"#,
        ("billingExhausted", Alone::Later),
    ),
    case(
        Format::Gemini,
        400,
        &[],
        r#"{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com"}]}}"#,
        ("keyInvalid", Alone::NoKey),
    ),
    case(
        Format::Gemini,
        403,
        &[],
        r#"{"error":{"code":403,"message":"Permission denied: Consumer has been suspended.","status":"PERMISSION_DENIED","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"CONSUMER_SUSPENDED","domain":"googleapis.com"}]}}"#,
        ("suspended", Alone::NoKey),
    ),
    case(
        Format::Gemini,
        503,
        &[],
        r#"{"error":{"code":503,"message":"The model is overloaded. Please try again later.","status":"UNAVAILABLE"}}"#,
        ("overloaded", Alone::Own),
    ),
];

/// The request's own fault: returned as it came, never tried again.
const RETURNED: [Case; 6] = [
    case(
        Format::OpenAi,
        400,
        &[("x-request-id", "req_theirs")],
        r#"{"error":{"message":"This model's maximum context length is 128000 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
        ("requestInvalid", Alone::Own),
    ),
    case(
        Format::OpenAi,
        400,
        &[],
        r#"{ "error" : { "message":"The response was filtered", "type":null, "param":"prompt", "code":"content_filter" } }"#,
        ("requestInvalid", Alone::Own),
    ),
    case(
        Format::Anthropic,
        400,
        &[("request-id", "req_theirs"), ("x-should-retry", "false")],
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"},"request_id":"req_theirs"}"#,
        ("requestInvalid", Alone::Own),
    ),
    case(
        Format::Anthropic,
        413,
        &[],
        r#"{"type":"error","error":{"type":"request_too_large","message":"Request exceeds the maximum size"}}"#,
        ("requestInvalid", Alone::Own),
    ),
    case(
        Format::Gemini,
        400,
        &[],
        r#"{"error":{"code":400,"message":"The input token count (1300000) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}"#,
        ("requestInvalid", Alone::Own),
    ),
    case(
        Format::OpenAi,
        422,
        &[("content-type", "application/problem+json")],
        r#"{"detail":[{"loc":["body"],"msg":"field required"}]}"#,
        ("requestInvalid", Alone::Own),
    ),
];

impl Case {
    fn upstream(self) -> crate::support::upstream::Upstream {
        kit::failing_on_bad(move |connection| {
            let json = ("content-type", "application/json");
            let typed = self.headers.iter().any(|(name, _)| *name == json.0);
            let mut headers = self.headers.to_vec();
            headers.extend((!typed).then_some(json));
            connection.send(kit::answer(self.status, &headers, self.body));
            Then::Next
        })
    }

    fn assert_own(self, reply: &Reply) {
        assert_eq!((reply.status, reply.text().as_str()), (self.status, self.body), "{self:?}");
        assert_eq!(reply.header("x-keyweir-error"), None, "{self:?}");
        for (name, value) in self.headers {
            assert_eq!(reply.header(name), Some(*value), "{self:?}");
        }
    }
}

fn start(case: Case, keys: &[&str]) -> (crate::support::upstream::Upstream, Proxy) {
    let upstream = case.upstream();
    let config = kit::all_at(&upstream.url(), "");
    let proxy = kit::with_keys(Setup::default().config(&config), keys).start();
    (upstream, proxy)
}

/// Runs every case of a format on its own proxy.
fn each(cases: &[Case], format: Format, check: impl Fn(Case) + Sync) {
    let chosen: Vec<_> = cases.iter().filter(|case| case.format == format).collect();
    kit::in_parallel(chosen.len(), |number| check(*chosen[number]));
}

fn is_absorbed(case: Case) {
    let (upstream, proxy) = start(case, &["bad", "good"]);
    let counted = [("key", "bad"), ("verdict", case.verdict)];
    let met = (0..60).any(|_| {
        let reply = kit::post(&proxy, case.format.path(), case.format.ask());
        assert_eq!(reply.status, 200, "{case:?}: {} {}", reply.start, reply.text());
        assert_eq!(reply.text(), case.format.answer(), "{case:?}");
        let met = upstream.take().iter().any(|request| kit::key_of(request) == "bad");
        if met {
            let told = (reply.header("x-keyweir-key"), reply.header("x-keyweir-attempts"));
            assert_eq!(told, (Some("good"), Some("2")), "{case:?}");
        }
        met
    });
    assert!(met, "{case:?}: the bad key was never tried");
    kit::until_sum(&proxy, "keyweir_upstream_responses_total", &counted, 1.0);
    kit::until_sum(&proxy, "keyweir_absorbed_total", &[("verdict", case.verdict)], 1.0);
    assert!(kit::sum(&proxy, "keyweir_refusals_total", &[]) < 1.0, "{case:?}");
}

fn is_told(case: Case) {
    let (upstream, proxy) = start(case, &["bad"]);
    let ask = || kit::post_at_once(&proxy, case.format.path(), case.format.ask());
    let reply = ask();
    match case.alone {
        Alone::Soon | Alone::Later => assert_exhausted(case, &reply),
        Alone::NoKey => case.format.assert_refusal(&reply, 503, "keys_invalid"),
        Alone::Own => case.assert_own(&reply),
    }
    assert_eq!(upstream.take().len(), 1, "{case:?}");
    // The same again, without asking the provider where it need not be asked.
    let reply = ask();
    match case.alone {
        Alone::Soon | Alone::Later => assert_exhausted(case, &reply),
        Alone::NoKey => case.format.assert_refusal(&reply, 503, "keys_invalid"),
        Alone::Own => return,
    }
    assert_eq!(upstream.take().len(), 0, "{case:?}");
}

fn assert_exhausted(case: Case, reply: &Reply) {
    case.format.assert_refusal(reply, 429, "keys_temporarily_exhausted");
    let message = reply.text();
    assert!(message.contains(case.format.provider()), "{message}");
    if case.verdict != "billingExhausted" {
        let at = reply.header("x-keyweir-retry-at").expect("when to come back");
        at.parse::<jiff::Timestamp>().expect("as RFC 3339");
    }
    let seconds = reply.header("retry-after").map(|value| value.parse::<u64>().expect("seconds"));
    let millis = reply.header("retry-after-ms").map(|value| value.parse::<u64>().expect("ms"));
    if case.alone == Alone::Soon {
        let (seconds, millis) = (seconds.expect("retry-after"), millis.expect("retry-after-ms"));
        assert!((1..=60).contains(&seconds), "{case:?}: {seconds}");
        assert_eq!(seconds, millis.div_ceil(1_000), "{case:?}: {millis}");
        assert_eq!(reply.header("x-should-retry"), None, "{case:?}");
    } else {
        assert_eq!((seconds, millis), (None, None), "{case:?}");
        assert_eq!(reply.header("x-should-retry"), Some("false"), "{case:?}");
    }
}

#[test]
fn openai_s_failures_are_absorbed_while_another_key_works() {
    each(&ABSORBED, Format::OpenAi, is_absorbed);
}

#[test]
fn anthropic_s_failures_are_absorbed_while_another_key_works() {
    each(&ABSORBED, Format::Anthropic, is_absorbed);
}

#[test]
fn gemini_s_failures_are_absorbed_while_another_key_works() {
    each(&ABSORBED, Format::Gemini, is_absorbed);
}

#[test]
fn openai_s_clients_are_told_when_no_key_is_left() {
    each(&ABSORBED, Format::OpenAi, is_told);
}

#[test]
fn anthropic_s_clients_are_told_when_no_key_is_left() {
    each(&ABSORBED, Format::Anthropic, is_told);
}

#[test]
fn gemini_s_clients_are_told_when_no_key_is_left() {
    each(&ABSORBED, Format::Gemini, is_told);
}

#[test]
fn a_request_s_own_fault_is_returned_byte_for_byte_and_never_tried_again() {
    kit::in_parallel(RETURNED.len(), |number| {
        let case = RETURNED[number];
        let (upstream, proxy) = start(case, &["bad"]);
        case.assert_own(&kit::post(&proxy, case.format.path(), case.format.ask()));
        assert_eq!(upstream.take().len(), 1, "{case:?}");
        // Nor is the key any the worse for it.
        case.assert_own(&kit::post(&proxy, case.format.path(), case.format.ask()));
        kit::until_sum(
            &proxy,
            "keyweir_upstream_responses_total",
            &[("verdict", "requestInvalid")],
            2.0,
        );
        kit::until_sum(&proxy, "keyweir_requests_total", &[("outcome", "client_error")], 2.0);
        // And with more keys, no other is tried.
        let (upstream, proxy) = start(case, &["bad", "bad2"]);
        kit::post(&proxy, case.format.path(), case.format.ask());
        assert_eq!(upstream.take().len(), 1, "{case:?}");
    });
}
