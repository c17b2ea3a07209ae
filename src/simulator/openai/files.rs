//! Files (API reference, "Files"). They belong to the account that uploaded them.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::error::{missing, mistake};
use super::fields::wrong_value;
use crate::simulator::call::Call;
use crate::simulator::problem::Problem;
use crate::simulator::reply::{Answered, Reply};

const PURPOSES: &[&str] = &["fine-tune", "assistants", "batch", "user_data", "vision", "evals"];

pub(super) fn answer(call: &Call, rest: &[&str]) -> Answered {
    match (&call.scene.method, rest) {
        (&Method::POST, []) => upload(call),
        (&Method::GET, []) => Ok(Reply::json(&listed(&call.all_kept("file")))),
        (&Method::GET, [id]) => match call.kept("file", id) {
            Some(file) => Ok(Reply::json(&file.object)),
            None => Err(no_such_file(id)),
        },
        (&Method::GET, [id, "content"]) => match call.kept("file", id) {
            Some(file) => Ok(Reply::bytes(200, "application/octet-stream", file.content)),
            None => Err(no_such_file(id)),
        },
        (&Method::DELETE, [id]) => match call.forget("file", id) {
            Some(_) => Ok(Reply::json(&json!({"id": id, "object": "file", "deleted": true}))),
            None => Err(no_such_file(id)),
        },
        (_, [] | [_] | [_, "content"]) => Err(call.scene.refuse(&Problem::WrongMethod)),
        _ => Err(call.scene.refuse(&Problem::NoSuchPath)),
    }
}

/// Keeps a file that the provider itself made.
pub(super) fn make(call: &Call, id: &str, filename: &str, content: Bytes) {
    let object = shown(call, id, &[filename, "batch_output"], content.len());
    call.keep(id, "file", object, content);
}

/// A list as the API gives it, whole on one page.
pub(super) fn listed(data: &[Value]) -> Value {
    let id = |object: Option<&Value>| object.and_then(|object| object.get("id").cloned());
    let (first, last) = (id(data.first()), id(data.last()));
    json!({
        "object": "list", "data": data, "first_id": first, "last_id": last, "has_more": false,
    })
}

pub(super) fn no_such_file(id: &str) -> Box<Reply> {
    missing(&format!("No such File object: {id}"), Some("id"))
}

fn upload(call: &Call) -> Answered {
    let Some(form) = call.form() else {
        return Err(mistake("Could not parse multipart form", None, None));
    };
    let required = |name: &str| {
        let text = format!("Missing required parameter: '{name}'.");
        mistake(&text, Some(name), Some("missing_required_parameter"))
    };
    let purpose = form.text("purpose").ok_or_else(|| required("purpose"))?;
    let file = form.part("file").ok_or_else(|| required("file"))?;
    if !PURPOSES.contains(&purpose.as_str()) {
        return Err(wrong_value("purpose", &purpose, PURPOSES));
    }
    let id = call.id("file-", 0);
    let filename = file.filename.as_deref().unwrap_or("file");
    let object = shown(call, &id, &[filename, &purpose], file.content.len());
    call.keep(&id, "file", object.clone(), file.content.clone());
    Ok(Reply::json(&object))
}

fn shown(call: &Call, id: &str, name_and_purpose: &[&str; 2], bytes: usize) -> Value {
    let [filename, purpose] = name_and_purpose;
    json!({
        "id": id,
        "object": "file",
        "bytes": bytes,
        "created_at": call.created(),
        "expires_at": null,
        "filename": filename,
        "purpose": purpose,
        "status": "processed",
        "status_details": null,
    })
}
