//! The same streams of requests to our server and to hyper's: what we take, hyper reads in the same way; what hyper takes
//! beyond that is the list of what we close.
#![cfg(feature = "server")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]
#[path = "support/corpus.rs"]
mod corpus;
mod support;

use support::{Raw, Record, echo, start};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tollgate::server::Limits;
use tower::Service as _;

/// What hyper's server hands to a service.
async fn by_hyper(stream: &[u8]) -> Vec<String> {
    let record = Record::default();
    let service = echo(&record);
    let handler = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let mut service = service.clone();
        service.call(request.map(tollgate::Body::from))
    });
    let (mut ours, theirs) = tokio::io::duplex(1 << 20);
    let connection = hyper::server::conn::http1::Builder::new()
        .half_close(true)
        .serve_connection(hyper_util::rt::TokioIo::new(theirs), handler);
    ours.write_all(stream).await.unwrap();
    ours.shutdown().await.unwrap();
    // How it ends is not the point.
    let _ = connection.await;
    drop(ours.read_to_end(&mut Vec::new()).await);
    record.lines()
}

async fn by_us(stream: &[u8]) -> (Vec<String>, String) {
    let record = Record::default();
    let (_server, address) = start(Limits::default(), echo(&record));
    let mut client = Raw::connect(address).await;
    client.send(stream).await;
    client.stream.shutdown().await.unwrap();
    let said = String::from_utf8_lossy(&client.rest().await).into_owned();
    (record.lines(), said)
}

#[tokio::test]
async fn what_we_take_hyper_reads_in_the_same_way() {
    let mut closed = Vec::new();
    for (name, stream) in corpus::streams() {
        let (ours, said) = by_us(&stream).await;
        let theirs = by_hyper(&stream).await;
        let whole = |lines: &[String]| lines.iter().filter(|line| !line.ends_with(" !")).cloned().collect::<Vec<_>>();
        let (ours, theirs) = (whole(&ours), whole(&theirs));
        // An absolute target reaches the service as such on both sides.
        assert!(theirs.starts_with(&ours), "{name}: we read {ours:?}, hyper {theirs:?}; we said {said}");
        if theirs.len() > ours.len() {
            closed.push(name);
            assert!(said.contains("HTTP/1.1 4") || said.contains("HTTP/1.1 5"), "{name}: {said}");
        }
    }
    let wanted = [
        "cl.te",
        "te.cl",
        "cl.cl same",
        "te gzip, chunked",
        "te behind a bare lf",
        "size space behind",
        "last chunk lf",
        "trailer lf",
        "bare lf",
        "bare lf at the end",
        "two empty lines before",
        "no host",
        "two hosts",
        "two same hosts",
        "host list",
        "host with a path",
        "host with a user",
        "absolute form with a user",
        "authority form",
        "star",
        "fragment",
        "expectation",
    ];
    assert_eq!(closed, wanted);
}
