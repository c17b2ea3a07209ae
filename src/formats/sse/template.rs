//! The shape that nearly all events of a stream share.
//!
//! Chunk after chunk differs in one string only. Comparing what stands before and behind that string
//! with the chunk before costs a fraction of searching it, and a chunk of the same shape cannot tell
//! anything that the earlier one did not.

use memchr::memmem;

use crate::formats::json::string_end;

/// The longest shape that is remembered, in bytes.
const MAX_SHAPE: usize = 1_024;

/// How often a shape is learned; a stream that changes it all the time has none.
const MAX_LEARNED: u32 = 64;

/// What the string that differs may be called: OpenAI's and Anthropic's names for output.
const NAMES: [&[u8]; 5] = [
    b"\"content\":\"",
    b"\"text\":\"",
    b"\"thinking\":\"",
    b"\"partial_json\":\"",
    b"\"reasoning_content\":\"",
];

/// OpenAI's padding, another string that differs.
const PADDING: &[u8] = b"\"obfuscation\":\"";

/// A shape: what stands around the output.
#[derive(Debug, Default)]
pub(super) struct Template {
    before: Vec<u8>,
    /// From the closing quote on, as far as the padding's opening quote.
    behind: Vec<u8>,
    /// What stands behind the padding, from its closing quote on; empty where there is none.
    end: Vec<u8>,
    learned: u32,
}

impl Template {
    /// The length of the output in `data`, if it has this shape.
    pub(super) fn measure(&self, data: &[u8]) -> Option<usize> {
        let rest = data.strip_prefix(self.before.as_slice()).filter(|_| !self.before.is_empty())?;
        let length = string_end(rest)?;
        let rest = rest.get(length..)?.strip_prefix(self.behind.as_slice())?;
        if self.end.is_empty() {
            return rest.is_empty().then_some(length);
        }
        let padding = string_end(rest)?;
        (rest.get(padding..)? == self.end).then_some(length)
    }

    /// Learns the shape of `data`, an event that tells nothing but `output` bytes of it.
    pub(super) fn learn(&mut self, data: &[u8], output: u64) {
        if self.learned == MAX_LEARNED || data.len() > MAX_SHAPE {
            return;
        }
        self.learned += 1;
        self.before.clear();
        let Some((before, rest)) = NAMES.iter().find_map(|name| split_behind(data, name)) else {
            return;
        };
        let Some(length) = string_end(rest).filter(|&length| length as u64 == output) else {
            return;
        };
        let behind = rest.get(length..).unwrap_or_default();
        self.end.clear();
        let behind = split_behind(behind, PADDING).map_or(behind, |(behind, padded)| {
            let padding = string_end(padded).unwrap_or(padded.len());
            self.end.extend_from_slice(padded.get(padding..).unwrap_or_default());
            behind
        });
        self.behind.clear();
        self.behind.extend_from_slice(behind);
        self.before.extend_from_slice(before);
    }
}

/// Splits `data` behind the last occurrence of `name`.
fn split_behind<'d>(data: &'d [u8], name: &[u8]) -> Option<(&'d [u8], &'d [u8])> {
    memmem::rfind(data, name).and_then(|at| data.split_at_checked(at + name.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(data: &str, output: u64) -> Template {
        let mut template = Template::default();
        template.learn(data.as_bytes(), output);
        template
    }

    #[test]
    fn an_event_of_the_same_shape_is_measured() {
        let template = learned(r#"{"id":1,"delta":{"content":"abc"},"usage":null}"#, 3);
        let measure = |data: &str| template.measure(data.as_bytes());
        assert_eq!(measure(r#"{"id":1,"delta":{"content":""},"usage":null}"#), Some(0));
        assert_eq!(measure(r#"{"id":1,"delta":{"content":"a\"},\\"},"usage":null}"#), Some(7));
        assert_eq!(measure(r#"{"id":2,"delta":{"content":"abc"},"usage":null}"#), None);
        assert_eq!(measure(r#"{"id":1,"delta":{"content":"abc"},"usage":{}}"#), None);
        assert_eq!(measure(r#"{"id":1,"delta":{"content":"abc","x":""},"usage":null}"#), None);
        assert_eq!(measure(r#"{"id":1,"delta":{"content":"abc"#), None);
    }

    #[test]
    fn padding_may_differ_and_nothing_else() {
        let template = learned(r#"{"delta":{"content":"abc"},"obfuscation":"x"}"#, 3);
        let measure = |data: &str| template.measure(data.as_bytes());
        assert_eq!(measure(r#"{"delta":{"content":"ab"},"obfuscation":"yz"}"#), Some(2));
        assert_eq!(measure(r#"{"delta":{"content":"ab"},"obfuscation":"yz","error":1}"#), None);
    }

    #[test]
    fn an_event_with_more_output_than_one_string_has_no_shape() {
        let data = r#"{"delta":{"refusal":"x","content":"abc"}}"#;
        assert_eq!(learned(data, 4).measure(data.as_bytes()), None);
        assert_eq!(learned("{}", 0).measure(b"{}"), None);
        assert_eq!(Template::default().measure(b"{}"), None);
    }

    #[test]
    fn a_stream_without_a_shape_is_given_up() {
        let mut template = Template::default();
        for n in 0..=MAX_LEARNED {
            let data = format!(r#"{{"n":{n},"delta":{{"content":"abc"}}}}"#);
            assert_eq!(template.measure(data.as_bytes()), None);
            template.learn(data.as_bytes(), 3);
        }
        let last = format!(r#"{{"n":{MAX_LEARNED},"delta":{{"content":"abc"}}}}"#);
        assert_eq!(template.measure(last.as_bytes()), None, "not learned any more");
    }
}
