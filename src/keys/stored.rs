//! Which group made what a provider stores for one organisation.

use std::collections::HashMap;

use super::pool::GroupId;

/// Ids of files, batches, responses and the like, and the group that each was made with. The map is
/// bounded: ids not asked for in a long time are forgotten first.
#[derive(Debug)]
pub struct Stored {
    young: HashMap<Box<str>, GroupId>,
    old: HashMap<Box<str>, GroupId>,
    bound: usize,
}

/// Longer ids are not remembered: no provider makes them.
const LONGEST_ID: usize = 256;

impl Stored {
    /// Remembers `bound` ids at most, and the latest half of them for certain.
    pub fn new(bound: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), bound }
    }

    /// That group made it.
    pub fn remember(&mut self, id: &str, group: GroupId) {
        if id.len() > LONGEST_ID {
            return;
        }
        if self.young.len() >= (self.bound / 2).max(1) && !self.young.contains_key(id) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(id.into(), group);
    }

    /// The group that made it, if that is remembered.
    pub fn find(&mut self, id: &str) -> Option<GroupId> {
        if let Some(group) = self.young.get(id) {
            return Some(*group);
        }
        let (id, group) = self.old.remove_entry(id)?;
        self.remember(&id, group);
        Some(group)
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.young.is_empty() && self.old.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(slot: u8) -> GroupId {
        GroupId { slot, generation: 0 }
    }

    #[test]
    fn an_id_is_found_with_the_group_that_made_it() {
        let mut stored = Stored::new(10);
        stored.remember("file-1", group(1));
        stored.remember("file-2", group(2));
        stored.remember("file-2", group(3));
        assert_eq!(stored.find("file-1"), Some(group(1)));
        assert_eq!(stored.find("file-2"), Some(group(3)));
        assert_eq!(stored.find("file-3"), None);
    }

    #[test]
    fn the_bound_holds_and_what_is_asked_for_stays() {
        let mut stored = Stored::new(100);
        stored.remember("kept", group(7));
        for n in 0..10_000 {
            stored.remember(&n.to_string(), group(0));
            assert!(stored.len() <= 100);
            assert_eq!(stored.find("kept"), Some(group(7)));
        }
        assert_eq!(stored.find("9999"), Some(group(0)));
        assert_eq!(stored.find("1"), None);
        stored.remember(&"x".repeat(1_000), group(0));
        assert_eq!(stored.find(&"x".repeat(1_000)), None);
    }
}
