//! A stream in one format, become a stream in another, event by event.

use bytes::Bytes;

use super::answer::{Answer, Event, Problem};
use super::framing::{Framing, Style};
use super::lines::{Line, Lines};
use super::request::Kind;
use super::unfit::Unfit;
use super::{Format, Plan, anthropic, cohere, gemini, openai, responses};
use crate::formats::Wire;

/// A stream on its way from one format into another.
#[derive(Debug)]
pub(super) struct Stream {
    lines: Lines,
    reader: Reader,
    writer: Writer,
    out: Framing,
    state: State,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Its last word was said.
    Whole,
    /// It ended in an error.
    Failed,
}

#[derive(Debug)]
enum Reader {
    OpenAi(openai::stream_reader::Reader),
    Anthropic(anthropic::stream_reader::Reader),
    Gemini(gemini::stream_reader::Reader),
    Cohere(cohere::stream_reader::Reader),
}

#[derive(Debug)]
enum Writer {
    Chat(openai::stream_writer::Writer),
    Responses(responses::stream_writer::Writer),
    Messages(Box<anthropic::stream_writer::Writer>),
    Content(gemini::stream_writer::Writer),
}

impl Stream {
    /// A stream that is about to begin.
    pub(super) fn new(plan: &Plan) -> Self {
        let style = if plan.array { Style::Array } else { Style::Events };
        let reader = match plan.from {
            Wire::Anthropic => Reader::Anthropic(anthropic::stream_reader::Reader::default()),
            Wire::Gemini => Reader::Gemini(gemini::stream_reader::Reader::default()),
            Wire::Cohere => Reader::Cohere(cohere::stream_reader::Reader::default()),
            Wire::OpenAi | Wire::Ollama | Wire::Http => {
                Reader::OpenAi(openai::stream_reader::Reader::default())
            }
        };
        let plan = plan.clone();
        let writer = match plan.to {
            Format::Chat => Writer::Chat(openai::stream_writer::Writer::new(plan)),
            Format::Responses => Writer::Responses(responses::stream_writer::Writer::new(plan)),
            Format::Messages => {
                Writer::Messages(Box::new(anthropic::stream_writer::Writer::new(plan)))
            }
            Format::Content => Writer::Content(gemini::stream_writer::Writer::new(plan)),
        };
        let (lines, out) = (Lines::default(), Framing::new(style));
        Self { lines, reader, writer, out, state: State::Open }
    }

    pub(super) const fn content_type(&self) -> &'static str {
        self.out.content_type()
    }

    /// Takes a piece in; what follows from it.
    pub(super) fn read(&mut self, piece: &[u8]) -> Bytes {
        if self.state == State::Open {
            self.lines.feed(piece);
            self.drain();
        }
        self.out.take()
    }

    /// The provider's stream has ended. False where it was not whole.
    pub(super) fn end(&mut self) -> (Bytes, bool) {
        if self.state == State::Open {
            self.lines.end();
            self.drain();
        }
        if self.state == State::Open {
            let whole = match &self.reader {
                Reader::OpenAi(reader) => reader.is_whole(),
                Reader::Anthropic(reader) => reader.is_whole(),
                Reader::Gemini(reader) => reader.is_whole(),
                Reader::Cohere(reader) => reader.is_whole(),
            };
            if whole {
                self.write(Event::End);
            } else {
                self.fail("the provider's answer ended before it was complete");
            }
        }
        (self.out.take(), self.state == State::Whole)
    }

    /// The provider's stream broke off.
    pub(super) fn cut(&mut self, message: &str) -> Bytes {
        if self.state == State::Open {
            self.fail(message);
        }
        self.out.take()
    }

    /// Says a whole answer as a stream.
    pub(super) fn say(&mut self, answer: Answer<'_>) -> Bytes {
        for event in told(answer) {
            self.write(event);
        }
        self.out.take()
    }

    fn drain(&mut self) {
        while self.state == State::Open
            && let Some(line) = self.lines.next()
        {
            match line {
                Line::Comment => self.write(Event::Ping),
                Line::Data(data) => {
                    let mut events = Vec::new();
                    let read = self.reader.read(&data, &mut events);
                    for event in events {
                        if self.state == State::Open {
                            self.write(event);
                        }
                    }
                    if read.is_err() && self.state == State::Open {
                        self.fail("the provider's answer is not in the format that it speaks");
                    }
                }
            }
        }
        if self.lines.is_too_long() && self.state == State::Open {
            self.fail("the provider's answer has an event that is too long");
        }
    }

    fn write(&mut self, event: Event<'_>) {
        match &event {
            Event::End => self.state = State::Whole,
            Event::Failed(_) => self.state = State::Failed,
            _ => {}
        }
        let written = match &mut self.writer {
            Writer::Chat(writer) => {
                writer.write(event, &mut self.out);
                true
            }
            Writer::Responses(writer) => writer.write(event, &mut self.out),
            Writer::Messages(writer) => writer.write(event, &mut self.out),
            Writer::Content(writer) => writer.write(event, &mut self.out),
        };
        if !written {
            self.fail("the provider's answer is longer than can be held for this format");
        } else if self.state != State::Open {
            self.out.end();
        }
    }

    fn fail(&mut self, message: &str) {
        self.write(Event::Failed(Problem::own(502, message)));
    }
}

impl Reader {
    fn read<'a>(&mut self, data: &'a str, events: &mut Vec<Event<'a>>) -> Result<(), Unfit> {
        match self {
            Self::OpenAi(reader) => reader.read(data, events),
            Self::Anthropic(reader) => reader.read(data, events),
            Self::Gemini(reader) => reader.read(data, events),
            Self::Cohere(reader) => reader.read(data, events),
        }
    }
}

/// The events of a whole answer.
fn told(answer: Answer<'_>) -> Vec<Event<'_>> {
    let mut events = vec![Event::Start { id: answer.id, model: answer.model }];
    events.extend(answer.usage.map(Event::Usage));
    for (choice, said) in (0_u32..).zip(answer.choices) {
        let mut call = 0;
        for part in said.parts {
            match part.kind {
                Kind::Text(text) => events.push(Event::Text(choice, text)),
                Kind::Thinking { text, seal } => {
                    if !text.is_empty() {
                        events.push(Event::Thought(choice, text));
                    }
                    events.extend(seal.map(|seal| Event::Seal(choice, seal)));
                }
                Kind::Call(made) => {
                    let piece = made.arguments.to_text().into();
                    let (id, name, seal) = (made.id, made.name, made.seal);
                    events.push(Event::Call { choice, call, id, name, seal });
                    events.push(Event::Arguments { choice, call, piece });
                    events.push(Event::Called { choice, call });
                    call += 1;
                }
                Kind::Media(_) | Kind::Outcome(_) => {}
            }
        }
        events.push(Event::Finish(choice, said.finish));
    }
    events.push(Event::End);
    events
}
