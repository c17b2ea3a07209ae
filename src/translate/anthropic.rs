//! Anthropic's messages.

pub(super) mod answer_reader;
pub(super) mod answer_writer;
pub(super) mod request_reader;
pub(super) mod request_writer;
pub(super) mod stream_reader;
pub(super) mod stream_writer;
pub(super) mod usage;
