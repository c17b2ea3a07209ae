//! Signatures of reasoning: made by one provider, returned to it unchanged, worthless to others.
//!
//! A caller of another format gives them back where its own format keeps such things. There a foreign
//! seal says who made it, so that it is never shown to a provider that would refuse it.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

use super::json::Text;

/// Who made a seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// Anthropic: the `signature` of a `thinking` block.
    Anthropic,
    /// Anthropic: the `data` of a `redacted_thinking` block, which is all there is of it.
    AnthropicRedacted,
    /// Gemini: the `thoughtSignature` of any part.
    Gemini,
}

/// A signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal<'a> {
    /// Who made it.
    pub maker: Maker,
    /// As its maker writes it.
    pub value: Text<'a>,
}

impl Maker {
    const ALL: [Self; 3] = [Self::Anthropic, Self::AnthropicRedacted, Self::Gemini];

    const fn tag(self) -> &'static str {
        match self {
            Self::Anthropic => "keyweir.anthropic:",
            Self::AnthropicRedacted => "keyweir.anthropic-redacted:",
            Self::Gemini => "keyweir.gemini:",
        }
    }
}

impl<'a> Seal<'a> {
    /// The seal of that maker.
    pub fn new(maker: Maker, value: impl Into<Text<'a>>) -> Self {
        Self { maker, value: value.into() }
    }

    /// What stands in the field of `home`'s format: its own seals as they are, others with their
    /// maker's name.
    pub fn stamped(&self, home: Maker) -> Text<'_> {
        if self.maker == home {
            Cow::Borrowed(&self.value)
        } else {
            Cow::Owned([self.maker.tag(), &self.value].concat())
        }
    }

    /// What stands in a field of a format whose provider makes no seals of these kinds.
    pub fn marked(&self) -> String {
        [self.maker.tag(), &self.value].concat()
    }

    /// Reads what stands in such a field; `None` for what that provider put there itself.
    pub fn foreign(text: Text<'a>) -> Option<Self> {
        let known = Maker::ALL.into_iter().any(|maker| text.starts_with(maker.tag()));
        known.then(|| Self::unstamped(Maker::Gemini, text))
    }

    /// Reads what stands in the field of `home`'s format.
    pub fn unstamped(home: Maker, text: Text<'a>) -> Self {
        let tagged = |maker: &Maker| text.starts_with(maker.tag());
        match Maker::ALL.into_iter().find(tagged) {
            None => Self { maker: home, value: text },
            Some(maker) => {
                let value = text.get(maker.tag().len()..).unwrap_or_default().to_owned();
                Self { maker, value: Cow::Owned(value) }
            }
        }
    }

    /// The same for Gemini's field, which is bytes in base64: its SDKs decode it.
    pub fn in_base64(&self) -> Text<'_> {
        if self.maker == Maker::Gemini {
            return Cow::Borrowed(&self.value);
        }
        Cow::Owned(STANDARD.encode([self.maker.tag(), &self.value].concat()))
    }

    /// Reads what stands in Gemini's field.
    pub fn of_base64(text: Text<'a>) -> Self {
        let engines = [STANDARD, URL_SAFE, STANDARD_NO_PAD, URL_SAFE_NO_PAD];
        // Nothing of Gemini's own decodes to our tag.
        let plain = engines.iter().find_map(|engine| engine.decode(text.as_bytes()).ok());
        let plain = plain.and_then(|plain| String::from_utf8(plain).ok());
        let foreign = plain.map(|plain| Self::unstamped(Maker::Gemini, Cow::Owned(plain)));
        match foreign.filter(|seal| seal.maker != Maker::Gemini) {
            Some(seal) => seal,
            None => Self { maker: Maker::Gemini, value: text },
        }
    }

    /// The same without anything borrowed.
    pub fn into_owned(self) -> Seal<'static> {
        Seal { maker: self.maker, value: Cow::Owned(self.value.into_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_comes_back_as_it_went_whatever_format_carried_it() {
        for maker in Maker::ALL {
            let seal = Seal::new(maker, "EqQB+/=");
            for home in Maker::ALL {
                assert_eq!(Seal::unstamped(home, seal.stamped(home)), seal);
            }
            assert_eq!(Seal::of_base64(seal.in_base64()), seal);
        }
    }

    #[test]
    fn a_provider_s_own_seal_is_passed_as_it_is() {
        assert_eq!(Seal::new(Maker::Gemini, "c2ln").in_base64(), "c2ln");
        assert_eq!(Seal::new(Maker::Anthropic, "Eq").stamped(Maker::Anthropic), "Eq");
    }
}
