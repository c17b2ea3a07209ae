//! One provider's admission, and what is known of its answers' lengths.

use super::Waiter;
use crate::clock::Moment;
use crate::formats::Usage;
use crate::keys::{Admission, KeyId, Reservation, RetryBudget, Spec};
use crate::limits::{Cost, Demand, Lengths, Share, Sharing};
use crate::simulator::basin::policy::Job;
use crate::simulator::basin::site::{Provider, Site, Target};

#[derive(Debug)]
pub(super) struct Desk {
    pub(super) admission: Admission<Waiter>,
    /// The key's place in the spec, by its index in the pool.
    keys: Vec<u16>,
    /// How long the answers of each model are.
    lengths: Vec<Lengths>,
}

impl Desk {
    pub(super) fn new(site: &Site, provider: &Provider) -> Self {
        let budget = RetryBudget::new(site.retry.permille, site.retry.floor, Moment::ZERO);
        let mut admission = Admission::new(budget);
        admission.set_wall(site.start);
        let others = site.told.filter(|count| count.get() > 1);
        let sharing = others.map_or(Sharing::Learned, |it| Sharing::Floor(Share::one_of(it)));
        let spec = Spec { sharing, ..provider.spec.clone() };
        let rebuilt = admission.rebuild(spec, Moment::ZERO);
        let mut keys = vec![0; 256];
        for (place, key) in (0_u16..).zip(&rebuilt.keys) {
            if let Some(slot) = key.and_then(|key: KeyId| keys.get_mut(key.index())) {
                *slot = place;
            }
        }
        let lengths = provider.models.iter().map(|_| Lengths::default()).collect();
        Self { admission, keys, lengths }
    }

    /// What a request will take, as far as can be told.
    pub(super) fn cost(&self, target: Target, model: &str, job: &Job) -> Cost {
        let lengths = self.lengths.get(usize::from(target.model));
        let demand = Demand {
            input: job.input,
            cached: 0,
            output: lengths.map_or(0, Lengths::mean),
            output_high: lengths.map_or(0, Lengths::high),
            max_output: job.max_output,
            choices: 1,
        };
        self.admission.pool().cost(model, &demand)
    }

    /// A request was answered whole.
    pub(super) fn ended(
        &mut self,
        reservation: Reservation,
        model: usize,
        usage: &Usage,
        now: Moment,
    ) {
        if let Some(lengths) = self.lengths.get_mut(model) {
            lengths.learn(usage.output);
        }
        let actual = self.admission.pool().charged(&reservation, usage);
        self.admission.settle(reservation, &actual, now);
    }

    pub(super) fn place(&self, key: KeyId) -> u16 {
        self.keys.get(key.index()).copied().unwrap_or(0)
    }
}
