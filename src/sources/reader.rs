//! One reading of every place.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::config::used::ENVIRONMENT;

use super::files::{Buffer, MAX_ENTRY, in_one_generation, names, read_text};
use super::letter::{Entry, Letter, Secrets, Text};
use super::problem::{Problem, Trouble};
use super::{CONFIG_ENTRY, DEFAULT_SECRET, Environment, Places, value};

/// The most Secrets that are read.
pub(super) const MAX_SECRETS: usize = 256;
/// The most entries of one Secret that are read: four times the largest pool that is aimed at.
pub(super) const MAX_ENTRIES: usize = 1024;
/// The most bytes of one Secret that are read, and what Kubernetes allows.
const MAX_SECRET: usize = 1024 * 1024;

/// Reads all places; where one cannot be read for the moment, `previous` stands in.
pub(super) fn read(places: &Places, previous: Option<&Letter>) -> Letter {
    let mut problems = Vec::new();
    let texts = places.configs.iter().filter_map(|path| text(path, previous, &mut problems));
    let texts = texts.collect();
    let mut secrets = Secrets::default();
    if let Some(root) = &places.secrets {
        let previous = previous.map(|letter| &letter.secrets);
        let environment = &places.environment;
        let buffer = Buffer::new(MAX_ENTRY);
        let found = Vec::new();
        let mut reader = Reader { environment, previous, buffer, found, problems: Vec::new() };
        reader.read(root);
        reader.found.into_iter().for_each(|(secret, entries)| secrets.add(&secret, entries));
        problems.append(&mut reader.problems);
    }
    let variables = places.environment.entries();
    if !variables.is_empty() {
        secrets.add(ENVIRONMENT, variables.iter().cloned());
    }
    secrets.note_duplicates();
    Letter { texts, secrets, problems }
}

/// The file in which the configuration of a place is: the place itself, or its entry in a folder.
pub(super) fn config_file(place: &Path) -> PathBuf {
    if place.is_dir() { place.join(CONFIG_ENTRY) } else { place.to_owned() }
}

fn text(place: &Path, previous: Option<&Letter>, problems: &mut Vec<Problem>) -> Option<Text> {
    let file = config_file(place);
    let name = shown(&file);
    match read_text(&file) {
        Ok(text) => Some(Text { name, text: text.into() }),
        Err(problem) => {
            let passing = problem.trouble.is_passing();
            problems.push(problem);
            // A folder that cannot be reached does not look like one.
            let names = [shown(place), shown(&place.join(CONFIG_ENTRY))];
            let earlier = previous?.texts.iter().find(|text| names.contains(&text.name));
            earlier.filter(|_| passing).cloned()
        }
    }
}

fn shown(path: &Path) -> Box<str> {
    path.display().to_string().into()
}

/// Reads the folder of Secrets.
struct Reader<'a> {
    environment: &'a Environment,
    previous: Option<&'a Secrets>,
    buffer: Buffer,
    found: Vec<(String, Vec<Entry>)>,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn read(&mut self, root: &Path) {
        // All Secrets may be one projected volume, which is swapped at once.
        let read = in_one_generation(root, |real| {
            self.found.clear();
            self.problems.clear();
            self.read_root(root, real)
        });
        if let Err(trouble) = read {
            self.found.clear();
            if trouble.is_passing() {
                let earlier = self.previous.into_iter().flat_map(Secrets::iter);
                let earlier = earlier.filter(|(secret, _)| *secret != ENVIRONMENT);
                self.found = earlier.map(|(name, held)| (name.to_owned(), held.to_vec())).collect();
            }
            self.problems.push(Problem::new(root, trouble));
        }
    }

    fn read_root(&mut self, root: &Path, real: &Path) -> Result<(), Trouble> {
        let listed = names(real, MAX_SECRETS)?;
        if listed.cut {
            self.problems.push(Problem::new(root, Trouble::TooMany(MAX_SECRETS)));
        }
        for name in listed.names {
            let real = real.join(&name);
            let shown = root.join(&name);
            match fs::metadata(&real) {
                Ok(metadata) if !metadata.is_dir() => {
                    self.problems.push(Problem::new(&shown, Trouble::Stray));
                }
                // A link that leads nowhere is a Secret that is being taken away.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Ok(_) | Err(_) => self.read_secret(&shown, &real, name),
            }
        }
        Ok(())
    }

    fn read_secret(&mut self, folder: &Path, real: &Path, name: String) {
        let before = self.problems.len();
        let found = in_one_generation(real, |real| {
            self.problems.truncate(before);
            self.read_entries(folder, real, &name)
        });
        let entries = match found {
            Ok(entries) => entries,
            Err(Trouble::Missing) => return,
            Err(trouble) => {
                self.problems.push(Problem::new(folder, trouble));
                let Some(earlier) = self.previous.and_then(|secrets| secrets.entries(&name)) else {
                    return;
                };
                earlier.to_vec()
            }
        };
        self.found.push((name, entries));
    }

    fn read_entries(
        &mut self,
        folder: &Path,
        real: &Path,
        secret: &str,
    ) -> Result<Vec<Entry>, Trouble> {
        let listed = names(real, MAX_ENTRIES)?;
        if listed.cut {
            self.problems.push(Problem::new(folder, Trouble::TooMany(MAX_ENTRIES)));
        }
        let mut entries = Vec::with_capacity(listed.names.len());
        let mut room = MAX_SECRET;
        for name in listed.names {
            match self.buffer.fill(&real.join(&name)) {
                Ok(bytes) if bytes.len() > room => {
                    self.problems.push(Problem::new(folder, Trouble::TooLarge(MAX_SECRET as u64)));
                    break;
                }
                Ok(bytes) => {
                    room -= bytes.len();
                    if secret == DEFAULT_SECRET && self.environment.knows(&name) {
                        entries.extend(value::list(&name, bytes));
                    } else {
                        entries.push(value::entry(&name, bytes));
                    }
                }
                // A folder is no entry, and what is gone since it was listed is none either.
                Err(Trouble::NotAFile | Trouble::Missing) => {}
                Err(trouble) => {
                    self.problems.push(Problem::new(&folder.join(&name), trouble));
                    entries.extend(self.earlier(secret, &name));
                }
            }
        }
        Ok(entries)
    }

    /// What an entry held at the previous reading, which is several keys for a list.
    fn earlier(&self, secret: &str, name: &str) -> impl Iterator<Item = Entry> {
        let held = self.previous.and_then(|secrets| secrets.entries(secret)).unwrap_or_default();
        let part_of_list = |entry: &Entry| {
            let nth = entry.name.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
            let is_nth = nth.is_some_and(|nth| nth.parse::<u32>().is_ok());
            is_nth && secret == DEFAULT_SECRET && self.environment.knows(name)
        };
        let belongs = |entry: &&Entry| *entry.name == *name || part_of_list(entry);
        held.iter().filter(belongs).cloned().collect::<Vec<_>>().into_iter()
    }
}

#[cfg(test)]
#[path = "reader/tests.rs"]
mod tests;
