//! Taking answers out by their key.
use http::header::ALLOW;
use http::{HeaderValue, Method, StatusCode};

use super::plugin::GraphqlProxyCachePlugin;
use crate::cache::{CacheKey, KeyBuilder, Zones};
use crate::plugin::{Api, Plugin as _};
use crate::{Next, Request, Response, reject, reject_empty};

const NAME: &str = GraphqlProxyCachePlugin::NAME;
const PATH: &str = "/apisix/plugin/graphql-proxy-cache/";

/// By what the keys of a route's answers are told: a route that purges below the path of one alone takes out nothing of others'.
pub(super) fn by_route(id: &str) -> CacheKey {
    KeyBuilder::default().part(NAME.as_bytes()).part(id.as_bytes()).finish()
}

/// `PURGE <PATH><disk|memory>/<route id>/<key>`.
pub(super) fn purging(zones: &Zones) -> Api {
    let zones = zones.clone();
    let service = Next::from_fn(move |request: Request| {
        let zones = zones.clone();
        async move { purge(&zones, &request.into_parts().0).await }
    });
    Api { path: format!("{PATH}*"), service }
}

async fn purge(zones: &Zones, request: &http::request::Parts) -> Response {
    if request.method != Method::from_bytes(b"PURGE").unwrap_or(Method::DELETE) {
        let mut refusal = reject_empty(StatusCode::METHOD_NOT_ALLOWED, NAME);
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("PURGE"));
        return refusal;
    }
    let mut parts = request.uri.path().strip_prefix(PATH).unwrap_or_default().split('/');
    let (strategy, route, key) = (parts.next(), parts.next(), parts.next());
    let is_on_disk = match strategy {
        Some("disk") => true,
        Some("memory") => false,
        _ => return reject(StatusCode::BAD_REQUEST, NAME, "the strategy is disk or memory"),
    };
    let (Some(route), Some(key), None) = (route.filter(|route| !route.is_empty()), key, parts.next()) else {
        return reject(StatusCode::BAD_REQUEST, NAME, "write <disk|memory>/<route id>/<key>");
    };
    let Some(key) = CacheKey::parse(key).map(|key| key.told(&by_route(route))) else {
        return reject_empty(StatusCode::NOT_FOUND, NAME);
    };
    let mut was_there = false;
    for zone in zones.all().iter().filter(|zone| zone.is_on_disk() == is_on_disk) {
        was_there |= zone.purge(key).await;
    }
    if was_there {
        return reject_empty(StatusCode::OK, NAME);
    }
    for zone in zones.all().iter().filter(|zone| zone.is_on_disk() != is_on_disk) {
        if zone.keeps(key) {
            return reject(StatusCode::BAD_REQUEST, NAME, "the answer is kept by the other strategy");
        }
    }
    reject_empty(StatusCode::NOT_FOUND, NAME)
}
