//! Serving: settings from flags and file, listeners, live configuration, drain.
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tollgate::BoxError;
use tollgate::config::FileSource;
use tollgate::gateway::{ConfigEvent, Gateway};
use tollgate::model::{Finding, ReadOptions, Settings, StartPolicy, read};
use tollgate::plugins::prometheus::{Metrics, PrometheusPlugin};
use tollgate::server::{Limits, Listener, Protocols, Server};

use crate::control::Control;
use crate::faultless::Faultless;
use crate::signals::Signals;
use crate::{access, args, demo};

/// Serves until a signal ends it.
pub(crate) fn run(args: &args::Serve) -> Result<ExitCode, BoxError> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false).compact().init();
    let log = args.access_log.as_deref().map(|path| access::open(path, args.access_log_format)).transpose()?;
    let mut builder = Gateway::builder();
    let prometheus = builder.registry().plugin::<PrometheusPlugin>();
    let metrics = prometheus.map(|prometheus| prometheus.metrics().clone()).unwrap_or_default();
    if let Some(log) = &log {
        builder = builder.layer(log.layer());
    }
    if args.config.is_none() {
        builder = demo::endpoints(builder);
    }
    let gateway = builder.build()?;
    let mut reports = Reports::default();
    let settings = match &args.config {
        Some(path) => load(&gateway, path, &mut reports)?,
        None => {
            let demo = read(&demo::document(), &ReadOptions::default());
            gateway.apply(demo.snapshot)?;
            Settings::default()
        }
    };
    let workers = args.workers.or(settings.workers).map(usize::from);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = workers {
        runtime.worker_threads(workers);
    }
    runtime.enable_all().build()?.block_on(serve(args, gateway, &settings, log, metrics, reports))
}

/// Loads the file for the first time: any fault is the end, unless `start_policy` says otherwise (CFG-02).
fn load(gateway: &Gateway, path: &Path, reports: &mut Reports) -> Result<Settings, BoxError> {
    let loaded = FileSource::new(path).load()?;
    let settings = (*loaded.snapshot.settings).clone();
    let findings = gateway.check(&loaded.snapshot);
    let errors = findings.iter().filter(|finding| finding.is_error()).count();
    match settings.start_policy {
        _ if errors == 0 => gateway.apply(loaded.snapshot)?,
        StartPolicy::ServeValid => gateway.adopt(loaded.snapshot)?,
        // Whoever follows the file says why it is not served.
        StartPolicy::ServeEmpty => return Ok(settings),
        _ => {
            eprint!("{}", findings.iter().map(|finding| line(path, finding)).collect::<String>());
            return Err(format!("{}: {errors} faults, not started", path.display()).into());
        }
    };
    reports.add(path, &ConfigEvent::Applied(gateway.status()));
    Ok(settings)
}

async fn serve(
    args: &args::Serve,
    gateway: Gateway,
    settings: &Settings,
    log: Option<access::Log>,
    metrics: Metrics,
    mut reports: Reports,
) -> Result<ExitCode, BoxError> {
    let listeners: Vec<Listener> = if args.listen.is_empty() {
        settings.listeners.iter().map(Listener::from).collect()
    } else {
        args.listen.iter().map(|address| Listener::new(*address).with_protocols(Protocols::Both)).collect()
    };
    let connections = gateway.clone();
    let server = Server::builder()
        .limits(Limits::from(&settings.limits))
        .problem_details(settings.errors == tollgate::model::ErrorBodies::Problem)
        .serve(move |client| connections.connection(client));
    let server = Arc::new(server);
    let mut control = Control::new(metrics, &gateway, &server);
    control.look();
    // Before anybody can know that the process is there.
    let signals = Signals::listen()?;
    let mut addresses = Vec::new();
    for listener in listeners {
        addresses.push(server.listen(listener)?);
    }
    for address in &addresses {
        eprintln!("listening on http://{address}");
    }
    if let (None, Some(address)) = (&args.config, addresses.first()) {
        eprint!("\n{}", demo::HINTS.replace("ADDRESS", &address.to_string()));
    }

    let follow = async {
        match &args.config {
            Some(path) => {
                let file = FileSource::new(path);
                let report = |event: ConfigEvent| {
                    reports.add(path, &event);
                    control.look();
                };
                drop(match settings.start_policy {
                    StartPolicy::ServeEmpty => {
                        gateway.follow(Faultless { file, gateway: gateway.clone() }, report).await
                    }
                    _ => gateway.follow(file, report).await,
                });
            }
            None => std::future::pending().await,
        }
    };
    let reopen = || log.iter().for_each(access::Log::reopen);
    tokio::select! {
        signal = signals.end(reopen) => eprintln!("{signal}: finishing what runs"),
        () = follow => eprintln!("the file is no longer watched"),
    }
    server.drain(args.drain_seconds.map_or_else(|| settings.limits.drain_timeout(), Duration::from_secs)).await;
    Ok(ExitCode::SUCCESS)
}

/// What was said of configurations. Following the file begins with the content that was loaded, and what is in force
/// already is not told again.
#[derive(Default)]
struct Reports {
    last: String,
}

impl Reports {
    /// Says what became of a configuration, unless that is what was said last.
    fn add(&mut self, path: &Path, event: &ConfigEvent) {
        let report = report(path, event);
        if report != self.last {
            eprint!("{report}");
            self.last = report;
        }
    }
}

/// What became of a configuration, in lines.
fn report(path: &Path, event: &ConfigEvent) -> String {
    let place = path.display();
    match event {
        ConfigEvent::Applied(status) => {
            let mut lines: String = status.findings.iter().map(|finding| line(path, finding)).collect();
            let kept = status.kept.iter().map(|faulty| (faulty, "the version before serves on"));
            let left_out = status.left_out.iter().map(|faulty| (faulty, "left out"));
            lines.extend(kept.chain(left_out).map(|(faulty, fate)| {
                let id = faulty.id.as_ref().map_or("without id", |id| id.as_str());
                format!("{place}: {} {id}: {fate}\n", faulty.kind)
            }));
            lines + &format!("{place}: revision {} in force, {} routes\n", status.revision, status.routes)
        }
        ConfigEvent::Refused(error) => format!("{place}: {error}; the configuration before serves on\n"),
        ConfigEvent::SourceFailed(error) => format!("{error}; the configuration before serves on\n"),
        other => format!("{place}: {other:?}\n"),
    }
}

fn line(path: &Path, finding: &Finding) -> String {
    format!("{}: {}: {finding}\n", path.display(), if finding.is_error() { "error" } else { "warning" })
}
