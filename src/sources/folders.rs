//! The folders of all places, watched: a ring of the bell whenever something in them stirs.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fmt;
use std::path::{self, Path, PathBuf};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher, recommended_watcher};

use super::files::{in_one_generation, names};
use super::reader::MAX_SECRETS;
use super::{CONFIG_ENTRY, Places};

/// Watches folders, as far as the system lets it.
pub(super) struct Folders {
    watcher: Option<RecommendedWatcher>,
    interest: Interest,
    ring: Box<dyn Fn() -> Bell + Send>,
    warned: HashSet<PathBuf>,
}

/// What is called when something has stirred.
pub(super) type Bell = Box<dyn Fn() + Send>;

/// Whether all folders are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coverage {
    /// All are.
    Full,
    /// Some are missing, or the system's means are exhausted.
    Partial,
}

impl Folders {
    /// Nothing is watched yet; `ring` makes the bell that a watcher rings.
    pub(super) fn new(places: &Places, ring: impl Fn() -> Bell + Send + 'static) -> Self {
        let (interest, ring) = (Interest::of(places), Box::new(ring));
        Self { watcher: None, interest, ring, warned: HashSet::new() }
    }

    /// Watches what is there now. To be called after each reading, for folders come and go, and one
    /// that was replaced under its name must be watched anew; what is watched already stays so.
    pub(super) fn cover(&mut self, places: &Places) -> Coverage {
        let folders = folders(places);
        if folders.is_empty() {
            return Coverage::Full;
        }
        if self.watcher.is_none() {
            match self.watcher() {
                Ok(watcher) => self.watcher = Some(watcher),
                Err(error) => {
                    // inotify's instances, or file descriptors, are exhausted.
                    if self.warned.insert(PathBuf::new()) {
                        tracing::warn!(%error, "Folders cannot be watched and are polled every second");
                    }
                    return Coverage::Partial;
                }
            }
        }
        let mut coverage = Coverage::Full;
        for folder in folders {
            let Some(watcher) = &mut self.watcher else { continue };
            match watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => drop(self.warned.remove(&folder)),
                Err(error) => {
                    coverage = Coverage::Partial;
                    self.warn(&folder, &error);
                }
            }
        }
        coverage
    }

    fn watcher(&self) -> notify::Result<RecommendedWatcher> {
        let (interest, bell) = (self.interest.clone(), (self.ring)());
        recommended_watcher(move |event: notify::Result<Event>| {
            if event.as_ref().map_or(true, |event| interest.includes(event)) {
                bell();
            }
        })
    }

    /// Says once per folder, until it is watched, that it is not.
    fn warn(&mut self, folder: &Path, error: &notify::Error) {
        if self.warned.insert(folder.to_owned()) {
            let folder = folder.display();
            tracing::warn!(%folder, %error, "Folder cannot be watched and is polled every second");
        }
    }
}

impl fmt::Debug for Folders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Folders").field("interest", &self.interest).finish_non_exhaustive()
    }
}

/// The folders in which something may change, as they are now.
fn folders(places: &Places) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for place in &places.configs {
        let place = absolute(place);
        match place.parent() {
            Some(parent) if place.is_file() => folders.push(parent.to_owned()),
            _ => folders.push(place),
        }
    }
    if let Some(root) = &places.secrets {
        let root = absolute(root);
        let secrets = in_one_generation(&root, |real| names(real, MAX_SECRETS));
        let secrets = secrets.into_iter().flat_map(|listed| listed.names);
        let secrets: Vec<_> =
            secrets.map(|name| root.join(name)).filter(|it| it.is_dir()).collect();
        folders.push(root);
        folders.extend(secrets);
    }
    folders
}

/// The watcher speaks of absolute paths only.
fn absolute(path: &Path) -> PathBuf {
    path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// What is worth a look: a configuration may lie in a busy folder, and reading is itself an event.
#[derive(Clone, Debug)]
struct Interest {
    configs: Vec<PathBuf>,
    names: Vec<OsString>,
    secrets: Option<PathBuf>,
}

impl Interest {
    fn of(places: &Places) -> Self {
        let configs: Vec<_> = places.configs.iter().map(|place| absolute(place)).collect();
        let mut names: Vec<OsString> = vec!["..data".into(), CONFIG_ENTRY.into()];
        names.extend(configs.iter().filter_map(|place| Some(place.file_name()?.to_owned())));
        Self { configs, names, secrets: places.secrets.as_deref().map(absolute) }
    }

    fn includes(&self, event: &Event) -> bool {
        let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
        let changes = !event.kind.is_access() || event.kind == written;
        changes && (event.paths.is_empty() || event.paths.iter().any(|path| self.names(path)))
    }

    fn names(&self, path: &Path) -> bool {
        self.secrets.as_deref().is_some_and(|root| path.starts_with(root))
            || self.configs.iter().any(|config| config == path)
            || path.file_name().is_some_and(|name| self.names.iter().any(|it| it == name))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn reading_and_a_busy_neighbour_do_not_ring() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("my.yaml");
        fs::write(&config, "one").unwrap();
        let places = Places { configs: vec![config.clone()], ..Places::default() };
        let (rung, heard) = mpsc::channel();
        let mut folders = Folders::new(&places, move || {
            let rung = rung.clone();
            Box::new(move || rung.send(()).unwrap())
        });
        assert_eq!(folders.cover(&places), Coverage::Full);
        for _ in 0..20 {
            drop(places.read());
            fs::write(folder.path().join("neighbour.log"), "noise").unwrap();
        }
        // Events come in their order, so whatever the noise rings, it rings before this.
        fs::remove_file(&config).unwrap();
        heard.recv_timeout(Duration::from_secs(20)).unwrap();
        let further = heard.recv_timeout(Duration::from_millis(200));
        assert!(further.is_err(), "one ring for one change");
    }

    #[test]
    fn folders_that_are_missing_are_covered_in_part_and_once_they_are_there_in_full() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("secrets");
        let places = Places { secrets: Some(root.clone()), ..Places::default() };
        let mut folders = Folders::new(&places, || Box::new(|| ()));
        assert_eq!(folders.cover(&places), Coverage::Partial);
        fs::create_dir(&root).unwrap();
        assert_eq!(folders.cover(&places), Coverage::Full);
    }
}
