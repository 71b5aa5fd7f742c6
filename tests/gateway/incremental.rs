//! Edits applied one after the other lead to the same routing as compiling the result anew.
use std::convert::Infallible;
use std::sync::Arc;

use http::{Request, Response};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tollgate::Body;
use tollgate::gateway::{Gateway, Route, RouteMatch};
use tollgate::model::{Blocked, Items, Kind, MatchPart, Resource, Snapshot};

use super::support::{ask, with_marks};

const PATHS: [&str; 6] = ["/", "/a", "/a/*", "/a/:x", "/*", "/b/c"];
const HOSTS: [Option<&str>; 4] = [None, None, Some("gw.test"), Some("*.test")];

/// What is done to a list: an item is put in somewhere or changed in its place, moved, removed, or made anew as it is.
#[derive(Clone, Copy, Debug)]
enum Do {
    Put,
    Move,
    Remove,
    Copy,
}

#[derive(Clone, Debug)]
struct Edit {
    kind: usize,
    act: Do,
    id: usize,
    place: usize,
    /// Bits that make the content.
    bits: u32,
}

fn edit() -> impl Strategy<Value = Edit> {
    let act = prop_oneof![5 => Just(Do::Put), 1 => Just(Do::Move), 2 => Just(Do::Remove), 1 => Just(Do::Copy)];
    let kind = prop_oneof![8 => Just(0_usize), 6 => 1_usize..7];
    (kind, act, 0_usize..6, 0_usize..8, any::<u32>()).prop_map(|(kind, act, id, place, bits)| Edit {
        kind,
        act,
        id,
        place,
        bits,
    })
}

/// Takes so many bits.
fn take(bits: &mut u32, count: usize) -> usize {
    let value = *bits as usize % count;
    *bits /= u32::try_from(count).unwrap();
    value
}

fn node(bits: &mut u32) -> Value {
    let name = ["told", "a"][take(bits, 2)];
    json!([{"service": name, "weight": 1}])
}

fn plugins(bits: &mut u32, text: &str) -> Value {
    match take(bits, 4) {
        0 => json!({"edge": {"text": text}}),
        1 => json!({"low": {"text": text}, "high": {}}),
        2 => json!({"edge": {"_meta": {"disable": true}}}),
        _ => json!({}),
    }
}

fn route(id: usize, bits: &mut u32) -> Value {
    let mut route = json!({
        "id": format!("r{id}"),
        "uri": PATHS[take(bits, PATHS.len())],
        "priority": take(bits, 2),
        "status": u8::from(take(bits, 8) != 0),
        "plugins": plugins(bits, "route"),
    });
    if let Some(host) = HOSTS[take(bits, HOSTS.len())] {
        route["host"] = json!(host);
    }
    if take(bits, 4) == 0 {
        route["methods"] = json!(["POST"]);
    }
    match take(bits, 4) {
        0 => route["upstream"] = json!({"nodes": node(bits)}),
        1 => route["upstream_id"] = json!("u0"),
        2 => route["service_id"] = json!("s0"),
        _ => route["service_id"] = json!("s1"),
    }
    if take(bits, 3) == 0 {
        route["plugin_config_id"] = json!("p0");
    }
    route
}

fn service(id: usize, bits: &mut u32) -> Value {
    let mut service = json!({"id": format!("s{id}"), "plugins": plugins(bits, "service")});
    if let Some(host) = HOSTS[take(bits, HOSTS.len())] {
        service["hosts"] = json!([host]);
    }
    match take(bits, 3) {
        0 => service["upstream"] = json!({"nodes": node(bits)}),
        1 => service["upstream_id"] = json!("u0"),
        _ => service["upstream_id"] = json!("u1"),
    }
    service
}

fn change<T: Resource + DeserializeOwned + Clone>(items: &mut Items<T>, edit: &Edit, item: Value) {
    let item: T = serde_json::from_value(item).unwrap();
    let list = items.to_mut();
    let place = edit.place.min(list.len());
    let there = list.iter().position(|one| one.id() == item.id());
    match (edit.act, there) {
        (Do::Put, Some(at)) => list[at] = Arc::new(item),
        (Do::Put, None) => list.insert(place, Arc::new(item)),
        (Do::Move, Some(at)) => {
            let item = list.remove(at);
            list.insert(place.min(list.len()), item);
        }
        (Do::Remove, Some(at)) => drop(list.remove(at)),
        (Do::Copy, Some(at)) => list[at] = Arc::new(T::clone(&list[at])),
        (_, None) => {}
    }
}

fn perform(snapshot: &mut Snapshot, edit: &Edit) {
    let mut bits = edit.bits;
    match edit.kind {
        0 => change(&mut snapshot.routes, edit, route(edit.id, &mut bits)),
        1 => change(&mut snapshot.services, edit, service(edit.id % 2, &mut bits)),
        2 => {
            let upstream = json!({"id": format!("u{}", edit.id % 2), "nodes": node(&mut bits)});
            change(&mut snapshot.upstreams, edit, upstream);
        }
        3 => {
            let config = json!({"id": "p0", "plugins": plugins(&mut bits, "config")});
            change(&mut snapshot.plugin_configs, edit, config);
        }
        4 => {
            let rule = json!({"id": "g0", "plugins": plugins(&mut bits, "global")});
            change(&mut snapshot.global_rules, edit, rule);
        }
        5 => {
            let settings = json!({"router": {"method_not_allowed": edit.bits.is_multiple_of(2), "host_first": !edit.bits.is_multiple_of(3)}});
            snapshot.settings = Arc::new(serde_json::from_value(settings).unwrap());
        }
        _ => {
            let match_part = MatchPart {
                uris: vec![PATHS[take(&mut bits, PATHS.len())].into()],
                service_id: (take(&mut bits, 2) == 0).then(|| "s0".into()),
                ..MatchPart::default()
            };
            let blocked = Blocked {
                kind: Kind::Route,
                id: Some("b".into()),
                index: Some(edit.place),
                behind: edit.place,
                match_part,
                reason: String::new(),
            };
            snapshot.blocked = if matches!(edit.act, Do::Remove) { Vec::new() } else { vec![blocked] };
        }
    }
}

fn gateway() -> Gateway {
    let told = tower::service_fn(|request: Request<Body>| async move {
        let route = RouteMatch::of(&request).map(|matched| matched.route.to_string());
        let marks = request.headers().get_all("x-way").iter().map(|mark| mark.to_str().unwrap());
        Ok::<_, Infallible>(Response::new(format!("{route:?} {}", marks.collect::<Vec<_>>().join(" "))))
    });
    let in_code = Route::new("/code").to_upstream("u0");
    with_marks().endpoint("told", told).route(in_code).build().unwrap()
}

/// The answers to every kind of request that the routes can tell apart.
async fn answers(gateway: &Gateway) -> Vec<String> {
    let mut answers = Vec::new();
    for path in ["/", "/a", "/a/x", "/a/x/y", "/b/c", "/b", "/code"] {
        for host in ["gw.test", "other.test", "else.where"] {
            for method in ["GET", "POST"] {
                let request = Request::builder().method(method).uri(path).header("host", host);
                let answer = ask(gateway, request.body(Body::empty()).unwrap()).await;
                let allow = answer.headers.get("allow");
                answers.push(format!("{method} {host}{path}: {} {allow:?} {}", answer.status, answer.text));
            }
        }
    }
    answers
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn edits_route_like_a_fresh_compile(edits in prop::collection::vec(edit(), 1..24)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (edited, mut snapshot) = (gateway(), Snapshot::default());
        for edit in &edits {
            perform(&mut snapshot, edit);
            edited.apply(snapshot.clone()).unwrap_or_else(|error| panic!("{error}"));
            let fresh = gateway();
            fresh.apply(snapshot.clone()).unwrap();
            let (edited, fresh) = runtime.block_on(async { (answers(&edited).await, answers(&fresh).await) });
            prop_assert_eq!(edited, fresh, "after {:?}", edit);
        }
    }
}
