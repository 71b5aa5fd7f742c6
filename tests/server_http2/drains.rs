//! How connections end in good order.
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tollgate::server::{Limits, Protocols, Server};
use tollgate::{Body, Next, Response};

use super::raw::*;
use crate::support::{Record, echo, start_with, wait_until};

/// Answers each time that it is told to.
pub(super) fn held(go: &Arc<Notify>) -> Next {
    let go = go.clone();
    Next::from_fn(move |_| {
        let go = go.clone();
        async move {
            go.notified().await;
            Response::new(Body::from("done"))
        }
    })
}

#[tokio::test]
async fn sec_h2_13_an_idle_connection_is_told_and_ends() {
    let (server, address) = start_with(Limits::default(), echo(&Record::default()), Protocols::H2);
    an_idle_connection_is_told(server, Raw::connect(address).await).await;
}

pub(super) async fn an_idle_connection_is_told(server: Server, mut raw: Raw) {
    assert!(raw.serves(1).await);
    raw.until(|frame| frame.kind == DATA).await.unwrap();
    let drain = tokio::spawn(async move { server.drain(Duration::from_secs(30)).await });
    let goodbye = raw.until(|frame| frame.kind == GOAWAY).await.unwrap();
    assert_eq!(goodbye.code(), 0);
    while raw.next().await.is_some() {}
    drop(raw);
    drain.await.unwrap();
}

#[tokio::test]
async fn sec_h2_13_a_request_on_its_way_to_an_idle_connection_is_answered() {
    let (server, address) = start_with(Limits::default(), echo(&Record::default()), Protocols::H2);
    a_request_on_its_way_is_answered(server, Raw::connect(address).await).await;
}

pub(super) async fn a_request_on_its_way_is_answered(server: Server, mut raw: Raw) {
    assert!(raw.serves(1).await);
    raw.until(|frame| frame.kind == DATA).await.unwrap();
    // Both before the server has had a turn.
    raw.send(get(3)).await;
    let drain = server.drain(Duration::from_secs(30));
    let answered = async {
        let mut answered = false;
        while let Some(frame) = raw.next().await {
            answered |= frame.stream == 3 && frame.kind == DATA && frame.flags & END_STREAM != 0;
        }
        drop(raw);
        answered
    };
    assert!(tokio::join!(biased; drain, answered).1);
}

#[tokio::test]
async fn sec_h2_13_the_highest_stream_is_named_and_answered() {
    let go = Arc::new(Notify::new());
    let (server, address) = start_with(Limits::default(), held(&go), Protocols::H2);
    the_highest_stream_is_named(server, Raw::connect(address).await, &go).await;
}

pub(super) async fn the_highest_stream_is_named(server: Server, mut raw: Raw, go: &Notify) {
    raw.send(get(1)).await;
    raw.send(frame(PING, 0, 0, &[0; 8])).await;
    raw.until(|frame| frame.kind == PING && frame.flags == ACK).await.unwrap();
    let drain = tokio::spawn(async move { server.drain(Duration::from_secs(30)).await });
    let first = raw.until(|frame| frame.kind == GOAWAY).await.unwrap();
    assert_eq!((first.code(), first.last_stream()), (0, u32::MAX >> 1));
    // It was on its way before the client could know.
    raw.send(get(3)).await;
    let ping = raw.until(|frame| frame.kind == PING).await.unwrap();
    assert_eq!(ping.flags, 0);
    let second = raw.until(|frame| frame.kind == GOAWAY).await.unwrap();
    assert_eq!((second.code(), second.last_stream()), (0, 3));
    // This one is not: nobody hears of it.
    raw.send(get(5)).await;
    go.notify_one();
    go.notify_one();
    let mut answered = Vec::new();
    while let Some(frame) = raw.next().await {
        if frame.kind == HEADERS {
            answered.push(frame.stream);
            go.notify_one();
        }
    }
    answered.sort_unstable();
    assert_eq!(answered, [1, 3]);
    drop(raw);
    drain.await.unwrap();
}

/// It always has a stream open, and never says that it has heard.
#[tokio::test(start_paused = true)]
async fn sec_h2_13_who_does_not_answer_to_the_goodbye_is_served_no_longer() {
    let go = Arc::new(Notify::new());
    let (held, echo) = (held(&go), echo(&Record::default()));
    let service = Next::from_fn(move |request: http::Request<Body>| {
        let service = if request.uri().path() == "/held" { held.clone() } else { echo.clone() };
        async move { tower::ServiceExt::oneshot(service, request).await.unwrap() }
    });
    let mut limits = Limits::default();
    limits.requests_per_connection = 1;
    let (server, address) = start_with(limits, service, Protocols::H2);
    let mut raw = Raw::connect(address).await;
    raw.polite = false;
    raw.send(frame(HEADERS, WHOLE, 1, &head("GET", "/held", &[]))).await;
    assert_eq!(raw.goodbye().await, Some(0));
    // It may not have heard yet.
    assert!(raw.serves(3).await);
    tokio::time::sleep(Duration::from_secs(6)).await;
    raw.send(get(5)).await;
    let refused = raw.until(|frame| frame.stream == 5).await.unwrap();
    assert_eq!((refused.kind, refused.code()), (RST_STREAM, 7));
    // What is open is answered, and then it is over.
    go.notify_one();
    assert_eq!(raw.status(1).await, Some(200));
    assert_eq!(raw.goodbye().await, Some(0));
    while raw.next().await.is_some() {}
    drop(raw);
    wait_until("it is over", || server.connections() == 0).await;
}

/// None of the requests is open when the connection is looked at.
#[tokio::test(start_paused = true)]
async fn sec_lim_09_short_requests_keep_a_connection() {
    let (_server, address) = start_with(Limits::default(), echo(&Record::default()), Protocols::H2);
    let mut raw = Raw::connect(address).await;
    for at in 0..120 {
        raw.send(get(at * 2 + 1)).await;
        let next = raw.until(|frame| frame.kind == GOAWAY || frame.kind == DATA).await.unwrap();
        assert_eq!(next.kind, DATA, "after {at} seconds");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn sec_lim_09_a_client_that_does_not_answer_to_the_goodbye_is_left() {
    let (_server, address) = start_with(Limits::default(), echo(&Record::default()), Protocols::H2);
    let mut raw = Raw::connect(address).await;
    raw.polite = false;
    let started = tokio::time::Instant::now();
    assert_eq!(raw.goodbye().await, Some(0));
    while raw.next().await.is_some() {}
    assert!((60..65).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
}
