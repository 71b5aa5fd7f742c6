//! The helpers that judge others are judged here.
#![cfg(test)]
mod peers;

use peers::client::{Client, exchange};
use peers::origin::{Origin, Step};
use peers::{End, strict};

#[test]
fn strict_parser_takes_whole_messages_one_after_the_other() {
    let bytes = b"GET /a?b HTTP/1.1\r\nhost: x\r\nA:  1 \r\na: 2\r\n\r\nPOST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n\
                  3\r\nabc\r\n0A\r\n0123456789\r\n0\r\nt: 1\r\n\r\nPUT / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi";
    let messages = strict::requests(bytes).unwrap();
    let [get, post, put] = messages.as_slice() else { panic!("{messages:?}") };
    assert_eq!(
        (get.method(), get.target(), get.field("host"), get.all("a")),
        ("GET", "/a?b", Some("x"), vec!["1", "2"])
    );
    assert_eq!(
        (post.text(), post.trailers.as_slice()),
        ("abc0123456789".to_owned(), &[("t".to_owned(), "1".to_owned())][..])
    );
    assert_eq!(put.body, b"hi");
    for end in 1..bytes.len() {
        // cut anywhere but between two messages, it is a fault
        let whole = strict::requests(&bytes[..end]).map(|messages| messages.len());
        let between = bytes[end..].starts_with(b"POST ") || bytes[end..].starts_with(b"PUT ");
        assert_eq!(whole.is_ok(), between, "cut at {end}");
    }
}

#[test]
fn strict_parser_refuses_what_can_be_read_in_two_ways() {
    let refused = [
        "GET / HTTP/1.1\nhost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: x\n\r\n",
        "GET  / HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET / HTTP/1.0\r\nhost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nhost : x\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: x\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: x\ry\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: x\0\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length: 0\r\ncontent-length: 0\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length: +1\r\n\r\na",
        "POST / HTTP/1.1\r\ncontent-length: 1, 1\r\n\r\na",
        "POST / HTTP/1.1\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1;x\r\na\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n 1\r\na\r\n0\r\n\r\n",
    ];
    for bytes in refused {
        assert!(strict::request(bytes.as_bytes()).is_err(), "taken: {bytes:?}");
    }
}

#[test]
fn strict_parser_knows_where_responses_end() {
    let length = |bytes: &str, method: &str, ended| {
        strict::response(bytes.as_bytes(), method, ended).map(|found| found.map(|(_, used)| used))
    };
    assert_eq!(length("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi+", "GET", false), Ok(Some(40)));
    assert_eq!(length("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nh", "GET", true), Ok(None));
    assert_eq!(length("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n", "HEAD", false), Ok(Some(38)));
    assert_eq!(length("HTTP/1.1 304 \r\ncontent-length: 2\r\n\r\n", "GET", false), Ok(Some(36)));
    assert_eq!(length("HTTP/1.1 200 OK\r\n\r\nhi", "GET", false), Ok(None));
    assert_eq!(length("HTTP/1.1 200 OK\r\n\r\nhi", "GET", true), Ok(Some(21)));
    assert!(length("HTTP/1.1 204 No Content\r\ncontent-length: 2\r\n\r\nhi", "GET", true).is_err());
    assert!(length("HTTP/1.1 2 OK\r\n\r\n", "GET", true).is_err());
}

#[tokio::test]
async fn origin_records_and_answers_by_its_script() {
    let origin = Origin::scripted(|connection| match connection {
        0 => vec![Step::Request, Step::send("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na"), Step::Again],
        1 => vec![Step::until("\r\n\r\n"), Step::send("HTTP/1.1 200 OK\r\n\r\nrest"), Step::Close],
        _ => vec![Step::Request, Step::Reset],
    })
    .await;
    let mut first = Client::connect(origin.address()).await;
    first.send_pieces("POST /1 HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc".as_bytes().chunks(7)).await;
    assert_eq!(first.answer().await.text(), "a");
    first.send("GET /2 HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(first.answer().await.status(), 200);
    drop(first);
    assert_eq!(origin.end_of(0).await, End::Closed);

    let mut second = Client::connect(origin.address()).await;
    second.send("GET /3 HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(second.answer().await.text(), "rest");
    assert_eq!(second.end().await, End::Closed);

    let mut third = Client::connect(origin.address()).await;
    third.send("GET /4 HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(third.end().await, End::Reset);

    let targets: Vec<_> = origin.requests().iter().map(|request| request.target().to_owned()).collect();
    assert_eq!(targets, ["/1", "/2", "/3", "/4"]);
}

#[tokio::test]
async fn origin_sees_how_a_client_goes() {
    let origin = Origin::saying("hello").await;
    let client = Client::connect(origin.address()).await;
    origin.wait(|seen| seen.len() == 1).await;
    client.reset();
    assert_eq!(origin.end_of(0).await, End::Reset);
    let mut polite = Client::connect(origin.address()).await;
    polite.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    polite.finish().await;
    assert_eq!(polite.until("hello").await.len(), 43);
    assert_eq!(origin.end_of(1).await, End::Closed);
    assert_eq!(origin.request().target(), "/");
}

#[tokio::test]
async fn exchange_takes_all_until_the_close() {
    let origin = Origin::scripted(|_| vec![Step::Request, Step::send("a"), Step::send("b"), Step::Close]).await;
    assert_eq!(exchange(origin.address(), "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await, b"ab");
}
