//! `cas-auth` as its example has it, before a double of a CAS server that answers as the protocol's specification says.
use tollgate::gateway::Gateway;

use super::cas_server::CasServer;
use super::peers::client::Client;
use super::peers::strict::Message;
use super::support::{Rig, example, refused, route_with, said};

/// What stands for the server in the example.
const SERVER: &str = "127.0.0.1:8080";

/// What the double knows the example's service by.
const SERVICE: &str = "http://gw.test/shop/.cas";

fn yaml(server: &CasServer) -> String {
    example("cas-auth").replace(SERVER, &server.address().to_string())
}

async fn rig(server: &CasServer) -> Rig {
    Rig::with(Gateway::builder(), &yaml(server)).await
}

/// What a browser that is told this sends from then on.
fn kept(answer: &Message) -> String {
    let set = answer.all("set-cookie").into_iter().filter(|cookie| !cookie.contains("Max-Age=0"));
    set.map(|cookie| cookie.split(';').next().unwrap()).collect::<Vec<_>>().join("; ")
}

fn location(answer: &Message) -> &str {
    assert_eq!(answer.status(), 302, "{answer:?}");
    answer.field("location").unwrap()
}

/// Follows the way to the server: where it sends the browser back to, as path and query.
async fn at_the_server(server: &CasServer, sent: &Message) -> String {
    let path = location(sent).strip_prefix(&format!("http://{}", server.address())).unwrap();
    let mut client = Client::connect(server.address()).await;
    client.send(format!("GET {path} HTTP/1.1\r\nHost: cas.test\r\n\r\n")).await;
    let back = client.answer().await;
    location(&back).strip_prefix("http://gw.test").unwrap().to_owned()
}

/// A browser that has logged in: its cookie, and the way by which it came back.
async fn logged_in(rig: &Rig, server: &CasServer, target: &str) -> (String, String) {
    let sent = rig.get(target, &[]).await;
    let back = at_the_server(server, &sent).await;
    let landed = rig.get(&back, &[("Cookie", &kept(&sent))]).await;
    assert_eq!(location(&landed), target);
    (kept(&landed), back)
}

#[tokio::test]
async fn the_example_logs_a_browser_in_and_out() {
    let server = CasServer::start().await;
    let rig = rig(&server).await;
    let (session, back) = logged_in(&rig, &server, "/shop/orders?id=1").await;
    let answer = rig.get("/shop/orders?id=1", &[("Cookie", &format!("a=1; {session}"))]).await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "origin"));
    assert_eq!(rig.forwarded().all("cookie"), ["a=1"], "the session is for the gateway alone");

    let reloaded = rig.get(&back, &[("Cookie", &session)]).await;
    assert_eq!(location(&reloaded), "/");
    let out = rig.get("/shop/logout", &[("Cookie", &session)]).await;
    assert_eq!(location(&out), format!("http://{}/cas/logout", server.address()));
    assert_eq!(rig.get("/shop/orders", &[("Cookie", &session)]).await.status(), 302);
    assert_eq!(rig.get("/shop/logout", &[]).await.status(), 401);
    assert_eq!(rig.forwarded_count(), 1);
}

#[tokio::test]
async fn sec_auth_10_a_ticket_that_was_stolen_or_spent_is_worth_nothing() {
    let server = CasServer::start().await;
    let rig = rig(&server).await;
    let (_, back) = logged_in(&rig, &server, "/shop/").await;
    let stolen = rig.get(&back, &[]).await;
    assert_eq!((stolen.status(), said(&stolen, "message").as_str()), (401, "invalid callback state"));
    let begun = kept(&rig.get("/shop/", &[]).await);
    let elsewhere = server.ticket("http://other.test/shop/.cas");
    for (ticket, service) in [("ST-1-double", "spent"), (&*elsewhere, "of another service"), ("ST-99", "made up")] {
        let refused = rig.get(&format!("/shop/.cas?ticket={ticket}"), &[("Cookie", &begun)]).await;
        assert_eq!((refused.status(), said(&refused, "message").as_str()), (401, "invalid ticket"), "{service}");
    }
    let good = server.ticket(SERVICE);
    let landed = rig.get(&format!("/shop/.cas?ticket={good}"), &[("Cookie", &begun)]).await;
    assert_eq!(location(&landed), "/shop/");
    assert_eq!(rig.forwarded_count(), 0);
}

#[tokio::test]
async fn sec_auth_10_a_log_in_never_leads_to_another_host() {
    let server = CasServer::start().await;
    let rig = rig(&server).await;
    for target in ["/shop//evil.test/", "/shop/?next=http://evil.test/", "/shop/?//evil.test"] {
        let sent = rig.get(target, &[]).await;
        let back = at_the_server(&server, &sent).await;
        let landed = rig.get(&back, &[("Cookie", &kept(&sent))]).await;
        assert!(location(&landed).starts_with("/shop/"), "{target}: {landed:?}");
    }
}

#[tokio::test]
async fn the_server_ends_the_session_of_a_ticket() {
    let server = CasServer::start().await;
    let rig = rig(&server).await;
    let (session, back) = logged_in(&rig, &server, "/shop/").await;
    let (other, _) = logged_in(&rig, &server, "/shop/").await;
    let announcement = CasServer::announcement(back.split_once("ticket=").unwrap().1);
    let form = [("Content-Type", &b"application/x-www-form-urlencoded"[..])];
    let told = rig.ask_bytes("POST /shop/.cas", form, announcement.as_bytes()).await;
    assert_eq!((told.status(), told.body.len()), (200, 0));
    assert_eq!(rig.get("/shop/", &[("Cookie", &session)]).await.status(), 302);
    assert_eq!(rig.get("/shop/", &[("Cookie", &other)]).await.status(), 200);
    let nothing = rig.ask_bytes("POST /shop/.cas", form, b"logoutRequest=%3Ca%2F%3E").await;
    let message = "invalid logout request from IdP, no ticket";
    assert_eq!((nothing.status(), said(&nothing, "message").as_str()), (400, message));
}

#[tokio::test]
async fn sessions_outlive_a_reload_and_end_with_another_secret() {
    let server = CasServer::start().await;
    let rig = rig(&server).await;
    let (session, _) = logged_in(&rig, &server, "/shop/").await;
    rig.apply(&yaml(&server).replace("/shop/logout", "/shop/bye"));
    assert_eq!(rig.get("/shop/", &[("Cookie", &session)]).await.status(), 200);
    rig.apply(&yaml(&server).replace("at-least-thirty-two", "another-of-thirty-two"));
    assert_eq!(rig.get("/shop/", &[("Cookie", &session)]).await.status(), 302);
}

#[tokio::test]
async fn it_goes_by_the_path_of_the_browser_and_tells_acl_of_the_user() {
    let server = CasServer::start().await;
    let beside = |groups: &str| {
        let plugins = format!(
            "plugins:\n      proxy-rewrite: {{regex_uri: [\"^/shop/(.*)\", \"/inner/$1\"]}}\n      acl: {{allow_labels: \
             {{groups: [{groups}]}}, external_user_label_field: attributes.groups, external_user_label_field_key: groups}}\n"
        );
        yaml(&server).replace("plugins:\n", &plugins)
    };
    let rig = Rig::with(Gateway::builder(), &beside("ops")).await;
    let (session, _) = logged_in(&rig, &server, "/shop/a").await;
    assert_eq!(rig.get("/shop/a", &[("Cookie", &session)]).await.status(), 200);
    assert_eq!(rig.forwarded().target(), "/inner/a");
    rig.apply(&beside("boss"));
    assert_eq!(rig.get("/shop/a", &[("Cookie", &session)]).await.status(), 403);
}

#[tokio::test]
async fn sec_auth_09_while_the_server_is_away_nobody_logs_in_and_the_others_stay() {
    let server = CasServer::start().await;
    let rig = rig(&server).await;
    let (session, _) = logged_in(&rig, &server, "/shop/").await;
    let begun = kept(&rig.get("/shop/", &[]).await);
    let ticket = server.ticket(SERVICE);
    drop(server);
    let refused = rig.get(&format!("/shop/.cas?ticket={ticket}"), &[("Cookie", &begun)]).await;
    assert_eq!((refused.status(), said(&refused, "message").as_str()), (503, "the CAS server is unavailable"));
    assert_eq!(rig.get("/shop/", &[("Cookie", &session)]).await.status(), 200);
}

#[tokio::test]
async fn a_browser_comes_back_to_what_it_asked_for_to_the_letter() {
    let server = CasServer::start().await;
    let compatible = format!("tollgate: {{router: {{path_mode: compatible}}}}\n{}", yaml(&server));
    let rig = Rig::with(Gateway::builder(), &compatible).await;
    for target in ["/shop/a%3Fb?c=%2F", "/shop/a%2520", "/shop/a%20b"] {
        logged_in(&rig, &server, target).await;
    }
    assert_eq!(rig.get("/shop/logout%3Fx", &[("Cookie", "a=1")]).await.status(), 302, "no log-out");
}

#[tokio::test]
async fn the_service_has_the_scheme_that_a_trusted_proxy_tells() {
    let server = CasServer::start().await;
    for (trusted, scheme) in [("127.0.0.0/8", "https"), ("10.0.0.0/8", "http")] {
        let behind = format!("tollgate: {{trusted_proxies: [{trusted}]}}\n{}", yaml(&server));
        let rig = Rig::with(Gateway::builder(), &behind).await;
        let sent = rig.get("/shop/", &[("X-Forwarded-Proto", "https")]).await;
        let service = format!("/login?service={scheme}%3A%2F%2Fgw.test%2Fshop%2F.cas");
        assert!(location(&sent).ends_with(&service), "{sent:?}");
    }
}

#[test]
fn a_faulty_block_is_refused_with_its_field() {
    for (block, says) in [
        (
            "{idp_uri: \"http://a.test\", cas_callback_uri: /cb, logout_uri: /out}",
            "property \"cookie.secret\" is required",
        ),
        ("{idp_uri: \"http://a.test\", cas_callback_uri: /cb, logout_uri: /out, cookie: {secret: short}}", "too short"),
        ("{idp_uri: a, cas_callback_uri: /cb, logout_uri: /out, cookie: {secret: short}}", "plugins.cas-auth.idp_uri"),
        ("{idp_url: \"http://a.test\"}", "idp_url"),
    ] {
        let faults = refused(&route_with(&format!("{{cas-auth: {block}}}")));
        assert!(faults.contains(says), "{block}: {faults}");
    }
}
