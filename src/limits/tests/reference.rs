//! Every kind of window against an exact count of it, in whole numbers and with all history kept.

use proptest::prelude::*;

use super::*;

/// Units taken at a time, in order; what one took may turn out to have been less or more.
#[derive(Default)]
struct History {
    taken: Vec<(u64, i128)>,
}

/// How a limit of 1,000 units a minute gives back.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Refill,
    Fixed,
    Rolling,
    Sliced,
}

const AMOUNT: i128 = 1_000;
const WINDOW: i128 = 60_000_000_000;
const SLICE: u64 = 6_000_000_000;

impl Kind {
    fn window(self) -> Window {
        match self {
            Self::Refill => Window::Refill(MINUTE),
            Self::Fixed => Window::Fixed(MINUTE),
            Self::Rolling => Window::Rolling(MINUTE),
            Self::Sliced => Window::Sliced { window: MINUTE, slice: Duration::from_nanos(SLICE) },
        }
    }
}

impl History {
    /// What is left of a bucket, in units times nanoseconds, replayed from the beginning.
    fn bucket(&self, now: u64) -> i128 {
        let (mut level, mut at) = (AMOUNT * WINDOW, 0);
        for (when, units) in &self.taken {
            level = (level + i128::from(when - at) * AMOUNT).min(AMOUNT * WINDOW);
            level -= units * WINDOW;
            at = *when;
        }
        (level + i128::from(now - at) * AMOUNT).min(AMOUNT * WINDOW)
    }

    /// The most that was taken in any stretch of that length.
    fn most_in(&self, length: u64) -> i128 {
        let from = |start: u64| {
            let stretch = self.taken.iter().filter(|(at, _)| (start..start + length).contains(at));
            stretch.map(|(_, units)| *units).sum::<i128>()
        };
        self.taken.iter().map(|(at, _)| from(*at)).max().unwrap_or(0)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Reserve(u64),
    Settle(usize, u64),
    Cancel(usize),
    Forfeit(usize),
    Flow(usize, u64),
    Tick(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..700_u64).prop_map(Step::Reserve),
        3 => (any::<usize>(), 0..700_u64).prop_map(|(i, c)| Step::Settle(i, c)),
        1 => any::<usize>().prop_map(Step::Cancel),
        1 => any::<usize>().prop_map(Step::Forfeit),
        1 => (any::<usize>(), 0..900_u64).prop_map(|(i, c)| Step::Flow(i, c)),
        4 => (0..20_000_000_000_u64).prop_map(Step::Tick),
    ]
}

/// Plays steps against one limit; `shrink` bounds what is settled by what was reserved.
struct Play {
    ledger: Ledger,
    history: History,
    open: Vec<(usize, Reservation)>,
    now: u64,
}

impl Play {
    fn new(kind: Kind) -> Self {
        let rule = Rule::new(Measure::Of(Dimension::Tokens), 1_000, kind.window());
        let ledger = Ledger::new(&[rule], Learning::Off);
        Self { ledger, history: History::default(), open: Vec::new(), now: 1_000_000_000 }
    }

    fn now(&self) -> Moment {
        Moment::from_nanos(self.now)
    }

    fn step(&mut self, step: &Step) {
        let now = self.now();
        match *step {
            Step::Reserve(cost) => {
                if let Ok(reservation) = self.ledger.reserve(&tokens(cost), now) {
                    self.open.push((self.history.taken.len(), reservation));
                    self.history.taken.push((self.now, i128::from(cost)));
                }
            }
            Step::Settle(i, actual) => {
                if let Some((at, reservation)) = self.pick(i) {
                    self.end(at, actual);
                    self.ledger.settle(reservation, &tokens(actual), now);
                }
            }
            Step::Cancel(i) => {
                if let Some((at, reservation)) = self.pick(i) {
                    self.end(at, 0);
                    self.ledger.cancel(reservation, now);
                }
            }
            Step::Forfeit(i) => {
                if let Some((_, reservation)) = self.pick(i) {
                    self.ledger.forfeit(reservation, now);
                }
            }
            Step::Flow(i, so_far) => {
                if let Some((at, mut reservation)) = self.pick(i) {
                    self.ledger.flow(&mut reservation, &tokens(so_far), now);
                    let taken = self.total(at);
                    self.end(at, taken.max(so_far));
                    self.open.push((at, reservation));
                }
            }
            Step::Tick(nanos) => self.now += nanos,
        }
    }

    fn pick(&mut self, index: usize) -> Option<(usize, Reservation)> {
        (!self.open.is_empty()).then(|| self.open.swap_remove(index % self.open.len()))
    }

    /// What the request took that began the entry at that place, later charges of its own included.
    fn total(&self, at: usize) -> u64 {
        u64::try_from(self.history.taken[at].1).unwrap()
    }

    /// A request took so much in the end: less was never taken, more is taken now.
    fn end(&mut self, at: usize, actual: u64) {
        let taken = self.history.taken[at].1;
        let actual = i128::from(actual);
        self.history.taken[at].1 = taken.min(actual);
        if actual > taken {
            self.history.taken.push((self.now, actual - taken));
        }
    }
}

/// Charges within a four-thousandth of a window are taken for one.
const SLACK: i128 = WINDOW / 4_000 * AMOUNT;

proptest! {
    /// P1 (I3, I4, I5): whatever is reserved, cancelled, settled, forfeited and overrun, the bucket is
    /// as full as one that knew from the beginning what each request would come to.
    #[test]
    fn a_bucket_is_as_full_as_if_it_had_known_all_along(
        steps in prop::collection::vec(any_step(), 0..120),
    ) {
        let mut play = Play::new(Kind::Refill);
        for step in &steps {
            if let Step::Flow(..) = step {
                continue;
            }
            play.step(step);
            let exact = play.history.bucket(play.now);
            let level = play.ledger.levels(play.now()).next().unwrap().level;
            let level = (level * 1e12) as i128 * AMOUNT * (WINDOW / 1_000_000_000) / 1_000;
            let off = (level - exact).abs();
            prop_assert!(off < SLACK, "{level} is not {exact} after {step:?}");
        }
        for cost in [1, 100, 500, 1_000] {
            let passes = play.ledger.check(&tokens(cost), play.now()).is_ok();
            let left = play.history.bucket(play.now) - i128::from(cost) * WINDOW;
            prop_assert!(passes == (left >= 0) || left.abs() <= SLACK, "{cost}: {left}");
        }
    }

    /// I1: in no stretch of time is more charged than the window allows and what came back in it,
    /// but for the one request that ran past its reservation.
    #[test]
    fn no_stretch_of_time_sees_more_than_its_window_allows(
        kind in prop::sample::select(vec![Kind::Refill, Kind::Fixed, Kind::Rolling, Kind::Sliced]),
        steps in prop::collection::vec(any_step(), 0..120),
        length in prop::sample::select(vec![1_u64, SLICE, 60_000_000_000, 90_000_000_000]),
    ) {
        let mut play = Play::new(kind);
        for step in &steps {
            // Nothing is overrun here: that is debt, and comes on top by its very meaning.
            let step = match step {
                Step::Settle(i, actual) if !play.open.is_empty() => {
                    let at = play.open[i % play.open.len()].0;
                    Step::Settle(*i, (*actual).min(play.total(at)))
                }
                Step::Flow(..) => continue,
                Step::Reserve(cost) if kind == Kind::Sliced => Step::Reserve(cost % 100 + 1),
                Step::Reserve(_)
                | Step::Settle(..)
                | Step::Cancel(_)
                | Step::Forfeit(_)
                | Step::Tick(_) => step.clone(),
            };
            play.step(&step);
        }
        let span = i128::from(length);
        let most = match kind {
            Kind::Refill => AMOUNT + AMOUNT * span / WINDOW + 2,
            // A counter may be emptied once in such a stretch, and once more in a longer one.
            Kind::Fixed => AMOUNT * (2 + span / WINDOW),
            Kind::Rolling => AMOUNT * (span + WINDOW - 1).div_euclid(WINDOW),
            Kind::Sliced => AMOUNT / 10 * (span + i128::from(SLICE) - 1).div_euclid(i128::from(SLICE)),
        };
        prop_assert!(play.history.most_in(length) <= most, "{kind:?}: more than {most}");
    }

    /// The moment told is the first at which it passes, in every kind of window.
    #[test]
    fn who_comes_back_at_the_moment_told_is_served(
        kind in prop::sample::select(vec![Kind::Refill, Kind::Fixed, Kind::Rolling, Kind::Sliced]),
        steps in prop::collection::vec(any_step(), 0..60),
        cost in 1..1_000_u64,
    ) {
        let mut play = Play::new(kind);
        for step in &steps {
            play.step(step);
        }
        if let Err(Blocked::Until(until, _)) = play.ledger.check(&tokens(cost), play.now()) {
            prop_assert!(until > play.now());
            prop_assert!(play.ledger.clone().check(&tokens(cost), until).is_ok());
            let before = Moment::from_nanos(until.as_nanos() - 1);
            prop_assert!(play.ledger.clone().check(&tokens(cost), before).is_err());
        }
    }

    /// I3: each reservation is closed once, and when all are, nothing is left of those that cost
    /// nothing.
    #[test]
    fn when_all_is_given_back_nothing_is_missing(
        kind in prop::sample::select(vec![Kind::Refill, Kind::Fixed, Kind::Rolling, Kind::Sliced]),
        steps in prop::collection::vec((1..200_u64, 0..9_000_000_000_u64), 1..40),
    ) {
        let mut play = Play::new(kind);
        for (cost, nanos) in steps {
            play.step(&Step::Reserve(cost));
            play.step(&Step::Tick(nanos));
        }
        while !play.open.is_empty() {
            play.step(&Step::Cancel(0));
        }
        prop_assert_eq!(play.ledger.in_flight(), 0);
        let level = play.ledger.levels(play.now()).next().unwrap().level;
        prop_assert!((level - 1.0).abs() < 1e-9, "{}", level);
    }
}
