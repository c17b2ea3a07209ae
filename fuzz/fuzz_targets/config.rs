//! Any two texts as configuration: reading, compiling and reporting never panic and always end.

#![no_main]

use keyweir::config::{Source, check, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|texts: (&str, &str)| {
    let (base, team) = texts;
    let sources = [("base", base), ("team", team)];
    let sources = sources.map(|(name, text)| Source { name: name.into(), text: text.into() });
    let outcome = read(&sources, None);
    check::text(&outcome);
    check::json(&outcome);
    assert_eq!(outcome.config.is_none(), outcome.has_mistakes());
});
