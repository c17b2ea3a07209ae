//! What a request asks for, before anyone is asked: its path, its caller's leave, its body's facts.

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method};
use smallvec::{SmallVec, smallvec};

use super::allowance;
use super::bounds;
use super::exchange::{self, Exchange};
use super::intake::{self, Replay};
use super::refusal::{Reason, Refusal};
use super::snapshot::{Provider, Snapshot};
use super::tunnel;
use crate::callers::{Scope, Seen};
use crate::formats::{self, Endpoint, Facts, PathFacts, Wire};
use crate::routes::{Astray, Resolved, Target, Weight, Wires};
use crate::serve::Incoming;
use crate::translate;

/// A JSON body above this size is read by a thread beside the data thread.
const READ_ASIDE: usize = 1024 * 1024;

/// How the types of JSON end that have names of their own.
const JSON_SUFFIX: &[u8] = b"+json";

/// What a request asks for.
#[derive(Debug)]
pub(super) struct Errand {
    /// Through which door it came.
    pub door: Door,
    /// What its path says.
    pub path: PathFacts,
    /// What its body says.
    pub facts: Facts,
    /// Its body.
    pub body: InBody,
    /// The most output tokens of one answer, to be put into a request that does not say any.
    pub max_output: Option<u64>,
    /// What of its caller's limits counts it.
    pub scope: Option<Scope>,
    /// Where it may go, in the order in which it is tried.
    pub resolved: Resolved,
    /// Whether it asks for another protocol.
    pub upgrade: bool,
    /// What its query says, and its path beside the endpoint.
    pub manner: Manner,
    /// What answers instead of what was asked for, as the answer is told.
    pub degraded: Option<HeaderValue>,
}

/// How something is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// As a stream of events (Gemini's `alt=sse`).
    pub as_events: bool,
    /// As a whole list.
    pub as_list: bool,
    /// As another page than the first.
    pub further: bool,
}

/// Through which door a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// `/{provider}/…`: what follows the provider's name is its path.
    Direct {
        /// Bytes of the path before what the provider sees.
        prefix: usize,
    },
    /// `/v1/…` or `/v1beta/…`: the model name chooses, or who made the stored thing that is asked
    /// for.
    Unified,
}

/// A request's body.
#[derive(Clone, Debug)]
pub(super) enum InBody {
    /// None.
    Empty,
    /// All of it.
    Whole(Bytes),
    /// Passed on as it comes.
    Streams(Replay),
}

/// Reads what a request asks for; says no to what no provider should be asked.
pub(super) async fn read(
    exchange: &mut Exchange,
    parts: &Parts,
    body: Incoming,
) -> Result<Errand, Refusal> {
    let (door, path) = find_door(&exchange.snapshot, parts)?;
    let body = take_body(exchange, &path, parts, body).await?;
    let mut facts = state_facts(&path, &body).await?;
    if exchange.snapshot.callers.look_inside() {
        exchange.identify(&seen(&path, parts, facts.model.as_deref()));
        check_body(exchange, &body)?;
    }
    bounds::check_model(exchange, &path, &facts)?;
    let resolved = resolve(exchange, parts, door, &path, &facts)?;
    let max_output = bounds::check_size(exchange, &path, (&mut facts, &body), &resolved)?;
    let scope = allowance::scope(exchange, parts, &path, &facts);
    let upgrade = tunnel::is_asked(parts);
    let manner = Manner::of(parts);
    let degraded = None;
    Ok(Errand { door, path, facts, body, max_output, scope, resolved, upgrade, manner, degraded })
}

impl Manner {
    fn of(parts: &Parts) -> Self {
        const PAGES: [&str; 4] = ["after", "after_id", "before_id", "pageToken"];
        let pairs = || parts.uri.query().unwrap_or_default().split('&');
        let name = |pair: &str| pair.split('=').next().is_some_and(|name| PAGES.contains(&name));
        Self {
            as_events: pairs().any(|pair| pair == "alt=sse"),
            as_list: parts.uri.path().trim_end_matches('/').ends_with("/models"),
            further: pairs().any(name),
        }
    }
}

/// The wire format in which a caller on this path is answered, known before anything else is.
pub(super) fn caller_wire(snapshot: &Snapshot, parts: &Parts) -> Wire {
    let path = parts.uri.path();
    match direct(snapshot, path) {
        Some((provider, prefix)) => {
            let rest = path.get(prefix..).unwrap_or_default();
            formats::read_path(provider.wire, &parts.method, rest).wire
        }
        None => formats::door(&parts.method, path, &parts.headers)
            .map_or_else(|| likely_wire(path, &parts.headers), |facts| facts.wire),
    }
}

/// A path that leads nowhere is answered in the format that its client most likely reads.
fn likely_wire(path: &str, headers: &HeaderMap) -> Wire {
    if headers.contains_key("anthropic-version") || path.contains("/messages") {
        Wire::Anthropic
    } else if headers.contains_key("x-goog-api-key") || path.contains("/v1beta/") {
        Wire::Gemini
    } else {
        Wire::OpenAi
    }
}

fn find_door(snapshot: &Snapshot, parts: &Parts) -> Result<(Door, PathFacts), Refusal> {
    let path = parts.uri.path();
    let query = parts.uri.query().unwrap_or_default();
    if let Some((provider, prefix)) = direct(snapshot, path) {
        let rest = path.get(prefix..).unwrap_or_default();
        let facts = formats::read_path(provider.wire, &parts.method, rest);
        return Ok((Door::Direct { prefix }, facts.with_query(query)));
    }
    if let Some(facts) = formats::door(&parts.method, path, &parts.headers) {
        return Ok((Door::Unified, facts.with_query(query)));
    }
    Err(nowhere(snapshot, parts))
}

/// The provider that the path's first segment names, and where the rest of the path begins.
fn direct<'s>(snapshot: &'s Snapshot, path: &str) -> Option<(&'s Provider, usize)> {
    let name = path.strip_prefix('/')?.split('/').next()?;
    let provider = snapshot.providers.get(snapshot.routes.provider(name)?)?;
    Some((provider, name.len() + 1))
}

fn nowhere(snapshot: &Snapshot, parts: &Parts) -> Refusal {
    let path = parts.uri.path();
    if snapshot.providers.is_empty() && known_beginning(path) {
        return keyless();
    }
    let first = path.split('/').nth(1).unwrap_or_default();
    if matches!(first, "v1" | "v1beta" | "") {
        let other = [Method::POST, Method::GET].into_iter().find(|method| {
            *method != parts.method && formats::door(method, path, &parts.headers).is_some()
        });
        let message = other.map_or_else(
            || format!("there is no path {path:?} here"),
            |other| format!("{path:?} takes {other}, not {}", parts.method),
        );
        return Refusal::new(Reason::UnknownPath, message);
    }
    let known: Vec<_> = snapshot.providers.iter().map(|provider| &*provider.name).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let message = format!("there is no provider {first:?}; configured are: {known}");
    Refusal::new(Reason::UnknownProvider, message)
}

/// Whether the path begins with the name of a provider that a key alone would make one here.
fn known_beginning(path: &str) -> bool {
    path.split('/').nth(1).is_some_and(|name| formats::known::named(name).is_some())
}

/// Nothing is configured, and there is no key either.
fn keyless() -> Refusal {
    let message = "there is no key: put one into OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY or \
                   the like, in the environment or in the Secret keyweir-keys";
    Refusal::new(Reason::KeysInvalid, message)
}

async fn take_body(
    exchange: &mut Exchange,
    path: &PathFacts,
    parts: &Parts,
    body: Incoming,
) -> Result<InBody, Refusal> {
    if http_body::Body::is_end_stream(&body) {
        return Ok(InBody::Empty);
    }
    if !is_json(path, &parts.headers) {
        return Ok(InBody::Streams(Replay::new(body)));
    }
    let snapshot = &exchange.snapshot;
    let most = snapshot.callers.max_body(&seen(path, parts, path.model.as_deref()));
    let most = most.min(snapshot.max_body);
    let (body, span) = exchange::awaited(exchange.clock, intake::gather(body, most)).await;
    exchange.was_away(span);
    Ok(InBody::Whole(body?))
}

/// What rules of callers look at.
fn seen<'s>(path: &PathFacts, parts: &'s Parts, model: Option<&'s str>) -> Seen<'s> {
    Seen { headers: &parts.headers, kind: path.kind, model }
}

/// The model says whose request it is, and so how large it may be.
fn check_body(exchange: &Exchange, body: &InBody) -> Result<(), Refusal> {
    let InBody::Whole(bytes) = body else { return Ok(()) };
    let rule = exchange.snapshot.callers.all().nth(exchange.caller);
    let most = rule.and_then(|rule| rule.max_body).unwrap_or(u64::MAX);
    if bytes.len() as u64 > most { Err(intake::too_large(most)) } else { Ok(()) }
}

/// JSON is read; what is compressed or of any other type streams through unread.
fn is_json(path: &PathFacts, headers: &HeaderMap) -> bool {
    if headers.contains_key(CONTENT_ENCODING) {
        return false;
    }
    match headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default()) {
        None => path.endpoint.is_known(),
        Some(kind) => {
            let kind = kind.split(';').next().unwrap_or_default().trim().as_bytes();
            let suffix = kind.len().checked_sub(JSON_SUFFIX.len()).and_then(|at| kind.get(at..));
            kind.eq_ignore_ascii_case(b"application/json")
                || suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case(JSON_SUFFIX))
        }
    }
}

async fn state_facts(path: &PathFacts, body: &InBody) -> Result<Facts, Refusal> {
    let bytes = match body {
        InBody::Whole(bytes) => bytes,
        InBody::Empty if path.endpoint.is_known() => &Bytes::new(),
        InBody::Empty | InBody::Streams(_) => return Ok(Facts::of_path(path)),
    };
    let read = if bytes.len() > READ_ASIDE {
        let (path, bytes) = (path.clone(), bytes.clone());
        let aside = tokio::task::spawn_blocking(move || Facts::read(&path, &bytes)).await;
        let gone = |_| Refusal::new(Reason::InvalidRequest, "the body could not be read");
        aside.map_err(gone)?
    } else {
        Facts::read(path, bytes)
    };
    read.map_err(|unreadable| Refusal::new(Reason::InvalidRequest, unreadable.to_string()))
}

fn resolve(
    exchange: &Exchange,
    parts: &Parts,
    door: Door,
    path: &PathFacts,
    facts: &Facts,
) -> Result<Resolved, Refusal> {
    let snapshot = &exchange.snapshot;
    let model = facts.model.as_deref();
    if let Door::Direct { .. } = door {
        let provider = parts.uri.path().split('/').nth(1).unwrap_or_default();
        let provider = snapshot.routes.provider(provider).unwrap_or_default();
        return Ok(Resolved::to(smallvec![Target { provider, model: facts.model.clone() }]));
    }
    if snapshot.providers.is_empty() {
        return Err(keyless());
    }
    if model.is_none()
        && let Some(provider) = made_by(snapshot, path.wire, facts)
    {
        return Ok(Resolved::to(smallvec![Target { provider, model: None }]));
    }
    let wires = Wires { own: path.wire, reach: translate::reach(path.wire, path.endpoint) };
    match snapshot.routes.resolve(facts.model.as_ref(), wires, || weight(snapshot, facts)) {
        Ok(resolved) => Ok(resolved),
        // A list of models needs no provider.
        Err(Astray::NoProvider(_)) if path.endpoint == Endpoint::Models => {
            Ok(Resolved::to(SmallVec::new()))
        }
        Err(astray) => Err(nowhere_to(&astray, model)),
    }
}

/// Output tokens that are reckoned with where nothing bounds them.
const USUAL_OUTPUT: u64 = 512;

/// What the targets of an alias are weighed by. Which model is asked is not known yet, so the estimate
/// is that for any.
fn weight(snapshot: &Snapshot, facts: &Facts) -> Weight {
    let input = snapshot.providers.first().map_or(0, |provider| provider.desk.input("", facts));
    let output = facts.max_output.unwrap_or(USUAL_OUTPUT);
    Weight { random: fastrand::u64(..), input, output }
}

fn nowhere_to(astray: &Astray, model: Option<&str>) -> Refusal {
    match astray {
        Astray::NoProvider(wire) => Refusal::new(
            Reason::UnknownProvider,
            format!(
                "no provider is configured that speaks the {} format of this path",
                wire.as_str()
            ),
        ),
        Astray::OtherWire(wire) => Refusal::new(
            Reason::InvalidRequest,
            format!(
                "model {:?} leads only to providers of other wire formats than this path's ({}), \
                 and what this path asks for cannot be translated",
                model.unwrap_or_default(),
                wire.as_str()
            ),
        ),
    }
}

/// The provider that made what the request names, be it the first of the wire format or not: an
/// upload that began below its name goes on at the unified door.
fn made_by(snapshot: &Snapshot, wire: Wire, facts: &Facts) -> Option<usize> {
    if facts.stored.is_empty() {
        return None;
    }
    let mut providers = snapshot.providers.iter().enumerate();
    let (provider, _) = providers.find(|(place, provider)| {
        snapshot.routes.speaks(*place, wire) && provider.desk.maker(&facts.stored).is_some()
    })?;
    Some(provider)
}
