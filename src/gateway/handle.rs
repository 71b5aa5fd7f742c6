//! The handle that a host holds.
use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::SystemTime;

use super::census::Census;
use super::live::Live;
use super::master::{Kit, Master};
use super::service::Connection;
use super::status::Status;
use super::{ApplyError, GatewayBuilder};
use crate::model::{Finding, Snapshot};
use crate::plugin::Registry;
use crate::router::Lint;
use crate::upstream::Upstreams;
use crate::{ConnectInfo, Next, PluginLayer, wire};
use arc_swap::ArcSwap;

/// An API gateway: a tower `Service` of any request to a response, that never fails.
///
/// A clone is the same gateway. It can be mounted in an axum or hyper server as it is, served by `server::Server`, or
/// called with tower's `oneshot`. Dropping the last clone ends its background task and closes its idle connections.
#[derive(Clone)]
pub struct Gateway(pub(super) Arc<Inner>);

/// Which configuration serves: 1 for what the gateway was built with, counting up with every change that was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

pub(crate) struct Inner {
    pub(super) live: ArcSwap<Live>,
    /// What needs no lock: plugins, and what is compiled with.
    pub(super) kit: Arc<Kit>,
    /// The configuration in force, for those who ask while the next one is compiled.
    snapshot: ArcSwap<Snapshot>,
    master: Mutex<Master>,
    status: ArcSwap<Status>,
    /// This gateway's name in `Via`.
    pub(super) via_token: String,
    /// What is written into `Via` of a request.
    pub(super) via: Arc<str>,
    /// The layers around everything; unset when there are none.
    pub(super) outer: OnceLock<Next>,
    pub(super) census: Census,
    /// Keeps pools and balancers between two snapshots.
    pub(super) upstreams: Upstreams,
    /// Certificates of listeners: the table that the state behind `master` changes.
    #[cfg(feature = "tls")]
    pub(super) certificates: crate::tls::Certificates,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("revision", &self.0.live.load().revision).finish_non_exhaustive()
    }
}

impl Gateway {
    /// Starts composing one. It knows every plugin that comes with the crate ([`Registry::standard`]).
    pub fn builder() -> GatewayBuilder {
        GatewayBuilder { registry: Registry::standard(), ..GatewayBuilder::default() }
    }

    pub(super) fn assemble(
        master: Master,
        kit: Arc<Kit>,
        live: Arc<Live>,
        layers: Vec<PluginLayer>,
        upstreams: Upstreams,
    ) -> Self {
        let via_token = format!("tollgate-{:08x}", RandomState::new().build_hasher().finish() as u32);
        let via = format!("1.1 {via_token}").into();
        let status = Status {
            revision: live.revision,
            applied_at: Some(SystemTime::now()),
            live: Some(upstreams.clone()),
            ..Status::default()
        };
        let census = Census::default();
        census.note(&live);
        let inner = Arc::new(Inner {
            kit,
            snapshot: ArcSwap::from_pointee(master.snapshot().clone()),
            #[cfg(feature = "tls")]
            certificates: master.certificates().clone(),
            census,
            live: ArcSwap::new(live),
            master: Mutex::new(master),
            status: ArcSwap::from_pointee(status),
            via_token,
            via,
            outer: OnceLock::new(),
            upstreams,
        });
        inner.kit.entrance.lead_to(&inner);
        inner.upstreams.keep_up();
        if !layers.is_empty() {
            let _ = inner.outer.set(wire(layers.iter(), inner.behind_layers()));
        }
        Self(inner)
    }

    /// Compiles a snapshot and swaps it in. Requests in flight keep the configuration that they began with.
    ///
    /// Only what differs from the snapshot before is compiled: an item is the same when its `Arc` is, else when its
    /// content is. Compiling takes time in proportion to what differs and runs on the calling thread; requests never
    /// wait for it. A snapshot that equals the one in force changes nothing, and its revision stays.
    ///
    /// # Errors
    /// Every fault of the snapshot; the configuration before serves on. To go on with the valid items, see
    /// [`Gateway::adopt`].
    pub fn apply(&self, snapshot: Snapshot) -> Result<Revision, ApplyError> {
        let mut master = self.lock();
        self.apply_locked(&mut master, snapshot)
            .inspect_err(|_| self.update_status(|status| status.rejected_total += 1))
    }

    pub(super) fn apply_locked(&self, master: &mut Master, snapshot: Snapshot) -> Result<Revision, ApplyError> {
        let routes = snapshot.routes.len();
        let mut findings = snapshot.warnings.clone();
        let places = snapshot.places.clone();
        let new = master.apply(snapshot).map_err(|mut error| {
            places.locate(error.findings_mut());
            error
        })?;
        let mut warnings = master.warnings();
        places.locate(&mut warnings);
        add_new(&mut findings, warnings);
        let applied_at = new.is_some().then(SystemTime::now);
        self.0.snapshot.store(Arc::new(master.snapshot().clone()));
        if let Some(live) = new {
            self.swap_in(live);
        }
        let revision = self.0.live.load().revision;
        let findings = Arc::new(findings);
        self.update_status(|status| {
            *status = Status {
                revision,
                applied_at: applied_at.or(status.applied_at),
                routes,
                findings: Arc::clone(&findings),
                rejected_total: status.rejected_total,
                live: status.live.clone(),
                ..Status::default()
            };
        });
        Ok(Revision(revision))
    }

    /// Looks up references to secrets once more (`$env://…`, `$secret://…`), and swaps in what changes by it.
    /// [`Gateway::follow`] does so every minute.
    ///
    /// # Errors
    /// When a block is at fault with the new value; the configuration before serves on.
    pub fn refresh_secrets(&self) -> Result<Revision, ApplyError> {
        let mut master = self.lock();
        if let Some(live) = master.refresh()? {
            let mut warnings = master.snapshot().warnings.clone();
            add_new(&mut warnings, master.warnings());
            let still: HashSet<_> = warnings.iter().map(Finding::key).collect();
            let revision = live.revision;
            self.swap_in(live);
            self.update_status(|status| {
                // What was found before and still holds has its place in the text.
                let stays = |finding: &&Finding| finding.is_error() || still.contains(&finding.key());
                let mut findings: Vec<_> = status.findings.iter().filter(stays).cloned().collect();
                add_new(&mut findings, warnings.clone());
                status.findings = Arc::new(findings);
                status.revision = revision;
                status.applied_at = Some(SystemTime::now());
            });
        }
        Ok(Revision(self.0.live.load().revision))
    }

    fn swap_in(&self, live: Arc<Live>) {
        self.0.census.note(&live);
        self.0.live.store(live);
        self.0.upstreams.keep_up();
    }

    pub(super) fn lock(&self) -> std::sync::MutexGuard<'_, Master> {
        // A panic of a plugin's constructor leaves the state as it was: it is changed only after everything is built.
        self.0.master.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(super) fn update_status(&self, change: impl Fn(&mut Status)) {
        self.0.status.rcu(|status| {
            let mut status = Status::clone(status);
            change(&mut status);
            status
        });
    }

    /// Every fault and warning of a snapshot, without applying it: what its reader found, and what [`Gateway::apply`]
    /// would find.
    pub fn check(&self, snapshot: &Snapshot) -> Vec<Finding> {
        let mut findings = snapshot.warnings.clone();
        findings.extend(snapshot.rejected.iter().flat_map(|item| &item.findings).cloned());
        add_new(&mut findings, crate::model::check(snapshot));
        add_new(&mut findings, self.0.kit.check(snapshot.clone()));
        snapshot.places.locate(&mut findings);
        findings
    }

    /// The faults and warnings of what differs from the configuration in force, without applying it: for a change that is
    /// about to be made. Costs what differs, where [`Gateway::check`] costs the whole snapshot.
    pub fn judge(&self, candidate: &Snapshot) -> Vec<Finding> {
        let mut findings = candidate.rejected.iter().flat_map(|item| &item.findings).cloned().collect();
        add_new(&mut findings, self.lock().judge(candidate.clone()));
        candidate.places.locate(&mut findings);
        findings
    }

    /// The configuration in force.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::clone(&self.0.snapshot.load())
    }

    /// The certificates of the `ssls` in force, for listeners. Each configuration that is applied changes what differs in
    /// it, and touches no connection; what a host puts into it under other ids stays.
    #[cfg(feature = "tls")]
    pub fn certificates(&self) -> crate::tls::Certificates {
        self.0.certificates.clone()
    }

    /// Every plugin that the gateway knows. A clone shares the plugins.
    pub fn registry(&self) -> Registry {
        self.0.kit.registry().clone()
    }

    /// What an operator wants to know of the configuration.
    pub fn status(&self) -> Arc<Status> {
        self.0.status.load_full()
    }

    /// Routes that can never win, and patterns that seldom mean what they say.
    pub fn lint(&self) -> Vec<Lint> {
        self.0.live.load_full().router.lint()
    }

    /// The gateway for the requests of one connection. Own listeners and hosts that know the client make one for each.
    pub fn connection(&self, info: ConnectInfo) -> Connection {
        Connection::new(Arc::clone(&self.0), info)
    }
}

/// Adds what `findings` do not say yet.
pub(super) fn add_new(findings: &mut Vec<Finding>, more: Vec<Finding>) {
    if findings.is_empty() {
        *findings = more;
        return;
    }
    let mut known: HashSet<_> = findings.iter().map(Finding::key).collect();
    findings.extend(more.into_iter().filter(|finding| known.insert(finding.key())));
}
