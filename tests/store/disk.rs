//! The store on disk: the behaviour of all stores, and what has to survive: ends of all kinds, and files of all kinds.
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tollgate::store::{DiskStore, HistoryBounds, Store, StoreError, Transaction};

use crate::behaviour::{self, commit, delete, get, key, load, news, put, put_for};

/// One test a behaviour, each with a store of its own.
macro_rules! behaves {
    ($($name:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let folder = tempfile::tempdir().unwrap();
            behaviour::$name(open(&folder.path().join("store"))).await;
        }
    )*};
}

behaves! {
    items_are_made_changed_and_removed
    what_is_not_there_is_deleted_without_a_revision
    items_are_loaded_in_order_of_their_keys
    guards_are_kept
    removals_do_not_count_as_changes_below_a_prefix
    transactions_are_all_or_nothing
    a_key_cannot_stand_twice
    a_watch_resumes_where_it_is_told_to
    a_watch_from_the_future_means_another_store
    eight_writers_lose_nothing
    large_values_are_kept
    ten_thousand_items_are_loaded
    loads_and_watches_fit_together_under_writes
}

pub(crate) fn open(path: &Path) -> Arc<dyn Store> {
    Arc::new(DiskStore::open(path).unwrap())
}

/// Why a store cannot be opened.
fn refusal(path: &Path) -> StoreError {
    DiskStore::open(path).expect_err("it was opened")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn items_run_out() {
    let folder = tempfile::tempdir().unwrap();
    // the wall's clock counts: whoever waits is woken by the store itself
    let store = open(&folder.path().join("store"));
    let pass = async |_| {
        let mut watch = store.watch(load(&store).await.revision + 1);
        if get(&store, "routes/short").await.is_some() {
            behaviour::batch(&mut watch).await;
        }
    };
    behaviour::items_run_out(store.clone(), pass).await;
}

#[tokio::test]
async fn a_watch_of_what_is_forgotten_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    // the least that is remembered is 16 MiB
    let bounds = HistoryBounds { changes: 1, bytes: 1 };
    let store: Arc<dyn Store> = Arc::new(DiskStore::open_with(folder.path().join("store"), bounds).unwrap());
    let other = store.clone();
    let forget = async |_| {
        commit(&other, [put("protos/large", vec![b'x'; 17 << 20])]).await;
    };
    behaviour::a_watch_of_what_is_forgotten_is_told_so(store, forget).await;
}

#[tokio::test]
async fn what_was_written_is_there_after_it_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = open(&path);
    let first = commit(&store, [put("routes/1", "one"), put("routes/2", "two"), put("routes/3", "")]).await;
    let transaction =
        Transaction { edits: vec![put("routes/1", "new"), delete("routes/2")], by: Some("me".into()), guards: vec![] };
    store.commit(transaction).await.unwrap();
    let last = commit(&store, [put_for("routes/4", "for now", Duration::from_secs(3600))]).await;
    let (before, changes) = (load(&store).await, store.changes());
    drop(store);
    let store = open(&path);
    let after = load(&store).await;
    assert_eq!((after.revision, after.entries), (last, before.entries));
    assert_eq!(changes.len(), 3);
    assert_eq!(changes[1].by.as_deref(), Some("me"));
    assert_eq!(changes[1].edits[0].before.as_ref().unwrap().modified, first);
    // times are kept in milliseconds
    let gist = |store: &Arc<dyn Store>| {
        store
            .changes()
            .iter()
            .map(|change| (change.revision, change.by.clone(), change.edits.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(gist(&store), changes.iter().map(|c| (c.revision, c.by.clone(), c.edits.clone())).collect::<Vec<_>>());
    // a watch goes on over the end of the process
    let mut watch = store.watch(first + 1);
    assert_eq!(behaviour::batch(&mut watch).await.events.len(), 2);
    assert_eq!(behaviour::batch(&mut watch).await.revision, last);
    assert!(commit(&store, [put("routes/5", "five")]).await > last);
}

#[tokio::test]
async fn what_ran_out_while_nobody_had_it_open_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = open(&path);
    let last = commit(&store, [put_for("routes/1", "one", Duration::from_millis(1)), put("routes/2", "two")]).await;
    drop(store);
    let store = open(&path);
    let mut watch = store.watch(last + 1);
    if get(&store, "routes/1").await.is_some() {
        let gone = behaviour::batch(&mut watch).await;
        assert_eq!(gone.events, [tollgate::store::Event { key: key("routes/1"), entry: None }]);
    }
    assert!(get(&store, "routes/1").await.is_none());
    assert!(get(&store, "routes/2").await.is_some());
}

#[tokio::test]
async fn watches_end_with_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = open(&path);
    let mut watch = store.watch(1);
    drop(store);
    assert!(news(&mut watch).await.is_none());
    // and nothing holds the file any more
    open(&path);
}

#[tokio::test]
async fn what_is_remembered_is_bounded_on_the_disk_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let bounds = HistoryBounds { changes: 1, bytes: 1 };
    let store: Arc<dyn Store> = Arc::new(DiskStore::open_with(&path, bounds).unwrap());
    let value = bytes::Bytes::from(vec![b'x'; 64 << 10]);
    let mut sizes = Vec::new();
    for round in 0..8 {
        for _ in 0..100 {
            commit(&store, [put(&format!("routes/{}", round % 3), value.clone())]).await;
        }
        sizes.push(fs::metadata(&path).unwrap().len());
    }
    // 16 MiB of changes, each with what was before and after
    let kept = store.changes().len();
    assert!((100..=256).contains(&kept), "{kept} changes");
    assert!(sizes[7] <= sizes[3], "the file does not grow: {sizes:?}");
    drop(store);
    let store = DiskStore::open_with(&path, bounds).unwrap();
    assert!(store.changes().len() <= kept);
    store.compact().await.unwrap();
    let store: Arc<dyn Store> = Arc::new(store);
    assert!(fs::metadata(&path).unwrap().len() <= sizes[7]);
    assert_eq!(load(&store).await.entries.len(), 3);
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    open(&path);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_second_opener_is_told_who_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = open(&path);
    let error = refusal(&path);
    assert!(matches!(&error, StoreError::Refused { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        format!(
            "disk {}: is in use by another process: stop that one, or give each a file of its own (many processes share an \
             etcd)",
            path.display()
        )
    );
    commit(&store, [put("routes/1", "the first goes on")]).await;
}

#[tokio::test]
async fn what_cannot_be_opened_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let error = refusal(&folder.path().join("missing/store"));
    assert!(error.to_string().ends_with("its folder does not exist: make it, or give another path"), "{error}");
    let error = refusal(folder.path());
    assert!(matches!(&error, StoreError::Refused { .. }) && error.to_string().contains("is a folder"), "{error}");
    let foreign: Vec<Vec<u8>> =
        vec![b"routes:\n  - id: 1\n".to_vec(), vec![0; 4096], vec![b'x'; 100_000], b"redb".to_vec(), b"x".to_vec()];
    for content in foreign {
        fs::write(&path, &content).unwrap();
        let error = refusal(&path);
        assert!(matches!(&error, StoreError::Corrupt { .. }), "{error:?}");
        assert_eq!(fs::read(&path).unwrap(), content, "{error}");
    }
    // a database of something else
    fs::remove_file(&path).unwrap();
    let other = redb::Database::create(&path).unwrap();
    let transaction = other.begin_write().unwrap();
    transaction.open_table(redb::TableDefinition::<u64, u64>::new("theirs")).unwrap().insert(1, 2).unwrap();
    transaction.commit().unwrap();
    drop(other);
    let error = refusal(&path);
    assert!(error.to_string().contains("is no store of tollgate"), "{error}");
    let other = redb::Database::open(&path).unwrap();
    let transaction = other.begin_write().unwrap();
    assert!(transaction.open_table(redb::TableDefinition::<u64, u64>::new("theirs")).is_ok());
}

#[tokio::test]
async fn damage_is_found_when_it_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = open(&path);
    for index in 0..50 {
        commit(&store, [put(&format!("routes/{index}"), "x".repeat(3000))]).await;
    }
    let expected = load(&store).await.entries;
    drop(store);
    let sound = fs::read(&path).unwrap();
    for length in [100, 4096, 10_000, sound.len() / 2, sound.len() - 4096, sound.len() - 1] {
        fs::write(&path, &sound[..length]).unwrap();
        let error = refusal(&path);
        assert!(matches!(&error, StoreError::Corrupt { .. }), "{length} bytes: {error:?}");
    }
    let mut found = 0;
    for at in (0..sound.len()).step_by(1009) {
        let mut damaged = sound.clone();
        damaged[at] ^= 0x55;
        fs::write(&path, &damaged).unwrap();
        match DiskStore::open(&path) {
            Err(error) => {
                assert!(matches!(&error, StoreError::Corrupt { .. }), "byte {at}: {error:?}");
                found += 1;
            }
            // the byte is not in use
            Ok(store) => assert_eq!(store.load().await.unwrap().entries, expected, "byte {at}"),
        }
    }
    assert!(found > 50, "{found} of {} changed bytes", sound.len() / 1009);
}
