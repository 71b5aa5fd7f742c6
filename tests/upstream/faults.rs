//! Origins that break the rules (security.md §7, UP-01 to UP-09).
use std::time::Duration;

use http_body_util::BodyExt as _;
use tollgate::upstream::{Error, Timeouts};
use tollgate::{Body, BodyError};

use crate::support::*;

async fn fails_with(answer: &'static str, reason: &str) {
    let origin = Origin::answering(answer).await;
    let client = Client::of(&origin);
    let error = client.get("/").await.unwrap_err();
    assert_eq!((error.reason(), error.status().as_u16()), (reason, 502), "{answer:?}: {error}");
    client.idle(0).await;
}

#[tokio::test]
async fn sec_up_01_malformed_responses_are_refused() {
    for answer in [
        "nonsense\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 99 Low\r\n\r\n",
        "HTTP/1.1 600 High\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\ncontent-length: +3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nbad name: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\rb\r\n\r\n",
        "HTTP/1.1 200 OK\nx: a\n\n",
        "HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
    ] {
        fails_with(answer, "malformed_response").await;
    }
}

#[tokio::test]
async fn sec_up_02_endless_heads_are_cut() {
    let endless = |line: &'static str, first: &'static str| {
        Origin::start(move |mut conn| async move {
            conn.request().await.unwrap();
            conn.send(first).await;
            let lines = line.repeat(1000);
            for _ in 0..100 {
                conn.send(&lines).await;
            }
            conn.closed().await;
        })
    };
    for (line, first) in [
        ("x: y\r\n", "HTTP/1.1 200 OK\r\n"),
        ("yyyyyyyyyyyyyyyy", "HTTP/1.1 200 OK\r\nx: "),
        ("HTTP/1.1 102 Processing\r\n\r\n", ""),
    ] {
        let origin = endless(line, first).await;
        let error = Client::of(&origin).get("/").await.unwrap_err();
        assert_eq!(error.reason(), "malformed_response", "{line}");
    }
}

#[tokio::test]
async fn sec_up_02_the_bounds_of_heads_can_be_set_live() {
    let origin = Origin::start(|mut conn| async move {
        while conn.request().await.is_some() {
            conn.send("HTTP/1.1 102 Processing\r\n\r\n").await;
            conn.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-a: 1\r\nx-b: 22\r\n\r\n").await;
        }
    })
    .await;
    let gateway = tollgate::Gateway::builder().build().unwrap();
    let status = async |limits: serde_json::Value| {
        let address = origin.address;
        let document = serde_json::json!({
            "upstreams": [{"id": "u", "nodes": {address.to_string(): 1}}],
            "routes": [{"id": "r", "uri": "/", "upstream_id": "u"}],
            "tollgate": {"limits": limits},
        });
        let read = tollgate::model::read(&document, &Default::default());
        assert_eq!(gateway.check(&read.snapshot), []);
        gateway.apply(read.snapshot).unwrap();
        let request = http::Request::get("http://a.test/").body(Body::empty()).unwrap();
        tower::ServiceExt::oneshot(gateway.clone(), request).await.unwrap().status().as_u16()
    };
    use serde_json::json;
    assert_eq!(status(json!({})).await, 200);
    assert_eq!(status(json!({"response_header_count": 3, "max_interim_responses": 1})).await, 200);
    assert_eq!(status(json!({"response_header_count": 2})).await, 502);
    assert_eq!(status(json!({"response_header_bytes": 20})).await, 502);
    assert_eq!(status(json!({"max_interim_responses": 0})).await, 502);
    assert_eq!(status(json!({})).await, 200);
}

/// The origin sends `answer` and then closes, or resets.
async fn cut_after(answer: &'static str, reset: bool) -> (Client, Origin) {
    let origin = Origin::start(move |mut conn| async move {
        conn.request().await.unwrap();
        conn.send(answer).await;
        if reset {
            conn.reset();
        }
    })
    .await;
    (Client::of(&origin), origin)
}

#[tokio::test]
async fn sec_up_03_a_short_response_never_looks_complete() {
    let length = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n";
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    for reset in [false, true] {
        for answer in [
            length.to_owned(),
            format!("{length}ab"),
            chunked.to_owned(),
            format!("{chunked}5\r\nab"),
            format!("{chunked}2\r\nab"),
            format!("{chunked}2\r\nab\r\n"),
            format!("{chunked}2\r\nab\r\n0\r\n"),
            format!("{chunked}2\r\nab\r\n0\r\nx: y\r\n"),
        ] {
            let answer: &'static str = answer.leak();
            let (client, _origin) = cut_after(answer, reset).await;
            let response = client.send(request("GET", "/", Body::empty())).await.unwrap();
            let error = text(response).await.unwrap_err();
            assert!(matches!(error, BodyError::Incomplete | BodyError::Io(_)), "{answer:?} {reset}: {error}");
            client.idle(0).await;
        }
        for answer in ["", "HTTP/1.1 200 OK\r\nx: y\r\n"] {
            let (client, _origin) = cut_after(answer, reset).await;
            let error = client.get("/").await.unwrap_err();
            assert_eq!((error.reason(), error.status().as_u16()), ("closed_before_response", 502));
        }
    }
}

#[tokio::test]
async fn sec_up_03_a_malformed_chunk_cuts_the_body() {
    for bad in ["zz\r\n", "2\r\nabc\r\n", "2\r\nab\n", "+2\r\nab\r\n", "2\r\nab\r\n0\r\nbad trailer\r\n\r\n"] {
        let answer = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n{bad}");
        let origin = Origin::answering(answer.leak()).await;
        let client = Client::of(&origin);
        let response = client.send(request("GET", "/", Body::empty())).await.unwrap();
        let error = text(response).await.unwrap_err();
        assert!(matches!(error, BodyError::Malformed(_)), "{bad:?}: {error}");
        client.idle(0).await;
    }
}

#[tokio::test]
async fn sec_up_04_a_response_until_close_ends_with_an_orderly_close_only() {
    for answer in ["HTTP/1.1 200 OK\r\n\r\nabc", "HTTP/1.0 200 OK\r\n\r\nabc"] {
        let (client, _origin) = cut_after(answer, false).await;
        assert_eq!(client.get("/").await.unwrap(), (200, "abc".into()));
        let (client, _origin) = cut_after(answer, true).await;
        let response = client.send(request("GET", "/", Body::empty())).await.unwrap();
        assert!(matches!(text(response).await.unwrap_err(), BodyError::Io(_)));
    }
}

#[tokio::test]
async fn sec_up_07_an_early_refusal_reaches_the_client() {
    for close in ["", "connection: close\r\n"] {
        let answer: &str = format!("HTTP/1.1 413 Content Too Large\r\n{close}content-length: 3\r\n\r\nbig").leak();
        let origin = Origin::start(move |mut conn| async move {
            conn.head().await.unwrap();
            conn.send(answer).await;
            if close.is_empty() {
                conn.closed().await;
            }
        })
        .await;
        let client = Client::of(&origin);
        let response = client.send(request("POST", "/", vec![0; 5 << 20])).await.unwrap();
        assert_eq!(response.status(), 413);
        assert_eq!(text(response).await.unwrap(), "big");
        client.idle(0).await;
    }
}

#[tokio::test]
async fn sec_up_07_an_early_answer_ends_the_upload() {
    let origin = Origin::start(|mut conn| async move {
        conn.head().await.unwrap();
        conn.send(ok("early")).await;
        conn.closed().await;
    })
    .await;
    let client = Client::of(&origin);
    let response = client.send(request("POST", "/", vec![0; 64 << 20])).await.unwrap();
    assert_eq!(text(response).await.unwrap(), "early");
    client.idle(0).await;
}

#[tokio::test]
async fn sec_up_08_interim_responses_leave_the_final_one_intact() {
    let answer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 \
                  OK\r\ncontent-length: 2\r\n\r\nok";
    let origin = Origin::answering(answer).await;
    let client = Client::of(&origin);
    let seen = std::sync::Mutex::new(Vec::new());
    let note = |interim: http::Response<()>| seen.lock().unwrap().push(interim.status().as_u16());
    let cx = tollgate::upstream::ForwardContext { interim: Some(&note), ..Default::default() };
    let response = client.forward(request("GET", "/", Body::empty()), cx).await.unwrap();
    assert_eq!(text(response).await.unwrap(), "ok");
    assert_eq!(*seen.lock().unwrap(), [103]);
    assert_eq!(client.get("/").await.unwrap(), (200, "ok".into()));
    assert_eq!(origin.connections(), 1);
}

fn impatient(origin: &Origin) -> Client {
    let mut config = config(&[origin.address]);
    let short = Duration::from_millis(300);
    config.timeouts = Timeouts { connect: short, send: short, read: short, total: None };
    Client::new(config)
}

#[tokio::test]
async fn sec_up_09_a_silent_origin_is_a_504() {
    for answer in ["", "HTTP/1.1 200 OK\r\nx:", "HTTP/1.1 100 Continue\r\n\r\n"] {
        let origin = Origin::start(move |mut conn| async move {
            conn.request().await.unwrap();
            conn.send(answer).await;
            conn.closed().await;
        })
        .await;
        let error = impatient(&origin).get("/").await.unwrap_err();
        assert_eq!((error.reason(), error.status().as_u16()), ("read_timeout", 504));
    }
}

#[tokio::test]
async fn sec_up_09_a_head_that_drips_is_late_as_a_whole() {
    let origin = Origin::start(|mut conn| async move {
        conn.request().await.unwrap();
        conn.send("HTTP/1.1 200 OK\r\nx: ").await;
        let mut timer = tokio::time::interval(Duration::from_millis(50));
        loop {
            tokio::select! {
                _ = timer.tick() => conn.send("y").await,
                () = conn.closed() => return,
            }
        }
    })
    .await;
    assert_eq!(impatient(&origin).get("/").await.unwrap_err().reason(), "read_timeout");
}

#[tokio::test]
async fn sec_up_09_a_gap_in_a_body_cuts_it() {
    let origin = Origin::start(|mut conn| async move {
        conn.request().await.unwrap();
        conn.send("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nab").await;
        conn.closed().await;
    })
    .await;
    let client = impatient(&origin);
    let mut body = client.send(request("GET", "/", Body::empty())).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "ab");
    let error = tokio::time::timeout(PATIENCE, body.frame()).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(error, BodyError::Timeout), "{error}");
}

#[tokio::test]
async fn sec_up_09_a_slow_reader_does_not_make_the_origin_late() {
    let gate = Gate::default();
    let opened = gate.clone();
    let origin = Origin::start(move |mut conn| {
        let gate = gate.clone();
        async move {
            if conn.request().await.unwrap().contains("/silent") {
                return conn.closed().await;
            }
            conn.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab").await;
            gate.pass().await;
            conn.send("cd").await;
        }
    })
    .await;
    let client = impatient(&origin);
    let mut body = client.send(request("GET", "/", Body::empty())).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "ab");
    // Nobody asks for the rest, for longer than a gap may last: other requests run into that limit meanwhile.
    for _ in 0..2 {
        assert_eq!(client.get("/silent").await.unwrap_err().reason(), "read_timeout");
    }
    opened.open();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "cd");
}

#[tokio::test]
async fn sec_up_09_an_origin_that_stops_reading_is_a_504() {
    let origin = Origin::start(|mut conn| async move {
        conn.head().await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let error = impatient(&origin).send(request("POST", "/", vec![0; 64 << 20])).await.unwrap_err();
    assert_eq!((error.reason(), error.status().as_u16()), ("send_timeout", 504));
}

#[tokio::test]
async fn sec_up_09_an_origin_that_stops_amid_answer_and_request_is_cut() {
    let origin = Origin::start(|mut conn| async move {
        conn.head().await.unwrap();
        conn.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab").await;
        std::future::pending::<()>().await;
    })
    .await;
    let client = impatient(&origin);
    let mut body = client.send(request("POST", "/", vec![0; 64 << 20])).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "ab");
    let error = tokio::time::timeout(PATIENCE, body.frame()).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(error, BodyError::Timeout), "{error}");
}

#[tokio::test(start_paused = true)]
async fn sec_up_09_a_slow_client_does_not_make_the_origin_late() {
    let origin = Origin::start(|mut conn| async move {
        conn.head().await.unwrap();
        conn.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na").await;
        conn.closed().await;
    })
    .await;
    let client = Client::of(&origin);
    let silent = Body::stream(http_body_util::StreamBody::new(futures_util::stream::pending()));
    let mut answer = client.send(request("POST", "/", silent)).await.unwrap().into_body();
    assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), "a");
    // The endpoint waits for the rest of the request, as long as the client takes.
    assert!(tokio::time::timeout(Duration::from_secs(600), answer.frame()).await.is_err());
}

#[tokio::test]
async fn sec_up_09_a_connect_that_hangs_is_a_504() {
    // A listener whose queue is full takes no more connections and does not refuse them either.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut fill = Vec::new();
    while let Ok(stream) =
        tokio::time::timeout(Duration::from_millis(200), tokio::net::TcpStream::connect(address)).await
    {
        fill.push(stream.unwrap());
    }
    let mut config = config(&[address]);
    config.timeouts.connect = Duration::from_millis(200);
    let error = Client::new(config).get("/").await.unwrap_err();
    assert_eq!((error.reason(), error.status().as_u16()), ("connect_timeout", 504));
}

#[tokio::test]
async fn a_client_body_that_fails_never_completes_the_request() {
    let whole = Gate::default();
    let seen = whole.clone();
    let origin = Origin::start(move |mut conn| {
        let ended = whole.clone();
        async move {
            assert!(conn.request().await.is_none(), "a whole request");
            ended.open();
        }
    })
    .await;
    let client = Client::of(&origin);
    let frames: Vec<Result<http_body::Frame<bytes::Bytes>, BodyError>> =
        vec![Ok(http_body::Frame::data("abc".into())), Err(BodyError::Timeout)];
    let body = Body::stream(http_body_util::StreamBody::new(futures_util::stream::iter(frames)));
    let error = client.send(request("POST", "/", body)).await.unwrap_err();
    assert!(matches!(error, Error::RequestBody(BodyError::Timeout)));
    assert_eq!(tollgate::Error::from(error).status(), 408);
    seen.pass().await;
}

/// A body that announces another length than it has.
struct Liar(u64, Option<bytes::Bytes>);

impl http_body::Body for Liar {
    type Data = bytes::Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, BodyError>>> {
        std::task::Poll::Ready(self.1.take().map(|data| Ok(http_body::Frame::data(data))))
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.0)
    }
}

#[tokio::test]
async fn sec_h1_18_a_body_of_the_wrong_length_never_completes_the_request() {
    for announced in [2, 5] {
        let origin = Origin::start(|mut conn| async move {
            assert!(conn.request().await.is_none(), "a whole request");
        })
        .await;
        let client = Client::of(&origin);
        let body = Body::stream(Liar(announced, Some("abc".into())));
        let error = client.send(request("POST", "/", body)).await.unwrap_err();
        assert!(matches!(error, Error::RequestBody(_)), "{error}");
    }
}
