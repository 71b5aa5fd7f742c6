//! [`Issuer`]: sees to certificates for as long as it runs.
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use tokio::time::{Instant, sleep_until};

use super::answers::Answers;
use super::attend::Watcher;
use super::authority::Authority;
use super::claim::Claims;
use super::folder::Folder;
use super::options::{Binding, Options};
use super::proofs::{self, Proofs};
use super::status::Board;
use super::work::{self, Work};
use super::{AcmeFault, Challenge, ChallengeLayer, Clock, KeyType, Status};
use crate::tls::Certificates;

/// Between two looks at a table that changes.
const REST: Duration = Duration::from_secs(1);

/// Gets certificates from an ACME authority (RFC 8555) for those of a table that are to be issued, and renews them.
///
/// A clone is the same issuer. It does nothing of itself: [`run`](Self::run) does it all, and what runs ends when that
/// future is dropped.
///
/// ```no_run
/// use tollgate::acme::Issuer;
/// use tollgate::tls::{Certificate, Certificates};
///
/// # async fn example() -> Result<(), tollgate::BoxError> {
/// let certificates = Certificates::new();
/// certificates.put(Certificate::builder("shop").name("shop.example.com").issued().build()?);
/// let issuer = Issuer::builder("https://acme-v02.api.letsencrypt.org/directory")
///     .contact("mailto:ops@example.com")
///     .terms_agreed(true)
///     .folder("/var/lib/shop/acme")
///     .build()?;
/// issuer.load(&certificates); // what was ordered earlier, before the first handshake
/// let app = axum::Router::<()>::new().layer(issuer.layer()); // on port 80, for http-01
/// tokio::spawn({
///     let certificates = certificates.clone();
///     async move { issuer.run(certificates).await }
/// });
/// # let _ = app;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Issuer(Arc<Inner>);

struct Inner {
    watcher: Arc<Watcher>,
    answers: Arc<Answers>,
    board: Board,
}

impl Issuer {
    /// Starts one, for the authority whose directory is at this address (`https`).
    pub fn builder(directory: impl Into<String>) -> IssuerBuilder {
        IssuerBuilder { options: Options::new(directory.into()), binding: None }
    }

    /// Answers http-01, in front of what is served on port 80.
    pub fn layer(&self) -> ChallengeLayer {
        ChallengeLayer(Arc::clone(&self.0.answers))
    }

    /// How each certificate is doing. Empty before [`run`](Self::run).
    pub fn status(&self) -> Status {
        let Watcher { options, authority, .. } = &*self.0.watcher;
        let items = self.0.board.read(options.clock.now(), authority.quiet_until());
        Status { directory: options.directory.clone(), items }
    }

    /// Installs what the folder has, so that the first handshake is answered. Asks nobody. Blocks.
    pub fn load(&self, certificates: &Certificates) {
        for certificate in certificates.all().into_iter().filter(|certificate| certificate.is_issued()) {
            let names: Vec<_> = certificate.names().map(str::to_owned).collect();
            if let Ok((pair, _)) = work::read(&self.0.watcher.folder, certificate.id(), &names) {
                // It only refuses to have none.
                _ = certificate.install(vec![pair]);
            }
        }
    }

    /// Sees to the certificates of a table that are to be issued, also to those that come to it later. Never ends.
    ///
    /// They are ordered, kept in the folder, installed, and renewed before they are over. What others put into the folder is
    /// installed as well. An order that fails is tried again, with pauses that grow; what is in force stays.
    pub async fn run(&self, certificates: Certificates) {
        let Inner { watcher, answers, board } = &*self.0;
        let options = &watcher.options;
        let mut changed = certificates.changed();
        let mut proofs = Proofs::new(Arc::clone(&watcher.folder), certificates.clone());
        let mut show = tokio::time::interval(proofs::LOOK);
        show.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut look = tokio::time::interval(options.look_every);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut work = Work::new(Arc::clone(watcher), certificates, board.clone());
        let mut rested = Instant::now();
        loop {
            let next = work.next();
            let due = async {
                match next {
                    Some(next) => options.clock.until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = look.tick() => work.look(true).await,
                // The table outlives its own sender. Of changes that follow one another, many are looked at at once.
                _ = async { sleep_until(rested).await; changed.changed().await } => {
                    work.look(false).await;
                    rested = Instant::now() + REST;
                }
                _ = show.tick() => {
                    let answers = Arc::clone(answers);
                    // A look that failed found nothing.
                    _ = tokio::task::spawn_blocking(move || answers.look()).await;
                    proofs.look().await;
                    // Nothing is due by that.
                    continue;
                }
                ended = work.ended() => ended.into_iter().for_each(|ended| work.take(ended)),
                () = due => {}
            }
            work.begin();
        }
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("directory", &self.0.watcher.options.directory).finish_non_exhaustive()
    }
}

/// Composes an [`Issuer`].
#[derive(Clone)]
pub struct IssuerBuilder {
    options: Options,
    /// Id and key as given.
    binding: Option<(String, String)>,
}

impl IssuerBuilder {
    /// Sets where certificates, keys and the account are kept; made if need be, for the owner alone. Several gateways may
    /// share one: one of them orders, all answer challenges, all use what came. Required.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.options.folder = folder.into();
        self
    }

    /// Adds whom the authority may write to, as a URI such as `mailto:ops@example.com`. It counts when the account is made.
    #[must_use]
    pub fn contact(mut self, uri: impl Into<String>) -> Self {
        self.options.contacts.push(uri.into());
        self
    }

    /// Agrees to the authority's terms of service. Required.
    #[must_use]
    pub fn terms_agreed(mut self, agreed: bool) -> Self {
        self.options.terms_agreed = agreed;
        self
    }

    /// Verifies the directory's server against these certificates (PEM) instead of the system's.
    #[must_use]
    pub fn ca(mut self, pem: impl Into<String>) -> Self {
        self.options.roots = Some(pem.into());
        self
    }

    /// Binds the account to one that exists elsewhere: the key's id, and the key in base64url as the authority gave it.
    #[must_use]
    pub fn eab(mut self, kid: impl Into<String>, key: impl Into<String>) -> Self {
        self.binding = Some((kid.into(), key.into()));
        self
    }

    /// Sets which challenges may be used; the first goes first, and after a failure the next. Default: tls-alpn-01, which
    /// needs no other listener than the one that the certificate is for, then http-01.
    #[must_use]
    pub fn challenges(mut self, challenges: impl IntoIterator<Item = Challenge>) -> Self {
        self.options.challenges = challenges.into_iter().collect();
        self
    }

    /// Sets which share of a certificate's life, 0.05–0.95, is left when it is renewed. Default ⅓. An authority that says
    /// itself when (RFC 9773) is followed.
    #[must_use]
    pub fn renew_before(mut self, share: f64) -> Self {
        self.options.renew_before = share;
        self
    }

    /// Sets the kind of keys. Default ECDSA.
    #[must_use]
    pub fn key_type(mut self, kind: KeyType) -> Self {
        self.options.key_type = kind;
        self
    }

    /// Asks for one of the authority's profiles of certificates, such as `shortlived`. Default: its own choice.
    #[must_use]
    pub fn profile(mut self, profile: impl Into<String>) -> Self {
        self.options.profile = Some(profile.into());
        self
    }

    /// Sets how often the folder is looked at for what others ordered. Default a minute.
    #[must_use]
    pub fn look_every(mut self, period: Duration) -> Self {
        self.options.look_every = period.max(Duration::from_millis(1));
        self
    }

    /// Sets the clock that dates are compared with. Default: the system's.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.options.clock = clock;
        self
    }

    /// Makes it, and its folder. Asks nobody. Blocks.
    ///
    /// # Errors
    /// [`AcmeFault`] for what cannot be followed, and a folder that cannot be used.
    pub fn build(mut self) -> Result<Issuer, AcmeFault> {
        self.options.judge()?;
        if let Some((id, key)) = self.binding {
            let key = BASE64_URL_SAFE_NO_PAD.decode(key.trim_end_matches('='));
            self.options.binding = Some(Binding { id, key: key.map_err(|_| AcmeFault::Binding)? });
        }
        let options = Arc::new(self.options);
        let unusable = |source| AcmeFault::Folder { path: options.folder.display().to_string(), source };
        let folder = Arc::new(Folder::open(&options.folder, &options.directory).map_err(unusable)?);
        let claims = Arc::new(Claims::new(Arc::clone(&folder)).map_err(unusable)?);
        let answers = Arc::new(Answers::new(Arc::clone(&folder)));
        let authority = Authority::new(Arc::clone(&options), Arc::clone(&folder), Arc::clone(&answers))?;
        let watcher = Arc::new(Watcher { options, folder, claims, authority });
        Ok(Issuer(Arc::new(Inner { watcher, answers, board: Board::default() })))
    }
}

impl fmt::Debug for IssuerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuerBuilder").field("directory", &self.options.directory).finish_non_exhaustive()
    }
}
