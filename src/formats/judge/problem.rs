//! An error body, whatever its shape: OpenAI's, Anthropic's, Google's, flat ones, RFC 9457's, a bare
//! string, an array around any of them. What cannot be read says nothing.

use std::io::Read;

use flate2::read::{MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use serde_json::Value;

use crate::formats::{Dimension, delay};

/// Of a body, at most this much is read. A longer one is no error of any provider's.
const MAX_BODY: usize = 64 * 1024;
/// Of a message, at most this much is looked at.
const MAX_MESSAGE: usize = 4 * 1024;
/// The longest word that is taken for a code.
const MAX_CODE: usize = 64;

/// What an error body says.
#[derive(Debug, Default)]
pub(super) struct Problem {
    /// The object that holds it all; null if the body could not be read.
    root: Value,
    /// The message, in lower case.
    message: String,
}

impl Problem {
    /// Reads a body.
    pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Self {
        let body = body.get(..MAX_BODY).unwrap_or(body);
        let encoding = headers.get(CONTENT_ENCODING).map_or(&b""[..], |value| value.as_bytes());
        let parsed = match encoding {
            b"gzip" | b"x-gzip" => parse(&inflate(MultiGzDecoder::new(body))),
            b"deflate" => parse(&inflate(ZlibDecoder::new(body))),
            _ => parse(body),
        };
        let root = match parsed {
            Some(Value::Array(items)) => items.into_iter().next().unwrap_or_default(),
            other => other.unwrap_or_default(),
        };
        let message = message_in(&root);
        let message = message.get(..message.floor_char_boundary(MAX_MESSAGE)).unwrap_or_default();
        Self { message: message.to_ascii_lowercase(), root }
    }

    /// The message, in lower case; empty if there is none.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// Whether the message begins with `phrase`, which is in lower case.
    pub(super) fn begins(&self, phrase: &str) -> bool {
        self.message.starts_with(phrase)
    }

    /// Whether the message holds `phrase`, which is in lower case.
    pub(super) fn says(&self, phrase: &str) -> bool {
        self.message.contains(phrase)
    }

    /// `error.code`, where it is a string.
    pub(super) fn code(&self) -> &str {
        text(self.error(), "code")
    }

    /// `error.type`.
    pub(super) fn kind(&self) -> &str {
        text(self.error(), "type")
    }

    /// `error.status`: Google's word for it.
    pub(super) fn status(&self) -> &str {
        text(self.error(), "status")
    }

    /// `error.details.error_code`: Anthropic's.
    pub(super) fn error_code(&self) -> &str {
        self.error().get("details").map_or("", |details| text(details, "error_code"))
    }

    /// `error.metadata`: OpenRouter's; null if there is none.
    pub(super) fn metadata(&self) -> &Value {
        self.error().get("metadata").unwrap_or(&Value::Null)
    }

    /// A field of the outermost object; null if there is none.
    pub(super) fn outer(&self, name: &str) -> &Value {
        self.root.get(name).unwrap_or(&Value::Null)
    }

    /// Google's details of that type (`ErrorInfo`, `QuotaFailure`, `RetryInfo`).
    pub(super) fn details(&self, kind: &str) -> impl Iterator<Item = &Value> {
        let details = self.error().get("details").and_then(Value::as_array);
        details.into_iter().flatten().filter(move |detail| {
            text(detail, "@type").rsplit_once('.').is_some_and(|(_, last)| last == kind)
        })
    }

    /// `reason` of Google's `ErrorInfo`.
    pub(super) fn reason(&self) -> &str {
        self.details("ErrorInfo").map(|info| text(info, "reason")).next().unwrap_or_default()
    }

    /// The violations of Google's `QuotaFailure`.
    pub(super) fn violations(&self) -> impl Iterator<Item = &Value> {
        let lists = self.details("QuotaFailure").filter_map(|failure| failure.get("violations"));
        lists.filter_map(Value::as_array).flatten()
    }

    /// What the message or the type says is exhausted.
    pub(super) fn dimension(&self) -> Option<Dimension> {
        match self.kind() {
            "requests" => return Some(Dimension::Requests),
            "tokens" => return Some(Dimension::Tokens),
            _ => {}
        }
        let phrases = [
            ("input tokens per", Dimension::InputTokens),
            ("output tokens per", Dimension::OutputTokens),
            ("tokens per", Dimension::Tokens),
            ("token rate limit", Dimension::Tokens),
            ("requests per", Dimension::Requests),
            ("call rate limit", Dimension::Requests),
            ("requests rate limit", Dimension::Requests),
            ("api calls /", Dimension::Requests),
        ];
        phrases.into_iter().find_map(|(phrase, what)| self.says(phrase).then_some(what))
    }

    /// The provider's own word for logs: the most telling one that is a word. Never a message.
    pub(super) fn word(&self) -> Option<Box<str>> {
        let error = self.error();
        let mut quotas = self.violations().map(|violation| text(violation, "quotaId"));
        let daily = quotas.find(|id| id.contains("PerDay"));
        let quota = daily.or_else(|| self.violations().map(|v| text(v, "quotaId")).next());
        let metadata = self.metadata();
        let code = Some(self.code()).filter(|code| !code.bytes().all(|byte| byte.is_ascii_digit()));
        let words = [
            self.error_code(),
            quota.unwrap_or_default(),
            self.reason(),
            text(metadata, "reason"),
            text(metadata, "limit_source"),
            code.unwrap_or_default(),
            self.kind(),
            self.status(),
            self.code(),
        ];
        let number = || clean(&error.get("code").and_then(Value::as_u64)?.to_string());
        words.into_iter().find_map(clean).or_else(number)
    }

    /// The object that tells what is wrong: `error`, or in flat bodies the outermost.
    fn error(&self) -> &Value {
        self.root.get("error").filter(|error| error.is_object()).unwrap_or(&self.root)
    }
}

/// A code fit for a log or a label: one word of at most 64 letters, digits, `_`, `.` and `-`.
pub(super) fn clean(word: &str) -> Option<Box<str>> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let is_word = !word.is_empty() && word.len() <= MAX_CODE && word.bytes().all(fits);
    is_word.then(|| word.into())
}

/// A field that is a string; empty if it is not.
pub(super) fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The number that stands behind `lead`, commas allowed: "Limit 30,000".
pub(super) fn number_after(message: &str, lead: &str) -> Option<u64> {
    message.split(lead).skip(1).find_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != ',').unwrap_or(rest.len());
        rest.get(..end)?.replace(',', "").parse().ok()
    })
}

/// The delay that a number of seconds in the body tells.
pub(super) fn seconds(value: &Value) -> Option<std::time::Duration> {
    let length = std::time::Duration::try_from_secs_f64(value.as_f64()?).ok()?;
    Some(length).filter(|length| *length <= delay::LONGEST)
}

fn message_in(root: &Value) -> &str {
    let error = root.get("error").unwrap_or(root);
    if let Some(message) = error.as_str() {
        return message;
    }
    let words = ["message", "detail", "title"].map(|name| text(error, name));
    words.into_iter().find(|word| !word.is_empty()).unwrap_or_default()
}

fn parse(body: &[u8]) -> Option<Value> {
    let is_json = matches!(body.trim_ascii_start().first()?, b'{' | b'[');
    if is_json { serde_json::from_slice(body).ok() } else { None }
}

/// As much of a compressed body as is read of a plain one; a broken one as far as it goes.
fn inflate(decoder: impl Read) -> Vec<u8> {
    let mut plain = Vec::new();
    let limit = u64::try_from(MAX_BODY).unwrap_or(u64::MAX);
    match decoder.take(limit).read_to_end(&mut plain) {
        Ok(_) | Err(_) => plain,
    }
}
