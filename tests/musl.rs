//! The image's own copying and comparing do what the C library's do.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::Command;

/// Every size up to some turns of each loop, at every distance and alignment that matters.
#[test]
fn copying_and_comparing_are_the_c_library_s() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    let check = Path::new(env!("CARGO_TARGET_TMPDIR")).join("musl-check");
    let renamed =
        ["memcpy", "memmove", "memcmp", "bcmp"].map(|name| format!("-D{name}=our_{name}"));
    let object = check.with_extension("o");
    run(Command::new("cc")
        .args(["-O2", "-fno-builtin", "-fno-tree-loop-distribute-patterns", "-c", "-o"])
        .args([&object, &sources.join("src/musl.c")])
        .args(&renamed));
    run(Command::new("cc").args(["-O1", "-o"]).args([
        &check,
        &object,
        &sources.join("tests/musl.c"),
    ]));
    run(&mut Command::new(&check));
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
}
