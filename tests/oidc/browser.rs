//! A browser: cookies, redirects and log-in forms.
use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    /// Where it came from.
    pub(crate) url: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Where a redirect leads, absolute.
    pub(crate) fn location(&self) -> String {
        let location = self.header("location");
        match location.starts_with('/') {
            true => format!("{}{location}", origin(&self.url)),
            false => location.to_owned(),
        }
    }

    /// A parameter of the query of where a redirect leads.
    pub(crate) fn told(&self, parameter: &str) -> Option<String> {
        let location = self.location();
        let query = location.split_once('?')?.1.to_owned();
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find(|(name, _)| name == parameter).map(|(_, value)| value.into_owned())
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

/// Sends a request as it is.
pub(crate) async fn send(request: Request<Bytes>) -> Answer {
    let url = request.uri().to_string();
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request.map(Full::new)).await.unwrap_or_else(|error| panic!("{url}: {error:?}"));
    let (head, body) = response.into_parts();
    let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    Answer { status: head.status.as_u16(), headers: head.headers, body, url }
}

fn origin(url: &str) -> String {
    let uri: Uri = url.parse().unwrap();
    format!("{}://{}", uri.scheme_str().unwrap(), uri.authority().unwrap())
}

/// Cookies by origin and name, as a browser keeps them that knows `Max-Age=0` and the limits of RFC 6265 §6.1, and that has
/// no use for `Secure` cookies, since nothing here is `https`.
#[derive(Clone, Default)]
pub(crate) struct Browser {
    cookies: BTreeMap<(String, String), String>,
}

impl Browser {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The cookies of an origin, as pairs.
    pub(crate) fn cookies(&self, url: &str) -> Vec<(String, String)> {
        let origin = origin(url);
        let ours = self.cookies.iter().filter(|((of, _), _)| *of == origin);
        ours.map(|((_, name), value)| (name.clone(), value.clone())).collect()
    }

    pub(crate) fn set(&mut self, url: &str, name: &str, value: &str) {
        self.cookies.insert((origin(url), name.to_owned()), value.to_owned());
    }

    pub(crate) fn forget(&mut self, url: &str, which: impl Fn(&str) -> bool) {
        let origin = origin(url);
        self.cookies.retain(|(of, name), _| *of != origin || !which(name));
    }

    pub(crate) async fn get(&mut self, url: &str) -> Answer {
        self.request(Request::get(url).body(Bytes::new()).unwrap()).await
    }

    /// Sends a request with the cookies, and keeps those that the answer sets.
    pub(crate) async fn request(&mut self, mut request: Request<Bytes>) -> Answer {
        let url = request.uri().to_string();
        let cookies: Vec<_> = self.cookies(&url).iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            request.headers_mut().insert("cookie", cookies.join("; ").parse().unwrap());
        }
        let answer = send(request).await;
        for cookie in answer.headers.get_all("set-cookie") {
            self.keep(&url, cookie.to_str().unwrap());
        }
        answer
    }

    fn keep(&mut self, url: &str, cookie: &str) {
        assert!(cookie.len() <= 4096, "a browser drops a cookie of {} bytes", cookie.len());
        let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
        let (name, value) = pair.split_once('=').unwrap();
        let has = |wanted: &str| attributes.split(';').any(|attribute| attribute.trim().eq_ignore_ascii_case(wanted));
        let key = (origin(url), name.to_owned());
        if has("secure") {
            return;
        }
        match has("max-age=0") || attributes.contains("1970") {
            true => self.cookies.remove(&key),
            false => self.cookies.insert(key, value.to_owned()),
        };
    }

    /// Opens a page and follows redirects; stops before the first one that `stop` names.
    pub(crate) async fn follow(&mut self, url: &str, stop: impl Fn(&str) -> bool) -> Answer {
        let mut answer = self.get(url).await;
        for _ in 0..20 {
            if !(300..400).contains(&answer.status) || stop(&answer.location()) {
                return answer;
            }
            answer = self.get(&answer.location()).await;
        }
        panic!("redirects have no end: {answer:?}");
    }

    /// Opens a page, logs in wherever that is asked for, and stops at the page or before a redirect that `stop` names.
    pub(crate) async fn log_in_until(&mut self, url: &str, user: &str, stop: impl Fn(&str) -> bool) -> Answer {
        let mut answer = self.follow(url, &stop).await;
        for _ in 0..5 {
            let Some((_, form)) = answer.body.split_once("<form ").filter(|_| answer.status == 200) else {
                return answer;
            };
            let part = |before: &str| form.split_once(before).unwrap().1.split('"').next().unwrap().to_owned();
            let (action, prompt) = (part("action=\""), part("name=\"prompt\" value=\""));
            let fields = [("prompt", prompt.as_str()), ("login", user), ("password", "any")];
            let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
            let request = Request::post(action).header("content-type", "application/x-www-form-urlencoded");
            let next = self.request(request.body(Bytes::from(body)).unwrap()).await;
            assert!((300..400).contains(&next.status), "{next:?}");
            if stop(&next.location()) {
                return next;
            }
            answer = self.follow(&next.location(), &stop).await;
        }
        panic!("forms have no end: {answer:?}");
    }

    pub(crate) async fn log_in(&mut self, url: &str, user: &str) -> Answer {
        self.log_in_until(url, user, |_| false).await
    }
}
