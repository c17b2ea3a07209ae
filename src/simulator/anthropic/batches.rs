//! Message batches (API reference, "Message Batches"): ended by the time they are first asked about.

use bytes::Bytes;
use http::Method;
use serde_json::{Map, Value, json};

use super::error::{missing, mistake};
use super::messages;
use super::models::page;
use crate::simulator::call::Call;
use crate::simulator::problem::Problem;
use crate::simulator::reply::{Answered, Content, Reply};
use crate::simulator::store::Stored;

pub(super) fn answer(call: &Call, rest: &[&str]) -> Answered {
    match (&call.scene.method, rest) {
        (&Method::POST, []) => create(call),
        (&Method::GET, []) => Ok(Reply::json(&page(&call.all_kept("batch")))),
        (&Method::GET, [id]) => Ok(Reply::json(&progress(call, id)?.object)),
        (&Method::GET, [id, "results"]) => {
            let kept = progress(call, id)?;
            Ok(Reply::bytes(200, "application/x-jsonl", kept.content))
        }
        (&Method::POST, [id, "cancel"]) => {
            let kept = find(call, id)?;
            Ok(Reply::json(&with(&kept.object, &[("processing_status", json!("canceling"))])))
        }
        (&Method::DELETE, [id]) => {
            find(call, id)?;
            call.forget("batch", id);
            Ok(Reply::json(&json!({"id": id, "type": "message_batch_deleted"})))
        }
        (_, [] | [_] | [_, "results" | "cancel"]) => Err(call.scene.refuse(&Problem::WrongMethod)),
        _ => Err(call.scene.refuse(&Problem::NoSuchPath)),
    }
}

fn create(call: &Call) -> Answered {
    let request = call.json()?;
    let Some(requests) = request.get("requests").and_then(Value::as_array) else {
        return Err(mistake(&call.scene, "requests: Field required"));
    };
    if requests.is_empty() {
        return Err(mistake(&call.scene, "requests: List should have at least 1 item"));
    }
    let id = call.id("msgbatch_", 0);
    let now = call.scene.now.wall;
    let expires = now.saturating_add(jiff::SignedDuration::from_hours(24)).unwrap_or(now);
    let batch = json!({
        "id": id,
        "type": "message_batch",
        "processing_status": "in_progress",
        "request_counts": counts(requests.len(), [0, 0]),
        "created_at": now.to_string(),
        "expires_at": expires.to_string(),
        "ended_at": null,
        "archived_at": null,
        "cancel_initiated_at": null,
        "results_url": null,
    });
    let content = Bytes::from(Value::Array(requests.clone()).to_string());
    call.keep(&id, "batch", batch.clone(), content);
    Ok(Reply::json(&batch))
}

/// Works a waiting batch off.
fn progress(call: &Call, id: &str) -> Result<Stored, Box<Reply>> {
    let kept = find(call, id)?;
    if kept.object.get("processing_status").and_then(Value::as_str) != Some("in_progress") {
        return Ok(kept);
    }
    let requests: Vec<Value> = serde_json::from_slice(&kept.content).unwrap_or_default();
    let results: Vec<Value> = requests.iter().map(|request| work(call, request)).collect();
    let kind = |line: &Value| line.get("result")?.get("type")?.as_str().map(str::to_owned);
    let done = results.iter().filter(|line| kind(line).as_deref() == Some("succeeded")).count();
    let lines = jsonl(&results);
    let host = call.scene.header("host").unwrap_or("api.anthropic.com");
    let object = with(
        &kept.object,
        &[
            ("processing_status", json!("ended")),
            ("ended_at", json!(call.scene.now.wall.to_string())),
            ("request_counts", counts(0, [done, results.len() - done])),
            ("results_url", json!(format!("http://{host}/v1/messages/batches/{id}/results"))),
        ],
    );
    let content = Bytes::from(lines);
    call.keep(id, "batch", object.clone(), content.clone());
    Ok(Stored { kind: "batch", object, content })
}

fn work(call: &Call, request: &Value) -> Value {
    let empty = Map::new();
    let params = request.get("params").and_then(Value::as_object).unwrap_or(&empty);
    let result = match messages::batch_item(call, params) {
        Ok(message) => json!({"type": "succeeded", "message": message}),
        Err(reply) => json!({"type": "errored", "error": json_of(&reply)}),
    };
    json!({"custom_id": request.get("custom_id"), "result": result})
}

/// A value a line.
fn jsonl(values: &[Value]) -> String {
    let lines = values.iter().flat_map(|value| [value.to_string(), "\n".to_owned()]);
    lines.collect()
}

fn json_of(reply: &Reply) -> Value {
    match &reply.content {
        Content::Whole(bytes) => serde_json::from_slice(bytes).unwrap_or_default(),
        Content::Stream { .. } => Value::Null,
    }
}

fn counts(processing: usize, [succeeded, errored]: [usize; 2]) -> Value {
    json!({
        "processing": processing, "succeeded": succeeded, "errored": errored, "canceled": 0,
        "expired": 0,
    })
}

fn with(object: &Value, changes: &[(&str, Value)]) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        for (name, value) in changes {
            fields.insert((*name).to_owned(), value.clone());
        }
    }
    object
}

fn find(call: &Call, id: &str) -> Result<Stored, Box<Reply>> {
    let text = format!("Message batch not found: {id}");
    call.kept("batch", id).ok_or_else(|| missing(&call.scene, &text))
}
