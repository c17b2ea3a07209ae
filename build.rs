//! Links what replaces musl's copying and comparing, where that is slow: see `src/musl.c`.

fn main() {
    println!("cargo::rerun-if-changed=src/musl.c");
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

/// What cargo tells of the target.
#[expect(clippy::disallowed_methods, reason = "that is how cargo tells it")]
fn is(name: &str, value: &str) -> bool {
    std::env::var(name).is_ok_and(|told| told == value)
}
