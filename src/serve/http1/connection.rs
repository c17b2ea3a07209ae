//! One connection: request after request, until either side has enough.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::encode;
use super::exchange::{Exchange, Outcome};
use super::head::BadHead;
use super::inbox::{Inbox, Step};
use super::patience::Patience;
use super::wire::{Batch, Wire};
use crate::lifecycle::{Clock, Drain};
use crate::serve::Handler;
use crate::serve::rewound::Rewound;
use crate::serve::upgrade::Handover;

/// How long a client that still sends is heard out after the last answer: were the connection
/// closed at once, its system would throw that answer away.
const LINGER: Duration = Duration::from_secs(5);

/// Bytes that are heard out behind a head that was refused, and of a body that nobody wants.
const BEHIND_BAD_HEAD: u64 = 1024 * 1024;
const BEHIND_ANSWER: u64 = 64 * 1024 * 1024;

/// A client's connection.
#[derive(Debug)]
pub(in crate::serve) struct Connection {
    pub(super) wire: Wire,
    pub(super) inbox: Inbox,
    pub(super) patience: Patience,
    pub(super) clock: Clock,
}

/// What came of a connection.
#[derive(Debug)]
pub(in crate::serve) enum End {
    /// It is over.
    Over,
    /// The client speaks HTTP/2.
    Http2,
    /// It speaks another protocol, and is to be handed over.
    Switched(Handover),
}

impl Connection {
    pub(in crate::serve) fn new(stream: TcpStream, clock: Clock) -> Self {
        let (wire, inbox) = (Wire::new(stream), Inbox::default());
        Self { wire, inbox, patience: Patience::default(), clock }
    }

    /// Serves request after request. At the drain's closing, a request that has begun to come is
    /// still served, and none after it.
    pub(in crate::serve) async fn serve<H: Handler>(&mut self, handler: &H, drain: &Drain) -> End {
        let mut closing = pin!(drain.closing());
        let mut closes = false;
        loop {
            let step = tokio::select! {
                biased;
                step = poll_fn(|cx| self.poll_step(cx)) => step,
                () = &mut closing, if !closes => {
                    closes = true;
                    if self.inbox.held().is_empty() {
                        return End::Over;
                    }
                    continue;
                }
            };
            let received = match step {
                Step::Request(received) => received,
                Step::Http2 => return End::Http2,
                Step::Bad(bad) => {
                    Box::pin(self.refuse(bad)).await;
                    return End::Over;
                }
                Step::More | Step::Over => return End::Over,
            };
            let (answering, mut exchange) = Exchange::begin(*received, handler);
            match self.exchange(answering, &mut exchange, drain).await {
                Outcome::Next => self.patience.renew(),
                Outcome::Closed => return End::Over,
                Outcome::Unheard => {
                    Box::pin(self.linger(BEHIND_ANSWER)).await;
                    return End::Over;
                }
                Outcome::Switched(handover) => return End::Switched(handover),
            }
        }
    }

    /// The connection's bytes, from the first that was not used.
    pub(in crate::serve) fn into_rewound(self) -> Rewound {
        Rewound::new(self.inbox.into_bytes(), self.wire.stream)
    }

    /// The next request, or what comes in its place.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        let mut step = self.inbox.next();
        while matches!(step, Step::More) {
            let inbox = &mut self.inbox;
            match self.wire.poll_read(cx, |bytes| inbox.push(bytes)) {
                Poll::Ready(Ok(next)) => step = next,
                Poll::Ready(Err(_)) => step = Step::Over,
                Poll::Pending => {
                    ready!(self.patience.poll_end(cx));
                    step = Step::Over;
                }
            }
            self.patience.heard();
        }
        self.patience.renew();
        Poll::Ready(step)
    }

    /// Answers what cannot be understood.
    async fn refuse(&mut self, bad: BadHead) {
        let clock = self.clock;
        let mut batch = Some(Batch::new());
        let sent = poll_fn(|cx| {
            if let Some(mut batch) = batch.take() {
                encode::refusal(&mut batch.text, bad.status(), &clock);
                self.wire.send(cx, &mut batch)?;
            }
            while !self.wire.is_flushed() {
                if self.patience.poll_end(cx).is_ready() {
                    return Poll::Ready(Err(io::Error::from(io::ErrorKind::TimedOut)));
                }
                ready!(self.wire.poll_flush(cx))?;
            }
            Poll::Ready(Ok(()))
        });
        if sent.await.is_ok() {
            self.linger(BEHIND_BAD_HEAD).await;
        }
    }

    /// Says that this was the last answer, and hears the client out.
    async fn linger(&mut self, most: u64) {
        let heard_out = async {
            self.wire.stream.shutdown().await?;
            let mut rest = (&mut self.wire.stream).take(most);
            tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
        };
        // However it ends, the connection is closed.
        drop(timeout(LINGER, heard_out).await);
    }
}
