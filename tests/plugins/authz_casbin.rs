//! `authz-casbin` as its example has it.
use super::support::{Rig, refused, route_with, said};

#[tokio::test]
async fn the_policy_says_who_may_what() {
    let rig = Rig::example("authz-casbin").await;
    for (key, request, status) in [
        ("key-of-acme", "GET /orders/1", 200),
        ("key-of-acme", "POST /orders/1", 200),
        ("key-of-acme", "DELETE /orders/1", 403),
        ("key-of-bolt", "GET /orders/1", 200),
        ("key-of-bolt", "POST /orders/1", 403),
        ("nobody's", "GET /orders/1", 401),
    ] {
        let answer = rig.ask(request, &[("apikey", key), ("X-Consumer-Username", "acme")]).await;
        assert_eq!(answer.status(), status, "{key} {request}");
        if status == 403 {
            assert_eq!(said(&answer, "message"), "Access Denied");
        }
    }
    assert_eq!(rig.forwarded_count(), 3);
}

#[tokio::test]
async fn without_a_model_anywhere_nobody_passes() {
    let bare = route_with("{authz-casbin: {username: X-Consumer-Username}}");
    let rig = Rig::of(&bare).await;
    assert_eq!((rig.get("/", &[]).await.status(), rig.forwarded_count()), (503, 0));
    let model = "[request_definition]\\nr = sub, obj, act\\n[policy_definition]\\np = sub, obj, act\\n\
                 [policy_effect]\\ne = some(where (p.eft == allow))\\n[matchers]\\nm = r.sub == p.sub";
    let metadata =
        format!("plugin_metadata: [{{id: authz-casbin, model: \"{model}\", policy: \"p, anonymous, /, GET\"}}]\n");
    rig.apply(&(metadata + &*bare));
    assert_eq!(rig.get("/", &[]).await.status(), 200, "the metadata counts at once");
}

#[test]
fn faults_are_named_by_their_place() {
    for (block, says) in [
        ("{model: x, policy: y}", "plugins.authz-casbin.username"),
        ("{username: X-A, model: x, policy: y}", "plugins.authz-casbin.model"),
        ("{username: X-A, model: x}", "`model` and `policy`, or"),
    ] {
        let faults = refused(&route_with(&format!("{{authz-casbin: {block}}}")));
        assert!(faults.contains(says), "{block}: {faults}");
    }
}
