//! Request bodies: what is read lies inside the body, and an edited body says what was wanted.
#![no_main]

use bytes::Bytes;
use keyweir::formats::{Facts, PathFacts, apply};

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    for (wire, endpoint) in keyweir_fuzz::ENDPOINTS {
        let path = PathFacts::of(endpoint, wire);
        let Ok(facts) = Facts::read(&path, body) else { continue };
        let rename = facts.rename("renamed");
        let edits: Vec<_> = rename.iter().chain(&facts.ask_usage).cloned().collect();
        let edited = apply(&Bytes::copy_from_slice(body), &edits);
        assert_eq!(edited.length, edited.pieces.concat().len() as u64);
        if !edits.is_empty() {
            let again =
                Facts::read(&path, &edited.pieces.concat()).expect("an edited body is readable");
            assert_eq!(again.ask_usage, None, "usage is asked for once");
            assert_eq!(rename.is_some(), again.model.as_deref() == Some("renamed"));
            assert_eq!((again.stream, again.max_output), (facts.stream, facts.max_output));
        }
    }
});
