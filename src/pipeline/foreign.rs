//! A target of another wire format than the caller's: the request put into that format, and the answer
//! on its way back.

use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::answer::{self, names};
use super::entry::{Door, Errand, InBody};
use super::exchange::Exchange;
use super::headers::{self, Encodings, Fields};
use super::refusal::{Reason, Refusal};
use super::snapshot::Provider;
use crate::formats::{Endpoint, Wire};
use crate::translate::{self, Format, Plan, Target, Translation, Unfit, Written};

/// A body above this size is translated by a thread beside the data thread.
const ASIDE: usize = 256 * 1024;

/// A request in a target's own wire format.
#[derive(Debug)]
pub(super) struct Foreign {
    /// The format.
    pub wire: Wire,
    /// The request.
    pub written: Written,
}

/// The wire format in which a provider has to be asked, where it cannot be asked as the caller does.
pub(super) fn wire(provider: &Provider, errand: &Errand) -> Option<Wire> {
    let path = &errand.path;
    let lacks = path.endpoint == Endpoint::Responses && !provider.dialect.has_responses();
    if matches!(errand.door, Door::Direct { .. }) || provider.speaks(path.wire) && !lacks {
        return None;
    }
    let reach = translate::reach(path.wire, path.endpoint);
    provider.doors.iter().map(|(wire, _)| *wire).find(|wire| reach.contains(wire))
}

/// Puts a request into that format.
pub(super) async fn translate(
    wire: Wire,
    provider: &Provider,
    model: Option<&str>,
    errand: &Errand,
) -> Result<Foreign, Refusal> {
    let InBody::Whole(body) = &errand.body else {
        let why = "the body is compressed or no JSON, and cannot be translated";
        return Err(Refusal::new(Reason::InvalidRequest, why));
    };
    let format = Format::of(errand.path.wire, errand.path.endpoint);
    let (stream, dialect) = (errand.facts.stream, provider.dialect);
    let model = model.unwrap_or_default();
    let written = if body.len() > ASIDE {
        let (body, model) = (body.clone(), model.to_owned());
        let put = move || {
            let target = Target { wire, dialect, model: &model };
            translate::request(format, stream, &body, &target)
        };
        let gone = |_| Refusal::new(Reason::InvalidRequest, "the body could not be translated");
        tokio::task::spawn_blocking(put).await.map_err(gone)?
    } else {
        translate::request(format, stream, body, &Target { wire, dialect, model })
    };
    match written {
        Ok(written) => Ok(Foreign { wire, written }),
        Err(unfit) => Err(refusal(provider, model, &unfit)),
    }
}

/// It is the request that does not fit: said in the words of the format that it came in.
fn refusal(provider: &Provider, model: &str, unfit: &Unfit) -> Refusal {
    let message = format!("{unfit} (for {}/{model})", provider.name);
    Refusal::new(Reason::InvalidRequest, message)
}

impl Foreign {
    /// The path and query of the request.
    pub(super) fn path(&self, provider: &Provider, model: Option<&str>) -> String {
        let (base, door) = (&provider.base_path, provider.door(self.wire));
        let model = model.unwrap_or_default();
        let gemini = |method| format!("{base}/v1beta/models/{}:{method}", escape(model));
        match self.written.endpoint {
            Endpoint::ChatCompletions if self.wire == Wire::Cohere => format!("{base}/v2/chat"),
            Endpoint::Messages => format!("{base}{door}/messages"),
            Endpoint::GenerateContent => gemini("generateContent"),
            Endpoint::StreamGenerateContent => gemini("streamGenerateContent?alt=sse"),
            Endpoint::ChatCompletions
            | Endpoint::Completions
            | Endpoint::Responses
            | Endpoint::Embeddings
            | Endpoint::CountTokens
            | Endpoint::GeminiCountTokens
            | Endpoint::EmbedContent
            | Endpoint::Models
            | Endpoint::Stored
            | Endpoint::Other => provider
                .deployed(model, "chat/completions")
                .unwrap_or_else(|| format!("{base}{door}/chat/completions")),
        }
    }

    /// The caller's headers as those of a request in this format: what is meant for a provider of the
    /// caller's own goes, and the answer must be legible.
    pub(super) fn dress(headers: &HeaderMap) -> Fields<'_> {
        static JSON: HeaderValue = HeaderValue::from_static("application/json");
        static IDENTITY: HeaderValue = HeaderValue::from_static("identity");
        let mut fields = headers::pass(headers, Encodings::Identity);
        let theirs = ["anthropic-", "openai-", "x-goog-"];
        fields.retain(|(name, _)| !theirs.iter().any(|it| name.as_str().starts_with(it)));
        headers::set(&mut fields, &CONTENT_TYPE, &JSON);
        headers::set(&mut fields, &ACCEPT_ENCODING, &IDENTITY);
        fields
    }

    /// What is done with the answer whose head this is; the head becomes the caller's.
    pub(super) fn translation(
        &self,
        model: Option<&str>,
        (status, headers): (&mut StatusCode, &mut HeaderMap),
        (exchange, errand): (&Exchange, &Errand),
    ) -> Translation {
        let plan = plan(self.wire, model, exchange, errand);
        let id =
            headers.get(names::ANTHROPIC_REQUEST_ID).or_else(|| headers.get(names::REQUEST_ID));
        let id = id.cloned().unwrap_or_else(|| answer::request_id(exchange));
        let text = |value: Option<&HeaderValue>| {
            value.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let content_type = if headers.contains_key(CONTENT_ENCODING) {
            // Not asked for, and not read.
            String::new()
        } else {
            text(headers.get(CONTENT_TYPE))
        };
        let request_id = text(Some(&id));
        let translation = Translation::new(plan, status.as_u16(), &content_type, &request_id);
        for name in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING] {
            headers.remove(name);
        }
        // Each SDK looks for it under its own name, and finds one.
        if errand.path.wire == Wire::Anthropic {
            headers.insert(names::ANTHROPIC_REQUEST_ID, id.clone());
        }
        headers.insert(names::REQUEST_ID, id);
        let expected = translate::status(errand.path.wire, status.as_u16());
        *status = StatusCode::from_u16(expected).unwrap_or(*status);
        translation
    }
}

/// How an answer in that format becomes the caller's.
pub(super) fn plan(from: Wire, model: Option<&str>, exchange: &Exchange, errand: &Errand) -> Plan {
    Plan {
        from,
        to: Format::of(errand.path.wire, errand.path.endpoint),
        stream: errand.facts.stream,
        array: errand.path.endpoint == Endpoint::StreamGenerateContent && !errand.manner.as_events,
        include_usage: errand.facts.ask_usage.is_none(),
        choices: errand.facts.choices,
        created: exchange.clock.now().wall.as_second(),
        fresh: fastrand::u64(..),
        response_id: format!("resp_{:032x}", fastrand::u128(..)).into(),
        model: model.unwrap_or_default().into(),
    }
}

/// A model's name as a segment of a path.
fn escape(model: &str) -> String {
    model.replace('%', "%25").replace('?', "%3F").replace('#', "%23").replace(' ', "%20")
}
