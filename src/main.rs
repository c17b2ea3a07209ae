//! The doorbell: parse the arguments, call one room, map to an exit code.

use std::process::ExitCode;

use clap::Parser;
use keyweir::cli::{self, Arguments};

/// musl's own allocator costs a multiple under load.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run(Arguments::parse())
}
