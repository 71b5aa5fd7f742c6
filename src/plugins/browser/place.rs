//! Where a request stands, as its browser sees it.
use crate::request::{RequestVars, is_secure};
use crate::router::{Value, VarName, Variables as _};

/// `http://host:port`, as the client wrote host and port; `https` also where a trusted proxy says that its client came by that.
pub(in crate::plugins) fn origin<B>(request: &http::Request<B>) -> String {
    let scheme = if is_secure(request) { "https" } else { "http" };
    let host = match RequestVars::of(request).get(&VarName::HttpHost) {
        Some(Value::Text(host)) => String::from_utf8_lossy(&host).into_owned(),
        _ => String::new(),
    };
    format!("{scheme}://{host}")
}
