//! Which headers pass, in either direction.

use http::header::{ACCEPT_ENCODING, CONNECTION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use jiff::Timestamp;
use smallvec::SmallVec;

use super::refusal::LONGEST_RETRY_AFTER;
use crate::formats::delay;

/// The wait in milliseconds, which OpenAI's and Anthropic's SDKs look at first.
pub(super) const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// Whether to come back at all, which outweighs the status for the same SDKs.
pub(super) const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// The prefix of headers that are ours.
const OURS: &str = "x-keyweir-";

/// Headers that belong to one connection (RFC 9110, section 7.6.1).
fn is_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// What a client sends that its provider must not see: credentials in any form, what only a key
/// declares for itself, what is written anew for each try, and what is meant for us.
fn is_private(name: &str) -> bool {
    matches!(
        name,
        "authorization"
            | "x-api-key"
            | "api-key"
            | "x-goog-api-key"
            | "openai-organization"
            | "openai-project"
            | "x-goog-user-project"
            | "host"
            | "expect"
            | "content-length"
    ) || name.starts_with(OURS)
}

/// Leaves of a client's headers what its provider may see.
pub(super) fn strip_request(headers: &mut HeaderMap) {
    strip(headers, |name| is_hop(name) || is_private(name));
}

/// Leaves of a provider's headers what the client may see.
pub(super) fn strip_answer(headers: &mut HeaderMap) {
    strip(headers, is_hop);
    // Nobody but Keyweir speaks in its name.
    strip_ours(headers);
}

/// Says "do not retry" in the place of a wait that no client should sleep for: some SDKs would, for
/// hours. What a provider says in a refusal that is passed on is no exception.
pub(super) fn spare_sleepers(headers: &mut HeaderMap, wall: Timestamp) {
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or(""));
    let millis = text(RETRY_AFTER_MS).map(delay::millis);
    let told = millis.into_iter().chain(text(RETRY_AFTER).map(|told| delay::header(told, wall)));
    // One that cannot be read may be longer than anything.
    if told.into_iter().any(|wait| wait.is_none_or(|wait| wait > LONGEST_RETRY_AFTER)) {
        headers.remove(RETRY_AFTER_MS);
        headers.remove(RETRY_AFTER);
        headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
}

/// Leaves `gzip` of the encodings that a client takes, for that is what the meter can read along;
/// `identity` where the answer's body has to be changed.
pub(super) fn narrow_encodings(headers: &mut HeaderMap, changed: bool) {
    let Some(asked) = headers.get(ACCEPT_ENCODING) else { return };
    let gzip = asked.to_str().is_ok_and(|asked| asked.contains("gzip"));
    let narrowed = if gzip && !changed { "gzip" } else { "identity" };
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(narrowed));
}

/// The query without the `key` that Gemini's clients may put there.
pub(super) fn strip_query(query: &str) -> Option<String> {
    if !query.split('&').any(is_key) {
        return None;
    }
    Some(query.split('&').filter(|pair| !is_key(pair)).collect::<Vec<_>>().join("&"))
}

/// Whether a pair of a query is named `key`, in whichever way that is spelt.
fn is_key(pair: &str) -> bool {
    let name = pair.split('=').next().unwrap_or_default();
    if !name.contains('%') {
        return name == "key";
    }
    let spelt = [("%6b", "k"), ("%6B", "k"), ("%65", "e"), ("%79", "y")];
    spelt.iter().fold(name.to_owned(), |name, (code, letter)| name.replace(code, letter)) == "key"
}

fn strip_ours(headers: &mut HeaderMap) {
    if headers.keys().any(|name| name.as_str().starts_with(OURS)) {
        let ours: Vec<_> =
            headers.keys().filter(|name| name.as_str().starts_with(OURS)).cloned().collect();
        for name in ours {
            headers.remove(name);
        }
    }
}

/// Takes out what is unwanted, and what `Connection` names. Most headers stay, so they are looked
/// at in one walk and none is looked up.
fn strip(headers: &mut HeaderMap, unwanted: impl Fn(&str) -> bool) {
    let mut gone: SmallVec<[HeaderName; 8]> =
        headers.keys().filter(|name| unwanted(name.as_str())).cloned().collect();
    if gone.contains(&CONNECTION) {
        gone.extend(named_by_connection(headers));
    }
    for name in &gone {
        headers.remove(name);
    }
}

fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(CONNECTION).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs.map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn no_form_of_the_client_s_credential_passes() {
        let mut map = headers(&[
            ("authorization", "Bearer a"),
            ("x-api-key", "b"),
            ("api-key", "c"),
            ("x-goog-api-key", "d"),
            ("openai-organization", "org"),
            ("openai-project", "proj"),
            ("x-goog-user-project", "p"),
            ("proxy-authorization", "Basic e"),
            ("x-keyweir-caller", "me"),
            ("content-type", "application/json"),
            ("anthropic-beta", "x"),
        ]);
        strip_request(&mut map);
        assert_eq!(names(&map), ["anthropic-beta", "content-type"]);
        assert_eq!(strip_query("alt=sse&key=AIza&x=1").as_deref(), Some("alt=sse&x=1"));
        assert_eq!(strip_query("key=AIza").as_deref(), Some(""));
        assert_eq!(strip_query("%6Be%79=AIza&a=%20").as_deref(), Some("a=%20"));
        assert_eq!(strip_query("alt=sse&monkey=1&%6bey2=x"), None);
    }

    #[test]
    fn headers_of_one_connection_stay_on_it_and_so_do_those_it_names() {
        let mut map = headers(&[
            ("connection", "close, X-Hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("x-request-id", "r"),
        ]);
        strip_answer(&mut map);
        assert_eq!(names(&map), ["x-request-id"]);
    }

    #[test]
    fn no_client_is_told_to_sleep_for_long() {
        for (name, value, stays) in [
            ("retry-after", "60", true),
            ("retry-after", "61", false),
            ("retry-after", "99999999999", false),
            ("retry-after", "Thu, 01 Jan 1970 00:00:30 GMT", true),
            ("retry-after", "Thu, 01 Jan 1970 02:00:00 GMT", false),
            ("retry-after-ms", "1500.5", true),
            ("retry-after-ms", "7200000", false),
        ] {
            let mut map = headers(&[(name, value), ("x-request-id", "r")]);
            spare_sleepers(&mut map, Timestamp::UNIX_EPOCH);
            let expected =
                if stays { [name, "x-request-id"] } else { ["x-request-id", "x-should-retry"] };
            assert_eq!(names(&map), expected, "{name}: {value}");
        }
        let mut both = headers(&[("retry-after", "5"), ("retry-after-ms", "7200000")]);
        spare_sleepers(&mut both, Timestamp::UNIX_EPOCH);
        assert_eq!(names(&both), ["x-should-retry"]);
    }

    #[test]
    fn only_encodings_that_can_be_read_along_are_asked_for() {
        for (asked, changed, narrowed) in [
            ("gzip, deflate, br, zstd", false, "gzip"),
            ("gzip, deflate", true, "identity"),
            ("br", false, "identity"),
        ] {
            let mut map = headers(&[("accept-encoding", asked)]);
            narrow_encodings(&mut map, changed);
            assert_eq!(map[ACCEPT_ENCODING], narrowed);
        }
        let mut none = HeaderMap::new();
        narrow_encodings(&mut none, true);
        assert!(none.is_empty(), "who asks for none gets none");
    }
}
