//! No key's value, prompt or answer in anything that Keyweir writes, whatever happens.

use crate::kit::{self, CHAT, CHAT_PATH, CHAT_STREAM, Format, sse};
use crate::support::http::{Raw, Reply};
use crate::support::process::{Proxy, Setup};
use crate::support::upstream::{Then, Upstream, json};

const PROMPT: &str = "PROMPTMARKER";
const ANSWER: &str = "ANSWERMARKER";
const CLIENT: &str = "CLIENTMARKER";
/// Part of every key's value.
const SECRET: &str = "SECRETMARKER";

/// Under each key something else goes wrong, and every error quotes what it was given.
fn indiscreet() -> Upstream {
    Upstream::start(|request, connection| {
        let quoted = format!(
            "{ANSWER} you sent {:?} with {:?}",
            request.text().replace(['"', '\\'], "'"),
            request.header("authorization").unwrap_or_default()
        )
        .replace('"', "'");
        let error = |code: &str| {
            format!(
                r#"{{"error":{{"message":"{quoted}","type":"x","param":null,"code":"{code}"}}}}"#
            )
        };
        let answer = match kit::key_of(request).as_str() {
            "dead" => json(401, &error("invalid_api_key")),
            "broke" => json(429, &error("insufficient_quota")),
            "odd" => json(429, &error(&format!("{SECRET} is odd"))),
            "forbidden" => json(403, &error("model_not_found")),
            "failing" => json(500, &error("server_error")),
            "garbled" => format!("{ANSWER} is not HTTP\r\n\r\n"),
            "header" => format!("HTTP/1.1 200 OK\r\n{ANSWER}\r\n\r\n"),
            "cut" => {
                connection.send(sse::HEAD);
                connection.send(sse::chunk(&format!("data: {{\"{ANSWER}\n\n")));
                return Then::Close;
            }
            "invalid" => json(400, &error("context_length_exceeded")),
            _ => {
                connection.send(sse::HEAD);
                connection.send(sse::chunk(&sse::delta(ANSWER)));
                connection.send(sse::chunk(&format!(
                    "data: {{\"error\":{{\"message\":\"{quoted}\",\"code\":\"server_error\"}}}}\n\n"
                )));
                connection.send(sse::LAST);
                return Then::Next;
            }
        };
        connection.send(answer);
        Then::Close
    })
}

const KEYS: [&str; 10] =
    ["dead", "broke", "odd", "forbidden", "failing", "garbled", "header", "cut", "invalid", "fine"];

/// What Keyweir itself said in an answer: its refusals' bodies, and its own headers.
fn own_words(reply: &Reply) -> String {
    let ours = reply.headers.iter().filter(|(name, _)| name.as_str().starts_with("x-keyweir"));
    let mut words: Vec<_> = ours.map(|(name, value)| format!("{name}: {value:?}")).collect();
    if reply.header("x-keyweir-error").is_some() {
        words.push(reply.text());
    }
    words.join("\n") + "\n"
}

fn everything(proxy: &Proxy, said: &mut String) {
    let bearer = format!("Bearer {CLIENT}");
    let headers = [("authorization", bearer.as_str()), ("x-keyweir-max-wait", "200ms")];
    for number in 0..60 {
        let body = if number % 2 == 0 { CHAT } else { CHAT_STREAM };
        let body = body.replace("hi", PROMPT);
        let path = format!("{CHAT_PATH}?key={CLIENT}");
        said.push_str(&own_words(&kit::post_with(proxy, &path, &headers, &body)));
    }
    for path in ["/v1/nothing", "/nobody/v1/x", CHAT_PATH] {
        let bad = format!("{{\"model\":\"gpt-4o\",\"{PROMPT}");
        let path = format!("{path}?key={CLIENT}&q={PROMPT}");
        said.push_str(&own_words(&kit::post_with(proxy, &path, &headers, &bad)));
    }
    for format in Format::ALL {
        let body = format.ask().replace("hi", PROMPT);
        said.push_str(&own_words(&kit::post_with(proxy, format.path(), &headers, &body)));
    }
    let mut raw = Raw::connect(proxy.data);
    raw.send(format!("POST / HTTP/1.1\r\nbad header {PROMPT} {CLIENT}\r\n\r\n"));
    if !raw.closed() {
        said.push_str(&raw.reply().text());
    }
    let mut leaver = proxy.connect();
    leaver.post(CHAT_PATH, &headers, &CHAT_STREAM.replace("hi", PROMPT));
    drop(leaver);
}

#[test]
fn nothing_that_keyweir_writes_holds_a_key_a_prompt_or_an_answer() {
    let upstream = indiscreet();
    let config = kit::openai_at(&upstream.url(), "")
        + "telemetry: {logLevel: trace, accessLog: all}\nbreaker: {failures: 1000}\n";
    let mut proxy = kit::with_keys(Setup::default().config(&config), &KEYS).start();
    let mut said = String::new();
    everything(&proxy, &mut said);
    // The same again with fresh keys, a Secret that is odd, and a configuration that is bad.
    let fresh = kit::value_of("fresh");
    let twice = kit::value_of("dead");
    let odd = format!("{SECRET} with\nlines");
    proxy.secret("pool").swap(&[("fresh", &fresh), ("odd", &odd), ("a", &twice), ("b", &twice)]);
    let fresh_in_use = [("result", "success")];
    kit::until_sum(&proxy, "keyweir_config_reloads_total", &fresh_in_use, 1.0);
    everything(&proxy, &mut said);
    let bad = config + "nonsense: true\n";
    proxy.config.as_mut().expect("mounted").swap(&[("keyweir.yaml", &bad)]);
    kit::until_sum(&proxy, "keyweir_config_reloads_total", &[("result", "refused")], 1.0);
    for path in ["/metrics", "/status", "/", "/ready", "/live", "/nothing"] {
        said.push_str(&proxy.ask_admin(path).text());
    }
    assert!(said.contains("x-keyweir-key") && said.contains("keyweir_requests_total"));
    let finished = proxy.stop();
    for (place, text) in [
        ("its answers and pages", &said),
        ("stdout", &finished.stdout),
        ("stderr", &finished.stderr),
    ] {
        for marker in [SECRET, PROMPT, ANSWER, CLIENT] {
            let line = text.lines().find(|line| line.contains(marker));
            assert_eq!(line, None, "{marker} in {place}");
        }
    }
    assert!(finished.stdout.len() + finished.stderr.len() > 1_000, "it did log");
}
