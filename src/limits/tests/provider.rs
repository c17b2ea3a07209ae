//! A provider's limits, counted exactly: the reference that the scales are held against.

use super::*;

/// A bucket of `limit` units a minute that holds `depth` of refilling, in units times nanoseconds.
#[derive(Clone, Debug)]
pub(super) struct Exact {
    limit: i128,
    window: i128,
    depth: i128,
    level: i128,
    at: Moment,
    /// What a refused request costs.
    pub(super) rejection: u64,
}

impl Exact {
    pub(super) fn per_minute(limit: u64) -> Self {
        Self::new(limit, MINUTE, MINUTE)
    }

    /// It begins full.
    pub(super) fn new(limit: u64, window: Duration, depth: Duration) -> Self {
        let nanos = |length: Duration| i128::try_from(length.as_nanos()).unwrap();
        let (limit, window) = (i128::from(limit), nanos(window));
        let depth = limit * nanos(depth);
        Self { limit, window, depth, level: depth, at: Moment::ZERO, rejection: 0 }
    }

    fn turn(&mut self, now: Moment) {
        let since = i128::try_from(now.since(self.at).as_nanos()).unwrap();
        self.level = (self.level + since * self.limit).min(self.depth);
        self.at = self.at.max(now);
    }

    /// Lets a request through or says when it would. A unit's fraction is forgiven, for the scales
    /// count in whole nanoseconds.
    pub(super) fn admit(&mut self, cost: u64, now: Moment) -> Result<(), Moment> {
        self.turn(now);
        let cost = i128::from(cost) * self.window;
        if self.level - cost > -self.window {
            self.level -= cost;
            return Ok(());
        }
        let missing = cost - self.level;
        self.level = (self.level - i128::from(self.rejection) * self.window).max(self.level.min(0));
        let wait = u64::try_from(missing / self.limit).unwrap();
        Err(now + Duration::from_nanos(wait))
    }

    /// Whole units that are left.
    pub(super) fn left(&mut self, now: Moment) -> u64 {
        self.turn(now);
        u64::try_from(self.level.max(0) / self.window).unwrap()
    }

    /// Its rate-limit headers, as OpenAI writes them.
    pub(super) fn headers(&mut self, dimension: Dimension, now: Moment) -> Sample {
        let left = self.left(now);
        let missing = (self.depth - self.level).max(0) / self.limit;
        Sample {
            dimension,
            limit: Some(u64::try_from(self.limit).unwrap()),
            remaining: Some(left),
            reset_in: Some(Duration::from_nanos(u64::try_from(missing).unwrap())),
            window: Some(Duration::from_nanos(u64::try_from(self.window).unwrap())),
        }
    }

    /// The account is granted another limit; what is there stays as far as it fits.
    pub(super) fn resize(&mut self, limit: u64, now: Moment) {
        self.turn(now);
        self.depth = self.depth / self.limit * i128::from(limit);
        self.limit = i128::from(limit);
        self.level = self.level.min(self.depth);
    }
}

/// A counter that is emptied at the end of each window.
#[derive(Clone, Debug)]
pub(super) struct Emptied {
    limit: u64,
    window: Duration,
    used: u64,
    ends: Moment,
    phase: Option<Duration>,
}

impl Emptied {
    pub(super) const fn after_first_use(limit: u64, window: Duration) -> Self {
        Self { limit, window, used: 0, ends: Moment::ZERO, phase: None }
    }

    /// Windows that ended so long after the beginning of time, and every window's length after that.
    pub(super) const fn in_phase(limit: u64, window: Duration, phase: Duration) -> Self {
        Self { phase: Some(phase), ..Self::after_first_use(limit, window) }
    }

    pub(super) fn admit(&mut self, cost: u64, now: Moment) -> bool {
        if now >= self.ends {
            self.used = 0;
            let begun = self.phase.map_or(now, |phase| {
                let since = now.since(Moment::ZERO + phase).as_nanos();
                let windows = u32::try_from(since / self.window.as_nanos()).unwrap();
                Moment::ZERO + phase + self.window * windows
            });
            self.ends = begun + self.window;
        }
        self.used += cost;
        self.used <= self.limit
    }
}

/// Random numbers that are the same each time.
#[derive(Clone, Debug)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Between nothing and one.
    pub(super) fn unit(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A time between two of `rate` arrivals a second.
    pub(super) fn gap(&mut self, rate: f64) -> Duration {
        Duration::from_secs_f64(-(1.0 - self.unit()).ln() / rate)
    }
}
