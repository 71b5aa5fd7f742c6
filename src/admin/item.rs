//! Items of any kind, typed: read, written, put into a snapshot and taken out of it.
use std::collections::HashSet;
use std::sync::Arc;

use serde::Deserialize as _;
use serde_json::Value;

use super::references::{self, Reference, Refers};
use crate::model::{
    ConsumerGroupSpec, ConsumerSpec, CredentialSpec, Described, EnabledPlugin, Finding, GlobalRuleSpec, Id, Items,
    Kind, PluginConfigSpec, PluginMetadataSpec, ProtoSpec, Rejected, RouteSpec, SecretSpec, ServiceSpec, Snapshot,
    SslSpec, StreamRouteSpec, UnknownFields, UpstreamSpec, read_item, stored,
};

/// A type of item that stands in a list of a snapshot.
pub(super) trait Listed: Described + Refers {
    fn list(snapshot: &mut Snapshot) -> &mut Items<Self>;
}

/// One item, its type erased.
pub(super) trait Item: Send + Sync {
    /// Puts it into the list of its kind, in the place of the one of its id.
    fn put(self: Arc<Self>, snapshot: &mut Snapshot);
    /// What it refers to.
    fn references(&self) -> Vec<Reference>;
}

impl<T: Listed> Item for T {
    fn put(self: Arc<Self>, snapshot: &mut Snapshot) {
        let items = T::list(snapshot).to_mut();
        // A mirror's snapshots are in the order of ids.
        match items.binary_search_by(|item| item.id().cmp(self.id())) {
            Ok(at) => {
                if let Some(place) = items.get_mut(at) {
                    *place = self;
                }
            }
            Err(at) => items.insert(at, self),
        }
    }

    fn references(&self) -> Vec<Reference> {
        references::of(self)
    }
}

/// An item that was read.
pub(super) struct Typed {
    pub(super) item: Arc<dyn Item>,
    /// Its wire form with defaults, as it is stored and shown.
    pub(super) value: Value,
    /// Doubts about it.
    pub(super) findings: Vec<Finding>,
}

/// The list of enabled plugins, which is one item of a store.
struct PluginList(Items<EnabledPlugin>);

impl Item for PluginList {
    fn put(self: Arc<Self>, snapshot: &mut Snapshot) {
        snapshot.plugins = Some(self.0.clone());
    }

    fn references(&self) -> Vec<Reference> {
        Vec::new()
    }
}

fn read_plugins(value: &Value) -> Result<Typed, Rejected> {
    match Vec::<Arc<EnabledPlugin>>::deserialize(value) {
        Ok(list) => Ok(Typed { item: Arc::new(PluginList(list.into())), value: value.clone(), findings: Vec::new() }),
        Err(error) => {
            let findings = vec![Finding::error(Kind::Plugin, None, "", error.to_string())];
            Err(Rejected { kind: Kind::Plugin, id: None, index: None, match_part: None, findings })
        }
    }
}

/// Reads an item; `None` for kinds that no store has.
pub(super) fn read(kind: Kind, id: &str, value: &Value, unknown: UnknownFields) -> Option<Result<Typed, Rejected>> {
    if kind == Kind::Plugin {
        return Some(read_plugins(value));
    }
    struct Read<'a>(&'a str, &'a Value, UnknownFields);
    impl OnKind for Read<'_> {
        type Output = Result<Typed, Rejected>;
        fn on<T: Listed>(self) -> Self::Output {
            let Self(id, written, unknown) = self;
            let id = Id::from(id);
            let (item, findings) = read_item::<T>(&id, written, unknown)?;
            let mut value = stored(&item, written).map_err(|error| Rejected {
                kind: T::KIND,
                id: Some(id.clone()),
                index: None,
                match_part: None,
                findings: vec![Finding::error(T::KIND, Some(id.clone()), "", error.to_string())],
            })?;
            if T::KIND == Kind::Credential
                && let Some(object) = value.as_object_mut()
            {
                // As the reference stores it: the key has the consumer's name.
                object.insert("id".to_owned(), id.as_str().rsplit('/').next().unwrap_or_default().into());
            }
            Ok(Typed { item: Arc::new(item), value, findings })
        }
    }
    on_kind(kind, Read(id, value, unknown))
}

/// Takes items of a kind out of their list, all in one walk.
pub(super) fn remove(snapshot: &mut Snapshot, kind: Kind, ids: &HashSet<&str>) {
    if kind == Kind::Plugin {
        snapshot.plugins = None;
    }
    struct Remove<'a>(&'a mut Snapshot, &'a HashSet<&'a str>);
    impl OnKind for Remove<'_> {
        type Output = ();
        fn on<T: Listed>(self) {
            if T::list(self.0).iter().any(|item| self.1.contains(item.id().as_str())) {
                T::list(self.0).to_mut().retain(|item| !self.1.contains(item.id().as_str()));
            }
        }
    }
    on_kind(kind, Remove(snapshot, ids));
}

/// Something to do with the type of a kind.
trait OnKind {
    type Output;
    fn on<T: Listed>(self) -> Self::Output;
}

fn on_kind<V: OnKind>(kind: Kind, visitor: V) -> Option<V::Output> {
    Some(match kind {
        Kind::Route => visitor.on::<RouteSpec>(),
        Kind::Service => visitor.on::<ServiceSpec>(),
        Kind::Upstream => visitor.on::<UpstreamSpec>(),
        Kind::Consumer => visitor.on::<ConsumerSpec>(),
        Kind::Credential => visitor.on::<CredentialSpec>(),
        Kind::ConsumerGroup => visitor.on::<ConsumerGroupSpec>(),
        Kind::PluginConfig => visitor.on::<PluginConfigSpec>(),
        Kind::GlobalRule => visitor.on::<GlobalRuleSpec>(),
        Kind::PluginMetadata => visitor.on::<PluginMetadataSpec>(),
        Kind::Secret => visitor.on::<SecretSpec>(),
        Kind::Ssl => visitor.on::<SslSpec>(),
        Kind::Proto => visitor.on::<ProtoSpec>(),
        Kind::StreamRoute => visitor.on::<StreamRouteSpec>(),
        _ => return None,
    })
}

macro_rules! listed {
    ($($type:ty => $field:ident),* $(,)?) => {$(
        impl Listed for $type {
            fn list(snapshot: &mut Snapshot) -> &mut Items<Self> {
                &mut snapshot.$field
            }
        }
    )*};
}

listed! {
    RouteSpec => routes,
    ServiceSpec => services,
    UpstreamSpec => upstreams,
    ConsumerSpec => consumers,
    CredentialSpec => credentials,
    ConsumerGroupSpec => consumer_groups,
    PluginConfigSpec => plugin_configs,
    GlobalRuleSpec => global_rules,
    PluginMetadataSpec => plugin_metadata,
    SecretSpec => secrets,
    SslSpec => ssls,
    ProtoSpec => protos,
    StreamRouteSpec => stream_routes,
}
