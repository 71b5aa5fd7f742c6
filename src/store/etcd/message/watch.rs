//! `service Watch`: what changes.
use bytes::Bytes;

use super::kv::{KeyValue, ResponseHeader};

/// `message WatchRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::store::etcd) struct WatchRequest {
    #[prost(oneof = "watch_request::RequestUnion", tags = "1, 3")]
    pub(in crate::store::etcd) request_union: Option<watch_request::RequestUnion>,
}

pub(in crate::store::etcd) mod watch_request {
    use super::{WatchCreateRequest, WatchProgressRequest};

    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(in crate::store::etcd) enum RequestUnion {
        #[prost(message, tag = "1")]
        Create(WatchCreateRequest),
        #[prost(message, tag = "3")]
        Progress(WatchProgressRequest),
    }
}

/// `message WatchCreateRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::store::etcd) struct WatchCreateRequest {
    #[prost(bytes = "bytes", tag = "1")]
    pub(in crate::store::etcd) key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(in crate::store::etcd) range_end: Bytes,
    /// Told are this revision's events and those behind.
    #[prost(int64, tag = "3")]
    pub(in crate::store::etcd) start_revision: i64,
    /// The server tells from time to time how far the watch has come, without being asked.
    #[prost(bool, tag = "4")]
    pub(in crate::store::etcd) progress_notify: bool,
    /// Events that are too large for one message come in several.
    #[prost(bool, tag = "8")]
    pub(in crate::store::etcd) fragment: bool,
}

/// `message WatchProgressRequest`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(in crate::store::etcd) struct WatchProgressRequest {}

/// `message WatchResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::store::etcd) struct WatchResponse {
    #[prost(message, optional, tag = "1")]
    pub(in crate::store::etcd) header: Option<ResponseHeader>,
    /// -1 in answers to [`WatchProgressRequest`].
    #[prost(int64, tag = "2")]
    pub(in crate::store::etcd) watch_id: i64,
    #[prost(bool, tag = "3")]
    pub(in crate::store::etcd) created: bool,
    #[prost(bool, tag = "4")]
    pub(in crate::store::etcd) canceled: bool,
    /// Above 0: what the watch asked for is compacted away.
    #[prost(int64, tag = "5")]
    pub(in crate::store::etcd) compact_revision: i64,
    #[prost(string, tag = "6")]
    pub(in crate::store::etcd) cancel_reason: String,
    /// The rest comes in the next message.
    #[prost(bool, tag = "7")]
    pub(in crate::store::etcd) fragment: bool,
    #[prost(message, repeated, tag = "11")]
    pub(in crate::store::etcd) events: Vec<Event>,
}

/// `message Event` of `mvccpb/kv.proto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::store::etcd) struct Event {
    #[prost(enumeration = "EventType", tag = "1")]
    pub(in crate::store::etcd) r#type: i32,
    /// Of a removed key, its name and the revision that removed it.
    #[prost(message, optional, tag = "2")]
    pub(in crate::store::etcd) kv: Option<KeyValue>,
}

/// `enum EventType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(in crate::store::etcd) enum EventType {
    Put = 0,
    Delete = 1,
}
