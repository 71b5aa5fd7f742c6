//! What is done for certificates while the gateway runs: they are ordered, and their authorities asked about them.
use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use serde_json::json;
use tollgate::acme::{ChallengeLayer, Issuer, IssuerBuilder, ItemStatus, State};
use tollgate::control::ControlApi;
use tollgate::gateway::Gateway;
use tollgate::model::Settings;
use tollgate::ocsp::{Stapler, needs_staple};
use tollgate::plugins::prometheus::Metrics;
use tollgate::tls::Certificates;
use tollgate::{Body, BoxError, Next};
use tower::layer::util::Identity;
use tower::util::{Either, option_layer};

use crate::stores::resolved;

/// Whoever sees to certificates.
#[derive(Clone)]
pub(crate) struct Upkeep {
    issuer: Option<Issuer>,
    stapler: Stapler,
}

impl Upkeep {
    pub(crate) fn new(settings: &Settings) -> Result<Self, BoxError> {
        let mut acme = settings.acme.clone();
        if let Some(eab) = acme.as_mut().and_then(|acme| acme.eab.as_mut()) {
            eab.key = resolved("tollgate.acme.eab.key", eab.key.expose())?.into();
        }
        let issuer = acme.as_ref().map(|acme| IssuerBuilder::from(acme).build()).transpose();
        let issuer = issuer.map_err(|fault| format!("tollgate.acme: {fault}"))?;
        let stapler = Stapler::new()?.with_unsaid(settings.ocsp_stapling);
        Ok(Self { issuer, stapler })
    }

    /// Stands before everything, so that an authority is answered whatever the routes say.
    pub(crate) fn layer(&self) -> Either<ChallengeLayer, Identity> {
        option_layer(self.issuer.as_ref().map(Issuer::layer))
    }

    /// Shows from the first handshake on what was ordered earlier.
    pub(crate) fn load(&self, gateway: &Gateway) {
        if let Some(issuer) = &self.issuer {
            issuer.load(&gateway.certificates());
        }
    }

    /// Adds how it is doing to the control API, as `/v1/certificates`.
    pub(crate) fn mount(&self, api: ControlApi) -> ControlApi {
        let this = self.clone();
        let status = Next::from_fn(move |_| {
            let acme = this.issuer.as_ref().map(Issuer::status);
            let ocsp = this.stapler.status();
            let mut response = Response::new(Body::from(json!({"acme": acme, "ocsp": ocsp}).to_string()));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            async move { response }
        });
        api.mount("/v1/certificates", status)
    }

    /// Adds how it is doing to the metrics.
    pub(crate) fn measure(&self, metrics: &Metrics) {
        if let Some(issuer) = &self.issuer {
            let gauge = |name, help, read: fn(Vec<ItemStatus>) -> f64| {
                let issuer = issuer.clone();
                metrics.gauge(name, help, move || read(issuer.status().items));
            };
            let failing = |items: Vec<ItemStatus>| {
                items.iter().filter(|item| matches!(item.state, State::Failing | State::Impossible)).count() as f64
            };
            gauge("acme_certificates", "Certificates that ACME sees to.", |items| items.len() as f64);
            gauge("acme_failing", "Certificates whose last order failed.", failing);
            gauge("acme_next_expiry_seconds", "Until the first certificate of ACME is over.", |items| {
                let ends = items.iter().filter_map(|item| item.not_after).min();
                ends.map_or(f64::NAN, |end| end.duration_since(SystemTime::now()).unwrap_or_default().as_secs_f64())
            });
        }
        let stapler = self.stapler.clone();
        metrics.gauge("ocsp_missing", "Certificates that name a responder and show no answer.", move || {
            stapler.status().iter().filter(|pair| pair.responder.is_some() && pair.until.is_none()).count() as f64
        });
    }

    /// Sees to the certificates. Never ends.
    pub(crate) async fn run(&self, gateway: &Gateway) {
        let issue = async {
            match &self.issuer {
                Some(issuer) => issuer.run(gateway.certificates()).await,
                None => std::future::pending().await,
            }
        };
        let staple = self.stapler.run(gateway.certificates());
        tokio::join!(issue, staple, self.warn(gateway.certificates()));
    }

    /// Says, once for each, which certificates wait for somebody who is not there.
    async fn warn(&self, certificates: Certificates) {
        let mut changed = certificates.changed();
        let mut told = HashSet::new();
        loop {
            for certificate in certificates.all() {
                let id = certificate.id();
                if self.issuer.is_none() && certificate.is_issued() && told.insert(id.to_owned()) {
                    eprintln!("ssl {id}: no certificate is ordered: `tollgate.acme` says of which authority");
                }
                let demands = !self.stapler.staples(&certificate) && certificate.pairs().iter().any(needs_staple);
                if demands && told.insert(id.to_owned()) {
                    eprintln!(
                        "ssl {id}: clients may refuse the certificate, which demands an OCSP answer (must-staple): \
                         set `tollgate.ocsp_stapling`, or the item's own"
                    );
                }
            }
            // The gateway's table outlives this.
            _ = changed.changed().await;
            // Many changes at once are looked at once.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}
