//! TLS to servers.
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::model::EtcdTls;
use crate::net::tls::{Hello, Secured, connect};
use crate::net::{Sweep, Transport};
use crate::upstream::{ClientCertificate, Identities, TlsConfig};

/// Who is believed, and who we are.
pub(super) struct Tls {
    config: Arc<ClientConfig>,
    /// The name that all servers have to prove instead of their own.
    name: Option<ServerName<'static>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// What is wrong with which field.
    pub(super) fn new(settings: &EtcdTls) -> Result<Self, String> {
        let read = |field: &str, path: &Path| {
            let text = fs::read_to_string(path);
            text.map(Arc::from).map_err(|error| format!("`tls.{field}`: {}: {error}", path.display()))
        };
        let mut config = TlsConfig::default();
        if !settings.verify {
            config = config.dangerous_without_verification();
        }
        config.ca = settings.ca.as_deref().map(|path| read("ca", path)).transpose()?;
        config.client = match (&settings.cert, &settings.key) {
            (None, None) => None,
            (Some(chain), Some(key)) => Some(ClientCertificate { chain: read("cert", chain)?, key: read("key", key)? }),
            _ => return Err("`tls` has one of `cert` and `key` only; write both, or none".to_owned()),
        };
        let identity = Identities::default().get(&config).map_err(|fault| {
            let field = fault.field.strip_prefix("client_").unwrap_or(fault.field);
            format!("`tls.{field}` {}", fault.reason)
        })?;
        let name = settings.sni.as_ref().map(|sni| ServerName::try_from(sni.clone()));
        let name = name.transpose().map_err(|_| "`tls.sni` is neither a name nor an address".to_owned())?;
        Ok(Self { config: Arc::clone(identity.config()), name })
    }

    /// Makes the handshake with the server that is called `host`.
    ///
    /// # Errors
    /// Those of the socket and of TLS, and a server that does not speak HTTP/2.
    pub(super) async fn secure(&self, transport: Transport, host: &str, sweep: &Sweep) -> io::Result<Secured> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.to_owned()).map_err(io::Error::other)?,
        };
        let hello = Hello { config: Arc::clone(&self.config), name, protocols: vec![b"h2".to_vec()] };
        let secured = connect(transport, hello, sweep).await?;
        if secured.protocol.as_deref() != Some(b"h2") {
            return Err(io::Error::other("the server does not speak HTTP/2 over TLS"));
        }
        Ok(secured)
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("name", &self.name).finish_non_exhaustive()
    }
}
