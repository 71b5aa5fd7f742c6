use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::plugin::Plugin as _;
use crate::plugins::testing::{Answer, ask, build_error, built, configured};
use crate::{Body, PluginLayer, Request};

/// What came: method and target, `Authorization`, body.
type Asked = (String, Option<String>, String);

/// A double of Keycloak, written from its documentation: a realm of one user with a token, and one resource.
#[derive(Clone)]
struct Realm {
    base: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Realm {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let realm = Self { base, asked: Arc::default() };
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
            let answer = format!(
                "HTTP/1.1 {status} Any\r\ncontent-type: application/json\r\nset-cookie: a=b\r\ncontent-length: {}\r\n\r\n{answer}",
                answer.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    }

    fn answer(&self, line: &str, authorization: Option<&str>, body: &str) -> (u16, String) {
        let base = &self.base;
        match line {
            "GET /uma" => (
                200,
                json!({"token_endpoint": format!("{base}/token"),
                                       "resource_registration_endpoint": format!("{base}/resources")})
                .to_string(),
            ),
            "POST /token" if body.contains("grant_type=client_credentials") => {
                assert!(body.contains("client_id=orders&client_secret=s"), "{body}");
                (200, json!({"access_token": "own", "expires_in": 60}).to_string())
            }
            "POST /token" if body.contains("grant_type=password") => match body.contains("password=right") {
                true => (200, json!({"access_token": "users"}).to_string()),
                false => (401, json!({"error": "invalid_grant"}).to_string()),
            },
            "POST /token" if authorization != Some("Bearer good") => {
                (401, json!({"error": "invalid_token"}).to_string())
            }
            "POST /token" if body.contains("secret") => (403, json!({"error": "access_denied"}).to_string()),
            "POST /token" if body.contains("odd") => (200, json!({"result": "maybe"}).to_string()),
            "POST /token" => (200, json!({"result": true}).to_string()),
            _ if line.starts_with("GET /resources?") && authorization == Some("Bearer own") => {
                let found = if line.contains("uri=%2Forders") { vec!["r-1", "r-2"] } else { vec![] };
                (200, json!(found).to_string())
            }
            _ => (404, String::new()),
        }
    }

    fn layer(&self, more: Value) -> PluginLayer {
        let mut block = json!({"client_id": "orders", "discovery": format!("{}/uma", self.base)});
        block.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        built(AuthzKeycloakPlugin::default(), &block)
    }

    fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

fn request(method: &str, target: &str, token: Option<&str>) -> Request {
    let mut request = http::Request::builder().method(method).uri(target);
    if let Some(token) = token {
        request = request.header("authorization", token);
    }
    request.body(Body::empty()).unwrap()
}

async fn get(layer: &PluginLayer, token: &str) -> Answer {
    ask(layer, request("GET", "/orders/1", Some(token))).await
}

#[tokio::test]
async fn keycloak_decides_about_listed_permissions() {
    let realm = Realm::start().await;
    let layer = realm.layer(json!({"permissions": ["orders#read", "log"]}));
    for token in ["Bearer good", "good"] {
        assert_eq!(get(&layer, token).await.status(), 200);
    }
    let asked = realm.asked();
    assert_eq!(asked.iter().filter(|(line, ..)| line == "GET /uma").count(), 1, "the document is kept");
    let (_, bearer, form) = asked.iter().find(|(line, ..)| line == "POST /token").unwrap();
    assert_eq!(bearer.as_deref(), Some("Bearer good"));
    assert_eq!(
        form,
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Auma-ticket&audience=orders&response_mode=decision\
         &permission=orders%23read&permission=log"
    );
    let scoped = realm.layer(json!({"permissions": ["orders"], "http_method_as_scope": true}));
    assert_eq!(get(&scoped, "good").await.status(), 200);
    assert!(realm.asked().iter().any(|(.., form)| form.ends_with("&permission=orders%23GET")));
}

#[tokio::test]
async fn a_refusal_of_keycloak_is_passed_on_or_leads_elsewhere() {
    let realm = Realm::start().await;
    let refused = realm.layer(json!({"permissions": ["secret"]}));
    let answer = get(&refused, "Bearer good").await;
    assert_eq!((answer.status(), answer.body()), (403, "{\"error\":\"access_denied\"}"));
    assert_eq!(
        (answer.header("content-type").as_deref(), answer.header("set-cookie")),
        (Some("application/json"), None)
    );
    let stranger = get(&refused, "Bearer bad").await;
    assert_eq!((stranger.status(), stranger.body()), (401, "{\"error\":\"invalid_token\"}"));
    let elsewhere = realm.layer(json!({"permissions": ["secret"], "access_denied_redirect_uri": "/denied"}));
    let answer = get(&elsewhere, "Bearer good").await;
    assert_eq!((answer.status(), answer.header("location").as_deref()), (307, Some("/denied")));
    let odd = realm.layer(json!({"permissions": ["odd"]}));
    assert_eq!(get(&odd, "Bearer good").await.status(), 503, "a yes is `true` and nothing else");
    let nobody = ask(&refused, request("GET", "/", None)).await;
    assert_eq!((nobody.status(), nobody.body()), (401, "{\"message\":\"Missing JWT token in request\"}\n"));
}

#[tokio::test]
async fn where_nothing_is_needed_the_mode_decides() {
    let realm = Realm::start().await;
    let answer = get(&realm.layer(json!({})), "Bearer good").await;
    assert_eq!(answer.body(), "{\"error\":\"access_denied\",\"error_description\":\"not_authorized\"}\n");
    assert_eq!(answer.status(), 403);
    assert_eq!(get(&realm.layer(json!({"policy_enforcement_mode": "PERMISSIVE"})), "x").await.status(), 200);
    let elsewhere = realm.layer(json!({"access_denied_redirect_uri": "http://login.test/"}));
    assert_eq!(get(&elsewhere, "x").await.status(), 307);
    assert!(realm.asked().is_empty());
}

#[tokio::test]
async fn resources_of_a_path_are_looked_up_with_a_token_of_our_own() {
    let realm = Realm::start().await;
    let layer = realm.layer(json!({"client_secret": "s", "lazy_load_paths": true, "http_method_as_scope": true}));
    assert_eq!(get(&layer, "Bearer good").await.status(), 200);
    assert_eq!(get(&layer, "Bearer good").await.status(), 200);
    let asked = realm.asked();
    let count = |wanted: &str| asked.iter().filter(|(line, _, form)| line == wanted || form.contains(wanted)).count();
    assert_eq!((count("GET /uma"), count("client_credentials")), (1, 1), "{asked:?}");
    assert_eq!(count("GET /resources?uri=%2Forders%2F1&matchingUri=true"), 2);
    assert_eq!(count("permission=r-1%23GET&permission=r-2%23GET"), 2);
    let other = ask(&layer, request("GET", "/other", Some("Bearer good"))).await;
    assert_eq!(other.status(), 403, "no resource has that path");
}

#[tokio::test]
async fn a_form_is_exchanged_for_a_token() {
    let realm = Realm::start().await;
    let layer =
        realm.layer(json!({"client_secret": "s", "password_grant_token_generation_incoming_uri": "/api/token"}));
    let post = async |form: &'static str| {
        let request = http::Request::post("/api/token").body(Body::from(form)).unwrap();
        let answer = ask(&layer, request).await;
        (answer.status(), answer.body().to_owned())
    };
    assert_eq!(post("username=a&password=right").await, (200, "{\"access_token\":\"users\"}".to_owned()));
    assert_eq!(post("username=a&password=wrong").await, (401, "{\"error\":\"invalid_grant\"}".to_owned()));
    assert_eq!(post("username=a").await, (422, "{\"message\":\"password is missing.\"}\n".to_owned()));
    assert_eq!(post("password=a").await.0, 422);
    let get = ask(&layer, request("GET", "/api/token", None)).await;
    assert_eq!(get.status(), 401, "only POST asks for a token");
}

#[tokio::test]
async fn a_keycloak_that_is_away_lets_nobody_pass() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for block in [
        json!({"client_id": "c", "discovery": format!("http://{free}/uma"), "permissions": ["p"]}),
        json!({"client_id": "c", "token_endpoint": format!("http://{free}/token"), "permissions": ["p"]}),
    ] {
        let answer = get(&built(AuthzKeycloakPlugin::default(), &block), "Bearer good").await;
        assert_eq!((answer.status(), answer.body()), (503, ""));
    }
    let realm = Realm::start().await;
    let block = json!({"client_id": "c", "discovery": format!("{}/nothing", realm.base), "permissions": ["p"]});
    assert_eq!(get(&built(AuthzKeycloakPlugin::default(), &block), "Bearer good").await.status(), 503);
}

#[test]
fn a_faulty_block_names_its_field() {
    let at = "http://127.0.0.1:1/";
    for (block, says) in [
        (json!({"discovery": at}), "client_id: property \"client_id\" is required"),
        (json!({"client_id": "c"}), "discovery: property \"discovery\" or \"token_endpoint\" is required"),
        (json!({"client_id": "c", "discovery": "x"}), "discovery: is no address"),
        (json!({"client_id": "c", "token_endpoint": "x"}), "token_endpoint: is no address"),
        (
            json!({"client_id": "c", "token_endpoint": at, "client_secret": "s", "lazy_load_paths": true}),
            "lazy_load_paths",
        ),
        (json!({"client_id": "c", "discovery": at, "lazy_load_paths": true}), "client_secret: is required"),
        (json!({"client_id": "c", "discovery": at, "timeout": 10}), "timeout: 10 is out of range"),
        (
            json!({"client_id": "c", "discovery": at, "access_denied_redirect_uri": "a\nb"}),
            "access_denied_redirect_uri",
        ),
        (json!({"client_id": "c", "discovery": at, "policy_enforcement_mode": "OFF"}), "unknown variant `OFF`"),
    ] {
        let error = build_error(AuthzKeycloakPlugin::default(), &block);
        assert!(error.contains(says), "{block}: {error}");
    }
}

#[test]
fn what_a_block_leaves_open_is_warned_of() {
    let config: AuthzKeycloakConfig = configured(json!({"policy_enforcement_mode": "PERMISSIVE", "ssl_verify": false}));
    let fields = AuthzKeycloakPlugin::default().caveats(&config).into_iter().map(|caveat| caveat.field);
    assert_eq!(fields.collect::<Vec<_>>(), ["policy_enforcement_mode", "ssl_verify"]);
}
