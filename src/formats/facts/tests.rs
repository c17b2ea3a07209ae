#![expect(clippy::string_slice, reason = "the bodies cut here are ASCII")]

use http::Method;
use proptest::prelude::*;

use super::*;
use crate::formats::edit::apply;
use crate::formats::path::read_path;
use crate::formats::stored::StoredId;

fn path(wire: Wire, path: &str) -> PathFacts {
    read_path(wire, &Method::POST, path)
}

fn chat() -> PathFacts {
    path(Wire::OpenAi, "/v1/chat/completions")
}

fn read(facts_of: &PathFacts, body: &str) -> Facts {
    Facts::read(facts_of, body.as_bytes()).unwrap()
}

fn refusal(body: &[u8]) -> Reason {
    Facts::read(&chat(), body).unwrap_err().reason
}

fn ids(facts: &Facts) -> Vec<&str> {
    facts.stored.iter().map(StoredId::as_str).collect()
}

/// The body after the edit that asks for usage.
fn asked(body: &str) -> String {
    let edit = read(&chat(), body).ask_usage.expect("usage is not asked for");
    let edited = apply(&Bytes::copy_from_slice(body.as_bytes()), &[edit]);
    String::from_utf8(edited.pieces.concat()).unwrap()
}

#[test]
fn a_chat_says_what_it_wants() {
    let body = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"Hi there"}],
        "max_tokens":16,"max_completion_tokens":64,"n":3,"stream":true}"#;
    let facts = read(&chat(), body);
    assert_eq!(facts.model.as_deref(), Some("gpt-4o"));
    assert_eq!(&body[facts.model_span.clone().unwrap()], r#""gpt-4o""#);
    assert!(facts.stream);
    assert_eq!((facts.max_output, facts.choices), (Some(64), 3));
    assert_eq!(facts.text.bytes(), "roleusercontentHi there".len() as u64);
}

#[test]
fn a_renamed_model_changes_nothing_else() {
    let body = r#" { "a" : 1, "model" : "al\u0069as" , "z":2}"#;
    let facts = read(&chat(), body);
    assert_eq!(facts.model.as_deref(), Some("alias"));
    let edit = facts.rename("real").unwrap();
    let edited = apply(&Bytes::from_static(body.as_bytes()), &[edit]);
    assert_eq!(edited.pieces.concat(), br#" { "a" : 1, "model" : "real" , "z":2}"#);
}

#[test]
fn every_wire_format_has_its_own_names_for_the_output_bound() {
    let gemini = path(Wire::Gemini, "/v1beta/models/g:generateContent");
    let cases = [
        (path(Wire::OpenAi, "/v1/responses"), r#"{"max_output_tokens":5}"#),
        (path(Wire::Anthropic, "/v1/messages"), r#"{"max_tokens":5}"#),
        (gemini.clone(), r#"{"generationConfig":{"maxOutputTokens":5}}"#),
        (gemini, r#"{"generation_config":{"max_output_tokens":5.0}}"#),
        (path(Wire::Ollama, "/api/chat"), r#"{"options":{"num_predict":5}}"#),
    ];
    for (path, body) in cases {
        assert_eq!(read(&path, body).max_output, Some(5), "{body}");
    }
    for odd in [r#"{"max_tokens":null}"#, r#"{"max_tokens":-1}"#, r#"{"max_tokens":"5"}"#] {
        assert_eq!(read(&chat(), odd).max_output, None, "{odd}");
    }
}

#[test]
fn gemini_streams_by_its_path_and_ollama_unless_told_not_to() {
    let stream = path(Wire::Gemini, "/v1beta/models/g:streamGenerateContent");
    let facts = read(&stream, r#"{"generationConfig":{"candidateCount":2}}"#);
    assert!(facts.stream);
    assert_eq!((facts.model.as_deref(), facts.model_span), (Some("g"), None));
    assert_eq!(facts.choices, 2);
    let ollama = path(Wire::Ollama, "/api/chat");
    assert!(read(&ollama, "{}").stream);
    assert!(!read(&ollama, r#"{"stream":false}"#).stream);
    assert!(!read(&path(Wire::Ollama, "/api/embed"), "{}").stream);
}

#[test]
fn azures_deployment_wins_over_the_body() {
    let azure = path(Wire::OpenAi, "/openai/deployments/mine/chat/completions");
    let facts = read(&azure, r#"{"model":"gpt-4o"}"#);
    assert_eq!((facts.model.as_deref(), facts.rename("x")), (Some("mine"), None));
}

#[test]
fn usage_is_asked_for_in_the_smallest_way() {
    let cases = [
        (r#"{"stream":true}"#, r#"{"stream_options":{"include_usage":true},"stream":true}"#),
        (
            r#"{"stream":true,"stream_options":{}}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
        ),
        (
            r#"{"stream":true,"stream_options":null}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
        ),
        (
            r#"{"stream":true,"stream_options":{ "include_obfuscation":false}}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true, "include_obfuscation":false}}"#,
        ),
        (
            r#"{"stream_options":{"include_usage": false },"stream":true}"#,
            r#"{"stream_options":{"include_usage": true },"stream":true}"#,
        ),
        (
            r#"{"stream_options":{"include_usage":null},"stream":true}"#,
            r#"{"stream_options":{"include_usage":true},"stream":true}"#,
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(asked(body), expected);
        assert_eq!(read(&chat(), expected).ask_usage, None, "asked once");
    }
}

#[test]
fn usage_is_not_asked_for_where_that_means_nothing() {
    for body in ["{}", r#"{"stream":false}"#, r#"{"stream":true,"stream_options":"x"}"#] {
        assert_eq!(read(&chat(), body).ask_usage, None, "{body}");
    }
    let stream = r#"{"stream":true}"#;
    for (wire, other) in [
        (Wire::OpenAi, "/v1/responses"),
        (Wire::Anthropic, "/v1/messages"),
        (Wire::Ollama, "/api/chat"),
        (Wire::Cohere, "/v2/chat"),
    ] {
        assert_eq!(read(&path(wire, other), stream).ask_usage, None, "{other}");
    }
    assert!(takes_stream_options(Dialect::OpenAi) && !takes_stream_options(Dialect::Mistral));
}

#[test]
fn stored_things_are_found_wherever_they_are_named() {
    let responses = path(Wire::OpenAi, "/v1/responses");
    let body = r#"{"previous_response_id":"resp_1","conversation":{"id":"conv_1"},
        "tools":[{"type":"file_search","vector_store_ids":["vs_1"]},
                 {"type":"code_interpreter","container":{"type":"auto","file_ids":["file-2"]}}],
        "input":[{"role":"user","content":[{"type":"input_file","file_id":"file-1"}]},
                 {"type":"reasoning","id":"rs_1"},{"type":"message","id":"msg_1"},
                 {"type":"item_reference","id":"msg_2"}]}"#;
    let expected = ["resp_1", "conv_1", "vs_1", "file-2", "file-1", "rs_1", "msg_2"];
    assert_eq!(ids(&read(&responses, body)), expected);

    let gemini = path(Wire::Gemini, "/v1beta/models/g:generateContent");
    let body = r#"{"cachedContent":"cachedContents/c","contents":[{"parts":[
        {"fileData":{"mimeType":"image/png","fileUri":"https://x.googleapis.com/v1beta/files/f"}},
        {"file_data":{"file_uri":"https://youtu.be/x"}}]}]}"#;
    assert_eq!(ids(&read(&gemini, body)), ["cachedContents/c", "files/f"]);

    let batches = path(Wire::OpenAi, "/v1/batches");
    assert_eq!(ids(&read(&batches, r#"{"input_file_id":"file-1"}"#)), ["file-1"]);
    let follow_up = path(Wire::OpenAi, "/v1/vector_stores/vs_1/files");
    assert_eq!(ids(&read(&follow_up, r#"{"file_id":"file-1"}"#)), ["vs_1", "file-1"]);
}

#[test]
fn what_only_looks_like_an_id_is_none() {
    let body = r#"{"metadata":{"file_id":"file-1"},"messages":[{"role":"assistant","content":[
        {"type":"tool_use","id":"toolu_1","input":{"file_id":"report","conversation":"long"}}]}],
        "tools":[{"input_schema":{"properties":{"file_id":{"type":"string"}},"required":["file_id"]}}]}"#;
    assert_eq!(ids(&read(&path(Wire::Anthropic, "/v1/messages"), body)), Vec::<&str>::new());
}

#[test]
fn media_are_counted_and_kept_out_of_the_text() {
    let picture = "A".repeat(4_000);
    let cases = [
        (
            chat(),
            format!(
                r#"{{"messages":[{{"content":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{picture}"}}}}]}}]}}"#
            ),
            (1, 0),
        ),
        (
            chat(),
            format!(
                r#"{{"messages":[{{"content":[{{"type":"file","file":{{"file_data":"{picture}"}}}}]}}]}}"#
            ),
            (0, 1),
        ),
        (
            chat(),
            format!(
                r#"{{"messages":[{{"content":[{{"type":"input_audio","input_audio":{{"data":"{picture}","format":"wav"}}}}]}}]}}"#
            ),
            (0, 1),
        ),
        (
            path(Wire::Anthropic, "/v1/messages"),
            format!(
                r#"{{"messages":[{{"content":[{{"type":"image","source":{{"type":"base64","data":"{picture}"}}}}]}}]}}"#
            ),
            (1, 0),
        ),
        (
            path(Wire::Anthropic, "/v1/messages"),
            format!(
                r#"{{"messages":[{{"content":[{{"source":{{"data":"{picture}","type":"base64"}},"type":"document"}}]}}]}}"#
            ),
            (0, 1),
        ),
        (
            path(Wire::Gemini, "/v1beta/models/g:generateContent"),
            format!(
                r#"{{"contents":[{{"parts":[{{"inlineData":{{"mimeType":"image/png","data":"{picture}"}}}}]}}]}}"#
            ),
            (1, 0),
        ),
        (
            path(Wire::Gemini, "/v1beta/models/g:generateContent"),
            format!(
                r#"{{"contents":[{{"parts":[{{"inline_data":{{"data":"{picture}","mime_type":"application/pdf"}}}}]}}]}}"#
            ),
            (0, 1),
        ),
        (
            path(Wire::Ollama, "/api/chat"),
            format!(r#"{{"messages":[{{"images":["{picture}"]}}]}}"#),
            (1, 0),
        ),
    ];
    for (path, body, counted) in cases {
        let facts = read(&path, &body);
        assert_eq!((facts.images, facts.documents), counted, "{}", &body[..90]);
        assert!((4_000..4_100).contains(&facts.inlined), "{}", &body[..90]);
        assert!(facts.text.bytes() < 200, "{}", &body[..90]);
    }
}

#[test]
fn token_ids_are_counted_as_numbers() {
    let embeddings = path(Wire::OpenAi, "/v1/embeddings");
    let facts = read(&embeddings, r#"{"model":"m","input":[[1,2,3],[4]],"dimensions":256}"#);
    assert_eq!(facts.text.numbers, 5, "four ids, and one setting nobody knows");
}

#[test]
fn an_unreadable_body_says_why_and_where_but_not_what() {
    let cases: [(&[u8], Reason); 12] = [
        (b"", Reason::Empty),
        (b" \n ", Reason::Empty),
        (b"secret", Reason::NotJson),
        (b"{\"a\":secret}", Reason::NotJson),
        (b"{\"a\":1", Reason::Truncated),
        (b"{\"a\":\"\xc3", Reason::Truncated),
        (b"{\"a\":\"\xff\"}", Reason::NotUtf8),
        (b"[]", Reason::NotAnObject),
        (b"\"secret\"", Reason::NotAnObject),
        (b"{} {}", Reason::TrailingData),
        (b"{\"model\":\"a\",\"model\":\"secret\"}", Reason::Duplicate("model")),
        (b"{\"stream\":true,\"str\\u0065am\":false}", Reason::Duplicate("stream")),
    ];
    for (body, reason) in cases {
        let unreadable = Facts::read(&chat(), body).unwrap_err();
        assert_eq!(unreadable.reason, reason);
        assert!(unreadable.offset <= body.len());
        assert!(!unreadable.to_string().contains("secret"), "{unreadable}");
    }
    assert_eq!(
        refusal(br#"{"generationConfig":{},"generation_config":{}}"#),
        Reason::Duplicate("generationConfig"),
        "both spellings are one name"
    );
    let long = format!(r#"{{"model":"{}"}}"#, "m".repeat(MAX_MODEL_BYTES + 1));
    assert_eq!(refusal(long.as_bytes()), Reason::ModelTooLong);
}

#[test]
fn a_place_is_given_as_editors_count() {
    let unreadable = Facts::read(&chat(), b"{\n  \"a\": 1,\n  \"b\": ?\n}").unwrap_err();
    assert_eq!((unreadable.line, unreadable.column, unreadable.offset), (3, 8, 19));
    assert_eq!(
        unreadable.to_string(),
        "The request body cannot be read: it is not JSON (line 3, column 8)"
    );
}

#[test]
fn json_nested_to_death_is_refused() {
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(refusal(deep.as_bytes()), Reason::TooDeep);
    let fair = format!(r#"{{"a":{}{}}}"#, "[".repeat(100), "]".repeat(100));
    read(&chat(), &fair);
}

#[test]
fn where_the_endpoint_is_unknown_the_provider_judges() {
    let other = path(Wire::OpenAi, "/v1/unheard/of");
    assert_eq!(Facts::read(&other, b"not json"), Ok(Facts::of_path(&other)));
    assert_eq!(Facts::read(&other, b"[1]"), Ok(Facts::of_path(&other)));
    let model = Facts::read(&other, br#"{"model":"m"}"#).unwrap().model;
    assert_eq!(model.as_deref(), Some("m"));
}

/// JSON of any shape, with names that matter among the others.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<i32>().prop_map(|number| (f64::from(number) / 4.0).into()),
        "[a-z0-9 \"\\\\\né_-]{0,20}".prop_map(Into::into),
    ];
    let name = prop_oneof![
        Just("model"),
        Just("stream"),
        Just("stream_options"),
        Just("include_usage"),
        Just("n"),
        Just("max_tokens"),
        Just("messages"),
        Just("content"),
        Just("type"),
        Just("id"),
        Just("file_id"),
        Just("source"),
        Just("data"),
        Just("inlineData"),
        Just("x"),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::btree_map(name.clone(), inner, 0..6)
                .prop_map(|map| map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn any_object_is_read_as_a_tree_would_be(value in json()) {
        let body = value.to_string();
        let read = Facts::read(&chat(), body.as_bytes());
        prop_assert_eq!(read.is_ok(), value.is_object(), "{:?}", read);
        if let Ok(facts) = read {
            prop_assert_eq!(facts.model.as_deref(), value["model"].as_str());
            prop_assert_eq!(facts.stream, value["stream"] == true);
            let n = value["n"].as_u64().unwrap_or(1).max(1);
            if value["n"].is_u64() || value["n"].is_null() {
                prop_assert_eq!(u64::from(facts.choices), n.min(u64::from(u32::MAX)));
            }
            if let Some(span) = facts.model_span {
                prop_assert_eq!(&body[span], value["model"].to_string());
            }
            if let Some(edit) = facts.ask_usage {
                let edited = apply(&Bytes::from(body), &[edit]).pieces.concat();
                let asked: serde_json::Value = serde_json::from_slice(&edited).unwrap();
                prop_assert_eq!(&asked["stream_options"]["include_usage"], true);
                prop_assert_eq!(&asked["messages"], &value["messages"]);
            }
        }
    }

    #[test]
    fn garbage_is_refused_without_a_panic(body: Vec<u8>, cut in 0_usize..200) {
        drop(Facts::read(&chat(), &body));
        let good = br#"{"model":"m","messages":[{"content":"\u00e9\ud83d\ude00"}],"stream":true}"#;
        let cut = cut % good.len();
        prop_assert!(Facts::read(&chat(), &good[..cut]).is_err());
    }
}

/// A chat with that system prompt and these turns; tools, where there are any, stand last.
fn talk(system: &str, turns: &[&str], tools: &str) -> String {
    let turn = |text: &&str| format!(r#",{{"role":"user","content":"{text}"}}"#);
    let turns: String = turns.iter().map(turn).collect();
    format!(
        r#"{{"model":"m","messages":[{{"role":"system","content":"{system}"}}{turns}],"tools":[{{"description":"{tools}"}}]}}"#
    )
}

fn prefix(body: &str) -> Option<u64> {
    read(&chat(), body).prefix
}

#[test]
fn a_conversation_keeps_its_prefix_as_it_grows_and_others_have_another() {
    let (long, other) = ("x".repeat(5_000), "y".repeat(5_000));
    let begun = prefix(&talk(&long, &["hi"], ""));
    assert!(begun.is_some());
    assert_eq!(prefix(&talk(&long, &["hi", "there", &other], "")), begun);
    assert_ne!(prefix(&talk(&other, &["hi"], "")), begun);
    let short = "s".repeat(1_000);
    let turns = [long.as_str(), "then", "more"];
    assert_eq!(prefix(&talk(&short, &turns[..1], "")), prefix(&talk(&short, &turns, "")));
    assert_ne!(prefix(&talk(&short, &[&other], "")), prefix(&talk(&short, &turns, "")));
}

#[test]
fn tools_come_first_in_a_cache_wherever_they_stand() {
    let tools = "t".repeat(4_200);
    let with = |turn: &str| prefix(&talk("short", &[turn], &tools));
    assert!(with("a").is_some());
    assert_eq!(with("a"), with("b"), "what is said comes after them");
    let half = "t".repeat(2_000);
    let said = "u".repeat(3_000);
    let with = |end: &str| prefix(&talk("short", &[&format!("{said}{end}")], &half));
    assert!(with("").is_some());
    assert_eq!(with(""), with("more"));
}

#[test]
fn what_no_provider_caches_has_no_prefix() {
    assert_eq!(prefix(&talk(&"x".repeat(3_000), &["hi"], "")), None);
    let input = format!(r#"{{"model":"m","input":"{}"}}"#, "x".repeat(9_000));
    assert_eq!(read(&path(Wire::OpenAi, "/v1/embeddings"), &input).prefix, None);
    assert!(read(&path(Wire::OpenAi, "/v1/responses"), &input).prefix.is_some());
}

proptest! {
    #[test]
    fn every_byte_of_a_prefix_tells(at in 0_usize..4_000, cuts in prop::collection::vec(0_usize..4_096, 0..5)) {
        // The names of the roles are part of what is said.

        let mut cuts = cuts;
        cuts.sort_unstable();
        let pieces = |text: &str| {
            let ends = cuts.iter().copied().chain([text.len()]);
            let starts = [0].into_iter().chain(cuts.iter().copied());
            let pieces: Vec<_> = starts.zip(ends).map(|(from, to)| text[from..to].to_owned()).collect();
            let pieces: Vec<_> = pieces.iter().map(String::as_str).collect();
            prefix(&talk("", &pieces, ""))
        };
        let one = "a".repeat(4_200);
        let mut other = one.clone();
        other.replace_range(at..=at, "b");
        prop_assert!(pieces(&one).is_some());
        prop_assert_ne!(pieces(&one), pieces(&other));
    }
}
