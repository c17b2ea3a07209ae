//! The simulator's own paths, for tests in other languages: `/_sim/tally`, `/_sim/requests`,
//! `/_sim/faults` (GET, POST a fault as JSON, DELETE all or `/_sim/faults/{id}`), `/_sim/reset`.

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::body::Body;
use super::fault::Fault;
use super::world::World;

/// The largest fault that is read.
const LARGEST: usize = 1024 * 1024;

pub(crate) async fn answer(world: &Arc<World>, request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let segments: Vec<&str> = parts.uri.path().split('/').skip(2).collect();
    let (status, value) = match (&parts.method, segments.as_slice()) {
        (&Method::GET, ["tally"]) => (200, json!(world.ledger().tally)),
        (&Method::GET, ["requests"]) => (200, requests(world)),
        (&Method::GET, ["faults"]) => (200, faults(world)),
        (&Method::POST, ["faults"]) => add_fault(world, body).await,
        (&Method::DELETE, ["faults"]) => {
            world.faults().clear();
            (200, json!({}))
        }
        (&Method::DELETE, ["faults", id]) => {
            world.faults().remove(id.parse().unwrap_or_default());
            (200, json!({}))
        }
        (&Method::POST, ["reset"]) => {
            world.reset();
            (200, json!({}))
        }
        _ => (404, json!({"error": "no such path of the simulator"})),
    };
    let mut response = Response::new(Body::whole(Bytes::from(value.to_string()), None));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::NOT_FOUND);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

async fn add_fault(world: &World, body: Incoming) -> (u16, Value) {
    let Ok(body) = Limited::new(body, LARGEST).collect().await else {
        return (413, json!({"error": "too large"}));
    };
    match serde_json::from_slice::<Fault>(&body.to_bytes()) {
        Ok(fault) => {
            let now = world.now().at;
            (200, json!({"id": world.faults().add(fault, now)}))
        }
        Err(error) => (400, json!({"error": error.to_string()})),
    }
}

fn faults(world: &World) -> Value {
    let faults = world.faults();
    faults.list().map(|(id, fault)| json!({"id": id, "fault": fault})).collect()
}

fn requests(world: &World) -> Value {
    let ledger = world.ledger();
    let shown = ledger.requests().map(|seen| {
        json!({
            "method": seen.method,
            "path": seen.path,
            "headers": seen.headers,
            "body": String::from_utf8_lossy(&seen.body),
            "bodyBytes": seen.body_bytes,
            "key": seen.key,
            "status": seen.status,
        })
    });
    shown.collect()
}
