//! An origin that takes every upgrade, and answers 1 KiB to whoever does not ask for one.
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

const ACCEPTED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

pub async fn serve(address: &str) {
    let listener = TcpListener::bind(address).await.expect("a free address");
    let tasks = LocalSet::new();
    tasks
        .run_until(async {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::task::spawn_local(echo(socket));
            }
        })
        .await;
}

/// Whatever comes behind the head goes back.
async fn echo(mut socket: TcpStream) {
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        if !matches!(socket.read_buf(&mut head).await, Ok(1..)) {
            return;
        }
    }
    if !String::from_utf8_lossy(&head).to_ascii_lowercase().contains("upgrade: websocket") {
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 1024\r\nConnection: close\r\n\r\n{}", "x".repeat(1024));
        let _ = socket.write_all(answer.as_bytes()).await;
        return;
    }
    if socket.write_all(ACCEPTED).await.is_err() {
        return;
    }
    loop {
        let mut room = [0; 512];
        match socket.read(&mut room).await {
            Ok(count @ 1..) if socket.write_all(&room[..count]).await.is_ok() => {}
            _ => return,
        }
    }
}
