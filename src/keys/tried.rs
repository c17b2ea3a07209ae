//! What a request has tried already.

use crate::formats::Verdict;

use super::bits::Bits;
use super::pool::Reservation;

/// The keys and groups that one request has tried, kept by the request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tried {
    pub(super) keys: Bits,
    pub(super) groups: Bits,
    not_found: u8,
    any: Any,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Any {
    #[default]
    Nothing,
    Something,
}

/// A 404 is believed when a second group has said so.
const NOT_FOUND_ENOUGH: u8 = 2;

impl Tried {
    /// Nothing yet.
    pub const NOTHING: Self =
        Self { keys: Bits::EMPTY, groups: Bits::EMPTY, not_found: 0, any: Any::Nothing };

    /// Takes down an attempt and its verdict: what concerns the key alone leaves the other keys of
    /// its group to try, everything else does not. `status` is that of the provider's answer, zero
    /// if there was none.
    pub fn note(&mut self, attempt: &Reservation, verdict: Verdict, status: u16) {
        self.any = Any::Something;
        self.keys.insert(attempt.key().slot);
        let not_found = verdict == Verdict::KeyForbidden && status == 404;
        if not_found {
            self.not_found = self.not_found.saturating_add(1);
        }
        if not_found || !matches!(verdict, Verdict::KeyInvalid | Verdict::KeyForbidden) {
            self.groups.insert(attempt.group().slot);
        }
    }

    /// A group has said that it does not know what the request names, and another might.
    pub fn note_unknown(&mut self, attempt: &Reservation) {
        self.any = Any::Something;
        self.groups.insert(attempt.group().slot);
    }

    /// What was tried may be tried again: the retry budget has paid for it.
    pub fn again(&mut self) {
        self.keys = Bits::EMPTY;
        self.groups = Bits::EMPTY;
    }

    /// Whether the request has been sent at all.
    pub fn nothing(&self) -> bool {
        self.any == Any::Nothing
    }

    /// Whether so many groups have said that there is no such model that it is believed.
    pub const fn not_found(&self) -> bool {
        self.not_found >= NOT_FOUND_ENOUGH
    }
}
