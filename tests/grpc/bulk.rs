//! What is large: the gateway, a process of its own, keeps little of it in memory, and passes on that the other side is slow.
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::origin::{Client, Origin};
use super::peers::within;
use super::process::{Folder, Gateway};

/// 1 GiB.
const LARGE: u64 = 1 << 30;
/// What the memory of the gateway may grow by, buffers of sockets and HTTP/2 windows included.
const GROWTH: u64 = 24 << 20;

/// The bundled gateway before an origin.
async fn gateway(scheme: &str, origin: SocketAddr) -> (Gateway, Folder) {
    let folder = Folder::new();
    let document = json!({
        "tollgate": {
            "listeners": [{"address": "127.0.0.1:0", "protocols": ["h1", "h2c"]}],
            "limits": {"body_bytes": LARGE * 8},
        },
        "routes": [{"id": "r", "uri": "/*", "upstream": {"scheme": scheme, "nodes": {(origin.to_string()): 1}}}],
    });
    let file = folder.write("a.json", &document.to_string());
    (Gateway::start_exactly(&["--config", &file]).await, folder)
}

/// The most memory that the process has had, in bytes.
fn peak(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// Writes zeros for as long as they are taken; how many were when nobody took more for a second.
async fn fill(stream: &mut TcpStream, most: u64) -> u64 {
    let piece = vec![0; 1 << 16];
    let mut written = 0;
    while written < most {
        match tokio::time::timeout(Duration::from_secs(1), stream.write(&piece)).await {
            Ok(count) => written += count.unwrap() as u64,
            Err(_) => break,
        }
    }
    written
}

async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Reads so many bytes.
async fn drain(stream: &mut TcpStream, mut count: u64) {
    let mut room = vec![0; 1 << 16];
    while count > 0 {
        let most = room.len().min(usize::try_from(count).unwrap_or(usize::MAX));
        let read = stream.read(&mut room[..most]).await.unwrap();
        assert!(read > 0, "{count} bytes are missing");
        count -= read as u64;
    }
}

/// Nobody waits for longer than this for a whole body.
async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(300), future).await.unwrap_or_else(|_| panic!("never: {what}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_upload_and_download_over_http_1_wait_for_the_slow_side() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (gateway, _folder) = gateway("http", listener.local_addr().unwrap()).await;
    let mut client = TcpStream::connect(gateway.address()).await.unwrap();
    let before = peak(&gateway);

    client.write_all(format!("PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: {LARGE}\r\n\r\n").as_bytes()).await.unwrap();
    let (mut origin, _) = listener.accept().await.unwrap();
    head(&mut origin).await;
    // The origin reads nothing, so the client cannot write on.
    let held = fill(&mut client, LARGE).await;
    assert!(held < 64 << 20, "{held} bytes were taken that nobody read");
    let rest = async {
        let piece = vec![0; 1 << 16];
        let mut left = LARGE - held;
        while left > 0 {
            let count = left.min(piece.len() as u64);
            client.write_all(&piece[..count as usize]).await.unwrap();
            left -= count;
        }
    };
    patiently("the upload", async { tokio::join!(rest, drain(&mut origin, LARGE)) }).await;

    // The same the other way.
    origin.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n").as_bytes()).await.unwrap();
    let held = fill(&mut origin, LARGE).await;
    assert!(held < 64 << 20, "{held} bytes were taken that nobody read");
    let rest = async {
        let piece = vec![0; 1 << 16];
        let mut left = LARGE - held;
        while left > 0 {
            let count = left.min(piece.len() as u64);
            origin.write_all(&piece[..count as usize]).await.unwrap();
            left -= count;
        }
    };
    let take = async {
        assert!(head(&mut client).await.starts_with("HTTP/1.1 200 "));
        drain(&mut client, LARGE).await;
    };
    patiently("the download", async { tokio::join!(rest, take) }).await;
    let growth = peak(&gateway) - before;
    println!("figure: 1 GiB up and 1 GiB down over HTTP/1: memory grew by {} KiB", growth >> 10);
    assert!(growth < GROWTH, "memory grew by {growth} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_streams_of_grpc_keep_memory_flat() {
    const PIECE: usize = 1 << 20;
    let origin = Origin::start().await;
    let (gateway, _folder) = gateway("grpc", origin.address).await;
    let mut client = Client::connect(gateway.address()).await;
    client.unary("Unary", 0, "warm").await.unwrap();
    let before = peak(&gateway);
    let pieces = LARGE as usize / PIECE;
    let piece = Bytes::from(vec![1; PIECE]);

    let messages = stream::iter(std::iter::repeat_n(piece, pieces));
    let answer = patiently("the upload", client.client_streaming("Swallow", 1, messages)).await.unwrap();
    assert_eq!(*answer.get_ref(), LARGE.to_string());

    let answer = client.server_streaming("Flood", 2, PIECE.to_string()).await.unwrap();
    let mut flood = answer.into_inner();
    patiently("the download", async {
        for _ in 0..pieces {
            assert_eq!(flood.message().await.unwrap().unwrap().len(), PIECE);
        }
    })
    .await;
    // Other calls go on beside a stream that is not read on.
    let answer = within(|| "a call beside".into(), client.clone().unary("Unary", 3, "ok")).await.unwrap();
    assert_eq!(answer.get_ref(), "ok");
    drop(flood);
    let growth = peak(&gateway) - before;
    println!("figure: 1 GiB up and 1 GiB down over gRPC: memory grew by {} KiB", growth >> 10);
    assert!(growth < GROWTH, "memory grew by {growth} bytes");
}
