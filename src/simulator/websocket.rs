//! The realtime API's socket (RFC 6455; API reference, "Realtime"): it says `session.created`, then
//! sends every message back.

use std::io;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::call::Call;
use super::problem::Problem;
use super::reply::{Answered, Reply};

/// RFC 6455, section 1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The largest frame that is read.
const LARGEST: u64 = 16 * 1024 * 1024;
/// How long a silent socket is kept (the realtime guide's bound on a session).
const SILENCE: Duration = Duration::from_hours(1);

/// Whether a request asks to become a socket.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    let upgrade = headers.get(UPGRADE).and_then(|value| value.to_str().ok());
    upgrade.is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
}

/// Makes it one.
pub(crate) fn answer(call: &Call, upgrade: OnUpgrade) -> Answered {
    let key = call.scene.headers.get(SEC_WEBSOCKET_KEY).and_then(|key| key.to_str().ok());
    let (Some(key), true) = (key, call.scene.path.ends_with("/realtime")) else {
        return Err(call.scene.refuse(&Problem::NoSuchPath));
    };
    let model = call.scene.query("model").unwrap_or_default();
    call.find_model(model)?;
    let accept =
        STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{GUID}").as_bytes()));
    let session = json!({
        "type": "session.created",
        "event_id": call.id("event_", 0),
        "session": {"id": call.id("sess_", 1), "object": "realtime.session", "model": model},
    });
    let hello = Bytes::from(session.to_string());
    // The socket outlives the request that made it; it ends with the client, silence, or the runtime.
    tokio::runtime::Handle::current().spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            let ended = Socket { stream: TokioIo::new(upgraded) }.run(hello).await;
            tracing::debug!(?ended, "A simulated realtime session ended");
        }
    });
    let mut reply = Reply::bytes(101, "application/octet-stream", Bytes::new())
        .header("sec-websocket-accept", &accept);
    reply.headers.clear();
    for (name, value) in
        [(SEC_WEBSOCKET_ACCEPT, accept.as_str()), (UPGRADE, "websocket"), (CONNECTION, "Upgrade")]
    {
        super::wires::set(&mut reply.headers, name.as_str(), value);
    }
    Ok(reply)
}

struct Socket {
    stream: TokioIo<Upgraded>,
}

struct Frame {
    /// The first byte: final bit and opcode.
    head: u8,
    payload: Bytes,
}

const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

impl Socket {
    async fn run(mut self, hello: Bytes) -> io::Result<()> {
        self.write(Frame { head: TEXT, payload: hello }).await?;
        loop {
            let frame = tokio::time::timeout(SILENCE, self.read()).await??;
            match frame.head {
                PONG => {}
                PING => self.write(Frame { head: PONG, ..frame }).await?,
                CLOSE => {
                    self.write(frame).await?;
                    return self.stream.shutdown().await;
                }
                _ => self.write(frame).await?,
            }
        }
    }

    /// Clients mask what they send (RFC 6455, section 5.3).
    async fn read(&mut self) -> io::Result<Frame> {
        let head = self.stream.read_u8().await?;
        let second = self.stream.read_u8().await?;
        let length = match second & 0x7f {
            126 => u64::from(self.stream.read_u16().await?),
            127 => self.stream.read_u64().await?,
            short => u64::from(short),
        };
        if second & 0x80 == 0 || length > LARGEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mask = self.stream.read_u32().await?.to_be_bytes();
        let mut payload = vec![0; usize::try_from(length).unwrap_or_default()];
        self.stream.read_exact(&mut payload).await?;
        for (byte, mask) in payload.iter_mut().zip(mask.into_iter().cycle()) {
            *byte ^= mask;
        }
        Ok(Frame { head, payload: Bytes::from(payload) })
    }

    async fn write(&mut self, frame: Frame) -> io::Result<()> {
        let mut bytes = BytesMut::with_capacity(frame.payload.len() + 10);
        bytes.extend_from_slice(&[frame.head]);
        match (u8::try_from(frame.payload.len()), u16::try_from(frame.payload.len())) {
            (Ok(short), _) if short < 126 => bytes.extend_from_slice(&[short]),
            (_, Ok(medium)) => {
                bytes.extend_from_slice(&[126]);
                bytes.extend_from_slice(&medium.to_be_bytes());
            }
            _ => {
                bytes.extend_from_slice(&[127]);
                bytes.extend_from_slice(&(frame.payload.len() as u64).to_be_bytes());
            }
        }
        bytes.extend_from_slice(&frame.payload);
        self.stream.write_all(&bytes).await?;
        self.stream.flush().await
    }
}
