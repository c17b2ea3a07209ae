//! The list of models, and moderations (API reference, "Models" and "Moderations").

use http::Method;
use serde_json::{Value, json};

use super::fields::Fields;
use crate::simulator::call::Call;
use crate::simulator::plan::Model;
use crate::simulator::problem::Problem;
use crate::simulator::reply::{Answered, Reply};
use crate::simulator::wires::only;

pub(super) fn answer(call: &Call, rest: &[&str]) -> Answered {
    only(call, &Method::GET)?;
    match rest {
        [] => {
            let data: Vec<Value> = call.models().iter().map(shown).collect();
            Ok(Reply::json(&json!({"object": "list", "data": data})))
        }
        [name] => {
            let found = call.model(call.find_model(name)?).map(shown);
            Ok(Reply::json(&found.unwrap_or_default()))
        }
        _ => Err(call.scene.refuse(&Problem::NoSuchPath)),
    }
}

pub(super) fn moderation(call: &Call) -> Answered {
    let request = call.json()?;
    let fields = Fields(&request);
    let input = fields.required("input")?;
    let flagged = input.to_string().contains("sim:filter=1");
    let categories = [
        "harassment",
        "harassment/threatening",
        "hate",
        "hate/threatening",
        "illicit",
        "illicit/violent",
        "self-harm",
        "self-harm/instructions",
        "self-harm/intent",
        "sexual",
        "sexual/minors",
        "violence",
        "violence/graphic",
    ];
    let each = |value: fn(bool) -> Value| -> Value {
        let named = categories
            .iter()
            .map(|name| ((*name).to_owned(), value(flagged && *name == "violence")));
        Value::Object(named.collect())
    };
    let body = json!({
        "id": call.id("modr-", 0),
        "model": fields.text("model")?.unwrap_or("omni-moderation-latest"),
        "results": [{
            "flagged": flagged,
            "categories": each(|hit| json!(hit)),
            "category_scores": each(|hit| json!(if hit { 0.99 } else { 0.01 })),
            "category_applied_input_types": each(|hit| if hit { json!(["text"]) } else { json!([]) }),
        }],
    });
    Ok(Reply::json(&body))
}

fn shown(model: &Model) -> Value {
    json!({"id": model.name, "object": "model", "created": 1_715_367_049, "owned_by": "system"})
}
