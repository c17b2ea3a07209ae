//! Helm and kubeconform, in their pinned versions.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The version that charts are rendered for: the test cluster's.
pub(crate) const KUBERNETES: &str = "1.34.4";

/// A file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The files of a folder, in order of their names.
pub(crate) fn files(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(repository(folder)).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|it| it == "yaml"));
    files.sort();
    files
}

/// What a script of `.ci` prints, a path.
pub(crate) fn script(name: &str, argument: &str) -> PathBuf {
    let mut script = Command::new(repository(".ci").join(name));
    let output = finish(script.arg(argument).current_dir(repository("")));
    assert!(output.status.success(), "{name} {argument}: {}", text(&output.stderr));
    text(&output.stdout).trim().into()
}

pub(crate) fn helm() -> Command {
    Command::new(script("go-tool", "helm"))
}

/// What helm makes of the chart with these values.
pub(crate) fn render(values: &Path, kubernetes: &str) -> Result<String, String> {
    let mut helm = helm();
    helm.args(["template", "keyweir", "--namespace", "keyweir", "--kube-version", kubernetes]);
    let output = finish(helm.arg(repository("charts/keyweir")).arg("--values").arg(values));
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

pub(crate) fn finish(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
