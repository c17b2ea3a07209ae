//! Lists of models in the asker's format: what the provider tells, with what only Keyweir knows, and
//! nothing that the caller may not use.

use bytes::Bytes;

use super::json::{Json, array, object, take};
use crate::formats::{Pattern, Wire};

/// A model that may be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name: an alias, or `provider/model`.
    pub name: Box<str>,
    /// Whose it is.
    pub owner: Box<str>,
    /// The largest input, in tokens, where it is known.
    pub context: Option<u32>,
}

/// A list that was asked for.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The asker's format.
    pub wire: Wire,
    /// What is added to the provider's list, in that order.
    pub own: Vec<Listed>,
    /// The names that the caller may use; none stands for all.
    pub allowed: Vec<Pattern>,
}

/// When a model was made, where nobody knows.
const NO_DATE: &str = "1970-01-01T00:00:00Z";

impl Listing {
    /// The list without a provider's.
    pub fn alone(&self) -> Bytes {
        let none = object([]);
        self.with(none)
    }

    /// The provider's list with ours; `None` where it is no list.
    pub fn merged(&self, body: &[u8]) -> Option<Bytes> {
        let body = Json::read(body).ok()?;
        matches!(body.get(self.field()), Some(Json::Array(_))).then(|| self.with(body))
    }

    fn with<'a>(&'a self, mut body: Json<'a>) -> Bytes {
        let told = match body.take(self.field()) {
            Some(Json::Array(told)) => told,
            _ => Vec::new(),
        };
        let told = told.into_iter().filter(|model| self.may_use(self.id(model)));
        let own = self.own.iter().filter(|model| self.may_use(&model.name));
        let models: Vec<Json<'_>> = own.map(|model| self.entry(model)).chain(told).collect();
        let Json::Object(fields) = &mut body else { return Bytes::new() };
        let ends = [models.first(), models.last()].map(|end| end.map(|it| self.id(it).to_owned()));
        fields.insert(0, (self.field().into(), models.into()));
        if self.wire == Wire::OpenAi {
            drop(take(fields, "object"));
            fields.insert(0, ("object".into(), "list".into()));
        } else if self.wire == Wire::Anthropic {
            let more = take(fields, "has_more").and_then(|more| more.as_bool()).unwrap_or(false);
            let [first, last] = ends;
            // Of a list that goes on, the provider's own last id leads to the next page.
            let told_last = take(fields, "last_id").filter(|_| more);
            drop(take(fields, "first_id"));
            fields.push(("has_more".into(), more.into()));
            fields.push(("first_id".into(), first.into()));
            fields.push(("last_id".into(), told_last.unwrap_or_else(|| last.into())));
        }
        super::to_bytes(&body)
    }

    fn may_use(&self, name: &str) -> bool {
        self.allowed.is_empty() || self.allowed.iter().any(|pattern| pattern.matches(name))
    }

    const fn field(&self) -> &'static str {
        if matches!(self.wire, Wire::Gemini) { "models" } else { "data" }
    }

    /// The name under which an entry is asked for.
    fn id<'m>(&self, model: &'m Json<'_>) -> &'m str {
        let field = if self.wire == Wire::Gemini { "name" } else { "id" };
        let name = model.get(field).and_then(Json::as_text).unwrap_or_default();
        name.strip_prefix("models/").filter(|_| self.wire == Wire::Gemini).unwrap_or(name)
    }

    fn entry<'a>(&self, model: &'a Listed) -> Json<'a> {
        let (name, context): (&str, Json<'_>) = (&model.name, model.context.into());
        match self.wire {
            Wire::Anthropic => object([
                ("type", "model".into()),
                ("id", name.into()),
                ("display_name", name.into()),
                ("created_at", NO_DATE.into()),
                ("max_input_tokens", context),
            ]),
            Wire::Gemini => object([
                ("name", format!("models/{name}").into()),
                ("baseModelId", name.into()),
                ("displayName", name.into()),
                ("inputTokenLimit", context),
                ("supportedGenerationMethods", array(["generateContent", "streamGenerateContent"])),
            ]),
            Wire::OpenAi | Wire::Cohere | Wire::Ollama | Wire::Http => object([
                ("id", name.into()),
                ("object", "model".into()),
                ("created", 0_u64.into()),
                ("owned_by", (&*model.owner).into()),
            ]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(wire: Wire, allowed: &[&str]) -> Listing {
        let chat = Listed { name: "chat".into(), owner: "keyweir".into(), context: None };
        let pattern = |text: &&str| Pattern {
            text: text.trim_end_matches('*').into(),
            open: text.ends_with('*'),
        };
        Listing { wire, own: vec![chat], allowed: allowed.iter().map(pattern).collect() }
    }

    fn text(bytes: &Bytes) -> &str {
        str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_provider_s_list_is_joined_with_ours_in_its_own_format() {
        let openai = br#"{"object":"list","data":[{"id":"gpt-4o","object":"model","created":5,"owned_by":"openai"}]}"#;
        assert_eq!(
            text(&listing(Wire::OpenAi, &[]).merged(openai).unwrap()),
            r#"{"object":"list","data":[{"id":"chat","object":"model","created":0,"owned_by":"keyweir"},{"id":"gpt-4o","object":"model","created":5,"owned_by":"openai"}]}"#
        );
        let anthropic = br#"{"data":[{"type":"model","id":"claude-x"}],"has_more":true,"first_id":"claude-x","last_id":"claude-x"}"#;
        let merged = listing(Wire::Anthropic, &[]).merged(anthropic).unwrap();
        assert!(
            text(&merged).ends_with(r#""has_more":true,"first_id":"chat","last_id":"claude-x"}"#)
        );
        let gemini = br#"{"models":[{"name":"models/gemini-x"}],"nextPageToken":"t"}"#;
        let merged = listing(Wire::Gemini, &[]).merged(gemini).unwrap();
        assert!(text(&merged).starts_with(r#"{"models":[{"name":"models/chat""#));
        assert!(text(&merged).contains(r#""nextPageToken":"t""#));
        assert!(listing(Wire::OpenAi, &[]).merged(b"<html>").is_none());
    }

    #[test]
    fn nobody_is_shown_what_he_may_not_use() {
        let gemini = br#"{"models":[{"name":"models/gemini-x"},{"name":"models/other"}]}"#;
        let merged = listing(Wire::Gemini, &["gemini-*"]).merged(gemini).unwrap();
        assert_eq!(text(&merged), r#"{"models":[{"name":"models/gemini-x"}]}"#);
        let alone = listing(Wire::OpenAi, &["chat"]).alone();
        assert!(text(&alone).contains(r#""id":"chat""#));
        assert_eq!(
            text(&listing(Wire::Anthropic, &["x"]).alone()),
            r#"{"data":[],"has_more":false,"first_id":null,"last_id":null}"#
        );
    }
}
