//! What a token estimator is fed: how many bytes of each class a text has.
//!
//! Six classes and an online regression come within 3 % of a real tokenizer (`limits`), at a
//! fraction of a nanosecond a byte.

/// Bytes of a request's text by class, and its JSON numbers.
///
/// The first five classes share out every byte of the strings; word starts are counted beside them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextCounts {
    /// Bytes of characters beyond ASCII.
    pub non_ascii: u64,
    /// `a`-`z`, `A`-`Z`.
    pub alphabetic: u64,
    /// `0`-`9`.
    pub digits: u64,
    /// The space, and the control characters below it: tab, newline, carriage return.
    pub spaces: u64,
    /// Everything else.
    pub punctuation: u64,
    /// Letters that follow something other than a letter.
    pub word_starts: u64,
    /// JSON numbers: each is a token where a prompt is given as token ids.
    pub numbers: u64,
}

/// Bytes that are looked at together: no more than a sum of eight bits holds, which lets the compiler
/// count sixteen at a time, and a multiple of that.
const ROUND: usize = 15 * LANES;
const LANES: usize = 16;

/// Below this many bytes, one after the other is sooner done.
const SHORT: usize = 64;

impl TextCounts {
    /// Counts one string.
    pub fn add(&mut self, text: &[u8]) {
        self.go_on(0, text);
    }

    /// Counts a further piece of a string, of which `before` was the byte before.
    pub fn go_on(&mut self, before: u8, text: &[u8]) {
        if text.len() < SHORT {
            return self.add_short(before, text);
        }
        // Every byte beside the one before it: the same text, begun one byte later.
        let (first, rest) = text.split_at_checked(1).unwrap_or_default();
        self.add_short(before, first);
        let length = rest.len() - rest.len() % LANES;
        let (rounds, tail) = rest.split_at_checked(length).unwrap_or_default();
        let shifted = text.get(..length).unwrap_or_default();
        for (round, shifted) in rounds.chunks(ROUND).zip(shifted.chunks(ROUND)) {
            self.add_round(round, shifted);
        }
        self.add_short(rounds.last().copied().unwrap_or_default(), tail);
    }

    /// All bytes counted.
    pub const fn bytes(&self) -> u64 {
        self.non_ascii + self.alphabetic + self.digits + self.spaces + self.punctuation
    }

    /// Counts at most [`ROUND`] bytes; in `shifted`, the byte before each.
    fn add_round(&mut self, round: &[u8], shifted: &[u8]) {
        let (mut high, mut letters, mut digits, mut spaces, mut starts) =
            (0_u8, 0_u8, 0_u8, 0_u8, 0_u8);
        for (&byte, &before) in round.iter().zip(shifted) {
            high += byte >> 7;
            letters += u8::from(is_letter(byte));
            digits += u8::from(is_digit(byte));
            spaces += u8::from(is_space(byte));
            starts += u8::from(is_letter(byte) & !is_letter(before));
        }
        let [high, letters, digits, spaces, starts] =
            [high, letters, digits, spaces, starts].map(u64::from);
        self.non_ascii += high;
        self.alphabetic += letters;
        self.digits += digits;
        self.spaces += spaces;
        self.word_starts += starts;
        self.punctuation += round.len() as u64 - high - letters - digits - spaces;
    }

    /// Counts less than [`SHORT`] bytes.
    fn add_short(&mut self, before: u8, text: &[u8]) {
        let (mut sums, mut starts, mut was_letter) = (0, 0, u64::from(is_letter(before)));
        for &byte in text {
            let weight = WEIGHTS.get(usize::from(byte)).copied().unwrap_or_default();
            let letter = weight >> (WIDTH * LETTER) & 1;
            sums += weight;
            starts += letter & !was_letter;
            was_letter = letter;
        }
        let class = |class| sums >> (WIDTH * class) & ((1 << WIDTH) - 1);
        self.non_ascii += class(HIGH);
        self.alphabetic += class(LETTER);
        self.digits += class(DIGIT);
        self.spaces += class(SPACE);
        self.punctuation += class(OTHER);
        self.word_starts += starts;
    }
}

/// Classes as places in a number that holds a small sum for each.
const HIGH: u32 = 0;
const LETTER: u32 = 1;
const DIGIT: u32 = 2;
const SPACE: u32 = 3;
const OTHER: u32 = 4;

/// Bits of each of those sums.
const WIDTH: u32 = 12;

/// What each byte adds to them.
const WEIGHTS: [u64; 256] = {
    let mut weights = [0; 256];
    let (mut rest, mut byte) = (weights.as_mut_slice(), 0_u8);
    while let Some((weight, behind)) = rest.split_first_mut() {
        let class = match byte {
            0x80.. => HIGH,
            _ if is_letter(byte) => LETTER,
            _ if is_digit(byte) => DIGIT,
            _ if is_space(byte) => SPACE,
            _ => OTHER,
        };
        *weight = 1 << (WIDTH * class);
        (rest, byte) = (behind, byte.wrapping_add(1));
    }
    weights
};

const fn is_space(byte: u8) -> bool {
    byte <= b' '
}

const fn is_letter(byte: u8) -> bool {
    (byte | 0x20).wrapping_sub(b'a') < 26
}

const fn is_digit(byte: u8) -> bool {
    byte.wrapping_sub(b'0') < 10
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counts(text: &str) -> TextCounts {
        let mut counts = TextCounts::default();
        counts.add(text.as_bytes());
        counts
    }

    #[test]
    fn each_byte_falls_into_one_class() {
        let counts = counts("Ab 1,\té");
        assert_eq!((counts.alphabetic, counts.digits, counts.spaces), (2, 1, 2));
        assert_eq!((counts.punctuation, counts.non_ascii, counts.word_starts), (1, 2, 1));
    }

    proptest! {
        #[test]
        fn the_fast_count_is_the_plain_count(text in "[a-zA-Z0-9@\\[`{/: ,.é\n\t]{0,700}", cut: usize) {
            let bytes = text.as_bytes();
            let count = |class: fn(&u8) -> bool| bytes.iter().filter(|byte| class(byte)).count() as u64;
            let starts = (0..bytes.len())
                .filter(|&at| bytes[at].is_ascii_alphabetic() && (at == 0 || !bytes[at - 1].is_ascii_alphabetic()));
            let expected = TextCounts {
                non_ascii: count(|byte| !byte.is_ascii()),
                alphabetic: count(u8::is_ascii_alphabetic),
                digits: count(u8::is_ascii_digit),
                spaces: count(u8::is_ascii_whitespace),
                punctuation: count(u8::is_ascii_punctuation),
                word_starts: starts.count() as u64,
                numbers: 0,
            };
            prop_assert_eq!(counts(&text), expected);
            prop_assert_eq!(expected.bytes(), bytes.len() as u64);
            let (head, tail) = bytes.split_at(cut % (bytes.len() + 1));
            let mut pieces = TextCounts::default();
            pieces.add(head);
            pieces.go_on(head.last().copied().unwrap_or_default(), tail);
            prop_assert_eq!(pieces, expected, "in two pieces");
        }
    }
}
