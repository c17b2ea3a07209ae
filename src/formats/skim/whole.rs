//! Values that lie whole in memory, read in one go.
//!
//! Nearly every answer and every event that is read at all comes in one piece. Then nothing need be
//! remembered from one byte to the next, which costs a fraction of the skimmer's states. Whatever is
//! not plain to see here is left to the skimmer, which finds the same in any piece that is read here.

use smallvec::SmallVec;

use super::{MAX_ENTERED, MAX_KEPT, level::Action, level::Level};
use crate::formats::json::Cursor;
use crate::formats::tally::{Field, Tally};
use crate::formats::usage::Counts;

/// Reads the object that `bytes` begin with, which stands at `level` in so many containers; says how
/// long it is. `None`, and nothing is noted, if it does not end there or cannot be read in this way.
pub(super) fn read(bytes: &[u8], level: Level, depth: usize, tally: &mut Tally) -> Option<usize> {
    let mut whole = Whole { cursor: Cursor::new(bytes), kept: SmallVec::new(), text: 0 };
    whole.container(level, depth)?;
    tally.text += whole.text;
    for kept in &whole.kept {
        match kept {
            Kept::Usage(counts) => tally.counts.merge(counts),
            Kept::Member(field, raw) => {
                tally.keep(*field, (raw.len() <= MAX_KEPT).then_some(*raw));
            }
        }
    }
    Some(bytes.len() - whole.cursor.rest().len())
}

struct Whole<'b> {
    cursor: Cursor<'b>,
    /// What is to be noted if the end is found.
    kept: SmallVec<[Kept<'b>; 8]>,
    text: u64,
}

enum Kept<'b> {
    /// A member, as it is written.
    Member(Field, &'b [u8]),
    /// It has so many members that it is read at once.
    Usage(Counts),
}

impl Whole<'_> {
    /// Reads an object or array of that level, which stands in so many.
    fn container(&mut self, level: Level, depth: usize) -> Option<()> {
        let is_array = self.cursor.next()? == b'[';
        self.cursor.step();
        if is_array {
            while self.cursor.next()? != b']' {
                self.value(Action::Enter(level), depth)?;
            }
            self.cursor.step();
        } else {
            while let Some(name) = self.cursor.member()? {
                self.value(level.action(name), depth)?;
            }
        }
        Some(())
    }

    fn value(&mut self, action: Action, depth: usize) -> Option<()> {
        match (action, self.cursor.rest().first()?) {
            (Action::Enter(level), b'{' | b'[') => {
                if depth + 1 >= MAX_ENTERED {
                    return None;
                }
                self.container(level, depth + 1)?;
            }
            (Action::Enter(level), b'"') => {
                let text = self.cursor.text()?;
                self.text += if level.is_text() { text.len() as u64 } else { 0 };
            }
            (Action::Keep(Field::Usage), b'{') => {
                let before = self.cursor.rest().len();
                let counts = Counts::read_on(&mut self.cursor)?;
                if before - self.cursor.rest().len() > MAX_KEPT {
                    return None;
                }
                self.kept.push(Kept::Usage(counts));
            }
            (Action::Keep(field), _) => {
                self.kept.push(Kept::Member(field, self.cursor.value()?));
            }
            (Action::Enter(_) | Action::Skip, _) => drop(self.cursor.value()?),
        }
        Some(())
    }
}
