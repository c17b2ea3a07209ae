//! What the names in an answer mean, by where they stand.
//!
//! One table for all wire formats: their names do not contradict each other where both are looked
//! at, and a server that answers in several needs no telling apart.

use crate::formats::tally::Field;
use crate::formats::usage::Count;

/// Where in an answer a container stands, which decides what its names mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::formats) enum Level {
    /// An answer, an event, a chunk.
    Top,
    /// The response inside an event of OpenAI's Responses.
    Response,
    /// The message inside an event of Anthropic's, or an answer of Ollama's.
    Message,
    /// A piece of output in an event.
    Delta,
    /// Output: every string of it is counted.
    Output,
    /// One of OpenAI's choices.
    Choice,
    /// One of Gemini's candidates.
    Candidate,
    /// One item of a response's output.
    Item,
    /// The same, when its text has flowed before.
    ItemAgain,
    /// Something stored that is told by its id or name.
    Named,
    /// Tokens used.
    Usage,
    /// Cohere's tokens that are billed, which are not those that its limits count.
    Billed,
}

/// What happens to a member's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Skip,
    Keep(Field),
    Enter(Level),
}

impl Level {
    /// What the member of that name is worth here.
    pub(super) fn action(self, name: &[u8]) -> Action {
        use Action::{Enter, Keep, Skip};
        match self {
            Self::Top => top(name),
            Self::Response => match name {
                b"usage" => Enter(Self::Usage),
                b"model" => Keep(Field::Model),
                b"id" => Keep(Field::Id),
                b"error" => Keep(Field::Error),
                b"output" => Enter(Self::ItemAgain),
                b"conversation" | b"container" | b"file" => Enter(Self::Named),
                _ => Skip,
            },
            Self::Message => match name {
                b"usage" => Enter(Self::Usage),
                b"model" => Keep(Field::Model),
                b"conversation" | b"container" | b"file" => Enter(Self::Named),
                b"content" | b"thinking" | b"tool_calls" => Enter(Self::Output),
                _ => Skip,
            },
            Self::Choice => match name {
                b"usage" => Enter(Self::Usage),
                b"error" => Keep(Field::Error),
                b"finish_reason" => Keep(Field::Finish),
                b"delta" | b"message" | b"text" => Enter(Self::Output),
                _ => Skip,
            },
            Self::Candidate => match name {
                b"finishReason" => Keep(Field::Finish),
                b"content" => Enter(Self::Output),
                _ => Skip,
            },
            Self::Item => match name {
                b"id" => Keep(Field::Id),
                b"content" | b"summary" | b"arguments" => Enter(Self::Output),
                _ => Skip,
            },
            Self::ItemAgain if name == b"id" => Keep(Field::Id),
            Self::Named if matches!(name, b"id" | b"name") => Keep(Field::Id),
            Self::ItemAgain | Self::Named => Skip,
            Self::Delta if name == b"usage" => Enter(Self::Usage),
            Self::Delta | Self::Output if is_label(name) => Skip,
            Self::Delta | Self::Output => Enter(Self::Output),
            Self::Usage => match name {
                // Groq's stands inside `x_groq`, Cohere's inside `tokens`.
                b"usage"
                | b"tokens"
                | b"prompt_tokens_details"
                | b"input_tokens_details"
                | b"completion_tokens_details"
                | b"output_tokens_details" => Enter(Self::Usage),
                b"billed_units" => Enter(Self::Billed),
                _ => Count::named(name).map_or(Skip, |count| Keep(Field::Count(count))),
            },
            Self::Billed => Count::named(name).map_or(Skip, |count| Keep(Field::Billed(count))),
        }
    }

    /// Whether it is a usage object, or one inside.
    pub(super) const fn is_usage(self) -> bool {
        matches!(self, Self::Usage | Self::Billed)
    }

    /// Whether a string that stands where this level was expected is output.
    pub(super) const fn is_text(self) -> bool {
        matches!(self, Self::Delta | Self::Output | Self::Response | Self::Message)
    }
}

/// What the names mean of an answer, an event, a chunk.
fn top(name: &[u8]) -> Action {
    use Action::{Enter, Keep, Skip};
    match name {
        b"usage" | b"usageMetadata" | b"x_groq" | b"meta" => Enter(Level::Usage),
        b"model" | b"modelVersion" => Keep(Field::Model),
        b"id" | b"name" | b"output_file_id" | b"error_file_id" => Keep(Field::Id),
        b"error" => Keep(Field::Error),
        b"type" => Keep(Field::Type),
        b"code" => Keep(Field::Code),
        b"promptFeedback" => Keep(Field::Feedback),
        b"prompt_eval_count" => Keep(Field::PromptEval),
        b"eval_count" => Keep(Field::Eval),
        b"done" => Keep(Field::Done),
        b"response" => Enter(Level::Response),
        b"message" => Enter(Level::Message),
        b"choices" => Enter(Level::Choice),
        b"candidates" => Enter(Level::Candidate),
        b"output" => Enter(Level::Item),
        b"conversation" | b"container" | b"file" => Enter(Level::Named),
        b"delta" => Enter(Level::Delta),
        b"content" => Enter(Level::Output),
        _ => Skip,
    }
}

/// Names inside output whose values the model did not write: labels, signatures, media.
fn is_label(name: &[u8]) -> bool {
    matches!(
        name,
        b"type"
            | b"role"
            | b"id"
            | b"index"
            | b"signature"
            | b"thoughtSignature"
            | b"inlineData"
            | b"data"
            | b"obfuscation"
            | b"stop_reason"
            | b"finish_reason"
    )
}
