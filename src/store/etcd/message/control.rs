//! `service Lease`, `service Auth` and `service Maintenance`: what stands beside keys.

/// `message LeaseGrantRequest`; the server picks the id (2).
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(in crate::store::etcd) struct LeaseGrantRequest {
    /// Seconds; the server may grant more.
    #[prost(int64, tag = "1")]
    pub(in crate::store::etcd) ttl: i64,
}

/// `message LeaseGrantResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::store::etcd) struct LeaseGrantResponse {
    #[prost(int64, tag = "2")]
    pub(in crate::store::etcd) id: i64,
    #[prost(string, tag = "4")]
    pub(in crate::store::etcd) error: String,
}

/// `message LeaseRevokeRequest`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(in crate::store::etcd) struct LeaseRevokeRequest {
    #[prost(int64, tag = "1")]
    pub(in crate::store::etcd) id: i64,
}

/// `message LeaseRevokeResponse`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(in crate::store::etcd) struct LeaseRevokeResponse {}

/// `message AuthenticateRequest`. Its debug text is by hand: the password is in none.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(in crate::store::etcd) struct AuthenticateRequest {
    #[prost(string, tag = "1")]
    pub(in crate::store::etcd) name: String,
    #[prost(string, tag = "2")]
    pub(in crate::store::etcd) password: String,
}

impl std::fmt::Debug for AuthenticateRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthenticateRequest").field("name", &self.name).finish_non_exhaustive()
    }
}

/// `message AuthenticateResponse`.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(in crate::store::etcd) struct AuthenticateResponse {
    #[prost(string, tag = "2")]
    pub(in crate::store::etcd) token: String,
}

impl std::fmt::Debug for AuthenticateResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuthenticateResponse")
    }
}

/// `message StatusRequest`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(in crate::store::etcd) struct StatusRequest {}

/// `message StatusResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::store::etcd) struct StatusResponse {
    /// Such as `3.5.1`.
    #[prost(string, tag = "2")]
    pub(in crate::store::etcd) version: String,
    /// The member that leads, in the eyes of the one that answers; 0: none does.
    #[prost(uint64, tag = "4")]
    pub(in crate::store::etcd) leader: u64,
    /// How far the member's log is known to be agreed upon. It grows with each change of anything, and never goes back.
    #[prost(uint64, tag = "5")]
    pub(in crate::store::etcd) raft_index: u64,
}
