//! Reads a stream of chat events (Cohere docs, "A guide to streaming responses").

use super::answer_reader::{finish, usage};
use crate::translate::answer::{Event, Problem};
use crate::translate::json::{Json, Text};
use crate::translate::unfit::Unfit;

/// What is known of a stream so far.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// Function calls that have begun.
    calls: u32,
    in_call: bool,
    whole: bool,
}

impl Reader {
    /// Reads the data of one event, which repeats its name.
    pub(crate) fn read<'a>(
        &mut self,
        data: &'a str,
        events: &mut Vec<Event<'a>>,
    ) -> Result<(), Unfit> {
        let mut event = Json::read(data.as_bytes()).map_err(|_| Unfit::new("is no JSON"))?;
        let kind = text(event.take("type"));
        let mut delta = event.take("delta").unwrap_or_default();
        let mut message = delta.take("message").unwrap_or_default();
        match &*kind {
            "message-start" => {
                let id = text(event.take("id"));
                events.push(Event::Start { id, model: Text::default() });
            }
            "content-start" | "content-delta" => {
                let mut content = message.take("content").unwrap_or_default();
                let (thought, said) = (text(content.take("thinking")), text(content.take("text")));
                if !thought.is_empty() {
                    events.push(Event::Thought(0, thought));
                }
                if !said.is_empty() {
                    events.push(Event::Text(0, said));
                }
            }
            "tool-plan-delta" => {
                events.push(Event::Thought(0, text(message.take("tool_plan"))));
            }
            "tool-call-start" => {
                let mut call = message.take("tool_calls").unwrap_or_default();
                let mut function = call.take("function").unwrap_or_default();
                let (id, name) = (text(call.take("id")), text(function.take("name")));
                let number = self.calls;
                events.push(Event::Call { choice: 0, call: number, id, name, seal: None });
                self.calls = self.calls.saturating_add(1);
                self.in_call = true;
                self.arguments(text(function.take("arguments")), events);
            }
            "tool-call-delta" => {
                let mut call = message.take("tool_calls").unwrap_or_default();
                let mut function = call.take("function").unwrap_or_default();
                self.arguments(text(function.take("arguments")), events);
            }
            "tool-call-end" if std::mem::take(&mut self.in_call) => {
                events.push(Event::Called { choice: 0, call: self.calls.saturating_sub(1) });
            }
            "message-end" => self.end(delta, events),
            // Citations and what the future brings are nothing to other formats.
            _ => {}
        }
        Ok(())
    }

    /// Whether the stream's last word has come.
    pub(crate) const fn is_whole(&self) -> bool {
        self.whole
    }

    fn arguments<'a>(&self, piece: Text<'a>, events: &mut Vec<Event<'a>>) {
        if self.in_call && !piece.is_empty() {
            let call = self.calls.saturating_sub(1);
            events.push(Event::Arguments { choice: 0, call, piece });
        }
    }

    fn end<'a>(&mut self, mut delta: Json<'a>, events: &mut Vec<Event<'a>>) {
        if let Some(told) = delta.take("usage") {
            events.push(Event::Usage(usage(&told)));
        }
        let reason = text(delta.take("finish_reason"));
        if matches!(&*reason, "ERROR" | "TIMEOUT") {
            let told = text(delta.take("error"));
            let message =
                if told.is_empty() { "the provider failed amid its answer" } else { &told };
            events.push(Event::Failed(Problem::own(502, message)));
            return;
        }
        self.whole = true;
        events.push(Event::Finish(0, finish(&reason)));
        events.push(Event::End);
    }
}

fn text(value: Option<Json<'_>>) -> Text<'_> {
    if let Some(Json::Text(text)) = value { text } else { Text::default() }
}
