//! The model basin: providers as they behave, in virtual time and as a server.
//!
//! [`meter`] and [`bucket`] are pure: what a provider lets through, as a function of the time handed
//! in. The server around them answers over HTTP as OpenAI, Azure OpenAI, Anthropic and Gemini do, as
//! strictly, with their headers, errors and faults. It shares no reader with the rooms it is there to
//! test.

pub mod bucket;
pub mod meter;
