//! Writes a stream of message events (Anthropic docs, "Streaming messages").
//!
//! Blocks come one after the other. Of calls that come interleaved, the first flows and the others
//! are held until it is whole.

use std::collections::VecDeque;

use super::answer_writer::{begun, finish, redacted};
use super::usage;
use crate::formats::{Usage, Wire};
use crate::translate::Plan;
use crate::translate::answer::{Event, Finish, Problem};
use crate::translate::errors;
use crate::translate::framing::Framing;
use crate::translate::json::{Json, object};
use crate::translate::seal::Seal;

/// What is held of calls that wait for their turn, in bytes.
const MOST_HELD: usize = 1024 * 1024;

/// What is known of a stream so far.
#[derive(Debug)]
pub(crate) struct Writer {
    plan: Plan,
    /// What the stream begins with, until it is known what the input used.
    start: Option<(String, String)>,
    usage: Usage,
    open: Option<Open>,
    /// The number of the next block.
    next: u32,
    held: VecDeque<Held>,
    held_bytes: usize,
    finish: Option<(&'static str, Option<String>)>,
}

/// The block under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Text,
    Thinking,
    Call(u32),
}

/// A call that waits for its turn.
#[derive(Debug)]
struct Held {
    call: u32,
    id: String,
    name: String,
    seal: Option<Seal<'static>>,
    arguments: String,
    whole: bool,
}

impl Writer {
    /// A writer for the stream that is about to begin.
    pub(crate) const fn new(plan: Plan) -> Self {
        Self {
            plan,
            start: None,
            usage: Usage { input: 0, cached_input: 0, cache_write: 0, output: 0, reasoning: 0 },
            open: None,
            next: 0,
            held: VecDeque::new(),
            held_bytes: 0,
            finish: None,
        }
    }

    /// Writes what follows from an event; false where it cannot be.
    pub(crate) fn write(&mut self, event: Event<'_>, out: &mut Framing) -> bool {
        match event {
            Event::Start { id, model } => {
                let id = self.plan.id_or_own(&id, "msg_").into_owned();
                self.start = Some((id, self.plan.model_or_own(&model).to_owned()));
                return true;
            }
            Event::Usage(usage) => {
                self.usage = usage;
                return true;
            }
            Event::Failed(problem) => {
                fail(&problem, out);
                return true;
            }
            _ => self.begin(out),
        }
        match event {
            Event::Text(_, text) => {
                self.block(Open::Text, out);
                self.delta("text_delta", ("text", text.into()), out);
            }
            Event::Thought(_, text) => {
                self.block(Open::Thinking, out);
                self.delta("thinking_delta", ("thinking", text.into()), out);
            }
            Event::Seal(_, seal) => self.seal(&seal, out),
            Event::Call { call, id, name, seal, .. } => {
                self.held.push_back(Held {
                    call,
                    id: id.into_owned(),
                    name: name.into_owned(),
                    seal: seal.map(Seal::into_owned),
                    arguments: String::new(),
                    whole: false,
                });
                self.let_in(out);
            }
            Event::Arguments { call, piece, .. } => {
                if self.open == Some(Open::Call(call)) {
                    self.delta("input_json_delta", ("partial_json", piece.into()), out);
                } else if let Some(held) = self.held.iter_mut().find(|held| held.call == call) {
                    self.held_bytes += piece.len();
                    held.arguments.push_str(&piece);
                    return self.held_bytes <= MOST_HELD;
                }
            }
            Event::Called { call, .. } => {
                if self.open == Some(Open::Call(call)) {
                    self.close(out);
                    self.let_in(out);
                } else if let Some(held) = self.held.iter_mut().find(|held| held.call == call) {
                    held.whole = true;
                }
            }
            Event::Finish(_, reason) => {
                let (reason, stop): (_, Option<&str>) = finish(&reason);
                self.finish = Some((reason, stop.map(str::to_owned)));
            }
            Event::Ping => out.event("ping", &object([("type", "ping".into())])),
            Event::End => self.end(out),
            Event::Start { .. } | Event::Usage(_) | Event::Failed(_) => {}
        }
        true
    }

    /// The beginning, as soon as anything follows it: by then the usage of the input may be known.
    fn begin(&mut self, out: &mut Framing) {
        let Some((id, model)) = self.start.take() else { return };
        let message = begun(&id, &model, &self.usage);
        out.event(
            "message_start",
            &object([("type", "message_start".into()), ("message", message)]),
        );
    }

    /// Makes that kind of block the one under way.
    fn block(&mut self, wanted: Open, out: &mut Framing) {
        if self.open == Some(wanted) {
            return;
        }
        self.close(out);
        let block = match wanted {
            Open::Text => object([("type", "text".into()), ("text", "".into())]),
            Open::Thinking | Open::Call(_) => object([
                ("type", "thinking".into()),
                ("thinking", "".into()),
                ("signature", "".into()),
            ]),
        };
        self.start_block(wanted, block, out);
    }

    fn start_block(&mut self, open: Open, block: Json<'_>, out: &mut Framing) {
        out.event(
            "content_block_start",
            &object([
                ("type", "content_block_start".into()),
                ("index", self.next.into()),
                ("content_block", block),
            ]),
        );
        self.open = Some(open);
    }

    fn delta(&self, kind: &'static str, field: (&'static str, Json<'_>), out: &mut Framing) {
        out.event(
            "content_block_delta",
            &object([
                ("type", "content_block_delta".into()),
                ("index", self.next.into()),
                ("delta", object([("type", kind.into()), field])),
            ]),
        );
    }

    fn close(&mut self, out: &mut Framing) {
        if self.open.take().is_some() {
            let (kind, index) = ("content_block_stop".into(), self.next.into());
            out.event("content_block_stop", &object([("type", kind), ("index", index)]));
            self.next += 1;
        }
    }

    /// The signature ends its thought. One without a thought is a block of its own.
    fn seal(&mut self, seal: &Seal<'_>, out: &mut Framing) {
        use crate::translate::seal::Maker;
        if self.open == Some(Open::Thinking) && seal.maker != Maker::AnthropicRedacted {
            let signature = seal.stamped(Maker::Anthropic);
            self.delta("signature_delta", ("signature", signature.into()), out);
            self.close(out);
        } else if seal.maker != Maker::Gemini {
            self.whole_block(redacted(seal), out);
        }
    }

    fn whole_block(&mut self, block: Json<'_>, out: &mut Framing) {
        self.close(out);
        self.start_block(Open::Text, block, out);
        self.close(out);
    }

    /// Lets the next call in if no other is under way, and those behind it that are whole already.
    fn let_in(&mut self, out: &mut Framing) {
        while !matches!(self.open, Some(Open::Call(_)))
            && let Some(held) = self.held.pop_front()
        {
            if let Some(seal) = &held.seal {
                self.whole_block(redacted(seal), out);
            }
            self.close(out);
            let block = object([
                ("type", "tool_use".into()),
                ("id", (&*held.id).into()),
                ("name", (&*held.name).into()),
                ("input", Json::Object(Vec::new())),
            ]);
            self.start_block(Open::Call(held.call), block, out);
            if !held.arguments.is_empty() {
                self.held_bytes -= held.arguments.len();
                self.delta("input_json_delta", ("partial_json", held.arguments.into()), out);
            }
            if held.whole {
                self.close(out);
            }
        }
    }

    fn end(&mut self, out: &mut Framing) {
        self.close(out);
        let (reason, stop) = self.finish.take().unwrap_or_else(|| {
            let (reason, _): (_, Option<&str>) = finish(&Finish::Stop);
            (reason, None)
        });
        let delta = Json::Object(vec![
            ("stop_reason".into(), reason.into()),
            ("stop_sequence".into(), stop.into()),
        ]);
        out.event(
            "message_delta",
            &object([
                ("type", "message_delta".into()),
                ("delta", delta),
                ("usage", usage::write(&self.usage)),
            ]),
        );
        out.event("message_stop", &object([("type", "message_stop".into())]));
    }
}

fn fail(problem: &Problem, out: &mut Framing) {
    out.event("error", &errors::write(Wire::Anthropic, problem, ""));
}
