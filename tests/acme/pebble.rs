//! pebble, and the name server of its package that leads every name to this machine.
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::watch;

use super::peers::within;

/// What an authority is like.
#[derive(Clone, Default)]
pub(crate) struct Ways {
    /// Of a hundred good nonces, how many it rejects.
    pub(crate) rejects: u8,
    /// Id and key (base64url) of an account elsewhere, that ours has to be bound to.
    pub(crate) binding: Option<(&'static str, &'static str)>,
    /// For how long its certificates are valid, in seconds; 0 for its default.
    pub(crate) validity: u64,
    /// Whether it waits before it asks back.
    pub(crate) is_slow: bool,
}

/// An authority that asks back on two ports of this machine. Ends with the value, with all that it knew.
pub(crate) struct Pebble {
    ways: Ways,
    folder: TempDir,
    /// Where it asks back: HTTP, TLS.
    ports: (u16, u16),
    directory: u16,
    _names: Process,
    process: Option<Process>,
    told: watch::Sender<Vec<String>>,
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

async fn opened(port: u16) {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    within(|| format!("port {port}"), async {
        while TcpStream::connect(address).is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
}

fn start(program: &str, command: &mut Command) -> Process {
    let command = command.stdin(Stdio::null()).stderr(Stdio::null());
    Process(command.spawn().unwrap_or_else(|error| panic!("{program} is missing ({error}): tests/all.sh installs it")))
}

impl Pebble {
    /// Starts one that asks back on these ports.
    pub(crate) async fn start(ports: (u16, u16), ways: Ways) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(folder.path().join("cert.pem"), cert.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), signing_key.serialize_pem()).unwrap();
        let (names_port, management) = (free_port(), free_port());
        let mut names = Command::new("pebble-challtestsrv");
        names.arg("-dns01").arg(format!("127.0.0.1:{names_port}"));
        names.arg("-management").arg(format!("127.0.0.1:{management}"));
        names.args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""]).stdout(Stdio::null());
        let names = start("pebble-challtestsrv", &mut names);
        opened(names_port).await;
        let directory = free_port();
        let mut pebble =
            Self { ways, folder, ports, directory, _names: names, process: None, told: watch::Sender::default() };
        pebble.write_config(names_port);
        pebble.restart().await;
        pebble
    }

    fn write_config(&self, names_port: u16) {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let mut config = json!({
            "listenAddress": format!("127.0.0.1:{}", self.directory),
            "certificate": path("cert.pem"),
            "privateKey": path("key.pem"),
            "httpPort": self.ports.0,
            "tlsPort": self.ports.1,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": self.ways.binding.is_some(),
        });
        if let Some((kid, key)) = self.ways.binding {
            config["externalAccountMACKeys"] = json!({ kid: key });
        }
        if self.ways.validity > 0 {
            config["certificateValidityPeriod"] = json!(self.ways.validity);
        }
        std::fs::write(path("config.json"), json!({ "pebble": config }).to_string()).unwrap();
        std::fs::write(path("names"), names_port.to_string()).unwrap();
    }

    /// Ends it. What it knew is gone.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again, at the same address, without any memory.
    pub(crate) async fn restart(&mut self) {
        self.process = None;
        let names_port = std::fs::read_to_string(self.folder.path().join("names")).unwrap();
        let mut command = Command::new("pebble");
        command.arg("-config").arg(self.folder.path().join("config.json"));
        command.arg("-dnsserver").arg(format!("127.0.0.1:{names_port}"));
        command.env("PEBBLE_WFE_NONCEREJECT", self.ways.rejects.to_string()).env("PEBBLE_AUTHZREUSE", "0");
        if self.ways.is_slow {
            command.env("PEBBLE_VA_SLEEPTIME", "1");
        } else {
            command.env("PEBBLE_VA_NOSLEEP", "1");
        }
        let mut process = start("pebble", command.stdout(Stdio::piped()));
        let lines = BufReader::new(process.0.stdout.take().unwrap()).lines();
        let told = self.told.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                told.send_modify(|told| told.push(line));
            }
        });
        self.process = Some(process);
        opened(self.directory).await;
    }

    pub(crate) fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.directory)
    }

    /// What its own server is verified against.
    pub(crate) fn root(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("cert.pem")).unwrap()
    }

    /// Waits until it takes one more order.
    pub(crate) async fn takes_an_order(&self) {
        let orders = |told: &Vec<String>| told.iter().filter(|line| line.contains("Added order")).count();
        let mut told = self.told.subscribe();
        let before = orders(&told.borrow());
        let taken = told.wait_for(|told| orders(told) > before);
        within(|| format!("an order; pebble said {:#?}", self.told.borrow()), taken).await.unwrap();
    }

    /// How many certificates it has issued.
    pub(crate) fn issued(&self) -> usize {
        self.told.borrow().iter().filter(|line| line.contains("Issued certificate serial")).count()
    }
}
