//! A log-in under way: the browser keeps where it wanted to go, signed.
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::CasAuthConfig;
use crate::plugins::browser::{is_local, remembered};

/// Seconds for which the server's log-in page may stand open.
const LIFETIME: u64 = 3600;
/// Bytes of a signature.
const SIGNED: usize = blake3::OUT_LEN;

/// Signs where browsers wanted to go, under a key that depends on the secret, the server and the way back, together with the
/// service: what was signed for another block or another host does not count (security.md AUTH-10).
pub(super) struct Begun {
    key: [u8; blake3::KEY_LEN],
}

impl Begun {
    pub(super) fn new(config: &CasAuthConfig) -> Self {
        let parts = [config.cookie.secret.expose(), &config.idp_uri, &config.cas_callback_uri];
        let mut deriving = blake3::Hasher::new_derive_key("tollgate cas-auth 1: log-ins under way");
        // each part with its length, so that no two lists give the same text
        for part in parts {
            deriving.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        Self { key: *deriving.finalize().as_bytes() }
    }

    /// The cookie's value for a browser that wanted to go there, and is to log in at a service, at a second since 1970.
    pub(super) fn sign(&self, service: &str, target: &str, now: u64) -> String {
        let mut told = Vec::with_capacity(SIGNED + 8 + target.len());
        told.extend_from_slice(&now.to_le_bytes());
        told.extend_from_slice(remembered(target).as_bytes());
        let signature = self.signature(service, &told);
        told.splice(..0, *signature.as_bytes());
        URL_SAFE_NO_PAD.encode(told)
    }

    /// Where the browser wanted to go, if it was for this service that it began, and not too long ago.
    pub(super) fn open(&self, service: &str, value: &str, now: u64) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(value).ok()?;
        let (signature, told) = bytes.split_first_chunk::<SIGNED>()?;
        // compared in a time that does not tell where they differ
        if self.signature(service, told) != *signature {
            return None;
        }
        let (began, target) = told.split_first_chunk::<8>()?;
        let age = now.saturating_sub(u64::from_le_bytes(*began));
        let target = std::str::from_utf8(target).ok().filter(|target| is_local(target))?;
        (age < LIFETIME).then(|| target.to_owned())
    }

    fn signature(&self, service: &str, told: &[u8]) -> blake3::Hash {
        let length = (service.len() as u64).to_le_bytes();
        blake3::Hasher::new_keyed(&self.key).update(&length).update(service.as_bytes()).update(told).finalize()
    }
}

impl std::fmt::Debug for Begun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Begun")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHOP: &str = "http://shop.test/cb";
    const SECRET: &str = "a secret of more than thirty-two characters";

    fn begun(secret: &str, idp: &str, callback: &str) -> Begun {
        Begun::new(&CasAuthConfig::new(idp, callback, "/logout", secret))
    }

    #[test]
    fn sec_auth_10_only_what_was_signed_for_the_same_server_way_back_and_secret_opens() {
        let ours = begun(SECRET, "https://a.test", "/cb");
        let value = ours.sign(SHOP, "/orders?id=1", 1000);
        assert_eq!(ours.open(SHOP, &value, 1000 + LIFETIME - 1).as_deref(), Some("/orders?id=1"));
        assert_eq!(ours.open(SHOP, &value, 1000 + LIFETIME), None, "too old");
        for other in [
            begun("another secret of more than thirty-two characters", "https://a.test", "/cb"),
            begun(SECRET, "https://b.test", "/cb"),
            begun(SECRET, "https://a.test", "/cc"),
            begun(SECRET, "https://a.test/", "cb"),
        ] {
            assert_eq!(other.open(SHOP, &value, 1000), None);
        }
        assert_eq!(ours.open("http://hr.test/cb", &value, 1000), None, "of another host");
    }

    #[test]
    fn sec_auth_10_the_way_back_never_leads_to_another_host() {
        let ours = begun(SECRET, "https://a.test", "/cb");
        for target in ["//evil.test/", "/\\evil.test", "https://evil.test/", "/a\r\nset-cookie: x", ""] {
            assert_eq!(ours.open(SHOP, &ours.sign(SHOP, target, 0), 0).as_deref(), Some("/"), "{target}");
        }
    }

    proptest! {
        #[test]
        fn any_changed_byte_is_noticed(at in any::<prop::sample::Index>(), to in any::<u8>()) {
            let ours = begun(SECRET, "https://a.test", "/cb");
            let mut bytes = URL_SAFE_NO_PAD.decode(ours.sign(SHOP, "/orders", 1000)).unwrap();
            let at = at.index(bytes.len());
            prop_assume!(bytes[at] != to);
            bytes[at] = to;
            prop_assert_eq!(ours.open(SHOP, &URL_SAFE_NO_PAD.encode(bytes), 1000), None);
        }

        #[test]
        fn nonsense_does_not_open(value in ".{0,90}") {
            prop_assert_eq!(begun(SECRET, "https://a.test", "/cb").open(SHOP, &value, 0), None);
        }
    }
}
