//! JSON that streams (arrays, lines) or does not: cut anywhere, the same is read, and every byte
//! passes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (seed, body) = keyweir_fuzz::seeded(data);
    keyweir_fuzz::read_both_ways("application/json", seed, body);
});
