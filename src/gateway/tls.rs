//! From the `tls` of an upstream as written to what the upstream side takes: references are looked up, certificates of
//! `client_cert_id` are found.
use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::secrets::Secrets;
use super::upstreams::Owner;
use crate::model::{Finding, Id, Severity, SslSpec, SslType, Status, UpstreamTls};
use crate::upstream::{ClientCertificate, TlsConfig};

/// What upstreams may refer to.
pub(super) struct Vault<'a> {
    secrets: &'a Secrets<'a>,
    ssls: &'a [Arc<SslSpec>],
    /// Made when the first one is asked for: there may be a hundred thousand, and most upstreams ask for none.
    places: OnceCell<HashMap<Id, usize>>,
}

impl<'a> Vault<'a> {
    pub(super) fn new(secrets: &'a Secrets<'a>, ssls: &'a [Arc<SslSpec>]) -> Self {
        Self { secrets, ssls, places: OnceCell::new() }
    }

    fn ssl(&self, id: &Id) -> Option<&'a SslSpec> {
        let numbered = || self.ssls.iter().enumerate().map(|(place, ssl)| (ssl.id.clone(), place)).collect();
        let place = self.places.get_or_init(numbered).get(id)?;
        self.ssls.get(*place).map(|ssl| &**ssl)
    }

    /// The `tls` of an upstream, with everything that it refers to. A reference without a value is a warning: it closes the
    /// upstream, as it closes a block.
    pub(super) fn config(&self, tls: &UpstreamTls, owner: Owner<'_>) -> Result<TlsConfig, Finding> {
        let text = |field: &str, value| self.text(value, owner, field);
        let mut config = TlsConfig::default();
        if !tls.verify {
            config = config.dangerous_without_verification();
        }
        config.sni = tls.sni.as_ref().map(|sni| sni.as_str().to_owned());
        config.ca = tls.ca.as_deref().map(|ca| text("tls.ca", ca)).transpose()?.map(Arc::from);
        config.client = match (&tls.client_cert_id, &tls.client_cert, &tls.client_key) {
            (Some(id), ..) => {
                let ssl = self
                    .client_certificate(id)
                    .map_err(|(message, mend)| owner.fault("tls.client_cert_id", message).with_mend(mend))?;
                let chain = text("tls.client_cert_id", &ssl.cert)?;
                let key = text("tls.client_cert_id", ssl.key.expose())?;
                Some(ClientCertificate { chain: chain.into(), key: key.into() })
            }
            (None, Some(chain), Some(key)) => {
                let chain = text("tls.client_cert", chain)?;
                let key = text("tls.client_key", key.expose())?;
                Some(ClientCertificate { chain: chain.into(), key: key.into() })
            }
            (None, None, None) => None,
            _ => {
                return Err(owner
                    .fault("tls", "has one half of a client certificate")
                    .with_mend("write both `client_cert` and `client_key`"));
            }
        };
        Ok(config)
    }

    /// What a field says, or what it refers to. Without a value it is a warning, as it closes a block.
    pub(super) fn text(&self, value: &str, owner: Owner<'_>, field: &str) -> Result<String, Finding> {
        let found = self.secrets.text(value).map_err(|reason| {
            let mut finding = owner.fault(field, format!("is closed: {reason}"));
            finding.severity = Severity::Warning;
            finding.with_mend("give the reference a value")
        });
        found.map(|found| found.to_owned())
    }

    fn client_certificate(&self, id: &Id) -> Result<&'a SslSpec, (String, &'static str)> {
        let ssl =
            self.ssl(id).ok_or_else(|| (format!("there is no ssl `{id}`"), "write the id of one of the `ssls`"))?;
        if ssl.purpose != SslType::Client {
            return Err((format!("the ssl `{id}` is not of type client"), "name one of `type: client`"));
        }
        if ssl.status == Status::Disabled {
            return Err((format!("the ssl `{id}` is disabled"), "set its `status` to 1"));
        }
        Ok(ssl)
    }
}
