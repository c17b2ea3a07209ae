//! Requests, answers and streams from each wire format into the others: transcripts that were read by
//! people, and laws that hold for any.

#![cfg(test)]

mod golden;
mod laws;
mod page;

use std::path::Path;

use keyweir::formats::{Dialect, Wire};
use keyweir::translate::{Format, Plan, Target};

pub(crate) const WIRES: [Wire; 3] = keyweir::translate::WIRES;

/// The provider and model that each format's requests are written for.
pub(crate) fn target(wire: Wire) -> Target<'static> {
    let (dialect, model) = match wire {
        Wire::Anthropic => (Dialect::Anthropic, "claude-sonnet-4-5"),
        Wire::Gemini => (Dialect::Gemini, "gemini-3.8-flash"),
        Wire::Cohere => (Dialect::Cohere, "command-a-03-2025"),
        Wire::OpenAi | Wire::Ollama | Wire::Http => (Dialect::OpenAi, "gpt-4o"),
    };
    Target { wire, dialect, model }
}

pub(crate) fn plan(from: Wire, to: Wire, stream: bool) -> Plan {
    Plan {
        from,
        to: Format::usual(to),
        stream,
        array: false,
        include_usage: true,
        choices: 1,
        created: 1_763_600_000,
        fresh: 0xabcd,
        response_id: "resp_1".into(),
        model: "model".into(),
    }
}

/// Compares with what is kept in a file, or renews it.
pub(crate) fn golden(path: &Path, found: &str) {
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, found).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(found, expected, "{} (UPDATE=1 rewrites it)", path.display());
}
