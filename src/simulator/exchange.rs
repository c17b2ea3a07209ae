//! The walk of a request through the simulator: whom it is for, whose it is, what goes wrong, what
//! the provider answers, and how that goes out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, request};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::body::{Body, Lease, STALL};
use super::call::{Call, Scene};
use super::control;
use super::delivery::Delivery;
use super::fault::{Drawn, FaultKind, Whom};
use super::meter::Habit;
use super::problem::Problem;
use super::reply::{Answered, Content, Reply};
use super::tally::{Ledger, Seen};
use super::tap::Sabotage;
use super::websocket;
use super::wires;
use super::world::{Holder, World};

/// The largest body taken: more than any provider's for JSON.
const LARGEST: usize = 64 * 1024 * 1024;
/// How long a body may take to arrive.
const ARRIVAL: Duration = Duration::from_mins(2);

/// Answers one request.
pub(crate) async fn answer(
    world: Arc<World>,
    sabotage: Sabotage,
    mut request: Request<Incoming>,
) -> Response<Body> {
    if request.uri().path().starts_with("/_sim/") {
        return control::answer(&world, request).await;
    }
    let upgrade = websocket::is_wanted(request.headers()).then(|| hyper::upgrade::on(&mut request));
    let (parts, incoming) = request.into_parts();
    let body = collect(incoming).await;
    let arrival = Arrival::new(&world, &parts, body);
    let seen = note(&world, &parts, &arrival);
    let mut lease = arrival.holder.as_ref().ok().map(|holder| Lease::new(&world, holder.account));
    let reply = match arrival.answered(upgrade).await {
        Ok(reply) => reply,
        Err(reply) => *reply,
    };
    world.ledger().answered(seen, reply.status.as_u16());
    arrival.count(&reply);
    if let (Some(lease), Some(pass)) = (&mut lease, &reply.pass) {
        lease.of_model(pass.model);
    }
    let delivery = Delivery {
        scene: &arrival.scene,
        drawn: &arrival.drawn,
        pace: arrival.account().map(|account| account.pace).unwrap_or_default(),
        compression: world.plan().compression,
    };
    delivery.send(reply, lease, &sabotage).await
}

/// A request, with what is known about it before it is answered.
struct Arrival {
    world: Arc<World>,
    scene: Scene,
    holder: Result<Holder, Problem>,
    /// `None` if it is too large, or broke off.
    body: Option<Bytes>,
    drawn: Drawn,
    serial: u64,
}

impl Arrival {
    fn new(world: &Arc<World>, parts: &request::Parts, body: Option<Bytes>) -> Self {
        let query = query_of(parts.uri.query().unwrap_or_default());
        let path = parts.uri.path().to_owned();
        let habit = wires::habit_of(&path, &query, &parts.headers);
        let serial = world.serial();
        let mut scene = Scene {
            habit,
            method: parts.method.clone(),
            path,
            credential: wires::credential(habit, &query, &parts.headers),
            query,
            headers: parts.headers.clone(),
            account: String::new(),
            request_id: format!("req_{}", world.digits(0, serial, 0)),
            now: world.now(),
        };
        let holder = holder_of(world, &scene);
        let account = holder.as_ref().ok().and_then(|holder| world.account(holder.account));
        if let Some(account) = account {
            scene.account.clone_from(&account.name);
        }
        let mut arrival =
            Self { world: Arc::clone(world), scene, holder, body, drawn: Drawn::new(), serial };
        arrival.drawn = arrival.draw();
        arrival
    }

    fn account(&self) -> Option<&super::plan::Account> {
        self.world.account(self.holder.as_ref().ok()?.account)
    }

    fn key(&self) -> Option<&str> {
        let key = self.holder.as_ref().ok()?.key;
        self.account()?.keys.get(key).map(|key| key.label.as_str())
    }

    fn model(&self) -> Option<String> {
        let body = self.body.as_deref().unwrap_or_default();
        wires::model_of(self.scene.habit, &self.scene.path, body)
    }

    fn draw(&self) -> Drawn {
        let model = self.model();
        self.world.draw(Whom {
            account: self.account().map(|account| account.name.as_str()),
            key: self.key(),
            model: model.as_deref(),
            path: &self.scene.path,
        })
    }

    async fn answered(&self, upgrade: Option<OnUpgrade>) -> Answered {
        for fault in &self.drawn {
            tokio::time::sleep(delay(fault)).await;
        }
        let holder = self.holder.as_ref().map_err(|problem| self.scene.refuse(problem))?;
        let Some(body) = self.body.clone() else {
            return Err(self.scene.refuse(&Problem::TooLarge));
        };
        let model = self.model().unwrap_or_default();
        for fault in &self.drawn {
            if let Some(problem) = Problem::of_fault(fault, &model) {
                return Err(self.scene.refuse(&problem));
            }
            if let Some(reply) = instead(fault) {
                return Ok(reply);
            }
        }
        let call = Call {
            world: Arc::clone(&self.world),
            scene: self.scene.clone(),
            holder: *holder,
            body,
            serial: self.serial,
        };
        match upgrade {
            Some(upgrade) => websocket::answer(&call, upgrade),
            None => wires::answer(&call),
        }
    }

    /// Counts what the answer is; one that a fault spoils is not served.
    fn count(&self, reply: &Reply) {
        let mut ledger = self.world.ledger();
        let (Some(account), Some(key)) = (self.account(), self.key()) else {
            ledger.tally.strangers += 1;
            return;
        };
        let spoilt = self.drawn.iter().any(is_spoiling);
        let success = reply.status.as_u16() < 300;
        let word = if spoilt { "broken" } else { reply.refused.unwrap_or("badRequest") };
        let tally = ledger.key(&account.name, key);
        if success && !spoilt {
            tally.served += 1;
            ledger.account(&account.name).input_tokens += reply.input;
        } else {
            *tally.refused.entry(word).or_insert(0) += 1;
        }
    }
}

/// How much later the answer begins.
#[expect(clippy::wildcard_enum_match_arm, reason = "the other faults strike elsewhere")]
const fn delay(fault: &FaultKind) -> Duration {
    match fault {
        FaultKind::StallHeaders => STALL,
        FaultKind::Latency { ms } => Duration::from_millis(*ms),
        _ => Duration::ZERO,
    }
}

/// An answer that has nothing to do with the request.
#[expect(clippy::wildcard_enum_match_arm, reason = "the other faults strike elsewhere")]
fn instead(fault: &FaultKind) -> Option<Reply> {
    Some(match fault {
        FaultKind::Answer { status, body, headers } => {
            let bytes = Bytes::from(body.clone());
            let mut reply = Reply::new(*status, "application/json", Content::Whole(bytes));
            for (name, value) in headers {
                wires::set(&mut reply.headers, name, value);
            }
            reply
        }
        FaultKind::Redirect { location } => {
            let reply = Reply::bytes(307, "text/plain", Bytes::new()).header("location", location);
            reply.refused("broken")
        }
        FaultKind::Nonsense => {
            Reply::bytes(200, "application/json", Bytes::from_static(b"\x00\xff{\"half\": [1, 2"))
        }
        FaultKind::Html { status } => {
            let page = format!(
                "<html>\r\n<head><title>{status}</title></head>\r\n<body>\r\n<center><h1>{status}\
                 </h1></center>\r\n<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n"
            );
            Reply::bytes(*status, "text/html", Bytes::from(page)).refused("broken")
        }
        _ => return None,
    })
}

/// Whether the client gets no proper answer.
const fn is_spoiling(fault: &FaultKind) -> bool {
    matches!(
        fault,
        FaultKind::Nonsense
            | FaultKind::StallHeaders
            | FaultKind::HangUp
            | FaultKind::EndlessHeader
            | FaultKind::WrongLength { .. }
            | FaultKind::StallStream { .. }
            | FaultKind::CutStream { .. }
            | FaultKind::ErrorEvent { .. }
    )
}

/// Whose the credential is. What is sent to an upload's own URL needs none.
fn holder_of(world: &World, scene: &Scene) -> Result<Holder, Problem> {
    if let Some(upload) = scene.query("upload_id").filter(|_| scene.habit == Habit::Gemini)
        && let Some(holder) = world.holder_of_upload(upload)
    {
        return Ok(holder);
    }
    let credential = scene.credential.as_deref().ok_or(Problem::NoCredential)?;
    let holder = world.holder(credential).ok_or(Problem::KeyInvalid)?;
    let habit = world.account(holder.account).map(|account| account.habit);
    if habit == Some(scene.habit) { Ok(holder) } else { Err(Problem::KeyInvalid) }
}

async fn collect(body: Incoming) -> Option<Bytes> {
    let limited = Limited::new(body, LARGEST).collect();
    let collected = tokio::time::timeout(ARRIVAL, limited).await;
    collected.ok().and_then(Result::ok).map(http_body_util::Collected::to_bytes)
}

/// Remembers a request and every credential in it.
fn note(world: &World, parts: &request::Parts, arrival: &Arrival) -> u64 {
    let mut ledger = world.ledger();
    for credential in credentials(&parts.headers, &arrival.scene.query) {
        ledger.credential(&credential);
    }
    let body = arrival.body.clone().unwrap_or_default();
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = parts.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value)));
    ledger.see(Seen {
        method: parts.method.to_string(),
        path: parts.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        version: parts.version,
        headers: headers.collect(),
        body_bytes: body.len(),
        body: body.slice(..body.len().min(Ledger::BODY)),
        key: arrival.key().map(str::to_owned),
        status: 0,
    })
}

/// Everything in a request that may be a credential, whatever its form.
fn credentials(headers: &HeaderMap, query: &[(String, String)]) -> Vec<String> {
    let named = wires::CREDENTIAL_HEADERS.iter().flat_map(|name| headers.get_all(*name));
    let texts = named.filter_map(|value| value.to_str().ok());
    let bare = texts.map(|text| text.strip_prefix("Bearer ").unwrap_or(text).to_owned());
    let keys = query.iter().filter(|(name, _)| name == "key").map(|(_, value)| value.clone());
    bare.chain(keys).collect()
}

fn query_of(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let split = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    split.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
