//! Plugins of the catalogue that a gateway does not have: why, and what to do instead.

/// Why a plugin of the catalogue is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Absent {
    /// The reason, as the rest of a sentence that begins with the plugin's name.
    pub reason: &'static str,
    /// What to do about it.
    pub instead: &'static str,
}

/// Why the plugin of that name is not among the [standard](crate::plugin::Registry::standard) ones: what it needs is not in
/// this build, or it was never made. `None` for those that are there and for names that no catalogue has.
pub fn absent(name: &str) -> Option<Absent> {
    let needs = NEEDS.iter().find(|(plugin, ..)| *plugin == name);
    let needs =
        needs.filter(|(.., has)| !has).map(|(_, instead, _)| Absent { reason: "is not in this build", instead });
    let missing = || MISSING.iter().find(|group| group.names.contains(&name));
    needs.or_else(|| missing().map(|group| Absent { reason: group.reason, instead: group.instead }))
}

/// Every plugin of the catalogue that no build has.
pub fn never_there() -> impl Iterator<Item = (&'static str, Absent)> {
    let of = |group: &'static Group| {
        let absent = Absent { reason: group.reason, instead: group.instead };
        group.names.iter().map(move |name| (*name, absent))
    };
    MISSING.iter().flat_map(of)
}

/// A plugin, the mend, and whether this build has its feature.
type Need = (&'static str, &'static str, bool);

macro_rules! needs {
    ($($plugin:literal: $feature:literal,)*) => {
        &[$(($plugin, concat!("build with the feature `", $feature, "`"), cfg!(feature = $feature))),*]
    };
}

/// The plugins that a feature buys.
const NEEDS: &[Need] = needs! {
    "authz-casbin": "casbin",
    "authz-keycloak": "callout",
    "body-transformer": "body-transformer",
    "brotli": "brotli",
    "cas-auth": "cas",
    "cedar": "cedar",
    "csrf": "csrf",
    "forward-auth": "callout",
    "graphql-proxy-cache": "cache",
    "grpc-transcode": "grpc-transcode",
    "gzip": "gzip",
    "hmac-auth": "hmac",
    "jwe-decrypt": "jwe",
    "jwt-auth": "jwt",
    "ldap-auth": "ldap",
    "oas-validator": "validation",
    "opa": "callout",
    "openid-connect": "oidc",
    "prometheus": "prometheus",
    "proxy-cache": "cache",
    "request-validation": "validation",
    "zstd": "zstd",
};

struct Group {
    names: &'static [&'static str],
    reason: &'static str,
    instead: &'static str,
}

const MISSING: &[Group] = &[
    Group {
        names: &[
            "clickhouse-logger",
            "elasticsearch-logger",
            "file-logger",
            "http-logger",
            "kafka-logger",
            "loki-logger",
            "syslog",
            "tcp-logger",
            "udp-logger",
        ],
        reason: "is not there yet: nothing sends log entries away by itself",
        instead: "write the access log to a file or standard output and let a collector take it from there",
    },
    Group {
        names: &[
            "datadog",
            "google-cloud-logging",
            "lago",
            "loggly",
            "rocketmq-logger",
            "skywalking-logger",
            "sls-logger",
            "splunk-hec-logging",
            "tencent-cloud-cls",
        ],
        reason: "is for one vendor's product",
        instead: "let the vendor's collector take the access log, or the metrics of `prometheus` (feature `prometheus`)",
    },
    Group {
        names: &["opentelemetry", "skywalking", "zipkin"],
        reason: "is not there yet: the gateway makes no traces of its own",
        instead: "`traceparent` and the like pass as they are; in a program, the feature `tracing` gives events",
    },
    Group {
        names: &["ai", "error-log-logger", "inspect", "log-rotate", "node-status", "server-info"],
        reason: "belongs to the reference's own runtime",
        instead: "remove it: the control API tells about the gateway, and the log is rotated by whoever keeps it",
    },
    Group {
        names: &["example-plugin"],
        reason: "is a template for authors",
        instead: "docs/write-a-plugin.md is ours",
    },
    Group {
        names: &[
            "ai-aliyun-content-moderation",
            "ai-aws-content-moderation",
            "ai-cache",
            "ai-lakera-guard",
            "ai-prompt-decorator",
            "ai-prompt-guard",
            "ai-prompt-template",
            "ai-proxy",
            "ai-proxy-multi",
            "ai-rag",
            "ai-rate-limiting",
            "ai-request-rewrite",
            "mcp-bridge",
        ],
        reason: "is not there yet: nothing knows about language models",
        instead: "a provider can be an upstream: `proxy-rewrite` sets its key, `limit-count` counts requests",
    },
    Group {
        names: &["aws-lambda", "azure-functions", "openfunction", "openwhisk"],
        reason: "is for one vendor's functions",
        instead: "make the function's address an upstream, and set its key by `proxy-rewrite`",
    },
    Group {
        names: &["dubbo-proxy", "http-dubbo", "kafka-proxy", "mqtt-proxy"],
        reason: "is for a protocol that is not spoken here",
        instead: "remove it; what speaks HTTP or gRPC can be an upstream",
    },
    Group {
        names: &["gm"],
        reason: "needs algorithms that the TLS library does not have",
        instead: "end such TLS in front of the gateway, and tell the client's address by the PROXY protocol",
    },
    Group {
        names: &["ocsp-stapling"],
        reason: "is no plugin here",
        instead: "write `ocsp_stapling` in the item of `ssls`; docs/acme.md",
    },
    Group {
        names: &[
            "authz-casdoor",
            "chaitin-waf",
            "dingtalk-auth",
            "feishu-auth",
            "ldap-auth-advanced",
            "saml-auth",
            "wolf-rbac",
        ],
        reason: "is for one product or one old protocol",
        instead: "`openid-connect` (feature `oidc`) logs in at providers, `forward-auth` (feature `callout`) asks any service",
    },
    Group {
        names: &["ext-plugin-post-req", "ext-plugin-post-resp", "ext-plugin-pre-req"],
        reason: "runs plugins in a process of another language, which costs a good part of the speed",
        instead: "write the plugin in Rust (docs/write-a-plugin.md), or ask a service by `forward-auth` (feature `callout`)",
    },
    Group {
        names: &["exit-transformer"],
        reason: "takes Lua source, which nothing here can run",
        instead: "`_meta.error_response` replaces the bodies of a plugin's answers, `response-rewrite` those of all",
    },
    Group {
        names: &["graphql-limit-count", "traffic-label"],
        reason: "is not there yet",
        instead: "remove it, or write it in Rust (docs/write-a-plugin.md)",
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::plugin::Registry;

    /// The catalogue: every plugin of the reference.
    const CATALOGUE: &str = include_str!("absent/catalogue.txt");

    #[test]
    fn a_plugin_is_there_or_has_a_reason() {
        let registry = Registry::standard();
        for name in CATALOGUE.split_whitespace() {
            let there = registry.get(name).is_some();
            assert_ne!(there, absent(name).is_some(), "{name}: {:?}", absent(name));
        }
        assert_eq!(absent("unheard-of"), None);
    }

    #[test]
    fn reasons_are_given_once_and_for_plugins_of_the_catalogue() {
        let catalogue: BTreeSet<_> = CATALOGUE.split_whitespace().collect();
        let mut seen = BTreeSet::new();
        for (name, absent) in never_there() {
            assert!(seen.insert(name), "{name} has two reasons");
            assert!(catalogue.contains(name), "{name} is not in the catalogue");
            assert!(!absent.reason.ends_with('.') && !absent.instead.ends_with('.'), "{name}");
        }
    }

    /// Whoever follows an advice is not told at the next load that what he wrote is not in this build.
    #[test]
    fn advice_names_the_features_that_it_needs() {
        for (name, absent) in never_there() {
            for (plugin, mend, _) in NEEDS {
                let feature = mend.trim_start_matches("build with the ");
                let advised = absent.instead.contains(&format!("`{plugin}`"));
                assert!(!advised || absent.instead.contains(feature), "{name}: {plugin} needs the {feature}");
            }
        }
    }

    /// Whatever stands in the list of standard plugins behind a feature is told as such.
    #[test]
    fn features_are_those_of_the_list() {
        let mut lines = include_str!("standard.rs").lines().map(str::trim).peekable();
        let mut seen = 0;
        while let Some(line) = lines.next() {
            let feature = line.strip_prefix("#[cfg(feature = \"").and_then(|rest| rest.strip_suffix("\")]"));
            let next = lines.peek().and_then(|next| next.strip_prefix("registry.register"));
            let module = next.and_then(|next| next.split("super::").nth(1)).and_then(|path| path.split("::").next());
            let (Some(feature), Some(module)) = (feature, module) else { continue };
            let (plugin, mend) = (module.replace('_', "-"), format!("build with the feature `{feature}`"));
            assert!(NEEDS.iter().any(|need| need.0 == plugin && need.1 == mend), "{plugin} {feature}");
            seen += 1;
        }
        assert!(seen > 10, "{seen}");
        #[cfg(feature = "full")]
        assert!(NEEDS.iter().all(|need| need.2 && Registry::standard().get(need.0).is_some()));
    }
}
