//! `keyweir status`: what a proxy's `/status` says, for people.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde_json::Value;
use tokio::net::TcpStream;

use super::{Output, StatusArguments};
use crate::admin::status::{
    ConfigState, KeyStatus, LimitStatus, ProviderStatus, QuotaGroupStatus, Status, When,
};
use crate::sources::files;

/// How long the proxy may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest status that is read.
const LARGEST: usize = 16 * 1024 * 1024;

/// Asks, and prints the answer. Exit code 0: it is ready; 1: it is not, or does not answer.
pub(super) fn run(arguments: &StatusArguments) -> ExitCode {
    let (place, asked) = match &arguments.pod {
        Some(pod) => (pod.clone(), through_the_api_server(arguments, pod)),
        None => (arguments.admin.to_string(), directly(arguments)),
    };
    let (text, ready) = match asked.and_then(|body| told(&body, arguments.output)) {
        Ok(told) => told,
        Err(why) => {
            let message = format!("keyweir: no status from {place}: {why}\n");
            drop(io::stderr().write_all(message.as_bytes()));
            return ExitCode::FAILURE;
        }
    };
    // Whoever reads may have stopped reading; the exit code still tells.
    drop(io::stdout().write_all(text.as_bytes()));
    if ready { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn directly(arguments: &StatusArguments) -> Result<Bytes, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(ask(arguments))
}

/// The API server is the way into any pod, for whoever may use its `pods/proxy`.
fn through_the_api_server(arguments: &StatusArguments, pod: &str) -> Result<Bytes, String> {
    let kubectl = arguments.at.kubectl();
    let namespace = arguments.namespace.clone().map_or_else(|| kubectl.namespace(), Ok);
    let namespace = namespace.map_err(|why| why.to_string())?;
    let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}");
    let found = kubectl.get(&path).map_err(|why| why.to_string())?;
    let port = admin_port(&found).ok_or("it has no sidecar (keyweir check --cluster says why)")?;
    let status = kubectl.get(&format!("{path}:{port}/proxy/status"));
    status.map(|status| status.to_string().into()).map_err(|why| why.to_string())
}

fn admin_port(pod: &Value) -> Option<u64> {
    let rows = ["/spec/initContainers", "/spec/containers"].into_iter();
    let containers = rows.filter_map(|row| pod.pointer(row)?.as_array()).flatten();
    let ports = containers.filter_map(|container| container.get("ports")?.as_array()).flatten();
    let mut admin =
        ports.filter(|port| port.get("name").is_some_and(|name| name == "keyweir-admin"));
    admin.find_map(|port| port.get("containerPort")?.as_u64())
}

async fn ask(arguments: &StatusArguments) -> Result<Bytes, String> {
    let token = arguments.admin_token_file.as_deref().map(files::read_text).transpose();
    let token = token.map_err(|problem| problem.to_string())?;
    match tokio::time::timeout(PATIENCE, fetch(arguments.admin, token.as_deref())).await {
        Ok(fetched) => fetched,
        Err(_) => Err("it does not answer in time".to_owned()),
    }
}

async fn fetch(admin: SocketAddr, token: Option<&str>) -> Result<Bytes, String> {
    let stream = TcpStream::connect(admin).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let mut request = Request::get("/status").header(HOST, "localhost");
    if let Some(token) = token {
        let bearer = HeaderValue::try_from(format!("Bearer {}", token.trim()));
        request = request.header(AUTHORIZATION, bearer.map_err(|_| "the token is no token")?);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    let answered = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        if response.status() != StatusCode::OK {
            return Err(format!("it answers {}", response.status()));
        }
        let body = Limited::new(response.into_body(), LARGEST).collect().await;
        Ok(body.map_err(|error| error.to_string())?.to_bytes())
    };
    let driven = async {
        // Its end without an answer is told by the answer.
        drop(connection.await);
        std::future::pending().await
    };
    tokio::select! { answered = answered => answered, never = driven => never }
}

/// What is printed, and whether the proxy is ready.
fn told(body: &[u8], output: Output) -> Result<(String, bool), String> {
    let status: Status =
        serde_json::from_slice(body).map_err(|error| format!("it is no status: {error}"))?;
    let text = match output {
        Output::Text => text(&status),
        Output::Json => String::from_utf8_lossy(body).into_owned() + "\n",
    };
    Ok((text, status.ready))
}

fn text(status: &Status) -> String {
    let mut text = String::new();
    let ready = match (status.ready, &status.unready_reason) {
        (true, _) => "ready".to_owned(),
        (false, Some(why)) => format!("not ready ({why})"),
        (false, None) => "not ready".to_owned(),
    };
    let config = match status.config.state {
        ConfigState::Defaults => "no configuration",
        ConfigState::InForce => "configuration in force",
        ConfigState::Refused => "the latest configuration was refused, an earlier one is in force",
    };
    let up = Duration::from_secs(status.uptime_seconds);
    line(&mut text, &format!("keyweir {}, {ready}, up {up:?}; {config}", status.version));
    for message in status.config.message.iter().flat_map(|message| message.lines()) {
        line(&mut text, &format!("  {message}"));
    }
    for missing in &status.missing {
        line(&mut text, &format!("  missing: {missing}"));
    }
    for warning in &status.warnings {
        line(&mut text, &format!("  warning: {warning}"));
    }
    for provider in &status.providers {
        tell_provider(&mut text, provider, status.now);
    }
    text
}

fn tell_provider(text: &mut String, provider: &ProviderStatus, now: When) {
    let ProviderStatus { name, base_host, queue_depth, .. } = provider;
    let waiting = if *queue_depth > 0 { format!(", {queue_depth} waiting") } else { String::new() };
    line(text, &format!("\n{name} ({base_host}){waiting}"));
    let keys = provider.keys.iter().map(key);
    table(text, ["KEY", "QUOTA GROUP", "STATE", "WHY"], keys);
    let limits = provider.quota_groups.iter().flat_map(|group| limits(group, now));
    table(text, ["QUOTA GROUP", "LIMIT", "USED", "STATE"], limits);
}

fn key(key: &KeyStatus) -> [String; 4] {
    let forbidden = key.forbidden_models.iter().map(|model| format!("not for {model}"));
    let why: Vec<String> = key.reason_code.iter().cloned().chain(forbidden).collect();
    [key.name.clone(), key.quota_group.clone(), word(&key.state), why.join(", ")]
}

fn limits(group: &QuotaGroupStatus, now: When) -> impl Iterator<Item = [String; 4]> {
    let code = group.reason_code.as_ref().map(|code| format!(" ({code})"));
    let left = group.until.map(|until| Duration::from_secs(until.since(now).as_secs()));
    let left = left.map(|left| format!(", for {left:?}"));
    let state = [word(&group.state), code.unwrap_or_default(), left.unwrap_or_default()].concat();
    let none = group
        .limits
        .is_empty()
        .then(|| [group.name.clone(), "none known".to_owned(), String::new(), state.clone()]);
    let name = group.name.clone();
    let rows = group.limits.iter().map(move |limit| {
        let used = format!("{:.0} %", limit.used_ratio * 100.0);
        [name.clone(), rule(limit), used, state.clone()]
    });
    none.into_iter().chain(rows)
}

/// `500 requests in 60s of gpt-4o`.
fn rule(limit: &LimitStatus) -> String {
    let amount = limit.learned.or(limit.configured).map(|amount| amount.to_string());
    let window = Duration::from_secs(limit.window_seconds);
    let window = (!window.is_zero()).then(|| format!("in {window:?}"));
    let model = (!limit.model.is_empty()).then(|| format!("of {}", limit.model));
    let parts = [amount, Some(limit.limit.clone()), window, model];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// A state as `/status` writes it.
fn word(state: &impl Serialize) -> String {
    let written = serde_json::to_value(state).unwrap_or_default();
    written.as_str().unwrap_or_default().to_owned()
}

/// Rows below a head, in columns as wide as they need; nothing where there are none.
fn table(text: &mut String, head: [&str; 4], rows: impl Iterator<Item = [String; 4]>) {
    let rows: Vec<[String; 4]> = rows.collect();
    if rows.is_empty() {
        return;
    }
    let head = head.map(str::to_owned);
    let all = || std::iter::once(&head).chain(&rows);
    let width = |column: &dyn Fn(&[String; 4]) -> usize| all().map(column).max().unwrap_or(0);
    let widths = [
        width(&|[first, ..]| first.chars().count()),
        width(&|[_, second, ..]| second.chars().count()),
        width(&|[_, _, third, _]| third.chars().count()),
    ];
    for [first, second, third, fourth] in all() {
        let [a, b, c] = widths;
        line(text, &format!("  {first:a$}  {second:b$}  {third:c$}  {fourth}"));
    }
}

fn line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{
        "version": "0.1.0", "now": "2026-11-20T12:00:00Z", "uptimeSeconds": 90, "ready": true,
        "config": {"state": "inForce", "since": "2026-11-20T11:58:30Z", "sources": []},
        "missing": ["Secret anthropic-keys"],
        "providers": [{"name": "openai", "baseHost": "api.openai.com", "queueDepth": 2,
            "keys": [{"name": "team-a-1", "quotaGroup": "main", "state": "healthy"},
                {"name": "b", "quotaGroup": "main", "state": "disabled", "reasonCode": "invalid_api_key"}],
            "quotaGroups": [{"name": "main", "state": "held", "until": "2026-11-20T12:00:07Z",
                "limits": [{"model": "gpt-4o", "limit": "requests", "windowSeconds": 60,
                    "configured": 500, "levelRatio": 0.0, "usedRatio": 1.0}]}]}]
    }"#;

    #[test]
    fn keys_and_limits_are_told_in_columns() {
        let (text, ready) = told(BODY.as_bytes(), Output::Text).unwrap();
        assert!(ready);
        let expected = "\
keyweir 0.1.0, ready, up 90s; configuration in force
  missing: Secret anthropic-keys

openai (api.openai.com), 2 waiting
  KEY       QUOTA GROUP  STATE     WHY
  team-a-1  main         healthy
  b         main         disabled  invalid_api_key
  QUOTA GROUP  LIMIT                          USED   STATE
  main         500 requests in 60s of gpt-4o  100 %  held, for 7s
";
        assert_eq!(text, expected);
    }

    #[test]
    fn what_is_no_status_is_said_to_be_none() {
        assert!(told(b"<html>", Output::Json).is_err());
        let (text, ready) = told(b"{}", Output::Json).unwrap();
        assert_eq!((text.as_str(), ready), ("{}\n", false));
    }
}
