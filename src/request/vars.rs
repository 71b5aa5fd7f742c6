//! The variables of a request (model.md §8.1).
use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use http::header::{COOKIE, HOST, HeaderMap, HeaderName};
use http::request::Parts;
use http::{Extensions, Method, Uri, Version};

use super::client::peer;
use super::{Consumer, Facts, RequestIdentity, RouteInfo, RouteMatch, SharedFacts, client_addr};
use crate::ConnectInfo;
use crate::router::{PathMode, Value, VarName, Variables};

/// A variable of the host program: computed from the others.
pub(crate) type Getter = Arc<dyn Fn(&dyn Variables) -> Option<String> + Send + Sync>;

/// The host program's variables by name.
#[derive(Default)]
pub(crate) struct CustomVars(pub(crate) HashMap<String, Getter>);

/// The variables of a request (model.md §8.1). Nothing is computed before it is asked for.
///
/// Always missing are those of bodies (`post_arg_*`, `graphql_*`), those of the answer and the upstream (`upstream_*`,
/// `balancer_*`, `resp_body`), `request_length` and `request_time`. Those of the route are missing while it is chosen, and so
/// is `uri_param_*`; those of the consumer are missing before it is known.
pub struct RequestVars<'a> {
    pub(crate) method: &'a Method,
    /// The target as it is forwarded.
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) version: Version,
    pub(crate) known: Known<'a>,
}

/// Where the rest is known from.
pub(crate) enum Known<'a> {
    /// A request that is being routed: nobody has identified anything yet.
    Arriving(Arriving<'a>),
    /// A request on its way through layers.
    Underway { extensions: &'a Extensions, facts: Option<&'a Facts>, client: Option<IpAddr> },
}

/// What is known while a route is being chosen.
pub(crate) struct Arriving<'a> {
    /// The path as plugins see it; in compatible mode it is decoded and need not be UTF-8.
    pub(crate) path: &'a [u8],
    /// The target as sent.
    pub(crate) raw_target: &'a Uri,
    pub(crate) connection: Option<&'a ConnectInfo>,
    pub(crate) client: Option<IpAddr>,
    /// Forwarding fields as received.
    pub(crate) original: Option<&'a HeaderMap>,
    pub(crate) custom: &'a CustomVars,
}

/// Where a variable is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// While a route is chosen.
    Routing,
    /// By a layer.
    Underway,
}

impl CustomVars {
    /// Whether no request ever has the variable there, so that a condition on it is most likely not what was meant.
    pub(crate) fn never_has(&self, name: &VarName, asked: Asked) -> bool {
        match name {
            VarName::RequestLength
            | VarName::RequestTime
            | VarName::PostArg(_)
            | VarName::PostArgPath(_)
            | VarName::GraphqlName
            | VarName::GraphqlOperation
            | VarName::GraphqlRootFields
            | VarName::BalancerIp
            | VarName::BalancerPort
            | VarName::UpstreamUnresolvedHost
            | VarName::UpstreamAddr
            | VarName::UpstreamStatus
            | VarName::UpstreamResponseTime
            | VarName::RespBody
            | VarName::MqttClientId => true,
            VarName::UriParam(_)
            | VarName::RouteId
            | VarName::RouteName
            | VarName::ServiceId
            | VarName::ServiceName
            | VarName::ConsumerName
            | VarName::ConsumerGroupId => asked == Asked::Routing,
            VarName::Custom(name) => !self.0.contains_key(&**name) && !name.starts_with("original_"),
            _ => false,
        }
    }
}

impl<'a> RequestVars<'a> {
    /// The variables of a request on its way through layers: of a gateway, or of any other tower stack, where those
    /// that only a gateway knows are missing.
    pub fn of<B>(request: &'a http::Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            version: request.version(),
            known: Known::Underway {
                extensions: request.extensions(),
                facts: SharedFacts::of(request),
                client: client_addr(request),
            },
        }
    }

    /// Those of a request's head, for a client that the caller knows.
    pub(crate) fn of_parts(request: &'a Parts, client: Option<IpAddr>) -> Self {
        let facts = request.extensions.get::<SharedFacts>().map(|shared| &*shared.0);
        Self {
            method: &request.method,
            uri: &request.uri,
            headers: &request.headers,
            version: request.version,
            known: Known::Underway { extensions: &request.extensions, facts, client },
        }
    }

    fn facts(&self) -> Option<&'a Facts> {
        match &self.known {
            Known::Arriving(_) => None,
            Known::Underway { facts, .. } => *facts,
        }
    }

    fn path(&self) -> &'a [u8] {
        match &self.known {
            Known::Arriving(arriving) => arriving.path,
            Known::Underway { .. } => {
                let seen = self.given_path().and_then(|facts| facts.path.as_deref());
                seen.unwrap_or(self.uri.path().as_bytes())
            }
        }
    }

    /// The facts, as long as they tell of the path: a layer that changed the path changed what `uri` is; one that took
    /// out an argument did not.
    fn given_path(&self) -> Option<&'a Facts> {
        self.facts().filter(|facts| {
            let given = facts.given.as_ref().map(|given| given.target.as_ref());
            given.is_none_or(|given| given.map_or("", |given| given.path()) == self.uri.path())
        })
    }

    /// Whether `uri` is decoded, as `path_mode: compatible` has it, and not the text of a URI.
    pub(crate) fn has_decoded_path(&self) -> bool {
        let options = self.given_path().and_then(|facts| facts.given.as_ref()).map(|given| &given.options);
        options.is_some_and(|options| options.path_mode == PathMode::Compatible)
    }

    /// Path and query, as text of a URI, as they were before any layer changed them.
    pub(crate) fn original_target(&self) -> &'a str {
        let given = self.facts().and_then(|facts| facts.given.as_ref()).and_then(|given| given.target.as_ref());
        given.map_or_else(|| target(self.uri), |given| given.as_str())
    }

    /// Path and query as they were before any layer changed them.
    fn request_uri(&self) -> Value<'a> {
        let given = self.facts().and_then(|facts| facts.given.as_ref()).and_then(|given| given.target.as_ref());
        let (whole, query) = match given {
            Some(given) => (given.as_str(), given.query()),
            None => (target(self.uri), self.uri.query()),
        };
        let path = match &self.known {
            Known::Arriving(arriving) => Some(arriving.path),
            Known::Underway { facts, .. } => facts.and_then(|facts| facts.path.as_deref()),
        };
        match (path, query) {
            (None, _) => Value::from(whole),
            (Some(path), None) => Value::from(path),
            (Some(path), Some(query)) => Value::Text(Cow::Owned([path, b"?", query.as_bytes()].concat())),
        }
    }

    fn raw_target(&self) -> &'a Uri {
        match &self.known {
            Known::Arriving(arriving) => arriving.raw_target,
            Known::Underway { facts, .. } => facts.and_then(|facts| facts.raw_target.as_ref()).unwrap_or(self.uri),
        }
    }

    fn connection(&self) -> Option<&'a ConnectInfo> {
        match &self.known {
            Known::Arriving(arriving) => arriving.connection,
            Known::Underway { extensions, facts, .. } => match facts {
                Some(facts) => facts.connection.as_ref(),
                None => extensions.get(),
            },
        }
    }

    fn client(&self) -> Option<IpAddr> {
        match &self.known {
            Known::Arriving(arriving) => arriving.client,
            Known::Underway { client, .. } => *client,
        }
    }

    fn client_port(&self) -> Option<u16> {
        if let Known::Underway { extensions, facts, .. } = &self.known {
            if let Some(client) = extensions.get::<super::client::ClientAddr>() {
                return client.port;
            }
            if facts.is_none() {
                return peer(extensions).map(|peer| peer.port());
            }
        }
        self.connection().map(|connection| connection.peer.port())
    }

    fn route(&self) -> Option<&'a RouteInfo> {
        self.facts()?.route.as_deref()
    }

    fn matched(&self) -> Option<&'a RouteMatch> {
        self.facts()?.matched.as_ref()
    }

    fn consumer(&self) -> Option<&'a Consumer> {
        self.extension()
    }

    /// What a layer has left with the request.
    fn extension<T: Send + Sync + 'static>(&self) -> Option<&'a T> {
        match &self.known {
            Known::Arriving(_) => None,
            Known::Underway { extensions, .. } => extensions.get(),
        }
    }

    fn query(&self) -> &'a str {
        self.uri.query().unwrap_or("")
    }

    fn host(&self) -> Option<&'a str> {
        self.headers.get(HOST).and_then(|host| host.to_str().ok())
    }

    fn custom(&self, name: &str) -> Option<Value<'_>> {
        let (custom, original) = match &self.known {
            Known::Arriving(arriving) => (arriving.custom, arriving.original),
            Known::Underway { facts, .. } => {
                let facts = (*facts)?;
                (&*facts.environment.custom_vars, facts.arrival.original.as_deref())
            }
        };
        if let Some(getter) = custom.0.get(name) {
            return getter(self).map(Value::from);
        }
        // `original_x_forwarded_for` and its like: what arrived before it was replaced.
        let field = name.strip_prefix("original_")?.replace('_', "-");
        header(original?, &HeaderName::from_bytes(field.as_bytes()).ok()?)
    }
}

impl std::fmt::Debug for RequestVars<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RequestVars")
    }
}

impl Variables for RequestVars<'_> {
    fn get<'a>(&'a self, name: &VarName) -> Option<Value<'a>> {
        let text = |text: &'a str| Some(Value::from(text));
        match name {
            VarName::Uri => Some(Value::from(self.path())),
            VarName::RequestUri => Some(self.request_uri()),
            VarName::RealRequestUri => Some(Value::from(target(self.raw_target()))),
            VarName::Args => text(self.query()),
            VarName::IsArgs => text(if self.uri.query().is_some() { "?" } else { "" }),
            VarName::Method => text(self.method.as_str()),
            VarName::Scheme => {
                text(if self.connection().is_some_and(|connection| connection.tls) { "https" } else { "http" })
            }
            VarName::Host | VarName::ServerName => self.host().map(|host| Value::from(bare_host(host))),
            VarName::HttpHost => self.host().map(Value::from),
            VarName::ServerPort => Some(Value::Number(self.connection()?.local?.port().into())),
            VarName::ServerAddr => Some(Value::from(self.connection()?.local?.ip().to_canonical().to_string())),
            VarName::RemoteAddr => Some(Value::from(self.client()?.to_string())),
            VarName::RemotePort => Some(Value::Number(self.client_port()?.into())),
            VarName::Protocol => text(protocol(self.version)),
            VarName::HttpVersion => protocol(self.version).strip_prefix("HTTP/").map(Value::from),
            VarName::RequestId => match self.extension::<RequestIdentity>() {
                Some(RequestIdentity(id)) => Some(Value::from(id.as_bytes())),
                None => header(self.headers, &HeaderName::from_static("x-request-id")),
            },
            VarName::Arg(name) => argument(self.query(), name),
            VarName::Header(name) => header(self.headers, name),
            VarName::Cookie(name) => cookie(self.headers, name),
            VarName::UriParam(name) => self.matched()?.params.get(name).map(Value::Text),
            VarName::RouteId => Some(Value::from(&*self.route()?.id)),
            VarName::RouteName => Some(Value::from(self.route()?.name.as_deref()?)),
            VarName::ServiceId => Some(Value::from(&*self.route()?.service.as_ref()?.0)),
            VarName::ServiceName => Some(Value::from(self.route()?.service.as_ref()?.1.as_deref()?)),
            VarName::ConsumerName => Some(Value::from(&**self.consumer()?.name())),
            VarName::ConsumerGroupId => Some(Value::from(&**self.consumer()?.group()?)),
            VarName::Custom(name) => self.custom(name),
            VarName::SslServerName
            | VarName::SslProtocol
            | VarName::SslCipher
            | VarName::SslSessionReused
            | VarName::SslClientVerify
            | VarName::SslClientSDn
            | VarName::SslClientIDn
            | VarName::SslClientSerial
            | VarName::SslClientFingerprint
            | VarName::SslClientRawCert
            | VarName::SslClientEscapedCert => super::tls::variable(self.connection()?.handshake()?, name),
            _ => None,
        }
    }
}

/// The target without scheme and authority.
fn target(uri: &Uri) -> &str {
    uri.path_and_query().map_or_else(|| uri.path(), |target| target.as_str())
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

/// Lower case, without port and trailing dot.
fn bare_host(authority: &str) -> String {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// All lines of a field, joined with `, `.
fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Value<'a>> {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next()?.as_bytes();
    let Some(second) = lines.next() else { return Some(Value::from(first)) };
    let mut all = first.to_vec();
    for line in std::iter::once(second).chain(lines) {
        all.extend_from_slice(b", ");
        all.extend_from_slice(line.as_bytes());
    }
    Some(Value::Text(Cow::Owned(all)))
}

/// A cookie's value as sent (RFC 6265 §5.4); names are case-sensitive.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<Value<'a>> {
    headers.get_all(COOKIE).iter().find_map(|line| {
        line.as_bytes().split(|byte| *byte == b';').find_map(|pair| {
            let pair = pair.trim_ascii();
            let value = pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            Some(Value::from(value))
        })
    })
}

/// The first argument of that name, decoded; `true` when it stands without `=` (router.md §6).
fn argument<'a>(query: &'a str, name: &str) -> Option<Value<'a>> {
    query.split('&').find_map(|pair| {
        let (key, value) = match pair.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (pair, None),
        };
        if *decoded(key) != *name.as_bytes() {
            return None;
        }
        Some(value.map_or(Value::Bool(true), |value| Value::Text(decoded(value))))
    })
}

/// Percent-decodes; `+` is a blank. An incomplete escape stays as it is.
pub(crate) fn decoded(text: &str) -> Cow<'_, [u8]> {
    if !text.bytes().any(|byte| byte == b'%' || byte == b'+') {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        match (first, tail) {
            (b'+', _) => out.push(b' '),
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    rest = after;
                }
                _ => out.push(b'%'),
            },
            (byte, _) => out.push(byte),
        }
    }
    Cow::Owned(out)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_decoded_and_the_first_one_counts() {
        let query = "a=1&a=2&b&c=&d%20e=x+y%2Fz&f=%zz";
        assert_eq!(argument(query, "a"), Some(Value::from("1")));
        assert_eq!(argument(query, "b"), Some(Value::Bool(true)));
        assert_eq!(argument(query, "c"), Some(Value::from("")));
        assert_eq!(argument(query, "d e"), Some(Value::from("x y/z".to_owned())));
        assert_eq!(argument(query, "f"), Some(Value::from("%zz".to_owned())));
        assert_eq!(argument(query, "A"), None);
    }

    #[test]
    fn cookies_and_repeated_headers() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, http::HeaderValue::from_static("a=1; b=2=3;c="));
        headers.append("x-two", http::HeaderValue::from_static("1"));
        headers.append("x-two", http::HeaderValue::from_static("2"));
        assert_eq!(cookie(&headers, "b"), Some(Value::from("2=3")));
        assert_eq!(cookie(&headers, "c"), Some(Value::from("")));
        assert_eq!(cookie(&headers, "B"), None);
        assert_eq!(header(&headers, &HeaderName::from_static("x-two")), Some(Value::from("1, 2".to_owned())));
    }

    #[test]
    fn hosts_lose_port_dot_and_case() {
        for (authority, host) in
            [("A.Test:80", "a.test"), ("a.test.", "a.test"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]")]
        {
            assert_eq!(bare_host(authority), host);
        }
    }
}
