//! nginx, the gateway with a YAML file before it, and curl.
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::mpsc;

use super::peers::nginx::Nginx;
use super::process::{Folder, Gateway};

/// What stands for nginx in a configuration.
const UPSTREAM: &str = "127.0.0.1:7001";

/// What nginx serves: files of its folder under `/`, fresh for an hour; `/echo` tells what came, in one line a thing.
const ORIGIN: &str = include_str!("nginx.conf");

/// A gateway before nginx. Both end with the value.
pub(crate) struct Rig {
    pub(crate) nginx: Nginx,
    pub(crate) gateway: Gateway,
    folder: Folder,
}

impl Rig {
    /// With that configuration, in which `127.0.0.1:7001` is nginx and `@DIR@` a folder of its own.
    pub(crate) async fn of(yaml: &str) -> Self {
        Self::with(yaml, &[], &[]).await
    }

    /// As [`of`](Self::of), with other texts replaced as well, and with these arguments for the gateway.
    pub(crate) async fn with(yaml: &str, replaced: &[(&str, &str)], arguments: &[&str]) -> Self {
        let (nginx, folder) = (Nginx::start(ORIGIN), Folder::new());
        let mut text = yaml.replace(UPSTREAM, &nginx.address().to_string());
        text = text.replace("@DIR@", &folder.path("").display().to_string());
        for (from, to) in replaced {
            assert!(text.contains(from), "{from} is not in\n{text}");
            text = text.replace(from, to);
        }
        let config = folder.write("gateway.yaml", &text);
        let gateway = Gateway::start(&[&["--config", &config], arguments].concat()).await;
        Self { nginx, gateway, folder }
    }

    /// Ends the gateway without a warning, as a machine does, and starts it again.
    pub(crate) async fn kill_and_restart(&mut self) {
        self.gateway.signal("KILL");
        self.gateway.ended().await;
        self.gateway = Gateway::start(&["--config", &self.folder.path("gateway.yaml").display().to_string()]).await;
    }

    /// Makes a file that nginx serves.
    pub(crate) fn serve(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.nginx.folder().join(name), content).unwrap();
    }

    /// A file of the gateway's folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }

    /// How many requests nginx has had for that path.
    pub(crate) fn asked(&self, path: &str) -> usize {
        // It is one process, which has written the lines of all requests before by the time it answers this one.
        let mut last = std::net::TcpStream::connect(self.nginx.address()).unwrap();
        last.write_all(b"GET /status/404 HTTP/1.0\r\n\r\n").unwrap();
        std::io::copy(&mut last, &mut std::io::sink()).unwrap();
        let log = std::fs::read_to_string(self.nginx.folder().join("access.log")).unwrap_or_default();
        log.lines().filter(|line| line.split(' ').nth(6) == Some(path)).count()
    }

    /// The address of a path at the gateway.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.gateway.address())
    }

    /// What `curl ARGUMENTS http://gateway/path` gets.
    pub(crate) async fn curl(&self, path: &str, arguments: &[&str]) -> Reply {
        let output = curl().arg("-i").args(arguments).arg(self.url(path)).output().await;
        let output = output.unwrap_or_else(|error| panic!("curl is missing ({error}): tests/all.sh installs it"));
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "curl {arguments:?} {path}: {told}; the gateway: {:#?}", self.gateway.told());
        Reply::read(&output.stdout)
    }

    /// Status and body of what `curl ARGUMENTS http://gateway/path` gets.
    pub(crate) async fn says(&self, path: &str, arguments: &[&str]) -> (u16, String) {
        let reply = self.curl(path, arguments).await;
        (reply.status, reply.text().to_owned())
    }
}

/// curl, silent but for errors, and impatient.
pub(crate) fn curl() -> Command {
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "20", "--path-as-is"]).kill_on_drop(true);
    command
}

/// An answer as curl prints it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    fn read(mut printed: &[u8]) -> Self {
        loop {
            let end = printed.windows(4).position(|window| window == b"\r\n\r\n").expect("an answer with a head");
            let (head, rest) = printed.split_at(end + 4);
            let head = String::from_utf8(head.to_vec()).unwrap();
            let status = head.split(' ').nth(1).unwrap().parse().unwrap();
            if status >= 200 {
                return Self { status, head, body: rest.to_vec() };
            }
            printed = rest;
        }
    }

    /// The value of a field; `None` without it. Several are put together.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let values: Vec<_> =
            lines.filter(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// What the cache did.
    pub(crate) fn cache(&self) -> String {
        self.field("apisix-cache-status").unwrap_or_default()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// What `/echo` tells of a thing: `host`, `body`, …; `request` is the first line.
    pub(crate) fn echoed(&self, what: &str) -> &str {
        let text = self.text();
        let found = if what == "request" {
            text.lines().next()
        } else {
            text.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(": "))
        };
        found.unwrap_or_else(|| panic!("no {what} in {text}"))
    }
}

/// `count` bytes of text that compresses well.
pub(crate) fn letters(count: usize) -> String {
    (b'a'..=b'z').cycle().map(char::from).take(count).collect()
}

/// What a folder holds: the paths of all its files.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// An address where nobody listens.
pub(crate) fn closed_port() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// An origin of one connection, which goes on when it is told to.
pub(crate) struct Told {
    address: SocketAddr,
    pieces: mpsc::UnboundedSender<&'static str>,
}

impl Told {
    /// Reads a head, sends `first`, then whatever it is told.
    pub(crate) async fn once(first: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (pieces, mut told) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") {
                stream.read_exact(&mut byte).await.unwrap();
                head.extend(byte);
            }
            stream.write_all(first.as_bytes()).await.unwrap();
            while let Some(piece) = told.recv().await {
                stream.write_all(str::as_bytes(piece)).await.unwrap();
            }
        });
        Self { address, pieces }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends this.
    pub(crate) fn tell(&self, piece: &'static str) {
        self.pieces.send(piece).unwrap();
    }
}
