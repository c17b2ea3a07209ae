//! Cohere's chat, version 2, as a provider is asked it.

pub(super) mod answer_reader;
pub(super) mod request_writer;
pub(super) mod stream_reader;
