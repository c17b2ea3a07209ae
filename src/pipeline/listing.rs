//! The list of models at the unified door.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};

use super::answer::{self, AnswerBody};
use super::entry::{Door, Errand};
use super::exchange::{Ending, Exchange};
use crate::formats::Endpoint;
use crate::telemetry::Outcome;
use crate::translate::Listing;

/// What the caller may be shown, where a list is asked for.
pub(super) fn asked(exchange: &Exchange, errand: &Errand) -> Option<Listing> {
    if !is_asked(errand) {
        return None;
    }
    let snapshot = &exchange.snapshot;
    let rule = snapshot.callers.all().nth(exchange.caller);
    Some(Listing {
        wire: errand.path.wire,
        // On further pages they would be told again.
        own: if errand.manner.further { Vec::new() } else { snapshot.listed.clone() },
        allowed: rule.map(|rule| rule.models.clone()).unwrap_or_default(),
    })
}

/// Whether a list is asked for that is not one provider's alone.
pub(super) fn is_asked(errand: &Errand) -> bool {
    errand.door == Door::Unified
        && errand.path.endpoint == Endpoint::Models
        && errand.manner.as_list
}

/// The list without any provider's, where none can be asked.
pub(super) fn instead(exchange: &mut Exchange, errand: &Errand) -> Option<Response<AnswerBody>> {
    let body: Bytes = asked(exchange, errand)?.alone();
    let mut response = Response::new(AnswerBody::Whole(Some(body)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let id = answer::request_id(exchange);
    headers.insert(answer::names::REQUEST_ID, id);
    answer::tell_effort(exchange, headers);
    exchange.answered(200, None);
    exchange.close(Outcome::Ok, Ending { usage: None, word: "complete" });
    Some(response)
}
