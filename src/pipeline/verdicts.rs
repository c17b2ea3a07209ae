//! An upstream answer, heard as far as is needed to judge it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::response::Parts;
use http_body_util::BodyExt;

use super::attempt::Answer;
use super::snapshot::Provider;
use crate::formats::{self, Evidence, Judgement, Samples};
use crate::lifecycle::Clock;
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
    let (read, cut) = if good { (Bytes::new(), None) } else { read_evidence(&mut rest).await };
    let now = clock.now();
    let evidence = Evidence { status, headers: &head.headers, body: &read, model };
    let judgement = formats::judge(provider.dialect, &evidence, now);
    let samples = formats::levels(provider.dialect, &head.headers, now);
    Heard { head, read, rest, cut, judgement, samples }
}

async fn read_evidence(body: &mut ResponseBody) -> (Bytes, Option<BodyError>) {
    let (mut read, mut cut) = (BytesMut::new(), None);
    let reading = async {
        while read.len() < EVIDENCE {
            match body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(piece) = frame.data_ref() {
                        read.extend_from_slice(piece);
                    }
                }
                Some(Err(error)) => {
                    cut = Some(error);
                    return;
                }
                None => return,
            }
        }
    };
    // What has not come by then is not waited for: the status alone says enough.
    drop(tokio::time::timeout(EVIDENCE_TIME, reading).await);
    (read.freeze(), cut)
}
