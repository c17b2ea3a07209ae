//! What a request's path says: the endpoint, the wire format spoken there, and for some a model and
//! the ids of stored things.
//!
//! The same resources stand below many prefixes (`/v1`, `/openai/v1`, `/api/v1`, `/inference/v1`,
//! none), so a path is recognised at the leftmost segment from which it makes sense.

mod kind;

use std::ops::Range;
use std::sync::Arc;

pub use kind::EndpointKind;

use http::{HeaderMap, HeaderName, Method};
use smallvec::SmallVec;

use super::stored::{StoredId, StoredIds};
use super::wire::Wire;

/// Paths of more segments than this are not looked into.
const MAX_SEGMENTS: usize = 24;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Endpoint {
    /// A chat: OpenAI's, or Cohere's and Ollama's own.
    ChatCompletions,
    /// A plain completion: OpenAI's legacy one, or Ollama's `generate`.
    Completions,
    /// OpenAI's Responses.
    Responses,
    /// Embeddings: OpenAI's, or Cohere's and Ollama's own.
    Embeddings,
    /// Anthropic's Messages.
    Messages,
    /// Anthropic's token count.
    CountTokens,
    /// Gemini, the whole answer at once.
    GenerateContent,
    /// Gemini, streamed.
    StreamGenerateContent,
    /// Gemini's token count.
    GeminiCountTokens,
    /// Gemini's embeddings, one or a batch.
    EmbedContent,
    /// A list of models, or one of them.
    Models,
    /// What the provider keeps for one organisation: files, batches, vector stores, uploads,
    /// conversations, cached contents, and responses that are fetched, cancelled or deleted.
    Stored,
    /// Anything else.
    Other,
}

impl Endpoint {
    /// Whether a model goes on with what it is sent, so that a provider may have the beginning in its
    /// cache.
    pub const fn is_prompt(self) -> bool {
        matches!(
            self,
            Self::ChatCompletions
                | Self::Completions
                | Self::Responses
                | Self::Messages
                | Self::GenerateContent
                | Self::StreamGenerateContent
        )
    }

    /// The word for it in configuration, metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat",
            Self::Completions => "completions",
            Self::Responses => "responses",
            Self::Embeddings => "embeddings",
            Self::Messages => "messages",
            Self::CountTokens => "countTokens",
            Self::GenerateContent => "generateContent",
            Self::StreamGenerateContent => "streamGenerateContent",
            Self::GeminiCountTokens => "geminiCountTokens",
            Self::EmbedContent => "embedContent",
            Self::Models => "models",
            Self::Stored => "stored",
            Self::Other => "other",
        }
    }

    /// Whether its request is a JSON object whose fields are known, so that a body that is not one
    /// is refused here. Anywhere else it is the provider's to judge.
    pub const fn is_known(self) -> bool {
        !matches!(self, Self::Models | Self::Stored | Self::Other)
    }
}

/// What the path says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathFacts {
    /// What is asked for.
    pub endpoint: Endpoint,
    /// The same in the configuration's words.
    pub kind: EndpointKind,
    /// The wire format spoken there, which may be another than the provider's own (Gemini's
    /// `/v1beta/openai/…`, OpenRouter's `/api/v1/messages`).
    pub wire: Wire,
    /// The model, where the path names it (Gemini, Azure's deployments).
    pub model: Option<Arc<str>>,
    /// Where in the path, in bytes, so that it can be renamed.
    pub model_range: Option<Range<usize>>,
    /// Whether the answer streams because of the path (Gemini).
    pub streams: bool,
    /// Stored things that the path names.
    pub stored: StoredIds,
}

/// Reads `path` (without its query) as a provider of wire format `wire` sees it, or as it follows
/// `/{provider}` in the caller's request.
pub fn read_path(wire: Wire, method: &Method, path: &str) -> PathFacts {
    if wire == Wire::Http {
        return PathFacts::of(Endpoint::Other, wire);
    }
    let Some(segments) = Segments::split(path) else {
        return PathFacts::of(Endpoint::Other, wire);
    };
    let native = match wire {
        Wire::Cohere => cohere(method, segments.names()),
        Wire::Ollama => ollama(method, segments.names()),
        Wire::OpenAi | Wire::Anthropic | Wire::Gemini | Wire::Http => None,
    };
    native
        .map(|endpoint| PathFacts::of(endpoint, wire))
        .or_else(|| azure(method, &segments))
        .or_else(|| {
            (0..segments.len()).find_map(|at| {
                let before = segments.names().get(..at).unwrap_or_default();
                let shared = if before.contains(&"openai") { Wire::OpenAi } else { wire };
                recognise(shared, method, &segments, at)
            })
        })
        .unwrap_or_else(|| PathFacts::of(Endpoint::Other, wire))
}

/// Headers that tell whose SDK asks.
static ANTHROPIC: HeaderName = HeaderName::from_static("anthropic-version");
static GEMINI: HeaderName = HeaderName::from_static("x-goog-api-key");

/// Reads `path` (without its query) at the unified door, `/v1/…` and `/v1beta/…`, where the path
/// tells the wire format. `None` is an unknown path, or a method that it does not take.
///
/// `/upload/v1…` and `/download/v1…` are where Gemini's files come in and go out: its SDKs keep the
/// path of an upload's URL and put their base URL's host in front, so that the pieces arrive here
/// even if the upload was begun below a provider's name.
///
/// Where two providers share a path (`/v1/models`, `/v1/files`), the asker's headers decide:
/// `anthropic-version` is Anthropic's, `x-goog-api-key` Gemini's.
pub fn door(method: &Method, path: &str, headers: &HeaderMap) -> Option<PathFacts> {
    let segments = Segments::split(path)?;
    match *segments.names().first()? {
        "v1" => {
            let facts = recognise(Wire::OpenAi, method, &segments, 1)?;
            // Only these are shared; nobody else pays for a look at the headers.
            let is_shared = matches!(facts.endpoint, Endpoint::Models | Endpoint::Stored);
            match if is_shared { asker(headers) } else { None } {
                Some(wire) => recognise(wire, method, &segments, 1),
                None => Some(facts),
            }
        }
        "v1beta" => {
            recognise(Wire::Gemini, method, &segments, 1).filter(|facts| facts.wire == Wire::Gemini)
        }
        "upload" | "download" if matches!(segments.names().get(1), Some(&("v1" | "v1beta"))) => {
            let stored = |facts: &PathFacts| facts.endpoint == Endpoint::Stored;
            recognise(Wire::Gemini, method, &segments, 2).filter(stored)
        }
        _ => None,
    }
}

/// Whose SDK asks, where its headers tell.
fn asker(headers: &HeaderMap) -> Option<Wire> {
    if headers.contains_key(&ANTHROPIC) {
        return Some(Wire::Anthropic);
    }
    headers.contains_key(&GEMINI).then_some(Wire::Gemini)
}

impl PathFacts {
    /// The plain facts of that endpoint, with nothing else told.
    pub fn of(endpoint: Endpoint, wire: Wire) -> Self {
        Self {
            endpoint,
            kind: EndpointKind::of(endpoint, &[]),
            wire,
            model: None,
            model_range: None,
            streams: endpoint == Endpoint::StreamGenerateContent,
            stored: StoredIds::default(),
        }
    }

    /// The same with the stored things that the query names, where it is about stored things at all.
    #[must_use]
    pub fn with_query(mut self, query: &str) -> Self {
        if self.endpoint == Endpoint::Stored {
            self.stored.extend(StoredId::of_query(query));
        }
        self
    }

    fn model(mut self, path: &str, range: Range<usize>) -> Self {
        self.model = path.get(range.clone()).map(|name| decode(name).into());
        self.model_range = Some(range);
        self
    }
}

/// A path cut at its slashes; empty segments (a doubled or trailing slash) are passed over.
struct Segments<'p> {
    path: &'p str,
    names: SmallVec<[&'p str; 8]>,
    starts: SmallVec<[usize; 8]>,
}

impl<'p> Segments<'p> {
    fn split(path: &'p str) -> Option<Self> {
        let mut segments = Self { path, names: SmallVec::new(), starts: SmallVec::new() };
        let mut start = 0;
        for name in path.split('/') {
            if !name.is_empty() {
                segments.names.push(name);
                segments.starts.push(start);
            }
            start += name.len() + 1;
            if segments.names.len() > MAX_SEGMENTS {
                return None;
            }
        }
        Some(segments)
    }

    fn len(&self) -> usize {
        self.names.len()
    }

    fn names(&self) -> &[&'p str] {
        &self.names
    }

    /// Where segment `at` begins in the path.
    fn start(&self, at: usize) -> usize {
        self.starts.get(at).copied().unwrap_or(self.path.len())
    }
}

/// `/openai/deployments/{deployment}/{operation}`: the deployment is the model, whatever the body
/// says (Azure OpenAI reference).
fn azure(method: &Method, segments: &Segments<'_>) -> Option<PathFacts> {
    let at = segments.names().windows(2).position(|pair| pair == ["openai", "deployments"])?;
    let deployment = segments.names().get(at + 2)?;
    let start = segments.start(at + 2);
    let facts = recognise(Wire::OpenAi, method, segments, at + 3)
        .unwrap_or_else(|| PathFacts::of(Endpoint::Other, Wire::OpenAi));
    Some(facts.model(segments.path, start..start + deployment.len()))
}

fn cohere(method: &Method, names: &[&str]) -> Option<Endpoint> {
    match names {
        ["v1" | "v2", "chat"] if method == Method::POST => Some(Endpoint::ChatCompletions),
        ["v1" | "v2", "embed"] if method == Method::POST => Some(Endpoint::Embeddings),
        _ => None,
    }
}

fn ollama(method: &Method, names: &[&str]) -> Option<Endpoint> {
    match names {
        ["api", "chat"] if method == Method::POST => Some(Endpoint::ChatCompletions),
        ["api", "generate"] if method == Method::POST => Some(Endpoint::Completions),
        ["api", "embed" | "embeddings"] if method == Method::POST => Some(Endpoint::Embeddings),
        ["api", "tags"] if method == Method::GET => Some(Endpoint::Models),
        _ => None,
    }
}

/// What the path means from segment `at` on; `shared` is the wire format of resources that several
/// providers have under one name.
fn recognise(
    shared: Wire,
    method: &Method,
    segments: &Segments<'_>,
    at: usize,
) -> Option<PathFacts> {
    let facts = meaning(shared, method, segments, at)?;
    let kind = EndpointKind::of(facts.endpoint, segments.names().get(at..)?);
    Some(PathFacts { kind, ..facts })
}

fn meaning(shared: Wire, method: &Method, segments: &Segments<'_>, at: usize) -> Option<PathFacts> {
    let names = segments.names().get(at..)?;
    let post = method == Method::POST;
    let of = |endpoint, wire| Some(PathFacts::of(endpoint, wire));
    match names {
        ["chat", "completions"] if post => of(Endpoint::ChatCompletions, Wire::OpenAi),
        ["completions"] if post => of(Endpoint::Completions, Wire::OpenAi),
        ["responses"] if post => of(Endpoint::Responses, Wire::OpenAi),
        ["responses", "input_tokens" | "compact"] if post => of(Endpoint::Other, Wire::OpenAi),
        ["embeddings"] if post => of(Endpoint::Embeddings, Wire::OpenAi),
        ["messages"] if post => of(Endpoint::Messages, Wire::Anthropic),
        ["messages", "count_tokens"] if post => of(Endpoint::CountTokens, Wire::Anthropic),
        ["messages", "batches", ids @ ..] => Some(stored(Wire::Anthropic, ids)),
        ["models" | "tunedModels", .., last] if last.contains(':') || last.contains("%3A") => {
            Some(gemini(segments, at))
        }
        ["models"] | ["models", _, ..] if method == Method::GET => of(Endpoint::Models, shared),
        ["models", _] if method == Method::DELETE => of(Endpoint::Stored, shared),
        ["chat", "completions", ids @ ..] | ["responses", ids @ ..] if !ids.is_empty() || !post => {
            Some(stored(Wire::OpenAi, ids))
        }
        ["cachedContents" | "tunedModels" | "fileSearchStores" | "interactions", ..] => {
            Some(resources(names))
        }
        ["files" | "batches", ..] if shared == Wire::Gemini => Some(resources(names)),
        ["files" | "batches" | "skills", ids @ ..] => Some(stored(shared, ids)),
        ["fine_tuning", _, ids @ ..]
        | [
            "uploads" | "vector_stores" | "conversations" | "containers" | "evals" | "videos"
            | "assistants" | "threads",
            ids @ ..,
        ] => Some(stored(Wire::OpenAi, ids)),
        ["audio" | "images", _] | ["moderations" | "rerank"] if post => {
            of(Endpoint::Other, Wire::OpenAi)
        }
        ["realtime", ..] => of(Endpoint::Other, Wire::OpenAi),
        _ => None,
    }
}

/// Something stored, whose id is the first of `rest`; further ones show by their prefix
/// (`vector_stores/vs_1/files/file-1`).
fn stored(wire: Wire, rest: &[&str]) -> PathFacts {
    let mut facts = PathFacts::of(Endpoint::Stored, wire);
    facts.stored.extend(rest.first().and_then(|id| StoredId::named(id)));
    facts.stored.extend(rest.iter().skip(1).filter_map(|id| StoredId::made(id)));
    facts
}

/// Gemini names what it stores by resource name: `files/abc`, also with a method behind it.
fn resources(names: &[&str]) -> PathFacts {
    let mut facts = PathFacts::of(Endpoint::Stored, Wire::Gemini);
    if let [kind, id, ..] = names {
        let id = id.split(':').next().unwrap_or_default();
        facts.stored.extend(StoredId::named(&format!("{kind}/{id}")));
    }
    facts
}

/// `models/{model}:{method}`; the model may hold slashes, and the colon may be percent-encoded.
fn gemini(segments: &Segments<'_>, at: usize) -> PathFacts {
    let tuned = segments.names().get(at) == Some(&"tunedModels");
    let start = segments.start(if tuned { at } else { at + 1 });
    let rest = segments.path.get(start..).unwrap_or_default();
    let (colon, width) = match (rest.rfind(':'), rest.rfind("%3A")) {
        (Some(plain), Some(encoded)) if encoded > plain => (encoded, 3),
        (Some(plain), _) => (plain, 1),
        (None, encoded) => (encoded.unwrap_or(rest.len()), 3),
    };
    let endpoint = match rest.get(colon + width..).unwrap_or_default().trim_end_matches('/') {
        "generateContent" => Endpoint::GenerateContent,
        "streamGenerateContent" => Endpoint::StreamGenerateContent,
        "countTokens" => Endpoint::GeminiCountTokens,
        "embedContent" | "batchEmbedContents" => Endpoint::EmbedContent,
        "batchGenerateContent" | "asyncBatchEmbedContent" => Endpoint::Stored,
        _ => Endpoint::Other,
    };
    PathFacts::of(endpoint, Wire::Gemini).model(segments.path, start..start + colon)
}

/// Percent-decoding; what is not a valid escape, or no text afterwards, stays as it was written.
fn decode(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escape = (byte == b'%').then(|| after.split_at_checked(2)).flatten();
        let value = escape.and_then(|(digits, _)| {
            let digits = str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
            u8::from_str_radix(digits, 16).ok()
        });
        bytes.push(value.unwrap_or(byte));
        rest = if value.is_some() { escape.map_or(after, |(_, rest)| rest) } else { after };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| name.to_owned())
}

#[cfg(test)]
mod tests;
