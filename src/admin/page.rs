//! `/status` as a page for people: whole without a script, and with one it keeps itself fresh.

mod sections;

use std::fmt;

use super::Status;

/// Between them stands what the status says.
const TEMPLATE: &str = include_str!("page.html");
const PLACE: &str = "<!-- status -->";

/// What the page may do: run its own script, use its own style, ask for itself again. The hashes are
/// those of the two, and a test holds them to it.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; \
    style-src 'sha256-TEtzoQ59lWiQY6+HMN2JVOxjVkXoyu+1v6Tauk4kOjE='; \
    script-src 'sha256-tauCXywKENQgcLAvY9Vwmi6JnB1fpD1rkVBg130lJNE='; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The headers that the page is answered with.
pub const HEADERS: [(&str, &str); 5] = [
    ("content-type", "text/html; charset=utf-8"),
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    ("cache-control", "no-store"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
];

/// Writes the page of a status: `Page(&status).to_string()`.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a>(pub &'a Status);

impl fmt::Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = TEMPLATE.split_once(PLACE).unwrap_or((TEMPLATE, ""));
        f.write_str(before)?;
        sections::main(f, self.0)?;
        f.write_str(after)
    }
}

/// Text as it may stand in an element and in a quoted attribute.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.0.split_inclusive(['&', '<', '>', '"', '\'']) {
            let plain = part.trim_end_matches(['&', '<', '>', '"', '\'']);
            f.write_str(plain)?;
            f.write_str(match part.as_bytes().last() {
                Some(b'&') => "&amp;",
                Some(b'<') => "&lt;",
                Some(b'>') => "&gt;",
                Some(b'"') => "&quot;",
                Some(b'\'') => "&#39;",
                _ => "",
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "page/tests.rs"]
mod tests;
