//! One request and its answer.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body;

use super::body::Feed;
use super::connection::Connection;
use super::encode::{self, After, Asked, Measure};
use super::head::Head;
use super::inbox::Received;
use super::reply::Reply;
use super::wire::Batch;
use crate::lifecycle::Drain;
use crate::serve::Handler;
use crate::serve::upgrade::{Handover, OnUpgrade};

/// Bytes of a body that nobody wants which are read to keep the connection; for more it is closed.
const REMAINDER: usize = 64 * 1024;

/// A request under way.
#[derive(Debug)]
pub(super) struct Exchange {
    asked: Asked,
    /// Whether the client goes on with the connection.
    persistent: bool,
    /// Whether it waits with its body for a `100 Continue`.
    expects: bool,
    /// The rest of its body.
    feed: Option<Feed>,
    handover: Option<Handover>,
}

/// What becomes of the connection.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The next request may come.
    Next,
    /// It is to be closed.
    Closed,
    /// It is to be closed, and the client has not been heard out.
    Unheard,
    /// It speaks another protocol.
    Switched(Handover),
}

/// The client has left or does not take its answer, or the answer broke off.
#[derive(Debug)]
struct Gone;

impl Exchange {
    /// Gives the handler what came in as a request, and keeps the connection's side of it.
    ///
    /// The handler's future is boxed, and let go of as soon as it has answered: a stream flows for
    /// long after that.
    pub(super) fn begin<H: Handler>(
        received: Received,
        handler: &H,
    ) -> (Pin<Box<impl Future<Output = Response<H::Body>> + Send>>, Self) {
        let Received { head: Head { parts, persistent, expects, upgrades, .. }, body, feed } =
            received;
        let asked = Asked {
            head_only: parts.method == Method::HEAD,
            is_10: parts.version == Version::HTTP_10,
        };
        let mut request = Request::from_parts(parts, body);
        let handover = upgrades.then(|| {
            let (handover, on_upgrade) = OnUpgrade::new();
            request.extensions_mut().insert(on_upgrade);
            handover
        });
        let exchange = Self { asked, persistent, expects, feed, handover };
        (Box::pin(handler.handle(request)), exchange)
    }

    /// Whether the request's body has been read to its end.
    fn is_heard(&self) -> bool {
        self.feed.as_ref().is_none_or(Feed::is_complete)
    }
}

impl Connection {
    /// Has one request answered.
    pub(super) async fn exchange<B: Body<Data = Bytes> + Unpin>(
        &mut self,
        answering: Pin<Box<impl Future<Output = Response<B>>>>,
        exchange: &mut Exchange,
        drain: &Drain,
    ) -> Outcome {
        let mut answering = Some(answering);
        let mut reply = None;
        let mut after = After::Closes;
        let answered = poll_fn(|cx| {
            let mut batch = Batch::new();
            if let Some(future) = &mut answering {
                let response = ready!(self.poll_answer(cx, future.as_mut(), exchange))?;
                answering = None;
                exchange.persistent &= !drain.is_closing();
                let (begun, what) = self.begin_reply(cx, response, exchange, &mut batch);
                (reply, after) = (Some(begun), what);
            }
            let Some(reply) = &mut reply else { return Poll::Ready(Ok(())) };
            ready!(self.poll_reply(cx, reply, exchange, &mut batch))?;
            if after == After::Stays && !self.hear_out(cx, exchange) {
                after = After::Closes;
            }
            Poll::Ready(Ok::<_, Gone>(()))
        });
        if answered.await.is_err() {
            return Outcome::Closed;
        }
        match (after, exchange.handover.take()) {
            (After::Switches, Some(handover)) => Outcome::Switched(handover),
            (After::Stays, _) => Outcome::Next,
            _ if exchange.is_heard() && self.inbox.held().is_empty() => Outcome::Closed,
            _ => Outcome::Unheard,
        }
    }

    /// The handler's turn, and the client's as far as the handler or its leaving asks for it.
    fn poll_answer<B>(
        &mut self,
        cx: &mut Context<'_>,
        mut answering: Pin<&mut impl Future<Output = Response<B>>>,
        exchange: &mut Exchange,
    ) -> Poll<Result<Response<B>, Gone>> {
        loop {
            if let Poll::Ready(response) = answering.as_mut().poll(cx) {
                return Poll::Ready(Ok(response));
            }
            ready!(self.poll_inbound(cx, exchange))?;
        }
    }

    /// Writes the head of an answer, and says what becomes of the connection behind it.
    fn begin_reply<B: Body<Data = Bytes> + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        response: Response<B>,
        exchange: &mut Exchange,
        batch: &mut Batch,
    ) -> (Reply<B>, After) {
        let (mut parts, body) = response.into_parts();
        let switches =
            parts.status == StatusCode::SWITCHING_PROTOCOLS && exchange.handover.is_some();
        if parts.status.is_informational() && !switches {
            // No last word.
            parts.status = StatusCode::INTERNAL_SERVER_ERROR;
        }
        let asked = exchange.asked;
        let measure = Measure::of(asked, parts.status, &body);
        let after = if switches {
            After::Switches
        } else if exchange.persistent
            && measure != Measure::Close
            && self.will_be_heard(cx, exchange)
        {
            After::Stays
        } else {
            After::Closes
        };
        // From here on it would be read as part of the answer.
        exchange.expects = false;
        encode::head(&mut batch.text, &parts, asked, (measure, after), &self.clock);
        (Reply::new(body, measure, asked.head_only), after)
    }

    /// Writes what there is of an answer, until all of it is with the client's system.
    fn poll_reply<B: Body<Data = Bytes> + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        reply: &mut Reply<B>,
        exchange: &mut Exchange,
        batch: &mut Batch,
    ) -> Poll<Result<(), Gone>> {
        loop {
            if !self.wire.is_flushed() {
                // In its turn.
                self.wire.send(cx, batch).map_err(|_| Gone)?;
                match self.wire.poll_flush(cx) {
                    Poll::Ready(flushed) => flushed.map_err(|_| Gone)?,
                    Poll::Pending => return self.poll_stalled(cx, exchange),
                }
                self.patience.renew();
                continue;
            }
            reply.fill(cx, batch);
            if !batch.is_empty() {
                self.wire.send(cx, batch).map_err(|_| Gone)?;
                continue;
            }
            if reply.is_broken() {
                if reply.ends_by_close() {
                    // It would look like the proper end.
                    drop(self.wire.stream.set_zero_linger());
                }
                return Poll::Ready(Err(Gone));
            }
            if reply.is_over() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_inbound(cx, exchange))?;
        }
    }

    /// The client takes nothing for now.
    fn poll_stalled(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &mut Exchange,
    ) -> Poll<Result<(), Gone>> {
        while self.poll_inbound(cx, exchange)?.is_ready() {}
        self.patience.poll_end(cx).map(|()| Err(Gone))
    }

    /// Reads on of the request's body, if the handler waits for it; ready when there is news. Behind
    /// the body it watches for the client's leaving, which ends the exchange.
    fn poll_inbound(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &mut Exchange,
    ) -> Poll<Result<(), Gone>> {
        let inbox = &mut self.inbox;
        match &mut exchange.feed {
            Some(feed) if !feed.has_ended() => {
                ready!(feed.poll_wanted(cx));
                if std::mem::take(&mut exchange.expects) {
                    let mut batch = Batch::new();
                    batch.text.extend_from_slice(encode::CONTINUE);
                    self.wire.send(cx, &mut batch).map_err(|_| Gone)?;
                }
                let waker = cx.waker().clone();
                let read = self.wire.poll_read(cx, |bytes| {
                    let used = feed.take(bytes, &waker);
                    inbox.hold(bytes.get(used..).unwrap_or_default());
                });
                ready!(read).map_err(|_| Gone)?;
                Poll::Ready(Ok(()))
            }
            // It broke off: what follows is not to be understood.
            Some(feed) if !feed.is_complete() => Poll::Pending,
            // The next request is here already.
            Some(_) | None if !inbox.held().is_empty() => Poll::Pending,
            Some(_) | None => {
                let read = self.wire.poll_read(cx, |bytes| {
                    inbox.hold(bytes);
                    !bytes.is_empty()
                });
                match ready!(read) {
                    Ok(true) => Poll::Pending,
                    Ok(false) | Err(_) => Poll::Ready(Err(Gone)),
                }
            }
        }
    }

    /// Whether the rest of the request's body need not keep the next request from being read.
    fn will_be_heard(&mut self, cx: &mut Context<'_>, exchange: &mut Exchange) -> bool {
        let Some(feed) = exchange.feed.as_ref().filter(|feed| !feed.is_complete()) else {
            return true;
        };
        if exchange.expects || feed.has_ended() {
            // The client may send it or not, or it makes no sense.
            return false;
        }
        !feed.is_abandoned() || self.hear_out(cx, exchange)
    }

    /// Reads what has come of a body that nobody wants, and says whether that was the rest of it.
    fn hear_out(&mut self, cx: &mut Context<'_>, exchange: &mut Exchange) -> bool {
        let Some(feed) = &mut exchange.feed else { return true };
        let (inbox, mut left) = (&mut self.inbox, REMAINDER);
        while !feed.is_complete() && left > 0 {
            let read = self.wire.poll_read(cx, |bytes| {
                let used = feed.discard(bytes)?;
                inbox.hold(bytes.get(used..).unwrap_or_default());
                Some(bytes.len())
            });
            match read {
                Poll::Ready(Ok(Some(read @ 1..))) => left = left.saturating_sub(read),
                Poll::Ready(_) | Poll::Pending => return false,
            }
        }
        feed.is_complete()
    }
}
