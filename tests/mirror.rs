//! What one process makes of a store: snapshots, what gateways have of them, and what it does with a store that misbehaves.
#![cfg(test)]
#![cfg(feature = "store")]
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tollgate::Body;
use tollgate::gateway::Gateway;
use tollgate::model::Kind;
use tollgate::store::{
    Change, Committed, Edit, Guard, Key, Loaded, LocalCopy, MemoryStore, Mirror, MirrorOptions, News, NewsStream,
    Store, StoreError, StoreFuture, Transaction,
};
#[cfg(feature = "keyring")]
use tollgate::store::{Keyring, Sealing};
use tower::ServiceExt as _;

/// Much longer than anything takes; the clock of these tests runs ahead when nobody has anything to do.
const PATIENCE: Duration = Duration::from_secs(600);

fn put(key: &str, value: &Value) -> Edit {
    Edit::Put { key: Key::parse(key).unwrap(), value: value.to_string().into(), ttl: None }
}

fn delete(key: &str) -> Edit {
    Edit::Delete { key: Key::parse(key).unwrap() }
}

fn edits(edits: impl IntoIterator<Item = Edit>) -> Transaction {
    Transaction { edits: edits.into_iter().collect(), by: Some("ann".into()), ..Transaction::default() }
}

fn upstream() -> Value {
    json!({"nodes": [{"service": "hello", "weight": 1}]})
}

fn route(uri: &str) -> Value {
    json!({"uri": uri, "upstream_id": "u"})
}

/// A gateway that follows a mirror.
struct Following {
    gateway: Gateway,
    task: JoinHandle<()>,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Following {
    fn of(mirror: &Mirror) -> Self {
        let hello =
            tower::service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::from("hello"))) });
        let gateway = Gateway::builder().endpoint("hello", hello).build().unwrap();
        let (followed, source) = (gateway.clone(), mirror.source());
        let task = tokio::spawn(async move { followed.follow(source, |_| {}).await.unwrap() });
        Self { gateway, task }
    }

    async fn status(&self, path: &str) -> u16 {
        let request = Request::builder().uri(path).header("host", "a.test").body(Body::empty()).unwrap();
        self.gateway.clone().oneshot(request).await.unwrap().status().as_u16()
    }
}

/// Makes a change and waits until the gateway serves it.
async fn write(mirror: &Mirror, transaction: Transaction) -> u64 {
    let revision = mirror.commit(transaction).await.unwrap().revision;
    assert!(mirror.applied(revision, PATIENCE).await, "revision {revision} is not applied");
    revision
}

#[tokio::test]
async fn a_change_is_in_force_once_the_mirror_says_so() {
    let mirror = Mirror::start(Arc::new(MemoryStore::new()), MirrorOptions::default());
    assert!(!mirror.applied(0, PATIENCE).await, "nobody follows it");
    let following = Following::of(&mirror);
    write(&mirror, edits([put("upstreams/u", &upstream()), put("routes/1", &route("/a"))])).await;
    for round in 0..100 {
        let path = format!("/{round}");
        write(&mirror, edits([put("routes/1", &route(&path))])).await;
        assert_eq!(following.status(&path).await, 200, "{path}");
    }
    write(&mirror, edits([delete("routes/1")])).await;
    assert_eq!(following.status("/99").await, 404);
    let history = mirror.history().list(2, None);
    assert_eq!((history[0].by.as_deref(), history[0].edits.len()), (Some("ann"), 1));
}

#[tokio::test(start_paused = true)]
async fn a_change_is_kept_back_for_a_moment_for_what_it_refers_to() {
    let store = MemoryStore::new();
    let mirror = Mirror::start(Arc::new(store.clone()), MirrorOptions::default());
    let following = Following::of(&mirror);
    mirror.loaded().await;
    let begun = tokio::time::Instant::now();
    store.commit(edits([put("routes/1", &route("/a"))])).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert_eq!(following.status("/a").await, 404, "not before its upstream");
    store.commit(edits([put("upstreams/u", &upstream())])).await.unwrap();
    mirror.reached(2).await;
    assert!(mirror.applied(2, PATIENCE).await);
    assert_eq!((following.status("/a").await, mirror.status().snapshots), (200, 1));
    store.commit(edits([put("routes/2", &json!({"uri": "/b", "upstream_id": "nobody"}))])).await.unwrap();
    mirror.reached(3).await;
    assert!(begun.elapsed() < Duration::from_millis(300), "it is not waited for without end");
    assert!(mirror.applied(3, PATIENCE).await);
    assert_eq!(following.status("/b").await, 502);
}

#[tokio::test]
async fn garbage_is_reported_and_the_rest_lives() {
    let store = MemoryStore::new();
    let mirror = Mirror::start(Arc::new(store.clone()), MirrorOptions::default());
    let following = Following::of(&mirror);
    write(&mirror, edits([put("upstreams/u", &upstream()), put("routes/1", &route("/a"))])).await;
    let garbage = Edit::Put { key: Key::parse("routes/1").unwrap(), value: "\0{".into(), ttl: None };
    write(&mirror, edits([garbage, put("routes/2", &json!({"uri": "/b", "plugins": {"no-such": {}}}))])).await;
    assert_eq!(following.status("/a").await, 200, "its predecessor serves");
    assert_eq!(following.status("/b").await, 503, "it fails closed");
    let status = following.gateway.status();
    let faulty = |list: &[tollgate::gateway::Faulty]| -> Vec<_> {
        list.iter().map(|item| (item.kind, item.id.clone().unwrap().as_str().to_owned())).collect()
    };
    assert_eq!(faulty(&status.kept), [(Kind::Route, "1".to_owned())]);
    assert_eq!(faulty(&status.left_out), [(Kind::Route, "2".to_owned())]);
    assert_eq!(mirror.status().rejected, 1, "the mirror knows no plugins");
    write(&mirror, edits([put("routes/3", &route("/c"))])).await;
    assert_eq!((following.status("/a").await, following.status("/c").await), (200, 200));
    write(&mirror, edits([delete("routes/1"), put("routes/2", &route("/b"))])).await;
    assert_eq!((following.status("/a").await, following.status("/b").await), (404, 200));
    assert_eq!(following.gateway.status().kept.len(), 0);
}

#[tokio::test]
async fn sec_cfg_02_a_faulty_route_keeps_its_place_among_others() {
    let store = MemoryStore::new();
    let mirror = Mirror::start(Arc::new(store.clone()), MirrorOptions::default());
    let following = Following::of(&mirror);
    let guarded = json!({"uri": "/x", "plugins": {"mocking": {"response_status": 401, "response_example": "no"}}});
    let open = json!({"uri": "/x", "upstream_id": "u"});
    write(&mirror, edits([put("upstreams/u", &upstream()), put("routes/a", &guarded), put("routes/b", &open)])).await;
    assert_eq!(following.status("/x").await, 401, "of equals the first one wins");
    let broken = json!({"uri": "/x", "plugins": {"mocking": 7}});
    write(&mirror, edits([put("routes/a", &broken)])).await;
    assert_eq!(following.status("/x").await, 401, "the version before stands where it stood");
    write(&mirror, edits([delete("routes/a")])).await;
    assert_eq!(following.status("/x").await, 200);
    write(&mirror, edits([put("routes/a", &broken)])).await;
    assert_eq!(following.status("/x").await, 503, "left out, it fails closed in its place");
}

#[tokio::test(start_paused = true)]
async fn a_resync_that_finds_nothing_new_changes_nothing() {
    let store = MemoryStore::new();
    let gone = Scripted::new([Step::Load(&store), Step::Ended, Step::Load(&store), Step::Watch(&store)]);
    store.commit(edits([put("upstreams/u", &upstream()), put("routes/1", &route("/a"))])).await.unwrap();
    let mirror = Mirror::start(Arc::new(gone), MirrorOptions::default());
    let following = Following::of(&mirror);
    while mirror.status().unchanged_loads == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    store.commit(edits([put("routes/1", &route("/b"))])).await.unwrap();
    mirror.reached(2).await;
    let (status, revision) = (mirror.status(), following.gateway.status().revision);
    assert!(mirror.applied(2, PATIENCE).await);
    assert_eq!((status.loads, status.unchanged_loads), (2, 1), "{status:?}");
    write(&mirror, edits([put("routes/1", &route("/c"))])).await;
    assert_eq!(following.status("/c").await, 200);
    assert!(following.gateway.status().revision <= revision + 2, "one for each change");
}

#[tokio::test(start_paused = true)]
async fn sec_cfg_03_an_empty_read_is_held_back_until_it_is_confirmed() {
    let (full, empty) = (MemoryStore::new(), MemoryStore::new());
    full.commit(edits([put("upstreams/u", &upstream()), put("routes/1", &route("/a"))])).await.unwrap();
    for confirms in [false, true] {
        let steps = [Step::Load(&full), Step::Ended, Step::Load(&empty), Step::Load(&empty), Step::Load(&empty)];
        let store = Scripted::new(steps.into_iter().chain([Step::Watch(&empty)]));
        let mirror = Mirror::start(Arc::new(store), MirrorOptions::default());
        let following = Following::of(&mirror);
        mirror.reached(1).await;
        assert!(mirror.applied(1, PATIENCE).await);
        let begun = tokio::time::Instant::now();
        while !mirror.status().holds_empty {
            tokio::task::yield_now().await;
        }
        assert_eq!(following.status("/a").await, 200);
        assert!(mirror.status().last_error.unwrap().contains("held back"));
        if confirms {
            mirror.confirm();
        }
        while mirror.status().holds_empty {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(begun.elapsed() < Duration::from_secs(5), confirms, "{:?}", begun.elapsed());
        while following.status("/a").await != 404 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_leaves_things_as_they_are() {
    let store = MemoryStore::new();
    store.commit(edits([put("upstreams/u", &upstream()), put("routes/1", &route("/a"))])).await.unwrap();
    let steps = [Step::Away, Step::Load(&store), Step::Ended, Step::Away, Step::Load(&store), Step::Watch(&store)];
    let mirror = Mirror::start(Arc::new(Scripted::new(steps)), MirrorOptions::default());
    let following = Following::of(&mirror);
    assert_eq!(mirror.view().revision(), 0);
    mirror.loaded().await;
    while mirror.status().last_error.is_none() {
        tokio::task::yield_now().await;
    }
    assert!(mirror.status().stale_since.is_some());
    assert!(mirror.applied(1, PATIENCE).await);
    assert_eq!(following.status("/a").await, 200);
    while mirror.status().stale_since.is_some() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!((mirror.status().last_error, following.status("/a").await), (None, 200));
}

#[tokio::test]
async fn what_was_can_be_restored() {
    let mirror = Mirror::start(Arc::new(MemoryStore::new()), MirrorOptions::default());
    let _following = Following::of(&mirror);
    let first = write(&mirror, edits([put("routes/1", &json!({"uri": "/a", "plugins": {}}))])).await;
    let second =
        write(&mirror, edits([delete("routes/1"), put("routes/2", &json!({"uri": "/b", "plugins": {}}))])).await;
    let keys = |revision| -> Vec<String> {
        mirror.history().state_at(revision).unwrap().iter().map(|(key, _)| key.to_string()).collect()
    };
    assert_eq!((keys(first), keys(second)), (vec!["routes/1".to_owned()], vec!["routes/2".to_owned()]));
    assert_eq!(mirror.history().diff(first, second).unwrap().len(), 2);
    let stale = Guard::Modified { key: Key::parse("routes/2").unwrap(), at: first };
    let refused = mirror.commit(Transaction { guards: vec![stale], ..edits([delete("routes/2")]) }).await;
    assert!(matches!(refused, Err(StoreError::Conflict)));
}

#[tokio::test]
async fn sec_cfg_04_a_start_without_the_store_serves_the_last_good_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let copy = LocalCopy::new(folder.path().join("last-good"), None);
    serves_the_last_good_configuration(copy, MirrorOptions::default).await;
}

#[cfg(feature = "keyring")]
#[tokio::test]
async fn a_local_copy_of_encrypted_items_is_the_same_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = Keyring::new(["0123456789abcdef"]).unwrap();
    let fields = tollgate::plugin::SecretFields::from(&Gateway::builder().build().unwrap().registry());
    let sealing = Sealing::new(Some(keyring.clone()), fields);
    let copy = LocalCopy::new(folder.path().join("last-good"), Some(keyring));
    serves_the_last_good_configuration(copy, || MirrorOptions::default().with_sealing(sealing.clone())).await;
}

async fn serves_the_last_good_configuration(copy: LocalCopy, options: impl Fn() -> MirrorOptions) {
    let options = || options().with_copy(copy.clone());
    let store = MemoryStore::new();
    let first = Mirror::start(Arc::new(store.clone()), options());
    let _following = Following::of(&first);
    let consumer = json!({"username": "ann", "plugins": {"key-auth": {"key": "canary"}}});
    let items = [put("upstreams/u", &upstream()), put("routes/1", &route("/a")), put("consumers/ann", &consumer)];
    write(&first, edits(items)).await;
    while copy.load().unwrap().is_none_or(|copied| copied.loaded.revision < 1) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(first);

    let mut away = Scripted::new([Step::Away, Step::Load(&store), Step::Watch(&store)]);
    let other = Mirror::start(Arc::new(Scripted::new([Step::Away])), options());
    away.place = "memory";
    let mut options = options();
    options.resync_delay = Duration::from_secs(2);
    let mirror = Mirror::start(Arc::new(away), options);
    let following = Following::of(&mirror);
    mirror.loaded().await;
    assert!(mirror.applied(1, PATIENCE).await);
    assert_eq!(following.status("/a").await, 200);
    let status = mirror.status();
    assert!(status.is_from_copy && status.stale_since.is_some(), "{status:?}");
    assert_eq!(mirror.history().list(9, None).len(), 1, "what was is remembered, too");
    while mirror.status().is_from_copy {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(following.gateway.status().revision, 2, "what is the same is not applied again");
    assert_eq!(mirror.history().list(9, None).len(), 1, "and is no change");
    while other.status().copy_error.is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(other.status().copy_error.unwrap().contains("is of memory, not of scripted"));
}

#[cfg(feature = "keyring")]
#[tokio::test]
async fn secrets_are_encrypted_in_the_store_and_nowhere_else() {
    let keyring = Keyring::new(["0123456789abcdef"]).unwrap();
    let gateway = Gateway::builder().build().unwrap();
    let sealing = Sealing::new(Some(keyring), tollgate::plugin::SecretFields::from(&gateway.registry()));
    let store = MemoryStore::new();
    let mirror = Mirror::start(Arc::new(store.clone()), MirrorOptions::default().with_sealing(sealing));
    let _following = Following::of(&mirror);
    let consumer = json!({"username": "ann", "plugins": {"key-auth": {"key": "canary-secret"}}});
    write(&mirror, edits([put("consumers/ann", &consumer)])).await;
    let text = |entry: &tollgate::store::Entry| String::from_utf8(entry.value.to_vec()).unwrap();
    let stored = text(&store.load().await.unwrap().entries[0].1);
    assert!(!stored.contains("canary-secret"), "{stored}");
    assert!(text(mirror.view().get("consumers/ann").unwrap()).contains("canary-secret"));
    let change = mirror.history().list(1, None).remove(0);
    assert!(text(change.edits[0].after.as_ref().unwrap()).contains("canary-secret"));

    // A process without the keys leaves the item out, and says why; so does one that doesn't know the plugin's secrets.
    let blind = Mirror::start(Arc::new(store.clone()), MirrorOptions::default());
    blind.loaded().await;
    let rejected = blind.view().snapshot().rejected.clone();
    assert!(rejected[0].findings[0].message.contains("an encrypted field"), "{rejected:?}");
    let sealing = Sealing::new(None, tollgate::plugin::SecretFields::from(&gateway.registry()));
    let blind = Mirror::start(Arc::new(store.clone()), MirrorOptions::default().with_sealing(sealing));
    blind.loaded().await;
    let rejected = blind.view().snapshot().rejected.clone();
    assert!(rejected[0].findings[0].message.contains("tollgate.keyring"), "{rejected:?}");
}

/// A store that fails, lags and forgets at random, and says so as stores do.
struct Flaky {
    store: MemoryStore,
    random: Mutex<u64>,
}

impl Flaky {
    /// Below `bound`, another one each time: xorshift.
    fn random(&self, bound: u64) -> u64 {
        let mut state = self.random.lock().unwrap();
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state % bound
    }

    fn away(&self) -> StoreError {
        StoreError::Unavailable { place: self.place(), message: "is away".to_owned() }
    }
}

/// A handle, so that the test shares the store with the mirror.
struct Shared(Arc<Flaky>);

impl Store for Shared {
    fn place(&self) -> Arc<str> {
        self.0.place()
    }

    fn load(&self) -> StoreFuture<'_, Loaded> {
        self.0.load()
    }

    fn watch(&self, from: u64) -> NewsStream {
        let flaky = Arc::clone(&self.0);
        let news = flaky.store.watch(from);
        Box::pin(futures_util::StreamExt::flat_map(news, move |news| {
            let delay = Duration::from_millis(flaky.random(20));
            let mut told = match flaky.random(12) {
                0 => vec![Err(flaky.away()), news],
                1 => vec![Ok(News::Compacted)],
                2 => vec![news, Ok(News::Compacted)],
                _ => vec![news],
            };
            told.reverse();
            Box::pin(futures_util::stream::unfold(told, move |mut told| async move {
                tokio::time::sleep(delay).await;
                told.pop().map(|next| (next, told))
            }))
        }))
    }

    fn commit(&self, transaction: Transaction) -> StoreFuture<'_, Committed> {
        self.0.commit(transaction)
    }
}

impl Store for Flaky {
    fn place(&self) -> Arc<str> {
        "flaky".into()
    }

    fn load(&self) -> StoreFuture<'_, Loaded> {
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(self.random(50))).await;
            match self.random(4) {
                0 => Err(self.away()),
                _ => self.store.load().await,
            }
        })
    }

    fn watch(&self, from: u64) -> NewsStream {
        self.store.watch(from)
    }

    fn commit(&self, transaction: Transaction) -> StoreFuture<'_, Committed> {
        self.store.commit(transaction)
    }
}

/// The uris of all routes, which tell a state: each is written with the revision that it is to have.
fn state_of(snapshot: &tollgate::model::Snapshot) -> Vec<String> {
    snapshot.routes.iter().map(|route| format!("{} {}", route.id, route.uri.as_deref().unwrap_or_default())).collect()
}

#[tokio::test(start_paused = true)]
async fn sec_cfg_03_what_serves_is_always_a_state_that_existed_in_order() {
    let mut applied = 0;
    for seed in 1..=60_u64 {
        let flaky =
            Arc::new(Flaky { store: MemoryStore::new(), random: Mutex::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)) });
        let mut options = MirrorOptions::default();
        options.resync_delay = Duration::from_millis(100);
        let mirror = Mirror::start(Arc::new(Shared(Arc::clone(&flaky))), options);
        let following = Following::of(&mirror);
        // Every state that there was, by revision.
        let mut states: Vec<Vec<String>> = vec![Vec::new()];
        let mut routes = std::collections::BTreeMap::<String, String>::new();
        let mut served = 0;
        for step in 1..=60_u64 {
            let mut transaction = Vec::new();
            for _ in 0..=flaky.random(3) {
                let id = flaky.random(8).to_string();
                let key = format!("routes/{id}");
                if transaction.iter().any(|edit: &Edit| edit.key().as_str() == key) {
                    continue;
                }
                if flaky.random(4) == 0 && routes.remove(&id).is_some() {
                    transaction.push(delete(&key));
                } else {
                    let uri = format!("/{step}/{id}");
                    transaction.push(put(&key, &json!({"uri": uri, "plugins": {}})));
                    routes.insert(id, uri);
                }
            }
            let revision = flaky.store.commit(edits(transaction)).await.unwrap().revision;
            assert_eq!(revision, states.len() as u64);
            states.push(routes.iter().map(|(id, uri)| format!("{id} {uri}")).collect());
            if flaky.random(10) == 0 {
                flaky.store.forget(flaky.random(3) as usize);
            }
            tokio::time::sleep(Duration::from_millis(flaky.random(40))).await;
            // The view and what the gateway serves are states that existed, and never older ones than before.
            let view = mirror.view();
            assert_eq!(state_of(view.snapshot()), states[view.revision() as usize], "seed {seed}, step {step}");
            let now = state_of(&following.gateway.snapshot());
            let at = (served..states.len()).find(|at| states[*at] == now);
            served = at.unwrap_or_else(|| panic!("seed {seed}, step {step}: {now:?} was never, or before {served}"));
        }
        let last = states.len() as u64 - 1;
        mirror.reached(last).await;
        assert!(mirror.applied(last, PATIENCE).await, "seed {seed}");
        assert_eq!(state_of(&following.gateway.snapshot()), states[last as usize], "seed {seed}: nothing is lost");
        applied += following.gateway.status().revision;
    }
    assert!(applied > 500, "only {applied} states served");
}

/// What a [`Scripted`] store does when it is asked next.
enum Step<'s> {
    /// Gives all that this store has.
    Load(&'s MemoryStore),
    /// Cannot be reached.
    Away,
    /// The watch ends at once: what happened since is no longer known.
    Ended,
    /// The watch is this store's.
    Watch(&'s MemoryStore),
}

/// A store with a script for loads and watches; changes are made in the last store that it names.
struct Scripted {
    loads: Mutex<VecDeque<Option<MemoryStore>>>,
    watches: Mutex<VecDeque<Option<MemoryStore>>>,
    last: MemoryStore,
    place: &'static str,
}

impl Scripted {
    fn new<'s>(steps: impl IntoIterator<Item = Step<'s>>) -> Self {
        let (mut loads, mut watches, mut last) = (VecDeque::new(), VecDeque::new(), MemoryStore::new());
        for step in steps {
            match step {
                Step::Load(store) => loads.push_back(Some(store.clone())),
                Step::Away => loads.push_back(None),
                Step::Ended => watches.push_back(None),
                Step::Watch(store) => {
                    last = store.clone();
                    watches.push_back(Some(store.clone()));
                }
            }
        }
        Self { loads: Mutex::new(loads), watches: Mutex::new(watches), last, place: "scripted" }
    }
}

impl Store for Scripted {
    fn place(&self) -> Arc<str> {
        self.place.into()
    }

    fn load(&self) -> StoreFuture<'_, Loaded> {
        let next = self.loads.lock().unwrap().pop_front();
        Box::pin(async move {
            match next {
                Some(Some(store)) => store.load().await,
                Some(None) => Err(StoreError::Unavailable { place: self.place(), message: "is away".to_owned() }),
                None => std::future::pending().await,
            }
        })
    }

    fn watch(&self, from: u64) -> NewsStream {
        match self.watches.lock().unwrap().pop_front() {
            Some(Some(store)) => store.watch(from),
            Some(None) => Box::pin(futures_util::stream::iter([Ok(News::Compacted)])),
            None => Box::pin(futures_util::stream::pending()),
        }
    }

    fn commit(&self, transaction: Transaction) -> StoreFuture<'_, Committed> {
        let store = self.last.clone();
        Box::pin(async move { store.commit(transaction).await })
    }

    fn changes(&self) -> Vec<Arc<Change>> {
        Vec::new()
    }
}
