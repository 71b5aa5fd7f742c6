//! The table and the folder, where they meet.
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use http::header::ACCEPT;

use super::zone::FileRef;
use super::{Disk, DiskWriter};
use crate::cache::clock::Clock;
use crate::cache::record::tests::draft;
use crate::cache::{CacheKey, Draft, KeyBuilder};
use crate::model::{ByteSize, CacheZoneSpec};

fn disk(folder: &Path) -> Arc<Disk> {
    made_by(&CacheZoneSpec::disk("test", folder, ByteSize(16 << 20)))
}

fn made_by(spec: &CacheZoneSpec) -> Arc<Disk> {
    let disk = Disk::new(spec.disk_path.clone().unwrap(), spec, Clock::new(), Arc::default());
    // nothing is read in before a test says so
    disk.scanned.store(true, Relaxed);
    disk
}

fn key() -> CacheKey {
    KeyBuilder::default().part(b"x").finish()
}

async fn store(disk: &Arc<Disk>, variant: u64) -> bool {
    store_as(disk, key(), variant, "body").await
}

async fn store_as(disk: &Arc<Disk>, key: CacheKey, variant: u64, body: impl Into<Bytes>) -> bool {
    let mut draft = draft(200);
    draft.names = if variant == 0 { Vec::new() } else { vec![ACCEPT] };
    draft.meta.variant = variant;
    let mut writer = DiskWriter::new(disk, key, &draft, disk.index.fetching(&key)).unwrap();
    writer.push(body.into());
    writer.finish().await
}

fn kept(disk: &Disk) -> Vec<FileRef> {
    disk.index.get(&key()).map(|slot| slot.entries().copied().collect()).unwrap_or_default()
}

/// How many of a key's answers can be read.
fn readable(disk: &Arc<Disk>) -> usize {
    kept(disk).into_iter().filter(|file| disk.load_now(key(), *file, Vec::new()).is_some()).count()
}

#[tokio::test]
async fn another_variant_leaves_the_files_of_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(folder.path());
    for (variant, wanted) in [(1, 1), (2, 2), (3, 3), (2, 3)] {
        assert!(store(&disk, variant).await);
        assert_eq!(readable(&disk), wanted, "variant {variant}");
    }
    assert_eq!(disk.folder.of_url(key()).unwrap().len(), 3, "the second's first file is gone");
}

#[tokio::test]
async fn reading_the_folder_leaves_what_was_stored_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(folder.path());
    assert!(store(&disk, 0).await);
    disk.read_all().await.unwrap();
    assert_eq!(readable(&disk), 1);
    // the reading met the file before its writer had put it into the table
    let file = kept(&disk)[0];
    assert!(disk.keep(key(), &[], 0, file, &disk.index.fetching(&key())));
    assert_eq!(readable(&disk), 1);
}

#[tokio::test]
async fn what_is_purged_before_the_folder_is_read_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    assert!(store(&disk(folder.path()), 0).await);
    let again = disk(folder.path());
    assert!(again.purge(key()).await && !again.purge(key()).await);
    again.read_all().await.unwrap();
    assert_eq!(kept(&again), []);
    // known by the table and by the folder
    assert!(store(&again, 0).await);
    assert!(again.purge(key()).await);
    assert_eq!((kept(&again).len(), again.folder.of_url(key()).unwrap().len()), (0, 0));
}

#[tokio::test]
async fn what_cannot_be_read_just_now_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(folder.path());
    assert!(store(&disk, 0).await);
    let (level, _) = disk.folder.place(key(), 0);
    let aside = folder.path().join("aside");
    fs::rename(&level, &aside).unwrap();
    fs::write(&level, "no folder").unwrap();
    assert_eq!((readable(&disk), kept(&disk).len()), (0, 1));
    fs::remove_file(&level).unwrap();
    fs::rename(&aside, &level).unwrap();
    assert_eq!(readable(&disk), 1);
    fs::remove_dir_all(&level).unwrap();
    assert_eq!((readable(&disk), kept(&disk).len()), (0, 0), "it is gone for good");
}

#[tokio::test]
async fn what_its_origin_withdraws_goes_alone() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(folder.path());
    assert!(store(&disk, 1).await && store(&disk, 2).await);
    let first = kept(&disk)[0];
    disk.withdraw(key(), first.id);
    assert_eq!((kept(&disk).len(), readable(&disk)), (1, 1));
}

#[test]
fn who_goes_away_does_not_wait_for_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let disk = disk(folder.path());
        let mut writer = DiskWriter::new(&disk, key(), &draft(200), disk.index.fetching(&key())).unwrap();
        writer.push(Bytes::from(vec![0; 300_000]));
        while !writer.is_idle_with_file() {
            std::future::poll_fn(|cx| writer.poll_ready(cx)).await;
            tokio::task::yield_now().await;
        }
        let (go, wait) = std::sync::mpsc::channel::<()>();
        // the one thread for such work is busy
        let busy = tokio::task::spawn_blocking(move || wait.recv());
        let count = || fs::read_dir(folder.path().join("unfinished")).unwrap().count();
        drop(writer);
        assert_eq!(count(), 1);
        drop(go);
        busy.await.unwrap().unwrap_err();
        while count() > 0 {
            tokio::task::yield_now().await;
        }
    });
}

/// Files of answers, wherever they lie.
fn files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_answer = |path: &Path| path.file_name().is_some_and(|name| name.len() == 49);
    entries.map(|path| if path.is_dir() { files(&path) } else { usize::from(is_answer(&path)) }).sum()
}

#[tokio::test]
async fn a_full_zone_leaves_no_file_behind() {
    let folder = tempfile::tempdir().unwrap();
    let disk = made_by(&CacheZoneSpec::disk("test", folder.path(), ByteSize(1 << 20)));
    let key = |number: u32| KeyBuilder::default().part(&number.to_le_bytes()).finish();
    for number in 0..400 {
        assert!(store_as(&disk, key(number), 0, "body").await);
        // one goes by itself now and then, and must take nobody with it
        if number % 7 == 0 {
            let file = disk.index.get(&key(number)).unwrap().entries().next().copied().unwrap();
            disk.drop_corrupt(key(number), file);
        }
    }
    let kept = disk.index.size().0;
    assert!(kept > 100 && kept < 300, "{kept}");
    assert_eq!(files(folder.path()), kept);
}

#[tokio::test]
async fn files_of_other_levels_are_found_and_moved() {
    let folder = tempfile::tempdir().unwrap();
    assert!(store(&disk(folder.path()), 0).await);
    let mut spec = CacheZoneSpec::disk("test", folder.path(), ByteSize(16 << 20));
    spec.cache_levels = "2".to_owned();
    let other = made_by(&spec);
    other.read_all().await.unwrap();
    assert_eq!((readable(&other), files(folder.path())), (1, 1));
    other.withdraw(key(), kept(&other)[0].id);
    while files(folder.path()) > 0 {
        tokio::task::yield_now().await;
    }
}

#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn a_folder_that_another_has_is_waited_for_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let first = disk(folder.path());
    assert!(store(&first, 0).await);
    let second = disk(folder.path());
    assert_eq!(second.read_all().await.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    second.scanned.store(false, Relaxed);
    second.index();
    let writer = || second.writer(key(), &draft(200), second.index.fetching(&key()));
    let a_moment = || tokio::time::sleep(std::time::Duration::from_millis(100));
    while writer().is_some() {
        a_moment().await;
    }
    assert_eq!((readable(&first), kept(&second).len()), (1, 0));
    drop(first);
    while writer().is_none() {
        a_moment().await;
    }
    assert_eq!(readable(&second), 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_waits_for_a_slow_disk_a_moment_only() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(folder.path());
    let busy = disk.pace.all_writers().await;
    let mut writer = DiskWriter::new(&disk, key(), &draft(200), disk.index.fetching(&key())).unwrap();
    let began = tokio::time::Instant::now();
    for _ in 0..40 {
        std::future::poll_fn(|cx| writer.poll_ready(cx)).await;
        writer.push(Bytes::from(vec![0; 64 << 10]));
    }
    assert!(writer.has_failed());
    assert_eq!(began.elapsed(), super::pace::WRITES);
    drop(busy);
    assert!(store(&disk, 0).await);
    assert!(disk.pace.gather(64 << 20), "nothing waits any more");
}

#[tokio::test]
async fn large_answers_with_long_heads_are_read_as_written() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(folder.path());
    for (field, body) in [(0, 300_000), (20_000, 300_000), (60_000, 10), (20_000, 0)] {
        let mut draft = draft(200);
        draft.headers.insert("x-long", http::HeaderValue::from_str(&"v".repeat(field)).unwrap());
        let mut writer = DiskWriter::new(&disk, key(), &draft, disk.index.fetching(&key())).unwrap();
        writer.push(Bytes::from(vec![7; body]));
        assert!(writer.finish().await);
        let stored = disk.load_now(key(), kept(&disk)[0], Vec::new()).unwrap();
        assert_eq!(stored.headers()["x-long"].len(), field);
        assert_eq!(stored.body(0..stored.len()).buffer(1 << 20).await.unwrap(), vec![7; body]);
    }
}

#[tokio::test]
async fn what_was_stored_by_a_clock_that_was_wrong_is_not_kept_for_years() {
    for (ahead, wanted) in [(0, 1), (3_600_000, 0)] {
        let folder = tempfile::tempdir().unwrap();
        let first = disk(folder.path());
        let mut draft = draft(200);
        draft.meta.stored_at = Clock::new().now() + ahead;
        let mut writer = DiskWriter::new(&first, key(), &draft, first.index.fetching(&key())).unwrap();
        writer.push(Bytes::from("body"));
        assert!(writer.finish().await);
        drop(first);
        let second = disk(folder.path());
        second.read_all().await.unwrap();
        assert_eq!((readable(&second), files(folder.path())), (wanted, wanted));
    }
}

#[tokio::test]
async fn what_is_good_still_gets_another_head_and_keeps_its_body() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(folder.path());
    assert!(store_as(&disk, key(), 0, vec![7; 300_000]).await);
    let file = kept(&disk)[0];
    let renew = async |draft: &Draft, fetching| {
        let mut writer = DiskWriter::new(&disk, key(), draft, fetching).unwrap();
        writer.renew(file.id).await
    };
    for age in [1, 2, 3] {
        let mut draft = draft(200);
        draft.meta.initial_age = age;
        let open = disk.load_now(key(), file, Vec::new()).unwrap();
        assert!(renew(&draft, disk.index.fetching(&key())).await);
        let renewed = disk.load_now(key(), file, Vec::new()).unwrap();
        assert_eq!(renewed.meta, draft.meta);
        for stored in [open, renewed] {
            assert_eq!(stored.body(0..300_000).buffer(1 << 20).await.unwrap(), vec![7; 300_000]);
        }
    }
    let mut other = draft(200);
    other.headers.insert("vary", ACCEPT.into());
    (other.names, other.meta.variant) = (vec![ACCEPT], 7);
    assert!(!renew(&other, disk.index.fetching(&key())).await, "it stands elsewhere in the table");
    let mut long = draft(200);
    long.headers.insert("y", http::HeaderValue::from_str(&"v".repeat(9000)).unwrap());
    assert!(!renew(&long, disk.index.fetching(&key())).await, "there is no room");
    let fetching = disk.index.fetching(&key());
    disk.purge(key()).await;
    assert!(!renew(&draft(200), fetching).await && kept(&disk).is_empty());
    assert_eq!(files(folder.path()), 0);
}

fn other_key() -> CacheKey {
    KeyBuilder::default().part(b"y").finish()
}

fn knows(disk: &Disk, key: CacheKey) -> bool {
    disk.index.get(&key).is_some()
}

/// A zone whose folder is read in the background, with folders of one level.
fn of_one_level(folder: &Path) -> Arc<Disk> {
    let mut spec = CacheZoneSpec::disk("test", folder, ByteSize(16 << 20));
    spec.cache_levels = "2".to_owned();
    let disk = made_by(&spec);
    disk.scanned.store(false, Relaxed);
    disk
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_can_be_read_later_is_read_then() {
    let parent = tempfile::tempdir().unwrap();
    let (folder, aside) = (parent.path().join("zone"), parent.path().join("aside"));
    let first = disk(&folder);
    assert!(store(&first, 0).await && store_as(&first, other_key(), 0, "body").await);
    drop(first);
    fs::rename(&folder, &aside).unwrap();
    fs::write(&folder, "no folder").unwrap();
    let second = of_one_level(&folder);
    second.index();
    let a_while = || tokio::time::sleep(std::time::Duration::from_secs(60));
    while second.counters.read((0, 0)).errors == 0 {
        a_while().await;
    }
    // what is purged meanwhile is not there later, whatever folder it lies in
    assert!(!second.purge(key()).await);
    fs::remove_file(&folder).unwrap();
    fs::rename(&aside, &folder).unwrap();
    while !knows(&second, other_key()) {
        a_while().await;
    }
    assert_eq!((kept(&second).len(), files(&folder)), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn one_file_that_cannot_be_read_is_not_all_of_them_and_is_read_later() {
    let folder = tempfile::tempdir().unwrap();
    let first = disk(folder.path());
    assert!(store(&first, 0).await && store_as(&first, other_key(), 0, "body").await);
    drop(first);
    let second = of_one_level(folder.path());
    let (level, _) = second.folder.place(key(), 0);
    fs::write(&level, "no folder").unwrap();
    assert!(second.read_all().await.is_err());
    assert!(knows(&second, other_key()) && !knows(&second, key()));
    fs::remove_file(&level).unwrap();
    second.index();
    while !knows(&second, key()) {
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    }
    assert_eq!((readable(&second), files(folder.path())), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_purge_does_not_wait_long_for_a_disk_that_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(folder.path());
    assert!(store(&disk, 0).await);
    let busy = disk.pace.all_writers().await;
    let began = tokio::time::Instant::now();
    assert!(disk.purge(key()).await && kept(&disk).is_empty());
    assert_eq!(began.elapsed().as_secs(), 5);
    drop(busy);
    while files(folder.path()) > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn files_that_are_not_whole_have_a_share_of_the_room() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(folder.path());
    let mut writers = Vec::new();
    for _ in 0..20 {
        let mut writer = DiskWriter::new(&disk, key(), &draft(200), disk.index.fetching(&key())).unwrap();
        writer.push(Bytes::from(vec![0; 300_000]));
        while !writer.has_failed() && !writer.is_idle_with_file() {
            std::future::poll_fn(|cx| writer.poll_ready(cx)).await;
            tokio::task::yield_now().await;
        }
        writers.push(writer);
    }
    assert_eq!(writers.iter().filter(|writer| !writer.has_failed()).count(), (4 << 20) / 300_000);
    drop(writers);
    while disk.beside.bytes() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(store_as(&disk, key(), 0, vec![0; 1 << 20]).await);
    assert_eq!(disk.beside.bytes(), 0);
}

#[tokio::test]
async fn files_that_have_gone_and_are_read_still_have_it_too() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(folder.path());
    let mut read = Vec::new();
    for _ in 0..5 {
        assert!(store_as(&disk, key(), 0, vec![7; 900_000]).await);
        read.extend([
            disk.load_now(key(), kept(&disk)[0], Vec::new()).unwrap(),
            disk.load_now(key(), kept(&disk)[0], Vec::new()).unwrap(),
        ]);
    }
    // the last one is there still
    assert!(disk.beside.bytes() > 3_600_000 && disk.beside.bytes() <= 4 << 20);
    assert!(!store_as(&disk, key(), 0, vec![7; 900_000]).await && readable(&disk) == 1);
    for stored in read {
        assert_eq!(stored.body(0..stored.len()).buffer(1 << 20).await.unwrap(), vec![7; 900_000]);
    }
    assert_eq!(disk.beside.bytes(), 0);
    assert!(store_as(&disk, key(), 0, vec![7; 900_000]).await);
}

#[tokio::test]
async fn a_body_that_cannot_be_read_to_its_end_is_not_tried_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(folder.path());
    assert!(store_as(&disk, key(), 0, vec![7; 1 << 20]).await);
    let file = kept(&disk)[0];
    let stored = disk.load_now(key(), file, Vec::new()).unwrap();
    let path = disk.folder.file(key(), file.id);
    fs::File::options().write(true).open(&path).unwrap().set_len(500_000).unwrap();
    assert!(stored.body(0..stored.len()).buffer(1 << 20).await.is_err());
    assert_eq!((kept(&disk).len(), path.exists()), (0, false));
    assert_eq!(disk.counters.read((0, 0)).errors, 1);
}

#[tokio::test]
async fn what_opens_and_cannot_be_read_just_now_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(folder.path());
    assert!(store(&disk, 0).await);
    let path = disk.folder.file(key(), kept(&disk)[0].id);
    let aside = folder.path().join("aside");
    fs::rename(&path, &aside).unwrap();
    // a folder opens, and gives an error when it is read
    fs::create_dir(&path).unwrap();
    assert_eq!((readable(&disk), kept(&disk).len()), (0, 1));
    fs::remove_dir(&path).unwrap();
    fs::rename(&aside, &path).unwrap();
    assert_eq!(readable(&disk), 1);
}
