//! Reads a stream of chat completion chunks (OpenAI API reference, "The chat completion chunk
//! object").

use super::answer_reader::{finish, seal, text};
use super::usage;
use crate::formats::Wire;
use crate::translate::answer::{Event, Problem};
use crate::translate::balance::Balance;
use crate::translate::errors;
use crate::translate::json::{Json, Object, Text, take};
use crate::translate::unfit::{Expect, Unfit};

/// Function calls that one answer may have under way.
const MOST_CALLS: usize = 256;

/// What is known of a stream so far.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    begun: bool,
    calls: Vec<Open>,
    finished: bool,
}

/// A call that has begun.
#[derive(Debug)]
struct Open {
    choice: u32,
    /// The provider's number of it.
    index: u64,
    /// Ours, counted in each answer.
    call: u32,
    arguments: Balance,
    whole: bool,
}

impl Reader {
    /// Reads the data of one event.
    pub(crate) fn read<'a>(
        &mut self,
        data: &'a str,
        events: &mut Vec<Event<'a>>,
    ) -> Result<(), Unfit> {
        if data.starts_with("[DONE]") {
            events.push(Event::End);
            return Ok(());
        }
        let chunk = Json::read(data.as_bytes()).map_err(|_| Unfit::new("is no JSON"))?;
        let mut chunk = chunk.fields()?;
        if let Some(error) = take(&mut chunk, "error") {
            events.push(Event::Failed(errors::in_stream(Wire::OpenAi, &error)));
            return Ok(());
        }
        if !std::mem::replace(&mut self.begun, true) {
            let (id, model) = (text(&mut chunk, "id"), text(&mut chunk, "model"));
            events.push(Event::Start { id, model });
        }
        if let Some(Json::Array(choices)) = take(&mut chunk, "choices") {
            for choice in choices {
                self.choice(choice.fields()?, events)?;
            }
        }
        if let Some(usage) = take(&mut chunk, "usage") {
            events.push(Event::Usage(usage::read(&usage)));
        }
        Ok(())
    }

    /// The stream has ended; is it whole? Some copyists of OpenAI's say no last word.
    pub(crate) const fn is_whole(&self) -> bool {
        self.finished
    }

    fn choice<'a>(&mut self, mut it: Object<'a>, events: &mut Vec<Event<'a>>) -> Result<(), Unfit> {
        let index = take(&mut it, "index").and_then(|index| index.as_count()).unwrap_or(0);
        let choice = u32::try_from(index).unwrap_or_default();
        let mut delta = match take(&mut it, "delta") {
            Some(delta) => delta.fields()?,
            None => Object::new(),
        };
        let thought = take(&mut delta, "reasoning_content");
        if let Some(Json::Text(thought)) = thought.or_else(|| take(&mut delta, "reasoning"))
            && !thought.is_empty()
        {
            events.push(Event::Thought(choice, thought));
        }
        content(choice, take(&mut delta, "content"), events);
        content(choice, take(&mut delta, "refusal"), events);
        if let Some(Json::Array(calls)) = take(&mut delta, "tool_calls") {
            for call in calls {
                self.call(choice, call.fields()?, events)?;
            }
        }
        let reason = text(&mut it, "finish_reason");
        if reason == "error" {
            let problem = Problem::own(502, "the provider ended the stream with an error");
            events.push(Event::Failed(problem));
        } else if !reason.is_empty() {
            self.finished = true;
            let mut called = false;
            for open in self.calls.iter_mut().filter(|open| open.choice == choice) {
                called = true;
                if !std::mem::replace(&mut open.whole, true) {
                    events.push(Event::Called { choice, call: open.call });
                }
            }
            events.push(Event::Finish(choice, finish(&reason, called)));
        }
        Ok(())
    }

    fn call<'a>(
        &mut self,
        choice: u32,
        mut it: Object<'a>,
        events: &mut Vec<Event<'a>>,
    ) -> Result<(), Unfit> {
        let told = take(&mut it, "index").and_then(|index| index.as_count());
        let id = text(&mut it, "id");
        let mut function = match take(&mut it, "function") {
            Some(function) => function.fields()?,
            None => Object::new(),
        };
        let of_choice = self.calls.iter().filter(|open| open.choice == choice);
        let count = u32::try_from(of_choice.count()).unwrap_or(u32::MAX);
        // Mistral's and others' calls come whole and may have no number.
        let index = told.unwrap_or_else(|| u64::from(count));
        let known = self.calls.iter().any(|open| open.choice == choice && open.index == index);
        if !known {
            if self.calls.len() >= MOST_CALLS {
                return Err(Unfit::new("has too many function calls"));
            }
            let (arguments, whole) = (Balance::default(), false);
            self.calls.push(Open { choice, index, call: count, arguments, whole });
            let name = text(&mut function, "name");
            let seal = seal(take(&mut it, "extra_content"));
            events.push(Event::Call { choice, call: count, id, name, seal });
        }
        let piece: Text<'a> = match take(&mut function, "arguments") {
            Some(Json::Text(piece)) => piece,
            Some(other) => other.to_text().into(),
            None => return Ok(()),
        };
        let open = self.calls.iter_mut().find(|it| it.choice == choice && it.index == index);
        let Some(open) = open.filter(|_| !piece.is_empty()) else { return Ok(()) };
        let call = open.call;
        let whole = open.arguments.feed(&piece);
        events.push(Event::Arguments { choice, call, piece });
        if whole && !std::mem::replace(&mut open.whole, true) {
            events.push(Event::Called { choice, call });
        }
        Ok(())
    }
}

fn content<'a>(choice: u32, content: Option<Json<'a>>, events: &mut Vec<Event<'a>>) {
    match content {
        Some(Json::Text(text)) if !text.is_empty() => events.push(Event::Text(choice, text)),
        Some(Json::Array(chunks)) => {
            for mut chunk in chunks {
                if let Some(Json::Array(thoughts)) = chunk.take("thinking") {
                    for mut thought in thoughts {
                        if let Some(Json::Text(text)) = thought.take("text") {
                            events.push(Event::Thought(choice, text));
                        }
                    }
                } else if let Some(Json::Text(text)) = chunk.take("text") {
                    events.push(Event::Text(choice, text));
                }
            }
        }
        _ => {}
    }
}
