//! Functions of the host program.
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::{Ended, Phase};
use crate::{BoxFuture, Request, Response};

/// The request that an answer or an end belongs to: as it came to the layer, without its body. Its extensions have
/// [`Exchange`](crate::Exchange), which tells what became of it since: route, consumer, upstream.
pub type Asked = Arc<http::Request<()>>;

type Verdict = Pin<Box<dyn Future<Output = Result<Request, Response>> + Send>>;
pub(super) type OnRequest = Arc<dyn Fn(Request) -> Verdict + Send + Sync>;
pub(super) type OnResponse = Arc<dyn Fn(Response, Asked) -> BoxFuture + Send + Sync>;
pub(super) type OnEnd = Arc<dyn Fn(&Ended) + Send + Sync>;

/// Functions of the host program by name, for blocks of `serverless-pre-function` and `serverless-post-function`.
///
/// Names are letters, digits, `_`, `-`, `.` and `:`. A function of a name that is there already replaces it.
///
/// ```
/// use http::{HeaderValue, StatusCode};
/// use tollgate::plugins::serverless::Functions;
/// use tollgate::{Gateway, reject};
///
/// let functions = Functions::new()
///     .request("only_reading", |request| async move {
///         match request.method().is_safe() {
///             true => Ok(request),
///             false => Err(reject(StatusCode::FORBIDDEN, "only_reading", "Only reading is allowed")),
///         }
///     })
///     .response("served_by", |mut response, _| async move {
///         response.headers_mut().insert("x-served-by", HeaderValue::from_static("edge-1"));
///         response
///     })
///     .log("count", |ended| println!("{:?} after {:?}", ended.status, ended.took));
/// let gateway = Gateway::builder().functions(functions).build()?;
/// # let _ = gateway;
/// # Ok::<(), tollgate::gateway::ApplyError>(())
/// ```
#[derive(Clone, Default)]
pub struct Functions(BTreeMap<String, Function>);

#[derive(Clone)]
enum Function {
    Request(OnRequest),
    Response(OnResponse),
    End(OnEnd),
}

impl Functions {
    /// No function at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// A function for the phases `rewrite`, `access` and `before_proxy`. It hands the request on, changed or not, or answers it.
    ///
    /// The request is always the one that it was given, whose extensions say who calls and where it goes: another one is answered with
    /// 500. A target that it writes is made canonical at once, so that what stands behind judges what is forwarded; one that would be
    /// refused of a client is answered with 400. What stood before has judged another one: see
    /// [serverless-pre-function](super::super::serverless_pre_function).
    #[must_use]
    pub fn request<F, Fut>(mut self, name: impl Into<String>, function: F) -> Self
    where
        F: Fn(Request) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Request, Response>> + Send + 'static,
    {
        let function = Function::Request(Arc::new(move |request| -> Verdict { Box::pin(function(request)) }));
        self.0.insert(name.into(), function);
        self
    }

    /// A function for the phases `header_filter` and `body_filter`: it changes an answer, or replaces it.
    #[must_use]
    pub fn response<F, Fut>(mut self, name: impl Into<String>, function: F) -> Self
    where
        F: Fn(Response, Asked) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Response> + Send + 'static,
    {
        let function =
            Function::Response(Arc::new(move |response, asked| -> BoxFuture { Box::pin(function(response, asked)) }));
        self.0.insert(name.into(), function);
        self
    }

    /// A function for the phase `log`. It is called where the exchange ends and must not block; a panic in it is nobody
    /// else's.
    #[must_use]
    pub fn log(mut self, name: impl Into<String>, function: impl Fn(&Ended) + Send + Sync + 'static) -> Self {
        self.0.insert(name.into(), Function::End(Arc::new(function)));
        self
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(super) fn on_request(&self, name: &str, phase: Phase) -> Result<OnRequest, String> {
        match self.get(name)? {
            Function::Request(function) => Ok(Arc::clone(function)),
            other => Err(other.misplaced(name, phase)),
        }
    }

    pub(super) fn on_response(&self, name: &str, phase: Phase) -> Result<OnResponse, String> {
        match self.get(name)? {
            Function::Response(function) => Ok(Arc::clone(function)),
            other => Err(other.misplaced(name, phase)),
        }
    }

    pub(super) fn on_end(&self, name: &str, phase: Phase) -> Result<OnEnd, String> {
        match self.get(name)? {
            Function::End(function) => Ok(Arc::clone(function)),
            other => Err(other.misplaced(name, phase)),
        }
    }

    fn get(&self, name: &str) -> Result<&Function, String> {
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte)) {
            return Err(
                "is no name of a function. Source text, such as Lua, is not run: register a Rust function with \
                        `GatewayBuilder::functions`, and write its name"
                    .to_owned(),
            );
        }
        self.0.get(name).ok_or_else(|| {
            let known: Vec<_> = self.names().collect();
            let there =
                if known.is_empty() { "there are none".to_owned() } else { format!("there are {}", known.join(", ")) };
            format!("there is no function `{name}`: register it with `GatewayBuilder::functions`; {there}")
        })
    }
}

impl Function {
    fn misplaced(&self, name: &str, phase: Phase) -> String {
        let phases = match self {
            Self::Request(_) => "`rewrite`, `access` or `before_proxy`",
            Self::Response(_) => "`header_filter` or `body_filter`",
            Self::End(_) => "`log`",
        };
        format!("`{name}` cannot be called in phase `{}`: it is made for {phases}", phase.name())
    }
}

impl fmt::Debug for Functions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
