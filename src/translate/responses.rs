//! OpenAI's responses, as callers ask for them. Providers are asked in formats of their own.

pub(super) mod answer_writer;
mod items;
pub(super) mod request_reader;
pub(super) mod stream_writer;
