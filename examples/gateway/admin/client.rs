//! One connection to an Admin API.
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderValue};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tollgate::BoxError;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// What it says; text that is no JSON as a text.
    pub(super) body: Value,
}

impl Answer {
    pub(super) fn is_success(&self) -> bool {
        self.status.is_success()
    }
}

/// An Admin API.
pub(super) struct Client {
    address: String,
    prefix: String,
    key: Option<HeaderValue>,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    /// Where it is, and the key.
    pub(super) fn new(server: &str, key: Option<String>) -> Result<Self, BoxError> {
        let uri: Uri = server.parse().map_err(|_| format!("--server: `{server}` is no URL"))?;
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http"));
        let authority = authority.ok_or_else(|| format!("--server: `{server}` is none: write `http://HOST:PORT`"))?;
        let address = format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80));
        let path = uri.path().trim_end_matches('/').to_owned();
        let key = key.map(|key| {
            let mut key = HeaderValue::from_str(&key).map_err(|_| "the key cannot stand in a header")?;
            key.set_sensitive(true);
            Ok::<_, BoxError>(key)
        });
        let prefix = if path.is_empty() { "/apisix/admin".to_owned() } else { path };
        Ok(Self { address, prefix, key: key.transpose()?, connection: None })
    }

    /// Asks for a path below the prefix.
    pub(super) async fn send(&mut self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer, BoxError> {
        let path = format!("{}/{}", self.prefix, path.trim_start_matches('/'));
        let mut request = Request::builder().method(method).uri(&path).header(HOST, "localhost");
        if let Some(key) = &self.key {
            request = request.header("x-api-key", key);
        }
        let text = body.map(Value::to_string).unwrap_or_default();
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(Bytes::from(text)))?;
        let answer = async {
            let connection = self.connected().await?;
            let response = connection.send_request(request).await?;
            let status = response.status();
            let bytes = response.into_body().collect().await?.to_bytes();
            let text = || Value::from(String::from_utf8_lossy(&bytes).trim_end());
            Ok::<_, BoxError>(Answer { status, body: serde_json::from_slice(&bytes).unwrap_or_else(|_| text()) })
        };
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(format!("{}: {error}", self.place()).into()),
            Err(_) => Err(format!("{}: no answer within {} s", self.place(), PATIENCE.as_secs()).into()),
        }
    }

    async fn connected(&mut self) -> Result<&mut SendRequest<Full<Bytes>>, BoxError> {
        let usable = match &mut self.connection {
            Some(connection) => connection.ready().await.is_ok(),
            None => false,
        };
        if !usable {
            let (sender, connection) = handshake(TokioIo::new(TcpStream::connect(&self.address).await?)).await?;
            // It ends with its sender; what goes wrong is told to whoever sends.
            tokio::spawn(connection);
            self.connection = Some(sender);
        }
        self.connection.as_mut().ok_or_else(|| "not connected".into())
    }

    fn place(&self) -> String {
        format!("http://{}{}", self.address, self.prefix)
    }
}
