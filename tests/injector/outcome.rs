//! What became of a pod, as lines that people can read: each leaf that is new or different, with the
//! items of lists called by their names instead of their numbers, and the sidecar called that
//! wherever it stands.

use std::collections::BTreeMap;

use keyweir::injector::clients::{self, Client, PLACEHOLDER};
use serde_json::Value;

/// Leaves by their path.
pub(crate) type Leaves = BTreeMap<String, String>;

/// How variables that point a client at the sidecar are told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clients {
    /// One by one.
    Spelled,
    /// By the client's name, where all of its variables have the values that they should.
    Named,
}

/// The leaves of `after` that `before` has not, or has otherwise. Nothing may be gone.
pub(crate) fn news(before: &Value, after: &Value, clients: Clients) -> Leaves {
    let (before, mut after) = (leaves(before), leaves(after));
    for (path, value) in &before {
        // What is empty may be filled, and is called otherwise then.
        let is_empty = matches!(value.as_str(), "[]" | "{}" | "null");
        assert!(is_empty || after.contains_key(path), "{path}: {value} is gone");
    }
    after.retain(|path, value| before.get(path) != Some(value));
    if clients == Clients::Named {
        name_clients(&mut after);
    }
    after
}

/// What differs from the standard, a line each.
pub(crate) fn beyond(standard: &Leaves, news: &Leaves) -> Vec<String> {
    let line = |sign: char, (path, value): (&String, &String)| {
        let colon = if value.is_empty() { "" } else { ": " };
        format!("{sign} {path}{colon}{value}")
    };
    let lost = standard.iter().filter(|(path, _)| !news.contains_key(*path));
    let lost = lost.map(|leaf| (leaf.0, line('-', leaf)));
    let more = news.iter().filter(|(path, value)| standard.get(*path) != Some(value));
    let more = more.map(|leaf| (leaf.0, line('+', leaf)));
    let mut lines: Vec<_> = lost.chain(more).collect();
    lines.sort();
    lines.into_iter().map(|(_, line)| line).collect()
}

fn leaves(pod: &Value) -> Leaves {
    let mut leaves = Leaves::new();
    collect("metadata".to_owned(), &pod["metadata"], &mut leaves);
    for (field, value) in pod["spec"].as_object().unwrap() {
        match (field.as_str(), value.as_array()) {
            ("containers" | "initContainers", Some(containers)) => {
                let names = containers.iter().map(|container| text(container, "name"));
                leaves.insert(format!("{field} in order"), names.collect::<Vec<_>>().join(" "));
                for container in containers {
                    let name = text(container, "name");
                    let path = if name == "keyweir" { "sidecar" } else { name };
                    let mut rest = container.clone();
                    rest.as_object_mut().unwrap().remove("name");
                    collect(path.to_owned(), &rest, &mut leaves);
                }
            }
            ("volumes", Some(volumes)) => {
                for volume in volumes {
                    let mut rest = volume.clone();
                    rest.as_object_mut().unwrap().remove("name");
                    leaves.insert(format!("volume {}", text(volume, "name")), rest.to_string());
                }
            }
            _ => collect(field.clone(), value, &mut leaves),
        }
    }
    leaves
}

fn collect(path: String, value: &Value, leaves: &mut Leaves) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                let key = if key.contains('.') { format!("[{key}]") } else { format!(".{key}") };
                collect(format!("{path}{key}"), value, leaves);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                collect_item(&path, index, item, leaves);
            }
        }
        Value::String(text) => {
            leaves.insert(path, text.clone());
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            leaves.insert(path, value.to_string());
        }
    }
}

fn collect_item(path: &str, index: usize, item: &Value, leaves: &mut Leaves) {
    let named = |name: &str| format!("{path}[{name}]");
    if let Some(text) = item.as_str() {
        leaves.insert(named(text), String::new());
    } else if let Some(mounted) = item["mountPath"].as_str() {
        let access = if item["readOnly"] == true { "" } else { " (writable)" };
        leaves.insert(named(mounted), format!("{}{access}", text(item, "name")));
    } else if let Some(name) = item["name"].as_str() {
        let mut rest = item.clone();
        rest.as_object_mut().unwrap().remove("name");
        match rest["value"].as_str() {
            Some(value) => leaves.insert(named(name), value.to_owned()),
            None => leaves.insert(named(name), rest.to_string()),
        };
    } else {
        collect(format!("{path}[{index}]"), item, leaves);
    }
}

/// Puts one leaf in place of the variables of each client.
fn name_clients(leaves: &mut Leaves) {
    let containers: Vec<String> = leaves
        .keys()
        .filter_map(|path| path.split_once(".env[").map(|(container, _)| container.to_owned()))
        .collect();
    for container in containers {
        let path = |variable: &str| format!("{container}.env[{variable}]");
        for client in clients::ALL {
            let Some(port) = port_of(leaves, client, &path) else { continue };
            let bases = client.bases.iter().map(|(variable, _)| *variable);
            for variable in bases.chain(client.keys.iter().copied()) {
                leaves.remove(&path(variable));
            }
            let told = leaves.entry(format!("{container} asks port {port}")).or_default();
            let comma = if told.is_empty() { "" } else { ", " };
            told.extend([comma, client.name]);
        }
    }
}

/// The port at which a client is pointed, if all of its variables are right.
fn port_of(leaves: &Leaves, client: &Client, path: &impl Fn(&str) -> String) -> Option<String> {
    let (first, below) = client.bases[0];
    let port = leaves.get(&path(first))?.strip_prefix("http://127.0.0.1:")?.strip_suffix(below)?;
    let base = |(variable, below): &(&str, &str)| {
        leaves.get(&path(variable)) == Some(&format!("http://127.0.0.1:{port}{below}"))
    };
    let key = |variable: &&str| leaves.get(&path(variable)).is_some_and(|key| key == PLACEHOLDER);
    (client.bases.iter().all(base) && client.keys.iter().all(key)).then(|| port.to_owned())
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field].as_str().unwrap_or_default()
}
