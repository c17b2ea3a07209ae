//! What a request is lent: one configuration with its keys, ready to use, that never changes.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use super::desk::Desk;
use super::purse::Purse;
use crate::callers::Callers;
use crate::formats::models::{self, Price};
use crate::formats::{Dialect, Pattern, Wire};
use crate::keys::Backoff;
use crate::limits::Mode;
use crate::routes::Routes;
use crate::telemetry::record::Floodgate;
use crate::telemetry::sheet::Labels;
use crate::telemetry::{AccessLog, Lane, LaneId, Sheet};
use crate::upstream::Destination;

/// One configuration with its keys, ready to use.
#[derive(Debug)]
pub struct Snapshot {
    /// How many were in force before it.
    pub generation: u64,
    /// The providers, in the order configured.
    pub providers: Vec<Provider>,
    /// What model names lead to.
    pub routes: Routes,
    /// Who may ask for what.
    pub callers: Callers,
    /// What each of them may spend, in the order of the places that [`Callers::identify`] gives; `None`
    /// for those without limits.
    pub purses: Vec<Option<Arc<Purse>>>,
    /// How many sidecars are assumed to share their limits.
    pub replicas: NonZeroU32,
    /// Whether limits are enforced, or only counted.
    pub mode: Mode,
    /// The largest JSON body that is read, in bytes.
    pub max_body: u64,
    /// Whether answers carry `x-keyweir-*` headers.
    pub response_headers: bool,
    /// Which requests leave an access record.
    pub access_log: AccessLog,
    /// Keeps the access log from becoming a flood.
    pub floodgate: Arc<Floodgate>,
    /// The names of models that metrics may carry, and their prices.
    pub models: ModelNames,
    /// Handles of metrics.
    pub sheet: Sheet,
}

/// One upstream API, ready to be asked.
#[derive(Debug)]
pub struct Provider {
    /// Its name.
    pub name: Arc<str>,
    /// Its name as a header's value.
    pub name_header: HeaderValue,
    /// What it speaks.
    pub wire: Wire,
    /// Whose habits it follows.
    pub dialect: Dialect,
    /// The path of its base URL, without a trailing slash.
    pub base_path: Box<str>,
    /// What it speaks, its own wire format first, each with the path below the base URL that stands
    /// for the unified door's `/v1`.
    pub doors: Vec<(Wire, Box<str>)>,
    /// Headers that every request to it carries unless the caller set them.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Where it is.
    pub destination: Arc<Destination>,
    /// Its keys, limits and waiters, which outlive the snapshot.
    pub desk: Arc<Desk>,
    /// Azure: the `api-version` of classic deployment paths.
    pub api_version: Option<Box<str>>,
    /// Azure: model name to deployment name.
    pub deployments: HashMap<Box<str>, Arc<str>>,
    /// How long to wait before what was tried is tried again.
    pub backoff: Backoff,
}

impl Provider {
    /// The path below the base URL that stands for the unified door's `/v1` in that wire format.
    pub fn door(&self, wire: Wire) -> &str {
        let door = self.doors.iter().find(|(own, _)| *own == wire).or_else(|| self.doors.first());
        door.map_or("", |(_, prefix)| prefix)
    }
}

/// The names of models that metrics may carry.
#[derive(Debug)]
pub struct ModelNames {
    slots: HashMap<Arc<str>, (u16, Option<Price>)>,
    names: Vec<Arc<str>>,
    /// Prices by pattern, for names that nobody named beforehand.
    prices: Vec<(Pattern, Price)>,
}

/// The label of a model that nobody named beforehand.
const OTHER: &str = "other";

impl ModelNames {
    /// The names that the configuration knows, and configured prices over the shipped ones; of several
    /// that fit the first holds.
    pub fn new<'n>(
        configured: impl IntoIterator<Item = &'n str>,
        prices: Vec<(Pattern, Price)>,
    ) -> Self {
        let mut names = Self { slots: HashMap::new(), names: vec![OTHER.into()], prices };
        let shipped = models::MODELS.iter().map(|model| model.name);
        for name in configured.into_iter().chain(shipped) {
            if names.slots.contains_key(name) {
                continue;
            }
            let Ok(slot) = u16::try_from(names.names.len()) else { break };
            let known = names.written(name).or_else(|| models::find(name).map(|model| model.price));
            let name: Arc<str> = name.into();
            names.slots.insert(Arc::clone(&name), (slot, known));
            names.names.push(name);
        }
        names
    }

    /// The slot of a name; that of `other` for one that nobody named beforehand.
    pub fn slot(&self, name: &str) -> u16 {
        let known = self.slots.get(name).or_else(|| self.slots.get(models::find(name)?.name));
        known.map_or(0, |(slot, _)| *slot)
    }

    /// The label of a name.
    pub fn label(&self, name: &str) -> Arc<str> {
        if name.is_empty() { Arc::from("") } else { self.name(self.slot(name)) }
    }

    fn name(&self, slot: u16) -> Arc<str> {
        self.names.get(usize::from(slot)).map_or_else(|| OTHER.into(), Arc::clone)
    }

    fn price(&self, name: &str) -> Option<Price> {
        if let Some((_, price)) = self.slots.get(name) {
            return *price;
        }
        self.written(name).or_else(|| self.slots.get(models::find(name)?.name)?.1)
    }

    fn written(&self, name: &str) -> Option<Price> {
        let mut prices = self.prices.iter();
        prices.find(|(pattern, _)| pattern.matches(name)).map(|(_, price)| *price)
    }
}

impl Snapshot {
    /// The counters of that combination.
    pub fn lane(&self, id: LaneId, key: &Arc<str>) -> Arc<Lane> {
        self.sheet.lane(id, || Labels {
            provider: self
                .providers
                .get(usize::from(id.provider))
                .map_or_else(|| NOBODY.into(), |provider| Arc::clone(&provider.name)),
            key: Arc::clone(key),
            model: self.models.name(id.model),
            caller: self.caller_name(usize::from(id.caller)),
        })
    }

    /// The counters of requests that were refused before a provider was chosen.
    pub fn no_lane(&self, caller: usize) -> Arc<Lane> {
        let caller_slot = u16::try_from(caller).unwrap_or_default();
        let id = LaneId { provider: u16::MAX, key: u16::MAX, model: 0, caller: caller_slot };
        self.lane(id, &NOBODY.into())
    }

    /// What the caller at that place may spend, if it has limits.
    pub fn purse(&self, caller: usize) -> Option<&Arc<Purse>> {
        self.purses.get(caller)?.as_ref()
    }

    /// What that model costs, where it is known.
    pub fn price(&self, model: &str) -> Option<Price> {
        self.models.price(model)
    }

    fn caller_name(&self, place: usize) -> Arc<str> {
        self.callers.all().nth(place).map_or_else(|| NOBODY.into(), |rule| Arc::from(&*rule.name))
    }
}

/// The label where there is no provider or key.
const NOBODY: &str = "none";
