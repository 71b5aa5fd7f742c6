//! Which request goes where, and what comes back.
use super::message::{
    AuthenticateRequest, AuthenticateResponse, LeaseGrantRequest, LeaseGrantResponse, LeaseRevokeRequest,
    LeaseRevokeResponse, RangeRequest, RangeResponse, StatusRequest, StatusResponse, TxnRequest, TxnResponse,
};

/// A request with one answer.
pub(super) trait Call: prost::Message + Clone + 'static {
    /// The answer.
    type Answer: prost::Message + Default + 'static;
    /// The method.
    const PATH: &'static str;
}

/// The method of the watch.
pub(super) const WATCH: &str = "/etcdserverpb.Watch/Watch";

impl Call for RangeRequest {
    type Answer = RangeResponse;
    const PATH: &'static str = "/etcdserverpb.KV/Range";
}

impl Call for TxnRequest {
    type Answer = TxnResponse;
    const PATH: &'static str = "/etcdserverpb.KV/Txn";
}

impl Call for LeaseGrantRequest {
    type Answer = LeaseGrantResponse;
    const PATH: &'static str = "/etcdserverpb.Lease/LeaseGrant";
}

impl Call for LeaseRevokeRequest {
    type Answer = LeaseRevokeResponse;
    const PATH: &'static str = "/etcdserverpb.Lease/LeaseRevoke";
}

impl Call for AuthenticateRequest {
    type Answer = AuthenticateResponse;
    const PATH: &'static str = "/etcdserverpb.Auth/Authenticate";
}

impl Call for StatusRequest {
    type Answer = StatusResponse;
    const PATH: &'static str = "/etcdserverpb.Maintenance/Status";
}
