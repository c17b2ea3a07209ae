//! Events too long to be put together: a finished response with all its output, an image.

use memchr::memchr2;
use smallvec::SmallVec;

use crate::formats::skim::{Level, Skim};
use crate::formats::tally::Tally;

/// How much of a line tells which field it is, in bytes: a byte order mark and `event: `.
const HEAD: usize = 10;

/// The longest name of an event that is kept, in bytes.
const MAX_NAME: usize = 64;

/// One such event, read line by line in pieces of any size.
#[derive(Debug)]
pub(super) struct HugeEvent {
    skim: Skim,
    line: Line,
    head: SmallVec<[u8; HEAD]>,
    name: SmallVec<[u8; MAX_NAME]>,
}

/// What the line under way is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// Too short so far to tell.
    Unknown,
    Data,
    Name,
    Other,
}

impl HugeEvent {
    pub(super) fn new() -> Self {
        let mut skim = Skim::new(Level::Top);
        skim.restart(Level::Top);
        Self { skim, line: Line::Unknown, head: SmallVec::new(), name: SmallVec::new() }
    }

    /// The event's name, empty if it has none.
    pub(super) fn name(&self) -> &[u8] {
        &self.name
    }

    pub(super) fn feed(&mut self, bytes: &[u8], tally: &mut Tally) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let end = memchr2(b'\n', b'\r', rest);
            let (part, after) =
                rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or_default();
            self.part(part, tally);
            rest = after;
            if end.is_some() {
                self.end_line(tally);
                rest = after.get(1..).unwrap_or_default();
            }
        }
    }

    /// Reads a part of a line.
    fn part(&mut self, part: &[u8], tally: &mut Tally) {
        let mut part = part;
        if self.line == Line::Unknown {
            let missing = HEAD - self.head.len();
            let (head, rest) = part.split_at_checked(missing).unwrap_or((part, &[]));
            self.head.extend_from_slice(head);
            part = rest;
            if self.head.len() == HEAD {
                self.recognise(tally);
            }
        }
        self.value(part, tally);
    }

    /// Tells from its head which field the line is.
    fn recognise(&mut self, tally: &mut Tally) {
        let head = std::mem::take(&mut self.head);
        // Only the first line of a stream can begin with a byte order mark.
        let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head);
        let (line, value) = if let Some(value) = super::field(head, b"data:") {
            (Line::Data, value)
        } else if let Some(value) = super::field(head, b"event:") {
            self.name.clear();
            (Line::Name, value)
        } else {
            (Line::Other, &[][..])
        };
        self.line = line;
        self.value(value, tally);
    }

    fn value(&mut self, part: &[u8], tally: &mut Tally) {
        match self.line {
            Line::Data => self.skim.feed(part, tally),
            Line::Name => {
                let room = MAX_NAME.saturating_sub(self.name.len());
                self.name.extend_from_slice(part.get(..room).unwrap_or(part));
            }
            Line::Unknown | Line::Other => {}
        }
    }

    fn end_line(&mut self, tally: &mut Tally) {
        if self.line == Line::Unknown {
            self.recognise(tally);
        }
        if self.line == Line::Data {
            // Lines of data are joined by a line feed, which is blank space in JSON.
            self.skim.feed(b"\n", tally);
        }
        self.line = Line::Unknown;
    }
}
