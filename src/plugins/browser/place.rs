//! Where a request stands, as its browser sees it.
use crate::request::RequestVars;
use crate::router::{Value, VarName, Variables as _};

/// `http://host:port`, as the client wrote host and port.
pub(in crate::plugins) fn origin<B>(request: &http::Request<B>) -> String {
    let variables = RequestVars::of(request);
    let text = |name| match variables.get(&name) {
        Some(Value::Text(text)) => String::from_utf8_lossy(&text).into_owned(),
        _ => String::new(),
    };
    let scheme = text(VarName::Scheme);
    let scheme = if scheme.is_empty() { "http" } else { &scheme };
    format!("{scheme}://{}", text(VarName::HttpHost))
}
