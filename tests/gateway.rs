//! What a gateway does with configurations and with requests, by behaviour. No listener: requests go into the service.
#![cfg(test)]
mod peers;

#[path = "gateway/apply.rs"]
mod apply;
#[path = "gateway/balancing.rs"]
mod balancing;
#[cfg(feature = "tls")]
#[path = "gateway/certificates.rs"]
mod certificates;
#[path = "gateway/chain.rs"]
mod chain;
#[path = "gateway/consumers.rs"]
mod consumers;
#[cfg(feature = "tls")]
#[path = "gateway/demands.rs"]
mod demands;
#[path = "gateway/endpoints.rs"]
mod endpoints;
#[path = "gateway/generations.rs"]
mod generations;
#[path = "gateway/health.rs"]
mod health;
#[path = "gateway/identity.rs"]
mod identity;
#[path = "gateway/incremental.rs"]
mod incremental;
#[path = "gateway/left_out.rs"]
mod left_out;
#[cfg(feature = "hyper-server")]
#[path = "gateway/mounted_tunnel.rs"]
mod mounted_tunnel;
#[path = "gateway/references.rs"]
mod references;
#[path = "gateway/requests.rs"]
mod requests;
#[path = "gateway/secrets.rs"]
mod secrets;
#[cfg(feature = "tls")]
#[path = "upstream/secure.rs"]
#[allow(dead_code, reason = "the tests of upstreams use the rest")]
mod secure;
#[path = "gateway/support.rs"]
mod support;
#[cfg(feature = "tls")]
#[path = "gateway/tls.rs"]
mod tls;
#[path = "gateway/unknown_fields.rs"]
mod unknown_fields;
