//! The chunked transfer coding of a request's body (RFC 9112, section 7.1).

use bytes::{BufMut, BytesMut};

/// Bytes that chunk extensions and trailers of one body may take together. They mean nothing to us
/// and are dropped.
const MOST_BESIDES: u32 = 16 * 1024;

/// Digits of a chunk's size: what 64 bits hold.
const MOST_DIGITS: u8 = 16;

/// Takes chunks apart, however they are cut.
#[derive(Debug, Default)]
pub struct Chunked {
    state: State,
    /// Of this chunk's size, the part that is still to come; while it is read, the part read.
    left: u64,
    digits: u8,
    /// Bytes of extensions and trailers so far.
    besides: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    /// White space behind the size.
    Space,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the beginning of a trailer's line, or of the empty one.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Done,
}

/// A body that is no chunked coding, or says too much besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl Chunked {
    /// Whether the body has come to its end.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes the body's bytes out of `bytes` into `data`, and says how many of `bytes` belong to
    /// it: all, unless it ends within.
    pub fn decode(&mut self, bytes: &[u8], data: &mut BytesMut) -> Result<usize, Malformed> {
        let mut rest = bytes;
        while !self.is_done() {
            if self.state == State::Data {
                let most = usize::try_from(self.left).unwrap_or(usize::MAX);
                let (piece, after) = rest.split_at(most.min(rest.len()));
                data.put_slice(piece);
                self.left -= piece.len() as u64;
                rest = after;
                if self.left == 0 {
                    self.state = State::DataCr;
                }
            }
            let Some((&byte, after)) = rest.split_first() else { break };
            self.state = self.step(byte)?;
            rest = after;
        }
        Ok(bytes.len() - rest.len())
    }

    fn step(&mut self, byte: u8) -> Result<State, Malformed> {
        match (self.state, byte) {
            (State::Size, byte) if byte.is_ascii_hexdigit() => self.digit(byte),
            (State::Size, _) if self.digits == 0 => Err(Malformed),
            (State::Size | State::Space, b' ' | b'\t') => self.beside(State::Space),
            (State::Size | State::Space, b';') => self.beside(State::Extension),
            (State::Size | State::Space | State::Extension, b'\r') => Ok(State::SizeLf),
            // A bare line feed ends a line for some readers and not for others.
            (State::Extension, byte) if byte != b'\n' => self.beside(State::Extension),
            (State::SizeLf, b'\n') => {
                self.digits = 0;
                Ok(if self.left == 0 { State::Trailer } else { State::Data })
            }
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Size),
            (State::Trailer, b'\r') => Ok(State::EndLf),
            (State::Trailer | State::TrailerName, byte) if is_token(byte) => {
                self.beside(State::TrailerName)
            }
            (State::TrailerName, b':') => self.beside(State::TrailerValue),
            (State::TrailerValue, b'\r') => Ok(State::TrailerLf),
            (State::TrailerValue, byte) if byte != b'\n' => self.beside(State::TrailerValue),
            (State::TrailerLf, b'\n') => Ok(State::Trailer),
            (State::EndLf, b'\n') => Ok(State::Done),
            _ => Err(Malformed),
        }
    }

    fn digit(&mut self, byte: u8) -> Result<State, Malformed> {
        let digit = char::from(byte).to_digit(16).ok_or(Malformed)?;
        self.digits += 1;
        if self.digits > MOST_DIGITS {
            return Err(Malformed);
        }
        self.left = self.left << 4 | u64::from(digit);
        Ok(State::Size)
    }

    fn beside(&mut self, next: State) -> Result<State, Malformed> {
        self.besides += 1;
        if self.besides > MOST_BESIDES { Err(Malformed) } else { Ok(next) }
    }
}

/// Whether a byte may stand in a field's name.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is decoded of a body that comes in these pieces, and how much of it that was.
    fn decode<'p>(
        pieces: impl IntoIterator<Item = &'p [u8]>,
    ) -> Result<(Vec<u8>, usize), Malformed> {
        let (mut chunked, mut data, mut used) = (Chunked::default(), BytesMut::new(), 0);
        for piece in pieces {
            used += chunked.decode(piece, &mut data)?;
        }
        if chunked.is_done() { Ok((data.to_vec(), used)) } else { Err(Malformed) }
    }

    #[test]
    fn what_follows_a_body_is_not_touched() {
        let body =
            b"3\r\nabc\r\n0002 ; a=\"b\";c\r\nde\r\n0\r\nx-trailer: 1\r\n\r\nGET / HTTP/1.1\r\n";
        let (data, used) = decode([&body[..]]).unwrap();
        assert_eq!((&*data, &body[used..]), (&b"abcde"[..], &b"GET / HTTP/1.1\r\n"[..]));
    }

    #[test]
    fn what_others_may_read_differently_is_refused() {
        for body in [
            "\r\n",
            "g\r\n",
            "-1\r\n",
            "+1\r\n",
            "0x1\r\n",
            " 1\r\n",
            "1 1\r\n",
            "1\na\r\n",
            "1;a\nb\r\n",
            "1\r\na\n0\r\n",
            "1\r\nab\r\n0",
            "1\r\na\r0",
            "1\r\na\r\n\r\n",
            "0\r\n\n",
            "0\r\n folded\r\n",
            "0\r\nno colon\r\n",
            "0\r\nname : x\r\n",
            "0\r\na: b\nc: d\r\n",
            "00000000000000001\r\na\r\n",
            "11111111111111111\r\n",
        ] {
            let (mut chunked, mut data) = (Chunked::default(), BytesMut::new());
            assert_eq!(chunked.decode(body.as_bytes(), &mut data), Err(Malformed), "{body:?}");
        }
    }

    #[test]
    fn the_largest_size_that_can_be_told_is_not_taken_for_a_small_one() {
        let (mut chunked, mut data) = (Chunked::default(), BytesMut::new());
        assert_eq!(chunked.decode(b"ffffffffffffffff\r\nabc", &mut data), Ok(21));
        assert_eq!((&data[..], chunked.left), (&b"abc"[..], u64::MAX - 3));
    }

    #[test]
    fn extensions_and_trailers_have_a_bound() {
        let long = "x".repeat(MOST_BESIDES as usize);
        for body in [format!("1;{long}\r\na\r\n0\r\n\r\n"), format!("0\r\na:{long}\r\n\r\n")] {
            assert_eq!(decode([body.as_bytes()]), Err(Malformed));
        }
        let each = "1;extension\r\na\r\n".repeat(MOST_BESIDES as usize / 10);
        assert_eq!(decode([each.as_bytes()]), Err(Malformed), "for the body as a whole");
    }

    proptest! {
        #[test]
        fn however_a_body_is_chunked_and_cut_it_comes_out_whole(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..8),
            step in 1_usize..20,
        ) {
            let mut body = Vec::new();
            for chunk in &chunks {
                body.extend(format!("{:X}\r\n", chunk.len()).bytes());
                body.extend(chunk);
                body.extend(b"\r\n");
            }
            body.extend(b"0\r\n\r\n");
            let (data, used) = decode(body.chunks(step)).unwrap();
            prop_assert_eq!((data, used), (chunks.concat(), body.len()));
        }

        #[test]
        fn any_bytes_are_read_the_same_however_they_are_cut(
            bytes in "[0-9a-f;:x \t\r\n]{0,60}", step in 1_usize..8,
        ) {
            let whole = decode([bytes.as_bytes()]);
            prop_assert_eq!(decode(bytes.as_bytes().chunks(step)), whole);
        }
    }
}
