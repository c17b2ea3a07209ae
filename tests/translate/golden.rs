//! Golden transcripts: each file under `golden/translate/` is a request, an answer or a stream in the
//! format that its name begins with; the `.txt` beside it is the same in the other formats.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use keyweir::formats::Wire;
use keyweir::translate::{Format, Plan, TARGETS, Translation, request};
use serde_json::Value;

use crate::{WIRES, golden, plan, target};

fn files(folder: &str) -> Vec<(Wire, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/translate").join(folder);
    let entries = fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().unwrap() != "txt").collect();
    files.sort();
    assert!(files.len() > 6, "{}", root.display());
    let wire = |path: &Path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        Wire::named(name.split('-').next().unwrap()).unwrap()
    };
    files.into_iter().map(|path| (wire(&path), path)).collect()
}

fn others(from: Wire) -> impl Iterator<Item = Wire> {
    WIRES.into_iter().filter(move |wire| *wire != from)
}

/// The format of a request: responses are OpenAI's too.
fn format(path: &Path, from: Wire) -> Format {
    let responses = path.to_str().unwrap().contains("openai-responses");
    if responses { Format::Responses } else { Format::usual(from) }
}

fn pretty(json: &[u8]) -> String {
    let value: Value = serde_json::from_slice(json).unwrap();
    serde_json::to_string_pretty(&value).unwrap()
}

#[test]
fn every_request_is_said_in_the_other_formats_or_refused_by_the_field_s_name() {
    for (from, path) in files("requests") {
        let body = fs::read(&path).unwrap();
        let mut told = String::new();
        for to in TARGETS.into_iter().filter(|to| *to != from) {
            let mut target = target(to);
            if to == Wire::OpenAi {
                target.model = "gpt-5.1";
            }
            writeln!(told, "== {}/{}", to.as_str(), target.model).unwrap();
            match request(format(&path, from), false, &body, &target) {
                Ok(written) => {
                    writeln!(told, "dropped: {}", written.dropped.join(", ")).unwrap();
                    writeln!(told, "{}", pretty(&written.body)).unwrap();
                }
                Err(unfit) => writeln!(told, "refused: {unfit}").unwrap(),
            }
        }
        golden(&path.with_extension("txt"), &told);
    }
}

#[test]
fn every_answer_is_said_in_the_other_formats() {
    for (from, path) in files("answers") {
        let body = fs::read(&path).unwrap();
        let mut told = String::new();
        for to in others(from) {
            let mut translation =
                Translation::new(plan(from, to, false), 200, "application/json", "req_1");
            assert!(translation.read(&body).is_empty() && translation.head().is_none());
            let (bytes, whole, head) = translation.end();
            let head = head.unwrap();
            writeln!(told, "== {} {} whole: {whole}", to.as_str(), head.status).unwrap();
            writeln!(told, "{}", pretty(&bytes)).unwrap();
        }
        golden(&path.with_extension("txt"), &told);
    }
}

#[test]
fn every_stream_is_said_in_the_other_formats() {
    for (from, path) in files("streams") {
        let body = fs::read(&path).unwrap();
        let mut told = String::new();
        for to in others(from) {
            let mut translation =
                Translation::new(plan(from, to, true), 200, "text/event-stream", "");
            assert_eq!(translation.head().unwrap().content_type, "text/event-stream");
            let mut out = translation.read(&body).to_vec();
            let (rest, whole, _) = translation.end();
            out.extend(rest);
            writeln!(told, "== {} whole: {whole}", to.as_str()).unwrap();
            told.push_str(str::from_utf8(&out).unwrap());
        }
        golden(&path.with_extension("txt"), &told);
    }
}

#[test]
fn every_answer_and_stream_is_said_as_a_response() {
    for folder in ["answers", "streams"] {
        for (from, path) in files(folder).into_iter().filter(|(from, _)| *from != Wire::OpenAi) {
            let stream = folder == "streams";
            let plan = Plan { to: Format::Responses, ..plan(from, Wire::OpenAi, stream) };
            let kind = if stream { "text/event-stream" } else { "application/json" };
            let mut translation = Translation::new(plan, 200, kind, "");
            let mut out = translation.read(&fs::read(&path).unwrap()).to_vec();
            let (rest, whole, _) = translation.end();
            out.extend(rest);
            let text = if stream { String::from_utf8(out).unwrap() } else { pretty(&out) };
            golden(&path.with_extension("responses.txt"), &format!("whole: {whole}\n{text}\n"));
        }
    }
}

#[test]
fn a_stream_without_events_is_one_json_array() {
    for (from, path) in files("streams").into_iter().filter(|(from, _)| *from != Wire::Gemini) {
        let mut plan = plan(from, Wire::Gemini, true);
        plan.array = true;
        let mut translation = Translation::new(plan, 200, "text/event-stream", "");
        let mut out = translation.read(&fs::read(&path).unwrap()).to_vec();
        out.extend(translation.end().0);
        let array: Value = serde_json::from_slice(&out).unwrap();
        assert!(array.as_array().is_some_and(|array| !array.is_empty()), "{}", path.display());
    }
}

#[test]
fn a_whole_answer_to_who_asked_for_a_stream_becomes_one() {
    for (from, path) in files("answers") {
        if path.to_str().unwrap().contains("wrong") {
            continue;
        }
        for to in others(from) {
            let mut translation =
                Translation::new(plan(from, to, true), 200, "application/json", "");
            assert!(translation.read(&fs::read(&path).unwrap()).is_empty());
            let (out, whole, head) = translation.end();
            assert!(whole && head.unwrap().content_type == "text/event-stream");
            let text = str::from_utf8(&out).unwrap();
            let last = match to {
                Wire::Anthropic => "\"message_stop\"",
                Wire::Gemini => "\"finishReason\"",
                Wire::OpenAi | Wire::Cohere | Wire::Ollama | Wire::Http => "[DONE]",
            };
            assert!(text.contains(last), "{text}");
        }
    }
}
