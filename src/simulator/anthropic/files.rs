//! Files (API reference, "Files"). They belong to the account that uploaded them.

use http::Method;
use serde_json::json;

use super::error::{missing, mistake};
use super::models::page;
use crate::simulator::call::Call;
use crate::simulator::problem::Problem;
use crate::simulator::reply::{Answered, Reply};
use crate::simulator::store::Stored;

pub(super) fn answer(call: &Call, rest: &[&str]) -> Answered {
    match (&call.scene.method, rest) {
        (&Method::POST, []) => upload(call),
        (&Method::GET, []) => Ok(Reply::json(&page(&call.all_kept("file")))),
        (&Method::GET, [id]) => Ok(Reply::json(&find(call, id)?.object)),
        (&Method::GET, [id, "content"]) => {
            // What was uploaded cannot be downloaded; only what a tool made can be.
            find(call, id)?;
            Err(mistake(&call.scene, "File is not downloadable."))
        }
        (&Method::DELETE, [id]) => {
            find(call, id)?;
            call.forget("file", id);
            Ok(Reply::json(&json!({"id": id, "type": "file_deleted"})))
        }
        (_, [] | [_] | [_, "content"]) => Err(call.scene.refuse(&Problem::WrongMethod)),
        _ => Err(call.scene.refuse(&Problem::NoSuchPath)),
    }
}

fn upload(call: &Call) -> Answered {
    let form = call.form();
    let Some(file) = form.as_ref().and_then(|form| form.part("file")) else {
        return Err(mistake(&call.scene, "file: Field required"));
    };
    let id = call.id("file_", 0);
    let object = json!({
        "type": "file",
        "id": id,
        "filename": file.filename.as_deref().unwrap_or("file"),
        "mime_type": file.content_type.as_deref().unwrap_or("application/octet-stream"),
        "size_bytes": file.content.len(),
        "created_at": call.scene.now.wall.to_string(),
        "downloadable": false,
    });
    call.keep(&id, "file", object.clone(), file.content.clone());
    Ok(Reply::json(&object))
}

fn find(call: &Call, id: &str) -> Result<Stored, Box<Reply>> {
    call.kept("file", id).ok_or_else(|| missing(&call.scene, &format!("File not found: {id}")))
}
