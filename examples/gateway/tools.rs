//! `validate` and `explain`.
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;

use http::{HeaderName, HeaderValue, Request};
use tollgate::BoxError;
use tollgate::config::FileSource;
use tollgate::gateway::Gateway;
use tollgate::model::ReadOptions;

/// Prints every fault and warning of a file.
pub(crate) fn validate(file: &Path, strict_apisix: bool, compat: bool) -> Result<ExitCode, BoxError> {
    let options = if strict_apisix { ReadOptions::default().naming_extensions() } else { ReadOptions::default() };
    let source = FileSource::new(file).with_options(options);
    let loaded = source.load()?;
    let gateway = Gateway::builder().build()?;
    let findings = gateway.check(&loaded.snapshot);
    for finding in &findings {
        println!("{}: {finding}", if finding.is_error() { "error" } else { "warning" });
    }
    let errors = findings.iter().filter(|finding| finding.is_error()).count();
    if errors == 0 && gateway.apply(loaded.snapshot).is_ok() {
        for lint in gateway.lint() {
            println!("lint: {lint}");
        }
    }
    if compat {
        let notes = tollgate::model::compat(&source.document(&std::fs::read(file)?)?);
        for note in &notes {
            print!("{note}");
        }
        println!("{}: {} differences from Apache APISIX", file.display(), notes.len());
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
