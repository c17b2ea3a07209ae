//! One answer as it comes: interim answers, its head, its body. Bytes in, frames out; where they come
//! from is another's matter.

use std::mem;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use http_body::{Frame, SizeHint};
use memchr::memmem;

use super::decoder::Decoder;
use super::head::{self, Head, LARGEST};
use super::malformed::Malformed;

/// Interim answers (1xx) before the answer; as for HTTP/2.
const INTERIM: u32 = 64;

/// What was asked, as far as it decides how the answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Anything with a body.
    Content,
    /// The head of an answer alone.
    Head,
    /// A way through to another place.
    Connect,
    /// Another protocol.
    Upgrade,
}

/// One answer, as far as it has come.
///
/// It holds no buffer: what a read brings is taken out of the reader's, and all the data that it
/// holds make one frame.
#[derive(Debug)]
pub struct Inbox {
    asked: Asked,
    interim: u32,
    /// The beginning of a head.
    partial: Vec<u8>,
    /// The length at which it is worth another look, though no end of it was seen.
    look_at: usize,
    body: Decoder,
    /// Data of the body; or, after an upgrade, of what follows it.
    data: Bytes,
    persistent: bool,
}

impl Asked {
    /// What a request with that method asks.
    pub fn by(method: &Method) -> Self {
        match *method {
            Method::HEAD => Self::Head,
            Method::CONNECT => Self::Connect,
            _ => Self::Content,
        }
    }
}

impl Inbox {
    /// For the answer to that.
    pub const fn new(asked: Asked) -> Self {
        Self {
            asked,
            interim: 0,
            partial: Vec::new(),
            look_at: 0,
            body: Decoder::Length(0),
            data: Bytes::new(),
            persistent: false,
        }
    }

    /// Takes bytes that may complete the head, and whatever of the body comes with it.
    pub fn head(&mut self, bytes: &mut [u8]) -> Result<Option<Response<()>>, Malformed> {
        if self.partial.is_empty() {
            return self.complete(bytes);
        }
        let mut whole = mem::take(&mut self.partial);
        let seen = whole.len();
        whole.extend_from_slice(bytes);
        // A head that trickles in is not read from its beginning at every drop.
        if whole.len() < self.look_at && !has_end(whole.get(seen.saturating_sub(2)..)) {
            self.partial = whole;
            return Ok(None);
        }
        self.complete(&mut whole)
    }

    /// Takes bytes of the body. What they hold is there to be taken by [`Inbox::frame`] before more
    /// is brought.
    pub fn body(&mut self, bytes: &mut [u8]) {
        let decoded = self.body.decode(bytes);
        self.data = Bytes::copy_from_slice(bytes.get(decoded.data).unwrap_or_default());
        self.persistent &= decoded.used == bytes.len();
    }

    /// The next frame of the body, if one has come.
    pub fn frame(&mut self) -> Result<Option<Frame<Bytes>>, Malformed> {
        if !self.data.is_empty() {
            return Ok(Some(Frame::data(mem::take(&mut self.data))));
        }
        match self.body.fault() {
            Some(malformed) => Err(malformed),
            None => Ok(self.body.take_trailers().map(Frame::trailers)),
        }
    }

    /// The connection has ended; whether the body has too.
    pub fn close(&mut self) -> bool {
        self.persistent = false;
        self.body.close()
    }

    /// Whether there is no frame and none will come.
    pub fn is_done(&self) -> bool {
        self.data.is_empty() && self.body.is_done() && !self.body.has_trailers()
    }

    /// Whether the answer is over and its connection fit for another.
    pub fn is_reusable(&self) -> bool {
        self.persistent && self.is_done()
    }

    /// How much is to come, where the head told.
    pub fn size_hint(&self) -> SizeHint {
        let left = self.body.left();
        left.map_or_else(SizeHint::new, |left| SizeHint::with_exact(left + self.data.len() as u64))
    }

    /// What came after the head of an answer that agreed to an upgrade.
    pub fn into_early(self) -> Bytes {
        self.data
    }

    fn complete(&mut self, bytes: &mut [u8]) -> Result<Option<Response<()>>, Malformed> {
        let whole = Bytes::copy_from_slice(bytes);
        let mut begin = 0;
        loop {
            // Empty lines before it are allowed for requests alone (RFC 9112 section 2.2).
            if matches!(whole.get(begin), Some(b'\r' | b'\n')) {
                return Err(Malformed::Head);
            }
            let Some(head) = head::parse(&whole, begin, self.asked)? else {
                self.partial = whole.get(begin..).unwrap_or_default().to_vec();
                self.look_at = (self.partial.len() * 2).min(LARGEST + 1);
                return Ok(None);
            };
            begin += head.length;
            if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS {
                self.interim += 1;
                if self.interim > INTERIM {
                    return Err(Malformed::Interim);
                }
                continue;
            }
            return self.begin(head, &whole.slice(begin..), bytes.get_mut(begin..)).map(Some);
        }
    }

    /// The answer begins; what came with its head is there as it is shared, and as it may be changed.
    fn begin(
        &mut self,
        head: Head,
        shared: &Bytes,
        bytes: Option<&mut [u8]>,
    ) -> Result<Response<()>, Malformed> {
        let upgraded = head.status == StatusCode::SWITCHING_PROTOCOLS;
        if upgraded && self.asked != Asked::Upgrade {
            return Err(Malformed::Upgrade);
        }
        self.body = head.body;
        if upgraded || (self.asked == Asked::Connect && head.status.is_success()) {
            self.data = shared.clone();
        } else {
            let bytes = bytes.unwrap_or_default();
            let decoded = self.body.decode(bytes);
            self.persistent = head.persistent && decoded.used == bytes.len();
            self.data = if decoded.moved {
                Bytes::copy_from_slice(bytes.get(decoded.data).unwrap_or_default())
            } else {
                shared.slice(decoded.data)
            };
        }
        let mut response = Response::new(());
        *response.status_mut() = head.status;
        *response.headers_mut() = head.headers;
        Ok(response)
    }
}

/// Whether a head may end there.
fn has_end(bytes: Option<&[u8]>) -> bool {
    let bytes = bytes.unwrap_or_default();
    [&b"\n\r\n"[..], b"\n\n"].iter().any(|end| memmem::find(bytes, end).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_that_trickles_in_is_seldom_looked_at() {
        let answer = format!("HTTP/1.1 200 OK\r\n{}", "x: y\n".repeat(90));
        let (mut inbox, mut looks) = (Inbox::new(Asked::Content), 0);
        for byte in answer.bytes() {
            assert!(inbox.head(&mut [byte]).unwrap().is_none());
            looks += usize::from(inbox.look_at == inbox.partial.len() * 2);
        }
        assert!((5..12).contains(&looks), "{looks} looks at {} bytes", answer.len());
        assert_eq!(inbox.head(&mut [b'\n']).unwrap().unwrap().headers().len(), 90);
    }
}
