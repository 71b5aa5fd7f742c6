//! What still runs on which configuration.
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use serde_json::json;
use tollgate::gateway::{Gateway, Generation};
use tollgate::{Body, BodyError};
use tower::ServiceExt as _;

use super::support::snapshot;

fn shape(generations: &[Generation]) -> Vec<(u64, usize, usize, bool)> {
    generations.iter().map(|it| (it.revision, it.requests, it.tunnels, it.is_whole)).collect()
}

fn apply(gateway: &Gateway, uri: &str) {
    let document = json!({"routes": [
        {"id": "r", "uri": uri, "upstream": {"nodes": [{"service": "drip", "weight": 1}]}},
    ]});
    gateway.apply(snapshot(&document)).unwrap();
}

#[tokio::test]
async fn an_answer_counts_until_its_end_for_the_configuration_that_it_began_with() {
    let drip = tower::service_fn(|_: Request<Body>| async {
        let begun = futures_util::stream::iter([Ok::<_, BodyError>(hyper::body::Frame::data(Bytes::from("drip")))]);
        let endless = futures_util::StreamExt::chain(begun, futures_util::stream::pending());
        Ok::<_, std::convert::Infallible>(Response::new(Body::stream(StreamBody::new(endless))))
    });
    let gateway = Gateway::builder().endpoint("drip", drip).build().unwrap();
    apply(&gateway, "/a");
    let ask = |path: &str| {
        let request = Request::builder().uri(path).header("host", "a.test").body(Body::empty()).unwrap();
        gateway.clone().oneshot(request)
    };
    let mut old = ask("/a").await.unwrap().into_body();
    assert!(old.frame().await.unwrap().unwrap().is_data());
    apply(&gateway, "/b");
    let new = ask("/b").await.unwrap().into_body();
    let not_found = ask("/c").await.unwrap();
    assert_eq!(
        shape(&gateway.generations()),
        [(3, 1, 0, true), (2, 1, 0, false)],
        "of the old one only a route is left"
    );
    drop(new);
    assert_eq!(shape(&gateway.generations()), [(3, 0, 0, true), (2, 1, 0, false)]);
    drop(old);
    assert_eq!(shape(&gateway.generations()), [(3, 0, 0, true)], "an answer at hand runs on nothing");
    assert_eq!(not_found.status(), 404);
    for round in 0..50 {
        apply(&gateway, &format!("/{round}"));
    }
    assert_eq!(shape(&gateway.generations()), [(53, 0, 0, true)]);
}
