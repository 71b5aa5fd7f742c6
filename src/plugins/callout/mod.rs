//! `callout`: how plugins ask HTTP services, such as an authorization service or an OpenID provider.
//!
//! A [`Callout`] is a client with a pool of connections, which a plugin keeps in its [`Callouts`]. A call is one exchange: the whole answer in
//! memory, bounded in time and bytes, redirects handed back and not followed. It is no way for requests of clients, whose
//! bodies stream; those go through [`upstream`](crate::upstream).
mod cached;
mod calling;
mod client;
mod config;
mod error;
mod shared;
#[cfg(feature = "tls")]
mod tls;
mod uri;

pub(crate) use cached::{Cached, Missing};
pub(crate) use calling::{Calling, unverified};
pub use client::Callout;
pub use config::CalloutConfig;
pub use error::CalloutError;
pub use shared::Callouts;
#[cfg(feature = "ldap")]
pub(crate) use tls::client;
pub use uri::{BadUri, http_uri};
