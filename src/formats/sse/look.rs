//! What an event means: most are a piece of output and are only measured; the few that tell more
//! are read.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Event;
use super::template::Template;
use crate::formats::skim::{Level, Skim};
use crate::formats::tally::Tally;

/// How a stream's events are to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::formats) enum Style {
    /// OpenAI's chat: nameless, many and small, nearly all of them a delta.
    Chat,
    /// OpenAI's Responses, Anthropic, Cohere: the name says which ones tell something.
    Named,
    /// Gemini and plain completions: each may tell something.
    Every,
    /// Anything else: those that speak of usage or errors.
    Loose,
}

impl Style {
    /// Whether a stream that ends without its last word, or a reason to end, was cut.
    pub(in crate::formats) const fn has_last_word(self) -> bool {
        !matches!(self, Self::Loose)
    }
}

/// What is looked for before JSON is read at all.
struct Needles {
    usage: Finder<'static>,
    finish: Finder<'static>,
    /// `"error":…` and `"finish_reason":"error"` alike.
    error: Finder<'static>,
    delta: Finder<'static>,
}

static NEEDLES: LazyLock<Needles> = LazyLock::new(|| Needles {
    usage: Finder::new(b"\"usage\""),
    finish: Finder::new(b"\"finish_reason\""),
    error: Finder::new(b"error\""),
    delta: Finder::new(b"\"delta\""),
});

/// Looks at whole events.
#[derive(Debug)]
pub(super) struct Looker {
    style: Style,
    skim: Skim,
    template: Template,
    usage_only: bool,
}

impl Looker {
    pub(super) fn new(style: Style) -> Self {
        Self {
            style,
            skim: Skim::new(Level::Top),
            template: Template::default(),
            usage_only: false,
        }
    }

    /// Makes it say which events carry usage and nothing else.
    pub(super) fn find_usage_only(&mut self) {
        self.usage_only = true;
    }

    /// Passes events that differ from an earlier one in nothing but their output, as many as come one
    /// after the other: their number, and their length together.
    pub(super) fn pass_known(&self, bytes: &[u8], tally: &mut Tally) -> (u64, usize) {
        let (mut events, mut end) = (0, 0);
        while let Some(known) = self.template.measure(bytes.get(end..).unwrap_or_default()) {
            events += 1;
            end += known.length;
            tally.text += known.output as u64;
        }
        (events, end)
    }

    /// Looks at one event, of which `raw` are all bytes; says whether it carries usage and nothing
    /// else, if that was asked for.
    pub(super) fn look(&mut self, raw: &[u8], event: &Event<'_>, tally: &mut Tally) -> bool {
        let (name, Some(data)) = (event.name, event.data.as_deref()) else { return false };
        if data.starts_with(b"[DONE]") {
            tally.done = true;
            return false;
        }
        match self.style {
            Style::Chat if !matters(data) => self.measure_and_learn(raw, data, tally),
            Style::Named if name == b"content_block_delta" => {
                self.measure_and_learn(raw, data, tally);
            }
            Style::Named if is_delta(name) => self.measure(data, tally),
            Style::Chat | Style::Every => {
                self.read(data, tally);
                return self.usage_only && is_usage_only(data);
            }
            Style::Named if name.is_empty() || tells(name) => {
                self.read(data, tally);
                self.judge(name, tally);
            }
            Style::Loose if has_value(&NEEDLES.usage, data) || has_error(data) => {
                self.read(data, tally);
            }
            Style::Named | Style::Loose => {}
        }
        false
    }

    /// What the name of an event that has been read says of the stream.
    pub(super) fn judge(&self, name: &[u8], tally: &mut Tally) {
        let kind = tally.kind.take();
        if self.style != Style::Named {
            return;
        }
        let name = if name.is_empty() { kind.as_deref().unwrap_or("").as_bytes() } else { name };
        match name {
            b"message_stop" | b"message-end" | b"response.completed" | b"response.incomplete" => {
                tally.done = true;
            }
            b"error" | b"response.failed" => tally.failed = true,
            _ => {}
        }
    }

    fn read(&mut self, data: &[u8], tally: &mut Tally) {
        self.skim.restart(Level::Top);
        self.skim.feed(data, tally);
    }

    fn measure_and_learn(&mut self, raw: &[u8], data: &[u8], tally: &mut Tally) {
        let before = tally.text;
        self.measure(data, tally);
        self.template.learn(raw, data, tally.text - before);
    }

    /// Counts the output in every delta of the event.
    fn measure(&mut self, data: &[u8], tally: &mut Tally) {
        let mut rest = data;
        while let Some(at) = NEEDLES.delta.find(rest) {
            rest = rest.get(at + NEEDLES.delta.needle().len()..).unwrap_or_default();
            let value = rest.iter().position(|byte| !matches!(byte, b' ' | b':'));
            rest = rest.get(value.unwrap_or(rest.len())..).unwrap_or_default();
            self.skim.restart(Level::Delta);
            self.skim.feed(rest, tally);
        }
    }
}

/// Whether an event of a chat tells more than a piece of output.
fn matters(data: &[u8]) -> bool {
    has_value(&NEEDLES.usage, data) || has_value(&NEEDLES.finish, data) || has_error(data)
}

fn has_error(data: &[u8]) -> bool {
    NEEDLES.error.find(data).is_some()
}

/// Whether that name stands there with a value other than `null`.
fn has_value(name: &Finder<'static>, data: &[u8]) -> bool {
    name.find_iter(data).any(|at| {
        let value = data.get(at + name.needle().len()..).unwrap_or_default();
        value.iter().find(|byte| !matches!(byte, b' ' | b':')).is_some_and(|&byte| byte != b'n')
    })
}

/// Whether events of that name carry a piece of output and nothing else.
fn is_delta(name: &[u8]) -> bool {
    name.ends_with(b".delta") || matches!(name, b"content_block_delta" | b"content-delta")
}

/// Whether events of that name tell usage, ids or an end.
fn tells(name: &[u8]) -> bool {
    matches!(
        name,
        b"message_start"
            | b"message_delta"
            | b"message_stop"
            | b"message-end"
            | b"error"
            | b"response.created"
            | b"response.completed"
            | b"response.incomplete"
            | b"response.failed"
    )
}

/// OpenAI's last chunk when usage was asked for: no choices, and a usage.
fn is_usage_only(data: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Chunk {
        choices: Option<Vec<IgnoredAny>>,
        usage: Option<IgnoredAny>,
        error: Option<IgnoredAny>,
    }
    serde_json::from_slice::<Chunk>(data).is_ok_and(|chunk| {
        let no_choices = chunk.choices.is_some_and(|choices| choices.is_empty());
        no_choices && chunk.usage.is_some() && chunk.error.is_none()
    })
}
