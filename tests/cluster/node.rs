//! A machine of the cluster: containerd, kubelet and kube-proxy in a world of their own. Network,
//! mounts and processes are of namespaces that go with the test, so that nothing stays behind.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::images;
use crate::parts::{Running, part, run, said};
use crate::plane::{Plane, now, soon};

/// The machine's address on the bridge of its pods.
pub(crate) const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 88, 0, 1));
const BRIDGE: &str = "keyweir0";

/// A cluster with one node.
#[derive(Debug)]
pub(crate) struct Cluster {
    // In the order in which they end.
    pub(crate) node: Vec<Running>,
    pub(crate) plane: Plane,
}

/// Runs a test of this program in namespaces of its own. That takes root, or a `sudo` that does not ask.
pub(crate) fn in_a_world_of_its_own(test: &str) {
    let folder = tempfile::tempdir().expect("make a folder");
    let had_pods = has_pods();
    let is_root = run(Command::new("id").arg("-u")).trim() == "0";
    let mut world = Command::new(if is_root { "env" } else { "sudo" });
    if !is_root {
        world.args(["--non-interactive", "--preserve-env"]);
    }
    world.args(["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    world.arg(std::env::current_exe().expect("this program"));
    // What is mounted below it is gone with the world, and then it can be removed.
    world.args(["--exact", test, "--ignored", "--nocapture"]).env("TMPDIR", folder.path());
    let ended = said(&mut world);
    if !had_pods {
        let groups = "find /sys/fs/cgroup -depth -type d -path '*/kubepods*' -exec rmdir {} +";
        drop(said(Command::new("sh").args(["-c", groups])));
    }
    match ended {
        Ok((stdout, _)) => assert!(stdout.contains("1 passed"), "{stdout}"),
        Err(said) => panic!("{said}"),
    }
}

/// Whether this machine is a node already, whose groups are to be let be.
fn has_pods() -> bool {
    let groups = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    let below = groups.map(|group| group.path().join("kubepods"));
    below.chain(["/sys/fs/cgroup/kubepods".into()]).any(|path| path.exists())
}

impl Cluster {
    /// Only in a world of its own.
    pub(crate) fn start() -> Self {
        world();
        let plane = Plane::start_on(ADDRESS);
        let at = plane.folder();
        let containerd = containerd(at);
        for archive in [images::keyweir(at), images::busybox(at)] {
            let mut ctr = Command::new("ctr");
            ctr.arg("--address").arg(at.join("containerd.sock"));
            run(ctr.args(["--namespace", "k8s.io", "images", "import"]).arg(archive));
        }
        let node = vec![scheduler(&plane), kube_proxy(&plane), kubelet(&plane), containerd];
        plane.api.until("a node that is ready", |api| {
            let node = api.get("/api/v1/nodes/node1")?;
            let conditions = node["status"]["conditions"].as_array()?;
            let ready = conditions.iter().find(|it| it["type"] == "Ready")?;
            (ready["status"] == "True").then_some(())
        });
        Self { node, plane }
    }
}

fn sh(command: &str) {
    run(Command::new("sh").args(["-ec", command]));
}

/// A network with a bridge, and places that may be written to.
fn world() {
    sh("mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/log");
    sh("ip link set lo up && echo 1 > /proc/sys/net/ipv4/ip_forward");
    sh(&format!("ip link add {BRIDGE} type bridge && ip addr add {ADDRESS}/24 dev {BRIDGE}"));
    sh(&format!("ip link set {BRIDGE} up"));
    // Whoever asks for the way out is told that there is none, and not that there is no network.
    sh(&format!("ip route add default dev {BRIDGE}"));
}

fn containerd(folder: &Path) -> Running {
    let shown = folder.display();
    let config = format!(
        r#"version = 2
root = "{shown}/containerd"
state = "{shown}/containerd-state"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs"]
[grpc]
address = "{shown}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
path = "{shown}/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{busybox}"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{shown}/cni"
"#,
        busybox = images::BUSYBOX,
    );
    fs::write(folder.join("containerd.toml"), config).expect("write it");
    fs::create_dir_all(folder.join("cni")).expect("make a folder");
    let network = json!({"cniVersion": "0.4.0", "name": "pods", "plugins": [
        {"type": "bridge", "bridge": BRIDGE, "isGateway": true, "hairpinMode": true, "ipam": {
            "type": "host-local", "dataDir": folder.join("ipam"),
            "ranges": [[{"subnet": "10.88.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}],
        }},
    ]});
    fs::write(folder.join("cni/pods.conflist"), network.to_string()).expect("write it");
    let mut containerd = Command::new("containerd");
    containerd.arg("--config").arg(folder.join("containerd.toml"));
    let running = Running::start(folder, "containerd", &containerd);
    let deadline = soon();
    while !folder.join("containerd.sock").exists() {
        assert!(now() < deadline, "containerd:\n{}", running.log());
        thread::sleep(Duration::from_millis(20));
    }
    running
}

fn kubelet(plane: &Plane) -> Running {
    let folder = plane.folder();
    fs::write(folder.join("resolv.conf"), "nameserver 10.96.0.10\n").expect("write it");
    let config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {"anonymous": {"enabled": true}, "webhook": {"enabled": false}},
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "containerRuntimeEndpoint": format!("unix://{}/containerd.sock", folder.display()),
        "enforceNodeAllocatable": [],
        "evictionHard": {"memory.available": "1Mi", "nodefs.available": "0%",
            "nodefs.inodesFree": "0%", "imagefs.available": "0%"},
        "failSwapOn": false,
        "healthzPort": 0,
        "podLogsDir": folder.join("pods"),
        "resolvConf": folder.join("resolv.conf"),
        // Most clusters have a minute here, and people wait so long for a changed Secret.
        "syncFrequency": "2s",
    });
    fs::write(folder.join("kubelet.json"), config.to_string()).expect("write it");
    let mut kubelet = Command::new(part("kubelet"));
    for (name, file) in [
        ("kubeconfig", "kubeconfig"),
        ("config", "kubelet.json"),
        ("root-dir", "kubelet"),
        ("cert-dir", "kubelet-certificates"),
    ] {
        kubelet.arg(format!("--{name}={}", folder.join(file).display()));
    }
    kubelet.args(["--hostname-override=node1".to_owned(), format!("--node-ip={ADDRESS}")]);
    Running::start(folder, "kubelet", &kubelet)
}

fn scheduler(plane: &Plane) -> Running {
    let mut scheduler = Command::new(part("kube-scheduler"));
    scheduler.arg(format!("--kubeconfig={}", plane.kubeconfig().display()));
    scheduler.args(["--leader-elect=false", "--secure-port=0"]);
    Running::start(plane.folder(), "kube-scheduler", &scheduler)
}

fn kube_proxy(plane: &Plane) -> Running {
    let mut proxy = Command::new(part("kube-proxy"));
    proxy.arg(format!("--kubeconfig={}", plane.kubeconfig().display()));
    // Pods on one bridge answer each other past the machine; like this, they answer the machine.
    proxy.args(["--proxy-mode=iptables", "--masquerade-all", "--conntrack-max-per-core=0"]);
    proxy.arg("--hostname-override=node1");
    Running::start(plane.folder(), "kube-proxy", &proxy)
}
