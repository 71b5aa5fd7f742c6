//! Streams of requests, honest and smuggling, that different servers may read in different ways.

/// Name and bytes of each stream. What a stream means is not said here: servers are compared.
pub(crate) fn streams() -> Vec<(&'static str, Vec<u8>)> {
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
    let post = |fields: &str, body: &str| format!("POST /post HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n{body}");
    let hidden = get("/hidden");
    let mut all: Vec<(&'static str, Vec<u8>)> = Vec::new();
    let mut add = |name, text: String| all.push((name, text.into_bytes()));

    add("plain", get("/a?b=c"));
    add("two", get("/1") + &*get("/2"));
    add("head", "HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n".into());
    add("http 1.0", "GET /old HTTP/1.0\r\n\r\n".into());
    add("empty line before", "\r\n".to_owned() + &*get("/a"));
    add("length", post("Content-Length: 5", "hello") + &*get("/next"));
    add("length 0", post("Content-Length: 0", "") + &*get("/next"));
    add("length with zeros", post("Content-Length: 005", "hello") + &*get("/next"));
    add("chunks", post("Transfer-Encoding: chunked", "3\r\nabc\r\n00a\r\n0123456789\r\n0\r\n\r\n") + &*get("/next"));
    add("upper case", post("TRANSFER-ENCODING: CHUNKED", "1\r\na\r\n0\r\n\r\n") + &*get("/next"));
    add("chunk extension", post("Transfer-Encoding: chunked", "3;a=b\r\nabc\r\n0\r\n\r\n") + &*get("/next"));
    add("quoted extension", post("Transfer-Encoding: chunked", "3;a=\"b;c\"\r\nabc\r\n0\r\n\r\n") + &*get("/next"));
    add("trailer", post("Transfer-Encoding: chunked", "1\r\na\r\n0\r\nX-T: 1\r\n\r\n") + &*get("/next"));
    add("body of a get", "GET /g HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc".to_owned() + &*get("/next"));
    add("absolute form", "GET http://h/abs?x HTTP/1.1\r\nHost: h\r\n\r\n".into());
    add("white space around a value", "GET /ws HTTP/1.1\r\nHost: \t h \t\r\nX:\t1 \r\n\r\n".into());
    add("empty value", "GET /ev HTTP/1.1\r\nHost: h\r\nX:\r\n\r\n".into());
    add("obs-text", "GET /obs HTTP/1.1\r\nHost: h\r\nX: \u{e9}\r\n\r\n".into());

    for (name, fields, body) in [
        ("cl.te", "Content-Length: 6\r\nTransfer-Encoding: chunked", "0\r\n\r\nG"),
        ("te.cl", "Transfer-Encoding: chunked\r\nContent-Length: 3", "1\r\na\r\n0\r\n\r\n"),
        ("cl.cl", "Content-Length: 5\r\nContent-Length: 0", "hello"),
        ("cl.cl same", "Content-Length: 5\r\nContent-Length: 5", "hello"),
        ("cl list", "Content-Length: 5, 5", "hello"),
        ("cl +", "Content-Length: +5", "hello"),
        ("cl -", "Content-Length: -0", ""),
        ("cl hex", "Content-Length: 0x5", "hello"),
        ("cl empty", "Content-Length:", ""),
        ("cl empty and 5", "Content-Length:\r\nContent-Length: 5", "hello"),
        ("cl space", "Content-Length : 5", "hello"),
        ("cl too large", "Content-Length: 99999999999999999999", "hello"),
        ("cl underscore", "Content_Length: 5", ""),
        ("te space", "Transfer-Encoding : chunked", "0\r\n\r\n"),
        ("te tab", "Transfer-Encoding\t: chunked", "0\r\n\r\n"),
        ("te vt", "Transfer-Encoding: \x0bchunked", "0\r\n\r\n"),
        ("te x", "Transfer-Encoding: xchunked", "0\r\n\r\n"),
        ("te identity", "Transfer-Encoding: identity", ""),
        ("te gzip, chunked", "Transfer-Encoding: gzip, chunked", "0\r\n\r\n"),
        ("te chunked, identity", "Transfer-Encoding: chunked, identity", "0\r\n\r\n"),
        ("te twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "0\r\n\r\n"),
        ("te quoted", "Transfer-Encoding: \"chunked\"", "0\r\n\r\n"),
        ("te folded", "Transfer-Encoding:\r\n chunked", "0\r\n\r\n"),
        ("te empty", "Transfer-Encoding:", ""),
        ("te list of nothing", "Transfer-Encoding: ,", ""),
        ("te behind a fold", "X: a\r\n Transfer-Encoding: chunked", ""),
        ("te behind a bare cr", "X: a\rTransfer-Encoding: chunked", ""),
        ("te behind a bare lf", "X: a\nTransfer-Encoding: chunked", "0\r\n\r\n"),
        ("te behind a nul", "X: a\0Transfer-Encoding: chunked", ""),
        ("te without a name", ": chunked", ""),
        ("size 0x", "Transfer-Encoding: chunked", "0x3\r\nabc\r\n0\r\n\r\n"),
        ("size +", "Transfer-Encoding: chunked", "+3\r\nabc\r\n0\r\n\r\n"),
        ("size space behind", "Transfer-Encoding: chunked", "3 \r\nabc\r\n0\r\n\r\n"),
        ("size space before", "Transfer-Encoding: chunked", " 3\r\nabc\r\n0\r\n\r\n"),
        ("size underscore", "Transfer-Encoding: chunked", "0_3\r\nabc\r\n0\r\n\r\n"),
        ("size overflow", "Transfer-Encoding: chunked", "10000000000000003\r\nabc\r\n0\r\n\r\n"),
        ("size empty", "Transfer-Encoding: chunked", "\r\nabc\r\n0\r\n\r\n"),
        ("size lf", "Transfer-Encoding: chunked", "3\nabc\r\n0\r\n\r\n"),
        ("extension lf", "Transfer-Encoding: chunked", "3;a\nabc\r\n0\r\n\r\n"),
        ("extension cr", "Transfer-Encoding: chunked", "3;a\rb\r\nabc\r\n0\r\n\r\n"),
        ("data lf", "Transfer-Encoding: chunked", "3\r\nabc\n0\r\n\r\n"),
        ("data spill", "Transfer-Encoding: chunked", "3\r\nabcdef\r\n0\r\n\r\n"),
        ("data without its end", "Transfer-Encoding: chunked", "3\r\nabc0\r\n\r\n"),
        ("last chunk lf", "Transfer-Encoding: chunked", "0\r\n\n"),
        ("trailer lf", "Transfer-Encoding: chunked", "0\r\nX: 1\n\r\n"),
        ("trailer te", "Transfer-Encoding: chunked", "0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("trailer fold", "Transfer-Encoding: chunked", "0\r\nX: 1\r\n a\r\n\r\n"),
    ] {
        add(name, post(fields, body) + &*hidden);
    }
    for (name, head) in [
        ("bare lf", "GET /lf HTTP/1.1\nHost: h\n\n"),
        ("bare lf at the end", "GET /lf HTTP/1.1\r\nHost: h\r\n\n"),
        ("two empty lines before", "\r\n\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("two spaces", "GET  /a HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("tab for a space", "GET\t/a HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("space behind the version", "GET /a HTTP/1.1 \r\nHost: h\r\n\r\n"),
        ("space in the target", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("version 1.10", "GET /a HTTP/1.10\r\nHost: h\r\n\r\n"),
        ("version 2.0", "GET /a HTTP/2.0\r\nHost: h\r\n\r\n"),
        ("no version", "GET /a\r\n\r\n"),
        ("no host", "GET /a HTTP/1.1\r\n\r\n"),
        ("two hosts", "GET /a HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n"),
        ("two same hosts", "GET /a HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n"),
        ("host list", "GET /a HTTP/1.1\r\nHost: h, i\r\n\r\n"),
        ("host with a path", "GET /a HTTP/1.1\r\nHost: h/x\r\n\r\n"),
        ("host with a user", "GET /a HTTP/1.1\r\nHost: u@h\r\n\r\n"),
        ("absolute form of another host", "GET http://i/a HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("absolute form with a user", "GET http://u@h/a HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("authority form", "GET h:80 HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("star", "GET * HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("fragment", "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("folded first field", "GET /a HTTP/1.1\r\n Host: h\r\n\r\n"),
        ("name with a space", "GET /a HTTP/1.1\r\nHost: h\r\nX Y: 1\r\n\r\n"),
        ("no colon", "GET /a HTTP/1.1\r\nHost: h\r\nX\r\n\r\n"),
        ("coding in 1.0", "POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("expectation", "POST /a HTTP/1.1\r\nHost: h\r\nExpect: y 100-continue\r\nContent-Length: 1\r\n\r\na"),
        ("body cut short", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 500\r\n\r\nshort"),
        ("chunks cut short", "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab"),
    ] {
        add(name, head.to_owned() + &*hidden);
    }
    all
}
