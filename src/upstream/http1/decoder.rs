//! The body of an answer, out of the bytes of its connection (RFC 9112 section 6.3).

use http::HeaderMap;

use super::chunked::{Chunked, Decoded};
use super::malformed::Malformed;

/// How a body ends, and how far it has come.
#[derive(Debug)]
pub(super) enum Decoder {
    /// After so many bytes more.
    Length(u64),
    /// As its chunks say.
    Chunked(Chunked),
    /// With the connection.
    UntilClose { ended: bool },
}

impl Decoder {
    pub(super) fn chunked() -> Self {
        Self::Chunked(Chunked::default())
    }

    /// Finds the body's data in some bytes of its connection, changing them if need be.
    pub(super) fn decode(&mut self, bytes: &mut [u8]) -> Decoded {
        let used = match self {
            Self::Chunked(chunked) => return chunked.decode(bytes),
            Self::Length(left) => {
                let used = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= used as u64;
                used
            }
            Self::UntilClose { .. } => bytes.len(),
        };
        Decoded { data: 0..used, moved: false, used }
    }

    /// The connection has ended; whether the body has too.
    pub(super) fn close(&mut self) -> bool {
        if let Self::UntilClose { ended } = self {
            *ended = true;
        }
        self.is_done()
    }

    /// Whether all of it has come.
    pub(super) fn is_done(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunked) => chunked.is_done(),
            Self::UntilClose { ended } => *ended,
        }
    }

    /// Why no more can be read.
    pub(super) fn fault(&self) -> Option<Malformed> {
        if let Self::Chunked(chunked) = self { chunked.fault() } else { None }
    }

    /// What is still to come, where the head told.
    pub(super) const fn left(&self) -> Option<u64> {
        if let Self::Length(left) = self { Some(*left) } else { None }
    }

    pub(super) fn has_trailers(&self) -> bool {
        matches!(self, Self::Chunked(chunked) if chunked.has_trailers())
    }

    pub(super) fn take_trailers(&mut self) -> Option<HeaderMap> {
        if let Self::Chunked(chunked) = self { chunked.take_trailers() } else { None }
    }
}
