//! `docs/translation.md` is made of the table that the translators go by.

use std::fmt::Write;
use std::path::Path;

use keyweir::formats::Wire;
use keyweir::translate::losses::{Fate, LIMITS, OWN};

use keyweir::translate::TARGETS;

use crate::{WIRES, golden};

const HEAD: &str = include_str!("page.md");

const fn word(fate: Fate) -> &'static str {
    match fate {
        Fate::Refused => "refused",
        Fate::Dropped => "dropped",
        Fate::Reworded => "reworded",
    }
}

const fn title(wire: Wire) -> &'static str {
    match wire {
        Wire::OpenAi => "OpenAI's chat completions",
        Wire::Anthropic => "Anthropic's messages",
        Wire::Gemini => "Gemini's content",
        Wire::Cohere => "Cohere's chat",
        Wire::Ollama | Wire::Http => "",
    }
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("\n## What a format cannot be told\n");
    for to in TARGETS {
        write!(page, "\nInto {}:\n\n| field | fate | why |\n|---|---|---|\n", title(to)).unwrap();
        for limit in LIMITS.iter().filter(|limit| limit.to == to) {
            let mut names: Vec<_> = WIRES.iter().map(|wire| limit.feature.named(*wire)).collect();
            names.dedup();
            let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            let (fate, why) = (word(limit.fate), limit.why);
            writeln!(page, "| {} | {fate} | {why} |", names.join(", ")).unwrap();
        }
    }
    page.push_str("\n## Fields that one format alone has\n");
    for from in WIRES {
        write!(page, "\n{}:\n\n| field | fate | why |\n|---|---|---|\n", title(from)).unwrap();
        for own in OWN.iter().filter(|own| own.wire == from) {
            writeln!(page, "| `{}` | {} | {} |", own.field, word(own.fate), own.why).unwrap();
        }
    }
    page
}

#[test]
fn the_page_of_losses_is_that_of_the_table() {
    golden(&Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/translation.md"), &page());
}

#[test]
fn nothing_stands_twice_in_the_table() {
    let mut seen: Vec<_> = OWN.iter().map(|own| (own.wire, own.field)).collect();
    seen.sort_unstable();
    let all = seen.len();
    seen.dedup();
    assert_eq!(seen.len(), all);
    for (place, limit) in LIMITS.iter().enumerate() {
        let again =
            LIMITS[..place].iter().any(|it| it.feature == limit.feature && it.to == limit.to);
        assert!(!again, "{limit:?}");
    }
}
