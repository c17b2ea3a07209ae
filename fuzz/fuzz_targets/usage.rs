//! Whole answers: any body is read for its usage, whatever it holds.
#![no_main]

use keyweir::formats::{Dialect, PathFacts, read_usage};

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    for (wire, endpoint) in keyweir_fuzz::ENDPOINTS {
        for dialect in [Dialect::Generic, Dialect::Xai] {
            let _usage = read_usage(&PathFacts::of(endpoint, wire), dialect, body);
        }
    }
});
