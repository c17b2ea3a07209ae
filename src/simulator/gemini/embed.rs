//! Embeddings (API reference, "Embeddings").

use serde_json::{Map, Value, json};

use super::Fields;
use super::error::mistake;
use crate::simulator::call::Call;
use crate::simulator::meter::Ask;
use crate::simulator::openai::embedding;
use crate::simulator::reply::{Answered, Reply};
use crate::simulator::turn::{text_bytes, tokens_of};

const FIELDS: &[&str] = &[
    "autoTruncate",
    "content",
    "embedContentConfig",
    "model",
    "outputDimensionality",
    "taskType",
    "title",
];
/// Numbers in an embedding where the request does not say.
const DIMENSIONS: u64 = 16;

pub(super) fn one(call: &Call, model: &str) -> Answered {
    let fields = Fields::read(call, FIELDS)?;
    let (values, input) = embed(call, &fields)?;
    let model = call.find_model(model)?;
    let pass = call.admit(model, Ask { input, ..Ask::default() })?;
    Ok(Reply::json(&json!({"embedding": values})).metered(pass, input, 0))
}

pub(super) fn many(call: &Call, model: &str) -> Answered {
    let fields = Fields::read(call, &["requests"])?;
    let Some(requests) = fields.get("requests").and_then(Value::as_array) else {
        let text = "* BatchEmbedContentsRequest.requests: requests is not specified\n";
        return Err(mistake(&call.scene, text));
    };
    let (mut embeddings, mut input) = (Vec::new(), 0);
    for request in requests {
        let request = request.as_object().cloned().unwrap_or_else(Map::new);
        let (values, tokens) = embed(call, &Fields::of(call, request, FIELDS)?)?;
        embeddings.push(values);
        input += tokens;
    }
    let model = call.find_model(model)?;
    let pass = call.admit(model, Ask { input, ..Ask::default() })?;
    Ok(Reply::json(&json!({"embeddings": embeddings})).metered(pass, input, 0))
}

fn embed(call: &Call, fields: &Fields) -> Result<(Value, u64), Box<Reply>> {
    let Some(content) = fields.get("content") else {
        return Err(mistake(
            &call.scene,
            "* EmbedContentRequest.content: content is not specified\n",
        ));
    };
    let dimensions = fields.whole("outputDimensionality").unwrap_or(DIMENSIONS).min(4_096);
    let values = embedding(&content.to_string(), dimensions);
    Ok((json!({"values": values}), tokens_of(text_bytes(content))))
}
