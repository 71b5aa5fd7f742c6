//! From health checks as written to the upstream side's own configuration.
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method};

use super::upstreams::Owner;
use crate::model::{ActiveCheck, CheckType, Finding, HealthChecks, OutlierCheck, PassiveCheck, Severity};
use crate::upstream::health::{
    ActiveConfig, EjectionConfig, HealthConfig, HttpProbe, OutlierConfig, PassiveConfig, ProbeKind, Thresholds,
};

/// Fields of a probe's request that are ours to write.
const OURS: [HeaderName; 4] = [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING];

/// How the upstream's endpoints are judged.
pub(super) fn config(checks: &HealthChecks, owner: Owner<'_>) -> Result<HealthConfig, Finding> {
    let mut config = HealthConfig::new().with_ejection(EjectionConfig {
        time: checks.ejection_time.duration(),
        max_time: checks.max_ejection_time.duration(),
        max_percent: checks.max_ejection_percent,
    });
    config.active = checks.active.as_ref().map(|check| active(check, owner)).transpose()?;
    config.passive = checks.passive.as_ref().map(passive);
    config.outlier = checks.outlier.as_ref().map(outlier);
    Ok(config)
}

/// A warning if the probes' requests leave out a field that is written.
pub(super) fn left_out(checks: &HealthChecks, owner: Owner<'_>) -> Option<Finding> {
    let lines = &checks.active.as_ref()?.req_headers;
    let (name, _) = lines.iter().filter_map(|line| field(line)).find(|(name, _)| OURS.contains(name))?;
    let mend = if name == HOST { "write `checks.active.host`" } else { "remove it" };
    let message = format!("`{name}` is not used: probes write that field themselves");
    let mut finding = owner.fault("checks.active.req_headers", message).with_mend(mend);
    finding.severity = Severity::Warning;
    Some(finding)
}

fn active(check: &ActiveCheck, owner: Owner<'_>) -> Result<ActiveConfig, Finding> {
    let probe = match check.check {
        CheckType::Tcp => ProbeKind::Tcp,
        CheckType::Http | CheckType::Https => ProbeKind::Http(request(check, owner)?),
        CheckType::Grpc => ProbeKind::Grpc { service: check.grpc_service.clone() },
    };
    let host = check.host.as_ref().map(|host| HeaderValue::from_str(host.as_str())).transpose();
    Ok(ActiveConfig {
        probe,
        timeout: check.timeout.duration(),
        concurrency: usize::try_from(check.concurrency).unwrap_or(usize::MAX),
        host: host.map_err(|_| owner.fault("checks.active.host", "is no host").with_mend("write the host to name"))?,
        port: check.port,
        healthy_interval: Duration::from_secs(check.healthy.interval),
        unhealthy_interval: Duration::from_secs(check.unhealthy.interval),
        healthy_statuses: check.healthy.http_statuses.iter().copied().collect(),
        unhealthy_statuses: check.unhealthy.http_statuses.iter().copied().collect(),
        thresholds: Thresholds {
            successes: check.healthy.successes,
            http_failures: check.unhealthy.http_failures,
            tcp_failures: check.unhealthy.tcp_failures,
            timeouts: check.unhealthy.timeouts,
        },
    })
}

fn request(check: &ActiveCheck, owner: Owner<'_>) -> Result<HttpProbe, Finding> {
    // Whatever stands there goes onto the wire as it is.
    // The parser stops at a fragment.
    let parsed = check.http_path.parse::<PathAndQuery>();
    let is_path = check.http_path.starts_with('/') && parsed.is_ok_and(|path| path.as_str() == check.http_path);
    if !is_path {
        let fault = owner.fault("checks.active.http_path", format!("`{}` is no path", check.http_path));
        return Err(fault.with_mend("begin with `/`, and encode blanks and control characters as `%20`"));
    }
    let parsed = |line: &String| {
        field(line).ok_or_else(|| {
            owner
                .fault("checks.active.req_headers", format!("`{line}` is no field"))
                .with_mend("write `Name: value`, a line each")
        })
    };
    Ok(HttpProbe {
        method: Method::from_bytes(check.http_method.as_str().as_bytes()).unwrap_or_default(),
        path: check.http_path.clone(),
        headers: check.req_headers.iter().map(parsed).collect::<Result<_, _>>()?,
        body: check.http_req_body.clone(),
        tls: check.check == CheckType::Https,
        verify: check.https_verify_certificate,
    })
}

fn field(line: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = line.split_once(':')?;
    Some((name.trim().parse().ok()?, value.trim().parse().ok()?))
}

fn passive(check: &PassiveCheck) -> PassiveConfig {
    PassiveConfig {
        judges_statuses: check.check != CheckType::Tcp,
        healthy_statuses: check.healthy.http_statuses.iter().copied().collect(),
        unhealthy_statuses: check.unhealthy.http_statuses.iter().copied().collect(),
        thresholds: Thresholds {
            successes: check.healthy.successes,
            http_failures: check.unhealthy.http_failures,
            tcp_failures: check.unhealthy.tcp_failures,
            timeouts: check.unhealthy.timeouts,
        },
    }
}

fn outlier(check: &OutlierCheck) -> OutlierConfig {
    OutlierConfig {
        consecutive_failures: check.consecutive_failures,
        interval: check.interval.duration(),
        success_rate_factor: check.success_rate_factor,
        failure_percent: check.failure_percent,
        min_requests: check.min_requests,
        min_endpoints: usize::try_from(check.min_endpoints).unwrap_or(usize::MAX),
    }
}
