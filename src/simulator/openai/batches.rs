//! Batches (batch guide): lines of requests in a file; done by the time they are first asked about.

use bytes::Bytes;
use http::Method;
use serde_json::{Map, Value, json};

use super::error::{missing, mistake};
use super::fields::{Fields, wrong_value};
use super::{chat, files};
use crate::simulator::call::Call;
use crate::simulator::problem::Problem;
use crate::simulator::reply::{Answered, Content, Reply};

const ENDPOINTS: &[&str] =
    &["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses"];

pub(super) fn answer(call: &Call, rest: &[&str]) -> Answered {
    match (&call.scene.method, rest) {
        (&Method::POST, []) => create(call),
        (&Method::GET, []) => Ok(Reply::json(&files::listed(&call.all_kept("batch")))),
        (&Method::GET, [id]) => progress(call, id),
        (&Method::POST, [id, "cancel"]) => cancel(call, id),
        (_, [] | [_] | [_, "cancel"]) => Err(call.scene.refuse(&Problem::WrongMethod)),
        _ => Err(call.scene.refuse(&Problem::NoSuchPath)),
    }
}

fn create(call: &Call) -> Answered {
    let request = call.json()?;
    let fields = Fields(&request);
    for name in ["input_file_id", "endpoint", "completion_window"] {
        fields.required(name)?;
    }
    let endpoint = fields.text("endpoint")?.unwrap_or_default();
    if !ENDPOINTS.contains(&endpoint) {
        return Err(wrong_value("endpoint", endpoint, ENDPOINTS));
    }
    fields.one_of("completion_window", &["24h"])?;
    let input = fields.text("input_file_id")?.unwrap_or_default();
    let Some(file) = call.kept("file", input) else {
        let text = format!("Invalid file ID: {input}. No such File object.");
        return Err(mistake(&text, Some("input_file_id"), None));
    };
    let id = call.id("batch_", 0);
    let mut batch = json!({
        "id": id,
        "object": "batch",
        "endpoint": endpoint,
        "errors": null,
        "input_file_id": input,
        "completion_window": "24h",
        "status": "validating",
        "output_file_id": null,
        "error_file_id": null,
        "created_at": call.created(),
        "expires_at": call.created() + 86_400,
        "request_counts": {"total": 0, "completed": 0, "failed": 0},
    });
    if let (Some(metadata), Some(fields)) = (fields.get("metadata"), batch.as_object_mut()) {
        fields.insert("metadata".to_owned(), metadata.clone());
    }
    call.keep(&id, "batch", batch.clone(), file.content);
    Ok(Reply::json(&batch))
}

/// Works a waiting batch off, and shows it.
fn progress(call: &Call, id: &str) -> Answered {
    let Some(kept) = call.kept("batch", id) else { return Err(no_such_batch(id)) };
    let mut batch = kept.object;
    let waiting = batch.get("status").and_then(Value::as_str) == Some("validating");
    if let Some(fields) = batch.as_object_mut().filter(|_| waiting) {
        let results: Vec<_> = kept.content.split(|byte| *byte == b'\n').collect();
        let lines = results.into_iter().filter(|line| !line.trim_ascii().is_empty());
        let results: Vec<Value> =
            (0_u64..).zip(lines).map(|(nth, line)| work(call, nth, line)).collect();
        let failed = results.iter().filter(|line| status_of(line) != Some(200)).count();
        let lines = results.iter().flat_map(|line| [line.to_string(), "\n".to_owned()]);
        let output: String = lines.collect();
        let output_id = call.id("file-", 0);
        files::make(call, &output_id, &format!("{id}_output.jsonl"), Bytes::from(output));
        let counts = json!({
            "total": results.len(), "completed": results.len() - failed, "failed": failed,
        });
        fields.insert("status".to_owned(), json!("completed"));
        fields.insert("output_file_id".to_owned(), json!(output_id));
        fields.insert("completed_at".to_owned(), json!(call.created()));
        fields.insert("request_counts".to_owned(), counts);
        call.keep(id, "batch", batch.clone(), Bytes::new());
    }
    Ok(Reply::json(&batch))
}

fn cancel(call: &Call, id: &str) -> Answered {
    let Some(kept) = call.kept("batch", id) else { return Err(no_such_batch(id)) };
    let mut batch = kept.object;
    if let Some(fields) = batch.as_object_mut() {
        fields.insert("status".to_owned(), json!("cancelling"));
        fields.insert("cancelling_at".to_owned(), json!(call.created()));
    }
    call.keep(id, "batch", batch.clone(), Bytes::new());
    Ok(Reply::json(&batch))
}

/// The result line of one request line.
fn work(call: &Call, nth: u64, line: &[u8]) -> Value {
    let line: Map<String, Value> = serde_json::from_slice(line).unwrap_or_default();
    let empty = Map::new();
    let request = line.get("body").and_then(Value::as_object).unwrap_or(&empty);
    let (status, body) = match chat::batch_line(call, request) {
        Ok(body) => (200, body),
        Err(reply) => (reply.status.as_u16(), json_of(&reply)),
    };
    json!({
        "id": call.id("batch_req_", 1_000 + nth),
        "custom_id": line.get("custom_id"),
        "response": {"status_code": status, "request_id": call.id("req_", 1_000 + nth), "body": body},
        "error": null,
    })
}

fn json_of(reply: &Reply) -> Value {
    match &reply.content {
        Content::Whole(bytes) => serde_json::from_slice(bytes).unwrap_or_default(),
        Content::Stream { .. } => Value::Null,
    }
}

fn status_of(line: &Value) -> Option<u64> {
    line.get("response")?.get("status_code")?.as_u64()
}

fn no_such_batch(id: &str) -> Box<Reply> {
    missing(&format!("No batch found with id '{id}'."), None)
}
