//! Where requests go, made ready when a configuration is.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;
use http::uri::Authority;
use rustls_pki_types::ServerName;

use super::patience::Timeouts;
use super::proxies::Proxy;
use super::tls::{Roots, Tls};

/// What is known of a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// TLS (`https`) or not (`http`).
    pub tls: bool,
    /// Host name or address; an IPv6 address without its brackets.
    pub host: Box<str>,
    /// Its port.
    pub port: u16,
    /// What goes into `Host` and `:authority`.
    pub authority: HeaderValue,
    /// Whom to believe: the provider, and an egress proxy that is spoken to over TLS.
    pub roots: Roots,
    /// The egress proxy to go through: see [`super::Proxies::choose`].
    pub proxy: Option<Proxy>,
    /// How long to wait for it.
    pub timeouts: Timeouts,
}

/// A destination made ready: TLS configured, names parsed.
///
/// Each has connections of its own in each [`super::Upstream`], for as long as someone holds it.
/// After a change of configuration, go on with the old one where [`Destination::is_as`] says that
/// nothing has changed for it, and its connections go on too.
pub struct Destination {
    id: u64,
    pub(super) settings: Settings,
    pub(super) place: Arc<str>,
    pub(super) authority: Authority,
    pub(super) host: HeaderValue,
    pub(super) address: Option<IpAddr>,
    pub(super) secure: Option<Secure>,
    pub(super) proxy: Option<ReadyProxy>,
    pub(super) timeouts: Timeouts,
}

/// What TLS needs.
pub(super) struct Secure {
    pub(super) tls: Tls,
    pub(super) name: ServerName<'static>,
}

/// An egress proxy made ready.
pub(super) struct ReadyProxy {
    pub(super) proxy: Proxy,
    pub(super) address: Option<IpAddr>,
    pub(super) secure: Option<Secure>,
    /// Whom to ask for: `host:port`.
    pub(super) target: HeaderValue,
}

/// Settings that no destination can be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingsError {
    /// The host is neither a name nor an address.
    Host,
    /// The authority cannot stand in a request.
    Authority,
    /// The certificate authorities cannot be used.
    Roots(&'static str),
}

impl Destination {
    /// Makes a destination ready. Reads files if the roots are the system's.
    pub fn new(settings: Settings) -> Result<Arc<Self>, SettingsError> {
        static IDS: AtomicU64 = AtomicU64::new(0);
        let Settings { tls, host, port, .. } = &settings;
        let authority = Authority::try_from(settings.authority.as_bytes())
            .map_err(|_| SettingsError::Authority)?;
        let proxy = match &settings.proxy {
            None => None,
            Some(proxy) => Some(ReadyProxy::new(proxy.clone(), &settings)?),
        };
        Ok(Arc::new(Self {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            place: place(host, *port).into(),
            authority,
            host: settings.authority.clone(),
            address: host.parse().ok(),
            secure: if *tls { Some(Secure::new(&settings.roots, host)?) } else { None },
            proxy,
            timeouts: settings.timeouts.bounded(),
            settings,
        }))
    }

    /// Whether new settings ask for just this destination.
    pub fn is_as(&self, settings: &Settings) -> bool {
        self.settings == *settings
    }

    /// Host and port, as `host:port`.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The settings it was made of.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) const fn id(&self) -> u64 {
        self.id
    }
}

impl Secure {
    fn new(roots: &Roots, host: &str) -> Result<Self, SettingsError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| SettingsError::Host)?;
        Ok(Self { tls: Tls::new(roots)?, name })
    }
}

impl ReadyProxy {
    fn new(proxy: Proxy, settings: &Settings) -> Result<Self, SettingsError> {
        let Settings { host, port, roots, .. } = settings;
        let secure = if proxy.tls() { Some(Secure::new(roots, proxy.host())?) } else { None };
        let target = Authority::try_from(place(host, *port)).map_err(|_| SettingsError::Host)?;
        let target = HeaderValue::from_str(target.as_str()).map_err(|_| SettingsError::Host)?;
        Ok(Self { address: proxy.host().parse().ok(), proxy, secure, target })
    }
}

/// `host:port`, an IPv6 address in brackets.
pub(super) fn place(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Destination").field(&self.settings).finish()
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("the host is neither a name nor an address"),
            Self::Authority => f.write_str("host and port cannot stand in a request"),
            Self::Roots(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for SettingsError {}
