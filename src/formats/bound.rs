//! A bound on output for requests that name none themselves.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::edit::Edit;
use super::path::{Endpoint, PathFacts};
use super::wire::{Dialect, Wire};

/// Where a request says how many output tokens it allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    /// At the top.
    Top(&'static str),
    /// In an object at the top, by its spellings.
    In(&'static [&'static str], &'static [&'static str]),
}

/// The field in which a request says how many output tokens it allows, as it is written there; of
/// several the first.
pub fn output_field(path: &PathFacts, body: &[u8]) -> Option<&'static str> {
    const TOP: [&str; 3] = ["max_completion_tokens", "max_tokens", "max_output_tokens"];
    let text = str::from_utf8(body).ok()?;
    let is_in = |object: &str, name: &str| member(object, &[name]).flatten().is_some();
    if let Some(name) = TOP.into_iter().find(|name| is_in(text, name)) {
        return Some(name);
    }
    let Field::In(outer, names) = field(path, Dialect::Generic)? else { return None };
    let inner = member(text, outer).flatten().and_then(|span| text.get(span))?;
    names.iter().copied().find(|name| is_in(inner, name))
}

/// The edit that has a request which does not say how many output tokens it allows say `most`.
/// `None` where there is no such field, or something stands there that is the provider's to judge.
pub fn bound_output(path: &PathFacts, dialect: Dialect, body: &[u8], most: u64) -> Option<Edit> {
    let text = str::from_utf8(body).ok()?;
    let (outer, names) = match field(path, dialect)? {
        Field::Top(name) => return set(text, 0..text.len(), &[name], &most.to_string()),
        Field::In(outer, names) => (outer, names),
    };
    let object = format!("{{\"{}\":{most}}}", names.first()?);
    match member(text, outer)? {
        Some(inner) if text.get(inner.clone())? != "null" => {
            set(text, inner, names, &most.to_string())
        }
        _ => set(text, 0..text.len(), outer, &object),
    }
}

/// OpenAI's own models refuse `max_tokens` where they reason, and take `max_completion_tokens`
/// everywhere (its API reference); most who copy its API know the older name only. Anthropic's
/// requests cannot be without it.
fn field(path: &PathFacts, dialect: Dialect) -> Option<Field> {
    match (path.endpoint, path.wire) {
        (Endpoint::ChatCompletions, Wire::OpenAi)
            if matches!(dialect, Dialect::OpenAi | Dialect::Azure) =>
        {
            Some(Field::Top("max_completion_tokens"))
        }
        (Endpoint::ChatCompletions | Endpoint::Completions, Wire::Ollama) => {
            Some(Field::In(&["options"], &["num_predict"]))
        }
        (Endpoint::ChatCompletions | Endpoint::Completions | Endpoint::Messages, _) => {
            Some(Field::Top("max_tokens"))
        }
        (Endpoint::Responses, _) => Some(Field::Top("max_output_tokens")),
        (Endpoint::GenerateContent | Endpoint::StreamGenerateContent, _) => Some(Field::In(
            &["generationConfig", "generation_config"],
            &["maxOutputTokens", "max_output_tokens"],
        )),
        (
            Endpoint::Embeddings
            | Endpoint::CountTokens
            | Endpoint::GeminiCountTokens
            | Endpoint::EmbedContent
            | Endpoint::Models
            | Endpoint::Stored
            | Endpoint::Other,
            _,
        ) => None,
    }
}

/// Gives the object at `at` that member, in place of a `null` where one stands.
fn set(text: &str, at: Range<usize>, names: &[&str], value: &str) -> Option<Edit> {
    let object = text.get(at.clone())?;
    match member(object, names)? {
        Some(span) if object.get(span.clone())? == "null" => {
            let range = at.start + span.start..at.start + span.end;
            Some(Edit { range, text: Bytes::from(value.to_owned()) })
        }
        Some(_) => None,
        None => {
            let open = object.find('{')? + 1;
            let empty = object.get(open..)?.trim_start().starts_with('}');
            let comma = if empty { "" } else { "," };
            let text = format!("\"{}\":{value}{comma}", names.first()?);
            let place = at.start + open;
            Some(Edit { range: place..place, text: Bytes::from(text) })
        }
    }
}

/// Where in an object the value of the first of these names stands; `None` in the outer place if it
/// is no object.
fn member(object: &str, names: &[&str]) -> Option<Option<Range<usize>>> {
    let mut deserializer = serde_json::Deserializer::from_str(object);
    let found = Member(names).deserialize(&mut deserializer).ok()?;
    Some(found.and_then(|raw| {
        let raw = raw.get();
        let start = (raw.as_ptr() as usize).checked_sub(object.as_ptr() as usize)?;
        let span = start..start + raw.len();
        (object.get(span.clone())? == raw).then_some(span)
    }))
}

struct Member<'n>(&'n [&'n str]);

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            if found.is_none() && self.0.contains(&&*name) {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::{Facts, apply};

    fn bounded(path: &PathFacts, dialect: Dialect, body: &'static str) -> Option<String> {
        let edit = bound_output(path, dialect, body.as_bytes(), 99)?;
        let pieces = apply(&Bytes::from_static(body.as_bytes()), &[edit]).pieces;
        let text = String::from_utf8(pieces.concat()).unwrap();
        let facts = Facts::read(path, text.as_bytes()).expect("it stays readable");
        assert_eq!(facts.max_output, Some(99), "{text}");
        Some(text)
    }

    #[test]
    fn each_wire_format_has_its_own_word_and_place_for_it() {
        let chat = PathFacts::of(Endpoint::ChatCompletions, Wire::OpenAi);
        for (path, dialect, body, expected) in [
            (
                &chat,
                Dialect::OpenAi,
                r#"{"model":"m"}"#,
                r#"{"max_completion_tokens":99,"model":"m"}"#,
            ),
            (&chat, Dialect::Mistral, r#"{"model":"m"}"#, r#"{"max_tokens":99,"model":"m"}"#),
            (&chat, Dialect::Mistral, " { } ", r#" {"max_tokens":99 } "#),
            (&chat, Dialect::Mistral, r#"{"max_tokens": null}"#, r#"{"max_tokens": 99}"#),
            (
                &PathFacts::of(Endpoint::Responses, Wire::OpenAi),
                Dialect::OpenAi,
                r#"{"input":"x"}"#,
                r#"{"max_output_tokens":99,"input":"x"}"#,
            ),
            (
                &PathFacts::of(Endpoint::ChatCompletions, Wire::Ollama),
                Dialect::Ollama,
                r#"{"options":{"seed":1}}"#,
                r#"{"options":{"num_predict":99,"seed":1}}"#,
            ),
        ] {
            assert_eq!(bounded(path, dialect, body).as_deref(), Some(expected));
        }
    }

    #[test]
    fn gemini_has_it_in_an_object_that_may_be_there_or_not() {
        let path = PathFacts::of(Endpoint::GenerateContent, Wire::Gemini);
        for (body, expected) in [
            (r#"{"contents":[]}"#, r#"{"generationConfig":{"maxOutputTokens":99},"contents":[]}"#),
            (r#"{"generationConfig":null}"#, r#"{"generationConfig":{"maxOutputTokens":99}}"#),
            (r#"{"generation_config":{}}"#, r#"{"generation_config":{"maxOutputTokens":99}}"#),
            (
                r#"{"generationConfig": {"topK":1}}"#,
                r#"{"generationConfig": {"maxOutputTokens":99,"topK":1}}"#,
            ),
        ] {
            assert_eq!(bounded(&path, Dialect::Gemini, body).as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_stands_there_already_stays() {
        let chat = PathFacts::of(Endpoint::ChatCompletions, Wire::OpenAi);
        for body in [r#"{"max_tokens":5}"#, r#"{"max_tokens":"many"}"#, "[]", "nonsense"] {
            assert_eq!(bound_output(&chat, Dialect::Groq, body.as_bytes(), 9), None, "{body}");
        }
        let embeddings = PathFacts::of(Endpoint::Embeddings, Wire::OpenAi);
        assert_eq!(bound_output(&embeddings, Dialect::OpenAi, b"{}", 9), None);
    }

    #[test]
    fn the_field_is_told_as_it_is_written() {
        let chat = PathFacts::of(Endpoint::ChatCompletions, Wire::OpenAi);
        assert_eq!(output_field(&chat, br#"{"max_tokens":5}"#), Some("max_tokens"));
        assert_eq!(output_field(&chat, br#"{"a":{"max_tokens":5}}"#), None);
        let gemini = PathFacts::of(Endpoint::GenerateContent, Wire::Gemini);
        let body = br#"{"generationConfig":{"max_output_tokens":5}}"#;
        assert_eq!(output_field(&gemini, body), Some("max_output_tokens"));
    }
}
