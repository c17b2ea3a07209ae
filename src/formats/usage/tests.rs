use http::Method;

use super::*;
use crate::formats::path::read_path;

fn usage(wire: Wire, path: &str, dialect: Dialect, body: &str) -> Option<Usage> {
    read_usage(&read_path(wire, &Method::POST, path), dialect, body.as_bytes())
}

fn chat(dialect: Dialect, usage_of: &str) -> Option<Usage> {
    let body = format!(r#"{{"id":"x","choices":[{{"message":{{}}}}],"usage":{usage_of}}}"#);
    usage(Wire::OpenAi, "/v1/chat/completions", dialect, &body)
}

#[expect(clippy::unnecessary_wraps, reason = "what a reading holds is optional")]
const fn tokens(
    input: u64,
    cached: u64,
    written: u64,
    output: u64,
    reasoning: u64,
) -> Option<Usage> {
    Some(Usage { input, cached_input: cached, cache_write: written, output, reasoning })
}

#[test]
fn openai_includes_cached_input_and_reasoning() {
    let told = r#"{"prompt_tokens":90,"completion_tokens":33,"total_tokens":123,
        "prompt_tokens_details":{"cached_tokens":64,"cache_write_tokens":8,"audio_tokens":0},
        "completion_tokens_details":{"reasoning_tokens":12}}"#;
    assert_eq!(chat(Dialect::OpenAi, told), tokens(90, 64, 8, 33, 12));
    let plain = r#"{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6,"prompt_tokens_details":null}"#;
    assert_eq!(chat(Dialect::Vllm, plain), tokens(5, 0, 0, 1, 0));
}

#[test]
fn responses_embeddings_images_and_transcriptions_tell_their_usage() {
    let responses = r#"{"id":"resp_1","output":[],"usage":{"input_tokens":12,"input_tokens_details":
        {"cached_tokens":2,"cache_write_tokens":1},"output_tokens":9,"output_tokens_details":
        {"reasoning_tokens":4},"total_tokens":21}}"#;
    let read = |path, body| usage(Wire::OpenAi, path, Dialect::OpenAi, body);
    assert_eq!(read("/v1/responses", responses), tokens(12, 2, 1, 9, 4));
    let embeddings =
        r#"{"data":[{"embedding":[0.1,-2e-3]}],"usage":{"prompt_tokens":8,"total_tokens":8}}"#;
    assert_eq!(read("/v1/embeddings", embeddings), tokens(8, 0, 0, 0, 0));
    let images = r#"{"usage":{"input_tokens":50,"input_tokens_details":{"text_tokens":50},"output_tokens":7,"total_tokens":57}}"#;
    assert_eq!(read("/v1/images/generations", images), tokens(50, 0, 0, 7, 0));
    let seconds = r#"{"text":"hi","usage":{"type":"duration","seconds":3}}"#;
    assert_eq!(read("/v1/audio/transcriptions", seconds), None);
}

#[test]
fn anthropics_input_is_what_was_not_cached() {
    let body = r#"{"id":"msg_1","usage":{"input_tokens":40,"cache_creation_input_tokens":100,
        "cache_read_input_tokens":2048,"output_tokens":77,"output_tokens_details":{"thinking_tokens":30}}}"#;
    let read = usage(Wire::Anthropic, "/v1/messages", Dialect::Anthropic, body);
    assert_eq!(read, tokens(2188, 2048, 100, 77, 30));
}

#[test]
fn geminis_candidates_leave_thoughts_and_tools_out() {
    let body = r#"{"candidates":[],"usageMetadata":{"promptTokenCount":9,"cachedContentTokenCount":4,
        "candidatesTokenCount":14,"thoughtsTokenCount":20,"toolUsePromptTokenCount":3,"totalTokenCount":46}}"#;
    let read = usage(Wire::Gemini, "/v1beta/models/g:generateContent", Dialect::Gemini, body);
    assert_eq!(read, tokens(12, 4, 0, 34, 20));
}

#[test]
fn reasoning_outside_the_completion_is_added() {
    let told = r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":22,
        "completion_tokens_details":{"reasoning_tokens":7}}"#;
    assert_eq!(chat(Dialect::Xai, told), tokens(10, 0, 0, 12, 7));
    assert_eq!(chat(Dialect::Gemini, told), tokens(10, 0, 0, 12, 7), "Gemini's OpenAI format");
    let no_total = r#"{"prompt_tokens":10,"completion_tokens":5,"completion_tokens_details":{"reasoning_tokens":7}}"#;
    assert_eq!(chat(Dialect::Xai, no_total), tokens(10, 0, 0, 12, 7));
    assert_eq!(chat(Dialect::OpenAi, no_total), tokens(10, 0, 0, 5, 7), "included elsewhere");
}

#[test]
fn the_others_have_their_own_words() {
    let deepseek = r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"prompt_cache_hit_tokens":6,"prompt_cache_miss_tokens":4}"#;
    assert_eq!(chat(Dialect::DeepSeek, deepseek), tokens(10, 6, 0, 5, 0));
    let groq = r#"{"id":"x","choices":[],"x_groq":{"id":"r","usage":{"queue_time":0.1,"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}}"#;
    let read = usage(Wire::OpenAi, "/openai/v1/chat/completions", Dialect::Groq, groq);
    assert_eq!(read, tokens(3, 0, 0, 4, 0));
    let cohere = r#"{"message":{"content":[]},"usage":{"billed_units":{"input_tokens":1,"output_tokens":2.0},
        "tokens":{"input_tokens":71.0,"output_tokens":19},"cached_tokens":16}}"#;
    assert_eq!(usage(Wire::Cohere, "/v2/chat", Dialect::Cohere, cohere), tokens(71, 16, 0, 19, 0));
    let embed = r#"{"embeddings":{"float":[[1.0]]},"meta":{"billed_units":{"input_tokens":4}}}"#;
    assert_eq!(usage(Wire::Cohere, "/v2/embed", Dialect::Cohere, embed), tokens(4, 0, 0, 0, 0));
    let ollama =
        r#"{"message":{"content":"hi"},"done":true,"prompt_eval_count":26,"eval_count":290}"#;
    assert_eq!(usage(Wire::Ollama, "/api/chat", Dialect::Ollama, ollama), tokens(26, 0, 0, 290, 0));
}

#[test]
fn nonsense_is_no_usage() {
    for told in ["null", "7", "[]", "{}", r#"{"prompt_tokens":"many"}"#, r#"{"prompt_tokens":-1}"#]
    {
        assert_eq!(chat(Dialect::OpenAi, told), None, "{told}");
    }
    assert_eq!(
        chat(Dialect::OpenAi, r#"{"prompt_tokens":1e300,"completion_tokens":2}"#),
        tokens(0, 0, 0, 2, 0)
    );
    assert_eq!(usage(Wire::OpenAi, "/v1/embeddings", Dialect::OpenAi, "<html>"), None);
}
