//! Capacity that a request holds, from its sending to its end.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::{Desk, State, Verdicted};
use crate::clock::Moment;
use crate::formats::meter::{self, Reading};
use crate::formats::{self, Facts, Judgement, Samples, StoredId, Usage, Verdict};
use crate::keys::Reservation;
use crate::limits::{Cost, Features};
use crate::pipeline::exchange::Exchange;

/// Capacity that a request holds. Dropped, it is given back; once the request may have been sent, it
/// is charged whole.
#[derive(Debug)]
pub struct Spending {
    desk: Arc<Desk>,
    reservation: Option<Reservation>,
    begun: AtomicBool,
    /// What the estimate went by, and how many answers were asked for.
    about: (Features, u32),
}

impl Spending {
    pub(super) fn of(desk: &Arc<Desk>, reservation: Reservation) -> Self {
        let begun = AtomicBool::new(false);
        let about = (Features::default(), 1);
        Self { desk: Arc::clone(desk), reservation: Some(reservation), begun, about }
    }

    /// This is the request that it is for: what it turns out to use is learned from.
    #[must_use]
    pub fn about(mut self, facts: &Facts) -> Self {
        self.about = (Features::of(facts), facts.choices);
        self
    }

    /// To be set when something of the request may have left.
    pub const fn begun(&self) -> &AtomicBool {
        &self.begun
    }

    /// The attempt, for what the request remembers of it.
    pub const fn attempt(&self) -> Option<&Reservation> {
        self.reservation.as_ref()
    }

    /// Takes an upstream answer in.
    pub fn answered(&self, answer: &Verdicted<'_>) {
        let Some(reservation) = &self.reservation else { return };
        let now = self.desk.clock.moment();
        let mut state = self.desk.lock();
        let noticed = state.admission.observe(reservation, answer.samples, now);
        let random = fastrand::u64(..);
        let event = state.admission.report(reservation, answer.judgement, now, random);
        let waited_for = state.admission.waiting() > 0;
        drop(state);
        // What it told (a probe's success, a level) may be what somebody waits for, and the end of a
        // stream may be far away.
        if waited_for {
            self.desk.call();
        }
        for event in event.into_iter().chain(noticed) {
            self.desk.tell(event, answer.judgement.code.as_deref());
        }
    }

    /// The first byte of a streamed answer came: how long that took may tell how busy the provider is.
    pub fn began(&self) {
        let Some(reservation) = &self.reservation else { return };
        let now = self.desk.clock.moment();
        self.desk.lock().admission.pool_mut().first_byte(reservation, now);
    }

    /// So many bytes of output have flowed so far: what goes beyond the reservation is charged at
    /// once. Returns how many tokens that is, as far as can be told.
    pub fn flow(&mut self, bytes: u64) -> u64 {
        let Some(reservation) = &mut self.reservation else { return 0 };
        let now = self.desk.clock.moment();
        let mut state = self.desk.lock();
        let State { admission, estimates, .. } = &mut *state;
        let tokens = estimates.output_tokens(admission.pool().model_of(reservation), bytes);
        admission.flow(reservation, tokens, now);
        tokens
    }

    /// It was never sent: everything goes back.
    pub fn cancel(mut self) {
        self.give_back(|state, reservation, now| state.admission.cancel(reservation, now));
    }

    /// It was refused: providers count the request, and no tokens.
    pub fn refused(mut self) {
        self.give_back(|state, reservation, now| {
            state.admission.settle(reservation, &Cost::REQUEST, now);
        });
    }

    /// It was answered, whole or in part: what the answer told is charged, and what the provider
    /// stored is remembered with its group.
    pub fn settle(mut self, reading: &Reading, exchange: &mut Exchange) {
        if let meter::Outcome::Error { code } = &reading.outcome {
            let judgement = formats::judge_event(self.desk.dialect, code.as_deref());
            let met = Judgement { verdict: Verdict::MidStream, ..judgement.clone() };
            exchange.judged(&met, None, &[]);
            self.answered(&Verdicted { judgement: &judgement, samples: &Samples::new() });
        }
        self.remember(reading.stored.iter());
        let (features, choices) = self.about;
        self.give_back(|state, reservation, now| {
            let State { admission, estimates, .. } = state;
            let pool = admission.pool();
            let model = pool.model_of(&reservation);
            let flowed = estimates.output_tokens(model, reading.output);
            exchange.flowed = flowed;
            let complete = reading.outcome == meter::Outcome::Complete;
            let actual = match &reading.usage {
                Some(usage) => {
                    estimates.learn_input(model, &features, usage);
                    if complete {
                        estimates.learn_output(model, choices, reading.output, usage);
                    }
                    // Of an answer that was cut, its input may be all that was told.
                    let least = if complete { 0 } else { flowed };
                    let output = usage.output.max(least);
                    pool.charged(&reservation, &Usage { output, ..*usage })
                }
                // Nobody told: what was reserved, and what flowed beyond it.
                None => pool.flowed(&reservation, flowed).max(reservation.cost()),
            };
            admission.settle(reservation, &actual, now);
        });
    }

    /// The group that is being spent made these.
    pub fn remember<'i>(&self, made: impl IntoIterator<Item = &'i StoredId>) {
        let Some(reservation) = &self.reservation else { return };
        let mut made = made.into_iter().peekable();
        if made.peek().is_none() {
            return;
        }
        let mut state = self.desk.lock();
        for id in made {
            state.admission.remember(id.as_str(), reservation.group());
        }
    }

    fn give_back(&mut self, end: impl FnOnce(&mut State, Reservation, Moment)) {
        let Some(reservation) = self.reservation.take() else { return };
        let now = self.desk.clock.moment();
        let mut state = self.desk.lock();
        end(&mut state, reservation, now);
        let waited_for = state.admission.waiting() > 0;
        drop(state);
        if waited_for {
            self.desk.call();
        }
    }
}

impl Drop for Spending {
    fn drop(&mut self) {
        if *self.begun.get_mut() {
            self.give_back(|state, reservation, now| state.admission.forfeit(reservation, now));
        } else {
            self.give_back(|state, reservation, now| state.admission.cancel(reservation, now));
        }
    }
}
