//! YAML text → a tree that knows where everything is written.
//!
//! The text may come from anyone who can edit a `ConfigMap`, so everything it can inflate is bounded.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};

use super::diagnostic::{Findings, Severity, shown};
use super::place::{Entry, Node, Place, Value};

/// The largest file that is read: what a `ConfigMap` may hold (1 MiB, Kubernetes documentation).
const MOST_BYTES: usize = 1024 * 1024;
/// The deepest nesting that is read; the configuration itself needs eight levels.
const MOST_LEVELS: usize = 64;
/// The most values that all files together may hold once their aliases are written out. Some of what
/// follows takes time in the square of it, and a fleet's largest configuration has a tenth.
const MOST_VALUES: usize = 20_000;

/// How many values may still be read.
#[derive(Debug)]
pub(super) struct Budget(usize);

impl Budget {
    /// For all the files of one configuration.
    pub(super) const fn new() -> Self {
        Self(MOST_VALUES)
    }
}

/// Reads the file with that index. `None` if its syntax is broken, which is then among the findings.
pub(super) fn parse(
    text: &str,
    file: u16,
    budget: &mut Budget,
    findings: &Findings,
) -> Option<Node> {
    let start = Place { file, line: 1, column: 1 };
    let fail = |place: Place, message: String| {
        findings.add(Severity::Error, Some(place), String::new(), message, None);
    };
    if text.len() > MOST_BYTES {
        fail(start, format!("the file has {} bytes; at most {MOST_BYTES} are read", text.len()));
        return None;
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder::new(file, budget, findings);
    for event in Parser::new_from_str(text) {
        let step = match event {
            Ok((event, span)) => builder.take(event, span),
            Err(error) => Err(builder.halt(*error.marker(), error.info())),
        };
        if let Err(halt) = step {
            fail(halt.place, halt.message);
            return None;
        }
    }
    Some(builder.root.unwrap_or_else(|| Node::new(start, Value::Null)))
}

/// Why reading stopped.
struct Halt {
    place: Place,
    message: String,
}

/// A list or map whose end has not come yet.
struct Open {
    place: Place,
    anchor: usize,
    /// How many values could still be read when it began, so that an alias knows what it repeats.
    left: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map(OpenMap),
}

#[derive(Default)]
struct OpenMap {
    entries: Vec<Entry>,
    keys: HashSet<Box<str>>,
    /// What `<<` brings in.
    merged: Vec<Node>,
    key: Option<Key>,
}

/// A key whose value has not come yet.
struct Key {
    text: Box<str>,
    place: Place,
    /// `<<` without quotes.
    merges: bool,
}

struct Builder<'a> {
    file: u16,
    findings: &'a Findings,
    budget: &'a mut Budget,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    documents: usize,
    root: Option<Node>,
}

impl<'a> Builder<'a> {
    fn new(file: u16, budget: &'a mut Budget, findings: &'a Findings) -> Self {
        let (open, anchors) = (Vec::new(), HashMap::new());
        Self { file, findings, budget, open, anchors, documents: 0, root: None }
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Halt> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => self.begin_document(span),
            Event::Alias(anchor) => self.repeat(anchor, span),
            Event::Scalar(text, style, anchor, tag) => {
                self.check_tag(tag.as_deref(), span)?;
                let is_text = tag.as_deref().is_some_and(|tag| tag.suffix == "str");
                let quoted = style != ScalarStyle::Plain || is_text;
                self.count(1, span)?;
                self.scalar(&text, quoted, anchor, span);
                Ok(())
            }
            Event::SequenceStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), span)?;
                self.begin(Content::List(Vec::new()), anchor, span)
            }
            Event::MappingStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), span)?;
                self.begin(Content::Map(OpenMap::default()), anchor, span)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
        }
    }

    fn begin_document(&mut self, span: Span) -> Result<(), Halt> {
        self.documents += 1;
        if self.documents > 1 {
            return Err(self.halt(span.start, "a second document; a file holds one configuration"));
        }
        Ok(())
    }

    fn begin(&mut self, content: Content, anchor: usize, span: Span) -> Result<(), Halt> {
        if self.open.len() >= MOST_LEVELS {
            let message = format!("nested deeper than {MOST_LEVELS} levels");
            return Err(self.halt(span.start, &message));
        }
        if self.awaits_key() {
            return Err(self.halt(span.start, "a key must be a text, not a list or map"));
        }
        let left = self.budget.0;
        self.count(1, span)?;
        self.open.push(Open { place: self.place(span.start), anchor, left, content });
        Ok(())
    }

    fn end(&mut self, span: Span) -> Result<(), Halt> {
        let Some(Open { place, anchor, left, content }) = self.open.pop() else {
            return Err(self.halt(span.start, "an end without a beginning"));
        };
        let value = match content {
            Content::List(items) => Value::List(items),
            Content::Map(map) => Value::Map(self.merge(map, span)?),
        };
        let node = Node::new(place, value);
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), left.saturating_sub(self.budget.0)));
        }
        self.put(node);
        Ok(())
    }

    fn scalar(&mut self, text: &str, quoted: bool, anchor: usize, span: Span) {
        let place = self.place(span.start);
        if self.awaits_key() {
            if anchor > 0 {
                let value = Value::Scalar { text: text.into(), quoted };
                self.anchors.insert(anchor, (Node::new(place, value), 1));
            }
            return self.key(text, quoted, place);
        }
        let null = !quoted && matches!(text, "" | "~" | "null" | "Null" | "NULL");
        let value = if null { Value::Null } else { Value::Scalar { text: text.into(), quoted } };
        let node = Node::new(place, value);
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), 1));
        }
        self.put(node);
    }

    /// `*anchor`. Its size is counted before it is copied: that is what stops a billion laughs.
    fn repeat(&mut self, anchor: usize, span: Span) -> Result<(), Halt> {
        let Some((_, size)) = self.anchors.get(&anchor) else {
            return Err(self.halt(span.start, "an alias inside of what it stands for"));
        };
        self.count(*size, span)?;
        let node = self.anchors.get(&anchor).map(|(node, _)| node.clone());
        match node {
            Some(Node { value: Value::Scalar { text, quoted }, .. }) if self.awaits_key() => {
                let place = self.place(span.start);
                self.key(&text, quoted, place);
            }
            Some(_) if self.awaits_key() => {
                return Err(self.halt(span.start, "a key must be a text, not a list or map"));
            }
            Some(node) => self.put(node),
            None => {}
        }
        Ok(())
    }

    fn awaits_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { content: Content::Map(map), .. }) if map.key.is_none())
    }

    fn key(&mut self, text: &str, quoted: bool, place: Place) {
        let merges = text == "<<" && !quoted;
        if let Some(Open { content: Content::Map(map), .. }) = self.open.last_mut() {
            map.key = Some(Key { text: text.into(), place, merges });
        }
    }

    /// Puts a finished value where it belongs: into the innermost list or map, or at the root.
    fn put(&mut self, node: Node) {
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map(map)) => {
                let Some(key) = map.key.take() else { return };
                if key.merges {
                    map.merged.push(node);
                } else if map.keys.insert(key.text.clone()) {
                    map.entries.push(Entry { key: key.text, place: key.place, node });
                } else {
                    self.report_twice(&key);
                }
            }
        }
    }

    fn report_twice(&self, key: &Key) {
        let first = self.open.last().and_then(|open| match &open.content {
            Content::Map(map) => map.entries.iter().find(|entry| entry.key == key.text),
            Content::List(_) => None,
        });
        let first = first.map_or_else(String::new, |entry| {
            format!("; the first is at {}", self.findings.describe(entry.place))
        });
        let mut path = self.path();
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(&shown(&key.text));
        let message = format!("written twice{first}");
        self.findings.add(Severity::Error, Some(key.place), path, message, None);
    }

    /// The way to the innermost open value.
    fn path(&self) -> String {
        let mut path = String::new();
        for open in &self.open {
            match &open.content {
                Content::List(items) => {
                    path.extend(["[", &items.len().to_string(), "]"]);
                }
                Content::Map(OpenMap { key: Some(key), .. }) => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(&shown(&key.text));
                }
                Content::Map(_) => {}
            }
        }
        path
    }

    /// The entries of a map and of what `<<` names; what is written in the map itself wins.
    fn merge(&self, map: OpenMap, span: Span) -> Result<Vec<Entry>, Halt> {
        let OpenMap { mut entries, mut keys, merged, .. } = map;
        let mut waiting: Vec<Node> = merged.into_iter().rev().collect();
        while let Some(node) = waiting.pop() {
            match node.value {
                Value::Map(more) => {
                    entries.extend(more.into_iter().filter(|entry| keys.insert(entry.key.clone())));
                }
                Value::List(items) => waiting.extend(items.into_iter().rev()),
                Value::Null | Value::Scalar { .. } => {
                    return Err(self.halt(span.start, "`<<` takes a map or a list of maps"));
                }
            }
        }
        Ok(entries)
    }

    fn check_tag(&self, tag: Option<&Tag>, span: Span) -> Result<(), Halt> {
        const KNOWN: [&str; 7] = ["str", "int", "float", "bool", "null", "seq", "map"];
        match tag {
            Some(tag) if !(tag.is_yaml_core_schema() && KNOWN.contains(&&*tag.suffix)) => {
                let message = format!("the tag `{}` has no meaning here", shown(&tag.to_string()));
                Err(self.halt(span.start, &message))
            }
            _ => Ok(()),
        }
    }

    fn count(&mut self, more: usize, span: Span) -> Result<(), Halt> {
        let Some(left) = self.budget.0.checked_sub(more) else {
            let message = format!("more than {MOST_VALUES} values, aliases written out");
            return Err(self.halt(span.start, &message));
        };
        self.budget.0 = left;
        Ok(())
    }

    fn halt(&self, at: Marker, message: &str) -> Halt {
        Halt { place: self.place(at), message: message.to_owned() }
    }

    fn place(&self, at: Marker) -> Place {
        let line = u32::try_from(at.line()).unwrap_or(u32::MAX);
        let column = u32::try_from(at.col()).unwrap_or(u32::MAX).saturating_add(1);
        Place { file: self.file, line, column }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> (Option<Node>, Vec<String>) {
        let findings = Findings::new(["f".into()].into_iter());
        let node = parse(text, 0, &mut Budget::new(), &findings);
        (node, findings.into_sorted().iter().map(ToString::to_string).collect())
    }

    fn text_at<'a>(node: &'a Node, keys: &[&str]) -> &'a str {
        let node = keys.iter().fold(node, |node, key| &node.entry(key).unwrap().node);
        match &node.value {
            Value::Scalar { text, .. } => text,
            Value::Null | Value::List(_) | Value::Map(_) => panic!("not a scalar: {node:?}"),
        }
    }

    #[test]
    fn every_key_and_value_knows_its_place() {
        let (node, _) = tree("a:\n  b: c\n  d:\n  - {e: f}\n");
        let node = node.unwrap();
        let a = node.entry("a").unwrap();
        assert_eq!(a.place, Place { file: 0, line: 1, column: 1 });
        let b = a.node.entry("b").unwrap();
        assert_eq!(b.place, Place { file: 0, line: 2, column: 3 });
        assert_eq!(b.node.place, Place { file: 0, line: 2, column: 6 });
    }

    #[test]
    fn a_key_written_twice_names_both_places() {
        let (node, found) = tree("p:\n  x: 1\n  y: 2\n  x: 3\n");
        assert_eq!(found, ["f:4:3: p.x: written twice; the first is at f:2:3"]);
        assert_eq!(text_at(&node.unwrap(), &["p", "x"]), "1");
    }

    #[test]
    fn broken_syntax_has_a_place() {
        for (text, place) in
            [("a: [1, 2\nb: 3\n", "f:2:"), ("a: b: c\n", "f:1:"), ("a:\n\tb: 1", "f:2:")]
        {
            let (node, found) = tree(text);
            assert!(node.is_none(), "{text:?}");
            assert!(found[0].starts_with(place), "{text:?}: {found:?}");
        }
    }

    #[test]
    fn anchors_aliases_and_merge_keys_are_written_out() {
        let (node, found) = tree("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: *a\n");
        let node = node.unwrap();
        assert_eq!(found, [""; 0]);
        assert_eq!(text_at(&node, &["b", "x"]), "1");
        assert_eq!(text_at(&node, &["b", "y"]), "3");
        assert_eq!(text_at(&node, &["c", "y"]), "2");
    }

    #[test]
    fn a_billion_laughs_are_not_laughed() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let previous = format!("*a{}", level - 1);
            text.extend([format!("a{level}: &a{level} [{}]\n", [&*previous; 9].join(", "))]);
        }
        let (node, found) = tree(&text);
        assert!(node.is_none());
        assert!(found[0].contains("more than 20000 values"), "{found:?}");
    }

    #[test]
    fn size_and_depth_are_bounded() {
        let (node, found) = tree(&"x".repeat(MOST_BYTES + 1));
        assert!(node.is_none() && found[0].contains("bytes"), "{found:?}");
        for text in ["[".repeat(100_000), "- ".repeat(100_000), "{a: ".repeat(100_000)] {
            let (node, found) = tree(&text);
            assert!(node.is_none() && !found.is_empty());
        }
    }

    #[test]
    fn what_has_no_meaning_in_a_configuration_is_refused() {
        for text in ["a: !secret b", "--- a\n--- b\n", "? [a]\n: b\n", "a: &a [*a]", "<<: x"] {
            let (node, found) = tree(text);
            assert!(node.is_none() && found.len() == 1, "{text:?}: {found:?}");
        }
    }

    #[test]
    fn nothing_is_a_configuration_too() {
        for text in ["", "# only a comment\n", "---\n", "\u{feff}"] {
            let (node, found) = tree(text);
            assert!(matches!(node.unwrap().value, Value::Null), "{text:?}: {found:?}");
        }
    }
}
