//! The list of the plugins that come with the crate.
use crate::plugin::Registry;

impl Registry {
    /// Every plugin that comes with the crate and that its features allow: one line each, in order of name.
    pub fn standard() -> Self {
        let mut registry = Self::new();
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
        registry.register(super::limit_conn::LimitConnPlugin::default());
        registry.register(super::limit_count::LimitCountPlugin::default());
        registry.register(super::limit_req::LimitReqPlugin::default());
        registry.register(super::mocking::MockingPlugin);
        registry.register(super::multi_auth::MultiAuthPlugin);
        #[cfg(feature = "oidc")]
        registry.register(super::openid_connect::OpenidConnectPlugin::default());
        #[cfg(feature = "prometheus")]
        registry.register(super::prometheus::PrometheusPlugin::default());
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
        registry.register(super::workflow::WorkflowPlugin::default());
        registry
    }
}
