//! The control API: what a running gateway knows of itself, for whoever runs it (config-sources.md §6).
//!
//! [`ControlApi`] is a tower `Service`. It asks for no key and shows no secret, and belongs on an address of the loopback or
//! a Unix socket: [`ControlAddress`] takes no other.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/schema` | the schemas of all resources and of the plugins that are enabled (feature `schema`) |
//! | `GET /v1/healthcheck`, `/v1/healthcheck/{routes\|services\|upstreams}/{id}` | what checks say of endpoints; a page for browsers |
//! | `GET /v1/routes`, `/v1/route/{id}`, likewise services, upstreams, `plugin_metadatas` | the items in force |
//! | `GET /v1/match?method=&host=&path=&header=&client=` | how a request would be routed, and why |
//! | `GET /v1/route/{id}/effective?consumer=` | the plugins that run, in order, and where each comes from |
//! | `GET /v1/config/status` | source, revision, age, what was kept back or left out, and why; `?lint=true`: which routes can never win |
//! | `PUT /v1/config/confirm` | `done`: a read of the store that found no route any more is let pass; 409 when none is held back |
//! | `GET /v1/config/generations` | configurations that requests or tunnels still run on, and how many |
//! | `GET /v1/discovery/dns/dump` | names of upstreams, and the addresses they stand for now |
//! | `PUT /v1/plugins/reload` | `done`: the list of enabled plugins is followed live |
//!
//! [`StatusApi`] answers probes on a listener of its own.
//!
//! ```
//! use http::Request;
//! use tollgate::Body;
//! use tollgate::control::ControlApi;
//! use tollgate::gateway::Gateway;
//! use tower::ServiceExt as _;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tollgate::BoxError> {
//! let gateway = Gateway::builder().build()?;
//! let control = ControlApi::new(gateway);
//! let asked = Request::builder().uri("/v1/match?path=/shop").header("host", "localhost").body(Body::empty())?;
//! let answer = control.oneshot(asked).await?;
//! assert_eq!(answer.status(), 200);
//! # Ok(())
//! # }
//! ```
mod address;
mod api;
mod config;
mod discovery;
mod effective;
mod guard;
mod health;
mod items;
mod matching;
mod ready;
mod reply;
mod schemas;

pub use address::{ControlAddress, NotLocal};
pub use api::{ControlApi, ControlFuture};
pub use ready::StatusApi;
