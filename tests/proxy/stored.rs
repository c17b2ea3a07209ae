//! What a provider stores for one organisation is asked for with the group that made it, also by a
//! proxy that has never seen it made.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::kit::{self, path_of};
use crate::support::http::{Raw, Reply};
use crate::support::process::Proxy;
use crate::support::upstream::{self, Then, Upstream};

/// Which key's organisation owns which id.
type Shelf = Arc<Mutex<HashMap<String, String>>>;

const MISSING: &str = r#"{"error":{"message":"No such object","type":"invalid_request_error","param":"id","code":null}}"#;
const NO_RESPONSE: &str = r#"{"error":{"message":"Previous response with id 'resp' not found.","type":"invalid_request_error","param":"previous_response_id","code":"previous_response_not_found"}}"#;

/// A provider for which every key is an organisation of its own.
fn provider() -> Upstream {
    let shelf = Shelf::default();
    Upstream::start(move |request, connection| {
        connection.send(serve(&shelf, request));
        Then::Next
    })
}

fn serve(shelf: &Shelf, request: &Reply) -> String {
    let key = kit::key_of(request);
    let mut shelf = shelf.lock().expect("not poisoned");
    let owns = |shelf: &HashMap<String, String>, id: &str| shelf.get(id) == Some(&key);
    let path = path_of(request).split('?').next().unwrap_or_default().to_owned();
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let (made, status, refusal) = match path.as_str() {
        "/v1/files" => (Some("file-"), 404, MISSING),
        "/v1/batches" => {
            let known = body["input_file_id"].as_str().is_some_and(|id| owns(&shelf, id));
            (known.then_some("batch_"), 404, MISSING)
        }
        "/v1/responses" => {
            let previous = body["previous_response_id"].as_str();
            let known = previous.is_none_or(|id| owns(&shelf, id));
            (known.then_some("resp_"), 400, NO_RESPONSE)
        }
        _ => {
            let id = path.split('/').nth(3).unwrap_or_default();
            if owns(&shelf, id) {
                return upstream::json(200, &json!({"id": id, "owner": key}).to_string());
            }
            return upstream::json(404, MISSING);
        }
    };
    let Some(prefix) = made else { return upstream::json(status, refusal) };
    let id = format!("{prefix}{:04}", shelf.len());
    shelf.insert(id.clone(), key.clone());
    upstream::json(200, &json!({"id": id, "owner": key, "object": "thing"}).to_string())
}

const KEYS: [&str; 2] = ["east", "west"];

fn upload(proxy: &Proxy) -> (String, String) {
    let body = "--b\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--b--\r\n";
    let mut connection = proxy.connect();
    connection.send(format!(
        "POST /v1/files HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data; boundary=b\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ));
    made(&connection.reply())
}

fn made(reply: &Reply) -> (String, String) {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let json = reply.json();
    let field = |name: &str| json[name].as_str().expect("a text").to_owned();
    (field("id"), field("owner"))
}

#[test]
fn a_file_is_found_by_a_proxy_that_has_never_seen_it_and_from_then_on_at_once() {
    let upstream = provider();
    let (one, two) = (kit::openai_proxy(&upstream, &KEYS), kit::openai_proxy(&upstream, &KEYS));
    for _ in 0..8 {
        let (id, owner) = upload(&one);
        upstream.take();
        // The proxy that made it asks the right group at once; the other learns.
        for (proxy, most) in [(&one, 1), (&two, 2), (&two, 1)] {
            let (found, by) = made(&kit::get(proxy, &format!("/v1/files/{id}")));
            assert_eq!((found, by), (id.clone(), owner.clone()));
            let asked = upstream.take();
            assert!(asked.len() <= most, "{} requests, not {most}", asked.len());
        }
    }
}

#[test]
fn what_follows_from_a_stored_thing_goes_where_it_is_stored() {
    let upstream = provider();
    let (one, two) = (kit::openai_proxy(&upstream, &KEYS), kit::openai_proxy(&upstream, &KEYS));
    for _ in 0..8 {
        let (file, owner) = upload(&one);
        let body = json!({"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"});
        let (batch, by) = made(&kit::post(&two, "/v1/batches", &body.to_string()));
        assert_eq!(by, owner, "the batch is made where its file is");
        for proxy in [&two, &one] {
            let (_, by) = made(&kit::get(proxy, &format!("/v1/batches/{batch}")));
            assert_eq!(by, owner);
            let cancel = kit::post(proxy, &format!("/v1/batches/{batch}/cancel"), "{}");
            assert_eq!(made(&cancel).1, owner);
        }
    }
}

#[test]
fn a_conversation_goes_on_where_it_began() {
    let upstream = provider();
    let (one, two) = (kit::openai_proxy(&upstream, &KEYS), kit::openai_proxy(&upstream, &KEYS));
    for _ in 0..6 {
        let first = r#"{"model":"gpt-4o","input":"hi"}"#;
        let (mut id, owner) = made(&kit::post(&one, "/v1/responses", first));
        for proxy in [&one, &one, &two, &two, &one] {
            let body = json!({"model": "gpt-4o", "input": "more", "previous_response_id": id});
            let (next, by) = made(&kit::post(proxy, "/v1/responses", &body.to_string()));
            assert_eq!(by, owner);
            id = next;
        }
        let (_, by) = made(&kit::get(&two, &format!("/openai/v1/responses/{id}")));
        assert_eq!(by, owner);
    }
}

#[test]
fn an_id_that_no_group_knows_is_tried_on_each_and_then_its_404_is_returned_as_it_came() {
    let upstream = provider();
    let proxy = kit::openai_proxy(&upstream, &["north", "east", "south", "west"]);
    for path in
        ["/v1/files/file-nobodys", "/v1/batches/batch_nobodys", "/openai/v1/vector_stores/vs_x"]
    {
        let reply = kit::get(&proxy, path);
        assert_eq!((reply.status, reply.text().as_str()), (404, MISSING), "{path}");
        assert_eq!(reply.header("x-keyweir-error"), None);
        let uses = kit::uses(&upstream.take());
        assert_eq!(uses.len(), 4, "{uses:?}");
        assert!(uses.values().all(|asked| *asked == 1), "{uses:?}");
    }
    let body = r#"{"model":"gpt-4o","input":"x","previous_response_id":"resp_nobodys"}"#;
    let reply = kit::post(&proxy, "/v1/responses", body);
    assert_eq!((reply.status, reply.text().as_str()), (400, NO_RESPONSE));
    assert_eq!(kit::uses(&upstream.take()).len(), 4);
    // Nothing of this is held against a key.
    for _ in 0..60 {
        upload(&proxy);
    }
    assert_eq!(kit::uses(&upstream.take()).len(), 4, "every key is still used");
}

#[test]
fn keys_of_one_group_share_what_is_stored_and_are_asked_once() {
    let upstream = Upstream::answering(404, MISSING);
    let config = format!(
        "version: 1\nproviders:\n  openai:\n    baseUrl: {}\n    keys: [{{secret: pool, quotaGroup: all}}]\n",
        upstream.url()
    );
    let setup = crate::support::process::Setup::default().config(&config);
    let proxy = kit::with_keys(setup, &["a", "b", "c"]).start();
    assert_eq!(kit::get(&proxy, "/v1/files/file-nobodys").status, 404);
    assert_eq!(upstream.take().len(), 1);
}

#[test]
fn gemini_s_files_and_anthropic_s_batches_are_found_too() {
    let shelf = Shelf::default();
    let upstream = Upstream::start(move |request, connection| {
        let key = kit::key_of(request);
        let mut shelf = shelf.lock().expect("not poisoned");
        let path = path_of(request).to_owned();
        let answer = if request.start.starts_with("POST /upload/v1beta/files") {
            shelf.insert("/v1beta/files/abc".to_owned(), key);
            upstream::json(
                200,
                r#"{"file":{"name":"files/abc","uri":"https://generativelanguage.googleapis.com/v1beta/files/abc"}}"#,
            )
        } else if request.start.starts_with("POST /v1/messages/batches") {
            shelf.insert("/v1/messages/batches/msgbatch_1".to_owned(), key);
            upstream::json(200, r#"{"id":"msgbatch_1","type":"message_batch"}"#)
        } else if shelf.get(&path) == Some(&key) {
            upstream::json(200, &json!({"owner": key}).to_string())
        } else {
            upstream::json(
                404,
                r#"{"error":{"code":404,"message":"not found","status":"NOT_FOUND"}}"#,
            )
        };
        connection.send(answer);
        Then::Next
    });
    let (one, two) = (kit::proxy_of_all(&upstream, &KEYS), kit::proxy_of_all(&upstream, &KEYS));
    for (make, find) in [
        ("/gemini/upload/v1beta/files", "/gemini/v1beta/files/abc"),
        ("/anthropic/v1/messages/batches", "/anthropic/v1/messages/batches/msgbatch_1"),
    ] {
        for _ in 0..6 {
            assert_eq!(kit::post(&one, make, "{}").status, 200);
            for proxy in [&one, &two, &two] {
                let reply = kit::get(proxy, find);
                assert_eq!(reply.status, 200, "{find}: {}", reply.text());
            }
        }
    }
}

/// A resumable upload as Gemini takes it: only the project in which it began knows it.
fn uploads(request: &Reply, connection: &mut Raw, shelf: &Shelf) -> Then {
    let key = kit::key_of(request);
    let mut shelf = shelf.lock().expect("not poisoned");
    let query = path_of(request).split_once("upload_id=").map(|(_, id)| id.to_owned());
    let owner = query.as_ref().and_then(|id| shelf.get(id));
    connection.send(match (&query, owner) {
        (None, _) => {
            let id = format!("Up-{}_{key}", shelf.len());
            shelf.insert(id.clone(), key);
            let url = format!(
                "https://generativelanguage.googleapis.com/upload/v1beta/files?upload_id={id}"
            );
            kit::answer(200, &[("x-goog-upload-url", &url)], "")
        }
        (Some(_), Some(owner)) if *owner == key => kit::answer(200, &[], &key),
        (Some(_), _) => upstream::json(403, r#"{"error":{"code":403,"message":"You do not have permission to access the upload","status":"PERMISSION_DENIED"}}"#),
    });
    Then::Next
}

#[test]
fn an_upload_goes_on_where_it_began_at_whichever_door_and_provider() {
    let shelf = Shelf::default();
    let upstream = Upstream::start(move |request, connection| uploads(request, connection, &shelf));
    let provider =
        format!("{{wire: gemini, baseUrl: \"{}\", keys: [{{secret: pool}}]}}", upstream.url());
    let config = format!("version: 1\nproviders:\n  gemini: {provider}\n  again: {provider}\n");
    let setup = crate::support::process::Setup::default().config(&config);
    let proxy = kit::with_keys(setup, &["north", "east", "south", "west"]).start();
    for door in ["", "/gemini", "/again"].repeat(6) {
        let begun = kit::post(&proxy, &format!("{door}/upload/v1beta/files"), "{}");
        let url = begun.header("x-goog-upload-url").expect("the provider's own URL").to_owned();
        let (_, path) = url.split_once(".com").expect("an absolute URL");
        upstream.take();
        // The SDKs keep the path alone, and put the base URL's host in front.
        for _ in 0..2 {
            let piece =
                format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 300000\r\n\r\n");
            let mut connection = proxy.connect();
            connection.send([piece.as_bytes(), &*vec![b'x'; 300_000]].concat());
            let reply = connection.reply();
            assert_eq!(reply.status, 200, "{door}: {}", reply.text());
        }
        assert_eq!(upstream.take().len(), 2, "the right group is asked at once");
    }
}

#[test]
fn a_list_goes_on_in_the_group_where_it_began() {
    let upstream = provider();
    let proxy = kit::openai_proxy(&upstream, &KEYS);
    for _ in 0..8 {
        let (id, owner) = upload(&proxy);
        upstream.take();
        kit::get(&proxy, &format!("/v1/files?limit=1&after={id}"));
        assert_eq!(kit::uses(&upstream.take()).into_keys().collect::<Vec<_>>(), [owner]);
    }
}
