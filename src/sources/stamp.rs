//! Whether anything may have changed, without reading any content: names, links, sizes and times.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use super::Places;
use super::files::{generation, in_one_generation, names, version};
use super::reader::{MAX_ENTRIES, MAX_SECRETS, config_file};

/// Equal as long as nothing has changed, as far as names, links, sizes and times tell. A file
/// rewritten with the same size within the clock's grain escapes it, and not the folder watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp(u64);

impl Stamp {
    /// The stamp of all places as they are now.
    pub(super) fn of(places: &Places) -> Self {
        let mut hasher = DefaultHasher::new();
        for place in &places.configs {
            generation(place).ok().hash(&mut hasher);
            file(&config_file(place), &mut hasher);
        }
        if let Some(root) = &places.secrets {
            secrets(root, &mut hasher);
        }
        Self(hasher.finish())
    }
}

fn secrets(root: &Path, hasher: &mut DefaultHasher) {
    generation(root).ok().hash(hasher);
    let listed = in_one_generation(root, |real| names(real, MAX_SECRETS));
    let listed = listed.map(|listed| listed.names).map_err(|trouble| trouble.to_string());
    listed.hash(hasher);
    for name in listed.into_iter().flatten() {
        let secret = root.join(name);
        match generation(&secret) {
            // The kubelet never changes a version that it has put in place.
            Ok(Some(target)) => target.hash(hasher),
            _ => entries(&secret, hasher),
        }
    }
}

fn entries(secret: &Path, hasher: &mut DefaultHasher) {
    let listed = names(secret, MAX_ENTRIES).map_err(|trouble| trouble.to_string());
    match listed {
        Ok(listed) => listed.names.iter().for_each(|name| {
            name.hash(hasher);
            file(&secret.join(name), hasher);
        }),
        Err(trouble) => trouble.hash(hasher),
    }
}

fn file(path: &Path, hasher: &mut DefaultHasher) {
    fs::metadata(path).map(|it| version(&it)).map_err(|error| error.kind()).hash(hasher);
}
