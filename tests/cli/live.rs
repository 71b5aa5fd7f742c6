//! A file that is edited while it is served.
use std::os::unix::fs::symlink;

use super::peers::client::Client;
use super::peers::origin::Origin;
use super::process::{Folder, Gateway, leading_to};

#[tokio::test]
async fn edits_renames_and_symlink_swaps_are_in_force_within_a_moment() {
    let (one, two) = (Origin::saying("one").await, Origin::saying("two").await);
    let folder = Folder::new();
    let file = folder.write("a.yaml", &leading_to(one.address()));
    let gateway = Gateway::start(&["--config", &file]).await;
    assert_eq!(gateway.get("/").await.text(), "one");
    let in_force = |told: Vec<String>| told.into_iter().filter(|line| line.contains("in force")).collect::<Vec<_>>();
    // In place, as an editor or `>` does.
    folder.write("a.yaml", &leading_to(two.address()));
    gateway.until_it_says("/", "two").await;
    gateway.hear("revision 3 in force, 1 routes").await;
    // The content that the gateway began with was one revision, told once.
    assert_eq!(
        in_force(gateway.told()),
        [2, 3].map(|revision| format!("{file}: revision {revision} in force, 1 routes"))
    );
    // By rename, as careful editors do.
    folder.write("new.yaml", &leading_to(one.address()));
    std::fs::rename(folder.path("new.yaml"), folder.path("a.yaml")).unwrap();
    gateway.until_it_says("/", "one").await;
    assert!(gateway.told().iter().any(|line| line.contains("in force, 1 routes")), "{:#?}", gateway.told());
}

#[tokio::test]
async fn a_link_that_is_swapped_as_mounted_volumes_do_is_followed() {
    let (one, two) = (Origin::saying("one").await, Origin::saying("two").await);
    let folder = Folder::new();
    for (version, origin) in [("v1", &one), ("v2", &two)] {
        std::fs::create_dir(folder.path(version)).unwrap();
        folder.write(&format!("{version}/a.yaml"), &leading_to(origin.address()));
    }
    symlink("v1", folder.path("data")).unwrap();
    symlink("data/a.yaml", folder.path("a.yaml")).unwrap();
    let file = folder.path("a.yaml").display().to_string();
    let gateway = Gateway::start(&["--config", &file]).await;
    assert_eq!(gateway.get("/").await.text(), "one");
    symlink("v2", folder.path("data.new")).unwrap();
    std::fs::rename(folder.path("data.new"), folder.path("data")).unwrap();
    gateway.until_it_says("/", "two").await;
}

#[tokio::test]
async fn a_bad_edit_changes_nothing_and_is_told_once_with_its_line() {
    let origin = Origin::saying("one").await;
    let folder = Folder::new();
    let good = leading_to(origin.address());
    let file = folder.write("a.yaml", &good);
    let gateway = Gateway::start(&["--config", &file]).await;
    folder.write("a.yaml", "routes:\n  - id: [\n#END\n");
    let told = gateway.hear("the configuration before serves on").await;
    assert!(told.contains("a.yaml, line "), "{told}");
    assert_eq!(gateway.get("/").await.text(), "one");
    // One faulty item: its predecessor serves on, and the rest is applied.
    let mixed = good.replace(
        "    upstream_id: u\n",
        "    upstream_id: u\n    priority: high\n  - {id: b, uri: /b, upstream_id: u}\n",
    );
    folder.write("a.yaml", &mixed);
    gateway.hear("route all: the version before serves on").await;
    gateway.hear("in force, 2 routes").await;
    assert_eq!((gateway.get("/").await.text(), gateway.get("/b").await.text()), ("one".to_owned(), "one".to_owned()));
    let told = gateway.told();
    let faults: Vec<_> =
        told.iter().filter(|line| line.contains("error: line 8: route `all`, field priority")).collect();
    assert_eq!(faults.len(), 1, "{told:#?}");
    std::fs::remove_file(folder.path("a.yaml")).unwrap();
    gateway.hear("cannot be read").await;
    assert_eq!(gateway.get("/").await.text(), "one");
}

#[tokio::test]
async fn connections_on_both_sides_survive_an_edit() {
    let (origin, other) = (Origin::saying("one").await, Origin::saying("two").await);
    let folder = Folder::new();
    let file = folder.write("a.yaml", &leading_to(origin.address()));
    let gateway = Gateway::start(&["--config", &file, "--workers", "1"]).await;
    let mut client = Client::connect(gateway.address()).await;
    for number in 0..3 {
        let upstream = format!("{{nodes: {{\"{}\": 1}}}}", other.address());
        let route = format!("  - {{id: b, uri: /b{number}, upstream: {upstream}}}\n#END");
        folder.write("a.yaml", &leading_to(origin.address()).replace("#END", &route));
        gateway.until_it_says(&format!("/b{number}"), "two").await;
        client.send("GET / HTTP/1.1\r\nhost: gw.test\r\n\r\n").await;
        assert_eq!(client.answer().await.text(), "one");
    }
    // Asking in vain for the new route went to the old origin, one after the other.
    assert_eq!((origin.seen().len(), other.seen().len()), (1, 1), "connections at the origins");
}
