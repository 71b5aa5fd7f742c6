//! What writes to the stores of this process cost: one writer after the other, and 32 at a time, to 10,000 routes.
//!
//! Each write is one transaction as the Admin API makes it: a put of about 500 bytes, guarded by the item's revision and by
//! the folder of upstreams. Beside it the bare price of a durable write: 4 KiB appended to a file and synced.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a bench")]
use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tollgate::store::{DiskStore, Edit, Guard, Key, MemoryStore, Store, Transaction};

const ROUTES: u64 = 10_000;
const MEASURED: Duration = Duration::from_secs(5);

fn main() {
    let folder = tempfile::tempdir_in(".").unwrap();
    let mut file = File::create(folder.path().join("bare")).unwrap();
    let mut bare = Vec::new();
    let began = Instant::now();
    while began.elapsed() < MEASURED {
        let one = Instant::now();
        file.write_all(&[7; 4096]).unwrap();
        file.sync_data().unwrap();
        bare.push(one.elapsed());
    }
    tell("bare write and sync", began.elapsed(), bare);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let path = folder.path().join("store");
        let stores: [(&str, Arc<dyn Store>); 2] =
            [("memory", Arc::new(MemoryStore::new())), ("disk", Arc::new(DiskStore::open(&path).unwrap()))];
        for (name, store) in stores {
            for block in 0..ROUTES / 100 {
                let edits = (block * 100..block * 100 + 100).map(|index| edit(index, 0)).collect();
                store.commit(Transaction { edits, ..Transaction::default() }).await.unwrap();
            }
            for writers in [1, 32] {
                let began = Instant::now();
                let times = write(&store, writers).await;
                tell(&format!("{name}, {writers} at a time"), began.elapsed(), times);
            }
            let one = Instant::now();
            assert_eq!(store.load().await.unwrap().entries.len() as u64, ROUTES);
            println!("{name}, load of {ROUTES} routes: {:.1} ms", one.elapsed().as_secs_f64() * 1e3);
        }
        println!("disk, file: {:.1} MB", std::fs::metadata(&path).unwrap().len() as f64 / 1e6);
        let one = Instant::now();
        drop(DiskStore::open(&path).unwrap());
        println!("disk, opened again and checked: {:.0} ms", one.elapsed().as_secs_f64() * 1e3);
    });
}

fn key(index: u64) -> Key {
    Key::parse(&format!("routes/{index:05}")).unwrap()
}

fn edit(index: u64, round: u64) -> Edit {
    let upstream = r#"{"type":"roundrobin","nodes":[{"host":"10.0.0.1","port":8080,"weight":1}]}"#;
    let text = format!(
        r#"{{"id":"{index:05}","uri":"/shop/{index}/*","desc":"{}","upstream":{upstream},"update_time":{round}}}"#,
        "x".repeat(320)
    );
    Edit::Put { key: key(index), value: text.into(), ttl: None }
}

/// What each write took, of writers that each wait for their answer.
async fn write(store: &Arc<dyn Store>, writers: u64) -> Vec<Duration> {
    let next = Arc::new(AtomicU64::new(0));
    let until = Instant::now() + MEASURED;
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let (store, next) = (store.clone(), next.clone());
            tokio::spawn(async move {
                let mut times = Vec::new();
                let mut revisions = std::collections::HashMap::new();
                for (key, entry) in store.load().await.unwrap().entries {
                    revisions.insert(key, entry.modified);
                }
                let unchanged = Guard::Unchanged { prefix: "upstreams/".to_owned(), since: 0 };
                while Instant::now() < until {
                    let round = next.fetch_add(1, Relaxed);
                    // each writer has items of its own, so that none conflicts
                    let index = (round * 7919 % (ROUTES / writers)) * writers + writer;
                    let key = key(index);
                    let at = revisions.get(&key).copied().unwrap_or(0);
                    let guards = vec![Guard::Modified { key: key.clone(), at }, unchanged.clone()];
                    let transaction = Transaction { guards, edits: vec![edit(index, round)], by: None };
                    let one = Instant::now();
                    match store.commit(transaction).await {
                        Ok(committed) => {
                            times.push(one.elapsed());
                            revisions.insert(key, committed.revision);
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.unwrap());
    }
    times
}

fn tell(name: &str, elapsed: Duration, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "{name}: {:.0} writes/s; p50 {:.3} ms, p99 {:.3} ms, worst {:.1} ms",
        times.len() as f64 / elapsed.as_secs_f64(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
}
