//! The connections to one destination.
//!
//! HTTP/1.1 connections carry one exchange at a time: the one that rested last is used first, so
//! that those which a burst left over grow old and go. HTTP/2 connections carry many: the oldest
//! with room is used first, for the same reason.

mod reaper;

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;
use tokio::time::sleep;

use super::destination::Destination;
use super::dial::{Dialled, Offer, dial};
use super::error::{Fault, Phase, SendError, Sent};
use super::http1::{Afterwards, Http1};
use super::http2::{Http2, Slot};
use super::patience::Timeouts;
use super::resolve::Resolver;
use super::spawn::spawn;

/// HTTP/1.1 connections that rest at once; more are closed.
const RESTING: usize = 256;

/// HTTP/2 connections to one destination, opened or being opened.
const SHARED: usize = 64;

/// What a peer's stream limit is taken for before it is known (RFC 9113 section 6.5.2 recommends no
/// smaller one).
const USUAL_STREAMS: usize = 100;

/// The connections of one worker to one destination.
pub(super) struct Pool {
    pub(super) place: Arc<str>,
    timeouts: Timeouts,
    destination: Weak<Destination>,
    resolver: Resolver,
    state: Mutex<State>,
    /// HTTP/1.1 connections (opening, busy and resting), and how many there may be.
    seats: AtomicUsize,
    most: usize,
    /// Requests that wait for a connection which is not theirs alone to open.
    waiting: AtomicUsize,
    changed: Notify,
    reaping: AtomicBool,
}

struct State {
    /// The one that rested last at the end.
    #[expect(clippy::vec_box, reason = "half a kilobyte each, and on their way from hand to hand")]
    resting: Vec<Box<Http1>>,
    /// The oldest first.
    shared: Vec<Arc<Http2>>,
    /// Connections being opened that may turn out to be shared.
    opening: usize,
    /// What the last connection spoke.
    speaks: Option<Speaks>,
    /// Connections that could not be opened, and why the last one could not: told to all who waited.
    failures: u64,
    failure: Option<SendError>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Speaks {
    Http1,
    Http2,
}

/// A connection, or a part of one, for one exchange.
pub(super) enum Line {
    Http1(Box<Http1>),
    Http2(Slot),
}

/// Which connection will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Any.
    Any,
    /// None that has rested: one has just proved dead.
    Fresh,
}

/// One of the HTTP/1.1 connections that may be open at once.
pub(super) struct Seat(Weak<Pool>);

/// A connection being opened that may turn out to be shared.
struct Opening(Arc<Pool>);

/// A request that waits.
struct Waiting<'a>(&'a Pool);

enum Step {
    Take(Line),
    Open(Option<Seat>, Option<Opening>),
    Fail(SendError),
    Wait,
}

impl Pool {
    pub(super) fn new(destination: &Arc<Destination>, most: usize) -> Arc<Self> {
        // Without TLS there is nothing to agree on the version with.
        let speaks = if destination.secure.is_none() { Some(Speaks::Http1) } else { None };
        Arc::new(Self {
            place: Arc::clone(&destination.place),
            timeouts: destination.timeouts,
            destination: Arc::downgrade(destination),
            resolver: Resolver::new(),
            state: Mutex::new(State {
                resting: Vec::new(),
                shared: Vec::new(),
                opening: 0,
                speaks,
                failures: 0,
                failure: None,
            }),
            seats: AtomicUsize::new(0),
            most,
            waiting: AtomicUsize::new(0),
            changed: Notify::new(),
            reaping: AtomicBool::new(false),
        })
    }

    /// A connection for one exchange: at rest, with room, or new.
    pub(super) async fn acquire(
        self: &Arc<Self>,
        destination: &Destination,
        need: Need,
    ) -> Result<Line, SendError> {
        if need == Need::Any
            && let Some(line) = self.at_hand()
        {
            return Ok(line);
        }
        Box::pin(self.acquire_slowly(destination, need)).await
    }

    /// A connection for one upgrade.
    pub(super) async fn acquire_apart(
        self: &Arc<Self>,
        destination: &Destination,
    ) -> Result<Box<Http1>, SendError> {
        let seat = self.seat_in_time().await?;
        let dialled = dial(destination, &self.resolver, Offer::Http1).await?;
        Ok(self.http1(dialled, seat, Afterwards::Close))
    }

    /// Takes a connection back after its exchange.
    pub(super) fn give_back(self: &Arc<Self>, line: Box<Http1>) {
        let Some(line) = line.rest() else { return };
        let mut state = self.state();
        if state.resting.len() < RESTING {
            state.resting.push(line);
        }
        drop(state);
        self.freed();
        self.reap();
    }

    /// Someone who waits may go on.
    pub(super) fn freed(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.changed.notify_one();
        }
    }

    /// Everyone who waits should look again.
    pub(super) fn changed(&self) {
        self.changed.notify_waiters();
    }

    /// A stream where there is room, or the connection that rested last. Whether that one still lives
    /// shows when it is used: if not, the request comes back unsent.
    fn at_hand(self: &Arc<Self>) -> Option<Line> {
        let mut state = self.state();
        let Some(slot) = state.slot(self) else {
            return state.resting.pop().map(Line::Http1);
        };
        let opening = state.is_scarce().then(|| self.opening(&mut state));
        drop(state);
        if let Some(opening) = opening {
            spawn(ahead(opening));
        }
        Some(Line::Http2(slot))
    }

    async fn acquire_slowly(
        self: &Arc<Self>,
        destination: &Destination,
        need: Need,
    ) -> Result<Line, SendError> {
        let _waiting = Waiting::new(self);
        let seen = self.state().failures;
        let mut overdue = pin!(sleep(self.timeouts.connect));
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            match self.step(need, seen) {
                Step::Take(line) => return Ok(line),
                Step::Open(seat, opening) => return self.open(destination, seat, opening).await,
                Step::Fail(error) => return Err(error),
                Step::Wait => {}
            }
            tokio::select! {
                () = changed => {}
                () = &mut overdue => return Err(self.fail(Fault::Timeout(Phase::Place))),
            }
        }
    }

    fn step(self: &Arc<Self>, need: Need, seen: u64) -> Step {
        if need == Need::Any
            && let Some(line) = self.at_hand()
        {
            return Step::Take(line);
        }
        let mut state = self.state();
        if let Some(slot) = state.slot(self) {
            return Step::Take(Line::Http2(slot));
        }
        if state.speaks == Some(Speaks::Http1) {
            drop(state);
            return self.seat().map_or(Step::Wait, |seat| Step::Open(Some(seat), None));
        }
        if let Some(error) = state.failure.clone().filter(|_| state.failures != seen) {
            return Step::Fail(error);
        }
        if state.is_enough_under_way(self.waiting.load(Ordering::Relaxed)) {
            return Step::Wait;
        }
        Step::Open(None, Some(self.opening(&mut state)))
    }

    /// Opens a connection, shared if it can be, and takes the first place on it.
    async fn open(
        self: &Arc<Self>,
        destination: &Destination,
        seat: Option<Seat>,
        opening: Option<Opening>,
    ) -> Result<Line, SendError> {
        let opened = self.open_any(destination, seat).await;
        if let (Err(error), Some(_)) = (&opened, &opening) {
            let mut state = self.state();
            state.failures += 1;
            state.failure = Some(error.clone());
        }
        drop(opening);
        opened
    }

    async fn open_any(
        self: &Arc<Self>,
        destination: &Destination,
        seat: Option<Seat>,
    ) -> Result<Line, SendError> {
        let dialled = dial(destination, &self.resolver, Offer::Any).await?;
        if !dialled.http2 {
            self.state().speaks = Some(Speaks::Http1);
            let seat = match seat.or_else(|| self.seat()) {
                Some(seat) => seat,
                None => self.seat_in_time().await?,
            };
            return Ok(Line::Http1(self.http1(dialled, seat, Afterwards::Keep)));
        }
        let http2 = Http2::open(dialled.stream, self).await;
        let http2 = http2.map_err(|error| self.fail(Fault::Protocol).caused_by(error))?;
        let mut state = self.state();
        state.speaks = Some(Speaks::Http2);
        let slot = http2.take(self).ok_or_else(|| self.fail(Fault::Broken))?;
        state.shared.push(http2);
        drop(state);
        self.reap();
        Ok(Line::Http2(slot))
    }

    fn http1(&self, dialled: Dialled, seat: Seat, afterwards: Afterwards) -> Box<Http1> {
        Http1::new(dialled.stream, self.timeouts, seat, afterwards)
    }

    /// A seat, if need be that of a connection at rest.
    fn seat(self: &Arc<Self>) -> Option<Seat> {
        if self.seats.load(Ordering::Relaxed) >= self.most {
            let rested = self.state().resting.pop();
            drop(rested);
        }
        let taken = self.seats.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |seats| {
            (seats < self.most).then_some(seats + 1)
        });
        taken.is_ok().then(|| Seat(Arc::downgrade(self)))
    }

    async fn seat_in_time(self: &Arc<Self>) -> Result<Seat, SendError> {
        let _waiting = Waiting::new(self);
        let mut overdue = pin!(sleep(self.timeouts.connect));
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(seat) = self.seat() {
                return Ok(seat);
            }
            tokio::select! {
                () = changed => {}
                () = &mut overdue => return Err(self.fail(Fault::Timeout(Phase::Place))),
            }
        }
    }

    fn opening(self: &Arc<Self>, state: &mut State) -> Opening {
        state.opening += 1;
        Opening(Arc::clone(self))
    }

    fn fail(&self, fault: Fault) -> SendError {
        SendError::new(&self.place, fault, Sent::No)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a shared connection before it is needed. Its failure is nobody's: who needs it will try.
async fn ahead(opening: Opening) {
    let pool = Arc::clone(&opening.0);
    if let Some(destination) = pool.destination.upgrade() {
        match pool.open_any(&destination, None).await {
            Ok(Line::Http1(line)) => pool.give_back(line),
            Ok(Line::Http2(_)) | Err(_) => {}
        }
    }
}

impl State {
    fn slot(&mut self, pool: &Arc<Pool>) -> Option<Slot> {
        if self.shared.is_empty() {
            return None;
        }
        self.shared.retain(|http2| http2.is_open());
        self.shared.iter().find_map(|http2| http2.take(pool))
    }

    /// Whether the streams run out so soon that another connection should be opened ahead: an
    /// eighth of a connection is left, or none.
    fn is_scarce(&self) -> bool {
        let Some(last) = self.shared.last() else { return false };
        self.opening == 0
            && self.shared.len() < SHARED
            && last.is_settled()
            && last.room() <= last.limit() / 8
            && self.shared.iter().map(|http2| http2.room()).sum::<usize>() <= last.limit() / 8
    }

    /// Whether those who wait can all be served by what is being opened, or nothing more may be.
    fn is_enough_under_way(&self, waiting: usize) -> bool {
        let limit_unknown = self.shared.iter().any(|http2| !http2.is_settled());
        let streams = self.shared.last().map_or(USUAL_STREAMS, |http2| http2.limit());
        limit_unknown
            || self.shared.len() + self.opening >= SHARED
            || self.opening * streams >= waiting
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(pool) = self.0.upgrade() {
            pool.seats.fetch_sub(1, Ordering::Relaxed);
            pool.freed();
        }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.0.state().opening -= 1;
        self.0.changed();
    }
}

impl<'a> Waiting<'a> {
    fn new(pool: &'a Pool) -> Self {
        pool.waiting.fetch_add(1, Ordering::Relaxed);
        Self(pool)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
