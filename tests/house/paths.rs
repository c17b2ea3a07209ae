//! The paths that a source names: `use` trees taken apart, inline paths, names that were imported.

use std::collections::HashMap;

use crate::lexer::Token;

/// A path as the compiler would follow it, from a crate's name or `crate` on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
    pub(crate) origin: Origin,
}

/// Where a path stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// In a `use`.
    Import,
    /// In code, as a whole.
    Inline,
    /// In code, by a name that a `use` brought in.
    Imported,
}

/// Every path in `tokens`, which belong to `module`; names that a `use` brought in are spelled out.
pub(crate) fn paths(tokens: &[Token], module: &[String]) -> Vec<Path> {
    let found = Reader { tokens, at: 0, module: module.to_vec(), inline: Vec::new() }.read();
    let imports: HashMap<&str, &Found> =
        found.iter().filter_map(|found| Some((found.alias.as_deref()?, found))).collect();
    let mut paths: Vec<Path> = Vec::new();
    for Found { path, .. } in &found {
        let mut path = path.clone();
        let imported =
            imports.get(path.segments[0].as_str()).filter(|_| path.origin == Origin::Inline);
        if let Some(Found { path: import, .. }) = imported {
            path.segments.splice(..1, import.segments.iter().cloned());
            path.origin = Origin::Imported;
        }
        paths.push(path);
    }
    paths
}

struct Found {
    path: Path,
    /// The name under which a `use` brings it in.
    alias: Option<String>,
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    /// The module that the present token is in.
    module: Vec<String>,
    /// For each inline module that is open, how many braces are.
    inline: Vec<usize>,
}

impl Reader<'_> {
    fn read(mut self) -> Vec<Found> {
        let (mut found, mut braces) = (Vec::new(), 0);
        while self.at < self.tokens.len() {
            match self.text(0) {
                "{" => braces += 1,
                "}" => {
                    braces -= 1;
                    if self.inline.last() == Some(&braces) {
                        self.inline.pop();
                        self.module.pop();
                    }
                }
                "mod" if self.text(2) == "{" => {
                    self.inline.push(braces);
                    self.module.push(self.text(1).into());
                    self.at += 1;
                }
                "use" => {
                    self.at += 1;
                    self.tree(&[], &mut found);
                    continue;
                }
                text if is_name(text) && !self.is_inside_a_path() => {
                    let line = self.tokens[self.at].line;
                    let segments = self.inline_path();
                    let path =
                        Path { segments: self.absolute(segments), line, origin: Origin::Inline };
                    found.push(Found { path, alias: None });
                    continue;
                }
                _ => {}
            }
            self.at += 1;
        }
        found
    }

    /// A `use` tree below `prefix`.
    fn tree(&mut self, prefix: &[String], found: &mut Vec<Found>) {
        let mut segments = prefix.to_vec();
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        loop {
            match self.text(0) {
                "::" => self.at += 1,
                "{" => {
                    self.at += 1;
                    while !matches!(self.text(0), "}" | "") {
                        self.tree(&segments, found);
                        if self.text(0) == "," {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                text if is_name(text) || text == "*" => {
                    segments.push(text.into());
                    self.at += 1;
                    if self.text(0) != "::" {
                        break;
                    }
                }
                _ => {
                    self.at += 1;
                    return;
                }
            }
        }
        // `{self}` names the group itself.
        if segments.len() > 1 && segments.last().is_some_and(|last| last == "self") {
            segments.pop();
        }
        let mut alias = segments.last().cloned();
        if self.text(0) == "as" {
            alias = Some(self.text(1).into());
            self.at += 2;
        }
        let path = Path { segments: self.absolute(segments), line, origin: Origin::Import };
        found.push(Found { path, alias });
    }

    /// A path in code; what stands in `<…>` is read on its own.
    fn inline_path(&mut self) -> Vec<String> {
        let mut segments = vec![String::from(self.text(0))];
        self.at += 1;
        while self.text(0) == "::" && is_name(self.text(1)) {
            segments.push(self.text(1).into());
            self.at += 2;
        }
        segments
    }

    /// Follows `self` and `super` from where the path stands.
    fn absolute(&self, segments: Vec<String>) -> Vec<String> {
        let ups = segments.iter().take_while(|segment| *segment == "super").count();
        let own = segments.len() > 1 && segments[0] == "self";
        if ups == 0 && !own {
            return segments;
        }
        let below = segments.iter().skip(ups.max(1)).cloned();
        let kept = self.module.len().saturating_sub(ups);
        let crate_root = [String::from("crate")].into_iter();
        crate_root.chain(self.module[..kept].iter().cloned()).chain(below).collect()
    }

    /// Whether the present name follows `a::`, or is a field or method; `::a` begins a path.
    fn is_inside_a_path(&self) -> bool {
        let before = |back: usize| self.at.checked_sub(back).map_or("", |at| &self.tokens[at].text);
        let inside = before(1) == "::" && (is_name(before(2)) || before(2) == ">");
        inside || before(1) == "."
    }

    fn text(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", |token| &token.text)
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_') && text != "use" && text != "as"
}
