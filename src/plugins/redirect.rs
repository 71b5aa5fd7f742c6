//! `redirect`: sends the client elsewhere.
//!
//! 1. `http_to_https`: a request that came over TLS passes; any other is sent to `https://$host$request_uri`, by 301
//!    for GET and HEAD and by 308 for the rest, which keeps method and body. TLS ends here, or at a trusted proxy whose
//!    `X-Forwarded-Proto` says so; the field of any other client is not asked.
//! 2. `uri`: every request is sent there, by `ret_code`.
//! 3. `regex_uri`: a request whose path matches is sent to the path with that match replaced, by `ret_code`; any other
//!    passes.
//!
//! Stage: rewrite, so after authentication: a redirect on a route with `key-auth` needs a key. The answer has
//! `Location` and no body; 400 `{"error_msg":"400 Bad Request"}` if `http_to_https` finds no valid host in the request.
//!
//! Attributes (`tollgate.plugin_attr.redirect`): `https_port`, 1–65535: the port in the URIs of `http_to_https`, left
//! out when it is 443. Default: none.
//!
//! ```
//! use http::Request;
//! use tollgate::plugin::Gate as _;
//! use tollgate::plugins::redirect::{Redirect, RedirectConfig};
//!
//! let mut config = RedirectConfig::default();
//! config.http_to_https = Some(true);
//! let redirect = Redirect::new(config, None)?;
//! let mut request = Request::builder().uri("/a?b").header("host", "Shop.test:8080").body(()).unwrap();
//! let answer = redirect.check(&mut request).unwrap_err();
//! assert_eq!(answer.status(), 301);
//! assert_eq!(answer.headers()["location"], "https://shop.test/a?b");
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"redirect": {"uri": "/new$uri", "ret_code": 301, "append_query_string": true}}
//! ```
use http::header::LOCATION;
use http::{Method, StatusCode};
use serde::Deserialize;

use super::edit::{Substitution, field_value, push_path, push_target};
use crate::host::is_host;
use crate::plugin::{BuildContext, ConfigError, Gate, GateLayer, Plugin, SchemaOf, Stage};
use crate::request::{RequestVars, Template, is_secure};
use crate::router::{Value, VarName, Variables};
use crate::{Error, IntoResponse as _, PluginLayer, Response, answer_of};

/// Options of `redirect`. Exactly one of `http_to_https`, `uri` and `regex_uri`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RedirectConfig {
    /// Send plain requests to `https`. `false` lets everything pass. Default: unset.
    pub http_to_https: Option<bool>,
    /// Where to: a path or a whole URI of at least 2 characters, with variables `$name` and `${name}`. Default: unset.
    pub uri: Option<String>,
    /// A pattern for the path, and what its first match is replaced with (`$1` is a capture). Default: unset.
    pub regex_uri: Option<Vec<String>>,
    /// The status, 200–999; `http_to_https` has its own. Default 302.
    pub ret_code: u16,
    /// Encode what no path may hold, up to the first `?`. Default `false`.
    pub encode_uri: bool,
    /// Add the client's query. Not with `http_to_https`, which keeps it anyway. Default `false`.
    pub append_query_string: bool,
}

impl Default for RedirectConfig {
    fn default() -> Self {
        Self {
            http_to_https: None,
            uri: None,
            regex_uri: None,
            ret_code: 302,
            encode_uri: false,
            append_query_string: false,
        }
    }
}

/// Redirects requests.
#[derive(Debug)]
pub struct Redirect {
    target: Target,
    status: StatusCode,
    encode_uri: bool,
    append_query_string: bool,
}

#[derive(Debug)]
enum Target {
    /// `http_to_https: false`.
    Nowhere,
    /// The port, if it is told.
    Https(Option<u16>),
    Template(Template),
    Substitution(Box<Substitution>),
}

/// [`Redirect`] before a service.
pub type RedirectLayer = GateLayer<Redirect>;

impl Redirect {
    /// Compiles the options; `https_port` is the port of `https` URIs.
    ///
    /// # Errors
    /// [`ConfigError`] with the field that is wrong.
    pub fn new(config: RedirectConfig, https_port: Option<u16>) -> Result<Self, ConfigError> {
        let fault = |field: &str, reason: String| ConfigError::invalid(RedirectPlugin::NAME, field, reason);
        let target = match (config.http_to_https, config.uri, config.regex_uri) {
            (Some(true), None, None) => Target::Https(https_port.filter(|port| *port != 443)),
            (Some(false), None, None) => Target::Nowhere,
            (None, Some(uri), None) => {
                if uri.chars().count() < 2 {
                    return Err(fault("uri", "has at least 2 characters".to_owned()));
                }
                Target::Template(Template::parse(&uri).map_err(|error| fault("uri", error.to_string()))?)
            }
            (None, None, Some(list)) => match &*list {
                [pattern, replacement] => {
                    let compiled = Substitution::compile(pattern, replacement);
                    Target::Substitution(Box::new(compiled.map_err(|reason| fault("regex_uri", reason))?))
                }
                _ => return Err(fault("regex_uri", "is a pattern and a replacement, two items".to_owned())),
            },
            _ => return Err(fault("", "write exactly one of `http_to_https`, `uri` and `regex_uri`".to_owned())),
        };
        if config.append_query_string && config.http_to_https.is_some() {
            let reason = "only one of `http_to_https` and `append_query_string` can be configured.".to_owned();
            return Err(fault("append_query_string", reason));
        }
        let status = StatusCode::from_u16(config.ret_code).ok().filter(|status| status.as_u16() >= 200);
        let status = status.ok_or_else(|| fault("ret_code", "is a status from 200 on".to_owned()))?;
        let (encode_uri, append_query_string) = (config.encode_uri, config.append_query_string);
        Ok(Self { target, status, encode_uri, append_query_string })
    }

    /// Where the request is sent, and by which status; `None` lets it pass.
    fn judge<B>(&self, request: &http::Request<B>) -> Result<Option<(StatusCode, Vec<u8>)>, Error> {
        let vars = RequestVars::of(request);
        let location = match &self.target {
            Target::Nowhere => return Ok(None),
            Target::Https(_) if is_secure(request) => return Ok(None),
            Target::Https(port) => {
                let status = match *request.method() {
                    Method::GET | Method::HEAD => StatusCode::MOVED_PERMANENTLY,
                    _ => StatusCode::PERMANENT_REDIRECT,
                };
                return https(&vars, *port).map(|location| Some((status, location)));
            }
            Target::Template(template) => template.render(&vars).text,
            Target::Substitution(substitution) => {
                let path = match vars.get(&VarName::Uri) {
                    Some(Value::Text(path)) => path,
                    _ => request.uri().path().as_bytes().into(),
                };
                match substitution.replace_first(&path) {
                    Some(location) => location,
                    None => return Ok(None),
                }
            }
        };
        Ok(Some((self.status, self.finish(location, vars.has_decoded_path(), request.uri().query()))))
    }

    /// Encodes and appends as asked.
    fn finish(&self, mut location: Vec<u8>, decoded: bool, query: Option<&str>) -> Vec<u8> {
        if self.encode_uri {
            let end = location.iter().position(|byte| *byte == b'?').unwrap_or(location.len());
            let (path, rest) = location.split_at_checked(end).unwrap_or((&location, &[]));
            let mut encoded = Vec::with_capacity(location.len() + 16);
            push_path(path, decoded, &mut encoded);
            encoded.extend_from_slice(rest);
            location = encoded;
        }
        if let Some(query) = query.filter(|query| self.append_query_string && !query.is_empty()) {
            location.push(if location.contains(&b'?') { b'&' } else { b'?' });
            location.extend_from_slice(query.as_bytes());
        }
        location
    }
}

/// `https://$host$request_uri`, as text of a URI.
fn https(vars: &RequestVars<'_>, port: Option<u16>) -> Result<Vec<u8>, Error> {
    // Outside of a gateway nobody has looked at it.
    let host = match vars.get(&VarName::Host) {
        Some(Value::Text(host)) if is_host(&host) => host,
        _ => return Err(Error::BadRequest("host")),
    };
    let mut location = [b"https://", &*host].concat();
    if let Some(port) = port {
        location.extend_from_slice(format!(":{port}").as_bytes());
    }
    push_target(vars.original_target().as_bytes(), &mut location);
    Ok(location)
}

impl Gate for Redirect {
    fn check<B>(&self, request: &mut http::Request<B>) -> Result<(), Response> {
        match self.judge(request) {
            Ok(None) => Ok(()),
            Ok(Some((status, location))) => {
                let mut response = Response::default();
                *response.status_mut() = status;
                response.headers_mut().insert(LOCATION, field_value(&location));
                Err(answer_of(RedirectPlugin::NAME, response))
            }
            Err(error) => Err(error.into_response()),
        }
    }
}

/// Registry entry of `redirect`.
#[derive(Clone, Copy, Debug, Default)]
pub struct RedirectPlugin;

/// `tollgate.plugin_attr.redirect`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RedirectAttributes {
    /// The port in the URIs of `http_to_https`, 1–65535. Default: none, which means 443.
    pub https_port: Option<std::num::NonZeroU16>,
}

impl Plugin for RedirectPlugin {
    const NAME: &'static str = "redirect";
    const STAGE: Stage = Stage::Rewrite;
    const PRIORITY: i32 = 900;
    type Config = RedirectConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<RedirectConfig>()
    }

    fn build(&self, config: RedirectConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        let attributes = cx.attr::<RedirectAttributes>(Self::NAME)?.unwrap_or_default();
        let port = attributes.https_port.map(std::num::NonZeroU16::get);
        Redirect::new(config, port).map(|redirect| GateLayer::of(redirect).into())
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::ConnectInfo;
    use crate::plugin::shape;

    fn redirect(block: Json, port: Option<u16>) -> Result<Redirect, ConfigError> {
        Redirect::new(shape(RedirectPlugin::NAME, block.as_object().unwrap())?, port)
    }

    fn request(method: &str, target: &str) -> Request<()> {
        let request = Request::builder().method(method).uri(target);
        request.header("host", "A.test:8080").header("x-forwarded-proto", "https").body(()).unwrap()
    }

    /// Status and `Location`, or nothing when the request passes.
    fn answer(block: Json, port: Option<u16>, mut request: Request<()>) -> Option<(u16, String)> {
        let response = redirect(block, port).unwrap().check(&mut request).err()?;
        let location = response.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(response.body().is_empty(), location.is_some());
        Some((response.status().as_u16(), location.unwrap_or_default()))
    }

    #[test]
    fn plain_requests_go_to_https() {
        let block = || json!({"http_to_https": true, "ret_code": 302});
        for (method, port, wanted) in [
            ("GET", None, (301, "https://a.test/x%20y?z=%2F")),
            ("HEAD", Some(443), (301, "https://a.test/x%20y?z=%2F")),
            ("POST", Some(8443), (308, "https://a.test:8443/x%20y?z=%2F")),
        ] {
            let got = answer(block(), port, request(method, "/x%20y?z=%2F")).unwrap();
            assert_eq!((got.0, &*got.1), wanted, "{method}");
        }
        let mut tls = request("GET", "/");
        tls.extensions_mut().insert(ConnectInfo::new(([127, 0, 0, 1], 1).into()).with_tls(true));
        assert_eq!(answer(block(), None, tls), None);
        assert_eq!(answer(json!({"http_to_https": false}), None, request("GET", "/")), None);
        let hostless = Request::builder().uri("/").body(()).unwrap();
        assert_eq!(answer(block(), None, hostless).unwrap().0, 400);
        let no_host = Request::builder().uri("/").header("host", "a.test/@evil.test").body(()).unwrap();
        assert_eq!(answer(block(), None, no_host).unwrap().0, 400);
    }

    #[test]
    fn places_of_uri_and_regex_uri() {
        for (block, target, wanted) in [
            (json!({"uri": "/new"}), "/old?a=1", Some((302, "/new"))),
            (json!({"uri": "/new$uri", "ret_code": 301}), "/o?a=1", Some((301, "/new/o"))),
            (json!({"uri": "https://b.test/${uri}x", "ret_code": 200}), "/o", Some((200, "https://b.test//ox"))),
            (json!({"uri": r"/\$uri/$arg_none"}), "/o", Some((302, "/$uri/"))),
            (json!({"uri": "/n", "append_query_string": true}), "/o?a=1", Some((302, "/n?a=1"))),
            (json!({"uri": "/n?b", "append_query_string": true}), "/o?a=1", Some((302, "/n?b&a=1"))),
            (json!({"uri": "/n", "append_query_string": true}), "/o", Some((302, "/n"))),
            (json!({"uri": "/n m?o p", "encode_uri": true}), "/o", Some((302, "/n%20m?o p"))),
            (json!({"uri": "/n$uri", "encode_uri": true}), "/a%20b", Some((302, "/n/a%20b"))),
            (json!({"uri": "/n?x=$arg_v"}), "/o?v=a%0D%0Ax:y", Some((302, "/n?x=a%0D%0Ax:y"))),
            (json!({"regex_uri": ["^/a/(\\d+)$", "/b?id=$1"]}), "/a/7", Some((302, "/b?id=7"))),
            (json!({"regex_uri": ["^/a/", "http://c.test/"]}), "/a/x/a/", Some((302, "http://c.test/x/a/"))),
            (json!({"regex_uri": ["^/a/(\\d+)$", "/b"]}), "/a/x", None),
            (json!({"regex_uri": ["^/a", "/b?c"], "append_query_string": true}), "/a?d=e", Some((302, "/b?c&d=e"))),
        ] {
            let got = answer(block.clone(), None, request("GET", target));
            assert_eq!(got.as_ref().map(|(status, at)| (*status, &**at)), wanted, "{block} {target}");
        }
    }

    #[test]
    fn faults_name_their_field() {
        for (block, field, says) in [
            (json!({}), "", "exactly one of"),
            (json!({"uri": "/a", "http_to_https": false}), "", "exactly one of"),
            (json!({"uri": "/"}), "uri", "at least 2"),
            (json!({"uri": "/${"}), "uri", "closing"),
            (json!({"regex_uri": ["a"]}), "regex_uri", "two items"),
            (json!({"regex_uri": ["(", "a"]}), "regex_uri", "unclosed group"),
            (json!({"uri": "/a", "ret_code": 199}), "ret_code", "from 200 on"),
            (
                json!({"http_to_https": true, "append_query_string": true}),
                "append_query_string",
                "only one of `http_to_https` and `append_query_string` can be configured.",
            ),
            (json!({"url": "/a"}), "url", "unknown field"),
        ] {
            let error = redirect(block.clone(), None).unwrap_err();
            assert_eq!(error.field(), field, "{block}");
            assert!(error.to_string().contains(says), "{block}: {error}");
        }
    }
}
