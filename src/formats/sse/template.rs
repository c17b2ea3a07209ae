//! The shape that nearly all events of a stream share.
//!
//! Chunk after chunk differs in one string only. Comparing what stands before and behind that string
//! with the chunk before costs a fraction of searching it, and a chunk of the same shape cannot tell
//! anything that the earlier one did not.

use memchr::memmem;
use serde::de::IgnoredAny;

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

/// A shape: what stands around the output, from the event's first byte to its last.
#[derive(Debug, Default)]
pub(super) struct Template {
    /// As far as the output's opening quote; empty where there is no shape.
    before: Vec<u8>,
    /// From the closing quote on, as far as the padding's opening quote.
    behind: Vec<u8>,
    /// What stands behind the padding, from its closing quote on; empty where there is none.
    end: Vec<u8>,
    learned: u32,
}

/// An event of a shape that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// How long it is, its blank line included, in bytes.
    pub(super) length: usize,
    /// How long the output in it is, as JSON writes it.
    pub(super) output: usize,
}

impl Template {
    /// The event that `bytes` begin with, if it has this shape.
    pub(super) fn measure(&self, bytes: &[u8]) -> Option<Known> {
        let rest =
            bytes.strip_prefix(self.before.as_slice()).filter(|_| !self.before.is_empty())?;
        let (output, rest) = split_string(rest)?;
        let mut rest = rest.strip_prefix(self.behind.as_slice())?;
        if !self.end.is_empty() {
            (_, rest) = split_string(rest)?;
            rest = rest.strip_prefix(self.end.as_slice())?;
        }
        Some(Known { length: bytes.len() - rest.len(), output: output.len() })
    }

    /// Learns the shape of an event, of whose only line of data `data` is the value, and which tells
    /// nothing but `output` bytes of it.
    pub(super) fn learn(&mut self, event: &[u8], data: &[u8], output: u64) {
        if self.learned == MAX_LEARNED || event.len() > MAX_SHAPE {
            return;
        }
        self.learned += 1;
        self.before.clear();
        let Some((before, behind, end)) = shape(event, data, output) else { return };
        self.end.clear();
        self.end.extend_from_slice(end);
        self.behind.clear();
        self.behind.extend_from_slice(behind);
        self.before.extend_from_slice(before);
    }
}

/// What stands around the output and the padding.
fn shape<'e>(event: &'e [u8], data: &[u8], output: u64) -> Option<(&'e [u8], &'e [u8], &'e [u8])> {
    // The data stands last, and the line feed at the end leaves no doubt that this is it.
    let ends = event.iter().rev().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
    let (lines, line_ends) = event.split_at_checked(event.len() - ends)?;
    let at = lines.len().checked_sub(data.len())?;
    if !lines.ends_with(data) || !line_ends.ends_with(b"\n") {
        return None;
    }
    // In what is no JSON, a string is no string, and what stands around it may tell anything.
    let _: IgnoredAny = serde_json::from_slice(data).ok()?;
    let (name, found) = NAMES.iter().find_map(|name| Some((name, memmem::rfind(data, name)?)))?;
    let (before, rest) = event.split_at_checked(at + found + name.len())?;
    let (text, behind) = split_string(rest)?;
    if text.len() as u64 != output {
        return None;
    }
    let Some(padding) = memmem::rfind(behind, PADDING) else { return Some((before, behind, b"")) };
    let (behind, rest) = behind.split_at_checked(padding + PADDING.len())?;
    Some((before, behind, split_string(rest)?.1))
}

/// The JSON string in whose middle `bytes` begin, and what follows from its closing quote on. None
/// that holds a line's end, which would be an event's end too.
fn split_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (text, rest) = bytes.split_at_checked(string_end(bytes)?)?;
    let has_control = text.iter().min().is_some_and(|least| *least < b' ');
    if has_control { None } else { Some((text, rest)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(data: &str) -> String {
        format!("data: {data}\n\n")
    }

    fn learned(data: &str, output: u64) -> Template {
        let mut template = Template::default();
        template.learn(event(data).as_bytes(), data.as_bytes(), output);
        template
    }

    /// The output of an event; it has to be known from the first byte to the last.
    fn measure(template: &Template, data: &str) -> Option<usize> {
        let event = event(data);
        let known = template.measure([&event, "data: more"].concat().as_bytes())?;
        assert_eq!(known.length, event.len());
        assert_eq!(template.measure(&event.as_bytes()[..event.len() - 1]), None, "not whole");
        Some(known.output)
    }

    #[test]
    fn an_event_of_the_same_shape_is_measured() {
        let template = learned(r#"{"id":1,"delta":{"content":"abc"},"usage":null}"#, 3);
        let measure = |data| measure(&template, data);
        assert_eq!(measure(r#"{"id":1,"delta":{"content":""},"usage":null}"#), Some(0));
        assert_eq!(measure(r#"{"id":1,"delta":{"content":"a\"},\\"},"usage":null}"#), Some(7));
        assert_eq!(measure(r#"{"id":2,"delta":{"content":"abc"},"usage":null}"#), None);
        assert_eq!(measure(r#"{"id":1,"delta":{"content":"abc"},"usage":{}}"#), None);
        assert_eq!(measure(r#"{"id":1,"delta":{"content":"abc","x":""},"usage":null}"#), None);
        assert_eq!(measure(r#"{"id":1,"delta":{"content":"abc"#), None);
        assert_eq!(measure("{\"id\":1,\"delta\":{\"content\":\"a\n\nc\"},\"usage\":null}"), None);
    }

    #[test]
    fn padding_may_differ_and_nothing_else() {
        let template = learned(r#"{"delta":{"content":"abc"},"obfuscation":"x"}"#, 3);
        let measure = |data| measure(&template, data);
        assert_eq!(measure(r#"{"delta":{"content":"ab"},"obfuscation":"yz"}"#), Some(2));
        assert_eq!(measure(r#"{"delta":{"content":"ab"},"obfuscation":"yz","error":1}"#), None);
    }

    #[test]
    fn an_event_with_more_output_than_one_string_has_no_shape() {
        let data = r#"{"delta":{"refusal":"x","content":"abc"}}"#;
        assert_eq!(measure(&learned(data, 4), data), None);
        assert_eq!(measure(&learned("{}", 0), "{}"), None);
        assert_eq!(measure(&Template::default(), "{}"), None);
    }

    #[test]
    fn what_is_no_json_has_no_shape() {
        let data = r#"{"delta","text":"abc"}}"#;
        assert_eq!(measure(&learned(data, 3), data), None);
    }

    #[test]
    fn only_data_that_stands_last_is_learned() {
        let data = r#"{"delta":{"content":"abc"}}"#;
        for (event, learned) in [
            (format!("data:{data}\r\n\r\n"), true),
            (format!("event: x\ndata: {data}\n\n"), true),
            (format!("data: {data}\nid: 1\n\n"), false),
            (format!("data: {data}\r\r"), false),
        ] {
            let mut template = Template::default();
            template.learn(event.as_bytes(), data.as_bytes(), 3);
            let known = template.measure(event.as_bytes());
            let expected = learned.then_some(Known { length: event.len(), output: 3 });
            assert_eq!(known, expected, "{event:?}");
        }
    }

    #[test]
    fn a_stream_without_a_shape_is_given_up() {
        let mut template = Template::default();
        let data = |n| format!(r#"{{"n":{n},"delta":{{"content":"abc"}}}}"#);
        for n in 0..=MAX_LEARNED {
            assert_eq!(measure(&template, &data(n)), None);
            template.learn(event(&data(n)).as_bytes(), data(n).as_bytes(), 3);
        }
        assert_eq!(measure(&template, &data(MAX_LEARNED)), None, "not learned any more");
    }
}
