//! What works, but is laxer than it should be (security.md §1.5).
use super::OpenidConnectConfig;
use crate::plugin::Caveat;

/// The doubtful fields of a block.
pub(super) fn of(config: &OpenidConnectConfig) -> Vec<Caveat> {
    let audience = &config.claim_validator.audience;
    let takes_tokens =
        config.bearer_only || config.use_jwks || config.public_key.is_some() || config.introspection_endpoint.is_some();
    let introspects = takes_tokens && !config.use_jwks && config.public_key.is_none();
    let session = config.session.as_ref().filter(|_| !config.bearer_only);
    let logs_in = !config.bearer_only;
    let doubts = [
        (
            config.discovery.starts_with("http://"),
            "discovery",
            "is fetched without TLS: whoever is on the way can name the keys that tokens are verified with",
            "write an `https` URL",
        ),
        (
            !config.ssl_verify,
            "ssl_verify",
            "is off: whoever is on the way can answer for the provider",
            "leave it out, and give the system the root certificate",
        ),
        (
            logs_in && config.use_nonce == Some(false),
            "use_nonce",
            "is off: an ID token of another log-in is taken",
            "leave it out, unless the provider does not echo nonces",
        ),
        (
            logs_in && config.use_pkce == Some(false),
            "use_pkce",
            "is off: a stolen code can be used by others",
            "leave it out: PKCE is then used where the provider takes it",
        ),
        (
            takes_tokens && !(audience.required && audience.match_with_client_id),
            "claim_validator.audience",
            "does not ask for the client's id: a token that the provider issued for another service is taken",
            "set `required` and `match_with_client_id`",
        ),
        (
            introspects && config.introspection_interval == 0,
            "introspection_interval",
            "is 0: a revoked token is taken until it expires",
            "write the seconds for which an answer holds, such as 60",
        ),
        (
            session.is_some_and(|session| !session.cookie_secure),
            "session.cookie_secure",
            "is off: browsers send the session over plain HTTP too",
            "leave it out where clients come by HTTPS",
        ),
        (
            session.is_some_and(|session| !session.cookie_http_only),
            "session.cookie_http_only",
            "is off: scripts of a page can read the session",
            "leave it out",
        ),
    ];
    let doubtful = doubts.into_iter().filter(|(doubtful, ..)| *doubtful);
    doubtful.map(|(_, field, message, mend)| Caveat::new(field, message, mend)).collect()
}
