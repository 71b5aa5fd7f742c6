//! One authority: our account there, and one order from its beginning to a certificate.
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use instant_acme::{
    Account, AccountBuilder, AccountCredentials, AuthorizationStatus, CertificateIdentifier, ChallengeType,
    ExternalAccountKey, Identifier, NewAccount, NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use tokio::sync::Mutex;

use super::answers::Answers;
use super::fault::{Refusal, RefusalKind};
use super::folder::{Folder, Shelf};
use super::options::Options;
use super::wire::Wire;
use super::{AcmeFault, Challenge, KeyType, proofs};
use crate::tls::Pair;

/// How the authority is asked whether it is ready. What it says itself about when to ask (`Retry-After`) goes first.
const POLLING: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(250)).backoff(1.5).timeout(Duration::from_secs(120));

pub(super) struct Authority {
    options: Arc<Options>,
    folder: Arc<Folder>,
    answers: Arc<Answers>,
    wire: Wire,
    /// Made at the first need. Several orders need one account, so one asks for it and the others wait.
    account: Mutex<Option<Known>>,
}

#[derive(Clone)]
struct Known {
    account: Account,
    /// As it stands in the folder.
    text: String,
}

/// When an authority would have a certificate renewed, and after how long it wants to be asked again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) from: SystemTime,
    pub(super) to: SystemTime,
    pub(super) again: Duration,
}

/// What an authority says of when to renew.
#[derive(Clone, Copy, Debug)]
pub(super) enum Opinion {
    Within(Window),
    /// Nothing of this certificate.
    NotOfThis,
    /// Nothing of any.
    OfNone,
}

/// A key and the chain that came for it, as they are kept: PEM, one after the other.
pub(super) struct Delivery {
    pub(super) text: String,
    pub(super) pair: Pair,
}

impl Authority {
    pub(super) fn new(options: Arc<Options>, folder: Arc<Folder>, answers: Arc<Answers>) -> Result<Self, AcmeFault> {
        let wire = Wire::new(options.roots.clone(), options.clock.clone()).map_err(AcmeFault::Roots)?;
        Ok(Self { options, folder, answers, wire, account: Mutex::new(None) })
    }

    /// Orders a certificate for `names`. `failures` in a row before it decide which challenge is tried first; `replaces`
    /// is the certificate that it is to replace.
    pub(super) async fn order(
        &self,
        names: &[String],
        failures: u32,
        replaces: Option<&Pair>,
    ) -> Result<Delivery, Refusal> {
        let known = self.account().await?;
        let ordered = self.order_as(&known.account, names, failures, replaces).await;
        ordered.map_err(|refusal| self.told(&known, refusal))
    }

    /// Until when it wants to be left alone by all; long ago if it said nothing.
    pub(super) fn quiet_until(&self) -> SystemTime {
        self.wire.quiet_until()
    }

    #[cfg(test)]
    pub(super) fn be_quiet(&self, wait: Duration) {
        self.wire.be_quiet(wait);
    }

    /// When the authority would have a certificate renewed (RFC 9773).
    pub(super) async fn window(&self, pair: &Pair) -> Result<Opinion, Refusal> {
        // One without an authority key identifier has no name there.
        let Some(id) = identifier(pair) else { return Ok(Opinion::NotOfThis) };
        let known = self.account().await?;
        match known.account.renewal_info(&id).await.map_err(Refusal::from) {
            Ok((info, again)) => {
                let time = |seconds: i64| UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
                let window = info.suggested_window;
                let (from, to) = (time(window.start.unix_timestamp()), time(window.end.unix_timestamp()));
                Ok(Opinion::Within(Window { from, to, again }))
            }
            Err(refusal) if refusal.kind == RefusalKind::Unsupported => Ok(Opinion::OfNone),
            Err(refusal) => Err(self.told(&known, refusal)),
        }
    }

    /// What is learned from a refusal: how long to be quiet, and that an account is gone.
    fn told(&self, known: &Known, refusal: Refusal) -> Refusal {
        if let Ok(mut held) = self.account.try_lock()
            && held.as_ref().is_some_and(|held| held.text == known.text)
        {
            // The next one reads the directory again, whose addresses may be others by then.
            *held = None;
        }
        if refusal.kind == RefusalKind::NoAccount {
            _ = self.folder.forget_account(&known.text);
        }
        self.with_pause(refusal)
    }

    /// Whoever is turned away comes again when the authority says.
    fn with_pause(&self, refusal: Refusal) -> Refusal {
        let asked = self.wire.asked().filter(|_| refusal.kind == RefusalKind::Busy);
        Refusal { asked, ..refusal }
    }

    fn builder(&self) -> AccountBuilder {
        Account::builder_with_http(Box::new(self.wire.clone()))
    }

    async fn account(&self) -> Result<Known, Refusal> {
        let mut held = self.account.lock().await;
        if let Some(known) = &*held {
            return Ok(known.clone());
        }
        let text = match self.blocking(Folder::account).await? {
            Some(text) => text,
            None => {
                let created = self.create().await?;
                self.blocking(move |folder| folder.keep_account(&created)).await?
            }
        };
        let damaged = |error| Refusal::new(format!("account.json in the folder is damaged: {error}"));
        let credentials: AccountCredentials = serde_json::from_str(&text).map_err(damaged)?;
        let restored = self.builder().from_credentials(credentials).await;
        let account = restored.map_err(|error| self.with_pause(error.into()))?;
        let known = Known { account, text };
        *held = Some(known.clone());
        Ok(known)
    }

    /// An account that is not kept yet. Whoever is killed here leaves one at the authority that nobody uses.
    async fn create(&self) -> Result<String, Refusal> {
        let contacts: Vec<&str> = self.options.contacts.iter().map(String::as_str).collect();
        let new = NewAccount {
            contact: &contacts,
            terms_of_service_agreed: self.options.terms_agreed,
            only_return_existing: false,
        };
        let binding = self.options.binding.as_ref();
        let binding = binding.map(|binding| ExternalAccountKey::new(binding.id.clone(), &binding.key));
        let created = self.builder().create(&new, self.options.directory.clone(), binding.as_ref()).await;
        let (_, credentials) = created.map_err(|error| self.with_pause(error.into()))?;
        serde_json::to_string(&credentials).map_err(|error| Refusal::new(error.to_string()))
    }

    async fn order_as(
        &self,
        account: &Account,
        names: &[String],
        failures: u32,
        replaces: Option<&Pair>,
    ) -> Result<Delivery, Refusal> {
        let mut order = self.begin(account, names, replaces).await?;
        let shown = self.prove(&mut order, failures).await?;
        if order.state().status != OrderStatus::Ready && order.poll_ready(&POLLING).await? != OrderStatus::Ready {
            return Err(reason(&mut order).await);
        }
        drop(shown);
        let (key, request) = self.request(names.to_vec()).await?;
        order.finalize_csr(&request).await?;
        let chain = order.poll_certificate(&POLLING).await?;
        let unusable = |fault| Refusal::new(format!("the authority's certificate {fault}"));
        let pair = Pair::from_pem(&chain, &key).map_err(unusable)?;
        if !covers(&pair, names) {
            return Err(Refusal::new("the authority's certificate is not for these names"));
        }
        Ok(Delivery { text: key + &*chain, pair })
    }

    async fn begin(&self, account: &Account, names: &[String], replaces: Option<&Pair>) -> Result<Order, Refusal> {
        let identifiers: Vec<_> = names.iter().cloned().map(Identifier::Dns).collect();
        let mut new = NewOrder::new(&identifiers);
        if let Some(profile) = &self.options.profile {
            new = new.profile(profile);
        }
        if let Some(id) = replaces.and_then(identifier) {
            let mut again = NewOrder::new(&identifiers).replaces(id);
            if let Some(profile) = &self.options.profile {
                again = again.profile(profile);
            }
            match account.new_order(&again).await.map_err(Refusal::from) {
                Err(refusal) if matches!(refusal.kind, RefusalKind::Replaced | RefusalKind::Unsupported) => {}
                outcome => return outcome,
            }
        }
        Ok(account.new_order(&new).await?)
    }

    /// Shows what the authority wants to see for each name, and says so. What is shown is taken away when the answer is
    /// dropped.
    async fn prove(&self, order: &mut Order, failures: u32) -> Result<Shown, Refusal> {
        let mut shown =
            Shown { answers: Arc::clone(&self.answers), folder: Arc::clone(&self.folder), what: Vec::new() };
        let mut ready = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status != AuthorizationStatus::Pending {
                ready.push(None);
                continue;
            }
            let name = authorization.identifier().to_string();
            let Some(kind) = self.choose(&authorization.challenges, failures) else {
                return Err(Refusal::new(format!("the authority has none of the allowed challenges for {name}")));
            };
            let Some(challenge) = authorization.challenge(wire_name(kind)) else { continue };
            let said = challenge.key_authorization();
            // Of the second, the DNS's form is the digest in base64url, which is all that a certificate holds of it.
            match kind {
                Challenge::Http01 => shown.show(kind, &challenge.token, said.as_str().to_owned()).await?,
                Challenge::TlsAlpn01 => shown.show(kind, &name, said.dns_value()).await?,
            }
            ready.push(Some(kind));
        }
        if ready.iter().any(Option::is_some) {
            // By then all who look at the folder have seen it.
            tokio::time::sleep(proofs::LOOK + proofs::LOOK / 2).await;
        }
        let mut authorizations = order.authorizations();
        for kind in ready {
            let Some(authorization) = authorizations.next().await else { break };
            let mut authorization = authorization?;
            if let Some(mut challenge) = kind.and_then(|kind| authorization.challenge(wire_name(kind))) {
                challenge.set_ready().await?;
            }
        }
        Ok(shown)
    }

    /// After a failure another kind goes first: what is in the way of one need not be in that of the other.
    fn choose(&self, offered: &[instant_acme::Challenge], failures: u32) -> Option<Challenge> {
        let allowed = &self.options.challenges;
        let first = failures as usize % allowed.len().max(1);
        let in_order = allowed.iter().cycle().skip(first).take(allowed.len());
        in_order.copied().find(|kind| offered.iter().any(|challenge| challenge.r#type == wire_name(*kind)))
    }

    /// A new key, as PEM, and what is signed with it for the authority.
    async fn request(&self, names: Vec<String>) -> Result<(String, Vec<u8>), Refusal> {
        let kind = self.options.key_type;
        let made = tokio::task::spawn_blocking(move || {
            let key = match kind {
                KeyType::Ecdsa => KeyPair::generate(),
                KeyType::Rsa => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
            }?;
            let mut params = CertificateParams::new(names)?;
            params.distinguished_name = DistinguishedName::new();
            Ok::<_, rcgen::Error>((key.serialize_pem(), params.serialize_request(&key)?.der().to_vec()))
        });
        let made = made.await.map_err(|error| Refusal::new(error.to_string()))?;
        made.map_err(|error| Refusal::new(format!("no request can be made: {error}")))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Folder) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        blocking(&self.folder, work).await
    }
}

/// Works on the folder off the runtime's threads.
pub(super) async fn blocking<T: Send + 'static>(
    folder: &Arc<Folder>,
    work: impl FnOnce(&Folder) -> std::io::Result<T> + Send + 'static,
) -> Result<T, Refusal> {
    let folder = Arc::clone(folder);
    let done = tokio::task::spawn_blocking(move || work(&folder)).await;
    let done = done.map_err(|error| Refusal::new(error.to_string()))?;
    done.map_err(|error| Refusal::io("the folder cannot be used", &error))
}

fn wire_name(kind: Challenge) -> ChallengeType {
    match kind {
        Challenge::Http01 => ChallengeType::Http01,
        Challenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
    }
}

/// Why an order is not ready: what the authority saw of each name.
async fn reason(order: &mut Order) -> Refusal {
    let mut reasons = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let name = authorization.identifier().to_string();
        let Ok(state) = authorization.refresh().await else { continue };
        let faults = state.challenges.iter().filter_map(|challenge| challenge.error.as_ref());
        reasons.extend(faults.map(|fault| {
            let text = fault.detail.as_deref().or(fault.r#type.as_deref()).unwrap_or("no reason given");
            format!("{name}: {text}")
        }));
    }
    Refusal::new(match reasons.is_empty() {
        true => "the authority gave the order up".to_owned(),
        false => format!("the authority did not see that the names are ours: {}", reasons.join("; ")),
    })
}

/// Whether a chain is for all of `names`.
pub(super) fn covers(pair: &Pair, names: &[String]) -> bool {
    use rustls::client::verify_server_name;
    use rustls::pki_types::ServerName;
    use rustls::server::ParsedCertificate;

    let Some(certificate) = pair.chain().first().and_then(|leaf| ParsedCertificate::try_from(leaf).ok()) else {
        return false;
    };
    names.iter().all(|name| {
        ServerName::try_from(name.as_str()).is_ok_and(|name| verify_server_name(&certificate, &name).is_ok())
    })
}

/// What the authority calls a certificate, if it can be called so.
fn identifier(pair: &Pair) -> Option<CertificateIdentifier<'static>> {
    let leaf = pair.chain().first()?;
    CertificateIdentifier::try_from(leaf).ok().map(CertificateIdentifier::into_owned)
}

/// What is shown for an order, for as long as this lives.
struct Shown {
    answers: Arc<Answers>,
    folder: Arc<Folder>,
    /// Kind, and token or name.
    what: Vec<(Challenge, String)>,
}

impl Shown {
    async fn show(&mut self, kind: Challenge, under: &str, text: String) -> Result<(), Refusal> {
        let (answers, folder) = (Arc::clone(&self.answers), Arc::clone(&self.folder));
        let under = under.to_owned();
        self.what.push((kind, under.clone()));
        let put = tokio::task::spawn_blocking(move || match kind {
            Challenge::Http01 => answers.put(&under, &text),
            Challenge::TlsAlpn01 => folder.put(Shelf::Proofs, &under, &text),
        });
        let put = put.await.map_err(|error| Refusal::new(error.to_string()))?;
        put.map_err(|error| Refusal::io("the answer to a challenge cannot be kept", &error))
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        for (kind, under) in self.what.drain(..) {
            match kind {
                Challenge::Http01 => self.answers.remove(&under),
                Challenge::TlsAlpn01 => self.folder.remove(Shelf::Proofs, &under),
            }
        }
    }
}
