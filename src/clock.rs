//! Time as it is handed in: no room that decides anything reads a clock of its own.

use std::ops::Add;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// A point on a monotonic clock: nanoseconds since the process, or a simulation, began.
///
/// Arithmetic saturates at both ends, so that a provider's absurd number cannot wrap a wait around.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// The beginning.
    pub const ZERO: Self = Self(0);
    /// A moment that never comes.
    pub const NEVER: Self = Self(u64::MAX);

    /// The moment `nanos` nanoseconds after the beginning.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the beginning.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Both clocks, read once: the monotonic one for waiting, the wall's for what providers write.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The monotonic moment.
    pub at: Moment,
    /// The same instant in wall time.
    pub wall: Timestamp,
}

impl Now {
    /// The moment at which the wall clock will read `when`; now, if that is past.
    pub fn moment_of(self, when: Timestamp) -> Moment {
        let ahead = when.duration_since(self.wall);
        self.at + Duration::try_from(ahead).unwrap_or(Duration::ZERO)
    }

    /// What the wall clock will read at `moment`, clamped to what a timestamp can hold.
    pub fn wall_at(self, moment: Moment) -> Timestamp {
        let ahead = moment.since(self.at);
        let ahead = SignedDuration::try_from(ahead).unwrap_or(SignedDuration::MAX);
        self.wall.saturating_add(ahead).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_time_becomes_the_moment_at_which_it_is_reached() {
        let now = Now { at: Moment::from_nanos(5), wall: Timestamp::from_second(1_000).unwrap() };
        let when = Timestamp::from_second(1_002).unwrap();
        assert_eq!(now.moment_of(when), Moment::from_nanos(2_000_000_005));
        assert_eq!(now.wall_at(now.moment_of(when)), when);
        assert_eq!(now.moment_of(Timestamp::from_second(1).unwrap()), now.at, "the past is now");
    }

    #[test]
    fn absurd_delays_saturate() {
        assert_eq!(Moment::from_nanos(1) + Duration::MAX, Moment::NEVER);
        let now = Now { at: Moment::ZERO, wall: Timestamp::UNIX_EPOCH };
        assert!(now.wall_at(Moment::NEVER) > Timestamp::UNIX_EPOCH);
    }
}
