//! What an authority is shown when it opens a TLS connection (tls-alpn-01, RFC 8737).
//!
//! What is shown stands in the folder, as the digest that it consists of, and each process makes its own certificate of
//! it: any of the gateways behind one name may be asked.
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;

use super::folder::{Folder, Shelf};
use crate::tls::{Certificates, Pair};

/// The challenges that this process shows.
pub(super) struct Proofs {
    folder: Arc<Folder>,
    certificates: Certificates,
    shown: HashMap<String, String>,
}

/// How often the folder is looked at for what others want shown.
pub(super) const LOOK: Duration = Duration::from_secs(1);

impl Proofs {
    pub(super) fn new(folder: Arc<Folder>, certificates: Certificates) -> Self {
        Self { folder, certificates, shown: HashMap::new() }
    }

    /// Shows what stands in the folder, and nothing else.
    pub(super) async fn look(&mut self) {
        let folder = Arc::clone(&self.folder);
        let wanted = tokio::task::spawn_blocking(move || wanted(&folder)).await;
        // A folder that cannot be read changes nothing.
        let Ok(Ok(wanted)) = wanted else { return };
        let over: Vec<_> = self.shown.keys().filter(|name| !wanted.contains_key(*name)).cloned().collect();
        for name in over {
            self.certificates.set_challenge(&name, None);
            self.shown.remove(&name);
        }
        for (name, digest) in wanted {
            if self.shown.get(&name) != Some(&digest) {
                // What cannot be shown is not tried each second.
                if let Some(pair) = certificate(&name, &digest) {
                    self.certificates.set_challenge(&name, Some(pair));
                }
                self.shown.insert(name, digest);
            }
        }
    }
}

impl Drop for Proofs {
    fn drop(&mut self) {
        self.shown.keys().for_each(|name| self.certificates.set_challenge(name, None));
    }
}

fn wanted(folder: &Folder) -> io::Result<HashMap<String, String>> {
    let mut wanted = HashMap::new();
    for name in folder.names(Shelf::Proofs)? {
        if let Some(digest) = folder.get(Shelf::Proofs, &name)? {
            wanted.insert(name, digest);
        }
    }
    Ok(wanted)
}

/// A certificate of one's own for `name` that holds the digest (SHA-256 in base64url).
fn certificate(name: &str, digest: &str) -> Option<Pair> {
    let digest = BASE64_URL_SAFE_NO_PAD.decode(digest).ok().filter(|digest| digest.len() == 32)?;
    let mut params = CertificateParams::new([name.to_owned()]).ok()?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(&digest)];
    let key = KeyPair::generate().ok()?;
    let certificate = params.self_signed(&key).ok()?;
    Pair::of_challenge(certificate.der().clone(), PrivatePkcs8KeyDer::from(key.serialize_der()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_shown_is_what_stands_in_the_folder() {
        let digest = BASE64_URL_SAFE_NO_PAD.encode([7; 32]);
        assert!(certificate("shop.test", &digest).is_some());
        for nonsense in ["", "AAAA", "!"] {
            assert!(certificate("shop.test", nonsense).is_none(), "{nonsense}");
        }
        let place = tempfile::tempdir().unwrap();
        let folder = Arc::new(Folder::open(place.path(), "https://acme.test/").unwrap());
        let mut proofs = Proofs::new(Arc::clone(&folder), Certificates::new());
        folder.put(Shelf::Proofs, "shop.test", &digest).unwrap();
        proofs.look().await;
        assert_eq!(proofs.shown.get("shop.test"), Some(&digest));
        folder.remove(Shelf::Proofs, "shop.test");
        proofs.look().await;
        assert!(proofs.shown.is_empty());
    }
}
