//! A request as one provider is sent it: its path, its headers, its body.

use http::header::USER_AGENT;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue};
use smallvec::SmallVec;

use super::desk::Card;
use super::entry::{Door, Errand, InBody};
use super::headers;
use super::refusal::{Reason, Refusal};
use super::snapshot::Provider;
use crate::formats::{self, Dialect, Edit, Endpoint, Wire};
use crate::upstream::{OutBody, Outbound};

/// The request for `provider`, where the model is called `model`, under the key on `card`.
pub(super) fn build<'c>(
    provider: &Provider,
    model: Option<&str>,
    card: &'c Card,
    parts: &Parts,
    errand: &Errand,
) -> Result<Outbound<'c>, Refusal> {
    Ok(Outbound {
        method: parts.method.clone(),
        path: path(provider, model, parts, errand)?,
        headers: headers(provider, card, parts, errand),
        body: body(provider, model, errand),
        credential: card.credential.as_ref(),
    })
}

/// Whether the stream is asked for usage that the application did not ask for, which then has to be
/// taken out of the answer.
pub(super) fn asks_usage(provider: &Provider, errand: &Errand) -> bool {
    errand.facts.ask_usage.is_some() && formats::takes_stream_options(provider.dialect)
}

fn path(
    provider: &Provider,
    model: Option<&str>,
    parts: &Parts,
    errand: &Errand,
) -> Result<PathAndQuery, Refusal> {
    let path = match errand.door {
        Door::Direct { prefix } => {
            let rest = parts.uri.path().get(prefix..).unwrap_or_default();
            // `/openai` alone is the base URL itself.
            let rest = if rest.is_empty() { "/" } else { rest };
            [&*provider.base_path, rest].concat()
        }
        Door::Unified => unified_path(provider, model, parts.uri.path(), errand),
    };
    let query = parts.uri.query().map(|query| {
        headers::strip_query(query).map_or_else(|| query.into(), std::borrow::Cow::Owned)
    });
    let whole = match query.filter(|query: &std::borrow::Cow<'_, str>| !query.is_empty()) {
        Some(query) if path.contains('?') => [&*path, "&", &*query].concat(),
        Some(query) => [&*path, "?", &*query].concat(),
        None => path,
    };
    PathAndQuery::try_from(whole)
        .map_err(|_| Refusal::new(Reason::InvalidRequest, "the path cannot be forwarded"))
}

/// The unified door's path as the provider has it.
fn unified_path(provider: &Provider, model: Option<&str>, path: &str, errand: &Errand) -> String {
    if errand.path.wire == Wire::Gemini {
        return [&*provider.base_path, &renamed(path, model, errand)].concat();
    }
    let rest = path.strip_prefix("/v1").unwrap_or(path);
    if provider.dialect == Dialect::Azure
        && let (Some(version), Some(model)) = (&provider.api_version, model)
        && deployed(errand.path.endpoint)
    {
        let base = &provider.base_path;
        return format!("{base}/openai/deployments/{model}{rest}?api-version={version}");
    }
    [&*provider.base_path, provider.door(errand.path.wire), rest].concat()
}

/// Operations that classic Azure serves under a deployment's path (openai-python, `lib/azure.py`).
const fn deployed(endpoint: Endpoint) -> bool {
    matches!(endpoint, Endpoint::ChatCompletions | Endpoint::Completions | Endpoint::Embeddings)
}

/// A path with the model's own name where the alias stood.
fn renamed(path: &str, model: Option<&str>, errand: &Errand) -> String {
    let (Some(model), Some(range)) = (model, errand.path.model_range.clone()) else {
        return path.to_owned();
    };
    let (before, after) = (path.get(..range.start), path.get(range.end..));
    [before.unwrap_or_default(), model, after.unwrap_or_default()].concat()
}

fn headers(provider: &Provider, card: &Card, parts: &Parts, errand: &Errand) -> HeaderMap {
    let mut map = parts.headers.clone();
    if errand.path.endpoint.is_known() {
        headers::narrow_encodings(&mut map, asks_usage(provider, errand));
    }
    for (name, value) in &provider.headers {
        map.entry(name).or_insert_with(|| value.clone());
    }
    for (name, value) in &card.headers {
        map.insert(name, value.clone());
    }
    map.entry(USER_AGENT).or_insert(HeaderValue::from_static("keyweir"));
    map
}

fn body(provider: &Provider, model: Option<&str>, errand: &Errand) -> OutBody {
    let bytes = match &errand.body {
        InBody::Empty => return OutBody::Empty,
        InBody::Streams(replay) => return OutBody::Stream(Box::pin(replay.reader())),
        InBody::Whole(bytes) => bytes,
    };
    let mut edits: SmallVec<[Edit; 2]> = SmallVec::new();
    if model != errand.facts.model.as_deref()
        && let Some(edit) = model.and_then(|model| errand.facts.rename(model))
    {
        edits.push(edit);
    }
    if asks_usage(provider, errand)
        && let Some(edit) = &errand.facts.ask_usage
    {
        edits.push(edit.clone());
    }
    if let Some(most) = errand.max_output {
        edits.extend(formats::bound_output(&errand.path, provider.dialect, bytes, most));
    }
    if edits.is_empty() {
        return OutBody::from(bytes.clone());
    }
    OutBody::Pieces(formats::apply(bytes, &edits).pieces)
}
