//! The keys' states as the proxy tells them on `/status`. What is missing there is not shown.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, Uri};
use http_body_util::Full;
use serde::Deserialize;

use super::client::fetch;

/// The admin port answers at once or is not asked again until the next time.
const PATIENCE: Duration = Duration::from_millis(300);

/// The state of each key, by its name.
pub(super) type KeyStates = BTreeMap<String, String>;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    providers: Vec<Provider>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Provider {
    keys: Vec<Key>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Key {
    name: String,
    state: String,
}

/// Asks the proxy; `None` if it says nothing that can be read.
pub(super) async fn fetch_states(admin: SocketAddr) -> Option<KeyStates> {
    let mut request = Request::new(Full::new(Bytes::new()));
    *request.uri_mut() = Uri::from_static("/status");
    request.headers_mut().insert(HOST, HeaderValue::from_static("localhost"));
    request.headers_mut().insert("accept", HeaderValue::from_static("application/json"));
    let (status, body) = tokio::time::timeout(PATIENCE, fetch(admin, request)).await.ok()?.ok()?;
    if status == 200 { read(&body) } else { None }
}

fn read(body: &[u8]) -> Option<KeyStates> {
    let status: Status = serde_json::from_slice(body).ok()?;
    let keys = status.providers.into_iter().flat_map(|provider| provider.keys);
    // A key is named by its Secret's entry; what stands before it does not matter here.
    let entry = |name: String| name.rsplit('/').next().map(str::to_owned).unwrap_or(name);
    Some(keys.map(|key| (entry(key.name), key.state)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_and_what_is_unknown_is_passed_over() {
        let body = br#"{"version": 1, "providers": [{"name": "openai", "keys": [
            {"name": "main-1", "state": "ready", "weight": 1}, {"name": "demo-openai/eu-1"}]}, {}]}"#;
        let states = read(body).unwrap();
        assert_eq!(states["main-1"], "ready");
        assert_eq!(states["eu-1"], "");
        assert_eq!(read(b"<html>"), None);
    }
}
