//! Bad input: each with a clear answer, and nobody else the worse for it.

mod framing;
mod providers;
mod requests;
mod secrets;
mod starts;
