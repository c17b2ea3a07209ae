//! `NO_PROXY`: the places that are reached directly.

use std::net::IpAddr;

/// The places of one list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Exceptions(Vec<Exception>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Exception {
    place: Place,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Any,
    /// A name and all below it.
    Domain(Box<str>),
    /// An address with all its bits, or a network with fewer.
    Network(IpAddr, u8),
}

impl Exceptions {
    pub(super) fn read(list: &str) -> Self {
        let items = list.split([',', ' ', '\t', '\n']).filter(|item| !item.is_empty());
        Self(items.filter_map(Exception::read).collect())
    }

    pub(super) fn hold(&self, host: &str, port: u16) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        let address = host.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        self.0.iter().any(|exception| {
            exception.port.is_none_or(|only| only == port) && exception.place.holds(host, address)
        })
    }
}

impl Exception {
    fn read(item: &str) -> Option<Self> {
        // Before anything else, for the colons of an IPv6 address are no ports.
        if let Some(place) = Place::network(item) {
            return Some(Self { place, port: None });
        }
        let (place, port) = match item.rsplit_once(':') {
            Some((place, port)) => (place, Some(port.parse().ok()?)),
            None => (item, None),
        };
        Some(Self { place: Place::read(place)?, port })
    }
}

impl Place {
    fn read(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Any);
        }
        if let Some(network) = Self::network(text) {
            return Some(network);
        }
        let name = text.strip_prefix('*').unwrap_or(text);
        let name = name.strip_prefix('.').unwrap_or(name);
        let name = name.strip_suffix('.').unwrap_or(name);
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let is_name = !name.is_empty() && name.bytes().all(known);
        is_name.then(|| Self::Domain(name.to_ascii_lowercase().into()))
    }

    fn network(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
            None => (text, None),
        };
        let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let address: IpAddr = bare.unwrap_or(address).parse().ok()?;
        let all = width(address);
        let bits = bits.unwrap_or(all);
        (bits <= all).then_some(Self::Network(address, bits))
    }

    fn holds(&self, host: &str, address: Option<IpAddr>) -> bool {
        match self {
            Self::Any => true,
            Self::Domain(domain) => is_below(host, domain),
            Self::Network(network, bits) => {
                address.is_some_and(|address| is_within(address, *network, *bits))
            }
        }
    }
}

fn is_below(host: &str, domain: &str) -> bool {
    let Some(cut) = host.len().checked_sub(domain.len()) else { return false };
    let Some((above, end)) = host.split_at_checked(cut) else { return false };
    end.eq_ignore_ascii_case(domain) && (above.is_empty() || above.ends_with('.'))
}

fn is_within(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let shift = u32::from(width(network) - bits);
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            (address.to_bits() ^ network.to_bits()).checked_shr(shift).unwrap_or(0) == 0
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            (address.to_bits() ^ network.to_bits()).checked_shr(shift).unwrap_or(0) == 0
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

const fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_excepts_what_people_mean_by_it() {
        for (list, host, port, direct) in [
            ("", "a.org", 443, false),
            ("*", "a.org", 443, true),
            ("*", "10.1.1.1", 443, true),
            ("a.org", "a.org", 443, true),
            ("a.org", "A.ORG.", 443, true),
            ("a.org", "api.a.org", 443, true),
            ("a.org", "ba.org", 443, false),
            ("a.org", "org", 443, false),
            (".a.org", "api.a.org", 443, true),
            (".a.org", "a.org", 443, true),
            ("*.a.org", "api.a.org", 443, true),
            ("*.a.org", "b.org", 443, false),
            ("A.Org.", "a.org", 443, true),
            (".svc,.cluster.local", "vllm.models.svc", 80, true),
            (".svc, .cluster.local", "vllm.models.svc.cluster.local", 80, true),
            ("x.org b.org", "b.org", 80, true),
            ("a.org:443", "a.org", 443, true),
            ("a.org:443", "a.org", 8443, false),
            ("*:8443", "any.org", 8443, true),
            ("10.0.0.0/8", "10.200.3.4", 80, true),
            ("10.0.0.0/8", "11.0.0.1", 80, false),
            ("10.0.0.0/33", "10.0.0.1", 80, false),
            ("0.0.0.0/0", "8.8.8.8", 80, true),
            ("0.0.0.0/0", "dns.google", 80, false),
            ("10.1.2.3", "10.1.2.3", 80, true),
            ("10.1.2.3", "10.1.2.30", 80, false),
            ("10.1.2.3:80", "10.1.2.3", 80, true),
            ("10.1.2.3:80", "10.1.2.3", 81, false),
            ("10.0.0.0/8", "::ffff:10.1.1.1", 80, true),
            ("fd00::/8", "fd12::1", 80, true),
            ("fd00::/8", "fe80::1", 80, false),
            ("fd00::1", "fd00::1", 80, true),
            ("[fd00::1]:80", "fd00::1", 80, true),
            ("[fd00::1]:80", "fd00::1", 81, false),
            ("[fd00::1]", "fd00::1", 81, true),
            ("::/0", "fd00::1", 81, true),
            ("a.org:port,!!,b.org", "b.org", 1, true),
            ("a.org:port", "a.org", 1, false),
        ] {
            assert_eq!(Exceptions::read(list).hold(host, port), direct, "{list:?}: {host}:{port}");
        }
    }
}
