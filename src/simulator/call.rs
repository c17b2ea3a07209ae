//! A request as its handler sees it.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::{Map, Value};

use super::fault::mix;
use super::meter::{Ask, Habit};
use super::multipart::Form;
use super::plan::{Account, Model};
use super::problem::Problem;
use super::reply::Reply;
use super::store::{Store, Stored};
use super::turn::text_bytes;
use super::wires;
use super::world::{Holder, Pass, World};
use crate::clock::Now;

/// What a request says before its body is looked at.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) habit: Habit,
    pub(crate) method: Method,
    /// Without the query.
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) credential: Option<String>,
    /// The account's name, once that is known.
    pub(crate) account: String,
    pub(crate) request_id: String,
    pub(crate) now: Now,
}

/// A request from a known key.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) world: Arc<World>,
    pub(crate) scene: Scene,
    pub(crate) holder: Holder,
    pub(crate) body: Bytes,
    pub(crate) serial: u64,
}

impl Scene {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The path's segments.
    pub(crate) fn segments(&self) -> Vec<&str> {
        self.path.split('/').filter(|segment| !segment.is_empty()).collect()
    }

    /// The provider's refusal in its own words.
    pub(crate) fn refuse(&self, problem: &Problem) -> Box<Reply> {
        Box::new(wires::refusal(self, problem).refused(problem.word()))
    }
}

impl Call {
    pub(crate) fn account(&self) -> Option<&Account> {
        self.world.account(self.holder.account)
    }

    pub(crate) fn models(&self) -> &[Model] {
        self.account().map_or(&[], |account| &account.models)
    }

    pub(crate) fn model(&self, index: usize) -> Option<&Model> {
        self.models().get(index)
    }

    /// Output tokens in a piece of a stream.
    pub(crate) fn piece(&self) -> u64 {
        self.account().map_or(1, |account| account.pace.piece)
    }

    /// An identifier that starts like that; the `part`th of this request.
    pub(crate) fn id(&self, prefix: &str, part: u64) -> String {
        let digits = self.world.digits(self.holder.account, self.serial, part);
        format!("{prefix}{digits}")
    }

    /// When this is, in seconds since 1970.
    pub(crate) fn created(&self) -> i64 {
        self.scene.now.wall.as_second()
    }

    /// The body as a JSON object.
    pub(crate) fn json(&self) -> Result<Map<String, Value>, Box<Reply>> {
        serde_json::from_slice(&self.body).map_err(|_| self.scene.refuse(&Problem::NotJson))
    }

    /// The body as a form.
    pub(crate) fn form(&self) -> Option<Form> {
        Form::read(self.scene.header("content-type")?, &self.body)
    }

    /// The model of that name, or the provider's answer that there is none.
    pub(crate) fn find_model(&self, name: &str) -> Result<usize, Box<Reply>> {
        let found = self.models().iter().position(|model| model.name == name);
        found.ok_or_else(|| self.scene.refuse(&Problem::NoSuchModel { model: name.to_owned() }))
    }

    /// Asks the limits; a refusal carries their headers.
    pub(crate) fn admit(&self, model: usize, ask: Ask) -> Result<Pass, Box<Reply>> {
        self.world.admit(self.holder.account, model, ask).map_err(|stop| {
            let name = self.model(model).map_or_else(String::new, |model| model.name.clone());
            let refusal = stop.refusal;
            let mut reply = self.scene.refuse(&Problem::RateLimited { model: name, refusal });
            reply.pass = Some(Pass { model, readings: stop.readings });
            reply
        })
    }

    /// Works with what is kept for the account.
    pub(crate) fn with_store<T: Default>(&self, work: impl FnOnce(&mut Store) -> T) -> T {
        self.world.with_store(self.holder.account, work).unwrap_or_default()
    }

    /// Keeps an object.
    pub(crate) fn keep(&self, id: &str, kind: &'static str, object: Value, content: Bytes) {
        self.with_store(|store| store.put(id, Stored { kind, object, content }));
    }

    /// A kept object.
    pub(crate) fn kept(&self, kind: &str, id: &str) -> Option<Stored> {
        self.with_store(|store| store.find(kind, id).cloned())
    }

    /// All kept objects of a kind, the newest first.
    pub(crate) fn all_kept(&self, kind: &str) -> Vec<Value> {
        self.with_store(|store| store.list(kind).map(|stored| stored.object.clone()).collect())
    }

    /// Forgets an object.
    pub(crate) fn forget(&self, kind: &str, id: &str) -> Option<Stored> {
        self.with_store(|store| store.find(kind, id).is_some().then(|| store.remove(id))?)
    }

    /// The bytes of text in the longest beginning of a prompt that was seen before under this model;
    /// all its beginnings have been from now on. This is what prompt caches go by.
    pub(crate) fn known_prefix(&self, model: usize, parts: &[&Value]) -> usize {
        self.with_store(|store| {
            let (mut hash, mut bytes, mut known) = (mix(model as u64), 0, 0);
            for part in parts {
                hash = part
                    .to_string()
                    .bytes()
                    .fold(hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
                bytes += text_bytes(part);
                if store.knew_prefix(hash) {
                    known = bytes;
                }
            }
            known
        })
    }
}

/// The multiplier of the FNV-1a hash.
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;
