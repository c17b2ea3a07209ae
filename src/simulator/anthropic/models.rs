//! The list of models (API reference, "Models").

use http::Method;
use serde_json::{Value, json};

use crate::simulator::call::Call;
use crate::simulator::plan::Model;
use crate::simulator::problem::Problem;
use crate::simulator::reply::{Answered, Reply};
use crate::simulator::wires::only;

pub(super) fn answer(call: &Call, rest: &[&str]) -> Answered {
    only(call, &Method::GET)?;
    match rest {
        [] => Ok(Reply::json(&page(&call.models().iter().map(shown).collect::<Vec<_>>()))),
        [name] => {
            let found = call.model(call.find_model(name)?).map(shown);
            Ok(Reply::json(&found.unwrap_or_default()))
        }
        _ => Err(call.scene.refuse(&Problem::NoSuchPath)),
    }
}

/// A list as the API gives it, whole on one page.
pub(super) fn page(data: &[Value]) -> Value {
    let id = |object: Option<&Value>| object.and_then(|object| object.get("id").cloned());
    let (first, last) = (id(data.first()), id(data.last()));
    json!({"data": data, "has_more": false, "first_id": first, "last_id": last})
}

fn shown(model: &Model) -> Value {
    json!({
        "type": "model",
        "id": model.name,
        "display_name": model.name,
        "created_at": "2026-02-17T00:00:00Z",
        "lifecycle": "active",
        "max_input_tokens": model.context,
        "max_tokens": model.max_output,
    })
}
