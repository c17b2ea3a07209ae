//! Vector stores (API reference, "Vector stores"): as much as shows whose they are.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::error::missing;
use super::fields::Fields;
use super::files::{listed, no_such_file};
use crate::simulator::call::Call;
use crate::simulator::problem::Problem;
use crate::simulator::reply::{Answered, Reply};

pub(super) fn answer(call: &Call, rest: &[&str]) -> Answered {
    match (&call.scene.method, rest) {
        (&Method::POST, []) => create(call),
        (&Method::GET, []) => Ok(Reply::json(&listed(&call.all_kept("vector_store")))),
        (&Method::GET, [id]) => Ok(Reply::json(&find(call, id)?)),
        (&Method::DELETE, [id]) => {
            find(call, id)?;
            call.forget("vector_store", id);
            Ok(Reply::json(&json!({"id": id, "object": "vector_store.deleted", "deleted": true})))
        }
        (&Method::POST, [id, "files"]) => attach(call, id),
        (&Method::GET, [id, "files"]) => {
            find(call, id)?;
            Ok(Reply::json(&listed(&files_of(call, id))))
        }
        (_, [] | [_] | [_, "files"]) => Err(call.scene.refuse(&Problem::WrongMethod)),
        _ => Err(call.scene.refuse(&Problem::NoSuchPath)),
    }
}

fn create(call: &Call) -> Answered {
    let request = call.json()?;
    let fields = Fields(&request);
    fields.only(&[&[
        "chunking_strategy",
        "description",
        "expires_after",
        "file_ids",
        "metadata",
        "name",
    ]])?;
    let id = call.id("vs_", 0);
    let given = fields.list("file_ids")?.map_or(&[][..], Vec::as_slice);
    let mut files = Vec::new();
    for file in given.iter().filter_map(Value::as_str) {
        files.push(attached(call, &id, file)?);
    }
    let name = fields.text("name")?.unwrap_or_default();
    Ok(Reply::json(&keep(call, &id, name, files)))
}

fn attach(call: &Call, id: &str) -> Answered {
    let store = find(call, id)?;
    let request = call.json()?;
    let fields = Fields(&request);
    fields.required("file_id")?;
    let file = attached(call, id, fields.text("file_id")?.unwrap_or_default())?;
    let mut files = files_of(call, id);
    files.push(file.clone());
    let name = store.get("name").and_then(Value::as_str).unwrap_or_default();
    keep(call, id, name, files);
    Ok(Reply::json(&file))
}

fn attached(call: &Call, store: &str, file: &str) -> Result<Value, Box<Reply>> {
    let kept = call.kept("file", file).ok_or_else(|| no_such_file(file))?;
    Ok(json!({
        "id": file,
        "object": "vector_store.file",
        "created_at": call.created(),
        "vector_store_id": store,
        "status": "completed",
        "last_error": null,
        "usage_bytes": kept.content.len(),
    }))
}

fn shown(call: &Call, id: &str, name: &str, files: &[Value]) -> Value {
    let bytes: u64 = files.iter().filter_map(|file| file.get("usage_bytes")?.as_u64()).sum();
    json!({
        "id": id,
        "object": "vector_store",
        "created_at": call.created(),
        "name": name,
        "usage_bytes": bytes,
        "status": "completed",
        "file_counts": {
            "in_progress": 0, "completed": files.len(), "failed": 0, "cancelled": 0,
            "total": files.len(),
        },
        "last_active_at": call.created(),
        "metadata": {},
    })
}

/// Keeps a store; its files, which it does not show itself, are its content.
fn keep(call: &Call, id: &str, name: &str, files: Vec<Value>) -> Value {
    let store = shown(call, id, name, &files);
    let content = Bytes::from(Value::Array(files).to_string());
    call.keep(id, "vector_store", store.clone(), content);
    store
}

fn files_of(call: &Call, id: &str) -> Vec<Value> {
    let kept = call.kept("vector_store", id);
    kept.and_then(|kept| serde_json::from_slice(&kept.content).ok()).unwrap_or_default()
}

fn find(call: &Call, id: &str) -> Result<Value, Box<Reply>> {
    let text = format!("Vector store with id '{id}' not found.");
    call.kept("vector_store", id).map(|kept| kept.object).ok_or_else(|| missing(&text, None))
}
