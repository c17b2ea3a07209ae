//! Files (API reference, "Files"): a resumable upload in two or more requests, as the SDKs do it. The
//! upload's URL is its own credential: what is sent to it carries no key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use http::Method;
use serde_json::{Value, json};

use super::error::{mistake, not_yours};
use crate::simulator::call::Call;
use crate::simulator::problem::Problem;
use crate::simulator::reply::{Answered, Reply};
use crate::simulator::store::Stored;

pub(super) fn answer(call: &Call, rest: &[&str]) -> Answered {
    match (&call.scene.method, rest) {
        (&Method::GET, []) => Ok(Reply::json(&json!({"files": call.all_kept("file")}))),
        (&Method::GET, [id]) => Ok(Reply::json(&find(call, id)?.object)),
        (&Method::DELETE, [id]) => {
            find(call, id)?;
            call.forget("file", &format!("files/{id}"));
            Ok(Reply::json(&json!({})))
        }
        _ => Err(call.scene.refuse(&Problem::NoSuchPath)),
    }
}

/// Begins an upload, or takes a piece of one.
pub(super) fn upload(call: &Call) -> Answered {
    let command = call.scene.header("x-goog-upload-command").unwrap_or_default();
    let commands: Vec<&str> = command.split(',').map(str::trim).collect();
    match call.scene.query("upload_id") {
        None if commands.contains(&"start") => Ok(start(call)),
        Some(id) if commands.contains(&"upload") => {
            append(call, id, commands.contains(&"finalize"))
        }
        Some(_) | None => Err(mistake(&call.scene, "Upload command is not valid.")),
    }
}

fn start(call: &Call) -> Reply {
    let asked = serde_json::from_slice::<Value>(&call.body).unwrap_or_default();
    let asked = asked.get("file").cloned().unwrap_or_default();
    let wanted = asked.get("name").and_then(Value::as_str).map(str::to_owned);
    let name = wanted.unwrap_or_else(|| call.id("files/", 0));
    let kind = call.scene.header("x-goog-upload-header-content-type");
    let object = json!({
        "name": name,
        "displayName": asked.get("displayName").or_else(|| asked.get("display_name")),
        "mimeType": kind.unwrap_or("application/octet-stream"),
    });
    let id = call.id("", 1);
    call.keep(&id, "upload", object, Bytes::new());
    let host = call.scene.header("host").unwrap_or("generativelanguage.googleapis.com");
    let url = format!("http://{host}{}?upload_id={id}&upload_protocol=resumable", call.scene.path);
    Reply::json(&json!({}))
        .header("x-goog-upload-url", &url)
        .header("x-goog-upload-status", "active")
        .header("x-goog-upload-chunk-granularity", "262144")
}

fn append(call: &Call, id: &str, last: bool) -> Answered {
    let Some(upload) = call.kept("upload", id) else {
        return Err(not_yours(&call.scene, "upload", id));
    };
    let offset = call.scene.header("x-goog-upload-offset").and_then(|text| text.parse().ok());
    if offset != Some(upload.content.len()) {
        return Err(mistake(&call.scene, "Upload offset does not match what was received."));
    }
    let mut content = BytesMut::from(upload.content.as_ref());
    content.extend_from_slice(&call.body);
    if !last {
        call.keep(id, "upload", upload.object, content.freeze());
        return Ok(Reply::json(&json!({})).header("x-goog-upload-status", "active"));
    }
    call.forget("upload", id);
    let file = whole(call, &upload.object, &content);
    let name = file.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    call.keep(&name, "file", file.clone(), content.freeze());
    Ok(Reply::json(&json!({"file": file})).header("x-goog-upload-status", "final"))
}

fn whole(call: &Call, begun: &Value, content: &[u8]) -> Value {
    let field = |name: &str| begun.get(name).cloned().unwrap_or_default();
    let now = call.scene.now.wall;
    let expires = now.saturating_add(jiff::SignedDuration::from_hours(48)).unwrap_or(now);
    let name = field("name");
    let host = call.scene.header("host").unwrap_or("generativelanguage.googleapis.com");
    let uri = format!("http://{host}/v1beta/{}", name.as_str().unwrap_or_default());
    let digest = ring::digest::digest(&ring::digest::SHA256, content);
    let mut file = json!({
        "name": name,
        "mimeType": field("mimeType"),
        "sizeBytes": content.len().to_string(),
        "createTime": now.to_string(),
        "updateTime": now.to_string(),
        "expirationTime": expires.to_string(),
        "sha256Hash": STANDARD.encode(digest),
        "uri": uri,
        "state": "ACTIVE",
        "source": "UPLOADED",
    });
    if let (Value::String(shown), Some(fields)) = (field("displayName"), file.as_object_mut()) {
        fields.insert("displayName".to_owned(), Value::from(shown));
    }
    file
}

fn find(call: &Call, id: &str) -> Result<Stored, Box<Reply>> {
    let name = format!("files/{id}");
    call.kept("file", &name).ok_or_else(|| not_yours(&call.scene, "File", id))
}
