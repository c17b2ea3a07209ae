//! Bounded reading of single files, through buffers that are wiped.

use std::fs::{self, File, Metadata};
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::keys::Secret;

use super::letter::Finding;
use super::problem::{Problem, Trouble};
use super::value;

/// The longest entry of a Secret that is taken, in bytes: a service account's file is 2 to 3 KiB.
pub const MAX_ENTRY: usize = 64 * 1024;
/// The largest configuration or CA bundle that is read, in bytes: what a ConfigMap can hold.
pub const MAX_TEXT: usize = 1024 * 1024;
/// How often a place that changes while it is read is tried in one reading.
const ATTEMPTS: usize = 5;
/// The link that the kubelet swaps to replace a whole folder at once.
const DATA: &str = "..data";

/// Reads a file of text: a configuration, a CA bundle.
///
/// # Errors
/// When it cannot be read, is larger than [`MAX_TEXT`], or is not UTF-8.
pub fn read_text(path: &Path) -> Result<String, Problem> {
    read_bounded(path, MAX_TEXT)
}

/// Reads a file of text of at most `bound` bytes.
pub(super) fn read_bounded(path: &Path, bound: usize) -> Result<String, Problem> {
    let most = bound as u64;
    let read = settled(path, |file| {
        let mut bytes = Vec::new();
        file.take(most + 1).read_to_end(&mut bytes).map(|_| bytes)
    });
    let text = read.and_then(|bytes| {
        if bytes.len() > bound {
            return Err(Trouble::TooLarge(most));
        }
        String::from_utf8(bytes).map_err(|_| Trouble::NotText)
    });
    text.map_err(|trouble| Problem::new(path, trouble))
}

/// The lines of a file, however long it is, as they are read; a line that cannot be read says why.
///
/// # Errors
/// When it cannot be opened.
pub fn lines(path: &Path) -> Result<impl Iterator<Item = Result<String, String>>, Problem> {
    let file = File::open(path).map_err(|error| Problem::new(path, Trouble::from(error)))?;
    let mut reader = BufReader::new(file);
    Ok(std::iter::from_fn(move || {
        let mut line = String::new();
        let read = reader.by_ref().take(MAX_TEXT as u64).read_line(&mut line);
        match read {
            Ok(0) => None,
            Ok(_) => Some(Ok(line)),
            Err(error) => Some(Err(error.to_string())),
        }
    }))
}

/// Reads a file that holds one secret: the admin port's token. White space around it is taken off.
///
/// # Errors
/// When it cannot be read, or holds nothing that could be one.
pub fn read_secret(path: &Path) -> Result<Secret, Problem> {
    let mut buffer = Buffer::new(MAX_ENTRY);
    let bytes = buffer.fill(path).map_err(|trouble| Problem::new(path, trouble))?;
    let entry = value::entry("", bytes);
    let trouble = match entry.findings.first() {
        Some(Finding::Empty) => Trouble::Empty,
        Some(Finding::TooLong) => Trouble::TooLarge(MAX_ENTRY as u64),
        _ => Trouble::NotText,
    };
    entry.value.and_then(Arc::into_inner).ok_or_else(|| Problem::new(path, trouble))
}

/// A buffer of fixed size that is wiped, so that no half of a secret stays behind in memory that
/// grew.
#[derive(Debug)]
pub(super) struct Buffer(Zeroizing<Vec<u8>>);

impl Buffer {
    /// Room for `bound` bytes, and one more to see that a file is larger.
    pub(super) fn new(bound: usize) -> Self {
        Self(Zeroizing::new(vec![0; bound + 1]))
    }

    /// What the file holds: no more than the buffer has room for, and never half of a change.
    pub(super) fn fill(&mut self, path: &Path) -> Result<&[u8], Trouble> {
        let filled = settled(path, |file| fill(file, &mut self.0))?;
        Ok(self.0.get(..filled).unwrap_or_default())
    }
}

/// Has `read` read the file, again if it was written meanwhile.
fn settled<T>(path: &Path, mut read: impl FnMut(&mut File) -> io::Result<T>) -> Result<T, Trouble> {
    // A pipe would be waited for without end.
    if !fs::metadata(path)?.is_file() {
        return Err(Trouble::NotAFile);
    }
    for _ in 0..ATTEMPTS {
        let mut file = File::open(path)?;
        let before = version(&file.metadata()?);
        let result = read(&mut file)?;
        if version(&file.metadata()?) == before {
            return Ok(result);
        }
    }
    Err(Trouble::Unsettled)
}

fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Tells one state of a file from another without reading it.
pub(super) fn version(metadata: &Metadata) -> [i64; 5] {
    let number = |number: u64| number.cast_signed();
    [
        number(metadata.dev()),
        number(metadata.ino()),
        number(metadata.size()),
        metadata.mtime(),
        metadata.mtime_nsec(),
    ]
}

/// Which version of its content the kubelet has put behind `folder`; `None` for a plain folder.
pub(super) fn generation(folder: &Path) -> Result<Option<PathBuf>, Trouble> {
    match fs::read_link(folder.join(DATA)) {
        Ok(target) => Ok(Some(target)),
        // No such link, or a plain file of that name.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) => {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Has `read` read the folder in which the content of `folder` really is, again if another took its
/// place meanwhile: what is returned is all of one version.
pub(super) fn in_one_generation<T>(
    folder: &Path,
    mut read: impl FnMut(&Path) -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    for _ in 0..ATTEMPTS {
        let before = generation(folder)?;
        let result = match &before {
            Some(target) => read(&folder.join(target)),
            None => read(folder),
        };
        if generation(folder)? == before {
            return result;
        }
    }
    Err(Trouble::Unsettled)
}

/// The names in a folder, sorted, without those that begin with `..`, which are the kubelet's own,
/// and those that are not UTF-8, which Kubernetes does not know; no more than `bound`.
pub(super) fn names(folder: &Path, bound: usize) -> Result<Names, Trouble> {
    let mut names = Vec::new();
    let mut cut = false;
    for entry in fs::read_dir(folder)? {
        let Ok(name) = entry?.file_name().into_string() else { continue };
        if name.starts_with("..") {
            continue;
        }
        cut = names.len() == bound;
        if cut {
            break;
        }
        names.push(name);
    }
    names.sort_unstable();
    Ok(Names { names, cut })
}

/// What [`names`] found.
#[derive(Debug)]
pub(super) struct Names {
    /// The names, sorted.
    pub(super) names: Vec<String>,
    /// Whether there were more than the bound.
    pub(super) cut: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_up_to_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bundle.pem");
        fs::write(&path, vec![b'a'; MAX_TEXT]).unwrap();
        assert_eq!(read_text(&path).unwrap().len(), MAX_TEXT);
        fs::write(&path, vec![b'a'; MAX_TEXT + 1]).unwrap();
        assert_eq!(read_text(&path).unwrap_err().trouble, Trouble::TooLarge(MAX_TEXT as u64));
        fs::write(&path, b"\xff").unwrap();
        assert_eq!(read_text(&path).unwrap_err().trouble, Trouble::NotText);
    }

    #[test]
    fn an_error_names_the_path_the_systems_reason_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let missing = read_text(&folder.path().join("x.pem")).unwrap_err().to_string();
        assert!(missing.contains("x.pem is not there; create it"), "{missing}");
        let file = folder.path().join("file");
        fs::write(&file, "sk-secret").unwrap();
        let below = read_text(&file.join("x")).unwrap_err().to_string();
        assert!(below.contains("file/x cannot be read: Not a directory"), "{below}");
        assert_eq!(read_text(folder.path()).unwrap_err().trouble, Trouble::NotAFile);
    }

    #[test]
    fn a_token_is_read_without_its_newline_and_never_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "token-1\n").unwrap();
        assert_eq!(read_secret(file.path()).unwrap().expose(), "token-1");
        fs::write(file.path(), b"token\x00").unwrap();
        assert!(!format!("{:?}", read_secret(file.path())).contains("token\\"));
        fs::write(file.path(), "\n").unwrap();
        assert!(read_secret(file.path()).is_err());
    }
}
