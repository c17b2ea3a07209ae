//! Why a body could not be read, and where, but never what stood there.

use std::fmt;

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is none.
    Empty,
    /// It is not UTF-8.
    NotUtf8,
    /// It is not JSON.
    NotJson,
    /// It ends too early.
    Truncated,
    /// It nests deeper than 127 levels.
    TooDeep,
    /// It is JSON, but not an object.
    NotAnObject,
    /// This name stands twice, so that the provider could read another one than Keyweir.
    Duplicate(&'static str),
    /// Something follows the object.
    TrailingData,
    /// The model's name is longer than [`super::MAX_MODEL_BYTES`].
    ModelTooLong,
}

/// A body that could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Why.
    pub reason: Reason,
    /// Where: bytes from the start.
    pub offset: usize,
    /// The same as a line, from 1.
    pub line: usize,
    /// And a column in bytes, from 1.
    pub column: usize,
}

impl Unreadable {
    pub(super) fn at(body: &[u8], offset: usize, reason: Reason) -> Self {
        let before = body.get(..offset).unwrap_or(body);
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        let line = memchr::memchr_iter(b'\n', before).count() + 1;
        Self { reason, offset: before.len(), line, column: before.len() - line_start + 1 }
    }

    pub(super) fn not_utf8(body: &[u8], error: &std::str::Utf8Error) -> Self {
        // A character cut in two at the very end is a body that ends too early.
        let reason = if error.error_len().is_some() { Reason::NotUtf8 } else { Reason::Truncated };
        Self::at(body, error.valid_up_to(), reason)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it is empty"),
            Self::NotUtf8 => f.write_str("it is not UTF-8"),
            Self::NotJson => f.write_str("it is not JSON"),
            Self::Truncated => f.write_str("it ends too early"),
            Self::TooDeep => f.write_str("it is nested too deeply"),
            Self::NotAnObject => f.write_str("it is not a JSON object"),
            Self::Duplicate(name) => write!(f, "it has \"{name}\" twice"),
            Self::TrailingData => f.write_str("something follows its JSON object"),
            Self::ModelTooLong => {
                write!(f, "its model's name is longer than {} bytes", super::MAX_MODEL_BYTES)
            }
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, line, column, .. } = self;
        write!(f, "The request body cannot be read: {reason} (line {line}, column {column})")
    }
}

impl std::error::Error for Unreadable {}
