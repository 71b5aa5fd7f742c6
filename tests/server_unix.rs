//! Listening on Unix sockets: who may connect, what is replaced, what is left behind.
#![cfg(feature = "server")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tollgate::server::{BindError, Server};
use tollgate::{Body, ConnectInfo, Next};

/// Tells who called.
fn server() -> Server {
    Server::builder().serve(|client: ConnectInfo| {
        Next::from_fn(move |_| async move { http::Response::new(Body::from(format!("hello {}\n", client.peer))) })
    })
}

async fn ask(path: &Path) -> String {
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    said
}

#[tokio::test]
async fn a_unix_socket_is_served_to_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sock");
    let server = server();
    server.listen_unix(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let said = ask(&path).await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    assert!(said.ends_with("hello 127.0.0.1:0\n"), "{said}");
    assert!(server.addresses().is_empty());
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["control.sock"]);
}

#[tokio::test]
async fn a_socket_goes_with_its_server_and_what_was_left_behind_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sock");
    // As a process leaves it that was killed.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let first = server();
    first.listen_unix(&path).unwrap();
    assert!(matches!(server().listen_unix(&path), Err(BindError::InUse(_))));
    assert!(ask(&path).await.contains("hello"));
    first.drain(Duration::ZERO).await;
    // The accept loop lets go of the socket at its next turn.
    while path.exists() {
        tokio::task::yield_now().await;
    }
    let second = server();
    second.listen_unix(&path).unwrap();
    assert!(second.stop_listening_unix(&path));
    assert!(!second.stop_listening_unix(&path));
}

#[tokio::test]
async fn a_socket_of_somebody_else_is_not_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sock");
    let first = server();
    first.listen_unix(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let other = std::os::unix::net::UnixListener::bind(&path).unwrap();
    assert!(first.stop_listening_unix(&path));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(path.exists());
    drop(other);
}

#[tokio::test]
async fn paths_that_cannot_be_had_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "mine").unwrap();
    let error = server().listen_unix(&file).unwrap_err();
    assert!(error.to_string().contains("no socket"), "{error}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    let error = server().listen_unix(folder.path().join("none/here")).unwrap_err();
    assert!(matches!(error, BindError::Other { .. }), "{error}");
}

#[tokio::test]
async fn what_stands_beside_the_socket_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let hidden = folder.path().join(".git");
    fs::create_dir(&hidden).unwrap();
    fs::write(hidden.join("s"), "kept").unwrap();
    let server = server();
    server.listen_unix(folder.path().join("git")).unwrap();
    assert_eq!(fs::read_to_string(hidden.join("s")).unwrap(), "kept");
    let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [".git", "git"]);
}

#[tokio::test]
async fn a_socket_whose_queue_is_full_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    socket.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
    socket.listen(0).unwrap();
    let _waits = std::os::unix::net::UnixStream::connect(&path).unwrap();
    let refused = server().listen_unix(&path).unwrap_err();
    assert!(matches!(refused, BindError::InUse(_)), "{refused}");
}
