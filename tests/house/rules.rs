//! The rules, and what is found against them.

use std::collections::BTreeSet;

use crate::lexer::{Token, tokens, without_tests};
use crate::paths::{Origin, Path, paths};
use crate::table::{Doors, HARMLESS, IMPURE, Kind, ROOMS, Room, WALLS};

/// The longest a file may be, in lines, its tests included.
const LONGEST: usize = 600;

/// A source file: its path below the repository's root, and its text.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Everything that is wrong with these files, a line each.
pub(crate) fn violations(files: &[File]) -> Vec<String> {
    let tests: Vec<String> = files.iter().flat_map(test_modules).collect();
    let mut found = Vec::new();
    for file in files {
        if file.text.lines().count() > LONGEST {
            found.push(format!("{}: more than {LONGEST} lines", file.path));
        }
        let Some(module) = module(&file.path) else { continue };
        if file.path.ends_with("/mod.rs") {
            found.push(format!("{}: `x.rs` stands beside `x/`", file.path));
        }
        let path = module.join("::");
        let is_test = tests.iter().any(|test| {
            path.strip_prefix(test.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        });
        if file.path == "src/lib.rs" {
            found.extend(floor_plan(file));
        } else if !is_test {
            found.extend(breaches(file, &module));
        }
    }
    found
}

/// The circles in the table itself.
pub(crate) fn circles() -> Vec<String> {
    let mut reach: Vec<BTreeSet<&str>> = ROOMS.iter().map(neighbours).collect();
    // As often as there are rooms: by then what can be reached is reached.
    for _ in ROOMS {
        for at in 0..ROOMS.len() {
            let further =
                ROOMS.iter().zip(&reach).filter(|(room, _)| reach[at].contains(room.name));
            let further: BTreeSet<&str> = further.flat_map(|(_, to)| to.iter().copied()).collect();
            reach[at].extend(further);
        }
    }
    let own = ROOMS.iter().zip(&reach).filter(|(room, to)| to.contains(room.name));
    own.map(|(room, _)| format!("{} reaches itself", room.name)).collect()
}

/// The rooms that a room has any door to.
fn neighbours(from: &Room) -> BTreeSet<&'static str> {
    let names = ROOMS.iter().map(|room| room.name).filter(|name| *name != from.name);
    let open = |name: &&str| match from.doors {
        Doors::AllBut(closed) => !closed.contains(name),
        Doors::To(open) => open.iter().any(|door| door.split("::").next() == Some(name)),
    };
    names.filter(open).collect()
}

/// Where a file's module is; `None` for what is not of the crate.
fn module(path: &str) -> Option<Vec<String>> {
    let path = path.strip_prefix("src/")?.strip_suffix(".rs")?;
    let path = path.strip_suffix("/mod").unwrap_or(path);
    Some(if path == "lib" { Vec::new() } else { path.split('/').map(Into::into).collect() })
}

/// The modules that a file declares for tests only, each as a whole path.
fn test_modules(file: &File) -> Vec<String> {
    let Some(parent) = module(&file.path) else { return Vec::new() };
    let (_, modules) = without_tests(&tokens(&file.text));
    modules.into_iter().map(|name| [parent.clone(), vec![name]].concat().join("::")).collect()
}

/// `lib.rs` holds nothing but the rooms, in the table's order.
fn floor_plan(file: &File) -> Vec<String> {
    let (tokens, _) = without_tests(&tokens(&file.text));
    let tokens = without_attributes(&tokens);
    let mut found = Vec::new();
    let mut last = 0;
    for item in tokens.chunks(4) {
        let texts: Vec<&str> = item.iter().map(|token| token.text.as_str()).collect();
        let ["pub", "mod", name, ";"] = texts[..] else {
            found.push(format!("src/lib.rs:{}: nothing but `pub mod`s", item[0].line));
            break;
        };
        match ROOMS.iter().position(|room| room.name == name) {
            None => found.push(format!("src/lib.rs: `{name}` has no row in the table")),
            Some(place) if place < last => {
                found.push(format!("src/lib.rs: `{name}` is out of the table's order"));
            }
            Some(place) => last = place,
        }
    }
    found
}

fn without_attributes(tokens: &[Token]) -> Vec<Token> {
    let (mut kept, mut depth) = (Vec::new(), 0);
    for (at, token) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1).map_or("", |next| &next.text);
        match token.text.as_str() {
            "#" if depth == 0 && matches!(next, "[" | "!") => {}
            "!" if depth == 0 => {}
            "[" => depth += 1,
            "]" => depth -= 1,
            _ if depth == 0 => kept.push(token.clone()),
            _ => {}
        }
    }
    kept
}

/// What one file of a room names that it must not.
fn breaches(file: &File, module: &[String]) -> Vec<String> {
    let name = module[0].as_str();
    let (tokens, _) = without_tests(&tokens(&file.text));
    let place = |line: usize| format!("{}:{line}: `{name}`", file.path);
    if name == "main" {
        let paths = paths(&tokens, module);
        let inner =
            paths.iter().filter(|path| path.segments[0] == "keyweir" && path.segments.len() > 1);
        let others = inner.filter(|path| path.segments[1] != "cli");
        return others.map(|path| format!("{} rings at `cli` only", place(path.line))).collect();
    }
    let Some(room) = ROOMS.iter().find(|room| room.name == name) else {
        return vec![format!("{}: `{name}` has no row in the table", file.path)];
    };
    let mut found = Vec::new();
    for path in paths(&tokens, module) {
        let reason = bad_door(room, &path).or_else(|| bad_word(room, &path));
        found.extend(reason.map(|reason| format!("{} {reason}", place(path.line))));
    }
    let methods = WALLS.iter().filter(|wall| wall.path.starts_with('.'));
    for wall in methods.filter(|wall| !wall.allowed.contains(&name)) {
        let calls =
            tokens.windows(2).filter(|pair| wall.path == [&*pair[0].text, &pair[1].text].concat());
        found.extend(calls.map(|pair| {
            format!("{} must not call `{}`: {}", place(pair[0].line), wall.path, wall.reason)
        }));
    }
    found
}

/// Whether a path of our own leads into a room that this one has no door to.
fn bad_door(room: &Room, path: &Path) -> Option<String> {
    let (first, rest) = path.segments.split_first()?;
    if first != "crate" && first != "keyweir" {
        return None;
    }
    // What a `use` brought in was judged there; `pub(crate)` and the like are words, not paths.
    if path.origin == Origin::Imported || path.origin == Origin::Inline && rest.is_empty() {
        return None;
    }
    let known = rest.first().is_some_and(|name| ROOMS.iter().any(|room| room.name == name));
    if !known {
        return Some("must name a room, not the crate's root".into());
    }
    let open = rest[0] == room.name || opens(room, rest);
    (!open).then(|| format!("has no door to `{}`", rest.join("::")))
}

/// Whether `room` may name this path, which begins with another room's name.
fn opens(room: &Room, path: &[String]) -> bool {
    match room.doors {
        Doors::AllBut(closed) => !closed.contains(&path[0].as_str()),
        Doors::To(open) => open.iter().any(|door| {
            let door: Vec<&str> = door.split("::").collect();
            path.len() >= door.len() && path.iter().zip(&door).all(|(path, door)| path == door)
        }),
    }
}

/// Whether a path names a crate or a function that is kept out of the room.
fn bad_word(room: &Room, path: &Path) -> Option<String> {
    let text = path.segments.join("::");
    if HARMLESS.contains(&text.as_str()) {
        return None;
    }
    if room.kind == Kind::Pure && IMPURE.iter().any(|word| matches(word, path)) {
        return Some(format!("is pure and must not name `{text}`"));
    }
    let closed = |wall: &&crate::table::Wall| !wall.allowed.contains(&room.name);
    let wall = WALLS.iter().filter(closed).find(|wall| matches(wall.path, path))?;
    Some(format!("must not name `{text}`: {}", wall.reason))
}

/// `a::b::` is everything below `a::b`; `.f` is a function of that name; `A::f` is what ends so.
fn matches(word: &str, path: &Path) -> bool {
    let text = path.segments.join("::");
    if word.ends_with("::") {
        return text.starts_with(word);
    }
    match word.strip_prefix('.') {
        Some(method) => {
            path.segments.len() > 1 && path.segments.last().is_some_and(|l| l == method)
        }
        None => text == word || text.ends_with(&format!("::{word}")),
    }
}
