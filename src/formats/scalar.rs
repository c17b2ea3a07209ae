//! Values that should be a number or a word, and may be anything: a provider's slip in one field
//! must not cost the others.

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
    pub(super) fn read(raw: &[u8]) -> Self {
        serde_json::from_slice(raw).unwrap_or_default()
    }

    /// The number.
    pub(super) const fn count(&self) -> Option<u64> {
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
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        let is_word = (1..=MAX_WORD).contains(&text.len()) && text.bytes().all(plain);
        Ok(if is_word { Scalar::Word(text.into()) } else { Scalar::Else })
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
        Scalar::read(raw.as_bytes()).word()
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
        let count = |raw: &str| Scalar::read(raw.as_bytes()).count();
        assert_eq!((count("12"), count("12.0")), (Some(12), Some(12)));
        for none in ["-1", "1e300", "\"12\"", "null", "{\"a\":1}"] {
            assert_eq!(count(none), None, "{none}");
        }
    }
}
