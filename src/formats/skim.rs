//! Reads JSON as it flows by, keeps the few members that somebody asks for, and lets the rest go.
//!
//! It holds no more than the member it is keeping, so a body of any size is read in constant memory,
//! and however the bytes are cut, the same is found. A single value, the elements of one array
//! (Gemini's streams) and a row of values (NDJSON) are read alike. It finds its way through JSON
//! without proving it right: where it cannot go on, it stops reading.

mod level;
mod whole;

use memchr::memchr2;
use smallvec::SmallVec;

use super::json::find_structure;
use super::tally::{Field, Tally};
use level::Action;
pub(super) use level::Level;

/// The longest member that is kept, in bytes; usage and errors are far shorter.
const MAX_KEPT: usize = 16 * 1024;

/// The longest name that is compared, in bytes.
const MAX_NAME: usize = 32;

/// How many containers are entered, one inside the other.
const MAX_ENTERED: usize = 24;

/// Where the reader stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between members or elements.
    Between,
    /// In a member's name.
    Name,
    /// After a name, before its value.
    Colon,
    /// In a string value; `text` is counted.
    Text,
    /// In a number or a word.
    Bare,
    /// In a container that is not entered.
    Nested,
    /// In a string in there.
    NestedText,
    /// The one value that was asked for has been read.
    Closed,
    /// What stands there is no JSON.
    Lost,
}

/// The reader.
#[derive(Debug)]
pub(super) struct Skim {
    state: State,
    base: Level,
    single: bool,
    /// The containers entered: the level, and whether it is an array of such.
    entered: SmallVec<[(Level, bool); 6]>,
    name: SmallVec<[u8; MAX_NAME]>,
    /// Whether the byte before was an odd backslash, in whatever string this is.
    escaped: bool,
    action: Action,
    depth: u32,
    kept: Vec<u8>,
    /// Whether the member has outgrown what is kept.
    outgrown: bool,
    /// How many values at the top have been read whole.
    values: u64,
}

impl Skim {
    /// A reader of values that stand at `base`.
    pub(super) fn new(base: Level) -> Self {
        Self {
            state: State::Between,
            base,
            single: false,
            entered: SmallVec::new(),
            name: SmallVec::new(),
            escaped: false,
            action: Action::Skip,
            depth: 0,
            kept: Vec::new(),
            outgrown: false,
            values: 0,
        }
    }

    /// Makes it read anew: one value that stands at `base`, and nothing behind it.
    pub(super) fn restart(&mut self, base: Level) {
        self.state = State::Between;
        self.base = base;
        self.single = true;
        self.entered.clear();
        self.escaped = false;
        self.values = 0;
    }

    /// Whether a value has been read whole and none is under way.
    pub(super) fn is_whole(&self) -> bool {
        let resting = matches!(self.state, State::Between | State::Bare | State::Closed);
        resting && self.entered.is_empty() && (self.values > 0 || self.state == State::Bare)
    }

    /// Whether it has stopped reading, because what stands there is no JSON.
    pub(super) fn is_lost(&self) -> bool {
        self.state == State::Lost
    }

    /// Whether it lies between two values at the top, so that something may be put there.
    pub(super) fn is_between(&self) -> bool {
        self.entered.is_empty() && matches!(self.state, State::Between | State::Closed)
    }

    /// Reads on.
    pub(super) fn feed(&mut self, bytes: &[u8], tally: &mut Tally) {
        let mut rest = bytes;
        while let Some((&first, _)) = rest.split_first() {
            let used = match self.state {
                State::Between => {
                    let whole = if first == b'{' { self.whole(rest, tally) } else { None };
                    whole.unwrap_or_else(|| self.between(rest, tally))
                }
                State::Name => self.name(rest),
                State::Colon => self.colon(first),
                State::Text => self.text(rest, tally),
                State::Bare => self.bare(rest, tally),
                State::Nested => self.nested(rest, tally),
                State::NestedText => self.nested_text(rest),
                State::Closed | State::Lost => return,
            };
            rest = rest.get(used..).unwrap_or_default();
        }
    }

    /// Reads an object at the top in one go, if all of it is there; says how long it is.
    fn whole(&mut self, bytes: &[u8], tally: &mut Tally) -> Option<usize> {
        let level = match self.entered.as_slice() {
            [] => self.base,
            // Of an array that streams, each element comes whole more often than not.
            [(level, true)] => *level,
            _ => return None,
        };
        let length = whole::read(bytes, level, self.entered.len(), tally)?;
        self.end_value();
        Some(length)
    }

    fn between(&mut self, bytes: &[u8], tally: &mut Tally) -> usize {
        let blank = |byte: &u8| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | b',');
        let Some(at) = bytes.iter().position(blank) else { return bytes.len() };
        let byte = bytes.get(at).copied().unwrap_or_default();
        let inside = self.entered.last().copied();
        match (byte, inside) {
            (b'"', Some((_, false))) => {
                self.name.clear();
                self.state = State::Name;
            }
            (b'}', Some((_, false))) | (b']', Some((_, true))) => {
                self.leave(tally);
            }
            (_, Some((_, false))) => self.state = State::Lost,
            (_, inside) => {
                self.action = Action::Enter(inside.map_or(self.base, |(level, _)| level));
                // A bare word is read from its first byte on, by its own state.
                return at + self.begin_value(byte);
            }
        }
        at + 1
    }

    /// Leaves a container at its end.
    fn leave(&mut self, tally: &mut Tally) {
        let left = self.entered.pop().is_some_and(|(level, _)| level.is_usage());
        if left && !self.entered.last().is_some_and(|(level, _)| level.is_usage()) {
            tally.keep(Field::UsageEnd, None);
        }
        self.end_value();
    }

    fn name(&mut self, bytes: &[u8]) -> usize {
        let (part, used, ended) = self.until_quote(bytes);
        let room = MAX_NAME.saturating_sub(self.name.len());
        // No name that is compared is as long as what is kept of a long one.
        self.name.extend_from_slice(part.get(..room).unwrap_or(part));
        if ended {
            let level = self.entered.last().map_or(self.base, |(level, _)| *level);
            self.action = level.action(&self.name);
            self.state = State::Colon;
        }
        used
    }

    fn colon(&mut self, first: u8) -> usize {
        match first {
            b' ' | b'\n' | b'\r' | b'\t' | b':' => 1,
            _ => self.begin_value(first),
        }
    }

    /// Begins a value with its first byte; says how many bytes are used up.
    fn begin_value(&mut self, first: u8) -> usize {
        self.kept.clear();
        self.outgrown = false;
        match (first, self.action) {
            (b'{' | b'[', Action::Enter(level)) if self.entered.len() < MAX_ENTERED => {
                self.entered.push((level, first == b'['));
                self.state = State::Between;
            }
            (b'{' | b'[', _) => {
                self.depth = 1;
                self.keep(&[first]);
                self.state = State::Nested;
            }
            (b'"', _) => {
                self.keep(&[first]);
                self.state = State::Text;
            }
            (b'-' | b'0'..=b'9' | b'a'..=b'z', _) => {
                self.state = State::Bare;
                return 0;
            }
            _ => self.state = State::Lost,
        }
        1
    }

    fn text(&mut self, bytes: &[u8], tally: &mut Tally) -> usize {
        let (part, used, ended) = self.until_quote(bytes);
        if let Action::Enter(level) = self.action
            && level.is_text()
        {
            tally.text += part.len() as u64;
        }
        self.keep(bytes.get(..used).unwrap_or_default());
        if ended {
            self.end_member(tally);
        }
        used
    }

    fn bare(&mut self, bytes: &[u8], tally: &mut Tally) -> usize {
        let end = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
        let at = bytes.iter().position(end);
        let used = at.unwrap_or(bytes.len());
        self.keep(bytes.get(..used).unwrap_or_default());
        if at.is_some() {
            self.end_member(tally);
        }
        used
    }

    fn nested(&mut self, bytes: &[u8], tally: &mut Tally) -> usize {
        let Some(at) = find_structure(bytes) else {
            self.keep(bytes);
            return bytes.len();
        };
        self.keep(bytes.get(..=at).unwrap_or_default());
        match bytes.get(at) {
            Some(b'"') => self.state = State::NestedText,
            Some(b'{' | b'[') => self.depth = self.depth.saturating_add(1),
            _ => {
                self.depth -= 1;
                if self.depth == 0 {
                    self.end_member(tally);
                }
            }
        }
        at + 1
    }

    fn nested_text(&mut self, bytes: &[u8]) -> usize {
        let (_, used, ended) = self.until_quote(bytes);
        self.keep(bytes.get(..used).unwrap_or_default());
        if ended {
            self.state = State::Nested;
        }
        used
    }

    /// The bytes up to the quote that ends this string, how many are used with it, and whether it
    /// was there.
    fn until_quote<'b>(&mut self, bytes: &'b [u8]) -> (&'b [u8], usize, bool) {
        let mut at = usize::from(std::mem::take(&mut self.escaped));
        while let Some(found) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
            at += found;
            if bytes.get(at) == Some(&b'"') {
                return (bytes.get(..at).unwrap_or_default(), at + 1, true);
            }
            at += 2;
        }
        // A backslash was the last byte: what it escapes comes with the next bytes.
        self.escaped = at > bytes.len();
        (bytes, bytes.len(), false)
    }

    fn keep(&mut self, bytes: &[u8]) {
        if let Action::Keep(_) = self.action {
            self.outgrown |= self.kept.len() + bytes.len() > MAX_KEPT;
            if !self.outgrown {
                self.kept.extend_from_slice(bytes);
            }
        }
    }

    fn end_member(&mut self, tally: &mut Tally) {
        if let Action::Keep(field) = self.action {
            tally.keep(field, (!self.outgrown).then_some(self.kept.as_slice()));
        }
        self.end_value();
    }

    fn end_value(&mut self) {
        self.state = State::Between;
        if self.entered.is_empty() {
            self.values += 1;
            if self.single {
                self.state = State::Closed;
            }
        }
    }
}

#[cfg(test)]
mod tests;
