//! How connections end in good order.
use std::sync::Arc;
use std::time::Duration;

use tollgate::server::{Limits, Protocols};
use tollgate::{Body, Next, Response};

use super::raw::*;
use crate::support::{Record, echo, start_with};

#[tokio::test]
async fn sec_h2_13_an_idle_connection_is_told_and_ends() {
    let (server, address) = start_with(Limits::default(), echo(&Record::default()), Protocols::H2);
    let mut raw = Raw::connect(address).await;
    assert!(raw.serves(1).await);
    let drain = tokio::spawn(async move { server.drain(Duration::from_secs(30)).await });
    let goodbye = raw.until(|frame| frame.kind == GOAWAY).await.unwrap();
    assert_eq!(goodbye.code(), 0);
    while raw.next().await.is_some() {}
    drop(raw);
    drain.await.unwrap();
}

#[tokio::test]
async fn sec_h2_13_the_highest_stream_is_named_and_answered() {
    let go = Arc::new(tokio::sync::Notify::new());
    let service = {
        let go = go.clone();
        Next::from_fn(move |_| {
            let go = go.clone();
            async move {
                go.notified().await;
                Response::new(Body::from("done"))
            }
        })
    };
    let (server, address) = start_with(Limits::default(), service, Protocols::H2);
    let mut raw = Raw::connect(address).await;
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
