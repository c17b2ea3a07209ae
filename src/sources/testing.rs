//! Folders that change as the kubelet changes them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder written like the kubelet's `AtomicWriter` writes it: a dated folder with the content, to
/// which `..data` is swapped by renaming, and a link for each name that leads through `..data`.
#[derive(Debug)]
pub(super) struct Mount(PathBuf);

impl Mount {
    /// An empty folder.
    pub(super) fn new(path: &Path) -> Self {
        fs::create_dir_all(path).unwrap();
        Self(path.to_owned())
    }

    /// A folder with this content.
    pub(super) fn with(path: &Path, payload: &[(&str, &[u8])]) -> Self {
        let mount = Self::new(path);
        mount.write(payload);
        mount
    }

    /// Replaces the content. A name may lead into a folder (`secret/entry`).
    pub(super) fn write(&self, payload: &[(&str, &[u8])]) {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let nth = COUNT.fetch_add(1, Ordering::Relaxed);
        let dated = format!("..2026_01_31_12_00_00.{nth:09}");
        for (name, content) in payload {
            let path = self.0.join(&dated).join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        fs::create_dir_all(self.0.join(&dated)).unwrap();
        let (data, temporary) = (self.0.join("..data"), self.0.join("..data_tmp"));
        let old = fs::read_link(&data).ok();
        symlink(&dated, &temporary).unwrap();
        fs::rename(&temporary, &data).unwrap();
        self.link(payload);
        if let Some(old) = old {
            fs::remove_dir_all(self.0.join(old)).unwrap();
        }
    }

    fn link(&self, payload: &[(&str, &[u8])]) {
        let tops: Vec<_> = payload.iter().filter_map(|(name, _)| name.split('/').next()).collect();
        for top in &tops {
            let link = self.0.join(top);
            if fs::symlink_metadata(&link).is_err() {
                symlink(Path::new("..data").join(top), link).unwrap();
            }
        }
        for entry in fs::read_dir(&self.0).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if !name.starts_with("..") && !tops.contains(&&*name) {
                fs::remove_file(self.0.join(name)).unwrap();
            }
        }
    }
}
