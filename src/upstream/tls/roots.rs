//! The certificates that the system trusts.
use std::sync::{Arc, OnceLock};

use rustls::RootCertStore;

/// Read at the first need, and then kept: it is half a megabyte of files.
#[derive(Debug, Default)]
pub(super) struct SystemRoots(OnceLock<Result<Arc<RootCertStore>, String>>);

impl SystemRoots {
    /// # Errors
    /// When the system has none: to go on would be to refuse every endpoint.
    pub(super) fn get(&self) -> Result<Arc<RootCertStore>, String> {
        self.0.get_or_init(read).clone()
    }
}

fn read() -> Result<Arc<RootCertStore>, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // A system's store holds old ones that nobody can use any more; they are passed over.
    let (added, _) = roots.add_parsable_certificates(found.certs);
    match (added, found.errors.first()) {
        (0, Some(error)) => Err(format!("the system's certificates cannot be read: {error}")),
        (0, None) => Err(String::from("the system has no certificates to verify against")),
        _ => Ok(Arc::new(roots)),
    }
}
