//! What the names in an answer mean, by where they stand.
//!
//! One table for all wire formats: their names do not contradict each other where both are looked
//! at, and a server that answers in several needs no telling apart.

use crate::formats::tally::Field;

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
        match (self, name) {
            (Self::Top, b"usageMetadata" | b"x_groq" | b"meta")
            | (Self::Top | Self::Response | Self::Message | Self::Delta | Self::Choice, b"usage") => {
                Keep(Field::Usage)
            }
            (Self::Top, b"model" | b"modelVersion")
            | (Self::Response | Self::Message, b"model") => Keep(Field::Model),
            (Self::Top, b"id" | b"name" | b"output_file_id" | b"error_file_id")
            | (Self::Response | Self::Item | Self::ItemAgain, b"id")
            | (Self::Named, b"id" | b"name") => Keep(Field::Id),
            (Self::Top | Self::Response | Self::Choice, b"error") => Keep(Field::Error),
            (Self::Top, b"type") => Keep(Field::Type),
            (Self::Top, b"code") => Keep(Field::Code),
            (Self::Top, b"promptFeedback") => Keep(Field::Feedback),
            (Self::Top, b"prompt_eval_count") => Keep(Field::PromptEval),
            (Self::Top, b"eval_count") => Keep(Field::Eval),
            (Self::Top, b"done") => Keep(Field::Done),
            (Self::Choice, b"finish_reason") | (Self::Candidate, b"finishReason") => {
                Keep(Field::Finish)
            }
            (Self::Top, b"response") => Enter(Self::Response),
            (Self::Top, b"message") => Enter(Self::Message),
            (Self::Top, b"choices") => Enter(Self::Choice),
            (Self::Top, b"candidates") => Enter(Self::Candidate),
            (Self::Top, b"output") => Enter(Self::Item),
            (Self::Response, b"output") => Enter(Self::ItemAgain),
            (
                Self::Top | Self::Response | Self::Message,
                b"conversation" | b"container" | b"file",
            ) => Enter(Self::Named),
            (Self::Top, b"delta") => Enter(Self::Delta),
            (Self::Top | Self::Message | Self::Candidate | Self::Item, b"content")
            | (Self::Message, b"thinking" | b"tool_calls")
            | (Self::Choice, b"delta" | b"message" | b"text")
            | (Self::Item, b"summary" | b"arguments") => Enter(Self::Output),
            (Self::Delta | Self::Output, _) if !is_label(name) => Enter(Self::Output),
            _ => Skip,
        }
    }

    /// Whether a string that stands where this level was expected is output.
    pub(super) const fn is_text(self) -> bool {
        matches!(self, Self::Delta | Self::Output | Self::Response | Self::Message)
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
