//! Values that lie whole in memory, read in one go.
//!
//! Nearly every answer and every event that is read at all comes in one piece. Then nothing need be
//! remembered from one byte to the next, which costs a fraction of the skimmer's states. Whatever is
//! not plain to see here is left to the skimmer, which finds the same in any piece that is read here.

use smallvec::SmallVec;

use super::level::{Action, Level};
use super::{MAX_ENTERED, MAX_KEPT};
use crate::formats::json;
use crate::formats::tally::{Field, Tally};

/// Reads the object that `bytes` begin with, which stands at `level` in so many containers; says how
/// long it is. `None`, and nothing is noted, if it does not end there or cannot be read in this way.
pub(super) fn read(bytes: &[u8], level: Level, depth: usize, tally: &mut Tally) -> Option<usize> {
    let mut found = Found { kept: SmallVec::new(), text: 0 };
    let end = found.walk(bytes, level, MAX_ENTERED - depth)?;
    tally.text += found.text;
    for (field, raw) in found.kept {
        tally.keep(field, (raw.len() <= MAX_KEPT).then_some(raw));
    }
    Some(end)
}

/// What is to be noted if the end is found.
struct Found<'b> {
    kept: SmallVec<[(Field, &'b [u8]); 16]>,
    text: u64,
}

impl<'b> Found<'b> {
    /// Walks through a value; says where it ends. One loop over its values, for what it has to
    /// remember fits the machine's registers.
    fn walk(&mut self, bytes: &'b [u8], level: Level, room: usize) -> Option<usize> {
        // The containers around the present one, and that one itself.
        let mut around: SmallVec<[Within; 8]> = SmallVec::new();
        let mut within = Within { level, is_array: false };
        let mut at = 1;
        loop {
            // What comes next: a member's name, an element, or the end of the container.
            let action = match (*bytes.get(at)?, within.is_array) {
                (b' ' | b'\n' | b'\r' | b'\t' | b',', _) => {
                    at += 1;
                    continue;
                }
                (b'}', false) | (b']', true) => {
                    at += 1;
                    let Some(outer) = around.pop() else { return Some(at) };
                    if within.level.is_usage() && !outer.level.is_usage() {
                        self.kept.push((Field::UsageEnd, &[]));
                    }
                    within = outer;
                    continue;
                }
                (b'"', false) => {
                    let name = json::string(bytes.get(at..)?)?;
                    at += name.len() + 2;
                    while matches!(bytes.get(at)?, b' ' | b'\n' | b'\r' | b'\t' | b':') {
                        at += 1;
                    }
                    within.level.action(name)
                }
                (_, false) => return None,
                (_, true) => Action::Enter(within.level),
            };
            let rest = bytes.get(at..)?;
            match (action, *rest.first()?) {
                (Action::Enter(level), first @ (b'{' | b'[')) => {
                    if around.len() + 1 >= room {
                        return None;
                    }
                    around.push(within);
                    within = Within { level, is_array: first == b'[' };
                    at += 1;
                }
                (Action::Enter(level), b'"') => {
                    let length = json::string(rest)?.len();
                    self.text += if level.is_text() { length as u64 } else { 0 };
                    at += length + 2;
                }
                _ => {
                    let value = json::value(rest)?;
                    if let Action::Keep(field) = action {
                        self.kept.push((field, value));
                    }
                    at += value.len();
                }
            }
        }
    }
}

/// A container that has been entered.
#[derive(Clone, Copy)]
struct Within {
    level: Level,
    is_array: bool,
}
