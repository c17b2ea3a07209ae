//! What may be a name, and patterns of names.

use super::super::place::{At, Draft};
use super::super::used::Pattern;

/// The longest name: a label's value in Kubernetes and a metric's.
const LONGEST: usize = 63;
/// The longest model name; `accounts/.../models/...` are the longest known.
const LONGEST_MODEL: usize = 256;
/// Segments of paths that belong to the unified door.
const RESERVED: [&str; 2] = ["v1", "v1beta"];

/// Checks the name of a provider, which is a segment of a path and a label of metrics.
pub(super) fn check_provider(draft: &Draft<'_>, at: &At<'_>, name: &str) {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if RESERVED.contains(&name) {
        draft.error(at, format!("`{name}` is reserved for the paths `/{name}/...`"));
    } else if name.len() > LONGEST
        || !name.starts_with(inner)
        || !name.chars().all(|c| inner(c) || matches!(c, '-' | '_' | '.'))
    {
        let message = "a provider's name is a segment of its paths: lower-case letters, digits, \
                       `-`, `_` and `.`, at most 63, a letter or digit first";
        draft.error(at, message);
    }
}

/// Checks a name that becomes a label of metrics: a quota group's or a caller's.
pub(super) fn check_label(draft: &Draft<'_>, at: &At<'_>, name: &str) {
    if name.is_empty() || name.len() > LONGEST || name.contains(char::is_control) {
        draft.error(at, "a name has 1 to 63 characters, none of them a control character");
    }
}

/// Whether a model can be called so.
pub(super) fn is_model(name: &str) -> bool {
    (1..=LONGEST_MODEL).contains(&name.len())
        && !name.contains(|c: char| c.is_control() || c.is_whitespace())
}

/// A list of names, each of which may end in `*`.
pub(super) fn patterns(draft: &Draft<'_>, at: &At<'_>, written: &[String]) -> Vec<Pattern> {
    let read = |(index, text): (usize, &String)| pattern(draft, &at.index(index), text);
    written.iter().enumerate().filter_map(read).collect()
}

/// A name that may end in `*`.
pub(super) fn pattern(draft: &Draft<'_>, at: &At<'_>, text: &str) -> Option<Pattern> {
    let (name, open) = text.strip_suffix('*').map_or((text, false), |name| (name, true));
    if name.contains('*') {
        draft.error(at, "a `*` can only stand at the end");
        return None;
    }
    if !(is_model(name) || open && name.is_empty()) {
        draft.error(at, "not a model name");
        return None;
    }
    Some(Pattern { text: name.into(), open })
}
