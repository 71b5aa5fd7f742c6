//! An origin of pages and WebSockets.
use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::response::Html;
use axum::routing::{get, post};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};
use tokio_tungstenite::tungstenite::Message;

/// What is reported to it, and where it is.
pub(crate) struct Origin {
    /// `/` is the page, which says at `/report` what it saw; `/data` is there to be fetched.
    pub(crate) pages: SocketAddr,
    /// Every path echoes.
    pub(crate) sockets: SocketAddr,
    reports: Mutex<mpsc::UnboundedReceiver<Value>>,
}

impl Origin {
    pub(crate) async fn start() -> Self {
        let (reported, reports) = mpsc::unbounded_channel();
        let pages = Router::new()
            .route("/", get(|| async { Html(include_str!("page.html")) }))
            .route("/data", get(|| async { "data" }))
            .route("/report", post(report))
            .with_state(reported);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, pages).await });
        let sockets = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = Self { pages: address, sockets: sockets.local_addr().unwrap(), reports: Mutex::new(reports) };
        tokio::spawn(async move {
            while let Ok((socket, _)) = sockets.accept().await {
                tokio::spawn(echo(socket));
            }
        });
        origin
    }

    /// The next report of a page.
    pub(crate) async fn report(&self) -> Value {
        self.reports.lock().await.recv().await.unwrap()
    }
}

async fn report(State(reported): State<mpsc::UnboundedSender<Value>>, body: String) {
    reported.send(serde_json::from_str(&body).unwrap()).unwrap();
}

async fn echo(socket: TcpStream) {
    let Ok(mut socket) = tokio_tungstenite::accept_async(socket).await else { return };
    while let Some(Ok(message)) = socket.next().await {
        let answer = match message {
            Message::Text(text) => Message::text(format!("echo: {text}")),
            Message::Binary(bytes) => Message::Binary(bytes),
            _ => continue,
        };
        if socket.send(answer).await.is_err() {
            return;
        }
    }
}
