//! Instructions per request: a figure that no other load on the machine can change.

use std::path::PathBuf;

use crate::load::Connection;
use crate::run;
use crate::scenarios::Bench;
use crate::subject::Kind;

/// Requests before counting begins, and requests counted.
const WARM_UP: usize = 300;
const COUNTED: usize = 2000;

/// Counts, and says how to look at the profile.
pub(crate) async fn count(bench: &Bench) {
    let out = PathBuf::from("target/callgrind");
    drop(std::fs::remove_dir_all(&out));
    std::fs::create_dir_all(&out).expect("make a folder");
    let kind = Kind::Callgrind { binary: bench.binary.clone(), out: out.clone() };
    let subject = kind.start(bench.upstream).await;
    let pid = subject.id().to_string();
    let mut connection = Connection::open(subject.data).await;
    connection.timed_chats(WARM_UP).await;
    run("callgrind_control", &["--zero", &pid]);
    connection.timed_chats(COUNTED).await;
    run("callgrind_control", &["--dump", &pid]);
    let dump = out.join("callgrind.out.1");
    let total = instructions(&std::fs::read_to_string(&dump).expect("callgrind's dump"));
    println!("{} instructions per request", total / COUNTED);
    println!("callgrind_annotate --inclusive=yes --auto=no {}", dump.display());
}

/// The sum that callgrind ends its dump with.
fn instructions(dump: &str) -> usize {
    let line = dump
        .lines()
        .find_map(|line| line.strip_prefix("totals: ").or_else(|| line.strip_prefix("summary: ")));
    line.and_then(|total| total.trim().parse().ok()).expect("totals in callgrind's dump")
}
