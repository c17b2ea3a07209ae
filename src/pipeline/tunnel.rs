//! An upgraded connection (websocket): bytes both ways, with the key set on the way out.

use http::request::Parts;
use http::{Response, StatusCode, header};

use super::answer::AnswerBody;
use super::exchange::{Ending, Exchange};
use super::headers;
use crate::lifecycle::{Connections, Tasks};
use crate::serve::OnUpgrade;
use crate::telemetry::Outcome;
use crate::upstream::Tunnel;

/// What a message of a tunnel is copied through, in bytes each way.
const COPY_BUFFER: usize = 8 * 1024;

/// Whether the client asks for a websocket. Other protocols are none of a provider's: asked for, they
/// are passed over, as RFC 9110 lets a server do.
pub(super) fn is_asked(parts: &Parts) -> bool {
    names(parts, header::UPGRADE, "websocket")
        && names(parts, header::CONNECTION, "upgrade")
        && parts.extensions.get::<OnUpgrade>().is_some()
}

/// Whether a header's list names that.
fn names(parts: &Parts, header: header::HeaderName, word: &str) -> bool {
    let values = parts.headers.get_all(header).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(word))
}

/// Agrees to the upgrade as the provider did, and copies until either side ends.
///
/// Its bytes are a client's connection like any other, though the server of requests is done with it:
/// a drain waits for it.
pub(super) fn open(
    (tasks, connections): (&Tasks, &Connections),
    mut exchange: Exchange,
    parts: &mut Parts,
    (agreed, mut tunnel): (Response<()>, Tunnel),
) -> Response<AnswerBody> {
    let client = parts.extensions.remove::<OnUpgrade>();
    let (mut head, ()) = agreed.into_parts();
    let upgrade = head.headers.get(header::UPGRADE).cloned();
    let request_id = headers::Told::read(&head.headers).request_id.cloned();
    headers::strip(&mut head.headers);
    head.status = StatusCode::SWITCHING_PROTOCOLS;
    if let Some(protocol) = upgrade {
        head.headers.insert(header::UPGRADE, protocol);
    }
    head.headers.insert(header::CONNECTION, http::HeaderValue::from_static("upgrade"));
    exchange.answered(head.status.as_u16(), request_id);
    let counted = connections.open();
    drop(tasks.spawn(async move {
        let copied = copy(client, &mut tunnel).await.is_some();
        let (outcome, word) =
            if copied { (Outcome::Ok, "complete") } else { (Outcome::Cancelled, "cut") };
        exchange.tick();
        exchange.close(outcome, Ending { usage: None, word });
        drop(counted);
    }));
    Response::from_parts(head, AnswerBody::Whole(None))
}

async fn copy(client: Option<OnUpgrade>, tunnel: &mut Tunnel) -> Option<(u64, u64)> {
    let mut client = client?.stream().await?;
    let (out, back) = (COPY_BUFFER, COPY_BUFFER);
    tokio::io::copy_bidirectional_with_sizes(&mut client, tunnel, out, back).await.ok()
}
