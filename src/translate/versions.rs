//! What a model's name tells of what it takes, where a format leaves that to the model.

use crate::formats::Dialect;

/// A Claude by its version: `claude-sonnet-4-5`, `claude-3-5-haiku-latest`,
/// `us.anthropic.claude-opus-5-v1:0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Claude {
    major: u32,
    minor: u32,
}

impl Claude {
    /// The Claude of that name. One whose name tells no version is taken for a new one.
    pub(super) fn named(name: &str) -> Self {
        let after = name.rsplit("claude-").next().unwrap_or_default();
        let words = after.split(['-', '.', '@', ':']);
        // Dates are no versions.
        let numbers = words.filter_map(|word| word.parse().ok()).filter(|number| *number < 100);
        let mut numbers = numbers.fuse();
        match numbers.next() {
            Some(major) => Self { major, minor: numbers.next().unwrap_or(0) },
            None => Self { major: u32::MAX, minor: 0 },
        }
    }

    const fn is_from(self, major: u32, minor: u32) -> bool {
        self.major > major || self.major == major && self.minor >= minor
    }

    /// Whether it thinks at all (extended thinking guide: from 3.7 on).
    pub(super) const fn thinks(self) -> bool {
        self.is_from(3, 7)
    }

    /// Whether it decides itself how much to think (adaptive thinking guide: 4.6 on, and nothing else
    /// from 4.7 on).
    pub(super) const fn is_adaptive(self) -> bool {
        self.is_from(4, 6)
    }

    /// Whether it has to be told not to think.
    pub(super) const fn thinks_unless_told(self) -> bool {
        self.is_from(5, 0)
    }

    /// Whether temperature and the like may be other than the default ("What's new in Claude 4.7").
    pub(super) const fn takes_sampling(self) -> bool {
        !self.is_from(4, 7)
    }

    /// Whether its answer can be held to a schema (structured outputs guide: from 4.5 on).
    pub(super) const fn has_structured_output(self) -> bool {
        self.is_from(4, 5)
    }
}

/// Whether a Gemini is of the third generation or later: it takes a level of thinking instead of a
/// budget, and asks for its signatures back (Gemini 3 guide).
pub(super) fn is_gemini_3(name: &str) -> bool {
    let after = name.rsplit("gemini-").next().unwrap_or_default();
    let major: String = after.chars().take_while(char::is_ascii_digit).collect();
    major.parse::<u32>().is_ok_and(|major| major >= 3)
}

/// Whether the models behind a dialect are OpenAI's own.
pub(super) const fn is_openai_s(dialect: Dialect) -> bool {
    matches!(dialect, Dialect::OpenAi | Dialect::Azure)
}

/// Whether a model behind OpenAI's format takes `reasoning_effort`: of OpenAI's own the families that
/// reason; of others only they know, and they are told.
pub(super) fn reasons(dialect: Dialect, model: &str) -> bool {
    if !is_openai_s(dialect) {
        return true;
    }
    let model = own_name(model);
    let numbered = |rest: &str| rest.starts_with(|letter: char| letter.is_ascii_digit());
    let of_o = model.strip_prefix('o').is_some_and(numbered);
    let of_gpt = gpt(model).is_some_and(|(major, _)| major >= 5) && !model.contains("chat");
    of_o || of_gpt || model.starts_with("gpt-oss")
}

/// Whether a model of OpenAI's that reasons does so beside tools in its Responses only (community
/// reports of GPT-5.4 and later, 2026).
pub(super) fn reasons_without_tools(model: &str) -> bool {
    gpt(own_name(model)).is_some_and(|version| version >= (5, 4))
}

fn own_name(model: &str) -> &str {
    model.rsplit('/').next().unwrap_or(model)
}

/// The version of a GPT: `gpt-5.4-mini` is 5.4.
fn gpt(model: &str) -> Option<(u32, u32)> {
    let version = model.strip_prefix("gpt-")?.split('-').next()?;
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claude_s_name_tells_its_version() {
        for (name, major, minor) in [
            ("claude-sonnet-4-5", 4, 5),
            ("claude-sonnet-4-5-20250929", 4, 5),
            ("claude-opus-4-20250514", 4, 0),
            ("claude-3-5-haiku-latest", 3, 5),
            ("us.anthropic.claude-opus-5-v1:0", 5, 0),
            ("claude-fable-5-1", 5, 1),
        ] {
            assert_eq!(Claude::named(name), Claude { major, minor }, "{name}");
        }
        assert!(Claude::named("my-claude").is_adaptive(), "what is unknown is new");
    }

    #[test]
    fn a_name_tells_whether_a_model_reasons() {
        for (name, reasons_) in
            [("gpt-4o", false), ("gpt-5.1", true), ("o4-mini", true), ("gpt-5-chat-latest", false)]
        {
            assert_eq!(reasons(Dialect::OpenAi, name), reasons_, "{name}");
        }
        assert!(reasons_without_tools("gpt-6-sol") && !reasons_without_tools("gpt-5.1"));
        assert!(is_gemini_3("gemini-3.8-flash") && !is_gemini_3("gemini-2.5-pro"));
    }
}
