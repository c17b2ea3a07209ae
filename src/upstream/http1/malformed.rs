//! What an answer may not be.

use std::fmt;

/// Why what came is not an answer in HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The head is not one, or has nonsense among its headers.
    Head,
    /// The head, or the trailers, are larger than any honest ones.
    Endless,
    /// Interim answers (1xx) without end.
    Interim,
    /// It agrees to an upgrade that nobody asked for.
    Upgrade,
    /// Its length is no number, or told twice.
    Length,
    /// It is encoded in a way that nobody asked for.
    Coding,
    /// A chunk of the body is none.
    Chunk,
    /// What follows the last chunk are no headers.
    Trailers,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Head => "not the head of an answer",
            Self::Endless => "a head or trailers without end",
            Self::Interim => "interim answers without end",
            Self::Upgrade => "an upgrade that was not asked for",
            Self::Length => "a length that is none, or two of them",
            Self::Coding => "a transfer coding that was not asked for",
            Self::Chunk => "a chunk that is none",
            Self::Trailers => "trailers that are none",
        })
    }
}

impl std::error::Error for Malformed {}
