//! Images without a registry: an OCI archive around files of this machine.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::parts::run;

/// Keyweir as it was just built. Its libraries come along, for a binary of the tests is no static one.
pub(crate) const KEYWEIR: &str = "docker.io/test/keyweir:test";
/// A shell and what goes with it.
pub(crate) const BUSYBOX: &str = "docker.io/test/busybox:test";

/// Writes Keyweir's image below a folder.
pub(crate) fn keyweir(folder: &Path) -> PathBuf {
    let binary = env!("CARGO_BIN_EXE_keyweir");
    let root = folder.join("keyweir");
    fs::create_dir_all(&root).expect("make a folder");
    run(Command::new("strip").arg("-o").arg(root.join("keyweir")).arg(binary));
    for line in run(Command::new("ldd").arg(binary)).lines() {
        let Some(path) = line.split_whitespace().find(|word| word.starts_with('/')) else {
            continue;
        };
        let copy = root.join(path.trim_start_matches('/'));
        fs::create_dir_all(copy.parent().expect("a folder")).expect("make a folder");
        fs::copy(path, copy).expect("copy a library");
    }
    archive(folder, KEYWEIR, &json!({"Entrypoint": ["/keyweir"], "User": "65532:65532"}))
}

/// Writes busybox's image below a folder.
pub(crate) fn busybox(folder: &Path) -> PathBuf {
    let root = folder.join("busybox/bin");
    fs::create_dir_all(&root).expect("make a folder");
    let found = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|it| Path::new(it).exists());
    let found = found.expect("There is no busybox: Debian has it in the package busybox-static");
    fs::copy(found, root.join("busybox")).expect("copy it");
    run(Command::new(found).args(["--install", "-s"]).arg(&root));
    for link in fs::read_dir(&root).expect("list a folder") {
        let path = link.expect("list a folder").path();
        if path.is_symlink() {
            fs::remove_file(&path).expect("remove a link");
            std::os::unix::fs::symlink("busybox", &path).expect("make a link");
        }
    }
    archive(folder, BUSYBOX, &json!({"Entrypoint": ["/bin/sleep", "2147483647"]}))
}

/// One layer, and what runs in it.
fn archive(folder: &Path, name: &str, config: &Value) -> PathBuf {
    let short = name.rsplit('/').next().and_then(|it| it.split(':').next()).expect("a name");
    let image = folder.join(format!("{short}-image"));
    let blobs = image.join("blobs/sha256");
    fs::create_dir_all(&blobs).expect("make a folder");
    let layer = image.join("layer");
    let mut tar = Command::new("tar");
    tar.args(["--owner=0", "--group=0", "--numeric-owner", "-cf"]).arg(&layer).arg("-C");
    run(tar.arg(folder.join(short)).arg("."));
    let bytes = fs::read(&layer).expect("read it");
    fs::remove_file(layer).expect("remove it");
    let blob = |bytes: &[u8], kind: &str| {
        let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
        let hex = digest.as_ref().iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("a string takes it");
            hex
        });
        fs::write(blobs.join(&hex), bytes).expect("write a blob");
        json!({"mediaType": format!("application/vnd.oci.image.{kind}"),
            "digest": format!("sha256:{hex}"), "size": bytes.len()})
    };
    let layer = blob(&bytes, "layer.v1.tar");
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let config = json!({"architecture": architecture, "os": "linux", "config": config,
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}});
    let config = blob(config.to_string().as_bytes(), "config.v1+json");
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer],
        "mediaType": "application/vnd.oci.image.manifest.v1+json"});
    let mut manifest = blob(manifest.to_string().as_bytes(), "manifest.v1+json");
    manifest["annotations"] = json!({"io.containerd.image.name": name});
    let index = json!({"schemaVersion": 2, "manifests": [manifest]}).to_string();
    fs::write(image.join("index.json"), index).expect("write it");
    fs::write(image.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#).expect("write it");
    let archive = folder.join(format!("{short}.tar"));
    run(Command::new("tar").arg("-cf").arg(&archive).arg("-C").arg(&image).arg("."));
    archive
}
