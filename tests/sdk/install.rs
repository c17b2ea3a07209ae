//! The SDKs as their package managers install them, and the suites run with them.
//!
//! What is installed is kept below the target folder until the pinned versions change.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use crate::world::World;

/// How long a suite may take on a busy machine, or an installation through a slow network. A single
/// test has a bound of its own, in `conftest.py` and below.
const PATIENCE: Duration = Duration::from_mins(15);

/// How long a single Node test may take, in milliseconds: no SDK may sleep for hours.
const NODE_TEST_MILLIS: &str = "60000";

/// The oldest Node that the pinned SDKs run on.
const NODE: u32 = 20;

/// Runs the Python tests in these folders against that world.
pub(crate) fn python(world: &World, folders: &[&str]) {
    static PYTHON: LazyLock<PathBuf> = LazyLock::new(virtual_environment);
    let mut pytest = Command::new(&*PYTHON);
    // Neither bytecode nor caches are left beside the sources.
    pytest
        .args(["-B", "-m", "pytest", "-q", "--durations=12"])
        .args(folders)
        .current_dir(suite("python"));
    run(world, &mut pytest);
}

/// Runs the Node tests in these folders against that world.
pub(crate) fn node(world: &World, folders: &[&str]) {
    static HOME: LazyLock<PathBuf> = LazyLock::new(node_modules);
    let files = folders.iter().flat_map(|folder| files(&suite("node").join(folder)));
    let files = files.map(|file| HOME.join(file.strip_prefix(suite("node")).expect("below it")));
    let mut node = Command::new("node");
    // One file at a time: what one breaks would hit the others.
    node.args(["--test", "--test-concurrency=1", "--test-timeout", NODE_TEST_MILLIS]);
    node.args(files).current_dir(&*HOME);
    run(world, &mut node);
}

fn suite(language: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk").join(language)
}

/// The interpreter of an environment that holds the pinned SDKs.
fn virtual_environment() -> PathBuf {
    let requirements = suite("python").join("requirements.txt");
    let home = scratch("sdk-python");
    let python = home.join("venv/bin/python");
    once(&home, &requirements, || {
        must(Command::new("python3").args(["-m", "venv", "--clear"]).arg(home.join("venv")));
        let pip = ["-m", "pip", "install", "-q", "--disable-pip-version-check", "-r"];
        must(Command::new(&python).args(pip).arg(&requirements));
    });
    python
}

/// A copy of the suite beside the pinned SDKs, away from the sources: Node looks for packages in the
/// folders above a file.
fn node_modules() -> PathBuf {
    let version = must(Command::new("node").arg("--version"));
    let major = version.trim_start_matches('v').split('.').next().and_then(|it| it.parse().ok());
    assert!(major >= Some(NODE), "The SDKs need Node {NODE} or newer, and this is {version}");
    let (suite, home) = (suite("node"), scratch("sdk-node"));
    once(&home, &suite.join("package-lock.json"), || {
        for name in ["package.json", "package-lock.json"] {
            fs::copy(suite.join(name), home.join(name)).expect("copy a package file");
        }
        let arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
        must(Command::new("npm").args(arguments).current_dir(&home));
    });
    for folder in ["", "across", "any", "direct", "proxy"] {
        fs::create_dir_all(home.join(folder)).expect("make a folder");
        for file in files(&suite.join(folder)) {
            let name = file.strip_prefix(&suite).expect("below it");
            fs::copy(&file, home.join(name)).expect("copy a test");
        }
    }
    home
}

/// Installs what `pins` asks for, unless that is done. Several test programs may come at once.
fn once(home: &Path, pins: &Path, install: impl FnOnce()) {
    let lock = File::create(home.join("lock")).expect("make a lock");
    lock.lock().expect("take the lock");
    let wanted = fs::read(pins).expect("read the pinned versions");
    let installed = home.join("installed");
    if fs::read(&installed).is_ok_and(|done| done == wanted) {
        return;
    }
    install();
    fs::write(installed, wanted).expect("note what is installed");
}

fn scratch(name: &str) -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&home).expect("make a folder");
    home
}

/// The files of a folder, in order of their names.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("list a folder").path()).collect();
    files.retain(|file| file.is_file());
    files.sort();
    files
}

fn run(world: &World, suite: &mut Command) {
    suite.envs(world.told()).env("NO_PROXY", "127.0.0.1,localhost");
    let (passed, output) = finish(suite);
    assert!(passed, "{suite:?} failed:\n{output}\nThe proxy's log:\n{}", world.log());
}

fn must(command: &mut Command) -> String {
    let (passed, output) = finish(command);
    assert!(passed, "{command:?} failed:\n{output}");
    output
}

/// Runs a command to its end, or to that of our patience: whether it succeeded, and its output.
#[expect(clippy::disallowed_methods, reason = "a test is outside the house: it times a process")]
fn finish(command: &mut Command) -> (bool, String) {
    let output = tempfile::NamedTempFile::new().expect("make a file");
    // One file handle for both, so that neither writes over the other.
    let file = || Stdio::from(output.as_file().try_clone().expect("share the file"));
    command.stdin(Stdio::null()).stdout(file()).stderr(file());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("wait for it") {
            break status;
        }
        if begun.elapsed() > PATIENCE {
            drop(child.kill());
            break child.wait().expect("wait for it");
        }
        thread::sleep(Duration::from_millis(20));
    };
    let output = fs::read(output.path()).expect("read the file");
    (status.success(), String::from_utf8_lossy(&output).into_owned())
}
