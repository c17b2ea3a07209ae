//! Any status, headers and body: judged without a panic, and within bounds.
#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;
use keyweir::clock::{Moment, Now};
use keyweir::formats::{Dialect, Evidence, delay, judge, judge_event};
use libfuzzer_sys::fuzz_target;

const DIALECTS: [Dialect; 19] = [
    Dialect::OpenAi,
    Dialect::Azure,
    Dialect::Anthropic,
    Dialect::Gemini,
    Dialect::Mistral,
    Dialect::Cohere,
    Dialect::Groq,
    Dialect::DeepSeek,
    Dialect::Xai,
    Dialect::OpenRouter,
    Dialect::Together,
    Dialect::Fireworks,
    Dialect::Perplexity,
    Dialect::Cerebras,
    Dialect::Nvidia,
    Dialect::HuggingFace,
    Dialect::Ollama,
    Dialect::Vllm,
    Dialect::Generic,
];

/// The first three bytes are the status and the dialect; then `name: value` lines, an empty line, and
/// the body.
fn judged(data: &[u8]) -> Option<()> {
    let (head, rest) = data.split_at_checked(3)?;
    let status = u16::from_le_bytes([*head.first()?, *head.get(1)?]);
    let status = StatusCode::from_u16(100 + status % 900).ok()?;
    let dialect = *DIALECTS.get(usize::from(*head.get(2)?) % DIALECTS.len())?;
    let end = rest.windows(2).position(|pair| pair == b"\n\n").unwrap_or(rest.len());
    let (lines, body) = rest.split_at_checked(end)?;
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n').take(64) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at_checked(colon)?;
        let name = HeaderName::from_bytes(name);
        let value = HeaderValue::from_bytes(value.get(1..)?);
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let body = body.get(2..).unwrap_or_default();
    let now = Now { at: Moment::ZERO, wall: Timestamp::from_second(1_795_176_000).ok()? };
    let judgement =
        judge(dialect, &Evidence { status, headers: &headers, body, model: Some("m") }, now);
    assert!(judgement.retry_at.is_none_or(|at| at > now.at && at <= now.at + delay::LONGEST));
    assert!(judgement.code.as_ref().is_none_or(|code| (1..=64).contains(&code.len())));
    judge_event(dialect, judgement.code.as_deref());
    Some(())
}

fuzz_target!(|data: &[u8]| {
    judged(data);
});
