//! Connecting.
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// The head start of one address over the next (RFC 8305 §5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Connects to the first of `addresses` that answers. Each next one is begun when the one before has failed or has not
/// answered within the head start.
///
/// # Errors
/// What the last address that failed said.
pub(super) async fn dial(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut addresses = addresses.into_iter().peekable();
    let mut error = io::Error::new(io::ErrorKind::NotFound, "no address");
    let Some(first) = addresses.next() else { return Err(error) };
    if addresses.peek().is_none() {
        return TcpStream::connect(first).await;
    }
    // The set is dropped with this future, and its attempts with it.
    let mut attempts = JoinSet::new();
    attempts.spawn(TcpStream::connect(first));
    loop {
        let next = addresses.peek().is_some();
        tokio::select! {
            ended = attempts.join_next() => match ended {
                Some(Ok(Ok(stream))) => return Ok(stream),
                Some(Ok(Err(failed))) => error = failed,
                Some(Err(stopped)) => error = stopped.into(),
                None => {}
            },
            () = tokio::time::sleep(HEAD_START), if next => {}
        }
        match addresses.next() {
            Some(address) => {
                attempts.spawn(TcpStream::connect(address));
            }
            None if attempts.is_empty() => return Err(error),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn every_address_is_tried() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let refused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let stream = dial(vec![refused, refused, good]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
        let error = dial(vec![refused, refused]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(dial(Vec::new()).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
