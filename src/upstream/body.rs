//! A request's body on its way out.

use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use http_body::{Body, Frame};
use smallvec::SmallVec;

use super::error::{BodyFault, BoxError};

/// What a request carries.
#[derive(Default)]
pub enum OutBody {
    /// Nothing.
    #[default]
    Empty,
    /// All of it, in pieces that are sent one after the other: of known length, and cheap to keep
    /// for another try ([`OutBody::again`]).
    Pieces(SmallVec<[Bytes; 4]>),
    /// A client's body, passed on as it comes and no faster than the provider takes it. Its length,
    /// if it knows one, and its trailers are passed on too.
    Stream(Streamed),
}

/// A client's body, passed on as it comes.
pub type Streamed = Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>;

impl OutBody {
    /// The same body for another try; `None` for one that flows through.
    pub fn again(&self) -> Option<Self> {
        match self {
            Self::Empty => Some(Self::Empty),
            Self::Pieces(pieces) => Some(Self::Pieces(pieces.clone())),
            Self::Stream(_) => None,
        }
    }

    /// How many bytes it has, if that is known.
    pub(super) fn length(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Pieces(pieces) => Some(pieces.iter().map(|piece| piece.len() as u64).sum()),
            Self::Stream(stream) if stream.is_end_stream() => Some(0),
            Self::Stream(stream) => stream.size_hint().exact(),
        }
    }
}

impl From<Bytes> for OutBody {
    fn from(bytes: Bytes) -> Self {
        Self::Pieces(SmallVec::from_iter([bytes]))
    }
}

impl fmt::Debug for OutBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Pieces(_) => write!(f, "Pieces({} bytes)", self.length().unwrap_or_default()),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

/// What came of reading an answer's body: a frame, its end, or why there is none.
pub(super) type Read = Result<Option<Frame<Bytes>>, (BodyFault, Option<BoxError>)>;
