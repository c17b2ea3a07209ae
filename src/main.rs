//! The doorbell: parse the arguments, call one room, map to an exit code.

fn main() {}
