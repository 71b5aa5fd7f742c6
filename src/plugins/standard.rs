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
        #[cfg(feature = "cache")]
        let cache = super::proxy_cache::ProxyCachePlugin::default();
        let breaker = super::api_breaker::ApiBreakerPlugin::default();
        let mirror = super::proxy_mirror::ProxyMirrorPlugin::default();
        #[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd"))]
        let encoders = super::compress::Memory::default();
        registry.register(super::acl::AclPlugin);
        registry.register(breaker.clone());
        registry.register(super::attach_consumer_label::AttachConsumerLabelPlugin);
        #[cfg(feature = "casbin")]
        registry.register(super::authz_casbin::AuthzCasbinPlugin::default());
        #[cfg(feature = "callout")]
        registry.register(super::authz_keycloak::AuthzKeycloakPlugin::default());
        registry.register_auth(super::basic_auth::BasicAuthPlugin::default());
        registry.register(super::batch_requests::BatchRequestsPlugin);
        #[cfg(feature = "body-transformer")]
        registry.register(super::body_transformer::BodyTransformerPlugin);
        #[cfg(feature = "brotli")]
        registry.register(super::brotli::BrotliPlugin::within(encoders.clone()));
        #[cfg(feature = "cas")]
        registry.register(super::cas_auth::CasAuthPlugin::default());
        #[cfg(feature = "cedar")]
        registry.register(super::cedar::CedarPlugin);
        registry.register(super::client_control::ClientControlPlugin);
        registry.register(super::consumer_restriction::ConsumerRestrictionPlugin);
        registry.register(super::cors::CorsPlugin);
        #[cfg(feature = "csrf")]
        registry.register(super::csrf::CsrfPlugin);
        registry.register(super::data_mask::DataMaskPlugin);
        registry.register(super::degraphql::DegraphqlPlugin);
        registry.register(super::echo::EchoPlugin);
        registry.register(super::error_page::ErrorPagePlugin);
        registry.register(super::fault_injection::FaultInjectionPlugin);
        #[cfg(feature = "callout")]
        registry.register(super::forward_auth::ForwardAuthPlugin::default());
        #[cfg(feature = "cache")]
        registry.register(super::graphql_proxy_cache::GraphqlProxyCachePlugin::new(cache.zones().clone()));
        #[cfg(feature = "grpc-transcode")]
        registry.register(super::grpc_transcode::GrpcTranscodePlugin::default());
        registry.register(super::grpc_web::GrpcWebPlugin);
        #[cfg(feature = "gzip")]
        registry.register(super::gzip::GzipPlugin::within(encoders.clone()));
        #[cfg(feature = "hmac")]
        registry.register_auth(super::hmac_auth::HmacAuthPlugin::default());
        registry.register(super::ip_restriction::IpRestrictionPlugin);
        #[cfg(feature = "jwe")]
        registry.register_auth(super::jwe_decrypt::JweDecryptPlugin);
        #[cfg(feature = "jwt")]
        registry.register_auth(super::jwt_auth::JwtAuthPlugin);
        registry.register_auth(super::key_auth::KeyAuthPlugin);
        #[cfg(feature = "ldap")]
        registry.register_auth(super::ldap_auth::LdapAuthPlugin::default());
        registry.register(conn.clone());
        registry.register(count.clone());
        registry.register(req.clone());
        registry.register(super::mocking::MockingPlugin);
        registry.register(super::multi_auth::MultiAuthPlugin);
        #[cfg(feature = "validation")]
        registry.register(super::oas_validator::OasValidatorPlugin::default());
        #[cfg(feature = "callout")]
        registry.register(super::opa::OpaPlugin::default());
        #[cfg(feature = "oidc")]
        registry.register(super::openid_connect::OpenidConnectPlugin::default());
        #[cfg(feature = "prometheus")]
        {
            let metrics = watching(&conn, &count, &req, &breaker, &mirror);
            #[cfg(feature = "cache")]
            watching_zones(&metrics, cache.zones());
            #[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd"))]
            watching_encoders(&metrics, &encoders);
            registry.register(super::prometheus::PrometheusPlugin::new(metrics));
        }
        registry.register(super::proxy_buffering::ProxyBufferingPlugin);
        #[cfg(feature = "cache")]
        registry.register(cache.clone());
        registry.register(super::proxy_control::ProxyControlPlugin);
        registry.register(mirror);
        registry.register(super::proxy_rewrite::ProxyRewritePlugin);
        registry.register(super::public_api::PublicApiPlugin);
        registry.register(super::real_ip::RealIpPlugin);
        registry.register(super::redirect::RedirectPlugin);
        registry.register(super::referer_restriction::RefererRestrictionPlugin);
        registry.register(super::request_id::RequestIdPlugin);
        #[cfg(feature = "validation")]
        registry.register(super::request_validation::RequestValidationPlugin::default());
        registry.register(super::response_rewrite::ResponseRewritePlugin);
        registry.register(super::serverless_post_function::ServerlessPostFunctionPlugin::default());
        registry.register(super::serverless_pre_function::ServerlessPreFunctionPlugin::default());
        registry.register(super::traffic_split::TrafficSplitPlugin::default());
        registry.register(super::ua_restriction::UaRestrictionPlugin);
        registry.register(super::uri_blocker::UriBlockerPlugin);
        registry.register(super::workflow::WorkflowPlugin::new(count, conn));
        #[cfg(feature = "zstd")]
        registry.register(super::zstd::ZstdPlugin::within(encoders.clone()));
        registry
    }
}

/// Metrics that tell of the limiters' and breakers' keys as well: memory follows them, and what was evicted counts no
/// more; and of what became of copies, which nobody else hears of.
#[cfg(feature = "prometheus")]
fn watching(
    conn: &LimitConnPlugin,
    count: &LimitCountPlugin,
    req: &LimitReqPlugin,
    breaker: &super::api_breaker::ApiBreakerPlugin,
    mirror: &super::proxy_mirror::ProxyMirrorPlugin,
) -> super::prometheus::Metrics {
    const KEYS: &str = "Keys that the limiter holds in this process.";
    const EVICTED: &str = "Keys that went before their time, because the limiter was full.";
    const COPIES: &str = "Copies of requests by proxy-mirror, by what became of them.";
    #[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
    let keys = |keys: usize| keys as f64;
    #[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
    let total = |total: u64| total as f64;
    let metrics = super::prometheus::Metrics::default();
    let conn = conn.clone();
    metrics.gauge("limit_conn_keys", KEYS, move || keys(conn.keys()));
    let (held, gone) = (count.clone(), count.clone());
    metrics.gauge("limit_count_keys", KEYS, move || keys(held.keys()));
    metrics.gauge("limit_count_evicted_total", EVICTED, move || total(gone.evicted()));
    let (held, gone) = (req.clone(), req.clone());
    metrics.gauge("limit_req_keys", KEYS, move || keys(held.keys()));
    metrics.gauge("limit_req_evicted_total", EVICTED, move || total(gone.evicted()));
    let (held, gone) = (breaker.clone(), breaker.clone());
    metrics.gauge("api_breaker_keys", "Breakers that this process holds.", move || keys(held.keys()));
    metrics.gauge(
        "api_breaker_evicted_total",
        "Breakers that went before their time, because there were too many.",
        move || total(gone.evicted()),
    );
    let [sent, failed, dropped] = [mirror; 3].map(Clone::clone);
    metrics.gauge("proxy_mirror_sent_total", COPIES, move || total(sent.outcomes().sent()));
    metrics.gauge("proxy_mirror_failed_total", COPIES, move || total(failed.outcomes().failed()));
    metrics.gauge("proxy_mirror_dropped_total", COPIES, move || total(dropped.outcomes().dropped()));
    metrics
}

/// Metrics that tell of the caches' zones, all together.
#[cfg(all(feature = "prometheus", feature = "cache"))]
fn watching_zones(metrics: &super::prometheus::Metrics, zones: &crate::cache::Zones) {
    use crate::cache::Stats;
    type Figure = (&'static str, &'static str, fn(Stats) -> u64);
    const FIGURES: [Figure; 7] = [
        ("cache_hits_total", "Requests that were answered out of a cache.", |stats| stats.hits),
        ("cache_misses_total", "Requests that might have been answered out of a cache and were not.", |stats| {
            stats.misses
        }),
        ("cache_stored_total", "Answers that were stored.", |stats| stats.stored),
        ("cache_evicted_total", "Answers that went for want of room.", |stats| stats.evicted),
        ("cache_errors_total", "Failures of disks, and files that were not as written.", |stats| {
            stats.errors + stats.corrupt
        }),
        ("cache_entries", "URLs of which something is kept.", |stats| stats.entries),
        ("cache_bytes", "Bytes that are kept.", |stats| stats.bytes),
    ];
    for (name, help, read) in FIGURES {
        let zones = zones.clone();
        #[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
        metrics.gauge(name, help, move || read(zones.stats()) as f64);
    }
}

#[cfg(all(feature = "prometheus", any(feature = "gzip", feature = "brotli", feature = "zstd")))]
#[expect(clippy::cast_precision_loss, reason = "figures to look at")]
fn watching_encoders(metrics: &super::prometheus::Metrics, encoders: &super::compress::Memory) {
    let (held, refused) = (encoders.clone(), encoders.clone());
    let help = "Bytes that encoders of answers take at most.";
    metrics.gauge("compress_encoder_bytes", help, move || held.taken() as f64);
    let help = "Encoders of answers that there was no memory for.";
    metrics.gauge("compress_refused_total", help, move || refused.refused() as f64);
}

#[cfg(all(test, feature = "schema"))]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plugin::SchemaOf;

    /// Names that sound like secrets and hold none.
    const EXCUSED: &[&str] = &[
        // names of fields, claims, variables and files, not what stands in them
        "key_claim_name",
        "hash_key",
        "key_id",
        "key_type",
        "cookie",
        "cookie_name",
        "cookie_path",
        "cookie_domain",
        "cookie_same_site",
        "token_endpoint_auth_method",
        "token_endpoint",
        "password_grant_token_generation_incoming_uri",
        "external_user_label_field_key",
        // numbers and switches
        "key_ttl",
        "hide_credentials",
        // public by their nature
        "public_key",
        "public_jwk",
        "client_rsa_private_key_id",
        // an identifier that tokens carry in the clear
        "jwt-auth key",
        "jwe-decrypt key",
        // the variable that is counted
        "limit-count key",
        "limit-conn key",
        "limit-req key",
        "api-breaker key",
        // the name of a field
        "api-breaker break_response_headers.*.key",
    ];

    /// Every field of a schema: its path, its name, its schema.
    fn fields(schema: &Value, at: &str, all: &mut Vec<(String, String, Value)>) {
        for (name, field) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let path = format!("{at}{name}");
            all.push((path.clone(), name.clone(), field.clone()));
            fields(field, &format!("{path}."), all);
        }
        for below in ["items", "additionalProperties"] {
            let Some(inner) = schema.get(below).filter(|inner| inner.is_object()) else { continue };
            all.push((format!("{at}*"), String::new(), inner.clone()));
            fields(inner, &format!("{at}*."), all);
        }
        for choice in ["anyOf", "oneOf", "allOf", "prefixItems"] {
            for inner in schema.get(choice).and_then(Value::as_array).into_iter().flatten() {
                fields(inner, &if choice == "prefixItems" { format!("{at}*.") } else { at.to_owned() }, all);
            }
        }
    }

    fn described() -> Vec<(&'static str, String, String, Value)> {
        let registry = Registry::standard();
        let mut all = Vec::new();
        for entry in registry.iter() {
            for of in [SchemaOf::Block, SchemaOf::Credential, SchemaOf::Metadata] {
                let mut found = Vec::new();
                entry.schema(of).iter().for_each(|schema| fields(schema, "", &mut found));
                all.extend(found.into_iter().map(|(path, name, schema)| (entry.name(), path, name, schema)));
            }
        }
        all
    }

    #[test]
    fn every_plugin_describes_its_blocks() {
        for entry in Registry::standard().iter() {
            let block = entry.schema(SchemaOf::Block).unwrap_or_else(|| panic!("{} has no schema", entry.name()));
            assert!(block.pointer("/properties/_meta/properties/priority").is_some(), "{}: {block}", entry.name());
            assert_eq!(entry.is_auth() && entry.name() != "multi-auth", entry.schema(SchemaOf::Credential).is_some());
            let takes_metadata = entry.check_metadata(&serde_json::Map::new()).is_ok();
            assert_eq!(entry.schema(SchemaOf::Metadata).is_some(), takes_metadata, "metadata of {}", entry.name());
        }
    }

    #[test]
    fn what_is_typed_as_a_secret_is_listed_as_one() {
        let registry = Registry::standard();
        let mut seen = 0;
        for (plugin, path, _, schema) in described() {
            if schema.get("writeOnly") == Some(&json!(true)) {
                seen += 1;
                let listed = registry.get(plugin).unwrap().secret_fields();
                assert!(listed.contains(&&*path), "{plugin}: {path} is a secret; listed are {listed:?}");
            }
        }
        assert!(seen > 15, "only {seen} secrets were found at all");
    }

    #[test]
    fn what_sounds_like_a_secret_is_listed_or_excused() {
        let registry = Registry::standard();
        let sounds = |name: &str| {
            let words = ["secret", "password", "passwd", "token", "credential", "cookie", "private"];
            words.iter().any(|word| name.contains(word)) || name.split('_').any(|part| part == "key" || part == "keys")
        };
        let mut missing = Vec::new();
        for (plugin, path, name, schema) in described() {
            let text = schema.get("type").is_some_and(|kind| kind == "string" || kind == &json!(["string", "null"]));
            let excused = EXCUSED.contains(&&*name) || EXCUSED.contains(&&*format!("{plugin} {name}"));
            if text && sounds(&name) && !excused {
                let listed = registry.get(plugin).unwrap().secret_fields();
                missing.extend((!listed.contains(&&*path)).then(|| format!("{plugin}: {path}")));
            }
        }
        assert!(missing.is_empty(), "list as secret, or excuse by name: {missing:#?}");
    }

    #[test]
    fn listed_secrets_exist() {
        let described = described();
        // A limiter inside a `workflow` and an upstream inside a `traffic-split` are untyped maps there.
        let untyped = ["workflow", "traffic-split"];
        for entry in Registry::standard().iter().filter(|entry| !untyped.contains(&entry.name())) {
            for path in entry.secret_fields() {
                let there = described.iter().any(|(plugin, at, ..)| *plugin == entry.name() && at == path);
                assert!(there, "{}: there is no field `{path}`", entry.name());
            }
        }
    }
}
