//! Kinds of requests in the words of the configuration, which know nothing of wire formats.

use super::Endpoint;

/// A kind of request, whatever its wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndpointKind {
    /// Chat completions, messages, responses and generated content.
    Chat,
    /// Plain completions.
    Completions,
    /// Embeddings.
    Embeddings,
    /// Counting tokens.
    CountTokens,
    /// Lists of models.
    Models,
    /// Images.
    Images,
    /// Audio.
    Audio,
    /// Files.
    Files,
    /// Batches.
    Batches,
    /// Moderations.
    Moderations,
    /// Reranking.
    Rerank,
    /// Conversations over a web socket.
    Realtime,
    /// Anything else.
    Other,
}

impl EndpointKind {
    /// The kind of that endpoint; where it is none of its own, `names`, the path's segments from the
    /// one that was recognised, say more.
    pub(super) fn of(endpoint: Endpoint, names: &[&str]) -> Self {
        match endpoint {
            Endpoint::ChatCompletions
            | Endpoint::Responses
            | Endpoint::Messages
            | Endpoint::GenerateContent
            | Endpoint::StreamGenerateContent => Self::Chat,
            Endpoint::Completions => Self::Completions,
            Endpoint::Embeddings | Endpoint::EmbedContent => Self::Embeddings,
            Endpoint::CountTokens | Endpoint::GeminiCountTokens => Self::CountTokens,
            Endpoint::Models => Self::Models,
            Endpoint::Stored | Endpoint::Other => Self::named_by(names),
        }
    }

    fn named_by(names: &[&str]) -> Self {
        match names {
            ["responses", "input_tokens", ..] => Self::CountTokens,
            ["messages", "batches", ..] | ["batches", ..] => Self::Batches,
            [.., last] if last.ends_with(":batchGenerateContent") => Self::Batches,
            [.., last] if last.ends_with(":asyncBatchEmbedContent") => Self::Batches,
            ["files" | "uploads", ..] => Self::Files,
            ["images", ..] => Self::Images,
            ["audio", ..] => Self::Audio,
            ["moderations", ..] => Self::Moderations,
            ["rerank", ..] => Self::Rerank,
            ["realtime", ..] => Self::Realtime,
            _ => Self::Other,
        }
    }
}
