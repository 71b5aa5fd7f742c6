//! A block, judged and compiled: the places and the cookies.
use std::borrow::Cow;

use form_urlencoded::byte_serialize;
use http::Uri;

use super::{CasAuthConfig, CasAuthPlugin, CasSameSite};
use crate::plugin::{ConfigError, Plugin as _};
use crate::plugins::browser::is_local;
use crate::plugins::callout::http_uri;
use crate::router::{PathOptions, canonicalise};

/// Fewer characters make no secret.
const SHORTEST_SECRET: usize = 32;

/// What is decided with.
#[derive(Debug)]
pub(super) struct Settings {
    /// The server's address without a slash at its end.
    pub(super) server: String,
    callback: Callback,
    pub(super) logout_path: String,
    pub(super) cookies: Cookies,
    pub(super) max_body: usize,
}

/// Where the server sends browsers back to.
#[derive(Debug)]
enum Callback {
    Path(String),
    Absolute { url: String, path: String },
}

/// The names of the cookies, and what stands behind their values.
#[derive(Debug)]
pub(super) struct Cookies {
    pub(super) session: String,
    /// The one of a log-in under way.
    pub(super) begun: String,
    attributes: String,
}

impl Settings {
    pub(super) fn new(config: &CasAuthConfig) -> Result<Self, ConfigError> {
        if config.max_req_body_size == 0 {
            return Err(wrong("max_req_body_size", "0 is out of range: write 1 or more"));
        }
        let settings = Self {
            server: server(&config.idp_uri)?,
            callback: callback(&config.cas_callback_uri)?,
            logout_path: path("logout_uri", &config.logout_uri)?,
            cookies: Cookies::new(config)?,
            max_body: usize::try_from(config.max_req_body_size).unwrap_or(usize::MAX),
        };
        if settings.logout_path == settings.callback_path() {
            return Err(wrong("logout_uri", "is the path of `cas_callback_uri`, too: write another one"));
        }
        Ok(settings)
    }

    /// The path that browsers come back to.
    pub(super) fn callback_path(&self) -> &str {
        match &self.callback {
            Callback::Path(path) | Callback::Absolute { path, .. } => path,
        }
    }

    /// What the server knows this service by, for a browser that came to `origin`.
    pub(super) fn service(&self, origin: impl FnOnce() -> String) -> Cow<'_, str> {
        match &self.callback {
            Callback::Path(path) => Cow::Owned(origin() + path.as_str()),
            Callback::Absolute { url, .. } => Cow::Borrowed(url),
        }
    }

    /// The server's page for those who are to log in (CAS protocol 3.0 §2.1).
    pub(super) fn login(&self, service: &str) -> String {
        format!("{}/login?service={}", self.server, byte_serialize(service.as_bytes()).collect::<String>())
    }

    /// The server's page that ends its own session (§2.3).
    pub(super) fn logout(&self) -> String {
        format!("{}/logout", self.server)
    }
}

impl Cookies {
    fn new(config: &CasAuthConfig) -> Result<Self, ConfigError> {
        let cookie = &config.cookie;
        if cookie.secret.is_empty() {
            return Err(wrong("cookie.secret", "property \"cookie.secret\" is required: write 32 characters or more"));
        }
        if cookie.secret.expose().chars().count() < SHORTEST_SECRET {
            return Err(wrong("cookie.secret", "is too short: write 32 characters or more"));
        }
        if cookie.samesite == CasSameSite::None && !cookie.secure {
            return Err(wrong("cookie.samesite", "`None` needs `cookie.secure: true`, else browsers drop the cookie"));
        }
        // A browser takes a cookie with this prefix from the host itself over HTTPS alone: no other host of the domain
        // can slip one in.
        let prefix = if cookie.secure { "__Host-" } else { "" };
        let digest = blake3::hash([&*config.idp_uri, "\0", &config.cas_callback_uri].concat().as_bytes()).to_hex();
        let named = |name: &str| format!("{prefix}{name}_{}", digest.get(..16).unwrap_or_default());
        let secure = if cookie.secure { "; Secure" } else { "" };
        let same_site = match cookie.samesite {
            CasSameSite::Lax => "Lax",
            CasSameSite::None => "None",
        };
        Ok(Self {
            session: named("CAS_SESSION"),
            begun: named("CAS_REQUEST_URI"),
            attributes: format!("; Path=/; HttpOnly{secure}; SameSite={same_site}"),
        })
    }

    /// A `Set-Cookie` value.
    pub(super) fn set(&self, name: &str, value: &str) -> String {
        format!("{name}={value}{}", self.attributes)
    }

    /// A `Set-Cookie` value that ends a cookie.
    pub(super) fn end(&self, name: &str) -> String {
        format!("{name}={}; Max-Age=0", self.attributes)
    }

    /// Whether a cookie is for the gateway alone.
    pub(super) fn is_own(&self, name: &str) -> bool {
        name == self.session || name == self.begun
    }
}

fn wrong(field: &str, reason: &str) -> ConfigError {
    ConfigError::invalid(CasAuthPlugin::NAME, field, reason)
}

fn required(field: &str, text: &str) -> Result<(), ConfigError> {
    match text {
        "" => Err(wrong(field, &format!("property \"{field}\" is required"))),
        _ => Ok(()),
    }
}

fn server(text: &str) -> Result<String, ConfigError> {
    required("idp_uri", text)?;
    http_uri(text).map_err(|error| wrong("idp_uri", &error.to_string()))?;
    if text.contains('?') {
        return Err(wrong("idp_uri", "has a query: write what stands before `/login` alone"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn callback(text: &str) -> Result<Callback, ConfigError> {
    required("cas_callback_uri", text)?;
    if text.starts_with('/') {
        return path("cas_callback_uri", text).map(Callback::Path);
    }
    let url: Uri = http_uri(text).map_err(|_| {
        wrong(
            "cas_callback_uri",
            "is no path and no address: write one such as `https://shop.example.com/cas-callback`",
        )
    })?;
    Ok(Callback::Absolute { path: canonical("cas_callback_uri", url.path())?, url: text.to_owned() })
}

fn path(field: &str, text: &str) -> Result<String, ConfigError> {
    required(field, text)?;
    if !is_local(text) || !text.is_ascii() || text.contains(['?', '#']) {
        return Err(wrong(field, "is no path: write one such as `/cas-logout`, without a query"));
    }
    canonical(field, text)
}

/// A path in the form that requests have when plugins see them: another one would never be met.
fn canonical(field: &str, path: &str) -> Result<String, ConfigError> {
    match canonicalise(path, &PathOptions::default()) {
        Ok(canonical) if canonical.forward() == path => Ok(path.to_owned()),
        Ok(canonical) => {
            Err(wrong(field, &format!("has a path that requests never have: write `{}`", canonical.forward())))
        }
        Err(fault) => Err(wrong(field, &format!("has a path that requests never have: {fault}"))),
    }
}
