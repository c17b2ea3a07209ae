//! SIGTERM: whoever still asks is answered, streams finish, and then it ends.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::kit::{self, CHAT, CHAT_ANSWER, CHAT_PATH, CHAT_STREAM, sse};
use crate::support::SOON;
use crate::support::process::{Proxy, Setup};
use crate::support::upstream::{Then, Upstream};

#[expect(clippy::disallowed_methods, reason = "a test is outside the house: it times the process")]
fn now() -> Instant {
    Instant::now()
}

/// A provider whose streams go on when they are told to, and which answers anything else at once.
fn held() -> (Upstream, mpsc::Sender<()>) {
    let (tell, told) = mpsc::channel::<()>();
    let told = Mutex::new(told);
    let upstream = Upstream::start(move |request, connection| {
        if !request.text().contains("\"stream\":true") {
            connection.send(kit::healthy(request));
            return Then::Next;
        }
        connection.send(sse::HEAD);
        connection.send(sse::chunk(&sse::delta("begun")));
        if told.lock().expect("not poisoned").recv_timeout(SOON).is_err() {
            return Then::Close;
        }
        connection.send(sse::chunk(sse::DONE));
        connection.send(sse::LAST);
        Then::Next
    });
    (upstream, tell)
}

fn start(upstream: &Upstream, args: &[&str]) -> Proxy {
    let setup = Setup::default().config(&kit::openai_at(&upstream.url(), ""));
    let setup = args.iter().fold(setup, Setup::arg);
    kit::with_keys(setup, &["one"]).start()
}

fn begin_stream(proxy: &Proxy) -> crate::support::http::Raw {
    let mut connection = proxy.connect();
    connection.post(CHAT_PATH, &[], CHAT_STREAM);
    assert_eq!(connection.head().status, 200);
    kit::read_until(&mut connection, "begun");
    connection
}

#[test]
fn a_sidecar_goes_on_accepting_until_its_application_has_gone() {
    let (upstream, tell) = held();
    let proxy = start(&upstream, &[]);
    let mut stream = begin_stream(&proxy);
    proxy.terminate();
    proxy.until("unready", || (proxy.ask_admin("/ready").status == 503).then_some(()));
    assert_eq!(proxy.ask_admin("/live").status, 200);
    for _ in 0..5 {
        assert_eq!(kit::post(&proxy, CHAT_PATH, CHAT).text(), CHAT_ANSWER);
    }
    tell.send(()).expect("the provider listens");
    assert_eq!(kit::read_rest(&mut stream), (sse::DONE.to_owned(), true));
    drop(stream);
    let gone = now();
    let finished = proxy.wait();
    assert!(finished.status.success(), "{finished:?}");
    let took = now() - gone;
    assert!(took >= Duration::from_millis(900) && took < Duration::from_secs(8), "{took:?}");
}

#[test]
fn a_sidecar_that_nobody_uses_ends_after_a_second() {
    let (upstream, _tell) = held();
    let proxy = start(&upstream, &[]);
    assert_eq!(kit::post(&proxy, CHAT_PATH, CHAT).status, 200);
    let began = now();
    let finished = proxy.stop();
    assert!(finished.status.success(), "{finished:?}");
    assert!(now() - began < Duration::from_secs(8), "{:?}", now() - began);
}

#[test]
fn a_gateway_closes_its_listener_at_once_and_lets_streams_finish() {
    let (upstream, tell) = held();
    let proxy = start(&upstream, &["--drain-mode", "gateway"]);
    let mut stream = begin_stream(&proxy);
    proxy.terminate();
    proxy.until("closed", || TcpStream::connect(proxy.data).is_err().then_some(()));
    assert_eq!(proxy.ask_admin("/ready").status, 503);
    tell.send(()).expect("the provider listens");
    assert_eq!(kit::read_rest(&mut stream), (sse::DONE.to_owned(), true));
    drop(stream);
    let finished = proxy.wait();
    assert!(finished.status.success(), "{finished:?}");
}

#[test]
fn a_gateway_closes_connections_that_are_idle() {
    let (upstream, _tell) = held();
    let proxy = start(&upstream, &["--drain-mode", "gateway"]);
    let mut idle = proxy.connect();
    idle.post(CHAT_PATH, &[], CHAT);
    assert_eq!(idle.reply().status, 200);
    let began = now();
    proxy.terminate();
    assert!(idle.closed());
    assert!(proxy.wait().status.success());
    assert!(now() - began < Duration::from_secs(8), "{:?}", now() - began);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for args in [&[][..], &["--drain-mode", "gateway"]] {
        let (upstream, _tell) = held();
        let proxy = start(&upstream, args);
        let mut stream = begin_stream(&proxy);
        proxy.terminate();
        proxy.until("unready", || (proxy.ask_admin("/ready").status == 503).then_some(()));
        let began = now();
        let finished = proxy.stop();
        assert!(now() - began < Duration::from_secs(5), "{:?}", now() - began);
        assert!(finished.status.code().is_some(), "no crash: {finished:?}");
        let (rest, complete) = kit::read_rest(&mut stream);
        assert!(!complete && !rest.contains("[DONE]"), "{rest}");
    }
}

#[test]
fn a_drain_takes_no_longer_than_it_may() {
    for mode in ["sidecar", "gateway"] {
        let (upstream, _tell) = held();
        let proxy = start(&upstream, &["--drain-mode", mode, "--drain", "1s"]);
        let stream = begin_stream(&proxy);
        let began = now();
        let finished = proxy.stop();
        let took = now() - began;
        assert!(took >= Duration::from_millis(900) && took < Duration::from_secs(6), "{took:?}");
        assert!(finished.stdout.contains("still open") || finished.stderr.contains("still open"));
        drop(stream);
    }
}

#[test]
fn what_waits_for_capacity_is_served_before_it_ends() {
    let count = AtomicUsize::new(0);
    let upstream = Upstream::start(move |request, connection| {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        let limited = kit::answer(429, &[("retry-after", "2")], "{}");
        connection.send(if first { limited } else { kit::healthy(request) });
        Then::Next
    });
    for mode in ["sidecar", "gateway"] {
        let proxy = start(&upstream, &["--drain-mode", mode]);
        let mut waiting = proxy.connect();
        waiting.post(CHAT_PATH, &[], CHAT);
        if mode == "sidecar" {
            kit::until_sum(&proxy, "keyweir_queue_depth", &[], 1.0);
        } else {
            kit::until_sum(&proxy, "keyweir_upstream_responses_total", &[], 1.0);
        }
        proxy.terminate();
        assert_eq!(waiting.reply().text(), CHAT_ANSWER, "{mode}");
        drop(waiting);
        assert!(proxy.wait().status.success());
    }
}

/// How one connection of its own fared.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// The whole answer.
    Served,
    /// Nobody listens any more, or the connection was closed before anything was answered.
    NotAccepted,
    /// Part of an answer.
    Lost(String),
}

/// Asks once on a fresh connection, and takes everything that may happen.
fn ask(addr: SocketAddr, body: &str) -> Fate {
    let Ok(mut stream) = TcpStream::connect(addr) else { return Fate::NotAccepted };
    stream.set_read_timeout(Some(SOON)).expect("set the timeout");
    let head = format!(
        "POST {CHAT_PATH} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut answer = Vec::new();
    if stream.write_all(head.as_bytes()).is_err() || stream.read_to_end(&mut answer).is_err() {
        return if answer.is_empty() { Fate::NotAccepted } else { Fate::Lost("reset".into()) };
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let whole = answer.ends_with(CHAT_ANSWER) || answer.ends_with("0\r\n\r\n");
    if answer.is_empty() {
        Fate::NotAccepted
    } else if answer.starts_with("HTTP/1.1 200") && whole {
        Fate::Served
    } else {
        Fate::Lost(answer)
    }
}

/// Clients ask without a pause, on a connection each time, until they are stopped.
fn under_load(proxy: Proxy, stop_after: Duration) -> Vec<Fate> {
    let stop = Arc::new(AtomicBool::new(false));
    let addr = proxy.data;
    let begun = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..6)
        .map(|number| {
            let (stop, begun) = (Arc::clone(&stop), Arc::clone(&begun));
            thread::spawn(move || {
                let body = if number % 2 == 0 { CHAT } else { CHAT_STREAM };
                let mut fates = Vec::new();
                while !stop.load(Ordering::SeqCst) {
                    let fate = ask(addr, body);
                    let refused = fate == Fate::NotAccepted;
                    fates.push(fate);
                    begun.fetch_add(1, Ordering::SeqCst);
                    if refused {
                        thread::sleep(Duration::from_millis(5));
                    }
                }
                fates
            })
        })
        .collect();
    proxy.until("under load", || (begun.load(Ordering::SeqCst) > 50).then_some(()));
    proxy.terminate();
    thread::sleep(stop_after);
    stop.store(true, Ordering::SeqCst);
    let fates = clients.into_iter().flat_map(|client| client.join().expect("no panic")).collect();
    let finished = proxy.wait();
    assert!(finished.status.success(), "{finished:?}");
    fates
}

fn busy() -> Upstream {
    Upstream::start(|request, connection| {
        if !request.text().contains("\"stream\":true") {
            connection.send(kit::healthy(request));
            return Then::Next;
        }
        connection.send(sse::HEAD);
        for _ in 0..5 {
            connection.send(sse::chunk(&sse::delta("x")));
            thread::sleep(Duration::from_millis(2));
        }
        connection.send([sse::chunk(sse::DONE).as_str(), sse::LAST].concat());
        Then::Next
    })
}

#[test]
fn a_sidecar_loses_nothing_under_load() {
    let upstream = busy();
    let fates = under_load(start(&upstream, &[]), Duration::from_millis(800));
    let lost: Vec<_> = fates.iter().filter(|fate| **fate != Fate::Served).collect();
    assert!(lost.is_empty(), "{} of {}: {lost:?}", lost.len(), fates.len());
}

#[test]
fn a_gateway_loses_nothing_that_it_accepted_under_load() {
    let upstream = busy();
    let proxy = start(&upstream, &["--drain-mode", "gateway"]);
    let fates = under_load(proxy, Duration::from_millis(400));
    let lost: Vec<_> = fates.iter().filter(|fate| matches!(fate, Fate::Lost(_))).collect();
    assert!(lost.is_empty(), "{} of {}: {lost:?}", lost.len(), fates.len());
    assert!(fates.contains(&Fate::Served) && fates.contains(&Fate::NotAccepted));
}
