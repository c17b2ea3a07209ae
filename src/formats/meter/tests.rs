#![expect(clippy::string_slice, reason = "the bodies cut here are ASCII")]

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use super::*;
use crate::formats::stored::StoredId;

mod splits;

/// A plan for a plain stream of events.
fn stream(wire: Wire, endpoint: Endpoint) -> Plan<'static> {
    Plan {
        wire,
        endpoint,
        dialect: Dialect::Generic,
        content_type: Some("text/event-stream; charset=utf-8"),
        content_encoding: None,
        strip_usage: false,
    }
}

const fn json(plan: Plan<'static>) -> Plan<'static> {
    Plan { content_type: Some("application/json"), ..plan }
}

fn chat() -> Plan<'static> {
    stream(Wire::OpenAi, Endpoint::ChatCompletions)
}

fn stripping() -> Plan<'static> {
    Plan { strip_usage: true, ..chat() }
}

fn gemini() -> Plan<'static> {
    stream(Wire::Gemini, Endpoint::StreamGenerateContent)
}

/// What came out, and what was read, when `chunks` went in and the body ended.
fn run<'c>(plan: &Plan<'_>, chunks: impl IntoIterator<Item = &'c [u8]>) -> (Vec<u8>, Reading) {
    let mut meter = Meter::new(plan);
    let mut out = Vec::new();
    for chunk in chunks {
        out.extend(meter.read(Bytes::copy_from_slice(chunk)).concat());
    }
    out.extend(meter.end());
    (out, meter.reading())
}

fn read(plan: &Plan<'_>, body: &str) -> Reading {
    let (out, reading) = run(plan, [body.as_bytes()]);
    assert_eq!(String::from_utf8_lossy(&out), body, "bytes pass untouched");
    reading
}

fn ids(reading: &Reading) -> Vec<&str> {
    reading.stored.iter().map(StoredId::as_str).collect()
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

fn error(code: &str) -> Outcome {
    Outcome::Error { code: Some(code.into()) }
}

/// Appendix A1 of the providers' sheet: text and tool calls, with usage.
const CHAT: &str = concat!(
    r#"data: {"id":"chatcmpl-x1","object":"chat.completion.chunk","created":1763600000,"model":"gpt-4o","service_tier":"default","system_fingerprint":"fp_1","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"k3"}"#,
    "\n\n",
    r#"data: {"id":"chatcmpl-x1","model":"gpt-4o","choices":[{"index":0,"delta":{"content":"Let me check"},"finish_reason":null}],"usage":null}"#,
    "\n\n",
    r#"data: {"id":"chatcmpl-x1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_a","type":"function","function":{"name":"get_weather","arguments":""}}]},"finish_reason":null}],"usage":null}"#,
    "\n\n",
    r#"data: {"id":"chatcmpl-x1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":"}}]},"finish_reason":null}],"usage":null}"#,
    "\n\n",
    r#"data: {"id":"chatcmpl-x1","model":"gpt-4o-2024","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}],"usage":null}"#,
    "\n\n",
);
const CHAT_USAGE: &str = concat!(
    r#"data: {"id":"chatcmpl-x1","model":"gpt-4o-2024","choices":[],"usage":{"prompt_tokens":90,"completion_tokens":33,"total_tokens":123,"prompt_tokens_details":{"cached_tokens":64,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}"#,
    "\n\n",
);
const DONE: &str = "data: [DONE]\n\n";

/// Appendix A2: a response.
const RESPONSES: &str = concat!(
    "event: response.created\n",
    r#"data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response","status":"in_progress","model":"gpt-6-sol","error":null,"output":[],"usage":null}}"#,
    "\n\n",
    "event: response.output_text.delta\n",
    r#"data: {"type":"response.output_text.delta","sequence_number":4,"item_id":"msg_1","output_index":0,"content_index":0,"delta":"Hello"}"#,
    "\n\n",
    "event: response.output_text.done\n",
    r#"data: {"type":"response.output_text.done","sequence_number":5,"item_id":"msg_1","output_index":0,"content_index":0,"text":"Hello"}"#,
    "\n\n",
    "event: response.completed\n",
    r#"data: {"type":"response.completed","sequence_number":8,"response":{"id":"resp_1","status":"completed","error":null,"conversation":{"id":"conv_1"},"output":[{"type":"reasoning","id":"rs_1"},{"id":"msg_1","content":[{"text":"Hello"}]}],"usage":{"input_tokens":12,"input_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},"output_tokens":3,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":15}}}"#,
    "\n\n",
);

/// Appendix A3: a message with thinking, text and a tool.
const MESSAGES: &str = concat!(
    "event: message_start\n",
    r#"data: {"type":"message_start","message":{"id":"msg_01","type":"message","role":"assistant","model":"claude-sonnet-5-5","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":40,"cache_creation_input_tokens":0,"cache_read_input_tokens":2048,"output_tokens":1,"service_tier":"standard"}}}"#,
    "\n\n",
    "event: content_block_start\n",
    r#"data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
    "\n\n",
    "event: content_block_delta\n",
    r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"..."}}"#,
    "\n\n",
    "event: content_block_delta\n",
    r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"Eq..."}}"#,
    "\n\n",
    "event: ping\n",
    r#"data: {"type":"ping"}"#,
    "\n\n",
    "event: content_block_delta\n",
    r#"data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Checking"}}"#,
    "\n\n",
    "event: content_block_delta\n",
    r#"data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"city\": \"Oslo\"}"}}"#,
    "\n\n",
    "event: message_delta\n",
    r#"data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":77,"output_tokens_details":{"thinking_tokens":30}}}"#,
    "\n\n",
    "event: message_stop\n",
    r#"data: {"type":"message_stop"}"#,
    "\n\n",
);

/// Appendix A4, with the line ends that Google sends.
const GEMINI: &str = concat!(
    r#"data: {"candidates":[{"content":{"parts":[{"text":"Hel"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":1,"totalTokenCount":10},"modelVersion":"gemini-3.8-flash","responseId":"r1"}"#,
    "\r\n\r\n",
    r#"data: {"candidates":[{"content":{"parts":[{"functionCall":{"id":"fc1","name":"get_weather","args":{"city":"Oslo"}},"thoughtSignature":"CiQ..."}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":14,"thoughtsTokenCount":20,"totalTokenCount":43},"modelVersion":"gemini-3.8-flash","responseId":"r1"}"#,
    "\r\n\r\n",
);

/// The same as a streamed JSON array.
fn gemini_array() -> String {
    let chunks: Vec<_> =
        GEMINI.split("\r\n\r\n").filter_map(|event| event.strip_prefix("data: ")).collect();
    format!("[{}]", chunks.join("\n,\r\n"))
}

#[test]
fn a_chat_stream_is_read() {
    let reading = read(&chat(), &[CHAT, CHAT_USAGE, DONE].concat());
    assert_eq!(reading.usage, tokens(90, 64, 0, 33, 0));
    assert_eq!(reading.model.as_deref(), Some("gpt-4o-2024"));
    assert_eq!(reading.outcome, Outcome::Complete);
    assert_eq!(
        reading.output,
        (r"Let me checkget_weather{\").len() as u64 + (r#"city\":"#).len() as u64 + 1
    );
    assert!(reading.stored.is_empty());
}

#[test]
fn a_responses_stream_is_read() {
    let reading = read(&stream(Wire::OpenAi, Endpoint::Responses), RESPONSES);
    assert_eq!(reading.usage, tokens(12, 0, 0, 3, 0));
    assert_eq!(reading.model.as_deref(), Some("gpt-6-sol"));
    assert_eq!(reading.outcome, Outcome::Complete);
    assert_eq!(ids(&reading), ["resp_1", "conv_1", "rs_1"]);
    assert_eq!(reading.output, 5, "the delta, and not its repetitions");
}

#[test]
fn a_message_stream_is_read() {
    let reading = read(&stream(Wire::Anthropic, Endpoint::Messages), MESSAGES);
    assert_eq!(reading.usage, tokens(2088, 2048, 0, 77, 30));
    assert_eq!(reading.model.as_deref(), Some("claude-sonnet-5-5"));
    assert_eq!(reading.outcome, Outcome::Complete);
    assert_eq!(reading.output, 3 + 8 + 20);
}

#[test]
fn geminis_events_and_its_array_are_read_alike() {
    let events = read(&gemini(), GEMINI);
    assert_eq!(events.usage, tokens(9, 0, 0, 34, 20));
    assert_eq!(events.model.as_deref(), Some("gemini-3.8-flash"));
    assert_eq!(events.outcome, Outcome::Complete);
    assert_eq!(events.output, 3 + 11 + 4, "text, the function's name and its argument");
    assert_eq!(read(&json(gemini()), &gemini_array()), events);
}

#[test]
fn cohere_and_ollama_are_read() {
    let cohere = concat!(
        "event: content-delta\n",
        r#"data: {"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"Hi"}}}}"#,
        "\n\n",
        "event: message-end\n",
        r#"data: {"type":"message-end","delta":{"finish_reason":"COMPLETE","usage":{"billed_units":{"input_tokens":1,"output_tokens":2},"tokens":{"input_tokens":7,"output_tokens":3}}}}"#,
        "\n\n",
    );
    let reading = read(&stream(Wire::Cohere, Endpoint::ChatCompletions), cohere);
    assert_eq!((reading.usage, reading.output), (tokens(7, 0, 0, 3, 0), 2));
    assert_eq!(reading.outcome, Outcome::Complete);

    let lines = concat!(
        r#"{"model":"llama3","message":{"role":"assistant","content":"Hi"},"done":false}"#,
        "\n",
        r#"{"model":"llama3","done":true,"done_reason":"stop","prompt_eval_count":11,"eval_count":18}"#,
        "\n",
    );
    let plan = Plan {
        content_type: Some("application/x-ndjson"),
        ..stream(Wire::Ollama, Endpoint::ChatCompletions)
    };
    let reading = read(&plan, lines);
    assert_eq!((reading.usage, reading.outcome), (tokens(11, 0, 0, 18, 0), Outcome::Complete));
    assert_eq!(read(&plan, lines.split_inclusive('\n').next().unwrap()).outcome, Outcome::Cut);
    assert_eq!(
        read(&plan, "{\"error\":\"out of memory\"}\n").outcome,
        Outcome::Error { code: None }
    );
}

#[test]
fn a_whole_answer_is_read_in_constant_memory() {
    let text = "long text, \\\"quoted\\\" ".repeat(300_000);
    let body = format!(
        r#"{{"id":"resp_9","model":"m","output":[{{"id":"rs_9","content":[{{"text":"{text}"}}]}}],"usage":{{"input_tokens":1,"output_tokens":2}}}}"#
    );
    let plan = json(stream(Wire::OpenAi, Endpoint::Responses));
    let (_, reading) = run(&plan, body.as_bytes().chunks(1_000));
    assert_eq!(
        (reading.usage, reading.outcome.clone()),
        (tokens(1, 0, 0, 2, 0), Outcome::Complete)
    );
    assert_eq!(ids(&reading), ["resp_9", "rs_9"]);
    assert_eq!(reading.output, text.len() as u64);
    let (_, reading) = run(&plan, body.as_bytes()[..body.len() - 1].chunks(1_000));
    assert_eq!(reading.outcome, Outcome::Cut);
}

#[test]
fn ids_of_what_was_stored_are_noted() {
    let stored = |wire, body| {
        let plan = json(stream(wire, Endpoint::Stored));
        ids(&read(&plan, body)).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(stored(Wire::OpenAi, r#"{"id":"file-1","object":"file"}"#), ["file-1"]);
    let batch = r#"{"id":"batch_1","input_file_id":"file-1","output_file_id":"file-2","error_file_id":null}"#;
    assert_eq!(stored(Wire::OpenAi, batch), ["batch_1", "file-2"]);
    assert_eq!(stored(Wire::Anthropic, r#"{"id":"msgbatch_1"}"#), ["msgbatch_1"]);
    let file = r#"{"file":{"name":"files/a","uri":"https://x/v1beta/files/a"}}"#;
    assert_eq!(stored(Wire::Gemini, file), ["files/a"]);
    assert_eq!(
        stored(
            Wire::Gemini,
            r#"{"name":"cachedContents/c","usageMetadata":{"totalTokenCount":9}}"#
        ),
        ["cachedContents/c"]
    );
}

#[test]
fn what_the_model_writes_cannot_pose_as_usage() {
    let part = r#"{"functionCall":{"args":{"usage":{"prompt_tokens":9},"model":"x","error":{"code":"y"}}}}"#;
    let body = format!(r#"{{"candidates":[{{"content":{{"parts":[{part}]}}}}]}}"#);
    let reading = read(&json(gemini()), &body);
    assert_eq!((reading.usage, reading.model, reading.outcome), (None, None, Outcome::Complete));
    let text =
        r#"data: {"choices":[{"delta":{"content":""usage":{"prompt_tokens":9},"error":{}"}}]}"#;
    let reading = read(&chat(), &format!("{text}\n\n"));
    assert_eq!((reading.usage, reading.outcome), (None, Outcome::Cut));
}

#[test]
fn what_is_fetched_again_is_not_charged_again() {
    let body = r#"{"id":"resp_1","usage":{"input_tokens":12,"output_tokens":3}}"#;
    let fetched = read(&json(stream(Wire::OpenAi, Endpoint::Stored)), body);
    assert_eq!((fetched.usage, ids(&fetched)), (None, vec!["resp_1"]));
    let failed = r#"{"id":"resp_1","status":"failed","error":{"code":"server_error"}}"#;
    let fetched = read(&json(stream(Wire::OpenAi, Endpoint::Stored)), failed);
    assert_eq!(fetched.outcome, Outcome::Complete, "the fetching went well");
}

#[test]
fn errors_inside_a_good_answer_are_seen() {
    let responses = stream(Wire::OpenAi, Endpoint::Responses);
    let messages = stream(Wire::Anthropic, Endpoint::Messages);
    let cases = [
        (
            chat(),
            r#"data: {"error":{"message":"upstream closed","type":"server_error","param":null,"code":null}}"#,
            "server_error",
        ),
        (
            chat(),
            r#"data: {"error":{"message":"x","type":"BadRequestError","code":400}}"#,
            "BadRequestError",
        ),
        (
            chat(),
            r#"data: {"id":"x","error":{"code":502,"message":"x"},"choices":[{"delta":{"content":""},"finish_reason":"error"}]}"#,
            "502",
        ),
        (chat(), r#"data: {"choices":[{"delta":{},"finish_reason": "error"}]}"#, "error"),
        (
            chat(),
            r#"data: {"choices":[{"delta":{},"finish_reason":"insufficient_system_resource"}]}"#,
            "insufficient_system_resource",
        ),
        (
            responses,
            "event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{\"id\":\"resp_1\",\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"x\"}}}",
            "rate_limit_exceeded",
        ),
        (
            responses,
            "event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"x\",\"param\":null}",
            "server_error",
        ),
        (
            responses,
            "data: {\"type\":\"error\",\"code\":\"nameless\",\"message\":\"x\"}",
            "nameless",
        ),
        (
            messages,
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}",
            "overloaded_error",
        ),
        (
            messages,
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"details\":{\"error_code\":\"ramp_limit_exceeded\"}}}",
            "ramp_limit_exceeded",
        ),
        (
            gemini(),
            r#"data: {"error":{"code":503,"message":"x","status":"UNAVAILABLE","details":[]}}"#,
            "UNAVAILABLE",
        ),
        (
            json(gemini()),
            r#"[{"error":{"code":503,"message":"x","status":"UNAVAILABLE"}}]"#,
            "UNAVAILABLE",
        ),
        (json(chat()), r#"{"error":{"code":"server_error"}}"#, "server_error"),
        (json(chat()), r#"{"code":"permission-denied","error":"some text"}"#, "permission-denied"),
    ];
    for (plan, event, code) in cases {
        let body = format!("{event}\n\n");
        assert_eq!(read(&plan, &body).outcome, error(code), "{event}");
    }
}

#[test]
fn an_errors_message_never_becomes_its_code() {
    let event = r#"data: {"error":{"code":"your key sk-1 is bad","message":"sk-1"}}"#;
    assert_eq!(read(&chat(), &format!("{event}\n\n")).outcome, Outcome::Error { code: None });
    let long = format!(r#"data: {{"error":{{"message":"{}"}}}}"#, "x".repeat(50_000));
    assert_eq!(read(&chat(), &format!("{long}\n\n")).outcome, Outcome::Error { code: None });
}

#[test]
fn a_stream_without_its_last_word_is_cut() {
    let messages = stream(Wire::Anthropic, Endpoint::Messages);
    assert_eq!(read(&messages, &MESSAGES[..MESSAGES.len() - 60]).outcome, Outcome::Cut);
    let first = CHAT.split_inclusive("\n\n").next().unwrap();
    assert_eq!(read(&chat(), first).outcome, Outcome::Cut);
    let first = GEMINI.split_inclusive("\r\n\r\n").next().unwrap();
    assert_eq!(read(&gemini(), first).outcome, Outcome::Cut);
    assert_eq!(read(&json(gemini()), &gemini_array()[..300]).outcome, Outcome::Cut);
    assert_eq!(read(&chat(), CHAT).outcome, Outcome::Complete, "some leave [DONE] out");
    assert_eq!(read(&chat(), &[CHAT, "data: [DONE]"].concat()).outcome, Outcome::Complete);
}

#[test]
fn a_client_that_leaves_is_charged_for_what_flowed() {
    let mut meter = Meter::new(&chat());
    let _sent = meter.read(Bytes::from_static(CHAT.as_bytes()));
    assert!(!meter.is_complete() && !meter.saw_error());
    assert_eq!(meter.output_seen(), 33);
    assert_eq!(meter.reading().usage, None);
}

#[test]
fn a_chunk_passes_as_it_is() {
    let mut meter = Meter::new(&chat());
    let chunk = Bytes::from_static(CHAT.as_bytes());
    assert_eq!(meter.read(chunk.clone())[0].as_ptr(), chunk.as_ptr());
    let mut meter = Meter::new(&stripping());
    let pieces = meter.read(chunk.clone());
    assert_eq!((pieces.len(), pieces[0].as_ptr()), (1, chunk.as_ptr()));
}

#[test]
fn usage_that_the_application_did_not_ask_for_is_taken_out() {
    let (out, reading) = run(&stripping(), [[CHAT, CHAT_USAGE, DONE].concat().as_bytes()]);
    assert_eq!(String::from_utf8_lossy(&out), [CHAT, DONE].concat());
    assert_eq!(reading.usage, tokens(90, 64, 0, 33, 0));
    let (out, _) = run(&stripping(), [CHAT_USAGE.trim_end().as_bytes()]);
    assert_eq!(out, b"", "also when its blank line is missing");
}

#[test]
fn only_usage_alone_is_taken_out() {
    let cases = [
        r#"data: {"choices":[],"usage":null,"prompt_filter_results":[]}"#,
        r#"data: {"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}"#,
        r#"data: {"choices":[],"usage":{"prompt_tokens":1},"error":{"code":"x"}}"#,
        r#"data: {"usage":{"prompt_tokens":1}}"#,
        r#"data: {"choices":[],"usage":{"prompt_tokens":1}"#,
        ": a comment",
        "data: [DONE]",
    ];
    for event in cases {
        let body = format!("{event}\n\n");
        let (out, _) = run(&stripping(), [body.as_bytes()]);
        assert_eq!(String::from_utf8_lossy(&out), body);
    }
}

#[test]
fn an_event_is_held_back_only_while_it_could_be_usage_alone() {
    let mut meter = Meter::new(&stripping());
    assert!(meter.read(Bytes::from_static(b"data: {\"choices\":[")).is_empty());
    let big = Bytes::from(vec![b'x'; 70_000]);
    assert_eq!(meter.read(big.clone()).concat().len(), 18 + big.len(), "too long for that");
    assert_eq!(meter.read(Bytes::from_static(b"xx")).concat(), b"xx");
    assert_eq!(meter.read(Bytes::from_static(b"\n\ndata")).concat(), b"\n\n");
    assert_eq!(meter.end(), Bytes::from_static(b"data"));
}

#[test]
fn an_event_of_any_length_is_read() {
    let image = "A".repeat(3_000_000);
    let event = format!(
        "event: response.completed\ndata: {{\"type\":\"response.completed\",\"response\":{{\"id\":\"resp_1\",\"output\":[{{\"result\":\"{image}\"}}],\"usage\":{{\"input_tokens\":5,\"output_tokens\":6}}}}}}\n\n"
    );
    let plan = stream(Wire::OpenAi, Endpoint::Responses);
    for size in [1_000, 65_536, event.len()] {
        let (out, reading) = run(&plan, event.as_bytes().chunks(size));
        assert!(out == event.as_bytes());
        assert_eq!((reading.usage, reading.outcome), (tokens(5, 0, 0, 6, 0), Outcome::Complete));
    }
}

#[test]
fn data_on_several_lines_comments_and_a_byte_order_mark_are_read() {
    let body = "\u{feff}: hello\n\ndata: {\"choices\":\ndata:[],\n: between\ndata: \"usage\":{\"prompt_tokens\":4,\ndata: \"completion_tokens\":2}}\n\nretry: 5\n\n";
    for ends in ["\n", "\r\n", "\r"] {
        let body = body.replace('\n', ends);
        let (out, reading) = run(&stripping(), body.as_bytes().chunks(1));
        assert_eq!(reading.usage, tokens(4, 0, 0, 2, 0), "{ends:?}");
        let kept = format!("\u{feff}: hello{ends}{ends}retry: 5{ends}{ends}");
        assert_eq!(String::from_utf8_lossy(&out), kept, "{ends:?}");
    }
}

#[test]
fn compressed_answers_are_read_and_pass_compressed() {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(CHAT.as_bytes()).unwrap();
    gzip.flush().unwrap();
    let half = gzip.get_ref().len();
    gzip.write_all([CHAT_USAGE, DONE].concat().as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let plan = Plan { content_encoding: Some("gzip"), ..stripping() };
    for size in [1, 7, gzip.len()] {
        let (out, reading) = run(&plan, gzip.chunks(size));
        assert_eq!(out, gzip);
        assert_eq!((reading.usage, reading.outcome), (tokens(90, 64, 0, 33, 0), Outcome::Complete));
    }
    let mut meter = Meter::new(&plan);
    let _sent = meter.read(Bytes::copy_from_slice(&gzip[..half]));
    assert_eq!(meter.output_seen(), 33, "what was flushed has been read");
    assert_eq!(meter.cut("x"), None, "nothing plain can follow");

    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(br#"{"usage":{"prompt_tokens":1}}"#).unwrap();
    let plan = Plan { content_encoding: Some("deflate"), ..json(chat()) };
    let (_, reading) = run(&plan, [zlib.finish().unwrap().as_slice()]);
    assert_eq!(reading.usage, tokens(1, 0, 0, 0, 0));
    let (out, reading) = run(&plan, [b"not deflate".as_slice(), b"at all"]);
    assert_eq!((out.as_slice(), reading.usage), (b"not deflateat all".as_slice(), None));
    assert_eq!(reading.outcome, Outcome::Complete, "what cannot be read is not called cut");
}

#[test]
fn a_bomb_is_not_read_to_its_end() {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    let block = vec![b' '; 1 << 20];
    for _ in 0..300 {
        gzip.write_all(&block).unwrap();
    }
    gzip.write_all(br#"{"usage":{"prompt_tokens":1}}"#).unwrap();
    let gzip = gzip.finish().unwrap();
    let plan = Plan { content_encoding: Some("gzip"), ..json(chat()) };
    let (out, reading) = run(&plan, gzip.chunks(16 * 1024));
    assert_eq!((out.len(), reading.usage), (gzip.len(), None));
}

#[test]
fn what_is_not_understood_passes() {
    for content_type in ["audio/mpeg", "text/plain", "application/octet-stream"] {
        let plan = Plan { content_type: Some(content_type), ..chat() };
        let reading = read(&plan, CHAT_USAGE);
        assert_eq!((reading.usage, reading.outcome), (None, Outcome::Complete));
    }
    let brotli = Plan { content_encoding: Some("br"), ..chat() };
    assert_eq!(read(&brotli, CHAT_USAGE).usage, None);
    let other = Plan { wire: Wire::Http, ..chat() };
    assert_eq!(read(&other, CHAT_USAGE).usage, None);
}

#[test]
fn a_cut_stream_ends_with_an_error_in_its_own_format() {
    let cut = |plan: Plan<'_>, seen: &str| {
        let mut meter = Meter::new(&plan);
        let _sent = meter.read(Bytes::copy_from_slice(seen.as_bytes()));
        let event = meter
            .cut("The \"provider\" broke off")
            .map(|event| String::from_utf8(event.to_vec()).unwrap());
        (event, meter)
    };
    let plans = [
        (chat(), CHAT),
        (stream(Wire::OpenAi, Endpoint::Responses), RESPONSES),
        (stream(Wire::Anthropic, Endpoint::Messages), MESSAGES),
        (gemini(), GEMINI),
    ];
    for (plan, body) in plans {
        let body = body.replace("\r\n", "\n");
        let start = body.split_inclusive("\n\n").next().unwrap();
        let (whole, _) = cut(plan, start);
        let whole = whole.unwrap();
        assert!(!whole.starts_with('\n') && whole.ends_with("\n\n"), "{whole:?}");
        assert_eq!(
            read(&plan, &[start, &whole].concat()).outcome,
            error(if plan.wire == Wire::Anthropic {
                "api_error"
            } else if plan.wire == Wire::Gemini {
                "UNAVAILABLE"
            } else {
                "server_error"
            }),
            "our own reader understands it"
        );
        for missing in [1, 2, 9] {
            let (half, _) = cut(plan, &start[..start.len() - missing]);
            if plan.wire == Wire::Anthropic {
                assert_eq!(half.unwrap(), ["\n", &whole].concat(), "its name makes it an error");
            } else {
                assert_eq!(half, None, "half an event's data would be taken for ours");
            }
        }
    }
    assert_eq!(cut(chat(), DONE).0, None, "nothing follows the last word");
    assert_eq!(
        cut(chat(), "data: {\"error\":{}}\n\ndata: {\"error\":{\"code\":1}}\n\n").0,
        None,
        "one error will do"
    );
    let (half, _) = cut(stripping(), &CHAT[..50]);
    assert!(half.unwrap().starts_with("data:"), "a held event was never sent");
    assert_eq!(cut(json(gemini()), "[{").0, None);
    assert_eq!(cut(json(chat()), "{").0, None);
    let ollama = json(stream(Wire::Ollama, Endpoint::ChatCompletions));
    assert_eq!(
        cut(ollama, "{\"a\":1}\n").0.unwrap(),
        "{\"error\":\"The \\\"provider\\\" broke off\"}\n"
    );
    assert!(cut(ollama, "{\"a\":").0.unwrap().starts_with("\n{"));
}

#[test]
fn a_cut_response_goes_on_counting() {
    let mut meter = Meter::new(&stream(Wire::OpenAi, Endpoint::Responses));
    let two: String = RESPONSES.split_inclusive("\n\n").take(2).collect();
    let _sent = meter.read(Bytes::from(two + ": keep-alive\n\n"));
    let event = meter.cut("x").unwrap();
    assert!(String::from_utf8_lossy(&event).contains(r#""sequence_number":2"#));
}
