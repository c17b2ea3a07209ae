//! What passes in either direction, and what never does.

use crate::kit::{self, CHAT, CHAT_ANSWER, CHAT_PATH, Format};
use crate::support::process::Setup;
use crate::support::upstream::{Then, Upstream};

const CLIENTS: &str = "CLIENTSOWN";

#[test]
fn the_client_s_credential_in_any_form_never_goes_upstream() {
    let upstream = kit::healthy_provider();
    let proxy = kit::proxy_of_all(&upstream, &["one"]);
    let bearer = format!("Bearer {CLIENTS}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("x-api-key", CLIENTS),
        ("api-key", CLIENTS),
        ("x-goog-api-key", CLIENTS),
        ("proxy-authorization", CLIENTS),
        ("openai-organization", CLIENTS),
        ("openai-project", CLIENTS),
        ("x-goog-user-project", CLIENTS),
    ];
    let value = kit::value_of("one");
    for (format, own) in [
        (Format::OpenAi, ("authorization", format!("Bearer {value}"))),
        (Format::Anthropic, ("x-api-key", value.clone())),
        (Format::Gemini, ("x-goog-api-key", value)),
    ] {
        let direct = format!("/{}{}", format.provider(), format.path());
        for path in [format.path(), &direct] {
            let path = format!("{path}?key={CLIENTS}&alt=json");
            let reply = kit::post_with(&proxy, &path, &headers, format.ask());
            assert_eq!(reply.status, 200, "{path}: {}", reply.text());
            let sent = upstream.take();
            assert_eq!(sent[0].header(own.0), Some(own.1.as_str()), "{path}");
            assert!(!format!("{sent:?}").contains(CLIENTS), "{path}: {:?}", sent[0]);
            assert!(sent[0].start.contains("?alt=json "), "{}", sent[0].start);
        }
    }
}

#[test]
fn a_key_in_the_query_is_taken_out_wherever_it_stands() {
    let upstream = kit::healthy_provider();
    let proxy = kit::proxy_of_all(&upstream, &["one"]);
    let path = format!("/gemini{}", kit::CONTENT_PATH);
    for (query, passed) in [
        ("?key=CLIENTSOWN", ""),
        ("?a=1&key=CLIENTSOWN", "?a=1"),
        ("?key=CLIENTSOWN&key=CLIENTSOWN&a=1", "?a=1"),
        ("?%6bey=CLIENTSOWN&a=1", "?a=1"),
        ("?k%65y=CLIENTSOWN&a=1", "?a=1"),
        ("?monkey=1&keys=2", "?monkey=1&keys=2"),
        ("?a=%20b+c&&=&x", "?a=%20b+c&&=&x"),
    ] {
        let reply = kit::post(&proxy, &format!("{path}{query}"), kit::CONTENT);
        assert_eq!(reply.status, 200, "{query}");
        let sent = upstream.take();
        let expected = format!("POST {}{passed} HTTP/1.1", kit::CONTENT_PATH);
        assert_eq!(sent[0].start, expected, "{query}");
    }
}

#[test]
fn headers_of_one_connection_stay_on_it_in_both_directions() {
    let upstream = Upstream::start(|_, connection| {
        let headers = [
            ("content-type", "application/json"),
            ("connection", "x-their-hop"),
            ("x-their-hop", "1"),
            ("keep-alive", "timeout=7"),
            ("proxy-authenticate", "Basic"),
            ("x-ratelimit-remaining-requests", "9"),
            ("x-request-id", "req_theirs"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
        ];
        connection.send(kit::answer(200, &headers, CHAT_ANSWER));
        Then::Next
    });
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let headers = [
        ("connection", "keep-alive, X-My-Hop"),
        ("x-my-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("te", "trailers"),
        ("trailer", "x"),
        ("proxy-connection", "keep-alive"),
        ("upgrade", "nothing-known"),
        ("x-keyweir-caller", "me"),
        ("x-keyweir-priority", "high"),
    ];
    let reply = kit::post_with(&proxy, CHAT_PATH, &headers, CHAT);
    assert_eq!((reply.status, reply.text().as_str()), (200, CHAT_ANSWER));
    let sent = &upstream.take()[0];
    for name in ["x-my-hop", "keep-alive", "te", "trailer", "proxy-connection", "upgrade"] {
        assert_eq!(sent.header(name), None, "{name}");
    }
    assert!(sent.headers.keys().all(|name| !name.as_str().starts_with("x-keyweir")), "{sent:?}");
    assert_eq!(sent.headers.get_all("host").iter().count(), 1);
    assert_eq!(sent.header("host"), Some(upstream.addr.to_string().as_str()));
    for name in ["x-their-hop", "keep-alive", "proxy-authenticate"] {
        assert_eq!(reply.header(name), None, "{name}");
    }
    assert_eq!(reply.header("x-ratelimit-remaining-requests"), Some("9"));
    assert_eq!(reply.header("x-request-id"), Some("req_theirs"));
    assert_eq!(reply.headers.get_all("set-cookie").iter().count(), 2);
}

#[test]
fn what_the_application_says_besides_passes_as_it_is() {
    let upstream = kit::healthy_provider();
    let proxy = kit::proxy_of_all(&upstream, &["one"]);
    let headers = [
        ("x-request-id", "mine-7"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("tracestate", "a=b"),
        ("user-agent", "OpenAI/Python 3.51.0"),
        ("anthropic-version", "2026-10-21"),
        ("anthropic-beta", "files-api-2025-04-14,other"),
        ("x-stainless-lang", "python"),
        ("accept", "application/json"),
        ("idempotency-key", "once"),
        ("cookie", "c=1"),
    ];
    let reply = kit::post_with(&proxy, kit::MESSAGE_PATH, &headers, kit::MESSAGE);
    assert_eq!(reply.status, 200);
    let sent = &upstream.take()[0];
    for (name, value) in headers {
        assert_eq!(sent.header(name), Some(value), "{name}");
    }
    assert_eq!(sent.header("content-type"), Some("application/json"));
    let length = kit::MESSAGE.len().to_string();
    assert_eq!(sent.header("content-length"), Some(length.as_str()));
    assert_eq!(sent.header("transfer-encoding"), None);
}

#[test]
fn a_header_that_anthropic_requires_is_added_where_it_is_missing() {
    let upstream = kit::healthy_provider();
    let proxy = kit::proxy_of_all(&upstream, &["one"]);
    kit::post(&proxy, kit::MESSAGE_PATH, kit::MESSAGE);
    assert_eq!(upstream.take()[0].header("anthropic-version"), Some("2023-06-01"));
}

#[test]
fn what_a_key_declares_for_itself_goes_with_it() {
    let upstream = kit::healthy_provider();
    let config = format!(
        "version: 1\nproviders:\n  openai:\n    baseUrl: {}\n    keys: [{{secret: pool, organization: org-ours, project: proj_ours}}]\n",
        upstream.url()
    );
    let proxy = kit::with_keys(Setup::default().config(&config), &["one"]).start();
    let theirs = [("openai-organization", "org-theirs"), ("openai-project", "proj_theirs")];
    assert_eq!(kit::post_with(&proxy, CHAT_PATH, &theirs, CHAT).status, 200);
    let sent = &upstream.take()[0];
    assert_eq!(sent.header("openai-organization"), Some("org-ours"));
    assert_eq!(sent.header("openai-project"), Some("proj_ours"));
}

#[test]
fn an_answer_says_how_it_came_about_unless_that_is_switched_off() {
    let upstream = kit::healthy_provider();
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let reply = kit::post(&proxy, CHAT_PATH, CHAT);
    for (name, value) in [
        ("x-keyweir-provider", "openai"),
        ("x-keyweir-key", "one"),
        ("x-keyweir-model", "gpt-4o"),
        ("x-keyweir-attempts", "1"),
        ("x-keyweir-queued-ms", "0"),
    ] {
        assert_eq!(reply.header(name), Some(value), "{name}");
    }
    let config = kit::openai_at(&upstream.url(), "") + "telemetry: {responseHeaders: false}\n";
    let proxy = kit::with_keys(Setup::default().config(&config), &["one"]).start();
    let reply = kit::post(&proxy, CHAT_PATH, CHAT);
    assert_eq!(reply.status, 200);
    let ours = reply.headers.keys().find(|name| name.as_str().starts_with("x-keyweir"));
    assert_eq!(ours, None);
}

#[test]
fn a_provider_cannot_speak_in_keyweir_s_name() {
    let upstream = Upstream::start(|_, connection| {
        let headers = [
            ("content-type", "application/json"),
            ("x-keyweir-error", "keys_invalid"),
            ("x-keyweir-key", "forged"),
        ];
        connection.send(kit::answer(200, &headers, CHAT_ANSWER));
        Then::Next
    });
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let reply = kit::post(&proxy, CHAT_PATH, CHAT);
    assert_eq!(reply.header("x-keyweir-error"), None);
    assert_eq!(reply.header("x-keyweir-key"), Some("one"));
}

#[test]
fn a_body_goes_upstream_byte_for_byte() {
    let upstream = kit::healthy_provider();
    let proxy = kit::openai_proxy(&upstream, &["one"]);
    let odd = "{\n\t\"messages\" : [ {\"role\":\"user\",\"content\":\"\\u00e4\u{e4}\\/\"} ] ,\r\n \"temperature\":1.0e-0, \"model\" :\"gpt-4o\" }\n ";
    for path in [CHAT_PATH, "/openai/v1/chat/completions"] {
        assert_eq!(kit::post(&proxy, path, odd).status, 200);
        assert_eq!(upstream.take()[0].text(), odd);
    }
    let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let mut connection = proxy.connect();
    connection.send(format!(
        "POST /openai/v1/audio/transcriptions HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data; boundary=x\r\ncontent-length: {}\r\n\r\n",
        bytes.len()
    ));
    connection.send(&bytes);
    assert_eq!(connection.reply().status, 200);
    assert!(upstream.take()[0].body == bytes, "the upload was changed");
}

#[test]
fn a_path_is_never_rewritten_beyond_its_prefix() {
    let upstream = kit::healthy_provider();
    let proxy = kit::proxy_of_all(&upstream, &["one"]);
    for path in [
        "/v1/files/a%2Fb%20c",
        "/v1//files///x/",
        "/v1/./files/../models",
        "/v1/%2e%2e/x",
        "/v1/files/%E4%F6;p=1,2:3@4!$&'()*+~",
        "/v1/models?limit=2&after=a%26b",
        "/",
        "//x",
        "",
    ] {
        let reply = kit::get(&proxy, &format!("/openai{path}"));
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        let expected = if path.is_empty() { "/" } else { path };
        assert_eq!(upstream.take()[0].start, format!("GET {expected} HTTP/1.1"));
    }
}

#[test]
fn a_base_url_s_own_path_goes_before_the_rest() {
    let upstream = kit::healthy_provider();
    for slash in ["", "/"] {
        let config = format!(
            "version: 1\nproviders:\n  own: {{wire: openai, baseUrl: \"{}/inference{slash}\", keys: [{{secret: pool}}]}}\n",
            upstream.url()
        );
        let proxy = kit::with_keys(Setup::default().config(&config), &["one"]).start();
        assert_eq!(kit::post(&proxy, "/own/v1/chat/completions?x=1", CHAT).status, 200);
        assert_eq!(upstream.take()[0].start, "POST /inference/v1/chat/completions?x=1 HTTP/1.1");
        assert_eq!(kit::post(&proxy, CHAT_PATH, CHAT).status, 200);
        assert_eq!(upstream.take()[0].start, "POST /inference/v1/chat/completions HTTP/1.1");
    }
}

#[test]
fn a_provider_without_keys_is_sent_no_credential() {
    let upstream = kit::healthy_provider();
    let config = format!(
        "version: 1\nproviders:\n  local: {{wire: openai, baseUrl: \"{}\"}}\n",
        upstream.url()
    );
    let proxy = Setup::default().config(&config).start();
    let own = [("authorization", "Bearer CLIENTSOWN")];
    assert_eq!(kit::post_with(&proxy, CHAT_PATH, &own, CHAT).status, 200);
    assert_eq!(upstream.take()[0].header("authorization"), None);
}

#[test]
fn any_other_api_gets_its_key_in_the_header_it_wants() {
    let upstream = kit::healthy_provider();
    let config = format!(
        "version: 1\nproviders:\n  geo: {{wire: http, baseUrl: \"{}\", auth: {{header: x-geo-token}}, keys: [{{secret: pool}}]}}\n",
        upstream.url()
    );
    let proxy = kit::with_keys(Setup::default().config(&config), &["one"]).start();
    assert_eq!(kit::get(&proxy, "/geo/lookup?q=1").status, 200);
    let sent = &upstream.take()[0];
    assert_eq!(sent.start, "GET /lookup?q=1 HTTP/1.1");
    assert_eq!(sent.header("x-geo-token"), Some(kit::value_of("one").as_str()));
    assert_eq!(sent.header("authorization"), None);
}
