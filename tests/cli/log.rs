//! The access log: its two forms, to the terminal and to a file that is rotated.
use std::path::Path;

use serde_json::Value;

use super::peers::origin::Origin;
use super::peers::within;
use super::process::{Folder, Gateway, leading_to};

/// Waits until the file has so many lines.
async fn lines(path: &Path, count: usize) -> Vec<String> {
    within(|| format!("{count} lines in {}", path.display()), async {
        loop {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            if text.ends_with('\n') && text.lines().count() >= count {
                return text.lines().map(str::to_owned).collect();
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[tokio::test]
async fn json_lines_tell_the_client_the_route_and_the_endpoint() {
    let origin = Origin::saying("net").await;
    let folder = Folder::new();
    let file = folder.write("a.yaml", &leading_to(origin.address()).replace("/*", "/r/*"));
    let log = folder.path("access.log");
    let arguments = ["--config", &file, "--access-log-format", "json", "--access-log", log.to_str().unwrap()];
    let gateway = Gateway::start(&arguments).await;
    gateway.get("/r/1?token=CANARY&x=1").await;
    gateway.get("/none").await;
    let lines: Vec<Value> = lines(&log, 2).await.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (name, expected) in [
        ("client", "127.0.0.1"),
        ("method", "GET"),
        ("uri", "/r/1?token=[redacted]&x=1"),
        ("protocol", "HTTP/1.1"),
        ("host", "gw.test"),
        ("user_agent", "a test"),
        ("route", "all"),
        ("upstream", &origin.address().to_string()),
    ] {
        assert_eq!(lines[0][name], expected, "{}", lines[0]);
    }
    assert_eq!((&lines[0]["status"], &lines[0]["bytes"]), (&200.into(), &3.into()));
    assert_eq!((&lines[1]["status"], lines[1].get("route"), lines[1].get("upstream")), (&404.into(), None, None));
}

#[tokio::test]
async fn combined_lines_go_to_the_terminal() {
    let gateway = Gateway::start(&["--access-log", "-"]).await;
    gateway.get("/hello/x").await;
    let line = gateway.read("/hello/x").await;
    assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
    assert!(line.ends_with("] \"GET /hello/x HTTP/1.1\" 200 28 \"-\" \"a test\""), "{line}");
}

#[tokio::test]
async fn sighup_opens_the_file_anew_and_sigterm_writes_what_is_queued() {
    let folder = Folder::new();
    let (log, moved) = (folder.path("access.log"), folder.path("access.log.1"));
    let mut gateway = Gateway::start(&["--access-log", log.to_str().unwrap()]).await;
    gateway.get("/hello/1").await;
    lines(&log, 1).await;
    std::fs::rename(&log, &moved).unwrap();
    gateway.get("/hello/2").await;
    assert!(lines(&moved, 2).await[1].contains("/hello/2"), "the moved file is still the open one");
    gateway.signal("HUP");
    within(|| "a new file".to_owned(), async {
        while !log.exists() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    gateway.get("/hello/3").await;
    gateway.signal("TERM");
    assert_eq!(gateway.ended().await.code(), Some(0));
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.lines().count() == 1 && text.contains("/hello/3"), "{text}");
    assert_eq!(std::fs::read_to_string(&moved).unwrap().lines().count(), 2);
}
