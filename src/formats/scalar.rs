//! Values that should be a number or a word, and may be anything: a provider's slip in one field
//! must not cost the others.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The longest word that is taken for one, in bytes.
const MAX_WORD: usize = 64;

/// A value as far as it is understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Scalar {
    /// A whole number, not negative; `12.0` is one.
    Count(u64),
    /// A code, a status, a type: one word, which cannot quote a prompt or a key.
    Word(Box<str>),
    /// Anything else, or nothing.
    #[default]
    Else,
}

impl Scalar {
    /// Reads JSON.
    fn read(raw: &[u8]) -> Self {
        serde_json::from_slice(raw).unwrap_or_default()
    }

    /// The number.
    const fn count(&self) -> Option<u64> {
        if let Self::Count(count) = self { Some(*count) } else { None }
    }

    /// The word, or the number as one.
    pub(super) fn word(self) -> Option<Box<str>> {
        match self {
            Self::Count(count) => Some(count.to_string().into()),
            Self::Word(word) => Some(word),
            Self::Else => None,
        }
    }
}

/// The whole number that JSON tells, if it does.
pub(super) fn count(raw: &[u8]) -> Option<u64> {
    /// So many digits are never too large.
    const DIGITS: usize = 19;
    let digit =
        |sum: u64, byte: &u8| byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0'));
    if raw.first().is_none_or(|first| !first.is_ascii_digit()) {
        return None;
    }
    let plain = raw.get(..raw.len().min(DIGITS))?.iter().try_fold(0, digit);
    plain.filter(|_| raw.len() <= DIGITS).or_else(|| Scalar::read(raw).count())
}

/// The word that JSON tells, or its whole number as one. Most are plain, and not copied.
pub(super) fn word(raw: &[u8]) -> Option<Cow<'_, str>> {
    match plain_text(raw) {
        Some(text) => is_word(text).then_some(Cow::Borrowed(text)),
        None => Scalar::read(raw).word().map(|word| Cow::Owned(word.into_string())),
    }
}

/// The text of a JSON string, which has no escapes more often than not, and is not copied then.
pub(super) fn text(raw: &[u8]) -> Option<Cow<'_, str>> {
    let plain = plain_text(raw).map(Cow::Borrowed);
    plain.or_else(|| serde_json::from_slice::<String>(raw).ok().map(Cow::Owned))
}

/// The text of a JSON string without escapes, and without what no JSON string may hold.
fn plain_text(raw: &[u8]) -> Option<&str> {
    let text = raw.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let special = |byte: u8| byte < b' ' || byte == b'\\' || byte == b'"';
    let is_plain = !text.iter().fold(false, |any, &byte| any | special(byte));
    str::from_utf8(text).ok().filter(|_| is_plain)
}

fn is_word(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    (1..=MAX_WORD).contains(&text.len()) && text.bytes().all(plain)
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_u64<E>(self, count: u64) -> Result<Scalar, E> {
        Ok(Scalar::Count(count))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Scalar, E> {
        Ok(Scalar::Else)
    }

    #[expect(clippy::cast_possible_truncation, reason = "tokens come whole")]
    #[expect(clippy::cast_sign_loss, reason = "checked to be in range")]
    fn visit_f64<E>(self, count: f64) -> Result<Scalar, E> {
        Ok(if (0.0..1e15).contains(&count) { Scalar::Count(count as u64) } else { Scalar::Else })
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
        Ok(if is_word(text) { Scalar::Word(text.into()) } else { Scalar::Else })
    }

    fn visit_bool<E>(self, _: bool) -> Result<Scalar, E> {
        Ok(Scalar::Else)
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar::Else)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scalar, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Else)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Else)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(raw: &str) -> Option<Box<str>> {
        let word = super::word(raw.as_bytes()).map(|word| word.into_owned().into_boxed_str());
        assert_eq!(word, Scalar::read(raw.as_bytes()).word(), "{raw}");
        word
    }

    #[test]
    fn a_word_is_short_and_plain() {
        assert_eq!(word(r#""rate_limit_exceeded""#).as_deref(), Some("rate_limit_exceeded"));
        assert_eq!(word("429").as_deref(), Some("429"));
        let long = format!("{:?}", "x".repeat(MAX_WORD + 1));
        for none in ["null", "true", "-1", "{}", "[1]", r#""""#, r#""my key is sk-1""#, &long, "?"]
        {
            assert_eq!(word(none), None, "{none}");
        }
    }

    #[test]
    fn a_count_is_whole_and_not_negative() {
        let count = |raw: &str| super::count(raw.as_bytes());
        for (raw, number) in [
            ("0", 0),
            ("12", 12),
            ("12.0", 12),
            ("1e3", 1_000),
            ("9999999999999999999", 9_999_999_999_999_999_999),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(count(raw), Some(number));
        }
        for none in ["-1", "1e300", "18446744073709551616", "\"12\"", "null", "{\"a\":1}", "1x", ""]
        {
            assert_eq!(count(none), None, "{none}");
        }
    }

    #[test]
    fn a_text_is_the_same_whether_it_is_copied_or_not() {
        let text = |raw: &str| super::text(raw.as_bytes()).map(Cow::into_owned);
        assert_eq!(text(r#""gpt-4o é""#).as_deref(), Some("gpt-4o é"));
        assert_eq!(text(r#""gpt\u002d4o""#).as_deref(), Some("gpt-4o"));
        for none in ["\"a\nb\"", r#""a"b""#, r#""a\""#, "12", "null", "\"", ""] {
            assert_eq!(text(none), None, "{none:?}");
        }
        assert_eq!(super::text(b"\"\xff\""), None);
    }
}
