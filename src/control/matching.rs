//! `/v1/match`: how a request would be routed, and why.
use std::net::IpAddr;

use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use serde_json::json;

use super::reply;
use crate::Response;
use crate::gateway::{Explained, Gateway};

/// The answer for the arguments of the query: `path` (with its own query, if it has one), `method` (default GET), `host`,
/// `header` (`Name: value`, as often as needed) and `client` (an address).
pub(super) fn answer(gateway: &Gateway, query: Option<&str>, headers: &HeaderMap) -> Response {
    let asked = match Asked::read(query.unwrap_or_default()) {
        Ok(asked) => asked,
        Err(fault) => return reply::bad_request(fault),
    };
    let explained = gateway.explain(&asked.request, asked.client);
    if reply::prefers(headers, "text/plain") {
        let text = explained.to_string();
        return reply::text(if text.ends_with('\n') { text } else { text + "\n" });
    }
    reply::json(&match &explained {
        Explained::Refused(error) => json!({
            "outcome": "refused",
            "status": error.status().as_u16(),
            "reason": explained.to_string(),
        }),
        Explained::Routed(explanation) => json!({
            "outcome": if explanation.winner().is_some() { "routed" } else { "no_route" },
            "route": explanation.winner().map(|winner| &winner.id),
            "candidates": explanation.candidates,
        }),
    })
}

struct Asked {
    request: Request<()>,
    client: Option<IpAddr>,
}

impl Asked {
    fn read(query: &str) -> Result<Self, String> {
        let mut request = Request::new(());
        let (mut path, mut client) = (None, None);
        let value = |name: &str, text: &str| {
            HeaderValue::from_str(text).map_err(|_| format!("`{name}`: `{text}` cannot stand in a header"))
        };
        for (name, argument) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "path" => path = Some(argument.into_owned()),
                "method" => {
                    let method = Method::from_bytes(argument.as_bytes());
                    *request.method_mut() = method.map_err(|_| format!("`method`: `{argument}` is none"))?;
                }
                "host" => {
                    request.headers_mut().insert(HOST, value("host", &argument)?);
                }
                "header" => {
                    let fault = || format!("`header`: write `Name: value`, not `{argument}`");
                    let (name, text) = argument.split_once(':').ok_or_else(fault)?;
                    let name: HeaderName = name.trim().parse().map_err(|_| fault())?;
                    request.headers_mut().append(name, value("header", text.trim())?);
                }
                "client" => {
                    client = Some(argument.parse().map_err(|_| format!("`client`: `{argument}` is no address"))?)
                }
                other => {
                    return Err(format!("`{other}` is not known: there are path, method, host, header and client"));
                }
            }
        }
        let path = path.filter(|path| path.starts_with('/')).ok_or("`path` is missing, or does not begin with `/`")?;
        *request.uri_mut() =
            path.parse::<Uri>().map_err(|_| format!("`path`: `{path}` is none; encode it once more"))?;
        Ok(Self { request, client })
    }
}
