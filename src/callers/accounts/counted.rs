//! What was used of long windows, for a process to come, and from one that was.

use super::{Accounts, Key, Standing};
use crate::clock::Now;
use crate::formats::Pattern;
use crate::limits::Snapshot;

/// The first word of every owner that is a caller's account; the others are a provider's.
const CALLER: &str = "caller";

impl Accounts {
    /// Adds to a snapshot what was used of windows of a day and more: of `most` accounts, the ones
    /// that asked least recently first, from the one at `from` on. Returns where to go on, if there
    /// are more. `caller` tells whose accounts these are.
    pub fn store(
        &self,
        caller: &str,
        (from, most): (u64, usize),
        snapshot: &mut Snapshot,
        now: Now,
    ) -> Option<u64> {
        let mut turns = self.turns.range(from..);
        for (_, key) in turns.by_ref().take(most) {
            let Some(account) = self.accounts.get(key) else { continue };
            for (id, ledger) in &account.ledgers {
                let Some(standing) = self.clauses.iter().find(|it| it.id == *id) else { continue };
                let owner = vec![CALLER.into(), caller.into(), key.text(), standing.text()];
                snapshot.add(owner, ledger.long_counts(now));
            }
        }
        turns.next().map(|(turn, _)| *turn)
    }

    /// Takes in what was used before the process began, as far as the same requests still count.
    pub fn restore(&mut self, caller: &str, snapshot: &Snapshot, now: Now) {
        let names: Vec<_> = self.clauses.iter().map(|it| (it.id, it.text())).collect();
        for (owner, counts) in snapshot.iter() {
            let [first, whose, key, clause] = owner else { continue };
            let Some(key) = Key::read(key).filter(|_| first == CALLER && whose == caller) else {
                continue;
            };
            let ids = names.iter().filter(|(_, name)| name == clause);
            for (id, _) in ids {
                if let Some(ledger) = self.account(key).0.ledger_mut(*id) {
                    ledger.restore(counts, now);
                }
            }
        }
    }
}

impl Key {
    fn text(self) -> String {
        format!("{:032x}", self.0)
    }

    fn read(text: &str) -> Option<Self> {
        u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32).map(Self)
    }
}

impl Standing {
    /// What tells this clause from the caller's others: what it counts.
    fn text(&self) -> String {
        let star = |model: &Pattern| format!("{}{}", model.text, if model.open { "*" } else { "" });
        let models: Vec<_> = self.clause.models.iter().map(star).collect();
        let kinds: Vec<_> = self.clause.endpoints.iter().map(|kind| kind.as_str()).collect();
        format!("{};{}", models.join(","), kinds.join(","))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::callers::{Asked, Per};
    use crate::clock::Moment;
    use crate::formats::{Dimension, EndpointKind};
    use crate::limits::{Clause, Cost, Measure, Rule, Sharing};

    const DAY: Duration = Duration::from_hours(24);

    fn now(hours: u64) -> Now {
        let wall = Timestamp::from_second(1_800_000_000 + i64::try_from(hours).unwrap() * 3_600);
        // Another process: its clock begins anew.
        Now { at: Moment::from_nanos(7), wall: wall.unwrap() }
    }

    fn accounts() -> Accounts {
        let rules = vec![
            Rule::new(Measure::Of(Dimension::Requests), 24, DAY),
            Rule::new(Measure::Cost, 1_000_000, DAY * 30),
            Rule::new(Measure::Of(Dimension::Requests), 600, Duration::from_hours(1)),
        ];
        let kinds = Clause { endpoints: vec![EndpointKind::Chat], rules, ..Clause::default() };
        Accounts::new(Per::User, &[kinds], Sharing::default(), now(0).wall)
    }

    fn spend(accounts: &mut Accounts, user: &str, requests: u64, money: u64) {
        let asked = Asked { key: Key::of(user), model: None, kind: EndpointKind::Chat };
        let scope = accounts.scope(&asked).unwrap();
        let cost = Cost { requests, money, ..Cost::default() };
        let taken = accounts.take(&scope, &cost, now(0).at);
        accounts.settle(taken, &cost, now(0).at);
    }

    fn used(accounts: &mut Accounts, user: &str) -> Vec<(&'static str, f64)> {
        let (account, _) = accounts.account(Key::of(user));
        let levels = account.ledgers.iter().flat_map(|(_, ledger)| ledger.levels(now(0).at));
        levels.map(|level| (level.name(), (level.used() * 1_000.0).round() / 1_000.0)).collect()
    }

    fn stored(accounts: &Accounts, most: usize) -> Snapshot {
        let mut snapshot = Snapshot::new(now(0));
        let mut from = Some(0);
        while let Some(at) = from {
            from = accounts.store("web", (at, most), &mut snapshot, now(0));
        }
        Snapshot::parse(&snapshot.to_json().unwrap(), now(0)).unwrap()
    }

    #[test]
    fn days_and_months_go_on_where_they_were_less_what_has_come_back_since() {
        let mut before = accounts();
        spend(&mut before, "ann", 12, 600_000);
        spend(&mut before, "bob", 24, 0);
        let snapshot = stored(&before, 1);
        assert!(!snapshot.to_json().unwrap().contains("ann"), "nobody is named");
        let mut after = accounts();
        after.restore("web", &snapshot, now(6));
        let expected =
            [("requestsPerDay", 0.25), ("costPerMonth", 0.592), ("requestsPerHour", 0.0)];
        assert_eq!(used(&mut after, "ann"), expected);
        assert_eq!(used(&mut after, "bob")[0], ("requestsPerDay", 0.75));
        assert_eq!(used(&mut after, "eve")[0], ("requestsPerDay", 0.0));
    }

    #[test]
    fn another_caller_and_other_requests_begin_anew() {
        let mut before = accounts();
        spend(&mut before, "ann", 12, 0);
        let snapshot = stored(&before, 100);
        let mut after = accounts();
        after.restore("batch", &snapshot, now(0));
        assert!(used(&mut after, "ann")[0].1.abs() < 1e-9);
        let rules = vec![Rule::new(Measure::Of(Dimension::Requests), 24, DAY)];
        let other = Clause { rules, ..Clause::default() };
        let mut after = Accounts::new(Per::User, &[other], Sharing::default(), now(0).wall);
        after.restore("web", &snapshot, now(0));
        assert!(used(&mut after, "ann")[0].1.abs() < 1e-9);
    }
}
