//! The application: plain requests in three wire formats, each answer looked at to its end.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::{CONTENT_TYPE, HOST};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::cast::{ANTHROPIC_MODEL, GEMINI_MODEL, OPENAI_MODEL};
use crate::formats::Wire;

/// How long the application waits for an answer: longer than a proxy's `maxWait` and an answer.
const PATIENCE: Duration = Duration::from_secs(45);
/// The largest answer.
const LARGEST: usize = 1024 * 1024;

/// What the application asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) wire: Wire,
    pub(super) manner: Manner,
    /// Output tokens wanted.
    pub(super) tokens: u64,
}

/// How the application wants its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    Whole,
    Streamed,
}

/// Asks, and says what went wrong if anything did.
pub(super) async fn ask(proxy: SocketAddr, question: Question) -> Result<(), String> {
    let answered = tokio::time::timeout(PATIENCE, fetch(proxy, question.request(proxy))).await;
    let (status, body) = answered.map_err(|_| "no answer in time".to_owned())??;
    if status != 200 {
        return Err(format!("status {status}"));
    }
    let text = String::from_utf8_lossy(&body);
    if question.is_answered_by(&text) {
        Ok(())
    } else {
        Err("an answer that breaks off".to_owned())
    }
}

/// Sends one request on a connection of its own.
pub(super) async fn fetch(
    addr: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Result<(u16, Bytes), String> {
    let failed = |what: &str| what.to_owned();
    let stream = TcpStream::connect(addr).await.map_err(|_| failed("no connection"))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|_| failed("no connection"))?;
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(|_| failed("no answer"))?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), LARGEST).collect().await;
        Ok((status, body.map_err(|_| failed("an answer cut short"))?.to_bytes()))
    };
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        // The connection may end as soon as the answer is here.
        _ = connection => exchange.await,
    }
}

impl Question {
    fn request(self, proxy: SocketAddr) -> Request<Full<Bytes>> {
        let (path, body) = self.written();
        let mut request = Request::new(Full::new(Bytes::from(body.to_string())));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = http::Uri::from_static(path);
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        if let Ok(host) = http::HeaderValue::from_str(&proxy.to_string()) {
            headers.insert(HOST, host);
        }
        if self.wire == Wire::Anthropic {
            headers.insert("anthropic-version", http::HeaderValue::from_static("2023-06-01"));
        }
        // Every SDK insists on a key; the application holds none.
        headers.insert("authorization", http::HeaderValue::from_static("Bearer placeholder"));
        request
    }

    fn written(self) -> (&'static str, Value) {
        let prompt = format!("Tell me about weirs. sim:tokens={}", self.tokens);
        let messages = json!([{"role": "user", "content": prompt}]);
        let stream = self.manner == Manner::Streamed;
        match (self.wire, stream) {
            (Wire::Anthropic, _) => {
                let body = json!({
                    "model": ANTHROPIC_MODEL, "max_tokens": 200, "messages": messages,
                    "stream": stream,
                });
                ("/v1/messages", body)
            }
            (Wire::Gemini, stream) => {
                let body = json!({"contents": [{"role": "user", "parts": [{"text": prompt}]}]});
                let whole = "/v1beta/models/gemini-2.5-flash:generateContent";
                let events = "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse";
                debug_assert!(whole.contains(GEMINI_MODEL), "the path names the model");
                (if stream { events } else { whole }, body)
            }
            (Wire::OpenAi | Wire::Cohere | Wire::Ollama | Wire::Http, _) => {
                let body = json!({
                    "model": OPENAI_MODEL, "max_tokens": 200, "messages": messages,
                    "stream": stream,
                });
                ("/v1/chat/completions", body)
            }
        }
    }

    /// Whether an answer came to its proper end.
    fn is_answered_by(self, text: &str) -> bool {
        let end = match (self.wire, self.manner) {
            (Wire::Gemini, _) => "\"STOP\"",
            (Wire::Anthropic, Manner::Streamed) => "\"message_stop\"",
            (Wire::Anthropic, Manner::Whole) => "\"end_turn\"",
            (_, Manner::Streamed) => "[DONE]",
            (_, Manner::Whole) => "\"stop\"",
        };
        text.contains(end)
    }
}
