//! Names of variables, parsed once so that a request does no work on strings.
use std::fmt;
use std::sync::Arc;

use http::HeaderName;

macro_rules! fixed {
    ($($(#[$doc:meta])* $variant:ident = $name:literal $(| $alias:literal)*),+ $(,)?) => {
        /// A variable (model.md §8.1).
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum VarName {
            $($(#[$doc])* $variant,)+
            /// `arg_<name>`: the first such query argument, decoded; names are case-sensitive.
            Arg(Arc<str>),
            /// `http_<name>`: a header, `_` standing for `-`; repeated lines joined with `, `.
            Header(HeaderName),
            /// `cookie_<name>`; names are case-sensitive.
            Cookie(Arc<str>),
            /// `post_arg_<name>`: the first such field of an urlencoded form.
            PostArg(Arc<str>),
            /// `post_arg.<path>`: a place in a JSON, multipart or form body.
            PostArgPath(Arc<str>),
            /// `uri_param_<name>`: a capture of the path; missing while a route is being chosen.
            UriParam(Arc<str>),
            /// Any other name: one that the embedding program registered, or one that is always missing.
            Custom(Arc<str>),
        }

        impl VarName {
            fn fixed(name: &str) -> Option<Self> {
                match name {
                    $($name $(| $alias)* => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl fmt::Display for VarName {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant => f.write_str($name),)+
                    Self::Arg(name) => write!(f, "arg_{name}"),
                    Self::Header(name) => write!(f, "http_{}", name.as_str().replace('-', "_")),
                    Self::Cookie(name) => write!(f, "cookie_{name}"),
                    Self::PostArg(name) => write!(f, "post_arg_{name}"),
                    Self::PostArgPath(path) => write!(f, "post_arg.{path}"),
                    Self::UriParam(name) => write!(f, "uri_param_{name}"),
                    Self::Custom(name) => f.write_str(name),
                }
            }
        }

        #[cfg(test)]
        const FIXED: &[&str] = &[$($name),+];
    };
}

fixed! {
    /// The path that was matched.
    Uri = "uri",
    /// That path with the query.
    RequestUri = "request_uri",
    /// The target as sent.
    RealRequestUri = "real_request_uri",
    /// The query, without `?`.
    Args = "args" | "query_string",
    /// `?` if there is a query, else empty.
    IsArgs = "is_args",
    /// The method.
    Method = "request_method" | "method",
    /// `http` or `https`.
    Scheme = "scheme",
    /// The host in lower case, without port.
    Host = "host",
    /// The authority as sent.
    HttpHost = "http_host",
    /// The port that the client connected to.
    ServerPort = "server_port",
    /// The address that the client connected to.
    ServerAddr = "server_addr",
    /// The name of the server.
    ServerName = "server_name",
    /// The client's address.
    RemoteAddr = "remote_addr",
    /// The client's port.
    RemotePort = "remote_port",
    /// The id of the request.
    RequestId = "request_id" | "apisix_request_id",
    /// Bytes of the request.
    RequestLength = "request_length",
    /// Seconds since the request came.
    RequestTime = "request_time",
    /// `HTTP/1.1` and the like.
    Protocol = "server_protocol",
    /// The version alone, `1.1`.
    HttpVersion = "http_version",
    /// The name of the first GraphQL operation.
    GraphqlName = "graphql_name",
    /// The kind of the first GraphQL operation.
    GraphqlOperation = "graphql_operation",
    /// The root fields of the first GraphQL operation.
    GraphqlRootFields = "graphql_root_fields",
    /// The route's id.
    RouteId = "route_id",
    /// The route's name.
    RouteName = "route_name",
    /// The service's id.
    ServiceId = "service_id",
    /// The service's name.
    ServiceName = "service_name",
    /// The consumer's name.
    ConsumerName = "consumer_name",
    /// The consumer's group.
    ConsumerGroupId = "consumer_group_id",
    /// The address of the endpoint that was picked.
    BalancerIp = "balancer_ip",
    /// The port of the endpoint that was picked.
    BalancerPort = "balancer_port",
    /// The host of the endpoint before it was resolved.
    UpstreamUnresolvedHost = "upstream_unresolved_host",
    /// Every address that was tried.
    UpstreamAddr = "upstream_addr",
    /// Every status that came back.
    UpstreamStatus = "upstream_status",
    /// Seconds that the upstream took.
    UpstreamResponseTime = "upstream_response_time",
    /// The name that the client asked for in the TLS handshake.
    SslServerName = "ssl_server_name",
    /// The version of TLS, `TLSv1.3`.
    SslProtocol = "ssl_protocol",
    /// The cipher suite, by OpenSSL's name.
    SslCipher = "ssl_cipher",
    /// `r` if the TLS session was resumed, else `.`.
    SslSessionReused = "ssl_session_reused",
    /// `SUCCESS`, `FAILED` or `NONE`: what became of the client's certificate.
    SslClientVerify = "ssl_client_verify",
    /// The subject of the client's certificate (RFC 2253).
    SslClientSDn = "ssl_client_s_dn",
    /// The issuer of the client's certificate (RFC 2253).
    SslClientIDn = "ssl_client_i_dn",
    /// The serial number of the client's certificate, hexadecimal.
    SslClientSerial = "ssl_client_serial",
    /// SHA-1 of the client's certificate, hexadecimal.
    SslClientFingerprint = "ssl_client_fingerprint",
    /// The client's certificate as PEM.
    SslClientRawCert = "ssl_client_raw_cert",
    /// The client's certificate as PEM, escaped as in a URI.
    SslClientEscapedCert = "ssl_client_escaped_cert",
    /// The body of the answer, for loggers that opted in.
    RespBody = "resp_body",
    /// The MQTT client id of a stream.
    MqttClientId = "mqtt_client_id",
}

impl VarName {
    /// Parses a name as written in `vars`, in a `key` or in a template. Any name parses; an unknown one is
    /// [`VarName::Custom`].
    pub fn parse(name: &str) -> Self {
        if let Some(fixed) = Self::fixed(name) {
            return fixed;
        }
        let behind = |prefix| name.strip_prefix(prefix).filter(|rest| !rest.is_empty()).map(Arc::from);
        let header = || name.strip_prefix("http_")?.replace('_', "-").parse().ok();
        None.or_else(|| behind("arg_").map(Self::Arg))
            .or_else(|| behind("cookie_").map(Self::Cookie))
            .or_else(|| behind("post_arg_").map(Self::PostArg))
            .or_else(|| behind("post_arg.").map(Self::PostArgPath))
            .or_else(|| behind("uri_param_").map(Self::UriParam))
            .or_else(|| header().map(Self::Header))
            .unwrap_or_else(|| Self::Custom(name.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_and_print_alike() {
        let more = ["arg_A", "http_x_y", "cookie_c", "post_arg_p", "post_arg.a.b[*]", "uri_param_id", "my_own", "arg_"];
        for name in FIXED.iter().copied().chain(more) {
            assert_eq!(VarName::parse(name).to_string(), name);
        }
        assert_eq!(VarName::parse("query_string"), VarName::Args);
        assert_eq!(VarName::parse("http_User_Agent"), VarName::Header(http::header::USER_AGENT));
        assert_eq!(VarName::parse("arg_"), VarName::Custom("arg_".into()));
        assert_eq!(VarName::parse("http_é"), VarName::Custom("http_é".into()));
    }
}
