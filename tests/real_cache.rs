//! The cache of the bundled gateway: nginx behind it, wrk before it, ends without warning, a disk that is full.
#![cfg(test)]
#![cfg(all(unix, feature = "full", feature = "real-servers"))]
mod peers;
#[path = "cli/process.rs"]
#[allow(dead_code, reason = "the tests of the command line use the rest")]
mod process;

use std::path::Path;

use peers::nginx::Nginx;
use peers::strict::Message;
use peers::{within, wrk};
use process::{Folder, Gateway};

fn status(answer: &Message) -> &str {
    answer.field("apisix-cache-status").unwrap_or("none")
}

/// nginx with a file of this size, and how often it was asked for it.
fn nginx(size: usize) -> Nginx {
    let nginx = Nginx::start("location / { root @DIR@; expires 1h; }");
    let file: Vec<u8> = (0..size).map(|number| b'a' + u8::try_from(number % 26).unwrap()).collect();
    std::fs::write(nginx.folder().join("file"), file).unwrap();
    nginx
}

fn asked(nginx: &Nginx) -> usize {
    std::fs::read_to_string(nginx.folder().join("access.log")).unwrap_or_default().lines().count()
}

/// A gateway's configuration with a zone on disk, and one route to nginx.
fn config(folder: &Folder, nginx: &Nginx, block: &str) -> String {
    let text = format!(
        "tollgate: {{cache_zones: [{{name: disk, disk_path: {}, disk_size: 256m}}]}}\n\
         routes: [{{id: r, uri: /*, plugins: {{proxy-cache: {block}}}, upstream: {{nodes: {{\"{}\": 1}}}}}}]\n#END\n",
        folder.path("zone").display(),
        nginx.address()
    );
    folder.write("a.yaml", &text)
}

/// Files of a zone that have their name.
fn files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let is_answer = |path: &Path| !path.ends_with("lock");
    entries.map(|path| if path.is_dir() { files(&path) } else { usize::from(is_answer(&path)) }).sum()
}

/// Asks until the answer is a hit.
async fn until_hit(gateway: &Gateway, path: &str) -> Message {
    within(|| format!("{path} to be a hit"), async {
        loop {
            let answer = gateway.get(path).await;
            if status(&answer) == "HIT" {
                return answer;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_thousand_connections_of_wrk_to_a_missing_key_are_one_request() {
    let nginx = nginx(1000);
    let folder = Folder::new();
    let config = config(&folder, &nginx, "{cache_strategy: memory}");
    let gateway = Gateway::start(&["--config", &config]).await;
    let report = wrk::run(&format!("http://{}/file", gateway.address()), 1000, 2).await;
    assert!(report.requests > 1000 && report.refused == 0 && report.socket_errors == 0, "{report:?}");
    assert_eq!(asked(&nginx), 1);
}

#[tokio::test]
async fn what_is_on_disk_outlives_kill_9_under_load() {
    let nginx = nginx(1_000_000);
    let folder = Folder::new();
    let config = config(&folder, &nginx, "{cache_zone: disk, cache_key: [$uri, $arg_n]}");
    let mut gateway = Gateway::start(&["--config", &config]).await;
    let file = until_hit(&gateway, "/file?n=0").await.body;
    let (address, mut number) = (gateway.address(), 0);
    let load = tokio::spawn(async move {
        loop {
            number += 1;
            let Ok(mut stream) = tokio::net::TcpStream::connect(address).await else { return number };
            let request = format!("GET /file?n={number} HTTP/1.1\r\nhost: gw.test\r\nconnection: close\r\n\r\n");
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await;
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        }
    });
    within(|| "twenty files".to_owned(), async {
        while files(&folder.path("zone")) < 20 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    gateway.signal("KILL");
    gateway.ended().await;
    load.await.unwrap();
    let gateway = Gateway::start(&["--config", &config]).await;
    assert!(until_hit(&gateway, "/file?n=0").await.body == file);
    let before = asked(&nginx);
    for number in 1..15 {
        let answer = gateway.get(&format!("/file?n={number}")).await;
        assert_eq!((status(&answer), answer.body == file), ("HIT", true), "{number}");
    }
    assert_eq!(asked(&nginx), before);
}

#[tokio::test]
async fn a_disk_that_takes_no_more_stops_nobody() {
    let nginx = nginx(1_000_000);
    let folder = Folder::new();
    let config = config(&folder, &nginx, "{cache_zone: disk}");
    // no file grows beyond 512 KiB, as if the disk were full; the signal would end the process
    let limited = "trap '' XFSZ; ulimit -f 512; exec \"$0\" \"$@\"";
    let arguments = ["--listen", "127.0.0.1:0", "--config", &config];
    let gateway = Gateway::started_by("bash", &["-c", limited], &arguments).await;
    for _ in 0..3 {
        let answer = gateway.get("/file").await;
        assert_eq!((status(&answer), answer.body.len()), ("MISS", 1_000_000));
    }
    gateway.hear("an answer was not kept").await;
    within(|| "a folder without files".to_owned(), async {
        while files(&folder.path("zone")) > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_over_stands_in_while_nginx_is_away() {
    let nginx = nginx(1000);
    let folder = Folder::new();
    let config = config(&folder, &nginx, "{cache_strategy: memory, cache_ttl: 1, stale_if_error: 600}");
    let gateway = Gateway::start(&["--config", &config]).await;
    let first = gateway.get("/file").await;
    assert_eq!(status(&first), "MISS");
    drop(nginx);
    within(|| "a stale answer".to_owned(), async {
        loop {
            let answer = gateway.get("/file").await;
            assert!(answer.status() == 200 && answer.body == first.body, "{answer:?}");
            match status(&answer) {
                "HIT" => tokio::task::yield_now().await,
                other => return assert_eq!(other, "STALE"),
            }
        }
    })
    .await;
}
