//! HAProxy from Debian's package, as a sender of PROXY headers.
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// One process; ends with the value.
pub(crate) struct Haproxy {
    process: Child,
    /// What each line of servers is reached by.
    pub(crate) addresses: Vec<SocketAddr>,
    _folder: TempDir,
}

impl Haproxy {
    /// Passes bytes on, from an address for each of these servers as `server` lines have them: `127.0.0.1:1 send-proxy`.
    ///
    /// Fails the test in one line when HAProxy is missing or does not start.
    pub(crate) async fn before(servers: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let held: Vec<_> = servers.iter().map(|_| free()).collect();
        let addresses: Vec<_> = held.iter().map(|one| one.local_addr().unwrap()).collect();
        let mut config =
            String::from("defaults\n  mode tcp\n  timeout connect 10s\n  timeout client 30s\n  timeout server 30s\n");
        for (number, (server, address)) in servers.iter().zip(&addresses).enumerate() {
            config.push_str(&format!("listen way{number}\n  bind {address}\n  server one {server}\n"));
        }
        let file = folder.path().join("haproxy.cfg");
        std::fs::write(&file, config).unwrap();
        drop(held);
        let mut process = Command::new(program())
            .args(["-db", "-f"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap_or_else(|error| panic!("HAProxy is missing ({error}): tests/all.sh installs it"));
        crate::peers::within(|| "HAProxy to listen".to_owned(), async {
            while addresses.iter().any(|address| TcpStream::connect(address).is_err()) {
                assert!(process.try_wait().unwrap().is_none(), "HAProxy did not start");
                tokio::task::yield_now().await;
            }
        })
        .await;
        Self { process, addresses, _folder: folder }
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Debian has it where a user's path does not lead.
fn program() -> &'static str {
    if Path::new("/usr/sbin/haproxy").exists() { "/usr/sbin/haproxy" } else { "haproxy" }
}
