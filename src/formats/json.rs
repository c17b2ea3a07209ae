//! JSON that lies whole in memory: a cursor that goes from member to member and copies nothing.
//!
//! It finds its way without proving the JSON right, like the skimmer, which reads what comes in
//! pieces. Where it cannot go on, it gives `None`.

use memchr::memchr;

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

    /// The first byte of the next member or element, or the bracket that ends its container.
    pub(super) fn next(&mut self) -> Option<u8> {
        self.pass(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | b','))
    }

    /// Passes a bracket.
    pub(super) const fn step(&mut self) {
        if let [_, rest @ ..] = self.0 {
            self.0 = rest;
        }
    }

    /// The name of the next member, up to its value; the inner `None` is the end of the object.
    pub(super) fn member(&mut self) -> Option<Option<&'b [u8]>> {
        match self.next()? {
            b'"' => {
                let name = self.text()?;
                self.pass(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | b':'))?;
                Some(Some(name))
            }
            b'}' => {
                self.step();
                Some(None)
            }
            _ => None,
        }
    }

    /// The string that follows, without its quotes.
    pub(super) fn text(&mut self) -> Option<&'b [u8]> {
        let [_, content @ ..] = self.0 else { return None };
        let (text, [_, rest @ ..]) = content.split_at_checked(string_end(content)?)? else {
            return None;
        };
        self.0 = rest;
        Some(text)
    }

    /// The value that follows, as it is written.
    pub(super) fn value(&mut self) -> Option<&'b [u8]> {
        let before = self.0;
        match before.first()? {
            b'"' => drop(self.text()?),
            b'{' | b'[' => self.pass_container()?,
            b'-' | b'0'..=b'9' | b'a'..=b'z' => {
                let inside =
                    |byte| !matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
                self.pass(inside)?;
            }
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
            self.step();
            if depth == 0 {
                return Some(());
            }
        }
    }

    /// Passes bytes of that kind; the first that is of another.
    fn pass(&mut self, kind: impl Fn(u8) -> bool) -> Option<u8> {
        while let [first, rest @ ..] = self.0 {
            if !kind(*first) {
                return Some(*first);
            }
            self.0 = rest;
        }
        None
    }
}

/// How long the string is in whose middle `bytes` begin: where its closing quote stands.
pub(super) fn string_end(bytes: &[u8]) -> Option<usize> {
    let at = quote(bytes)?;
    match bytes.get(..at)? {
        // Backslashes are few; whether one escapes this quote is asked where there is one.
        [.., b'\\'] => end_behind_escapes(bytes, at),
        _ => Some(at),
    }
}

/// The same where the first quote, which stands at `at`, comes right behind a backslash.
fn end_behind_escapes(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let backslashes = bytes.get(..at)?.iter().rev().take_while(|byte| **byte == b'\\');
        if backslashes.count() % 2 == 0 {
            return Some(at);
        }
        at += 1;
        at += quote(bytes.get(at..)?)?;
    }
}

/// The next quote. Names and most values are short: in them, eight bytes at a time are sooner done
/// than a call of the search for long runs.
fn quote(bytes: &[u8]) -> Option<usize> {
    let (words, _) = bytes.as_chunks();
    for (nth, word) in words.iter().take(3).enumerate() {
        let word = u64::from_le_bytes(*word) ^ EACH * 0x22;
        // The high bit of the first byte that is zero; above it there may be false ones.
        let found = word.wrapping_sub(EACH) & !word & EACH << 7;
        if found != 0 {
            return Some(nth * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let seen = words.len().min(3) * 8;
    memchr(b'"', bytes.get(seen..)?).map(|at| seen + at)
}

/// A one in each byte.
const EACH: u64 = 0x0101_0101_0101_0101;

/// The next quote, brace or bracket. It is near, or behind a long run without one (numbers of
/// embeddings), which is tested in whole blocks: that the compiler vectorises.
pub(super) fn find_structure(bytes: &[u8]) -> Option<usize> {
    const NEAR: usize = 8;
    const BLOCK: usize = 32;
    let structural = |byte: u8| byte == b'"' || matches!(byte | 0x20, b'{' | b'}');
    let find = |bytes: &[u8]| bytes.iter().position(|&byte| structural(byte));
    let (near, far) = bytes.split_at_checked(NEAR).unwrap_or((bytes, &[]));
    if let Some(at) = find(near) {
        return Some(at);
    }
    let clear = |block: &&[u8]| !block.iter().fold(false, |any, &byte| any | structural(byte));
    let run = far.chunks_exact(BLOCK).take_while(clear).count() * BLOCK;
    find(far.get(run..)?).map(|at| near.len() + run + at)
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
        let mut cursor = Cursor::new(body);
        cursor.step();
        let mut members = Vec::new();
        while let Some(name) = cursor.member().unwrap() {
            members.push((name, cursor.value().unwrap()));
        }
        let expected: [(&[u8], &[u8]); 3] =
            [(b"a", br#"[1,{"b]":"]\"}"}]"#), (b"c", br#""d\"\\""#), (b"e", b"-1.5e3")];
        assert_eq!(members, expected);
        assert_eq!(cursor.rest(), b", more");
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
        fn a_string_ends_at_the_first_quote_that_is_not_escaped(text in r#"[a-z"\\]{0,60}"#) {
            let mut escaped = false;
            let end = text.bytes().position(|byte| {
                let ends = byte == b'"' && !escaped;
                escaped = byte == b'\\' && !escaped;
                ends
            });
            prop_assert_eq!(string_end(text.as_bytes()), end);
        }
    }
}
