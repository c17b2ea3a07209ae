//! An upstream answer, heard as far as is needed to judge it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::response::Parts;
use http_body_util::BodyExt;

use super::attempt::Answer;
use super::exchange::{Exchange, awaited};
use super::snapshot::Provider;
use crate::formats::{self, Evidence, Judgement, Samples, Verdict};
use crate::upstream::{BodyError, ResponseBody};

/// What is read of an answer that is no success, in bytes: more than any provider's error.
const EVIDENCE: usize = 64 * 1024;

/// How long that may take.
const EVIDENCE_TIME: Duration = Duration::from_secs(5);

/// An upstream answer, judged.
#[derive(Debug)]
pub(super) struct Heard {
    /// Its head.
    pub head: Parts,
    /// What was read of its body.
    pub read: Bytes,
    /// The rest of it.
    pub rest: ResponseBody,
    /// Why there is no rest, where it broke off while it was read.
    pub cut: Option<BodyError>,
    /// What it means.
    pub judgement: Judgement,
    /// What its headers tell of limits.
    pub samples: Samples,
}

/// Hears an answer: a success by its head alone, anything else with its body, or as much of it as
/// comes in time. The clock was read when its head had come.
pub(super) async fn hear(
    provider: &Provider,
    answer: Answer,
    model: Option<&str>,
    exchange: &mut Exchange,
) -> Box<Heard> {
    let (head, mut rest) = answer.into_parts();
    let status = head.status;
    let (mut read, mut hearing) = (Bytes::new(), Hearing::Whole);
    if !status.is_success() && !status.is_informational() {
        let reading = Box::pin(read_evidence(&mut rest));
        let (evidence, span) = awaited(exchange.clock, reading).await;
        exchange.was_away(span);
        (read, hearing) = evidence;
    }
    let now = exchange.wall();
    let evidence = Evidence { status, headers: &head.headers, body: &read, model };
    let mut judgement = formats::judge(provider.dialect, &evidence, now);
    if !matches!(hearing, Hearing::Whole) && judgement.verdict == Verdict::RequestInvalid {
        // What is wrong was never heard: it may be the key (Gemini says so with 400), or nothing.
        judgement = Judgement::of(Verdict::ServerError);
    }
    let samples = formats::levels(provider.dialect, &head.headers, now);
    let cut = if let Hearing::Cut(error) = hearing { Some(error) } else { None };
    Box::new(Heard { head, read, rest, cut, judgement, samples })
}

/// How the hearing of a body ended.
enum Hearing {
    /// All there was to read was read.
    Whole,
    /// Its time was up.
    Late,
    /// The body broke off.
    Cut(BodyError),
}

/// The beginning of a body. What has not come in time is not waited for.
async fn read_evidence(body: &mut ResponseBody) -> (Bytes, Hearing) {
    let mut read = BytesMut::new();
    let reading = async {
        while read.len() < EVIDENCE {
            match body.frame().await {
                None => break,
                Some(Err(error)) => return Hearing::Cut(error),
                Some(Ok(frame)) => {
                    read.extend_from_slice(frame.data_ref().map_or(&[], |piece| piece));
                }
            }
        }
        Hearing::Whole
    };
    let heard = tokio::time::timeout(EVIDENCE_TIME, reading).await.unwrap_or(Hearing::Late);
    (read.freeze(), heard)
}
