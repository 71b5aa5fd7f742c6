//! Who calls, and what that changes: credentials, groups, and the fork of the chain behind authentication.
use std::sync::Arc;

use http::Request;
use serde::Deserialize;
use serde_json::{Value, json};
use tollgate::gateway::{Gateway, GatewayBuilder};
use tollgate::plugin::{
    AuthPlugin, Authenticate, BuildContext, ConfigError, ConsumerLookup, Gate, GateLayer, Plugin, Scope, Stage,
};
use tollgate::{Body, Consumer, PluginLayer, Response, reject};

use super::support::{Answer, ask, candidate, snapshot, with_marks};

/// Identifies callers by the field `x-token`.
struct Token(ConsumerLookup);

impl Gate for Token {
    fn check<B>(&self, request: &mut Request<B>) -> Result<(), Response> {
        let token = request.headers().get("x-token").map(|token| token.as_bytes().to_vec()).unwrap_or_default();
        let found = self.0.find::<TokenPlugin, _>(request, &token).map(|(consumer, _)| consumer.clone());
        match found {
            Some(consumer) => {
                consumer.attach(request);
                Ok(())
            }
            None => Err(reject(http::StatusCode::UNAUTHORIZED, "token", "who are you")),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoFields {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenCredential {
    token: String,
}

pub(crate) struct TokenPlugin;

impl Plugin for TokenPlugin {
    const NAME: &'static str = "token";
    const STAGE: Stage = Stage::Authenticate;
    const PRIORITY: i32 = 2400;
    type Config = NoFields;

    fn build(&self, _: NoFields, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(GateLayer::of(Token(cx.consumers())).into())
    }
}

impl AuthPlugin for TokenPlugin {
    const UNIQUE: &'static str = "token";
    type Credential = TokenCredential;
    type Secret = ();

    fn credential(&self, block: TokenCredential) -> Result<(Vec<u8>, ()), ConfigError> {
        Ok((block.token.into_bytes(), ()))
    }

    fn authenticator(&self, _: NoFields, cx: &BuildContext<'_>) -> Result<Arc<dyn Authenticate>, ConfigError> {
        Ok(Arc::new(Token(cx.consumers())))
    }
}

/// Writes its text and its owner into answers.
struct Stamp;

#[derive(Deserialize)]
struct StampConfig {
    text: String,
}

/// Tells the upstream who calls by the field `x-user`, where it stands.
pub(crate) struct User;

impl Plugin for User {
    const NAME: &'static str = "user";
    const STAGE: Stage = Stage::Access;
    const PRIORITY: i32 = 3;
    type Config = NoFields;

    fn identity_fields(&self, _: &NoFields) -> Vec<http::HeaderName> {
        vec![http::HeaderName::from_static("x-user")]
    }

    fn build(&self, _: NoFields, _: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(PluginLayer::new(tower::util::MapRequestLayer::new(|mut request: Request<Body>| {
            request.headers_mut().insert("x-way", http::HeaderValue::from_static("known"));
            request
        })))
    }
}

impl Plugin for Stamp {
    const NAME: &'static str = "stamp";
    const STAGE: Stage = Stage::Respond;
    const PRIORITY: i32 = 1;
    type Config = StampConfig;

    fn build(&self, config: StampConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        let text = http::HeaderValue::try_from(format!("{} of {}", config.text, cx.scope())).unwrap();
        Ok(PluginLayer::new(tower::util::MapResponseLayer::new(move |mut response: Response| {
            response.headers_mut().append("x-stamp", text.clone());
            response
        })))
    }
}

fn builder() -> GatewayBuilder {
    let who = tower::service_fn(|request: Request<Body>| async move {
        let field = |name: &str| {
            let values = request.headers().get_all(name).iter().map(|value| value.to_str().unwrap());
            values.collect::<Vec<_>>().join(",")
        };
        let told = [field("x-consumer-username"), field("x-credential-identifier"), field("x-consumer-custom-id")];
        let seen = Consumer::of(&request).map_or("nobody", |consumer| consumer.name()).to_owned();
        Ok::<_, std::convert::Infallible>(http::Response::new(format!("{seen} {}", told.join("/"))))
    });
    with_marks().auth_plugin(TokenPlugin).plugin(Stamp).endpoint("who", who)
}

pub(crate) fn route(id: &str, service: &str, plugins: &Value) -> Value {
    let mut plugins = plugins.clone();
    plugins["token"] = json!({});
    json!({"id": id, "uri": format!("/{id}"), "plugins": plugins, "upstream": {"nodes": [{"service": service, "weight": 1}]}})
}

fn gateway(document: &Value) -> Gateway {
    let gateway = builder().build().unwrap();
    gateway.apply(snapshot(document)).unwrap_or_else(|error| panic!("{error}"));
    gateway
}

async fn by(gateway: &Gateway, path: &str, token: &str) -> Answer {
    let request = Request::builder().uri(path).header("x-token", token).header("x-consumer-username", "root");
    ask(gateway, request.header("x-credential-identifier", "1").body(Body::empty()).unwrap()).await
}

async fn text(gateway: &Gateway, path: &str, token: &str) -> String {
    let answer = by(gateway, path, token).await;
    format!("{} {}", answer.status, answer.text.trim_end())
}

fn findings(gateway: &Gateway) -> Vec<String> {
    gateway.status().findings.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_caller_is_found_by_his_credentials_and_told_to_the_upstream() {
    let gateway = gateway(&json!({
        "routes": [route("r", "who", &json!({}))],
        "consumers": [
            {"username": "a", "labels": {"custom_id": "c-9"}, "plugins": {"token": {"token": "ta"}}},
            {"username": "b"},
            {"id": "b/credentials/laptop-1", "plugins": {"token": {"token": "tb1"}}},
            {"id": "b/credentials/laptop-2", "plugins": {"token": {"token": "tb2"}}},
        ],
    }));
    assert_eq!(text(&gateway, "/r", "ta").await, "200 a a//c-9");
    assert_eq!(text(&gateway, "/r", "tb1").await, "200 b b/laptop-1/");
    assert_eq!(text(&gateway, "/r", "tb2").await, "200 b b/laptop-2/");
    assert_eq!(text(&gateway, "/r", "t").await, r#"401 {"message":"who are you"}"#);
}

#[tokio::test]
async fn the_most_specific_block_counts_as_a_whole() {
    let limit = |text: &str| json!({"low": {"text": text}});
    let document = json!({
        "routes": [route("r", "way", &json!({"low": {"text": "route"}, "high": {}})), route("s", "way", &json!({}))],
        "consumer_groups": [{"id": "g", "plugins": {"low": {"text": "group"}, "last": {"text": "group"}}}],
        "consumers": [
            {"username": "plain", "plugins": {"token": {"token": "plain"}}},
            {"username": "own", "plugins": {"token": {"token": "own"}, "low": {"text": "own"}}},
            {"username": "member", "group_id": "g", "plugins": {"token": {"token": "member"}}},
            {"username": "both", "group_id": "g", "plugins": {"token": {"token": "both"}, "low": {"text": "both"}}},
            {"username": "off", "group_id": "g",
             "plugins": {"token": {"token": "off"}, "low": {"_meta": {"disable": true}}}},
        ],
        "global_rules": [{"id": "1", "plugins": limit("global")}],
    });
    let gateway = gateway(&document);
    for (token, on_r, on_s) in [
        ("plain", "low:global high low:route", "low:global"),
        ("own", "low:global high low:own", "low:global low:own"),
        ("member", "low:global high low:group last:group", "low:global low:group last:group"),
        ("both", "low:global high low:both last:group", "low:global low:both last:group"),
        ("off", "low:global high last:group", "low:global last:group"),
    ] {
        // Twice: the second time over the wired half.
        for _ in 0..2 {
            assert_eq!(text(&gateway, "/r", token).await, format!("200 {on_r}"), "{token}");
            assert_eq!(text(&gateway, "/s", token).await, format!("200 {on_s}"), "{token}");
        }
    }
}

#[tokio::test]
async fn blocks_of_early_stages_run_behind_the_fork_unless_the_route_has_them() {
    let gateway = gateway(&json!({
        "routes": [route("r", "way", &json!({"edge": {"text": "route"}})), route("s", "way", &json!({"low": {}}))],
        "consumers": [
            {"username": "a", "plugins": {"token": {"token": "a"}, "edge": {"text": "consumer"}, "observer": {}}},
        ],
    }));
    assert_eq!(text(&gateway, "/r", "a").await, "200 edge:route observer");
    assert_eq!(text(&gateway, "/s", "a").await, "200 observer edge:consumer low");
    let findings = findings(&gateway);
    let warned = findings.iter().any(|text| text.contains("consumer `a`") && text.contains("by route `r`"));
    assert!(warned, "{findings:?}");
}

#[tokio::test]
async fn an_answer_is_shaped_by_the_callers_block_and_else_by_the_routes() {
    let gateway = gateway(&json!({
        "routes": [route("r", "a", &json!({"stamp": {"text": "one"}})), route("s", "a", &json!({}))],
        "consumers": [
            {"username": "plain", "plugins": {"token": {"token": "plain"}}},
            {"username": "own", "plugins": {"token": {"token": "own"}, "stamp": {"text": "two"}}},
            {"username": "off", "plugins": {"token": {"token": "off"}, "stamp": {"text": "", "_meta": {"disable": true}}}},
        ],
    }));
    let stamps = async |path: &str, token: &str| {
        let answer = by(&gateway, path, token).await;
        let stamps = answer.headers.get_all("x-stamp").iter().map(|stamp| stamp.to_str().unwrap().to_owned());
        stamps.collect::<Vec<_>>()
    };
    assert_eq!(stamps("/r", "plain").await, ["one of route `r`"]);
    assert_eq!(stamps("/r", "own").await, ["two of consumer `own`"]);
    assert_eq!(stamps("/r", "off").await, [""; 0]);
    assert_eq!(stamps("/r", "unknown").await, ["one of route `r`"]);
    assert_eq!(stamps("/s", "own").await, ["two of consumer `own`"]);
}

#[tokio::test]
async fn a_group_that_is_missing_closes_its_members_out() {
    let document = json!({
        "routes": [route("r", "who", &json!({}))],
        "consumers": [{"username": "a", "group_id": "g", "plugins": {"token": {"token": "a"}}}],
    });
    let gateway = gateway(&document);
    assert_eq!(by(&gateway, "/r", "a").await.status, 503);
    assert!(findings(&gateway).iter().any(|text| text.contains("field group_id: refers to `g`, which is not there")));
    let mut with_group = document;
    with_group["consumer_groups"] = json!([{"id": "g", "plugins": {}}]);
    gateway.apply(snapshot(&with_group)).unwrap();
    assert_eq!(text(&gateway, "/r", "a").await, "200 a a//");
}

#[tokio::test]
async fn changes_of_consumers_reach_routes_that_stay_as_they_are() {
    let document = |consumers: Value, group: &str| {
        json!({
            "routes": [route("r", "way", &json!({"low": {"text": "route"}}))],
            "consumers": consumers,
            "consumer_groups": [{"id": "g", "plugins": {"last": {"text": group}}}],
        })
    };
    let consumer = |name: &str, token: &str, more: Value| {
        let mut plugins = json!({"token": {"token": token}});
        plugins.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"username": name, "group_id": "g", "plugins": plugins})
    };
    let a = consumer("a", "1", json!({"low": {"text": "a"}}));
    let gateway = gateway(&document(json!([a]), "one"));
    assert_eq!(text(&gateway, "/r", "1").await, "200 low:a last:one");
    // The group changes.
    gateway.apply(snapshot(&document(json!([a]), "two"))).unwrap();
    assert_eq!(text(&gateway, "/r", "1").await, "200 low:a last:two");
    // The token moves to another consumer, who comes in the same change, and has the slot of nobody else.
    let b = consumer("b", "1", json!({"low": {"text": "b"}}));
    let a = consumer("a", "2", json!({}));
    gateway.apply(snapshot(&document(json!([a, b]), "two"))).unwrap();
    assert_eq!(text(&gateway, "/r", "1").await, "200 low:b last:two");
    assert_eq!(text(&gateway, "/r", "2").await, "200 low:route last:two");
    // Both go.
    gateway.apply(snapshot(&document(json!([]), "two"))).unwrap();
    assert_eq!(by(&gateway, "/r", "1").await.status, 401);
    assert_eq!(by(&gateway, "/r", "2").await.status, 401);
}

#[tokio::test]
async fn sec_hop_05_a_field_that_some_plugin_tells_callers_by_is_taken_from_clients_on_every_route() {
    let echo = tower::service_fn(|request: Request<Body>| async move {
        let user = request.headers().get("x-user").map_or("", |user| user.to_str().unwrap()).to_owned();
        Ok::<_, std::convert::Infallible>(http::Response::new(user))
    });
    let gateway = builder().plugin(User).endpoint("echo", echo).build().unwrap();
    let document = |plugins: Value| {
        json!({"routes": [route("open", "echo", &json!({})), route("r", "echo", &plugins)],
        "consumers": [{"username": "a", "plugins": {"token": {"token": "a"}}}]})
    };
    let ask_as = async |gateway: &Gateway| {
        let request = Request::builder().uri("/open").header("x-token", "a").header("x-user", "root");
        ask(gateway, request.body(Body::empty()).unwrap()).await.text
    };
    gateway.apply(snapshot(&document(json!({})))).unwrap();
    assert_eq!(ask_as(&gateway).await, "root", "nobody says that it names callers");
    gateway.apply(snapshot(&document(json!({"user": {}})))).unwrap();
    assert_eq!(ask_as(&gateway).await, "");
    gateway.apply(snapshot(&document(json!({})))).unwrap();
    assert_eq!(ask_as(&gateway).await, "root");
}

#[tokio::test]
async fn sec_hop_05_a_named_field_is_no_trailer_either() {
    let echo = tower::service_fn(|request: Request<Body>| async move {
        let whole = http_body_util::BodyExt::collect(request.into_body()).await.unwrap();
        let names: Vec<_> =
            whole.trailers().into_iter().flat_map(http::HeaderMap::keys).map(|name| name.as_str()).collect();
        Ok::<_, std::convert::Infallible>(http::Response::new(names.join(" ")))
    });
    let gateway = builder().plugin(User).endpoint("echo", echo).build().unwrap();
    let routes = json!([route("open", "echo", &json!({})), route("r", "echo", &json!({"user": {}}))]);
    let consumers = json!([{"username": "a", "plugins": {"token": {"token": "a"}}}]);
    gateway.apply(snapshot(&json!({"routes": routes, "consumers": consumers}))).unwrap();
    let mut trailers = http::HeaderMap::new();
    for name in ["x-sum", "x-user", "x_user", "x-consumer-username", "x_consumer_username"] {
        trailers.insert(name, http::HeaderValue::from_static("root"));
    }
    let frames = [
        Ok::<_, tollgate::BodyError>(http_body::Frame::data(bytes::Bytes::from("a"))),
        Ok(http_body::Frame::trailers(trailers)),
    ];
    let body = Body::new(http_body_util::StreamBody::new(futures_util::stream::iter(frames)));
    let request = Request::builder().method("POST").version(http::Version::HTTP_2).uri("http://gw.test/open");
    let request = request.header("x-token", "a");
    assert_eq!(ask(&gateway, request.body(body).unwrap()).await.text, "x-sum");
}

#[tokio::test]
async fn sec_hop_04_a_named_field_with_underscores_is_taken_from_clients_as_well() {
    let echo = tower::service_fn(|request: Request<Body>| async move {
        let mut names: Vec<_> = request.headers().keys().map(|name| name.as_str().to_owned()).collect();
        names.retain(|name| name.replace('_', "-") == "x-user");
        Ok::<_, std::convert::Infallible>(http::Response::new(names.join(" ")))
    });
    let gateway = builder().plugin(User).endpoint("echo", echo).build().unwrap();
    let routes = |user: Value| json!([route("open", "echo", &json!({})), route("r", "echo", &json!({"user": user}))]);
    let consumers = json!([{"username": "a", "plugins": {"token": {"token": "a"}}}]);
    // A block that is switched off still says what its upstream believes.
    for user in [json!({}), json!({"_meta": {"disable": true}})] {
        gateway.apply(snapshot(&json!({"routes": routes(user), "consumers": consumers}))).unwrap();
        let request = Request::builder().uri("/open").header("x-token", "a");
        let request = request.header("x_user", "root").header("X-User", "root").body(Body::empty()).unwrap();
        assert_eq!(ask(&gateway, request).await.text, "");
    }
}

#[tokio::test]
async fn meta_of_a_credential_counts() {
    let document = |meta: Value| {
        json!({
            "routes": [route("r", "a", &json!({}))],
            "consumers": [{"username": "a", "plugins": {"token": {"token": "ta", "_meta": meta}}}],
        })
    };
    let gateway = gateway(&document(json!({"disable": false})));
    assert_eq!(by(&gateway, "/r", "ta").await.status, 200);
    gateway.apply(snapshot(&document(json!({"disable": true})))).unwrap();
    assert_eq!(by(&gateway, "/r", "ta").await.status, 401);
    let filter = json!({"filter": [["remote_addr", "==", "10.0.0.1"]]});
    let error = gateway.apply(candidate(&document(filter))).unwrap_err().to_string();
    assert!(error.contains("field plugins.token: `_meta.filter` has no effect on a credential"), "{error}");
}

#[tokio::test]
async fn what_is_said_of_consumers_follows_what_they_depend_on() {
    let has = |gateway: &Gateway, text: &str| findings(gateway).iter().any(|finding| finding.contains(text));
    let early = json!([{"username": "a", "plugins": {"token": {"token": "a"}, "edge": {"text": "consumer"}}}]);
    let document = |edge: Value| json!({"routes": [route("r", "way", &edge)], "consumers": early});
    let gateway = gateway(&document(json!({})));
    assert!(!has(&gateway, "consumer `a`"));
    // The consumer stays as it is, and the route takes its block away.
    gateway.apply(snapshot(&document(json!({"edge": {}})))).unwrap();
    assert!(has(&gateway, "does not run on routes that have `edge`, such as by route `r`"));
    gateway.apply(snapshot(&document(json!({})))).unwrap();
    assert!(!has(&gateway, "does not run on routes"));

    let credential = json!({"id": "b/credentials/some-key", "plugins": {"token": {"token": "tb"}}});
    gateway.apply(snapshot(&json!({"consumers": [credential]}))).unwrap();
    assert!(has(&gateway, "there is no such consumer"));
    gateway.apply(snapshot(&json!({"consumers": [credential, {"username": "b"}]}))).unwrap();
    assert!(!has(&gateway, "there is no such consumer"));
}

#[tokio::test]
async fn a_warning_outlives_what_others_bring_about() {
    let orphan = json!({"id": "gone/credentials/some-key", "plugins": {"token": {"token": "t"}}});
    let document = |plugins: Value| {
        json!({"routes": [route("r", "a", &json!({"stamp": {"text": "one"}}))],
               "consumers": [{"username": "a", "plugins": plugins}, orphan]})
    };
    let gateway = gateway(&document(json!({})));
    // The first block of its kind that a consumer has: routes are built anew, to step aside for it.
    gateway.apply(snapshot(&document(json!({"stamp": {"text": "two"}})))).unwrap();
    let findings = findings(&gateway);
    assert!(findings.iter().any(|text| text.contains("there is no such consumer")), "{findings:?}");
}

#[tokio::test]
async fn requests_without_a_route_run_global_rules_alone() {
    let gateway = gateway(&json!({
        "global_rules": [{"id": "1", "plugins": {"token": {}}}],
        "consumers": [{"username": "a", "plugins": {"token": {"token": "a"}, "low": {"reject": 403}}}],
    }));
    assert_eq!(by(&gateway, "/nowhere", "a").await.status, 404);
    assert_eq!(by(&gateway, "/nowhere", "b").await.status, 401);
}

/// Two gateways number the blocks of their consumers alike.
#[tokio::test]
async fn blocks_of_a_consumer_stay_in_his_own_gateway() {
    let consumers = |text: &str| {
        json!([{"username": text, "plugins": {"token": {"token": text}, "low": {"text": text}}},
               {"username": "plain", "plugins": {"token": {"token": "plain"}}}])
    };
    let inner = gateway(&json!({
        "routes": [
            route("closed", "way", &json!({})),
            {"id": "open", "uri": "/open", "plugins": {"edge": {}}, "upstream": {"nodes": [{"service": "way", "weight": 1}]}},
        ],
        "consumers": consumers("inner"),
    }));
    assert_eq!(text(&inner, "/closed", "inner").await, "200 low:inner");
    let outer = builder().endpoint("gateway", inner).build().unwrap();
    let document = json!({"routes": [route("open", "gateway", &json!({}))], "consumers": consumers("outer")});
    outer.apply(snapshot(&document)).unwrap();
    for _ in 0..2 {
        assert_eq!(text(&outer, "/open", "outer").await, "200 low:outer edge");
        assert_eq!(text(&outer, "/open", "plain").await, "200 edge");
    }
}

#[test]
fn faults_of_credentials_are_refused_with_their_place() {
    let gateway = builder().build().unwrap();
    for (consumers, says) in [
        (
            json!([{"username": "a", "plugins": {"token": {"token": "t"}}}, {"username": "b", "plugins": {"token": {"token": "t"}}}]),
            "consumer `b`, field plugins.token.token: duplicate token of plugin token found with consumer: a",
        ),
        (
            json!([{"username": "a"}, {"id": "a/credentials/some-key", "plugins": {"token": {"token": "t"}}},
                   {"username": "b", "plugins": {"token": {"token": "t"}}},
                   {"id": "b/credentials/other-key", "plugins": {"token": {"token": "t"}}}]),
            "duplicate token of plugin token found with consumer: b",
        ),
        (json!([{"username": "a", "plugins": {"token": {"tokn": "t"}}}]), "plugins.token.tokn"),
        (json!([{"username": "a", "plugins": {"token": {"token": 7}}}]), "plugins.token.token"),
        (
            json!([{"username": "a"}, {"id": "a/credentials/some-key", "plugins": {"low": {}}}]),
            "plugin `low` does not identify consumers",
        ),
        (json!([{"username": "a", "plugins": {"nowhere": {}}}]), "unknown plugin `nowhere`"),
    ] {
        let error = gateway.apply(candidate(&json!({"consumers": consumers}))).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    // Under `unknown_plugin: ignore` what nobody knows identifies nobody.
    let unknown = json!({"tollgate": {"unknown_plugin": "ignore"}, "consumers": [{"username": "a"},
        {"id": "a/credentials/some-key", "plugins": {"wolf-rbac": {"appid": "a"}}}]});
    gateway.apply(snapshot(&unknown)).unwrap();
    assert!(findings(&gateway).iter().any(|text| text.contains("plugin `wolf-rbac` does not identify consumers")));
    let orphan = json!({"consumers": [{"id": "gone/credentials/some-key", "plugins": {"token": {"token": "t"}}}]});
    gateway.apply(snapshot(&orphan)).unwrap();
    assert!(findings(&gateway).iter().any(|text| text.contains("there is no such consumer")));
}

#[test]
fn scopes_have_paths_that_are_the_same_everywhere() {
    assert_eq!(Scope::Consumer("a".into()).path(), "consumers/a");
    assert_eq!(Scope::Route("1".into()).path(), "routes/1");
}
