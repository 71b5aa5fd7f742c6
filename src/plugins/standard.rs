//! The list of the plugins that come with the crate.
use super::limit_conn::LimitConnPlugin;
use super::limit_count::LimitCountPlugin;
use super::limit_req::LimitReqPlugin;
use crate::plugin::Registry;

impl Registry {
    /// Every plugin that comes with the crate and that its features allow: one line each, in order of name.
    pub fn standard() -> Self {
        let mut registry = Self::new();
        let (conn, count, req) = (LimitConnPlugin::default(), LimitCountPlugin::default(), LimitReqPlugin::default());
        registry.register(super::acl::AclPlugin);
        registry.register_auth(super::basic_auth::BasicAuthPlugin::default());
        registry.register(super::consumer_restriction::ConsumerRestrictionPlugin);
        registry.register(super::cors::CorsPlugin);
        #[cfg(feature = "csrf")]
        registry.register(super::csrf::CsrfPlugin);
        registry.register(super::fault_injection::FaultInjectionPlugin);
        #[cfg(feature = "callout")]
        registry.register(super::forward_auth::ForwardAuthPlugin::default());
        #[cfg(feature = "hmac")]
        registry.register_auth(super::hmac_auth::HmacAuthPlugin::default());
        registry.register(super::ip_restriction::IpRestrictionPlugin);
        #[cfg(feature = "jwt")]
        registry.register_auth(super::jwt_auth::JwtAuthPlugin);
        registry.register_auth(super::key_auth::KeyAuthPlugin);
        registry.register(conn.clone());
        registry.register(count.clone());
        registry.register(req.clone());
        registry.register(super::mocking::MockingPlugin);
        registry.register(super::multi_auth::MultiAuthPlugin);
        #[cfg(feature = "oidc")]
        registry.register(super::openid_connect::OpenidConnectPlugin::default());
        #[cfg(feature = "prometheus")]
        registry.register(super::prometheus::PrometheusPlugin::new(watching(&conn, &count, &req)));
        registry.register(super::proxy_rewrite::ProxyRewritePlugin);
        registry.register(super::public_api::PublicApiPlugin);
        registry.register(super::real_ip::RealIpPlugin);
        registry.register(super::redirect::RedirectPlugin);
        registry.register(super::referer_restriction::RefererRestrictionPlugin);
        registry.register(super::request_id::RequestIdPlugin);
        registry.register(super::response_rewrite::ResponseRewritePlugin);
        registry.register(super::traffic_split::TrafficSplitPlugin::default());
        registry.register(super::ua_restriction::UaRestrictionPlugin);
        registry.register(super::uri_blocker::UriBlockerPlugin);
        registry.register(super::workflow::WorkflowPlugin::new(count, conn));
        registry
    }
}

/// Metrics that tell of the limiters' keys as well: memory follows them, and what was evicted was not limited to the letter.
#[cfg(feature = "prometheus")]
fn watching(conn: &LimitConnPlugin, count: &LimitCountPlugin, req: &LimitReqPlugin) -> super::prometheus::Metrics {
    const KEYS: &str = "Keys that the limiter holds in this process.";
    const EVICTED: &str = "Keys that went before their time, because the limiter was full.";
    #[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
    let keys = |keys: usize| keys as f64;
    #[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
    let evicted = |evicted: u64| evicted as f64;
    let metrics = super::prometheus::Metrics::default();
    let conn = conn.clone();
    metrics.gauge("limit_conn_keys", KEYS, move || keys(conn.keys()));
    let (held, gone) = (count.clone(), count.clone());
    metrics.gauge("limit_count_keys", KEYS, move || keys(held.keys()));
    metrics.gauge("limit_count_evicted_total", EVICTED, move || evicted(gone.evicted()));
    let (held, gone) = (req.clone(), req.clone());
    metrics.gauge("limit_req_keys", KEYS, move || keys(held.keys()));
    metrics.gauge("limit_req_evicted_total", EVICTED, move || evicted(gone.evicted()));
    metrics
}
