//! JSON that lies whole in memory: a cursor that goes from member to member and copies nothing.
//!
//! It finds its way without proving the JSON right, like the skimmer, which reads what comes in
//! pieces. Where it cannot go on, it gives `None`.

use memchr::memchr2;

/// A place in JSON, and all that follows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'b>(&'b [u8]);

impl<'b> Cursor<'b> {
    /// A cursor before a value.
    pub(super) const fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    /// What follows.
    pub(super) const fn rest(self) -> &'b [u8] {
        self.0
    }

    /// The first byte of the next member, element or value, or what ends its container.
    pub(super) fn next(&mut self) -> Option<u8> {
        self.pass(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | b','))
    }

    /// Passes the byte that [`Self::next`] has told: a bracket.
    pub(super) fn step(&mut self) -> Option<()> {
        self.0 = self.0.get(1..)?;
        Some(())
    }

    /// The name of the next member, up to its value; the inner `None` is the end of the object.
    pub(super) fn member(&mut self) -> Option<Option<&'b [u8]>> {
        match self.next()? {
            b'"' => {
                let name = self.text()?;
                self.pass(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | b':'))?;
                Some(Some(name))
            }
            b'}' => self.step().map(|()| None),
            _ => None,
        }
    }

    /// The string that follows, without its quotes.
    pub(super) fn text(&mut self) -> Option<&'b [u8]> {
        let content = self.0.get(1..)?;
        let (text, behind) = content.split_at_checked(string_end(content)?)?;
        self.0 = behind.get(1..)?;
        Some(text)
    }

    /// The value that follows, as it is written.
    pub(super) fn value(&mut self) -> Option<&'b [u8]> {
        let before = self.0;
        match before.first()? {
            b'"' => drop(self.text()?),
            b'{' | b'[' => self.pass_container()?,
            b'-' | b'0'..=b'9' | b'a'..=b'z' => self.pass_bare()?,
            _ => return None,
        }
        before.get(..before.len() - self.0.len())
    }

    /// Passes an object or an array, whatever stands in it.
    fn pass_container(&mut self) -> Option<()> {
        let mut depth = 0_u32;
        loop {
            self.0 = self.0.get(find_structure(self.0)?..)?;
            match self.0.first()? {
                b'"' => {
                    self.text()?;
                    continue;
                }
                b'{' | b'[' => depth = depth.saturating_add(1),
                _ => depth -= 1,
            }
            self.step()?;
            if depth == 0 {
                return Some(());
            }
        }
    }

    /// Passes a number or a word.
    fn pass_bare(&mut self) -> Option<()> {
        let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
        self.0 = self.0.get(self.0.iter().position(ends)?..)?;
        Some(())
    }

    /// Passes bytes of that kind; the first that is of another.
    fn pass(&mut self, kind: impl Fn(u8) -> bool) -> Option<u8> {
        while let Some((&first, rest)) = self.0.split_first() {
            if !kind(first) {
                return Some(first);
            }
            self.0 = rest;
        }
        None
    }
}

/// Hands on each member of the object that `bytes` begin with: its name, and its value as it is written.
/// `None` if it is no object, or none that can be read to its end.
pub(super) fn each_member<'b>(
    bytes: &'b [u8],
    mut take: impl FnMut(&'b [u8], &'b [u8]),
) -> Option<()> {
    let mut cursor = Cursor(bytes.strip_prefix(b"{")?);
    while let Some(name) = cursor.member()? {
        take(name, cursor.value()?);
    }
    Some(())
}

/// How long the string is in whose middle `bytes` begin: where its closing quote stands.
pub(super) fn string_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += quote_or_backslash(bytes.get(at..)?)?;
        if bytes.get(at) == Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}

/// Words that are looked through before the search for long runs is called, which costs as much as
/// some of them.
const WORDS: usize = 3;

/// The next quote or backslash.
///
/// Names and most values are short: in them, eight bytes at a time are sooner done than a call.
pub(super) fn quote_or_backslash(bytes: &[u8]) -> Option<usize> {
    let (words, _) = bytes.as_chunks();
    for (nth, word) in words.iter().take(WORDS).enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = zero_bytes(word ^ EACH * 0x22) | zero_bytes(word ^ EACH * 0x5c);
        if found != 0 {
            return Some(nth * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let seen = words.len().min(WORDS) * 8;
    memchr2(b'"', b'\\', bytes.get(seen..)?).map(|at| seen + at)
}

/// A one in each byte.
const EACH: u64 = 0x0101_0101_0101_0101;

/// The high bit of each byte that is zero. Above the lowest of them there may be false ones.
const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(EACH) & !word & EACH << 7
}

/// The next quote, brace or bracket. What is looked through holds long runs without one (numbers of
/// embeddings), so that whole blocks are tested at once, which the compiler vectorises.
pub(super) fn find_structure(bytes: &[u8]) -> Option<usize> {
    const BLOCK: usize = 32;
    let structural = |byte: u8| byte == b'"' || matches!(byte | 0x20, b'{' | b'}');
    let mut at = 0;
    for block in bytes.chunks_exact(BLOCK) {
        if block.iter().fold(false, |any, &byte| any | structural(byte)) {
            break;
        }
        at += BLOCK;
    }
    let rest = bytes.get(at..)?;
    rest.iter().position(|&byte| structural(byte)).map(|found| at + found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn structure_is_found_behind_any_run_of_numbers() {
        for at in 0..100 {
            let mut run = vec![b'1'; 100];
            assert_eq!(find_structure(&run), None);
            for byte in *b"{}[]\"" {
                run[at] = byte;
                assert_eq!(find_structure(&run), Some(at));
            }
        }
    }

    #[test]
    fn an_object_is_its_members() {
        let body = br#"{ "a" : [1,{"b]":"]\"}"}], "c":"d\"\\" ,"e":-1.5e3}, more"#;
        let mut members = Vec::new();
        each_member(body, |name, value| members.push((name, value))).unwrap();
        let expected: [(&[u8], &[u8]); 3] =
            [(b"a", br#"[1,{"b]":"]\"}"}]"#), (b"c", br#""d\"\\""#), (b"e", b"-1.5e3")];
        assert_eq!(members, expected);
        assert_eq!(each_member(b"[1]", |_, _| ()), None);
        assert_eq!(each_member(br#"{"a":1"#, |_, _| ()), None);
    }

    #[test]
    fn what_is_not_whole_is_none() {
        let whole = br#"{"a":[1,{"b":"c"}]}"#;
        for length in 0..whole.len() {
            assert_eq!(Cursor::new(&whole[..length]).value(), None, "{length}");
        }
        assert_eq!(Cursor::new(b"12").value(), None, "more digits may follow");
        assert_eq!(Cursor::new(b"?").value(), None);
    }

    proptest! {
        #[test]
        fn a_string_ends_where_a_plain_search_says(text in r#"[a-z"\\\x{1}\x{7f}é]{0,60}"#) {
            let plain = text.bytes().position(|byte| byte == b'"' || byte == b'\\');
            prop_assert_eq!(quote_or_backslash(text.as_bytes()), plain);
        }
    }
}
