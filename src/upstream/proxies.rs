//! Egress proxies: what `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` ask for.
//!
//! Pure: the environment is read elsewhere. hyper-util has a reader for the same variables, but it
//! knows no ports in `NO_PROXY` and passes over a proxy that it cannot read, so that traffic would
//! leave by the wrong door.

mod exceptions;

use std::fmt;
use std::net::IpAddr;

use base64::prelude::{BASE64_STANDARD, Engine};
use http::{HeaderValue, Uri};
use zeroize::Zeroizing;

use super::destination::place;
use exceptions::Exceptions;

/// The egress proxies of the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    https: Option<Proxy>,
    http: Option<Proxy>,
    except: Exceptions,
}

/// One egress proxy, asked with `CONNECT` whatever the destination's scheme.
///
/// User and password are kept as the header that carries them, marked as sensitive, and never
/// printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    tls: bool,
    host: Box<str>,
    port: u16,
    authorization: Option<HeaderValue>,
}

/// A proxy that cannot be understood. It names the variable, and not the value, which may hold a
/// password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyError {
    variable: &'static str,
    why: &'static str,
}

impl Proxies {
    /// Reads the four variables' values; an empty one counts as none.
    ///
    /// `ALL_PROXY` stands in where the scheme's own is missing. `NO_PROXY` is a list, separated by
    /// commas or blanks, of: `*`; a host, which means its subdomains too, with or without a dot or
    /// `*.` before it; an address; a network (`10.0.0.0/8`); each of them also with `:port`. What
    /// it cannot mean is passed over, as everyone does.
    pub fn from_values(
        https: Option<&str>,
        http: Option<&str>,
        all: Option<&str>,
        no_proxy: Option<&str>,
    ) -> Result<Self, ProxyError> {
        let read = |variable, value: Option<&str>| match value.map(str::trim) {
            None | Some("") => Ok(None),
            Some(value) => Proxy::read(value).map(Some).map_err(|why| ProxyError { variable, why }),
        };
        let all = read("ALL_PROXY", all)?;
        Ok(Self {
            https: read("HTTPS_PROXY", https)?.or_else(|| all.clone()),
            http: read("HTTP_PROXY", http)?.or(all),
            except: Exceptions::read(no_proxy.unwrap_or_default()),
        })
    }

    /// The proxy to go through to that place, if any. This machine itself never is behind one.
    pub fn choose(&self, tls: bool, host: &str, port: u16) -> Option<&Proxy> {
        let proxy = if tls { &self.https } else { &self.http };
        proxy.as_ref().filter(|_| !is_here(host) && !self.except.hold(host, port))
    }
}

impl Proxy {
    /// Whether the proxy itself is spoken to over TLS.
    pub const fn tls(&self) -> bool {
        self.tls
    }

    /// Its host; an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Host and port, as `host:port`.
    pub fn place(&self) -> String {
        place(&self.host, self.port)
    }

    pub(super) const fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    fn read(value: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = value.split_once("://").unwrap_or(("http", value));
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err("only http:// and https:// proxies are known"),
        };
        // The last @, for people do not always encode the one in their password.
        let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, authority) = match rest.rsplit_once('@') {
            Some((user, authority)) => (Some(user), authority),
            None => (None, rest),
        };
        let uri = Uri::try_from(authority).map_err(|_| "its host cannot be read")?;
        let host = uri.host().unwrap_or_default();
        let port = match authority.strip_prefix(host).unwrap_or_default() {
            "" => default_port(tls),
            port => port.trim_start_matches(':').parse().map_err(|_| "its port cannot be")?,
        };
        let host = host.trim_matches(['[', ']']);
        if host.is_empty() {
            return Err("it has no host");
        }
        Ok(Self { tls, host: host.into(), port, authorization: user.map(basic).transpose()? })
    }
}

/// What curl takes: 443 for an HTTPS proxy, and 80 where a plain one names none.
const fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

fn basic(user: &str) -> Result<HeaderValue, &'static str> {
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    let pair = Zeroizing::new([&**decoded(user), b":", &**decoded(password)].concat());
    let line = Zeroizing::new(format!("Basic {}", BASE64_STANDARD.encode(&*pair)));
    let mut value = HeaderValue::from_str(&line).map_err(|_| "its user cannot be sent")?;
    value.set_sensitive(true);
    Ok(value)
}

/// Takes percent-encoding off; a `%` that is none stands for itself.
fn decoded(text: &str) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = if first == b'%' { after.split_first_chunk::<2>() } else { None };
        let byte = hex.and_then(|([high, low], after)| {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let byte = u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?;
            Some((byte, after))
        });
        let (byte, after) = byte.unwrap_or((first, after));
        bytes.push(byte);
        rest = after;
    }
    bytes
}

fn is_here(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({})", self.place())
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the proxy in {}: {}", self.variable, self.why)
    }
}

impl std::error::Error for ProxyError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn https(value: &str) -> Result<Proxy, ProxyError> {
        let proxies = Proxies::from_values(Some(value), None, None, None)?;
        Ok(proxies.choose(true, "api.example.com", 443).unwrap().clone())
    }

    #[test]
    fn a_proxy_is_read_as_people_write_it() {
        for (value, tls, place) in [
            ("http://proxy.corp:3128", false, "proxy.corp:3128"),
            ("proxy.corp:3128", false, "proxy.corp:3128"),
            ("http://proxy.corp:3128/", false, "proxy.corp:3128"),
            ("HTTPS://proxy.corp", true, "proxy.corp:443"),
            ("http://proxy.corp", false, "proxy.corp:80"),
            ("http://[fd00::1]:8080", false, "[fd00::1]:8080"),
            ("http://10.1.2.3:8080", false, "10.1.2.3:8080"),
            (" http://u:p@proxy.corp:1 ", false, "proxy.corp:1"),
        ] {
            let proxy = https(value).unwrap();
            assert_eq!((proxy.tls(), proxy.place().as_str()), (tls, place), "{value}");
        }
    }

    #[test]
    fn what_is_no_proxy_is_an_error_that_keeps_the_value_to_itself() {
        for value in [
            "socks5://secret@proxy:1",
            "http://secret@",
            "http://secret:x@proxy:99999",
            "http://a b",
        ] {
            let error = https(value).unwrap_err().to_string();
            assert!(error.starts_with("the proxy in HTTPS_PROXY: "), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn user_and_password_become_a_header_and_are_not_printed() {
        for (user, header) in [
            ("Aladdin:open%20sesame", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ("u:p@ss", "Basic dTpwQHNz"),
            ("u", "Basic dTo="),
            ("u:100%", "Basic dToxMDAl"),
        ] {
            let proxy = https(&format!("http://{user}@proxy:1")).unwrap();
            assert_eq!(proxy.authorization().unwrap(), header);
            assert_eq!(format!("{proxy:?}"), "Proxy(proxy:1)");
        }
    }

    #[test]
    fn each_scheme_has_its_proxy_and_all_proxy_stands_in() {
        let proxies = Proxies::from_values(Some("s:1"), None, Some("a:1"), Some("")).unwrap();
        assert_eq!(proxies.choose(true, "x.org", 443).unwrap().host(), "s");
        assert_eq!(proxies.choose(false, "x.org", 80).unwrap().host(), "a");
        let none = Proxies::from_values(None, Some(""), None, None).unwrap();
        assert_eq!(none.choose(false, "x.org", 80), None);
    }

    #[test]
    fn this_machine_is_never_behind_a_proxy() {
        let proxies = Proxies::from_values(Some("p:1"), Some("p:1"), None, None).unwrap();
        for host in ["localhost", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(proxies.choose(false, host, 80), None, "{host}");
        }
    }
}
