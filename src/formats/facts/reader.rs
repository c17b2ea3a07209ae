//! Reads a request's JSON where it lies: to the letter, so that what is no JSON is refused as any
//! provider would, and without copying.

use std::borrow::Cow;

use super::unreadable::{Reason, Unreadable};
use crate::formats::json::string_end;

/// How many containers may stand one inside the other.
const MAX_DEPTH: u32 = 127;

/// The body cannot be read on; [`Reader::unreadable`] tells why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stop;

/// A place in a body, to which all before it has been read.
#[derive(Debug)]
pub(super) struct Reader<'b> {
    body: &'b [u8],
    at: usize,
    depth: u32,
    /// Whether a container has just been opened, so that no comma comes before what is first in it.
    opened: bool,
    /// Whether the whole body is printable ASCII, so that no string need be searched for what it may
    /// not hold.
    printable: bool,
    /// Whether there is a backslash anywhere.
    escapes: bool,
    /// Why it stopped, where that is not plain from the place.
    reason: Option<Reason>,
}

/// A value; a container is open now, and what is in it comes next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'b> {
    Null,
    Bool(bool),
    Number(Number<'b>),
    Text(Text<'b>),
    Array,
    Object,
}

impl<'b> Reader<'b> {
    pub(super) fn new(body: &'b [u8]) -> Result<Self, Unreadable> {
        // One look at all bytes spares a look at most strings: compact ASCII is the rule.
        let printable = body.iter().fold(true, |all, byte| all & (b' '..0x80).contains(byte));
        let text = if printable { Ok("") } else { str::from_utf8(body) };
        text.map_err(|error| Unreadable::not_utf8(body, &error))?;
        let escapes = memchr::memchr(b'\\', body).is_some();
        Ok(Self { body, at: 0, depth: 0, opened: false, printable, escapes, reason: None })
    }

    /// Bytes that have been read.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// Stops for a reason of our own.
    pub(super) fn refuse<T>(&mut self, reason: Reason) -> Result<T, Stop> {
        self.reason = Some(reason);
        Err(Stop)
    }

    /// Why it stopped, and where.
    pub(super) fn unreadable(&self) -> Unreadable {
        let reason = self.reason.unwrap_or_else(|| match self.byte() {
            Some(_) => Reason::NotJson,
            None if self.body.trim_ascii().is_empty() => Reason::Empty,
            None => Reason::Truncated,
        });
        Unreadable::at(self.body, self.at, reason)
    }

    /// Passes blank space; what stands behind it.
    pub(super) fn peek(&mut self) -> Result<u8, Stop> {
        while let Some(byte) = self.byte() {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Ok(byte);
            }
            self.at += 1;
        }
        Err(Stop)
    }

    /// Reads a value, or opens a container.
    pub(super) fn value(&mut self) -> Result<Value<'b>, Stop> {
        match self.peek()? {
            b'"' => self.text().map(Value::Text),
            b'{' => self.open(Value::Object),
            b'[' => self.open(Value::Array),
            b'-' | b'0'..=b'9' => self.number().map(Value::Number),
            b't' => self.word(b"true", Value::Bool(true)),
            b'f' => self.word(b"false", Value::Bool(false)),
            b'n' => self.word(b"null", Value::Null),
            _ => Err(Stop),
        }
    }

    /// Reads on to the next value of the object that is open: its name; `None` closes the object.
    pub(super) fn member(&mut self) -> Result<Option<Text<'b>>, Stop> {
        if !self.goes_on(b'}')? {
            return Ok(None);
        }
        if self.peek()? != b'"' {
            return Err(Stop);
        }
        let name = self.text()?;
        if self.peek()? != b':' {
            return Err(Stop);
        }
        self.at += 1;
        Ok(Some(name))
    }

    /// Reads on to the next value of the array that is open; false closes the array.
    pub(super) fn element(&mut self) -> Result<bool, Stop> {
        self.goes_on(b']')
    }

    /// Reads to the end of the body, where nothing may stand any more.
    pub(super) fn end(&mut self) -> Result<(), Stop> {
        if self.peek().is_ok() { self.refuse(Reason::TrailingData) } else { Ok(()) }
    }

    /// Whether something more comes before the container is closed.
    fn goes_on(&mut self, closing: u8) -> Result<bool, Stop> {
        let first = std::mem::take(&mut self.opened);
        match self.peek()? {
            byte if byte == closing => {
                self.at += 1;
                self.depth -= 1;
                Ok(false)
            }
            b',' if !first => {
                self.at += 1;
                Ok(true)
            }
            _ if first => Ok(true),
            _ => Err(Stop),
        }
    }

    fn open(&mut self, container: Value<'b>) -> Result<Value<'b>, Stop> {
        if self.depth == MAX_DEPTH {
            return self.refuse(Reason::TooDeep);
        }
        self.at += 1;
        self.depth += 1;
        self.opened = true;
        Ok(container)
    }

    fn word(&mut self, word: &[u8], value: Value<'b>) -> Result<Value<'b>, Stop> {
        for letter in word {
            if self.byte() != Some(*letter) {
                return Err(Stop);
            }
            self.at += 1;
        }
        Ok(value)
    }

    fn number(&mut self) -> Result<Number<'b>, Stop> {
        let start = self.at;
        self.pass(b'-');
        if !self.pass(b'0') {
            self.digits()?;
        }
        let mut large = self.at - start > u64::MAX.ilog10() as usize;
        if self.pass(b'.') {
            self.digits()?;
        }
        if self.pass(b'e') || self.pass(b'E') {
            let _sign = self.pass(b'+') || self.pass(b'-');
            self.digits()?;
            large = true;
        }
        let number = Number(self.body.get(start..self.at).unwrap_or_default());
        // What no computer's number can hold is none to any provider.
        if large && number.float().is_infinite() {
            self.at = start;
            return Err(Stop);
        }
        Ok(number)
    }

    /// Passes digits, at least one.
    fn digits(&mut self) -> Result<(), Stop> {
        let start = self.at;
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(Stop) }
    }

    /// Reads a string, from its opening quote on.
    fn text(&mut self) -> Result<Text<'b>, Stop> {
        self.at += 1;
        let rest = self.body.get(self.at..).unwrap_or_default();
        let Some(length) = string_end(rest) else {
            self.at = self.body.len();
            return Err(Stop);
        };
        let raw = rest.get(..length).unwrap_or_default();
        if !self.printable && raw.iter().fold(false, |any, byte| any | (*byte < b' ')) {
            return Err(Stop);
        }
        let text = Text { raw, escaped: self.escapes && memchr::memchr(b'\\', raw).is_some() };
        text.each_piece(|_| {}).ok_or(Stop)?;
        self.at += length + 1;
        Ok(text)
    }

    fn pass(&mut self, byte: u8) -> bool {
        let there = self.byte() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn byte(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }
}

/// A number as it is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Number<'b>(&'b [u8]);

impl Number<'_> {
    /// A whole number that is not negative. `1e3` and `1000.0` are amounts too.
    pub(super) fn count(self) -> Option<u64> {
        let digits = str::from_utf8(self.0).unwrap_or_default();
        digits.parse().ok().or_else(|| {
            let float = self.float();
            let whole = float.fract() == 0.0 && (0.0..1e15).contains(&float);
            #[expect(clippy::cast_possible_truncation, reason = "checked to be a whole number")]
            #[expect(clippy::cast_sign_loss, reason = "checked to be in range")]
            whole.then_some(float as u64)
        })
    }

    fn float(self) -> f64 {
        let digits = str::from_utf8(self.0).unwrap_or_default();
        digits.parse().unwrap_or(f64::INFINITY)
    }
}

/// A string as it is written, without its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Text<'b> {
    raw: &'b [u8],
    escaped: bool,
}

impl<'b> Text<'b> {
    /// As it is written.
    pub(super) const fn raw(self) -> &'b [u8] {
        self.raw
    }

    /// What it says.
    pub(super) fn text(self) -> Cow<'b, str> {
        match self.bytes() {
            Cow::Borrowed(bytes) => Cow::Borrowed(str::from_utf8(bytes).unwrap_or_default()),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8(bytes).unwrap_or_default()),
        }
    }

    /// The same as UTF-8.
    pub(super) fn bytes(self) -> Cow<'b, [u8]> {
        if !self.escaped {
            return Cow::Borrowed(self.raw);
        }
        let mut text = Vec::with_capacity(self.raw.len());
        self.each_piece(|piece| text.extend_from_slice(piece));
        Cow::Owned(text)
    }

    /// Hands on what it says, piece by piece. `None` behind the piece where an escape stands for
    /// nothing, which no reader hands out.
    pub(super) fn each_piece(self, mut take: impl FnMut(&[u8])) -> Option<()> {
        let mut rest = self.raw;
        while self.escaped
            && let Some(at) = memchr::memchr(b'\\', rest)
        {
            let (before, behind) = rest.split_at_checked(at)?;
            let (letter, length) = escape(behind)?;
            take(before);
            take(letter.encode_utf8(&mut [0; 4]).as_bytes());
            rest = behind.get(length..)?;
        }
        take(rest);
        Some(())
    }
}

/// The character for which an escape stands, and how long the escape is; `None` if it is none.
fn escape(bytes: &[u8]) -> Option<(char, usize)> {
    let letter = match bytes.get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode(bytes),
        _ => return None,
    };
    Some((letter, 2))
}

/// `\u00e9`, or two of them for a character beyond the first 65,536. A half of such a pair alone
/// stands for none.
fn unicode(bytes: &[u8]) -> Option<(char, usize)> {
    let first = hex(bytes)?;
    if let Some(letter) = char::from_u32(first) {
        return Some((letter, 6));
    }
    let second = hex(bytes.get(6..)?)?;
    let mut pair = char::decode_utf16([first, second].map(|half| u16::try_from(half).unwrap_or(0)));
    Some((pair.next()?.ok()?, 12))
}

fn hex(bytes: &[u8]) -> Option<u32> {
    let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |sum, digit| Some(sum << 4 | char::from(*digit).to_digit(16)?))
}

#[cfg(test)]
mod tests;
