//! The binaries of a Kubernetes.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Folders that somebody has put them into.
const FOLDERS: [&str; 2] = ["KEYWEIR_CLUSTER_BIN", "KUBEBUILDER_ASSETS"];

/// A file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// One of the binaries, built if need be.
pub(crate) fn part(name: &str) -> PathBuf {
    let given = FOLDERS.iter().filter_map(std::env::var_os).map(|it| PathBuf::from(it).join(name));
    let on_path = std::env::var_os("PATH").filter(|_| name == "etcd");
    let on_path = on_path.iter().flat_map(std::env::split_paths).map(|folder| folder.join(name));
    if let Some(found) = given.chain(on_path).find(|path| path.is_file()) {
        return found;
    }
    assert_ne!(name, "etcd", "There is no etcd: Debian has it in the package etcd-server");
    script("tests/cluster/build", name).join(name)
}

pub(crate) fn helm() -> PathBuf {
    script(".ci/go-tool", "helm")
}

/// The path that a script prints.
fn script(script: &str, argument: &str) -> PathBuf {
    let printed = run(Command::new(repository(script)).arg(argument));
    printed.lines().last().expect("it prints a path").into()
}

/// Runs a command to its end, and returns what it printed.
pub(crate) fn run(command: &mut Command) -> String {
    let (stdout, stderr) = said(command).unwrap_or_else(|said| panic!("{command:?}:\n{said}"));
    drop(stderr);
    stdout
}

/// What a command printed on both streams; all of it where it failed.
pub(crate) fn said(command: &mut Command) -> Result<(String, String), String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    if output.status.success() { Ok((stdout, stderr)) } else { Err(stdout + &stderr) }
}

/// A process that ends with its owner, however that ends.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts it with its output in a file of that folder.
    pub(crate) fn start(folder: &Path, name: &str, command: &Command) -> Self {
        let log = folder.join(format!("{name}.log"));
        let file = || std::fs::File::options().append(true).create(true).open(&log).expect("a log");
        // The kernel ends it should this process be killed.
        let mut guarded = Command::new("setpriv");
        guarded.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program());
        guarded.args(command.get_args()).env_clear();
        for (name, value) in command.get_envs() {
            guarded.env(name, value.expect("a value"));
        }
        guarded.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        guarded.stdin(Stdio::null()).stdout(file()).stderr(file());
        let child = guarded.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { child, log }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("look at it").is_some()
    }

    /// Asks it to end; nobody waits for that here.
    pub(crate) fn terminate(&self) {
        run(Command::new("kill").arg(self.child.id().to_string()));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Gone already, mostly: then there is nothing to kill.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
