//! Calls of every kind from tonic's client to tonic's server.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use tokio::sync::mpsc;
use tonic::Code;

use super::origin::{Client, Origin, id};
use super::peers::within;
use super::rig::Front;

/// What `holds` says comes true.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    within(|| what.to_owned(), async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Messages that a test sends when it wants to.
fn spoken() -> (mpsc::UnboundedSender<Bytes>, impl futures_util::Stream<Item = Bytes> + Send + 'static) {
    let (say, mut said) = mpsc::unbounded_channel();
    (say, stream::poll_fn(move |cx| said.poll_recv(cx)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_every_kind_are_answered() {
    let origin = Origin::start().await;
    let front = Front::of_grpc(origin.address);
    let mut client = Client::connect(front.address).await;

    let answer = client.unary("Unary", 1, "hello").await.unwrap();
    assert_eq!((id(answer.metadata()), &**answer.get_ref()), (1, b"hello".as_slice()));

    let answer = client.server_streaming("Split", 2, "abc").await.unwrap();
    assert_eq!(id(answer.metadata()), 2);
    let mut parts = answer.into_inner();
    for part in ["a", "b", "c"] {
        assert_eq!(parts.message().await.unwrap().unwrap(), part);
    }
    assert_eq!(parts.message().await.unwrap(), None);

    let messages = stream::iter(["x", "y", "z"].map(Bytes::from));
    let answer = client.client_streaming("Join", 3, messages).await.unwrap();
    assert_eq!((id(answer.metadata()), &**answer.get_ref()), (3, b"xyz".as_slice()));

    // Each side waits for the other's word.
    let (say, said) = spoken();
    let answer = client.streaming("Talk", 4, said).await.unwrap();
    assert_eq!(id(answer.metadata()), 4);
    let mut heard = answer.into_inner();
    for word in ["one", "two", "three"] {
        say.send(word.into()).unwrap();
        assert_eq!(heard.message().await.unwrap().unwrap(), word);
    }
    drop(say);
    assert_eq!(heard.message().await.unwrap(), None);
    until("no call runs", || origin.seen.running.load(SeqCst) == 0).await;
    assert_eq!(origin.seen.cancelled.load(SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_status_arrives_with_its_message_and_trailers() {
    let origin = Origin::start().await;
    let front = Front::of_grpc(origin.address);
    let mut client = Client::connect(front.address).await;
    for code in 1..=16 {
        let status = client.unary("Fail", 100 + code, code.to_string()).await.unwrap_err();
        assert_eq!(status.code(), Code::from_i32(code as i32));
        assert_eq!((status.message(), id(status.metadata())), ("it fails: 50 % ü", 100 + code));
    }
    assert_eq!(client.unary("Nothing", 1, "").await.unwrap_err().code(), Code::Unimplemented);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_gives_up_is_noticed_at_the_other_end() {
    let origin = Origin::start().await;
    let front = Front::of_grpc(origin.address);
    let mut client = Client::connect(front.address).await;
    let running = || origin.seen.running.load(SeqCst);

    // Before there is an answer.
    let hung = {
        let mut client = client.clone();
        tokio::spawn(async move { client.unary("Hang", 1, "").await })
    };
    until("the call runs", || running() == 1).await;
    hung.abort();
    until("it was cancelled", || running() == 0).await;

    // In the middle of one, which is not read on.
    let answer = client.server_streaming("Flood", 2, "1000").await.unwrap();
    let mut flood = answer.into_inner();
    assert_eq!(flood.message().await.unwrap().unwrap().len(), 1000);
    assert_eq!(running(), 1);
    drop(flood);
    until("it was cancelled", || running() == 0).await;

    // In the middle of both directions.
    let (say, said) = spoken();
    let mut heard = client.streaming("Talk", 3, said).await.unwrap().into_inner();
    say.send("one".into()).unwrap();
    heard.message().await.unwrap().unwrap();
    assert_eq!(running(), 1);
    drop((heard, say));
    until("it was cancelled", || running() == 0).await;

    // The connection serves on.
    assert_eq!(client.unary("Unary", 4, "ok").await.unwrap().get_ref(), "ok");
    assert_eq!(origin.seen.connections.load(SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_dies_ends_its_calls_with_an_error() {
    let origin = Origin::start().await;
    let front = Front::of_grpc(origin.address);
    let mut client = Client::connect(front.address).await;
    let (say, said) = spoken();
    let mut heard = client.streaming("Talk", 1, said).await.unwrap().into_inner();
    say.send("one".into()).unwrap();
    heard.message().await.unwrap().unwrap();
    origin.die();
    // An end without a status would be one of success to some clients.
    let end = within(|| "the end of the call".into(), async {
        loop {
            say.send("more".into()).unwrap_or_default();
            match heard.message().await {
                Ok(Some(_)) => {}
                end => return end,
            }
        }
    })
    .await;
    assert_ne!(end.unwrap_err().code(), Code::Ok);
    assert_ne!(client.unary("Unary", 2, "").await.unwrap_err().code(), Code::Ok);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_streams_share_one_connection_on_each_side() {
    let origin = Origin::start().await;
    let front = Front::of_grpc(origin.address);
    let client = Client::connect(front.address).await;
    let mut talks = Vec::new();
    for id in 0..100 {
        let (say, said) = spoken();
        talks.push((id, say, client.clone().streaming("Talk", id, said).await.unwrap().into_inner()));
    }
    assert_eq!(origin.seen.running.load(SeqCst), 100);
    for round in 0..20 {
        for (id, say, _) in &talks {
            say.send(format!("{id} {round}").into()).unwrap();
        }
        for (id, _, heard) in &mut talks {
            assert_eq!(heard.message().await.unwrap().unwrap(), format!("{id} {round}"));
        }
    }
    assert_eq!(origin.seen.connections.load(SeqCst), 1);
    // One more than a connection takes: another is opened.
    let (_say, said) = spoken();
    let more = Client::connect(front.address).await.streaming("Talk", 100, said).await.unwrap();
    assert_eq!(origin.seen.connections.load(SeqCst), 2);
    drop(more);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_at_once_get_their_own_answers() {
    let origin = Origin::start().await;
    let front = Front::of_grpc(origin.address);
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(Client::connect(front.address).await);
    }
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..32_u64 {
        let mut client = clients[caller as usize % clients.len()].clone();
        callers.spawn(async move {
            for call in 0..30 {
                let own = caller * 1000 + call;
                let text = format!("{own} {}", "x".repeat((own % 3000) as usize));
                if own % 2 == 0 {
                    let answer = client.unary("Unary", own, text.clone()).await.unwrap();
                    assert_eq!((id(answer.metadata()), answer.get_ref()), (own, &Bytes::from(text)));
                } else {
                    let messages = stream::iter(vec![Bytes::from(text.clone()), Bytes::from(text.clone())]);
                    let answer = client.client_streaming("Join", own, messages).await.unwrap();
                    assert_eq!((id(answer.metadata()), answer.get_ref()), (own, &Bytes::from(text.repeat(2))));
                }
            }
        });
    }
    within(|| "the calls".into(), async {
        while let Some(ended) = callers.join_next().await {
            ended.unwrap();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_say_goaway_cost_no_call() {
    // Each connection is told to go soon; the calls that are on it then are answered.
    let origin = Origin::start_with(|server| server.max_connection_age(Duration::from_millis(100))).await;
    let front = Front::of_grpc(origin.address);
    let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let mut client = Client::connect(front.address).await;
        let (stop, calls) = (Arc::clone(&stop), Arc::clone(&calls));
        callers.spawn(async move {
            while !stop.load(SeqCst) {
                let own = calls.fetch_add(1, SeqCst);
                let answer = client.unary("Unary", own, own.to_string()).await.unwrap();
                assert_eq!((id(answer.metadata()), answer.get_ref()), (own, &Bytes::from(own.to_string())));
            }
        });
    }
    until("many connections have gone", || origin.seen.connections.load(SeqCst) >= 10).await;
    stop.store(true, SeqCst);
    while let Some(ended) = callers.join_next().await {
        ended.unwrap();
    }
    println!("figure: {} calls over {} connections", calls.load(SeqCst), origin.seen.connections.load(SeqCst));
}
