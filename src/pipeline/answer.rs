//! Answers on their way to the client: the provider's, relayed, and Keyweir's own.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body::{Body, Frame, SizeHint};

use super::attempt::Carried;
use super::desk::Card;
use super::entry::Errand;
use super::exchange::Exchange;
use super::headers::{self, Told};
use super::listing;
use super::outbound;
use super::refusal::{Hint, Refusal};
use super::relay::{self, Broken, Relay};
use super::snapshot::Provider;
use super::verdicts::Heard;
use crate::callers::Warning;
use crate::formats::{self, Endpoint, Meter, Plan, Refused, StoredId, Verdict, Wire};
use crate::telemetry::Outcome;
use crate::translate::Translation;

/// The body of an answer.
#[derive(Debug)]
pub enum AnswerBody {
    /// All of it.
    Whole(Option<Bytes>),
    /// The provider's, passed on as it comes.
    Relayed(Box<Relay>),
}

/// Names of headers, made once: a name that is text is spelt out again at each look-up.
pub(super) mod names {
    use http::HeaderName;

    /// The id of a request.
    pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
    /// Where Anthropic's SDKs look for it.
    pub(crate) const ANTHROPIC_REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
    /// The trace that a request belongs to (W3C Trace Context).
    pub(crate) const TRACE: HeaderName = HeaderName::from_static("traceparent");
    /// Which provider answered.
    pub(crate) const PROVIDER: HeaderName = HeaderName::from_static("x-keyweir-provider");
    /// Under which key, by name.
    pub(crate) const KEY: HeaderName = HeaderName::from_static("x-keyweir-key");
    /// For which model.
    pub(crate) const MODEL: HeaderName = HeaderName::from_static("x-keyweir-model");
    /// After how many tries.
    pub(crate) const ATTEMPTS: HeaderName = HeaderName::from_static("x-keyweir-attempts");
    /// After how long a wait for capacity.
    pub(crate) const QUEUED: HeaderName = HeaderName::from_static("x-keyweir-queued-ms");
    /// Of which of its caller's limits so much is used that somebody wants to know.
    pub(crate) const LIMIT_WARNING: HeaderName = HeaderName::from_static("x-keyweir-limit-warning");
    /// Why Keyweir itself says no.
    pub(crate) const ERROR: HeaderName = HeaderName::from_static("x-keyweir-error");
    /// When to come back, as RFC 3339.
    pub(crate) const RETRY_AT: HeaderName = HeaderName::from_static("x-keyweir-retry-at");
    /// What answers instead of what was asked for: `model` or `text`.
    pub(crate) const DEGRADED: HeaderName = HeaderName::from_static("x-keyweir-degraded");
    /// Fields of the request that could not be said to the provider and do not change the answer.
    pub(crate) const DROPPED: HeaderName = HeaderName::from_static("x-keyweir-dropped");
}

/// Says no, in the caller's wire format, and closes the exchange.
pub(super) fn refuse(
    exchange: &mut Exchange,
    refusal: &Refusal,
    wire: Wire,
) -> Response<AnswerBody> {
    let row = refusal.reason.row();
    let now = exchange.clock.now();
    let retry_after = refusal.retry_after(now);
    let id = request_id(exchange);
    let refused = Refused {
        status: row.status,
        code: row.code,
        message: &refusal.message,
        param: refusal.param,
        retry_after,
        request_id: id.to_str().unwrap_or_default(),
    };
    let (content_type, body) = formats::error_body(wire, &refused);
    let mut response = Response::new(AnswerBody::Whole(Some(body)));
    *response.status_mut() = row.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    if wire == Wire::Anthropic {
        headers.insert(names::ANTHROPIC_REQUEST_ID, id.clone());
    }
    headers.insert(names::REQUEST_ID, id.clone());
    headers.insert(names::ERROR, HeaderValue::from_static(row.code));
    if let Some(wait) = retry_after {
        // Rounded up, so that coming back then is not too soon.
        let millis = u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        headers.insert(RETRY_AFTER, HeaderValue::from(millis.div_ceil(1_000)));
        headers.insert(headers::RETRY_AFTER_MS, HeaderValue::from(millis));
    }
    if row.hint == Hint::At {
        if let Some(at) = refusal.retry_at {
            set(headers, names::RETRY_AT, &now.wall_at(at).to_string());
        }
        if retry_after.is_none() {
            headers.insert(headers::SHOULD_RETRY, HeaderValue::from_static("false"));
        }
    }
    tell_effort(exchange, headers);
    exchange.refused(refusal, row.status.as_u16(), id);
    response
}

/// Passes a provider's answer on.
pub(super) async fn relay(
    carried: Carried,
    mut exchange: Exchange,
    errand: &Errand,
) -> Response<AnswerBody> {
    let Carried { heard, target, card, spending, foreign } = carried;
    let Heard { mut head, read, rest, cut, judgement, .. } = *heard;
    let snapshot = std::sync::Arc::clone(&exchange.snapshot);
    let resolved = errand.resolved.targets.get(target);
    let provider = resolved.and_then(|target| snapshot.providers.get(target.provider));
    let strips = provider.is_some_and(|provider| outbound::asks_usage(provider, errand));
    let spoken = foreign.as_ref().map_or((errand.path.wire, errand.path.endpoint), |foreign| {
        (foreign.wire, foreign.written.endpoint)
    });
    let told = Told::read(&head.headers);
    let meter = meter(provider, spoken, &told, strips);
    if told.upload
        && let Some(spending) = &spending
    {
        spending.remember(&StoredId::of_headers(&head.headers));
    }
    let mut request_id = told.request_id.cloned();
    let length = told.content_length.map(length);
    let unwanted = told.unwanted;
    for name in &unwanted {
        head.headers.remove(name);
    }
    if !head.status.is_success() {
        headers::spare_sleepers(&mut head.headers, exchange.wall().wall);
    }
    let mut translation = None;
    if let Some(foreign) = &foreign {
        let model = resolved.and_then(|target| target.model.as_deref());
        let told = (&mut head.status, &mut head.headers);
        translation = Some(Box::new(foreign.translation(model, told, (&exchange, errand))));
        request_id = head.headers.get(names::REQUEST_ID).cloned();
    } else if let Some(listing) = listing::asked(&exchange, errand) {
        head.headers.remove(CONTENT_LENGTH);
        translation = Some(Box::new(Translation::of_list(listing, head.status.as_u16())));
    }
    exchange.answered(head.status.as_u16(), request_id);
    if snapshot.response_headers {
        let model = resolved.and_then(|target| target.model.as_deref());
        tell_origin(&mut head.headers, provider, &card, model);
        if let Some(foreign) = foreign.filter(|foreign| !foreign.written.dropped.is_empty()) {
            set(&mut head.headers, names::DROPPED, &foreign.written.dropped.join(", "));
        }
    }
    tell_effort(&exchange, &mut head.headers);
    if let Some(degraded) = &errand.degraded {
        head.headers.insert(names::DEGRADED, degraded.clone());
    }
    let outcome = if judgement.verdict == Verdict::Ok {
        Outcome::Ok
    } else if head.status.is_client_error() {
        Outcome::ClientError
    } else {
        Outcome::UpstreamError
    };
    let changed = strips || translation.is_some();
    let mut relay = Relay::new(relay::Parts {
        head: read,
        body: rest,
        cut,
        unchanged: !changed,
        meter,
        translation,
        exchange,
        spending,
        outcome,
    });
    if let Some(told) = relay.translated_head().await {
        head.status = http::StatusCode::from_u16(told.status).unwrap_or(head.status);
        head.headers.insert(CONTENT_TYPE, HeaderValue::from_static(told.content_type));
    }
    if length.is_some_and(|length| changed || !is_true(length, &relay)) {
        head.headers.remove(CONTENT_LENGTH);
    }
    Response::from_parts(head, AnswerBody::Relayed(relay))
}

/// Who answered, under which key, for which model.
fn tell_origin(
    headers: &mut HeaderMap,
    provider: Option<&Provider>,
    card: &Card,
    model: Option<&str>,
) {
    if let Some(provider) = provider {
        headers.insert(names::PROVIDER, provider.name_header.clone());
    }
    headers.insert(names::KEY, card.name_header.clone());
    if let Some(model) = model {
        set(headers, names::MODEL, model);
    }
}

/// The length that a head tells; `None` if that is none.
fn length(told: &HeaderValue) -> Option<u64> {
    told.to_str().ok()?.parse().ok()
}

/// Whether the length that the head tells can stand: a wrong one would have the client take the next
/// answer for the rest of this one. That of an answer without a body (`HEAD`) tells of another.
fn is_true(length: Option<u64>, relay: &Relay) -> bool {
    relay.is_end_stream() || length.is_some() && length == relay.size_hint().exact()
}

fn meter<'h>(
    provider: Option<&Provider>,
    (wire, endpoint): (Wire, Endpoint),
    told: &Told<'h>,
    strip_usage: bool,
) -> Meter {
    let text = |value: Option<&'h HeaderValue>| value.and_then(|value| value.to_str().ok());
    Meter::new(&Plan {
        wire,
        endpoint,
        dialect: provider.map_or(formats::Dialect::Generic, |provider| provider.dialect),
        content_type: text(told.content_type),
        content_encoding: text(told.content_encoding),
        strip_usage,
    })
}

/// The tries, the wait, and what to be warned of, as headers.
pub(super) fn tell_effort(exchange: &Exchange, headers: &mut HeaderMap) {
    if !exchange.snapshot.response_headers {
        return;
    }
    headers.insert(names::ATTEMPTS, number(exchange.attempts.into()));
    let queued = u64::try_from(exchange.queued.as_millis()).unwrap_or(u64::MAX);
    headers.insert(names::QUEUED, number(queued));
    if let Some(held) = exchange.held.as_ref().filter(|held| !held.warnings.is_empty()) {
        let told = |it: &Warning| format!("{} {:.0}%", it.limit, it.used * 100.0);
        let told: Vec<_> = held.warnings.iter().map(told).collect();
        set(headers, names::LIMIT_WARNING, &told.join(", "));
    }
}

/// A number as a header's value; the usual ones are ready.
fn number(number: u64) -> HeaderValue {
    match number {
        0 => HeaderValue::from_static("0"),
        1 => HeaderValue::from_static("1"),
        _ => HeaderValue::from(number),
    }
}

/// The client's own id, or a fresh one.
pub(super) fn request_id(exchange: &Exchange) -> HeaderValue {
    exchange.client_request_id().cloned().unwrap_or_else(|| {
        let fresh = format!("kw_{:032x}", fastrand::u128(..));
        HeaderValue::try_from(fresh).unwrap_or_else(|_| HeaderValue::from_static("kw"))
    })
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Relayed(relay) => Pin::new(relay).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Relayed(relay) => relay.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Relayed(relay) => relay.size_hint(),
        }
    }
}
