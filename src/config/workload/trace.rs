//! Requests as they were written down: JSON, one object a line. The proxy's own access records will
//! do as they are.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use super::super::units;
use super::super::used::{Config, Priority};
use super::super::{Diagnostic, Severity};
use super::{Book, terms_of};
use crate::clock::Moment;
use crate::simulator::basin::scenario::Arrival;

/// Requests that a trace may have: beyond it, simulate a part.
pub const MOST_REQUESTS: usize = 20_000_000;
/// Mistakes that are told at once.
const MOST_MISTAKES: usize = 100;

/// A line.
#[derive(Deserialize)]
struct Line<'l> {
    /// What writes the line, in a log of the proxy.
    #[serde(borrow)]
    target: Option<Cow<'l, str>>,
    /// Seconds since the beginning, or a duration.
    at: Option<Time<'l>>,
    /// A time of day: RFC 3339, or seconds since 1970.
    timestamp: Option<Time<'l>>,
    #[serde(borrow)]
    provider: Option<Cow<'l, str>>,
    #[serde(borrow)]
    model: Option<Cow<'l, str>>,
    #[serde(alias = "input_tokens")]
    input: Option<u64>,
    #[serde(alias = "cached_input_tokens")]
    cached: Option<u64>,
    #[serde(alias = "output_tokens")]
    output: Option<u64>,
    #[serde(alias = "maxTokens")]
    max_tokens: Option<u64>,
    #[serde(borrow)]
    caller: Option<Cow<'l, str>>,
    #[serde(borrow)]
    priority: Option<Cow<'l, str>>,
    #[serde(alias = "maxWait")]
    max_wait: Option<Time<'l>>,
    /// How long an answer took, at the end of which its record was written.
    duration_ms: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Time<'l> {
    Number(f64),
    Text(#[serde(borrow)] Cow<'l, str>),
}

/// A request, before all are put into order.
struct Request {
    /// Seconds, from whatever beginning.
    at: f64,
    arrival: Arrival,
}

/// Reads a trace, and puts its requests into the order in which they came: the first comes at the
/// beginning. Empty lines, and those of a log that are no access records, are passed over.
pub fn read(
    name: &str,
    lines: impl Iterator<Item = Result<String, String>>,
    config: &Config,
    book: &mut Book,
) -> (Vec<Arrival>, Vec<Diagnostic>) {
    let mut requests: Vec<Request> = Vec::new();
    let mut mistakes = Vec::new();
    for (number, line) in (1_u32..).zip(lines) {
        let read = line.and_then(|line| request(&line, config, book));
        match read {
            Ok(Some(request)) => requests.push(request),
            Ok(None) => {}
            Err(message) => mistakes.push(mistake(name, number, message)),
        }
        if mistakes.len() >= MOST_MISTAKES || requests.len() > MOST_REQUESTS {
            break;
        }
    }
    if requests.len() > MOST_REQUESTS {
        let message = format!("more than {MOST_REQUESTS} requests: simulate a part of them");
        mistakes.push(mistake(name, 1, message));
    }
    if requests.is_empty() && mistakes.is_empty() {
        mistakes.push(mistake(name, 1, "no request is in it".to_owned()));
    }
    (in_order(requests), mistakes)
}

fn in_order(mut requests: Vec<Request>) -> Vec<Arrival> {
    // Those of one moment stay in the order in which they are written.
    requests.sort_by(|one, other| one.at.total_cmp(&other.at));
    let first = requests.first().map_or(0.0, |request| request.at);
    let arrivals = requests.into_iter().map(|request| {
        let after = Duration::try_from_secs_f64(request.at - first).unwrap_or(Duration::ZERO);
        Arrival { at: Moment::ZERO + after, ..request.arrival }
    });
    arrivals.collect()
}

fn request(text: &str, config: &Config, book: &mut Book) -> Result<Option<Request>, String> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let line: Line<'_> = serde_json::from_str(text).map_err(|error| {
        // Its own words, without the position: a line is all that it was given.
        let words = error.to_string();
        words.split(" at line ").next().unwrap_or_default().to_owned()
    })?;
    if line.target.as_ref().is_some_and(|target| target != "access") {
        return Ok(None);
    }
    let at = moment(&line)?;
    let model = line.model.as_deref().filter(|model| !model.is_empty());
    let model = model.ok_or("its `model` is missing")?;
    // A record of the proxy's names the provider's own model beside the provider.
    let name = match line.provider.as_deref().filter(|provider| !provider.is_empty()) {
        Some(provider) => book.name(&format!("{provider}/{model}"), config)?,
        None => book.name(model, config)?,
    };
    let caller = line.caller.as_deref().filter(|caller| !caller.is_empty()).unwrap_or("default");
    let terms = terms_of(config, caller);
    let priority = match line.priority.as_deref() {
        None => terms.priority,
        Some(word) => Priority::named(word)
            .ok_or_else(|| format!("its `priority` is {word:?}: write high, normal or batch"))?,
    };
    let max_wait = line.max_wait.as_ref().map(duration).transpose()?.unwrap_or(terms.max_wait);
    let input = line.input.ok_or("its `input` is missing: tokens")?.max(1);
    let index = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
    let arrival = Arrival {
        at: Moment::ZERO,
        name: index(name),
        caller: index(book.caller(caller)),
        priority,
        max_wait,
        input,
        cached: line.cached.unwrap_or(0).min(input),
        output: line.output.unwrap_or(1).max(1),
        max_output: line.max_tokens,
    };
    Ok(Some(Request { at, arrival }))
}

/// When it came, in seconds. A record of the proxy's is written when its answer is over.
fn moment(line: &Line<'_>) -> Result<f64, String> {
    let at = match (&line.at, &line.timestamp) {
        (Some(at), _) => duration(at)?.as_secs_f64(),
        (None, Some(Time::Number(seconds))) => *seconds,
        (None, Some(Time::Text(text))) => text
            .parse::<Timestamp>()
            .map(|at| at.as_duration().as_secs_f64())
            .map_err(|_| format!("its `timestamp` is no time: {text:?}"))?,
        (None, None) => return Err("its `at` (seconds) or `timestamp` is missing".to_owned()),
    };
    let at = at - line.duration_ms.unwrap_or(0.0) / 1_000.0;
    if at.is_finite() { Ok(at) } else { Err("its time is no number".to_owned()) }
}

fn duration(time: &Time<'_>) -> Result<Duration, String> {
    match time {
        Time::Number(seconds) => Duration::try_from_secs_f64(*seconds)
            .map_err(|_| format!("{seconds} is no number of seconds")),
        Time::Text(text) => units::duration(text),
    }
}

fn mistake(name: &str, line: u32, message: String) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        file: Some(name.into()),
        line: Some(line),
        column: Some(1),
        path: String::new(),
        message,
        suggestion: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let text = "providers: {openai: , anthropic: }\n\
                    models: {chat: {targets: [{model: openai/gpt-4o}]}}\n\
                    callers: {rules: [{name: nightly, priority: batch, maxWait: 5m}]}\n";
        let source = super::super::Source { name: "k".into(), text: text.into() };
        super::super::super::read(&[source], None).config.unwrap()
    }

    fn read(text: &str) -> (Vec<Arrival>, Book, Vec<String>) {
        let mut book = Book::default();
        let lines = text.lines().map(|line| Ok(line.to_owned()));
        let (arrivals, mistakes) = super::read("t.jsonl", lines, &config(), &mut book);
        (arrivals, book, mistakes.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_trace_is_put_into_order_and_begins_at_its_first_request() {
        let (arrivals, book, mistakes) = read(
            "{\"at\": 12.5, \"model\": \"chat\", \"input\": 100, \"output\": 20}\n\n\
             {\"at\": \"2s\", \"model\": \"anthropic/claude\", \"input\": 7, \"max_tokens\": 9, \
              \"caller\": \"nightly\"}\n",
        );
        assert_eq!(mistakes, [""; 0]);
        assert_eq!(arrivals.len(), 2);
        assert_eq!(arrivals[1].at.since(arrivals[0].at), Duration::from_millis(10_500));
        assert_eq!(arrivals[0].at, Moment::ZERO);
        assert_eq!(arrivals[0].max_output, Some(9));
        assert_eq!(
            (arrivals[0].priority, arrivals[0].max_wait),
            (Priority::Batch, Duration::from_mins(5))
        );
        assert_eq!(&*book.names[usize::from(arrivals[0].name)].name, "anthropic/claude");
        assert_eq!(book.names[usize::from(arrivals[0].name)].targets[0].0, 1);
    }

    #[test]
    fn an_access_log_is_a_trace_and_the_rest_of_the_log_is_passed_over() {
        let (arrivals, book, mistakes) = read(
            "{\"timestamp\":\"2026-11-20T10:00:03Z\",\"level\":\"INFO\",\"target\":\"access\",\
              \"caller\":\"web\",\"provider\":\"openai\",\"model\":\"gpt-4o\",\"duration_ms\":2000,\
              \"input_tokens\":10,\"cached_input_tokens\":4,\"output_tokens\":5}\n\
             {\"timestamp\":\"2026-11-20T10:00:01Z\",\"level\":\"WARN\",\"target\":\"keyweir\"}\n\
             {\"timestamp\":\"2026-11-20T10:00:00Z\",\"target\":\"access\",\"provider\":\"openai\",\
              \"model\":\"gpt-4o\",\"duration_ms\":0,\"input_tokens\":10,\"output_tokens\":5}\n",
        );
        assert_eq!(mistakes, [""; 0]);
        assert_eq!(
            arrivals[1].at,
            Moment::ZERO + Duration::from_secs(1),
            "it came before it ended"
        );
        assert_eq!((arrivals[1].cached, arrivals[1].output), (4, 5));
        assert_eq!(&*book.names[0].name, "openai/gpt-4o");
    }

    #[test]
    fn every_bad_line_is_told_with_its_number() {
        let (_, _, mistakes) = read(
            "{\"at\": 0, \"model\": \"chat\", \"input\": 1}\nnot json\n{\"at\": 1}\n\
             {\"model\": \"chat\", \"input\": 1}\n{\"at\": -1, \"model\": \"chat\", \"input\": 1}\n\
             {\"at\": 1, \"model\": \"chat\", \"input\": 1, \"priority\": \"urgent\"}\n",
        );
        assert_eq!(
            mistakes,
            [
                "t.jsonl:2:1: expected ident",
                "t.jsonl:3:1: its `model` is missing",
                "t.jsonl:4:1: its `at` (seconds) or `timestamp` is missing",
                "t.jsonl:5:1: -1 is no number of seconds",
                "t.jsonl:6:1: its `priority` is \"urgent\": write high, normal or batch",
            ]
        );
        assert_eq!(read("\n").2, ["t.jsonl:1:1: no request is in it"]);
    }
}
