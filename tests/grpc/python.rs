//! grpcio, the C core from Python's package index, on either side and on both.
use std::net::SocketAddr;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::origin::{Client, Origin, id};
use super::peers::within;
use super::rig::Front;

/// A program of this folder, by the Python that `tests/all.sh` puts grpcio into.
fn program(name: &str) -> Command {
    let root = env!("CARGO_MANIFEST_DIR");
    let python = format!("{root}/target/grpc/bin/python");
    assert!(std::path::Path::new(&python).exists(), "{python} is missing: tests/all.sh makes it");
    let mut command = Command::new(python);
    command.arg(format!("{root}/tests/grpc/{name}")).kill_on_drop(true);
    command
}

/// The server; ends with the value.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    told: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let mut process = program("server.py").stdout(Stdio::piped()).spawn().unwrap();
        let mut told = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = within(|| "the port".into(), told.next_line()).await.unwrap().expect("the server does not start");
        let port: u16 = line.strip_prefix("port ").unwrap().parse().unwrap();
        Self { address: ([127, 0, 0, 1], port).into(), told, _process: process }
    }

    /// The next thing that it says.
    async fn says(&mut self) -> String {
        within(|| "a word of the server".into(), self.told.next_line()).await.unwrap().unwrap()
    }
}

/// Has the client make its calls, and fails with what it found to be wrong.
async fn calls(front: &Front, kind: &str) {
    let run = program("client.py").arg(front.address.to_string()).arg(kind).output();
    let output = tokio::time::timeout(std::time::Duration::from_secs(60), run).await.expect("it does not end").unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &*String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("all is well"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_client_calls_tonic() {
    let origin = Origin::start().await;
    calls(&Front::of_grpc(origin.address), "tonic").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_client_calls_its_server() {
    let server = Server::start().await;
    calls(&Front::of_grpc(server.address), "grpcio").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tonic_calls_its_server_which_hears_of_deadlines_and_of_those_who_give_up() {
    let mut server = Server::start().await;
    let front = Front::of_grpc(server.address);
    let mut client = Client::connect(front.address).await;
    let answer = client.unary("Unary", 9, "hello").await.unwrap();
    assert_eq!((id(answer.metadata()), answer.get_ref()), (9, &bytes::Bytes::from("hello")));

    let hung = {
        let mut client = client.clone();
        tokio::spawn(async move { client.unary("Hang", 1, "").await })
    };
    assert_eq!(server.says().await, "no deadline");
    hung.abort();
    assert_eq!(server.says().await, "cancelled");

    let hung = {
        let mut client = client.clone();
        tokio::spawn(async move { client.unary_within("Hang", 2, "", std::time::Duration::from_secs(100)).await })
    };
    assert_eq!(server.says().await, "deadline");
    hung.abort();
    assert_eq!(server.says().await, "cancelled");
}
