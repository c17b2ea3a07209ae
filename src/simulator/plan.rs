//! What is simulated: accounts with their keys, models and limits.

use std::fmt;
use std::time::Duration;

use super::meter::{Habit, Limits};

/// A set of provider accounts behind one address.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The accounts. Two of one habit are two organisations at the same provider.
    pub accounts: Vec<Account>,
    /// Where identifiers and random faults begin: the same plan and the same requests give the same
    /// answers.
    pub seed: u64,
    /// Which answers are compressed when the client asks for it.
    pub compression: Compression,
}

/// An account at a provider: what OpenAI calls a project, Anthropic an organisation, Google a
/// project. Its keys share its limits and what it stores.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its name in tallies and faults.
    pub name: String,
    /// Whose habits it has.
    pub habit: Habit,
    /// The keys that are valid for it.
    pub keys: Vec<Key>,
    /// The models it may use.
    pub models: Vec<Model>,
    /// How fast it answers.
    pub pace: Pace,
}

/// A credential of an account.
#[derive(Clone)]
pub struct Key {
    /// Its name in tallies and faults.
    pub label: String,
    /// What a client must send.
    pub value: String,
}

/// A model that an account may use.
#[derive(Clone, Debug)]
pub struct Model {
    /// What the provider calls it.
    pub name: String,
    /// What it can do.
    pub kind: ModelKind,
    /// What the account is granted.
    pub limits: Limits,
    /// The most input tokens of a request.
    pub context: u64,
    /// The most output tokens of an answer.
    pub max_output: u64,
}

/// What a model can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelKind {
    /// Converses.
    Chat,
    /// Converses after thinking; refuses sampling parameters and `max_tokens` (OpenAI's reasoning
    /// models).
    Reasoning,
    /// Embeds text.
    Embedding,
    /// Writes down speech.
    Transcription,
}

/// How fast an account answers. Instantly by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// From the request to the first token, or to the headers.
    pub first_token: Duration,
    /// Between two pieces of an answer; one that is not streamed takes as long as all its pieces.
    pub between: Duration,
    /// Output tokens in a piece; at least 1.
    pub piece: u64,
}

/// Which answers are compressed (gzip) when the client asks for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// None.
    Never,
    /// Those that are not streamed, as the providers' edges do.
    #[default]
    Whole,
    /// Streams too, flushed at each event.
    Streams,
}

impl Plan {
    /// A plan of these accounts.
    pub fn of(accounts: impl IntoIterator<Item = Account>) -> Self {
        Self { accounts: accounts.into_iter().collect(), ..Self::default() }
    }
}

impl Account {
    /// An account without keys and models.
    pub fn new(habit: Habit, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            habit,
            keys: Vec::new(),
            models: Vec::new(),
            pace: Pace::default(),
        }
    }

    /// With one more key.
    #[must_use]
    pub fn key(mut self, label: &str, value: &str) -> Self {
        self.keys.push(Key { label: label.to_owned(), value: value.to_owned() });
        self
    }

    /// With one more model.
    #[must_use]
    pub fn model(mut self, model: Model) -> Self {
        self.models.push(model);
        self
    }

    /// At this pace.
    #[must_use]
    pub const fn pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }
}

impl Model {
    /// A model of that kind without limits.
    pub fn new(kind: ModelKind, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            limits: Limits::NONE,
            context: 128_000,
            max_output: 16_384,
        }
    }

    /// A chat model without limits.
    pub fn chat(name: &str) -> Self {
        Self::new(ModelKind::Chat, name)
    }

    /// With these limits.
    #[must_use]
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self { first_token: Duration::ZERO, between: Duration::ZERO, piece: 4 }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("label", &self.label).finish_non_exhaustive()
    }
}
