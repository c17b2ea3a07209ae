//! Cached contents (API reference, "Caching"). They belong to the account that made them.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::Fields;
use super::error::{mistake, not_yours};
use crate::simulator::call::Call;
use crate::simulator::problem::Problem;
use crate::simulator::reply::{Answered, Reply};
use crate::simulator::store::Stored;
use crate::simulator::turn::{text_bytes, tokens_of};

const FIELDS: &[&str] = &[
    "contents",
    "displayName",
    "expireTime",
    "kmsKeyName",
    "model",
    "name",
    "systemInstruction",
    "toolConfig",
    "tools",
    "ttl",
];

pub(super) fn answer(call: &Call, rest: &[&str]) -> Answered {
    match (&call.scene.method, rest) {
        (&Method::POST, []) => create(call),
        (&Method::GET, []) => {
            Ok(Reply::json(&json!({"cachedContents": call.all_kept("cachedContent")})))
        }
        (&Method::GET | &Method::PATCH, [id]) => Ok(Reply::json(&find(call, id)?.object)),
        (&Method::DELETE, [id]) => {
            find(call, id)?;
            call.forget("cachedContent", &format!("cachedContents/{id}"));
            Ok(Reply::json(&json!({})))
        }
        _ => Err(call.scene.refuse(&Problem::NoSuchPath)),
    }
}

fn create(call: &Call) -> Answered {
    let fields = Fields::read(call, FIELDS)?;
    let Some(model) = fields.text("model") else {
        let text = "* CreateCachedContentRequest.cached_content.model: model is required\n";
        return Err(mistake(&call.scene, text));
    };
    call.find_model(model.trim_start_matches("models/"))?;
    let parts = ["contents", "systemInstruction", "tools"];
    let tokens = tokens_of(parts.iter().filter_map(|name| fields.get(name)).map(text_bytes).sum());
    let name = call.id("cachedContents/", 0);
    let now = call.scene.now.wall;
    let expires = now.saturating_add(jiff::SignedDuration::from_hours(1)).unwrap_or(now);
    let mut object = json!({
        "name": name,
        "model": model,
        "createTime": now.to_string(),
        "updateTime": now.to_string(),
        "expireTime": expires.to_string(),
        "usageMetadata": {"totalTokenCount": tokens},
    });
    if let (Some(shown), Some(object)) = (fields.text("displayName"), object.as_object_mut()) {
        object.insert("displayName".to_owned(), Value::from(shown));
    }
    call.keep(&name, "cachedContent", object.clone(), Bytes::new());
    Ok(Reply::json(&object))
}

fn find(call: &Call, id: &str) -> Result<Stored, Box<Reply>> {
    let name = format!("cachedContents/{id}");
    call.kept("cachedContent", &name).ok_or_else(|| not_yours(&call.scene, "CachedContent", &name))
}
