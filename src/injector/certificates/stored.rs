//! What the Secret holds.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::authority::{Authority, Broken};

/// The entries of the Secret.
const CERTIFICATE: &str = "ca.crt";
const KEY: &str = "ca.key";
const NEXT_CERTIFICATE: &str = "next.crt";
const NEXT_KEY: &str = "next.key";
const SINCE: &str = "signs-since";

/// All of them.
pub(super) const ENTRIES: [&str; 5] = [CERTIFICATE, KEY, NEXT_CERTIFICATE, NEXT_KEY, SINCE];

/// The entries of a Secret by name; their values are never shown.
#[derive(Clone, Default)]
pub struct Entries(pub BTreeMap<String, Zeroizing<Vec<u8>>>);

/// The authority that signs, and the one that will.
#[derive(Debug)]
pub struct Stored {
    /// The one that signs.
    pub current: Authority,
    /// The one that will sign once everybody trusts it.
    pub next: Option<Authority>,
    /// Since when the present one signs.
    pub since: Timestamp,
}

/// The Secret as it was last seen.
#[derive(Debug)]
pub enum Observed {
    /// Not yet looked at.
    Unknown,
    /// There is none.
    Missing,
    /// There is one, in this version, with nothing in it that could be used, and why.
    Unusable {
        /// The version to replace.
        version: String,
        /// What is wrong with it.
        reason: Broken,
    },
    /// There is one, in this version.
    Held {
        /// The version to replace.
        version: String,
        /// What it holds.
        stored: Box<Stored>,
    },
}

impl Observed {
    /// A Secret with these entries in that version.
    pub fn read(version: String, entries: &Entries) -> Self {
        match Stored::read(entries) {
            Ok(stored) => Self::Held { version, stored: Box::new(stored) },
            Err(reason) => Self::Unusable { version, reason },
        }
    }
}

impl Stored {
    fn read(entries: &Entries) -> Result<Self, Broken> {
        let entry =
            |name: &str| entries.0.get(name).map(|bytes| bytes.as_slice()).unwrap_or_default();
        let current = Authority::read(entry(CERTIFICATE), entry(KEY))?;
        // A successor that cannot be used is made anew.
        let next = Authority::read(entry(NEXT_CERTIFICATE), entry(NEXT_KEY)).ok();
        let since = std::str::from_utf8(entry(SINCE)).ok().and_then(|text| text.parse().ok());
        let since = since.unwrap_or_else(|| current.certificate().from);
        Ok(Self { current, next, since })
    }

    /// The entries that hold these.
    pub(super) fn entries_of(
        current: &Authority,
        next: Option<&Authority>,
        since: Timestamp,
    ) -> Entries {
        let mut entries = Entries::default();
        let mut add = |name: &str, text: &str| {
            entries.0.insert(name.to_owned(), Zeroizing::new(text.as_bytes().to_vec()));
        };
        add(CERTIFICATE, &current.certificate().pem());
        add(KEY, &current.key_pem());
        if let Some(next) = next {
            add(NEXT_CERTIFICATE, &next.certificate().pem());
            add(NEXT_KEY, &next.key_pem());
        }
        add(SINCE, &since.to_string());
        entries
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
