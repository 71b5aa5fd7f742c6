//! What the gateway says of plugins that it does not have, of functions in Lua, and of blocks that are wrong.
use super::process::{Folder, outcome};

/// A file of one route with these blocks, what the gateway says of it, and how it ends.
fn validated(settings: &str, plugins: &str) -> (i32, String) {
    let upstream = "{nodes: {\"127.0.0.1:1\": 1}}";
    let text =
        format!("{settings}\nroutes: [{{id: r, uri: /*, upstream: {upstream}, plugins: {{{plugins}}}}}]\n#END\n");
    let folder = Folder::new();
    let (code, told, faults) = outcome(&["validate", &folder.write("gateway.yaml", &text)]);
    (code, told + &*faults)
}

#[test]
fn a_plugin_that_is_not_there_has_a_reason_and_something_instead() {
    for (plugins, reason, instead) in [
        ("kafka-logger: {brokers: []}", "is not there yet: nothing sends log entries away", "let a collector take it"),
        ("ext-plugin-pre-req: {conf: []}", "runs plugins in a process of another language", "write the plugin in Rust"),
        ("exit-transformer: {functions: []}", "takes Lua source, which nothing here can run", "`_meta.error_response`"),
        (
            "aws-lambda: {function_uri: 'https://a'}",
            "is for one vendor's functions",
            "make the function's address an upstream",
        ),
        ("no-such-plugin: {}", "unknown plugin `no-such-plugin`", "remove it"),
    ] {
        let (code, told) = validated("", plugins);
        assert!(code == 1 && told.contains(reason) && told.contains(instead), "{plugins}: {code} {told}");
        let (code, told) = validated("tollgate: {unknown_plugin: ignore}", plugins);
        assert!(code == 0 && told.contains("warning") && told.contains(plugins.split(':').next().unwrap()), "{told}");
    }
}

#[test]
fn functions_are_rust_and_registered() {
    for plugin in ["serverless-pre-function", "serverless-post-function"] {
        let lua =
            format!("{plugin}: {{phase: rewrite, functions: [\"return function(conf, ctx) ngx.exit(401) end\"]}}");
        for (plugins, says) in [
            (&*lua, "Source text, such as Lua, is not run: register a Rust function with `GatewayBuilder::functions`"),
            (&format!("{plugin}: {{functions: [stamp]}}"), "there is no function `stamp`: register it"),
            (&format!("{plugin}: {{functions: []}}"), "functions"),
        ] {
            let (code, told) = validated("", plugins);
            assert!(
                code == 1 && told.contains(says) && told.contains(&format!("plugins.{plugin}.functions")),
                "{told}"
            );
        }
    }
}

#[test]
fn a_wrong_block_is_refused_in_one_line_with_its_field() {
    for (plugins, says) in [
        ("proxy-cache: {cache_zone: nowhere}", "cache_zone nowhere not found"),
        (
            "proxy-cache: {cache_strategy: memory, cache_zone: disk_cache_one}",
            "invalid or empty cache_zone for cache_strategy: memory",
        ),
        ("proxy-cache: {cache_key: [$request_method]}", "cache_key variable $request_method unsupported"),
        ("graphql-proxy-cache: {cache_zone: nowhere}", "cache_zone nowhere not found"),
        ("proxy-mirror: {host: 'http://a/b'}", "field plugins.proxy-mirror.host"),
        ("api-breaker: {}", "field plugins.api-breaker.break_response_code"),
        ("client-control: {max_body_size: -1}", "field plugins.client-control.max_body_size"),
        ("proxy-control: {request_buffering: 1}", "field plugins.proxy-control.request_buffering"),
        ("proxy-buffering: {disable: true}", "unknown field `disable`"),
        ("request-validation: {}", "write one of `header_schema` and `body_schema`"),
        ("request-validation: {body_schema: {type: nonsense}}", "field plugins.request-validation.body_schema"),
        ("oas-validator: {spec: '{}'}", "failed to parse openapi spec"),
        ("oas-validator: {spec: '{}', spec_url: 'http://a'}", "write exactly one of `spec` and `spec_url`"),
        ("gzip: {comp_level: 10}", "field plugins.gzip.comp_level"),
        ("brotli: {comp_level: 12}", "field plugins.brotli.comp_level"),
        ("zstd: {comp_level: 20}", "field plugins.zstd.comp_level"),
        ("body-transformer: {request: {template: '{{ a'}}", "field plugins.body-transformer.request.template"),
        ("echo: {headers: {a: b}}", "write at least one of `before_body`, `body` and `after_body`"),
        ("attach-consumer-label: {headers: {}}", "field plugins.attach-consumer-label.headers"),
        ("error-page: {body: x}", "unknown field `body`"),
        ("degraphql: {query: 'query {'}", "failed to parse query"),
        ("data-mask: {request: [{type: query, name: a, action: regex}]}", "field plugins.data-mask.request.0.regex"),
        ("opa: {host: 'http://a'}", "property \"policy\" is required"),
        ("jwe-decrypt: {forward: a}", "unknown field `forward`"),
        ("ldap-auth: {base_dn: x}", "property \"ldap_uri\" is required"),
        ("authz-keycloak: {client_id: a}", "property \"discovery\" or \"token_endpoint\" is required"),
    ] {
        let (code, told) = validated("", plugins);
        let faults = told.lines().filter(|line| line.starts_with("error: ")).count();
        assert!(code == 1 && faults == 1 && told.contains(says), "{plugins}: {code} {told}");
        assert!(told.contains("route `r`"), "{told}");
    }
}
