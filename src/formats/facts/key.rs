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
            pub(super) fn of(name: &[u8]) -> Self {
                match name {
                    $($($name)|+ => Self::$key,)*
                    _ => Self::Unknown,
                }
            }

            /// The first of its spellings.
            pub(super) const fn name(self) -> &'static str {
                let name: &[u8] = match self {
                    Self::Unknown => b"",
                    $(Self::$key => first!($($name)|+),)*
                };
                match str::from_utf8(name) {
                    Ok(name) => name,
                    Err(_) => "",
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
    Model: b"model",
    Stream: b"stream",
    StreamOptions: b"stream_options",
    MaxTokens: b"max_tokens",
    MaxCompletionTokens: b"max_completion_tokens",
    MaxOutputTokens: b"max_output_tokens" | b"maxOutputTokens",
    N: b"n",
    BestOf: b"best_of",
    CandidateCount: b"candidateCount" | b"candidate_count",
    GenerationConfig: b"generationConfig" | b"generation_config",
    Options: b"options",
    NumPredict: b"num_predict",
    Messages: b"messages",
    Input: b"input",
    Prompt: b"prompt",
    Contents: b"contents",
    Tools: b"tools",
    System: b"system",
    Instructions: b"instructions",
    SystemInstruction: b"systemInstruction" | b"system_instruction",
    PreviousResponse: b"previous_response_id",
    Conversation: b"conversation",
    Container: b"container",
    CachedContent: b"cachedContent" | b"cached_content",
    FileId: b"file_id" | b"input_file_id",
    TrainingFile: b"training_file",
    ValidationFile: b"validation_file",
    FileIds: b"file_ids",
    VectorStores: b"vector_store_ids",
    BatchId: b"batch_id",
    FileUri: b"fileUri" | b"file_uri",
    Type: b"type",
    Id: b"id",
    Source: b"source",
    InlineData: b"inlineData" | b"inline_data",
    FileData: b"fileData" | b"file_data",
    InputAudio: b"input_audio",
    Data: b"data",
    MimeType: b"mimeType" | b"mime_type",
    Images: b"images",
    Metadata: b"metadata",
    User: b"user" | b"safety_identifier" | b"prompt_cache_key",
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
        assert_eq!(Key::of(b"generation_config"), Key::GenerationConfig);
        assert_eq!(Key::GenerationConfig.name(), "generationConfig");
        assert_eq!(Key::of(b"anything else"), Key::Unknown);
    }
}
