//! The list of models (API reference, "Models").

use serde_json::{Value, json};

use crate::simulator::call::Call;
use crate::simulator::plan::{Model, ModelKind};
use crate::simulator::reply::{Answered, Reply};

pub(super) fn list(call: &Call) -> Reply {
    let models: Vec<Value> = call.models().iter().map(shown).collect();
    Reply::json(&json!({"models": models}))
}

pub(super) fn find(call: &Call, name: &str) -> Answered {
    let found = call.model(call.find_model(name)?).map(shown);
    Ok(Reply::json(&found.unwrap_or_default()))
}

fn shown(model: &Model) -> Value {
    let methods = if model.kind == ModelKind::Embedding {
        json!(["embedContent", "batchEmbedContents", "countTokens"])
    } else {
        json!(["generateContent", "countTokens", "createCachedContent", "batchGenerateContent"])
    };
    json!({
        "name": format!("models/{}", model.name),
        "version": "001",
        "displayName": model.name,
        "description": "Simulated",
        "inputTokenLimit": model.context,
        "outputTokenLimit": model.max_output,
        "supportedGenerationMethods": methods,
        "temperature": 1.0,
        "maxTemperature": 2.0,
        "topP": 0.95,
        "topK": 64,
    })
}
