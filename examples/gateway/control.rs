//! The control address: metrics and health checks, for whoever runs the gateway.
use std::sync::Arc;

use tollgate::BoxError;
use tollgate::gateway::{Gateway, Route};
use tollgate::plugins::prometheus::Metrics;
use tollgate::server::{Listener, Server};

use crate::health;

/// Serves the metrics from the first configuration on that keeps any.
pub(crate) struct Control {
    gateway: Gateway,
    metrics: Metrics,
    serving: Option<Server>,
}

impl Control {
    /// Adds what the process knows to the metrics.
    pub(crate) fn new(metrics: Metrics, gateway: &Gateway, server: &Arc<Server>) -> Self {
        let server = Arc::downgrade(server);
        metrics.gauge("http_current_connections", "Open connections.", move || {
            server.upgrade().map_or(0.0, |server| server.connections() as f64)
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
        Self { gateway: gateway.clone(), metrics, serving: None }
    }

    /// Begins to serve, if there is now something to serve. Traffic does not wait for metrics: a port that is taken is
    /// told, and tried again with the next configuration.
    pub(crate) fn look(&mut self) {
        let Some(attr) = self.metrics.attr().filter(|attr| attr.enable_export_server && self.serving.is_none()) else {
            return;
        };
        match serve(&self.gateway, &self.metrics, &attr.export_uri, Listener::new(attr.export_addr.into())) {
            Ok(server) => self.serving = Some(server),
            Err(error) => eprintln!("no metrics: {error}; tollgate.plugin_attr.prometheus.export_addr says where"),
        }
    }
}

fn serve(gateway: &Gateway, metrics: &Metrics, uri: &str, listener: Listener) -> Result<Server, BoxError> {
    let checks = {
        let gateway = gateway.clone();
        tower::service_fn(move |request| health::answer(gateway.clone(), request))
    };
    let mut control = Gateway::builder()
        .route(Route::new("/metrics").to_service(metrics.service()))
        .route(Route::new(health::PATH).to_service(checks.clone()))
        .route(Route::new(format!("{}/*one", health::PATH)).to_service(checks));
    if uri != "/metrics" {
        control = control.route(Route::new(uri).to_service(metrics.service()));
    }
    let control = control.build()?;
    let server = Server::builder().serve(move |client| control.connection(client));
    let address = server.listen(listener)?;
    eprintln!("metrics on http://{address}/metrics");
    Ok(server)
}
