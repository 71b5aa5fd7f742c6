//! What is read and checked, but not acted on: nobody should believe himself guarded by it, so each use is a warning.
use super::checks;
use super::upstreams::Owner;
#[cfg(feature = "tls")]
use crate::model::Snapshot;
use crate::model::{Described, DnsSettings, Finding, Id, Kind, Settings, Severity, UpstreamSpec};
#[cfg(not(feature = "tls"))]
use crate::model::{SslSpec, SslType};
use crate::request::{Asked, CustomVars};
use crate::router::{Expr, VarName};

const MEND: &str = "remove it, or don't rely on it";

/// A warning if nothing acts on items of this kind.
pub(crate) fn item<T: Described>(item: &T) -> Option<Finding> {
    let message = match T::KIND {
        Kind::Secret if !["env/", "file/"].iter().any(|manager| item.id().as_str().starts_with(manager)) => {
            "is not used: only the managers `env` and `file` are asked yet, references to it fail closed"
        }
        Kind::Proto if cfg!(not(feature = "grpc-transcode")) => {
            "is not used: this build is without the feature `grpc-transcode`"
        }
        Kind::StreamRoute => "is not used: there are no L4 listeners yet",
        _ => return None,
    };
    let id = (!item.id().is_empty()).then(|| item.id().clone());
    Some(Finding::warning(T::KIND, id, "", message).with_mend(MEND))
}

/// A warning if nobody shows the certificate.
#[cfg(not(feature = "tls"))]
pub(crate) fn ssl(ssl: &SslSpec) -> Option<Finding> {
    let message = "is not used: this build has no TLS";
    let warning =
        || Finding::warning(Kind::Ssl, Some(ssl.id.clone()), "", message).with_mend("build with the feature `tls`");
    (ssl.purpose == SslType::Server).then(warning)
}

/// What a listener is told whose handshakes all fail. It depends on other items than the settings, and is judged each time.
#[cfg(feature = "tls")]
pub(crate) const NOTHING_TO_SHOW: &str = "has no certificate to show: every handshake fails";

/// A warning for each listener with TLS, where there is no certificate that any could show. Not for a file beside a store, where
/// the certificates are.
#[cfg(feature = "tls")]
pub(crate) fn listeners(snapshot: &Snapshot) -> impl Iterator<Item = Finding> {
    let settings = &snapshot.settings;
    let has_none = settings.store.is_none() && !snapshot.ssls.iter().any(|ssl| ssl.is_shown());
    let listeners = settings.listeners.iter().enumerate().filter(move |(_, one)| has_none && one.tls.is_some());
    listeners.map(|(at, _)| {
        Finding::warning(Kind::Settings, None, format!("listeners[{at}].tls"), NOTHING_TO_SHOW)
            .with_mend("add one to `ssls`, with its server names, or leave out `tls`")
    })
}

/// A warning for each part of the upstream that nothing acts on.
pub(crate) fn upstream(spec: &UpstreamSpec, owner: Owner<'_>) -> impl Iterator<Item = Finding> {
    let checks = spec.checks.as_ref().and_then(|checks| checks::left_out(checks, owner));
    let goes_by_weight = !matches!(&*spec.balancer, "chash" | "ewma");
    let slow_start = spec.slow_start.as_ref().filter(|_| !goes_by_weight).map(|_| {
        let mut finding = owner.fault("slow_start", format!("is not heeded by {}", spec.balancer));
        finding.severity = Severity::Warning;
        finding.with_mend("remove it, or set `type` to roundrobin or least_conn")
    });
    checks.into_iter().chain(slow_start)
}

/// A warning for each variable of a condition that no request ever has.
pub(crate) fn variables(
    expr: &Expr,
    custom: &CustomVars,
    asked: Asked,
    (kind, id): (Kind, &Id),
    path: &str,
) -> Vec<Finding> {
    let mut names: Vec<_> = expr.variables().into_iter().filter(|name| custom.never_has(name, asked)).collect();
    names.sort_by_key(ToString::to_string);
    names.dedup();
    let warning = |name: &VarName| {
        Finding::warning(kind, Some(id.clone()), path, format!("no request has the variable `{name}` there"))
            .with_mend("docs/routing.md lists those that there are, and where")
    };
    names.into_iter().map(warning).collect()
}

/// Warnings for the settings that were changed and do nothing: name servers, where this build asks the operating system.
pub(crate) fn settings(settings: &Settings) -> impl Iterator<Item = Finding> {
    let (set, default) = (&settings.dns, DnsSettings::default());
    let changed = [
        ("servers", set.servers != default.servers),
        ("timeout", set.timeout != default.timeout),
        ("attempts", set.attempts != default.attempts),
        ("addresses", set.addresses != default.addresses),
        ("search", set.search != default.search),
        ("hosts_file", set.hosts_file != default.hosts_file),
    ];
    let names = changed.into_iter().filter(|(_, changed)| *changed && !cfg!(feature = "dns")).map(|(name, _)| {
        let message = "is not used: this build has the operating system look names up";
        Finding::warning(Kind::Settings, None, format!("dns.{name}"), message).with_mend("build with the feature `dns`")
    });
    names.chain(zones(settings))
}

/// A warning for zones that nothing can keep answers in.
fn zones(settings: &Settings) -> Option<Finding> {
    let idle = !settings.cache_zones.is_empty() && !cfg!(feature = "cache");
    let warning = || Finding::warning(Kind::Settings, None, "cache_zones", "is not used: this build has no cache");
    idle.then(|| warning().with_mend("build with the feature `cache`"))
}
