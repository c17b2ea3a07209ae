//! Writes a stream of partial content responses (Gemini API reference, `streamGenerateContent`).
//!
//! A function call comes whole: its arguments are held until they are, and calls keep their order.

use super::answer_writer::{call, finish, thought};
use super::usage;
use crate::formats::{Usage, Wire};
use crate::translate::Plan;
use crate::translate::answer::{Event, Problem};
use crate::translate::errors;
use crate::translate::framing::Framing;
use crate::translate::json::{Json, array, object};
use crate::translate::openai::answer_reader::arguments_of;
use crate::translate::request::Call;
use crate::translate::seal::Seal;

/// What is held of calls that are not whole yet, in bytes.
const MOST_HELD: usize = 1024 * 1024;

/// What is known of a stream so far.
#[derive(Debug)]
pub(crate) struct Writer {
    plan: Plan,
    id: String,
    model: String,
    usage: Option<Usage>,
    held: Vec<Held>,
    held_bytes: usize,
    finishes: Vec<(u32, &'static str)>,
}

/// A call that is not whole yet.
#[derive(Debug)]
struct Held {
    choice: u32,
    call: u32,
    id: String,
    name: String,
    seal: Option<Seal<'static>>,
    arguments: String,
    whole: bool,
}

impl Writer {
    /// A writer for the stream that is about to begin.
    pub(crate) fn new(plan: Plan) -> Self {
        let (id, model) = (String::new(), String::new());
        let (held, finishes) = (Vec::new(), Vec::new());
        Self { plan, id, model, usage: None, held, held_bytes: 0, finishes }
    }

    /// Writes what follows from an event; false where it cannot be.
    pub(crate) fn write(&mut self, event: Event<'_>, out: &mut Framing) -> bool {
        match event {
            Event::Start { id, model } => {
                self.id = self.plan.id_or_own(&id, "").into_owned();
                self.model = self.plan.model_or_own(&model).to_owned();
            }
            Event::Text(choice, text) => {
                self.part(choice, object([("text", text.into())]), out);
            }
            Event::Thought(choice, text) => self.part(choice, thought(&text, None), out),
            Event::Seal(choice, seal) => self.part(choice, thought("", Some(&seal)), out),
            Event::Call { choice, call, id, name, seal } => self.held.push(Held {
                choice,
                call,
                id: id.into_owned(),
                name: name.into_owned(),
                seal: seal.map(Seal::into_owned),
                arguments: String::new(),
                whole: false,
            }),
            Event::Arguments { choice, call, piece } => {
                let mut held = self.held.iter_mut();
                if let Some(held) = held.find(|it| (it.choice, it.call) == (choice, call)) {
                    held.arguments.push_str(&piece);
                    self.held_bytes += piece.len();
                    return self.held_bytes <= MOST_HELD;
                }
            }
            Event::Called { choice, call } => {
                let mut held = self.held.iter_mut();
                if let Some(held) = held.find(|it| (it.choice, it.call) == (choice, call)) {
                    held.whole = true;
                }
                while self.held.first().is_some_and(|held| held.whole) {
                    let held = self.held.remove(0);
                    self.held_bytes -= held.arguments.len();
                    self.call(held, out);
                }
            }
            Event::Finish(choice, reason) => self.finishes.push((choice, finish(&reason))),
            Event::Usage(usage) => self.usage = Some(usage),
            Event::Ping => {}
            Event::Failed(problem) => fail(&problem, out),
            Event::End => self.end(out),
        }
        true
    }

    fn call(&self, held: Held, out: &mut Framing) {
        let made = Call {
            id: held.id.into(),
            name: held.name.into(),
            arguments: arguments_of(&held.arguments),
            seal: held.seal,
        };
        self.part(held.choice, call(&made), out);
    }

    fn part(&self, choice: u32, part: Json<'_>, out: &mut Framing) {
        let content = object([("parts", array([part])), ("role", "model".into())]);
        let candidate = object([("content", content), ("index", choice.into())]);
        out.data(&self.chunk(array([candidate]), None));
    }

    fn end(&self, out: &mut Framing) {
        let candidate = |(choice, reason): &(u32, &'static str)| {
            let parts = array([object([("text", "".into())])]);
            let content = object([("parts", parts), ("role", "model".into())]);
            let (reason, index) = ((*reason).into(), (*choice).into());
            object([("content", content), ("finishReason", reason), ("index", index)])
        };
        let candidates = array(self.finishes.iter().map(candidate));
        out.data(&self.chunk(candidates, self.usage.as_ref()));
    }

    fn chunk<'a>(&'a self, candidates: Json<'a>, usage: Option<&Usage>) -> Json<'a> {
        object([
            ("candidates", candidates),
            ("usageMetadata", usage.map(usage::write).into()),
            ("modelVersion", (&*self.model).into()),
            ("responseId", (&*self.id).into()),
        ])
    }
}

/// Google's SDKs raise an error where a chunk is one; nothing follows it.
fn fail(problem: &Problem, out: &mut Framing) {
    out.data(&errors::write(Wire::Gemini, problem, ""));
}
