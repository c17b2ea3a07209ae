//! Several files become one: a platform's base, then a team's own.
//!
//! A later file adds to an earlier one field by field; a list is replaced as a whole; an empty value
//! changes nothing. Two files contradict each other where one holds a map and the other does not, or
//! where they give one provider two wire formats.

use super::diagnostic::{Findings, Severity};
use super::place::{At, Entry, Node, Place, Value};

/// Lays `later` over `base`.
pub(super) fn merge(base: &mut Node, later: Node, findings: &Findings) {
    lay(base, None, later, &At::ROOT, findings);
}

fn lay(base: &mut Node, key: Option<Place>, later: Node, at: &At<'_>, findings: &Findings) {
    let first = key.unwrap_or(base.place);
    match (&mut base.value, later.value) {
        (_, Value::Null) => {}
        (Value::Map(entries), Value::Map(more)) => {
            for entry in more {
                lay_entry(entries, entry, at, findings);
            }
        }
        (Value::Null, value)
        | (Value::List(_), value @ Value::List(_))
        | (Value::Scalar { .. }, value @ Value::Scalar { .. }) => {
            base.value = value;
            base.place = later.place;
        }
        (_, value) => {
            let later_node = Node::new(later.place, value);
            let message = format!(
                "{} here, but {} at {}",
                later_node.kind(),
                base.kind(),
                findings.describe(first)
            );
            findings.add(Severity::Error, Some(later.place), at.to_string(), message, None);
            base.known_bad.set(true);
        }
    }
}

fn lay_entry(entries: &mut Vec<Entry>, entry: Entry, at: &At<'_>, findings: &Findings) {
    let Some(held) = entries.iter_mut().find(|held| held.key == entry.key) else {
        entries.push(entry);
        return;
    };
    let at = at.key(&entry.key);
    if at.names_a_wire() && contradicts(&held.node, &entry.node) {
        let first = findings.describe(held.node.place);
        let message =
            format!("another wire format than at {first}; give this provider its own name");
        findings.add(Severity::Error, Some(entry.node.place), at.to_string(), message, None);
        return;
    }
    lay(&mut held.node, Some(held.place), entry.node, &at, findings);
}

fn contradicts(one: &Node, other: &Node) -> bool {
    match (&one.value, &other.value) {
        (Value::Scalar { text: one, .. }, Value::Scalar { text: other, .. }) => one != other,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::yaml;
    use super::*;

    fn merged(base: &str, later: &str) -> (Node, Vec<String>) {
        let findings = Findings::new(["base".into(), "team".into()].into_iter());
        let mut budget = yaml::Budget::new();
        let mut node = yaml::parse(base, 0, &mut budget, &findings).unwrap();
        let later = yaml::parse(later, 1, &mut budget, &findings).unwrap();
        merge(&mut node, later, &findings);
        (node, findings.into_sorted().iter().map(ToString::to_string).collect())
    }

    fn written(node: &Node) -> String {
        match &node.value {
            Value::Null => "~".to_owned(),
            Value::Scalar { text, .. } => format!("{text}@{}", node.place.file),
            Value::List(items) => format!("{:?}", items.iter().map(written).collect::<Vec<_>>()),
            Value::Map(entries) => {
                let entry = |entry: &Entry| format!("{}={}", entry.key, written(&entry.node));
                format!("({})", entries.iter().map(entry).collect::<Vec<_>>().join(" "))
            }
        }
    }

    #[test]
    fn a_later_file_adds_field_by_field_and_replaces_lists() {
        let (node, found) =
            merged("a: {x: 1, y: 2}\nl: [1, 2]\nn:", "l: [3]\na: {y: 4, z: 5}\nn: 6\nb: 7");
        assert_eq!(found, [""; 0]);
        assert_eq!(written(&node), "(a=(x=1@0 y=4@1 z=5@1) l=[\"3@1\"] n=6@1 b=7@1)");
    }

    #[test]
    fn an_empty_value_changes_nothing() {
        let (node, found) = merged("a: {x: 1}", "a:\nb:");
        assert_eq!(found, [""; 0]);
        assert_eq!(written(&node), "(a=(x=1@0) b=~)");
        assert_eq!(written(&merged("", "a: 1").0), "(a=1@1)");
    }

    #[test]
    fn a_contradiction_names_both_places() {
        let (_, found) = merged("retry: {floor: 1}", "retry: 10%");
        assert_eq!(found, ["team:1:8: retry: a single value here, but a map at base:1:1"]);
        let (_, found) =
            merged("providers: {x: {wire: openai}}", "providers:\n  x: {wire: anthropic}");
        assert_eq!(
            found,
            ["team:2:13: providers.x.wire: another wire format than at base:1:23; \
              give this provider its own name"]
        );
    }
}
