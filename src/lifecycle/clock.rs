//! The one clock. Everything that decides is handed what it reads.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::clock::{Moment, Now};

/// Reads both clocks. Copies agree, for they count from the same beginning.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began: Instant,
}

impl Clock {
    /// A clock whose beginning is this moment.
    #[expect(clippy::disallowed_methods, reason = "the one reader of the clock")]
    pub fn start() -> Self {
        // A little after zero, so that "a second before the beginning" is still a moment.
        let now = Instant::now();
        Self { began: now.checked_sub(Duration::from_secs(1)).unwrap_or(now) }
    }

    /// Both clocks, read once.
    pub fn now(&self) -> Now {
        Now { at: self.moment(), wall: self.wall() }
    }

    /// The wall's clock alone.
    pub fn wall(&self) -> Timestamp {
        Timestamp::now()
    }

    /// The monotonic clock alone, which is cheaper.
    pub fn moment(&self) -> Moment {
        Moment::ZERO + self.began.elapsed()
    }

    /// The runtime's instant at which `moment` is reached; far ahead, for one that never is.
    pub fn instant(&self, moment: Moment) -> tokio::time::Instant {
        let since = moment.since(Moment::ZERO).min(FAR);
        tokio::time::Instant::from_std(self.began) + since
    }
}

/// Further ahead than any process lives, and still a valid instant.
const FAR: Duration = Duration::from_hours(24 * 365 * 30);
