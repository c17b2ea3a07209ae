//! An upstream answer, heard as far as is needed to judge it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::response::Parts;
use http_body_util::BodyExt;

use super::attempt::Answer;
use super::snapshot::Provider;
use crate::formats::{self, Evidence, Judgement, Samples, Verdict};
use crate::lifecycle::Clock;
use crate::upstream::ResponseBody;

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
    /// What it means.
    pub judgement: Judgement,
    /// What its headers tell of limits.
    pub samples: Samples,
}

/// Hears an answer: a success by its head alone, anything else with its body, or as much of it as
/// comes in time.
pub(super) async fn hear(
    provider: &Provider,
    answer: Answer,
    model: Option<&str>,
    clock: &Clock,
) -> Heard {
    let (head, mut rest) = answer.into_parts();
    let status = head.status;
    let good = status.is_success() || status.is_informational();
    let (read, heard_out) =
        if good { (Bytes::new(), true) } else { read_evidence(&mut rest).await };
    let now = clock.now();
    let evidence = Evidence { status, headers: &head.headers, body: &read, model };
    let mut judgement = formats::judge(provider.dialect, &evidence, now);
    if !heard_out && judgement.verdict == Verdict::RequestInvalid {
        // What is wrong was never heard: it may be the key (Gemini says so with 400), or nothing.
        judgement = Judgement::of(Verdict::ServerError);
    }
    let samples = formats::levels(provider.dialect, &head.headers, now);
    Heard { head, read, rest, judgement, samples }
}

/// The beginning of a body, and whether that is all there was to read. What has not come in time is
/// not waited for.
async fn read_evidence(body: &mut ResponseBody) -> (Bytes, bool) {
    let mut read = BytesMut::new();
    let reading = async {
        while read.len() < EVIDENCE {
            match body.frame().await {
                None => return true,
                Some(Err(_)) => return false,
                Some(Ok(frame)) => {
                    read.extend_from_slice(frame.data_ref().map_or(&[], |piece| piece));
                }
            }
        }
        true
    };
    let heard_out = tokio::time::timeout(EVIDENCE_TIME, reading).await.unwrap_or(false);
    (read.freeze(), heard_out)
}
