//! Server-sent events, put together from pieces (WHATWG HTML, "server-sent events").

use memchr::memchr2;

/// The longest event, in bytes: an answer's largest part, such as the arguments of one call.
const MAX_EVENT: usize = 8 * 1024 * 1024;

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// An event's data.
    Data(String),
    /// A comment: the provider keeps the connection open.
    Comment,
}

/// Puts events together.
#[derive(Debug, Default)]
pub(super) struct Lines {
    bytes: Vec<u8>,
    /// Where in `bytes` the next line begins.
    at: usize,
    data: Option<String>,
    too_long: bool,
}

impl Lines {
    /// Takes a piece in.
    pub(super) fn feed(&mut self, piece: &[u8]) {
        self.bytes.drain(..self.at);
        self.at = 0;
        self.bytes.extend_from_slice(piece);
        self.too_long |= self.bytes.len() + self.data.as_ref().map_or(0, String::len) > MAX_EVENT;
        if self.too_long {
            self.bytes.clear();
        }
    }

    /// Takes the end of the stream for the end of the event under way.
    pub(super) fn end(&mut self) {
        self.feed(b"\n\n");
    }

    /// Whether an event was longer than any may be; nothing more comes then.
    pub(super) const fn is_too_long(&self) -> bool {
        self.too_long
    }

    /// The next of what has come whole.
    pub(super) fn next(&mut self) -> Option<Line> {
        loop {
            let rest = self.bytes.get(self.at..)?;
            let length = memchr2(b'\n', b'\r', rest)?;
            let line = rest.get(..length)?;
            let ending = match rest.get(length..)? {
                // A line feed may still follow it.
                [b'\r'] => return None,
                [b'\r', b'\n', ..] => 2,
                _ => 1,
            };
            let text = String::from_utf8_lossy(line).into_owned();
            self.at += length + ending;
            if text.is_empty() {
                if let Some(data) = self.data.take() {
                    return Some(Line::Data(data));
                }
            } else if text.starts_with(':') {
                return Some(Line::Comment);
            } else if let Some(value) = text.trim_start_matches('\u{feff}').strip_prefix("data:") {
                let value = value.strip_prefix(' ').unwrap_or(value);
                match &mut self.data {
                    Some(data) => {
                        data.push('\n');
                        data.push_str(value);
                    }
                    None => self.data = Some(value.to_owned()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str =
        ": hello\n\nevent: x\ndata: {\"a\":\r\ndata: 1}\r\n\r\nid: 7\ndata:[DONE]\n\n";

    fn read(pieces: &[&[u8]]) -> Vec<Line> {
        let (mut lines, mut read) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.feed(piece);
            read.extend(std::iter::from_fn(|| lines.next()));
        }
        read
    }

    #[test]
    fn the_same_events_come_however_the_bytes_are_cut() {
        let whole =
            [Line::Comment, Line::Data("{\"a\":\n1}".to_owned()), Line::Data("[DONE]".to_owned())];
        let bytes = STREAM.as_bytes();
        for cut in 0..bytes.len() {
            assert_eq!(read(&[&bytes[..cut], &bytes[cut..]]), whole, "cut at {cut}");
        }
        assert_eq!(read(&bytes.chunks(1).collect::<Vec<_>>()), whole);
    }

    #[test]
    fn an_event_without_end_is_not_kept_for_ever() {
        let mut lines = Lines::default();
        for _ in 0..9 {
            lines.feed(&vec![b'x'; 1024 * 1024]);
            assert_eq!(lines.next(), None);
        }
        assert!(lines.is_too_long() && lines.bytes.is_empty());
    }
}
