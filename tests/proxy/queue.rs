//! More is asked for than there is: what waits, what is turned away, and what is told, against a
//! provider that counts as OpenAI does.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use keyweir::simulator::{Account, Fault, FaultKind, Habit, Limits, Model, Plan, Simulator};

use crate::kit::{self, CHAT_PATH, Format};
use crate::support::http::Reply;
use crate::support::process::{Proxy, Setup};

/// A thousand tokens a second, and a minute's worth of them at once.
const EACH_MINUTE: u64 = 60_000;
const EACH_SECOND: u64 = EACH_MINUTE / 60;

fn provider() -> Simulator {
    let limits = Limits { tokens_per_minute: Some(EACH_MINUTE), ..Limits::NONE };
    let account = Account::new(Habit::OpenAi, "org")
        .key("one", &kit::value_of("one"))
        .model(Model::chat("gpt-4o").limits(limits));
    Simulator::start(Plan::of([account])).expect("start the provider")
}

fn proxy(provider: &Simulator, workers: &str) -> Proxy {
    let limits = format!("    limits: {{tokensPerMinute: {EACH_MINUTE}}}\n");
    let config = kit::openai_at(&provider.url(), &limits);
    let setup = Setup::default().config(&config).arg("--workers").arg(workers);
    kit::with_keys(setup, &["one"]).start()
}

/// A chat that is charged so many tokens.
fn chat(tokens: u64) -> String {
    format!(
        r#"{{"model":"gpt-4o","max_tokens":{tokens},"messages":[{{"role":"user","content":"hi"}}]}}"#
    )
}

#[expect(clippy::disallowed_methods, reason = "a test is outside the house: it times the process")]
fn now() -> Instant {
    Instant::now()
}

fn sleep_until(moment: Instant) {
    thread::sleep(moment.saturating_duration_since(now()));
}

fn refused_by(provider: &Simulator) -> u64 {
    provider.tally().refused().values().sum()
}

#[test]
fn a_burst_that_needs_four_times_as_long_is_served_whole() {
    burst("1");
}

#[test]
fn a_burst_is_served_whole_by_three_workers() {
    burst("3");
}

/// In two seconds what is there at once and eight seconds' worth more.
fn burst(workers: &str) {
    let provider = provider();
    let proxy = proxy(&provider, workers);
    let count = 60 + 8;
    let began = now();
    let replies = kit::in_parallel(count, |number| {
        let number = u32::try_from(number).expect("few");
        sleep_until(began + Duration::from_secs(2) * number / u32::try_from(count).expect("few"));
        kit::post(&proxy, CHAT_PATH, &chat(1_000))
    });
    for reply in &replies {
        assert_eq!(reply.status, 200, "{reply:?} {}", reply.text());
    }
    assert_eq!(refused_by(&provider), 0, "the provider was never asked for more than it has");
    let queued = |reply: &Reply| reply.header("x-keyweir-queued-ms").expect("it") != "0";
    assert!(replies.iter().filter(|reply| queued(reply)).count() >= 5);
    assert!(kit::sum(&proxy, "keyweir_queue_depth", &[]) < 0.5, "nobody waits any more");
}

#[test]
fn in_overload_capacity_is_used_and_only_the_lowest_class_turned_away() {
    overload("1");
}

#[test]
fn in_overload_three_workers_do_the_same() {
    overload("3");
}

/// 1.3 times what there is for a minute: seven tenths of it from the classes above `batch`.
fn overload(workers: &str) {
    const CLASSES: [&str; 13] = [
        "high", "batch", "normal", "batch", "batch", "normal", "high", "batch", "normal", "batch",
        "high", "normal", "batch",
    ];
    const COST: u64 = 100;
    const SECONDS: usize = 60;
    let provider = provider();
    let proxy = proxy(&provider, workers);
    kit::in_parallel(60, |_| assert_eq!(kit::post(&proxy, CHAT_PATH, &chat(1_000)).status, 200));
    let began = now();
    let replies = kit::in_parallel(SECONDS * CLASSES.len(), |number| {
        sleep_until(began + Duration::from_secs(1) * u32::try_from(number).expect("few") / 13);
        let class = CLASSES[number % CLASSES.len()];
        let headers = [("x-keyweir-priority", class), ("x-keyweir-max-wait", "1500ms")];
        let reply = kit::post_with(&proxy, CHAT_PATH, &headers, &chat(COST));
        (class, reply, now())
    });
    let mut away: BTreeMap<&str, usize> = BTreeMap::new();
    let mut told = None;
    for (class, reply, at) in &replies {
        if reply.status != 200 {
            Format::OpenAi.assert_refusal(reply, 429, "keys_temporarily_exhausted");
            *away.entry(class).or_default() += 1;
            let wait = reply.header("retry-after-ms").expect("it").parse().expect("a number");
            assert!((1..15_000).contains(&wait), "{wait}");
            told = told.max(Some(*at + Duration::from_millis(wait)));
        }
    }
    assert_eq!(away.keys().copied().collect::<Vec<_>>(), ["batch"], "{away:?}");
    let refused = refused_by(&provider);
    let asked = 60 + u64::try_from(replies.len()).expect("few");
    assert!(100 * refused <= asked, "the provider refused {refused} of {asked}");
    let last = replies.iter().filter(|(_, reply, _)| reply.status == 200).map(|(.., at)| *at).max();
    let served = u64::try_from(replies.len() - away["batch"]).expect("few") * COST;
    let time = last.expect("some were served") - began;
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let share = served as f64 / (EACH_SECOND as f64 * time.as_secs_f64());
    assert!(share >= 0.97, "{share}: {served} tokens in {time:?}");
    // Who comes back when it was told to is served at once, for nothing else has come.
    sleep_until(told.expect("somebody was turned away"));
    assert_eq!(kit::post_at_once(&proxy, CHAT_PATH, &chat(COST)).status, 200);
}

#[test]
fn three_proxies_that_know_nothing_of_each_other_share_a_key_and_fail_nobody() {
    shared("1");
}

#[test]
fn three_proxies_of_three_workers_do_the_same() {
    shared("3");
}

/// Nine tenths of what there is for twenty seconds, when what was saved up is used up.
fn shared(workers: &str) {
    const EACH: usize = 9;
    let provider = provider();
    let proxies = [(); 3].map(|()| proxy(&provider, workers));
    let ask = |number: usize, tokens| {
        let reply = kit::post(&proxies[number % proxies.len()], CHAT_PATH, &chat(tokens));
        assert_eq!(reply.status, 200, "{}", reply.text());
    };
    kit::in_parallel(60, |number| ask(number, 1_000));
    let began = now();
    kit::in_parallel(20 * EACH, |number| {
        sleep_until(began + Duration::from_secs(1) * u32::try_from(number).expect("few") / 9);
        ask(number, 100);
    });
}

#[test]
fn that_a_limit_was_halved_is_known_after_three_answers() {
    halved("1");
}

#[test]
fn three_workers_know_it_after_three_answers_too() {
    halved("3");
}

fn halved(workers: &str) {
    let provider = provider();
    let proxy = proxy(&provider, workers);
    let learned = || kit::sum(&proxy, "keyweir_limit_learned", &[("limit", "tokensPerMinute")]);
    let ask = || assert_eq!(kit::post(&proxy, CHAT_PATH, &chat(100)).status, 200);
    ask();
    provider.break_with(Fault::every(FaultKind::LimitFactor { permille: 500 }));
    (0..3).for_each(|_| ask());
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let half = EACH_MINUTE as f64 / 2.0;
    assert!((learned() - half).abs() < 1.0, "{}", learned());
}

#[test]
fn a_refusal_names_the_limit_its_level_and_who_comes_first() {
    let provider = provider();
    let proxy = proxy(&provider, "1");
    kit::in_parallel(60, |_| assert_eq!(kit::post(&proxy, CHAT_PATH, &chat(1_000)).status, 200));
    thread::scope(|scope| {
        // The earlier deadline comes first.
        let sooner = &[("x-keyweir-max-wait", "9s")];
        let waits = scope.spawn(|| kit::post_with(&proxy, CHAT_PATH, sooner, &chat(5_000)));
        kit::until_sum(&proxy, "keyweir_queue_depth", &[("priority", "normal")], 1.0);
        let later = [("x-keyweir-max-wait", "15s")];
        let reply = kit::post_with(&proxy, CHAT_PATH, &later, &chat(20_000));
        Format::OpenAi.assert_refusal(&reply, 429, "keys_temporarily_exhausted");
        let message = reply.text();
        for part in ["tokensPerMinute", "% left", "1 others come first"] {
            assert!(message.contains(part), "{part}: {message}");
        }
        let seconds: u64 = reply.header("retry-after").expect("it").parse().expect("seconds");
        assert!((20..=30).contains(&seconds), "{seconds}: 25,000 tokens, less what was refilled");
        assert_eq!(waits.join().expect("no panic").status, 200);
    });
}

#[test]
fn the_higher_class_is_served_before_those_who_came_first() {
    let provider = provider();
    let proxy = proxy(&provider, "1");
    kit::in_parallel(60, |_| assert_eq!(kit::post(&proxy, CHAT_PATH, &chat(1_000)).status, 200));
    let class = |class| {
        let headers = [("x-keyweir-priority", class)];
        let reply = kit::post_with(&proxy, CHAT_PATH, &headers, &chat(2_000));
        assert_eq!(reply.status, 200, "{}", reply.text());
        now()
    };
    thread::scope(|scope| {
        let batch = scope.spawn(|| class("batch"));
        kit::until_sum(&proxy, "keyweir_queue_depth", &[("priority", "batch")], 1.0);
        let high = scope.spawn(|| class("high"));
        let (batch, high) = (batch.join().expect("served"), high.join().expect("served"));
        assert!(high < batch);
    });
}
