//! `client-control`, `proxy-control` and `proxy-buffering` as their examples have them.
use tollgate::gateway::Gateway;

use super::peers::origin::{Origin, Step};
use super::support::{Rig, route_with};

#[tokio::test]
async fn sec_lim_03_a_route_has_a_limit_of_its_own_above_and_below_the_gateways() {
    let yaml = "routes:
  - {id: up, uri: /up, plugins: {client-control: {max_body_size: 20}}, upstream: {nodes: {\"127.0.0.1:7001\": 1}}}
  - {id: down, uri: /down, plugins: {client-control: {max_body_size: 5}}, upstream: {nodes: {\"127.0.0.1:7001\": 1}}}
  - {id: off, uri: /off, plugins: {client-control: {max_body_size: 20, _meta: {filter: [[arg_on, '==', '1']]}}},
     upstream: {nodes: {\"127.0.0.1:7001\": 1}}}
  - {id: plain, uri: /plain, upstream: {nodes: {\"127.0.0.1:7001\": 1}}}
tollgate: {limits: {body_bytes: 10}}
";
    let rig = Rig::of(yaml).await;
    for (line, length, status) in [
        ("POST /plain", 10, 200),
        ("POST /plain", 11, 413),
        ("POST /up", 20, 200),
        ("POST /up", 21, 413),
        ("POST /down", 5, 200),
        ("POST /down", 6, 413),
        ("POST /off?on=1", 20, 200),
        ("POST /off?on=0", 10, 200),
        ("POST /off?on=0", 11, 413),
    ] {
        let body = vec![b'x'; length];
        let answer = rig.ask_bytes(line, [], &body).await;
        assert_eq!(answer.status(), status, "{line} {length}");
        // the same in pieces that announce nothing
        let mut client = rig.client().await;
        let target = line.strip_prefix("POST ").unwrap();
        let mut bytes =
            format!("POST {target} HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n").into_bytes();
        body.chunks(4).for_each(|piece| {
            bytes.extend(format!("{:x}\r\n", piece.len()).into_bytes());
            bytes.extend_from_slice(piece);
            bytes.extend_from_slice(b"\r\n");
        });
        bytes.extend_from_slice(b"0\r\n\r\n");
        client.send(bytes).await;
        assert_eq!(client.answer_to("POST").await.status(), status, "{line} {length} in pieces");
    }
}

#[tokio::test]
async fn comments_are_short() {
    let rig = Rig::example("client-control").await;
    assert_eq!(rig.ask_bytes("POST /comments", [], &[b'x'; 1024]).await.status(), 200);
    let answer = rig.ask_bytes("POST /comments", [], &[b'x'; 1025]).await;
    assert_eq!((answer.status(), answer.text().as_str()), (413, ""));
}

#[tokio::test]
async fn a_form_is_there_before_the_service_is_asked() {
    let rig = Rig::example("proxy-control").await;
    let mut client = rig.client().await;
    client
        .send(b"POST /forms HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n".to_vec())
        .await;
    // another request has been served meanwhile, this one's service has not been asked
    assert_eq!(rig.ask_bytes("POST /forms", [], b"other").await.status(), 200);
    assert_eq!(rig.forwarded_count(), 1);
    client.send(b"2\r\ncd\r\n0\r\n\r\n".to_vec()).await;
    assert_eq!(client.answer_to("POST").await.status(), 200);
    let forwarded = rig.forwarded();
    assert_eq!((forwarded.body.as_slice(), forwarded.field("content-length")), (&b"abcd"[..], Some("4")));
}

#[tokio::test]
async fn a_body_that_is_longer_than_what_is_held_streams() {
    let rig =
        Rig::of(&format!("{}tollgate: {{limits: {{buffer_bytes: 4}}}}\n", route_with("{proxy-control: {}}"))).await;
    for body in [&b"abcd"[..], b"abcdefgh"] {
        assert_eq!(rig.ask_bytes("POST /", [], body).await.status(), 200);
        assert_eq!(rig.forwarded().body, body);
    }
}

#[tokio::test]
async fn events_come_one_by_one_whatever_proxy_buffering_says() {
    assert_eq!(Rig::example("proxy-buffering").await.get("/events", &[]).await.text(), "origin");
    for block in ["{disable_proxy_buffering: true}", "{disable_proxy_buffering: false}", "{}"] {
        // The origin sends the second event only when it is asked on the same connection, so not before the client has read the first.
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        let first = format!("{head}9\r\ndata: a\n\n\r\n");
        let steps = vec![
            Step::until("\r\n\r\n"),
            Step::send(first),
            Step::until("0\r\n\r\n"),
            Step::send("9\r\ndata: b\n\n\r\n0\r\n\r\n"),
        ];
        let origin = Origin::scripted(move |_| steps.clone()).await;
        let rig = Rig::before(origin, Gateway::builder(), &route_with(&format!("{{proxy-buffering: {block}}}"))).await;
        let mut client = rig.client().await;
        client.send("POST / HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        client.until("data: a\n\n").await;
        assert!(!String::from_utf8_lossy(client.untaken()).contains("data: b"));
        client.send("0\r\n\r\n").await;
        client.until("data: b\n\n").await;
    }
}

#[tokio::test]
async fn sec_lim_03_a_block_without_a_limit_leaves_the_gateways() {
    let rig =
        Rig::of(&format!("{}tollgate: {{limits: {{body_bytes: 10}}}}\n", route_with("{client-control: {}}"))).await;
    for (length, status) in [(10, 200), (11, 413)] {
        assert_eq!(rig.ask_bytes("POST /", [], &vec![b'x'; length]).await.status(), status);
    }
}

#[tokio::test]
async fn sec_lim_04_a_client_that_sends_slowly_leaves_room_to_others() {
    let settings = "tollgate: {limits: {buffer_total_bytes: 10000}, trusted_proxies: [127.0.0.0/8]}\n";
    let route = route_with("{request-validation: {body_schema: {}}}");
    let rig = Rig::of(&format!("{route}{settings}")).await;
    let body = format!("\"{}\"", "x".repeat(2498));
    let (most, rest) = body.split_at(2400);
    let begin = async |client: &str| {
        let fields = format!("Host: gw.test\r\nX-Forwarded-For: {client}\r\nContent-Length: {}", body.len());
        let mut slow = rig.client().await;
        slow.send(format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n{most}")).await;
        slow
    };
    let mut slow = Vec::new();
    for _ in 0..3 {
        slow.push(begin("192.0.2.1").await);
    }
    // two of them are half of the room; the third one is refused, whichever came last
    let answers = slow.iter_mut().map(|client| Box::pin(client.answer_to("POST")));
    let (answer, refused, _) = futures_util::future::select_all(answers).await;
    assert_eq!((answer.status(), answer.field("retry-after")), (503, Some("1")));
    slow.remove(refused);
    // others share a place with that client once in a thousand times
    let mut others = Vec::new();
    for client in ["192.0.2.2", "192.0.2.3"] {
        others.push(begin(client).await);
    }
    let mut served = 0;
    for mut client in others {
        client.send(rest).await;
        served += usize::from(client.answer_to("POST").await.status() == 200);
    }
    assert!(served > 0);
    for mut client in slow {
        client.send(rest).await;
        assert_eq!(client.answer_to("POST").await.status(), 200);
    }
}
