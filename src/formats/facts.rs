//! What a JSON request asks for, read in one pass over the body and without a tree.
//!
//! Whatever is decided here must be what the provider will see: a body in which a name that matters
//! stands twice could be read one way here and another there, and is refused.

mod key;
mod prefix;
mod reader;
mod unreadable;
mod walk;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;

pub use unreadable::{Reason, Unreadable};

use super::edit::Edit;
use super::path::{Endpoint, PathFacts};
use super::stored::StoredIds;
use super::text::TextCounts;
use super::wire::{Dialect, Wire};
use reader::Reader;
use walk::{Found, Items, walk};

/// The longest model name that is taken, in bytes.
pub const MAX_MODEL_BYTES: usize = 256;

/// What a request asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The model: the path's, where it names one, else the body's.
    pub model: Option<Arc<str>>,
    /// Where the body names it: the JSON string, quotes included, in bytes. `None` where the path
    /// names it.
    pub model_span: Option<Range<usize>>,
    /// Whether the answer is to stream.
    pub stream: bool,
    /// The most output tokens that the request allows for one choice; of several such fields the
    /// largest.
    pub max_output: Option<u64>,
    /// How many answers are asked for at once (`n`, `best_of`, `candidateCount`), at least 1.
    pub choices: u32,
    /// The edit that makes an OpenAI-style stream end with its usage, where the request does not
    /// ask for that itself. See [`takes_stream_options`].
    pub ask_usage: Option<Edit>,
    /// The text of the request by byte class: every string and name below the top level, inlined
    /// media and ids left out.
    pub text: TextCounts,
    /// What tells a prompt from others by how it begins: its tools, its system prompt and its first
    /// turns. `None` for what is shorter than any provider caches, and for what is no prompt.
    pub prefix: Option<u64>,
    /// Images, inlined or referred to.
    pub images: u32,
    /// Documents, audio and video, inlined or referred to.
    pub documents: u32,
    /// Bytes of inlined media, as base64.
    pub inlined: u64,
    /// Stored things that path and body name.
    pub stored: StoredIds,
}

impl Facts {
    /// Reads a JSON body. Other bodies (multipart, audio) are not for this function:
    /// [`Facts::of_path`] is all there is to know of them.
    ///
    /// An endpoint whose fields are not known ([`Endpoint::is_known`]) may take any body: one that
    /// cannot be read here is the provider's to judge, and only the path's facts are told.
    pub fn read(path: &PathFacts, body: &[u8]) -> Result<Self, Unreadable> {
        match read_object(path, body) {
            Err(unreadable) if path.endpoint.is_known() => Err(unreadable),
            Err(_) => Ok(Self::of_path(path)),
            Ok(facts) => Ok(facts),
        }
    }

    /// What the path alone says.
    pub fn of_path(path: &PathFacts) -> Self {
        Self {
            model: path.model.clone(),
            stream: path.streams,
            choices: 1,
            stored: path.stored.clone(),
            ..Self::default()
        }
    }

    /// The edit that gives the body another model name; `None` where the body names none.
    pub fn rename(&self, name: &str) -> Option<Edit> {
        self.model_span.clone().map(|span| Edit::rename(span, name))
    }
}

/// Whether a provider of this dialect is to be asked for usage by `stream_options`. Mistral, Cohere
/// and Perplexity refuse or ignore the field, `OpenRouter` needs no asking: each tells usage anyway.
pub const fn takes_stream_options(dialect: Dialect) -> bool {
    !matches!(
        dialect,
        Dialect::Mistral | Dialect::Cohere | Dialect::Perplexity | Dialect::OpenRouter
    )
}

fn read_object(path: &PathFacts, body: &[u8]) -> Result<Facts, Unreadable> {
    let mut reader = Reader::new(body)?;
    let items = if path.endpoint == Endpoint::Responses { Items::ById } else { Items::Inlined };
    let found = walk(&mut reader, items).map_err(|_| reader.unreadable())?;
    gather(path, body, &found)
}

/// Turns what was found in the body into facts, which depend on the endpoint.
fn gather(path: &PathFacts, body: &[u8], found: &Found<'_>) -> Result<Facts, Unreadable> {
    let mut facts = Facts::of_path(path);
    if facts.model.is_none()
        && let Some((name, span)) = &found.model
    {
        let name = name.text();
        if name.len() > MAX_MODEL_BYTES {
            return Err(Unreadable::at(body, span.start, Reason::ModelTooLong));
        }
        facts.model = Some(name.into());
        facts.model_span = Some(span.clone());
    }
    // Ollama's own API streams unless told not to (its API reference).
    let chat = matches!(path.endpoint, Endpoint::ChatCompletions | Endpoint::Completions);
    let unless_told = path.wire == Wire::Ollama && chat;
    facts.stream |= found.stream.unwrap_or(unless_told);
    facts.max_output = found.max_output;
    facts.choices = found.choices.max(1);
    facts.text = found.text;
    if path.endpoint.is_prompt() {
        facts.prefix = found.prefix.finish();
    }
    facts.images = found.images;
    facts.documents = found.documents;
    facts.inlined = found.inlined;
    facts.stored.extend(found.stored.iter().cloned());
    if chat && path.wire == Wire::OpenAi && facts.stream {
        facts.ask_usage = ask_usage(body, found.stream_options.clone());
    }
    Ok(facts)
}

/// The options of an OpenAI-style stream, as far as usage goes.
#[derive(serde::Deserialize)]
struct StreamOptions<'a> {
    #[serde(borrow, default, deserialize_with = "written")]
    include_usage: Option<&'a RawValue>,
}

/// `null` is written too: an `Option` alone could not tell it from nothing.
fn written<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<&'de RawValue>, D::Error> {
    serde::Deserialize::deserialize(from).map(Some)
}

/// Makes `stream_options.include_usage` true, in the smallest way.
fn ask_usage(body: &[u8], options: Option<Range<usize>>) -> Option<Edit> {
    let edit = |range: Range<usize>, what: &'static str| {
        Some(Edit { range, text: Bytes::from_static(what.as_bytes()) })
    };
    let insert = |at: usize, what| edit(at..at, what);
    let Some(span) = options else {
        // The object is not empty: it says `stream`.
        return insert(
            memchr::memchr(b'{', body)? + 1,
            r#""stream_options":{"include_usage":true},"#,
        );
    };
    let options = str::from_utf8(body.get(span.clone())?).ok()?;
    if options == "null" {
        return edit(span, r#"{"include_usage":true}"#);
    }
    // Anything but an object is left for the provider to refuse.
    let inner = options.strip_prefix('{')?;
    let parsed: StreamOptions<'_> = serde_json::from_str(options).ok()?;
    match parsed.include_usage.map(RawValue::get) {
        Some("true") => None,
        Some(_) => {
            let told = span_of(options, parsed.include_usage?)?;
            edit(span.start + told.start..span.start + told.end, "true")
        }
        None if inner.trim_start().starts_with('}') => {
            insert(span.start + 1, r#""include_usage":true"#)
        }
        None => insert(span.start + 1, r#""include_usage":true,"#),
    }
}

/// Where in `text` a value borrowed from it stands.
fn span_of(text: &str, raw: &RawValue) -> Option<Range<usize>> {
    let raw = raw.get();
    let start = (raw.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    let end = start + raw.len();
    (text.get(start..end)? == raw).then_some(start..end)
}

#[cfg(test)]
mod tests;
