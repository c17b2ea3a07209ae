//! Embeddings (API reference, "Create embeddings"): as numbers, or as base64 of little-endian floats.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::error::mistake;
use super::fields::{Checked, Fields, empty_list, wrong_type};
use crate::simulator::call::Call;
use crate::simulator::fault::mix;
use crate::simulator::meter::Ask;
use crate::simulator::plan::ModelKind;
use crate::simulator::reply::{Answered, Reply};
use crate::simulator::turn::{text_bytes, tokens_of};

const FIELDS: &[&str] = &["dimensions", "encoding_format", "input", "model", "user"];
/// Numbers in an embedding where the request does not say. The real models have 1,536 and 3,072.
const DIMENSIONS: u64 = 16;

pub(super) fn answer(call: &Call, deployment: Option<&str>) -> Answered {
    let request = call.json()?;
    let fields = Fields(&request);
    let model_name = deployment.map_or_else(|| fields.model(), Ok)?;
    fields.only(&[FIELDS])?;
    let texts = inputs(fields)?;
    fields.one_of("encoding_format", &["float", "base64"])?;
    let encoded = fields.text("encoding_format")? == Some("base64");
    let dimensions = fields.whole("dimensions", 1)?.unwrap_or(DIMENSIONS).min(4_096);
    let model = call.find_model(model_name)?;
    if call.model(model).is_some_and(|model| model.kind != ModelKind::Embedding) {
        let text = format!(
            "You are not allowed to generate embeddings from this model: {model_name}. Please \
             choose an embedding model."
        );
        return Err(mistake(&text, Some("model"), None));
    }
    let input = tokens_of(texts.iter().map(|text| text_bytes(text)).sum());
    let pass = call.admit(model, Ask { input, ..Ask::default() })?;
    let data: Vec<Value> = (0_u64..)
        .zip(&texts)
        .map(|(index, text)| {
            let numbers = embedding(&text.to_string(), dimensions);
            let embedding = if encoded { json!(base64_of(&numbers)) } else { json!(numbers) };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let body = json!({
        "object": "list",
        "data": data,
        "model": model_name,
        "usage": {"prompt_tokens": input, "total_tokens": input},
    });
    Ok(Reply::json(&body).metered(pass, input, 0))
}

/// A text is a string or an array of token numbers; the input is one of them or an array of them.
fn inputs(fields: Fields<'_>) -> Checked<Vec<&Value>> {
    let input = fields.required("input")?;
    match input.as_array() {
        None if input.is_string() => Ok(vec![input]),
        None => Err(wrong_type("input", "one of a string or array", input)),
        Some(many) if many.is_empty() => Err(empty_list("input")),
        Some(many) if many.iter().all(Value::is_number) => Ok(vec![input]),
        Some(many) => Ok(many.iter().collect()),
    }
}

/// Always the same numbers for the same text, between -1 and 1.
pub(crate) fn embedding(text: &str, dimensions: u64) -> Vec<f32> {
    let seed = text.bytes().fold(0, |hash, byte| mix(hash ^ u64::from(byte)));
    let number = |nth: u64| {
        let sixteen_bits = u16::try_from(mix(seed ^ nth) >> 48).unwrap_or(0);
        f32::from(sixteen_bits) / 32_768.0 - 1.0
    };
    (0..dimensions).map(number).collect()
}

fn base64_of(numbers: &[f32]) -> String {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_have_equal_embeddings() {
        assert_eq!(embedding("a", 8), embedding("a", 8));
        assert_ne!(embedding("a", 8), embedding("b", 8));
        assert!(embedding("a", 64).iter().all(|number| (-1.0..1.0).contains(number)));
    }

    #[test]
    fn base64_holds_the_same_numbers_as_little_endian_floats() {
        assert_eq!(base64_of(&[1.0, -0.5]), "AACAPwAAAL8=");
    }
}
