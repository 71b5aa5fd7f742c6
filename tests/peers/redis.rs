//! Redis from Debian's package: one server, or three as a cluster.
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// One process on a free port; ends with the value.
pub(crate) struct Redis {
    process: Option<Child>,
    port: u16,
    arguments: Vec<String>,
    folder: TempDir,
}

impl Redis {
    /// A server without persistence, with these arguments beside.
    ///
    /// Fails the test in one line when Redis is missing or does not start.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::program("redis-server", arguments)
    }

    /// A Sentinel that watches `server` under the name `main`.
    pub(crate) fn sentinel(server: &Self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sentinel.conf");
        let watch = format!("sentinel monitor main 127.0.0.1 {} 1\n", server.port);
        std::fs::write(&file, watch).unwrap();
        let mut sentinel = Self::program("redis-server", &[file.to_str().unwrap(), "--sentinel"]);
        sentinel.folder = folder;
        sentinel
    }

    fn program(program: &str, arguments: &[&str]) -> Self {
        let mut told = String::new();
        // another process can take the free port before Redis does
        for _ in 0..5 {
            let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
            let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
            let mut redis = Self { process: None, port, arguments, folder };
            match redis.launch(program) {
                Ok(()) => return redis,
                Err(error) => told = error,
            }
        }
        panic!("{program} did not start: {told}")
    }

    fn launch(&mut self, program: &str) -> Result<(), String> {
        let mut command = Command::new(program);
        command
            .args(&self.arguments)
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--dir"])
            .arg(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        if !self.arguments.iter().any(|argument| argument == "--sentinel") {
            command.args(["--save", "", "--appendonly", "no"]);
        }
        let mut process =
            command.spawn().unwrap_or_else(|error| panic!("{program} is missing ({error}): tests/all.sh installs it"));
        let mut log = BufReader::new(process.stdout.take().unwrap());
        let mut told = String::new();
        while !told.contains("eady to accept connections") && !told.contains("+monitor") {
            if log.read_line(&mut told).unwrap_or(0) == 0 {
                let _ = process.wait();
                return Err(told);
            }
        }
        // it must not block on a full pipe; ends with the process
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        self.process = Some(process);
        Ok(())
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Ends the process at once.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Starts it again on the same port, with nothing in it.
    pub(crate) fn restart(&mut self) {
        self.kill();
        if let Err(told) = self.launch("redis-server") {
            panic!("redis-server did not start again: {told}");
        }
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

    /// What `redis-cli` says to a command.
    pub(crate) fn cli(&self, arguments: &[&str]) -> String {
        let output = Command::new("redis-cli").args(["-p", &self.port.to_string()]).args(arguments).output();
        let output = output.unwrap_or_else(|error| panic!("redis-cli is missing ({error}): tests/all.sh installs it"));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// The keys that match a pattern, in order.
    pub(crate) fn keys(&self, pattern: &str) -> Vec<String> {
        let told = self.cli(&["--scan", "--pattern", pattern]);
        let mut keys: Vec<_> = told.lines().map(str::to_owned).collect();
        keys.sort_unstable();
        keys
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Three servers that are one cluster.
pub(crate) struct Cluster(pub(crate) Vec<Redis>);

impl Cluster {
    pub(crate) fn start() -> Self {
        let node = || {
            let bus = free_port().to_string();
            let more = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-port", &bus];
            Redis::start(&[&more[..], &["--cluster-require-full-coverage", "no"]].concat())
        };
        let nodes = vec![node(), node(), node()];
        let addresses: Vec<_> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        let made =
            Command::new("redis-cli").args(["--cluster", "create"]).args(&addresses).arg("--cluster-yes").output();
        let made = made.unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        let cluster = Self(nodes);
        let begin = std::time::Instant::now();
        while !cluster.0.iter().all(|node| node.cli(&["cluster", "info"]).contains("cluster_state:ok")) {
            assert!(begin.elapsed() < super::DEADLINE, "the nodes do not become a cluster");
        }
        cluster
    }
}

/// A port that nobody listened on a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}
