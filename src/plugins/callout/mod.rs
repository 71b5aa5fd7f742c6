//! `callout`: how plugins ask HTTP services, such as an authorization service or an OpenID provider.
//!
//! A [`Callout`] is a client with a pool of connections, which a plugin keeps in its [`Callouts`]. A call is one exchange: the whole answer in
//! memory, bounded in time and bytes, redirects handed back and not followed. It is no way for requests of clients, whose
//! bodies stream; those go through [`upstream`](crate::upstream).
//!
//! How many calls to one service are under way at once is bounded; further ones wait within their time. Names are looked up by the
//! system's resolver, one look-up of a name at a time, and an answer is used for ten seconds.
mod cached;
mod calling;
mod client;
mod config;
mod error;
mod names;
mod places;
mod shared;
#[cfg(feature = "tls")]
mod tls;
mod uri;

#[cfg(test)]
pub(crate) use cached::PAUSE;
pub(crate) use cached::{Cached, Missing};
pub(crate) use calling::{Calling, in_clear, unverified};
pub use client::Callout;
pub(crate) use client::Calls;
pub use config::CalloutConfig;
pub use error::CalloutError;
#[cfg(feature = "ldap")]
pub(crate) use names::Names;
pub use shared::Callouts;
#[cfg(feature = "ldap")]
pub(crate) use tls::client;
pub use uri::{BadUri, http_uri};
