//! Google's Gemini: `generateContent` and `streamGenerateContent`.

pub(super) mod answer_reader;
pub(super) mod answer_writer;
pub(super) mod request_reader;
pub(super) mod request_writer;
pub(super) mod schema;
pub(super) mod stream_reader;
pub(super) mod stream_writer;
pub(super) mod usage;

use std::borrow::Cow;

use super::json::Text;

/// A field's name as JSON has it: Google's servers take the snake case of its protocol buffers too.
pub(super) fn camel<'a>(name: &Text<'a>) -> Text<'a> {
    if !name.contains('_') {
        return name.clone();
    }
    let mut camel = String::with_capacity(name.len());
    let mut raise = false;
    for letter in name.chars() {
        match letter {
            '_' => raise = true,
            letter if std::mem::take(&mut raise) => camel.push(letter.to_ascii_uppercase()),
            letter => camel.push(letter),
        }
    }
    Cow::Owned(camel)
}

/// An object with its names in camel case.
pub(super) fn camels(object: super::json::Object<'_>) -> super::json::Object<'_> {
    object.into_iter().map(|(name, value)| (camel(&name), value)).collect()
}
