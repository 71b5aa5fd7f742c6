//! Descriptors run out. The server is this test once more, in a process of its own that may have 64 of them.
#![cfg(all(feature = "server", unix))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]
mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use support::{Record, echo, start};
use tollgate::server::Limits;

const INSIDE: &str = "TOLLGATE_TEST_FEW_DESCRIPTORS";
const NAME: &str = "sec_ovl_03_when_descriptors_run_out_the_rest_is_turned_away_and_room_is_used_at_once";

/// Serves until the other side closes the standard input; says where.
fn serve() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (_server, address) = start(Limits::default(), echo(&Record::default()));
        println!("\naddress {address}");
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await.unwrap().unwrap();
    });
}

/// Ends with the test, however that ends.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Server {
    fn start() -> (Self, SocketAddr) {
        let child = Command::new("sh")
            .args(["-c", "ulimit -n 64 && exec \"$0\" --exact \"$1\" --nocapture"])
            .arg(std::env::current_exe().unwrap())
            .arg(NAME)
            .env(INSIDE, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut server = Self(child);
        let lines = BufReader::new(server.0.stdout.take().unwrap()).lines();
        let address = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("address ")?.parse().ok());
        (server, address.expect("an address"))
    }
}

/// Whether a request is answered; `false` when the server ends the connection without a word.
fn is_answered(client: &mut TcpStream) -> bool {
    // A connection that was turned away may be reset before the request is written.
    if client.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").is_err() {
        return false;
    }
    let mut start = [0; 15];
    match client.read_exact(&mut start) {
        Ok(()) => &start == b"HTTP/1.1 200 OK",
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("it hangs"),
        Err(_) => false,
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    client
}

#[test]
fn sec_ovl_03_when_descriptors_run_out_the_rest_is_turned_away_and_room_is_used_at_once() {
    if std::env::var_os(INSIDE).is_some() {
        return serve();
    }
    let (_server, address) = Server::start();
    for _ in 0..3 {
        let mut clients: Vec<_> = (0..150).map(|_| connect(address)).collect();
        let answered = clients.iter_mut().map(is_answered).filter(|answered| *answered).count();
        // Idle ones make room for others, so it may be more than fit in at a time.
        assert!((20..150).contains(&answered), "{answered}");
        drop(clients);
        assert!((0..100).any(|_| is_answered(&mut connect(address))), "it takes nobody any more");
    }
}
