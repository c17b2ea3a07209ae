//! From the bytes of an entry to a key's value, or to why it is none.

use std::str;
use std::sync::Arc;

use crate::keys::Secret;

use super::files::MAX_ENTRY;
use super::letter::{Entry, Finding};

/// Reads one value.
pub(super) fn entry(name: &str, bytes: &[u8]) -> Entry {
    match text(bytes) {
        Ok(text) => shaped(name, text),
        Err(finding) => Entry { name: name.into(), value: None, findings: vec![finding] },
    }
}

/// Reads a comma-separated list of values: the first is named `name`, the further ones `name-2`,
/// `name-3`... White space around the commas is nothing odd. JSON is never a list.
pub(super) fn list(name: &str, bytes: &[u8]) -> Vec<Entry> {
    let Ok(text) = text(bytes) else { return vec![entry(name, bytes)] };
    if !text.contains(',') || is_json(text) {
        return vec![shaped(name, text)];
    }
    let values = text.split(',').map(str::trim).filter(|value| !value.is_empty());
    let named = (1..).zip(values).map(|(nth, value)| match nth {
        1 => shaped(name, value),
        _ => shaped(&format!("{name}-{nth}"), value),
    });
    let entries: Vec<_> = named.collect();
    if entries.is_empty() { vec![shaped(name, "")] } else { entries }
}

fn text(bytes: &[u8]) -> Result<&str, Finding> {
    if bytes.len() > MAX_ENTRY {
        return Err(Finding::TooLong);
    }
    str::from_utf8(bytes).map_err(|_| Finding::Binary)
}

fn shaped(name: &str, text: &str) -> Entry {
    // Editors of one large vendor put a byte order mark in front.
    let value = text.trim_start_matches('\u{feff}').trim();
    let mut findings = Vec::new();
    if value.is_empty() {
        findings.push(Finding::Empty);
    } else if !fits_a_header(value) {
        findings.push(Finding::Binary);
    } else if value.len() != text.len() && !is_json(value) {
        findings.push(Finding::Trimmed);
    }
    let usable = !findings.iter().any(Finding::is_fatal);
    let value = usable.then(|| Arc::new(Secret::new(value)));
    Entry { name: name.into(), value, findings }
}

/// A service account's file: it is parsed, and does not go into a header as it is.
fn is_json(value: &str) -> bool {
    value.trim_start().starts_with('{')
}

fn fits_a_header(value: &str) -> bool {
    let printable = |byte: u8| matches!(byte, b' '..=b'~');
    if is_json(value) {
        return value.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'));
    }
    value.bytes().all(printable)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exposed(entry: &Entry) -> Option<&str> {
        entry.value.as_deref().map(Secret::expose)
    }

    fn check(bytes: &[u8], value: Option<&str>, findings: &[Finding]) {
        let entry = entry("k", bytes);
        assert_eq!(exposed(&entry), value, "{bytes:?}");
        assert_eq!(entry.findings, findings, "{bytes:?}");
    }

    #[test]
    fn a_value_is_taken_without_the_white_space_around_it() {
        check(b"sk-1", Some("sk-1"), &[]);
        check(b"sk-1\n", Some("sk-1"), &[Finding::Trimmed]);
        check(b" \tsk-1\r\n", Some("sk-1"), &[Finding::Trimmed]);
        check("\u{feff}sk-1".as_bytes(), Some("sk-1"), &[Finding::Trimmed]);
    }

    #[test]
    fn what_holds_nothing_is_empty() {
        check(b"", None, &[Finding::Empty]);
        check(b" \n", None, &[Finding::Empty]);
    }

    #[test]
    fn what_no_header_can_carry_is_binary() {
        check(b"\xff\xfe\x00", None, &[Finding::Binary]);
        check(b"sk-1\nsk-2", None, &[Finding::Binary]);
        check(b"sk\x00-1", None, &[Finding::Binary]);
        check("sk-\u{200b}1".as_bytes(), None, &[Finding::Binary]);
    }

    #[test]
    fn a_service_account_file_keeps_its_line_breaks() {
        let json = "{\n  \"private_key\": \"a,b\\n\"\n}";
        check(format!("{json}\n").as_bytes(), Some(json), &[]);
        assert_eq!(list("k", json.as_bytes()).len(), 1, "JSON is not a list");
        check(b"{\x00}", None, &[Finding::Binary]);
    }

    #[test]
    fn a_value_of_64_kib_fits_and_a_longer_one_does_not() {
        let mut long = vec![b'k'; MAX_ENTRY];
        assert!(entry("k", &long).value.is_some());
        long.push(b'k');
        check(&long, None, &[Finding::TooLong]);
        assert_eq!(list("k", &long).first().unwrap().findings, [Finding::TooLong]);
    }

    #[test]
    fn a_list_makes_a_pool_named_by_its_variable() {
        let entries = list("K", b"a, b,,c,");
        let named: Vec<_> = entries.iter().map(|it| (&*it.name, exposed(it).unwrap())).collect();
        assert_eq!(named, [("K", "a"), ("K-2", "b"), ("K-3", "c")]);
        assert!(entries.iter().all(|it| it.findings.is_empty()));
        assert_eq!(list("K", b",").first().unwrap().findings, [Finding::Empty]);
        assert_eq!(list("K", b"a\n").first().unwrap().findings, [Finding::Trimmed]);
    }

    proptest! {
        #[test]
        fn whatever_is_taken_as_a_key_goes_into_a_header(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            for entry in list("k", &bytes) {
                if let Some(value) = exposed(&entry).filter(|value| !is_json(value)) {
                    prop_assert!(http::HeaderValue::from_str(value).is_ok());
                    prop_assert!(!value.is_empty() && value == value.trim());
                }
                prop_assert_eq!(entry.value.is_none(), entry.findings.iter().any(Finding::is_fatal));
            }
        }
    }
}
