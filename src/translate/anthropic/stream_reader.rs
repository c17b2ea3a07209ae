//! Reads a stream of message events (Anthropic docs, "Streaming messages").

use super::answer_reader::{finish, text};
use super::usage::{self, Told};
use crate::formats::Wire;
use crate::translate::answer::Event;
use crate::translate::errors;
use crate::translate::json::{Json, take};
use crate::translate::seal::{Maker, Seal};
use crate::translate::unfit::{Expect, Unfit, required};

/// What is known of a stream so far.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    told: Told,
    /// Function calls that have begun.
    calls: u32,
    /// Whether the block under way is a call.
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
        let event = Json::read(data.as_bytes()).map_err(|_| Unfit::new("is no JSON"))?;
        let mut event = event.fields()?;
        match &*text(&mut event, "type") {
            "message_start" => {
                let mut message = required(&mut event, "message")?.fields()?;
                let (id, model) = (text(&mut message, "id"), text(&mut message, "model"));
                events.push(Event::Start { id, model });
                self.usage(take(&mut message, "usage"), events);
            }
            "content_block_start" => {
                self.start(required(&mut event, "content_block")?, events)?;
            }
            "content_block_delta" => {
                self.delta(required(&mut event, "delta")?, events)?;
            }
            "content_block_stop" if std::mem::take(&mut self.in_call) => {
                events.push(Event::Called { choice: 0, call: self.calls.saturating_sub(1) });
            }
            "message_delta" => {
                self.usage(take(&mut event, "usage"), events);
                let mut delta = required(&mut event, "delta")?.fields()?;
                let stop = take(&mut delta, "stop_sequence").and_then(|stop| stop.text().ok());
                let reason = text(&mut delta, "stop_reason");
                if !reason.is_empty() {
                    events.push(Event::Finish(0, finish(&reason, stop)));
                }
            }
            "message_stop" => {
                self.whole = true;
                events.push(Event::End);
            }
            "ping" => events.push(Event::Ping),
            "error" => {
                let error = Json::Object(event);
                events.push(Event::Failed(errors::in_stream(Wire::Anthropic, &error)));
            }
            // Events of the future are nothing to other formats.
            _ => {}
        }
        Ok(())
    }

    /// Whether the stream's last word has come.
    pub(crate) const fn is_whole(&self) -> bool {
        self.whole
    }

    fn usage(&mut self, usage: Option<Json<'_>>, events: &mut Vec<Event<'_>>) {
        if let Some(usage) = usage {
            self.told = usage::read(&usage, &self.told);
            events.push(Event::Usage(self.told.usage()));
        }
    }

    fn start<'a>(&mut self, block: Json<'a>, events: &mut Vec<Event<'a>>) -> Result<(), Unfit> {
        let mut block = block.fields()?;
        match &*text(&mut block, "type") {
            "text" => {
                let text = text(&mut block, "text");
                if !text.is_empty() {
                    events.push(Event::Text(0, text));
                }
            }
            "redacted_thinking" => {
                let data = text(&mut block, "data");
                events.push(Event::Seal(0, Seal::new(Maker::AnthropicRedacted, data)));
            }
            "tool_use" => {
                let (id, name) = (text(&mut block, "id"), text(&mut block, "name"));
                events.push(Event::Call { choice: 0, call: self.calls, id, name, seal: None });
                self.calls = self.calls.saturating_add(1);
                self.in_call = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn delta<'a>(&self, delta: Json<'a>, events: &mut Vec<Event<'a>>) -> Result<(), Unfit> {
        let mut delta = delta.fields()?;
        match &*text(&mut delta, "type") {
            "text_delta" => events.push(Event::Text(0, text(&mut delta, "text"))),
            "thinking_delta" => events.push(Event::Thought(0, text(&mut delta, "thinking"))),
            "signature_delta" => {
                let signature = text(&mut delta, "signature");
                events.push(Event::Seal(0, Seal::new(Maker::Anthropic, signature)));
            }
            "input_json_delta" if self.in_call => {
                let piece = text(&mut delta, "partial_json");
                if !piece.is_empty() {
                    let call = self.calls.saturating_sub(1);
                    events.push(Event::Arguments { choice: 0, call, piece });
                }
            }
            _ => {}
        }
        Ok(())
    }
}
