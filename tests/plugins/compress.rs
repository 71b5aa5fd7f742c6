//! `gzip`, `brotli` and `zstd` in a whole gateway, over sockets.
use std::io::Read as _;

use tollgate::gateway::Gateway;

use super::peers::origin::{Origin, Step};
use super::support::{Rig, example, refused, route_with};

const PAGE: &str = "<p>hello, hello</p>";

fn page() -> String {
    PAGE.repeat(1000)
}

async fn before(fields: &str, yaml: &str) -> Rig {
    let page = page();
    let answer = format!("HTTP/1.1 200 OK\r\nETag: \"1\"\r\n{fields}Content-Length: {}\r\n\r\n{page}", page.len());
    Rig::before(Origin::answering(answer).await, Gateway::builder(), yaml).await
}

fn decoded(coding: &str, body: &[u8]) -> String {
    let mut text = String::new();
    match coding {
        "gzip" => flate2::read::GzDecoder::new(body).read_to_string(&mut text).unwrap(),
        "br" => brotli::Decompressor::new(body, 4096).read_to_string(&mut text).unwrap(),
        _ => zstd::stream::read::Decoder::new(body).unwrap().read_to_string(&mut text).unwrap(),
    };
    text
}

#[tokio::test]
async fn the_examples_compress() {
    for (plugin, accept, coding) in
        [("gzip", "gzip", "gzip"), ("brotli", "gzip, br", "br"), ("brotli", "gzip", "gzip"), ("zstd", "zstd", "zstd")]
    {
        let rig = before("Content-Type: text/html\r\n", &example(plugin)).await;
        let answer = rig.get("/pages/1", &[("Accept-Encoding", accept)]).await;
        assert_eq!((answer.status(), answer.field("content-encoding")), (200, Some(coding)), "{plugin}");
        assert_eq!((answer.field("vary"), answer.field("etag")), (Some("Accept-Encoding"), Some("W/\"1\"")));
        assert_eq!((answer.field("content-length"), answer.body.len() < 500), (None, true));
        assert_eq!(decoded(coding, &answer.body), page());
        let head = rig.ask("HEAD /pages/1", &[("Accept-Encoding", accept)]).await;
        assert_eq!((head.field("content-encoding"), head.field("content-length")), (Some(coding), None));
        let plain = rig.get("/pages/1", &[]).await;
        assert_eq!((plain.field("content-encoding"), plain.field("vary")), (None, Some("Accept-Encoding")));
        assert_eq!(plain.text(), page());
    }
}

#[tokio::test]
async fn what_is_encoded_already_passes_as_it_is() {
    let rig = before("Content-Type: text/html\r\nContent-Encoding: x-own\r\n", &example("gzip")).await;
    let answer = rig.get("/pages/1", &[("Accept-Encoding", "gzip")]).await;
    assert_eq!((answer.field("content-encoding"), answer.field("etag")), (Some("x-own"), Some("\"1\"")));
    assert_eq!(answer.text(), page());
}

#[tokio::test]
async fn what_response_rewrite_makes_is_compressed() {
    let block = "{gzip: {min_length: 1}, response-rewrite: {body: rewritten, headers: {content-type: text/html}}}";
    let rig = before("Content-Type: text/plain\r\n", &route_with(block)).await;
    let answer = rig.get("/", &[("Accept-Encoding", "gzip")]).await;
    assert_eq!(decoded("gzip", &answer.body), "rewritten");
}

#[tokio::test]
async fn events_arrive_one_by_one() {
    for (plugin, accept) in [("gzip", "gzip"), ("brotli", "br"), ("zstd", "zstd")] {
        // The second event is sent when the client shows that it has the first one, by a request that the script waits for.
        let origin = Origin::scripted(move |_| {
            let chunk = |event: &str| format!("{:x}\r\n{event}\r\n", event.len());
            vec![
                Step::until("\r\n\r\n"),
                Step::send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"),
                Step::send(chunk("data: first\n\n")),
                Step::until("never"),
            ]
        })
        .await;
        let block = format!("{{{plugin}: {{types: [text/event-stream]}}}}");
        let rig = Rig::before(origin, Gateway::builder(), &route_with(&block)).await;
        let mut client = rig.client().await;
        client.send(format!("GET / HTTP/1.1\r\nHost: gw.test\r\nAccept-Encoding: {accept}\r\n\r\n")).await;
        client.until("\r\n\r\n").await;
        let mut received = Vec::new();
        loop {
            // One chunk, as the server frames it.
            let size = client.until("\r\n").await;
            let size = std::str::from_utf8(&size).unwrap().trim_end();
            let size = usize::from_str_radix(size, 16).unwrap();
            let mut chunk = Vec::new();
            while chunk.len() < size + 2 {
                chunk.extend(client.until("\n").await);
            }
            received.extend_from_slice(&chunk[..size]);
            if partly(accept, &received).contains("first\n\n") {
                break;
            }
        }
    }
}

/// What can be read of a body that is not whole.
fn partly(coding: &str, body: &[u8]) -> String {
    let mut text = vec![0; 100];
    let read = match coding {
        "gzip" => flate2::read::GzDecoder::new(body).read(&mut text),
        "br" => brotli::Decompressor::new(body, 4096).read(&mut text),
        _ => zstd::stream::read::Decoder::new(body).unwrap().read(&mut text),
    };
    String::from_utf8_lossy(&text[..read.unwrap_or(0)]).into_owned()
}

#[test]
fn faults_are_named_by_their_place() {
    for (block, says) in [
        ("{gzip: {comp_level: 0}}", "plugins.gzip.comp_level: "),
        ("{brotli: {lgwin: 9}}", "plugins.brotli.lgwin: "),
        ("{zstd: {types: [html]}}", "plugins.zstd.types.0: "),
        ("{gzip: {types: text/html}}", "plugins.gzip.types: "),
    ] {
        let text = refused(&route_with(block));
        assert!(text.contains(says), "{text}");
    }
}
