//! `proxy-cache` and `graphql-proxy-cache`.
use super::peers::within;
use super::rig::{Reply, Rig, files, letters};

const YAML: &str = include_str!("cache.yaml");
/// The key has the host, and a gateway that starts anew has another port.
const HOST: [&str; 2] = ["-H", "Host: files.test"];

async fn rig() -> Rig {
    let rig = Rig::of(YAML).await;
    rig.serve("a.txt", letters(100_000));
    rig
}

/// What the cache did with each of these.
async fn did(rig: &Rig, requests: &[(&str, &[&str])]) -> Vec<String> {
    let mut all = Vec::new();
    for (path, arguments) in requests {
        all.push(rig.curl(path, arguments).await.cache());
    }
    all
}

/// On disk an answer is known when its file has got its name, and again when the folder was read: asks for what is kept
/// until it is, without a chance that nginx is asked.
async fn kept(rig: &Rig, path: &str) -> Reply {
    within(|| format!("{path} to be kept"), async {
        loop {
            let reply = rig.curl(path, &[&HOST[..], &["-H", "Cache-Control: only-if-cached"]].concat()).await;
            match reply.status {
                504 => {}
                _ => return reply,
            }
        }
    })
    .await
}

#[tokio::test]
async fn an_answer_in_memory_is_told_of_as_the_catalogue_says() {
    let rig = rig().await;
    let first = rig.curl("/memory/a.txt", &[]).await;
    assert_eq!((first.status, first.cache().as_str(), first.field("age")), (200, "MISS", None));
    let second = rig.curl("/memory/a.txt", &[]).await;
    assert_eq!((second.cache().as_str(), second.body == first.body), ("HIT", true));
    for name in ["etag", "last-modified", "content-type", "content-length", "expires", "server"] {
        assert_eq!(second.field(name), first.field(name), "{name}");
    }
    assert!(second.field("age").unwrap().parse::<u32>().unwrap() < 20);
    let head = rig.curl("/memory/a.txt", &["-I"]).await;
    assert_eq!((head.cache().as_str(), head.field("content-length").as_deref()), ("HIT", Some("100000")));
    let part = rig.curl("/memory/a.txt", &["-r", "26-28"]).await;
    assert_eq!((part.status, part.cache().as_str(), part.text()), (206, "HIT", "abc"));
    assert_eq!(part.field("content-range").as_deref(), Some("bytes 26-28/100000"));
    let tail = rig.curl("/memory/a.txt", &["-r", "-2"]).await;
    assert_eq!((tail.status, tail.body.len()), (206, 2));
    assert_eq!(rig.curl("/memory/a.txt", &["-r", "200000-"]).await.status, 416);
    let tag = first.field("etag").unwrap();
    let same = rig.curl("/memory/a.txt", &["-H", &format!("If-None-Match: {tag}")]).await;
    assert_eq!((same.status, same.body.len()), (304, 0));
    // The query is a part of the key; a method of neither list goes past.
    let more = [("/memory/a.txt?b", &[] as &[&str]), ("/memory/a.txt?b", &[]), ("/memory/echo", &["-d", "x"])];
    assert_eq!(did(&rig, &more).await, ["MISS", "HIT", "MISS"]);
    assert_eq!(rig.asked("/a.txt"), 1);
}

#[tokio::test]
async fn purging_is_for_the_route_that_allows_it_and_the_addresses_it_names() {
    let rig = rig().await;
    for path in ["/memory/vary", "/unpurged/vary", "/distant/vary"] {
        let german = ["-H", "Accept-Language: de"];
        let all = [(path, &[] as &[&str]), (path, &german), (path, &german)];
        assert_eq!(did(&rig, &all).await, ["MISS", "MISS", "HIT"], "{path}");
    }
    assert_eq!(rig.says("/memory/vary", &["-X", "PURGE"]).await, (200, String::new()));
    assert_eq!(rig.says("/memory/vary", &["-X", "PURGE"]).await, (404, String::new()), "all variants are gone");
    assert_eq!(did(&rig, &[("/memory/vary", &["-H", "Accept-Language: de"])]).await, ["MISS"]);
    assert_eq!(rig.curl("/unpurged/vary", &["-X", "PURGE"]).await.status, 404, "no route");
    assert_eq!(rig.curl("/distant/vary", &["-X", "PURGE"]).await.status, 403);
    assert_eq!(did(&rig, &[("/unpurged/vary", &[]), ("/distant/vary", &[])]).await, ["HIT", "HIT"]);
}

#[tokio::test]
async fn what_is_not_to_be_kept_is_not() {
    let rig = rig().await;
    for path in ["/memory/private/a.txt", "/memory/cookie/a.txt", "/memory/status/500", "/memory/each?once=1"] {
        assert_eq!(did(&rig, &[(path, &[]), (path, &[])]).await, ["MISS", "MISS"], "{path}");
    }
    assert_eq!(did(&rig, &[("/memory/status/404", &[]), ("/memory/status/404", &[])]).await, ["MISS", "HIT"]);
    let each = rig.curl("/memory/each", &[]).await.body;
    let past = rig.curl("/memory/each?bypass=1", &[]).await;
    assert_eq!((past.cache().as_str(), past.body == each), ("BYPASS", false));
    assert_eq!(rig.curl("/memory/each", &[]).await.body, each);
    // Each caller has his own answers.
    let (ann, bob) = (["-H", "apikey: key-of-ann"], ["-H", "apikey: key-of-bob"]);
    let path = "/own/each";
    assert_eq!(did(&rig, &[(path, &ann), (path, &bob), (path, &ann), (path, &[])]).await, ["MISS", "MISS", "HIT", ""]);
}

#[tokio::test]
async fn clients_are_obeyed_where_the_block_says_so() {
    let rig = rig().await;
    let only = ["-H", "Cache-Control: only-if-cached"];
    assert_eq!(rig.says("/obedient/a.txt", &only).await, (504, String::new()));
    let path = "/obedient/a.txt";
    let all = [(path, &[] as &[&str]), (path, &only), (path, &["-H", "Cache-Control: no-cache"])];
    assert_eq!(did(&rig, &all).await, ["MISS", "HIT", "BYPASS"]);
    let hit = rig.curl(path, &[]).await;
    assert_eq!((hit.cache().as_str(), hit.field("expires"), hit.field("cache-control")), ("HIT", None, None));
    // It says nothing of how long it holds.
    assert_eq!(did(&rig, &[("/obedient/each", &[]), ("/obedient/each", &[])]).await, ["MISS", "MISS"]);
}

#[tokio::test]
async fn what_is_on_disk_outlives_the_process_and_not_a_purge() {
    let mut rig = rig().await;
    let path = "/disk/a.txt";
    let first = rig.curl(path, &HOST).await;
    assert_eq!((first.status, first.cache().as_str()), (200, "MISS"));
    assert_eq!(kept(&rig, path).await.body, first.body);
    rig.kill_and_restart().await;
    let again = kept(&rig, path).await;
    assert_eq!((again.status, again.cache().as_str(), again.body == first.body), (200, "HIT", true));
    assert_eq!(again.field("etag"), first.field("etag"));
    let part = rig.curl(path, &[&HOST[..], &["-r", "0-2"]].concat()).await;
    assert_eq!((part.status, part.cache().as_str(), part.text()), (206, "HIT", "abc"));
    assert_eq!(rig.asked("/a.txt"), 1);
    // A file that is not as it was written is dropped, and its answer fetched anew.
    let files: Vec<_> =
        files(&rig.file("zone")).into_iter().filter(|file| file.metadata().unwrap().len() > 100_000).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let mut content = std::fs::read(&files[0]).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    std::fs::write(&files[0], content).unwrap();
    let mended = rig.curl(path, &HOST).await;
    assert_eq!((mended.status, mended.cache().as_str(), mended.body == first.body), (200, "MISS", true));
    assert_eq!((kept(&rig, path).await.body == first.body, rig.asked("/a.txt")), (true, 2));
    let purge = [&HOST[..], &["-X", "PURGE"]].concat();
    assert_eq!(rig.curl(path, &purge).await.status, 200);
    assert_eq!(rig.curl(path, &purge).await.status, 404);
    assert_eq!(rig.curl(path, &HOST).await.cache(), "MISS");
}

#[tokio::test]
async fn queries_are_kept_and_mutations_pass() {
    let rig = rig().await;
    let query = ["-H", "Content-Type: application/json", "-d", r#"{"query": "{ me { name } }"}"#];
    let first = rig.curl("/graphql", &query).await;
    let second = rig.curl("/graphql", &query).await;
    assert_eq!((first.cache().as_str(), second.cache().as_str(), second.body == first.body), ("MISS", "HIT", true));
    let key = second.field("apisix-cache-key").unwrap();
    assert_eq!(first.field("apisix-cache-key").unwrap(), key);
    assert_eq!(rig.curl("/graphql?query=%7Bme%7D", &[]).await.cache(), "MISS");
    assert_eq!(rig.curl("/graphql?query=%7Bme%7D", &[]).await.cache(), "HIT");
    let mutation = ["-H", "Content-Type: application/graphql", "-d", "query q { a } mutation m { b }"];
    assert_eq!(did(&rig, &[("/graphql", &mutation), ("/graphql", &mutation)]).await, ["BYPASS", "BYPASS"]);
    for (arguments, path, status, message) in [
        (&[] as &[&str], "/graphql", 400, "invalid graphql request, args[query] is nil"),
        (
            &["-H", "Content-Type: application/json", "-d", "{}"],
            "/graphql",
            400,
            "invalid graphql request, json body[query] is nil",
        ),
        (
            &["-H", "Content-Type: text/plain", "-d", "{}"],
            "/graphql",
            400,
            "invalid graphql request, error content-type: text/plain",
        ),
        (&["-X", "POST"], "/graphql", 400, "Invalid graphql request: can't get graphql request body"),
        (&[], "/graphql?query=%7B", 400, "Invalid graphql request: failed to parse graphql query"),
    ] {
        let reply = rig.curl(path, arguments).await;
        assert_eq!((reply.status, reply.json()["message"].as_str()), (status, Some(message)), "{arguments:?} {path}");
    }
    let refused = rig.curl("/graphql", &["-X", "PUT"]).await;
    assert_eq!((refused.status, refused.field("allow").as_deref()), (405, Some("GET, POST")));
    let purge = |rest: String| format!("/apisix/plugin/graphql-proxy-cache/{rest}");
    for (rest, status) in [
        (format!("tape/graphql/{key}"), 400),
        (format!("disk/graphql/{key}"), 400),
        ("memory/graphql".to_owned(), 400),
        ("memory/graphql/0123456789abcdef".to_owned(), 404),
        (format!("memory/another/{key}"), 404),
        (format!("memory/graphql/{key}"), 200),
        (format!("memory/graphql/{key}"), 404),
    ] {
        assert_eq!(rig.curl(&purge(rest.clone()), &["-X", "PURGE"]).await.status, status, "{rest}");
    }
    assert_eq!(rig.curl("/graphql", &query).await.cache(), "MISS");
}
