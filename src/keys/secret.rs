//! The only type that holds a key's value.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

use zeroize::Zeroizing;

/// A key's value. It prints as `[redacted]`, is wiped when dropped, and is not `Clone`: share it
/// behind an `Arc`.
pub struct Secret {
    value: Zeroizing<Box<str>>,
    fingerprint: Fingerprint,
}

/// Tells one key's value from another within this process, and tells nothing about it: a hash under
/// a key drawn at random when the process starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(u64);

impl Secret {
    /// Takes a value into custody.
    pub fn new(value: &str) -> Self {
        static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        let mut hasher = HASHER.build_hasher();
        hasher.write(value.as_bytes());
        Self { value: Zeroizing::new(value.into()), fingerprint: Fingerprint(hasher.finish()) }
    }

    /// The value itself: for `upstream`, which puts it on a request, and for nobody else.
    pub fn expose(&self) -> &str {
        &self.value
    }

    /// The same for equal values, different for others.
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_prints_itself() {
        let secret = Secret::new("sk-very-secret");
        assert_eq!(format!("{secret:?}"), "[redacted]");
    }

    #[test]
    fn equal_values_have_equal_fingerprints() {
        assert_eq!(Secret::new("a").fingerprint(), Secret::new("a").fingerprint());
        assert_ne!(Secret::new("a").fingerprint(), Secret::new("b").fingerprint());
    }
}
