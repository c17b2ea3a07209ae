//! Writes a stream of chat completion chunks (OpenAI API reference, "The chat completion chunk
//! object").

use super::answer_writer::{finish, sealed};
use super::usage;
use crate::formats::Usage;
use crate::formats::Wire;
use crate::translate::Plan;
use crate::translate::answer::{Event, Problem};
use crate::translate::errors;
use crate::translate::framing::Framing;
use crate::translate::json::{Json, Text, array, object};
use crate::translate::seal::{Maker, Seal};

/// What is known of a stream so far.
#[derive(Debug)]
pub(crate) struct Writer {
    plan: Plan,
    id: String,
    model: String,
    usage: Option<Usage>,
    /// Thoughts that have ended with a signature: the place of the next one among `thinking_blocks`.
    blocks: u32,
    /// Calls that have no arguments yet: no fragment at all is no JSON.
    empty: Vec<(u32, u32)>,
}

impl Writer {
    /// A writer for the stream that is about to begin.
    pub(crate) fn new(plan: Plan) -> Self {
        let (id, model) = (String::new(), String::new());
        Self { plan, id, model, usage: None, blocks: 0, empty: Vec::new() }
    }

    /// Writes what follows from an event.
    pub(crate) fn write(&mut self, event: Event<'_>, out: &mut Framing) {
        match event {
            Event::Start { id, model } => {
                self.id = self.plan.id_or_own(&id, "chatcmpl-").into_owned();
                self.model = self.plan.model_or_own(&model).to_owned();
                for choice in 0..self.plan.choices.max(1) {
                    let delta = object([("role", "assistant".into()), ("content", "".into())]);
                    self.chunk(choice, delta, None, out);
                }
            }
            Event::Text(choice, text) => {
                self.chunk(choice, object([("content", text.into())]), None, out);
            }
            Event::Thought(choice, text) => self.thought(choice, &text, out),
            Event::Seal(choice, seal) => self.seal(choice, &seal, out),
            Event::Call { choice, call, id, name, seal } => {
                self.empty.push((choice, call));
                let function = object([("name", name.into()), ("arguments", "".into())]);
                let begun = object([
                    ("index", call.into()),
                    ("id", id.into()),
                    ("type", "function".into()),
                    ("function", function),
                    ("extra_content", seal.as_ref().map(sealed).into()),
                ]);
                self.chunk(choice, object([("tool_calls", array([begun]))]), None, out);
            }
            Event::Arguments { choice, call, piece } => {
                self.empty.retain(|open| *open != (choice, call));
                self.arguments(choice, call, piece, out);
            }
            Event::Called { choice, call } => {
                let place = self.empty.iter().position(|open| *open == (choice, call));
                if let Some(place) = place {
                    self.empty.remove(place);
                    self.arguments(choice, call, "{}".into(), out);
                }
            }
            Event::Finish(choice, reason) => {
                self.chunk(choice, Json::Object(Vec::new()), Some(finish(&reason)), out);
            }
            Event::Usage(usage) => self.usage = Some(usage),
            Event::Ping => out.comment(),
            Event::Failed(problem) => fail(&problem, out),
            Event::End => {
                if self.plan.include_usage
                    && let Some(usage) = self.usage
                {
                    let usage = usage::write(&usage);
                    out.data(&self.head([("choices", array::<Json<'_>>([])), ("usage", usage)]));
                }
                out.text("[DONE]");
            }
        }
    }

    /// A thought, in DeepSeek's field and, where it may have to be given back, in `LiteLLM`'s.
    fn thought(&self, choice: u32, text: &Text<'_>, out: &mut Framing) {
        let signed = self.plan.from == Wire::Anthropic;
        let block = || {
            array([object([
                ("index", self.blocks.into()),
                ("type", "thinking".into()),
                ("thinking", text.into()),
            ])])
        };
        let delta = object([
            ("reasoning_content", text.into()),
            ("thinking_blocks", signed.then(block).into()),
        ]);
        self.chunk(choice, delta, None, out);
    }

    fn seal(&mut self, choice: u32, seal: &Seal<'_>, out: &mut Framing) {
        if seal.maker == Maker::Gemini {
            // Of a text: nothing asks for it back.
            return;
        }
        let index = self.blocks;
        self.blocks += 1;
        let block = if seal.maker == Maker::AnthropicRedacted {
            object([
                ("index", index.into()),
                ("type", "redacted_thinking".into()),
                ("data", (&seal.value).into()),
            ])
        } else {
            object([("index", index.into()), ("signature", (&seal.value).into())])
        };
        self.chunk(choice, object([("thinking_blocks", array([block]))]), None, out);
    }

    fn arguments(&self, choice: u32, call: u32, piece: Text<'_>, out: &mut Framing) {
        let function = object([("arguments", piece.into())]);
        let more = object([("index", call.into()), ("function", function)]);
        self.chunk(choice, object([("tool_calls", array([more]))]), None, out);
    }

    fn chunk(&self, choice: u32, delta: Json<'_>, finish: Option<&'static str>, out: &mut Framing) {
        let choice = Json::Object(vec![
            ("index".into(), choice.into()),
            ("delta".into(), delta),
            ("logprobs".into(), Json::Null),
            ("finish_reason".into(), finish.into()),
        ]);
        out.data(&self.head([("choices", array([choice])), ("usage", Json::Null)]));
    }

    fn head<'a>(&'a self, [choices, usage]: [(&'static str, Json<'a>); 2]) -> Json<'a> {
        object([
            ("id", (&*self.id).into()),
            ("object", "chat.completion.chunk".into()),
            ("created", self.plan.created.into()),
            ("model", (&*self.model).into()),
            choices,
            usage,
        ])
    }
}

/// OpenAI's SDKs raise an error where a chunk has one; nothing follows it.
fn fail(problem: &Problem, out: &mut Framing) {
    out.data(&errors::write(Wire::OpenAi, problem, ""));
}
