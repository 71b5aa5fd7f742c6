//! The same streams of requests through nginx as a proxy, and to our server.
#![cfg(all(feature = "server", feature = "real-servers"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]
#[path = "support/corpus.rs"]
mod corpus;
mod support;

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use support::{Raw, Record, echo, start};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tollgate::server::Limits;

/// nginx on a free port, in front of `origin`.
struct Nginx {
    child: Child,
    address: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Nginx {
    async fn start(origin: SocketAddr) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let root = directory.path().display();
        let configuration = format!(
            "daemon off; master_process off; pid {root}/pid; error_log {root}/error.log;
             events {{ worker_connections 256; }}
             http {{
               access_log off; client_body_temp_path {root}/body; proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/f;
               uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;
               server {{ listen {address}; location / {{
                 proxy_pass http://{origin}; proxy_http_version 1.1; proxy_ignore_client_abort on; }} }}
             }}"
        );
        let file = directory.path().join("nginx.conf");
        std::fs::write(&file, configuration).unwrap();
        let child = Command::new("nginx")
            .arg("-c")
            .arg(&file)
            .arg("-p")
            .arg(directory.path())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx is not installed: these tests need Debian's package `nginx`");
        let nginx = Self { child, address, _directory: directory };
        let up = async {
            while TcpStream::connect(address).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(support::PATIENCE, up).await.expect("nginx does not listen");
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn send(address: SocketAddr, stream: &[u8]) -> String {
    let mut client = Raw::connect(address).await;
    client.send(stream).await;
    client.stream.shutdown().await.unwrap();
    String::from_utf8_lossy(&client.rest().await).into_owned()
}

/// Requests whose body arrived whole, as method, target and body.
fn whole(lines: &[String]) -> Vec<String> {
    lines
        .iter()
        .filter(|line| !line.ends_with(" !"))
        .map(|line| line.replace("http://h/", "/").replace("http://i/", "/"))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_we_take_nginx_reads_in_the_same_way() {
    let behind = Record::default();
    let (_origin, origin) = start(Limits::default(), echo(&behind));
    let nginx = Nginx::start(origin).await;
    let (mut closed, mut refused) = (Vec::new(), Vec::new());
    for (name, stream) in corpus::streams() {
        let record = Record::default();
        let (_server, address) = start(Limits::default(), echo(&record));
        let said = send(address, &stream).await;
        let ours = whole(&record.lines());
        let nginx_said = send(nginx.address, &stream).await;
        let theirs = whole(&behind.take());
        let refusal = |said: &str| said.contains("HTTP/1.1 4") || said.contains("HTTP/1.1 5");
        if theirs.len() > ours.len() {
            assert!(
                theirs.starts_with(&ours) && refusal(&said),
                "{name}: we read {ours:?}, nginx {theirs:?}; we said {said}"
            );
            closed.push(name);
        } else {
            assert!(ours.starts_with(&theirs), "{name}: we read {ours:?}, nginx {theirs:?}");
            if ours.len() > theirs.len() {
                assert!(refusal(&nginx_said), "{name}: {nginx_said}");
                refused.push(name);
            }
        }
    }
    // Which ones is nginx's business; that these are among them shows that the comparison compares.
    assert!(["bare lf", "size lf", "fragment"].iter().all(|name| closed.contains(name)), "{closed:?}");
    assert!(refused.len() <= 3, "{refused:?}");
}
