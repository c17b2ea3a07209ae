//! Links what replaces musl's copying and comparing, where that is slow: see `src/musl.c`.

use std::env::var;

fn main() {
    println!("cargo::rerun-if-changed=src/musl.c");
    let is = |name: &str, value: &str| var(name).is_ok_and(|told| told == value);
    if !is("CARGO_CFG_TARGET_ENV", "musl") || !is("CARGO_CFG_TARGET_ARCH", "x86_64") {
        return;
    }
    // It is what `memcpy` calls would end in: none may be made of it.
    cc::Build::new()
        .file("src/musl.c")
        .opt_level(2)
        .flag("-fno-builtin")
        .flag_if_supported("-fno-tree-loop-distribute-patterns")
        .compile("keyweir_musl");
}
