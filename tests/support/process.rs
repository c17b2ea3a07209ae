//! The real binary in a process of its own.

use std::ffi::OsString;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::SOON;
use super::http::{Raw, Reply};
use super::mount::Mount;

/// Says how a `keyweir proxy` is to be started. Its environment is empty but for what [`env`] adds,
/// so that a developer's own keys and proxies play no part.
///
/// [`env`]: Self::env
#[derive(Debug)]
#[must_use]
pub struct Setup {
    root: TempDir,
    config: Option<Mount>,
    secrets: Vec<(String, Mount)>,
    args: Vec<OsString>,
    env: Vec<(String, String)>,
}

/// A running `keyweir proxy`, ready; killed when dropped.
#[derive(Debug)]
pub struct Proxy {
    /// The data port.
    pub data: SocketAddr,
    /// The admin port.
    pub admin: SocketAddr,
    /// The mounted configuration, for [`Mount::swap`].
    pub config: Option<Mount>,
    secrets: Vec<(String, Mount)>,
    root: TempDir,
    process: Process,
}

/// What a process left behind.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// All it wrote to standard output.
    pub stdout: String,
    /// All it wrote to standard error.
    pub stderr: String,
}

impl Default for Setup {
    /// No configuration, no Secrets.
    fn default() -> Self {
        let root = tempfile::tempdir().expect("make a folder");
        Self { root, config: None, secrets: Vec::new(), args: Vec::new(), env: Vec::new() }
    }
}

impl Setup {
    /// Mounts this text as `keyweir.yaml`.
    pub fn config(mut self, text: &str) -> Self {
        let dir = self.root.path().join("config");
        self.config = Some(Mount::new(dir, &[("keyweir.yaml", text)]));
        self
    }

    /// Mounts a Secret.
    pub fn secret(mut self, name: &str, entries: &[(&str, &str)]) -> Self {
        let dir = self.root.path().join("secrets").join(name);
        self.secrets.push((name.into(), Mount::new(dir, entries)));
        self
    }

    /// Adds a command-line argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Starts the proxy on ports of its own choosing and waits until it is ready.
    pub fn start(self) -> Proxy {
        let process = Process::spawn(self.command());
        let (data, admin) = process.addresses();
        let Self { root, config, secrets, .. } = self;
        let proxy = Proxy { data, admin, config, secrets, root, process };
        proxy.until("ready", || (proxy.ask_admin("/ready").status == 200).then_some(()));
        proxy
    }

    /// Runs the proxy to its end, for starts that must fail.
    pub fn run(self) -> Finished {
        Process::spawn(self.command()).finish(SOON)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyweir"));
        command.env_clear().envs(self.env.iter().map(|(name, value)| (name, value)));
        command.arg("proxy");
        for port in ["--listen", "--admin"] {
            let chosen = |arg: &OsString| arg.to_string_lossy().starts_with(port);
            if !self.args.iter().any(chosen) {
                command.args([port, "127.0.0.1:0"]);
            }
        }
        if let Some(config) = &self.config {
            command.arg("--config").arg(config.path());
        }
        // Mounted even when empty: a Secret may come later.
        let secrets = self.root.path().join("secrets");
        std::fs::create_dir_all(&secrets).expect("make the Secrets' folder");
        command.arg("--secrets").arg(secrets).args(&self.args);
        command
    }
}

impl Proxy {
    /// The process's id.
    pub fn id(&self) -> u32 {
        self.process.child.id()
    }

    /// The temporary folder that `config/` and `secrets/` are in.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The mounted Secret of that name, for [`Mount::swap`].
    pub fn secret(&mut self, name: &str) -> &mut Mount {
        let found = self.secrets.iter_mut().find(|(known, _)| known == name);
        &mut found.unwrap_or_else(|| panic!("no Secret {name} is mounted")).1
    }

    /// Where a Secret of that name is, or would be, mounted.
    pub fn secret_path(&self, name: &str) -> PathBuf {
        self.root.path().join("secrets").join(name)
    }

    /// A fresh connection to the data port.
    pub fn connect(&self) -> Raw {
        Raw::connect(self.data)
    }

    /// GET on the admin port.
    pub fn ask_admin(&self, path: &str) -> Reply {
        let mut connection = Raw::connect(self.admin);
        connection.send(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"));
        connection.reply()
    }

    /// The value of one series on `/metrics`, named as it is printed there, labels included.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let page = self.ask_admin("/metrics").text();
        let value = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
        value.trim().parse().ok()
    }

    /// Asks again and again until `probe` has an answer: for states that only polling can see, such
    /// as a page of the admin port. Panics with `what` and the log when it takes too long.
    pub fn until<T>(&self, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
        let deadline = soon();
        loop {
            if let Some(answer) = probe() {
                return answer;
            }
            assert!(!past(deadline), "Never {what}; log:\n{}", self.log());
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits for a line of the log that contains all of `words`.
    pub fn log_line(&self, words: &[&str]) -> String {
        self.process.line(|line| words.iter().all(|word| line.contains(word)))
    }

    /// All it has written so far, both streams.
    pub fn log(&self) -> String {
        [self.process.stdout.text(), self.process.stderr.text()].concat()
    }

    /// Sends SIGHUP: what changed is read at once.
    pub fn prompt(&self) {
        self.process.signal("HUP");
    }

    /// Sends SIGTERM and returns at once.
    pub fn terminate(&self) {
        self.process.signal("TERM");
    }

    /// Sends SIGTERM and waits for the end.
    pub fn stop(self) -> Finished {
        self.terminate();
        self.wait()
    }

    /// Waits for the end, without a signal.
    pub fn wait(self) -> Finished {
        let Self { process, root, .. } = self;
        let finished = process.finish(Duration::from_mins(1));
        drop(root);
        finished
    }
}

impl Finished {
    /// Fails if any of these values occurs in anything the process wrote.
    pub fn assert_no_leak(&self, values: &[&str]) {
        for (stream, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            for value in values {
                assert!(!text.contains(value), "A key's value is on {stream}:\n{text}");
            }
        }
    }
}

/// A child whose output is collected by two threads, so that it can never block on a full pipe.
#[derive(Debug)]
struct Process {
    child: Child,
    stdout: Arc<Output>,
    stderr: Arc<Output>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("start keyweir");
        let (stdout, stderr) = (Arc::default(), Arc::default());
        let readers = vec![
            collect(child.stdout.take().expect("piped"), &stdout),
            collect(child.stderr.take().expect("piped"), &stderr),
        ];
        Self { child, stdout, stderr, readers }
    }

    /// The addresses of data and admin port, from the first line of the log.
    fn addresses(&self) -> (SocketAddr, SocketAddr) {
        let line = self.line(|line| line.contains("Listening"));
        let field = |name| address(&line, name).unwrap_or_else(|| panic!("No {name} in: {line}"));
        (field("addr"), field("admin"))
    }

    fn line(&self, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = soon();
        loop {
            for output in [&self.stdout, &self.stderr] {
                if let Some(line) = output.line(&wanted) {
                    return line;
                }
            }
            let log = || [self.stdout.text(), self.stderr.text()].concat();
            assert!(!past(deadline), "The log never had that line:\n{}", log());
            assert!(!(self.stdout.ended() && self.stderr.ended()), "It ended early:\n{}", log());
            self.stderr.wait(Duration::from_millis(5));
        }
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &kill]).status().expect("run sh");
        assert!(sent.success(), "SIG{name} could not be sent");
    }

    fn finish(mut self, limit: Duration) -> Finished {
        let deadline = now() + limit;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("wait for keyweir") {
                break status;
            }
            assert!(!past(deadline), "It did not end:\n{}", self.stderr.text());
            thread::sleep(Duration::from_millis(2));
        };
        for reader in self.readers.drain(..) {
            reader.join().expect("its output is read");
        }
        Finished { status, stdout: self.stdout.text(), stderr: self.stderr.text() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Gone already, mostly: then there is nothing to kill.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What one stream of a process has written so far, and whether that was all.
#[derive(Debug, Default)]
struct Output {
    state: Mutex<(Vec<u8>, Ended)>,
    changed: Condvar,
}

type Ended = bool;

impl Output {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.state.lock().expect("not poisoned").0).into_owned()
    }

    fn ended(&self) -> Ended {
        self.state.lock().expect("not poisoned").1
    }

    fn line(&self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let text = self.text();
        let whole = text.get(..=text.rfind('\n')?)?;
        whole.lines().find(|line| wanted(line)).map(Into::into)
    }

    fn wait(&self, limit: Duration) {
        let state = self.state.lock().expect("not poisoned");
        drop(self.changed.wait_timeout(state, limit).expect("not poisoned"));
    }
}

fn collect(mut stream: impl Read + Send + 'static, output: &Arc<Output>) -> JoinHandle<()> {
    let output = Arc::clone(output);
    thread::spawn(move || {
        let mut buffer = [0; 8192];
        loop {
            let read = stream.read(&mut buffer).unwrap_or(0);
            let mut state = output.state.lock().expect("not poisoned");
            state.0.extend_from_slice(&buffer[..read]);
            state.1 = read == 0;
            output.changed.notify_all();
            if state.1 {
                return;
            }
        }
    })
}

/// A field of a log line: of JSON, at the top or below `fields`, or `name=value` in text.
fn address(line: &str, name: &str) -> Option<SocketAddr> {
    let json: Option<Value> = serde_json::from_str(line).ok();
    let found =
        json.as_ref().and_then(|json| json.get(name).or_else(|| json.get("fields")?.get(name)));
    let text = found.and_then(Value::as_str).or_else(|| {
        line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    })?;
    text.trim_matches('"').parse().ok()
}

fn soon() -> Instant {
    now() + SOON
}

fn past(deadline: Instant) -> bool {
    now() >= deadline
}

#[expect(clippy::disallowed_methods, reason = "a test is outside the house: it times the process")]
fn now() -> Instant {
    Instant::now()
}

#[test]
fn the_address_is_found_in_json_and_in_text() {
    let expected = Some("127.0.0.1:4470".parse().unwrap());
    let json = r#"{"level":"INFO","fields":{"message":"Listening","addr":"127.0.0.1:4470"}}"#;
    assert_eq!(address(json, "addr"), expected);
    let flat = r#"{"level":"INFO","message":"Listening","addr":"127.0.0.1:4470"}"#;
    assert_eq!(address(flat, "addr"), expected);
    assert_eq!(address("INFO Listening addr=127.0.0.1:4470 admin=[::]:4471", "addr"), expected);
    assert_eq!(address(flat, "admin"), None);
}
