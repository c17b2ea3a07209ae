//! A model's answer, whole or as it comes, in no format's words.

use super::json::Text;
use super::request::Part;
use super::seal::Seal;
use crate::formats::Usage;

/// A whole answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer<'a> {
    /// The provider's id of it; may be empty.
    pub id: Text<'a>,
    /// The model that answered; may be empty.
    pub model: Text<'a>,
    /// What was said: one, or as many as were asked for.
    pub choices: Vec<Choice<'a>>,
    /// Tokens used, where they are told.
    pub usage: Option<Usage>,
}

/// One of several answers to the same question.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice<'a> {
    /// What was said.
    pub parts: Vec<Part<'a>>,
    /// Why it ended there.
    pub finish: Finish<'a>,
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finish<'a> {
    /// It was said.
    Stop,
    /// At one of the texts to stop at, which is told where it is known.
    StopText(Option<Text<'a>>),
    /// No more tokens were allowed.
    Length,
    /// Functions are to be called.
    Calls,
    /// The content was refused, by the model or a filter.
    Filtered,
}

/// A piece of an answer that comes as a stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<'a> {
    /// The stream has begun.
    Start {
        /// The provider's id of the answer; may be empty.
        id: Text<'a>,
        /// The model that answers; may be empty.
        model: Text<'a>,
    },
    /// More text.
    Text(u32, Text<'a>),
    /// More of a thought.
    Thought(u32, Text<'a>),
    /// The signature of the thought before, which ends with it; or of a thought that is not told.
    Seal(u32, Seal<'a>),
    /// A function call begins.
    Call {
        /// Of which answer.
        choice: u32,
        /// Which call of it, from 0.
        call: u32,
        /// By which its result is told apart.
        id: Text<'a>,
        /// The function.
        name: Text<'a>,
        /// The signature of the thought that led to it.
        seal: Option<Seal<'a>>,
    },
    /// More of a call's arguments.
    Arguments {
        /// Of which answer.
        choice: u32,
        /// Which call of it.
        call: u32,
        /// A piece of the JSON text.
        piece: Text<'a>,
    },
    /// A call's arguments are whole.
    Called {
        /// Of which answer.
        choice: u32,
        /// Which call of it.
        call: u32,
    },
    /// An answer has ended.
    Finish(u32, Finish<'a>),
    /// Tokens used so far; the last word holds.
    Usage(Usage),
    /// Nothing, said to keep the connection open.
    Ping,
    /// The provider failed. Nothing follows.
    Failed(Problem),
    /// The stream is whole. Nothing follows.
    End,
}

/// What went wrong at a provider, in no format's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The status that it was, or would have been, answered with.
    pub status: u16,
    /// The provider's word for it, where it has one.
    pub code: Option<String>,
    /// The request's field at fault, where it is told.
    pub param: Option<String>,
    /// For people, as the provider says it.
    pub message: String,
    /// The provider's error as it came, JSON text; empty where there was none.
    pub original: String,
}

impl Problem {
    /// A problem that nobody but Keyweir tells of.
    pub fn own(status: u16, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { status, code: None, param: None, message, original: String::new() }
    }
}
