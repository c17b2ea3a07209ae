//! The meter: it reads an answer along as its bytes pass, and never holds the stream up.
//!
//! What it cannot understand it stops reading; the bytes pass all the same, untouched. Answers
//! compressed with gzip or deflate are read too. Brotli and Zstandard are not, so `upstream` asks
//! providers for gzip at most.

use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use flate2::write::{MultiGzDecoder, ZlibDecoder};
use smallvec::SmallVec;

use super::cut;
use super::path::Endpoint;
use super::skim::{Level, Skim};
use super::sse::{Sse, Style};
use super::stored::StoredIds;
use super::tally::Tally;
use super::verdict::Usage;
use super::wire::{Dialect, Wire};

/// How much an answer may grow when it is decompressed, in bytes; beyond, it is not read on.
const MAX_INFLATED: u64 = 256 * 1024 * 1024;

/// Bytes to send, in order.
pub type Pieces = SmallVec<[Bytes; 2]>;

/// What is known of an answer before its body.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// The wire format that was asked for.
    pub wire: Wire,
    /// What was asked for.
    pub endpoint: Endpoint,
    /// Whose habits the answer follows.
    pub dialect: Dialect,
    /// The answer's `content-type`.
    pub content_type: Option<&'a str>,
    /// The answer's `content-encoding`.
    pub content_encoding: Option<&'a str>,
    /// Whether usage was asked for on the application's behalf, so that the chunk which tells it is
    /// to be taken out again. It stays where the answer is compressed.
    pub strip_usage: bool,
}

/// What an answer told, whole or as far as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The tokens used; `None` where the provider has not told (yet). Of an answer that was cut it
    /// may be the input alone (Anthropic tells it first), and `output` says more. For endpoints that fetch what
    /// is stored it is always `None`: those tokens were counted when they were used.
    pub usage: Option<Usage>,
    /// The model that served.
    pub model: Option<Arc<str>>,
    /// How it ended.
    pub outcome: Outcome,
    /// What the provider stored for this request.
    pub stored: StoredIds,
    /// Bytes of output text that have passed, as JSON writes them.
    pub output: u64,
}

/// How an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Whole, by the format's own rules.
    Complete,
    /// Not yet, or too early.
    Cut,
    /// With an error inside an answer that began well.
    Error {
        /// The provider's word for it.
        code: Option<Box<str>>,
    },
}

/// Reads one answer along.
#[derive(Debug)]
pub struct Meter {
    coding: Coding,
    wire: Wire,
    endpoint: Endpoint,
    dialect: Dialect,
    strip_usage: bool,
    ended: bool,
}

/// How the body is coded, around what reads it.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every answer is of the large one")]
enum Coding {
    Identity(Reader),
    Gzip(Box<MultiGzDecoder<Reader>>),
    Deflate(Box<ZlibDecoder<Reader>>),
}

/// What reads the plain body, and what it found.
#[derive(Debug)]
struct Reader {
    format: Format,
    tally: Tally,
    /// How much more it may be given by a decompressor.
    budget: u64,
}

/// What the plain body is.
#[derive(Debug)]
enum Format {
    /// Server-sent events.
    Sse(Box<Sse>, Style),
    /// JSON: one value, an array that is streamed, or a row of values.
    Json(Skim),
    /// Nothing that is read.
    Opaque,
}

impl Meter {
    /// A meter for the answer that is about to come.
    pub fn new(plan: &Plan<'_>) -> Self {
        let reader = Reader { format: format(plan), tally: Tally::default(), budget: MAX_INFLATED };
        let encoding = plan.content_encoding.unwrap_or_default().trim();
        let is = |name: &&str| encoding.eq_ignore_ascii_case(name);
        let coding = if ["", "identity"].iter().any(is) {
            Coding::Identity(reader)
        } else if ["gzip", "x-gzip"].iter().any(is) {
            Coding::Gzip(Box::new(MultiGzDecoder::new(reader)))
        } else if is(&"deflate") {
            Coding::Deflate(Box::new(ZlibDecoder::new(reader)))
        } else {
            Coding::Identity(Reader { format: Format::Opaque, ..reader })
        };
        Self {
            coding,
            wire: plan.wire,
            endpoint: plan.endpoint,
            dialect: plan.dialect,
            strip_usage: plan.strip_usage,
            ended: false,
        }
    }

    /// Reads a piece of the body; gives back what to send on. That is `chunk` itself, unless usage
    /// is to be taken out: then an event that is not whole yet waits for its end, up to 64 KiB.
    pub fn read(&mut self, chunk: Bytes) -> Pieces {
        let strip = self.strip_usage;
        match &mut self.coding {
            Coding::Identity(reader) if strip => return reader.read_stripping(chunk),
            Coding::Identity(reader) => reader.read(&chunk),
            Coding::Gzip(decoder) => {
                if inflate(decoder, &chunk).is_err() {
                    decoder.get_mut().format = Format::Opaque;
                }
            }
            Coding::Deflate(decoder) => {
                if inflate(decoder, &chunk).is_err() {
                    decoder.get_mut().format = Format::Opaque;
                }
            }
        }
        whole(chunk)
    }

    /// Takes note that the body has ended properly; gives back what is still to be sent.
    ///
    /// Not to be called where the provider broke off: then [`Meter::cut`] says how to end.
    pub fn end(&mut self) -> Bytes {
        self.ended = true;
        match &mut self.coding {
            Coding::Identity(_) => {}
            Coding::Gzip(decoder) => drop(decoder.try_finish()),
            Coding::Deflate(decoder) => drop(decoder.try_finish()),
        }
        let strip = self.strip_usage && self.is_identity();
        let Reader { format: Format::Sse(sse, _), tally, .. } = self.reader_mut() else {
            return Bytes::new();
        };
        sse.end(tally)
            .filter(|event| strip && !event.usage_only)
            .map_or_else(Bytes::new, |event| event.held)
    }

    /// What the answer has told so far.
    pub fn reading(&self) -> Reading {
        let tally = self.tally();
        Reading {
            usage: tally.counts.usage(self.wire, self.dialect).filter(|_| !self.is_fetched()),
            model: tally.model.clone(),
            outcome: match (self.saw_error(), self.is_complete()) {
                (true, _) => Outcome::Error { code: tally.error_code() },
                (false, true) => Outcome::Complete,
                (false, false) => Outcome::Cut,
            },
            stored: tally.stored.clone(),
            output: tally.text,
        }
    }

    /// Whether the provider has told of an error inside the answer.
    pub fn saw_error(&self) -> bool {
        self.tally().failed && !self.is_fetched()
    }

    /// Bytes of output text that have passed, as JSON writes them.
    pub fn output_seen(&self) -> u64 {
        self.tally().text
    }

    /// Whether the answer is whole: its format's last word was said, or it has ended where the
    /// format allows.
    pub fn is_complete(&self) -> bool {
        let Reader { format, tally, .. } = self.reader();
        match format {
            Format::Sse(_, style) => {
                let finished = tally.finished && (self.ended || self.wire == Wire::Gemini);
                tally.done || finished || (self.ended && !style.has_last_word())
            }
            Format::Json(_) if self.streams_lines() => tally.done,
            Format::Json(skim) => skim.is_whole() || (self.ended && skim.is_lost()),
            Format::Opaque => self.ended,
        }
    }

    /// How to end the body for the client after the provider broke off: an error in the stream's
    /// own format. What was held back is not sent any more. `None` where the format has no such
    /// thing, or none that could follow the part of an event that the client has, or where the
    /// client has had an error or the last word already; the body is aborted afterwards either way.
    pub fn cut(&self, message: &str) -> Option<Bytes> {
        let Coding::Identity(reader) = &self.coding else { return None };
        if self.saw_error() || self.is_complete() {
            return None;
        }
        match &reader.format {
            Format::Sse(sse, _) => {
                let event = cut::error_event(self.wire, self.endpoint, sse.events(), message)?;
                let client_has_part = !sse.is_between() && (!self.strip_usage || sse.held() == 0);
                let before = if client_has_part { cut::inside(self.wire)? } else { "" };
                Some(cut::after(before, &event))
            }
            Format::Json(skim) if self.streams_lines() => {
                let before = if skim.is_between() { "" } else { "\n" };
                Some(cut::after(before, &cut::error_line(message)))
            }
            Format::Json(_) | Format::Opaque => None,
        }
    }

    /// Whether the answer only tells of what was done before: its tokens and errors are that
    /// request's, and not this one's.
    const fn is_fetched(&self) -> bool {
        matches!(self.endpoint, Endpoint::Stored | Endpoint::Models)
    }

    /// Whether this is Ollama's row of JSON lines, the last of which says so.
    const fn streams_lines(&self) -> bool {
        let lines = matches!(self.endpoint, Endpoint::ChatCompletions | Endpoint::Completions);
        matches!(self.wire, Wire::Ollama) && lines
    }

    const fn is_identity(&self) -> bool {
        matches!(self.coding, Coding::Identity(_))
    }

    fn tally(&self) -> &Tally {
        &self.reader().tally
    }

    fn reader(&self) -> &Reader {
        match &self.coding {
            Coding::Identity(reader) => reader,
            Coding::Gzip(decoder) => decoder.get_ref(),
            Coding::Deflate(decoder) => decoder.get_ref(),
        }
    }

    fn reader_mut(&mut self) -> &mut Reader {
        match &mut self.coding {
            Coding::Identity(reader) => reader,
            Coding::Gzip(decoder) => decoder.get_mut(),
            Coding::Deflate(decoder) => decoder.get_mut(),
        }
    }
}

impl Reader {
    fn read(&mut self, bytes: &[u8]) {
        match &mut self.format {
            Format::Sse(sse, _) => {
                let mut rest = bytes;
                while let Some(event) = sse.next(rest, &mut self.tally) {
                    rest = rest.get(event.end..).unwrap_or_default();
                }
            }
            Format::Json(skim) => skim.feed(bytes, &mut self.tally),
            Format::Opaque => {}
        }
    }

    /// Reads `chunk`, and takes events out that carry usage alone.
    fn read_stripping(&mut self, chunk: Bytes) -> Pieces {
        let Format::Sse(sse, _) = &mut self.format else {
            self.read(&chunk);
            return whole(chunk);
        };
        let mut pieces = Pieces::new();
        let (mut sent, mut at) = (0, 0);
        while let Some(event) = sse.next(chunk.get(at..).unwrap_or_default(), &mut self.tally) {
            let end = at + event.end;
            if event.usage_only {
                push(&mut pieces, chunk.slice(sent..at));
                sent = end;
            } else {
                push(&mut pieces, event.held);
            }
            at = end;
        }
        let spilled = sse.spill();
        push(&mut pieces, spilled);
        let until = if sse.held() > 0 { at } else { chunk.len() };
        push(&mut pieces, chunk.slice(sent..until));
        pieces
    }
}

impl Write for Reader {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.budget.checked_sub(bytes.len() as u64);
        self.budget = left.ok_or(io::ErrorKind::FileTooLarge)?;
        self.read(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Decompresses a piece for the reader behind, all of it: what has come can be read now.
fn inflate(decoder: &mut impl Write, chunk: &[u8]) -> io::Result<()> {
    decoder.write_all(chunk)?;
    decoder.flush()
}

fn whole(chunk: Bytes) -> Pieces {
    let mut pieces = Pieces::new();
    pieces.push(chunk);
    pieces
}

fn push(pieces: &mut Pieces, piece: Bytes) {
    if !piece.is_empty() {
        pieces.push(piece);
    }
}

/// What the body is, from its type; without one, JSON where the endpoint answers in JSON.
fn format(plan: &Plan<'_>) -> Format {
    if plan.wire == Wire::Http {
        return Format::Opaque;
    }
    let json = || Format::Json(Skim::new(Level::Top));
    let Some(content_type) = plan.content_type else {
        return if plan.endpoint.is_known() { json() } else { Format::Opaque };
    };
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let is = |name: &str| essence.eq_ignore_ascii_case(name);
    if is("text/event-stream") {
        let style = style(plan.wire, plan.endpoint);
        let sse = Sse::new(style);
        let sse = if plan.strip_usage { sse.finding_usage_only() } else { sse };
        Format::Sse(Box::new(sse), style)
    } else if ["application/json", "application/x-ndjson", "application/jsonl"].into_iter().any(is)
    {
        json()
    } else {
        Format::Opaque
    }
}

fn style(wire: Wire, endpoint: Endpoint) -> Style {
    match (wire, endpoint) {
        (Wire::OpenAi, Endpoint::ChatCompletions) => Style::Chat,
        (Wire::OpenAi, Endpoint::Responses)
        | (Wire::Anthropic, Endpoint::Messages)
        | (Wire::Cohere, Endpoint::ChatCompletions) => Style::Named,
        (Wire::OpenAi, Endpoint::Completions)
        | (Wire::Gemini, Endpoint::GenerateContent | Endpoint::StreamGenerateContent) => {
            Style::Every
        }
        _ => Style::Loose,
    }
}

#[cfg(test)]
mod tests;
