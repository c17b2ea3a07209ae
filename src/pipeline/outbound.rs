//! A request as one provider is sent it: its path, its headers, its body.

use std::borrow::Cow;

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, header};
use smallvec::SmallVec;

use super::desk::Card;
use super::entry::{Door, Errand, InBody};
use super::headers::{self, Encodings, Fields};
use super::refusal::{Reason, Refusal};
use super::snapshot::Provider;
use crate::formats::{self, Dialect, Edit, Endpoint, Wire};
use crate::upstream::{Field, OutBody, Outbound};

/// The headers for `provider` under the key on `card`.
pub(super) fn headers<'h>(
    provider: &'h Provider,
    card: &'h Card,
    parts: &'h Parts,
    errand: &Errand,
) -> Fields<'h> {
    static USER_AGENT: HeaderName = header::USER_AGENT;
    static OURS: HeaderValue = HeaderValue::from_static("keyweir");
    let encodings = match errand.path.endpoint.is_known() {
        true if asks_usage(provider, errand) => Encodings::Identity,
        true => Encodings::Readable,
        false => Encodings::AsAsked,
    };
    let mut fields = headers::pass(&parts.headers, encodings);
    for (name, value) in &provider.headers {
        headers::set_default(&mut fields, name, value);
    }
    for (name, value) in &card.headers {
        headers::set(&mut fields, name, value);
    }
    headers::set_default(&mut fields, &USER_AGENT, &OURS);
    fields
}

/// The request for `provider`, where the model is called `model`, under the key on `card`.
pub(super) fn build<'c>(
    provider: &Provider,
    model: Option<&str>,
    (card, headers): (&'c Card, &'c [Field<'c>]),
    parts: &Parts,
    errand: &Errand,
) -> Result<Outbound<'c>, Refusal> {
    Ok(Outbound {
        method: parts.method.clone(),
        path: path(provider, model, parts, errand)?,
        headers,
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
    let asked = parts.uri.path();
    let path = match errand.door {
        Door::Direct { prefix } => {
            let rest = asked.get(prefix..).unwrap_or_default();
            // `/openai` alone is the base URL itself.
            let rest = if rest.is_empty() { "/" } else { rest };
            join(asked, [&provider.base_path, "", rest])
        }
        Door::Unified => unified_path(provider, model, asked, errand),
    };
    let query = parts
        .uri
        .query()
        .map(|query| headers::strip_query(query).map_or(Cow::Borrowed(query), Cow::Owned));
    let whole = match (path, query) {
        // Neither was changed.
        (Cow::Borrowed(_), None | Some(Cow::Borrowed(_)))
            if let Some(same) = parts.uri.path_and_query() =>
        {
            return Ok(same.clone());
        }
        (path, None) => path.into_owned(),
        (path, Some(query)) if query.is_empty() => path.into_owned(),
        (path, Some(query)) if path.contains('?') => [&*path, "&", &*query].concat(),
        (path, Some(query)) => [&*path, "?", &*query].concat(),
    };
    PathAndQuery::try_from(whole)
        .map_err(|_| Refusal::new(Reason::InvalidRequest, "the path cannot be forwarded"))
}

/// The pieces in a row, which are the path that was asked for more often than not.
fn join<'p>(asked: &'p str, pieces: [&str; 3]) -> Cow<'p, str> {
    let rest = pieces.iter().try_fold(asked, |rest, piece| rest.strip_prefix(*piece));
    if rest == Some("") { Cow::Borrowed(asked) } else { Cow::Owned(pieces.concat()) }
}

/// The unified door's path as the provider has it.
fn unified_path<'p>(
    provider: &Provider,
    model: Option<&str>,
    path: &'p str,
    errand: &Errand,
) -> Cow<'p, str> {
    if errand.path.wire == Wire::Gemini {
        return Cow::Owned([&*provider.base_path, &renamed(path, model, errand)].concat());
    }
    let rest = path.strip_prefix("/v1").unwrap_or(path);
    if provider.dialect == Dialect::Azure
        && let (Some(version), Some(model)) = (&provider.api_version, model)
        && deployed(errand.path.endpoint)
    {
        let base = &provider.base_path;
        let path = format!("{base}/openai/deployments/{model}{rest}?api-version={version}");
        return Cow::Owned(path);
    }
    join(path, [&provider.base_path, provider.door(errand.path.wire), rest])
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
