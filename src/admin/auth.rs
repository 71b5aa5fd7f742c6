//! Who calls: the key of a request, and what its role may do.
use std::fmt;
use std::sync::Arc;

use blake3::Hash;
use http::{HeaderMap, Method, StatusCode};
use serde_json::json;

use super::answer::Answer;
use super::query::Query;
use crate::model::{AdminRole, AdminSettings};

/// Whoever sent a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    /// The name of the key; `anonymous` where none is asked for.
    pub(super) name: Arc<str>,
    pub(super) role: AdminRole,
}

/// The keys, as keyed digests: nothing in memory gives a key away, and no comparison takes longer for a better guess.
pub(super) struct Keys {
    secret: [u8; 32],
    keys: Vec<(Hash, Caller)>,
    /// Whether one is asked for.
    required: bool,
    /// Whether they are looked for in the query and the cookies as well.
    anywhere: bool,
}

/// Why a request has no caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Missing,
    Wrong,
}

impl Keys {
    /// `keys` with their texts, secret references resolved.
    pub(super) fn new(
        settings: &AdminSettings,
        keys: &[(Arc<str>, AdminRole, String)],
    ) -> Result<Self, getrandom::Error> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        let keys = keys.iter().map(|(name, role, key)| {
            (blake3::keyed_hash(&secret, key.as_bytes()), Caller { name: Arc::clone(name), role: *role })
        });
        Ok(Self {
            keys: keys.collect(),
            secret,
            required: settings.admin_key_required,
            anywhere: settings.key_in_query_and_cookie,
        })
    }

    /// Whether everybody may do everything.
    pub(super) fn is_open(&self) -> bool {
        !self.required
    }

    /// Who sent a request.
    pub(super) fn caller(&self, headers: &HeaderMap, query: &Query) -> Result<Caller, Refusal> {
        match self.presented(headers, query) {
            Some(key) => self.look_up(&key).ok_or(Refusal::Wrong),
            None if self.is_open() => Ok(Caller { name: "anonymous".into(), role: AdminRole::Admin }),
            None => Err(Refusal::Missing),
        }
    }

    /// Looks at every key, whether or not an earlier one fits; the comparison of two digests takes the same time always.
    fn look_up(&self, key: &[u8]) -> Option<Caller> {
        let digest = blake3::keyed_hash(&self.secret, key);
        let mut found = None;
        for (known, caller) in &self.keys {
            if *known == digest {
                found = Some(caller);
            }
        }
        found.cloned()
    }

    /// The key of a request: one in the header, or by settings one in the query or a cookie. Two headers are none.
    fn presented(&self, headers: &HeaderMap, query: &Query) -> Option<Vec<u8>> {
        let mut fields = headers.get_all("x-api-key").iter();
        if let Some(field) = fields.next() {
            return Some(if fields.next().is_none() { field.as_bytes().to_vec() } else { Vec::new() });
        }
        if !self.anywhere {
            return None;
        }
        query.get("api_key").map(|key| key.as_bytes().to_vec()).or_else(|| cookie(headers))
    }
}

fn cookie(headers: &HeaderMap) -> Option<Vec<u8>> {
    let fields = headers.get_all(http::header::COOKIE).iter().filter_map(|field| field.to_str().ok());
    let mut pairs = fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == "x_api_key").map(|(_, key)| key.as_bytes().to_vec())
}

impl Caller {
    /// What the role may do.
    ///
    /// # Errors
    /// 403 for all but reads of a viewer, even if nothing is stored: judging a document is work.
    pub(super) fn may(&self, method: &Method) -> Result<(), Answer> {
        match self.role {
            AdminRole::Admin => Ok(()),
            _ if !matches!(*method, Method::GET | Method::HEAD) => Err(Answer::json(
                StatusCode::FORBIDDEN,
                json!({
                    "error_msg": "failed to check token",
                    "description": format!("invalid method for role viewer: {method}"),
                }),
            )),
            _ => Ok(()),
        }
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let description = match refusal {
            Refusal::Missing => "missing apikey",
            Refusal::Wrong => "wrong apikey",
        };
        let body = json!({ "error_msg": "failed to check token", "description": description });
        Self::json(StatusCode::UNAUTHORIZED, body).with(
            http::header::WWW_AUTHENTICATE,
            http::HeaderValue::from_static("apikey realm=\"admin\", header=\"X-API-KEY\""),
        )
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|(_, caller)| caller)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(settings: &AdminSettings) -> Keys {
        let keys = [
            ("root".into(), AdminRole::Admin, "a-key-of-root".to_owned()),
            ("eve".into(), AdminRole::Viewer, "a-key-of-eve".to_owned()),
        ];
        Keys::new(settings, &keys).unwrap()
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, http::HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn keys_come_in_a_header_and_elsewhere_only_by_settings() {
        let strict = keys(&AdminSettings::default());
        let lax = keys(&AdminSettings { key_in_query_and_cookie: true, ..AdminSettings::default() });
        let none = Query::default();
        let name = |found: Result<Caller, Refusal>| found.map(|caller| caller.name.to_string());
        for (sent, query, by_strict, by_lax) in [
            (&[("x-api-key", "a-key-of-root")][..], "", Ok("root"), Ok("root")),
            (&[("x-api-key", "a-key-of-eve")], "", Ok("eve"), Ok("eve")),
            (&[("x-api-key", "a-key-of-roo")], "", Err(Refusal::Wrong), Err(Refusal::Wrong)),
            (&[("x-api-key", "")], "", Err(Refusal::Wrong), Err(Refusal::Wrong)),
            (
                &[("x-api-key", "a-key-of-root"), ("x-api-key", "a-key-of-root")],
                "",
                Err(Refusal::Wrong),
                Err(Refusal::Wrong),
            ),
            (&[], "", Err(Refusal::Missing), Err(Refusal::Missing)),
            (&[], "api_key=a-key-of-root", Err(Refusal::Missing), Ok("root")),
            (&[("cookie", "a=b; x_api_key=a-key-of-eve")], "", Err(Refusal::Missing), Ok("eve")),
            (&[("x-api-key", "wrong")], "api_key=a-key-of-root", Err(Refusal::Wrong), Err(Refusal::Wrong)),
            (&[("authorization", "a-key-of-root")], "", Err(Refusal::Missing), Err(Refusal::Missing)),
        ] {
            let query = if query.is_empty() { &none } else { &Query::parse(query) };
            let owned = |expected: Result<&str, Refusal>| expected.map(str::to_owned);
            assert_eq!(name(strict.caller(&headers(sent), query)), owned(by_strict), "{sent:?}");
            assert_eq!(name(lax.caller(&headers(sent), query)), owned(by_lax), "{sent:?}");
        }
    }

    #[test]
    fn a_wrong_key_is_wrong_even_where_none_is_asked_for() {
        let open = keys(&AdminSettings { admin_key_required: false, ..AdminSettings::default() });
        let query = Query::default();
        assert_eq!(&*open.caller(&HeaderMap::new(), &query).unwrap().name, "anonymous");
        assert_eq!(open.caller(&headers(&[("x-api-key", "x")]), &query), Err(Refusal::Wrong));
    }

    #[test]
    fn viewers_do_not_write() {
        let viewer = Caller { name: "eve".into(), role: AdminRole::Viewer };
        assert!(viewer.may(&Method::GET).is_ok());
        assert!(viewer.may(&Method::POST).is_err(), "even what stores nothing");
        assert_eq!(viewer.may(&Method::PUT).unwrap_err().status, 403);
    }

    #[test]
    fn keys_are_not_shown() {
        assert!(!format!("{:?}", keys(&AdminSettings::default())).contains("a-key"));
    }
}
