//! Speech to text and back (API reference, "Audio"): a multipart form in, or raw bytes out.

use bytes::Bytes;
use serde_json::json;

use super::error::mistake;
use super::fields::Fields;
use crate::simulator::call::Call;
use crate::simulator::meter::Ask;
use crate::simulator::reply::{Answered, Reply};
use crate::simulator::turn::tokens_of;

pub(super) fn transcription(call: &Call, deployment: Option<&str>) -> Answered {
    let Some(form) = call.form() else {
        let text = "Could not parse multipart form";
        return Err(mistake(text, None, None));
    };
    let Some(file) = form.part("file") else {
        let text = "Missing required parameter: 'file'.";
        return Err(mistake(text, Some("file"), Some("missing_required_parameter")));
    };
    let named = deployment.map(str::to_owned).or_else(|| form.text("model"));
    let Some(model_name) = named else {
        return Err(mistake("you must provide a model parameter", None, None));
    };
    let model = call.find_model(&model_name)?;
    let input = tokens_of(file.content.len());
    let pass = call.admit(model, Ask { input, ..Ask::default() })?;
    let text =
        format!("{} bytes of {}", file.content.len(), file.filename.as_deref().unwrap_or("sound"));
    let output = tokens_of(text.len());
    let reply = match form.text("response_format").as_deref() {
        Some("text") => {
            Reply::bytes(200, "text/plain; charset=utf-8", Bytes::from(format!("{text}\n")))
        }
        _ => Reply::json(&json!({
            "text": text,
            "usage": {
                "type": "tokens",
                "input_tokens": input,
                "output_tokens": output,
                "total_tokens": input + output,
                "input_token_details": {"text_tokens": 0, "audio_tokens": input},
            },
        })),
    };
    Ok(reply.metered(pass, input, output))
}

pub(super) fn speech(call: &Call, deployment: Option<&str>) -> Answered {
    let request = call.json()?;
    let fields = Fields(&request);
    let model = call.find_model(deployment.map_or_else(|| fields.model(), Ok)?)?;
    fields.required("voice")?;
    fields.required("input")?;
    let text = fields.text("input")?.unwrap_or_default();
    let input = tokens_of(text.len());
    let pass = call.admit(model, Ask { input, ..Ask::default() })?;
    // Not a sound, but bytes that are no text: four for each of the input's.
    let sound: Vec<u8> = text.bytes().flat_map(|byte| [0xff, 0xfb, byte, !byte]).collect();
    Ok(Reply::bytes(200, "audio/mpeg", Bytes::from(sound)).metered(pass, input, 0))
}
