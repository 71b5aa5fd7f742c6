//! What of a request `chash` hashes, from `hash_on` and `key` (upstream.md §3.2).
use std::net::IpAddr;

use http::HeaderName;
use http::request::Parts;

use crate::model::{HashOn, UpstreamSpec};
use crate::request::{RequestVars, Template, write_value};
use crate::router::{Value, VarName, Variables as _};
use crate::upstream::balance::{HashKey, hash_bytes};

/// The key of an upstream's requests.
///
/// # Errors
/// Why `key` cannot be one.
pub(super) fn hash_key(spec: &UpstreamSpec) -> Result<HashKey, String> {
    let key = spec.key.as_deref().unwrap_or_default();
    let variable = match spec.hash_on {
        HashOn::Vars => VarName::parse(key),
        HashOn::Header => {
            VarName::Header(HeaderName::try_from(key.replace('_', "-")).map_err(|_| "is not the name of a header")?)
        }
        HashOn::Cookie => VarName::Cookie(key.into()),
        HashOn::Consumer => VarName::ConsumerName,
        HashOn::VarsCombinations => {
            let template = Template::parse(key).map_err(|error| error.to_string())?;
            return Ok(HashKey::new(format!("template {key}"), move |request, client| {
                let rendered = template.render(&variables(request, client));
                (rendered.resolved > 0).then(|| hash_bytes(&rendered.text))
            }));
        }
    };
    Ok(HashKey::new(variable.to_string(), move |request, client| {
        let variables = variables(request, client);
        variables.get(&variable).as_ref().and_then(hash)
    }))
}

fn variables<'a>(request: &'a Parts, client: Option<IpAddr>) -> RequestVars<'a> {
    RequestVars::of_parts(request, client)
}

/// Nothing is as good as missing: it would bring all that have nothing to one endpoint.
fn hash(value: &Value<'_>) -> Option<u64> {
    match value {
        Value::Text(text) => (!text.is_empty()).then(|| hash_bytes(text)),
        other => {
            let mut text = Vec::new();
            write_value(other, &mut text);
            Some(hash_bytes(&text))
        }
    }
}
