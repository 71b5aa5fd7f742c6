//! How the gateway proves to the provider that it is the client (OpenID Connect Core 1.0 §9).
use bytes::Bytes;
use form_urlencoded::Serializer;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Uri};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

use super::ClientAuthMethod;
use super::seal::random_text;
use crate::model::Sensitive;
use crate::plugins::browser::unix_now;

/// The client's identity and what it proves it with.
pub(super) struct ClientAuth {
    pub(super) id: String,
    /// None: a public client, which names itself and proves nothing.
    pub(super) secret: Option<Sensitive>,
    pub(super) key: Option<EncodingKey>,
    pub(super) key_id: Option<String>,
    /// Algorithm of assertions, if not the usual one of the method.
    pub(super) algorithm: Option<Algorithm>,
    /// `aud` of assertions, if not the endpoint.
    pub(super) audience: Option<String>,
    /// Lifetime of assertions in seconds.
    pub(super) lifetime: u64,
}

/// No assertion could be made.
#[derive(Debug, thiserror::Error)]
#[error("the client's assertion cannot be signed")]
pub(super) struct NoAssertion(#[source] jsonwebtoken::errors::Error);

#[derive(Serialize)]
struct Assertion<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    jti: String,
    iat: u64,
    exp: u64,
}

impl ClientAuth {
    /// A form for an endpoint of the provider, with the client's proof in it.
    ///
    /// # Errors
    /// [`NoAssertion`].
    pub(super) fn form(
        &self,
        method: ClientAuthMethod,
        endpoint: &Uri,
        fields: &[(&str, &str)],
    ) -> Result<http::Request<Bytes>, NoAssertion> {
        let mut form = Serializer::new(String::new());
        form.extend_pairs(fields);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        match (method, &self.secret) {
            (ClientAuthMethod::ClientSecretBasic, Some(secret)) => {
                headers.insert(AUTHORIZATION, basic(&self.id, secret.expose()));
            }
            (ClientAuthMethod::ClientSecretPost, Some(secret)) => {
                form.append_pair("client_id", &self.id).append_pair("client_secret", secret.expose());
            }
            (ClientAuthMethod::ClientSecretJwt, Some(secret)) => {
                let key = EncodingKey::from_secret(secret.expose().as_bytes());
                let assertion = self.assertion(&key, Algorithm::HS256, endpoint)?;
                append_assertion(&mut form, &assertion);
            }
            (ClientAuthMethod::PrivateKeyJwt, _) if self.key.is_some() => {
                if let Some(key) = &self.key {
                    append_assertion(&mut form, &self.assertion(key, Algorithm::RS256, endpoint)?);
                }
            }
            _ => {
                form.append_pair("client_id", &self.id);
            }
        }
        let mut request = http::Request::new(Bytes::from(form.finish()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = endpoint.clone();
        *request.headers_mut() = headers;
        Ok(request)
    }

    fn assertion(&self, key: &EncodingKey, usual: Algorithm, endpoint: &Uri) -> Result<String, NoAssertion> {
        let mut header = Header::new(self.algorithm.unwrap_or(usual));
        header.kid.clone_from(&self.key_id);
        let (now, endpoint) = (unix_now(), endpoint.to_string());
        let claims = Assertion {
            iss: &self.id,
            sub: &self.id,
            aud: self.audience.as_deref().unwrap_or(&endpoint),
            jti: random_text::<16>().unwrap_or_default(),
            iat: now,
            exp: now.saturating_add(self.lifetime),
        };
        jsonwebtoken::encode(&header, &claims, key).map_err(NoAssertion)
    }
}

impl std::fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientAuth").field("id", &self.id).finish_non_exhaustive()
    }
}

fn append_assertion(form: &mut Serializer<'_, String>, assertion: &str) {
    form.append_pair("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
        .append_pair("client_assertion", assertion);
}

/// `Basic`, with both parts form-encoded first (RFC 6749 §2.3.1).
fn basic(id: &str, secret: &str) -> HeaderValue {
    use base64::Engine as _;
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encode(id), encode(secret));
    let value = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
    // base64 is made of field characters
    let mut value = HeaderValue::from_str(&value).unwrap_or(HeaderValue::from_static("Basic"));
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(secret: Option<&str>) -> ClientAuth {
        ClientAuth {
            id: "a:b".to_owned(),
            secret: secret.map(Sensitive::from),
            key: None,
            key_id: None,
            algorithm: None,
            audience: None,
            lifetime: 60,
        }
    }

    #[test]
    fn each_method_proves_the_client_in_its_own_way() {
        let endpoint = Uri::from_static("https://op.test/token");
        let form = |client: &ClientAuth, method| {
            let request = client.form(method, &endpoint, &[("a", "1 2")]).unwrap();
            let authorization = request.headers().get(AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
            (authorization, String::from_utf8(request.into_body().to_vec()).unwrap())
        };
        let known = client(Some("s&t"));
        let expected = "Basic YSUzQWI6cyUyNnQ="; // a%3Ab:s%26t
        assert_eq!(form(&known, ClientAuthMethod::ClientSecretBasic), (Some(expected.to_owned()), "a=1+2".to_owned()));
        let posted = form(&known, ClientAuthMethod::ClientSecretPost);
        assert_eq!(posted, (None, "a=1+2&client_id=a%3Ab&client_secret=s%26t".to_owned()));
        let public = form(&client(None), ClientAuthMethod::ClientSecretBasic);
        assert_eq!(public, (None, "a=1+2&client_id=a%3Ab".to_owned()));
        let (_, signed) = form(&known, ClientAuthMethod::ClientSecretJwt);
        let assertion = signed.split("client_assertion=").nth(1).unwrap();
        let mut validation = jsonwebtoken::Validation::new(Algorithm::HS256);
        validation.set_audience(&["https://op.test/token"]);
        validation.set_issuer(&["a:b"]);
        let key = jsonwebtoken::DecodingKey::from_secret(b"s&t");
        let claims: serde_json::Value = jsonwebtoken::decode(assertion, &key, &validation).unwrap().claims;
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 60);
    }
}
