//! The example `gateway`, built and started.
use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;

use tokio::sync::watch;

use super::peers::client::Client;
use super::peers::strict::Message;
use super::peers::within;

/// The program. Cargo builds it beside the tests, unless only some of them were asked for: then it is built here.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        // target/<profile>/deps/<this test>
        let folder = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--locked", "--example", "gateway"]).current_dir(env!("CARGO_MANIFEST_DIR"));
        cargo.arg("--target-dir").arg(folder.parent().unwrap());
        if folder.ends_with("release") {
            cargo.arg("--release");
        }
        // With the features of this test, so that what is there already is fresh.
        if cfg!(feature = "real-servers") {
            cargo.arg("--all-features")
        } else {
            cargo.args(["--features", "full"])
        };
        assert!(cargo.status().unwrap().success(), "the example `gateway` does not build");
        folder.join("examples/gateway")
    })
}

/// Runs a command to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    Command::new(program()).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// Exit code, standard output and standard error of a command.
pub(crate) fn outcome(arguments: &[&str]) -> (i32, String, String) {
    let output = run(arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A gateway that serves. Ends with the value.
pub(crate) struct Gateway {
    process: Child,
    told: watch::Receiver<Vec<String>>,
    printed: watch::Receiver<Vec<String>>,
    addresses: Vec<SocketAddr>,
}

impl Gateway {
    /// Starts it with `--listen 127.0.0.1:0` and waits until it listens.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let mut all = vec!["--listen", "127.0.0.1:0"];
        all.extend(arguments);
        Self::start_exactly(&all).await
    }

    /// Starts it with these arguments alone and waits until it listens.
    pub(crate) async fn start_exactly(arguments: &[&str]) -> Self {
        Self::start_in(arguments, &[]).await
    }

    /// As [`start_exactly`](Self::start_exactly), with these variables in its environment.
    pub(crate) async fn start_in(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(program());
        command.args(arguments).envs(environment.iter().copied());
        Self::spawn(command).await
    }

    /// Starts it by another program, which is given the gateway and `arguments` behind arguments of its own.
    pub(crate) async fn started_by(other: &str, own: &[&str], arguments: &[&str]) -> Self {
        let mut command = Command::new(other);
        command.args(own).arg(program()).args(arguments);
        Self::spawn(command).await
    }

    async fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let (told, printed) = (lines(process.stderr.take().unwrap()), lines(process.stdout.take().unwrap()));
        let mut gateway = Self { process, told, printed, addresses: Vec::new() };
        gateway.hear("listening on http").await;
        let told = gateway.told.borrow().clone();
        let urls = told.iter().filter_map(|line| line.strip_prefix("listening on "));
        let addresses = urls.filter_map(|url| url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")));
        gateway.addresses = addresses.map(|address| address.parse().unwrap()).collect();
        gateway
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// The id of the process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits for a line on standard error that has `text` in it.
    pub(crate) async fn hear(&self, text: &str) -> String {
        wait_for(&self.told, text).await
    }

    /// Waits for a line on standard output that has `text` in it.
    pub(crate) async fn read(&self, text: &str) -> String {
        wait_for(&self.printed, text).await
    }

    /// All of standard error so far.
    pub(crate) fn told(&self) -> Vec<String> {
        self.told.borrow().clone()
    }

    /// Sends a signal, `TERM` or the like.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("sh").args(["-c", &format!("kill -s {name} {}", self.id())]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end of the process.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        // Its end closes standard error, and with it the channel.
        let mut told = self.told.clone();
        within(|| format!("the end of the gateway; it said {:#?}", self.told()), async {
            while told.changed().await.is_ok() {}
        })
        .await;
        self.process.wait().unwrap()
    }

    /// One GET on a connection of its own.
    pub(crate) async fn get(&self, path: &str) -> Message {
        let mut client = Client::connect(self.address()).await;
        client.send(format!("GET {path} HTTP/1.1\r\nhost: gw.test\r\nuser-agent: a test\r\n\r\n")).await;
        client.answer().await
    }

    /// Asks until the answer is `body`.
    pub(crate) async fn until_it_says(&self, path: &str, body: &str) {
        within(|| format!("{path} to say {body}; the gateway said {:#?}", self.told()), async {
            while self.get(path).await.text() != body {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn wait_for(lines: &watch::Receiver<Vec<String>>, text: &str) -> String {
    let mut lines = lines.clone();
    let so_far = lines.clone();
    let what = || format!("a line with {text:?}; there are {:#?}", so_far.borrow());
    let found = |lines: &Vec<String>| lines.iter().find(|line| line.contains(text)).cloned();
    within(what, async {
        let lines = lines.wait_for(|lines| found(lines).is_some()).await;
        let lines = lines.unwrap_or_else(|_| panic!("ended before {}", what()));
        found(&lines).unwrap()
    })
    .await
}

/// Gathers lines as they come.
fn lines(from: impl Read + Send + 'static) -> watch::Receiver<Vec<String>> {
    let (sender, receiver) = watch::channel(Vec::new());
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            sender.send_modify(|lines| lines.push(line));
        }
    });
    receiver
}

/// A folder with a configuration.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The path of a file with this text.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

/// A configuration that leads `/*` to one node.
pub(crate) fn leading_to(origin: SocketAddr) -> String {
    format!(
        "upstreams:\n  - id: u\n    nodes: {{\"{origin}\": 1}}\nroutes:\n  - id: all\n    uri: /*\n    upstream_id: u\n#END\n"
    )
}
