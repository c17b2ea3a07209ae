//! Base URLs.

use std::net::Ipv6Addr;

use http::{HeaderValue, Uri};

use super::super::used::BaseUrl;

/// Reads a base URL, or says why it cannot be one.
pub(super) fn parse(text: &str) -> Result<BaseUrl, &'static str> {
    if text.contains('#') {
        return Err("a base URL has no `#`");
    }
    if !text.is_ascii() {
        return Err("write a host name outside of ASCII in its `xn--` form");
    }
    let Some((scheme, _)) = text.split_once("://") else {
        return Err("a base URL begins with `https://` or `http://`");
    };
    let tls = match &*scheme.to_ascii_lowercase() {
        "https" => true,
        "http" => false,
        _ => return Err("a base URL begins with `https://` or `http://`"),
    };
    let uri: Uri = text.parse().map_err(|_| "not a URL")?;
    let authority = uri.authority().ok_or("a base URL names a host")?.as_str();
    if authority.contains('@') {
        return Err("credentials belong into a Secret, not into the URL");
    }
    if uri.query().is_some() {
        return Err("a base URL has no query");
    }
    let (host, port) = split(authority)?;
    let port = port.map_or(Ok(if tls { 443 } else { 80 }), read_port)?;
    let path = uri.path().trim_end_matches('/');
    if path.split('/').any(|segment| matches!(segment, "." | "..")) || path.contains("//") {
        return Err("the path of a base URL has no `.`, `..` or empty segments");
    }
    let host = host.to_ascii_lowercase();
    let authority = authority_of(&host, port, tls)?;
    Ok(BaseUrl { tls, host: host.into(), port, path: path.into(), authority })
}

/// Host, without the brackets of IPv6, and port as written.
fn split(authority: &str) -> Result<(&str, Option<&str>), &'static str> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("an IPv6 address ends in `]`")?;
        host.parse::<Ipv6Addr>().map_err(|_| "not an IPv6 address")?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err("not a host"),
        };
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    if is_host(host) { Ok((host, port)) } else { Err("not a host name or address") }
}

fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    host.len() <= 253 && host.strip_suffix('.').unwrap_or(host).split('.').all(label)
}

fn read_port(text: &str) -> Result<u16, &'static str> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a port is a number from 1 to 65535"),
        Ok(port) => Ok(port),
    }
}

fn authority_of(host: &str, port: u16, tls: bool) -> Result<HeaderValue, &'static str> {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let usual = port == if tls { 443 } else { 80 };
    let authority = if usual { host } else { format!("{host}:{port}") };
    HeaderValue::try_from(authority).map_err(|_| "not a host name or address")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_taken_apart() {
        let url = parse("https://API.openai.com/").unwrap();
        assert_eq!((url.tls, &*url.host, url.port, &*url.path), (true, "api.openai.com", 443, ""));
        assert_eq!(url.authority, "api.openai.com");
        let url = parse("http://vllm.models:8000/a/b/").unwrap();
        assert_eq!((url.tls, &*url.host, url.port), (false, "vllm.models", 8000));
        assert_eq!(&*url.path, "/a/b");
        assert_eq!(url.authority, "vllm.models:8000");
        let url = parse("http://[::1]:80").unwrap();
        assert_eq!((&*url.host, url.authority.to_str().unwrap()), ("::1", "[::1]"));
    }

    #[test]
    fn what_cannot_be_a_base_url_is_refused() {
        for text in [
            "",
            "api.openai.com",
            "ftp://x",
            "https://",
            "https:///v1",
            "https://user:pass@host",
            "https://host?key=1",
            "https://host#x",
            "https://host:0",
            "https://host:65536",
            "https://host:",
            "https://host:12ab",
            "https://a b",
            "https://-x.com",
            "https://x..com",
            "https://[::zz]",
            "https://[::1]x",
            "https://bücher.example",
            "https://host/a/../b",
            "https://host//a",
            "https://host/a b",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
