//! Serving: settings from flags and file, listeners, live configuration, drain.
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::watch;
use tollgate::BoxError;
use tollgate::config::FileSource;
use tollgate::control::{ControlAddress, ControlApi};
use tollgate::gateway::{ConfigEvent, Gateway};
use tollgate::model::{ErrorBodies, ReadOptions, Role, Settings, Snapshot, StartPolicy, read};
use tollgate::plugins::prometheus::{Metrics, PrometheusPlugin};
use tollgate::server::{Drain, Limits, Server};
use tollgate::store::Mirror;
use tower::Layer as _;

use crate::acme::Upkeep;
use crate::control::{self, Control};
use crate::faultless::Faultless;
use crate::listeners::Listeners;
use crate::origin::{self, Origin};
use crate::reports::{Reports, line};
use crate::restart::Restart;
use crate::signals::Signals;
use crate::{access, args, demo, manager, stores};

/// Serves until a signal ends it.
pub(crate) fn run(args: &args::Serve) -> Result<ExitCode, BoxError> {
    // A connection that waits has touched little of what it has; in a huge page all of it would be held. Where the system
    // knows no such thing, nothing is lost.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false).compact().init();
    let log = args.access_log.as_deref().map(|path| access::open(path, args.access_log_format)).transpose()?;
    let mut builder = Gateway::builder();
    let prometheus = builder.registry().plugin::<PrometheusPlugin>();
    let metrics = prometheus.map(|prometheus| prometheus.metrics().clone()).unwrap_or_default();
    if let Some(log) = &log {
        builder = builder.layer(log.layer());
    }
    if args.config.is_none() && args.store.is_none() && args.etcd.is_empty() && args.admin.is_none() {
        builder = demo::endpoints(builder);
    }
    let gateway = builder.build()?;
    let (origin, settings) = origin::find(args, &gateway)?;
    let mut reports = Reports::default();
    match &origin {
        Origin::Demo => {
            let demo = read(&demo::document(), &ReadOptions::default());
            gateway.apply(demo.snapshot)?;
        }
        Origin::File(path, snapshot) => load(&gateway, path, snapshot, &mut reports)?,
        Origin::Store => {}
    }
    let workers = args.workers.or(settings.workers).map(usize::from);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = workers {
        runtime.worker_threads(workers);
    }
    let process = Process { args, origin, gateway, settings, metrics, log };
    runtime.enable_all().build()?.block_on(process.serve(reports))
}

/// Loads the file for the first time: any fault is the end, unless `start_policy` says otherwise (CFG-02).
fn load(gateway: &Gateway, path: &Path, snapshot: &Snapshot, reports: &mut Reports) -> Result<(), BoxError> {
    let place = path.display().to_string();
    let findings = gateway.check(snapshot);
    let errors = findings.iter().filter(|finding| finding.is_error()).count();
    match snapshot.settings.start_policy {
        _ if errors == 0 => gateway.apply(snapshot.clone())?,
        StartPolicy::ServeValid => gateway.adopt(snapshot.clone())?,
        // Whoever follows the file says why it is not served.
        StartPolicy::ServeEmpty => return Ok(()),
        _ => {
            eprint!("{}", findings.iter().map(|finding| line(&place, finding)).collect::<String>());
            return Err(format!("{place}: {errors} faults, not started").into());
        }
    };
    reports.add(&place, &ConfigEvent::Applied(gateway.status()));
    Ok(())
}

/// Everything that a process serves with.
struct Process<'a> {
    args: &'a args::Serve,
    origin: Origin,
    gateway: Gateway,
    settings: Settings,
    metrics: Metrics,
    log: Option<access::Log>,
}

impl Process<'_> {
    async fn serve(self, mut reports: Reports) -> Result<ExitCode, BoxError> {
        let Self { args, origin, gateway, settings, metrics, log } = &self;
        // Before anybody can know that the process is there.
        let mut signals = Signals::listen()?;
        let mirror = match (origin, &settings.store) {
            (Origin::Store, Some(store)) => Some(stores::follow(settings, store, gateway)?),
            _ => None,
        };
        let upkeep = Upkeep::new(settings)?;
        upkeep.measure(metrics);
        let (connections, challenges) = (gateway.clone(), upkeep.layer());
        let server = Server::builder()
            .limits(Limits::from(&settings.limits))
            .problem_details(settings.errors == ErrorBodies::Problem)
            .serve(move |client| challenges.layer(connections.connection(client)));
        let server = Arc::new(server);
        manager::adopt(&server)?;
        let listeners = Listeners::new(&server, gateway, &args.listen);
        let mut restart = Restart::new(settings);
        if let Some(mirror) = &mirror {
            stores::measure(metrics, mirror);
        }
        let api = upkeep.mount(self.control_api(mirror.as_ref()));
        let mut control = Control::new(metrics.clone(), gateway, api.clone(), &server);
        let begins_empty = matches!(origin, Origin::File(..))
            && gateway.status().revision < 2
            && settings.start_policy == StartPolicy::ServeEmpty;
        let ready = Arc::new(AtomicBool::new(mirror.is_none() && !begins_empty));
        let mut beside = Vec::new();
        if let Some(address) = args.status.or(settings.status) {
            beside.push(control::probes(&ready, server.drain_handle(), address)?);
        }
        if let Some(address) = self.control_address()? {
            beside.push(control::listen(&api, metrics, listeners.service(), &address)?);
        }
        control.look();
        let (tell, mut told) = watch::channel(mirror.is_none());
        let follow = async {
            let mut report = |place: &str, event: ConfigEvent| {
                reports.add(place, &event);
                if matches!(event, ConfigEvent::Applied(_)) {
                    ready.store(true, Relaxed);
                    tell.send_replace(true);
                }
                control.look();
            };
            match (origin, &mirror) {
                (Origin::Store, Some(mirror)) => {
                    let place = mirror.status().place;
                    drop(gateway.follow(mirror.source(), |event| report(&place, event)).await);
                }
                (Origin::File(path, _), _) => {
                    let (file, place) = (FileSource::new(path), path.display().to_string());
                    let report = |event| {
                        let applied = matches!(event, ConfigEvent::Applied(_));
                        report(&place, event);
                        if applied {
                            let settings = gateway.snapshot().settings;
                            listeners.change(&settings);
                            restart.look(&settings);
                        }
                    };
                    drop(match settings.start_policy {
                        StartPolicy::ServeEmpty => {
                            gateway.follow(Faultless { file, gateway: gateway.clone() }, report).await
                        }
                        _ => gateway.follow(file, report).await,
                    });
                }
                _ => std::future::pending().await,
            }
        };
        let reopen = || log.iter().for_each(access::Log::reopen);
        let mut end = Box::pin(signals.end(reopen));
        tokio::pin!(follow);
        if let (Some(mirror), Some(store)) = (&mirror, &settings.store) {
            let outcome = tokio::select! {
                signal = &mut end => { eprintln!("{signal}: not started yet"); return Ok(ExitCode::SUCCESS) }
                () = &mut follow => Err("the store is no longer followed".into()),
                outcome = first(mirror, settings.start_policy, stores::patience(store), &mut told) => outcome,
            };
            outcome?;
        }
        let admin = match (&settings.admin, &mirror) {
            (Some(admin), Some(mirror)) => Some(control::admin(admin, mirror, gateway, settings.role)?),
            _ => None,
        };
        upkeep.load(gateway);
        if settings.role != Role::ControlPlane {
            self.open(&listeners)?;
        }
        manager::tell("READY=1");
        // Beside a store, the file that has the settings.
        let beside_store = async {
            match (origin, &args.config) {
                (Origin::Store, Some(path)) if settings.role != Role::ControlPlane => {
                    let mut restart = Restart::beside_store(settings);
                    listeners.follow(FileSource::new(path), gateway, args, &mut restart).await;
                }
                _ => std::future::pending().await,
            }
        };
        let copy = async {
            match &mirror {
                Some(mirror) => stores::tell_copy(mirror).await,
                None => std::future::pending().await,
            }
        };
        let followed = tokio::select! {
            signal = &mut end => { eprintln!("{signal}: finishing what runs"); true }
            () = &mut follow => { eprintln!("the configuration is no longer followed"); false }
            () = copy => false,
            () = beside_store => false,
            () = listeners.insist() => false,
            () = upkeep.run(gateway), if settings.role != Role::ControlPlane => false,
        };
        manager::tell("STOPPING=1");
        drop(end);
        let patience = args.drain_seconds.map_or_else(|| settings.limits.drain_timeout(), Duration::from_secs);
        let grace = settings.drain.grace();
        // Answers to writes wait until what they changed is in force, so it is followed meanwhile.
        let (cut, was_cut) = tokio::sync::oneshot::channel::<()>();
        let writes = async {
            if let Some(admin) = admin {
                let drained = admin.drain(patience);
                tokio::pin!(drained);
                tokio::select! {
                    () = &mut drained => {}
                    _ = was_cut => {}
                    () = &mut follow, if followed => drained.await,
                }
            }
        };
        let hurry = async {
            let signal = signals.end(reopen).await;
            eprintln!("{signal} once more: what still runs is cut");
            server.drain_handle().cut();
            drop(cut);
            std::future::pending::<()>().await;
        };
        let drained = server.drain_with(Drain::within(patience).with_grace(grace));
        tokio::select! {
            _ = async { tokio::join!(writes, drained) } => {}
            () = hurry => {}
        }
        Ok(ExitCode::SUCCESS)
    }

    fn control_api(&self, mirror: Option<&Mirror>) -> ControlApi {
        let api = ControlApi::new(self.gateway.clone());
        match (mirror, &self.origin) {
            (Some(mirror), _) => api.with_mirror(mirror.clone()),
            (None, Origin::File(path, _)) => api.with_source(path.display().to_string()),
            (None, _) => api.with_source("built in"),
        }
    }

    fn control_address(&self) -> Result<Option<ControlAddress>, BoxError> {
        match (&self.args.control, &self.settings.control) {
            (Some(address), _) => Ok(Some(address.clone())),
            (None, Some(text)) => Ok(Some(text.parse()?)),
            (None, None) => Ok(None),
        }
    }

    /// Opens the listeners of traffic.
    fn open(&self, listeners: &Listeners) -> Result<(), BoxError> {
        let addresses = listeners.open(&self.settings)?;
        let http = addresses.first().and_then(|address| address.strip_prefix("http://"));
        if let (Origin::Demo, Some(address)) = (&self.origin, http) {
            eprint!("\n{}", demo::HINTS.replace("ADDRESS", address));
        }
        Ok(())
    }
}

/// Waits for the first configuration of a store. How long, and what then, `start_policy` says: `wait` waits for ever,
/// `serve_empty` not at all; the others give up in the end, if there is no local copy either.
async fn first(
    mirror: &Mirror,
    policy: StartPolicy,
    patience: Duration,
    told: &mut watch::Receiver<bool>,
) -> Result<(), BoxError> {
    let in_force = told.wait_for(|told| *told);
    match policy {
        StartPolicy::ServeEmpty => Ok(()),
        StartPolicy::Wait => in_force.await.map(drop).map_err(Into::into),
        _ => match tokio::time::timeout(patience, in_force).await {
            Ok(seen) => seen.map(drop).map_err(Into::into),
            Err(_) => {
                let status = mirror.status();
                let why = status.last_error.unwrap_or_else(|| "no answer".to_owned());
                Err(format!(
                    "{}: no configuration within {} s: {why}; not started (`tollgate.start_policy: wait` waits for it)",
                    status.place,
                    patience.as_secs()
                )
                .into())
            }
        },
    }
}
