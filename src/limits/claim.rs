//! What a request's place among those who wait goes by.

use crate::clock::Moment;

use super::rule::Cost;

/// The class a request waits in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Priority {
    /// Served when nothing else waits.
    Batch,
    /// The usual.
    #[default]
    Normal,
    /// Served first.
    High,
}

/// What a request's place among those who wait goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its class.
    pub priority: Priority,
    /// Who asks: a number that tells callers apart. Inside a class all callers get the same share.
    pub caller: u64,
    /// The last moment at which it can be sent.
    pub deadline: Moment,
    /// What it will cost.
    pub cost: Cost,
}

impl Priority {
    /// Every class, lowest first.
    pub const ALL: [Self; 3] = [Self::Batch, Self::Normal, Self::High];

    /// The word for it in configuration, headers and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }

    /// The class of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }
}
