//! The letterbox: the only reader of files and of the environment. It turns places into text and
//! secrets, and tells when either changes; what the text means is the rule book's business.
//!
//! A place is a folder as the kubelet mounts it (a swap of the `..data` link replaces all of it at
//! once), a plain folder or file on a laptop, or a variable. Places may be missing, and may come
//! later.

pub mod environment;
pub mod files;
mod folders;
pub mod letter;
pub mod problem;
mod reader;
pub mod shelf;
mod stamp;
#[cfg(test)]
mod testing;
mod value;
pub mod watch;

use std::path::PathBuf;

pub use environment::Environment;
pub use letter::{Entry, Finding, Letter, Secrets, Text};
pub use problem::{Problem, Trouble};
pub use shelf::Shelf;
pub use watch::{Pace, Prompter, Watch};

/// The entry of a ConfigMap, and the file in a folder, that holds the configuration.
pub const CONFIG_ENTRY: &str = "keyweir.yaml";

/// The Secret that is looked at where no configuration names one: its entries are named like the
/// environment's variables, and may hold lists as those do.
pub const DEFAULT_SECRET: &str = "keyweir-keys";

/// Where everything comes from.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Configuration: files, or folders that hold [`CONFIG_ENTRY`]; later ones merge over earlier.
    pub configs: Vec<PathBuf>,
    /// The folder that holds one folder per Secret, which holds one file per entry.
    pub secrets: Option<PathBuf>,
    /// The keys that the environment holds.
    pub environment: Environment,
}

impl Places {
    /// Reads every place as it is now.
    pub fn read(&self) -> Letter {
        reader::read(self, None)
    }

    /// Reads every place as it is now; what cannot be read for the moment (no file descriptor left,
    /// a permission lost, a swap that does not settle) stays as it was in `previous`, and a problem
    /// says so. What is gone is gone.
    pub fn read_again(&self, previous: &Letter) -> Letter {
        reader::read(self, Some(previous))
    }
}
