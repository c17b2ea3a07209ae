//! What answers where no target of an alias can: a smaller model, or a fixed text. Such an answer is
//! always marked.

use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use smallvec::smallvec;

use super::Hall;
use super::answer::{self, AnswerBody, names};
use super::attempt::{self, Answered};
use super::entry::Errand;
use super::exchange::{Ending, Exchange};
use super::foreign;
use super::refusal::{Reason, Refusal};
use crate::routes::{Fallback, Resolved};
use crate::telemetry::Outcome;
use crate::translate;

/// How long a fallback may be waited for where the others have used up the time.
const GRACE: Duration = Duration::from_secs(1);

/// Asks the smaller model; the refusal stands where there is none, or it cannot answer either.
pub(super) async fn carry(
    hall: &Hall,
    exchange: &mut Exchange,
    parts: &Parts,
    errand: &mut Errand,
    refusal: Refusal,
) -> Result<Answered, Refusal> {
    let Some(Fallback::Model(target)) = errand.resolved.fallback.clone() else {
        return Err(refusal);
    };
    let provider = exchange.snapshot.providers.get(target.provider);
    let can_be_asked = provider.is_some_and(|provider| {
        provider.speaks(errand.path.wire) || foreign::wire(provider, errand).is_some()
    });
    if !is_degradable(&refusal) || !can_be_asked {
        return Err(refusal);
    }
    errand.resolved = Resolved { alias: true, ..Resolved::to(smallvec![target]) };
    errand.degraded = Some(HeaderValue::from_static("model"));
    exchange.deadline = exchange.deadline.max(exchange.clock.moment() + GRACE);
    attempt::carry(hall, exchange, parts, errand).await.map_err(|_| refusal)
}

/// The fixed text, as an answer in the caller's format.
pub(super) fn text(
    exchange: &mut Exchange,
    errand: &Errand,
    refusal: &Refusal,
) -> Option<Response<AnswerBody>> {
    let Some(Fallback::Text(text)) = &errand.resolved.fallback else { return None };
    let wire = errand.path.wire;
    if !is_degradable(refusal) || translate::reach(wire, errand.path.endpoint).is_empty() {
        return None;
    }
    let model = errand.facts.model.as_deref();
    let (head, body) = translate::fixed(&foreign::plan(wire, model, exchange, errand), text);
    let mut response = Response::new(AnswerBody::Whole(Some(body)));
    *response.status_mut() = StatusCode::OK;
    let id = answer::request_id(exchange);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(head.content_type));
    headers.insert(names::REQUEST_ID, id);
    headers.insert(names::DEGRADED, HeaderValue::from_static("text"));
    answer::tell_effort(exchange, headers);
    exchange.answered(200, None);
    exchange.close(Outcome::Ok, Ending { usage: None, word: "complete" });
    Some(response)
}

/// Whether it is the providers that cannot: what is wrong with the request is wrong with any answer.
const fn is_degradable(refusal: &Refusal) -> bool {
    matches!(
        refusal.reason,
        Reason::KeysTemporarilyExhausted
            | Reason::ProvidersUnavailable
            | Reason::KeysInvalid
            | Reason::RequestExceedsLimit
    )
}
