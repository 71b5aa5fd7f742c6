//! Where Keycloak is asked: as the block says, else as its discovery document does.
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http::uri::Scheme;
use serde::Deserialize;

use super::error::Unasked;
use super::server::read;
use super::{AuthzKeycloakConfig, AuthzKeycloakPlugin};
use crate::plugin::{ConfigError, Plugin as _};
use crate::plugins::callout::{Cached, Calls, http_uri};

const TOKEN: &str = "token_endpoint";
const RESOURCES: &str = "resource_registration_endpoint";

/// The endpoints of one realm.
pub(super) struct Endpoints {
    own: Known,
    discovery: Option<Discovery>,
}

/// Endpoints that are known.
#[derive(Debug, Default)]
struct Known {
    token: Option<Uri>,
    resources: Option<Uri>,
}

struct Discovery {
    uri: Uri,
    needs: Needs,
    document: Cached<Known>,
}

/// What the block does not say itself.
#[derive(Clone, Copy, Debug)]
struct Needs {
    token: bool,
    resources: bool,
}

impl Endpoints {
    pub(super) fn new(config: &AuthzKeycloakConfig) -> Result<Self, ConfigError> {
        let wrong = |field: &str, reason: String| ConfigError::invalid(AuthzKeycloakPlugin::NAME, field, reason);
        let address = |field: &str, text: &Option<String>| {
            text.as_deref().map(|text| http_uri(text).map_err(|error| wrong(field, error.to_string()))).transpose()
        };
        let own = Known {
            token: address(TOKEN, &config.token_endpoint)?,
            resources: address(RESOURCES, &config.resource_registration_endpoint)?,
        };
        let needs = Needs { token: own.token.is_none(), resources: config.lazy_load_paths && own.resources.is_none() };
        let lifetime = Duration::from_secs(config.cache_ttl_seconds);
        let discovery = address("discovery", &config.discovery)?;
        let discovery = discovery.map(|uri| Discovery { uri, needs, document: Cached::new(lifetime) });
        if discovery.is_none() && needs.token {
            return Err(wrong("discovery", "property \"discovery\" or \"token_endpoint\" is required".to_owned()));
        }
        if discovery.is_none() && needs.resources {
            let reason = "is on: write `discovery` or `resource_registration_endpoint` as well";
            return Err(wrong("lazy_load_paths", reason.to_owned()));
        }
        Ok(Self { own, discovery })
    }

    /// Where tokens and decisions are to be had.
    pub(super) async fn token(&self, calls: &Calls<'_>) -> Result<Uri, Unasked> {
        match &self.own.token {
            Some(endpoint) => Ok(endpoint.clone()),
            None => self.told(calls, TOKEN).await?.token.clone().ok_or(Unasked::None(TOKEN)),
        }
    }

    /// Where resources are registered.
    pub(super) async fn resources(&self, calls: &Calls<'_>) -> Result<Uri, Unasked> {
        match &self.own.resources {
            Some(endpoint) => Ok(endpoint.clone()),
            None => self.told(calls, RESOURCES).await?.resources.clone().ok_or(Unasked::None(RESOURCES)),
        }
    }

    async fn told(&self, calls: &Calls<'_>, what: &'static str) -> Result<Arc<Known>, Unasked> {
        let Some(discovery) = &self.discovery else { return Err(Unasked::None(what)) };
        let fetch = async || {
            let mut request = http::Request::new(Bytes::new());
            *request.uri_mut() = discovery.uri.clone();
            let document: Document = read("the discovery document", calls.send(request).await?)?;
            document.judge(discovery.uri.scheme() == Some(&Scheme::HTTPS), discovery.needs)
        };
        Ok(discovery.document.get(fetch).await?)
    }
}

/// The document on the wire.
#[derive(Debug, Deserialize)]
struct Document {
    token_endpoint: Option<String>,
    resource_registration_endpoint: Option<String>,
}

impl Document {
    /// What is no good is not kept: it may be a page that says that Keycloak is being looked after.
    fn judge(self, secure: bool, needs: Needs) -> Result<Known, Unasked> {
        let endpoint = |name: &'static str, text: Option<String>, is_needed: bool| {
            let Some(text) = text.filter(|_| is_needed) else {
                return if is_needed { Err(Unasked::None(name)) } else { Ok(None) };
            };
            let uri = http_uri(&text).map_err(|error| Unasked::Endpoint(name, error))?;
            match secure && uri.scheme() != Some(&Scheme::HTTPS) {
                true => Err(Unasked::Downgrade(name)),
                false => Ok(Some(uri)),
            }
        };
        Ok(Known {
            token: endpoint(TOKEN, self.token_endpoint, needs.token)?,
            resources: endpoint(RESOURCES, self.resource_registration_endpoint, needs.resources)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(document: &str, secure: bool) -> Result<Known, Unasked> {
        let document: Document = serde_json::from_str(document).unwrap();
        document.judge(secure, Needs { token: true, resources: false })
    }

    #[test]
    fn a_document_without_what_is_needed_is_none() {
        assert!(matches!(judge("{}", false), Err(Unasked::None("token_endpoint"))));
        assert!(judge("{\"token_endpoint\": \"http://kc.test/t\"}", false).unwrap().resources.is_none());
        let odd = judge("{\"token_endpoint\": \"file:///etc/passwd\"}", false);
        assert!(matches!(odd, Err(Unasked::Endpoint("token_endpoint", _))));
    }

    #[test]
    fn sec_ssrf_03_a_document_fetched_by_https_names_no_plain_endpoint() {
        let plain = judge("{\"token_endpoint\": \"http://kc.test/t\"}", true);
        assert!(matches!(plain, Err(Unasked::Downgrade("token_endpoint"))), "{plain:?}");
        #[cfg(feature = "tls")]
        assert!(judge("{\"token_endpoint\": \"https://kc.test/t\"}", true).is_ok());
    }
}
