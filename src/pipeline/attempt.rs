//! Carrying an errand to a provider: choose a key or wait for one, send, judge, and try elsewhere,
//! until there is an answer for the client or nothing more to try.

use http::request::Parts;
use smallvec::SmallVec;

use super::Hall;
use super::answer::Carried;
use super::desk::{Admitted, Found};
use super::entry::Errand;
use super::exchange::Exchange;
use super::refusal::Refusal;
use super::wait::Place;
use crate::clock::Moment;
use crate::keys::Tried;

/// Carries an errand until there is an answer for the client.
pub async fn carry(
    hall: &Hall,
    exchange: &mut Exchange,
    parts: &Parts,
    errand: &Errand,
) -> Result<Carried, Refusal> {
    let mut trial = Trial::new(hall, exchange, parts, errand);
    loop {
        let admitted = trial.admit().await?;
        if let Some(carried) = trial.attempt(admitted).await? {
            return Ok(carried);
        }
    }
}

