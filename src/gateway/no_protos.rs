//! Without the feature `grpc-transcode` nothing is made of Protobuf definitions.
use std::sync::Arc;

use crate::model::{Finding, Id, ProtoSpec};

#[derive(Default)]
pub(super) struct Protos {}

#[derive(Default)]
pub(super) struct Changes {}

impl Changes {
    pub(super) fn compile(
        _: &Protos,
        _: (&[Arc<ProtoSpec>], &[Arc<ProtoSpec>]),
        _: bool,
        _: &mut Vec<Finding>,
    ) -> Self {
        Self {}
    }

    pub(super) fn is_empty(&self) -> bool {
        true
    }

    pub(super) fn touches(&self, _: &Id) -> bool {
        false
    }

    pub(super) fn commit(self, _: &mut Protos) {}
}
