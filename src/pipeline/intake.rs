//! The request's body on its way in: JSON is gathered whole, up to a bound; anything else streams
//! through and is kept, up to a bound, for another try.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::Sleep;

use super::refusal::{Reason, Refusal};
use crate::serve::Incoming;
use crate::upstream::BoxError;

/// How much of a streamed body is kept for another try.
pub(super) const KEPT: usize = 256 * 1024;

/// How long a client may pause within a body.
const PAUSE: Duration = Duration::from_secs(30);

/// Gathers a body of at most `most` bytes. One that arrived in one piece is not copied.
pub(super) async fn gather(mut body: Incoming, most: u64) -> Result<Bytes, Refusal> {
    let hint = body.size_hint();
    if hint.lower() > most {
        return Err(too_large(most));
    }
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while !body.is_end_stream()
        && let Some(piece) = next_piece(&mut body).await?
    {
        let total = first.len() as u64 + rest.len() as u64 + piece.len() as u64;
        if total > most {
            return Err(too_large(most));
        }
        if first.is_empty() && rest.is_empty() {
            first = piece;
            continue;
        }
        if rest.is_empty() {
            let expected = hint.exact().unwrap_or(total).max(total).min(most);
            rest.reserve(usize::try_from(expected).unwrap_or_default());
            rest.extend_from_slice(&first);
            first = Bytes::new();
        }
        rest.extend_from_slice(&piece);
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

async fn next_piece(body: &mut Incoming) -> Result<Option<Bytes>, Refusal> {
    loop {
        let frame = match poll_fn(|cx| Poll::Ready(Pin::new(&mut *body).poll_frame(cx))).await {
            Poll::Ready(frame) => Ok(frame),
            // A pause is timed, and what has come already costs neither a timer nor the room for one.
            Poll::Pending => Box::pin(tokio::time::timeout(PAUSE, body.frame())).await,
        };
        let frame = match frame {
            Ok(Some(Ok(frame))) => frame,
            Ok(None) => return Ok(None),
            Ok(Some(Err(_))) => return Err(unreadable("the body ended before it was complete")),
            Err(_) => return Err(unreadable("the body stopped arriving for 30 s")),
        };
        if let Ok(piece) = frame.into_data()
            && !piece.is_empty()
        {
            return Ok(Some(piece));
        }
    }
}

pub(super) fn too_large(most: u64) -> Refusal {
    let message = format!(
        "the body is larger than {most} bytes, the bound of `server.maxBody` or of the caller's rule"
    );
    Refusal::new(Reason::BodyTooLarge, message)
}

fn unreadable(what: &str) -> Refusal {
    Refusal::new(Reason::InvalidRequest, what)
}

/// A body that streams through: each try replays what is kept and goes on with what still comes.
#[derive(Clone)]
pub(super) struct Replay(Arc<Mutex<Kept>>);

struct Kept {
    pieces: VecDeque<Bytes>,
    size: usize,
    /// Once more has flowed than is kept, the body cannot be sent again.
    spilled: bool,
    source: Option<Incoming>,
    /// The newest reader's number. A connection may still pull at the body of a try that was given
    /// up; what it took would be missing from the next.
    readers: u64,
}

impl Replay {
    /// Takes the client's body.
    pub(super) fn new(source: Incoming) -> Self {
        let kept = Kept {
            pieces: VecDeque::new(),
            size: 0,
            spilled: false,
            source: Some(source),
            readers: 0,
        };
        Self(Arc::new(Mutex::new(kept)))
    }

    /// Whether it can still be sent from its beginning.
    pub(super) fn whole(&self) -> bool {
        !self.lock().spilled
    }

    /// Whether it may turn out too large to be sent a second time.
    pub(super) fn may_spill(&self) -> bool {
        let kept = self.lock();
        let coming = kept.source.as_ref().map_or(Some(0), |source| source.size_hint().upper());
        kept.spilled || coming.is_none_or(|more| kept.size as u64 + more > KEPT as u64)
    }

    /// The body for one try; it takes the place of the one before.
    pub(super) fn reader(&self) -> ReplayBody {
        let mut kept = self.lock();
        kept.readers += 1;
        let number = kept.readers;
        let more = kept.source.as_ref().map_or(Some(0), |source| source.size_hint().exact());
        let left = more.map(|more| more + kept.size as u64);
        drop(kept);
        ReplayBody { replay: self.clone(), number, next: 0, left, pause: None }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.lock();
        f.debug_struct("Replay").field("kept", &kept.size).field("spilled", &kept.spilled).finish()
    }
}

/// One try's view of a [`Replay`].
#[derive(Debug)]
pub(super) struct ReplayBody {
    replay: Replay,
    number: u64,
    next: usize,
    /// Bytes still to come, if the client told.
    left: Option<u64>,
    /// How long the client may still pause, while it does.
    pause: Option<Pin<Box<Sleep>>>,
}

impl Body for ReplayBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let replay = self.replay.clone();
        let mut kept = replay.lock();
        if kept.readers != self.number {
            return Poll::Ready(Some(Err("another try has taken the body over".into())));
        }
        if let Some(piece) = kept.pieces.get(self.next).cloned() {
            self.next += 1;
            self.passed(&piece);
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let Some(source) = kept.source.as_mut() else { return Poll::Ready(None) };
        let Poll::Ready(frame) = Pin::new(source).poll_frame(cx) else {
            drop(kept);
            return self.poll_pause(cx).map(|()| Some(Err("the body stopped arriving".into())));
        };
        self.pause = None;
        match &frame {
            None => kept.source = None,
            Some(Ok(frame)) => {
                if let Some(piece) = frame.data_ref() {
                    kept.keep(piece);
                    self.next = kept.pieces.len();
                    self.passed(piece);
                }
            }
            Some(Err(_)) => {}
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl ReplayBody {
    fn passed(&mut self, piece: &Bytes) {
        self.left = self.left.map(|left| left.saturating_sub(piece.len() as u64));
    }

    /// Ready when the client has paused for too long: then neither connection nor capacity is held
    /// for it any more.
    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(PAUSE))).as_mut().poll(cx)
    }
}

impl Kept {
    fn keep(&mut self, piece: &Bytes) {
        self.size += piece.len();
        if self.size > KEPT {
            self.spilled = true;
            self.pieces.clear();
        }
        if !self.spilled {
            self.pieces.push_back(piece.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::serve::http1::{Feed, Length, begin};

    /// The body of a request under way, and the end into which its client writes.
    fn under_way() -> (Incoming, Feed) {
        let (incoming, feed, _) = begin(Length::Chunked, b"");
        (incoming, feed.unwrap())
    }

    fn feed(client: &mut Feed, piece: &str) {
        let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
        assert_eq!(client.take(chunk.as_bytes(), Waker::noop()), chunk.len());
    }

    async fn read(body: &mut ReplayBody) -> Option<Result<Bytes, BoxError>> {
        Some(body.frame().await?.map(|frame| frame.into_data().unwrap()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stops_sending_is_given_up_and_one_that_is_slow_is_not() {
        let (incoming, mut client) = under_way();
        let replay = Replay::new(incoming);
        let mut body = replay.reader();
        for _ in 0..5 {
            tokio::time::sleep(PAUSE * 9 / 10).await;
            feed(&mut client, "piece");
            assert_eq!(read(&mut body).await.unwrap().unwrap(), "piece");
        }
        let began = tokio::time::Instant::now();
        assert!(read(&mut body).await.unwrap().is_err());
        assert!((PAUSE..PAUSE * 2).contains(&began.elapsed()), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_second_reader_begins_anew_and_the_first_gets_nothing_more() {
        let (incoming, mut client) = under_way();
        let replay = Replay::new(incoming);
        let mut first = replay.reader();
        feed(&mut client, "one");
        assert_eq!(read(&mut first).await.unwrap().unwrap(), "one");
        let mut second = replay.reader();
        assert!(read(&mut first).await.unwrap().is_err());
        assert_eq!(read(&mut second).await.unwrap().unwrap(), "one");
        feed(&mut client, "two");
        assert_eq!(read(&mut second).await.unwrap().unwrap(), "two");
        client.take(b"0\r\n\r\n", Waker::noop());
        assert!(read(&mut second).await.is_none());
    }
}
