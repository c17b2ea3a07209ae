//! `providers:` → who is asked, how, and with which keys.

use std::path::PathBuf;

use http::{HeaderName, HeaderValue};

use super::super::pending;
use super::super::place::{At, Draft};
use super::super::raw::{self, Ordered};
use super::super::secrets::DEFAULT_SECRET;
use super::super::used::{BaseUrl, Charging, Provider, Timeouts};
use super::{Work, keys, limits, names, settings, url};
use crate::formats::{Auth, Dialect, Known, Wire, known};

/// The providers, and the names of those that are written but left out.
#[derive(Debug, Default)]
pub(super) struct Roster {
    providers: Vec<Provider>,
    left_out: Vec<Box<str>>,
}

/// Where a name leads.
pub(super) enum Seat {
    /// The provider at this index.
    Taken(usize),
    /// A provider that is written, but not in force or not right.
    LeftOut,
    /// Nowhere.
    Unknown,
}

impl Roster {
    /// Where `name` leads.
    pub(super) fn seat(&self, name: &str) -> Seat {
        match self.providers.iter().position(|provider| &*provider.name == name) {
            Some(index) => Seat::Taken(index),
            None if self.left_out.iter().any(|left_out| &**left_out == name) => Seat::LeftOut,
            None => Seat::Unknown,
        }
    }

    /// Adds a provider that is known by name and written nowhere; its index.
    pub(super) fn add_known(&mut self, work: &Work<'_>, known: &'static Known) -> Option<usize> {
        let written = raw::Provider::default();
        let at = At::ROOT;
        let provider = one(work, &at.key(known.name), known.name, &written)?;
        self.providers.push(provider);
        self.providers.len().checked_sub(1)
    }

    /// The name that `name` is probably a slip of.
    pub(super) fn closest(&self, draft: &Draft<'_>, name: &str) -> Option<String> {
        let own = self.providers.iter().map(|provider| &*provider.name);
        draft.closest(name, known::all().iter().map(|known| known.name).chain(own))
    }

    /// The providers, in order.
    pub(super) fn into_providers(self) -> Vec<Provider> {
        self.providers
    }
}

/// Compiles all providers; without any written, those that the environment has keys for.
pub(super) fn compile(work: &Work<'_>, written: &Ordered<raw::Provider>) -> Roster {
    let mut roster = Roster::default();
    let at_providers = At::ROOT.key("providers");
    for (name, provider) in &written.0 {
        let at = at_providers.key(name);
        names::check_provider(work.draft, &at, name);
        match one(work, &at, name, provider) {
            Some(provider) => roster.providers.push(provider),
            None => roster.left_out.push(name.as_str().into()),
        }
    }
    if written.0.is_empty() && !work.draft.is_written(&at_providers) {
        from_environment(work, &mut roster);
    }
    roster
}

fn from_environment(work: &Work<'_>, roster: &mut Roster) {
    for known in known::all() {
        if keys::found(work, known).is_empty() {
            continue;
        }
        if known.base_url.is_some() {
            roster.add_known(work, known);
        } else {
            let message = format!(
                "there is a key for `{}`, but only a configuration can say where it is: write \
                 `providers: {{{}: {{baseUrl: ...}}}}`",
                known.name, known.name
            );
            work.draft.warn(&At::ROOT, message);
        }
    }
    if roster.providers.is_empty() && work.inventory.is_some() {
        let message = format!(
            "no provider: none is written, and neither the environment nor the Secret \
             `{DEFAULT_SECRET}` has a key such as `OPENAI_API_KEY`"
        );
        work.draft.warn(&At::ROOT.key("providers"), message);
    }
}

fn one(work: &Work<'_>, at: &At<'_>, name: &str, written: &raw::Provider) -> Option<Provider> {
    let draft = work.draft;
    let later = match written.wire {
        Some(wire) => wire_of(wire).is_none(),
        None => pending::is_later(name),
    };
    // All the rest is checked also where the provider itself cannot be used.
    let identity = if later { None } else { identify(draft, at, name, written) };
    let auth = auth(draft, &at.key("auth"), written);
    let timeouts = timeouts(draft, &at.key("timeouts"), &written.timeouts);
    let keys = keys::compile(work, at, name, written);
    let limits = limits::of_provider(work, at, written, &keys);
    let charging = charging(draft, &at.key("charging"), written);
    check_azure(draft, at, written, identity.as_ref());
    let ca_bundle = ca_bundle(draft, at, written, identity.as_ref());
    let identity = identity?;
    warn_of_clear_text(draft, at, &identity.base, !keys.is_empty());
    Some(Provider {
        name: name.into(),
        wire: identity.wire,
        dialect: identity.dialect,
        base: identity.base,
        door_prefix: identity.door_prefix.into(),
        also: identity.also.iter().map(|(wire, prefix)| (*wire, (*prefix).into())).collect(),
        auth: auth.unwrap_or(identity.auth),
        headers: identity.headers.to_vec(),
        keys,
        limits,
        charging: charging.unwrap_or_else(|| Charging::of(identity.dialect)),
        adaptive: written.adaptive.unwrap_or(true),
        timeouts,
        ca_bundle,
        api_version: written.api_version.as_deref().map(Into::into),
        deployments: pairs(&written.deployments),
        region: written.region.as_deref().map(Into::into),
        tags: written.tags.iter().map(|tag| tag.as_str().into()).collect(),
    })
}

/// What a provider's name, wire format and base URL say together.
struct Identity {
    wire: Wire,
    dialect: Dialect,
    base: BaseUrl,
    door_prefix: &'static str,
    also: Vec<(Wire, &'static str)>,
    auth: Auth,
    headers: &'static [(HeaderName, HeaderValue)],
}

/// The base URL's host says whose habits are met there, and only then the name: a provider called
/// `groq-2` at Groq's address behaves like Groq.
fn identify(
    draft: &Draft<'_>,
    at: &At<'_>,
    name: &str,
    written: &raw::Provider,
) -> Option<Identity> {
    let by_name = known::named(name);
    let base = base_url(draft, at, written, by_name);
    let by_host = base.as_ref().and_then(|base| known::at_host(&base.host));
    let known = by_host.or(by_name);
    let wire = written.wire.and_then(wire_of).or_else(|| known.map(|known| known.wire));
    let Some(wire) = wire else {
        if !draft.is_written(&at.key("wire")) {
            let message = "nothing is known by this name: write its `wire` and `baseUrl`";
            draft.slip(
                at,
                message,
                draft.closest(name, known::all().iter().map(|known| known.name)),
            );
        }
        return None;
    };
    let base = base?;
    warn_of_version(draft, at, written, &base, wire);
    let speaks = |known: &&Known| speaks(known, wire);
    Some(match known.filter(speaks).or_else(|| known::original(wire)) {
        Some(known) => identity_of(known, wire, base),
        None => Identity {
            wire,
            dialect: Dialect::Generic,
            base,
            door_prefix: "",
            also: Vec::new(),
            auth: Auth::Bearer,
            headers: &[],
        },
    })
}

fn speaks(known: &Known, wire: Wire) -> bool {
    known.wire == wire || known.also.iter().any(|(also, _)| *also == wire)
}

fn identity_of(known: &'static Known, wire: Wire, base: BaseUrl) -> Identity {
    let all = || [(known.wire, known.door_prefix)].into_iter().chain(known.also.iter().copied());
    Identity {
        wire,
        dialect: known.dialect,
        base,
        door_prefix: all().find(|(its, _)| *its == wire).map_or("", |(_, prefix)| prefix),
        also: all().filter(|(its, _)| *its != wire).collect(),
        auth: known.auth.clone(),
        headers: known.headers,
    }
}

const fn wire_of(written: raw::Wire) -> Option<Wire> {
    match written {
        raw::Wire::OpenAi => Some(Wire::OpenAi),
        raw::Wire::Anthropic => Some(Wire::Anthropic),
        raw::Wire::Gemini => Some(Wire::Gemini),
        raw::Wire::Cohere => Some(Wire::Cohere),
        raw::Wire::Ollama => Some(Wire::Ollama),
        raw::Wire::Http => Some(Wire::Http),
        raw::Wire::Bedrock | raw::Wire::Vertex => None,
    }
}

fn base_url(
    draft: &Draft<'_>,
    at: &At<'_>,
    written: &raw::Provider,
    by_name: Option<&Known>,
) -> Option<BaseUrl> {
    let at_url = at.key("baseUrl");
    if let Some(text) = &written.base_url {
        return url::parse(text).map_err(|message| draft.error(&at_url, message)).ok();
    }
    let known_url = by_name.and_then(|known| known.base_url);
    if let Some(text) = known_url {
        return url::parse(text).ok();
    }
    let stranger = by_name.is_none() && written.wire.is_none();
    if !stranger {
        let example = match by_name.map(|known| known.dialect) {
            Some(Dialect::Azure) => ", e.g. `https://RESOURCE.openai.azure.com`",
            Some(Dialect::Vllm) => ", e.g. `http://vllm.models:8000`",
            _ => "",
        };
        draft.missing(at, "baseUrl", format!("its `baseUrl` is missing{example}"));
    }
    None
}

/// The paths that an SDK sends begin with the version already.
fn warn_of_version(
    draft: &Draft<'_>,
    at: &At<'_>,
    written: &raw::Provider,
    base: &BaseUrl,
    wire: Wire,
) {
    let last = base.path.rsplit('/').next().unwrap_or_default();
    if written.base_url.is_some() && wire != Wire::Http && matches!(last, "v1" | "v1beta") {
        let message = format!(
            "ends in `/{last}`, and the paths sent to it begin with their version: leave it out \
             unless it is meant to be there twice"
        );
        draft.warn(&at.key("baseUrl"), message);
    }
}

fn warn_of_clear_text(draft: &Draft<'_>, at: &At<'_>, base: &BaseUrl, keyed: bool) {
    if keyed && !base.tls && known::at_host(&base.host).is_some() {
        draft.warn(&at.key("baseUrl"), "keys travel over the internet without encryption");
    }
}

fn auth(draft: &Draft<'_>, at: &At<'_>, written: &raw::Provider) -> Option<Auth> {
    /// Headers that belong to the connection or the message: a key in one would break the request.
    const OCCUPIED: [&str; 9] = [
        "connection",
        "content-length",
        "content-type",
        "expect",
        "host",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    let auth = written.auth.as_ref()?;
    let Some(name) = &auth.header else {
        draft.missing(at, "header", "the `header` that carries the key is missing");
        return None;
    };
    let at = at.key("header");
    let name = settings::header_name(draft, &at, name)?;
    if OCCUPIED.contains(&name.as_str()) {
        draft.error(&at, "this header cannot carry a key");
    }
    Some(Auth::Header(name))
}

fn timeouts(draft: &Draft<'_>, at: &At<'_>, written: &raw::Timeouts) -> Timeouts {
    let usual = Timeouts::default();
    let read = |name, span, usual| settings::positive(draft, &at.key(name), span, usual);
    Timeouts {
        connect: read("connect", written.connect, usual.connect),
        first_byte: read("firstByte", written.first_byte, usual.first_byte),
        idle: read("idle", written.idle, usual.idle),
    }
}

/// How it charges tokens, where that is written.
fn charging(draft: &Draft<'_>, at: &At<'_>, written: &raw::Provider) -> Option<Charging> {
    let name = written.charging.as_deref()?;
    let charging = Charging::named(name);
    if charging.is_none() {
        let known: Vec<_> = Charging::ALL.iter().map(|it| it.as_str()).collect();
        let message = format!("not one of `{}`", known.join("`, `"));
        draft.slip(at, message, draft.closest(name, known));
    }
    charging
}

fn check_azure(
    draft: &Draft<'_>,
    at: &At<'_>,
    written: &raw::Provider,
    identity: Option<&Identity>,
) {
    let at_version = at.key("apiVersion");
    if let Some(version) = &written.api_version
        && (version.is_empty()
            || !version.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.')))
    {
        draft.error(&at_version, "not a version like `2024-10-21`");
    }
    let at_deployments = at.key("deployments");
    for (model, deployment) in &written.deployments.0 {
        if !names::is_model(model) || !names::is_model(deployment) {
            draft.error(&at_deployments.key(model), "not the name of a deployment");
        }
    }
    if identity.is_some_and(|identity| identity.dialect != Dialect::Azure) {
        for at in [&at_version, &at_deployments] {
            if draft.is_written(at) {
                draft.warn(at, "only Azure has it; nothing comes of it here");
            }
        }
    }
}

fn ca_bundle(
    draft: &Draft<'_>,
    at: &At<'_>,
    written: &raw::Provider,
    identity: Option<&Identity>,
) -> Option<PathBuf> {
    let path = written.tls.as_ref()?.ca_bundle.as_ref()?;
    let at_tls = at.key("tls");
    let at = at_tls.key("caBundle");
    if path.is_empty() || path.contains('\0') {
        draft.error(&at, "not the path of a file");
    }
    if identity.is_some_and(|identity| !identity.base.tls) {
        draft.warn(&at, "its `baseUrl` begins with `http://`, so no certificate is checked");
    }
    Some(path.into())
}

fn pairs(written: &Ordered<String>) -> Vec<(Box<str>, Box<str>)> {
    written.0.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect()
}
