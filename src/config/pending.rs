//! What the configuration may say already although its feature is not in force in this version.
//!
//! The one list of it: a feature that comes takes its lines away.

use super::diagnostic::Severity;
use super::place::{At, Draft, Node, Value};

struct Pending {
    /// Keys on the way; `*` is any key, items of lists are passed through.
    path: &'static [&'static str],
    /// Only these words; empty for whatever is written.
    words: &'static [&'static str],
    /// What happens instead.
    instead: &'static str,
}

const fn any(path: &'static [&'static str], instead: &'static str) -> Pending {
    Pending { path, words: &[], instead }
}

const NO_PROVIDER: &str = "this provider is left out";
const NOTHING: &str = "nothing comes of it";

const PENDING: &[Pending] = &[
    any(&["cache"], NOTHING),
    any(&["context"], NOTHING),
    any(&["guards"], NOTHING),
    any(&["prompts"], NOTHING),
    Pending { path: &["providers", "*", "wire"], words: &LATER_WIRES, instead: NO_PROVIDER },
    any(&["providers", "vertex"], NO_PROVIDER),
    any(&["providers", "bedrock"], NO_PROVIDER),
    any(&["providers", "*", "project"], NOTHING),
    any(&["providers", "*", "location"], NOTHING),
    any(&["providers", "*", "region"], NOTHING),
    any(&["providers", "*", "tags"], NOTHING),
    Pending {
        path: &["models", "*", "strategy"],
        words: &["fastest", "leastBusy"],
        instead: "targets are taken in the order written",
    },
    any(&["models", "*", "hedge"], NOTHING),
];

/// The wire formats of providers that are left out for now.
const LATER_WIRES: [&str; 2] = ["bedrock", "vertex"];

/// Whether a provider of that name is left out for now, unless its wire format says otherwise.
pub(super) fn is_later(name: &str) -> bool {
    LATER_WIRES.contains(&name)
}

/// Warns of everything written that is not in force.
pub(super) fn warn(draft: &Draft<'_>) {
    walk(draft, draft.root, &At::ROOT, &mut Vec::new());
}

fn walk<'a>(draft: &Draft<'_>, node: &'a Node, at: &At<'_>, keys: &mut Vec<&'a str>) {
    match &node.value {
        Value::Null | Value::Scalar { .. } => {}
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(draft, item, &at.index(index), keys);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                keys.push(&entry.key);
                let at = at.key(&entry.key);
                match PENDING.iter().find(|pending| pending.covers(keys, &entry.node)) {
                    Some(pending) => {
                        let message =
                            format!("accepted, not in force in this version: {}", pending.instead);
                        let (place, path) = (Some(entry.place), at.to_string());
                        draft.findings.add(Severity::Warning, place, path, message, None);
                    }
                    None => walk(draft, &entry.node, &at, keys),
                }
                keys.pop();
            }
        }
    }
}

impl Pending {
    fn covers(&self, keys: &[&str], node: &Node) -> bool {
        let on_the_way = self.path.len() == keys.len()
            && self.path.iter().zip(keys).all(|(step, key)| *step == "*" || step == key);
        on_the_way
            && match &node.value {
                Value::Scalar { text, .. } => {
                    self.words.is_empty() || self.words.contains(&&**text)
                }
                Value::Map(entries) => self.words.is_empty() && !entries.is_empty(),
                Value::List(items) => self.words.is_empty() && !items.is_empty(),
                // A provider with nothing written is a provider all the same.
                Value::Null => matches!(self.path, ["providers", _]),
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANUAL: &str = include_str!("../../docs/configuration.md");

    fn row(pending: &Pending) -> String {
        let path = pending.path.join(".");
        let words: Vec<_> = pending.words.iter().map(|word| format!("`{word}`")).collect();
        let words =
            if words.is_empty() { String::new() } else { format!(": {}", words.join(", ")) };
        format!("| `{path}`{words} | {} |", pending.instead)
    }

    #[test]
    fn the_manual_lists_just_what_is_not_in_force() {
        let (_, rest) = MANUAL.split_once("\n## Accepted, not in force yet\n").unwrap();
        let section = rest.split("\n## ").next().unwrap();
        let told: Vec<_> = section.lines().filter(|line| line.starts_with("| `")).collect();
        let listed: Vec<_> = PENDING.iter().map(row).collect();
        assert_eq!(told, listed, "docs/configuration.md:\n{}\n", listed.join("\n"));
    }
}
