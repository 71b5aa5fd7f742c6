//! What every store does, whatever it is: each function takes a store of its own, empty or not, and leaves items behind.
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use tollgate::store::{
    Batch, Committed, Edit, Entry, Event, Guard, Key, Loaded, News, NewsStream, Store, StoreError, Transaction,
};

/// How long anything may take before a test gives up; no test waits that long.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn key(text: &str) -> Key {
    Key::parse(text).unwrap_or_else(|| panic!("{text} is no key"))
}

pub(crate) fn put(text: &str, value: impl Into<Bytes>) -> Edit {
    Edit::Put { key: key(text), value: value.into(), ttl: None }
}

pub(crate) fn put_for(text: &str, value: impl Into<Bytes>, ttl: Duration) -> Edit {
    Edit::Put { key: key(text), value: value.into(), ttl: Some(ttl) }
}

pub(crate) fn delete(text: &str) -> Edit {
    Edit::Delete { key: key(text) }
}

pub(crate) fn modified(text: &str, at: u64) -> Guard {
    Guard::Modified { key: key(text), at }
}

pub(crate) fn unchanged(prefix: &str, since: u64) -> Guard {
    Guard::Unchanged { prefix: prefix.to_owned(), since }
}

/// Commits what has to succeed.
pub(crate) async fn commit(store: &Arc<dyn Store>, edits: impl IntoIterator<Item = Edit>) -> u64 {
    let transaction = Transaction { edits: edits.into_iter().collect(), ..Transaction::default() };
    store.commit(transaction).await.unwrap().revision
}

pub(crate) async fn guarded(
    store: &Arc<dyn Store>,
    guards: impl IntoIterator<Item = Guard>,
    edits: impl IntoIterator<Item = Edit>,
) -> Result<Committed, StoreError> {
    let (guards, edits) = (guards.into_iter().collect(), edits.into_iter().collect());
    store.commit(Transaction { guards, edits, by: None }).await
}

pub(crate) async fn load(store: &Arc<dyn Store>) -> Loaded {
    store.load().await.unwrap()
}

pub(crate) async fn get(store: &Arc<dyn Store>, text: &str) -> Option<Entry> {
    load(store).await.entries.into_iter().find(|(key, _)| key.as_str() == text).map(|(_, entry)| entry)
}

/// The next news but progress; `None` when the watch has ended.
pub(crate) async fn news(watch: &mut NewsStream) -> Option<News> {
    loop {
        let next = tokio::time::timeout(PATIENCE, poll_fn(|cx| watch.as_mut().poll_next(cx)));
        match next.await.expect("no news") {
            Some(Ok(News::Progress(_))) => {}
            Some(Err(error)) => panic!("{error}"),
            other => return other.map(Result::unwrap),
        }
    }
}

pub(crate) async fn batch(watch: &mut NewsStream) -> Batch {
    match news(watch).await {
        Some(News::Batch(batch)) => batch,
        other => panic!("{other:?} instead of a batch"),
    }
}

type State = BTreeMap<Key, Entry>;

/// Applies what a watch told.
pub(crate) fn apply(state: &mut State, events: &[Event]) {
    for event in events {
        match &event.entry {
            Some(entry) => drop(state.insert(event.key.clone(), entry.clone())),
            None => drop(state.remove(&event.key)),
        }
    }
}

/// Follows a watch until it has told `revision`.
pub(crate) async fn follow(mut state: State, watch: &mut NewsStream, revision: u64) -> State {
    let mut at = 0;
    while at < revision {
        let batch = batch(watch).await;
        assert!(batch.revision > at, "{} behind {at}", batch.revision);
        at = batch.revision;
        apply(&mut state, &batch.events);
    }
    state
}

pub(crate) async fn items_are_made_changed_and_removed(store: Arc<dyn Store>) {
    let first = commit(&store, [put("routes/1", "one")]).await;
    assert_eq!(get(&store, "routes/1").await, Some(Entry { value: "one".into(), created: first, modified: first }));
    let second = commit(&store, [put("routes/1", "two")]).await;
    assert!(second > first);
    assert_eq!(get(&store, "routes/1").await, Some(Entry { value: "two".into(), created: first, modified: second }));
    // the same text again is a change as well
    let third = commit(&store, [put("routes/1", "two")]).await;
    assert_eq!(get(&store, "routes/1").await.unwrap().modified, third);
    let gone = commit(&store, [delete("routes/1")]).await;
    assert!(gone > third);
    assert_eq!(get(&store, "routes/1").await, None);
    let again = commit(&store, [put("routes/1", "anew")]).await;
    assert_eq!(get(&store, "routes/1").await.unwrap().created, again);
    assert_eq!(load(&store).await.revision, again);
}

pub(crate) async fn what_is_not_there_is_deleted_without_a_revision(store: Arc<dyn Store>) {
    let before = commit(&store, [put("routes/1", "one")]).await;
    assert_eq!(commit(&store, [delete("routes/2"), delete("routes/3")]).await, before);
    assert_eq!(load(&store).await.revision, before);
    assert_eq!(guarded(&store, [Guard::Exists(key("routes/1"))], []).await.unwrap().revision, before);
    let both = commit(&store, [delete("routes/2"), delete("routes/1")]).await;
    assert!(both > before);
}

pub(crate) async fn items_are_loaded_in_order_of_their_keys(store: Arc<dyn Store>) {
    let keys = ["services/b", "plugins", "consumers/jack/credentials/one", "routes/10", "consumers/jack", "routes/9"];
    commit(&store, keys.map(|key| put(key, key))).await;
    let loaded = load(&store).await;
    let found: Vec<_> = loaded.entries.iter().map(|(key, _)| key.as_str()).collect();
    let mut expected = keys.to_vec();
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert!(loaded.entries.iter().all(|(key, entry)| entry.value == key.as_str()));
}

pub(crate) async fn guards_are_kept(store: Arc<dyn Store>) {
    let one = commit(&store, [put("routes/1", "one")]).await;
    let two = commit(&store, [put("routes/2", "two"), put("consumers/jack", "jack")]).await;
    let holds = [
        modified("routes/1", one),
        modified("routes/2", two),
        modified("routes/3", 0),
        Guard::Exists(key("routes/1")),
        unchanged("routes/", two),
        unchanged("services/", 0),
        unchanged("consumers/jack/credentials/", 0),
        unchanged("routes/1", one),
        unchanged("", two),
    ];
    let fails = [
        modified("routes/1", two),
        modified("routes/1", 0),
        modified("routes/3", one),
        Guard::Exists(key("routes/3")),
        unchanged("routes/", one),
        unchanged("routes/", 0),
        unchanged("consumers/jack", one),
        unchanged("", one),
    ];
    for guard in &holds {
        let done = guarded(&store, [guard.clone()], []).await;
        assert_eq!(done.unwrap().revision, two, "{guard:?}");
    }
    assert_eq!(guarded(&store, holds.clone(), []).await.unwrap().revision, two);
    for guard in fails {
        for guards in [vec![guard.clone()], [&holds[..], std::slice::from_ref(&guard)].concat()] {
            let done = guarded(&store, guards, [put("routes/3", "three"), delete("routes/1")]).await;
            assert!(matches!(done, Err(StoreError::Conflict)), "{guard:?}: {done:?}");
        }
    }
    let loaded = load(&store).await;
    assert_eq!((loaded.revision, loaded.entries.len()), (two, 3), "nothing was changed");
}

pub(crate) async fn removals_do_not_count_as_changes_below_a_prefix(store: Arc<dyn Store>) {
    let begin = commit(&store, [put("routes/1", "one"), put("routes/2", "two")]).await;
    commit(&store, [delete("routes/1")]).await;
    guarded(&store, [unchanged("routes/", begin)], []).await.unwrap();
    // made and removed since: there is nothing that was changed
    commit(&store, [put("routes/3", "three")]).await;
    assert!(matches!(guarded(&store, [unchanged("routes/", begin)], []).await, Err(StoreError::Conflict)));
    commit(&store, [delete("routes/3")]).await;
    guarded(&store, [unchanged("routes/", begin)], []).await.unwrap();
}

pub(crate) async fn transactions_are_all_or_nothing(store: Arc<dyn Store>) {
    let begin = load(&store).await.revision;
    let mut watch = store.watch(begin + 1);
    commit(&store, [put("routes/1", "one"), put("routes/2", "two")]).await;
    let done = guarded(&store, [modified("routes/9", 7)], [put("routes/3", "x"), delete("routes/1")]).await;
    assert!(matches!(done, Err(StoreError::Conflict)));
    let last = commit(&store, [delete("routes/1"), put("routes/2", "three"), put("services/1", "four")]).await;
    let first = batch(&mut watch).await;
    assert_eq!(first.events.len(), 2);
    assert!(first.events.iter().all(|event| event.entry.as_ref().unwrap().modified == first.revision));
    let mut second = batch(&mut watch).await;
    assert_eq!(second.revision, last);
    second.events.sort_by(|a, b| a.key.cmp(&b.key));
    let gist: Vec<_> = second
        .events
        .iter()
        .map(|event| (event.key.as_str(), event.entry.as_ref().map(|entry| entry.value.clone())))
        .collect();
    assert_eq!(gist, [("routes/1", None), ("routes/2", Some("three".into())), ("services/1", Some("four".into()))]);
}

pub(crate) async fn a_key_cannot_stand_twice(store: Arc<dyn Store>) {
    let begin = load(&store).await.revision;
    let done = guarded(&store, [], [put("routes/1", "one"), delete("routes/1")]).await;
    assert!(matches!(done, Err(StoreError::Refused { .. })), "{done:?}");
    assert_eq!(load(&store).await.revision, begin);
}

pub(crate) async fn a_watch_resumes_where_it_is_told_to(store: Arc<dyn Store>) {
    let begin = load(&store).await.revision;
    let mut revisions = Vec::new();
    for round in 0..5 {
        revisions.push(commit(&store, [put("routes/1", format!("{round}"))]).await);
    }
    for (start, from) in [(0, begin + 1), (2, revisions[2]), (3, revisions[2] + 1), (5, revisions[4] + 1)] {
        let mut watch = store.watch(from);
        for revision in &revisions[start..] {
            assert_eq!(batch(&mut watch).await.revision, *revision, "from {from}");
        }
    }
    // nothing is missed while nobody polls
    let mut watch = store.watch(revisions[4] + 1);
    let later = [commit(&store, [delete("routes/1")]).await, commit(&store, [put("routes/1", "x")]).await];
    assert_eq!([batch(&mut watch).await.revision, batch(&mut watch).await.revision], later);
    // whoever waits is woken
    let waiting = tokio::spawn(async move { batch(&mut watch).await.revision });
    tokio::task::yield_now().await;
    let woken = commit(&store, [put("routes/2", "y")]).await;
    assert_eq!(waiting.await.unwrap(), woken);
}

/// `forget` makes the store forget what is older than the revision that it is given; it may make changes of its own.
pub(crate) async fn a_watch_of_what_is_forgotten_is_told_so<F: Future<Output = ()>>(
    store: Arc<dyn Store>,
    forget: impl FnOnce(u64) -> F,
) {
    let begin = load(&store).await.revision;
    for round in 0..5 {
        commit(&store, [put("routes/1", format!("{round}"))]).await;
    }
    let last = commit(&store, [put("routes/2", "last")]).await;
    forget(last).await;
    let mut behind = store.watch(begin + 1);
    assert!(matches!(news(&mut behind).await, Some(News::Compacted)));
    assert!(news(&mut behind).await.is_none(), "nothing follows");
    let mut on_time = store.watch(load(&store).await.revision + 1);
    let next = commit(&store, [put("routes/3", "next")]).await;
    assert_eq!(batch(&mut on_time).await.revision, next);
}

pub(crate) async fn a_watch_from_the_future_means_another_store(store: Arc<dyn Store>) {
    let now = commit(&store, [put("routes/1", "one")]).await;
    let mut watch = store.watch(now + 1000);
    // a store that is asked over a network may need a change to notice it
    commit(&store, [put("routes/1", "two")]).await;
    assert!(matches!(news(&mut watch).await, Some(News::Compacted)));
}

pub(crate) async fn eight_writers_lose_nothing(store: Arc<dyn Store>) {
    const WRITERS: u64 = 8;
    const EACH: u64 = 40;
    let begin = commit(&store, [put("services/counter", "0")]).await;
    let loaded = load(&store).await;
    let mut watch = store.watch(begin + 1);
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut done = Vec::new();
                while (done.len() as u64) < EACH {
                    let counter = get(&store, "services/counter").await.unwrap();
                    let count: u64 = std::str::from_utf8(&counter.value).unwrap().parse().unwrap();
                    let own = format!("routes/{writer}-{}", done.len());
                    let edits = [put("services/counter", format!("{}", count + 1)), put(&own, format!("{count}"))];
                    match guarded(&store, [modified("services/counter", counter.modified)], edits).await {
                        Ok(committed) => done.push(committed.revision),
                        Err(StoreError::Conflict) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                done
            })
        })
        .collect();
    let mut told = Vec::new();
    let mut state: State = loaded.entries.into_iter().collect();
    while (told.len() as u64) < WRITERS * EACH {
        let batch = batch(&mut watch).await;
        assert_eq!(batch.events.len(), 2, "the events of a transaction stay together");
        told.push(batch.revision);
        apply(&mut state, &batch.events);
    }
    assert!(told.is_sorted_by(|a, b| a < b), "in order, none twice");
    let mut answered = Vec::new();
    for writer in writers {
        let done = writer.await.unwrap();
        assert!(done.is_sorted_by(|a, b| a < b));
        answered.extend(done);
    }
    answered.sort_unstable();
    assert_eq!(answered, told);
    assert_eq!(get(&store, "services/counter").await.unwrap().value, format!("{}", WRITERS * EACH));
    assert_eq!(state.into_iter().collect::<Vec<_>>(), load(&store).await.entries);
}

pub(crate) async fn loads_and_watches_fit_together_under_writes(store: Arc<dyn Store>) {
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (store, stop) = (store.clone(), stop.clone());
        tokio::spawn(async move {
            let mut round = 0_u64;
            loop {
                let item = format!("routes/{}", round % 7);
                let edit = if round % 3 == 2 { delete(&item) } else { put(&item, format!("{round}")) };
                let revision = commit(&store, [edit, put("services/round", format!("{round}"))]).await;
                if stop.load(SeqCst) {
                    return revision;
                }
                round += 1;
                tokio::task::yield_now().await;
            }
        })
    };
    let mut loads = Vec::new();
    for _ in 0..20 {
        let loaded = load(&store).await;
        let watch = store.watch(loaded.revision + 1);
        loads.push((loaded, watch));
        tokio::task::yield_now().await;
    }
    stop.store(true, SeqCst);
    let last = writer.await.unwrap();
    let end: State = load(&store).await.entries.into_iter().collect();
    for (loaded, mut watch) in loads {
        let from = loaded.revision;
        let state = loaded.entries.into_iter().collect();
        let state = if from < last { follow(state, &mut watch, last).await } else { state };
        assert_eq!(state, end, "from {from}");
    }
}

/// `pass` lets so much time pass.
pub(crate) async fn items_run_out<F: Future<Output = ()>>(store: Arc<dyn Store>, pass: impl Fn(Duration) -> F) {
    let ttl = Duration::from_secs(1);
    let begin = load(&store).await.revision;
    let mut watch = store.watch(begin + 1);
    let edits = [put_for("routes/short", "s", ttl), put_for("routes/kept", "k", ttl), put("routes/stays", "x")];
    commit(&store, edits).await;
    assert_eq!(batch(&mut watch).await.events.len(), 3);
    // written again without a time it stays, and with one it begins anew
    commit(&store, [put("routes/kept", "for good"), put_for("routes/long", "l", ttl * 3600)]).await;
    batch(&mut watch).await;
    let gone = batch(&mut watch).await;
    assert_eq!(gone.events, [Event { key: key("routes/short"), entry: None }]);
    assert!(gone.revision > begin);
    let loaded = load(&store).await;
    assert_eq!(loaded.revision, gone.revision);
    let keys: Vec<_> = loaded.entries.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["routes/kept", "routes/long", "routes/stays"]);
    // nobody watches: whoever loads or writes does not see it either
    drop(watch);
    let again = commit(&store, [put_for("routes/short", "s", ttl)]).await;
    pass(ttl * 5).await;
    assert_eq!(get(&store, "routes/short").await, None);
    let guards = [modified("routes/short", again)];
    assert!(matches!(guarded(&store, guards, []).await, Err(StoreError::Conflict)));
    guarded(&store, [modified("routes/short", 0)], [put("routes/short", "new")]).await.unwrap();
}

pub(crate) async fn large_values_are_kept(store: Arc<dyn Store>) {
    let begin = load(&store).await.revision;
    let mut watch = store.watch(begin + 1);
    let large: Bytes = (0..3 << 19).map(|at: u32| at.to_le_bytes()[at as usize % 3]).collect::<Vec<_>>().into();
    assert_eq!(large.len(), 1_572_864);
    commit(&store, [put("protos/large", large.clone()), put("protos/empty", "")]).await;
    let events = batch(&mut watch).await.events;
    assert!(events.iter().any(|event| event.entry.as_ref().unwrap().value == large));
    assert_eq!(get(&store, "protos/large").await.unwrap().value, large);
    assert_eq!(get(&store, "protos/empty").await.unwrap().value, "");
}

pub(crate) async fn ten_thousand_items_are_loaded(store: Arc<dyn Store>) {
    let begin = load(&store).await.revision;
    let mut watch = store.watch(begin + 1);
    let item = |index: u32| put(&format!("routes/{index:05}"), format!("{{\"uri\":\"/{index}\"}}"));
    let mut last = 0;
    for block in 0..100 {
        last = commit(&store, (block * 100..block * 100 + 100).map(item)).await;
    }
    let loaded = load(&store).await;
    assert_eq!(loaded.revision, last);
    let routes: Vec<_> = loaded.entries.iter().filter(|(key, _)| key.as_str().starts_with("routes/")).collect();
    assert_eq!(routes.len(), 10_000);
    assert!(routes.is_sorted_by(|a, b| a.0 < b.0));
    assert_eq!(routes[1234].1.value, r#"{"uri":"/1234"}"#);
    let state = follow(State::new(), &mut watch, last).await;
    assert_eq!(state.len(), 10_000);
    // a guard below a folder of that size
    guarded(&store, [unchanged("routes/", last)], [delete("routes/00000")]).await.unwrap();
    assert!(matches!(guarded(&store, [unchanged("routes/", begin)], []).await, Err(StoreError::Conflict)));
}
