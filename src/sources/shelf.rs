//! The folder in which counts outlive the process: one small file, replaced whole or not at all.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::files;
use super::problem::{Problem, Trouble};

/// The counts.
const FILE: &str = "counts.json";
/// The same while they are written.
const FRESH: &str = "counts.json.new";
/// What could not be trusted.
const ASIDE: &str = "counts.json.bad";
/// Held by the process that the folder belongs to.
const LOCK: &str = "lock";
/// The largest file that is read, in bytes.
pub const LARGEST: usize = 16 * 1024 * 1024;
/// The first line, before the digest of all that follows.
const MAGIC: &str = "keyweir-counts 1 ";

/// A folder that holds the counts. It belongs to one process at a time.
#[derive(Debug)]
pub struct Shelf {
    folder: PathBuf,
    /// Held for as long as the process lives; `None` where the file system has no locks.
    _lock: Option<File>,
}

/// What was found in the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing: the first time.
    Nothing,
    /// The counts, as they were written.
    Counts(String),
    /// A file that is torn, foreign, or of another version. It was put aside, at that path.
    Distrusted(PathBuf),
}

impl Shelf {
    /// Takes a folder, made where there is none.
    ///
    /// # Errors
    /// When it cannot be made or written to, or belongs to another process.
    pub fn open(folder: &Path) -> Result<Self, Problem> {
        let problem = |error: io::Error| Problem::new(folder, unwritable(&error));
        fs::create_dir_all(folder).map_err(problem)?;
        let lock = File::create(folder.join(LOCK)).map_err(problem)?;
        let lock = match lock.try_lock() {
            Ok(()) => Some(lock),
            Err(TryLockError::WouldBlock) => return Err(Problem::new(folder, Trouble::Taken)),
            // Some network file systems have none.
            Err(TryLockError::Error(_)) => None,
        };
        Ok(Self { folder: folder.to_owned(), _lock: lock })
    }

    /// Reads the counts. A file that was not written here, whole, in this version is put aside and
    /// never trusted.
    ///
    /// # Errors
    /// When there is a file that can neither be read nor put aside.
    pub fn read(&self) -> Result<Found, Problem> {
        let path = self.folder.join(FILE);
        match files::read_bounded(&path, LARGEST) {
            Ok(text) => match unseal(&text) {
                Some(counts) => Ok(Found::Counts(counts.to_owned())),
                None => self.put_aside(),
            },
            Err(problem) if problem.trouble == Trouble::Missing => Ok(Found::Nothing),
            Err(problem) if problem.trouble.is_passing() => Err(problem),
            Err(_) => self.put_aside(),
        }
    }

    /// Puts the file aside, in the place of one that was put aside before.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn put_aside(&self) -> Result<Found, Problem> {
        let (path, aside) = (self.folder.join(FILE), self.folder.join(ASIDE));
        fs::rename(&path, &aside).map_err(|error| Problem::new(&path, unwritable(&error)))?;
        Ok(Found::Distrusted(aside))
    }

    /// Replaces the counts, so that whoever reads finds these or those before, whatever happens
    /// meanwhile. Blocks until they are on the disk.
    ///
    /// # Errors
    /// When the system refuses: those before stay.
    pub fn write(&self, counts: &str) -> io::Result<()> {
        let fresh = self.folder.join(FRESH);
        let mut file = File::create(&fresh)?;
        file.write_all(seal(counts).as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, self.folder.join(FILE))?;
        match File::open(&self.folder).and_then(|folder| folder.sync_all()) {
            // Not every file system syncs folders.
            Err(error) if error.kind() != ErrorKind::InvalidInput => Err(error),
            _ => Ok(()),
        }
    }
}

fn unwritable(error: &io::Error) -> Trouble {
    Trouble::Unwritable(error.to_string().into())
}

fn seal(counts: &str) -> String {
    format!("{MAGIC}{}\n{counts}", digest(counts))
}

fn unseal(text: &str) -> Option<&str> {
    let (sum, counts) = text.strip_prefix(MAGIC)?.split_once('\n')?;
    (sum == digest(counts)).then_some(counts)
}

fn digest(text: &str) -> String {
    use std::fmt::Write;

    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().fold(String::new(), |mut hex, byte| {
        // Writing to a `String` cannot fail.
        write!(hex, "{byte:02x}").unwrap_or_default();
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::tempdir;

    #[test]
    fn what_was_written_last_is_read_and_nothing_else_is_left_behind() {
        let folder = tempdir().unwrap();
        let shelf = Shelf::open(&folder.path().join("deep/er")).unwrap();
        assert_eq!(shelf.read(), Ok(Found::Nothing));
        shelf.write("{\"a\":1}").unwrap();
        shelf.write("{\"a\":2}\n").unwrap();
        assert_eq!(shelf.read(), Ok(Found::Counts("{\"a\":2}\n".to_owned())));
        let mut names: Vec<_> = fs::read_dir(folder.path().join("deep/er"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, [FILE, LOCK]);
    }

    #[test]
    fn a_torn_or_foreign_file_is_put_aside_and_never_read() {
        let folder = tempdir().unwrap();
        let path = folder.path().join(FILE);
        let shelf = Shelf::open(folder.path()).unwrap();
        let whole = seal("{\"used\":12}");
        let newer = whole.replacen(" 1 ", " 2 ", 1);
        let changed = whole.replacen("12", "13", 1);
        let torn = whole.get(..whole.len() - 1).unwrap().to_owned();
        for text in [String::new(), "{\"used\":12}".to_owned(), torn, changed, newer] {
            fs::write(&path, &text).unwrap();
            let aside = folder.path().join(ASIDE);
            assert_eq!(shelf.read(), Ok(Found::Distrusted(aside.clone())), "{text:?}");
            assert_eq!(fs::read_to_string(aside).unwrap(), text, "nothing of it is lost");
            assert_eq!(shelf.read(), Ok(Found::Nothing));
        }
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(matches!(shelf.read(), Ok(Found::Distrusted(_))), "not even text");
        fs::write(&path, whole).unwrap();
        assert!(matches!(shelf.read(), Ok(Found::Counts(_))));
    }

    #[test]
    fn what_is_half_written_when_the_process_ends_changes_nothing() {
        let folder = tempdir().unwrap();
        let shelf = Shelf::open(folder.path()).unwrap();
        shelf.write("old").unwrap();
        fs::write(folder.path().join(FRESH), "keyweir-counts 1 half").unwrap();
        assert_eq!(shelf.read(), Ok(Found::Counts("old".to_owned())));
        shelf.write("new").unwrap();
        assert_eq!(shelf.read(), Ok(Found::Counts("new".to_owned())));
    }

    #[test]
    fn a_folder_belongs_to_one_process_at_a_time() {
        let folder = tempdir().unwrap();
        let first = Shelf::open(folder.path()).unwrap();
        let problem = Shelf::open(folder.path()).unwrap_err();
        assert!(problem.to_string().contains("another process"), "{problem}");
        drop(first);
        assert!(Shelf::open(folder.path()).is_ok());
    }
}
