//! JSON that lies whole in memory: where a value ends.
//!
//! As the skimmer does, which reads what comes in pieces, this finds its way without proving the JSON
//! right. Where it cannot go on, it gives `None`.

use memchr::memchr;

/// The value that `bytes` begin with, as it is written. A number or a word has to be followed by
/// something, for more of it might come.
pub(super) fn value(bytes: &[u8]) -> Option<&[u8]> {
    let length = match bytes.first()? {
        b'"' => string(bytes)?.len() + 2,
        b'{' | b'[' => container_length(bytes)?,
        b'-' | b'0'..=b'9' | b'a'..=b'z' => {
            let ends =
                |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
            bytes.iter().position(ends)?
        }
        _ => return None,
    };
    bytes.get(..length)
}

/// The string that `bytes` begin with, without its quotes.
pub(super) fn string(bytes: &[u8]) -> Option<&[u8]> {
    let content = bytes.get(1..)?;
    content.get(..string_end(content)?)
}

/// How long the object or array is that `bytes` begin with, whatever stands in it.
fn container_length(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0, 0_u32);
    loop {
        at += find_structure(bytes.get(at..)?)?;
        match bytes.get(at)? {
            b'"' => at += string(bytes.get(at..)?)?.len() + 2,
            b'{' | b'[' => {
                depth = depth.saturating_add(1);
                at += 1;
            }
            _ => {
                depth -= 1;
                at += 1;
                if depth == 0 {
                    return Some(at);
                }
            }
        }
    }
}

/// How long the string is in whose middle `bytes` begin: where its closing quote stands.
pub(super) fn string_end(bytes: &[u8]) -> Option<usize> {
    match bytes.get(..near_quote(bytes)) {
        Some(text) if !text.ends_with(b"\\") => Some(text.len()),
        _ => far_string_end(bytes),
    }
}

/// The same for strings that are long, or have escapes.
fn far_string_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr(b'"', bytes.get(at..)?)?;
        let backslashes = bytes.get(..at)?.iter().rev().take_while(|byte| **byte == b'\\');
        if backslashes.count() % 2 == 0 {
            return Some(at);
        }
        at += 1;
    }
}

/// The first quote, if it is one of the first sixteen bytes; else any number beyond.
///
/// Names and most values are that short, and for them a search in two machine words is sooner done
/// than a call.
fn near_quote(bytes: &[u8]) -> usize {
    const ONES: u128 = u128::from_le_bytes([1; 16]);
    let Some(word) = bytes.first_chunk() else { return usize::MAX };
    let zero = u128::from_le_bytes(*word) ^ ONES * 0x22;
    // The high bit of the first byte that is zero; above it there may be false ones.
    let found = zero.wrapping_sub(ONES) & !zero & ONES << 7;
    if found == 0 { usize::MAX } else { found.trailing_zeros() as usize / 8 }
}

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
    fn a_value_ends_where_it_ends() {
        for whole in [r#"[1,{"b]":"]\"}"},[]]"#, r#""d\"\\""#, "-1.5e3", "null", "{}", r#""""#] {
            for behind in [",", "}", " ", "\n]"] {
                let body = [whole, behind].concat();
                assert_eq!(value(body.as_bytes()), Some(whole.as_bytes()), "{body}");
            }
        }
    }

    #[test]
    fn what_is_not_whole_is_none() {
        let whole = br#"{"a":[1,{"b":"c"}]}"#;
        for length in 0..whole.len() {
            assert_eq!(value(&whole[..length]), None, "{length}");
        }
        assert_eq!(value(b"12"), None, "more digits may follow");
        assert_eq!(value(b"?"), None);
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
