//! What can go wrong on the way out, told with host and phase, and never with a header or a body.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use http::StatusCode;

use crate::formats::Verdict;

/// Any error.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A request that brought no answer.
#[derive(Clone, Debug)]
pub struct SendError {
    place: Arc<str>,
    fault: Fault,
    sent: Sent,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// How much of a request may have reached the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sent {
    /// Nothing that the provider acted on: it may be sent again, and costs nothing.
    No,
    /// A part of it.
    Maybe,
    /// All of it: the provider may have done the work, and charge for it.
    Yes,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The host's name has no address.
    Lookup,
    /// No address of the host took the connection.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// The egress proxy refused, with this status if it spoke HTTP at all.
    Proxy(Option<StatusCode>),
    /// The time for this phase was up.
    Timeout(Phase),
    /// The connection broke before the head of the answer was complete.
    Broken,
    /// What came back is not HTTP, or larger than any honest head.
    Protocol,
    /// The client's own body ended early.
    RequestBody,
    /// The request cannot be written as HTTP.
    Request,
}

/// A wait that has a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// For a place among the connections that may be open at once.
    Place,
    /// For the host's address.
    Lookup,
    /// For the connection.
    Connect,
    /// For the egress proxy's consent.
    Proxy,
    /// For the TLS handshake.
    Tls,
    /// For the provider to take more of the request.
    Upload,
    /// From the last byte of the request to the head of the answer.
    FirstByte,
}

impl SendError {
    /// An error at that place.
    pub(super) fn new(place: &Arc<str>, fault: Fault, sent: Sent) -> Self {
        Self { place: Arc::clone(place), fault, sent, source: None }
    }

    /// The same, with what caused it.
    pub(super) fn caused_by(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// Why there is no answer.
    pub const fn fault(&self) -> Fault {
        self.fault
    }

    /// How much of the request may have reached the provider. [`Sent::No`] may be sent again at
    /// once, on no one's budget: a server that closes its HTTP/2 connections from time to time
    /// (`GOAWAY`) refuses requests that way in ordinary operation.
    pub const fn sent(&self) -> Sent {
        self.sent
    }

    /// What it means for key, group and request.
    pub const fn verdict(&self) -> Verdict {
        match self.fault {
            Fault::Timeout(Phase::FirstByte | Phase::Upload) => Verdict::Timeout,
            Fault::RequestBody | Fault::Request => Verdict::RequestInvalid,
            Fault::Lookup
            | Fault::Connect
            | Fault::Tls
            | Fault::Proxy(_)
            | Fault::Timeout(_)
            | Fault::Broken
            | Fault::Protocol => Verdict::ConnectFailed,
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.fault.as_str())?;
        if let Fault::Proxy(Some(status)) = self.fault {
            write!(f, " with status {}", status.as_u16())?;
        }
        Ok(())
    }
}

impl Error for SendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

impl Fault {
    /// A short, fixed text for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lookup => "the name has no address",
            Self::Connect => "no connection",
            Self::Tls => "the TLS handshake failed",
            Self::Proxy(Some(_)) => "the egress proxy refused",
            Self::Proxy(None) => "the egress proxy failed",
            Self::Timeout(phase) => phase.as_str(),
            Self::Broken => "the connection broke before the answer",
            Self::Protocol => "the answer is not HTTP as it should be",
            Self::RequestBody => "the client's body ended early",
            Self::Request => "the request cannot be written",
        }
    }
}

impl Phase {
    /// A short, fixed text for its timeout.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Place => "timed out waiting for a free connection",
            Self::Lookup => "timed out looking the name up",
            Self::Connect => "timed out connecting",
            Self::Proxy => "timed out waiting for the egress proxy",
            Self::Tls => "timed out in the TLS handshake",
            Self::Upload => "timed out sending the request",
            Self::FirstByte => "timed out waiting for the first byte",
        }
    }
}

/// An answer that broke off.
#[derive(Debug)]
pub struct BodyError {
    place: Box<str>,
    fault: BodyFault,
    source: Option<BoxError>,
}

/// Why an answer broke off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BodyFault {
    /// Nothing came for the idle timeout.
    Idle,
    /// The connection ended, or the provider reset the stream, before the body's end.
    Cut,
    /// What came is not HTTP.
    Protocol,
}

impl BodyError {
    pub(super) fn new(place: &str, fault: BodyFault, source: Option<BoxError>) -> Self {
        Self { place: place.into(), fault, source }
    }

    /// Why it broke off.
    pub const fn fault(&self) -> BodyFault {
        self.fault
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.fault {
            BodyFault::Idle => "the answer fell silent",
            BodyFault::Cut => "the answer was cut off",
            BodyFault::Protocol => "the answer's body is not HTTP as it should be",
        };
        write!(f, "{}: {what}", self.place)
    }
}

impl Error for BodyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}
