//! Reads a stream of partial content responses (Gemini API reference, `streamGenerateContent`).

use super::answer_reader::{finish, made_id, part, text};
use super::usage;
use crate::formats::Wire;
use crate::translate::answer::{Event, Finish};
use crate::translate::errors;
use crate::translate::json::{Json, Object, take};
use crate::translate::request::Kind;
use crate::translate::unfit::{Expect, Unfit};

/// What is known of a stream so far.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    id: String,
    begun: bool,
    /// Calls so far, of each answer.
    calls: Vec<u32>,
    whole: bool,
}

/// The most answers to one question (API reference, `candidateCount`).
const MOST_CHOICES: u32 = 8;

impl Reader {
    /// Reads the data of one event.
    pub(crate) fn read<'a>(
        &mut self,
        data: &'a str,
        events: &mut Vec<Event<'a>>,
    ) -> Result<(), Unfit> {
        let chunk = Json::read(data.as_bytes()).map_err(|_| Unfit::new("is no JSON"))?;
        let mut chunk = chunk.fields()?;
        if let Some(error) = take(&mut chunk, "error") {
            events.push(Event::Failed(errors::in_stream(Wire::Gemini, &error)));
            return Ok(());
        }
        let id = text(&mut chunk, "responseId");
        if !std::mem::replace(&mut self.begun, true) {
            self.id = id.to_string();
            events.push(Event::Start { id, model: text(&mut chunk, "modelVersion") });
        }
        if let Some(usage) = take(&mut chunk, "usageMetadata") {
            events.push(Event::Usage(usage::read(&usage)));
        }
        if let Some(feedback) = take(&mut chunk, "promptFeedback")
            && feedback.get("blockReason").is_some()
        {
            self.whole = true;
            events.push(Event::Finish(0, Finish::Filtered));
        }
        if let Some(Json::Array(candidates)) = take(&mut chunk, "candidates") {
            for candidate in candidates {
                self.candidate(candidate.fields()?, events)?;
            }
        }
        Ok(())
    }

    /// Whether a reason to finish has come; the format has no other last word.
    pub(crate) const fn is_whole(&self) -> bool {
        self.whole
    }

    fn candidate<'a>(
        &mut self,
        mut candidate: Object<'a>,
        events: &mut Vec<Event<'a>>,
    ) -> Result<(), Unfit> {
        let index = take(&mut candidate, "index").and_then(|it| it.as_count()).unwrap_or(0);
        let choice = u32::try_from(index).ok().filter(|it| *it < MOST_CHOICES);
        let choice = choice.ok_or_else(|| Unfit::new("has too many candidates"))?;
        let place = usize::try_from(choice).unwrap_or_default();
        if self.calls.len() <= place {
            self.calls.resize(place + 1, 0);
        }
        let said = take(&mut candidate, "content").and_then(|mut it| it.take("parts"));
        if let Some(Json::Array(said)) = said {
            for piece in said {
                self.piece(piece, choice, events);
            }
        }
        let reason = text(&mut candidate, "finishReason");
        if !reason.is_empty() {
            self.whole = true;
            let called = self.calls.get(place).is_some_and(|calls| *calls > 0);
            events.push(Event::Finish(choice, finish(&reason, called)));
        }
        Ok(())
    }

    fn piece<'a>(&mut self, piece: Json<'a>, choice: u32, events: &mut Vec<Event<'a>>) {
        let place = usize::try_from(choice).unwrap_or_default();
        let call = self.calls.get(place).copied().unwrap_or(0);
        let made = usize::try_from(call).unwrap_or_default();
        let own_id = || made_id(&self.id, choice.into(), made);
        match part(piece, &own_id).map(|part| part.kind) {
            Some(Kind::Text(text)) if !text.is_empty() => events.push(Event::Text(choice, text)),
            Some(Kind::Thinking { text, seal }) => {
                if !text.is_empty() {
                    events.push(Event::Thought(choice, text));
                }
                events.extend(seal.map(|seal| Event::Seal(choice, seal)));
            }
            Some(Kind::Call(it)) => {
                let arguments = it.arguments.to_text().into();
                events.push(Event::Call { choice, call, id: it.id, name: it.name, seal: it.seal });
                events.push(Event::Arguments { choice, call, piece: arguments });
                events.push(Event::Called { choice, call });
                if let Some(calls) = self.calls.get_mut(place) {
                    *calls = calls.saturating_add(1);
                }
            }
            _ => {}
        }
    }
}
