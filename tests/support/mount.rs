//! A folder as the kubelet mounts a ConfigMap or a Secret: entries are links into `..data`, which is
//! itself a link to a dated folder and is replaced by one rename.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// One mounted object. The folder itself belongs to the caller.
#[derive(Debug)]
pub struct Mount {
    dir: PathBuf,
    generation: u32,
}

impl Mount {
    /// Mounts an object with these entries at `dir`, which is made if need be.
    pub fn new<B: AsRef<[u8]>>(dir: impl Into<PathBuf>, entries: &[(&str, B)]) -> Self {
        let mut mount = Self { dir: dir.into(), generation: 0 };
        fs::create_dir_all(&mount.dir).expect("make the mount");
        mount.swap(entries);
        mount
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Replaces all entries at once, in the order of the kubelet's `AtomicWriter`: new folder, one
    /// rename of `..data`, links of new entries, then removal of stale links and the old folder.
    pub fn swap<B: AsRef<[u8]>>(&mut self, entries: &[(&str, B)]) {
        let old = fs::read_link(self.dir.join("..data")).ok();
        self.generation += 1;
        let new = format!("..2026_01_01_00_00_00.{:010}", self.generation);
        fs::create_dir(self.dir.join(&new)).expect("make the new folder");
        for (name, content) in entries {
            fs::write(self.dir.join(&new).join(name), content).expect("write an entry");
        }
        symlink(&new, self.dir.join("..data_tmp")).expect("link the new folder");
        fs::rename(self.dir.join("..data_tmp"), self.dir.join("..data")).expect("swap");
        self.link_entries(&entries.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        if let Some(old) = old {
            fs::remove_dir_all(self.dir.join(old)).expect("remove the old folder");
        }
    }

    fn link_entries(&self, names: &[&str]) {
        for name in names {
            let link = self.dir.join(name);
            if link.symlink_metadata().is_err() {
                symlink(Path::new("..data").join(name), link).expect("link an entry");
            }
        }
        for entry in fs::read_dir(&self.dir).expect("list the mount") {
            let name = entry.expect("read the mount").file_name();
            let name = name.to_str().expect("names are UTF-8");
            if !name.starts_with("..") && !names.contains(&name) {
                fs::remove_file(self.dir.join(name)).expect("remove a stale link");
            }
        }
    }
}

#[test]
fn a_swap_replaces_every_entry_through_one_link() {
    let dir = tempfile::tempdir().unwrap();
    let mut mount = Mount::new(dir.path().join("m"), &[("a", "1"), ("b", "1")]);
    mount.swap(&[("b", "2"), ("c", "2")]);
    let read = |name: &str| fs::read_to_string(mount.path().join(name)).ok();
    assert_eq!((read("a"), read("b"), read("c")), (None, Some("2".into()), Some("2".into())));
    let folders = fs::read_dir(mount.path()).unwrap().filter(|entry| {
        entry.as_ref().is_ok_and(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
    });
    assert_eq!(folders.count(), 1, "the old folder is gone");
}
