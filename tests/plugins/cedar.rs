//! `cedar` as its example has it.
use super::support::{Rig, refused, route_with, said};

#[tokio::test]
async fn the_policies_say_who_may_what() {
    let rig = Rig::example("cedar").await;
    for (key, request, status) in [
        ("key-of-acme", "GET /orders/1", 200),
        ("key-of-acme", "POST /orders/1", 200),
        ("key-of-acme", "DELETE /orders/1", 200),
        ("key-of-acme", "DELETE /orders/archive/1", 403),
        ("key-of-acme", "DELETE /orders/x/../archive/1", 403),
        ("key-of-acme", "PUT /orders/1", 403),
        ("key-of-bolt", "GET /orders/1", 200),
        ("key-of-bolt", "POST /orders/1", 403),
        ("nobody's", "GET /orders/1", 401),
    ] {
        let answer = rig.ask(request, &[("apikey", key)]).await;
        assert_eq!(answer.status(), status, "{key} {request}");
        if status == 403 {
            assert_eq!(said(&answer, "message"), "Access Denied");
        }
    }
    assert_eq!(rig.forwarded_count(), 4);
}

#[tokio::test]
async fn a_gateway_tells_route_service_and_address() {
    let condition = "context.route.id == \\\"r\\\" && context.route.uri == \\\"/*\\\" && context.route.name == \\\"all\\\" && \
                     context.route.service == \\\"s\\\" && context.address.isLoopback() && context.host == \\\"gw.test\\\"";
    let policies = format!("permit(principal, action, resource == Route::\\\"r\\\") when {{ {condition} }};");
    let yaml = format!(
        "services: [{{id: s, upstream: {{nodes: {{\"127.0.0.1:7001\": 1}}}}}}]\n\
         routes: [{{id: r, name: all, uri: /*, service_id: s, plugins: {{cedar: {{policies: \"{policies}\"}}}}}}]\n"
    );
    let rig = Rig::of(&yaml).await;
    assert_eq!(rig.get("/a", &[]).await.status(), 200);
}

#[test]
fn faults_are_named_by_their_place() {
    for (block, field, says) in [
        ("{policies: \"permit(principal, action resource);\"}", "policies", "line 1, column 26"),
        ("{policies: \"permit(principal, action, resource);\", schema: \"entity\"}", "schema", "line 1"),
        ("{policies: \"permit(principal, action, resource);\", entities: [{uid: 7}]}", "entities", ""),
    ] {
        let faults = refused(&route_with(&format!("{{cedar: {block}}}")));
        let field = format!("plugins.cedar.{field}: ");
        assert!(faults.contains(&field) && faults.contains(says), "{block}: {faults}");
    }
}
