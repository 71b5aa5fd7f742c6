//! `service KV`: what is stored.
use bytes::Bytes;

/// `message ResponseHeader`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(in crate::store::etcd) struct ResponseHeader {
    /// The cluster that answers. One that is restored from a snapshot may have the same.
    #[prost(uint64, tag = "1")]
    pub(in crate::store::etcd) cluster_id: u64,
    /// The store's revision when the request was applied; in a watch's progress, what is told.
    #[prost(int64, tag = "3")]
    pub(in crate::store::etcd) revision: i64,
    #[prost(uint64, tag = "4")]
    pub(in crate::store::etcd) raft_term: u64,
}

/// `message KeyValue` of `mvccpb/kv.proto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::store::etcd) struct KeyValue {
    #[prost(bytes = "bytes", tag = "1")]
    pub(in crate::store::etcd) key: Bytes,
    #[prost(int64, tag = "2")]
    pub(in crate::store::etcd) create_revision: i64,
    #[prost(int64, tag = "3")]
    pub(in crate::store::etcd) mod_revision: i64,
    #[prost(bytes = "bytes", tag = "5")]
    pub(in crate::store::etcd) value: Bytes,
}

/// `message RangeRequest`: linearizable, as `serializable` (7) is never set.
#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::store::etcd) struct RangeRequest {
    #[prost(bytes = "bytes", tag = "1")]
    pub(in crate::store::etcd) key: Bytes,
    /// The first key that is not meant; empty: `key` alone.
    #[prost(bytes = "bytes", tag = "2")]
    pub(in crate::store::etcd) range_end: Bytes,
    /// 0: all of them.
    #[prost(int64, tag = "3")]
    pub(in crate::store::etcd) limit: i64,
    /// 0: now.
    #[prost(int64, tag = "4")]
    pub(in crate::store::etcd) revision: i64,
    #[prost(bool, tag = "9")]
    pub(in crate::store::etcd) count_only: bool,
}

/// `message RangeResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::store::etcd) struct RangeResponse {
    #[prost(message, optional, tag = "1")]
    pub(in crate::store::etcd) header: Option<ResponseHeader>,
    /// By key, as no `sort_order` (5) is asked for.
    #[prost(message, repeated, tag = "2")]
    pub(in crate::store::etcd) kvs: Vec<KeyValue>,
    #[prost(bool, tag = "3")]
    pub(in crate::store::etcd) more: bool,
    /// How many keys the range has, those beyond the limit included.
    #[prost(int64, tag = "4")]
    pub(in crate::store::etcd) count: i64,
}

/// `message PutRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::store::etcd) struct PutRequest {
    #[prost(bytes = "bytes", tag = "1")]
    pub(in crate::store::etcd) key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(in crate::store::etcd) value: Bytes,
    /// 0: none, and the key leaves the one that it has.
    #[prost(int64, tag = "3")]
    pub(in crate::store::etcd) lease: i64,
}

/// `message DeleteRangeRequest`, for one key.
#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::store::etcd) struct DeleteRangeRequest {
    #[prost(bytes = "bytes", tag = "1")]
    pub(in crate::store::etcd) key: Bytes,
}

/// `message RequestOp`.
#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::store::etcd) struct RequestOp {
    #[prost(oneof = "request_op::Request", tags = "2, 3")]
    pub(in crate::store::etcd) request: Option<request_op::Request>,
}

pub(in crate::store::etcd) mod request_op {
    use super::{DeleteRangeRequest, PutRequest};

    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(in crate::store::etcd) enum Request {
        #[prost(message, tag = "2")]
        Put(PutRequest),
        #[prost(message, tag = "3")]
        DeleteRange(DeleteRangeRequest),
    }
}

/// `message Compare`: holds if the target of each key of the range compares so; of a range without keys, 0 does.
#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::store::etcd) struct Compare {
    #[prost(enumeration = "CompareResult", tag = "1")]
    pub(in crate::store::etcd) result: i32,
    #[prost(enumeration = "CompareTarget", tag = "2")]
    pub(in crate::store::etcd) target: i32,
    #[prost(bytes = "bytes", tag = "3")]
    pub(in crate::store::etcd) key: Bytes,
    #[prost(oneof = "compare::TargetUnion", tags = "5, 6")]
    pub(in crate::store::etcd) target_union: Option<compare::TargetUnion>,
    #[prost(bytes = "bytes", tag = "64")]
    pub(in crate::store::etcd) range_end: Bytes,
}

/// `enum CompareResult`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(in crate::store::etcd) enum CompareResult {
    Equal = 0,
    Greater = 1,
    Less = 2,
}

/// `enum CompareTarget`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(in crate::store::etcd) enum CompareTarget {
    Version = 0,
    Create = 1,
    Mod = 2,
}

pub(in crate::store::etcd) mod compare {
    #[derive(Clone, Copy, PartialEq, Eq, prost::Oneof)]
    pub(in crate::store::etcd) enum TargetUnion {
        #[prost(int64, tag = "5")]
        CreateRevision(i64),
        #[prost(int64, tag = "6")]
        ModRevision(i64),
    }
}

/// `message TxnRequest`, without what is done when it fails (3).
#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::store::etcd) struct TxnRequest {
    #[prost(message, repeated, tag = "1")]
    pub(in crate::store::etcd) compare: Vec<Compare>,
    #[prost(message, repeated, tag = "2")]
    pub(in crate::store::etcd) success: Vec<RequestOp>,
}

/// `message DeleteRangeResponse`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(in crate::store::etcd) struct DeleteRangeResponse {
    #[prost(int64, tag = "2")]
    pub(in crate::store::etcd) deleted: i64,
}

/// `message ResponseOp`; what is told of a put (2) is of no interest.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(in crate::store::etcd) struct ResponseOp {
    #[prost(message, optional, tag = "3")]
    pub(in crate::store::etcd) delete_range: Option<DeleteRangeResponse>,
}

impl ResponseOp {
    /// How many keys went.
    pub(in crate::store::etcd) fn deleted(&self) -> i64 {
        self.delete_range.map_or(0, |delete| delete.deleted)
    }
}

/// `message TxnResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::store::etcd) struct TxnResponse {
    #[prost(message, optional, tag = "1")]
    pub(in crate::store::etcd) header: Option<ResponseHeader>,
    #[prost(bool, tag = "2")]
    pub(in crate::store::etcd) succeeded: bool,
    /// One for each request.
    #[prost(message, repeated, tag = "3")]
    pub(in crate::store::etcd) responses: Vec<ResponseOp>,
}
