use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::super::AuthzKeycloakPlugin;
use crate::plugins::testing::{Answer, ask, built};
use crate::{Body, PluginLayer, Request};

/// The token of a user who may something, of one who may nothing, and one that nobody signed.
pub(super) const GOOD: &str = "Bearer h.good.s";
pub(super) const POOR: &str = "Bearer h.poor.s";
pub(super) const FORGED: &str = "Bearer h.forged.s";

/// What came: method and target, `Authorization`, body.
pub(super) type Asked = (String, Option<String>, String);

/// A double of Keycloak, written from its documentation and its source: a realm of a client `orders`.
///
/// Permissions are read as Keycloak reads them: cut at each `#`, empty parts at the end forgotten, the first part a resource and the
/// second one scopes; whoever is granted one of all is granted the whole.
#[derive(Clone)]
pub(super) struct Realm {
    pub(super) base: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    /// Its own tokens are `own-<number>`, and only the last one counts.
    tokens: Arc<AtomicU64>,
    /// What `expires_in` says.
    pub(super) expires_in: Arc<AtomicU64>,
    /// The discovery document, if it is not as it should be.
    pub(super) document: Arc<Mutex<Option<String>>>,
    /// How many seconds each answer takes.
    pub(super) delay: Arc<AtomicU64>,
}

impl Realm {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let realm = Self {
            base,
            asked: Arc::default(),
            tokens: Arc::default(),
            expires_in: Arc::new(60.into()),
            document: Arc::default(),
            delay: Arc::default(),
        };
        let serving = realm.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        realm
    }

    async fn serve(self, mut stream: TcpStream) {
        let mut seen = Vec::new();
        while stream.read_buf(&mut seen).await.unwrap_or(0) > 0 {
            let text = String::from_utf8(seen.clone()).unwrap();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            let length: usize = field("content-length: ").map_or(0, |length| length.parse().unwrap());
            if body.len() < length {
                continue;
            }
            let line = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
            let (status, answer) = self.answer(&line, field("authorization: ").as_deref(), body);
            self.asked.lock().unwrap().push((line, field("authorization: "), body.to_owned()));
            seen.clear();
            tokio::time::sleep(Duration::from_secs(self.delay.load(SeqCst))).await;
            let answer = format!(
                "HTTP/1.1 {status} Any\r\ncontent-type: application/json\r\nset-cookie: a=b\r\ncache-control: no-cache\r\n\
                 www-authenticate: Bearer error=\"any\"\r\nretry-after: 7\r\ncontent-length: {}\r\n\r\n{answer}",
                answer.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    }

    fn answer(&self, line: &str, authorization: Option<&str>, body: &str) -> (u16, String) {
        let base = &self.base;
        let own = || format!("Bearer own-{}", self.tokens.load(SeqCst));
        match line {
            "GET /uma" => {
                let whole = json!({"token_endpoint": format!("{base}/token"),
                                   "resource_registration_endpoint": format!("{base}/resources")});
                (200, self.document.lock().unwrap().clone().unwrap_or_else(|| whole.to_string()))
            }
            "POST /token" => self.token(authorization, body),
            _ if line.starts_with("GET /resources?") && authorization != Some(&own()) => (401, String::new()),
            _ if line.starts_with("GET /resources?") => {
                let found = match line {
                    _ if line.contains("uri=%2Forders%2F1&") => vec!["r-1", "r-2"],
                    _ if line.contains("uri=%2Fodd&") => vec!["r-1#read"],
                    _ => vec![],
                };
                (200, json!(found).to_string())
            }
            _ => (404, String::new()),
        }
    }

    fn token(&self, authorization: Option<&str>, body: &str) -> (u16, String) {
        let fields: Vec<_> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        let all = |name: &str| -> Vec<&str> {
            fields.iter().filter(|(field, _)| field == name).map(|(_, value)| &**value).collect()
        };
        let no = |status: u16, error: &str| (status, json!({"error": error}).to_string());
        match all("grant_type")[..] {
            ["client_credentials"] => {
                assert!(body.contains("client_id=orders&client_secret=s"), "{body}");
                let number = self.tokens.fetch_add(1, SeqCst) + 1;
                let expires_in = self.expires_in.load(SeqCst);
                (200, json!({"access_token": format!("own-{number}"), "expires_in": expires_in}).to_string())
            }
            ["password"] if all("password") == ["right"] => (200, json!({"access_token": "users"}).to_string()),
            ["password"] => no(401, "invalid_grant"),
            ["urn:ietf:params:oauth:grant-type:uma-ticket"] => {
                assert_eq!((all("audience"), all("response_mode")), (vec!["orders"], vec!["decision"]));
                match authorization {
                    Some(GOOD) => decide(&all("permission")),
                    Some(POOR) => no(403, "access_denied"),
                    _ => no(401, "invalid_token"),
                }
            }
            _ => no(400, "unsupported_grant_type"),
        }
    }

    /// A new key: no token of before counts any more.
    pub(super) fn revoke(&self) {
        self.tokens.fetch_add(1000, SeqCst);
    }

    pub(super) fn layer(&self, more: Value) -> PluginLayer {
        let mut block = json!({"client_id": "orders", "discovery": format!("{}/uma", self.base)});
        block.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        built(AuthzKeycloakPlugin::default(), &block)
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

/// What the user of the good token may: `read` and `GET` of each resource but `secret`; `odd` is answered oddly.
fn decide(permissions: &[&str]) -> (u16, String) {
    const SCOPES: [&str; 4] = ["read", "GET", "DELETE", "write"];
    let granted = |permission: &&str| {
        let permission = permission.trim_end_matches('#');
        let mut parts = permission.split('#');
        let (resource, scopes) = (parts.next().unwrap(), parts.next());
        let asked: Vec<_> = scopes.into_iter().flat_map(|scopes| scopes.split(',')).collect();
        let known: Vec<_> = asked.iter().filter(|scope| SCOPES.contains(scope)).collect();
        assert!(asked.is_empty() || !known.is_empty(), "invalid_scope: {permission}");
        resource != "secret" && (asked.is_empty() || known.iter().any(|scope| matches!(**scope, "read" | "GET")))
    };
    match permissions {
        ["odd"] => (200, json!({"result": "maybe"}).to_string()),
        // whoever may something at all
        [] => (200, json!({"result": true}).to_string()),
        all if all.iter().any(granted) => (200, json!({"result": true}).to_string()),
        _ => (403, json!({"error": "access_denied"}).to_string()),
    }
}

pub(super) fn request(method: &str, target: &str, token: Option<&str>) -> Request {
    let mut request = http::Request::builder().method(method).uri(target);
    if let Some(token) = token {
        request = request.header("authorization", token);
    }
    request.body(Body::empty()).unwrap()
}

pub(super) async fn get(layer: &PluginLayer, token: &str) -> Answer {
    ask(layer, request("GET", "/orders/1", Some(token))).await
}
