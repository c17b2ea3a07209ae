//! What stands in the way of reading a place.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A place that could not be read, or not whole. It names the place and never its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The place, as it was given.
    pub path: PathBuf,
    /// What is wrong with it.
    pub trouble: Trouble,
}

/// What is wrong with a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is not there.
    Missing,
    /// The system refuses, in its own words.
    Unreadable(Box<str>),
    /// The system refuses to write there, in its own words.
    Unwritable(Box<str>),
    /// Another process keeps its counts there.
    Taken,
    /// It kept changing while it was read.
    Unsettled,
    /// It is larger than this many bytes.
    TooLarge(u64),
    /// It holds more than this many files or folders; the rest is left out.
    TooMany(usize),
    /// It is not plain text in UTF-8.
    NotText,
    /// There is nothing in it.
    Empty,
    /// It is neither a file nor a folder.
    NotAFile,
    /// It is a file where a folder per Secret is expected.
    Stray,
}

impl Problem {
    /// What went wrong at `path`.
    pub fn new(path: &Path, trouble: impl Into<Trouble>) -> Self {
        Self { path: path.to_owned(), trouble: trouble.into() }
    }

    /// What whoever runs this can do about it.
    pub const fn remedy(&self) -> &'static str {
        match self.trouble {
            Trouble::Missing => "create it, or leave it out; it is taken as soon as it is there",
            Trouble::Unreadable(_) => "let Keyweir's user read it",
            Trouble::Unwritable(_) => "let Keyweir's user write there",
            Trouble::Taken => "give each process a folder of its own",
            Trouble::Unsettled => "it is read again in a moment",
            Trouble::TooLarge(_) => "make it smaller",
            Trouble::TooMany(_) => "remove what is not needed",
            Trouble::NotText => "save it as UTF-8",
            Trouble::Empty => "put something in",
            Trouble::NotAFile => "give a file or a folder",
            Trouble::Stray => "put it into a folder named like its Secret: <secret name>/<entry>",
        }
    }
}

impl Trouble {
    /// Whether it says nothing about what the place holds, so that what was read before still holds.
    pub(super) const fn is_passing(&self) -> bool {
        matches!(self, Self::Unreadable(_) | Self::Unsettled)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::NotFound {
            Self::Missing
        } else {
            Self::Unreadable(error.to_string().into())
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is not there"),
            Self::Unreadable(reason) => write!(f, "cannot be read: {reason}"),
            Self::Unwritable(reason) => write!(f, "cannot be written to: {reason}"),
            Self::Taken => f.write_str("belongs to another process"),
            Self::Unsettled => f.write_str("keeps changing while it is read"),
            Self::TooLarge(bound) => write!(f, "is larger than {bound} bytes"),
            Self::TooMany(bound) => write!(f, "holds more than {bound} of them"),
            Self::NotText => f.write_str("is not UTF-8 text"),
            Self::Empty => f.write_str("is empty"),
            Self::NotAFile => f.write_str("is neither a file nor a folder"),
            Self::Stray => f.write_str("is not a Secret's folder"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}; {}", self.path.display(), self.trouble, self.remedy())
    }
}

impl Error for Problem {}
