//! `validate` and `explain`.
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;

use http::{HeaderName, HeaderValue, Request};
use tollgate::BoxError;
use tollgate::config::FileSource;
use tollgate::gateway::Gateway;

/// Prints every fault and warning of a file.
pub(crate) fn validate(file: &Path) -> Result<ExitCode, BoxError> {
    let loaded = FileSource::new(file).load()?;
    let gateway = Gateway::builder().build()?;
    let mut findings = loaded.findings;
    for finding in gateway.check(&loaded.snapshot) {
        if !findings.contains(&finding) {
            findings.push(finding);
        }
    }
    for finding in &findings {
        println!("{}: {finding}", if finding.is_error() { "error" } else { "warning" });
    }
    let errors = findings.iter().filter(|finding| finding.is_error()).count();
    if errors == 0 && gateway.apply(loaded.snapshot).is_ok() {
        for lint in gateway.lint() {
            println!("lint: {lint}");
        }
    }
    println!("{}: {errors} faults, {} warnings", file.display(), findings.len() - errors);
    Ok(if errors > 0 { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// Prints the routing decision for a request.
pub(crate) fn explain(
    file: &Path,
    method: &str,
    url: &str,
    headers: &[String],
    client: IpAddr,
) -> Result<ExitCode, BoxError> {
    let mut request = Request::builder().method(method).uri(url).body(())?;
    for header in headers {
        let (name, value) = header.split_once(':').ok_or_else(|| format!("header `{header}` has no colon"))?;
        request.headers_mut().append(name.trim().parse::<HeaderName>()?, HeaderValue::from_str(value.trim())?);
    }
    let gateway = Gateway::builder().build()?;
    gateway.adopt(FileSource::new(file).load()?.snapshot)?;
    print!("{}", gateway.explain(&request, Some(client)));
    Ok(ExitCode::SUCCESS)
}
