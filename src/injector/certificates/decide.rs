//! What to do now. Pure: the Secret, the bundles and the time are handed in.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::authority::{Authority, Certificate, Leaf};
use super::bundle::{self, Seen};
use super::stored::{Observed, Stored};

/// How long things live.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// An authority; it is followed by another at two thirds of it.
    pub authority: Duration,
    /// What it signs; it is renewed at two thirds of it.
    pub leaf: Duration,
    /// How long every API server may take to hear of a new `caBundle`: an authority signs only
    /// after it has been trusted for so long.
    pub settle: Duration,
}

/// How long each certificate has been in all of the bundles, as far as this replica saw.
#[derive(Clone, Debug, Default)]
pub(super) struct Trust(Vec<(Certificate, Timestamp)>);

/// Everything that is known.
#[derive(Debug)]
pub(super) struct Situation<'a> {
    pub(super) now: Timestamp,
    pub(super) terms: &'a Terms,
    pub(super) observed: &'a Observed,
    /// What the Secret held when it was last seen whole.
    pub(super) memory: Option<&'a Stored>,
    pub(super) leaf: Option<&'a Leaf>,
    /// The bundles of every webhook configuration that there is, by name.
    pub(super) bundles: &'a BTreeMap<String, Seen>,
    pub(super) trust: &'a Trust,
}

/// What to do to the Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A new authority, which signs at once: there is none that could be trusted already.
    Begin,
    /// What is remembered, with a new authority to follow it.
    Restore,
    /// A new authority to follow the present one.
    Prepare,
    /// The one that was to follow signs from now on.
    Promote,
}

/// Whether this replica can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotReady {
    /// The Secret has not been seen yet, or could not be made.
    NoAuthority,
    /// There is no webhook configuration to be trusted in.
    NoWebhook,
    /// A bundle does not hold the authority that signed this replica's certificate.
    NotTrusted,
}

impl Trust {
    /// Takes in what the bundles hold now.
    pub(super) fn observe(&mut self, now: Timestamp, bundles: &BTreeMap<String, Seen>) {
        let in_all = |certificate: &Certificate| {
            bundles.values().all(|seen| seen.certificates.contains(certificate))
        };
        self.0.retain(|(certificate, _)| !bundles.is_empty() && in_all(certificate));
        for certificate in bundles.values().flat_map(|seen| &seen.certificates) {
            if in_all(certificate) && !self.0.iter().any(|(held, _)| held == certificate) {
                self.0.push((certificate.clone(), now));
            }
        }
    }

    fn since(&self, certificate: &Certificate) -> Option<Timestamp> {
        self.0.iter().find(|(held, _)| held == certificate).map(|(_, since)| *since)
    }
}

impl<'a> Situation<'a> {
    /// What to do to the Secret, if anything.
    pub(super) fn step(&self) -> Option<Step> {
        let stored = match self.observed {
            Observed::Unknown => return None,
            Observed::Missing | Observed::Unusable { .. } => return Some(self.anew()),
            Observed::Held { stored, .. } => stored,
        };
        let next = stored.next.as_ref().filter(|next| self.is_valid(next.certificate()));
        match next {
            Some(next) if self.is_settled(next.certificate()) => Some(Step::Promote),
            Some(_) if !self.is_valid(stored.current.certificate()) => Some(Step::Promote),
            None if !self.is_valid(stored.current.certificate()) => Some(Step::Begin),
            None if self.now >= followed_at(&stored.current) => Some(Step::Prepare),
            Some(_) | None => None,
        }
    }

    /// Whoever deletes the Secret wants another authority; the present one stays until that is
    /// trusted.
    fn anew(&self) -> Step {
        let held = self.memory.filter(|held| self.is_valid(held.current.certificate()));
        if held.is_some() { Step::Restore } else { Step::Begin }
    }

    /// The authority to sign a new certificate with, if one is due now.
    pub(super) fn signer(&self) -> Option<&'a Authority> {
        let current = &self.known()?.current;
        if !self.is_valid(current.certificate()) {
            return None;
        }
        let Some(leaf) = self.leaf.filter(|leaf| leaf.shown.until > self.now) else {
            return Some(current);
        };
        let is_old = self.now >= renewed_at(leaf);
        let is_of_it = leaf.issuer == *current.certificate();
        let is_last_chance = self.now >= part(leaf.since, leaf.shown.until, 9, 10);
        let is_due = if is_of_it {
            is_old
        } else {
            self.is_settled(current.certificate()) || is_last_chance
        };
        is_due.then_some(current)
    }

    /// What the bundles should hold that hold something else, by name.
    pub(super) fn bundles(&self) -> BTreeMap<String, Vec<Certificate>> {
        let Observed::Held { stored, .. } = self.observed else { return BTreeMap::new() };
        let wrong = self.bundles.iter().filter_map(|(name, seen)| {
            let wanted = self.wanted(stored, seen);
            let is_right = seen.is_clean
                && wanted.len() == seen.certificates.len()
                && wanted.iter().all(|certificate| seen.certificates.contains(certificate));
            (!is_right).then(|| (name.clone(), wanted))
        });
        wrong.collect()
    }

    /// What a bundle should hold: who signs, who will, who signed what this replica shows; and
    /// whatever else was trusted, as long as something that it signed can be alive, or if it is
    /// younger than what is known here.
    fn wanted(&self, stored: &Stored, seen: &Seen) -> Vec<Certificate> {
        let current = stored.current.certificate();
        let next = stored.next.as_ref().map(Authority::certificate);
        let own = self.leaf.map(|leaf| &leaf.issuer);
        let needed = std::iter::once(current).chain(next).chain(own);
        let window_is_open = self.now < self.forgotten_at(stored);
        let others = seen.certificates.iter();
        let others = others.filter(|held| window_is_open || held.from > current.from);
        let mut wanted: Vec<Certificate> = Vec::new();
        for certificate in needed.chain(others) {
            let is_new = !wanted.contains(certificate);
            if is_new && self.is_valid(certificate) && wanted.len() < bundle::MOST {
                wanted.push(certificate.clone());
            }
        }
        wanted
    }

    /// Whether every API server trusts what this replica shows: its authority is in the bundles, and
    /// has been for long enough, or has signed for so long that it must have been.
    pub(super) fn readiness(&self) -> Result<(), NotReady> {
        let leaf =
            self.leaf.filter(|leaf| leaf.shown.until > self.now).ok_or(NotReady::NoAuthority)?;
        if self.bundles.is_empty() {
            return Err(NotReady::NoWebhook);
        }
        let signs_long = self.known().is_some_and(|stored| {
            let is_of_it = *stored.current.certificate() == leaf.issuer;
            is_of_it && later(stored.since, self.terms.settle) <= self.now
        });
        match self.trust.since(&leaf.issuer) {
            Some(_) if signs_long || self.is_settled(&leaf.issuer) => Ok(()),
            _ => Err(NotReady::NotTrusted),
        }
    }

    /// The next moment at which something may be due without anybody's saying so.
    pub(super) fn wake(&self) -> Timestamp {
        let mut moments = Vec::new();
        if let Some(stored) = self.known() {
            moments.extend([followed_at(&stored.current), stored.current.certificate().until]);
            moments.extend([self.forgotten_at(stored), later(stored.since, self.terms.settle)]);
            let authorities = [Some(&stored.current), stored.next.as_ref()].into_iter().flatten();
            let settled =
                authorities.filter_map(|authority| self.settled_at(authority.certificate()));
            moments.extend(settled);
        }
        if let Some(leaf) = self.leaf {
            moments.extend(self.settled_at(&leaf.issuer));
            moments.extend([
                renewed_at(leaf),
                part(leaf.since, leaf.shown.until, 9, 10),
                leaf.shown.until,
            ]);
        }
        let held = self.bundles.values().flat_map(|seen| &seen.certificates);
        moments.extend(held.map(|certificate| certificate.until));
        let ahead = moments.into_iter().filter(|moment| *moment > self.now).min();
        ahead.unwrap_or(Timestamp::MAX)
    }

    /// The Secret as it is, or as it was.
    fn known(&self) -> Option<&'a Stored> {
        match self.observed {
            Observed::Held { stored, .. } => Some(stored),
            Observed::Unknown | Observed::Missing | Observed::Unusable { .. } => self.memory,
        }
    }

    fn is_valid(&self, certificate: &Certificate) -> bool {
        certificate.until > self.now
    }

    fn is_settled(&self, certificate: &Certificate) -> bool {
        self.settled_at(certificate).is_some_and(|moment| moment <= self.now)
    }

    fn settled_at(&self, certificate: &Certificate) -> Option<Timestamp> {
        self.trust.since(certificate).map(|since| later(since, self.terms.settle))
    }

    /// When nothing can be alive any more that an earlier authority signed.
    fn forgotten_at(&self, stored: &Stored) -> Timestamp {
        later(later(stored.since, self.terms.leaf), self.terms.settle)
    }
}

/// When an authority is to be followed by another.
fn followed_at(authority: &Authority) -> Timestamp {
    let Certificate { from, until, .. } = authority.certificate();
    part(*from, *until, 2, 3)
}

fn renewed_at(leaf: &Leaf) -> Timestamp {
    part(leaf.since, leaf.shown.until, 2, 3)
}

/// The moment at which that part of a life is over.
fn part(from: Timestamp, until: Timestamp, numerator: i32, denominator: i32) -> Timestamp {
    let life = until.duration_since(from);
    from.saturating_add(life / denominator * numerator).unwrap_or(until)
}

fn later(moment: Timestamp, delay: Duration) -> Timestamp {
    let delay = jiff::SignedDuration::try_from(delay).unwrap_or(jiff::SignedDuration::MAX);
    moment.saturating_add(delay).unwrap_or(Timestamp::MAX)
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoAuthority => {
                "there is no certificate yet: the Secret of the authority is missing"
            }
            Self::NoWebhook => "there is no webhook configuration to put the authority into",
            Self::NotTrusted => "the webhook's caBundle has not held the authority for long enough",
        })
    }
}
