//! A request's head as it is written (RFC 9112 sections 3 and 6).

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::super::credential::Credential;
use super::super::request::{Outbound, means_body};

/// Writes the head of a request with the credential on, and framing and host of our own.
pub(super) fn head(into: &mut Vec<u8>, outbound: &Outbound<'_>, host: &HeaderValue) {
    let Outbound { method, path, headers, credential, .. } = outbound;
    let (method_name, path) = (method.as_str(), path.as_str());
    into.reserve(method_name.len() + path.len() + 12);
    into.extend_from_slice(method_name.as_bytes());
    into.push(b' ');
    into.extend_from_slice(path.as_bytes());
    into.extend_from_slice(b" HTTP/1.1\r\n");
    field(into, &header::HOST, host);
    let covered = credential.map(Credential::name);
    for (name, value) in *headers {
        if !is_ours(name) && Some(*name) != covered {
            field(into, name, value);
        }
    }
    if let Some(credential) = credential {
        field(into, credential.name(), credential.value());
    }
    match outbound.body.length() {
        Some(0) if !means_body(method) => into.extend_from_slice(b"\r\n"),
        Some(length) => {
            into.extend_from_slice(b"content-length: ");
            decimal(into, length);
            into.extend_from_slice(b"\r\n\r\n");
        }
        None => into.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n"),
    }
}

/// Writes what comes after the last chunk: the trailers that were announced.
pub(super) fn trailers(into: &mut Vec<u8>, trailers: &HeaderMap, announced: &[HeaderName]) {
    for (name, value) in trailers {
        if announced.contains(name) && !is_ours(name) {
            field(into, name, value);
        }
    }
}

/// Headers that are written anew for each connection.
fn is_ours(name: &HeaderName) -> bool {
    *name == header::HOST || *name == header::CONTENT_LENGTH || *name == header::TRANSFER_ENCODING
}

fn field(into: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
    into.reserve(name.len() + value.len() + 4);
    into.extend_from_slice(name);
    into.extend_from_slice(b": ");
    into.extend_from_slice(value);
    into.extend_from_slice(b"\r\n");
}

fn decimal(into: &mut Vec<u8>, mut number: u64) {
    let (mut digits, mut begin) = ([b'0'; 20], 20);
    for digit in digits.iter_mut().rev() {
        *digit += (number % 10) as u8;
        begin -= 1;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    into.extend_from_slice(digits.get(begin..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_as_everyone_writes_them() {
        for number in [0, 7, 10, 1_234_567_890, u64::MAX] {
            let mut written = Vec::new();
            decimal(&mut written, number);
            assert_eq!(written, number.to_string().as_bytes());
        }
    }
}
