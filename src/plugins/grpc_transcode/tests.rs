use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use prost::Message as _;
use prost_reflect::DynamicMessage;
use serde_json::{Value, json};

use super::messages::framed;
use super::to_json::Style;
use super::*;
use crate::plugin::{AroundLayer, Plugin as _, shape};
use crate::proto::{Definitions, Proto};
use crate::{Body, BodyError, Next, PluginLayer, Request, Response, reject};

const ALL: &str = r#"
syntax = "proto3";
package t;
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/empty.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
enum Colour { NONE = 0; RED = 1; BLUE = 5; }
message Inner { string name = 1; Inner inner = 2; }
message All {
  bool a_bool = 1; int32 an_int = 2; uint32 a_uint = 3; sint64 a_long = 4; fixed64 a_ulong = 5;
  float a_float = 6; double a_double = 7; string a_text = 8; bytes some_bytes = 9; Colour colour = 10;
  Inner inner = 11; repeated int32 ints = 12; repeated Inner inners = 13;
  map<string, int64> longs = 14; map<int32, Inner> by_number = 15; map<bool, string> by_truth = 16;
  oneof choice { string one = 17; int32 other = 18; }
  optional int32 maybe = 19; string named = 20 [json_name = "anotherName"]; repeated Colour colours = 21;
}
message Known {
  google.protobuf.Timestamp at = 1; google.protobuf.Duration took = 2; google.protobuf.Int64Value wrapped = 3;
  google.protobuf.Struct any_object = 4; google.protobuf.Value any_value = 5; google.protobuf.Any any = 6;
  google.protobuf.Empty nothing = 7; google.protobuf.ListValue list = 8;
}
service S {
  rpc Echo (All) returns (All);
  rpc Know (Known) returns (Known);
  rpc Many (Inner) returns (stream Inner);
  rpc Take (stream Inner) returns (Inner);
  rpc Wrapped (google.protobuf.StringValue) returns (google.protobuf.StringValue);
}
"#;

fn proto() -> Proto {
    let mut definitions = Definitions::default();
    definitions.add("t.proto", ALL.into());
    definitions.compile("t.proto").unwrap()
}

fn block(method: &str, more: Value) -> Value {
    let mut block = json!({"proto_id": "t", "service": "t.S", "method": method});
    block.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    block
}

fn layer(block: &Value) -> PluginLayer {
    let config = shape(GrpcTranscodePlugin::NAME, block.as_object().unwrap()).unwrap();
    let (transcode, caveats) = GrpcTranscode::new(&config, Some(&proto())).unwrap();
    assert!(caveats.is_empty(), "{caveats:?}");
    AroundLayer::of(transcode).into()
}

/// The JSON that a message of that JSON becomes.
fn through(kind: &str, json: Value, options: &[PbOption]) -> Result<Value, String> {
    let kind = proto().pool().get_message_by_name(kind).unwrap();
    let message = super::from_json::message(&kind, json).map_err(|error| error.to_string())?;
    let message = DynamicMessage::decode(kind, &*message.encode_to_vec()).unwrap();
    let text = super::to_json::text(&message, Style::of(options), 1 << 20).unwrap();
    Ok(serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&text))))
}

#[test]
fn every_kind_of_field_comes_back_as_it_went() {
    let fields = json!({
        "a_bool": true, "an_int": -7, "a_uint": 4_294_967_295_u32, "a_long": i64::MIN, "a_ulong": u64::MAX,
        "a_float": 0.1, "a_double": 1e300, "a_text": "ü\n\"", "some_bytes": "AP8=", "colour": "BLUE",
        "inner": {"name": "a", "inner": {"name": "b"}}, "ints": [1, -2], "inners": [{"name": "c"}, {}],
        "longs": {"x": 1, "y": i64::MAX}, "by_number": {"-1": {"name": "d"}}, "by_truth": {"true": "yes"},
        "other": 0, "maybe": 0, "named": "n", "colours": ["RED", 9],
    });
    assert_eq!(through("t.All", fields.clone(), &[PbOption::NoDefaultValues]).unwrap(), fields);
}

#[test]
fn values_may_be_written_in_several_ways() {
    for (given, taken) in [
        (json!({"aBool": "true", "anotherName": "n"}), json!({"a_bool": true, "named": "n"})),
        (json!({"an_int": "-7", "a_uint": "7", "a_float": "1.5"}), json!({"an_int": -7, "a_uint": 7, "a_float": 1.5})),
        (json!({"an_int": 7.0, "a_long": 1e3}), json!({"an_int": 7, "a_long": 1000})),
        (json!({"a_long": "#-9223372036854775808"}), json!({"a_long": i64::MIN})),
        (json!({"a_ulong": "#18446744073709551615"}), json!({"a_ulong": u64::MAX})),
        (json!({"a_long": "#-0x1f", "a_ulong": "#0XFFFFFFFFFFFFFFFF"}), json!({"a_long": -31, "a_ulong": u64::MAX})),
        (json!({"a_double": "NaN", "a_float": "-Infinity"}), json!({"a_double": "NaN", "a_float": "-Infinity"})),
        (json!({"some_bytes": "_-8"}), json!({"some_bytes": "/+8="})),
        (json!({"colour": 5, "colours": ["1", "BLUE"]}), json!({"colour": "BLUE", "colours": ["RED", "BLUE"]})),
        (json!({"ints": "4", "inner": null, "unknown": {"x": []}}), json!({"ints": [4]})),
    ] {
        assert_eq!(through("t.All", given.clone(), &[PbOption::NoDefaultValues]), Ok(taken), "{given}");
    }
}

#[test]
fn what_a_field_cannot_have_is_named() {
    for (given, says) in [
        (json!({"a_bool": 1}), "a_bool: is to be true or false"),
        (json!({"an_int": 2_147_483_648_u32}), "an_int: is to be an integer of 32 bits"),
        (json!({"an_int": 1.5}), "an_int: is to be an integer of 32 bits"),
        (json!({"an_int": "+1"}), "an_int: is to be an integer"),
        (json!({"a_uint": -1}), "a_uint: is to be an integer of 32 bits, 0 or more"),
        (json!({"a_long": "#--1"}), "a_long: is to be an integer of 64 bits"),
        (json!({"a_long": "#0x+1"}), "a_long: is to be an integer of 64 bits"),
        (json!({"a_ulong": "#18446744073709551616"}), "a_ulong: is to be"),
        (json!({"a_float": 1e39}), "a_float: is too large for a float"),
        (json!({"a_double": "1e999"}), "a_double: is to be a number"),
        (json!({"a_text": 1}), "a_text: is to be a string"),
        (json!({"some_bytes": "*"}), "some_bytes: is to be base64"),
        (json!({"colour": "GREEN"}), "colour: is to be a value of the enum t.Colour"),
        (json!({"inner": {"inner": {"name": []}}}), "inner.inner.name: is to be a string"),
        (json!({"inner": "x"}), "inner: is to be an object"),
        (json!({"ints": 1}), "ints: is to be a list"),
        (json!({"inners": [{}, {"name": 1}]}), "inners.1.name: is to be a string"),
        (json!({"longs": {"x": "y"}}), "longs.x: is to be an integer"),
        (json!({"by_number": {"x": {}}}), "by_number.x: is to be an integer"),
        (json!({"by_number": []}), "by_number: is to be an object"),
        (json!({"one": "a", "other": 1}), "other: cannot stand beside `one`"),
    ] {
        let told = through("t.All", given.clone(), &[]).unwrap_err();
        assert!(told.starts_with(says), "{given}: {told}");
    }
    // which of the two is named depends on how maps are ordered
    for given in [json!({"a_text": "x", "aText": "y"}), json!({"inner": {}, "named": "x", "anotherName": null})] {
        let told = through("t.All", given.clone(), &[]).unwrap_err();
        assert!(told.contains(": is there twice"), "{given}: {told}");
    }
    assert!(through("t.Known", json!({"at": "yesterday"}), &[]).unwrap_err().starts_with("at: "));
}

#[test]
fn options_say_how_messages_are_told() {
    use PbOption::*;
    let of = |json: Value, options: &[PbOption]| through("t.All", json, options).unwrap();
    let bare = &[NoDefaultValues][..];
    let with = |option: PbOption| [NoDefaultValues, option];
    assert_eq!(of(json!({"colour": "RED"}), &with(EnumAsValue)), json!({"colour": 1}));
    assert_eq!(of(json!({"colour": "RED"}), &[EnumAsValue, EnumAsName, NoDefaultValues]), json!({"colour": "RED"}));
    for (long, hash, hex) in [
        (json!(4_294_967_295_u32), json!(4_294_967_295_u32), json!(4_294_967_295_u32)),
        (json!(4_294_967_296_u64), json!("#4294967296"), json!("#0x100000000")),
        (json!(-2_147_483_648_i64), json!(-2_147_483_648_i64), json!(-2_147_483_648_i64)),
        (json!(-2_147_483_649_i64), json!("#-2147483649"), json!("#-0x80000001")),
    ] {
        let fields = json!({ "a_long": long });
        assert_eq!(of(fields.clone(), bare), fields);
        assert_eq!(of(fields.clone(), &with(Int64AsString)), json!({ "a_long": hash }));
        assert_eq!(of(fields.clone(), &with(Int64AsHexstring)), json!({ "a_long": hex }));
        assert_eq!(of(fields, &with(Int64AsDecimal)), json!({ "a_long": long.to_string() }));
    }
    let automatic = json!({
        "a_bool": false, "an_int": 0, "a_uint": 0, "a_long": 0, "a_ulong": 0, "a_float": 0.0, "a_double": 0.0, "a_text": "",
        "some_bytes": "", "colour": "NONE", "ints": [], "inners": [], "longs": {}, "by_number": {}, "by_truth": {},
        "named": "", "colours": [],
    });
    assert_eq!(of(json!({}), &[]), automatic);
    assert_eq!(of(json!({}), &[AutoDefaultValues, DisableHooks]), automatic);
    let mut all = automatic;
    all["maybe"] = json!(0);
    assert_eq!(of(json!({}), &[UseDefaultValues]), all);
    assert_eq!(of(json!({}), &[UseDefaultMetatable]), json!({}));
}

#[test]
fn well_known_types_have_their_own_form() {
    let fields = json!({
        "at": "2026-01-02T03:04:05.600Z", "took": "1.500s", "wrapped": "7", "any_object": {"a": [1.0, null, {"b": "c"}]},
        "any_value": null, "any": {"@type": "type.googleapis.com/t.Inner", "name": "x"}, "nothing": {}, "list": [true],
    });
    let told = through("t.Known", fields.clone(), &[PbOption::NoDefaultValues, PbOption::Int64AsDecimal]).unwrap();
    assert_eq!(told, fields);
    let whole = through("t.Known", json!({"wrapped": 7}), &[PbOption::NoDefaultValues]).unwrap();
    assert_eq!(whole, json!({"wrapped": 7}));
    // An `Any` of a message that nobody knows is told as it came.
    let kind = proto().pool().get_message_by_name("t.Known").unwrap();
    let unknown = b"\x32\x09\x0a\x03x/y\x12\x02\x01\x02";
    let message = DynamicMessage::decode(kind, &unknown[..]).unwrap();
    let text = super::to_json::text(&message, Style::of(&[PbOption::NoDefaultValues]), 999).unwrap();
    assert_eq!(text, br#"{"any":{"type_url":"x/y","value":"AQI="}}"#);
}

#[test]
fn json_is_bounded() {
    let kind = proto().pool().get_message_by_name("t.All").unwrap();
    let message = super::from_json::message(&kind, json!({"inners": [{}, {}, {}]})).unwrap();
    let style = Style::of(&[PbOption::NoDefaultValues]);
    let text = super::to_json::text(&message, style, 21).unwrap();
    assert_eq!(text, br#"{"inners":[{},{},{}]}"#);
    assert!(super::to_json::text(&message, style, 20).is_err());
}

fn trailers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    lines.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

fn data(bytes: impl Into<Bytes>) -> Result<Frame<Bytes>, BodyError> {
    Ok(Frame::data(bytes.into()))
}

fn end(lines: &[(&'static str, &'static str)]) -> Result<Frame<Bytes>, BodyError> {
    Ok(Frame::trailers(trailers(lines)))
}

fn grpc(frames: Vec<Result<Frame<Bytes>, BodyError>>) -> Response {
    let body = Body::stream(StreamBody::new(futures_util::stream::iter(frames)));
    http::Response::builder().header("content-type", "application/grpc").header("x-own", "1").body(body).unwrap()
}

/// A service that echoes its message; what it was asked is kept.
fn echo() -> (Next, Arc<Mutex<Option<Request>>>) {
    let seen = Arc::<Mutex<Option<Request>>>::default();
    let kept = Arc::clone(&seen);
    let echo = Next::from_fn(move |request: Request| {
        let kept = Arc::clone(&kept);
        async move {
            let (parts, body) = request.into_parts();
            let body = body.buffer(1 << 20).await.unwrap();
            *kept.lock().unwrap() = Some(Request::from_parts(parts, Body::empty()));
            grpc(vec![data(body), end(&[("grpc-status", "0"), ("x-sum", "2")])])
        }
    });
    (echo, seen)
}

fn ask(method: &str, target: &str, content_type: &str, body: &str) -> Request {
    let request = http::Request::builder().method(method).uri(target).header("content-type", content_type);
    request.header("grpc-encoding", "gzip").header("content-length", "9").body(Body::from(body.to_owned())).unwrap()
}

async fn text(response: Response) -> String {
    String::from_utf8(response.into_body().buffer(1 << 20).await.unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn requests_become_calls_and_answers_json() {
    let (json, form) = ("application/json; charset=utf-8", "application/x-www-form-urlencoded");
    let bare = || json!({"pb_option": ["no_default_values"], "deadline": 1500});
    for (method, target, kind, body, wanted) in [
        ("POST", "/x?an_int=1&a_text=q", json, r#"{"a_text": "b"}"#, json!({"an_int": 1, "a_text": "b"})),
        ("POST", "/x?a_text=victim", json, r#"{"aText": "me"}"#, json!({"a_text": "me"})),
        (
            "POST",
            "/x?inner.name=q&named=q",
            json,
            r#"{"anotherName": "me"}"#,
            json!({"inner": {"name": "q"}, "named": "me"}),
        ),
        ("PUT", "/x?inner.name=q", json, "", json!({"inner": {"name": "q"}})),
        ("GET", "/x?ints=1&ints=2&colour=RED", "", "", json!({"ints": [1, 2], "colour": "RED"})),
        ("POST", "/x?an_int=3", form, "a_text=x+y&an_int=2", json!({"an_int": 2, "a_text": "x y"})),
        ("POST", "/x", "Application/JSON", "{}", json!({})),
    ] {
        let (service, seen) = echo();
        let response = layer(&block("Echo", bare())).wrap(service).run(ask(method, target, kind, body)).await;
        assert_eq!(
            (response.status().as_u16(), &*response.headers()["content-type"].to_str().unwrap().to_owned()),
            (200, "application/json")
        );
        assert_eq!(response.headers()["x-own"], "1");
        assert_eq!(serde_json::from_str::<Value>(&text(response).await).unwrap(), wanted, "{method} {target} {body}");
        let seen = seen.lock().unwrap().take().unwrap();
        assert_eq!((seen.method(), seen.uri().to_string()), (&http::Method::POST, "/t.S/Echo".to_owned()));
        assert_eq!(seen.version(), http::Version::HTTP_2);
        let field = |name: &str| seen.headers().get(name).map(|value| value.to_str().unwrap());
        let told =
            ["content-type", "grpc-timeout", "grpc-accept-encoding", "grpc-encoding", "content-length"].map(field);
        assert_eq!(told, [Some("application/grpc"), Some("1500000u"), Some("identity"), None, None]);
    }
    let (service, _) = echo();
    let request = ask("POST", "/", "application/json", "\"text\"");
    let response = layer(&block("Wrapped", json!({}))).wrap(service).run(request).await;
    assert_eq!(text(response).await, "\"text\"");
}

#[tokio::test]
async fn trailers_are_for_clients_that_take_them() {
    for takes in [false, true] {
        let mut request = ask("POST", "/", "application/json", "{}");
        if takes {
            request.headers_mut().insert("te", "trailers".parse().unwrap());
        }
        let response = layer(&block("Many", json!({"method": "Echo"}))).wrap(echo().0).run(request).await;
        let whole = response.into_body().collect().await.unwrap();
        assert_eq!(whole.trailers().cloned(), takes.then(|| trailers(&[("grpc-status", "0"), ("x-sum", "2")])));
    }
}

#[tokio::test]
async fn what_is_no_call_is_refused() {
    let small = || json!({"max_req_body_size": 9});
    for (more, kind, coding, body, status, says) in [
        (json!({}), "application/json", "", "{\"a_text\":", 400, "the body is no JSON: EOF"),
        (json!({}), "application/json", "", "[]", 400, "the body is to be an object"),
        (json!({}), "application/json", "", "{\"a_text\":1}", 400, "a_text: is to be a string"),
        (json!({}), "application/json", "gzip", "{}", 415, "415 Unsupported Media Type"),
        (json!({}), "text/plain", "", "{}", 415, "415 Unsupported Media Type"),
        (json!({}), "application/grpc", "", "x", 415, "415 Unsupported Media Type"),
        (small(), "application/json", "", "0123456789", 413, "413 Content Too Large"),
    ] {
        let never = Next::from_fn(|_| async { panic!("called") });
        let mut request = ask("POST", "/", kind, body);
        if !coding.is_empty() {
            request.headers_mut().insert("content-encoding", coding.parse().unwrap());
        }
        let response = layer(&block("Echo", more)).wrap(never).run(request).await;
        assert_eq!(response.status(), status, "{body}");
        let told: Value = serde_json::from_str(&text(response).await).unwrap();
        assert!(told["error_msg"].as_str().unwrap().starts_with(says), "{told}");
    }
    let deep = format!("{{\"inner\":{}", "{\"inner\":".repeat(5000));
    let never = Next::from_fn(|_| async { panic!("called") });
    let response = layer(&block("Echo", json!({}))).wrap(never).run(ask("POST", "/", "application/json", &deep)).await;
    assert_eq!(response.status(), 400);
}

#[tokio::test]
async fn what_is_missing_is_told_at_the_load_and_to_clients() {
    let never = || Next::from_fn(|_| async { panic!("called") });
    let proto = proto();
    for (block, proto, status, field) in [
        (block("Echo", json!({})), None, 500, "proto_id"),
        (block("Echo", json!({"service": "S"})), Some(&proto), 503, "service"),
        (block("None", json!({})), Some(&proto), 503, "method"),
        (block("Take", json!({})), Some(&proto), 503, "method"),
    ] {
        let config = shape(GrpcTranscodePlugin::NAME, block.as_object().unwrap()).unwrap();
        let (transcode, caveats) = GrpcTranscode::new(&config, proto).unwrap();
        assert_eq!((caveats.len(), &*caveats[0].field), (1, field));
        assert!(caveats[0].message.ends_with(&format!("answered with {status}")) && !caveats[0].mend.is_empty());
        let response = PluginLayer::from(AroundLayer::of(transcode)).wrap(never()).run(Request::default()).await;
        assert_eq!((response.status().as_u16(), response.body().is_empty()), (status, true));
    }
    let config = block("Echo", json!({"status_detail_type": "t.None"}));
    let config = shape(GrpcTranscodePlugin::NAME, config.as_object().unwrap()).unwrap();
    let (_, caveats) = GrpcTranscode::new(&config, Some(&proto)).unwrap();
    assert_eq!(caveats[0].field, "status_detail_type");
}

/// What is answered when the service says this.
async fn said(method: &str, more: Value, service: impl Fn() -> Response + Send + Sync + 'static) -> Response {
    let end = Next::from_fn(move |_| std::future::ready(service()));
    layer(&block(method, more)).wrap(end).run(ask("POST", "/", "application/json", "{}")).await
}

#[tokio::test]
async fn a_status_becomes_one_of_http() {
    let details = "CAMSAm5vGg8KBXQvdC5JEgYKBG5hbWU";
    let in_trailers = move || {
        let told = [("grpc-status", "3"), ("grpc-message", "n%20o"), ("grpc-status-details-bin", details)];
        grpc(vec![end(&told)])
    };
    let in_head = || {
        let mut response = grpc(vec![]);
        response.headers_mut().extend(trailers(&[("grpc-status", "5"), ("grpc-message", "gone")]));
        response
    };
    let show = || json!({"show_status_in_body": true});
    for (more, service, status, body) in [
        (json!({}), Box::new(in_trailers) as Box<dyn Fn() -> Response + Send + Sync>, 400, json!(null)),
        (json!({}), Box::new(in_head), 404, json!(null)),
        (show(), Box::new(in_head), 404, json!({"error": {"code": 5, "message": "gone"}})),
        (
            show(),
            Box::new(in_trailers),
            400,
            json!({"error": {"code": 3, "message": "no", "details": [{"type_url": "t/t.I", "value": "CgRuYW1l"}]}}),
        ),
        (
            json!({"show_status_in_body": true, "status_detail_type": "t.Inner"}),
            Box::new(in_trailers),
            400,
            json!({"error": {"code": 3, "message": "no", "details": [{"name": "name"}]}}),
        ),
        (
            show(),
            Box::new(|| grpc(vec![])),
            500,
            json!({"error": {"code": 2, "message": "upstream grpc status not received"}}),
        ),
    ] {
        let response = said("Echo", more.clone(), service).await;
        assert_eq!(response.status(), status, "{more}");
        assert_eq!(response.headers().contains_key("content-type"), !body.is_null());
        assert_eq!(response.headers().contains_key("grpc-status"), status != 500);
        let told = text(response).await;
        let told = if told.is_empty() { Value::Null } else { serde_json::from_str(&told).unwrap() };
        assert_eq!(told, body, "{more}");
    }
}

#[tokio::test]
async fn what_is_no_answer_of_grpc_is_a_bad_gateway() {
    let ok = || end(&[("grpc-status", "0")]);
    let message = || framed(b"\x12\x00");
    let page = |status: u16| move || http::Response::builder().status(status).body(Body::from("<html>")).unwrap();
    let in_head = || {
        let mut response = grpc(vec![]);
        response.headers_mut().extend(trailers(&[("grpc-status", "0")]));
        response
    };
    let services: Vec<(Box<dyn Fn() -> Response + Send + Sync>, u16)> = vec![
        (Box::new(page(200)), 502),
        (Box::new(page(302)), 502),
        (Box::new(page(503)), 503),
        (Box::new(in_head), 502),
        (Box::new(move || grpc(vec![ok()])), 502),
        (Box::new(move || grpc(vec![data(message()), data(message()), ok()])), 502),
        (Box::new(move || grpc(vec![data(message().slice(..6)), ok()])), 502),
        (Box::new(move || grpc(vec![data(&b"\x01\0\0\0\0"[..]), ok()])), 502),
        (Box::new(move || grpc(vec![data(framed(b"\xff\xff")), ok()])), 502),
        (Box::new(move || grpc(vec![data(framed(&[0; 400])), ok()])), 502),
        (Box::new(move || grpc(vec![data(message()), Err(BodyError::Incomplete)])), 502),
        (Box::new(move || grpc(vec![data(message()), Err(BodyError::Timeout)])), 504),
        // `an_int` is no message: as JSON it is longer than it may be.
        (Box::new(move || grpc(vec![data(framed(b"")), ok()])), 502),
    ];
    for (number, (service, status)) in services.into_iter().enumerate() {
        let response = said("Echo", json!({"max_resp_body_size": 100}), service).await;
        assert_eq!(response.status(), status, "{number}");
        assert!(text(response).await.contains("error_msg"), "{number}");
    }
    let own = said("Echo", json!({}), || reject(http::StatusCode::FORBIDDEN, "acl", "no")).await;
    assert_eq!((own.status().as_u16(), text(own).await), (403, "{\"message\":\"no\"}\n".to_owned()));
}

#[tokio::test]
async fn a_stream_becomes_lines() {
    let (one, two) = (|| framed(b"\x0a\x01a"), || framed(b"\x0a\x01b"));
    let ok = || end(&[("grpc-status", "0")]);
    let failed = || end(&[("grpc-status", "9"), ("grpc-message", "stop")]);
    let bare = || json!({"pb_option": ["no_default_values"]});

    let whole = [one(), two()].concat();
    let pieces: Vec<Bytes> = whole.chunks(3).map(Bytes::copy_from_slice).collect();
    let service = move || grpc(pieces.iter().cloned().map(data).chain([ok()]).collect());
    let response = said("Many", bare(), service).await;
    assert_eq!(
        (response.status().as_u16(), response.headers()["content-type"].to_str().unwrap()),
        (200, "application/x-ndjson")
    );
    assert_eq!(text(response).await, "{\"name\":\"a\"}\n{\"name\":\"b\"}\n");

    assert_eq!(text(said("Many", bare(), move || grpc(vec![ok()])).await).await, "");
    let late = said("Many", bare(), move || grpc(vec![data(one()), failed()])).await;
    assert_eq!(late.status(), 200);
    assert_eq!(text(late).await, "{\"name\":\"a\"}\n{\"error\":{\"code\":9,\"message\":\"stop\"}}\n");
    let at_once = said("Many", bare(), move || grpc(vec![failed()])).await;
    assert_eq!((at_once.status().as_u16(), at_once.headers()["grpc-status"].to_str().unwrap()), (400, "9"));

    for last in [Err(BodyError::Incomplete), data(one().slice(..6)), data(framed(b"\xff")), data(&b"\x01"[..])] {
        let last = Mutex::new(Some(last));
        let service = move || grpc(vec![data(one()), last.lock().unwrap().take().unwrap()]);
        let mut body = said("Many", bare(), service).await.into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "{\"name\":\"a\"}\n");
        assert!(body.frame().await.unwrap().is_err());
        assert!(body.frame().await.is_none());
    }
}

#[tokio::test]
async fn a_line_comes_out_before_the_next_message_is_there() {
    let (frames, mut source) = tokio::sync::mpsc::channel(1);
    let source = Body::stream(StreamBody::new(futures_util::stream::poll_fn(move |cx| source.poll_recv(cx))));
    let source = Mutex::new(Some(source));
    let service = move || grpc(vec![]).map(|_| source.lock().unwrap().take().unwrap());
    frames.send(data(framed(b"\x0a\x01a"))).await.unwrap();
    let mut body = said("Many", json!({"pb_option": ["no_default_values"]}), service).await.into_body();
    for name in ["a", "b"] {
        if name != "a" {
            frames.send(data(framed(format!("\n\x01{name}").as_bytes()))).await.unwrap();
        }
        let line = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(line, format!("{{\"name\":\"{name}\"}}\n"));
    }
}

const ANNOTATED: &str = r#"
syntax = "proto3";
package t;
import "google/api/annotations.proto";
message Book { string title = 1; int32 pages = 2; }
message Ask { string name = 1; Book book = 2; int32 page = 3; }
service Library {
  rpc Get (Ask) returns (Ask) { option (google.api.http) = {
    get: "/v1/{name=shelves/*/books/*}" additional_bindings { get: "/v1/books/{name}" }
  }; }
  rpc Add (Ask) returns (Ask) { option (google.api.http) = { post: "/v1/{name=shelves/*}/books" body: "book" response_body: "book" }; }
  rpc Move (Ask) returns (Ask) { option (google.api.http) = { post: "/v1/{name=**}:move" body: "*" }; }
  rpc Purge (Ask) returns (Ask) { option (google.api.http) = { custom { kind: "PURGE" path: "/v1/{book.title}" } }; }
  rpc Other (Ask) returns (Ask);
}
"#;

fn annotated(text: &str, more: Value) -> (GrpcTranscode, Vec<crate::plugin::Caveat>) {
    let mut definitions = Definitions::default();
    definitions.add("a.proto", text.into());
    let mut block = json!({"proto_id": "a", "auto_mapping": true, "pb_option": ["no_default_values"]});
    block.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let config = shape(GrpcTranscodePlugin::NAME, block.as_object().unwrap()).unwrap();
    GrpcTranscode::new(&config, Some(&definitions.compile("a.proto").unwrap())).unwrap()
}

#[tokio::test]
async fn annotations_say_which_method_is_meant_and_where_its_fields_are() {
    let (transcode, caveats) = annotated(ANNOTATED, json!({}));
    assert!(caveats.is_empty(), "{caveats:?}");
    let layer = PluginLayer::from(AroundLayer::of(transcode));
    for (method, target, body, called, wanted) in [
        ("GET", "/v1/shelves/1/books/2?page=3", "", "Get", json!({"name": "shelves/1/books/2", "page": 3})),
        ("GET", "/v1/books/a%20b?name=no", "", "Get", json!({"name": "a b"})),
        ("POST", "/v1/shelves/1/books?page=3&book.title=no", r#"{"title": "x"}"#, "Add", json!({"title": "x"})),
        (
            "POST",
            "/v1/a/b:move?page=3",
            r#"{"name": "no", "book": {"pages": 7}}"#,
            "Move",
            json!({"name": "a/b", "book": {"pages": 7}}),
        ),
        ("PURGE", "/v1/x", "", "Purge", json!({"book": {"title": "x"}})),
    ] {
        let (service, seen) = echo();
        let response = layer.wrap(service).run(ask(method, target, "application/json", body)).await;
        assert_eq!(response.status(), 200, "{method} {target}");
        assert_eq!(serde_json::from_str::<Value>(&text(response).await).unwrap(), wanted, "{method} {target}");
        assert_eq!(seen.lock().unwrap().take().unwrap().uri(), &*format!("/t.Library/{called}"));
    }
    let never = || Next::from_fn(|_| async { panic!("called") });
    let ask = |method: &str, target: &str| layer.wrap(never()).run(ask(method, target, "application/json", "{}"));
    assert_eq!(ask("GET", "/v2").await.status(), 404);
    let other = ask("DELETE", "/v1/books/x").await;
    assert_eq!((other.status().as_u16(), other.headers()["allow"].to_str().unwrap()), (405, "GET"));
}

#[test]
fn annotations_that_say_nothing_are_told() {
    let none = "syntax = \"proto3\"; message A {} service S { rpc M (A) returns (A); }";
    let wrong = ANNOTATED.replace("/v1/{name=**}:move", "/v1/**/x");
    for (content, more, field, says) in [
        (
            none,
            json!({}),
            "auto_mapping",
            "no method has a `google.api.http` annotation: requests are answered with 503",
        ),
        (
            &*wrong,
            json!({}),
            "auto_mapping",
            "an annotation of `t.Library.Move` is left out: `/v1/**/x` is no path template",
        ),
        (ANNOTATED, json!({"service": "t.None"}), "service", "the proto has no service"),
    ] {
        let (_, caveats) = annotated(content, more);
        assert_eq!((caveats.len(), &*caveats[0].field), (1, field));
        assert!(caveats[0].message.starts_with(says), "{caveats:?}");
    }
}

#[test]
fn faults_name_their_field() {
    for (block, field, says) in [
        (json!({"service": "s", "method": "m"}), "proto_id", "missing field `proto_id`"),
        (json!({"proto_id": 1, "method": "m"}), "service", "missing field `service`"),
        (json!({"proto_id": 1, "service": "s"}), "method", "missing field `method`"),
        (block("Echo", json!({"deadline": 100_000_000})), "deadline", "at most 99999999"),
        (block("Echo", json!({"pb_option": ["x"]})), "pb_option.0", "unknown variant"),
        (block("Echo", json!({"max_req_body_size": 0})), "max_req_body_size", "at least 1"),
        (block("Echo", json!({"max_resp_body_size": 0})), "max_resp_body_size", "at least 1"),
        (block("Echo", json!({"auto_mapping": true})), "method", "not to be beside `auto_mapping`"),
        (block("Echo", json!({"methods": 1})), "methods", "unknown field"),
    ] {
        let shaped = shape(GrpcTranscodePlugin::NAME, block.as_object().unwrap());
        let error = shaped.and_then(|config| GrpcTranscode::new(&config, None)).unwrap_err();
        assert_eq!(error.field(), field, "{block}");
        assert!(error.to_string().contains(says), "{block}: {error}");
    }
}
