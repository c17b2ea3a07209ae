//! Server-sent events, read as they flow by.
//!
//! Lines end with LF, CRLF or CR, fields may stand on several lines, comments and unknown fields are
//! passed over (WHATWG HTML, "server-sent events"). A whole event is looked at where it lies; one
//! that comes in pieces is put together up to [`MAX_EVENT`], and a longer one is read by the skimmer
//! piece by piece. Which of the two happens depends on the event's length alone, so that the same is
//! found however the bytes are cut.

mod huge;
mod look;
mod template;

use std::borrow::Cow;

use bytes::Bytes;
use memchr::memchr2;

use super::tally::Tally;
use huge::HugeEvent;
use look::Looker;
pub(super) use look::Style;

/// The longest event that is put together, in bytes: what a stream holds at most.
pub(super) const MAX_EVENT: usize = 64 * 1024;

/// The reader of one stream.
#[derive(Debug)]
pub(super) struct Sse {
    looker: Looker,
    /// The event under way, from its first byte; empty for a huge one.
    partial: Vec<u8>,
    huge: Option<Box<HugeEvent>>,
    boundary: Boundary,
    /// Whether the event that ended last carried usage alone; a line feed may still follow it.
    usage_only: bool,
    /// Events that have ended.
    events: u64,
}

/// An event that has ended, or several that told nothing but output.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// Where in the bytes given, just behind its blank line.
    pub(super) end: usize,
    /// Whether it carried usage alone, where that is looked for.
    pub(super) usage_only: bool,
    /// What earlier bytes held of it.
    pub(super) held: Bytes,
}

impl Sse {
    /// A reader for streams of that style.
    pub(super) fn new(style: Style) -> Self {
        Self {
            looker: Looker::new(style),
            partial: Vec::new(),
            huge: None,
            boundary: Boundary::default(),
            usage_only: false,
            events: 0,
        }
    }

    /// Makes it look for OpenAI's last chunk, which carries usage alone.
    pub(super) fn finding_usage_only(mut self) -> Self {
        self.looker.find_usage_only();
        self
    }

    /// Reads up to the end of the next event; `None` if it is not in `bytes`, all of which are then
    /// taken in.
    pub(super) fn next(&mut self, bytes: &[u8], tally: &mut Tally) -> Option<Ended> {
        if bytes.is_empty() {
            return None;
        }
        if self.is_between() {
            if std::mem::take(&mut self.boundary.after_cr) && bytes.first() == Some(&b'\n') {
                return Some(Ended { end: 1, usage_only: self.usage_only, held: Bytes::new() });
            }
            let (events, end) = self.looker.pass_known(bytes, tally);
            if events > 0 {
                self.events += events;
                self.usage_only = false;
                return Some(Ended { end, usage_only: false, held: Bytes::new() });
            }
            // What follows is whole more often than not, and then nothing need be copied.
            if let Some((event, end)) = Event::parse(bytes)
                && end <= MAX_EVENT
            {
                let raw = bytes.get(..end).unwrap_or_default();
                self.boundary.after_cr = raw.ends_with(b"\r");
                return Some(self.ended(raw, &event, tally, Bytes::new()));
            }
        }
        let found = self.boundary.find(bytes);
        let part = bytes.get(..found.unwrap_or(bytes.len())).unwrap_or_default();
        let before = self.partial.len();
        if self.huge.is_none() && before + part.len() > MAX_EVENT {
            let mut huge = Box::new(HugeEvent::new());
            huge.feed(&self.partial, tally);
            self.huge = Some(huge);
        }
        if let Some(huge) = &mut self.huge {
            huge.feed(part, tally);
            let end = found?;
            let held = self.spill();
            if let Some(huge) = self.huge.take() {
                self.looker.judge(huge.name(), tally);
            }
            self.events += 1;
            self.usage_only = false;
            return Some(Ended { end, usage_only: false, held });
        }
        self.partial.extend_from_slice(part);
        let end = found?;
        let whole = Bytes::from(std::mem::take(&mut self.partial));
        let (event, _) = Event::parse(&whole).unwrap_or_default();
        let ended = self.ended(&whole, &event, tally, whole.slice(..before));
        Some(Ended { end, ..ended })
    }

    /// Takes the end of the stream for the end of the event under way. The same as [`Sse::next`],
    /// with nothing after it.
    pub(super) fn end(&mut self, tally: &mut Tally) -> Option<Ended> {
        if self.is_between() { None } else { self.next(b"\n\n", tally) }
    }

    /// What was held of an event that has turned out to be huge; it need not be held any more.
    pub(super) fn spill(&mut self) -> Bytes {
        if self.huge.is_some() {
            Bytes::from(std::mem::take(&mut self.partial))
        } else {
            Bytes::new()
        }
    }

    /// How much of the event under way is held, in bytes.
    pub(super) fn held(&self) -> usize {
        self.partial.len()
    }

    /// Whether no event is under way.
    pub(super) const fn is_between(&self) -> bool {
        self.partial.is_empty() && self.huge.is_none()
    }

    /// How many events have ended.
    pub(super) const fn events(&self) -> u64 {
        self.events
    }

    fn ended(&mut self, raw: &[u8], event: &Event<'_>, tally: &mut Tally, held: Bytes) -> Ended {
        self.usage_only = self.looker.look(raw, event, tally);
        self.events += u64::from(event.data.is_some());
        Ended { end: raw.len(), usage_only: self.usage_only, held }
    }
}

/// An event, taken apart where it lies.
#[derive(Debug, Default)]
struct Event<'b> {
    name: &'b [u8],
    /// The data; its lines joined where there are several, `None` where there is none.
    data: Option<Cow<'b, [u8]>>,
}

impl<'b> Event<'b> {
    /// The event that `bytes` begin with, and its length, its blank line included; `None` if it does not
    /// end in them.
    fn parse(bytes: &'b [u8]) -> Option<(Self, usize)> {
        let mut event = Self::default();
        let mut rest = bytes;
        loop {
            let (line, after) = rest.split_at_checked(memchr2(b'\n', b'\r', rest)?)?;
            rest = after.get(if after.starts_with(b"\r\n") { 2 } else { 1 }..)?;
            if line.is_empty() {
                return Some((event, bytes.len() - rest.len()));
            }
            event.line(line);
        }
    }

    fn line(&mut self, line: &'b [u8]) {
        // The stream may begin with a byte order mark; anywhere else it does no harm.
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        if let Some(value) = field(line, b"data:") {
            self.data = Some(match self.data.take() {
                None => Cow::Borrowed(value),
                Some(before) => Cow::Owned([&*before, value].join(&b'\n')),
            });
        } else if let Some(value) = field(line, b"event:") {
            self.name = value;
        }
    }
}

/// The value of a line that begins with `name`, without the one space that may precede it.
fn field<'b>(line: &'b [u8], name: &[u8]) -> Option<&'b [u8]> {
    let value = line.strip_prefix(name)?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

/// Finds blank lines in bytes that come in pieces.
#[derive(Debug, Default)]
struct Boundary {
    /// Whether the line under way has a byte already.
    in_line: bool,
    /// Whether the last byte was a carriage return, so that a line feed belongs to it.
    after_cr: bool,
}

impl Boundary {
    /// Where the first blank line ends in `bytes`, just behind it.
    fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at =
            usize::from(std::mem::take(&mut self.after_cr) && bytes.first() == Some(&b'\n'));
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let Some(length) = memchr2(b'\n', b'\r', rest) else {
                self.in_line |= !rest.is_empty();
                return None;
            };
            let blank = !std::mem::take(&mut self.in_line) && length == 0;
            at += length + 1;
            if bytes.get(at - 1) == Some(&b'\r') {
                match bytes.get(at) {
                    Some(b'\n') => at += 1,
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            if blank {
                return Some(at);
            }
        }
    }
}

#[cfg(test)]
mod tests;
