//! What origins can do to us (UP, RET), and what panics do (PAN).
use std::time::{Duration, Instant};

use tollgate::gateway::Route;
use tollgate::model::{Settings, UpstreamSpec};
use tollgate::{Body, Next, Request, Response};

use crate::peers::client::Client;
use crate::peers::origin::{Origin, Step};
use crate::peers::{End, strict, text};
use crate::rig::{BOTH, Front, Rig, get, get_with, post};

/// An origin that answers the first request with these bytes, and then does this.
async fn saying(bytes: impl AsRef<[u8]>, then: Step) -> Origin {
    let steps = vec![Step::Request, Step::send(bytes), then];
    Origin::scripted(move |_| steps.clone()).await
}

#[tokio::test]
async fn sec_up_01_an_answer_that_can_be_read_in_two_ways_is_a_502() {
    let answers = [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: y\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n folded\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 600 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ];
    for front in BOTH {
        for answer in answers {
            let rig = Rig::to(front, saying(answer, Step::until("never")).await).await;
            assert_eq!(rig.ask(get("/")).await.status(), 502, "{front:?} {}", text(answer.as_bytes()));
            rig.origin.end_of(0).await;
        }
    }
}

#[tokio::test]
async fn sec_up_02_heads_of_answers_are_bounded() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n";
    let just = format!("{head}X: {}\r\n\r\n", "a".repeat(60 << 10));
    for front in BOTH {
        let rig = Rig::to(Front::Own, Origin::answering(&just).await).await;
        assert_eq!(rig.ask(get("/")).await.status(), 200);
        for flood in [
            format!("{head}X: {}\r\n\r\n", "a".repeat(1 << 20)),
            format!("{head}{}\r\n", "X: y\r\n".repeat(10_000)),
            format!("{head}{}", "X: y\r\n".repeat(100_000)),
            "HTTP/1.1 102 Processing\r\n\r\n".repeat(20_000) + head + "\r\n",
            "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(17) + head + "\r\n",
        ] {
            let rig = Rig::to(front, saying(&flood, Step::until("never")).await).await;
            let mut client = rig.client().await;
            client.send(get("/")).await;
            let mut answer = client.answer().await;
            while answer.status() == 103 {
                answer = client.answer().await;
            }
            assert_eq!(answer.status(), 502, "{front:?} {}", &flood[..80]);
            rig.origin.end_of(0).await;
        }
    }
}

/// What the client sees of a cut answer: a 502, or no whole answer.
async fn is_noticed(rig: &Rig, because_of: &str) {
    let mut client = rig.client().await;
    client.send(get_with("Connection: close\r\n")).await;
    let got = client.rest().await;
    let whole = strict::response(&got, "GET", client.ended() == End::Closed).ok().flatten();
    assert!(whole.is_none_or(|(answer, _)| answer.status() == 502), "{:?} {because_of}: {}", rig.front, text(&got));
}

#[tokio::test]
async fn sec_up_03_a_short_answer_never_looks_whole() {
    let length = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 100000\r\n\r\n";
    let chunked = "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let quarter = length.to_owned() + &*"x".repeat(25_000);
    let cuts = [
        "",
        "HTTP/1.1 200 OK\r\nContent-",
        length,
        &quarter,
        chunked,
        &format!("{chunked}5\r\nhel"),
        &format!("{chunked}5\r\nhello"),
        &format!("{chunked}5\r\nhello\r\n"),
        &format!("{chunked}5\r\nhello\r\n0\r\n"),
        &format!("{chunked}5\r\nhello\r\n0\r\nX-Sum: 1\r\n"),
        &format!("{chunked}5\r\nhello\r\nbroken"),
    ];
    for front in BOTH {
        for cut in cuts {
            for end in [Step::Finish, Step::Reset] {
                let rig = Rig::to(front, saying(cut, end).await).await;
                is_noticed(&rig, cut.get(..60).unwrap_or(cut)).await;
            }
        }
    }
}

#[tokio::test]
async fn sec_up_04_an_answer_until_the_close_is_framed_anew() {
    for front in BOTH {
        for version in ["1.0", "1.1"] {
            let head = format!("HTTP/{version} 200 OK\r\n\r\nall of it");
            let rig = Rig::to(front, saying(&head, Step::Close).await).await;
            let mut client = rig.client().await;
            client.send(get("/")).await;
            let answer = client.answer().await;
            assert_eq!((answer.text().as_str(), answer.field("transfer-encoding")), ("all of it", Some("chunked")));
            let rig = Rig::to(front, saying(&head, Step::Reset).await).await;
            is_noticed(&rig, "reset").await;
        }
    }
}

#[tokio::test]
async fn sec_up_05_stray_bytes_reach_no_other_client() {
    let own = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nown";
    let stray = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray";
    let answers = [
        format!("{own}{stray}"),
        format!("{own}x"),
        format!("HTTP/1.1 204 No Content\r\n\r\n{stray}"),
        format!("HTTP/1.1 304 Not Modified\r\n\r\n{stray}"),
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nown\r\n0\r\n\r\n{stray}"),
    ];
    for front in BOTH {
        for answer in &answers {
            let rig = Rig::to(front, Origin::answering(answer).await).await;
            for _ in 0..3 {
                let answer = rig.ask(get("/")).await;
                assert!(!answer.text().contains("stray"), "{front:?} {answer:?}");
            }
            // each came on a connection of its own
            assert_eq!(rig.origin.seen().len(), 3, "{front:?} {}", text(answer.as_bytes()));
        }
        // an answer to HEAD has no body, whatever it says
        let rig = Rig::to(front, Origin::answering(stray).await).await;
        let mut client = rig.client().await;
        client.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n").await;
        assert_eq!(client.answer_to("HEAD").await.field("content-length"), Some("5"));
        assert_eq!(rig.ask(get("/")).await.text(), "stray");
        assert_eq!(rig.origin.seen().len(), 2);
    }
}

#[tokio::test]
async fn sec_up_07_an_early_answer_reaches_the_client_amid_its_upload() {
    let steps = vec![
        Step::until("\r\n\r\n"),
        Step::send("HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno"),
    ];
    for front in BOTH {
        let script = steps.clone();
        let rig = Rig::to(front, Origin::scripted(move |_| script.clone()).await).await;
        let mut client = rig.client().await;
        client.send(post("Content-Length: 5242880\r\n", "")).await;
        let answer = client.answer().await;
        assert_eq!((answer.status(), answer.text()), (413, "no".to_owned()), "{front:?}");
        // the rest of the body is no request
        client.send(get("/hidden").repeat(1000)).await;
        client.finish().await;
        assert_eq!(text(&client.rest().await), "");
        rig.origin.end_of(0).await;
        assert_eq!(rig.origin.seen().len(), 1);
    }
}

const EARLY: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n";
const FINAL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn sec_up_08_early_hints_are_passed_on_and_other_interim_answers_are_not() {
    let others = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 199 Other\r\n\r\n";
    for front in BOTH {
        // the hint comes while the answer is still to come
        let steps = vec![Step::Request, Step::send(format!("{others}{EARLY}")), Step::until("go"), Step::send(FINAL)];
        let rig = Rig::to(front, Origin::scripted(move |_| steps.clone()).await).await;
        let mut client = rig.client().await;
        client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n").await;
        if front == Front::Own {
            let hint = client.answer().await;
            assert_eq!((hint.status(), hint.field("link")), (103, Some("</a.css>; rel=preload")));
            assert_eq!((hint.fields.len(), hint.field("x-hop")), (1, None));
        }
        drop(client);
        // in one piece with the answer
        let rig = Rig::to(front, Origin::answering(format!("{others}{EARLY}{EARLY}{FINAL}")).await).await;
        let mut client = rig.client().await;
        client.send(get("/") + &*get("/")).await;
        for _ in 0..2 {
            let mut statuses = Vec::new();
            while statuses.last() != Some(&200) {
                statuses.push(client.answer().await.status());
            }
            // hyper's server has no way to send them
            let wanted: &[u16] = if front == Front::Own { &[103, 103, 200] } else { &[200] };
            assert_eq!(statuses, wanted, "{front:?}");
        }
        // never to HTTP/1.0
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.0\r\n\r\n").await;
        assert_eq!((client.answer().await.status(), text(&client.rest().await)), (200, String::new()));
    }
}

#[tokio::test]
async fn sec_up_09_an_origin_that_stalls_is_a_504_or_a_cut() {
    let drip = (0..200).flat_map(|_| [Step::send("x"), Step::Pause(Duration::from_millis(50))]);
    let dripping: Vec<Step> = [Step::Request, Step::send("HTTP/1.1 200 OK\r\nX: ")].into_iter().chain(drip).collect();
    let second = Duration::from_secs(1);
    for front in BOTH {
        for (steps, status) in [
            (vec![Step::Request], Some(504)),
            (vec![Step::Request, Step::send("HTTP/1.1 200 OK\r\nContent-")], Some(504)),
            (dripping.clone(), Some(504)),
            (vec![Step::Request, Step::send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")], None),
        ] {
            let rig = Rig::with(
                front,
                Origin::scripted(move |_| steps.clone()).await,
                Settings::default(),
                |builder, node| builder.route(Route::new("/*").timeout(second, second, second / 2).to_nodes([node])),
            )
            .await;
            let begun = Instant::now();
            let mut client = rig.client().await;
            client.send(get("/")).await;
            match status {
                Some(status) => assert_eq!(client.answer().await.status(), status, "{front:?}"),
                None => {
                    let got = client.rest().await;
                    assert!(matches!(strict::response(&got, "GET", true), Ok(None)), "{front:?} {}", text(&got));
                }
            }
            assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
            rig.origin.end_of(0).await;
        }
    }
}

#[tokio::test]
async fn sec_ret_01_a_post_that_may_have_arrived_is_delivered_once() {
    for front in BOTH {
        for end in [Step::Reset, Step::Close] {
            let steps = vec![Step::Request, end];
            let origin = Origin::scripted(move |_| steps.clone()).await;
            let rig = Rig::with(front, origin, Settings::default(), |builder, node| {
                builder.route(Route::new("/*").to_nodes([node.clone()]))
            })
            .await;
            assert_eq!(rig.ask(post("Content-Length: 5\r\n", "hello")).await.status(), 502, "{front:?}");
            assert_eq!(rig.origin.request().text(), "hello");
        }
    }
}

#[tokio::test]
async fn sec_ret_02_a_connection_that_closes_on_reuse_is_invisible_to_a_get() {
    let steps =
        vec![Step::Request, Step::send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), Step::Request, Step::Reset];
    for front in BOTH {
        let script = steps.clone();
        let rig = Rig::to(front, Origin::scripted(move |_| script.clone()).await).await;
        let mut client = rig.client().await;
        for _ in 0..200 {
            client.send(get("/")).await;
            assert_eq!(client.answer().await.status(), 200, "{front:?}");
        }
    }
}

/// A client that sends half of its body, and the rest when the origin has reset the connection with the first half.
#[tokio::test]
async fn sec_ret_03_an_upload_goes_on_elsewhere_with_all_of_it() {
    for front in BOTH {
        let origin = Origin::scripted(|connection| match connection {
            0 => vec![Step::until("hello"), Step::Reset],
            _ => vec![Step::Request, Step::send(FINAL), Step::Again],
        });
        let rig = Rig::with(front, origin.await, Settings::default(), |builder, node| {
            let upstream = UpstreamSpec { retries: Some(1), ..UpstreamSpec::of([node]) };
            builder.route(Route::new("/*").to(upstream))
        })
        .await;
        let mut client = rig.client().await;
        client.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhello").await;
        // The second connection is there, so the first half is on its way again.
        rig.origin.wait(|seen| seen.get(1).is_some_and(|second| second.bytes.ends_with(b"hello"))).await;
        client.send("world").await;
        let answer = client.answer().await;
        assert_eq!((answer.status(), answer.text()), (200, "ok".to_owned()), "{front:?}");
        assert!(rig.origin.seen()[1].bytes.ends_with(b"helloworld"));
        // The client's connection is in step.
        client.send(get("/next")).await;
        assert_eq!(client.answer().await.status(), 200, "{front:?}");
    }
}

#[tokio::test]
async fn sec_ret_06_nothing_is_retried_once_the_answer_has_begun() {
    for front in BOTH {
        let half = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
        let rig = Rig::to(front, saying(half, Step::Reset).await).await;
        is_noticed(&rig, half).await;
        assert_eq!(rig.origin.requests().len(), 1, "{front:?}");
    }
}

/// Where a layer panics.
#[derive(Clone, Copy, Debug)]
enum Panic {
    Call,
    Future,
    Body,
    DropOfFuture,
    DropOfBody,
}

struct PanicOnDrop;

impl Drop for PanicOnDrop {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("in drop");
        }
    }
}

fn panicking(place: Panic) -> impl tower::Layer<Next, Service = Next> + Send + Sync + 'static {
    tower::layer::layer_fn(move |next: Next| {
        Next::from_call(move |request: Request| {
            if matches!(place, Panic::Call) {
                panic!("in call");
            }
            let next = next.clone();
            Box::pin(async move {
                let bomb = matches!(place, Panic::DropOfFuture).then_some(PanicOnDrop);
                if matches!(place, Panic::Future) {
                    panic!("in the future");
                }
                let mut response = next.run(request).await;
                drop(bomb);
                if let Panic::Body | Panic::DropOfBody = place {
                    let stream = futures_util::stream::poll_fn(move |_| {
                        let bomb = PanicOnDrop;
                        if matches!(place, Panic::Body) {
                            std::mem::forget(bomb);
                            panic!("in the body");
                        }
                        std::task::Poll::Ready(Some(Ok::<_, tollgate::BodyError>(http_body::Frame::data(
                            bytes::Bytes::from("x"),
                        ))))
                    });
                    *response.body_mut() = Body::new(http_body_util::StreamBody::new(Box::pin(stream)));
                }
                response
            }) as std::pin::Pin<Box<dyn Future<Output = Response> + Send>>
        })
    })
}

async fn panicked(client: &mut Client, place: Panic, front: Front) {
    client.send("GET /panics HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await;
    match place {
        // the head may be out already: then only a cut is left
        Panic::Body | Panic::DropOfBody => {
            let got = client.rest().await;
            let whole = strict::response(&got, "GET", true).ok().flatten();
            assert!(whole.is_none_or(|(answer, _)| answer.status() >= 500), "{front:?} {place:?} {}", text(&got));
        }
        _ => assert_eq!(client.answer().await.status(), 500, "{front:?} {place:?}"),
    }
}

#[tokio::test]
async fn sec_pan_01_a_panic_ends_its_request_alone() {
    for front in BOTH {
        for place in [Panic::Call, Panic::Future, Panic::Body, Panic::DropOfFuture, Panic::DropOfBody] {
            let rig = Rig::with(front, Origin::saying("ok").await, Settings::default(), |builder, node| {
                builder
                    .route(Route::new("/panics").layer(panicking(place)).to_nodes([node.clone()]))
                    .route(Route::new("/*").to_nodes([node]))
            })
            .await;
            let mut other = rig.client().await;
            for _ in 0..3 {
                let mut client = rig.client().await;
                panicked(&mut client, place, front).await;
                other.send(get("/fine")).await;
                assert_eq!(other.answer().await.status(), 200, "{front:?} {place:?}");
            }
        }
    }
}
