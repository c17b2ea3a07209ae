//! A plain queue gated by `remaining` headers: a request is sent while the last answer left enough for
//! it, less what was sent since; else it waits until the header's reset, and after a 429 as long as
//! the provider says.

use std::sync::Arc;

use super::Job;
use super::fixed::asked;
use super::queued::Limiter;
use crate::clock::Moment;
use crate::formats::{Dimension, Sample};
use crate::simulator::basin::answer::Answer;
use crate::simulator::basin::score::is_limit;
use crate::simulator::basin::site::{Lane, Site};
use crate::simulator::meter::Tariff;

#[derive(Debug)]
pub(super) struct Gated {
    site: Arc<Site>,
    cells: Vec<Told>,
}

/// What the provider told last.
#[derive(Clone, Debug, Default)]
struct Told {
    left: Vec<Left>,
    hold: Moment,
}

#[derive(Clone, Copy, Debug)]
struct Left {
    dimension: Dimension,
    remaining: u64,
    full_at: Moment,
}

impl Limiter for Gated {
    fn new(site: &Arc<Site>) -> Self {
        Self { site: Arc::clone(site), cells: vec![Told::default(); site.cells()] }
    }

    fn ready_at(&mut self, lane: Lane, job: &Job, now: Moment) -> Moment {
        let tariff = self.tariff(lane);
        let Some(told) = self.cells.get(lane.cell as usize) else { return now };
        let short = told.left.iter().filter(|left| {
            left.full_at > now && left.remaining < tariff.needed(left.dimension, asked(job))
        });
        short.map(|left| left.full_at).fold(told.hold, Moment::max)
    }

    fn sent(&mut self, lane: Lane, job: &Job, _now: Moment) {
        let tariff = self.tariff(lane);
        if let Some(told) = self.cells.get_mut(lane.cell as usize) {
            for left in &mut told.left {
                let units = tariff.upfront(left.dimension, asked(job));
                left.remaining = left.remaining.saturating_sub(units);
            }
        }
    }

    fn heard(&mut self, lane: Lane, _job: &Job, answer: &Answer, now: Moment) {
        let Some(told) = self.cells.get_mut(lane.cell as usize) else { return };
        for Sample { dimension, remaining, reset_in, .. } in &answer.samples {
            if let (Some(remaining), Some(reset)) = (*remaining, *reset_in) {
                told.left.retain(|left| left.dimension != *dimension);
                told.left.push(Left { dimension: *dimension, remaining, full_at: now + reset });
            }
        }
        if is_limit(answer.judgement.verdict)
            && let Some(retry_at) = answer.judgement.retry_at
        {
            told.hold = retry_at.max(told.hold);
        }
    }
}

impl Gated {
    fn tariff(&self, lane: Lane) -> Tariff {
        let provider = self.site.providers.get(usize::from(lane.provider));
        provider.map_or(Tariff::AsUsed, |provider| provider.tariff(usize::from(lane.model)))
    }
}
