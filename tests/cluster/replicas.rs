//! Injectors as processes of this machine, and what the cluster's network would do: connections go
//! to those that are ready.

use std::fs;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::parts::Running;
use crate::plane::{Plane, free, now, soon};
use crate::support::http::Raw;

/// One injector.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) process: Running,
    pub(crate) webhook: SocketAddr,
    admin: SocketAddr,
}

impl Replica {
    /// Starts one with these arguments, and the rights of its service account.
    pub(crate) fn start(plane: &Plane, name: &str, arguments: &[String]) -> Self {
        let account = plane.folder().join(format!("{name}-account"));
        fs::create_dir_all(&account).expect("make a folder");
        let asked = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"expirationSeconds": 3600}});
        let path = "/api/v1/namespaces/keyweir/serviceaccounts/keyweir/token";
        let token = plane.api.must_create(path, &asked);
        let token = token["status"]["token"].as_str().expect("a token").to_owned();
        fs::write(account.join("token"), token).expect("write it");
        fs::write(account.join("namespace"), "keyweir").expect("write it");
        fs::copy(plane.folder().join("ca.crt"), account.join("ca.crt")).expect("copy it");
        let (webhook, admin) = (free(), free());
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyweir"));
        command.args(arguments);
        command.args([format!("--listen={webhook}"), format!("--admin={admin}")]);
        command.arg(format!("--service-account={}", account.display()));
        command.arg(format!("--termination-log={}", account.join("end").display()));
        command.env("KUBERNETES_SERVICE_HOST", plane.address.ip().to_string());
        command.env("KUBERNETES_SERVICE_PORT", plane.address.port().to_string());
        let process = Running::start(plane.folder(), name, &command);
        Self { process, webhook, admin }
    }

    pub(crate) fn is_ready(&self) -> bool {
        is_ready(self.admin)
    }

    pub(crate) fn until_ready(&mut self) {
        let deadline = soon();
        while !self.is_ready() {
            assert!(!self.process.has_ended(), "It ended:\n{}", self.process.log());
            assert!(now() < deadline, "It is not ready:\n{}", self.process.log());
            thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn metrics(&self) -> String {
        let mut connection = Raw::connect(self.admin);
        connection.get("/metrics", &[("connection", "close")]);
        connection.reply().text()
    }
}

fn is_ready(admin: SocketAddr) -> bool {
    if TcpStream::connect(admin).is_err() {
        return false;
    }
    let asked = std::panic::catch_unwind(|| {
        let mut connection = Raw::connect(admin);
        connection.get("/ready", &[("connection", "close")]);
        connection.reply().status
    });
    asked.is_ok_and(|status| status == 200)
}

/// What leads to the webhook: a Service, were there nodes.
#[derive(Debug)]
pub(crate) struct Balancer {
    pub(crate) address: SocketAddr,
    targets: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Balancer {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let targets = Arc::new(Mutex::new(Vec::<SocketAddr>::new()));
        let shared = Arc::clone(&targets);
        thread::spawn(move || {
            for (turn, client) in listener.incoming().enumerate() {
                let Ok(client) = client else { return };
                let targets = shared.lock().expect("not poisoned").clone();
                let chosen = targets.get(turn % targets.len().max(1)).copied();
                // Nobody there: the connection is closed.
                let Some(Ok(server)) = chosen.map(TcpStream::connect) else { continue };
                join(client, server);
            }
        });
        Self { address, targets }
    }

    /// Leads to these from now on; connections that are open stay.
    pub(crate) fn lead_to<'r>(&self, replicas: impl IntoIterator<Item = &'r Replica>) {
        let targets = replicas.into_iter().map(|replica| replica.webhook).collect();
        *self.targets.lock().expect("not poisoned") = targets;
    }
}

fn join(client: TcpStream, server: TcpStream) {
    let (Ok(from), Ok(to)) = (client.try_clone(), server.try_clone()) else { return };
    for stream in [&client, &server] {
        drop(stream.set_nodelay(true));
    }
    thread::spawn(move || pass(from, to));
    thread::spawn(move || pass(server, client));
}

/// Bytes one way, and the end of them.
fn pass(mut from: TcpStream, mut to: TcpStream) {
    drop(io::copy(&mut from, &mut to));
    drop(to.shutdown(Shutdown::Write));
}
