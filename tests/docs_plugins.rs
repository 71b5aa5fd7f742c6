//! `docs/plugins.md` is what the plugins' types, their documentation and their examples say. To write it anew:
//! `UPDATE_DOCS=1 cargo test --all-features --test docs_plugins`.
#![cfg(test)]
#![cfg(all(feature = "full", feature = "schema"))]
#[path = "docs_plugins/page.rs"]
mod page;
#[path = "docs_plugins/prose.rs"]
mod prose;
#[path = "docs_plugins/table.rs"]
mod table;

use std::fs;
use std::path::{Path, PathBuf};

use page::{Page, auth, plain};
use tollgate::config::FileSource;
use tollgate::gateway::Gateway;
use tollgate::plugin::Registry;
use tollgate::plugins;

/// Every plugin, in order of name.
fn pages() -> Vec<Page> {
    use plugins::*;
    vec![
        plain::<acl::AclPlugin>(),
        plain::<api_breaker::ApiBreakerPlugin>(),
        plain::<attach_consumer_label::AttachConsumerLabelPlugin>(),
        plain::<authz_casbin::AuthzCasbinPlugin>().metadata::<authz_casbin::AuthzCasbinMetadata>(),
        plain::<authz_keycloak::AuthzKeycloakPlugin>(),
        auth::<basic_auth::BasicAuthPlugin>(),
        plain::<batch_requests::BatchRequestsPlugin>()
            .metadata::<batch_requests::BatchRequestsMetadata>()
            .attr::<batch_requests::BatchRequestsAttr>(),
        plain::<body_transformer::BodyTransformerPlugin>(),
        plain::<brotli::BrotliPlugin>(),
        plain::<cas_auth::CasAuthPlugin>(),
        plain::<cedar::CedarPlugin>(),
        plain::<client_control::ClientControlPlugin>(),
        plain::<consumer_restriction::ConsumerRestrictionPlugin>(),
        plain::<cors::CorsPlugin>().metadata::<cors::CorsMetadata>(),
        plain::<csrf::CsrfPlugin>(),
        plain::<data_mask::DataMaskPlugin>(),
        plain::<degraphql::DegraphqlPlugin>(),
        plain::<echo::EchoPlugin>(),
        plain::<error_page::ErrorPagePlugin>().metadata::<error_page::ErrorPageMetadata>(),
        plain::<fault_injection::FaultInjectionPlugin>(),
        plain::<forward_auth::ForwardAuthPlugin>(),
        plain::<graphql_proxy_cache::GraphqlProxyCachePlugin>(),
        plain::<grpc_transcode::GrpcTranscodePlugin>(),
        plain::<grpc_web::GrpcWebPlugin>(),
        plain::<gzip::GzipPlugin>(),
        auth::<hmac_auth::HmacAuthPlugin>(),
        plain::<ip_restriction::IpRestrictionPlugin>(),
        auth::<jwe_decrypt::JweDecryptPlugin>(),
        auth::<jwt_auth::JwtAuthPlugin>(),
        auth::<key_auth::KeyAuthPlugin>(),
        auth::<ldap_auth::LdapAuthPlugin>(),
        plain::<limit_conn::LimitConnPlugin>(),
        plain::<limit_count::LimitCountPlugin>().metadata::<limit_count::LimitCountMetadata>(),
        plain::<limit_req::LimitReqPlugin>(),
        plain::<mocking::MockingPlugin>(),
        plain::<multi_auth::MultiAuthPlugin>(),
        plain::<oas_validator::OasValidatorPlugin>().metadata::<oas_validator::OasValidatorMetadata>(),
        plain::<opa::OpaPlugin>(),
        plain::<openid_connect::OpenidConnectPlugin>(),
        plain::<prometheus::PrometheusPlugin>()
            .metadata::<prometheus::PrometheusMetadata>()
            .attr::<prometheus::PrometheusAttr>(),
        plain::<proxy_buffering::ProxyBufferingPlugin>(),
        plain::<proxy_cache::ProxyCachePlugin>(),
        plain::<proxy_control::ProxyControlPlugin>(),
        plain::<proxy_mirror::ProxyMirrorPlugin>().attr::<proxy_mirror::ProxyMirrorAttr>(),
        plain::<proxy_rewrite::ProxyRewritePlugin>(),
        plain::<public_api::PublicApiPlugin>(),
        plain::<real_ip::RealIpPlugin>(),
        plain::<redirect::RedirectPlugin>().attr::<redirect::RedirectAttributes>(),
        plain::<referer_restriction::RefererRestrictionPlugin>(),
        plain::<request_id::RequestIdPlugin>(),
        plain::<request_validation::RequestValidationPlugin>(),
        plain::<response_rewrite::ResponseRewritePlugin>(),
        plain::<serverless_post_function::ServerlessPostFunctionPlugin>(),
        plain::<serverless_pre_function::ServerlessPreFunctionPlugin>(),
        plain::<traffic_split::TrafficSplitPlugin>(),
        plain::<ua_restriction::UaRestrictionPlugin>(),
        plain::<uri_blocker::UriBlockerPlugin>(),
        plain::<workflow::WorkflowPlugin>(),
        plain::<zstd::ZstdPlugin>(),
    ]
}

const HEAD: &str = "\
# Plugins

What stands here is written out of the plugins' types, their documentation and `docs/plugins/examples`; a test keeps it so.
[configuration.md](configuration.md) says where a block of plugins may stand, [write-a-plugin.md](write-a-plugin.md) how to make
one of your own.

A block is `name: {fields}` under `plugins` of a route, service, plugin config, consumer, consumer group or global rule. A field
that is not named here is refused. Every block may have `_meta`: `disable`, `priority`, `filter`, `error_response`. A request
passes the stages in the order of the table, inside a stage global rules first (caches of theirs stand among the route's plugins), then
the higher priority first; its answer passes them the other way round.

";

const ABSENT: &str = "
## Plugins that are not there

Plugins of Apache APISIX that a configuration may name and that no build has. Such a configuration is refused with the reason,
or taken without the plugin and with a warning under `tollgate.unknown_plugin: ignore`.

| plugin | it | instead |
|---|---|---|
";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The whole document.
fn document(pages: &[Page]) -> String {
    let mut text = HEAD.to_owned();
    let mut order: Vec<_> = pages.iter().collect();
    order.sort_by_key(|page| (page.stage, std::cmp::Reverse(page.priority), page.name));
    text.push_str("| stage | priority | plugin | |\n|---|---|---|---|\n");
    for page in order {
        let first = page.prose.split("\n\n").next().unwrap_or_default().replace('\n', " ");
        let does = first.split_once(": ").map_or(&*first, |(_, does)| does);
        let does = does.split(". Stage:").next().unwrap_or(does).trim_end_matches('.');
        let stage = format!("{:?}", page.stage).to_lowercase();
        text.push_str(&format!("| {stage} | {} | [{}](#{}) | {does} |\n", page.priority, page.name, page.name));
    }
    pages.iter().for_each(|page| text.push_str(&page.text()));
    text.push_str(ABSENT);
    let mut absent: Vec<_> = plugins::never_there().collect();
    absent.sort_by_key(|(name, _)| *name);
    for (name, plugins::Absent { reason, instead }) in absent {
        text.push_str(&format!("| `{name}` | {reason} | {instead} |\n"));
    }
    text
}

#[test]
fn the_catalogue_is_up_to_date() {
    let path = root().join("docs/plugins.md");
    let due = document(&pages());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &due).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    let differs = there.lines().zip(due.lines()).position(|(there, due)| there != due);
    let line = differs.unwrap_or(there.lines().count().min(due.lines().count()));
    assert!(
        there == due,
        "docs/plugins.md is out of date from line {} on:\n{}\nis due; UPDATE_DOCS=1 cargo test --all-features --test docs_plugins",
        line + 1,
        due.lines().nth(line).unwrap_or_default()
    );
}

#[test]
fn every_plugin_has_a_page() {
    let registry = Registry::standard();
    let pages = pages();
    let shown: Vec<_> = pages.iter().map(|page| page.name).collect();
    assert_eq!(shown, registry.names().collect::<Vec<_>>(), "pages, against the standard plugins");
}

/// The examples, by name of the plugin.
fn examples() -> Vec<(String, PathBuf)> {
    let folder = fs::read_dir(root().join("docs/plugins/examples")).unwrap();
    let paths = folder.map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = paths.map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path)).collect();
    all.sort();
    all
}

#[test]
fn every_example_is_taken_and_is_of_a_plugin() {
    let pages = pages();
    for (name, path) in examples() {
        assert!(pages.iter().any(|page| page.name == name), "{}: of no plugin", path.display());
        let text = fs::read_to_string(&path).unwrap();
        let read = FileSource::new("apisix.yaml").with_environment(|_| None).read(text.as_bytes()).unwrap();
        let errors: Vec<_> = read.errors().map(ToString::to_string).collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
        let gateway = Gateway::builder().build().unwrap();
        let faults: Vec<_> = gateway.check(&read.snapshot).into_iter().filter(|finding| finding.is_error()).collect();
        assert!(faults.is_empty(), "{}: {faults:#?}", path.display());
    }
}

#[test]
fn every_field_tells_what_it_is() {
    let silent: Vec<_> = pages().iter().flat_map(Page::silent_fields).collect();
    assert!(silent.is_empty(), "fields without a word: {silent:#?}");
}
