//! The store in memory: the behaviour of all stores, with virtual time.
use std::sync::Arc;

use tollgate::store::{HistoryBounds, MemoryStore, Store};

use crate::behaviour;

/// One test a behaviour, each with a store of its own.
macro_rules! behaves {
    ($($name:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            behaviour::$name(Arc::new(MemoryStore::new())).await;
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
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loads_and_watches_fit_together_under_writes() {
    // more changes than are remembered by default may pass until the watches are polled
    let bounds = HistoryBounds { changes: usize::MAX, ..HistoryBounds::default() };
    behaviour::loads_and_watches_fit_together_under_writes(Arc::new(MemoryStore::with_history(bounds))).await;
}

#[tokio::test(start_paused = true)]
async fn items_run_out() {
    behaviour::items_run_out(Arc::new(MemoryStore::new()), tokio::time::sleep).await;
}

#[tokio::test]
async fn a_watch_of_what_is_forgotten_is_told_so() {
    let store = MemoryStore::new();
    let forget = store.clone();
    let forget = async |_| forget.forget(1);
    behaviour::a_watch_of_what_is_forgotten_is_told_so(Arc::new(store), forget).await;
}

#[tokio::test]
async fn what_is_remembered_is_bounded() {
    let by_number = MemoryStore::with_history(HistoryBounds { changes: 3, bytes: u64::MAX });
    let by_size = MemoryStore::with_history(HistoryBounds { changes: 100, bytes: 30 });
    let one = MemoryStore::with_history(HistoryBounds { changes: 0, bytes: 0 });
    for (store, expected) in [(by_number, 8..=10), (by_size, 9..=10), (one, 10..=10)] {
        let shared: Arc<dyn Store> = Arc::new(store);
        for round in 0..10 {
            // 9 bytes of key, 1 before and 1 after
            behaviour::commit(&shared, [behaviour::put("routes/01", format!("{round}"))]).await;
        }
        let revisions: Vec<_> = shared.changes().iter().map(|change| change.revision).collect();
        assert_eq!(revisions, expected.collect::<Vec<_>>());
    }
}
