//! Paths: any text is one, and a model's place lies inside it.
#![no_main]

use http::{HeaderMap, Method};
use keyweir::formats::{Wire, door, read_path};

libfuzzer_sys::fuzz_target!(|path: &str| {
    for method in [Method::GET, Method::POST, Method::DELETE] {
        for wire in Wire::ALL {
            let facts = read_path(wire, &method, path);
            assert_eq!(facts.model.is_some(), facts.model_range.is_some());
            assert!(facts.model_range.is_none_or(|range| path.get(range).is_some()));
        }
        if let Some(facts) = door(&method, path, &HeaderMap::new()) {
            assert!(path.trim_start_matches('/').starts_with("v1"), "{facts:?}");
        }
    }
});
