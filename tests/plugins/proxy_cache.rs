//! `proxy-cache` as its example has it, in memory and on disk, over restarts, full disks and files that rot.
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tollgate::cache::{Zone, Zones};
use tollgate::gateway::Gateway;
use tollgate::model::{ByteSize, CacheZoneSpec};
use tollgate::plugins::proxy_cache::ProxyCachePlugin;

use super::peers::client::Client;
use super::peers::origin::{Origin, Step};
use super::peers::strict::Message;
use super::support::{Rig, example, refused, route_with};

fn status(answer: &Message) -> &str {
    answer.field("apisix-cache-status").unwrap_or("none")
}

/// A zone on disk in a folder.
fn disk(folder: &Path) -> Arc<Zone> {
    Zone::new(CacheZoneSpec::disk("disk", folder, ByteSize(16 << 20)))
}

/// A route over that zone, before an origin.
async fn over(zone: &Arc<Zone>, origin: Origin) -> Rig {
    let zones = Zones::default().with(Arc::clone(zone));
    let builder = Gateway::builder().plugin(ProxyCachePlugin::new(zones));
    Rig::before(origin, builder, &route_with("{proxy-cache: {cache_zone: disk}}")).await
}

async fn origin(body: &str) -> Origin {
    let fields = "cache-control: max-age=600\r\netag: \"1\"\r\ncontent-type: text/plain";
    Origin::answering(format!("HTTP/1.1 200 OK\r\n{fields}\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await
}

/// Waits until a zone is as a test wants it.
async fn until(zone: &Zone, wanted: impl Fn(&Zone) -> bool) {
    let waiting = async {
        while !wanted(zone) {
            tokio::task::yield_now().await;
        }
    };
    let told = || format!("{zone:?}");
    super::peers::within(told, waiting).await;
}

/// Every file of an answer in a zone.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(files(&path));
        } else if !path.ends_with("lock") {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn news_are_kept_in_memory_and_purged_by_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = example("proxy-cache").replace("/var/tmp/tollgate", folder.path().to_str().unwrap());
    let rig = Rig::of(&yaml).await;
    for wanted in ["MISS", "HIT", "HIT"] {
        let answer = rig.get("/news/1?page=2", &[("cookie", "session=1")]).await;
        assert_eq!((status(&answer), answer.text().as_str()), (wanted, "origin"));
    }
    let head = rig.ask("HEAD /news/1?page=2", &[]).await;
    assert_eq!((status(&head), head.field("content-length")), ("HIT", Some("6")));
    let part = rig.get("/news/1?page=2", &[("range", "bytes=1-2")]).await;
    assert_eq!((part.status(), part.text().as_str(), part.field("content-range")), (206, "ri", Some("bytes 1-2/6")));
    assert_eq!(rig.forwarded_count(), 1);
    let purge = "PURGE /news/1?page=2";
    assert_eq!((rig.ask(purge, &[]).await.status(), rig.ask(purge, &[]).await.status()), (200, 404));
    assert_eq!(status(&rig.get("/news/1?page=2", &[]).await), "MISS");
    assert!(files(folder.path()).is_empty(), "no folder is made that nobody uses");
}

#[tokio::test]
async fn zones_live_over_reloads() {
    let rig = Rig::of(&route_with("{proxy-cache: {cache_strategy: memory}}")).await;
    assert_eq!(status(&rig.get("/", &[]).await), "MISS");
    rig.apply(&route_with("{proxy-cache: {cache_strategy: memory, cache_ttl: 30}}"));
    assert_eq!(status(&rig.get("/", &[]).await), "HIT");
    let zone = "tollgate: {cache_zones: [{name: memory_cache, memory_size: 2m}]}\n";
    rig.apply(&format!("{zone}{}", route_with("{proxy-cache: {cache_strategy: memory}}")));
    assert_eq!(status(&rig.get("/", &[]).await), "MISS", "another zone of that name");
}

#[tokio::test]
async fn answers_on_disk_outlive_the_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let bodies = ["x".to_owned(), "y".repeat(300_000)];
    for body in &bodies {
        let path = folder.path().join(body.len().to_string());
        let zone = disk(&path);
        let rig = over(&zone, origin(body).await).await;
        assert_eq!(status(&rig.get("/a", &[]).await), "MISS");
        until(&zone, |zone| zone.stats().stored == 1).await;
        assert_eq!(files(&path).len(), 1);
        assert_eq!(status(&rig.get("/a", &[]).await), "HIT");
        drop((rig, zone));
        // what a process that was killed had not finished
        fs::write(path.join("unfinished/0000000000000001"), "half").unwrap();
        let zone = disk(&path);
        // the gateway that is gone holds the folder until its last connection is
        super::peers::within(|| "the folder".to_owned(), async {
            while zone.open().await.is_err() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!((zone.stats().entries, files(&path).len()), (1, 1));
        let rig = over(&zone, origin("another").await).await;
        let answer = rig.get("/a", &[]).await;
        assert_eq!((status(&answer), answer.text().as_str()), ("HIT", body.as_str()));
        assert_eq!((answer.field("etag"), answer.field("content-type")), (Some("\"1\""), Some("text/plain")));
        let part = rig.get("/a", &[("range", "bytes=-1")]).await;
        assert_eq!((part.status(), part.body.len()), (206, 1));
        assert_eq!(rig.forwarded_count(), 0);
        assert_eq!(rig.get("/a", &[("if-none-match", "\"1\"")]).await.status(), 304);
    }
}

#[tokio::test]
async fn a_folder_is_taken_over_live_when_its_gateway_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (disk(folder.path()), disk(folder.path()));
    let first = over(&old, origin("x").await).await;
    assert_eq!(status(&first.get("/a", &[]).await), "MISS");
    until(&old, |zone| zone.stats().stored == 1).await;
    // as when a new program is started before the one before it has ended
    let second = over(&new, origin("another").await).await;
    for _ in 0..3 {
        let answer = second.get("/a", &[]).await;
        assert_eq!((status(&answer), answer.text().as_str()), ("MISS", "another"));
    }
    assert_eq!((new.stats().stored, new.stats().errors, files(folder.path()).len()), (0, 0, 1));
    assert_eq!(status(&first.get("/a", &[]).await), "HIT", "the first has it still");
    drop((first, old));
    until(&new, |zone| zone.stats().entries == 1).await;
    let answer = second.get("/a", &[]).await;
    assert_eq!((status(&answer), answer.text().as_str()), ("HIT", "x"));
    assert_eq!(status(&second.get("/b", &[]).await), "MISS");
    until(&new, |zone| zone.stats().stored == 1).await;
    assert_eq!(status(&second.get("/b", &[]).await), "HIT");
}

#[tokio::test]
async fn a_global_cache_leaves_routes_with_their_own_to_them() {
    let cache = "{proxy-cache: {cache_strategy: memory}}";
    let rig = Rig::of(&format!("global_rules: [{{id: all, plugins: {cache}}}]\n{}", route_with(cache))).await;
    for wanted in ["MISS", "HIT"] {
        assert_eq!(status(&rig.get("/", &[]).await), wanted);
    }
    assert_eq!(rig.ask("PURGE /", &[]).await.status(), 200);
    let answer = rig.get("/", &[]).await;
    assert_eq!((status(&answer), answer.field("age"), rig.forwarded_count()), ("MISS", None, 2));
    rig.apply(&format!("global_rules: [{{id: all, plugins: {cache}}}]\n{}", route_with("{}")));
    for wanted in ["MISS", "HIT"] {
        assert_eq!(status(&rig.get("/other", &[]).await), wanted, "the others are the rule's");
    }
}

#[tokio::test]
async fn a_file_that_has_rotted_is_dropped_and_fetched_anew() {
    let folder = tempfile::tempdir().unwrap();
    let body = "y".repeat(100_000);
    let zone = disk(folder.path());
    let rig = over(&zone, origin(&body).await).await;
    rig.get("/a", &[]).await;
    until(&zone, |zone| zone.stats().stored == 1).await;
    let length = fs::metadata(&files(folder.path())[0]).unwrap().len();
    for (count, place) in [0, 9, 30, 60, 90_000, length - 1, length].into_iter().enumerate() {
        let file = files(folder.path()).remove(0);
        let mut bytes = fs::read(&file).unwrap();
        match bytes.get_mut(usize::try_from(place).unwrap()) {
            Some(byte) => *byte ^= 1,
            None => bytes.truncate(bytes.len() - 1),
        }
        fs::write(&file, bytes).unwrap();
        let answer = rig.get("/a", &[]).await;
        assert_eq!((status(&answer), answer.text() == body), ("MISS", true), "byte {place}");
        let number = count as u64 + 1;
        until(&zone, |zone| zone.stats().stored == number + 1).await;
        assert_eq!((zone.stats().corrupt, files(folder.path()).len()), (number, 1));
        assert_eq!(status(&rig.get("/a", &[]).await), "HIT");
    }
}

#[tokio::test]
async fn a_long_file_that_has_rotted_breaks_off_and_is_fetched_anew() {
    let folder = tempfile::tempdir().unwrap();
    let body = "y".repeat(1_000_000);
    let zone = disk(folder.path());
    let rig = over(&zone, origin(&body).await).await;
    rig.get("/a", &[]).await;
    until(&zone, |zone| zone.stats().stored == 1).await;
    let file = files(folder.path()).remove(0);
    let mut bytes = fs::read(&file).unwrap();
    bytes[900_000] ^= 1;
    fs::write(&file, bytes).unwrap();
    let mut client = Client::connect(rig.address).await;
    client.send("GET /a HTTP/1.1\r\nhost: gw.test\r\n\r\n").await;
    let rest = client.rest().await;
    assert!(rest.len() < 950_000, "{} bytes of a wrong answer", rest.len());
    let answer = rig.get("/a", &[]).await;
    assert_eq!((status(&answer), answer.text() == body), ("MISS", true));
    assert_eq!(zone.stats().corrupt, 1);
}

#[tokio::test]
async fn a_disk_that_takes_nothing_is_counted_and_everybody_served() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let zone = disk(&file.join("below"));
    assert!(zone.open().await.is_err());
    let rig = over(&zone, origin(&"y".repeat(3_000_000)).await).await;
    for _ in 0..2 {
        let errors = zone.stats().errors;
        let answer = rig.get("/a", &[]).await;
        assert_eq!((status(&answer), answer.body.len()), ("MISS", 3_000_000));
        until(&zone, |zone| zone.stats().errors > errors).await;
    }
    assert_eq!(zone.stats().stored, 0);
}

#[tokio::test]
async fn a_zone_on_disk_stays_within_its_size() {
    let folder = tempfile::tempdir().unwrap();
    let zone = disk(folder.path());
    let rig = over(&zone, origin(&"y".repeat(1_000_000)).await).await;
    for number in 0..40 {
        rig.get(&format!("/{number}"), &[]).await;
        until(&zone, |zone| zone.stats().stored == number + 1).await;
    }
    let on_disk: u64 = files(folder.path()).iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    assert!(on_disk <= 16 << 20, "{on_disk}");
    let stats = zone.stats();
    assert_eq!((stats.entries, stats.entries + stats.evicted), (files(folder.path()).len() as u64, 40));
    assert!(stats.entries >= 12, "{stats:?}");
}

#[tokio::test]
async fn what_a_zone_on_disk_has_is_checked_with_the_origin_when_it_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let zone = disk(folder.path());
    let answers =
        ["200 OK\r\ncache-control: max-age=1\r\nage: 0", "304 Not Modified\r\ncache-control: max-age=600\r\nx-new: 1"];
    let origin = Origin::scripted(move |_| {
        vec![
            Step::Request,
            Step::send(format!("HTTP/1.1 {}\r\netag: \"1\"\r\ncontent-length: 3\r\n\r\none", answers[0])),
            Step::Request,
            Step::send(format!("HTTP/1.1 {}\r\netag: \"1\"\r\n\r\n", answers[1])),
        ]
    })
    .await;
    let rig = over(&zone, origin).await;
    assert_eq!(status(&rig.get("/a", &[]).await), "MISS");
    until(&zone, |zone| zone.stats().stored == 1).await;
    // time on disk is the system's
    let began = std::time::Instant::now();
    let answer = loop {
        let answer = rig.get("/a", &[]).await;
        assert!(began.elapsed().as_secs() < 20);
        if status(&answer) != "HIT" {
            break answer;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((status(&answer), answer.text().as_str(), answer.field("x-new")), ("REVALIDATED", "one", Some("1")));
    until(&zone, |zone| zone.stats().stored == 2).await;
    let answer = rig.get("/a", &[]).await;
    assert_eq!((status(&answer), answer.text().as_str(), answer.field("x-new")), ("HIT", "one", Some("1")));
    assert_eq!(files(folder.path()).len(), 1);
}

#[tokio::test]
async fn sec_cache_03_what_an_origin_cuts_off_or_never_ends_is_not_kept() {
    for head in ["content-length: 9", "transfer-encoding: chunked", "connection: close"] {
        let origin = Origin::scripted(move |_| {
            vec![
                Step::Request,
                Step::send(format!("HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\n{head}\r\n\r\n")),
                Step::send(if head.starts_with("transfer") { "3\r\nabc\r\n" } else { "abc" }),
                Step::Close,
            ]
        })
        .await;
        let rig = Rig::before(origin, Gateway::builder(), &route_with("{proxy-cache: {cache_strategy: memory}}")).await;
        for _ in 0..2 {
            let mut client = rig.client().await;
            client.send("GET / HTTP/1.1\r\nhost: gw.test\r\nconnection: close\r\n\r\n").await;
            let text = String::from_utf8(client.rest().await).unwrap().to_ascii_lowercase();
            assert!(!text.contains("apisix-cache-status: hit"), "{head}: {text}");
        }
        assert_eq!(rig.origin.seen().len(), 2, "{head}");
    }
}

#[tokio::test]
async fn sec_cache_02_what_clients_say_of_themselves_poisons_nothing() {
    let rig = Rig::of(&route_with("{proxy-cache: {cache_strategy: memory}}")).await;
    let evil = [
        ("X-Forwarded-Host", "evil.test"),
        ("X-Original-URL", "/admin"),
        ("X-HTTP-Method-Override", "POST"),
        ("X-Forwarded-Proto", "ftp"),
    ];
    assert_eq!(status(&rig.get("/", &evil).await), "MISS");
    let forwarded = rig.forwarded();
    assert_eq!(forwarded.field("x-forwarded-host"), Some("gw.test"));
    assert_eq!((forwarded.field("x-original-url"), forwarded.field("x-http-method-override")), (None, None));
    assert_eq!(forwarded.field("x-forwarded-proto"), Some("http"));
    assert_eq!(status(&rig.get("/", &[]).await), "HIT");
}

#[tokio::test]
async fn sec_cache_01_a_path_that_a_plugin_makes_is_part_of_the_key() {
    let rig =
        Rig::of(&route_with("{proxy-rewrite: {uri: /of/$http_x_tenant}, proxy-cache: {cache_strategy: memory}}")).await;
    for (tenant, wanted) in [("a", "MISS"), ("b", "MISS"), ("a", "HIT"), ("b", "HIT")] {
        assert_eq!(status(&rig.get("/", &[("x-tenant", tenant)]).await), wanted, "{tenant}");
    }
}

#[cfg(feature = "callout")]
#[tokio::test]
async fn sec_cache_02_whom_an_outer_service_knows_has_answers_of_his_own() {
    let service = Origin::scripted(|connection| {
        let user = if connection % 2 == 0 { "ann" } else { "bob" };
        let answer = format!("HTTP/1.1 200 OK\r\nx-user: {user}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        vec![Step::Request, Step::send(answer), Step::Close]
    })
    .await;
    let plugins = format!(
        "{{forward-auth: {{uri: 'http://{}/', upstream_headers: [X-User]}}, proxy-cache: {{cache_strategy: memory}}}}",
        service.address()
    );
    let rig = Rig::of(&route_with(&plugins)).await;
    for (user, wanted) in [("ann", "MISS"), ("bob", "MISS"), ("ann", "HIT"), ("bob", "HIT")] {
        assert_eq!(status(&rig.get("/", &[]).await), wanted, "{user}");
    }
}

#[tokio::test]
async fn sec_cache_01_a_host_that_a_plugin_makes_is_part_of_the_key() {
    let rewrite = "headers: {set: {X-Forwarded-Host: $http_x_tenant}}";
    let rig =
        Rig::of(&route_with(&format!("{{proxy-rewrite: {{{rewrite}}}, proxy-cache: {{cache_strategy: memory}}}}")))
            .await;
    for (tenant, wanted) in [("a", "MISS"), ("b", "MISS"), ("a", "HIT")] {
        assert_eq!(status(&rig.get("/", &[("x-tenant", tenant)]).await), wanted, "{tenant}");
    }
}

#[tokio::test]
async fn a_query_that_a_plugin_makes_is_part_of_the_key() {
    let plugins = "{proxy-rewrite: {uri: '/api?tenant=$http_x_tenant'}, proxy-cache: {cache_strategy: memory}}";
    let rig = Rig::of(&route_with(plugins)).await;
    for (tenant, wanted) in [("a", "MISS"), ("b", "MISS"), ("a", "HIT"), ("b", "HIT")] {
        assert_eq!(status(&rig.get("/api", &[("x-tenant", tenant)]).await), wanted, "{tenant}");
    }
}

#[tokio::test]
async fn routes_of_one_path_keep_their_answers_apart() {
    let route = |id: &str, more: &str| {
        format!(
            "  - {{id: {id}, uri: '/*', {more}plugins: {{proxy-cache: {{cache_strategy: memory}}}}, \
             upstream: {{type: roundrobin, nodes: {{'127.0.0.1:7001': 1}}}}}}\n"
        )
    };
    let guarded = route("staff", "priority: 9, vars: [['http_x_staff', '==', '1']], ");
    let rig = Rig::of(&format!("routes:\n{guarded}{}", route("public", ""))).await;
    for (staff, wanted) in [("1", "MISS"), ("0", "MISS"), ("1", "HIT"), ("0", "HIT")] {
        assert_eq!(status(&rig.get("/", &[("x-staff", staff)]).await), wanted, "{staff}");
    }
    let purge = rig.ask("PURGE /", &[("x-staff", "1")]).await;
    assert_eq!(purge.status(), 200);
    for staff in ["0", "1"] {
        assert_eq!(status(&rig.get("/", &[("x-staff", staff)]).await), "MISS", "what is taken out is the URL");
    }
}

#[cfg(feature = "callout")]
#[tokio::test]
async fn what_an_outer_service_says_of_the_caller_reaches_the_origin() {
    let service = Origin::scripted(|_| {
        let answer = "HTTP/1.1 200 OK\r\nx-forwarded-user: ann\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        vec![Step::Request, Step::send(answer), Step::Close]
    })
    .await;
    let plugins = format!(
        "{{forward-auth: {{uri: 'http://{}/', upstream_headers: [X-Forwarded-User]}}, proxy-cache: {{cache_strategy: memory}}}}",
        service.address()
    );
    let rig = Rig::of(&route_with(&plugins)).await;
    assert_eq!(status(&rig.get("/", &[("x-forwarded-user", "root"), ("x_original_url", "/admin")]).await), "MISS");
    let forwarded = rig.forwarded();
    assert_eq!((forwarded.field("x-forwarded-user"), forwarded.field("x_original_url")), (Some("ann"), None));
}

#[tokio::test]
async fn languages_stand_side_by_side_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let zone = disk(folder.path());
    let fields = "cache-control: max-age=600\r\nvary: accept-language\r\ncontent-length: 1";
    let rig = over(&zone, Origin::answering(format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nx")).await).await;
    for (stored, language) in (1..).zip(["de", "en", "fr"]) {
        assert_eq!(status(&rig.get("/", &[("accept-language", language)]).await), "MISS");
        until(&zone, |zone| zone.stats().stored == stored).await;
    }
    for language in ["de", "en", "fr"] {
        assert_eq!(status(&rig.get("/", &[("accept-language", language)]).await), "HIT", "{language}");
    }
    assert_eq!((files(folder.path()).len(), zone.stats().evicted), (3, 0));
}

#[test]
fn zones_are_judged_with_the_settings() {
    for (zones, says) in [
        ("[{memory_size: 50m}]", "name"),
        ("[{name: a, memory_size: 1k}]", "at least 1m"),
        ("[{name: a, disk_path: cache}]", "the whole path of a folder"),
        ("[{name: a, cache_levels: '3'}]", "each 1 or 2"),
        ("[{name: a}, {name: a, memory_size: 60m}]", "cache_zones[1].name: is a, the name of an earlier zone"),
        ("[{name: a, disk_path: /x/../y}]", "without .."),
        (
            "[{name: a, disk_path: /x}, {name: b, disk_path: /x}]",
            "cache_zones[1].disk_path: is /x, in /x, which is another zone's",
        ),
        ("[{name: a, disk_path: /x/./}, {name: b, disk_path: /x}]", "cache_zones[1].disk_path: is /x, in /x/./, which"),
        ("[{name: a, disk_path: /x/y}, {name: b, disk_path: /x}]", "cache_zones[0].disk_path: is /x/y, in /x, which"),
        (
            "[{name: a, disk_path: /var/tmp/tollgate}]",
            "cache_zones[0].disk_path: is /var/tmp/tollgate, around /var/tmp/tollgate/disk_cache_one, which",
        ),
        ("[{name: a, size: 1m}]", "size"),
    ] {
        let text = refused(&format!("tollgate: {{cache_zones: {zones}}}\n{}", route_with("{}")));
        assert!(text.contains(says), "{zones}: {text}");
    }
    let text = refused(&route_with("{proxy-cache: {cache_zone: nowhere}}"));
    assert!(
        text.contains("plugins.proxy-cache.cache_zone: ") && text.contains("cache_zone nowhere not found"),
        "{text}"
    );
}
