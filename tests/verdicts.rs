//! Golden transcripts: each file under `golden/verdicts/<dialect>/` is an upstream answer as it came,
//! under a heading that says what it means. A line of the heading that is not there means the default:
//! scope `model`, no dimension, no moment of return, not oversized, no code, a model `gpt-x` asked for.
//!
//! None is a recording: statuses, shapes and codes are those of the source that the heading names,
//! values and much of the wording are made up. "Not verified" marks what no document of the provider
//! and no single report was at hand for.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a broken transcript is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jiff::{SignedDuration, Timestamp};
use keyweir::clock::{Moment, Now};
use keyweir::formats::{Dialect, Evidence, Judgement, Scope, Verdict, judge};

const FOLDERS: [(&str, Dialect); 19] = [
    ("openai", Dialect::OpenAi),
    ("azure", Dialect::Azure),
    ("anthropic", Dialect::Anthropic),
    ("gemini", Dialect::Gemini),
    ("mistral", Dialect::Mistral),
    ("cohere", Dialect::Cohere),
    ("groq", Dialect::Groq),
    ("deepseek", Dialect::DeepSeek),
    ("xai", Dialect::Xai),
    ("openrouter", Dialect::OpenRouter),
    ("together", Dialect::Together),
    ("fireworks", Dialect::Fireworks),
    ("perplexity", Dialect::Perplexity),
    ("cerebras", Dialect::Cerebras),
    ("nvidia", Dialect::Nvidia),
    ("huggingface", Dialect::HuggingFace),
    ("ollama", Dialect::Ollama),
    ("vllm", Dialect::Vllm),
    ("generic", Dialect::Generic),
];

/// The rest comes from our own side: no answer, or an answer that has begun.
const REACHABLE: [Verdict; 10] = [
    Verdict::Ok,
    Verdict::RateLimited,
    Verdict::QuotaExhausted,
    Verdict::BillingExhausted,
    Verdict::KeyInvalid,
    Verdict::Suspended,
    Verdict::KeyForbidden,
    Verdict::Overloaded,
    Verdict::ServerError,
    Verdict::RequestInvalid,
];

#[test]
fn every_transcript_is_judged_as_its_heading_says() {
    let mut wrong = String::new();
    for (dialect, path) in transcripts() {
        let transcript = Transcript::read(&path);
        let judged = describe(&transcript.judge(dialect), &transcript.heading);
        let expected = transcript.expected();
        if judged != expected {
            writeln!(wrong, "\n{}\n  expected {expected:?}\n  judged   {judged:?}", path.display())
                .unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_verdict_that_an_answer_can_earn_has_a_transcript_of_each_large_provider() {
    let mut seen: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (dialect, path) in transcripts() {
        let (folder, _) = FOLDERS.iter().find(|(_, known)| *known == dialect).unwrap();
        let verdict = Transcript::read(&path).heading.remove("verdict").unwrap();
        seen.entry(folder).or_default().insert(verdict);
    }
    for large in ["openai", "azure", "anthropic", "gemini"] {
        for verdict in REACHABLE.map(Verdict::as_str) {
            assert!(seen[large].contains(verdict), "{large} has no transcript of {verdict}");
        }
    }
    for (folder, _) in FOLDERS {
        assert!(seen.get(folder).is_some_and(|verdicts| verdicts.len() > 1), "{folder} is bare");
    }
}

/// Noon of a Friday, in a month of thirty days, with California on winter time.
fn now() -> Now {
    let wall = "2026-11-20T12:00:00Z".parse().unwrap();
    Now { at: Moment::from_nanos(3_600_000_000_000), wall }
}

/// Every file, with whose it is. A folder that no dialect owns is a mistake.
fn transcripts() -> Vec<(Dialect, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/verdicts");
    let mut found = Vec::new();
    for folder in fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()) {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let known = FOLDERS.iter().find(|(folder, _)| *folder == name);
        let (_, dialect) = known.unwrap_or_else(|| panic!("no dialect is called {name}"));
        let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        found.extend(files.map(|path| (*dialect, path)));
    }
    found.sort_by(|(_, left), (_, right)| left.cmp(right));
    found
}

/// One file: heading, status line, headers, body.
struct Transcript {
    heading: BTreeMap<String, String>,
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Transcript {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let (head, body) = text.split_once("\n\n").unwrap();
        let mut lines = head.lines().peekable();
        let mut heading = BTreeMap::new();
        while let Some(line) = lines.next_if(|line| line.starts_with("# ")) {
            if let Some((key, value)) = line.trim_start_matches("# ").split_once(": ") {
                heading.insert(key.to_owned(), value.to_owned());
            }
        }
        assert!(heading.contains_key("source"), "{}: whose words are these?", path.display());
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap())
        });
        Self { heading, status, headers: headers.collect(), body: body.trim_end().to_owned() }
    }

    fn judge(&self, dialect: Dialect) -> Judgement {
        let model =
            (self.heading.get("model").map(String::as_str) != Some("none")).then_some("gpt-x");
        let (status, headers, body) = (self.status, &self.headers, self.body.as_bytes());
        judge(dialect, &Evidence { status, headers, body, model }, now())
    }

    /// What the heading expects; the first line and the source are for people.
    fn expected(&self) -> BTreeMap<String, String> {
        let known = ["verdict", "scope", "dimension", "oversized", "retry in", "retry at", "code"];
        let lines = self.heading.iter().filter(|(key, _)| known.contains(&key.as_str()));
        let mut expected: BTreeMap<_, _> = lines.map(|(k, v)| (k.clone(), v.clone())).collect();
        if let Some(delay) = expected.get_mut("retry in") {
            *delay = format!("{:?}", delay.parse::<SignedDuration>().unwrap().unsigned_abs());
        }
        expected
    }
}

/// A judgement in the words of a heading, with the moment as the heading tells it.
fn describe(judgement: &Judgement, heading: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut told = BTreeMap::from([("verdict".to_owned(), judgement.verdict.as_str().to_owned())]);
    let mut tell = |key: &str, value: Option<String>| {
        told.extend(value.map(|value| (key.to_owned(), value)));
    };
    tell("scope", (judgement.scope == Scope::Group).then(|| "group".to_owned()));
    tell("dimension", judgement.dimension.map(|dimension| dimension.as_str().to_owned()));
    tell("oversized", judgement.oversized.then(|| "yes".to_owned()));
    tell("code", judgement.code.as_deref().map(str::to_owned));
    if heading.contains_key("retry at") {
        let at: Option<Timestamp> = judgement.retry_at.map(|moment| now().wall_at(moment));
        tell("retry at", at.map(|at| at.to_string()));
    } else {
        let delay = judgement.retry_at.map(|moment| moment.since(now().at));
        tell("retry in", delay.map(|delay| format!("{delay:?}")));
    }
    told
}
