//! How an answer goes out: headers, pauses, compression, and whatever goes wrong on the way.

use std::collections::VecDeque;
use std::io::Write as _;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use http::{HeaderMap, Response};

use super::body::{Body, Lease, Step};
use super::call::Scene;
use super::fault::{Drawn, FaultKind};
use super::plan::{Compression, Pace};
use super::reply::{Content, Event, Reply};
use super::tap::{Raw, Sabotage};
use super::wires;

/// Bytes of a header that does not end, at a time and how many times: 16 MiB, more than any client
/// should read.
const ENDLESS: (usize, u32) = (64 * 1024, 256);

/// What decides how an answer goes out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery<'a> {
    pub(crate) scene: &'a Scene,
    pub(crate) drawn: &'a Drawn,
    pub(crate) pace: Pace,
    pub(crate) compression: Compression,
}

impl Delivery<'_> {
    /// Sends it, or what a fault makes of it.
    pub(crate) async fn send(
        self,
        reply: Reply,
        lease: Option<Lease>,
        sabotage: &Sabotage,
    ) -> Response<Body> {
        if let Some(raw) = self.drawn.iter().find_map(|fault| raw_answer(fault, &reply)) {
            sabotage.set(raw);
            return Response::new(Body::whole(Bytes::new(), lease));
        }
        tokio::time::sleep(self.pause(&reply)).await;
        let mut headers = HeaderMap::new();
        self.put_headers(&reply, &mut headers);
        headers.extend(reply.headers);
        if let Some(lease) = &lease {
            lease.produce(reply.output);
        }
        let (mut steps, mut length) = match reply.content {
            Content::Whole(bytes) => self.whole(bytes, &mut headers),
            Content::Stream { events, failure } => (self.stream(events, &failure), None),
        };
        if length.is_none() && self.compresses(Compression::Streams) {
            headers.insert(CONTENT_ENCODING, http::HeaderValue::from_static("gzip"));
            steps = compressed(steps);
        }
        if let Some((bytes, pause)) = self.drawn.iter().find_map(trickle) {
            steps = split(steps, bytes, pause);
        }
        if reply.status.is_informational() {
            length = None;
        }
        let mut response = Response::new(Body::new(steps, length, lease));
        *response.status_mut() = reply.status;
        *response.headers_mut() = headers;
        response
    }

    /// The time to the first token, and for an answer that is not streamed to all of them.
    fn pause(&self, reply: &Reply) -> Duration {
        if reply.pass.is_none() || reply.refused.is_some() {
            return Duration::ZERO;
        }
        let pieces = reply.output.div_ceil(self.pace.piece.max(1));
        let pieces = u32::try_from(pieces).unwrap_or(u32::MAX);
        self.pace.first_token + self.pace.between.saturating_mul(pieces)
    }

    fn put_headers(&self, reply: &Reply, headers: &mut HeaderMap) {
        wires::stamp(self.scene, headers);
        let Some(pass) = &reply.pass else { return };
        if self.drawn.contains(&FaultKind::NoLimitHeaders) {
            return;
        }
        wires::limit_headers(self.scene.habit, &pass.readings, self.scene.now, headers);
        for fault in self.drawn {
            if let FaultKind::LyingHeaders { remaining, reset } = fault {
                lie(headers, remaining, reset);
            }
        }
    }

    fn whole(&self, bytes: Bytes, headers: &mut HeaderMap) -> (VecDeque<Step>, Option<u64>) {
        let mut bytes = bytes;
        if self.compresses(Compression::Whole) && !bytes.is_empty() {
            headers.insert(CONTENT_ENCODING, http::HeaderValue::from_static("gzip"));
            bytes = gzip(&bytes);
        }
        let length = Some(bytes.len() as u64);
        let broken = self.drawn.iter().find_map(breaking);
        let bytes = if broken.is_some() { bytes.slice(..bytes.len() / 2) } else { bytes };
        let first = (!bytes.is_empty()).then(|| piece(bytes));
        (first.into_iter().chain(broken).collect(), length)
    }

    fn stream(&self, events: Vec<Event>, failure: &Bytes) -> VecDeque<Step> {
        let mut steps = VecDeque::new();
        let mut spoken = false;
        for event in events {
            let wait = if event.output > 0 && spoken { self.pace.between } else { Duration::ZERO };
            spoken |= event.output > 0;
            steps.push_back(Step::Send { wait, bytes: event.bytes, output: event.output });
        }
        for fault in self.drawn {
            spoil(fault, &mut steps, failure);
        }
        steps
    }

    fn compresses(&self, what: Compression) -> bool {
        let asked = self.scene.headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
        let asked = asked.is_some_and(|value| value.contains("gzip"));
        asked && (self.compression == what || self.compression == Compression::Streams)
    }
}

/// An answer that no HTTP library would send.
#[expect(clippy::wildcard_enum_match_arm, reason = "the other faults strike elsewhere")]
fn raw_answer(fault: &FaultKind, reply: &Reply) -> Option<Raw> {
    match fault {
        FaultKind::HangUp => Some(Raw { bytes: Bytes::new(), again: 0 }),
        FaultKind::EndlessHeader => {
            let (bytes, again) = ENDLESS;
            let mut start = BytesMut::from(&b"HTTP/1.1 200 OK\r\nx-endless: "[..]);
            start.resize(bytes, b'a');
            Some(Raw { bytes: start.freeze(), again })
        }
        FaultKind::WrongLength { excess } => {
            let Content::Whole(body) = &reply.content else { return None };
            let length = i64::try_from(body.len()).unwrap_or(i64::MAX);
            let claimed = length.saturating_add(*excess).max(0);
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {claimed}\
                 \r\n\r\n"
            );
            let bytes = [head.as_bytes(), body].concat();
            Some(Raw { bytes: Bytes::from(bytes), again: 0 })
        }
        _ => None,
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the other faults strike elsewhere")]
fn spoil(fault: &FaultKind, steps: &mut VecDeque<Step>, failure: &Bytes) {
    match fault {
        FaultKind::CutStream { after, inside } => {
            let next = steps.get(*after).cloned();
            steps.truncate(*after);
            if let (true, Some(Step::Send { bytes, .. })) = (*inside, next) {
                steps.push_back(piece(bytes.slice(..bytes.len() / 2)));
            }
            steps.push_back(Step::Cut);
        }
        FaultKind::StallStream { after } => {
            steps.truncate(*after);
            steps.push_back(Step::Stall);
        }
        FaultKind::ErrorEvent { after } => {
            steps.truncate(*after);
            steps.push_back(piece(failure.clone()));
        }
        FaultKind::HugeEvent { bytes } => {
            let mut comment = BytesMut::from(&b": "[..]);
            comment.resize(*bytes, b'-');
            comment.extend_from_slice(b"\n\n");
            steps.insert(1.min(steps.len()), piece(comment.freeze()));
        }
        FaultKind::Crlf => {
            for step in steps {
                if let Step::Send { bytes, .. } = step {
                    *bytes = with_crlf(bytes);
                }
            }
        }
        _ => {}
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the other faults strike elsewhere")]
const fn trickle(fault: &FaultKind) -> Option<(usize, Duration)> {
    match fault {
        FaultKind::SlowBody { bytes, ms } => Some((*bytes, Duration::from_millis(*ms))),
        _ => None,
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the other faults strike elsewhere")]
const fn breaking(fault: &FaultKind) -> Option<Step> {
    match fault {
        FaultKind::CutStream { .. } => Some(Step::Cut),
        FaultKind::StallStream { .. } => Some(Step::Stall),
        _ => None,
    }
}

const fn piece(bytes: Bytes) -> Step {
    Step::Send { wait: Duration::ZERO, bytes, output: 0 }
}

/// The same bytes, so many at a time.
fn split(steps: VecDeque<Step>, size: usize, pause: Duration) -> VecDeque<Step> {
    let mut parts = VecDeque::new();
    for step in steps {
        let Step::Send { wait, mut bytes, output } = step else {
            parts.push_back(step);
            continue;
        };
        let mut output = output;
        while !bytes.is_empty() {
            let first = bytes.split_to(bytes.len().min(size.max(1)));
            let output = std::mem::take(&mut output);
            parts.push_back(Step::Send { wait: wait + pause, bytes: first, output });
        }
    }
    parts
}

fn with_crlf(bytes: &[u8]) -> Bytes {
    let mut changed = BytesMut::with_capacity(bytes.len() + 8);
    let mut before = 0;
    for byte in bytes {
        if *byte == b'\n' && before != b'\r' {
            changed.extend_from_slice(b"\r");
        }
        changed.extend_from_slice(&[*byte]);
        before = *byte;
    }
    changed.freeze()
}

/// Each piece compressed and flushed, so that it can be read when it comes.
fn compressed(steps: VecDeque<Step>) -> VecDeque<Step> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let whole = steps.iter().all(|step| matches!(step, Step::Send { .. }));
    let mut steps: VecDeque<Step> = steps
        .into_iter()
        .map(|step| match step {
            Step::Send { wait, bytes, output } => {
                let written = encoder.write_all(&bytes).and_then(|()| encoder.flush());
                let bytes = Bytes::from(std::mem::take(encoder.get_mut()));
                debug_assert!(written.is_ok(), "writing to memory");
                Step::Send { wait, bytes, output }
            }
            other @ (Step::Cut | Step::Stall) => other,
        })
        .collect();
    if whole {
        steps.push_back(piece(Bytes::from(encoder.finish().unwrap_or_default())));
    }
    steps
}

fn gzip(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let written = encoder.write_all(bytes);
    debug_assert!(written.is_ok(), "writing to memory");
    Bytes::from(encoder.finish().unwrap_or_default())
}

fn lie(headers: &mut HeaderMap, remaining: &str, reset: &str) {
    let names: Vec<String> = headers.keys().map(|name| name.as_str().to_owned()).collect();
    for name in names.iter().filter(|name| name.contains("ratelimit")) {
        if name.contains("remaining") {
            wires::set(headers, name, remaining);
        } else if name.contains("reset") {
            wires::set(headers, name, reset);
        }
    }
}
