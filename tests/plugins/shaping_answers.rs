//! `echo`, `error-page` and `attach-consumer-label` as their examples have them.
use super::support::{Rig, refused, route_with};

#[tokio::test]
async fn echo_stands_around_answers() {
    let rig = Rig::example("echo").await;
    let answer = rig.get("/", &[]).await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "before origin after"));
    assert_eq!(answer.field("x-seen-by"), Some("echo"));
    let head = rig.ask("HEAD /", &[]).await;
    assert_eq!((head.status(), head.text().as_str(), head.field("x-seen-by")), (200, "", Some("echo")));
    assert!(refused(&route_with("{echo: {headers: {a: b}}}")).contains("write at least one of"));
}

#[tokio::test]
async fn the_gateways_errors_have_pages() {
    let rig = Rig::example("error-page").await;
    let gone = rig.get("/nowhere", &[]).await;
    assert_eq!((gone.status(), gone.text().as_str()), (404, "<h1>There is no such page</h1>"));
    assert_eq!(gone.field("content-type"), Some("text/html"));
    assert_eq!(rig.get("/site/", &[]).await.text(), "origin");
    let head = rig.ask("HEAD /nowhere", &[]).await;
    assert_eq!((head.status(), head.text().as_str()), (404, ""));
    let text = refused("plugin_metadata: [{id: error-page, error_404: {content_type: \"\\n\"}}]\n");
    assert!(text.contains("error_404.content_type"), "{text}");
}

#[tokio::test]
async fn sec_hop_05_labels_are_told_and_a_clients_copies_never_pass() {
    let rig = Rig::example("attach-consumer-label").await;
    let forged = [("apikey", "key-of-jack"), ("X-Department", "board"), ("X-Plan", "gold"), ("X_Plan", "gold")];
    assert_eq!(rig.get("/reports/1", &forged).await.status(), 200);
    let forwarded = rig.forwarded();
    assert_eq!((forwarded.field("x-department"), forwarded.field("x-plan")), (Some("sales"), None));
    assert_eq!(forwarded.field("x_plan"), None);
}
