//! Clients that send as much as they can of what costs them little.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use http::Request;
use tokio::time::Instant;
use tollgate::server::{Limits, Protocols};
use tollgate::{Body, Next, Response};

use super::raw::*;
use crate::support::{Record, echo, start_with, wait_until};

/// A service that never answers, and counts what is asked of it and what is dropped of that.
#[derive(Clone, Default)]
struct Mute {
    called: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
}

struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Mute {
    fn service(&self) -> Next {
        let me = self.clone();
        Next::from_fn(move |_| {
            me.called.fetch_add(1, SeqCst);
            let dropped = Dropped(me.dropped.clone());
            async move {
                let _dropped = dropped;
                std::future::pending::<Response>().await
            }
        })
    }
}

#[tokio::test]
async fn sec_h2_09_a_stream_that_is_reset_costs_nothing_any_more() {
    let mute = Mute::default();
    let (server, address) = start_with(Limits::default(), mute.service(), Protocols::H2);
    let mut raw = Raw::connect(address).await;
    raw.send(get(1)).await;
    wait_until("it is served", || mute.called.load(SeqCst) == 1).await;
    raw.send(frame(RST_STREAM, 0, 1, &CANCEL.to_be_bytes())).await;
    wait_until("nobody works for it", || mute.dropped.load(SeqCst) == 1).await;
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn sec_h2_09_a_loop_of_resets_ends_the_connection() {
    let mute = Mute::default();
    let (server, address) = start_with(Limits::default(), mute.service(), Protocols::H2);
    let mut other = Raw::connect(address).await;
    let started = Instant::now();
    let mut raw = Raw::connect(address).await;
    for stream in (1..20_001).step_by(2) {
        let pair = [get(stream), frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())].concat();
        if !raw.try_send(pair).await {
            break;
        }
    }
    while raw.next().await.is_some() {}
    assert!(started.elapsed().as_secs() < 5);
    assert!(mute.called.load(SeqCst) <= 200, "{} requests reached the service", mute.called.load(SeqCst));
    wait_until("all work is dropped", || mute.called.load(SeqCst) == mute.dropped.load(SeqCst)).await;
    // The others are none the worse for it.
    other.send(get(1)).await;
    wait_until("the other one is served", || mute.called.load(SeqCst) == mute.dropped.load(SeqCst) + 1).await;
    drop(server);
}

#[tokio::test]
async fn sec_h2_09_slow_resets_are_counted_too() {
    let mute = Mute::default();
    let (_server, address) = start_with(Limits::default(), mute.service(), Protocols::H2);
    let mut raw = Raw::connect(address).await;
    // One after the other, each of which the service has seen.
    for at in 0..101 {
        let stream = at * 2 + 1;
        raw.send(get(stream)).await;
        wait_until("it is served", || mute.called.load(SeqCst) == at as usize + 1).await;
        raw.send(frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())).await;
        wait_until("it is dropped", || mute.dropped.load(SeqCst) == at as usize + 1).await;
    }
    raw.try_send(frame(PING, 0, 0, &[0; 8])).await;
    assert_eq!(raw.goodbye().await, Some(ENHANCE_YOUR_CALM));
}

#[tokio::test]
async fn sec_h2_09_resets_behind_whole_answers_are_free() {
    let (_server, address) = start_with(Limits::default(), echo(&Record::default()), Protocols::H2);
    let mut raw = Raw::connect(address).await;
    for at in 0..300 {
        let stream = at * 2 + 1;
        raw.send(get(stream)).await;
        raw.until(|frame| frame.stream == stream && frame.kind == DATA).await.unwrap();
        raw.send(frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())).await;
    }
    assert!(raw.serves(601).await);
}

#[tokio::test]
async fn sec_h2_09_loops_that_make_us_reset_end_the_connection() {
    let open = |stream| frame(HEADERS, END_HEADERS, stream, &head("POST", "/", &[]));
    type Attack = fn(u32) -> Vec<u8>;
    let attacks: [(&str, Attack); 4] = [
        ("a window update of nothing", |stream| frame(WINDOW_UPDATE, 0, stream, &[0; 4])),
        ("a window that overflows", |stream| frame(WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff])),
        ("a stream that depends on itself", |stream| {
            frame(PRIORITY, 0, stream, &[&stream.to_be_bytes()[..], &[0]].concat())
        }),
        ("a body that is too long", |stream| {
            frame(HEADERS, END_HEADERS, stream + 2, &head("POST", "/", &[("content-length", "x")]))
        }),
    ];
    for (what, attack) in attacks {
        let mute = Mute::default();
        let (_server, address) = start_with(Limits::default(), mute.service(), Protocols::H2);
        let mut raw = Raw::connect(address).await;
        for stream in (1..20_001).step_by(4) {
            if !raw.try_send([open(stream), attack(stream)].concat()).await {
                break;
            }
        }
        while raw.next().await.is_some() {}
        assert!(mute.called.load(SeqCst) <= 200, "{what}: {} requests", mute.called.load(SeqCst));
    }
}

#[tokio::test]
async fn sec_h2_10_frames_that_move_nothing_end_the_connection() {
    let floods = [
        ("PING", frame(PING, 0, 0, &[0; 8])),
        ("PING that answers none", frame(PING, ACK, 0, &[0; 8])),
        ("SETTINGS", frame(SETTINGS, 0, 0, &[])),
        ("PRIORITY", frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1])),
        ("WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("a kind that nobody knows", frame(99, 0, 0, &[])),
        ("empty DATA", frame(DATA, 0, 1, &[])),
        ("DATA of padding", frame(DATA, PADDED, 1, &[3, 0, 0, 0])),
        ("DATA of no padding", frame(DATA, PADDED, 1, &[0])),
    ];
    for (what, bytes) in floods {
        let (_server, address) = start_with(Limits::default(), Mute::default().service(), Protocols::H2);
        let mut raw = Raw::connect(address).await;
        raw.polite = false;
        raw.send(frame(HEADERS, END_HEADERS, 1, &head("POST", "/", &[]))).await;
        raw.try_send(bytes.repeat(1100)).await;
        assert_eq!(raw.goodbye().await, Some(ENHANCE_YOUR_CALM), "{what}");
    }
}

#[tokio::test]
async fn sec_h2_10_who_does_not_read_replies_is_not_listened_to() {
    let (server, address) = start_with(Limits::default(), echo(&Record::default()), Protocols::H2);
    let mut raw = Raw::connect(address).await;
    raw.polite = false;
    // No reply is read meanwhile.
    raw.try_send(frame(PING, 0, 0, &[0; 8]).repeat(100_000)).await;
    let mut replies = 0;
    let goodbye = loop {
        match raw.next().await.unwrap() {
            frame if frame.kind == GOAWAY => break frame,
            frame => replies += usize::from(frame.kind == PING),
        }
    };
    assert_eq!(goodbye.code(), ENHANCE_YOUR_CALM);
    assert!(replies <= 1000, "{replies} replies were queued");
    while raw.next().await.is_some() {}
    drop(raw);
    wait_until("it is over", || server.connections() == 0).await;
}

#[tokio::test]
async fn sec_h2_10_an_ordinary_amount_is_none_too_many() {
    let (_server, address) = start_with(Limits::default(), echo(&Record::default()), Protocols::H2);
    let mut raw = Raw::connect(address).await;
    raw.send(frame(PING, 0, 0, &[0; 8]).repeat(900)).await;
    assert!(raw.serves(1).await);
}

/// Clients of gRPC measure the way with a ping for what they receive.
#[tokio::test]
async fn sec_h2_10_a_ping_for_each_answer_is_free() {
    let (_server, address) = start_with(Limits::default(), echo(&Record::default()), Protocols::H2);
    let mut raw = Raw::connect(address).await;
    for at in 0..1500 {
        let stream = at * 2 + 1;
        raw.send(get(stream)).await;
        raw.until(|frame| frame.stream == stream && frame.kind == DATA).await.unwrap();
        raw.send([frame(PING, 0, 0, &[0; 8]), frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]).repeat(2)].concat()).await;
    }
    assert!(raw.serves(3001).await);
}

/// What was on its way when the answer came is no fault of the client.
#[tokio::test]
async fn sec_h2_09_uploads_that_are_answered_early_are_no_faults() {
    let service = Next::from_fn(|_| async {
        let mut response = Response::new(Body::from("no"));
        *response.status_mut() = http::StatusCode::TOO_MANY_REQUESTS;
        response
    });
    let (_server, address) = start_with(Limits::default(), service, Protocols::H2);
    let mut raw = Raw::connect(address).await;
    for at in 0..300 {
        raw.send(frame(HEADERS, END_HEADERS, at * 2 + 1, &head("POST", "/", &[]))).await;
        raw.until(|frame| frame.stream == at * 2 + 1 && frame.kind == RST_STREAM).await.unwrap();
    }
    for at in 0..300 {
        raw.send(frame(DATA, 0, at * 2 + 1, b"late")).await;
    }
    raw.send(get(601)).await;
    let next = raw.until(|frame| frame.stream == 601 || frame.kind == GOAWAY).await.unwrap();
    assert_eq!(next.kind, HEADERS);
}

#[tokio::test]
async fn sec_h2_08_blocks_without_an_end() {
    let (_server, address) = start_with(Limits::default(), echo(&Record::default()), Protocols::H2);
    for (what, part) in [("empty", vec![]), ("small", field("x-a", "b")), ("large", field("x-a", &"b".repeat(16_000)))]
    {
        let mut raw = Raw::connect(address).await;
        raw.send(frame(HEADERS, END_STREAM, 1, &head("GET", "/", &[]))).await;
        raw.try_send(frame(CONTINUATION, 0, 1, &part).repeat(50)).await;
        assert!(matches!(raw.goodbye().await, Some(ENHANCE_YOUR_CALM | COMPRESSION_ERROR)), "{what}");
    }
    // Eight are none too many.
    let mut raw = Raw::connect(address).await;
    let mut bytes = frame(HEADERS, END_STREAM, 1, &head("GET", "/", &[]));
    bytes.extend(frame(CONTINUATION, 0, 1, &[]).repeat(5));
    bytes.extend(frame(CONTINUATION, END_HEADERS, 1, &field("x-a", "b")));
    raw.send(bytes).await;
    assert_eq!(raw.status(1).await, Some(200));
}

#[tokio::test]
async fn sec_h2_08_lists_of_fields() {
    let record = Record::default();
    let (_server, address) = start_with(Limits::default(), echo(&record), Protocols::H2);
    let cookie = |count| vec![("cookie", "a"); count];
    let large = "b".repeat(4000);
    for (fields, status) in [
        (cookie(99), 200),
        (cookie(101), 431),
        (vec![("x-a", "b"); 101], 431),
        (vec![("x-a", large.as_str()); 3], 200),
        (vec![("x-a", large.as_str()); 5], 431),
    ] {
        let mut raw = Raw::connect(address).await;
        let block = head("GET", "/", &fields);
        let mut parts = block.chunks(16_000);
        let mut bytes = frame(HEADERS, END_STREAM, 1, parts.next().unwrap());
        parts.for_each(|part| bytes.extend(frame(CONTINUATION, 0, 1, part)));
        bytes.extend(frame(CONTINUATION, END_HEADERS, 1, &[]));
        raw.send(bytes).await;
        assert_eq!(raw.status(1).await, Some(status), "{} fields", fields.len());
        assert_eq!(record.take().len(), usize::from(status == 200));
    }
}

#[tokio::test]
async fn sec_h2_08_no_more_streams_than_were_agreed() {
    let mute = Mute::default();
    let (_server, address) = start_with(Limits::default(), mute.service(), Protocols::H2);
    let mut raw = Raw::connect(address).await;
    raw.send((0..101).flat_map(|at| get(at * 2 + 1)).collect::<Vec<_>>()).await;
    let refused = raw.until(|frame| frame.kind == RST_STREAM).await.unwrap();
    assert_eq!((refused.stream, refused.code()), (201, 7));
    wait_until("the others are served", || mute.called.load(SeqCst) == 100).await;
}

#[tokio::test(start_paused = true)]
async fn sec_lim_06_a_block_of_fields_has_ten_seconds() {
    let (_server, address) = start_with(Limits::default(), echo(&Record::default()), Protocols::H2);
    let mut raw = Raw::connect(address).await;
    let started = Instant::now();
    raw.send(frame(HEADERS, END_STREAM, 1, &head("GET", "/", &[]))).await;
    assert_eq!(raw.goodbye().await, Some(ENHANCE_YOUR_CALM));
    assert!((10..12).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn sec_lim_06_the_preface_has_ten_seconds() {
    use tokio::io::AsyncReadExt as _;
    let (_server, address) = start_with(Limits::default(), echo(&Record::default()), Protocols::H2);
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let started = Instant::now();
    stream.read_to_end(&mut Vec::new()).await.unwrap();
    assert!((10..13).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
}

/// A service whose answer is longer than any window.
fn large(asked: Arc<AtomicUsize>) -> Next {
    Next::from_fn(move |_: Request<Body>| {
        let asked = asked.clone();
        let frames = futures_util::stream::repeat_with(move || {
            asked.fetch_add(16 * 1024, SeqCst);
            Ok::<_, tollgate::BodyError>(http_body::Frame::data(bytes::Bytes::from(vec![0; 16 * 1024])))
        });
        async move { Response::new(Body::new(http_body_util::StreamBody::new(frames))) }
    })
}

#[tokio::test(start_paused = true)]
async fn sec_h2_11_streams_with_a_closed_window_are_cut() {
    let asked = Arc::new(AtomicUsize::new(0));
    let (server, address) = start_with(Limits::default(), large(asked.clone()), Protocols::H2);
    // The windows of all streams are closed from the start.
    let mut raw = Raw::with_settings(address, &[(4, 0)]).await;
    let started = Instant::now();
    raw.send((0..100).flat_map(|at| get(at * 2 + 1)).collect::<Vec<_>>()).await;
    let reset = raw.until(|frame| frame.kind == RST_STREAM).await.unwrap();
    assert_eq!(reset.code(), CANCEL);
    assert!((30..32).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
    // Back-pressure: no more was asked of the bodies than could be kept.
    assert!(asked.load(SeqCst) <= 100 * 64 * 1024, "{}", asked.load(SeqCst));
    // A connection of nothing but such streams ends.
    while raw.next().await.is_some() {}
    drop(raw);
    wait_until("it is over", || server.connections() == 0).await;
    assert!(started.elapsed().as_secs() < 34, "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn sec_h2_11_drips_do_not_wind_the_clock_up() {
    let (_server, address) = start_with(Limits::default(), large(Arc::default()), Protocols::H2);
    let mut raw = Raw::with_settings(address, &[(4, 0)]).await;
    let started = Instant::now();
    raw.send(get(1)).await;
    let reset = loop {
        let dripped =
            tokio::time::timeout(std::time::Duration::from_secs(1), raw.until(|frame| frame.kind == RST_STREAM)).await;
        match dripped {
            Ok(reset) => break reset.unwrap(),
            Err(_) => raw.send(frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])).await,
        }
    };
    assert_eq!(reset.code(), CANCEL);
    assert!((28..36).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
}

/// The answer is out of our hands, and its window was made smaller afterwards.
#[tokio::test(start_paused = true)]
async fn sec_h2_11_what_is_left_of_answers_is_not_kept_for_ever() {
    let go = Arc::new(tokio::sync::Notify::new());
    let (endless, held) = (large(Arc::default()), go.clone());
    let service = Next::from_fn(move |request: Request<Body>| {
        let (endless, held) = (endless.clone(), held.clone());
        async move {
            if request.uri().path() == "/" {
                return tower::ServiceExt::oneshot(endless, request).await.unwrap();
            }
            held.notified().await;
            Response::new(Body::from(vec![0; 60_000]))
        }
    });
    let (server, address) = start_with(Limits::default(), service, Protocols::H2);
    let mut raw = Raw::with_settings(address, &[(4, 0x7fff_ffff)]).await;
    raw.send(frame(WINDOW_UPDATE, 0, 0, &0x7fff_0000_u32.to_be_bytes())).await;
    raw.send([frame(HEADERS, WHOLE, 1, &head("GET", "/held", &[])), get(3)].concat()).await;
    // Until the socket is full.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    go.notify_one();
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let window = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    raw.send([window, frame(RST_STREAM, 0, 3, &CANCEL.to_be_bytes())].concat()).await;
    let (mut started, mut received) = (Instant::now(), 0);
    let goodbye = loop {
        match raw.next().await.unwrap() {
            frame if frame.kind == GOAWAY => break frame,
            frame if frame.kind == DATA && frame.stream == 3 => started = Instant::now(),
            frame if frame.kind == DATA => received += frame.payload.len(),
            _ => {}
        }
    };
    assert_eq!(goodbye.code(), ENHANCE_YOUR_CALM);
    assert!(received < 60_000, "nothing was held back");
    assert!((30..34).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
    while raw.next().await.is_some() {}
    drop(raw);
    wait_until("it is over", || server.connections() == 0).await;
}

/// A line over which one answer takes a quarter of a minute: the last one's turn is minutes away.
#[tokio::test(start_paused = true)]
async fn sec_h2_11_who_waits_for_its_turn_is_not_cut() {
    const STREAMS: u32 = 20;
    const BYTES: usize = 60_000;
    let service = Next::from_fn(|_| async { Response::new(Body::from(vec![0; BYTES])) });
    let (_server, address) = start_with(Limits::default(), service, Protocols::H2);
    let mut raw = Raw::connect(address).await;
    raw.send((0..STREAMS).flat_map(|at| get(at * 2 + 1)).collect::<Vec<_>>()).await;
    let (started, mut received, mut whole) = (Instant::now(), 0, 0);
    while whole < STREAMS {
        let second = Instant::now() + std::time::Duration::from_secs(1);
        // The windows of the streams are open all the time; that of the connection is what the line has carried.
        while let Ok(frame) = tokio::time::timeout_at(second, raw.next()).await {
            let frame = frame.unwrap();
            assert!(!matches!(frame.kind, RST_STREAM | GOAWAY), "{frame:?} after {:?}", started.elapsed());
            received += if frame.kind == DATA { frame.payload.len() } else { 0 };
            whole += u32::from(frame.kind == DATA && frame.flags & END_STREAM != 0);
        }
        raw.send(frame(WINDOW_UPDATE, 0, 0, &4096_u32.to_be_bytes())).await;
    }
    assert_eq!(received, STREAMS as usize * BYTES);
    assert!(started.elapsed().as_secs() > 120, "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn sec_h2_11_a_busy_stream_is_no_excuse_for_the_others() {
    let mut limits = Limits::default();
    limits.max_concurrent_streams = 5;
    let (_server, address) = start_with(limits, large(Arc::default()), Protocols::H2);
    let mut raw = Raw::with_settings(address, &[(4, 0)]).await;
    let started = Instant::now();
    raw.send([get(1), get(3), frame(WINDOW_UPDATE, 0, 1, &(1_u32 << 30).to_be_bytes())].concat()).await;
    let mut received = 0;
    let reset = 'all: loop {
        let second = Instant::now() + std::time::Duration::from_secs(1);
        while let Ok(frame) = tokio::time::timeout_at(second, raw.next()).await {
            match frame.unwrap() {
                frame if frame.kind == DATA => received += frame.payload.len(),
                frame if matches!(frame.kind, RST_STREAM | GOAWAY) => break 'all frame,
                _ => {}
            }
        }
        assert!(started.elapsed().as_secs() < 60, "{received} bytes went to the other one");
        raw.send(frame(WINDOW_UPDATE, 0, 0, &100_000_u32.to_be_bytes())).await;
    };
    assert_eq!((reset.kind, reset.stream, reset.code()), (RST_STREAM, 3, CANCEL));
    assert!((30..34).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
    assert!(received > 2_000_000, "{received}");
    // The one that is read goes on.
    raw.send(frame(WINDOW_UPDATE, 0, 0, &100_000_u32.to_be_bytes())).await;
    assert_eq!(raw.until(|frame| frame.kind == DATA).await.unwrap().stream, 1);
}

#[tokio::test(start_paused = true)]
async fn sec_lim_07_a_body_that_comes_too_slowly() {
    let (_server, address) = start_with(Limits::default(), echo(&Record::default()), Protocols::H2);
    let mut raw = Raw::connect(address).await;
    let started = Instant::now();
    raw.send(frame(HEADERS, END_HEADERS, 1, &head("POST", "/", &[]))).await;
    assert_eq!(raw.status(1).await, Some(408));
    assert!((15..17).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
    // A byte a second is too slow as well.
    let mut raw = Raw::connect(address).await;
    let started = Instant::now();
    raw.send(frame(HEADERS, END_HEADERS, 1, &head("POST", "/", &[]))).await;
    let status = loop {
        match tokio::time::timeout(std::time::Duration::from_secs(1), raw.status(1)).await {
            Ok(status) => break status,
            Err(_) => raw.send(frame(DATA, 0, 1, b"x")).await,
        }
    };
    assert_eq!(status, Some(408));
    assert!((10..14).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
}

#[tokio::test]
async fn sec_lim_10_a_connection_has_so_many_requests() {
    let mut limits = Limits::default();
    limits.requests_per_connection = 3;
    let (server, address) = start_with(limits, echo(&Record::default()), Protocols::H2);
    let mut raw = Raw::connect(address).await;
    raw.send([get(1), get(3), get(5)].concat()).await;
    let goodbyes = [raw.until(|frame| frame.kind == GOAWAY).await, raw.until(|frame| frame.kind == GOAWAY).await];
    let last = goodbyes.map(|goodbye| goodbye.map(|goodbye| (goodbye.code(), goodbye.last_stream())));
    assert_eq!(last, [Some((0, u32::MAX >> 1)), Some((0, 5))]);
    while raw.next().await.is_some() {}
    drop(raw);
    wait_until("it is over", || server.connections() == 0).await;
}
