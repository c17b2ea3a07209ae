//! Whether JSON text that comes in pieces is whole yet.

/// Follows the nesting of one JSON value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Balance {
    depth: u32,
    in_string: bool,
    escaped: bool,
    begun: bool,
}

impl Balance {
    /// Takes a piece; whether an object or array that began has ended.
    pub(super) fn feed(&mut self, piece: &str) -> bool {
        for byte in piece.bytes() {
            if std::mem::take(&mut self.escaped) {
                continue;
            }
            match byte {
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                b'{' | b'[' if !self.in_string => {
                    self.depth = self.depth.saturating_add(1);
                    self.begun = true;
                }
                b'}' | b']' if !self.in_string => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
        self.is_whole()
    }

    const fn is_whole(self) -> bool {
        self.begun && self.depth == 0 && !self.in_string
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_whole_when_its_last_bracket_has_come_however_it_is_cut() {
        for text in ["{}", r#"{"a":"}\"","b":[{"c":"\\"}]}"#] {
            for cut in 0..text.len() {
                let (begin, end) = text.split_at(cut);
                let mut balance = Balance::default();
                assert!(!balance.feed(begin), "{text} cut at {cut}");
                assert!(balance.feed(end), "{text} cut at {cut}");
            }
        }
        assert!(!Balance::default().feed(""));
    }
}
