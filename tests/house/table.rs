//! The table: every room in the order in which `src/lib.rs` lists them, whom it may import, and what
//! its walls keep out.

/// One room: a module directly below the crate's root.
pub(crate) struct Room {
    pub(crate) name: &'static str,
    /// The other rooms that it may name.
    pub(crate) doors: Doors,
    /// Whether it may read a clock, a socket, a random number, or log.
    pub(crate) kind: Kind,
}

pub(crate) enum Doors {
    /// These.
    To(&'static [&'static str]),
    /// Any but these: the rooms that wire others together.
    AllBut(&'static [&'static str]),
}

#[derive(PartialEq, Eq)]
pub(crate) enum Kind {
    /// Bytes, times and random numbers in, values out.
    Pure,
    /// Touches the world.
    Worldly,
}

/// A wall: a word of the source, as a path, and the rooms that may use it.
pub(crate) struct Wall {
    pub(crate) path: &'static str,
    pub(crate) allowed: &'static [&'static str],
    pub(crate) reason: &'static str,
}

use Doors::{AllBut, To};
use Kind::{Pure, Worldly};

pub(crate) const ROOMS: &[Room] = &[
    room("clock", Pure, To(&[])),
    room("cli", Worldly, AllBut(&[])),
    room("proxy", Worldly, AllBut(&["cli", "injector", "check", "demo", "simulator"])),
    room("lifecycle", Worldly, To(&["clock", "telemetry"])),
    room("serve", Worldly, To(&["clock", "lifecycle", "telemetry"])),
    room(
        "pipeline",
        Worldly,
        To(&[
            "clock",
            "lifecycle",
            // What a request is made of, not who serves it.
            "serve::Incoming",
            "serve::OnUpgrade",
            "callers",
            "formats",
            "limits",
            "keys",
            "routes",
            "translate",
            "cache",
            "upstream",
            "telemetry",
        ]),
    ),
    room("callers", Pure, To(&["clock", "formats", "limits"])),
    room("formats", Pure, To(&["clock"])),
    room("limits", Pure, To(&["clock", "formats"])),
    room("keys", Pure, To(&["clock", "formats", "limits"])),
    room("routes", Pure, To(&["clock", "formats"])),
    room("translate", Pure, To(&["formats"])),
    room("cache", Pure, To(&["clock", "formats"])),
    room("upstream", Worldly, To(&["clock", "formats", "keys", "lifecycle", "telemetry"])),
    room("telemetry", Worldly, To(&["clock", "formats"])),
    room(
        "admin",
        Worldly,
        To(&["clock", "formats", "limits", "keys", "serve", "lifecycle", "telemetry"]),
    ),
    // Of the rooms that it makes settings for, those settings.
    room(
        "config",
        Pure,
        To(&[
            "clock",
            "formats",
            "callers",
            "limits",
            "telemetry::AccessLog",
            "simulator::basin::draw",
            "simulator::basin::scenario",
            "simulator::meter",
        ]),
    ),
    room("sources", Worldly, To(&["clock", "keys", "config", "lifecycle", "telemetry"])),
    room(
        "injector",
        Worldly,
        To(&["clock", "config", "sources", "serve", "admin", "lifecycle", "telemetry"]),
    ),
    // Of `formats` the words only: it must not share the readers that it is there to test. In virtual
    // time it runs the very rack and scales that the proxy has.
    room(
        "simulator",
        Worldly,
        To(&[
            "clock",
            "callers::Per",
            "callers::Priority",
            "formats::Dialect",
            "formats::Dimension",
            "formats::Judgement",
            "formats::Pattern",
            "formats::Sample",
            "formats::Samples",
            "formats::Scope",
            "formats::Usage",
            "formats::Verdict",
            "formats::Wire",
            "limits",
            "keys",
        ]),
    ),
    room("check", Worldly, AllBut(&["cli", "demo", "pipeline", "proxy", "injector", "simulator"])),
    room("demo", Worldly, AllBut(&["cli", "check", "injector"])),
];

/// What a pure room must not name. A trailing `::` stands for everything below.
pub(crate) const IMPURE: &[&str] = &[
    "arc_swap::",
    "fastrand::",
    "getrandom::",
    "h2::",
    "hyper::",
    "hyper_rustls::",
    "hyper_util::",
    "k8s_openapi::",
    "kube::",
    "notify::",
    "prometheus::",
    "rand::",
    "rustls::",
    "socket2::",
    "tokio::",
    "tokio_rustls::",
    "tracing::",
    "tracing_appender::",
    "tracing_subscriber::",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::UdpSocket",
    "std::os::",
    "std::process::",
    "std::thread::",
];

/// What only some rooms may name.
pub(crate) const WALLS: &[Wall] = &[
    // The doors to the outside have timers of their own.
    // The simulated world has a clock of its own; what it models is handed the time.
    wall(
        "Instant::now",
        &["lifecycle", "upstream", "sources", "simulator"],
        "the time is handed in",
    ),
    wall("SystemTime::now", &["lifecycle"], "the time is handed in"),
    wall("Timestamp::now", &["lifecycle", "simulator"], "the time is handed in"),
    wall("Zoned::now", &["lifecycle"], "the time is handed in"),
    wall("serde_yaml::", &["config"], "YAML is read in one place"),
    wall("saphyr_parser::", &["config"], "YAML is read in one place"),
    wall("prometheus::", &["telemetry", "admin"], "others count through handles"),
    wall("arc_swap::", &["proxy"], "one room swaps snapshots; a request is lent one"),
    wall("notify::", &["sources"], "one room sees changes"),
    wall("kube::", &["sources", "injector"], "one room is the cluster's client"),
    wall(
        "rustls::",
        &["upstream", "injector", "sources"],
        "TLS is spoken at the back door, by the webhook, and to the cluster",
    ),
    wall(
        "tokio_rustls::",
        &["upstream", "injector"],
        "TLS is spoken at the back door, and by the webhook",
    ),
    wall("hyper_rustls::", &["sources"], "one room is the cluster's client"),
    wall("rcgen::", &["injector"], "certificates are made in one place"),
    wall("std::env::", &["sources"], "one room reads the environment"),
    // `lifecycle` writes the termination message.
    wall("std::fs::", &["sources", "lifecycle"], "one room reads files"),
    wall("tokio::fs::", &["sources"], "one room reads files"),
    wall("tokio::spawn", &["lifecycle", "upstream"], "tracked tasks are waited for"),
    wall(".expose", &["upstream"], "one room puts a credential on a request"),
];

/// What is no reading of environment or files, though it is spelled like it.
pub(crate) const HARMLESS: &[&str] = &["std::env::args", "std::env::args_os"];

const fn room(name: &'static str, kind: Kind, doors: Doors) -> Room {
    Room { name, doors, kind }
}

const fn wall(path: &'static str, allowed: &'static [&'static str], reason: &'static str) -> Wall {
    Wall { path, allowed, reason }
}
