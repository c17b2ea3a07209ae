//! The last words of a process that cannot start, where `kubectl describe pod` shows them.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

/// Where the kubelet mounts the file unless the pod says otherwise (`terminationMessagePath`).
pub const DEFAULT_PATH: &str = "/dev/termination-log";
/// What the kubelet reads of it at most, in bytes.
pub const MAX_MESSAGE: usize = 4096;

/// Leaves `message`, of which the beginning is kept if it is too long, in the file at `path`. A file
/// that is not there is not made, and that is no error: outside a pod nobody reads it.
///
/// # Errors
/// When the file is there and cannot be written.
pub fn leave(path: &Path, message: &str) -> io::Result<()> {
    let file = OpenOptions::new().write(true).truncate(true).open(path);
    match file {
        Ok(mut file) => file.write_all(bounded(message).as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// As many whole lines as fit, and how many did not.
fn bounded(message: &str) -> String {
    /// Room for the line that says how many are missing.
    const RESERVE: usize = 64;
    if message.len() <= MAX_MESSAGE {
        return message.into();
    }
    let kept = message.floor_char_boundary(MAX_MESSAGE - RESERVE);
    let (head, _) = message.split_at(kept);
    let whole = head.rfind('\n').map_or(head, |end| head.split_at(end).0);
    let missing = message.lines().count().saturating_sub(whole.lines().count());
    format!("{whole}\n... and more in the log ({missing} lines)\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_left_whole_and_replaces_an_earlier_one() {
        let file = tempfile::NamedTempFile::new().unwrap();
        leave(file.path(), "a longer first message").unwrap();
        leave(file.path(), "keyweir.yaml:3:5: unknown field\n").unwrap();
        let left = std::fs::read_to_string(file.path()).unwrap();
        assert_eq!(left, "keyweir.yaml:3:5: unknown field\n");
    }

    #[test]
    fn a_file_that_is_not_there_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("termination-log");
        leave(&path, "x").unwrap();
        assert!(!path.exists());
        assert!(leave(folder.path(), "x").is_err(), "a folder cannot be written");
    }

    #[test]
    fn a_long_message_is_cut_at_a_line_and_says_so() {
        let message = ["a mistake, äöü"; 500].join("\n");
        let left = bounded(&message);
        assert!(left.len() <= MAX_MESSAGE);
        let kept = left.lines().count() - 1;
        assert_eq!(left.lines().nth(kept - 1), message.lines().nth(kept - 1));
        assert!(left.ends_with(&format!("... and more in the log ({} lines)\n", 500 - kept)));
    }

    #[test]
    fn one_endless_line_is_cut_between_characters() {
        let left = bounded(&"ü".repeat(MAX_MESSAGE));
        assert!(left.len() <= MAX_MESSAGE && left.starts_with('ü'));
    }
}
