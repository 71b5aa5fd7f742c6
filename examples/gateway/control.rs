//! For whoever runs the gateway: the control API, probes, and the metrics' own address.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tollgate::admin::AdminApi;
use tollgate::control::{ControlAddress, ControlApi, StatusApi};
use tollgate::gateway::{Gateway, Route};
use tollgate::model::{AdminSettings, Role};
use tollgate::plugins::prometheus::Metrics;
use tollgate::server::{DrainHandle, Listener, ListenerStatus, Server};
use tollgate::store::Mirror;
use tollgate::{BoxError, ConnectInfo, Next};

/// Serves the metrics from the first configuration on that keeps any.
pub(crate) struct Control {
    api: ControlApi,
    metrics: Metrics,
    serving: Option<Server>,
}

/// Serves the control API, the metrics included.
pub(crate) fn listen(
    api: &ControlApi,
    metrics: &Metrics,
    listeners: Next,
    address: &ControlAddress,
) -> Result<Server, BoxError> {
    let api = api.clone().mount("/metrics", metrics.service()).mount("/v1/listeners", listeners);
    let server = Server::builder().serve(move |_: ConnectInfo| api.clone());
    match address {
        ControlAddress::Tcp(address) => {
            let address = server.listen(Listener::new(*address))?;
            eprintln!("control API on http://{address}");
        }
        ControlAddress::Unix(path) => {
            server.listen_unix(path)?;
            eprintln!("control API on {address}");
        }
        other => return Err(format!("cannot listen on {other}").into()),
    }
    Ok(server)
}

/// Serves the Admin API.
pub(crate) fn admin(
    settings: &AdminSettings,
    mirror: &Mirror,
    gateway: &Gateway,
    role: Role,
) -> Result<Server, BoxError> {
    let address = settings.listen;
    if !address.ip().is_loopback() && !settings.allow_insecure_listen {
        return Err(format!(
            "the Admin API does not listen on {address}, where its keys would pass in clear: use an address of the loopback \
             behind a proxy that speaks TLS, or set `tollgate.admin.allow_insecure_listen`"
        )
        .into());
    }
    if !settings.admin_key_required {
        eprintln!("warning: the Admin API asks for no key: whoever runs on this machine can change the configuration");
    }
    // Where nothing is served, nobody waits for what serves.
    let serving = (role != Role::ControlPlane).then(|| gateway.clone());
    let api = AdminApi::builder(mirror.clone(), serving).settings(settings.clone()).build()?;
    let server = Server::builder().serve(move |client: ConnectInfo| {
        let api = api.clone();
        tower::service_fn(move |mut request: tollgate::Request| {
            request.extensions_mut().insert(client.clone());
            tower::ServiceExt::oneshot(api.clone(), request)
        })
    });
    let address = server.listen(Listener::new(address))?;
    eprintln!("Admin API on http://{address}{}", settings.prefix);
    Ok(server)
}

/// Answers probes.
pub(crate) fn probes(
    ready: &Arc<AtomicBool>,
    end: DrainHandle,
    address: std::net::SocketAddr,
) -> Result<Server, BoxError> {
    let ready = Arc::clone(ready);
    let missing = move || (!ready.load(Relaxed)).then(|| "no configuration is in force yet".to_owned());
    let probes = StatusApi::ending(missing, move || end.has_begun());
    let server = Server::builder().serve(move |_: ConnectInfo| probes.clone());
    let address = server.listen(Listener::new(address))?;
    eprintln!("probes on http://{address}/status");
    Ok(server)
}

impl Control {
    /// Adds what the process knows to the metrics.
    pub(crate) fn new(metrics: Metrics, gateway: &Gateway, api: ControlApi, server: &Arc<Server>) -> Self {
        let of_server = |read: fn(&Server) -> u64| {
            let server = Arc::downgrade(server);
            move || server.upgrade().map_or(0.0, |server| read(&server) as f64)
        };
        let connections = of_server(|server| server.connections() as u64);
        metrics.gauge("http_current_connections", "Open connections.", connections);
        let listeners = of_server(|server| server.listeners().iter().filter(|one| one.error.is_none()).count() as u64);
        metrics.gauge("listeners", "Addresses that are listened on.", listeners);
        let missing = of_server(|server| server.listeners().iter().filter(|one| one.error.is_some()).count() as u64);
        metrics.gauge("listeners_missing", "Addresses that should be listened on and cannot be had.", missing);
        let accepted = of_server(|server| sum(server, |one| one.accepted));
        metrics.gauge("connections_accepted", "Connections that present listeners took.", accepted);
        let refused = of_server(|server| sum(server, |one| one.refused));
        metrics.gauge("connections_refused", "Connections that were closed over a limit.", refused);
        let failed = of_server(|server| sum(server, |one| one.failed));
        metrics.gauge("connections_failed", "Connections whose PROXY header or TLS handshake failed.", failed);
        let certificates = gateway.certificates();
        metrics.counters("tls_handshakes_total", "TLS handshakes of clients by how they ended.", "result", move || {
            certificates.handshakes().by_result().collect()
        });
        let of = |gateway: &Gateway, read: fn(&tollgate::gateway::Status) -> u64| {
            let gateway = gateway.clone();
            move || read(&gateway.status()) as f64
        };
        let revision = of(gateway, |status| status.revision);
        metrics.gauge("config_revision", "Which configuration serves, counted from 1.", revision);
        let rejected = of(gateway, |status| status.rejected_total);
        metrics.gauge("config_rejected", "Configurations, or parts of them, that were refused.", rejected);
        let left_out = of(gateway, |status| status.left_out.len() as u64);
        metrics.gauge("config_left_out", "Faulty items that were left out of what serves.", left_out);
        metrics.gauge("routes", "Configured routes in force.", of(gateway, |status| status.routes as u64));
        Self { api, metrics, serving: None }
    }

    /// Begins to serve, if there is now something to serve. Traffic does not wait for metrics: a port that is taken is
    /// told, and tried again with the next configuration.
    pub(crate) fn look(&mut self) {
        let Some(attr) = self.metrics.attr().filter(|attr| attr.enable_export_server && self.serving.is_none()) else {
            return;
        };
        match serve(&self.api, &self.metrics, &attr.export_uri, Listener::new(attr.export_addr.into())) {
            Ok(server) => self.serving = Some(server),
            Err(error) => eprintln!("no metrics: {error}; tollgate.plugin_attr.prometheus.export_addr says where"),
        }
    }
}

fn sum(server: &Server, read: fn(&ListenerStatus) -> u64) -> u64 {
    server.listeners().iter().map(read).sum()
}

/// The metrics, and beside them what checks say of endpoints. Other parts of the control API are not for this address, which
/// may be one of a network.
fn serve(api: &ControlApi, metrics: &Metrics, uri: &str, listener: Listener) -> Result<Server, BoxError> {
    let api = api.clone().with_any_host();
    let mut control = Gateway::builder()
        .route(Route::new("/metrics").to_service(metrics.service()))
        .route(Route::new("/v1/healthcheck").to_service(api.clone()))
        .route(Route::new("/v1/healthcheck/*one").to_service(api));
    if uri != "/metrics" {
        control = control.route(Route::new(uri).to_service(metrics.service()));
    }
    let control = control.build()?;
    let server = Server::builder().serve(move |client| control.connection(client));
    let address = server.listen(listener)?;
    eprintln!("metrics on http://{address}/metrics");
    Ok(server)
}
