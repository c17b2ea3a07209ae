//! Just enough HTTP/1.1 to know where a message ends.

use memchr::memmem;

/// Where a message's head ends and how its body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Bytes of the head, its empty line included.
    pub(crate) length: usize,
    pub(crate) body: Body,
}

/// How a body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    Sized(usize),
    Chunked,
}

/// Reads a head, once it is whole.
pub(crate) fn head(bytes: &[u8]) -> Option<Head> {
    let length = memmem::find(bytes, b"\r\n\r\n")? + 4;
    let mut body = Body::Sized(0);
    for line in bytes[..length].split(|byte| *byte == b'\n') {
        if let Some(value) = value(line, b"content-length:") {
            body = Body::Sized(number(value));
        } else if value(line, b"transfer-encoding:").is_some() {
            body = Body::Chunked;
        }
    }
    Some(Head { length, body })
}

/// The number that follows `name`.
pub(crate) fn number_after(bytes: &[u8], name: &[u8]) -> Option<usize> {
    let start = memmem::find(bytes, name)? + name.len();
    Some(number(&bytes[start..]))
}

/// Reads along with a chunked body.
#[derive(Debug, Default)]
pub(crate) struct Chunked {
    state: State,
    /// Bytes of payload so far.
    pub(crate) payload: usize,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Size(usize),
    Data(usize),
    Last(u8),
    End,
}

impl Default for State {
    fn default() -> Self {
        Self::Size(0)
    }
}

impl Chunked {
    /// Takes the next bytes; true when they were the last.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> bool {
        while let Some((first, rest)) = bytes.split_first() {
            self.state = match self.state {
                State::Size(size) if first.is_ascii_hexdigit() => {
                    State::Size(size * 16 + hex(*first))
                }
                State::Size(size) if *first == b'\r' => State::Size(size),
                State::Size(0) => State::Last(2),
                // The line end behind the data counts as data that is no payload.
                State::Size(size) => State::Data(size + 2),
                State::Data(left) => {
                    let taken = left.min(bytes.len());
                    self.payload += taken.min(left.saturating_sub(2));
                    bytes = &bytes[taken..];
                    self.state =
                        if taken == left { State::Size(0) } else { State::Data(left - taken) };
                    continue;
                }
                State::Last(1) => State::End,
                State::Last(left) => State::Last(left - 1),
                State::End => panic!("Bytes after the end of a body: {bytes:?}"),
            };
            bytes = rest;
        }
        matches!(self.state, State::End)
    }
}

fn value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    line.get(..name.len())?.eq_ignore_ascii_case(name).then(|| line[name.len()..].trim_ascii())
}

fn number(digits: &[u8]) -> usize {
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))
}

fn hex(digit: u8) -> usize {
    char::from(digit).to_digit(16).map_or(0, |digit| digit as usize)
}
