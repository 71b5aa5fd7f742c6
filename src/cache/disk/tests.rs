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
use crate::cache::{CacheKey, KeyBuilder};
use crate::model::{ByteSize, CacheZoneSpec};

fn disk(folder: &Path) -> Arc<Disk> {
    let disk = Disk::new(
        folder.to_owned(),
        &CacheZoneSpec::disk("test", folder, ByteSize(16 << 20)),
        Clock::new(),
        Arc::default(),
    );
    // nothing is read in before a test says so
    disk.scanned.store(true, Relaxed);
    disk
}

fn key() -> CacheKey {
    KeyBuilder::default().part(b"x").finish()
}

async fn store(disk: &Arc<Disk>, variant: u64) -> bool {
    let mut draft = draft(200);
    draft.names = if variant == 0 { Vec::new() } else { vec![ACCEPT] };
    draft.meta.variant = variant;
    let mut writer = DiskWriter::new(disk, key(), &draft, disk.index.removals(&key())).unwrap();
    writer.push(Bytes::from("body"));
    writer.finish().await
}

fn kept(disk: &Disk) -> Vec<FileRef> {
    disk.index.get(&key()).map(|slot| slot.entries().copied().collect()).unwrap_or_default()
}

/// How many of a key's answers can be read.
fn readable(disk: &Arc<Disk>) -> usize {
    kept(disk).into_iter().filter(|file| disk.load_now(key(), *file).is_some()).count()
}

#[tokio::test]
async fn another_variant_leaves_the_files_of_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(folder.path());
    for (variant, wanted) in [(1, 1), (2, 2), (3, 3), (2, 3)] {
        assert!(store(&disk, variant).await);
        assert_eq!(readable(&disk), wanted, "variant {variant}");
    }
    assert_eq!(disk.folder.clear(key()).unwrap(), 3, "the second's first file is gone");
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
    assert!(disk.keep(key(), &[], 0, file, disk.index.removals(&key())));
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
    assert_eq!((kept(&again).len(), again.folder.clear(key()).unwrap()), (0, 0));
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
        let mut writer = DiskWriter::new(&disk, key(), &draft(200), 0).unwrap();
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
        tokio::task::spawn_blocking(|| ()).await.unwrap();
        assert_eq!(count(), 0);
    });
}
