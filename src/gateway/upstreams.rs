//! From an upstream as written to the upstream side's own configuration.
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, StatusCode};

use super::checks;
use super::hash_on::hash_key;
use super::own_listeners::is_listener;
use super::settings::Rules;
use super::tls::Vault;
use crate::model::{
    self, Affinity, Finding, HttpVersion, Id, Kind, NodeSpec, PassHost, RetryCondition, RetryOn, Scheme, Seconds,
    Timeouts, UpstreamSpec,
};
use crate::upstream::balance::{AffinityConfig, AffinitySecret, SameSite, SlowStart};
use crate::upstream::{
    self, AdaptiveConfig, AdmissionConfig, Endpoints, Keepalive, NodeConfig, RetriedFailures, RetryConfig, Target,
    Upstream, UpstreamBuildError, UpstreamConfig, UpstreamKey, Upstreams,
};

/// The resource that an upstream stands in.
#[derive(Clone, Copy)]
pub(crate) struct Owner<'a> {
    pub(crate) kind: Kind,
    pub(crate) id: &'a Id,
}

impl Owner<'_> {
    pub(crate) fn fault(self, field: &str, message: impl Into<String>) -> Finding {
        let path = if self.kind == Kind::Upstream { field.to_owned() } else { format!("upstream.{field}") };
        Finding::error(self.kind, Some(self.id.clone()), path, message)
    }
}

/// Compiles an upstream, or says what is wrong with it. The same owner and content give the same `Arc`.
pub(super) fn compile(
    spec: &UpstreamSpec,
    owner: Owner<'_>,
    rules: &Rules,
    vault: &Vault<'_>,
    upstreams: &Upstreams,
    endpoints: &Endpoints,
) -> Result<Arc<Upstream>, Finding> {
    upstreams.compile(config(spec, owner, rules, vault)?, endpoints).map_err(|error| unbuildable(&error, spec, owner))
}

/// Says which field is at fault. The item is named by the finding, so it is left out of the message.
fn unbuildable(error: &UpstreamBuildError, spec: &UpstreamSpec, owner: Owner<'_>) -> Finding {
    let (field, message, mend) = match error {
        UpstreamBuildError::Tls { field, reason, .. } => {
            let found = TLS_FIELDS.iter().find(|(name, ..)| name == field);
            let (_, path, mend) = *found.unwrap_or(&("", "tls", "correct it"));
            match spec.tls.as_ref().and_then(|tls| tls.client_cert_id.as_ref()) {
                Some(id) if field.starts_with("client_") => {
                    let field = field.trim_start_matches("client_");
                    ("tls.client_cert_id", format!("the `{field}` of the ssl `{id}` {reason}"), mend)
                }
                _ => (path, reason.clone(), mend),
            }
        }
        UpstreamBuildError::SchemeUnsupported { needs, .. } => {
            ("scheme", format!("needs {needs}"), "use a build that has it, or another scheme")
        }
        UpstreamBuildError::UnknownBalancer { name, .. } => {
            ("type", format!("there is no balancer `{name}`"), "write roundrobin, chash, least_conn or ewma")
        }
        UpstreamBuildError::UnknownService { name, .. } => (
            "nodes",
            format!("there is no in-process service `{name}`"),
            "register it in code with `GatewayBuilder::endpoint`",
        ),
        UpstreamBuildError::DuplicateNode { node, .. } => {
            ("nodes", format!("has {node} twice"), "leave one of them out, or give it another `priority`")
        }
        UpstreamBuildError::BadHost { host, .. } => {
            ("nodes", format!("`{host}` is no host"), "write a name, an IPv4 address, or an IPv6 address in brackets")
        }
        UpstreamBuildError::ProbeUnsupported { needs, .. } => {
            ("checks.active.type", format!("needs {needs}"), "write http or tcp")
        }
        UpstreamBuildError::BadCookie { field, .. } => (
            *field,
            "cannot be part of a cookie".to_owned(),
            "write the name of a cookie, and a path that begins with `/`",
        ),
        UpstreamBuildError::NotPositive { field, .. } => (*field, "is not above 0".to_owned(), "write more than 0"),
    };
    owner.fault(field, message).with_mend(mend)
}

/// Field of `tls`, its path, and what to do about it.
const TLS_FIELDS: &[(&str, &str, &str)] = &[
    ("ca", "tls.ca", "write certificates in PEM"),
    ("client_cert", "tls.client_cert", "write a certificate in PEM, and those between it and its authority"),
    ("client_key", "tls.client_key", "write the certificate's private key in PEM"),
    ("sni", "tls.sni", "write a host name, or an IP address"),
];

/// Brings wire values and the settings that hold for every upstream to the upstream side's types.
fn config(spec: &UpstreamSpec, owner: Owner<'_>, rules: &Rules, vault: &Vault<'_>) -> Result<UpstreamConfig, Finding> {
    if let Some(discovery) = &spec.discovery_type {
        return Err(owner
            .fault("discovery_type", format!("no discovery `{discovery}` is configured"))
            .with_mend("write the endpoints as `nodes`"));
    }
    leads_outside(spec, owner, rules)?;
    let nodes = spec.nodes.iter().flatten().map(|node| node_config(node, owner)).collect::<Result<_, _>>()?;
    let mut config = UpstreamConfig::new(UpstreamKey::new(owner.kind.as_str(), owner.id.as_str()), nodes);
    config.scheme = match spec.scheme {
        Scheme::Http => upstream::Scheme::Http,
        Scheme::Grpc => upstream::Scheme::Grpc,
        Scheme::Https => upstream::Scheme::Https,
        Scheme::Grpcs => upstream::Scheme::Grpcs,
        Scheme::Tcp | Scheme::Tls | Scheme::Udp => {
            return Err(owner.fault("scheme", "is for stream routes only").with_mend("write http, or grpc for HTTP/2"));
        }
    };
    config.http_version = match spec.http_version {
        HttpVersion::Http1 => upstream::HttpVersion::Http1,
        HttpVersion::Http2 => upstream::HttpVersion::Http2,
        HttpVersion::Auto => upstream::HttpVersion::Auto,
    };
    if let Some(tls) = &spec.tls {
        config.tls = vault.config(tls, owner)?;
    }
    config.balancer = spec.balancer.to_string();
    config.hash = match &*spec.balancer {
        "roundrobin" | "least_conn" | "ewma" => None,
        "chash" => Some(hash_key(spec).map_err(|fault| owner.fault("key", fault))?),
        // A balancer of the host program may want one, or not.
        _ => spec.key.as_ref().and_then(|_| hash_key(spec).ok()),
    };
    config.affinity = spec.affinity.as_deref().map(|spec| affinity(spec, owner, vault)).transpose()?;
    config.slow_start = spec.slow_start.as_ref().map(slow_start);
    config.panic_threshold = spec.panic_threshold;
    config.pass_host = match spec.pass_host {
        PassHost::Pass => upstream::PassHost::Pass,
        PassHost::Node => upstream::PassHost::Node,
        PassHost::Rewrite => {
            let host = spec.upstream_host.as_ref().map_or("", |host| host.as_str());
            let value = HeaderValue::from_str(host).ok().filter(|value| !value.is_empty());
            upstream::PassHost::Rewrite(value.ok_or_else(|| {
                owner.fault("upstream_host", "is needed with `pass_host: rewrite`").with_mend("write the host to send")
            })?)
        }
    };
    config.timeouts = timeouts(&spec.timeout);
    config.keepalive = Keepalive {
        size: usize::try_from(spec.keepalive_pool.size).unwrap_or(usize::MAX),
        idle_timeout: spec.keepalive_pool.idle_timeout.duration(),
        requests: u32::try_from(spec.keepalive_pool.requests).unwrap_or(u32::MAX),
    };
    config.retry = RetryConfig {
        retries: spec.retries,
        timeout: spec.retry_timeout.duration(),
        budget_ratio: spec.retry_budget.ratio as f32,
        budget_min_per_second: spec.retry_budget.min_per_second,
        backoff_base: Duration::from_millis(spec.retry_backoff.base_ms),
        backoff_max: Duration::from_millis(spec.retry_backoff.max_ms),
        methods: spec
            .retry_methods
            .iter()
            .flatten()
            .filter_map(|method| Method::from_bytes(method.as_str().as_bytes()).ok())
            .collect(),
        per_try: spec.per_try_timeout_ms.map(Duration::from_millis),
        replay_bytes: rules.replay_bytes,
        hedge_after: spec.hedge.map(|hedge| Duration::from_millis(hedge.after_ms)),
        ..RetryConfig::default()
    };
    retry_on(&spec.retry_on, &mut config.retry);
    config.max_connections = spec.max_connections;
    config.max_grpc_timeout = spec.max_grpc_timeout_ms.map(Duration::from_millis);
    config.admission = AdmissionConfig {
        max_requests: usize::try_from(spec.max_requests).unwrap_or(usize::MAX),
        max_pending: usize::try_from(spec.max_pending).unwrap_or(usize::MAX),
        queue_timeout: Duration::from_millis(spec.queue_timeout_ms),
        adaptive: spec.adaptive_concurrency.map(|adaptive| AdaptiveConfig {
            min: adaptive.min as usize,
            initial: adaptive.initial as usize,
            tolerance: adaptive.tolerance,
        }),
    };
    config.answers = rules.answers;
    config.health = match &spec.checks {
        Some(checks) if rules.checks => Some(checks::config(checks, owner)?),
        _ => None,
    };
    Ok(config)
}

fn affinity(spec: &Affinity, owner: Owner<'_>, vault: &Vault<'_>) -> Result<AffinityConfig, Finding> {
    let secret =
        spec.secret.as_ref().map(|secret| vault.text(secret.expose(), owner, "affinity.secret")).transpose()?;
    Ok(AffinityConfig {
        ttl: spec.ttl_s.map(|seconds| Duration::from_secs(seconds.into())),
        path: spec.path.clone(),
        http_only: spec.http_only,
        same_site: match spec.same_site {
            model::SameSite::Strict => SameSite::Strict,
            model::SameSite::Lax => SameSite::Lax,
            model::SameSite::None => SameSite::None,
        },
        secure: spec.secure,
        secret: secret.as_deref().map(AffinitySecret::new),
        ..AffinityConfig::new(&*spec.cookie)
    })
}

fn slow_start(spec: &model::SlowStart) -> SlowStart {
    SlowStart {
        window: Duration::from_millis(spec.window_ms),
        min_weight_percent: spec.min_weight_percent,
        aggression: spec.aggression as f32,
    }
}

/// The Admin API is reached by its own listener alone (security.md ADM-03).
fn leads_outside(spec: &UpstreamSpec, owner: Owner<'_>, rules: &Rules) -> Result<(), Finding> {
    let Some(listener) = rules.admin else { return Ok(()) };
    let default = if matches!(spec.scheme, Scheme::Https | Scheme::Grpcs) { 443 } else { 80 };
    let is_admin = |node: &NodeSpec| {
        node.host.as_ref().is_some_and(|host| is_listener(listener, host.as_str(), node.port.unwrap_or(default)))
    };
    match spec.nodes.iter().flatten().position(is_admin) {
        None => Ok(()),
        Some(at) => Err(owner
            .fault(&format!("nodes[{at}]"), "is where the Admin API listens")
            .with_mend("write another address: no route leads to the Admin API")),
    }
}

fn node_config(node: &NodeSpec, owner: Owner<'_>) -> Result<NodeConfig, Finding> {
    let target = match (&node.host, &node.service) {
        (Some(host), None) => Target::Host { host: host.as_str().to_owned(), port: node.port },
        (None, Some(service)) => Target::Service(service.to_string()),
        _ => return Err(owner.fault("nodes", "a node has exactly one of `host` and `service`")),
    };
    let priority = i32::try_from(node.priority)
        .map_err(|_| owner.fault("nodes", "`priority` lies outside of -2147483648 to 2147483647"))?;
    Ok(NodeConfig { target, weight: node.weight, priority })
}

/// Brings the conditions of `retry_on` to statuses, gRPC's statuses, and kinds of failure.
fn retry_on(conditions: &[RetryOn], retry: &mut RetryConfig) {
    let named = |condition| conditions.contains(&RetryOn::When(condition));
    let kinds = [RetryCondition::ConnectFailure, RetryCondition::Reset, RetryCondition::Timeout].map(named);
    if let [connect, reset, timeout] = kinds
        && (connect || reset || timeout)
    {
        retry.failures = RetriedFailures { connect, reset, timeout };
    }
    for condition in conditions {
        let (statuses, grpc) = match condition {
            RetryOn::Status(status) => (*status..status.saturating_add(1), None),
            RetryOn::When(RetryCondition::ServerError) => (500..600, None),
            RetryOn::When(RetryCondition::GatewayError) => (502..505, None),
            RetryOn::When(condition) => (0..0, grpc_status(*condition)),
        };
        retry.statuses.extend(statuses.filter_map(|status| StatusCode::from_u16(status).ok()));
        retry.grpc_statuses.extend(grpc);
    }
}

fn grpc_status(condition: RetryCondition) -> Option<u8> {
    match condition {
        RetryCondition::Cancelled => Some(1),
        RetryCondition::DeadlineExceeded => Some(4),
        RetryCondition::ResourceExhausted => Some(8),
        RetryCondition::Internal => Some(13),
        RetryCondition::Unavailable => Some(14),
        _ => None,
    }
}

/// Time-outs as durations.
pub(crate) fn timeouts(spec: &Timeouts) -> upstream::Timeouts {
    upstream::Timeouts {
        connect: spec.connect.duration(),
        send: spec.send.duration(),
        read: spec.read.duration(),
        total: spec.total.map(Seconds::duration),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_of_retry_on_become_statuses_and_kinds() {
        let retry = |wire: serde_json::Value| {
            let mut retry = RetryConfig::default();
            retry_on(&serde_json::from_value::<Vec<RetryOn>>(wire).unwrap(), &mut retry);
            retry
        };
        let none = retry(serde_json::json!([]));
        assert_eq!(none, RetryConfig::default());
        let named = retry(serde_json::json!([429, "gateway-error", "unavailable", "deadline-exceeded", "reset"]));
        assert_eq!(named.statuses.iter().map(StatusCode::as_u16).collect::<Vec<_>>(), [429, 502, 503, 504]);
        assert_eq!(named.grpc_statuses, [14, 4]);
        assert_eq!(named.failures, RetriedFailures { connect: false, reset: true, timeout: false });
        assert_eq!(retry(serde_json::json!(["5xx"])).statuses.len(), 100);
    }
}
