//! What tells prompts apart by how they begin: a provider's prompt cache is asked for what comes
//! first, and that is the tools, then the system prompt, then the first turns, wherever the JSON has
//! them.

use super::key::Key;
use super::reader::Text;

/// Bytes of text that a prefix is told apart by: the smallest that any provider caches is 1,024 tokens
/// (OpenAI's, Anthropic's and Gemini's guides to caching).
const LENGTH: usize = 4_096;
/// Of the turns, the hash is known at each multiple of this.
const STEP: usize = 512;
const STEPS: usize = LENGTH / STEP;

/// The beginnings of a prompt's parts, hashed as they are read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Prefix {
    tools: Part,
    system: Part,
    turns: Part,
    within: Within,
}

/// What is read now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Within {
    #[default]
    Elsewhere,
    Tools,
    System,
    Turns,
}

#[derive(Clone, Copy, Debug, Default)]
struct Part {
    hash: u64,
    length: usize,
    /// The hash at each step.
    steps: [u64; STEPS],
}

impl Prefix {
    /// A member of the request begins.
    pub(super) const fn enter(&mut self, key: Key) {
        #[expect(clippy::wildcard_enum_match_arm, reason = "all others are no part of a prompt")]
        let within = match key {
            Key::Tools => Within::Tools,
            Key::System | Key::Instructions | Key::SystemInstruction => Within::System,
            Key::Messages | Key::Input | Key::Prompt | Key::Contents => Within::Turns,
            _ => Within::Elsewhere,
        };
        self.within = within;
    }

    /// A text of it was read.
    pub(super) fn add(&mut self, text: Text<'_>) {
        let part = match self.within {
            Within::Elsewhere => return,
            Within::Tools => &mut self.tools,
            Within::System => &mut self.system,
            Within::Turns => &mut self.turns,
        };
        if part.length < LENGTH {
            text.each_piece(|piece| part.add(piece));
        }
    }

    /// What tells it from others; `None` if there is less of it than any provider caches.
    pub(super) fn finish(&self) -> Option<u64> {
        let mut hash = 0;
        let mut missing = LENGTH;
        for part in [&self.tools, &self.system] {
            hash = mix(hash ^ part.hash);
            missing = missing.saturating_sub(part.length);
        }
        match missing.div_ceil(STEP).checked_sub(1) {
            None => Some(hash),
            Some(last) if self.turns.length >= (last + 1) * STEP => {
                Some(mix(hash ^ self.turns.steps.get(last)?))
            }
            Some(_) => None,
        }
    }
}

impl Part {
    fn add(&mut self, mut text: &[u8]) {
        while self.length < LENGTH && !text.is_empty() {
            let to_step = STEP - self.length % STEP;
            let (now, rest) = text.split_at(to_step.min(text.len()));
            self.hash = hash(self.hash, now);
            self.length += now.len();
            text = rest;
            if now.len() == to_step
                && let Some(step) = self.steps.get_mut(self.length / STEP - 1)
            {
                *step = self.hash;
            }
        }
    }
}

/// Eight bytes at a time, folded in by a multiplication; nothing secret rests on it.
fn hash(hash: u64, text: &[u8]) -> u64 {
    let (words, rest) = text.as_chunks();
    let hash = words.iter().fold(hash, |hash, word| mix(hash ^ u64::from_le_bytes(*word)));
    let mut last = [0; 8];
    for (byte, value) in last.iter_mut().zip(rest) {
        *byte = *value;
    }
    mix(hash ^ u64::from_le_bytes(last) ^ rest.len() as u64)
}

#[expect(clippy::cast_possible_truncation, reason = "both halves of the product are folded")]
fn mix(value: u64) -> u64 {
    let product = u128::from(value ^ 0x9e37_79b9_7f4a_7c15) * 0xa076_1d64_78bd_642f;
    (product >> 64) as u64 ^ product as u64
}
