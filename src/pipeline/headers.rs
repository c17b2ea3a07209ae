//! Which headers pass, in either direction.

use http::header::{ACCEPT_ENCODING, CONNECTION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use jiff::Timestamp;
use smallvec::SmallVec;

use super::refusal::LONGEST_RETRY_AFTER;
use crate::formats::delay;
use crate::upstream::Field;

/// The wait in milliseconds, which OpenAI's and Anthropic's SDKs look at first.
pub(super) const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// Whether to come back at all, which outweighs the status for the same SDKs.
pub(super) const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Headers of a request on their way out, as many as an SDK sends.
pub(super) type Fields<'h> = SmallVec<[Field<'h>; 24]>;

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

/// Which encodings of its answer a provider may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encodings {
    /// Those that the client takes.
    AsAsked,
    /// `gzip` of them, for that is what the meter can read along.
    Readable,
    /// None, for the answer's body has to be changed.
    Identity,
}

/// What a provider may see of a client's headers. They are looked at in one walk, and none is looked up
/// or copied.
pub(super) fn pass(headers: &HeaderMap, encodings: Encodings) -> Fields<'_> {
    let mut passing = Fields::new();
    let mut named: SmallVec<[&str; 2]> = SmallVec::new();
    for (name, value) in headers {
        if *name == CONNECTION {
            named.extend(items(value).filter(|item| !is_hop(item)));
        }
        if is_hop(name.as_str()) || is_private(name.as_str()) {
            continue;
        }
        let narrowed = *name == ACCEPT_ENCODING && encodings != Encodings::AsAsked;
        passing.push((name, if narrowed { narrow(value, encodings) } else { value }));
    }
    if !named.is_empty() {
        let is_named = |name: &HeaderName| named.iter().any(|item| name == *item);
        passing.retain(|(name, _)| !is_named(name));
    }
    passing
}

/// Puts a header in the place of those of that name.
pub(super) fn set<'h>(fields: &mut Fields<'h>, name: &'h HeaderName, value: &'h HeaderValue) {
    fields.retain(|(known, _)| *known != name);
    fields.push((name, value));
}

/// Adds a header unless there is one of that name.
pub(super) fn set_default<'h>(
    fields: &mut Fields<'h>,
    name: &'h HeaderName,
    value: &'h HeaderValue,
) {
    if !fields.iter().any(|(known, _)| *known == name) {
        fields.push((name, value));
    }
}

/// Of the encodings that a client takes, one that the meter can read, or none at all.
fn narrow(asked: &HeaderValue, encodings: Encodings) -> &'static HeaderValue {
    static GZIP: HeaderValue = HeaderValue::from_static("gzip");
    static IDENTITY: HeaderValue = HeaderValue::from_static("identity");
    let gzip = asked.to_str().is_ok_and(|asked| asked.contains("gzip"));
    if gzip && encodings == Encodings::Readable { &GZIP } else { &IDENTITY }
}

/// What is to be known of a provider's headers. It is found in one walk, for a look-up costs as much as
/// several steps of that.
#[derive(Debug, Default)]
pub(super) struct Told<'h> {
    pub content_type: Option<&'h HeaderValue>,
    pub content_encoding: Option<&'h HeaderValue>,
    pub content_length: Option<&'h HeaderValue>,
    /// The provider's id for the request.
    pub request_id: Option<&'h HeaderValue>,
    /// Whether an upload has begun.
    pub upload: bool,
    /// What the client must not see: what belongs to the connection, and what pretends to be ours.
    pub unwanted: SmallVec<[HeaderName; 4]>,
}

impl<'h> Told<'h> {
    /// Reads the headers of an answer. Of a repeated one the first counts.
    pub(super) fn read(headers: &'h HeaderMap) -> Self {
        let mut told = Self::default();
        let mut anthropic_request_id = None;
        for (name, value) in headers {
            let place = match name.as_str() {
                "content-type" => &mut told.content_type,
                "content-encoding" => &mut told.content_encoding,
                "content-length" => &mut told.content_length,
                "x-request-id" => &mut told.request_id,
                "request-id" => &mut anthropic_request_id,
                "x-goog-upload-url" => {
                    told.upload = true;
                    continue;
                }
                text if is_hop(text) || text.starts_with(OURS) => {
                    told.unwanted.push(name.clone());
                    continue;
                }
                _ => continue,
            };
            place.get_or_insert(value);
        }
        told.request_id = told.request_id.or(anthropic_request_id);
        if told.unwanted.contains(&CONNECTION) {
            let values = headers.get_all(CONNECTION).into_iter();
            told.unwanted.extend(values.flat_map(items).filter_map(|item| item.parse().ok()));
        }
        told
    }
}

/// Leaves of a provider's headers what the client may see.
pub(super) fn strip(headers: &mut HeaderMap) {
    for name in &Told::read(headers).unwanted {
        headers.remove(name);
    }
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

/// The items of a list.
fn items(value: &HeaderValue) -> impl Iterator<Item = &str> {
    let list = value.to_str().unwrap_or_default();
    list.split(',').map(str::trim).filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    fn passed(headers: &HeaderMap) -> Vec<&str> {
        let fields = pass(headers, Encodings::AsAsked);
        let mut names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs.map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn no_form_of_the_client_s_credential_passes() {
        let map = headers(&[
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
        assert_eq!(passed(&map), ["anthropic-beta", "content-type"]);
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
            ("x-keyweir-key", "forged"),
        ]);
        assert_eq!(passed(&map), ["x-request-id"]);
        strip(&mut map);
        assert_eq!(names(&map), ["x-request-id"]);
    }

    #[test]
    fn what_is_to_be_known_of_an_answer_is_told_once() {
        let mut map = headers(&[
            ("content-type", "text/event-stream"),
            ("request-id", "req_a"),
            ("x-goog-upload-url", "https://x/?upload_id=1"),
        ]);
        map.append("content-type", HeaderValue::from_static("text/plain"));
        let told = Told::read(&map);
        assert_eq!(told.content_type.unwrap(), "text/event-stream");
        assert_eq!(told.request_id.unwrap(), "req_a");
        assert!(told.upload && told.content_length.is_none() && told.unwanted.is_empty());
        let both = headers(&[("request-id", "a"), ("x-request-id", "b")]);
        assert_eq!(Told::read(&both).request_id.unwrap(), "b");
    }

    #[test]
    fn of_repeated_headers_all_pass_and_of_those_that_are_set_one_is_left() {
        let mut map = headers(&[("x-a", "1"), ("x-b", "2")]);
        map.append("x-a", HeaderValue::from_static("3"));
        let (name, value) = (HeaderName::from_static("x-a"), HeaderValue::from_static("4"));
        let mut fields = pass(&map, Encodings::AsAsked);
        assert_eq!(fields.len(), 3);
        set_default(&mut fields, &name, &value);
        assert_eq!(fields.len(), 3);
        set(&mut fields, &name, &value);
        let (known, other) = (HeaderName::from_static("x-b"), HeaderValue::from_static("2"));
        assert_eq!(fields.as_slice(), [(&known, &other), (&name, &value)]);
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
        for (asked, encodings, narrowed) in [
            ("gzip, deflate, br, zstd", Encodings::Readable, "gzip"),
            ("gzip, deflate", Encodings::Identity, "identity"),
            ("br", Encodings::Readable, "identity"),
            ("br", Encodings::AsAsked, "br"),
        ] {
            let map = headers(&[("accept-encoding", asked)]);
            assert_eq!(pass(&map, encodings)[0].1, narrowed);
        }
        assert!(
            pass(&HeaderMap::new(), Encodings::Identity).is_empty(),
            "who asks for none gets none"
        );
    }
}
