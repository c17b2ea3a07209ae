//! The state that all connections of a simulator share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::time::Instant;

use super::fault::{Drawn, Faults, Whom, mix};
use super::meter::{Ask, Meter, Readings, Refusal};
use super::plan::{Account, Model, Plan};
use super::store::Store;
use super::tally::Ledger;
use crate::clock::{Moment, Now};

/// Accounts, faults and tallies.
#[derive(Debug)]
pub(crate) struct World {
    plan: Plan,
    start: Instant,
    start_wall: Timestamp,
    stands: Vec<Mutex<Stand>>,
    by_key: BTreeMap<String, Holder>,
    faults: Mutex<Faults>,
    ledger: Mutex<Ledger>,
    serial: AtomicU64,
}

/// Whose a key is: indices into the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) account: usize,
    pub(crate) key: usize,
}

/// What a provider holds for one account.
#[derive(Debug)]
struct Stand {
    meters: Vec<(Meter, u64)>,
    store: Store,
}

/// A request was let through: what its limits read at that moment.
#[derive(Clone, Debug)]
pub(crate) struct Pass {
    pub(crate) model: usize,
    pub(crate) readings: Readings,
}

/// A request was not let through: why, and what its limits read.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    pub(crate) refusal: Refusal,
    pub(crate) readings: Readings,
}

impl World {
    pub(crate) fn new(plan: Plan) -> Self {
        let by_key = plan.accounts.iter().enumerate().flat_map(|(account, owner)| {
            let keys = owner.keys.iter().enumerate();
            keys.map(move |(key, held)| (held.value.clone(), Holder { account, key }))
        });
        let now = Now { at: Moment::ZERO, wall: Timestamp::now() };
        Self {
            by_key: by_key.collect(),
            stands: plan
                .accounts
                .iter()
                .map(|account| Mutex::new(Stand::new(account, now)))
                .collect(),
            faults: Mutex::new(Faults::new(plan.seed)),
            ledger: Mutex::new(Ledger::default()),
            serial: AtomicU64::new(1),
            start: Instant::now(),
            start_wall: now.wall,
            plan,
        }
    }

    pub(crate) const fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(crate) fn account(&self, index: usize) -> Option<&Account> {
        self.plan.accounts.get(index)
    }

    pub(crate) fn holder(&self, credential: &str) -> Option<Holder> {
        self.by_key.get(credential).copied()
    }

    /// Whose an upload under way is, by its number.
    pub(crate) fn holder_of_upload(&self, id: &str) -> Option<Holder> {
        let begun = |account: &usize| {
            self.with_store(*account, |store| store.find("upload", id).is_some()) == Some(true)
        };
        let account = (0..self.stands.len()).find(begun)?;
        Some(Holder { account, key: 0 })
    }

    /// Both clocks. They follow tokio's, so that a test may pause them.
    pub(crate) fn now(&self) -> Now {
        let elapsed = self.start.elapsed();
        let wall = self.start_wall.saturating_add(elapsed).unwrap_or(Timestamp::MAX);
        Now { at: Moment::ZERO + elapsed, wall }
    }

    /// The number of a request: the same plan gives the same numbers in the same order.
    pub(crate) fn serial(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }

    /// An identifier's digits, made of the request's number.
    pub(crate) fn digits(&self, account: usize, serial: u64, part: u64) -> String {
        let name = self.account(account).map_or("", |account| account.name.as_str());
        let place = name.bytes().fold(self.plan.seed, |hash, byte| mix(hash ^ u64::from(byte)));
        let first = mix(place ^ mix(serial));
        format!("{first:016x}{:08x}", mix(first ^ part) >> 32)
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The faults that hit a request.
    pub(crate) fn draw(&self, whom: Whom<'_>) -> Drawn {
        self.faults().draw(whom, self.now().at)
    }

    /// Asks the limits of an account's model.
    pub(crate) fn admit(&self, account: usize, model: usize, ask: Ask) -> Result<Pass, Box<Stop>> {
        let now = self.now();
        let permille = self.permille(account, model, now);
        let habit = self.account(account).map(|account| account.habit);
        self.with_meter(account, model, |meter, plan, current| {
            if let Some(habit) = habit.filter(|_| *current != permille) {
                meter.resize(habit, &plan.limits.scaled(permille), now);
                *current = permille;
            }
            let outcome = meter.admit(ask, now);
            let readings = meter.readings(now);
            match outcome {
                Ok(()) => Ok(Pass { model, readings }),
                Err(refusal) => Err(Box::new(Stop { refusal, readings })),
            }
        })
        .unwrap_or_else(|| Ok(Pass { model, readings: Readings::new() }))
    }

    /// Counts output that was sent.
    pub(crate) fn produce(&self, account: usize, model: usize, output: u64) {
        let now = self.now();
        self.with_meter(account, model, |meter, _, _| meter.produce(output, now));
    }

    /// Works with what is kept for an account.
    pub(crate) fn with_store<T>(
        &self,
        account: usize,
        work: impl FnOnce(&mut Store) -> T,
    ) -> Option<T> {
        let stand = self.stands.get(account)?;
        Some(work(&mut stand.lock().unwrap_or_else(PoisonError::into_inner).store))
    }

    /// As on the first day: full buckets, empty stores, no faults, an empty tally.
    pub(crate) fn reset(&self) {
        let now = self.now();
        self.faults().clear();
        self.ledger().clear();
        for (stand, account) in self.stands.iter().zip(&self.plan.accounts) {
            *stand.lock().unwrap_or_else(PoisonError::into_inner) = Stand::new(account, now);
        }
    }

    fn permille(&self, account: usize, model: usize, now: Now) -> u64 {
        let owner = self.account(account);
        let whom = Whom {
            account: owner.map(|owner| owner.name.as_str()),
            key: None,
            model: owner.and_then(|owner| owner.models.get(model)).map(|model| model.name.as_str()),
            path: "",
        };
        self.faults().limit_permille(whom, now.at)
    }

    fn with_meter<T>(
        &self,
        account: usize,
        model: usize,
        work: impl FnOnce(&mut Meter, &Model, &mut u64) -> T,
    ) -> Option<T> {
        let plan = self.account(account)?.models.get(model)?;
        let mut stand = self.stands.get(account)?.lock().unwrap_or_else(PoisonError::into_inner);
        let (meter, permille) = stand.meters.get_mut(model)?;
        Some(work(meter, plan, permille))
    }
}

impl Stand {
    fn new(account: &Account, now: Now) -> Self {
        let meters = account.models.iter();
        Self {
            meters: meters
                .map(|model| (Meter::new(account.habit, &model.limits, now), 1_000))
                .collect(),
            store: Store::default(),
        }
    }
}
