//! Small changes to a body that leave every other byte where it was.

use std::ops::Range;

use bytes::Bytes;
use smallvec::SmallVec;

/// Replaces the bytes of `range` by `text`; an empty range inserts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Where, in bytes of the original body.
    pub range: Range<usize>,
    /// What stands there afterwards.
    pub text: Bytes,
}

impl Edit {
    /// Puts another model name where the JSON string at `span` (quotes included) stands.
    pub fn rename(span: Range<usize>, name: &str) -> Self {
        let quoted = serde_json::Value::from(name).to_string();
        Self { range: span, text: Bytes::from(quoted) }
    }
}

/// A body after its edits: slices of the original with the new texts between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edited {
    /// The pieces, in order; none is empty.
    pub pieces: SmallVec<[Bytes; 4]>,
    /// Their length together, in bytes: the new `content-length`.
    pub length: u64,
}

/// Applies `edits`, each given in bytes of the original `body`, without copying what stays.
///
/// The edits are made of one reading of this body, so they lie inside it and apart from each other;
/// one that does not is left out.
pub fn apply(body: &Bytes, edits: &[Edit]) -> Edited {
    let mut sorted: SmallVec<[&Edit; 4]> = edits.iter().collect();
    sorted.sort_by_key(|edit| edit.range.start);
    let mut edited = Edited::default();
    let mut done = 0;
    for edit in sorted {
        let Range { start, end } = edit.range;
        if start < done || end < start || end > body.len() {
            continue;
        }
        edited.push(body.slice(done..start));
        edited.push(edit.text.clone());
        done = end;
    }
    edited.push(body.slice(done..));
    edited
}

impl Edited {
    fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.length += piece.len() as u64;
            self.pieces.push(piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn edit(range: Range<usize>, text: &'static str) -> Edit {
        Edit { range, text: Bytes::from_static(text.as_bytes()) }
    }

    fn whole(edited: &Edited) -> Vec<u8> {
        edited.pieces.concat()
    }

    #[test]
    fn edits_apply_in_any_order_and_share_the_body() {
        let body = Bytes::from_static(b"{\"model\":\"a\",\"stream\":true}");
        let rename = Edit::rename(9..12, "b\"c");
        let edited = apply(&body, &[rename, edit(1..1, "\"x\":1,")]);
        assert_eq!(whole(&edited), b"{\"x\":1,\"model\":\"b\\\"c\",\"stream\":true}");
        assert_eq!(edited.length, whole(&edited).len() as u64);
        assert_eq!(edited.pieces[0].as_ptr(), body.as_ptr(), "nothing is copied");
    }

    #[test]
    fn no_edit_is_the_body_itself() {
        let body = Bytes::from_static(b"{}");
        assert_eq!(apply(&body, &[]).pieces.as_slice(), std::slice::from_ref(&body));
        assert_eq!(apply(&Bytes::new(), &[]), Edited::default());
    }

    #[test]
    fn an_edit_that_does_not_fit_is_left_out() {
        let body = Bytes::from_static(b"abcdef");
        let edits = [edit(1..3, "x"), edit(2..4, "y"), edit(5..9, "z")];
        assert_eq!(whole(&apply(&body, &edits)), b"axdef");
    }

    proptest! {
        #[test]
        fn an_edit_is_what_splice_does(body: Vec<u8>, text in "[a-z]{0,9}", at: usize, len: usize) {
            let start = at % (body.len() + 1);
            let end = start + len % (body.len() - start + 1);
            let edit = Edit { range: start..end, text: Bytes::from(text.clone()) };
            let edited = apply(&Bytes::from(body.clone()), &[edit]);
            let mut expected = body;
            expected.splice(start..end, text.bytes());
            prop_assert_eq!(whole(&edited), expected);
        }
    }
}
