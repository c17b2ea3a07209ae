//! What a caller has used of its limits: all of it together, or each of its users or models apart.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use smallvec::SmallVec;

use super::Per;
use crate::clock::Moment;
use crate::formats::EndpointKind;
use crate::limits::{
    self, Binding, Blocked, Clause, Cost, Learning, Ledger, Level, Measure, Mode, Sharing, Terms,
};

/// Users, or models, of one caller that are counted apart. Beyond it the one that asked least
/// recently is forgotten, and begins anew.
pub const MOST_ACCOUNTS: usize = 10_000;

/// Accounts that are looked at when somebody asks how full they are: the latest.
const MOST_SHOWN: usize = 256;

/// Nobody is told of a limit more often.
const SHORTEST: Duration = Duration::from_mins(1);

/// The accounts of one caller.
///
/// A request's way through it: [`scope`](Self::scope) → [`reserve`](Self::reserve), then exactly one of
/// [`cancel`](Self::cancel), [`settle`](Self::settle) and [`forfeit`](Self::forfeit).
#[derive(Debug)]
pub struct Accounts {
    per: Per,
    sharing: Sharing,
    clauses: Vec<Standing>,
    next_id: u32,
    accounts: HashMap<Key, Account>,
    /// Who asked when, by a number that grows.
    turns: BTreeMap<u64, Key>,
    turn: u64,
}

/// A clause, and whether it holds now.
#[derive(Debug)]
struct Standing {
    id: u32,
    clause: Clause,
    in_force: bool,
}

/// Which account of a caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(u128);

/// One account: a ledger for each clause that it has met.
#[derive(Debug, Default)]
struct Account {
    turn: u64,
    ledgers: SmallVec<[(u32, Ledger); 2]>,
    /// What was warned of, and when.
    warned: Vec<(&'static str, Moment)>,
}

/// A request, as a caller's limits look at it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Which account pays.
    pub key: Key,
    /// The model name that it asks for, if it names one.
    pub model: Option<&'a str>,
    /// What it asks for.
    pub kind: EndpointKind,
}

/// What of a caller's limits counts one request: an account, and clauses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    key: Key,
    clauses: SmallVec<[u32; 4]>,
}

/// What was taken from an account for one request. It is a value: hand it back.
#[derive(Debug)]
#[must_use = "a reservation is cancelled, settled or forfeited"]
pub struct Reservation {
    key: Key,
    parts: SmallVec<[(u32, limits::Reservation); 2]>,
}

/// A limit is used to the share at which somebody wants to know.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Warning {
    /// The limit, as the configuration calls it.
    pub limit: &'static str,
    /// How much of it is used, of 1.
    pub used: f64,
    /// Whether it is the first of its window.
    pub is_first: bool,
}

impl Key {
    /// The account of those that are not counted apart.
    pub const COMMON: Self = Self(0);

    /// The account of that user or model: told by its digest, for a name may be long, and nobody's
    /// business.
    pub fn of(name: &str) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, name.as_bytes());
        let bytes = digest.as_ref().first_chunk().copied().unwrap_or_default();
        Self(u128::from_le_bytes(bytes))
    }
}

impl Accounts {
    /// Accounts of which nothing is used.
    pub fn new(per: Per, clauses: &[Clause], sharing: Sharing, wall: Timestamp) -> Self {
        let mut accounts = Self {
            per,
            sharing,
            clauses: Vec::new(),
            next_id: 0,
            accounts: HashMap::new(),
            turns: BTreeMap::new(),
            turn: 0,
        };
        accounts.revise(per, clauses, sharing, (Moment::ZERO, wall));
        accounts
    }

    /// The configuration changed. A clause is the same as before if it counts the same requests;
    /// then what was used of it stays used.
    pub fn revise(
        &mut self,
        per: Per,
        clauses: &[Clause],
        sharing: Sharing,
        (now, wall): (Moment, Timestamp),
    ) {
        if self.per != per {
            self.accounts.clear();
            self.turns.clear();
        }
        (self.per, self.sharing) = (per, sharing);
        let mut before = std::mem::take(&mut self.clauses);
        for clause in clauses {
            let same = |held: &Standing| {
                (&held.clause.models, &held.clause.endpoints) == (&clause.models, &clause.endpoints)
            };
            let kept = before.iter().position(same).map(|at| before.remove(at).id);
            let id = kept.unwrap_or_else(|| {
                self.next_id += 1;
                self.next_id
            });
            self.clauses.push(Standing { id, clause: clause.clone(), in_force: false });
        }
        for account in self.accounts.values_mut() {
            account.revise(&self.clauses, sharing, now);
        }
        self.turn(wall);
    }

    /// The time is `wall`: some clauses begin to hold, and some do not hold any more. When that
    /// changes next.
    pub fn turn(&mut self, wall: Timestamp) -> Option<Timestamp> {
        for standing in &mut self.clauses {
            standing.in_force = standing.clause.term.holds(wall);
        }
        self.clauses.iter().filter_map(|it| it.clause.term.next_change(wall)).min()
    }

    /// What counts such a request; `None` if nothing does now.
    pub fn scope(&self, asked: &Asked<'_>) -> Option<Scope> {
        let counting = self
            .clauses
            .iter()
            .filter(|it| it.in_force && it.clause.counts(asked.model, asked.kind));
        let clauses: SmallVec<[u32; 4]> = counting.map(|it| it.id).collect();
        (!clauses.is_empty()).then_some(Scope { key: asked.key, clauses })
    }

    /// Checks all limits and takes from all of them, or takes nothing and says why.
    pub fn reserve(
        &mut self,
        scope: &Scope,
        cost: &Cost,
        now: Moment,
    ) -> Result<Reservation, Blocked> {
        self.check(scope, cost, Mode::Enforce, now)?;
        Ok(self.take(scope, cost, now))
    }

    /// Whether its limits of that mode could carry such a request now. Of several that cannot, the
    /// one that frees last is told.
    pub fn check(
        &mut self,
        scope: &Scope,
        cost: &Cost,
        mode: Mode,
        now: Moment,
    ) -> Result<(), Blocked> {
        let mut worst: Option<(Moment, Binding)> = None;
        let (account, clauses) = self.account(scope.key);
        for standing in clauses.iter().filter(|it| it.applies(scope) && it.clause.mode == mode) {
            let Some(ledger) = account.ledger_mut(standing.id) else { continue };
            match ledger.check(cost, now) {
                Ok(()) => {}
                Err(Blocked::Until(until, binding)) => {
                    if worst.is_none_or(|(latest, _)| until > latest) {
                        worst = Some((until, binding));
                    }
                }
                Err(oversized @ Blocked::Oversized(_)) => return Err(oversized),
            }
        }
        worst.map_or(Ok(()), |(until, binding)| Err(Blocked::Until(until, binding)))
    }

    /// When such a request could be carried if others that cost `ahead` were carried before it; now,
    /// and the first of its limits, if that is no matter of time.
    pub fn blocked(&mut self, scope: &Scope, cost: &Cost, ahead: &Cost, now: Moment) -> Blocked {
        let mut worst: Option<(Moment, Binding)> = None;
        match self.check(scope, cost, Mode::Enforce, now) {
            Ok(()) => {}
            Err(Blocked::Until(until, binding)) => worst = Some((until, binding)),
            Err(oversized @ Blocked::Oversized(_)) => return oversized,
        }
        let (account, clauses) = self.account(scope.key);
        for standing in clauses.iter().filter(|it| it.binds(scope)) {
            let Some(ledger) = account.ledger_mut(standing.id) else { continue };
            for level in ledger.levels(now) {
                let binding = Binding::Limit(level.measure, level.window);
                let until = now + refill(&level, cost, ahead);
                if worst.is_none_or(|(latest, _)| until > latest) {
                    worst = Some((until, binding));
                }
            }
        }
        let (until, binding) = worst.unwrap_or((now, Binding::Held(None)));
        Blocked::Until(until, binding)
    }

    /// Takes without checking, into debt if need be.
    pub fn take(&mut self, scope: &Scope, cost: &Cost, now: Moment) -> Reservation {
        let (account, clauses) = self.account(scope.key);
        let parts = clauses.iter().filter(|it| it.applies(scope)).filter_map(|standing| {
            let ledger = account.ledger_mut(standing.id)?;
            Some((standing.id, ledger.take(cost, now)))
        });
        Reservation { key: scope.key, parts: parts.collect() }
    }

    /// It was never sent: everything goes back.
    pub fn cancel(&mut self, reservation: Reservation, now: Moment) {
        self.close(reservation, |ledger, part| ledger.cancel(part, now));
    }

    /// It ended, and cost that much.
    pub fn settle(&mut self, reservation: Reservation, actual: &Cost, now: Moment) {
        self.close(reservation, |ledger, part| ledger.settle(part, actual, now));
    }

    /// It was sent, and nobody knows what it cost: all of it is charged.
    pub fn forfeit(&mut self, reservation: Reservation, now: Moment) {
        self.close(reservation, |ledger, part| ledger.forfeit(part, now));
    }

    /// The limits of that account of whose use somebody wants to know.
    pub fn warnings(&mut self, key: Key, now: Moment) -> SmallVec<[Warning; 1]> {
        let Self { accounts, clauses, .. } = self;
        let mut warnings = SmallVec::new();
        let Some(account) = accounts.get_mut(&key) else { return warnings };
        for standing in clauses.iter().filter(|it| it.in_force) {
            let Some(warn_at) = standing.clause.warn_at else { continue };
            let levels: SmallVec<[Level; 4]> =
                account.ledger_mut(standing.id).iter().flat_map(|it| it.levels(now)).collect();
            for level in levels.iter().filter(|level| level.used() >= warn_at) {
                let is_first = account.warn(level.name(), level.window, now);
                warnings.push(Warning { limit: level.name(), used: level.used(), is_first });
            }
        }
        warnings
    }

    /// Each limit, as full as it is for the account that has used most of it.
    pub fn levels(&self, now: Moment) -> Vec<Level> {
        let mut worst: Vec<(u32, Level)> = Vec::new();
        let latest = self.turns.values().rev().take(MOST_SHOWN);
        let in_force: SmallVec<[u32; 4]> =
            self.clauses.iter().filter(|it| it.in_force).map(|it| it.id).collect();
        let ledgers = latest.filter_map(|key| self.accounts.get(key)).flat_map(|it| &it.ledgers);
        for (id, ledger) in ledgers.filter(|(id, _)| in_force.contains(id)) {
            for level in ledger.levels(now) {
                let same = |(other, held): &&mut (u32, Level)| {
                    other == id && (held.measure, held.window) == (level.measure, level.window)
                };
                match worst.iter_mut().find(same) {
                    Some((_, held)) if held.level <= level.level => {}
                    Some((_, held)) => *held = level,
                    None => worst.push((*id, level)),
                }
            }
        }
        worst.into_iter().map(|(_, level)| level).collect()
    }

    /// How many accounts there are.
    pub fn len(&self) -> usize {
        self.accounts.len()
    }

    /// Whether nobody has used anything.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// For whom they are counted apart.
    pub const fn per(&self) -> Per {
        self.per
    }

    /// The account, made where there is none, and now the latest to have asked.
    fn account(&mut self, key: Key) -> (&mut Account, &[Standing]) {
        if self.accounts.len() >= MOST_ACCOUNTS
            && !self.accounts.contains_key(&key)
            && let Some((_, oldest)) = self.turns.pop_first()
        {
            self.accounts.remove(&oldest);
        }
        let Self { accounts, turns, clauses, sharing, .. } = self;
        self.turn += 1;
        let account = accounts.entry(key).or_insert_with(|| Account::new(clauses, *sharing));
        turns.remove(&account.turn);
        turns.insert(self.turn, key);
        account.turn = self.turn;
        (account, clauses)
    }

    fn close(&mut self, reservation: Reservation, end: impl Fn(&mut Ledger, limits::Reservation)) {
        let Some(account) = self.accounts.get_mut(&reservation.key) else { return };
        for (id, part) in reservation.parts {
            if let Some(ledger) = account.ledger_mut(id) {
                end(ledger, part);
            }
        }
    }
}

impl Scope {
    /// Before all others of that account.
    pub(super) fn first_of(key: Key) -> Self {
        Self { key, clauses: SmallVec::new() }
    }

    /// Which account pays.
    pub const fn key(&self) -> Key {
        self.key
    }
}

impl Reservation {
    /// Which account pays.
    pub const fn key(&self) -> Key {
        self.key
    }
}

impl Standing {
    fn applies(&self, scope: &Scope) -> bool {
        self.in_force && scope.clauses.contains(&self.id)
    }

    fn binds(&self, scope: &Scope) -> bool {
        self.applies(scope) && self.clause.mode == Mode::Enforce
    }
}

impl Account {
    fn new(clauses: &[Standing], sharing: Sharing) -> Self {
        let mut account = Self::default();
        account.revise(clauses, sharing, Moment::ZERO);
        account
    }

    fn revise(&mut self, clauses: &[Standing], sharing: Sharing, now: Moment) {
        self.ledgers.retain(|(id, _)| clauses.iter().any(|it| it.id == *id));
        let terms = Terms { sharing, ..Terms::from(Learning::Off) };
        for standing in clauses {
            let rules = &standing.clause.rules;
            match self.ledger_mut(standing.id) {
                Some(ledger) => ledger.revise(rules, terms, now),
                None => self.ledgers.push((standing.id, Ledger::new(rules, terms))),
            }
        }
    }

    fn ledger_mut(&mut self, id: u32) -> Option<&mut Ledger> {
        self.ledgers.iter_mut().find(|(own, _)| *own == id).map(|(_, ledger)| ledger)
    }

    /// Notes that a limit was warned of. Whether that is the first time in its window.
    fn warn(&mut self, limit: &'static str, window: Duration, now: Moment) -> bool {
        match self.warned.iter_mut().find(|(warned, _)| *warned == limit) {
            Some((_, at)) if now.since(*at) < window.max(SHORTEST) => false,
            Some((_, at)) => {
                *at = now;
                true
            }
            None => {
                self.warned.push((limit, now));
                true
            }
        }
    }
}

/// How long until there is enough of a limit for both.
#[expect(clippy::cast_precision_loss, reason = "a prediction, of amounts far below 2^52")]
fn refill(level: &Level, cost: &Cost, ahead: &Cost) -> Duration {
    let Some(amount) = level.configured.filter(|_| level.measure != Measure::Concurrency) else {
        return Duration::ZERO;
    };
    let part = amount as f64 / f64::from(level.replicas.max(1));
    let need = cost.in_measure(level.measure).saturating_add(ahead.in_measure(level.measure));
    let windows = need as f64 / part.max(1.0) - level.level;
    Duration::try_from_secs_f64(windows.max(0.0) * level.window.as_secs_f64())
        .unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests;
