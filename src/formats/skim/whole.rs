//! Values that lie whole in memory, read in one go.
//!
//! Nearly every answer and every event that is read at all comes in one piece. Then nothing need be
//! remembered from one byte to the next, which costs a fraction of the skimmer's states. Whatever is
//! not plain to see here is left to the skimmer, which finds the same in any piece that is read here.

use smallvec::SmallVec;

use super::{MAX_ENTERED, MAX_KEPT, level::Action, level::Level};
use crate::formats::json::Cursor;
use crate::formats::tally::{Field, Tally};

/// Reads the object that `bytes` begin with, which stands at `level` in so many containers; says how
/// long it is. `None`, and nothing is noted, if it does not end there or cannot be read in this way.
pub(super) fn read(bytes: &[u8], level: Level, depth: usize, tally: &mut Tally) -> Option<usize> {
    let mut whole = Whole { cursor: Cursor::new(bytes), kept: SmallVec::new(), text: 0 };
    whole.container(level, depth)?;
    tally.text += whole.text;
    for (field, raw) in whole.kept {
        tally.keep(field, (raw.len() <= MAX_KEPT).then_some(raw));
    }
    Some(bytes.len() - whole.cursor.rest().len())
}

struct Whole<'b> {
    cursor: Cursor<'b>,
    /// What is to be noted if the end is found.
    kept: SmallVec<[(Field, &'b [u8]); 8]>,
    text: u64,
}

impl Whole<'_> {
    /// Reads an object or array of that level, which stands in so many.
    fn container(&mut self, level: Level, depth: usize) -> Option<()> {
        let is_array = self.cursor.next()? == b'[';
        self.cursor.step()?;
        if is_array {
            while self.cursor.next()? != b']' {
                self.value(Action::Enter(level), depth)?;
            }
            self.cursor.step()
        } else {
            while let Some(name) = self.cursor.member()? {
                self.value(level.action(name), depth)?;
            }
            Some(())
        }
    }

    fn value(&mut self, action: Action, depth: usize) -> Option<()> {
        match (self.cursor.rest().first()?, action) {
            (b'{' | b'[', Action::Enter(level)) => {
                if depth + 1 >= MAX_ENTERED {
                    return None;
                }
                self.container(level, depth + 1)?;
            }
            (b'"', Action::Enter(level)) => {
                let text = self.cursor.text()?;
                self.text += if level.is_text() { text.len() as u64 } else { 0 };
            }
            (_, Action::Keep(field)) => self.kept.push((field, self.cursor.value()?)),
            (_, Action::Enter(_) | Action::Skip) => drop(self.cursor.value()?),
        }
        Some(())
    }
}
