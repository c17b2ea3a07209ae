//! Laws: what is written is read again, and how bytes are cut changes nothing.

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use keyweir::formats::Wire;
use keyweir::translate::json::Json;
use keyweir::translate::losses::Losses;
use keyweir::translate::request::{
    Call, Kind, Outcome, Part, Request, Role, Tool, ToolChoice, Turn,
};
use keyweir::translate::{
    Format, Plan, TARGETS, Translation, read_answer, read_request, request, write_answer,
    write_request,
};
use proptest::prelude::*;

use crate::{WIRES, plan, target};

/// A request of what every format can say.
fn requests() -> impl Strategy<Value = Request<'static>> {
    let text = "[a-zA-Z é\"\\\\\n]{0,20}x";
    let sampling = (proptest::option::of(0.0..1.0_f64), proptest::option::of(1_u64..9_000));
    let exchange = (text, text, proptest::collection::vec(("[a-z]{1,8}", text, text), 0..3));
    let exchanges = proptest::collection::vec(exchange, 1..4);
    let choice = prop_oneof![
        Just(None),
        Just(Some(ToolChoice::Auto)),
        Just(Some(ToolChoice::None)),
        Just(Some(ToolChoice::Required)),
    ];
    (proptest::option::of(text), exchanges, sampling, proptest::collection::vec(text, 0..3), choice)
        .prop_map(|(system, exchanges, (temperature, max_output), stop, tool_choice)| {
            let mut request = Request::new(Wire::OpenAi);
            request.system = system.map(Part::text).into_iter().collect();
            for (place, (asked, said, calls)) in exchanges.into_iter().enumerate() {
                exchange_of(&mut request, place, (asked, said, calls));
            }
            let mut names: Vec<_> = request.turns.iter().flat_map(|turn| &turn.parts).collect();
            names.retain(|part| part.as_call().is_some());
            let tools = names.iter().map(|part| part.as_call().unwrap().name.clone());
            let tools: std::collections::BTreeSet<_> = tools.collect();
            request.tools = tools.into_iter().map(tool).collect();
            request.tool_choice = tool_choice.filter(|_| !request.tools.is_empty());
            request.sampling.temperature = temperature;
            request.max_output = Some(max_output.unwrap_or(100));
            request.stop = stop.into_iter().map(Cow::Owned).collect();
            request
        })
}

fn tool(name: Cow<'static, str>) -> Tool<'static> {
    let schema = br#"{"type":"object","properties":{"z":{"type":"string"},"a":{}}}"#;
    Tool {
        name,
        description: Some("for a test".into()),
        parameters: Some(Json::read(schema).unwrap()),
        strict: None,
        extra: Vec::new(),
    }
}

fn exchange_of(
    request: &mut Request<'static>,
    place: usize,
    (asked, said, calls): (String, String, Vec<(String, String, String)>),
) {
    let turn = |role, parts| Turn { role, parts, extra: Vec::new() };
    request.turns.push(turn(Role::User, vec![Part::text(asked)]));
    let mut parts = vec![Part::text(said)];
    let mut outcomes = Vec::new();
    for (nth, (name, argument, result)) in calls.into_iter().enumerate() {
        let id: Cow<'static, str> = format!("call_{place}_{nth}").into();
        let name: Cow<'static, str> = name.into();
        let arguments = Json::Object(vec![("z".into(), argument.into())]);
        let call = Call { id: id.clone(), name: name.clone(), arguments, seal: None };
        parts.push(Part::of(Kind::Call(call)));
        let content = vec![Part::text(result)];
        outcomes.push(Part::of(Kind::Outcome(Outcome { id, name, content, failed: false })));
    }
    request.turns.push(turn(Role::Assistant, parts));
    if !outcomes.is_empty() {
        request.turns.push(turn(Role::User, outcomes));
    }
}

/// A request whose answer streams or not; Gemini's say so in their path.
fn written(request: &Request<'_>, wire: Wire) -> String {
    let target = target(wire);
    let mut losses = Losses::new(request.wire, wire);
    let text = write_request(request, &target, &mut losses).unwrap().to_text();
    assert!(losses.dropped().is_empty(), "{text}");
    text
}

proptest! {
    #[test]
    fn what_every_format_can_say_survives_all_of_them(request in requests()) {
        let mut text = written(&request, Wire::OpenAi);
        for (from, to) in [
            (Wire::OpenAi, Wire::Anthropic),
            (Wire::Anthropic, Wire::Gemini),
            (Wire::Gemini, Wire::OpenAi),
            (Wire::OpenAi, Wire::Gemini),
            (Wire::Gemini, Wire::Anthropic),
            (Wire::Anthropic, Wire::OpenAi),
        ] {
            let read = read_request(Format::usual(from), false, text.as_bytes()).unwrap();
            let mut plain = read.clone();
            plain.wire = Wire::OpenAi;
            for part in plain.turns.iter_mut().flat_map(|turn| &mut turn.parts) {
                if let Kind::Call(call) = &mut part.kind {
                    // Gemini 3 is told that another model made the call.
                    call.seal = None;
                }
            }
            prop_assert_eq!(&plain, &request, "{:?}: {}", from, text);
            text = written(&plain, to);
        }
    }

    #[test]
    fn a_request_that_is_no_request_is_refused_and_nothing_worse(
        body in "\\PC{0,80}",
        from in 0..3_usize,
        to in 0..3_usize,
    ) {
        drop(request(Format::usual(WIRES[from]), false, body.as_bytes(), &target(WIRES[to])));
    }

    #[test]
    fn what_was_damaged_on_its_way_is_refused_or_said_and_nothing_worse(
        which in 0..1_000_usize,
        to in 0..4_usize,
        damage in proptest::collection::vec((0.0..1.0_f64, any::<u8>(), 0..4_usize), 0..6),
    ) {
        let fixtures = fixtures();
        let (from, stream, body) = &fixtures[which % fixtures.len()];
        let mut body = body.clone();
        for (place, byte, kind) in damage {
            let at = place_in(&body, place);
            match kind {
                0 if !body.is_empty() => body[at] = byte,
                1 => body.insert(at, byte),
                2 => body.truncate(at),
                _ => {
                    let piece: Vec<u8> = body.iter().skip(at).take(40).copied().collect();
                    body.extend(piece);
                }
            }
        }
        drop(request(Format::usual(*from), false, &body, &target(TARGETS[to])));
        for format in [Format::Chat, Format::Responses, Format::Messages, Format::Content] {
            let kind = if *stream { "text/event-stream" } else { "application/json" };
            let plan = Plan { to: format, ..plan(*from, Wire::OpenAi, true) };
            let mut translation = Translation::new(plan, 200, kind, "");
            drop(translation.read(&body));
            drop(translation.end());
        }
    }

    #[test]
    fn a_stream_may_be_cut_anywhere(
        which in 0..100_usize,
        to in 0..3_usize,
        sizes in proptest::collection::vec(1..200_usize, 1..20),
    ) {
        let streams = streams();
        let (from, body) = &streams[which % streams.len()];
        let to = WIRES[to];
        if *from == to {
            return Ok(());
        }
        let whole = run(*from, to, std::iter::once(&body[..]));
        let mut rest = &body[..];
        let mut sizes = sizes.iter().cycle();
        let pieces = std::iter::from_fn(|| {
            let size = (*sizes.next()?).min(rest.len());
            let (piece, after) = rest.split_at(size);
            rest = after;
            (!piece.is_empty()).then_some(piece)
        });
        prop_assert_eq!(run(*from, to, pieces), whole);
    }

    #[test]
    fn a_stream_that_ends_too_early_never_looks_whole(
        which in 0..100_usize,
        to in 0..3_usize,
        part in 0.0..1.0_f64,
    ) {
        let streams = streams();
        let (from, body) = &streams[which % streams.len()];
        let to = WIRES[to];
        if *from == to {
            return Ok(());
        }
        let (_, complete) = run(*from, to, std::iter::once(&body[..]));
        if !complete {
            return Ok(());
        }
        // Before the reason to finish has come.
        let text = str::from_utf8(body).unwrap();
        let words = ["\"finish_reason\":\"", "\"stop_reason\":\"tool", "\"finishReason\""];
        let end = words.iter().filter_map(|word| text.find(word)).min().unwrap();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a share of a short text")]
        let cut = (end as f64 * part) as usize;
        let (out, whole) = run(*from, to, std::iter::once(&body[..cut]));
        prop_assert!(!whole);
        for word in ["[DONE]", "message_stop", "\"finishReason\"", "\"finish_reason\":\"stop"] {
            prop_assert!(!out.contains(word), "{}", out);
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a short text"
)]
fn place_in(body: &[u8], share: f64) -> usize {
    (body.len() as f64 * share) as usize
}

/// Everything that is written down, and whether it is a stream.
fn fixtures() -> Vec<(Wire, bool, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/translate");
    let folders = ["requests", "answers", "streams"].map(|folder| root.join(folder));
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().unwrap() != "txt");
    paths.sort();
    let read = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        let wire = Wire::named(name.split('-').next().unwrap()).unwrap();
        (wire, path.extension().unwrap() == "sse", fs::read(path).unwrap())
    };
    paths.iter().map(read).collect()
}

fn streams() -> Vec<(Wire, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/translate/streams");
    let entries = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let mut streams: Vec<_> = entries.filter(|path| path.extension().unwrap() == "sse").collect();
    streams.sort();
    let read = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        let wire = Wire::named(name.split('-').next().unwrap()).unwrap();
        (wire, fs::read(path).unwrap())
    };
    streams.iter().map(read).collect()
}

fn run<'b>(from: Wire, to: Wire, pieces: impl Iterator<Item = &'b [u8]>) -> (String, bool) {
    let mut translation = Translation::new(plan(from, to, true), 200, "text/event-stream", "");
    let mut out = Vec::new();
    for piece in pieces {
        out.extend(translation.read(piece));
    }
    let (rest, whole, _) = translation.end();
    out.extend(rest);
    (String::from_utf8(out).unwrap(), whole)
}

#[test]
fn an_answer_that_went_through_every_format_says_the_same() {
    let body = br#"{"id":"a1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hi","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"b\":1,\"a\":[2]}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":9,"completion_tokens":6,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":2}}}"#;
    let first = read_answer(Wire::OpenAi, body).unwrap();
    let mut from = Wire::OpenAi;
    let mut text = String::from_utf8(body.to_vec()).unwrap();
    for to in [Wire::Anthropic, Wire::Gemini, Wire::OpenAi] {
        let plan = plan(from, to, false);
        text = write_answer(&read_answer(from, text.as_bytes()).unwrap(), &plan).to_text();
        assert_eq!(read_answer(to, text.as_bytes()).unwrap(), first, "{text}");
        from = to;
    }
}
