//! Writes a stream of response events (OpenAI API reference, "Streaming").
//!
//! The last event repeats the whole answer, so this is the one stream whose text is kept, up to a
//! bound.

use super::items::{self, Status};
use crate::formats::Usage;
use crate::translate::Plan;
use crate::translate::answer::{Event, Problem};
use crate::translate::framing::Framing;
use crate::translate::json::{Json, Text, object};
use crate::translate::seal::{Maker, Seal};

/// The longest answer, in bytes.
const MOST_KEPT: usize = 8 * 1024 * 1024;

/// What an item counts beside its text, in bytes.
const ITEM: usize = 256;

/// What is known of a stream so far.
#[derive(Debug)]
pub(crate) struct Writer {
    plan: Plan,
    model: String,
    usage: Option<Usage>,
    items: Vec<Item>,
    kept: usize,
    status: Status,
    /// The number of the next event.
    sequence: u64,
}

/// An item of the output.
#[derive(Debug)]
struct Item {
    content: Content,
    text: String,
    done: bool,
}

#[derive(Debug)]
enum Content {
    Message,
    Reasoning(Option<Seal<'static>>),
    Call { call: u32, id: String, name: String },
}

impl Writer {
    /// A writer for the stream that is about to begin.
    pub(crate) fn new(plan: Plan) -> Self {
        Self {
            plan,
            model: String::new(),
            usage: None,
            items: Vec::new(),
            kept: 0,
            status: Status::Completed,
            sequence: 0,
        }
    }

    /// Writes what follows from an event; false where it cannot be.
    pub(crate) fn write(&mut self, event: Event<'_>, out: &mut Framing) -> bool {
        match event {
            Event::Start { model, .. } => {
                self.model = self.plan.model_or_own(&model).to_owned();
                self.whole("response.created", Status::InProgress, out);
                self.whole("response.in_progress", Status::InProgress, out);
            }
            Event::Text(_, text) => {
                let at = self.open_message(out);
                self.more(at, "response.output_text.delta", &text, out);
            }
            Event::Thought(_, text) => {
                let at = self.open_thought(out);
                self.more(at, "response.reasoning_summary_text.delta", &text, out);
            }
            Event::Seal(_, seal) => self.seal(seal.into_owned(), out),
            Event::Call { call, id, name, seal, .. } => {
                self.close_said(out);
                if let Some(seal) = seal {
                    self.seal(seal.into_owned(), out);
                }
                let (id, name) = (id.into_owned(), name.into_owned());
                self.add(Content::Call { call, id, name }, out);
            }
            Event::Arguments { call, piece, .. } => {
                if let Some(at) = self.place_of(call) {
                    self.more(at, "response.function_call_arguments.delta", &piece, out);
                }
            }
            Event::Called { call, .. } => {
                if let Some(at) = self.place_of(call) {
                    self.close(at, out);
                }
            }
            Event::Finish(_, finish) => self.status = Status::of(&finish),
            Event::Usage(usage) => self.usage = Some(usage),
            Event::Ping => out.comment(),
            Event::Failed(problem) => self.fail(&problem, out),
            Event::End => {
                for at in 0..self.items.len() {
                    self.close(at, out);
                }
                let name = if self.status == Status::Completed {
                    "response.completed"
                } else {
                    "response.incomplete"
                };
                self.whole(name, self.status, out);
            }
        }
        self.kept <= MOST_KEPT
    }

    fn place_of(&self, wanted: u32) -> Option<usize> {
        self.items.iter().position(|item| {
            matches!(item.content, Content::Call { call, .. } if call == wanted) && !item.done
        })
    }

    /// The message under way; a new one where there is none.
    fn open_message(&mut self, out: &mut Framing) -> usize {
        let last = self.items.last();
        if last.is_some_and(|it| matches!(it.content, Content::Message) && !it.done) {
            return self.items.len() - 1;
        }
        self.close_said(out);
        self.add(Content::Message, out)
    }

    fn open_thought(&mut self, out: &mut Framing) -> usize {
        let last = self.items.last();
        if last.is_some_and(|it| matches!(it.content, Content::Reasoning(_)) && !it.done) {
            return self.items.len() - 1;
        }
        self.close_said(out);
        self.add(Content::Reasoning(None), out)
    }

    /// A message or thought ends where something else begins.
    fn close_said(&mut self, out: &mut Framing) {
        for at in 0..self.items.len() {
            let call =
                self.items.get(at).is_some_and(|it| matches!(it.content, Content::Call { .. }));
            if !call {
                self.close(at, out);
            }
        }
    }

    /// The signature ends its thought. One without a thought is an item of its own.
    fn seal(&mut self, seal: Seal<'static>, out: &mut Framing) {
        let under_way = |it: &&mut Item| matches!(it.content, Content::Reasoning(None)) && !it.done;
        let alone = seal.maker != Maker::Anthropic;
        let last = self.items.last_mut().filter(|_| !alone).filter(under_way);
        if let Some(item) = last {
            item.content = Content::Reasoning(Some(seal));
        } else {
            self.close_said(out);
            self.add(Content::Reasoning(Some(seal)), out);
        }
        self.close_said(out);
    }

    fn add(&mut self, content: Content, out: &mut Framing) -> usize {
        let at = self.items.len();
        self.kept += ITEM;
        self.items.push(Item { content, text: String::new(), done: false });
        let item = self.item(at, false);
        self.event("response.output_item.added", at, [("item", item)], out);
        let first = self.items.get(at).map(|item| &item.content);
        match first {
            Some(Content::Message) => self.part(at, "response.content_part.added", "", out),
            Some(Content::Reasoning(None)) => {
                self.part(at, "response.reasoning_summary_part.added", "", out);
            }
            _ => {}
        }
        at
    }

    fn more(&mut self, at: usize, name: &'static str, text: &Text<'_>, out: &mut Framing) {
        self.kept += text.len();
        if let Some(item) = self.items.get_mut(at) {
            item.text.push_str(text);
        }
        let id = self.id(at);
        self.event(name, at, [("item_id", id.into()), index_of(name), ("delta", text.into())], out);
    }

    fn close(&mut self, at: usize, out: &mut Framing) {
        let Some(item) = self.items.get_mut(at) else { return };
        if std::mem::replace(&mut item.done, true) {
            return;
        }
        let text = item.text.clone();
        let (done, part) = match &item.content {
            Content::Message => ("response.output_text.done", Some("response.content_part.done")),
            Content::Reasoning(_) if text.is_empty() => ("", None),
            Content::Reasoning(_) => (
                "response.reasoning_summary_text.done",
                Some("response.reasoning_summary_part.done"),
            ),
            Content::Call { .. } => ("response.function_call_arguments.done", None),
        };
        let id = self.id(at);
        if !done.is_empty() {
            let field = if part.is_some() { "text" } else { "arguments" };
            let said = if part.is_none() && text.is_empty() { "{}" } else { &*text };
            self.event(
                done,
                at,
                [("item_id", id.into()), index_of(done), (field, said.into())],
                out,
            );
        }
        if let Some(part) = part {
            self.part(at, part, &text, out);
        }
        let item = self.item(at, true);
        self.event("response.output_item.done", at, [("item", item)], out);
    }

    fn part(&mut self, at: usize, name: &'static str, text: &str, out: &mut Framing) {
        let id = self.id(at);
        let part = if name.contains("summary") {
            items::summary_part(text)
        } else {
            items::text_part(text)
        };
        self.event(name, at, [("item_id", id.into()), index_of(name), ("part", part)], out);
    }

    fn id(&self, at: usize) -> String {
        let prefix = match self.items.get(at).map(|item| &item.content) {
            Some(Content::Reasoning(_)) => "rs",
            Some(Content::Call { .. }) => "fc",
            Some(Content::Message) | None => "msg",
        };
        format!("{prefix}_{:016x}_{at}", self.plan.fresh)
    }

    fn item(&self, at: usize, done: bool) -> Json<'static> {
        let Some(item) = self.items.get(at) else { return Json::Null };
        let (id, text) = (self.id(at), Some(&*item.text).filter(|_| done));
        match &item.content {
            Content::Message => items::message(id, text),
            Content::Reasoning(seal) => items::reasoning(id, &item.text, seal.as_ref()),
            Content::Call { id: call_id, name, .. } => {
                let text = text.map(|text| if text.is_empty() { "{}" } else { text });
                items::call(id, (call_id, name), text)
            }
        }
        .into_owned()
    }

    /// An event that carries the whole response.
    fn whole(&mut self, name: &'static str, status: Status, out: &mut Framing) {
        let output = (0..self.items.len()).map(|at| self.item(at, true)).collect();
        let names = (self.plan.response_id(), &*self.model);
        let usage = self.usage.as_ref().filter(|_| status != Status::InProgress);
        let response = items::response(names, &self.plan, status, output, usage);
        let event = object([
            ("type", name.into()),
            ("sequence_number", self.sequence.into()),
            ("response", response),
        ]);
        out.event(name, &event);
        self.sequence += 1;
    }

    fn event<const N: usize>(
        &mut self,
        name: &'static str,
        at: usize,
        fields: [(&'static str, Json<'_>); N],
        out: &mut Framing,
    ) {
        let index = u64::try_from(at).unwrap_or_default();
        let mut event = vec![
            ("type".into(), name.into()),
            ("sequence_number".into(), self.sequence.into()),
            ("output_index".into(), index.into()),
        ];
        event.extend(
            fields.into_iter().filter(|(_, it)| !it.is_null()).map(|(n, it)| (n.into(), it)),
        );
        out.event(name, &Json::Object(event));
        self.sequence += 1;
    }

    fn fail(&mut self, problem: &Problem, out: &mut Framing) {
        let event = Json::Object(vec![
            ("type".into(), "error".into()),
            ("sequence_number".into(), self.sequence.into()),
            ("code".into(), problem.code.as_deref().unwrap_or("server_error").into()),
            ("message".into(), (&*problem.message).into()),
            ("param".into(), Json::Null),
        ]);
        out.event("error", &event);
    }
}

/// Which part of the item it is: there is but one.
fn index_of(name: &str) -> (&'static str, Json<'static>) {
    if name.contains("summary") {
        ("summary_index", 0_u64.into())
    } else if name.contains("output_text") || name.contains("content_part") {
        ("content_index", 0_u64.into())
    } else {
        ("content_index", Json::Null)
    }
}
