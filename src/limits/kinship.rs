//! Quota groups that are one and the same: keys that were thought to have limits of their own, and
//! whose remaining drops by what the other has spent.
//!
//! For each told level, what is missing beyond our own use (the [`Drift`]) is set against what another
//! group spent in that very time, by a regression in which the length of the time and what all our
//! further groups spent stand beside it. Only where that explains the drain nearly to the unit are the
//! two one: others who draw on a group, be they of our own fleet and under the same load, come by
//! chance, and chance leaves a rest as large as the drain itself. It only notices: what to do about it
//! is for people to decide.

use std::collections::{HashMap, VecDeque};

use smallvec::SmallVec;

use crate::clock::Moment;
use crate::formats::Dimension;

use super::learn::Drift;
use super::rule::Cost;

/// Watches the groups of one provider.
#[derive(Debug, Default)]
pub struct Kinship {
    /// How much each account looks as if others drew on it.
    signs: HashMap<Account, u8>,
    suspects: Vec<Log>,
    pairs: Vec<Pair>,
    /// Two groups that were found to be one.
    told: Vec<(u16, u16)>,
}

/// What is counted together, as far as is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Account {
    /// The number of the quota group.
    pub group: u16,
    /// The number of the model: the same for all groups.
    pub model: u16,
}

/// What a group spent that others draw on, whoever they are, at the latest moments at which it did.
#[derive(Debug, Default)]
struct Log {
    account: Account,
    /// When, and all that was spent by then since the log begins; the oldest first.
    spent: VecDeque<(Moment, Cost)>,
}

/// What was seen of one group's drain and another's spending.
#[derive(Debug, Default)]
struct Pair {
    drained: Account,
    spender: u16,
    /// Sums of the products of one, time, what further groups spent in it, what the spender spent, and
    /// drain.
    sums: [[f64; 5]; 5],
}

/// Each drain counts two, and none takes one away: so many make a suspect, and so many are remembered.
const SIGNS: u8 = 16;
const CLEAR: u8 = 64;
/// Accounts that are watched at a time, and moments remembered of each.
const SUSPECTS: usize = 12;
const REMEMBERED: usize = 256;
/// Accounts that signs are counted of, and pairs that are told at most.
const MOST_ACCOUNTS: usize = 4_096;
const MOST_TOLD: usize = 1_024;
/// What was seen before counts so much when something new is seen.
const KEPT: f64 = 0.99;
/// Less than this says nothing.
const ENOUGH: f64 = 30.0;
/// The other's spending, and nothing else, is what drains it: one for one, by more than chance.
const ONE_FOR_ONE: std::ops::RangeInclusive<f64> = 0.75..=1.25;
const SIGMAS: f64 = 8.0;
/// What may be left unexplained, as a variance: a quarter of the drain, where chance would leave all of
/// it, and what the rounding to whole units makes.
const UNEXPLAINED: f64 = 0.25;
const ROUNDING: f64 = 0.2;

impl Kinship {
    /// A request was sent that counts there.
    pub fn sent(&mut self, account: Account, cost: &Cost, now: Moment) {
        if let Some(log) = self.suspects.iter_mut().find(|log| log.account == account) {
            log.spend(cost, now);
        }
    }

    /// A level was told, and that is what others took. Returns the group whose spending it was, if
    /// that has become certain: once for each two.
    pub fn observed(&mut self, account: Account, drift: &Drift) -> Option<u16> {
        if !self.is_suspect(account, drift) {
            return None;
        }
        let Drift { dimension, units, from, to } = *drift;
        let others = self
            .suspects
            .iter()
            .filter(|log| log.account.model == account.model && log.account.group != account.group);
        let spent = |log: &Log| Some((log.account.group, log.between(dimension, from, to)?));
        let others: SmallVec<[_; SUSPECTS]> = others.filter_map(spent).collect();
        let all: f64 = others.iter().map(|(_, spent)| spent).sum();
        let time = to.since(from).as_secs_f64();
        let mut found = None;
        for (spender, spent) in others {
            let pair = self.pair(account, spender);
            pair.add([1.0, time, all - spent, spent, units]);
            if pair.is_certain() {
                found = Some(spender);
            }
        }
        let two = found.map(|spender| (account.group.min(spender), account.group.max(spender)))?;
        if self.told.contains(&two) || self.told.len() >= MOST_TOLD {
            return None;
        }
        self.told.push(two);
        found
    }

    /// That number is another group's from now on.
    pub fn forget_group(&mut self, group: u16) {
        self.signs.retain(|account, _| account.group != group);
        self.suspects.retain(|log| log.account.group != group);
        self.pairs.retain(|pair| pair.drained.group != group && pair.spender != group);
        self.told.retain(|(a, b)| *a != group && *b != group);
    }

    /// Whether others seem to draw there.
    fn is_suspect(&mut self, account: Account, drift: &Drift) -> bool {
        if self.signs.len() >= MOST_ACCOUNTS && !self.signs.contains_key(&account) {
            self.signs.clear();
        }
        let signs = self.signs.entry(account).or_default();
        let more = drift.units > 0.5;
        *signs = if more { (*signs + 2).min(CLEAR) } else { signs.saturating_sub(1) };
        let known = self.suspects.iter().any(|log| log.account == account);
        if known && *signs == 0 {
            self.suspects.retain(|log| log.account != account);
            return false;
        }
        if !known && *signs >= SIGNS && self.suspects.len() < SUSPECTS {
            *signs = CLEAR;
            let spent = VecDeque::from([(drift.to, Cost::default())]);
            self.suspects.push(Log { account, spent });
        }
        known
    }

    fn pair(&mut self, drained: Account, spender: u16) -> &mut Pair {
        let same = |pair: &Pair| pair.drained == drained && pair.spender == spender;
        let at = self.pairs.iter().position(same).unwrap_or_else(|| {
            if self.pairs.len() >= SUSPECTS * SUSPECTS {
                self.pairs.remove(0);
            }
            self.pairs.push(Pair { drained, spender, ..Pair::default() });
            self.pairs.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "found or pushed just now")]
        &mut self.pairs[at]
    }
}

impl Log {
    fn spend(&mut self, cost: &Cost, now: Moment) {
        let before = self.spent.back().map_or_else(Cost::default, |(_, spent)| *spent);
        if self.spent.len() >= REMEMBERED {
            self.spent.pop_front();
        }
        self.spent.push_back((now, before.wrapping_add(*cost)));
    }

    /// What was spent after one moment and until another; `None` if that is not remembered any more.
    fn between(&self, dimension: Dimension, from: Moment, to: Moment) -> Option<f64> {
        let (before, after) = (self.until(from)?, self.until(to)?);
        Some(as_f64(after.of(dimension).wrapping_sub(before.of(dimension))))
    }

    /// All that had been spent by that moment.
    fn until(&self, moment: Moment) -> Option<Cost> {
        let after = self.spent.partition_point(|(at, _)| *at <= moment);
        self.spent.get(after.checked_sub(1)?).map(|(_, spent)| *spent)
    }
}

impl Pair {
    fn add(&mut self, values: [f64; 5]) {
        for (row, a) in self.sums.iter_mut().zip(values) {
            for (sum, b) in row.iter_mut().zip(values) {
                *sum = *sum * KEPT + a * b;
            }
        }
    }

    /// Whether the other's spending is what drains it.
    fn is_certain(&self) -> bool {
        let [[count, ..], ..] = self.sums;
        if count < ENOUGH {
            return false;
        }
        // Elimination of the constant, the time and the further groups leaves what the spender's
        // spending and the drain have in common beyond these. The sums are symmetric, and stay so.
        let mut sums = self.sums;
        for pivot in 0..3 {
            eliminate(&mut sums, pivot);
        }
        let [_, _, _, [.., spent, common], [.., drained]] = sums;
        if spent <= 1e-6 * count {
            return false;
        }
        let [[.., drain], ..] = self.sums;
        let slope = common / spent;
        let rest = (drained - common * slope).max(0.0) / (count - 4.0);
        let sigma = (rest.max(1e-6) / spent).sqrt();
        ONE_FOR_ONE.contains(&slope)
            && slope / sigma >= SIGMAS
            && rest <= UNEXPLAINED * drain / count + ROUNDING
    }
}

/// Takes out of all that comes after it what hangs together with `pivot`.
fn eliminate(sums: &mut [[f64; 5]; 5], pivot: usize) {
    let Some(row) = sums.get(pivot).copied() else { return };
    let Some(own) = row.get(pivot).copied().filter(|own| *own > 1e-9) else { return };
    for (other, target) in sums.iter_mut().enumerate().skip(pivot + 1) {
        let share = row.get(other).copied().unwrap_or(0.0) / own;
        for (cell, value) in target.iter_mut().zip(row) {
            *cell -= share * value;
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
const fn as_f64(units: u64) -> f64 {
    units as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Dice(u64);

    impl Dice {
        fn unit(&mut self) -> f64 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            as_f64(self.0 >> 40) / as_f64(1 << 24)
        }
    }

    /// Plays so many requests of ours, and says which groups were found to be one. `accounts` maps our
    /// groups to what they really are; so many others like us draw on all accounts.
    fn play(accounts: &[usize], others: u32, bursty: bool, requests: u64) -> Vec<(u16, u16)> {
        let mut kinship = Kinship::default();
        let mut dice = Dice(u64::from(others) + 3);
        let mut real = vec![0_u64; accounts.len()];
        let mut own = vec![0_u64; accounts.len()];
        let mut seen: Vec<Option<(Moment, u64, u64)>> = vec![None; accounts.len()];
        let (mut now, mut found, mut ours) = (0.0, Vec::new(), 0);
        while ours < requests {
            let load = if bursty && (now % 20.0) < 5.0 { 8.0 } else { 1.0 };
            now += -(1.0 - dice.unit()).ln() / (load * f64::from(1 + others));
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a test")]
            let moment = Moment::from_nanos((now * 1e9) as u64);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a test")]
            let group = (dice.unit() * accounts.len() as f64) as usize;
            real[accounts[group]] += 1;
            if dice.unit() * f64::from(1 + others) >= 1.0 {
                continue; // somebody else's
            }
            ours += 1;
            own[group] += 1;
            let id = u16::try_from(group).unwrap();
            let account = Account { group: id, model: 7 };
            kinship.sent(account, &Cost::REQUEST, moment);
            let taken = real[accounts[group]];
            if let Some((from, before, own_before)) = seen[group] {
                let units = as_f64(taken - before) - as_f64(own[group] - own_before);
                let dimension = Dimension::Requests;
                let drift = Drift { dimension, units, from, to: moment };
                found.extend(kinship.observed(account, &drift).map(|other| (id, other)));
            }
            seen[group] = Some((moment, taken, own[group]));
        }
        found
    }

    #[test]
    fn two_groups_of_one_account_are_noticed_once() {
        let found = play(&[0, 0], 0, false, 400);
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn so_they_are_among_others_however_the_load_varies() {
        for bursty in [false, true] {
            let found = play(&[0, 1, 0, 3], 0, bursty, 1_000);
            assert!(matches!(found[..], [(0, 2) | (2, 0)]), "{bursty}: {found:?}");
        }
    }

    #[test]
    fn three_groups_of_one_account_are_all_noticed() {
        let found = play(&[0, 0, 0], 0, false, 2_000);
        assert!(found.len() >= 2, "{found:?}");
    }

    #[test]
    fn groups_that_others_draw_on_as_we_do_are_not_taken_for_one() {
        for others in 1..8 {
            for bursty in [false, true] {
                let found = play(&[0, 1, 2], others, bursty, 20_000);
                assert!(found.is_empty(), "{others} others, {bursty}: {found:?}");
            }
        }
    }

    #[test]
    fn what_is_watched_is_bounded() {
        let mut kinship = Kinship::default();
        let (from, to) = (Moment::from_nanos(1), Moment::from_nanos(2));
        let drift = Drift { dimension: Dimension::Requests, units: 5.0, from, to };
        for group in 0..1_000 {
            for model in 0..10 {
                let account = Account { group, model };
                for _ in 0..9 {
                    kinship.observed(account, &drift);
                }
                kinship.sent(account, &Cost::REQUEST, to);
            }
        }
        assert!(kinship.signs.len() <= MOST_ACCOUNTS && kinship.suspects.len() <= SUSPECTS);
    }

    #[test]
    fn a_group_that_left_takes_what_was_seen_of_it_along() {
        let mut kinship = Kinship::default();
        let drift = Drift {
            dimension: Dimension::Requests,
            units: 5.0,
            from: Moment::from_nanos(1),
            to: Moment::from_nanos(2),
        };
        for group in [0, 1] {
            let account = Account { group, model: 0 };
            for _ in 0..20 {
                kinship.observed(account, &drift);
            }
        }
        assert_eq!(kinship.suspects.len(), 2);
        kinship.forget_group(1);
        assert_eq!((kinship.suspects.len(), kinship.pairs.len()), (1, 0));
    }
}
