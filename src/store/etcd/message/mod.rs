//! The part of etcd's protocol that is spoken here, written by hand: building this crate needs no `protoc`.
//!
//! Names, numbers and types are those of `api/etcdserverpb/rpc.proto` and `api/mvccpb/kv.proto` of etcd 3.5; all of it
//! is in 3.4 as well. Fields that are neither set nor read are left out: protobuf skips what it does not know.
mod control;
mod kv;
mod watch;

pub(super) use control::{
    AuthenticateRequest, AuthenticateResponse, LeaseGrantRequest, LeaseGrantResponse, LeaseRevokeRequest,
    LeaseRevokeResponse, StatusRequest, StatusResponse,
};
pub(super) use kv::{
    Compare, CompareResult, CompareTarget, DeleteRangeRequest, KeyValue, PutRequest, RangeRequest, RangeResponse,
    RequestOp, ResponseHeader, TxnRequest, TxnResponse, compare, request_op,
};
pub(super) use watch::{
    Event, EventType, WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse, watch_request,
};
