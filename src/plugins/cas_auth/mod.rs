//! `cas-auth`: logs users in at a CAS server (CAS protocol 2.0 and 3.0). Stage: access. Feature `cas`.
//!
//! Decision, by the path that the browser asked for, also where the request was rewritten:
//! 1. `GET` of `logout_uri`: the session ends, 302 to `<idp_uri>/logout`; 401 without a body if there is no session's
//!    cookie.
//! 2. `POST` to the path of `cas_callback_uri`: the server announces that a user has logged out there (a form with
//!    `logoutRequest`, or that XML alone): 200 whether the session is known or not; no ticket in it → 400
//!    `{"message":"invalid logout request from IdP, no ticket"}`; longer than `max_req_body_size` → 413.
//! 3. `GET` of the path of `cas_callback_uri` with `ticket`: the server is asked (`<idp_uri>/serviceValidate`), and
//!    says who the user is: a session begins, 302 to the page that was wanted. The browser has a session already → 302
//!    there, and the session stays as it is. It did not begin to log in here within the last hour → 401
//!    `{"message":"invalid callback state"}`. The server does not know the ticket, or it was taken before → 401 `{"message":"invalid ticket"}`. It is silent for 3
//!    seconds, away, or answers anything else → 503 `{"message":"the CAS server is unavailable"}` (DEVIATE: elsewhere
//!    that is an invalid ticket; security.md AUTH-09).
//! 4. There is a session → the request passes, with the extension [`ExternalUser`](crate::request::ExternalUser)
//!    `{"user": "…", "attributes": {…}}`, which `acl` reads (`external_user_label_field: attributes.groups`). Own
//!    cookies are taken out of it. No consumer is attached, and no field tells the upstream who it is.
//! 5. No session → 302 to `<idp_uri>/login?service=…`, with a signed cookie that says where the browser wanted to go:
//!    to that path of this host, never to another host.
//!
//! Sessions:
//! * A session ends an hour after its last use, and a day after the log-in (DEVIATE: the catalogue knows no such end).
//!   They are in the memory of one gateway, outlive reloads, and are lost when it ends; of several gateways each
//!   browser must stay with one.
//! * There are 100,000 at most of one block, with 64 MiB of what the server told of their users; then those go that
//!   were not used for longest.
//! * The cookie has a random name of the session, not the ticket (DEVIATE: elsewhere the ticket itself is the name,
//!   which addresses, logs and announcements have, too). A ticket begins one session, whatever the server says of it
//!   later.
//! * Blocks with the same `idp_uri`, `cas_callback_uri` and `cookie.secret` have their sessions in common, since the
//!   way back leads to one of their routes alone; a session of one block is none on another. With a path as
//!   `cas_callback_uri` each scheme and host is a service of its own, and a session counts for the one that the ticket was
//!   for: the server decides host by host who may log in. With `cookie.secure` the
//!   cookies have the prefix `__Host-`: other hosts of the same domain cannot slip one in.
//!
//! Caveats:
//! * With plain HTTP browsers drop `Secure` cookies, so that log-ins end in 401: set `cookie.secure: false` there.
//! * Routes with this block must match `cas_callback_uri` and `logout_uri`.
//! * With a path as `cas_callback_uri` the service is told by `Host`. Where a route takes any host, whoever runs
//!   another service at the same server can use a ticket of a visitor of his here: write an absolute URL, or `hosts`.
//! * A ticket is not tied to the browser that asked for it, as CAS has nothing to tie it by: another site can log a browser
//!   that has no session in by a ticket of its own, so that its user works as somebody else. Show who is logged in.
//! * An announced log-out ends the session in the gateway that gets it, and is answered with 200 in another one, too, where
//!   the session lives on.
//! * A request that is not a `GET` loses its body when it is sent to log in.
//! * Certificates of the server are verified by the system's roots.
//!
//! ```
//! use tollgate::plugin::bodies::Bodies;
//! use tollgate::plugins::cas_auth::{CasAuth, CasAuthConfig, CasAuthLayer};
//!
//! let secret = "0123456789abcdef0123456789abcdef";
//! let config = CasAuthConfig::new("http://127.0.0.1:8080/cas", "/cas-callback", "/cas-logout", secret);
//! let layer = CasAuthLayer::of(CasAuth::new(&config, Bodies::default())?);
//! # let _ = layer;
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"cas-auth": {"idp_uri": "https://login.example.com/cas", "cas_callback_uri": "https://shop.example.com/cas-callback",
//!   "logout_uri": "/cas-logout", "cookie": {"secret": "$env://CAS_COOKIE_SECRET"}}}
//! ```
mod announced;
mod answer;
mod begun;
mod config;
mod layer;
mod plugin;
mod server;
mod sessions;
mod settings;
mod shelf;
#[cfg(test)]
mod tests;

pub use config::{CasAuthConfig, CasCookieConfig, CasSameSite};
pub use layer::{CasAuth, CasAuthLayer, CasAuthRejection};
pub use plugin::CasAuthPlugin;
