//! Configuration and Secrets change under way: nothing is lost, and what is new is used at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::kit::{self, CHAT, CHAT_ANSWER, CHAT_PATH, CHAT_STREAM, sse};
use crate::support::SOON;
use crate::support::http::{Raw, Reply};
use crate::support::process::{Proxy, Setup};
use crate::support::upstream::{Then, Upstream, json};

#[expect(clippy::disallowed_methods, reason = "a test is outside the house: it times the process")]
fn now() -> Instant {
    Instant::now()
}

/// Streams that run while `work` does, on `clients` connections; returns how many were whole. Any
/// that is not whole fails the test.
fn streaming_meanwhile(
    proxy: &mut Proxy,
    clients: usize,
    expected: &str,
    work: impl FnOnce(&mut Proxy),
) -> usize {
    let (over, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let data = proxy.data;
    thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let mut connection = Raw::connect(data);
                while !over.load(Ordering::SeqCst) {
                    connection.post(CHAT_PATH, &[], CHAT_STREAM);
                    let reply = connection.reply();
                    assert_eq!(reply.status, 200, "{reply:?} {}", reply.text());
                    assert!(reply.complete && reply.text() == expected, "{}", reply.text());
                    served.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        // However `work` ends, the clients must.
        let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(proxy)));
        over.store(true, Ordering::SeqCst);
        if let Err(panic) = worked {
            std::panic::resume_unwind(panic);
        }
    });
    served.load(Ordering::SeqCst)
}

/// A provider that streams a few events, with a pause between them so that changes meet streams
/// under way, and looks at each request first.
fn streaming(look: impl Fn(&Reply) + Send + Sync + 'static) -> Upstream {
    Upstream::start(move |request, connection| {
        look(request);
        connection.send(sse::HEAD);
        for event in ["a", "b", "c"] {
            connection.send(sse::chunk(&sse::delta(event)));
            thread::sleep(Duration::from_millis(2));
        }
        connection.send([sse::chunk(sse::DONE).as_str(), sse::LAST].concat());
        Then::Next
    })
}

fn stream() -> String {
    ["a", "b", "c"].map(sse::delta).concat() + sse::DONE
}

/// Waits until the first key of the first provider has that name and weight.
fn until_in_force(proxy: &Proxy, admin: &mut Raw, name: &str, weight: usize) {
    proxy.until("in force", || {
        admin.get("/status", &[]);
        let key = &admin.reply().json()["providers"][0]["keys"][0];
        (key["name"] == name && key["weight"] == weight).then_some(())
    });
}

fn taken(proxy: &Proxy) -> f64 {
    kit::sum(proxy, "keyweir_config_reloads_total", &[("result", "success")])
}

#[test]
fn a_thousand_configurations_and_five_hundred_rotations_lose_no_stream() {
    // The client says which rotation was in force when it asked; no request may carry an older key.
    let stale = Arc::new(AtomicUsize::new(0));
    let (in_force, seen_stale) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&stale));
    let upstream = streaming(move |request| {
        let number = |text: &str| text.trim_start_matches("k-").parse::<usize>().unwrap_or(0);
        let asked = number(request.header("x-in-force").unwrap_or_default());
        let value = request.header("authorization").unwrap_or_default();
        if number(value.trim_start_matches("Bearer ")) < asked {
            seen_stale.fetch_add(1, Ordering::SeqCst);
        }
    });
    let url = upstream.url();
    let config = |weight: usize| {
        format!(
            "version: 1\nproviders:\n  openai:\n    baseUrl: {url}\n    keys: [{{secret: pool, weight: {weight}}}]\n"
        )
    };
    let mut proxy =
        Setup::default().config(&config(1_001)).secret("pool", &[("k-0", "k-0")]).start();
    let mut admin = Raw::connect(proxy.admin);
    let base = taken(&proxy);
    let expected = stream();
    let over = Arc::new(AtomicBool::new(false));
    let asker = {
        let (in_force, over, data) = (Arc::clone(&in_force), Arc::clone(&over), proxy.data);
        thread::spawn(move || {
            let mut served = 0;
            let mut connection = Raw::connect(data);
            while !over.load(Ordering::SeqCst) {
                let number = in_force.load(Ordering::SeqCst).to_string();
                connection.post(CHAT_PATH, &[("x-in-force", &number)], CHAT_STREAM);
                let reply = connection.reply();
                assert!(reply.status == 200 && reply.complete, "{reply:?} {}", reply.text());
                served += 1;
            }
            served
        })
    };
    let served = streaming_meanwhile(&mut proxy, 6, &expected, |proxy| {
        let mut key = "k-0".to_owned();
        for number in 1..=1_000 {
            proxy.config.as_mut().expect("mounted").swap(&[("keyweir.yaml", config(number))]);
            proxy.prompt();
            until_in_force(proxy, &mut admin, &key, number);
            if number % 2 == 0 {
                key = format!("k-{}", number / 2);
                proxy.secret("pool").swap(&[(&key, &key)]);
                proxy.prompt();
                until_in_force(proxy, &mut admin, &key, number);
                in_force.store(number / 2, Ordering::SeqCst);
            }
        }
    });
    over.store(true, Ordering::SeqCst);
    let met = asker.join().expect("every stream was whole");
    assert_eq!(stale.load(Ordering::SeqCst), 0, "a predecessor got a new request");
    assert!(served > 500 && met > 50, "{served} streams, and {met} that looked at their key");
    let taken = taken(&proxy) - base;
    assert!(taken >= 1_500.0, "{taken}");
    assert!(kit::sum(&proxy, "keyweir_config_reloads_total", &[("result", "refused")]) < 1.0);
}

#[test]
fn a_rotated_key_is_in_use_within_a_second_with_nobody_telling() {
    let upstream = kit::healthy_provider();
    let config = kit::openai_at(&upstream.url(), "");
    let mut proxy = Setup::default().config(&config).secret("pool", &[("key", "k-0")]).start();
    let mut took: Vec<Duration> = (1..=5)
        .map(|number| {
            let value = format!("k-{number}");
            let began = now();
            proxy.secret("pool").swap(&[("key", &value)]);
            proxy.until("in use", || {
                assert_eq!(kit::post(&proxy, CHAT_PATH, CHAT).status, 200);
                let sent = upstream.take();
                let last = sent.last().expect("it was sent");
                (kit::key_of(last) == value).then_some(())
            });
            now() - began
        })
        .collect();
    took.sort();
    assert!(took[2] < Duration::from_secs(1), "{took:?}");
    // Once the new one was used, the old one never is again.
    for _ in 0..20 {
        kit::post(&proxy, CHAT_PATH, CHAT);
    }
    assert_eq!(kit::uses(&upstream.take()).into_keys().collect::<Vec<_>>(), ["k-5"]);
}

#[test]
fn the_running_requests_of_a_removed_key_finish() {
    let (tell, told) = mpsc::channel::<()>();
    let told = Mutex::new(told);
    let upstream = Upstream::start(move |request, connection| {
        if !request.text().contains("\"stream\":true") {
            connection.send(kit::healthy(request));
            return Then::Next;
        }
        connection.send(sse::HEAD);
        connection.send(sse::chunk(&sse::delta("begun")));
        told.lock().expect("not poisoned").recv_timeout(SOON).expect("the test goes on");
        connection.send(sse::chunk(sse::DONE));
        connection.send(sse::LAST);
        Then::Next
    });
    let mut proxy = kit::openai_proxy(&upstream, &["old"]);
    let mut running = proxy.connect();
    running.post(CHAT_PATH, &[], CHAT_STREAM);
    assert_eq!(running.head().status, 200);
    kit::read_until(&mut running, "begun");
    let value = kit::value_of("new");
    proxy.secret("pool").swap(&[("new", &value)]);
    upstream.take();
    proxy.until("replaced", || {
        assert_eq!(kit::post(&proxy, CHAT_PATH, CHAT).status, 200);
        (kit::key_of(&upstream.take()[0]) == "new").then_some(())
    });
    assert_ne!(kit::key_state(&proxy, "old").as_deref(), Some("healthy"));
    tell.send(()).expect("the provider listens");
    assert_eq!(kit::read_rest(&mut running), (sse::DONE.to_owned(), true));
    proxy.until("let go", || kit::key_state(&proxy, "old").is_none().then_some(()));
}

#[test]
fn a_bad_configuration_leaves_the_last_good_one_and_says_what_is_wrong_and_where() {
    let upstream = kit::healthy_provider();
    let good = kit::openai_at(&upstream.url(), "");
    let mut proxy = kit::with_keys(Setup::default().config(&good), &["one"]).start();
    let generation = kit::status(&proxy)["generation"].clone();
    let bad = good.clone() + "retries: 3\nmodels: {chat: {targets: [{model: nobody/x}]}}\n";
    proxy.config.as_mut().expect("mounted").swap(&[("keyweir.yaml", &bad)]);
    let refused = [("result", "refused")];
    kit::until_sum(&proxy, "keyweir_config_reloads_total", &refused, 1.0);
    proxy.log_line(&["keyweir.yaml:6:1", "retries"]);
    let status = kit::status(&proxy);
    assert_eq!(status["config"]["state"], "refused", "{status}");
    let message = status["config"]["message"].as_str().expect("a message");
    assert!(
        message.contains("keyweir.yaml:6:1") && message.contains("keyweir.yaml:7:"),
        "{message}"
    );
    assert_eq!(status["generation"], generation);
    assert_eq!(status["ready"], true);
    assert_eq!(kit::post(&proxy, CHAT_PATH, CHAT).text(), CHAT_ANSWER);
    // A Secret's change goes on being taken beside it.
    let value = kit::value_of("two");
    proxy.secret("pool").swap(&[("two", &value)]);
    proxy.config.as_mut().expect("mounted").swap(&[("keyweir.yaml", &good)]);
    proxy.until("in force", || (kit::status(&proxy)["config"]["state"] == "inForce").then_some(()));
    assert_eq!(kit::status(&proxy)["config"]["message"], serde_json::Value::Null);
    upstream.take();
    proxy.until("the new key", || {
        assert_eq!(kit::post(&proxy, CHAT_PATH, CHAT).status, 200);
        (kit::key_of(&upstream.take()[0]) == "two").then_some(())
    });
}

#[test]
fn a_configuration_that_vanishes_leaves_the_last_good_one() {
    let upstream = kit::healthy_provider();
    let good = kit::openai_at(&upstream.url(), "");
    let mut proxy = kit::with_keys(Setup::default().config(&good), &["one"]).start();
    let none: [(&str, &str); 0] = [];
    proxy.config.as_mut().expect("mounted").swap(&none);
    proxy.prompt();
    for _ in 0..20 {
        let reply = kit::post(&proxy, CHAT_PATH, CHAT);
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    assert_eq!(proxy.ask_admin("/ready").status, 200);
}

/// Refuses key values that begin with `dead`.
fn picky() -> Upstream {
    Upstream::start(|request, connection| {
        let value = request.header("authorization").unwrap_or_default();
        let dead = value.starts_with("Bearer dead");
        let refusal = r#"{"error":{"message":"Incorrect API key provided.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#;
        connection.send(if dead { json(401, refusal) } else { kit::healthy(request) });
        Then::Next
    })
}

#[test]
fn a_disabled_key_stays_disabled_through_reloads_and_starts_fresh_when_it_is_rotated() {
    let upstream = picky();
    let config = |wait: usize| {
        kit::openai_at(&upstream.url(), "")
            + &format!("callers: {{default: {{maxWait: {wait}s}}}}\n")
    };
    let setup = Setup::default().config(&config(1));
    let mut proxy = setup.secret("pool", &[("first", "dead-1"), ("second", "alive")]).start();
    proxy.until("disabled", || {
        assert_eq!(kit::post(&proxy, CHAT_PATH, CHAT).status, 200);
        (kit::key_state(&proxy, "first")? == "disabled").then_some(())
    });
    upstream.take();
    let mut count = taken(&proxy);
    for wait in 2..12 {
        proxy.config.as_mut().expect("mounted").swap(&[("keyweir.yaml", config(wait))]);
        proxy.prompt();
        count += 1.0;
        kit::until_sum(&proxy, "keyweir_config_reloads_total", &[("result", "success")], count);
        for _ in 0..4 {
            assert_eq!(kit::post(&proxy, CHAT_PATH, CHAT).status, 200);
        }
    }
    assert_eq!(kit::key_state(&proxy, "first").as_deref(), Some("disabled"));
    assert_eq!(kit::uses(&upstream.take()).into_keys().collect::<Vec<_>>(), ["alive"]);
    // Another name for the same value is the same key.
    proxy.secret("pool").swap(&[("renamed", "dead-1"), ("second", "alive")]);
    proxy.until("renamed", || kit::key_state(&proxy, "renamed"));
    for _ in 0..10 {
        assert_eq!(kit::post(&proxy, CHAT_PATH, CHAT).status, 200);
    }
    assert_eq!(kit::uses(&upstream.take()).into_keys().collect::<Vec<_>>(), ["alive"]);
    // Another value under its name is another key.
    proxy.secret("pool").swap(&[("first", "fresh"), ("second", "alive")]);
    proxy.until("used", || {
        assert_eq!(kit::post(&proxy, CHAT_PATH, CHAT).status, 200);
        kit::uses(&upstream.take()).contains_key("fresh").then_some(())
    });
    assert_eq!(kit::key_state(&proxy, "first").as_deref(), Some("healthy"));
}

#[test]
fn a_hold_survives_a_reload() {
    let upstream = Upstream::start(|_, connection| {
        connection.send(kit::answer(
            429,
            &[("retry-after", "50")],
            r#"{"error":{"message":"x","type":"requests","code":"rate_limit_exceeded"}}"#,
        ));
        Then::Next
    });
    let config = |wait: usize| {
        kit::openai_at(&upstream.url(), "")
            + &format!("callers: {{default: {{maxWait: {wait}s}}}}\n")
    };
    let mut proxy = kit::with_keys(Setup::default().config(&config(1)), &["one"]).start();
    assert_eq!(kit::post_at_once(&proxy, CHAT_PATH, CHAT).status, 429);
    let count = taken(&proxy);
    proxy.config.as_mut().expect("mounted").swap(&[("keyweir.yaml", config(2))]);
    kit::until_sum(&proxy, "keyweir_config_reloads_total", &[("result", "success")], count + 1.0);
    assert_eq!(kit::post_at_once(&proxy, CHAT_PATH, CHAT).status, 429);
    assert_eq!(upstream.take().len(), 1, "the provider is not asked again");
}

#[test]
fn who_waits_is_served_by_a_key_that_comes_while_waiting() {
    let upstream = Upstream::start(|request, connection| {
        let limited = kit::key_of(request) == "full";
        let refusal = kit::answer(
            429,
            &[("retry-after", "15")],
            r#"{"error":{"message":"x","type":"requests","code":"rate_limit_exceeded"}}"#,
        );
        connection.send(if limited { refusal } else { kit::healthy(request) });
        Then::Next
    });
    let mut proxy = kit::openai_proxy(&upstream, &["full"]);
    let began = now();
    let mut waiting = proxy.connect();
    waiting.post(CHAT_PATH, &[], CHAT);
    kit::until_sum(&proxy, "keyweir_queue_depth", &[], 1.0);
    let (full, free) = (kit::value_of("full"), kit::value_of("free"));
    proxy.secret("pool").swap(&[("full", &full), ("free", &free)]);
    let reply = waiting.reply();
    assert_eq!((reply.status, reply.header("x-keyweir-key")), (200, Some("free")));
    assert!(now() - began < Duration::from_secs(10), "{:?}", now() - began);
}
