#![expect(clippy::string_slice, reason = "the bodies cut here are ASCII")]

use http::HeaderValue;
use proptest::prelude::*;

use super::*;

fn post(wire: Wire, path: &str) -> PathFacts {
    read_path(wire, &Method::POST, path)
}

fn ids(facts: &PathFacts) -> Vec<&str> {
    facts.stored.iter().map(StoredId::as_str).collect()
}

#[test]
fn one_resource_stands_below_many_prefixes() {
    for path in [
        "/v1/chat/completions",
        "/openai/v1/chat/completions",
        "/api/v1/chat/completions",
        "/inference/v1/chat/completions",
        "/compatibility/v1/chat/completions",
        "/hf-inference/models/meta-llama/x/v1/chat/completions",
        "/chat/completions",
        "//v1//chat/completions/",
    ] {
        let facts = post(Wire::OpenAi, path);
        assert_eq!(facts, PathFacts::of(Endpoint::ChatCompletions, Wire::OpenAi), "{path}");
    }
}

#[test]
fn the_path_tells_the_wire_format_even_on_another_providers_ground() {
    let cases = [
        (Wire::Gemini, "/v1beta/openai/chat/completions", Endpoint::ChatCompletions, Wire::OpenAi),
        (Wire::Gemini, "/v1beta/openai/embeddings", Endpoint::Embeddings, Wire::OpenAi),
        (Wire::Anthropic, "/v1/chat/completions", Endpoint::ChatCompletions, Wire::OpenAi),
        (Wire::OpenAi, "/api/v1/messages", Endpoint::Messages, Wire::Anthropic),
        (Wire::OpenAi, "/anthropic/v1/messages", Endpoint::Messages, Wire::Anthropic),
        (Wire::OpenAi, "/v1/messages/count_tokens", Endpoint::CountTokens, Wire::Anthropic),
        (Wire::OpenAi, "/v1/responses", Endpoint::Responses, Wire::OpenAi),
        (Wire::OpenAi, "/v1/completions", Endpoint::Completions, Wire::OpenAi),
        (Wire::Cohere, "/v2/chat", Endpoint::ChatCompletions, Wire::Cohere),
        (Wire::Cohere, "/compatibility/v1/embeddings", Endpoint::Embeddings, Wire::OpenAi),
        (Wire::Ollama, "/api/generate", Endpoint::Completions, Wire::Ollama),
        (Wire::Ollama, "/api/embeddings", Endpoint::Embeddings, Wire::Ollama),
        (Wire::Ollama, "/v1/embeddings", Endpoint::Embeddings, Wire::OpenAi),
        (Wire::Http, "/v1/chat/completions", Endpoint::Other, Wire::Http),
        (Wire::OpenAi, "/v1/audio/speech", Endpoint::Other, Wire::OpenAi),
        (Wire::OpenAi, "/v1/unheard/of", Endpoint::Other, Wire::OpenAi),
    ];
    for (wire, path, endpoint, spoken) in cases {
        let facts = post(wire, path);
        assert_eq!((facts.endpoint, facts.wire), (endpoint, spoken), "{path}");
        assert_eq!((facts.model, facts.stored.iter().count()), (None, 0), "{path}");
    }
}

#[test]
fn gemini_names_the_model_in_its_path() {
    let cases = [
        (
            "/v1beta/models/gemini-x:streamGenerateContent",
            "gemini-x",
            Endpoint::StreamGenerateContent,
        ),
        ("/v1/models/gemini-x:generateContent", "gemini-x", Endpoint::GenerateContent),
        ("/v1/models/a/b:countTokens", "a/b", Endpoint::GeminiCountTokens),
        ("/v1beta/models/a:b:embedContent", "a:b", Endpoint::EmbedContent),
        ("/v1beta/models/a%2Fb%3AgenerateContent", "a/b", Endpoint::GenerateContent),
        ("/v1beta/tunedModels/t:generateContent", "tunedModels/t", Endpoint::GenerateContent),
        ("/v1beta/models/veo:predictLongRunning", "veo", Endpoint::Other),
    ];
    for (path, model, endpoint) in cases {
        let facts = post(Wire::Gemini, path);
        assert_eq!((facts.endpoint, facts.model.as_deref()), (endpoint, Some(model)), "{path}");
        assert_eq!(facts.streams, endpoint == Endpoint::StreamGenerateContent, "{path}");
        let written = &path[facts.model_range.unwrap()];
        assert_eq!(decode(written), model, "{path}");
    }
}

#[test]
fn azures_deployment_is_the_model() {
    let facts = post(Wire::OpenAi, "/openai/deployments/v1/chat/completions");
    assert_eq!(facts.endpoint, Endpoint::ChatCompletions);
    assert_eq!(facts.model.as_deref(), Some("v1"));
    assert_eq!(facts.model_range, Some(20..22));
    let speech = post(Wire::OpenAi, "/openai/deployments/tts/audio/speech");
    assert_eq!((speech.endpoint, speech.model.as_deref()), (Endpoint::Other, Some("tts")));
}

#[test]
fn paths_name_what_is_stored() {
    let get = |wire, path| read_path(wire, &Method::GET, path);
    let cases = [
        (Wire::OpenAi, "/v1/files/file-1/content", vec!["file-1"]),
        (Wire::OpenAi, "/v1/responses/resp_1/input_items", vec!["resp_1"]),
        (Wire::OpenAi, "/v1/vector_stores/vs_1/files/file-2", vec!["vs_1", "file-2"]),
        (Wire::OpenAi, "/v1/batches/batch_1/cancel", vec!["batch_1"]),
        (Wire::OpenAi, "/v1/fine_tuning/jobs/ftjob-1/events", vec!["ftjob-1"]),
        (Wire::OpenAi, "/v1/chat/completions/chatcmpl-1", vec!["chatcmpl-1"]),
        (Wire::OpenAi, "/v1/chat/completions", vec![]),
        (Wire::OpenAi, "/openai/files", vec![]),
        (Wire::OpenAi, "/v1/threads/thread_1/messages", vec!["thread_1"]),
        (Wire::Anthropic, "/v1/messages/batches/msgbatch_1/results", vec!["msgbatch_1"]),
        (Wire::Anthropic, "/v1/files/file_1", vec!["file_1"]),
        (Wire::Gemini, "/v1beta/files/abc", vec!["files/abc"]),
        (Wire::Gemini, "/upload/v1beta/files", vec![]),
        (Wire::Gemini, "/v1beta/batches/b:cancel", vec!["batches/b"]),
        (Wire::Gemini, "/v1beta/cachedContents/c", vec!["cachedContents/c"]),
    ];
    for (wire, path, expected) in cases {
        let facts = get(wire, path);
        assert_eq!(facts.endpoint, Endpoint::Stored, "{path}");
        assert_eq!(facts.wire, wire, "{path}");
        assert_eq!(ids(&facts), expected, "{path}");
    }
    assert_eq!(get(Wire::OpenAi, "/v1/models").endpoint, Endpoint::Models);
    assert_eq!(
        get(Wire::OpenAi, "/api/v1/models/author/slug/endpoints").endpoint,
        Endpoint::Models
    );
}

#[test]
fn the_unified_door_knows_its_own_paths() {
    let none = HeaderMap::new();
    let open = |path| door(&Method::POST, path, &none).map(|facts| (facts.wire, facts.endpoint));
    let cases = [
        ("/v1/chat/completions", Wire::OpenAi, Endpoint::ChatCompletions),
        ("/v1/completions", Wire::OpenAi, Endpoint::Completions),
        ("/v1/responses", Wire::OpenAi, Endpoint::Responses),
        ("/v1/embeddings", Wire::OpenAi, Endpoint::Embeddings),
        ("/v1/files", Wire::OpenAi, Endpoint::Stored),
        ("/v1/messages", Wire::Anthropic, Endpoint::Messages),
        ("/v1/messages/count_tokens", Wire::Anthropic, Endpoint::CountTokens),
        ("/v1/models/m:generateContent", Wire::Gemini, Endpoint::GenerateContent),
        ("/v1beta/models/m:streamGenerateContent", Wire::Gemini, Endpoint::StreamGenerateContent),
        ("/v1beta/models/m:countTokens", Wire::Gemini, Endpoint::GeminiCountTokens),
        ("/v1beta/models/m:embedContent", Wire::Gemini, Endpoint::EmbedContent),
        ("/v1beta/cachedContents", Wire::Gemini, Endpoint::Stored),
        ("/upload/v1beta/files", Wire::Gemini, Endpoint::Stored),
        ("/upload/v1/files", Wire::Gemini, Endpoint::Stored),
        (
            "/upload/v1beta/fileSearchStores/s:uploadToFileSearchStore",
            Wire::Gemini,
            Endpoint::Stored,
        ),
        ("/download/v1beta/files/f:download", Wire::Gemini, Endpoint::Stored),
    ];
    for (path, wire, endpoint) in cases {
        assert_eq!(open(path), Some((wire, endpoint)), "{path}");
    }
    for unknown in [
        "/",
        "",
        "/v2/chat",
        "/v1/unheard",
        "/v1beta/messages",
        "/v1",
        "/x/v1/responses",
        "/upload",
        "/upload/v1",
        "/upload/v2/files",
        "/upload/v1/models/m:generateContent",
        "/upload/v1/messages",
    ] {
        assert_eq!(open(unknown), None, "{unknown}");
    }
    assert_eq!(door(&Method::PUT, "/v1/embeddings", &none), None, "a method it does not take");
}

#[test]
fn a_shared_path_at_the_door_is_the_askers() {
    let wire = |headers: &HeaderMap, path| door(&Method::GET, path, headers).unwrap().wire;
    let asker = |name: &'static str| {
        HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static("x"))])
    };
    assert_eq!(wire(&HeaderMap::new(), "/v1/models"), Wire::OpenAi);
    assert_eq!(wire(&asker("anthropic-version"), "/v1/models"), Wire::Anthropic);
    assert_eq!(wire(&asker("x-goog-api-key"), "/v1/models"), Wire::Gemini);
    assert_eq!(wire(&HeaderMap::new(), "/v1beta/models"), Wire::Gemini);
    assert_eq!(wire(&asker("anthropic-version"), "/v1/files/file_1"), Wire::Anthropic);
}

#[test]
fn a_query_names_stored_things_only_where_the_path_is_about_them() {
    let query = "upload_id=u1&upload_protocol=resumable";
    let upload = door(&Method::POST, "/upload/v1beta/files", &HeaderMap::new()).unwrap();
    assert_eq!(ids(&upload.with_query(query)), ["u1"]);
    let below = post(Wire::Gemini, "/upload/v1beta/files").with_query(query);
    assert_eq!(ids(&below), ["u1"], "below a provider's name too");
    let page = read_path(Wire::OpenAi, &Method::GET, "/v1/files").with_query("after=file-1");
    assert_eq!(ids(&page), ["file-1"]);
    assert!(post(Wire::OpenAi, "/v1/chat/completions").with_query("after=x").stored.is_empty());
    let models = read_path(Wire::Anthropic, &Method::GET, "/v1/models").with_query("after_id=x");
    assert!(models.stored.is_empty());
}

#[test]
fn an_endless_path_is_not_looked_into() {
    let path = "/v1/files".repeat(1_000);
    assert_eq!(post(Wire::OpenAi, &path).endpoint, Endpoint::Other);
}

proptest! {
    #[test]
    fn any_path_is_read_without_a_panic_and_its_model_lies_inside(
        path in "(/(v1|v1beta|openai|deployments|models|tunedModels|files|responses|chat|completions|%3A|%2|[a-zé:%]{0,6})){0,8}"
    ) {
        for wire in Wire::ALL {
            let facts = post(wire, &path);
            prop_assert_eq!(facts.model.is_some(), facts.model_range.is_some());
            if let Some(range) = facts.model_range {
                prop_assert!(path.get(range).is_some());
            }
        }
        drop(door(&Method::GET, &path, &HeaderMap::new()));
    }
}

#[test]
fn a_kind_of_request_is_one_word_in_every_wire_format() {
    use EndpointKind::{Audio, Batches, Chat, CountTokens, Embeddings, Files, Images, Other};
    use EndpointKind::{Moderations, Realtime, Rerank};
    for (wire, path, kind) in [
        (Wire::OpenAi, "/v1/chat/completions", Chat),
        (Wire::OpenAi, "/v1/responses", Chat),
        (Wire::Anthropic, "/v1/messages", Chat),
        (Wire::Gemini, "/v1beta/models/m:streamGenerateContent", Chat),
        (Wire::Cohere, "/v2/chat", Chat),
        (Wire::OpenAi, "/v1/embeddings", Embeddings),
        (Wire::Gemini, "/v1beta/models/m:embedContent", Embeddings),
        (Wire::Anthropic, "/v1/messages/count_tokens", CountTokens),
        (Wire::OpenAi, "/v1/responses/input_tokens", CountTokens),
        (Wire::Anthropic, "/v1/messages/batches", Batches),
        (Wire::OpenAi, "/v1/batches/batch_1", Batches),
        (Wire::Gemini, "/v1beta/models/m:batchGenerateContent", Batches),
        (Wire::OpenAi, "/v1/files", Files),
        (Wire::Gemini, "/v1beta/files/f", Files),
        (Wire::OpenAi, "/v1/images/generations", Images),
        (Wire::OpenAi, "/openai/v1/audio/speech", Audio),
        (Wire::OpenAi, "/v1/moderations", Moderations),
        (Wire::Cohere, "/v2/rerank", Rerank),
        (Wire::OpenAi, "/v1/realtime", Realtime),
        (Wire::OpenAi, "/v1/vector_stores/vs_1", Other),
        (Wire::Http, "/v1/chat/completions", Other),
    ] {
        assert_eq!(post(wire, path).kind, kind, "{path}");
    }
}
