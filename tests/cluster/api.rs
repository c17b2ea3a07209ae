//! The API server, asked in plain JSON through `kubectl proxy`.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::plane::{now, soon};
use crate::support::http::{Raw, Reply};

/// Where to ask. Copies ask the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Api(pub(crate) SocketAddr);

impl Api {
    pub(crate) fn ask(self, method: &str, path: &str, kind: &str, body: &str) -> Reply {
        let mut connection = Raw::connect(self.0);
        let length = body.len();
        connection.send(format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             content-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}"
        ));
        connection.reply()
    }

    pub(crate) fn get(self, path: &str) -> Option<Value> {
        let reply = self.ask("GET", path, "application/json", "");
        (reply.status == 200).then(|| reply.json())
    }

    pub(crate) fn create(self, path: &str, object: &Value) -> Reply {
        self.ask("POST", path, "application/json", &object.to_string())
    }

    /// Creates what has to be possible.
    pub(crate) fn must_create(self, path: &str, object: &Value) -> Value {
        let reply = self.create(path, object);
        assert!(matches!(reply.status, 200 | 201), "{path}: {}\n{object}", reply.text());
        reply.json()
    }

    pub(crate) fn patch(self, path: &str, kind: &str, change: &Value) -> Value {
        let kind = format!("application/{kind}-patch+json");
        let reply = self.ask("PATCH", path, &kind, &change.to_string());
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        reply.json()
    }

    pub(crate) fn delete(self, path: &str) {
        let reply = self.ask("DELETE", path, "application/json", "");
        assert!(matches!(reply.status, 200 | 202), "{path}: {}", reply.text());
    }

    /// Asks again and again until there is something to be seen.
    pub(crate) fn until<T>(self, what: &str, mut probe: impl FnMut(Self) -> Option<T>) -> T {
        let deadline = soon();
        loop {
            if let Some(found) = probe(self) {
                return found;
            }
            assert!(now() < deadline, "Never {what}");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The warnings in an answer.
pub(crate) fn warnings(reply: &Reply) -> Vec<String> {
    let headers = reply.headers.get_all("warning").iter();
    let texts = headers.map(|header| String::from_utf8_lossy(header.as_bytes()).into_owned());
    let inner = |text: String| {
        let quoted = text.strip_prefix("299 - \"").and_then(|rest| rest.strip_suffix('"'));
        quoted.unwrap_or(&text).replace("\\\"", "\"").replace("\\\\", "\\")
    };
    texts.map(inner).collect()
}
