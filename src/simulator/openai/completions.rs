//! Legacy completions (API reference, "Create completion").

use bytes::Bytes;
use serde_json::{Value, json};

use super::chat::finish_reason;
use super::chat_request::{stops, within_context};
use super::chunks::failure;
use super::error::mistake;
use super::fields::{Fields, wrong_type};
use crate::simulator::call::Call;
use crate::simulator::meter::Ask;
use crate::simulator::reply::{Answered, Event, Reply};
use crate::simulator::turn::{Turn, Wish, pieces, text_bytes, tokens_of};
use crate::simulator::world::Pass;

const FIELDS: &[&str] = &[
    "best_of",
    "echo",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_tokens",
    "model",
    "n",
    "presence_penalty",
    "prompt",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "suffix",
    "temperature",
    "top_p",
    "user",
];
/// What is written where the request gives no bound (API reference).
const DEFAULT_OUTPUT: u64 = 16;

pub(super) fn answer(call: &Call, deployment: Option<&str>) -> Answered {
    let request = call.json()?;
    let fields = Fields(&request);
    let model_name = deployment.map_or_else(|| fields.model(), Ok)?;
    fields.only(&[FIELDS])?;
    let prompt = fields.required("prompt")?;
    if !prompt.is_string() && !prompt.is_array() {
        return Err(wrong_type("prompt", "one of a string or array", prompt));
    }
    fields.between("temperature", 0.0, 2.0)?;
    let model = call.find_model(model_name)?;
    let max_output = fields.whole("max_tokens", 0)?.unwrap_or(DEFAULT_OUTPUT);
    let input = tokens_of(text_bytes(prompt));
    within_context(call.model(model), input)?;
    let stream = fields.flag("stream")?;
    let options = fields.object("stream_options")?;
    if options.is_some() && !stream {
        let text = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(mistake(text, Some("stream_options"), None));
    }
    let include_usage =
        options.map_or(Ok(false), |options| Fields(options).flag("include_usage"))?;
    let first = prompt.as_array().and_then(|many| many.first()).unwrap_or(prompt);
    let wish = Wish {
        prompt: first.as_str().unwrap_or_default().to_owned(),
        input,
        max_output: Some(max_output),
        stop: stops(fields)?,
        ..Wish::default()
    };
    let ask = Ask { input, cached: 0, max_output: Some(max_output), choices: 1 };
    let pass = call.admit(model, ask)?;
    let text = Text { call, model: model_name, include_usage };
    let turn = wish.turn();
    Ok(if stream { text.stream(&turn, pass) } else { text.whole(&turn, pass) })
}

struct Text<'a> {
    call: &'a Call,
    model: &'a str,
    include_usage: bool,
}

impl Text<'_> {
    fn whole(&self, turn: &Turn, pass: Pass) -> Reply {
        let choices = choice(&turn.text, Some(finish_reason(&turn.finish)));
        let body = self.body(&choices, Some(&usage(turn)));
        Reply::json(&body).metered(pass, turn.input, turn.output)
    }

    fn stream(&self, turn: &Turn, pass: Pass) -> Reply {
        let null = self.include_usage.then_some(&Value::Null);
        let mut events: Vec<Event> = pieces(&turn.text, self.call.piece(), 0)
            .map(|(piece, output)| Event::data(&self.body(&choice(piece, None), null), output))
            .collect();
        let last = choice("", Some(finish_reason(&turn.finish)));
        events.push(Event::data(&self.body(&last, null), 0));
        if self.include_usage {
            events.push(Event::data(&self.body(&json!([]), Some(&usage(turn))), 0));
        }
        events.push(Event { bytes: Bytes::from_static(b"data: [DONE]\n\n"), output: 0 });
        Reply::stream(events, failure()).metered(pass, turn.input, 0)
    }

    fn body(&self, choices: &Value, usage: Option<&Value>) -> Value {
        let mut body = json!({
            "id": self.call.id("cmpl-", 0),
            "object": "text_completion",
            "created": self.call.created(),
            "model": self.model,
            "choices": choices,
        });
        if let (Some(usage), Some(fields)) = (usage, body.as_object_mut()) {
            fields.insert("usage".to_owned(), usage.clone());
        }
        body
    }
}

fn choice(text: &str, finish: Option<&str>) -> Value {
    json!([{"text": text, "index": 0, "logprobs": null, "finish_reason": finish}])
}

fn usage(turn: &Turn) -> Value {
    json!({
        "prompt_tokens": turn.input,
        "completion_tokens": turn.output,
        "total_tokens": turn.input + turn.output,
    })
}
