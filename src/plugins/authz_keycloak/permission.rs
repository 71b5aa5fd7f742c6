//! What is asked for, in Keycloak's writing: `resource`, `resource#scope` or `#scope`.
use http::Method;

use super::{AuthzKeycloakConfig, AuthzKeycloakPlugin};
use crate::plugin::{ConfigError, Plugin as _};

/// Judges the permissions of a block.
pub(super) fn judge(config: &AuthzKeycloakConfig) -> Result<(), ConfigError> {
    for (at, permission) in config.permissions.iter().enumerate() {
        let wrong = |reason: &str| {
            let field = format!("permissions.{at}");
            Err(ConfigError::invalid(AuthzKeycloakPlugin::NAME, field, reason.to_owned()))
        };
        if permission.is_empty() || permission == "#" {
            return wrong("names nothing: write `resource`, `resource#scope` or `#scope`");
        }
        if permission.matches('#').count() > 1 {
            return wrong("has several `#`, and Keycloak drops what stands behind the second one");
        }
        if config.permissions.iter().take(at).any(|before| before == permission) {
            return wrong("stands there twice: remove one of the two");
        }
        if config.http_method_as_scope && !config.lazy_load_paths && permission.contains('#') {
            // whoever may read could delete
            return wrong(
                "has a scope, and Keycloak says yes to several scopes where it grants one of them: leave the scope out, or \
                 `http_method_as_scope`",
            );
        }
    }
    Ok(())
}

/// A method as a scope. `None` for one that cannot be one: `#`, which is a method by its characters, would end the scope, so that
/// Keycloak is asked for the resource alone.
pub(super) fn scope(method: &Method) -> Option<&str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    Some(method.as_str()).filter(|method| method.bytes().all(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_scopes_by_their_characters() {
        for (method, is_scope) in
            [("GET", true), ("VERSION-CONTROL", true), ("#", false), ("GET#", false), ("##", false), ("a.b", false)]
        {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(scope(&method).is_some(), is_scope, "{method}");
        }
    }
}
