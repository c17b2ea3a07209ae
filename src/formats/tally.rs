//! What an answer has told so far.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;

use super::scalar::{self, Scalar};
use super::stored::{StoredId, StoredIds};
use super::usage::{Count, Counts};

/// The longest name that is kept, in bytes, quotes included.
const MAX_NAME_BYTES: usize = 256;

/// A member that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// Tokens used.
    Count(Count),
    /// Tokens billed.
    Billed(Count),
    /// The end of a usage object.
    UsageEnd,
    /// The model that served.
    Model,
    /// An id that may be of something stored.
    Id,
    /// An error.
    Error,
    /// The type of an event.
    Type,
    /// The code of an error event.
    Code,
    /// Why a choice ended.
    Finish,
    /// Gemini's verdict on the prompt.
    Feedback,
    /// Ollama's count of input tokens.
    PromptEval,
    /// Ollama's count of output tokens.
    Eval,
    /// Ollama's word that this is all.
    Done,
}

/// What an answer has told so far.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Tally {
    /// Tokens, as told.
    pub(super) counts: Counts,
    /// The model that served.
    pub(super) model: Option<Arc<str>>,
    /// Ids of what was stored.
    pub(super) stored: StoredIds,
    /// Bytes of output text, as JSON writes it.
    pub(super) text: u64,
    /// Whether there was an error.
    pub(super) failed: bool,
    /// Whether a choice has given its reason to end.
    pub(super) finished: bool,
    /// Whether the format's own last word was said.
    pub(super) done: bool,
    /// The type of the last event read whole.
    pub(super) kind: Option<Box<str>>,
    error_code: Option<Box<str>>,
    code: Option<Box<str>>,
    /// What the usage object under way has told.
    told: Counts,
    billed: Counts,
}

impl Tally {
    /// The provider's word for the error that was seen.
    pub(super) fn error_code(&self) -> Option<Box<str>> {
        self.error_code.clone().or_else(|| self.code.clone())
    }

    /// Takes a member's JSON; `None` stands for one too long to keep.
    pub(super) fn keep(&mut self, field: Field, raw: Option<&[u8]>) {
        match field {
            Field::Count(count) => self.told.note(count, raw.and_then(scalar::count)),
            Field::Billed(count) => self.billed.note(count, raw.and_then(scalar::count)),
            Field::UsageEnd => {
                self.counts.merge(&std::mem::take(&mut self.billed));
                self.counts.merge(&std::mem::take(&mut self.told));
            }
            Field::Model => self.model(raw),
            Field::Id => {
                self.stored.extend(raw.and_then(name).and_then(|id| StoredId::made(&id)));
            }
            Field::Error => self.error(raw),
            Field::Type => self.kind = raw.and_then(scalar::word).map(boxed),
            Field::Code => self.code = raw.and_then(scalar::word).map(boxed),
            Field::Finish => self.finish(raw.and_then(scalar::word)),
            Field::Feedback => self.finished |= raw.is_some_and(blocked),
            Field::PromptEval => {
                self.counts.input = raw.and_then(scalar::count).or(self.counts.input);
            }
            Field::Eval => self.counts.output = raw.and_then(scalar::count).or(self.counts.output),
            Field::Done => self.done |= raw == Some(b"true"),
        }
    }

    fn model(&mut self, raw: Option<&[u8]>) {
        let Some(model) = raw.and_then(name) else { return };
        // Gemini names it in every chunk.
        if self.model.as_deref() != Some(&*model) {
            self.model = Some(model.into());
        }
    }

    fn error(&mut self, raw: Option<&[u8]>) {
        // Every response of OpenAI's says `"error":null`.
        if matches!(raw, Some(b"null" | b"false" | b"\"\"" | b"{}")) {
            return;
        }
        self.failed = true;
        let told = raw.and_then(|raw| serde_json::from_slice::<ErrorTold>(raw).ok());
        self.error_code = told.and_then(ErrorTold::code).or_else(|| self.error_code.take());
    }

    fn finish(&mut self, reason: Option<Cow<'_, str>>) {
        let Some(reason) = reason else { return };
        self.finished = true;
        // OpenRouter's and Mistral's word, and DeepSeek's for having no capacity.
        if matches!(&*reason, "error" | "insufficient_system_resource") {
            self.failed = true;
            self.error_code.get_or_insert_with(|| boxed(reason));
        }
    }
}

/// The parts of an error that name its kind, in any wire format.
#[derive(Deserialize, Default)]
#[serde(default)]
struct ErrorTold {
    code: Scalar,
    status: Scalar,
    r#type: Scalar,
    details: ErrorDetails,
}

#[derive(Default)]
struct ErrorDetails(Option<Box<str>>);

impl ErrorTold {
    /// The most telling one: Anthropic's detail, OpenAI's code, Gemini's status, the type.
    fn code(self) -> Option<Box<str>> {
        let (named, number) = match self.code {
            Scalar::Word(code) => (Some(code), None),
            code @ (Scalar::Count(_) | Scalar::Else) => (None, code.word()),
        };
        let kind = || self.status.word().or_else(|| self.r#type.word());
        self.details.0.or(named).or_else(kind).or(number)
    }
}

impl<'de> Deserialize<'de> for ErrorDetails {
    /// Anthropic's is an object with a code; Gemini's is a list, and Gemini has a status.
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Details {
            Object { error_code: Option<Scalar> },
            Else(serde::de::IgnoredAny),
        }
        Ok(match Details::deserialize(from)? {
            Details::Object { error_code } => Self(error_code.and_then(Scalar::word)),
            Details::Else(_) => Self(None),
        })
    }
}

/// The name of a model or the id of something, unless it is too long to be one.
fn name(raw: &[u8]) -> Option<Cow<'_, str>> {
    if raw.len() <= MAX_NAME_BYTES { scalar::text(raw) } else { None }
}

fn boxed(text: Cow<'_, str>) -> Box<str> {
    text.into_owned().into_boxed_str()
}

/// `promptFeedback` may hold ratings alone; with a reason it stands instead of an answer.
fn blocked(raw: &[u8]) -> bool {
    memchr::memmem::find(raw, b"blockReason").is_some()
}
