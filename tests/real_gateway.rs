//! The bundled gateway as operators run it: nginx behind it, wrk and curl before it, edits while it serves.
#![cfg(test)]
#![cfg(all(unix, feature = "full", feature = "real-servers"))]
mod peers;
#[path = "cli/process.rs"]
#[allow(dead_code, reason = "the tests of the command line use the rest")]
mod process;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use peers::nginx::Nginx;
use peers::origin::Origin;
use peers::{within, wrk};
use process::{Folder, Gateway, leading_to};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio_tungstenite::tungstenite::Message;
use tollgate::model::{ReadOptions, read};
use tollgate::server::{Limits, Listener, Server};

/// Two versions behind one nginx: `/` says `from nginx`, `/v2/` says `from version 2`.
fn nginx() -> Nginx {
    Nginx::start(
        "location / { return 200 \"from nginx\"; }\nlocation /v2/ { return 200 \"from version 2\"; }\nlocation /file { alias @DIR@/file; }",
    )
}

/// What curl prints for these arguments; it must end well.
async fn curl(arguments: &[&str]) -> String {
    let output = Command::new("curl").args(["-sS", "--max-time", "20"]).args(arguments).output().await;
    let output = output.unwrap_or_else(|error| panic!("curl is missing ({error}): tests/all.sh installs it"));
    assert!(output.status.success(), "curl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn curl_gets_pages_files_and_ranges_by_http_1_and_h2c() {
    let nginx = nginx();
    let file: Vec<u8> = (0..300_000_u32).map(|number| b'a' + u8::try_from(number % 26).unwrap()).collect();
    std::fs::write(nginx.folder().join("file"), &file).unwrap();
    let folder = Folder::new();
    let config = folder.write("a.yaml", &leading_to(nginx.address()));
    let gateway = Gateway::start(&["--config", &config]).await;
    let url = |path: &str| format!("http://{}{path}", gateway.address());
    for version in ["--http1.0", "--http1.1", "--http2-prior-knowledge"] {
        assert_eq!(curl(&[version, &url("/")]).await, "from nginx", "{version}");
        assert!(curl(&[version, &url("/file")]).await.as_bytes() == file, "{version}");
        assert_eq!(curl(&[version, "-r", "26-28", &url("/file")]).await, "abc", "{version}");
        let head = curl(&[version, "-I", &url("/file")]).await.to_ascii_lowercase();
        assert!(head.contains("content-length: 300000") && head.contains("server: nginx"), "{version}: {head}");
    }
}

#[tokio::test]
async fn an_edit_while_wrk_runs_changes_the_routing_and_fails_nothing() {
    let nginx = nginx();
    let folder = Folder::new();
    let first = leading_to(nginx.address());
    let config = folder.write("a.yaml", &first);
    let gateway = Gateway::start(&["--config", &config]).await;
    let url = format!("http://{}/v2/", gateway.address());
    let load = tokio::spawn(async move { wrk::run(&url, 16, 4).await });
    assert_eq!(gateway.get("/v2/").await.text(), "from version 2");
    // An edit at a time, each awaited: the last one leads `/v2/` elsewhere, and back.
    let other = Origin::saying("elsewhere").await;
    let elsewhere =
        format!("  - {{id: two, uri: /v2/special, upstream: {{nodes: {{\"{}\": 1}}}}}}\n#END", other.address());
    let mut edits = 0;
    while !load.is_finished() {
        folder.write("a.yaml", &first.replace("#END", &elsewhere));
        gateway.until_it_says("/v2/special", "elsewhere").await;
        folder.write("new.yaml", &first);
        std::fs::rename(folder.path("new.yaml"), folder.path("a.yaml")).unwrap();
        gateway.until_it_says("/v2/special", "from version 2").await;
        edits += 2;
    }
    let report = load.await.unwrap();
    assert!(edits >= 4 && report.requests > 100, "{edits} edits, {report:?}");
    assert_eq!((report.refused, report.socket_errors), (0, 0), "{report:?}");
    // Not one moment without routes: an edit in place is never read half done.
    assert!(!gateway.told().iter().any(|line| line.contains("in force, 0 routes")), "{:#?}", gateway.told());
}

#[tokio::test]
async fn a_websocket_passes_the_process_and_outlives_edits() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            if message.is_text() && socket.send(message).await.is_err() {
                return;
            }
        }
    });
    let folder = Folder::new();
    let routes = format!(
        "routes:\n  - {{id: ws, uri: /socket, enable_websocket: true, upstream: {{nodes: {{\"{origin}\": 1}}}}}}\n#END\n"
    );
    let config = folder.write("a.yaml", &routes);
    let mut gateway = Gateway::start(&["--config", &config]).await;
    let stream = TcpStream::connect(gateway.address()).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async("ws://gw.test/socket", stream).await.unwrap();
    for (round, text) in [&*routes, "routes: []\n#END\n"].into_iter().enumerate() {
        socket.send(Message::text(format!("round {round}"))).await.unwrap();
        let answer = within(|| "the echo".to_owned(), socket.next()).await.unwrap().unwrap();
        assert_eq!(answer, Message::text(format!("round {round}")));
        folder.write("a.yaml", text);
    }
    gateway.hear("in force, 0 routes").await;
    // Its route is gone, and it goes on; the drain says goodbye.
    socket.send(Message::text("still here")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("still here"));
    gateway.signal("TERM");
    let last = within(|| "the goodbye".to_owned(), socket.next()).await;
    assert!(matches!(last, Some(Ok(Message::Close(_)))), "{last:?}");
    drop(socket);
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_every_10_ms_fails_no_request_and_closes_no_connection() {
    let nginx = nginx();
    let document = |version: u32| {
        json!({
            "upstreams": [{"id": "u", "nodes": {nginx.address().to_string(): 1}}],
            "routes": [
                {"id": "all", "uri": "/*", "upstream_id": "u"},
                {"id": "extra", "uri": format!("/only-in-{version}"), "upstream_id": "u"},
            ],
        })
    };
    let snapshot = |version| read(&document(version), &ReadOptions::default()).snapshot;
    let gateway = tollgate::gateway::Gateway::builder().build().unwrap();
    gateway.apply(snapshot(0)).unwrap();
    // Connections are counted as they come; none is closed for its number of requests (LIM-10).
    let mut limits = Limits::default();
    limits.requests_per_connection = u32::MAX;
    let (accepted, connections) = (Arc::new(AtomicUsize::new(0)), gateway.clone());
    let count = Arc::clone(&accepted);
    let server = Server::builder().limits(limits).serve(move |client| {
        count.fetch_add(1, SeqCst);
        connections.connection(client)
    });
    let address = server.listen(Listener::new(([127, 0, 0, 1], 0).into())).unwrap();
    // One connection from begin to end: a reload that closed connections would close it.
    let mut steady = peers::client::Client::connect(address).await;

    let url = format!("http://{address}/");
    let calm = wrk::run(&url, 16, 2).await;
    let over = Arc::new(AtomicBool::new(false));
    let reloads = {
        let (over, gateway) = (Arc::clone(&over), gateway.clone());
        let versions = [snapshot(1), snapshot(2)];
        std::thread::spawn(move || {
            let began = Instant::now();
            let mut count = 0_u32;
            while !over.load(SeqCst) {
                gateway.apply(versions[count as usize % 2].clone()).unwrap();
                count += 1;
                // The pace is what is tested: the load, not a condition, is waited for.
                std::thread::park_timeout(
                    (began + Duration::from_millis(10) * count).saturating_duration_since(Instant::now()),
                );
            }
            count
        })
    };
    let load = tokio::spawn(async move { wrk::run(&url, 16, 10).await });
    while !load.is_finished() {
        steady.send("GET / HTTP/1.1\r\nhost: gw.test\r\n\r\n").await;
        assert_eq!(steady.answer().await.text(), "from nginx");
    }
    let report = load.await.unwrap();
    over.store(true, SeqCst);
    let count = reloads.join().unwrap();
    println!("figure: {count} reloads; without: {calm:?}; with: {report:?}");
    assert!(count >= 500, "{count} reloads");
    assert_eq!((report.refused, report.socket_errors), (0, 0), "{report:?}");
    assert!(report.requests > 1000, "{report:?}");
    // wrk tries the address with one more before it begins.
    assert_eq!(accepted.load(SeqCst), 1 + 2 * 17, "the one of this test, and those of the two runs of wrk");
}
