//! Rust's words, without comments, strings and the items of tests.

/// A word or a sign of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// The tokens of a source text. Comments are gone, and a literal is the token `""`.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    while at < chars.len() {
        let end = at + length(&chars[at..]);
        let word: String = chars[at..end].iter().collect();
        let text = match chars[at] {
            c if c.is_whitespace() => None,
            '/' if word.starts_with("//") || word.starts_with("/*") => None,
            _ if is_literal(&word) => Some(String::from("\"\"")),
            _ => Some(word.trim_start_matches("r#").into()),
        };
        tokens.extend(text.map(|text| Token { text, line }));
        line += chars[at..end].iter().filter(|c| **c == '\n').count();
        at = end;
    }
    tokens
}

/// The tokens outside of items under `#[cfg(test)]`, and the modules that such items declare.
pub(crate) fn without_tests(tokens: &[Token]) -> (Vec<Token>, Vec<String>) {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut modules, mut at) = (Vec::new(), Vec::new(), 0);
    while at < tokens.len() {
        let texts = tokens[at..].iter().map(|token| token.text.as_str());
        if texts.take(MARK.len()).eq(MARK) {
            let end = at + MARK.len() + item_length(&tokens[at + MARK.len()..]);
            let item = &tokens[at..end];
            let name = item.windows(2).find(|pair| pair[0].text == "mod").map(|pair| &pair[1].text);
            modules.extend(name.cloned());
            at = end;
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    (kept, modules)
}

/// How many characters the token at the beginning of `rest` has.
fn length(rest: &[char]) -> usize {
    let first = rest[0];
    let second = rest.get(1).copied().unwrap_or(' ');
    match (first, second) {
        ('/', '/') => rest.iter().take_while(|c| **c != '\n').count(),
        ('/', '*') => block_comment(rest),
        (':', ':') => 2,
        ('\'', _) => quote(rest),
        _ if raw_string(rest).is_some() => raw_string(rest).unwrap_or(1),
        ('b' | 'c', '"') => 1 + string(&rest[1..]),
        ('b', '\'') => 1 + quote(&rest[1..]),
        ('"', _) => string(rest),
        ('r', '#') => 2 + word(&rest[2..]),
        _ if first.is_alphanumeric() || first == '_' => word(rest),
        _ => 1,
    }
}

fn word(rest: &[char]) -> usize {
    rest.iter().take_while(|c| c.is_alphanumeric() || **c == '_').count()
}

fn string(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != '"' {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// A character, or a lifetime.
fn quote(rest: &[char]) -> usize {
    match (rest.get(1), rest.get(2)) {
        (Some('\\'), _) => 3 + rest.iter().skip(3).take_while(|c| **c != '\'').count() + 1,
        (Some(_), Some('\'')) => 3,
        _ => 1 + word(&rest[1..]),
    }
}

/// `r"…"`, `br#"…"#` and the like.
fn raw_string(rest: &[char]) -> Option<usize> {
    let prefix = rest.iter().take_while(|c| matches!(c, 'b' | 'c')).count();
    let hashes = rest.get(prefix + 1..)?.iter().take_while(|c| **c == '#').count();
    let open = prefix + 1 + hashes;
    if prefix > 1 || rest.get(prefix) != Some(&'r') || rest.get(open) != Some(&'"') {
        return None;
    }
    let close: Vec<char> = ['"'].into_iter().chain(vec!['#'; hashes]).collect();
    let body = rest[open + 1..].windows(close.len()).position(|window| window == close)?;
    Some(open + 1 + body + close.len())
}

/// A block comment; they nest.
fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match (rest[at], rest.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn is_literal(word: &str) -> bool {
    let quoted = word.ends_with(['"', '\'', '#']) && word.contains(['"', '\'']);
    quoted || word.starts_with(|c: char| c.is_ascii_digit())
}

/// How many tokens an item has, further attributes included: up to its `;`, or its block.
fn item_length(tokens: &[Token]) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" => depth -= 1,
            "}" => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}
