//! An HTTP probe.
use std::io;

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::super::config::HttpProbe;
use super::super::outcome::Outcome;
use super::status_line::StatusLine;

/// Bytes read at once: a status line, and the fields behind it that come along.
const ROOM: usize = 512;

/// The request of a probe, but for the host.
#[derive(Debug)]
pub(super) struct Message {
    before_host: Box<[u8]>,
    behind_host: Box<[u8]>,
}

impl Message {
    pub(super) fn new(probe: &HttpProbe) -> Self {
        let before_host = format!("{} {} HTTP/1.1\r\nHost: ", probe.method, probe.path).into_bytes();
        let mut behind_host = b"\r\nConnection: close\r\n".to_vec();
        let ours = |name: &HeaderName| [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name);
        for (name, value) in probe.headers.iter().filter(|(name, _)| !ours(name)) {
            behind_host.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        if !probe.body.is_empty() {
            behind_host.extend(format!("Content-Length: {}\r\n", probe.body.len()).into_bytes());
        }
        behind_host.extend([b"\r\n", probe.body.as_bytes()].concat());
        Self { before_host: before_host.into(), behind_host: behind_host.into() }
    }

    fn to(&self, host: &HeaderValue) -> Vec<u8> {
        [&*self.before_host, host.as_bytes(), &self.behind_host].concat()
    }

    /// Sends the request and reads the status of the answer, nothing further: no redirect is followed.
    pub(super) async fn ask(&self, stream: &mut (impl AsyncRead + AsyncWrite + Unpin), host: &HeaderValue) -> Outcome {
        self.exchange(stream, host).await.unwrap_or(Outcome::Broken)
    }

    async fn exchange(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        host: &HeaderValue,
    ) -> io::Result<Outcome> {
        stream.write_all(&self.to(host)).await?;
        stream.flush().await?;
        let (mut line, mut room) = (StatusLine::default(), [0; ROOM]);
        loop {
            let read = stream.read(&mut room).await?;
            if read == 0 {
                return Ok(Outcome::Broken);
            }
            match line.feed(room.get(..read).unwrap_or_default()) {
                Some(Ok(status)) => return Ok(Outcome::Status(status)),
                Some(Err(_)) => return Ok(Outcome::Malformed),
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    #[test]
    fn what_is_sent() {
        let text = |probe: &HttpProbe| {
            String::from_utf8(Message::new(probe).to(&HeaderValue::from_static("a.test:81"))).unwrap()
        };
        assert_eq!(text(&HttpProbe::default()), "GET / HTTP/1.1\r\nHost: a.test:81\r\nConnection: close\r\n\r\n");
        let value = HeaderValue::from_static;
        let probe = HttpProbe {
            method: Method::POST,
            path: String::from("/up?deep=1"),
            headers: vec![
                (HeaderName::from_static("x-probe"), value("yes")),
                (HOST, value("other")),
                (TRANSFER_ENCODING, value("chunked")),
            ],
            body: String::from("how?"),
            ..HttpProbe::default()
        };
        assert_eq!(
            text(&probe),
            "POST /up?deep=1 HTTP/1.1\r\nHost: a.test:81\r\nConnection: close\r\nx-probe: yes\r\n\
             Content-Length: 4\r\n\r\nhow?"
        );
    }

    async fn ask(answer: &[&str]) -> Outcome {
        let (mut near, mut far) = tokio::io::duplex(64);
        let answer: Vec<String> = answer.iter().map(ToString::to_string).collect();
        let origin = tokio::spawn(async move {
            let mut room = [0; 256];
            let read = far.read(&mut room).await.unwrap();
            assert!(room[..read].ends_with(b"\r\n\r\n"));
            for part in answer {
                // The other end may have what it wants before.
                let _ = far.write_all(part.as_bytes()).await;
            }
        });
        let outcome = Message::new(&HttpProbe::default()).ask(&mut near, &HeaderValue::from_static("a")).await;
        drop(near);
        origin.await.unwrap();
        outcome
    }

    #[tokio::test]
    async fn answers() {
        assert_eq!(
            ask(&["HTTP/1.1 2", "04 No", " Content\r\n\r\n"]).await,
            Outcome::Status(http::StatusCode::NO_CONTENT)
        );
        assert_eq!(ask(&["SSH-2.0\r\n"]).await, Outcome::Malformed);
        assert_eq!(ask(&["HTTP/1.1 200"]).await, Outcome::Broken);
        assert_eq!(ask(&[]).await, Outcome::Broken);
        let endless = "HTTP/1.1 200 ".to_owned() + &*"x".repeat(20_000);
        assert_eq!(ask(&[&endless]).await, Outcome::Malformed);
    }
}
