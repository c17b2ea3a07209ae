//! What is measured: a proxy in a process of its own, pinned to a core of its own.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::clock::now;
use crate::wire;

/// The core that the proxies share; load and upstream have the other.
pub(crate) const CORE: &str = "1";

/// A running proxy, killed when dropped.
#[derive(Debug)]
pub(crate) struct Subject {
    child: Child,
    /// Where requests go.
    pub(crate) data: SocketAddr,
    /// Where `/ready` and `/metrics` are; of nginx, where any request is.
    admin: SocketAddr,
    /// From the start of the process to the first answer.
    pub(crate) ready_after: Duration,
    /// Its files.
    _dir: TempDir,
}

/// How a subject is started.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// nginx, as well tuned as we would tune ourselves.
    Nginx,
    /// `keyweir proxy` with a pool of so many keys.
    Keyweir { binary: PathBuf, keys: usize },
    /// The same under valgrind's callgrind, which writes into this folder.
    Callgrind { binary: PathBuf, out: PathBuf },
}

impl Kind {
    /// Starts it in front of `upstream` and waits until it answers.
    pub(crate) async fn start(&self, upstream: SocketAddr) -> Subject {
        let dir = tempfile::tempdir().expect("make a folder");
        let (data, admin) = (free_port(), free_port());
        let mut command = match self {
            Self::Nginx => nginx(dir.path(), upstream, data),
            Self::Keyweir { binary, keys } => {
                keyweir(pinned(binary), dir.path(), upstream, *keys, [data, admin])
            }
            Self::Callgrind { binary, out } => {
                let mut valgrind = Command::new("valgrind");
                valgrind.args(["--tool=callgrind", "--instr-atstart=yes"]);
                valgrind.arg(format!("--callgrind-out-file={}/callgrind.out", out.display()));
                valgrind.arg(binary);
                keyweir(valgrind, dir.path(), upstream, 16, [data, admin])
            }
        };
        let admin = if matches!(self, Self::Nginx) { data } else { admin };
        let start = now();
        let child = command.stdin(Stdio::null()).spawn().expect("start the proxy");
        let mut subject = Subject { child, data, admin, ready_after: Duration::ZERO, _dir: dir };
        while subject.ask("/ready").await.is_none() {
            let ended = subject.child.try_wait().expect("wait for the proxy");
            assert!(ended.is_none(), "{self:?} ended: {ended:?}");
            assert!(start.elapsed() < Duration::from_secs(30), "{self:?} is never ready");
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        subject.ready_after = start.elapsed();
        subject
    }
}

impl Subject {
    /// CPU time used so far by all its processes and threads.
    pub(crate) fn cpu(&self) -> Duration {
        let nanos = |pid: &u32| {
            let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
            tasks.map(|task| run_time(&task.path())).sum::<u64>()
        };
        Duration::from_nanos(self.processes().iter().map(nanos).sum())
    }

    /// Resident memory of all its processes, in KiB.
    pub(crate) fn resident(&self) -> usize {
        self.processes().iter().map(|pid| status_field(*pid, "VmRSS:")).sum()
    }

    /// GET on the admin port; `None` unless the answer is a 200.
    pub(crate) async fn ask(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.admin).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        answer.starts_with("HTTP/1.1 200").then_some(answer)
    }

    /// The process's id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The process and its children: nginx's master and worker.
    fn processes(&self) -> Vec<u32> {
        let pid = self.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.unwrap_or_default();
        let children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
        [pid].into_iter().chain(children).collect()
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        // SIGTERM first: nginx's master takes its worker with it.
        let kill = ["-c", &format!("kill -TERM {}", self.child.id())];
        drop(Command::new("sh").args(kill).status());
        let deadline = now() + Duration::from_secs(3);
        while matches!(self.child.try_wait(), Ok(None)) && now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn nginx(dir: &Path, upstream: SocketAddr, data: SocketAddr) -> Command {
    let root = dir.display();
    let config = format!(
        "daemon off; worker_processes 1; worker_rlimit_nofile 16384; pid {root}/pid;\n\
         error_log {root}/error.log crit;\n\
         events {{ worker_connections 8192; multi_accept on; }}\n\
         http {{\n\
           access_log off; tcp_nodelay on; server_tokens off;\n\
           keepalive_requests 100000000; keepalive_timeout 1h;\n\
           client_body_temp_path {root}/b; proxy_temp_path {root}/p; fastcgi_temp_path {root}/f;\n\
           uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;\n\
           upstream provider {{\n\
             server {upstream}; keepalive 1024; keepalive_requests 100000000; keepalive_timeout 1h;\n\
           }}\n\
           server {{\n\
             listen {data} backlog=4096; client_max_body_size 32m; client_body_buffer_size 64k;\n\
             location = /ready {{ return 200; }} location = /metrics {{ return 200; }}\n\
             location / {{\n\
               proxy_pass http://provider; proxy_http_version 1.1; proxy_buffering off;\n\
               proxy_buffer_size 16k; proxy_buffers 4 16k; proxy_busy_buffers_size 32k;\n\
               proxy_read_timeout 10m;\n\
               proxy_set_header Connection \"\"; proxy_set_header Host provider;\n\
               proxy_set_header Authorization \"Bearer {}nginx\";\n\
             }}\n\
           }}\n\
         }}\n",
        wire::KEY
    );
    fs::write(dir.join("nginx.conf"), config).expect("write nginx's configuration");
    let mut command = pinned(Path::new("nginx"));
    command.arg("-e").arg(dir.join("start.log")).arg("-c").arg(dir.join("nginx.conf"));
    command
}

/// Pool, limits and metrics on; the log as it is by default.
fn keyweir(
    mut program: Command,
    dir: &Path,
    upstream: SocketAddr,
    keys: usize,
    [data, admin]: [SocketAddr; 2],
) -> Command {
    let config = format!(
        "version: 1\n\
         providers:\n  \
           openai:\n    \
             baseUrl: http://{upstream}\n    \
             keys:\n      \
               - {{secret: bench}}\n    \
             limits:\n      \
               - {{requestsPerMinute: 100M, tokensPerMinute: 100000M, concurrency: 100k}}\n"
    );
    let secret = dir.join("secrets/bench");
    fs::create_dir_all(dir.join("config")).expect("make a folder");
    fs::create_dir_all(&secret).expect("make a folder");
    fs::write(dir.join("config/keyweir.yaml"), config).expect("write the configuration");
    for index in 0..keys {
        let key = format!("{}{index:08}", wire::KEY);
        fs::write(secret.join(format!("key-{index}")), key).expect("write a key");
    }
    program.arg("proxy").arg("--config").arg(dir.join("config"));
    program.arg("--secrets").arg(dir.join("secrets"));
    program.args(["--listen", &data.to_string(), "--admin", &admin.to_string()]);
    program.stdout(Stdio::null()).stderr(Stdio::null());
    program
}

fn pinned(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", CORE]).arg(program);
    command
}

/// A port that was free a moment ago.
fn free_port() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
    listener.local_addr().expect("its address")
}

/// Nanoseconds that a thread has been on a CPU: the first field of its `schedstat`.
fn run_time(task: &Path) -> u64 {
    let text = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
    text.split_whitespace().next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0)
}

fn status_field(pid: u32, name: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}
