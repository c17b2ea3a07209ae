//! A request for a model's answer, in no format's words.
//!
//! What a format has and others lack stays beside, as it was written: it goes back into the same
//! format, and [`super::losses`] says what becomes of it in another.

use super::json::{Json, Object, Text};
use super::seal::Seal;
use crate::formats::Wire;

/// A request.
#[derive(Clone, Debug, PartialEq)]
pub struct Request<'a> {
    /// The format it came in, whose words the `extra` fields are.
    pub wire: Wire,
    /// What stands before the conversation.
    pub system: Vec<Part<'a>>,
    /// The conversation.
    pub turns: Vec<Turn<'a>>,
    /// Functions that may be called.
    pub tools: Vec<Tool<'a>>,
    /// Whether they shall be.
    pub tool_choice: Option<ToolChoice<'a>>,
    /// Whether several may be called at once.
    pub parallel_calls: Option<bool>,
    /// The form that the answer must have.
    pub output: Output<'a>,
    /// How much to think; `None` leaves it to the model.
    pub thinking: Option<Thinking>,
    /// The bound on output tokens.
    pub max_output: Option<u64>,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// Texts before which the answer stops.
    pub stop: Vec<Text<'a>>,
    /// How many answers.
    pub choices: Option<u64>,
    /// Who asks, as an opaque id.
    pub user: Option<Text<'a>>,
    /// How fast and how dear.
    pub tier: Option<Tier>,
    /// Whether the answer streams.
    pub stream: bool,
    /// Fields of the format it came in that no other has.
    pub extra: Object<'a>,
}

/// What one side says.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn<'a> {
    /// Which side.
    pub role: Role,
    /// What it says.
    pub parts: Vec<Part<'a>>,
    /// Fields that only the format it came in has.
    pub extra: Object<'a>,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The application or its user; tools' results too.
    User,
    /// The model.
    Assistant,
    /// An instruction in the middle of a conversation.
    System,
}

/// A piece of what is said.
#[derive(Clone, Debug, PartialEq)]
pub struct Part<'a> {
    /// What it is.
    pub kind: Kind<'a>,
    /// Fields that only the format it came in has.
    pub extra: Object<'a>,
}

/// What a part is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind<'a> {
    /// Text.
    Text(Text<'a>),
    /// An image, a document, a sound.
    Media(Media<'a>),
    /// What the model thought.
    Thinking {
        /// The thought, as far as it was told.
        text: Text<'a>,
        /// Its signature.
        seal: Option<Seal<'a>>,
    },
    /// A function that the model calls.
    Call(Call<'a>),
    /// What a function gave back.
    Outcome(Outcome<'a>),
}

/// An image, a document, a sound.
#[derive(Clone, Debug, PartialEq)]
pub struct Media<'a> {
    /// What it is to the model.
    pub kind: MediaKind,
    /// Its type, e.g. `image/png`, where it is told.
    pub mime: Option<Text<'a>>,
    /// Where it is.
    pub source: Source<'a>,
    /// Its name, for people and models.
    pub name: Option<Text<'a>>,
}

/// What a medium is to the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum MediaKind {
    Image,
    Document,
    Audio,
    Video,
}

/// Where a medium is. It is never fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// Here, in base64.
    Base64(Text<'a>),
    /// Here, as plain text.
    Plain(Text<'a>),
    /// There.
    Url(Text<'a>),
}

/// A function call of the model's.
#[derive(Clone, Debug, PartialEq)]
pub struct Call<'a> {
    /// By which its result is told apart.
    pub id: Text<'a>,
    /// The function.
    pub name: Text<'a>,
    /// Its arguments, an object.
    pub arguments: Json<'a>,
    /// The signature of the thought that led to it.
    pub seal: Option<Seal<'a>>,
}

/// What a function gave back.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome<'a> {
    /// The call's.
    pub id: Text<'a>,
    /// The function.
    pub name: Text<'a>,
    /// What it gave back: texts and media.
    pub content: Vec<Part<'a>>,
    /// Whether it failed.
    pub failed: bool,
}

/// A function that may be called.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool<'a> {
    /// Its name.
    pub name: Text<'a>,
    /// What it is for.
    pub description: Option<Text<'a>>,
    /// A JSON schema of its arguments; `None` where it takes none.
    pub parameters: Option<Json<'a>>,
    /// Whether arguments must follow the schema to the letter.
    pub strict: Option<bool>,
    /// Fields that only the format it came in has.
    pub extra: Object<'a>,
}

/// Whether functions shall be called.
#[derive(Clone, Debug, PartialEq)]
pub enum ToolChoice<'a> {
    /// As the model likes.
    Auto,
    /// No.
    None,
    /// At least one.
    Required,
    /// One of these; `must` it be one?
    Only {
        /// Names.
        names: Vec<Text<'a>>,
        /// Whether one has to be called.
        must: bool,
    },
}

/// The form that an answer must have.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Output<'a> {
    /// Any.
    #[default]
    Text,
    /// A JSON object.
    Json,
    /// What a schema describes.
    Schema(Schema<'a>),
}

/// A schema that the answer must follow.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema<'a> {
    /// Its name.
    pub name: Option<Text<'a>>,
    /// What it is for.
    pub description: Option<Text<'a>>,
    /// The JSON schema.
    pub schema: Json<'a>,
    /// Whether to follow it to the letter.
    pub strict: Option<bool>,
}

/// How much to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thinking {
    /// So much, in words.
    Effort(Effort),
    /// At most so many tokens.
    Budget(u64),
    /// As the model sees fit.
    Adaptive,
}

/// How hard to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the providers' words")]
pub enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    XHigh,
    Max,
}

/// How tokens are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sampling {
    /// 0 to 2, for most.
    pub temperature: Option<f64>,
    /// 0 to 1.
    pub top_p: Option<f64>,
    /// At least 1.
    pub top_k: Option<u64>,
    /// Any.
    pub seed: Option<i64>,
    /// -2 to 2.
    pub presence_penalty: Option<f64>,
    /// -2 to 2.
    pub frequency_penalty: Option<f64>,
}

/// How fast and how dear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the providers' words")]
pub enum Tier {
    Auto,
    Standard,
    Flex,
    Priority,
}

impl<'a> Request<'a> {
    /// An empty request that came in that format.
    pub fn new(wire: Wire) -> Self {
        Self {
            wire,
            system: Vec::new(),
            turns: Vec::new(),
            tools: Vec::new(),
            tool_choice: None,
            parallel_calls: None,
            output: Output::Text,
            thinking: None,
            max_output: None,
            sampling: Sampling::default(),
            stop: Vec::new(),
            choices: None,
            user: None,
            tier: None,
            stream: false,
            extra: Object::new(),
        }
    }

    /// The name of the function that the call of that id called.
    pub fn called(&self, id: &str) -> Option<&Text<'a>> {
        let parts = self.turns.iter().rev().flat_map(|turn| &turn.parts);
        parts.filter_map(|part| part.as_call()).find(|call| call.id == id).map(|call| &call.name)
    }
}

impl<'a> Part<'a> {
    /// A part with nothing beside it.
    pub const fn of(kind: Kind<'a>) -> Self {
        Self { kind, extra: Object::new() }
    }

    /// Text with nothing beside it.
    pub fn text(text: impl Into<Text<'a>>) -> Self {
        Self::of(Kind::Text(text.into()))
    }

    /// The call, if it is one.
    pub const fn as_call(&self) -> Option<&Call<'a>> {
        if let Kind::Call(call) = &self.kind { Some(call) } else { None }
    }

    /// The text, if it is text.
    pub fn as_text(&self) -> Option<&str> {
        if let Kind::Text(text) = &self.kind { Some(text) } else { None }
    }
}

impl Effort {
    /// Every effort, with its word and the tokens that stand for it where a budget is asked for
    /// (`LiteLLM`'s constants, which users of several providers know).
    pub const ALL: [(Self, &'static str, u64); 7] = [
        (Self::None, "none", 0),
        (Self::Minimal, "minimal", 128),
        (Self::Low, "low", 1_024),
        (Self::Medium, "medium", 2_048),
        (Self::High, "high", 4_096),
        (Self::XHigh, "xhigh", 8_192),
        (Self::Max, "max", 16_384),
    ];

    /// The effort of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, word, _)| *word == name).map(|(effort, ..)| effort)
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        Self::ALL.into_iter().find(|(own, ..)| *own == self).map_or("medium", |(_, word, _)| word)
    }

    /// The tokens that stand for it.
    pub fn budget(self) -> u64 {
        Self::ALL.into_iter().find(|(own, ..)| *own == self).map_or(0, |(.., tokens)| tokens)
    }

    /// The smallest effort that reaches so many tokens.
    pub fn of_budget(tokens: u64) -> Self {
        let reaching = Self::ALL.into_iter().find(|(.., most)| tokens <= *most);
        reaching.map_or(Self::Max, |(effort, ..)| effort)
    }

    /// The nearest that is at least `least` and at most `most`; none stays none.
    #[must_use]
    pub fn within(self, least: Self, most: Self) -> Self {
        if self == Self::None { self } else { self.clamp(least, most) }
    }
}

impl Thinking {
    /// As an effort; `None` leaves it to the model.
    pub fn effort(self) -> Option<Effort> {
        match self {
            Self::Effort(effort) => Some(effort),
            Self::Budget(tokens) => Some(Effort::of_budget(tokens)),
            Self::Adaptive => None,
        }
    }

    /// As tokens; `None` leaves it to the model.
    pub fn budget(self) -> Option<u64> {
        match self {
            Self::Effort(effort) => Some(effort.budget()),
            Self::Budget(tokens) => Some(tokens),
            Self::Adaptive => None,
        }
    }
}
