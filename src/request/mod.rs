//! What is known of a request beside the request itself: facts of its arrival, variables, templates, and who calls.
//!
//! Everything here works inside a gateway, which leaves its facts in the request's extensions, and in any other tower
//! stack, where a [`ConnectInfo`](crate::ConnectInfo) extension (or axum's) is all that there is to know.
mod arrival;
mod aside;
mod body_limit;
#[cfg(any(feature = "cache", feature = "callout", feature = "jwe"))]
mod caller_fields;
#[cfg(feature = "cache")]
mod caller_identity;
mod client;
mod consumer;
mod consumers;
mod environment;
mod external_user;
mod facts;
mod given;
mod path_rules;
mod request_id;
mod secure;
mod shown;
mod sub_request;
mod template;
mod tls;
mod vars;

pub(crate) use arrival::{Arrival, arrive, drop_what_is_written, take_off};
pub(crate) use aside::SteppedAside;
pub(crate) use body_limit::BodyLimit;
#[cfg(any(feature = "cache", feature = "callout", feature = "jwe"))]
pub(crate) use caller_fields::CallerFields;
#[cfg(feature = "cache")]
pub(crate) use caller_identity::CallerIdentity;
#[cfg(feature = "cache")]
pub(crate) use client::is_behind_a_stranger;
pub use client::{client_addr, set_client_addr};
pub(crate) use client::{peer_addr, told_client};
pub use consumer::Consumer;
pub(crate) use consumer::Overlaid;
pub(crate) use consumers::Digest;
pub(crate) use consumers::random_key;
pub use consumers::{Consumers, ConsumersBuilder, Credential, DuplicateCredential};
pub(crate) use environment::Environment;
pub use external_user::ExternalUser;
pub use facts::RouteMatch;
pub(crate) use facts::{Facts, RouteInfo, SharedFacts};
pub(crate) use given::{Given, Verbatim, rewrite_target};
pub(crate) use path_rules::{PathRule, PathRules};
pub use request_id::RequestIdentity;
pub use secure::is_secure;
pub(crate) use shown::ShownAs;
pub(crate) use sub_request::SubRequest;
pub(crate) use template::write_value;
pub use template::{Rendered, Template, TemplateError};
pub use vars::RequestVars;
pub(crate) use vars::{Arriving, Asked, CustomVars, Getter, Known, decoded};
