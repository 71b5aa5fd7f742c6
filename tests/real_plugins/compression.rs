//! `gzip`, `brotli` and `zstd`.
use std::process::Stdio;

use tokio::io::AsyncReadExt as _;

use super::peers::within;
use super::rig::{Rig, Told, closed_port, curl, letters};

const YAML: &str = include_str!("compression.yaml");

async fn rig() -> Rig {
    let rig = Rig::with(YAML, &[("127.0.0.1:7002", &closed_port())], &[]).await;
    rig.serve("page.html", letters(100_000));
    rig.serve("tiny.html", "less than 20 bytes");
    rig.serve("text.txt", letters(1000));
    rig
}

#[tokio::test]
async fn curl_reads_what_it_asked_to_be_compressed() {
    let rig = rig().await;
    let plain = rig.curl("/gzip/page.html", &[]).await;
    assert_eq!((plain.field("content-encoding"), plain.body.len()), (None, 100_000));
    let (tag, length) = (plain.field("etag").unwrap(), plain.field("content-length"));
    assert_eq!((tag.starts_with('"'), length.as_deref()), (true, Some("100000")));
    for (route, coding) in [("gzip", "gzip"), ("brotli", "br"), ("zstd", "zstd")] {
        let path = format!("/{route}/page.html");
        let packed = rig.curl(&path, &["-H", &format!("Accept-Encoding: {coding}")]).await;
        assert!(packed.body.len() < 1000, "{coding}: {} bytes", packed.body.len());
        for (name, value) in [
            ("content-encoding", Some(coding)),
            ("vary", Some("Accept-Encoding")),
            ("etag", Some(&*format!("W/{tag}"))),
            ("content-length", None),
            ("accept-ranges", None),
            ("content-type", Some("text/html")),
        ] {
            assert_eq!(packed.field(name).as_deref(), value, "{coding}: {name}");
        }
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let unpacked = rig.curl(&path, &["--compressed", version]).await;
            assert_eq!(unpacked.field("content-encoding").as_deref(), Some(coding));
            assert!(unpacked.body == plain.body, "{coding} {version}");
        }
        let head = rig.curl(&path, &["-I", "--compressed"]).await;
        assert_eq!((head.field("content-encoding").as_deref(), head.field("content-length")), (Some(coding), None));
        let same = rig.curl(&path, &["--compressed", "-H", &format!("If-None-Match: W/{tag}")]).await;
        assert_eq!((same.status, same.body.len()), (304, 0));
        for refusal in ["identity", &format!("{coding};q=0"), "*;q=0"] {
            let reply = rig.curl(&path, &["-H", &format!("Accept-Encoding: {refusal}")]).await;
            assert_eq!(
                (reply.field("content-encoding"), reply.field("vary").as_deref()),
                (None, Some("Accept-Encoding"))
            );
            assert_eq!(reply.body, plain.body);
        }
    }
}

#[tokio::test]
async fn what_is_not_to_be_compressed_is_left_alone() {
    let rig = rig().await;
    for (path, arguments) in [
        ("/gzip/tiny.html", &[][..]),
        ("/gzip/text.txt", &[]),
        ("/gzip/page.html", &["-r", "0-999"]),
        ("/gzip/page.html", &["--http1.0"]),
        ("/gzip/page.html", &["-H", "Cache-Control: no-transform"]),
        ("/old/page.html", &["-H", "Via: 1.1 proxy"]),
        ("/all/packed", &[]),
    ] {
        let reply = rig.curl(path, &[arguments, &["-H", "Accept-Encoding: gzip"]].concat()).await;
        let coding = if path == "/all/packed" { Some("x-own") } else { None };
        assert_eq!(reply.field("content-encoding").as_deref(), coding, "{path} {arguments:?}");
    }
    let old = rig.curl("/old/page.html", &["--http1.0", "--compressed"]).await;
    assert_eq!(
        (old.field("content-encoding").as_deref(), old.field("vary"), old.body.len()),
        (Some("gzip"), None, 100_000)
    );
}

#[tokio::test]
async fn clients_choose_and_of_equals_the_best_is_taken() {
    let rig = rig().await;
    for (accepted, coding) in [
        ("gzip", "gzip"),
        ("gzip, br", "br"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=1, br;q=0.5", "gzip"),
        ("*", "zstd"),
        ("zstd;q=0, *", "br"),
    ] {
        let reply = rig.curl("/all/page.html", &["-H", &format!("Accept-Encoding: {accepted}")]).await;
        assert_eq!(reply.field("content-encoding").as_deref(), Some(coding), "{accepted}");
    }
}

#[tokio::test]
async fn events_arrive_when_they_are_sent() {
    for coding in ["gzip", "br", "zstd"] {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: first event\n\n";
        let told = Told::once(head).await;
        let rig = Rig::with(YAML, &[("127.0.0.1:7002", &told.address().to_string())], &[]).await;
        let accepted = format!("Accept-Encoding: {coding}");
        let mut stream = curl();
        stream.args(["-N", "--compressed", "-H", &accepted]).arg(rig.url("/events")).stdout(Stdio::piped());
        let mut stream = stream.spawn().unwrap();
        let mut output = stream.stdout.take().unwrap();
        let mut room = [0; 19];
        for (event, next) in [("data: first event\n\n", "data: other event\n\n"), ("data: other event\n\n", "")] {
            within(|| format!("{coding}: {event}"), output.read_exact(&mut room)).await.unwrap();
            assert_eq!(&room, event.as_bytes(), "{coding}");
            told.tell(next);
        }
    }
}
