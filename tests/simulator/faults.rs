use std::time::Duration;

use serde_json::json;

use crate::http::{ANTHROPIC, Answer, Ask, GEMINI, OPENAI, all, get, post, start};
use keyweir::simulator::{Fault, FaultKind, Simulator};

fn openai() -> Ask {
    let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]});
    post("/v1/chat/completions", &body).bearer(OPENAI)
}

fn streamed() -> Ask {
    let body = json!({"model": "gpt-4o", "stream": true,
        "messages": [{"role": "user", "content": "sim:tokens=100"}]});
    post("/v1/chat/completions", &body).bearer(OPENAI)
}

fn anthropic() -> Ask {
    let body = json!({"model": "claude-sonnet-4-5", "max_tokens": 100,
        "messages": [{"role": "user", "content": "Hello"}]});
    post("/v1/messages", &body).anthropic(ANTHROPIC)
}

fn gemini() -> Ask {
    let body = json!({"contents": [{"parts": [{"text": "Hello"}]}]});
    post("/v1beta/models/gemini-2.5-flash:generateContent", &body).google(GEMINI)
}

async fn under(fault: FaultKind, ask: Ask) -> Answer {
    let simulator = start(all());
    simulator.break_with(Fault::every(fault));
    ask.to(&simulator).await
}

#[tokio::test]
async fn each_provider_refuses_in_its_own_words() {
    for (fault, statuses, words) in [
        (
            FaultKind::DeadKey,
            [401, 401, 400],
            ["invalid_api_key", "authentication_error", "API_KEY_INVALID"],
        ),
        (
            FaultKind::Suspended,
            [401, 400, 403],
            ["account_deactivated", "organization_on_hold", "CONSUMER_SUSPENDED"],
        ),
        (
            FaultKind::CreditGone,
            [429, 400, 402],
            ["credit_balance_exhausted", "credit balance is too low", "prepayment credits"],
        ),
        (
            FaultKind::SpendCap,
            [429, 429, 429],
            ["project_spend_limit_exceeded", "enforced_spend_limit_reached", "spend-based"],
        ),
        (
            FaultKind::ForbiddenModel { hidden: false },
            [403, 403, 403],
            ["does not have access", "permission_error", "PERMISSION_DENIED"],
        ),
        (
            FaultKind::ForbiddenModel { hidden: true },
            [404, 404, 404],
            ["model_not_found", "not_found_error", "NOT_FOUND"],
        ),
        (
            FaultKind::Outage { status: 500 },
            [500, 500, 500],
            ["server_error", "api_error", "INTERNAL"],
        ),
        (
            FaultKind::Outage { status: 529 },
            [529, 529, 503],
            ["server_error", "overloaded_error", "UNAVAILABLE"],
        ),
        (
            FaultKind::RateLimited { retry_after_ms: 1_500 },
            [429, 429, 429],
            ["rate_limit_exceeded", "rate_limit_error", "\"1.5s\""],
        ),
    ] {
        let simulator = start(all());
        simulator.break_with(Fault::every(fault.clone()));
        for (nth, ask) in [openai(), anthropic(), gemini()].into_iter().enumerate() {
            let answer = ask.to(&simulator).await;
            assert_eq!(answer.status, statuses[nth], "{fault:?}: {}", answer.text());
            assert!(answer.text().contains(words[nth]), "{fault:?}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn a_spend_cap_says_no_time_to_retry_but_a_rate_limit_does() {
    let cap = under(FaultKind::SpendCap, anthropic()).await;
    assert_eq!(cap.header("retry-after"), None);
    let rate = under(FaultKind::RateLimited { retry_after_ms: 1_500 }, anthropic()).await;
    assert_eq!(rate.header("retry-after"), Some("2"));
    let openai = under(FaultKind::RateLimited { retry_after_ms: 1_500 }, openai()).await;
    assert_eq!(openai.header("retry-after-ms"), Some("1500"));
}

#[tokio::test]
async fn a_key_dies_alone_and_can_be_mended() {
    let simulator = start(all());
    let dead = simulator.break_with(Fault::every(FaultKind::DeadKey).key("one"));
    assert_eq!(openai().to(&simulator).await.status, 401);
    assert_eq!(anthropic().to(&simulator).await.status, 200);
    simulator.mend(dead);
    assert_eq!(openai().to(&simulator).await.status, 200);
    assert_eq!(simulator.tally().accounts["org-one"].refused()["keyInvalid"], 1);
}

#[tokio::test]
async fn a_stream_is_cut_between_and_inside_events() {
    let between = under(FaultKind::CutStream { after: 3, inside: false }, streamed()).await;
    assert!(!between.whole);
    assert_eq!(between.events().len(), 3);
    assert!(between.text().ends_with("\n\n"));
    let inside = under(FaultKind::CutStream { after: 3, inside: true }, streamed()).await;
    assert!(!inside.whole);
    assert_eq!(inside.events().len(), 3, "half an event is no event");
    assert!(!inside.text().ends_with("\n\n"));
}

#[tokio::test]
async fn an_answer_that_is_not_streamed_is_cut_in_its_middle() {
    let cut = under(FaultKind::CutStream { after: 0, inside: false }, openai()).await;
    assert!(!cut.whole);
    let declared: usize = cut.header("content-length").unwrap().parse().unwrap();
    assert_eq!(cut.body.len(), declared / 2);
}

#[tokio::test]
async fn a_stream_ends_with_an_error_event() {
    let answer = under(FaultKind::ErrorEvent { after: 2 }, streamed()).await;
    assert!(answer.whole);
    assert_eq!(answer.events()[2]["error"]["type"], "server_error");
    let stream = anthropic().body(
        json!({"model": "claude-sonnet-4-5", "max_tokens": 9, "stream": true,
            "messages": [{"role": "user", "content": "Hello"}]})
        .to_string(),
    );
    let answer = under(FaultKind::ErrorEvent { after: 2 }, stream).await;
    assert!(answer.text().contains("event: error\n"));
}

#[tokio::test]
async fn connections_break_as_told() {
    let simulator = start(all());
    simulator.break_with(Fault::every(FaultKind::HangUp).times(1));
    assert!(openai().try_to(simulator.addr()).await.is_err());
    simulator.break_with(Fault::every(FaultKind::EndlessHeader).times(1));
    assert!(openai().try_to(simulator.addr()).await.is_err());
    simulator.break_with(Fault::every(FaultKind::WrongLength { excess: 10 }).times(1));
    assert!(!openai().to(&simulator).await.whole);
    assert_eq!(openai().to(&simulator).await.status, 200, "and it goes on");
    assert_eq!(simulator.tally().accounts["org-one"].refused()["broken"], 3);
}

#[tokio::test]
async fn nonsense_pages_and_redirects_are_sent_as_told() {
    let nonsense = under(FaultKind::Nonsense, openai()).await;
    assert_eq!(nonsense.status, 200);
    assert!(serde_json::from_slice::<serde_json::Value>(&nonsense.body).is_err());
    let page = under(FaultKind::Html { status: 502 }, openai()).await;
    assert_eq!((page.status, page.header("content-type")), (502, Some("text/html")));
    let location = "http://127.0.0.1:9/".to_owned();
    let redirect = under(FaultKind::Redirect { location }, openai()).await;
    assert_eq!((redirect.status, redirect.header("location")), (307, Some("http://127.0.0.1:9/")));
}

#[tokio::test]
async fn limits_are_halved_while_it_lasts() {
    let limits =
        keyweir::simulator::Limits { requests_per_minute: Some(100), ..Default::default() };
    let simulator = start(crate::http::limited(limits));
    let limit = async || {
        let answer = openai().to(&simulator).await;
        answer.header("x-ratelimit-limit-requests").unwrap().to_owned()
    };
    assert_eq!(limit().await, "100");
    let halved = simulator.break_with(Fault::every(FaultKind::LimitFactor { permille: 500 }));
    assert_eq!(limit().await, "50");
    simulator.mend(halved);
    assert_eq!(limit().await, "100");
    simulator.break_with(Fault::every(FaultKind::LyingHeaders {
        remaining: "-1".to_owned(),
        reset: "year 3000".to_owned(),
    }));
    let lied = openai().to(&simulator).await;
    assert_eq!(lied.header("x-ratelimit-remaining-requests"), Some("-1"));
    simulator.break_with(Fault::every(FaultKind::NoLimitHeaders));
    let none = openai().to(&simulator).await;
    assert_eq!(none.header("x-ratelimit-limit-requests"), None);
}

#[tokio::test]
async fn events_come_in_crlf_with_huge_comments_and_byte_by_byte() {
    let simulator = start(all());
    let plain = streamed().to(&simulator).await;
    simulator.break_with(Fault::every(FaultKind::Crlf));
    simulator.break_with(Fault::every(FaultKind::HugeEvent { bytes: 100_000 }));
    simulator.break_with(Fault::every(FaultKind::SlowBody { bytes: 4_096, ms: 1 }));
    let odd = streamed().to(&simulator).await;
    assert!(odd.text().contains("\r\n\r\n"));
    assert!(odd.body.len() > 100_000);
    assert_eq!(odd.events().len(), plain.events().len());
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed_and_not_charged_for_the_rest() {
    let simulator = start(all());
    simulator.break_with(Fault::every(FaultKind::StallStream { after: 5 }));
    let asking = streamed();
    let left = tokio::time::timeout(Duration::from_millis(300), asking.to(&simulator)).await;
    assert!(left.is_err(), "it stalls");
    let account = settled(&simulator).await;
    assert_eq!((account.abandoned, account.in_flight, account.in_flight_max), (1, 0, 1));
    assert_eq!(account.output_tokens, 16, "four pieces of four tokens after the role");
}

async fn settled(simulator: &Simulator) -> keyweir::simulator::AccountTally {
    let patience = Duration::from_secs(10);
    let settled = async {
        loop {
            let account = simulator.tally().accounts["org-one"].clone();
            if account.in_flight == 0 {
                return account;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(patience, settled).await.unwrap()
}

#[tokio::test]
async fn faults_and_tallies_are_reached_over_http_too() {
    let simulator = start(all());
    let fault = json!({"kind": "outage", "status": 503, "account": "org-one", "times": 1});
    let added = post("/_sim/faults", &fault).to(&simulator).await;
    assert_eq!((added.status, &added.json()["id"]), (200, &json!(1)));
    assert_eq!(openai().to(&simulator).await.status, 503);
    let tally = get("/_sim/tally").to(&simulator).await.json();
    assert_eq!(tally["accounts"]["org-one"]["keys"]["one"]["refused"]["overloaded"], 1);
    let seen = get("/_sim/requests").to(&simulator).await.json();
    assert_eq!((&seen[0]["status"], &seen[0]["key"]), (&json!(503), &json!("one")));
    let wrong = post("/_sim/faults", &json!({"kind": "nothing"})).to(&simulator).await;
    assert_eq!(wrong.status, 400);
    assert_eq!(post("/_sim/reset", &json!({})).to(&simulator).await.status, 200);
    assert_eq!(simulator.tally().served(), 0);
}
