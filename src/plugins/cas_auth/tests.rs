use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use super::*;
use crate::plugin::bodies::Bodies;
use crate::plugin::{ConfigError, Plugin as _};
use crate::plugins::testing::{Answer, ask_over, configured};
use crate::request::ExternalUser;
use crate::{Body, Next, PluginLayer, Request, Response};

const SECRET: &str = "a secret of more than thirty-two characters";

/// A stand-in for a CAS server that gives one answer to every question, and notes the questions.
struct Server {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn answering(status: u16, body: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut seen = Vec::new();
                while !seen.ends_with(b"\r\n\r\n") && stream.read_buf(&mut seen).await.unwrap_or(0) > 0 {}
                let line = String::from_utf8_lossy(&seen).lines().next().unwrap_or_default().to_owned();
                noted.lock().await.push(line);
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { address, asked }
    }

    /// One that knows everybody as `ann`.
    async fn knowing() -> Self {
        let user = "<cas:user>ann</cas:user><cas:attributes><cas:groups>dev</cas:groups></cas:attributes>";
        Self::answering(200, answer(&format!("<cas:authenticationSuccess>{user}</cas:authenticationSuccess>"))).await
    }

    async fn layer(&self) -> PluginLayer {
        layer(|config| config.idp_uri = format!("http://{}/cas/", self.address))
    }

    async fn questions(&self) -> Vec<String> {
        self.asked.lock().await.clone()
    }
}

fn answer(inside: &str) -> String {
    format!("<cas:serviceResponse xmlns:cas=\"http://www.yale.edu/tp/cas\">{inside}</cas:serviceResponse>")
}

fn config() -> CasAuthConfig {
    CasAuthConfig::new("http://127.0.0.1:9/cas", "/app/cb", "/app/out", SECRET)
}

fn layer(change: impl FnOnce(&mut CasAuthConfig)) -> PluginLayer {
    let mut config = config();
    change(&mut config);
    CasAuthLayer::of(CasAuth::new(&config, Bodies::default()).unwrap()).into()
}

/// Asks over an end that tells the user, the cookies and the path that came through.
async fn send(layer: &PluginLayer, method: &str, target: &str, cookies: &str, body: &str) -> Answer {
    send_to(layer, "shop.test", method, target, cookies, body).await
}

async fn send_to(layer: &PluginLayer, host: &str, method: &str, target: &str, cookies: &str, body: &str) -> Answer {
    let end = Next::from_fn(|request: Request| async move {
        let user = ExternalUser::of(&request).map(|user| user.description().to_string());
        let cookies = request.headers().get("cookie").map(|value| value.to_str().unwrap().to_owned());
        Response::new(Body::from(format!("{user:?} {cookies:?}")))
    });
    let mut request = http::Request::builder().method(method).uri(target).header("host", host);
    if !cookies.is_empty() {
        request = request.header("cookie", cookies);
    }
    ask_over(layer, end, request.body(Body::from(Bytes::from(body.to_owned()))).unwrap()).await
}

async fn get(layer: &PluginLayer, target: &str, cookies: &str) -> Answer {
    send(layer, "GET", target, cookies, "").await
}

/// What a browser that is told this sends from then on.
fn kept(answer: &Answer) -> String {
    let set = answer.header("set-cookie").unwrap_or_default();
    let kept: Vec<_> = set.split(" | ").filter(|cookie| !cookie.contains("Max-Age=0")).collect();
    kept.iter().map(|cookie| cookie.split(';').next().unwrap()).collect::<Vec<_>>().join("; ")
}

/// A browser that has logged in by that ticket, to go to that target: its cookies.
async fn logged_in(layer: &PluginLayer, target: &str, ticket: &str) -> String {
    let begun = kept(&get(layer, target, "").await);
    let landed = get(layer, &format!("/app/cb?ticket={ticket}"), &begun).await;
    assert_eq!((landed.status(), landed.header("location").as_deref()), (302, Some(target)));
    kept(&landed)
}

#[tokio::test]
async fn a_browser_logs_in_and_is_known() {
    let server = Server::knowing().await;
    let layer = server.layer().await;
    let sent = get(&layer, "/app/orders?id=1&x=%2F", "a=1").await;
    assert_eq!((sent.status(), sent.body(), sent.header("cache-control").as_deref()), (302, "", Some("no-store")));
    let login = format!("http://{}/cas/login?service=http%3A%2F%2Fshop.test%2Fapp%2Fcb", server.address);
    assert_eq!(sent.header("location").unwrap(), login);
    let cookie = sent.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-CAS_REQUEST_URI_"), "{cookie}");
    assert!(cookie.ends_with("; Path=/; HttpOnly; Secure; SameSite=Lax"), "{cookie}");

    let landed = get(&layer, "/app/cb?ticket=ST-1%2Ba", &kept(&sent)).await;
    assert_eq!(landed.header("location").as_deref(), Some("/app/orders?id=1&x=%2F"));
    assert_eq!(
        server.questions().await,
        ["GET /cas/serviceValidate?ticket=ST-1%2Ba&service=http%3A%2F%2Fshop.test%2Fapp%2Fcb HTTP/1.1"]
    );
    let set = landed.header("set-cookie").unwrap();
    let (session, ended) = set.split_once(" | ").unwrap();
    assert!(session.starts_with("__Host-CAS_SESSION_") && session.ends_with("; Secure; SameSite=Lax"), "{session}");
    assert!(ended.starts_with("__Host-CAS_REQUEST_URI_") && ended.ends_with("Max-Age=0"), "{ended}");
    assert!(!session.contains("ST-1"), "the ticket is no name of a session: {session}");

    let known = get(&layer, "/app/orders", &format!("a=1; {}; b=2", kept(&landed))).await;
    let user = r#"Some("{\"attributes\":{\"groups\":\"dev\"},\"user\":\"ann\"}") Some("a=1; b=2")"#;
    assert_eq!((known.status(), known.body()), (200, user));
}

#[tokio::test]
async fn sec_auth_10_a_ticket_counts_for_a_browser_that_began_here_alone() {
    let server = Server::knowing().await;
    let layer = server.layer().await;
    let other = self::layer(|config| config.cookie.secret = "another secret of thirty-two characters".into());
    let foreign = kept(&get(&other, "/app/", "").await);
    for cookies in ["", "__Host-CAS_REQUEST_URI_0=x", &foreign] {
        let refused = get(&layer, "/app/cb?ticket=ST-1", cookies).await;
        assert_eq!(
            (refused.status(), refused.body()),
            (401, "{\"message\":\"invalid callback state\"}\n"),
            "{cookies}"
        );
    }
    assert!(server.questions().await.is_empty(), "such a ticket is not asked about");
}

#[tokio::test]
async fn a_ticket_begins_one_session_whatever_the_server_says() {
    let server = Server::knowing().await;
    let layer = server.layer().await;
    let begun = kept(&get(&layer, "/app/", "").await);
    logged_in(&layer, "/app/a", "ST-1").await;
    let again = get(&layer, "/app/cb?ticket=ST-1", &begun).await;
    assert_eq!((again.status(), again.body()), (401, "{\"message\":\"invalid ticket\"}\n"));
    assert_eq!(again.header("set-cookie"), None);
}

#[tokio::test]
async fn what_can_be_no_ticket_is_not_asked_about() {
    let server = Server::knowing().await;
    let layer = server.layer().await;
    let begun = kept(&get(&layer, "/app/", "").await);
    for query in [
        "ticket=",
        "ticket=ST-1&ticket=ST-2",
        "ticket=a%20b",
        "ticket=a%0D%0Ab",
        &format!("ticket={}", "x".repeat(2000)),
    ] {
        let refused = get(&layer, &format!("/app/cb?{query}"), &begun).await;
        assert_eq!((refused.status(), refused.body()), (401, "{\"message\":\"invalid ticket\"}\n"), "{query}");
    }
    assert!(server.questions().await.is_empty());
}

#[tokio::test]
async fn a_server_that_says_no_or_nothing_lets_nobody_in() {
    let no = answer("<cas:authenticationFailure code=\"INVALID_TICKET\">no</cas:authenticationFailure>");
    let broken = answer("<cas:authenticationFailure code=\"INTERNAL_ERROR\">oh</cas:authenticationFailure>");
    let yes = answer("<cas:authenticationSuccess><cas:user>ann</cas:user></cas:authenticationSuccess>");
    let long = answer(&format!(
        "<cas:authenticationSuccess><cas:user>{}</cas:user></cas:authenticationSuccess>",
        "x".repeat(70_000)
    ));
    for (status, body, wanted) in [
        (200, no, 401),
        (200, broken, 503),
        (200, "yes\nann\n".to_owned(), 503),
        (200, String::new(), 503),
        (200, long, 503),
        (302, yes.clone(), 503),
        (500, yes, 503),
    ] {
        let server = Server::answering(status, body.clone()).await;
        let layer = server.layer().await;
        let begun = kept(&get(&layer, "/app/", "").await);
        let refused = get(&layer, "/app/cb?ticket=ST-1", &begun).await;
        assert_eq!(refused.status(), wanted, "{status} {body:.90}");
        let message = if wanted == 401 { "invalid ticket" } else { "the CAS server is unavailable" };
        assert_eq!(refused.body(), format!("{{\"message\":\"{message}\"}}\n"));
        assert_eq!(refused.header("set-cookie"), None, "the log-in can be tried again");
    }
    let away = layer(|_| {});
    let begun = kept(&get(&away, "/app/", "").await);
    assert_eq!(get(&away, "/app/cb?ticket=ST-1", &begun).await.status(), 503);
}

#[tokio::test]
async fn a_log_out_ends_the_session_here_and_leads_to_the_server() {
    let server = Server::knowing().await;
    let layer = server.layer().await;
    let nobody = get(&layer, "/app/out", "").await;
    assert_eq!((nobody.status(), nobody.body()), (401, ""));
    let session = logged_in(&layer, "/app/", "ST-1").await;
    let out = get(&layer, "/app/out", &session).await;
    let location = format!("http://{}/cas/logout", server.address);
    assert_eq!((out.status(), out.header("location").unwrap()), (302, location));
    assert!(out.header("set-cookie").unwrap().ends_with("Max-Age=0"));
    let after = get(&layer, "/app/", &session).await;
    assert_eq!(after.status(), 302);
    assert!(after.header("set-cookie").unwrap().ends_with("Max-Age=0"), "the browser forgets a dead session");
    assert_eq!(send(&layer, "POST", "/app/out", &logged_in(&layer, "/app/", "ST-2").await, "").await.status(), 200);
}

#[tokio::test]
async fn an_announced_log_out_ends_the_session_of_its_ticket() {
    let server = Server::knowing().await;
    let layer = server.layer().await;
    let (one, other) = (logged_in(&layer, "/app/", "ST-1").await, logged_in(&layer, "/app/", "ST-2").await);
    let xml = |ticket: &str| {
        format!(
            "<samlp:LogoutRequest xmlns:samlp=\"p\"><samlp:SessionIndex>{ticket}</samlp:SessionIndex></samlp:LogoutRequest>"
        )
    };
    for (body, status) in [("", 400), ("logoutRequest=x", 400), (&*xml("ST-unknown"), 200), (&*xml("ST-1"), 200)] {
        let told = send(&layer, "POST", "/app/cb", "", body).await;
        assert_eq!(told.status(), status, "{body}");
        let message = "{\"message\":\"invalid logout request from IdP, no ticket\"}\n";
        assert_eq!(told.body(), if status == 400 { message } else { "" });
    }
    assert_eq!((get(&layer, "/app/", &one).await.status(), get(&layer, "/app/", &other).await.status()), (302, 200));
    let long = format!("{}{}", xml("ST-2"), " ".repeat(64 * 1024));
    assert_eq!(send(&layer, "POST", "/app/cb", "", &long).await.status(), 400);
    let small = self::layer(|config| config.max_req_body_size = 9);
    assert_eq!(send(&small, "POST", "/app/cb", "", &xml("ST-1")).await.status(), 413);
}

#[tokio::test]
async fn who_logs_in_anew_has_a_new_session_and_no_old_one() {
    let server = Server::knowing().await;
    let layer = server.layer().await;
    let first = logged_in(&layer, "/app/", "ST-1").await;
    get(&layer, "/app/out", &first).await;
    let begun = kept(&get(&layer, "/app/a", &first).await);
    let landed = get(&layer, "/app/cb?ticket=ST-2", &format!("{begun}; {first}")).await;
    let second = kept(&landed);
    assert_ne!(first, second);
    assert_eq!((get(&layer, "/app/", &first).await.status(), get(&layer, "/app/", &second).await.status()), (302, 200));
    let again = get(&layer, "/app/cb?ticket=ST-2", &second).await;
    assert_eq!((again.status(), again.header("location").as_deref()), (302, Some("/")), "the page was reloaded");
    let bare = get(&layer, "/app/cb", &second).await;
    assert_eq!(bare.status(), 200);
}

#[tokio::test]
async fn sec_auth_10_a_ticket_that_another_site_brings_ends_no_session() {
    let server = Server::knowing().await;
    let layer = server.layer().await;
    let session = logged_in(&layer, "/app/", "ST-1").await;
    let begun = kept(&get(&layer, "/app/a", "").await);
    let asked = server.questions().await.len();
    let landed = get(&layer, "/app/cb?ticket=ST-evil", &format!("{begun}; {session}")).await;
    assert_eq!((landed.status(), landed.header("location").as_deref()), (302, Some("/app/a")));
    assert_eq!(kept(&landed), "", "the browser keeps its session");
    assert_eq!(server.questions().await.len(), asked);
    assert_eq!(get(&layer, "/app/", &session).await.status(), 200);
}

#[tokio::test]
async fn sec_auth_10_a_session_and_a_log_in_under_way_are_for_one_host() {
    let server = Server::knowing().await;
    let layer = server.layer().await;
    let session = logged_in(&layer, "/app/", "ST-1").await;
    let to = async |method: &str, target: &str, cookies: &str| {
        let answer = send_to(&layer, "hr.test", method, target, cookies, "").await;
        (answer.status(), answer.body().to_owned())
    };
    assert_eq!(to("GET", "/app/", &session).await, (302, String::new()));
    to("GET", "/app/out", &session).await;
    assert_eq!(get(&layer, "/app/", &session).await.status(), 200, "another host ends nothing");
    let begun = kept(&get(&layer, "/app/", "").await);
    let refused = (401, "{\"message\":\"invalid callback state\"}\n".to_owned());
    assert_eq!(to("GET", "/app/cb?ticket=ST-2", &begun).await, refused);
    let absolute = self::layer(|config| {
        config.idp_uri = format!("http://{}/cas/", server.address);
        config.cas_callback_uri = "http://shop.test/app/cb".to_owned();
    });
    let session = logged_in(&absolute, "/app/", "ST-3").await;
    let answer = send_to(&absolute, "alias.test", "GET", "/app/", &session, "").await;
    assert_eq!(answer.status(), 200, "an absolute way back is one service whatever the host");
}

#[tokio::test]
async fn sec_auth_10_a_session_of_another_block_is_none() {
    let server = Server::knowing().await;
    let session = logged_in(&server.layer().await, "/app/", "ST-1").await;
    assert_eq!(get(&server.layer().await, "/app/", &session).await.status(), 302, "of another gateway");
    let name = session.split_once('=').unwrap().0;
    for forged in [format!("{name}="), format!("{name}=ST-1"), format!("{name}=x"), "CAS_SESSION=x".to_owned()] {
        assert_eq!(get(&server.layer().await, "/app/", &forged).await.status(), 302, "{forged}");
    }
}

#[tokio::test]
async fn an_absolute_way_back_goes_to_the_server_as_it_is() {
    let layer = layer(|config| config.cas_callback_uri = "https://shop.test/app/cb?a=b".to_owned());
    let sent = get(&layer, "/app/", "").await;
    let login = "http://127.0.0.1:9/cas/login?service=https%3A%2F%2Fshop.test%2Fapp%2Fcb%3Fa%3Db";
    assert_eq!(sent.header("location").as_deref(), Some(login));
    assert_eq!(get(&layer, "/app/cb?a=b&ticket=ST-1", "").await.body(), "{\"message\":\"invalid callback state\"}\n");
}

#[test]
fn blocks_that_cannot_work_are_refused_by_field() {
    let good = serde_json::json!({"idp_uri": "http://a.test", "cas_callback_uri": "/cb", "logout_uri": "/out", "cookie": {"secret": SECRET}});
    assert!(CasAuth::new(&configured(good.clone()), Bodies::default()).is_ok());
    for (field, value) in [
        ("idp_uri", serde_json::json!("")),
        ("idp_uri", serde_json::json!("a.test")),
        ("idp_uri", serde_json::json!("http://a.test/cas?x=y")),
        ("cas_callback_uri", serde_json::json!("")),
        ("cas_callback_uri", serde_json::json!("cb")),
        ("cas_callback_uri", serde_json::json!("//evil.test/cb")),
        ("cas_callback_uri", serde_json::json!("/cb?x")),
        ("cas_callback_uri", serde_json::json!("ftp://a.test/cb")),
        ("logout_uri", serde_json::json!("")),
        ("logout_uri", serde_json::json!("http://a.test/out")),
        ("logout_uri", serde_json::json!("/cb")),
        ("cas_callback_uri", serde_json::json!("/app//cb")),
        ("cas_callback_uri", serde_json::json!("https://a.test/%63b")),
        ("cas_callback_uri", serde_json::json!("/a%2fb")),
        ("logout_uri", serde_json::json!("/app/../out")),
        ("cookie.secret", serde_json::json!({})),
        ("cookie.secret", serde_json::json!({"secret": "thirty-one characters of secret"})),
        ("cookie.samesite", serde_json::json!({"secret": SECRET, "secure": false, "samesite": "None"})),
        ("max_req_body_size", serde_json::json!(0)),
    ] {
        let mut block = good.clone();
        block[field.split('.').next().unwrap()] = value.clone();
        let error: ConfigError = CasAuth::new(&configured(block), Bodies::default()).unwrap_err();
        assert_eq!(error.field(), field, "{value}");
    }
}

#[test]
fn what_a_block_leaves_open_is_warned_of() {
    let fields = |idp: &str, callback: &str, secure: bool| {
        let mut config = CasAuthConfig::new(idp, callback, "/out", SECRET);
        config.cookie.secure = secure;
        CasAuthPlugin::default().caveats(&config).into_iter().map(|caveat| caveat.field).collect::<Vec<_>>()
    };
    assert_eq!(fields("https://a.test", "https://b.test/cb", true), [""; 0]);
    assert_eq!(fields("http://a.test", "/cb", false), ["idp_uri", "cas_callback_uri", "cookie.secure"]);
}
