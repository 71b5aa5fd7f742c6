//! Processes that are killed while they write: this very test binary, started again with a role of its own.
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::SystemTime;

use tollgate::store::{Copied, DiskStore, Entry, Loaded, LocalCopy, Store, StoreError};

use crate::behaviour::{self, commit, key, load, put};

const ROLE: &str = "TOLLGATE_TEST_ROLE";
const FILE: &str = "TOLLGATE_TEST_FILE";

/// Ends with its owner.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// Starts the test `name` of this binary in a role.
fn start(name: &str, file: &Path) -> Process {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("killed::{name}"), "--nocapture", "--test-threads=1"])
        .env(ROLE, name)
        .env(FILE, file)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    Process(child)
}

/// The file to work on, if this process was started for that.
fn role(name: &str) -> Option<PathBuf> {
    (std::env::var(ROLE).ok()? == name).then(|| std::env::var_os(FILE).unwrap().into())
}

/// Says a line at once.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\n@{line}\n").as_bytes()).and_then(|()| out.flush()).unwrap();
}

/// Lines that a child said, until it is killed after `most` of them. What it said before it died is read to its end.
fn listen(mut child: Process, most: usize) -> Vec<String> {
    let lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    for line in lines {
        // the last line may be cut
        let Ok(line) = line else { break };
        said.extend(line.strip_prefix('@').map(str::to_owned));
        if said.len() == most {
            child.0.kill().unwrap();
        }
    }
    said
}

/// Writers that make pairs of items which have to be equal, and say each revision that they were answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_disk_store_loses_nothing_and_keeps_no_half() {
    if let Some(path) = role("the_disk_store_loses_nothing_and_keeps_no_half") {
        return write_for_ever(&path).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut accepted = BTreeMap::new();
    let mut revision = 0;
    for round in 0..200 {
        // killed at other moments each time: after 1 to 7 answers
        let child = start("the_disk_store_loses_nothing_and_keeps_no_half", &path);
        let said = listen(child, 1 + round % 7);
        assert!(!said.is_empty(), "round {round}: it said nothing");
        for line in said {
            let (writer, rest) = line.split_once(' ').unwrap();
            let [count, at] = rest.split(' ').map(|number| number.parse::<u64>().unwrap()).collect::<Vec<_>>()[..]
            else {
                panic!("{line}")
            };
            accepted.insert(writer.to_owned(), (count, at));
        }
        let store: Arc<dyn Store> = Arc::new(DiskStore::open(&path).unwrap());
        let loaded = load(&store).await;
        let items: BTreeMap<_, _> = loaded.entries.into_iter().map(|(key, entry)| (key.to_string(), entry)).collect();
        for (writer, (count, at)) in &accepted {
            let one = &items[&format!("routes/{writer}")];
            assert!(number(one) >= *count && one.modified >= *at, "round {round}: {writer} was told {count} at {at}");
            let other = &items[&format!("services/{writer}")];
            assert_eq!(
                (number(one), one.modified),
                (number(other), other.modified),
                "round {round}: half a transaction"
            );
        }
        assert!(loaded.revision >= revision, "round {round}: {} behind {revision}", loaded.revision);
        revision = loaded.revision;
        let last = store.changes().last().map(|change| change.revision);
        assert_eq!(last, Some(revision), "round {round}: items and changes are of one moment");
    }
    assert!(revision > 200, "{revision}");
}

fn number(entry: &Entry) -> u64 {
    std::str::from_utf8(&entry.value).unwrap().trim().parse().unwrap()
}

async fn write_for_ever(path: &Path) {
    let store: Arc<dyn Store> = Arc::new(DiskStore::open(path).unwrap());
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let items = [format!("routes/{writer}"), format!("services/{writer}")];
                let mut count = behaviour::get(&store, &items[0]).await.map_or(0, |entry| number(&entry));
                while count < u64::MAX {
                    count += 1;
                    // larger than a page now and then
                    let padding = if count % 8 == 0 { 5000 } else { count * 31 % 300 };
                    let value = format!("{count}{}", " ".repeat(padding as usize));
                    let revision = commit(&store, items.iter().map(|item| put(item, value.clone()))).await;
                    say(&format!("{writer} {count} {revision}"));
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
}

/// A copy is written over and over.
#[test]
fn the_local_copy_can_always_be_loaded() {
    let copied = |revision: u64| {
        let entry = Entry { value: format!("{revision}").repeat(20_000).into(), created: 1, modified: revision };
        let loaded = Loaded { revision, entries: vec![(key("routes/1"), entry)] };
        Copied { of: "memory".into(), at: SystemTime::now(), loaded, changes: Vec::new() }
    };
    if let Some(path) = role("the_local_copy_can_always_be_loaded") {
        let copy = LocalCopy::new(path, None);
        let begin = copy.load().unwrap().map_or(0, |copied| copied.loaded.revision);
        for revision in begin + 1.. {
            copy.save(&copied(revision)).unwrap();
            say(&format!("{revision}"));
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let copy = LocalCopy::new(folder.path().join("copy"), None);
    for round in 0..200 {
        let said = listen(start("the_local_copy_can_always_be_loaded", copy.path()), 1 + round % 5);
        let told: u64 = said.last().unwrap().parse().unwrap();
        let loaded = copy.load().unwrap().unwrap().loaded;
        assert!(loaded.revision >= told, "round {round}: {} after {told}", loaded.revision);
        let expected = copied(loaded.revision).loaded;
        assert_eq!(loaded.entries, expected.entries, "round {round}");
        let left_over = std::fs::read_dir(folder.path()).unwrap().count();
        assert!(left_over <= 2, "round {round}: {left_over} files");
    }
}

/// The store of another process is refused, and free once that was killed.
#[test]
fn two_processes_cannot_have_one_store() {
    const NAME: &str = "two_processes_cannot_have_one_store";
    if let Some(path) = role(NAME) {
        let _store = DiskStore::open(path).unwrap();
        say("open");
        _ = std::io::stdin().read_line(&mut String::new());
        std::thread::park();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut child = start(NAME, &path);
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "@open"));
    let error = DiskStore::open(&path).unwrap_err();
    assert!(matches!(&error, StoreError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("is in use by another process"), "{error}");
    drop(child);
    DiskStore::open(&path).unwrap();
}

/// A limit of the file's size stands in for a full disk: the system refuses both at the same calls.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_and_loses_nothing() {
    const NAME: &str = "a_full_disk_refuses_and_loses_nothing";
    if let Some(path) = role(NAME) {
        return fill(&path).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    // 2 MiB, in blocks of 512 bytes; the signal that comes with the refusal is ignored, also by what is started
    let script = r#"trap '' XFSZ; ulimit -f 4096; exec "$0" "$@""#;
    let child = Command::new("sh")
        .arg("-c")
        .arg(script)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("killed::{NAME}"), "--nocapture", "--test-threads=1"])
        .env(ROLE, NAME)
        .env(FILE, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = listen(Process(child), usize::MAX);
    let [written @ .., refused, after] = &said[..] else { panic!("{said:?}") };
    assert!(refused.contains("there is no space left for it"), "{refused}");
    let store: Arc<dyn Store> = Arc::new(DiskStore::open(&path).unwrap());
    let loaded = load(&store).await;
    let kept = loaded.entries.iter().filter(|(key, _)| key.as_str().starts_with("routes/")).count();
    assert_eq!(kept, written.len(), "what was refused is not there, what was accepted is");
    assert_eq!(after, &format!("{} items at {}", written.len(), loaded.revision), "it went on serving what it had");
    // with room again it goes on
    assert!(commit(&store, [put("routes/new", "x".repeat(1 << 20))]).await > loaded.revision);
}

#[cfg(unix)]
async fn fill(path: &Path) {
    let store: Arc<dyn Store> = Arc::new(DiskStore::open(path).unwrap());
    for index in 0.. {
        let edits = vec![put(&format!("routes/{index}"), "x".repeat(100_000))];
        match store.commit(tollgate::store::Transaction { edits, ..Default::default() }).await {
            Ok(committed) => say(&format!("{}", committed.revision)),
            Err(error) => {
                assert!(matches!(error, StoreError::Refused { .. }), "{error:?}");
                say(&error.to_string());
                break;
            }
        }
    }
    let loaded = load(&store).await;
    say(&format!("{} items at {}", loaded.entries.len(), loaded.revision));
}
