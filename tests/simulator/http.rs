//! A client that hides nothing: one connection per request, the whole answer with all its headers.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use keyweir::simulator::{Account, Habit, Limits, Model, ModelKind, Plan, Simulator};
use serde_json::Value;
use tokio::net::TcpStream;

/// An answer, as far as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Whether the body came to its proper end.
    pub(crate) whole: bool,
}

/// A request to a simulator.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    method: &'static str,
    path: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

pub(crate) fn post(path: &str, body: &Value) -> Ask {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    Ask { method: "POST", path: path.to_owned(), headers, body: Bytes::from(body.to_string()) }
}

pub(crate) fn get(path: &str) -> Ask {
    Ask { method: "GET", path: path.to_owned(), headers: Vec::new(), body: Bytes::new() }
}

impl Ask {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(found, _)| found != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// With OpenAI's credential.
    pub(crate) fn bearer(self, key: &str) -> Self {
        self.header("authorization", &format!("Bearer {key}"))
    }

    /// With Anthropic's credential and version.
    pub(crate) fn anthropic(self, key: &str) -> Self {
        self.header("x-api-key", key).header("anthropic-version", "2023-06-01")
    }

    /// With Gemini's credential.
    pub(crate) fn google(self, key: &str) -> Self {
        self.header("x-goog-api-key", key)
    }

    pub(crate) async fn to(&self, simulator: &Simulator) -> Answer {
        self.try_to(simulator.addr()).await.unwrap()
    }

    pub(crate) async fn try_to(&self, addr: SocketAddr) -> Result<Answer, hyper::Error> {
        let stream = TcpStream::connect(addr).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::runtime::Handle::current().spawn(connection);
        let mut request = Request::builder().method(self.method).uri(&self.path);
        request = request.header("host", addr.to_string());
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(self.body.clone())).unwrap();
        let (head, mut incoming) = sender.send_request(request).await?.into_parts();
        let (mut body, mut whole) = (Vec::new(), true);
        while let Some(frame) = incoming.frame().await {
            let Ok(frame) = frame else {
                whole = false;
                break;
            };
            body.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
        }
        driver.abort();
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body: body.into(), whole })
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {:?}", self.body))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The `data:` of each event.
    pub(crate) fn data(&self) -> Vec<String> {
        let text = self.text();
        let lines = text.lines().filter_map(|line| line.strip_prefix("data: "));
        lines.map(str::to_owned).collect()
    }

    /// The JSON of each event.
    pub(crate) fn events(&self) -> Vec<Value> {
        let data = self.data();
        data.iter().filter_map(|data| serde_json::from_str(data).ok()).collect()
    }
}

/// A key of each provider.
pub(crate) const OPENAI: &str = "sk-simulated-openai-0001";
pub(crate) const AZURE: &str = "azure-simulated-00000001";
pub(crate) const ANTHROPIC: &str = "sk-ant-simulated-000001";
pub(crate) const GEMINI: &str = "AIza-simulated-000000001";

/// One account of each provider, without limits.
pub(crate) fn all() -> Plan {
    limited(Limits::NONE)
}

/// One account of each provider, its chat model with these limits.
pub(crate) fn limited(limits: Limits) -> Plan {
    let chat = |name: &str| Model::chat(name).limits(limits);
    Plan::of([
        Account::new(Habit::OpenAi, "org-one")
            .key("one", OPENAI)
            .model(chat("gpt-4o"))
            .model(Model::new(ModelKind::Reasoning, "o4-mini"))
            .model(Model::new(ModelKind::Embedding, "text-embedding-3-small"))
            .model(Model::new(ModelKind::Transcription, "whisper-1")),
        Account::new(Habit::Azure, "resource").key("az", AZURE).model(chat("my-gpt4o")),
        Account::new(Habit::Anthropic, "org-ant")
            .key("ant", ANTHROPIC)
            .model(chat("claude-sonnet-4-5")),
        Account::new(Habit::Gemini, "project")
            .key("gem", GEMINI)
            .model(chat("gemini-2.5-flash"))
            .model(Model::new(ModelKind::Embedding, "gemini-embedding-001")),
    ])
}

pub(crate) fn start(plan: Plan) -> Simulator {
    Simulator::start(plan).unwrap()
}
