//! The chunked coding (RFC 9112 section 7.1), taken off in place.

use std::mem;
use std::ops::Range;

use http::{HeaderMap, HeaderName, HeaderValue};
use httparse::Status;

use super::head::{LARGEST, MOST_HEADERS};
use super::malformed::Malformed;

/// The longest line before a chunk: its size and extensions, which mean nothing to us. As far as is
/// known nobody sends any.
const LONGEST_LINE: u16 = 1024;

/// What came of some bytes of a body.
#[derive(Debug)]
pub(super) struct Decoded {
    /// Where its data are now, all of them in a row.
    pub(super) data: Range<usize>,
    /// Whether they had to be moved for that.
    pub(super) moved: bool,
    /// How many of the bytes belonged to the body: all, unless it ended or broke.
    pub(super) used: usize,
}

/// A body in chunks, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    state: State,
    /// The size of the chunk, or what is still to come of it.
    left: u64,
    /// Bytes of the line before it.
    line: u16,
    /// The trailers' lines so far.
    lines: Vec<u8>,
    trailers: Option<Box<HeaderMap>>,
}

/// What comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// The first digit of a size.
    #[default]
    Size,
    Digits,
    /// Blanks behind the digits.
    Blanks,
    Extension,
    SizeNewline,
    Data,
    DataReturn,
    DataNewline,
    /// A line of the trailers, or the empty one that ends them.
    Trailer,
    TrailerLine,
    LastNewline,
    Done,
    Broken(Malformed),
}

impl Chunked {
    /// Takes the coding off some bytes, moving the data of several chunks together.
    pub(super) fn decode(&mut self, bytes: &mut [u8]) -> Decoded {
        let (mut data, mut moved, mut used) = (0..0, false, 0);
        while !self.is_over()
            && let Some(&byte) = bytes.get(used)
        {
            if self.state != State::Data {
                self.state = self.step(byte).unwrap_or_else(State::Broken);
                used += 1;
                continue;
            }
            let run = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len() - used);
            if data.is_empty() {
                data = used..used + run;
            } else {
                bytes.copy_within(used..used + run, data.end);
                data.end += run;
                moved = true;
            }
            used += run;
            self.left -= run as u64;
            if self.left == 0 {
                self.state = State::DataReturn;
            }
        }
        Decoded { data, moved, used }
    }

    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    pub(super) fn fault(&self) -> Option<Malformed> {
        if let State::Broken(malformed) = self.state { Some(malformed) } else { None }
    }

    pub(super) fn has_trailers(&self) -> bool {
        self.trailers.is_some()
    }

    pub(super) fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take().map(|trailers| *trailers)
    }

    fn is_over(&self) -> bool {
        matches!(self.state, State::Done | State::Broken(_))
    }

    fn step(&mut self, byte: u8) -> Result<State, Malformed> {
        Ok(match (self.state, byte) {
            (State::Size | State::Digits, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                self.digit(byte)?
            }
            (State::Digits | State::Blanks, b' ' | b'\t') => self.still(State::Blanks)?,
            (State::Digits | State::Blanks, b';') => self.still(State::Extension)?,
            (State::Digits | State::Blanks | State::Extension, b'\r') => State::SizeNewline,
            // A newline alone means an end to some, and none to others: it is how answers are forged.
            (State::Extension, _) if byte != b'\n' => self.still(State::Extension)?,
            (State::SizeNewline, b'\n') if self.left == 0 => State::Trailer,
            (State::SizeNewline, b'\n') => State::Data,
            (State::DataReturn, b'\r') => State::DataNewline,
            (State::DataNewline, b'\n') => {
                self.line = 0;
                State::Size
            }
            (State::Trailer, b'\r') => State::LastNewline,
            (State::Trailer, _) if byte != b'\n' => self.keep(byte, State::TrailerLine)?,
            (State::TrailerLine, b'\n') => self.keep(byte, State::Trailer)?,
            (State::TrailerLine, _) => self.keep(byte, State::TrailerLine)?,
            (State::LastNewline, b'\n') => {
                self.read_trailers()?;
                State::Done
            }
            _ => return Err(Malformed::Chunk),
        })
    }

    fn digit(&mut self, digit: u8) -> Result<State, Malformed> {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            _ => (digit | 0x20) - b'a' + 10,
        };
        self.left = self.left.checked_mul(16).ok_or(Malformed::Chunk)? | u64::from(value);
        self.still(State::Digits)
    }

    /// Another byte of the line before a chunk.
    fn still(&mut self, state: State) -> Result<State, Malformed> {
        self.line += 1;
        if self.line > LONGEST_LINE { Err(Malformed::Chunk) } else { Ok(state) }
    }

    /// Another byte of the trailers.
    fn keep(&mut self, byte: u8, state: State) -> Result<State, Malformed> {
        if self.lines.len() >= LARGEST {
            return Err(Malformed::Endless);
        }
        self.lines.push(byte);
        Ok(state)
    }

    fn read_trailers(&mut self) -> Result<(), Malformed> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let mut lines = mem::take(&mut self.lines);
        lines.extend_from_slice(b"\r\n");
        let mut slots = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let fields = match httparse::parse_headers(&lines, &mut slots) {
            Ok(Status::Complete((length, fields))) if length == lines.len() => fields,
            Err(httparse::Error::TooManyHeaders) => return Err(Malformed::Endless),
            Ok(_) | Err(_) => return Err(Malformed::Trailers),
        };
        let mut trailers = Box::new(HeaderMap::with_capacity(fields.len()));
        for field in fields {
            let name = HeaderName::from_bytes(field.name.as_bytes());
            let value = HeaderValue::from_bytes(field.value);
            let (Ok(name), Ok(value)) = (name, value) else { return Err(Malformed::Trailers) };
            trailers.append(name, value);
        }
        self.trailers = Some(trailers);
        Ok(())
    }
}
