//! The code around the chain.
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::EXPECT;
use http::uri::PathAndQuery;
use http::{Method, Uri};
use http_body_util::BodyExt as _;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::config::{MirrorOptions, PathConcatMode};
use super::outcome::{Outcome, Outcomes};
use super::plugin::NAME;
use super::tee::{Shared, tee};
use crate::plugin::bodies::Bodies;
use crate::plugin::{AroundLayer, ConfigError, CopyOf, Hop, UpstreamChoice};
use crate::plugins::chance::Dice;
use crate::{Body, BoxFuture, Exchange, Fault, Next, Request, UpgradeWish};

/// How finely a share is told.
const SHARES: u32 = 100_000;

/// Bytes of an answer that are read so that its connection can be used again.
const DRAINED: usize = 64 * 1024;

/// Sends copies of requests elsewhere.
#[derive(Debug)]
pub struct Mirror {
    target: Target,
    path: Option<String>,
    mode: PathConcatMode,
    /// Of [`SHARES`] requests.
    share: u32,
    max_body: usize,
    places: Arc<Semaphore>,
    /// Longest time to read what is thrown away.
    drain: Duration,
    bodies: Bodies,
    outcomes: Arc<Outcomes>,
    /// Copies end when what sends here is gone.
    lives: watch::Receiver<()>,
    /// That, where it is the mirror itself.
    _own: Option<watch::Sender<()>>,
}

/// What mirrors of one plugin have in common, and outlives them.
#[derive(Debug)]
pub(super) struct Surroundings {
    /// Longest time to read what is thrown away.
    pub(super) drain: Duration,
    pub(super) bodies: Bodies,
    pub(super) outcomes: Arc<Outcomes>,
    /// Copies end when its sender is gone.
    pub(super) lives: watch::Receiver<()>,
}

/// Where copies go.
#[derive(Debug)]
pub(super) enum Target {
    /// Down the same chain, whose end sends them to another upstream.
    Upstream(UpstreamChoice),
    Service(Next),
}

/// [`Mirror`] around a service.
pub type MirrorLayer = AroundLayer<Mirror>;

impl Mirror {
    /// A mirror that is a service. Its time-outs are its own; a copy that it takes for ever holds one of `max_copies`
    /// places.
    ///
    /// # Errors
    /// [`ConfigError`] with the field that is wrong.
    pub fn to(service: Next, options: MirrorOptions) -> Result<Self, ConfigError> {
        let (own, lives) = watch::channel(());
        let (drain, bodies, outcomes) = (Duration::from_secs(60), Bodies::default(), Arc::default());
        let around = Surroundings { drain, bodies, outcomes, lives };
        Ok(Self { _own: Some(own), ..Self::new(Target::Service(service), options, around)? })
    }

    pub(super) fn new(target: Target, options: MirrorOptions, around: Surroundings) -> Result<Self, ConfigError> {
        let invalid = |field: &str, reason: &str| ConfigError::invalid(NAME, field, reason);
        let MirrorOptions { path, path_concat_mode: mode, sample_ratio, max_copies, max_body_bytes } = options;
        if let Some(path) = &path {
            let is_path =
                path.starts_with('/') && !path.contains(['?', '&', '#']) && PathAndQuery::try_from(&**path).is_ok();
            if !is_path {
                return Err(invalid("path", "is a path that begins with `/`, without `?` and `&`"));
            }
        }
        if !(0.00001..=1.0).contains(&sample_ratio) {
            return Err(invalid("sample_ratio", "is 0.00001 to 1"));
        }
        if max_body_bytes == 0 {
            return Err(invalid("max_body_bytes", "is at least 1"));
        }
        let places = usize::try_from(max_copies).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        if places == 0 {
            return Err(invalid("max_copies", "is at least 1"));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0.00001 to 1 of 100,000")]
        let share = (sample_ratio * f64::from(SHARES)).round() as u32;
        let (places, max_body) = (Arc::new(Semaphore::new(places)), max_body_bytes);
        let Surroundings { drain, bodies, outcomes, lives } = around;
        Ok(Self { target, path, mode, share, max_body, places, drain, bodies, outcomes, lives, _own: None })
    }

    /// What became of the copies.
    pub fn outcomes(&self) -> &Outcomes {
        &self.outcomes
    }

    /// Copies a request, if it is to be copied, and gives the original back.
    fn copy(&self, mut request: Request, next: &Next) -> Request {
        let is_tunnel = request.method() == Method::CONNECT || request.extensions().get::<UpgradeWish>().is_some();
        let is_copy = request.extensions().get::<CopyOf>().is_some();
        if is_tunnel || is_copy || self.share < SHARES && Dice::new().below(SHARES) >= self.share {
            return request;
        }
        let (Ok(runtime), Some(uri)) = (Handle::try_current(), self.uri(request.uri())) else { return request };
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            self.outcomes.count(Outcome::Dropped);
            return request;
        };
        let (body, shared) = match std::mem::take(request.body_mut()).into_bytes() {
            Ok(bytes) => {
                let copied = Some(bytes.clone()).filter(|bytes| bytes.len() <= self.max_body);
                let copied = copied.and_then(|bytes| self.bodies.hold(bytes).ok());
                *request.body_mut() = Body::from(bytes);
                let Some(copied) = copied else {
                    self.outcomes.count(Outcome::Dropped);
                    return request;
                };
                (Body::from(copied), Arc::default())
            }
            Err(stream) => {
                let (original, copy, shared) = tee(stream, self.max_body, self.bodies.clone());
                *request.body_mut() = original;
                (copy, shared)
            }
        };
        let mut copy = Request::new(body);
        copy.method_mut().clone_from(request.method());
        *copy.version_mut() = request.version();
        *copy.uri_mut() = uri;
        copy.headers_mut().clone_from(request.headers());
        copy.headers_mut().remove(EXPECT);
        copy.extensions_mut().clone_from(request.extensions());
        // What becomes of the copy is no part of what becomes of the request.
        copy.extensions_mut().remove::<Exchange>();
        let choice = copy.extensions_mut().remove::<UpstreamChoice>();
        copy.extensions_mut().insert(CopyOf(choice));
        let next = match &self.target {
            Target::Service(service) => service,
            Target::Upstream(choice) => {
                copy.extensions_mut().insert(choice.clone());
                next
            }
        };
        self.send(&runtime, next.clone(), copy, shared, place);
        request
    }

    /// Where the copy of a request goes.
    fn uri(&self, uri: &Uri) -> Option<Uri> {
        let Some(path) = &self.path else { return Some(uri.clone()) };
        let mut target = path.clone();
        if self.mode == PathConcatMode::Prefix {
            target.push_str(uri.path());
        }
        if let Some(query) = uri.query() {
            target.push('?');
            target.push_str(query);
        }
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(target.try_into().ok()?);
        Uri::from_parts(parts).ok()
    }

    /// Begins to send a copy, in a task of its own.
    fn send(&self, runtime: &Handle, next: Next, copy: Request, shared: Arc<Shared>, place: OwnedSemaphorePermit) {
        let (outcomes, drain, mut lives) = (Arc::clone(&self.outcomes), self.drain, self.lives.clone());
        runtime.spawn(async move {
            tokio::select! {
                outcome = exchange(next, copy, drain) => {
                    outcomes.count(if shared.is_lost() { Outcome::Dropped } else { outcome });
                }
                // Nothing is ever sent: it ends when the sender is gone.
                _ = lives.changed() => outcomes.count(Outcome::Dropped),
            }
            drop(place);
        });
    }
}

/// Sends a copy and throws the answer away.
async fn exchange(next: Next, copy: Request, drain: Duration) -> Outcome {
    let response = next.run(copy).await;
    // An answer of the gateway's own tells that there was none of the mirror.
    let outcome = if response.extensions().get::<Fault>().is_some() { Outcome::Failed } else { Outcome::Sent };
    let mut body = response.into_body();
    let reading = async {
        let mut read = 0;
        while let Some(Ok(frame)) = body.frame().await {
            read += frame.data_ref().map_or(0, Bytes::len);
            if read > DRAINED {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(drain, reading).await;
    outcome
}

impl Hop for Mirror {
    fn run(self: &Arc<Self>, request: Request, next: &Next) -> BoxFuture {
        next.run(self.copy(request, next))
    }
}
