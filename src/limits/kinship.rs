//! Quota groups that are one and the same: keys that were thought to have limits of their own, and
//! whose remaining drops by what the other has spent.
//!
//! For each told level, what is missing beyond our own use (the [`Drift`]) is set against what another
//! group spent in that very time, by a regression in which the length of the time and the group's own
//! spending stand beside it: others who draw on a group, be they of our own fleet, drain it with time
//! and with the load, but not by just what another key of ours has spent. It only notices: what to do
//! about it is for people to decide.

use crate::clock::Moment;
use crate::formats::Dimension;

use super::learn::Drift;
use super::rule::Cost;

/// Watches the groups of one provider.
#[derive(Debug, Default)]
pub struct Kinship {
    /// How much each group looks as if others drew on it, by its number.
    signs: Vec<u8>,
    suspects: Vec<Suspect>,
    pairs: Vec<Pair>,
}

/// A group that others draw on, whoever they are.
#[derive(Debug)]
struct Suspect {
    group: u16,
    /// All that it spent since it is one, at the latest moments at which it spent.
    spent: [(Moment, Cost); REMEMBERED],
    next: usize,
}

/// What was seen of one group's drain and another's spending.
#[derive(Debug)]
struct Pair {
    drained: u16,
    spender: u16,
    /// Sums of the products of one, time, own spending, the other's spending, and drain.
    sums: [[f64; 5]; 5],
    told: bool,
}

/// Drains in a row that make a suspect.
const SIGNS: u8 = 8;
/// Groups that are watched at a time, and moments remembered of each.
const SUSPECTS: usize = 12;
const REMEMBERED: usize = 64;
/// Groups that are counted at all.
const MOST_GROUPS: u16 = 1 << 10;
/// What was seen before counts so much when something new is seen.
const KEPT: f64 = 0.99;
/// Less than this says nothing.
const ENOUGH: f64 = 30.0;
/// The other's spending, and nothing else, is what drains it: one for one, by more than chance.
const ONE_FOR_ONE: std::ops::RangeInclusive<f64> = 0.75..=1.25;
const SIGMAS: f64 = 8.0;
const EXPLAINED: f64 = 0.15;

impl Kinship {
    /// A request was sent with that group.
    pub fn sent(&mut self, group: u16, cost: &Cost, now: Moment) {
        if let Some(suspect) = self.suspects.iter_mut().find(|suspect| suspect.group == group) {
            suspect.spend(cost, now);
        }
    }

    /// A group's level was told, and that is what others took of it. Returns the group whose spending
    /// it was, if that has become certain: once for each two.
    pub fn observed(&mut self, group: u16, drift: &Drift) -> Option<u16> {
        if !self.suspect(group, drift) {
            return None;
        }
        let Drift { dimension, units, from, to } = *drift;
        let spent = |suspect: &Suspect| suspect.between(dimension, from, to);
        let own = self.suspects.iter().find(|suspect| suspect.group == group).and_then(spent)?;
        let others = self.suspects.iter().filter(|suspect| suspect.group != group);
        let others: Vec<_> =
            others.filter_map(|other| Some((other.group, spent(other)?))).collect();
        let time = to.since(from).as_secs_f64();
        let mut found = None;
        for (spender, spent) in others {
            let pair = self.pair(group, spender);
            pair.add([1.0, time, own, spent, as_f64(units)]);
            if !pair.told && pair.is_certain() {
                pair.told = true;
                found = Some(spender);
            }
        }
        let spender = found?;
        self.pair(spender, group).told = true;
        Some(spender)
    }

    /// That number is another group's from now on.
    pub fn forget(&mut self, group: u16) {
        if let Some(signs) = self.signs.get_mut(usize::from(group)) {
            *signs = 0;
        }
        self.suspects.retain(|suspect| suspect.group != group);
        self.pairs.retain(|pair| pair.drained != group && pair.spender != group);
    }

    /// Whether others seem to draw on that group.
    fn suspect(&mut self, group: u16, drift: &Drift) -> bool {
        if group >= MOST_GROUPS {
            return false;
        }
        let at = usize::from(group);
        if self.signs.len() <= at {
            self.signs.resize(at + 1, 0);
        }
        let Some(signs) = self.signs.get_mut(at) else { return false };
        let known = self.suspects.iter().any(|suspect| suspect.group == group);
        *signs = if drift.units > 0 { signs.saturating_add(2) } else { signs.saturating_sub(1) };
        if known && *signs == 0 {
            self.suspects.retain(|suspect| suspect.group != group);
            return false;
        }
        let begins = !known && *signs >= 2 * SIGNS && self.suspects.len() < SUSPECTS;
        if begins {
            *signs = 8 * SIGNS;
            self.suspects.push(Suspect::new(group, drift.to));
        }
        *signs = (*signs).min(8 * SIGNS);
        known
    }

    fn pair(&mut self, drained: u16, spender: u16) -> &mut Pair {
        let same = |pair: &Pair| pair.drained == drained && pair.spender == spender;
        let at = self.pairs.iter().position(same).unwrap_or_else(|| {
            if self.pairs.len() >= SUSPECTS * SUSPECTS {
                self.pairs.remove(0);
            }
            self.pairs.push(Pair { drained, spender, sums: [[0.0; 5]; 5], told: false });
            self.pairs.len() - 1
        });
        // It is there: just found, or just pushed.
        let last = self.pairs.len() - 1;
        #[expect(clippy::indexing_slicing, reason = "found or pushed a line above")]
        &mut self.pairs[at.min(last)]
    }
}

impl Suspect {
    fn new(group: u16, now: Moment) -> Self {
        Self { group, spent: [(now, Cost::default()); REMEMBERED], next: 1 }
    }

    fn spend(&mut self, cost: &Cost, now: Moment) {
        let before = self.entry(self.next + REMEMBERED - 1);
        if let Some(entry) = self.spent.get_mut(self.next % REMEMBERED) {
            *entry = (now, before.1.wrapping_add(*cost));
        }
        self.next = self.next % REMEMBERED + 1;
    }

    fn entry(&self, at: usize) -> (Moment, Cost) {
        self.spent.get(at % REMEMBERED).copied().unwrap_or_default()
    }

    /// What it spent after one moment and until another; `None` if that is not remembered any more.
    fn between(&self, dimension: Dimension, from: Moment, to: Moment) -> Option<f64> {
        let (before, after) = (self.until(from)?, self.until(to)?);
        Some(as_f64_unsigned(after.of(dimension).wrapping_sub(before.of(dimension))))
    }

    /// All that it had spent by that moment.
    fn until(&self, moment: Moment) -> Option<Cost> {
        let newest_first =
            (0..REMEMBERED).map(|back| self.entry(self.next + 2 * REMEMBERED - 1 - back));
        newest_first.into_iter().find(|(at, _)| *at <= moment).map(|(_, spent)| spent)
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
        // Elimination of the constant, the time and the own spending leaves what the other's spending
        // and the drain have in common beyond these. The sums are symmetric, and stay so.
        let mut sums = self.sums;
        for pivot in 0..3 {
            eliminate(&mut sums, pivot);
        }
        let [_, _, _, [.., spent, common], [.., drained]] = sums;
        if spent <= 1e-6 * count || drained <= 1e-6 * count {
            return false;
        }
        let slope = common / spent;
        let explained = common * slope / drained;
        let rest = (drained - common * slope).max(1e-9 * drained);
        let sigma = (rest / (count - 4.0) / spent).sqrt();
        ONE_FOR_ONE.contains(&slope) && slope / sigma >= SIGMAS && explained >= EXPLAINED
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
const fn as_f64(units: i64) -> f64 {
    units as f64
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
const fn as_f64_unsigned(units: u64) -> f64 {
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
            as_f64_unsigned(self.0 >> 40) / as_f64_unsigned(1 << 24)
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
            kinship.sent(id, &Cost::REQUEST, moment);
            let taken = real[accounts[group]];
            if let Some((from, before, own_before)) = seen[group] {
                let units = (taken - before) as i64 - (own[group] - own_before) as i64;
                let dimension = Dimension::Requests;
                let drift = Drift { dimension, units, from, to: moment };
                found.extend(kinship.observed(id, &drift).map(|other| (id, other)));
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
    fn so_they_are_among_others_and_while_others_draw_too() {
        for others in [0, 1, 2] {
            for bursty in [false, true] {
                let found = play(&[0, 1, 0, 3], others, bursty, 6_000);
                let mut pair = found.first().copied().unwrap_or_default();
                if pair.0 > pair.1 {
                    pair = (pair.1, pair.0);
                }
                assert_eq!(
                    (found.len(), pair),
                    (1, (0, 2)),
                    "{others} others, {bursty}: {found:?}"
                );
            }
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
                let found = play(&[0, 1, 2], others, bursty, 6_000);
                assert!(found.is_empty(), "{others} others, {bursty}: {found:?}");
            }
        }
    }

    #[test]
    fn a_group_that_left_takes_what_was_seen_of_it_along() {
        let mut kinship = Kinship::default();
        let drift = Drift {
            dimension: Dimension::Requests,
            units: 5,
            from: Moment::from_nanos(1),
            to: Moment::from_nanos(2),
        };
        for group in [0, 1, u16::MAX] {
            (0..20).for_each(|_| drop(kinship.observed(group, &drift)));
        }
        assert_eq!(kinship.suspects.len(), 2);
        kinship.forget(1);
        assert_eq!((kinship.suspects.len(), kinship.pairs.len()), (1, 0));
    }
}
