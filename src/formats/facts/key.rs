//! The names in a request's JSON that mean something here.

macro_rules! keys {
    ($($key:ident: $($name:literal)|+,)*) => {
        /// A name that says what its value means.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum Key {
            Unknown,
            $($key,)*
        }

        impl Key {
            pub(super) fn of(name: &str) -> Self {
                match name {
                    $($($name)|+ => Self::$key,)*
                    _ => Self::Unknown,
                }
            }

            /// The first of its spellings.
            pub(super) const fn name(self) -> &'static str {
                match self {
                    Self::Unknown => "",
                    $(Self::$key => first!($($name)|+),)*
                }
            }
        }
    };
}

macro_rules! first {
    ($first:literal $(| $rest:literal)*) => {
        $first
    };
}

// Gemini takes both spellings of every name. At most 63, for each is a bit.
keys! {
    Model: "model",
    Stream: "stream",
    StreamOptions: "stream_options",
    MaxTokens: "max_tokens",
    MaxCompletionTokens: "max_completion_tokens",
    MaxOutputTokens: "max_output_tokens" | "maxOutputTokens",
    N: "n",
    BestOf: "best_of",
    CandidateCount: "candidateCount" | "candidate_count",
    GenerationConfig: "generationConfig" | "generation_config",
    Options: "options",
    NumPredict: "num_predict",
    Messages: "messages",
    Input: "input",
    Prompt: "prompt",
    Contents: "contents",
    Tools: "tools",
    System: "system",
    Instructions: "instructions",
    SystemInstruction: "systemInstruction" | "system_instruction",
    PreviousResponse: "previous_response_id",
    Conversation: "conversation",
    Container: "container",
    CachedContent: "cachedContent" | "cached_content",
    FileId: "file_id" | "input_file_id",
    TrainingFile: "training_file",
    ValidationFile: "validation_file",
    FileIds: "file_ids",
    VectorStores: "vector_store_ids",
    BatchId: "batch_id",
    FileUri: "fileUri" | "file_uri",
    Type: "type",
    Id: "id",
    Source: "source",
    InlineData: "inlineData" | "inline_data",
    FileData: "fileData" | "file_data",
    InputAudio: "input_audio",
    Data: "data",
    MimeType: "mimeType" | "mime_type",
    Images: "images",
    Metadata: "metadata",
    User: "user" | "safety_identifier" | "prompt_cache_key",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_bit_of_its_own() {
        assert!((Key::User as u8) < 64, "the last one");
    }

    #[test]
    fn a_key_has_several_spellings_and_one_name() {
        assert_eq!(Key::of("generation_config"), Key::GenerationConfig);
        assert_eq!(Key::GenerationConfig.name(), "generationConfig");
        assert_eq!(Key::of("anything else"), Key::Unknown);
    }
}
