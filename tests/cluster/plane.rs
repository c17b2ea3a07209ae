//! etcd, the API server and its controllers.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use crate::api::Api;
use crate::parts::{Running, part, said};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// Where pods find the API server.
const SERVICE: &str = "10.96.0.1";
/// Who may do everything.
const ADMIN: &str = "the-admins-token";

/// A control plane that runs.
#[derive(Debug)]
pub(crate) struct Plane {
    pub(crate) api: Api,
    /// Where the API server listens, with TLS.
    pub(crate) address: SocketAddr,
    // The processes go before the folder that they write into.
    running: Vec<Running>,
    folder: TempDir,
}

#[expect(clippy::disallowed_methods, reason = "a test is outside the house: it times processes")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

pub(crate) fn soon() -> Instant {
    now() + PATIENCE
}

/// An address that is free for the moment.
pub(crate) fn free() -> SocketAddr {
    free_on(Ipv4Addr::LOCALHOST.into())
}

fn free_on(ip: IpAddr) -> SocketAddr {
    let listener = TcpListener::bind((ip, 0)).expect("a free port");
    listener.local_addr().expect("its address")
}

impl Plane {
    /// One on loopback.
    pub(crate) fn start() -> Self {
        Self::start_on(Ipv4Addr::LOCALHOST.into())
    }

    /// One whose API server is at this address of the machine.
    pub(crate) fn start_on(ip: IpAddr) -> Self {
        let folder = tempfile::tempdir().expect("make a folder");
        let at = folder.path();
        let address = free_on(ip);
        credentials(at, address);
        let etcd = free();
        let mut running = vec![Running::start(at, "etcd", &etcd_command(at, etcd))];
        let server = Running::start(at, "kube-apiserver", &server_command(at, etcd, address));
        running.push(server);
        until_ready(at, &mut running);
        let mut controllers = Command::new(part("kube-controller-manager"));
        controllers
            .arg(flag("kubeconfig", &at.join("kubeconfig")))
            .arg(flag("service-account-private-key-file", &at.join("sa.key")))
            .arg(flag("root-ca-file", &at.join("ca.crt")))
            .args(["--leader-elect=false", "--secure-port=0", "--concurrent-gc-syncs=5"]);
        running.push(Running::start(at, "kube-controller-manager", &controllers));
        let (proxy, api) = kubectl_proxy(at);
        running.push(proxy);
        let plane = Self { api, address, running, folder };
        let account = "/api/v1/namespaces/default/serviceaccounts/default";
        plane.api.until("a default service account", |api| api.get(account));
        plane
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn kubectl(&self) -> Command {
        kubectl(self.folder.path())
    }

    /// What an API server says to these arguments of kubectl, on both streams.
    pub(crate) fn says(&self, arguments: &[&str]) -> Result<(String, String), String> {
        said(self.kubectl().args(arguments))
    }

    /// What the command line says of this cluster, on both streams.
    pub(crate) fn keyweir(&self, arguments: &[&str]) -> Result<(String, String), String> {
        let kubectl = part("kubectl");
        let path = kubectl.parent().expect("its folder").as_os_str().to_owned();
        let mut keyweir = Command::new(env!("CARGO_BIN_EXE_keyweir"));
        keyweir.args(arguments).arg(flag("kubeconfig", &self.kubeconfig()));
        said(keyweir.env("PATH", path).env("HOME", self.folder()))
    }

    /// Applies a manifest as text.
    pub(crate) fn apply(&self, manifest: &str) -> Result<(String, String), String> {
        let file = tempfile::NamedTempFile::new().expect("make a file");
        fs::write(file.path(), manifest).expect("write it");
        said(self.kubectl().args(["apply", "-f"]).arg(file.path()))
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// A namespace, with its default service account.
    pub(crate) fn namespace(&self, name: &str, manifest: &serde_json::Value) {
        self.api.must_create("/api/v1/namespaces", manifest);
        let account = format!("/api/v1/namespaces/{name}/serviceaccounts/default");
        self.api.until("its service account", |api| api.get(&account));
    }
}

fn flag(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}

fn kubectl(folder: &Path) -> Command {
    let mut kubectl = Command::new(part("kubectl"));
    kubectl.arg(flag("kubeconfig", &folder.join("kubeconfig"))).env("HOME", folder);
    kubectl
}

fn etcd_command(folder: &Path, client: SocketAddr) -> Command {
    let peer = free();
    let mut etcd = Command::new(part("etcd"));
    etcd.arg(flag("data-dir", &folder.join("etcd"))).args([
        format!("--listen-client-urls=http://{client}"),
        format!("--advertise-client-urls=http://{client}"),
        format!("--listen-peer-urls=http://{peer}"),
        format!("--initial-advertise-peer-urls=http://{peer}"),
        format!("--initial-cluster=default=http://{peer}"),
        "--log-level=warn".to_owned(),
    ]);
    etcd
}

fn server_command(folder: &Path, etcd: SocketAddr, address: SocketAddr) -> Command {
    let mut server = Command::new(part("kube-apiserver"));
    for (name, file) in [
        ("cert-dir", "."),
        ("tls-cert-file", "tls.crt"),
        ("tls-private-key-file", "tls.key"),
        ("service-account-key-file", "sa.pub"),
        ("service-account-signing-key-file", "sa.key"),
        ("token-auth-file", "tokens.csv"),
    ] {
        server.arg(flag(name, &folder.join(file)));
    }
    server.args([
        format!("--etcd-servers=http://{etcd}"),
        format!("--bind-address={}", address.ip()),
        format!("--secure-port={}", address.port()),
    ]);
    server.args([
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--authorization-mode=Node,RBAC",
        "--allow-privileged=true",
        "--kubelet-preferred-address-types=InternalIP",
    ]);
    if address.ip().is_loopback() {
        // Nobody asks for `kubernetes.default`, and loopback would not do as its endpoint.
        server.arg("--endpoint-reconciler-type=none");
    }
    server
}

/// The keys and certificates of everybody.
fn credentials(folder: &Path, address: SocketAddr) {
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("write a file");
    let accounts = KeyPair::generate().expect("a key");
    write("sa.key", &accounts.serialize_pem());
    write("sa.pub", &accounts.public_key_pem());

    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(authority, key).expect("an authority");
    write("ca.crt", &authority.pem());
    let names = [address.ip().to_string(), SERVICE.to_owned()];
    let serving = CertificateParams::new(names).expect("names");
    let key = KeyPair::generate().expect("a key");
    write("tls.crt", &serving.signed_by(&key, &authority).expect("a certificate").pem());
    write("tls.key", &key.serialize_pem());

    write("tokens.csv", &format!("{ADMIN},admin,admin,\"system:masters\"\n"));
    let ca = folder.join("ca.crt");
    let config = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {
            "server": format!("https://{address}"), "certificate-authority": ca,
        }}],
        "users": [{"name": "admin", "user": {"token": ADMIN}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        "current-context": "test",
    });
    write("kubeconfig", &config.to_string());
}

fn until_ready(folder: &Path, running: &mut [Running]) {
    let deadline = soon();
    while said(kubectl(folder).args(["get", "--raw", "/readyz"])).is_err() {
        for process in &mut *running {
            assert!(!process.has_ended(), "It ended:\n{}", process.log());
        }
        let logs = || running.iter().map(Running::log).collect::<String>();
        assert!(now() < deadline, "The API server is not ready:\n{}", logs());
        thread::sleep(Duration::from_millis(100));
    }
}

fn kubectl_proxy(folder: &Path) -> (Running, Api) {
    let address = free();
    let mut proxy = kubectl(folder);
    proxy.args(["proxy", &format!("--port={}", address.port())]);
    let proxy = Running::start(folder, "kubectl-proxy", &proxy);
    let deadline = soon();
    while std::net::TcpStream::connect(address).is_err() {
        assert!(now() < deadline, "kubectl proxy does not listen:\n{}", proxy.log());
        thread::sleep(Duration::from_millis(20));
    }
    (proxy, Api(address))
}

impl Drop for Plane {
    fn drop(&mut self) {
        // In the reverse order of their coming.
        while let Some(process) = self.running.pop() {
            drop(process);
        }
    }
}
