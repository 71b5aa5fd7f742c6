//! `client-control`, `proxy-control` and `proxy-buffering`: bodies and their lengths.
use std::process::Stdio;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::peers::origin::{Origin, Step};
use super::peers::within;
use super::rig::{Rig, Told, curl, letters};

const YAML: &str = include_str!("limits.yaml");

#[tokio::test]
async fn longer_bodies_are_answered_with_413() {
    let rig = Rig::with(YAML, &[], &[]).await;
    let chunked = ["-H", "Transfer-Encoding: chunked", "-d"];
    assert_eq!(rig.curl("/short/a", &["-d", "0123456789"]).await.echoed("body"), "0123456789");
    assert_eq!(rig.curl("/short/a", &[&chunked[..], &["0123456789"]].concat()).await.status, 200);
    assert_eq!(rig.says("/short/a", &["-d", "0123456789a"]).await, (413, String::new()));
    assert_eq!(rig.curl("/short/a", &[&chunked[..], &["0123456789a"]].concat()).await.status, 413);
    assert_eq!(rig.curl("/short/a", &[]).await.status, 200);
    // The gateway's own limit is 16 MiB: the block's is above it, and it holds elsewhere.
    rig.serve("upload", letters(17_000_000));
    let upload = format!("@{}", rig.nginx.folder().join("upload").display());
    let long = rig.curl("/long/a", &["--data-binary", &upload]).await;
    assert_eq!((long.status, long.echoed("length")), (200, "17000000"));
    assert_eq!(rig.curl("/usual/a", &["--data-binary", &upload]).await.status, 413);
    rig.serve("upload", letters(20_000_001));
    assert_eq!(rig.says("/long/a", &["--data-binary", &upload]).await, (413, String::new()));
}

#[tokio::test]
async fn a_body_is_sent_on_when_it_is_there_or_while_it_comes() {
    for (path, is_buffered) in [("/first", true), ("/along", false)] {
        let origin = Origin::saying("thanks").await;
        let rig = Rig::with(YAML, &[("127.0.0.1:7002", &origin.address().to_string())], &[]).await;
        let mut upload = curl();
        upload.args(["-T", "-", "-X", "POST"]).arg(rig.url(path)).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut upload = upload.spawn().unwrap();
        let mut body = upload.stdin.take().unwrap();
        body.write_all(b"one half, ").await.unwrap();
        if is_buffered {
            // Of two requests the one that came later is there.
            assert_eq!(rig.curl("/along", &["-d", "later"]).await.text(), "thanks");
            assert!(origin.seen().iter().all(|one| !one.bytes.starts_with(b"POST /first")));
        } else {
            origin.wait(|seen| seen.iter().any(|one| text(&one.bytes).contains("one half, "))).await;
        }
        body.write_all(b"and the other").await.unwrap();
        drop(body);
        let output = upload.wait_with_output().await.unwrap();
        assert_eq!(text(&output.stdout), "thanks");
        let requests = origin.requests();
        let whole = requests.iter().find(|request| request.target() == path).unwrap();
        assert_eq!(whole.text(), "one half, and the other");
    }
}

#[tokio::test]
async fn an_answer_comes_while_it_is_made() {
    let told = Told::once("HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\nfirst ").await;
    let rig = Rig::with(YAML, &[("127.0.0.1:7002", &told.address().to_string())], &[]).await;
    let mut stream = curl();
    let mut stream = stream.arg("-N").arg(rig.url("/at-once")).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = stream.stdout.take().unwrap();
    let mut room = [0; 6];
    within(|| "the first half".to_owned(), output.read_exact(&mut room)).await.unwrap();
    assert_eq!(&room, b"first ");
    told.tell("second");
    within(|| "the second half".to_owned(), output.read_exact(&mut room)).await.unwrap();
    assert_eq!((&room, stream.wait().await.unwrap().success()), (b"second", true));
}

#[tokio::test]
async fn an_upstream_that_says_no_early_is_heard() {
    let origin = Origin::scripted(|_| {
        vec![Step::until("\r\n\r\n"), Step::send("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno"), Step::Close]
    })
    .await;
    let rig = Rig::with(YAML, &[("127.0.0.1:7002", &origin.address().to_string())], &[]).await;
    rig.serve("upload", letters(3_000_000));
    let upload = format!("@{}", rig.nginx.folder().join("upload").display());
    assert_eq!(rig.says("/along", &["--data-binary", &upload]).await, (403, "no".to_owned()));
}

fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
