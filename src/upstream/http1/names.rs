//! Headers' names, made once.

use std::cell::RefCell;

use http::HeaderName;

/// Names that one thread remembers: several times as many as a provider's answer has.
const KEPT: usize = 256;

/// The longest that is remembered.
const LONGEST: usize = 64;

thread_local! {
    static NAMES: RefCell<Names> = const { RefCell::new(Names { slots: Vec::new() }) };
}

/// The name as [`HeaderName`]; `None` if it cannot be one.
///
/// A provider's answers have the same names each time, and most of them are no standard ones: each
/// would be lower-cased, looked for among the standard ones and copied to the heap anew.
pub(super) fn name(written: &str) -> Option<HeaderName> {
    if written.len() > LONGEST {
        return HeaderName::from_bytes(written.as_bytes()).ok();
    }
    NAMES.with_borrow_mut(|names| names.name(written))
}

struct Names {
    /// Each name at the place that its hash says, as it was written and as it is meant.
    slots: Vec<Option<(Box<str>, HeaderName)>>,
}

impl Names {
    fn name(&mut self, written: &str) -> Option<HeaderName> {
        if self.slots.is_empty() {
            self.slots.resize(KEPT, None);
        }
        let slot = self.slots.get_mut(hash(written.as_bytes()) % KEPT)?;
        if let Some((known, name)) = slot
            && **known == *written
        {
            return Some(name.clone());
        }
        let name = HeaderName::from_bytes(written.as_bytes()).ok()?;
        *slot = Some((written.into(), name.clone()));
        Some(name)
    }
}

/// Where a name stands. Who chooses names that meet in one place gains nothing but their being made
/// anew.
fn hash(bytes: &[u8]) -> usize {
    let mut hash = bytes.len() as u64;
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    for (into, byte) in last.iter_mut().zip(rest) {
        *into = *byte;
    }
    for word in words.iter().chain([&last]) {
        hash = (hash.rotate_left(5) ^ u64::from_le_bytes(*word)).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
    // The upper half is the better mixed one.
    (hash >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_however_often_and_however_it_is_written() {
        let expected = HeaderName::from_static("x-ratelimit-limit-requests");
        for _ in 0..2 {
            for written in ["x-ratelimit-limit-requests", "X-RateLimit-Limit-Requests"] {
                assert_eq!(name(written), Some(expected.clone()));
            }
            assert_eq!(name("Content-Type"), Some(http::header::CONTENT_TYPE));
            assert_eq!((name("a b"), name("")), (None, None));
            let long = "x".repeat(LONGEST + 1);
            assert_eq!(name(&long).unwrap().as_str(), long);
        }
    }

    #[test]
    fn more_names_than_are_kept_are_right_too_and_do_not_grow_the_memory() {
        for _ in 0..2 {
            for number in 0..KEPT * 4 {
                let written = format!("x-name-{number}");
                assert_eq!(name(&written).unwrap().as_str(), written);
            }
        }
        NAMES.with_borrow(|names| assert_eq!(names.slots.len(), KEPT));
    }
}
