//! The translators: a request in one wire format becomes one in another, and so does its answer.
//!
//! Each format has one reader and one writer of each of three things: a request, an answer, the events
//! of a stream. Between them stands one typed form ([`mod@request`], [`answer`]), so that a further format
//! costs a reader and a writer and not one of each for every other. What a format cannot say, the
//! table in [`losses`] refuses, drops or rewords. A request that goes to a provider of its own format
//! never comes here.
//!
//! Pure: bytes in, bytes out.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "in what others wrote, whatever is not expected is one case"
)]

pub mod answer;
mod anthropic;
mod balance;
mod cohere;
mod errors;
mod framing;
mod gemini;
pub mod json;
mod lines;
mod listing;
pub mod losses;
mod openai;
pub mod request;
mod responses;
pub mod seal;
mod stream;
mod unfit;
mod versions;

use std::borrow::Cow;

use bytes::Bytes;

use crate::formats::{Dialect, Endpoint, Usage, Wire};
use answer::{Answer, Choice, Finish, Problem};
use json::Json;
pub use listing::{Listed, Listing};
use losses::Losses;
use request::{Part, Request};
use stream::Stream;
pub use unfit::Unfit;

/// The formats that callers ask in.
pub const WIRES: [Wire; 3] = [Wire::OpenAi, Wire::Anthropic, Wire::Gemini];

/// The formats that providers are asked in.
pub const TARGETS: [Wire; 4] = [Wire::OpenAi, Wire::Anthropic, Wire::Gemini, Wire::Cohere];

/// The largest whole answer that is translated, in bytes.
const MAX_ANSWER: usize = 32 * 1024 * 1024;

/// The formats into which a request of that endpoint can be translated; none where it cannot.
pub const fn reach(wire: Wire, endpoint: Endpoint) -> &'static [Wire] {
    match (wire, endpoint) {
        (Wire::OpenAi, Endpoint::ChatCompletions | Endpoint::Responses)
        | (Wire::Anthropic, Endpoint::Messages)
        | (Wire::Gemini, Endpoint::GenerateContent | Endpoint::StreamGenerateContent) => &TARGETS,
        _ => &[],
    }
}

/// What callers ask in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenAI's chat completions.
    Chat,
    /// OpenAI's responses.
    Responses,
    /// Anthropic's messages.
    Messages,
    /// Gemini's content.
    Content,
}

impl Format {
    /// The format of a request to that endpoint.
    pub const fn of(wire: Wire, endpoint: Endpoint) -> Self {
        match (wire, endpoint) {
            (Wire::OpenAi, Endpoint::Responses) => Self::Responses,
            (wire, _) => Self::usual(wire),
        }
    }

    /// The one that a wire format is best known by.
    pub const fn usual(wire: Wire) -> Self {
        match wire {
            Wire::Anthropic => Self::Messages,
            Wire::Gemini => Self::Content,
            Wire::OpenAi | Wire::Cohere | Wire::Ollama | Wire::Http => Self::Chat,
        }
    }

    /// The wire format that it belongs to.
    pub const fn wire(self) -> Wire {
        match self {
            Self::Chat | Self::Responses => Wire::OpenAi,
            Self::Messages => Wire::Anthropic,
            Self::Content => Wire::Gemini,
        }
    }
}

/// For whom a request is written.
#[derive(Clone, Copy, Debug)]
pub struct Target<'t> {
    /// The format it is written in.
    pub wire: Wire,
    /// Whose habits the provider follows.
    pub dialect: Dialect,
    /// What the provider calls the model.
    pub model: &'t str,
}

/// A request in another format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// What is asked for there.
    pub endpoint: Endpoint,
    /// Its body.
    pub body: Bytes,
    /// The fields that were dropped, by name.
    pub dropped: Vec<String>,
}

/// Puts a request of that format into the target's. `stream` says what a path says (Gemini's).
pub fn request(
    format: Format,
    stream: bool,
    body: &[u8],
    target: &Target<'_>,
) -> Result<Written, Unfit> {
    let request = read_request(format, stream, body)?;
    let mut losses = Losses::new(format.wire(), target.wire);
    if format != Format::usual(target.wire) {
        losses = losses.abroad();
    }
    let written = write_request(&request, target, &mut losses)?;
    let body = serde_json::to_vec(&written).map_err(|_| Unfit::new("cannot be written"))?;
    let endpoint = endpoint(target.wire, request.stream);
    Ok(Written { endpoint, body: body.into(), dropped: losses.dropped() })
}

/// Reads a request of that format into the form that all share.
pub fn read_request(format: Format, stream: bool, body: &[u8]) -> Result<Request<'_>, Unfit> {
    let body = Json::read(body).map_err(|_| Unfit::new("the body is no JSON"))?;
    let request = match format {
        Format::Chat => openai::request_reader::read(body)?,
        Format::Responses => responses::request_reader::read(body)?,
        Format::Messages => anthropic::request_reader::read(body)?,
        Format::Content => gemini::request_reader::read(body, stream)?,
    };
    losses::check_outcomes(&request)?;
    Ok(request)
}

/// Writes a request in the target's format.
pub fn write_request<'a>(
    request: &'a Request<'_>,
    target: &'a Target<'_>,
    losses: &mut Losses,
) -> Result<Json<'a>, Unfit> {
    match target.wire {
        Wire::Anthropic => anthropic::request_writer::write(request, target, losses),
        Wire::Gemini => gemini::request_writer::write(request, target, losses),
        Wire::Cohere => cohere::request_writer::write(request, target, losses),
        Wire::OpenAi | Wire::Ollama | Wire::Http => {
            openai::request_writer::write(request, target, losses)
        }
    }
}

const fn endpoint(wire: Wire, stream: bool) -> Endpoint {
    match (wire, stream) {
        (Wire::Anthropic, _) => Endpoint::Messages,
        (Wire::Gemini, true) => Endpoint::StreamGenerateContent,
        (Wire::Gemini, false) => Endpoint::GenerateContent,
        (Wire::OpenAi | Wire::Cohere | Wire::Ollama | Wire::Http, _) => Endpoint::ChatCompletions,
    }
}

/// What is known of an answer before it comes.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The provider's format.
    pub from: Wire,
    /// The caller's.
    pub to: Format,
    /// Whether the caller asked for a stream.
    pub stream: bool,
    /// Whether that stream is one JSON array (Gemini without `alt=sse`).
    pub array: bool,
    /// Whether the caller asked for a chunk of usage (OpenAI).
    pub include_usage: bool,
    /// How many answers were asked for.
    pub choices: u32,
    /// The time, in seconds of Unix.
    pub created: i64,
    /// Random: ids are made of it where the provider gives none.
    pub fresh: u64,
    /// The id of a response: the provider's own would lead nobody to it.
    pub response_id: Box<str>,
    /// The model that was asked, where the provider does not tell.
    pub model: Box<str>,
}

impl Plan {
    /// Of what stays in its format.
    fn within(wire: Wire) -> Self {
        Self {
            from: wire,
            to: Format::usual(wire),
            stream: false,
            array: false,
            include_usage: false,
            choices: 1,
            created: 0,
            fresh: 0,
            response_id: Box::default(),
            model: Box::default(),
        }
    }

    fn id_or_own<'a>(&self, id: &'a str, prefix: &str) -> Cow<'a, str> {
        if id.is_empty() {
            Cow::Owned(format!("{prefix}{:016x}", self.fresh))
        } else {
            Cow::Borrowed(id)
        }
    }

    fn response_id(&self) -> &str {
        &self.response_id
    }

    fn model_or_own<'a>(&'a self, model: &'a str) -> &'a str {
        if model.is_empty() { &self.model } else { model }
    }
}

/// An answer on its way from one format into another.
#[derive(Debug)]
pub struct Translation {
    plan: Plan,
    status: u16,
    request_id: Box<str>,
    /// The list that it is, where it is one of models.
    listing: Option<Listing>,
    state: State,
}

#[derive(Debug)]
enum State {
    Stream(Box<Stream>),
    /// Translated when it has come whole.
    Whole(Vec<u8>),
    TooLong,
}

/// How a translated answer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The caller's own status.
    pub status: u16,
    /// The media type of what follows.
    pub content_type: &'static str,
}

impl Translation {
    /// The answer that is about to come. `content_type` is the provider's; `request_id` is told in
    /// errors where the format has a place for it.
    pub fn new(plan: Plan, status: u16, content_type: &str, request_id: &str) -> Self {
        let streams =
            content_type.trim_start().to_ascii_lowercase().starts_with("text/event-stream");
        let state = if streams && plan.stream && (200..300).contains(&status) {
            State::Stream(Box::new(Stream::new(&plan)))
        } else {
            State::Whole(Vec::new())
        };
        Self { plan, status, request_id: request_id.into(), listing: None, state }
    }

    /// A provider's list of models that is about to come, to be joined with ours.
    pub fn of_list(listing: Listing, status: u16) -> Self {
        let plan = Plan::within(listing.wire);
        let state = State::Whole(Vec::new());
        Self { plan, status, request_id: Box::default(), listing: Some(listing), state }
    }

    /// How it begins; `None` while that is not known yet, because it has to come whole first.
    pub fn head(&self) -> Option<Head> {
        match &self.state {
            State::Stream(stream) => {
                Some(Head { status: self.status, content_type: stream.content_type() })
            }
            State::Whole(_) | State::TooLong => None,
        }
    }

    /// Takes a piece in; what follows from it.
    pub fn read(&mut self, piece: &[u8]) -> Bytes {
        match &mut self.state {
            State::Stream(stream) => return stream.read(piece),
            State::Whole(gathered) if gathered.len() + piece.len() <= MAX_ANSWER => {
                gathered.extend_from_slice(piece);
            }
            State::Whole(_) | State::TooLong => self.state = State::TooLong,
        }
        Bytes::new()
    }

    /// The provider's answer has ended: the last of it, and whether it was whole. Of an answer that
    /// had to come whole, this is all of it, and how it begins.
    pub fn end(&mut self) -> (Bytes, bool, Option<Head>) {
        match &mut self.state {
            State::Stream(stream) => {
                let (rest, whole) = stream.end();
                (rest, whole, None)
            }
            State::Whole(gathered) => {
                let gathered = std::mem::take(gathered);
                self.whole(&gathered)
            }
            State::TooLong => self.fail("the provider's answer is too long to be translated"),
        }
    }

    /// The provider's answer broke off: how to end it for the caller.
    pub fn cut(&mut self, message: &str) -> (Bytes, Option<Head>) {
        if let State::Stream(stream) = &mut self.state {
            return (stream.cut(message), None);
        }
        let (body, _, head) = self.fail(message);
        (body, head)
    }

    fn whole(&self, body: &[u8]) -> (Bytes, bool, Option<Head>) {
        if let Some(listing) = &self.listing {
            let list = Some(body).filter(|_| (200..300).contains(&self.status));
            let list = list.and_then(|body| listing.merged(body));
            let head = Head { status: 200, content_type: "application/json" };
            return (list.unwrap_or_else(|| listing.alone()), true, Some(head));
        }
        if !(200..300).contains(&self.status) {
            let problem = errors::read(self.status, body);
            return self.refuse(&problem, true);
        }
        match read_answer(self.plan.from, body) {
            Ok(answer) if self.plan.stream => {
                let mut stream = Stream::new(&self.plan);
                let content_type = stream.content_type();
                let head = Head { status: self.status, content_type };
                (stream.say(answer), true, Some(head))
            }
            Ok(answer) => {
                let body = write_answer(&answer, &self.plan);
                let head = Head { status: self.status, content_type: "application/json" };
                (to_bytes(&body), true, Some(head))
            }
            Err(_) => self.fail("the provider's answer is not in the format that it speaks"),
        }
    }

    fn fail(&self, message: &str) -> (Bytes, bool, Option<Head>) {
        self.refuse(&Problem::own(502, message), false)
    }

    fn refuse(&self, problem: &Problem, whole: bool) -> (Bytes, bool, Option<Head>) {
        let body = errors::write(self.plan.to.wire(), problem, &self.request_id);
        let status = errors::status(self.plan.to.wire(), problem.status);
        let head = Head { status, content_type: "application/json" };
        (to_bytes(&body), whole, Some(head))
    }
}

/// A fixed answer in the caller's format, streamed if that was asked for.
pub fn fixed(plan: &Plan, text: &str) -> (Head, Bytes) {
    let said = Choice { parts: vec![Part::text(text)], finish: Finish::Stop };
    let (id, model) = (Cow::Borrowed(""), Cow::Borrowed(""));
    let answer = Answer { id, model, choices: vec![said], usage: Some(Usage::default()) };
    let head = |content_type| Head { status: 200, content_type };
    if plan.stream {
        let mut stream = Stream::new(plan);
        let content_type = stream.content_type();
        return (head(content_type), stream.say(answer));
    }
    (head("application/json"), to_bytes(&write_answer(&answer, plan)))
}

/// What is wrong with a request that a provider refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is too long for the model.
    ContextTooLong,
    /// A content filter refused it.
    ContentFilter,
}

/// What a refusal's body says is wrong with the request, as far as another model may mend it.
pub fn trouble(body: &[u8]) -> Option<Trouble> {
    errors::trouble(&errors::read(400, body))
}

/// The status with which a caller of that format is told of a provider's.
pub const fn status(wire: Wire, status: u16) -> u16 {
    if 200 <= status && status < 300 { status } else { errors::status(wire, status) }
}

/// Reads a whole answer of that format into the form that all share.
pub fn read_answer(wire: Wire, body: &[u8]) -> Result<Answer<'_>, Unfit> {
    let body = Json::read(body).map_err(|_| Unfit::new("is no JSON"))?;
    match wire {
        Wire::Anthropic => anthropic::answer_reader::read(body),
        Wire::Gemini => gemini::answer_reader::read(body),
        Wire::Cohere => cohere::answer_reader::read(body),
        Wire::OpenAi | Wire::Ollama | Wire::Http => openai::answer_reader::read(body),
    }
}

/// Writes a whole answer in the caller's format.
pub fn write_answer<'a>(answer: &'a Answer<'_>, plan: &'a Plan) -> Json<'a> {
    match plan.to {
        Format::Chat => openai::answer_writer::write(answer, plan),
        Format::Responses => responses::answer_writer::write(answer, plan),
        Format::Messages => anthropic::answer_writer::write(answer, plan),
        Format::Content => gemini::answer_writer::write(answer, plan),
    }
}

/// A tree of texts and numbers cannot fail to be written.
fn to_bytes(json: &Json<'_>) -> Bytes {
    serde_json::to_vec(json).unwrap_or_default().into()
}
