//! `cas-auth`, before a double of a CAS server, written from the protocol's specification: it is none.
use serde_json::json;

use super::cas_server::CasServer;
use super::rig::{Rig, curl};

async fn rig() -> (Rig, CasServer) {
    let server = CasServer::start().await;
    let replaced = [("127.0.0.1:8080", &*server.address().to_string())];
    (Rig::with(include_str!("login.yaml"), &replaced, &[]).await, server)
}

/// A file of cookies, as arguments: curl sends what is in it, and keeps what it is told.
fn jar(rig: &Rig, name: &str) -> [String; 4] {
    let file = rig.file(name).display().to_string();
    ["-b".to_owned(), file.clone(), "-c".to_owned(), file]
}

fn borrowed(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

/// Follows every redirect: what comes of it, with status and address in the last line.
async fn browse(rig: &Rig, path: &str, jar: &[String]) -> String {
    let output =
        curl().args(["-L", "-w", "\n%{http_code} %{url_effective}"]).args(jar).arg(rig.url(path)).output().await;
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn curl_with_a_jar_of_cookies_logs_in_and_out() {
    let (rig, server) = rig().await;
    let jar = jar(&rig, "ann");
    let page = browse(&rig, "/shop/a?id=1", &jar).await;
    assert!(page.starts_with("GET /echo/a?id=1\n"), "{page}");
    assert!(page.ends_with(&format!("\n200 {}", rig.url("/shop/a?id=1"))), "{page}");
    let known = rig.curl("/shop/b", &borrowed(&jar)).await;
    assert_eq!((known.status, known.echoed("request")), (200, "GET /echo/b"));

    let out = rig.curl("/shop/logout", &borrowed(&jar)).await;
    let location = format!("http://{}/cas/logout", server.address());
    assert_eq!((out.status, out.field("location")), (302, Some(location)));
    assert_eq!(rig.says("/shop/b", &borrowed(&jar)).await.0, 302);
    assert_eq!(rig.says("/shop/logout", &[]).await, (401, String::new()));
}

#[tokio::test]
async fn what_comes_without_a_log_in_is_refused_as_the_catalogue_words_it() {
    let (rig, server) = rig().await;
    let stranger = rig.curl("/shop/a", &[]).await;
    let service = format!("http%3A%2F%2F{}%2Fshop%2F.cas", rig.gateway.address().to_string().replace(':', "%3A"));
    let login = format!("http://{}/cas/login?service={service}", server.address());
    assert_eq!((stranger.status, stranger.field("location")), (302, Some(login)));
    let state = rig.curl("/shop/.cas?ticket=ST-1", &[]).await;
    assert_eq!((state.status, state.json()), (401, json!({"message": "invalid callback state"})));
    let jar = jar(&rig, "begun");
    rig.curl("/shop/a", &borrowed(&jar)).await;
    let ticket = rig.curl("/shop/.cas?ticket=ST-made-up", &borrowed(&jar)).await;
    assert_eq!((ticket.status, ticket.json()), (401, json!({"message": "invalid ticket"})));
    drop(server);
    assert_eq!(rig.curl("/shop/.cas?ticket=ST-1", &borrowed(&jar)).await.status, 503);
}

#[tokio::test]
async fn the_server_announces_log_outs() {
    let (rig, server) = rig().await;
    let (jar, ticket) = (jar(&rig, "ann"), server.ticket(&rig.url("/shop/.cas")));
    rig.curl("/shop/a", &borrowed(&jar)).await;
    let landed = rig.curl(&format!("/shop/.cas?ticket={ticket}"), &borrowed(&jar)).await;
    assert_eq!((landed.status, landed.field("location").as_deref()), (302, Some("/shop/a")));
    assert_eq!(rig.curl("/shop/a", &borrowed(&jar)).await.status, 200);
    let told = rig.says("/shop/.cas", &["-d", &CasServer::announcement(&ticket)]).await;
    assert_eq!(told, (200, String::new()));
    assert_eq!(rig.curl("/shop/a", &borrowed(&jar)).await.status, 302);
    let nothing = rig.curl("/shop/.cas", &["-d", "logoutRequest=x"]).await;
    assert_eq!(
        (nothing.status, nothing.json()),
        (400, json!({"message": "invalid logout request from IdP, no ticket"}))
    );
}
