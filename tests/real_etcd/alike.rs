//! What all stores do, over both versions.
use std::sync::Arc;
use std::time::Duration;

use super::behaviour;
use super::server::{Etcd, V34, V35, Version};

/// A server and a store in it.
fn fresh(version: Version) -> (Etcd, Arc<dyn tollgate::store::Store>) {
    let etcd = Etcd::start(version);
    let store = Arc::new(etcd.store());
    (etcd, store)
}

/// Each behaviour as a test of its own for both versions.
macro_rules! alike {
    ($($name:ident),* $(,)?) => {
        mod v3_4 { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let (_etcd, store) = super::fresh(super::V34);
                super::behaviour::$name(store).await;
            }
        )* }
        mod v3_5 { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let (_etcd, store) = super::fresh(super::V35);
                super::behaviour::$name(store).await;
            }
        )* }
    };
}

alike!(
    items_are_made_changed_and_removed,
    what_is_not_there_is_deleted_without_a_revision,
    items_are_loaded_in_order_of_their_keys,
    guards_are_kept,
    removals_do_not_count_as_changes_below_a_prefix,
    transactions_are_all_or_nothing,
    a_key_cannot_stand_twice,
    a_watch_resumes_where_it_is_told_to,
    a_watch_from_the_future_means_another_store,
    eight_writers_lose_nothing,
    loads_and_watches_fit_together_under_writes,
    large_values_are_kept,
    ten_thousand_items_are_loaded,
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_of_what_is_forgotten_is_told_so() {
    for version in [V34, V35] {
        let (etcd, store) = fresh(version);
        let etcd = &etcd;
        behaviour::a_watch_of_what_is_forgotten_is_told_so(store, |last| async move { etcd.compact(last) }).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn items_run_out() {
    for version in [V34, V35] {
        let (_etcd, store) = fresh(version);
        // The clock is etcd's.
        behaviour::items_run_out(store, |time: Duration| tokio::time::sleep(time)).await;
    }
}
