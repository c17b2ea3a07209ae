//! Translation: any request is written or refused, any answer ends somehow, and how it is cut changes
//! nothing.
#![no_main]

use keyweir::formats::{Dialect, Wire};
use keyweir::translate::{Format, Plan, Target, Translation, WIRES, request};
use libfuzzer_sys::fuzz_target;

fn plan(from: Wire, to: Wire) -> Plan {
    Plan {
        from,
        to: Format::usual(to),
        stream: true,
        array: false,
        include_usage: true,
        choices: 1,
        created: 1,
        fresh: 2,
        response_id: "r".into(),
        model: "m".into(),
    }
}

fn told<'b>(from: Wire, to: Wire, kind: &str, pieces: impl Iterator<Item = &'b [u8]>) -> Vec<u8> {
    let mut translation = Translation::new(plan(from, to), 200, kind, "");
    let mut out = Vec::new();
    for piece in pieces {
        out.extend(translation.read(piece));
    }
    out.extend(translation.end().0);
    out
}

fuzz_target!(|data: &[u8]| {
    let (seed, body) = keyweir_fuzz::seeded(data);
    let from = WIRES[usize::from(seed) % WIRES.len()];
    for to in WIRES {
        for model in ["claude-sonnet-4-5", "gemini-3-pro", "o3"] {
            let target = Target { wire: to, dialect: Dialect::OpenAi, model };
            if let Ok(written) = request(Format::usual(from), false, body, &target) {
                assert!(written.body.starts_with(b"{"), "{written:?}");
            }
        }
        for kind in ["text/event-stream", "application/json"] {
            let whole = told(from, to, kind, std::iter::once(body));
            assert_eq!(told(from, to, kind, keyweir_fuzz::pieces(seed, body)), whole);
        }
    }
});
