//! The bundled gateway with its configuration in a store: modes, the Admin API from a terminal, the control API, restarts.
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpStream, UnixStream};

use super::process::{Folder, Gateway, outcome};

const KEY: &str = "a-key-of-more-than-sixteen";

const FILE: &str = "\
upstreams:
  - {id: u, nodes: {\"127.0.0.1:1\": 1}, retries: 0}
consumers:
  - {username: jack}
  - {id: jack/credentials/one, plugins: {key-auth: {key: secret-of-jack}}}
routes:
  - {id: shop, uri: /shop/*, upstream_id: u, plugins: {key-auth: {}}}
  - {id: up, uri: /up, plugins: {mocking: {response_example: hello, content_type: text/plain}}}
#END
";

/// A gateway with a store and its Admin API.
struct Served {
    gateway: Gateway,
    folder: Folder,
    admin: String,
    key_file: String,
}

impl Served {
    async fn start(folder: Folder, more: &[&str]) -> Self {
        let key_file = folder.write("key", &format!("{KEY}\n"));
        let database = folder.path("store.redb").display().to_string();
        let mut arguments = vec!["--admin", "127.0.0.1:0", "--admin-key-file", &key_file, "--store-path", &database];
        arguments.extend(more);
        let gateway = Gateway::start(&arguments).await;
        let told = gateway.hear("Admin API on ").await;
        let admin = told.trim_start_matches("Admin API on ").to_owned();
        Self { gateway, folder, admin, key_file }
    }

    /// A command against its Admin API.
    fn admin(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut all = vec!["admin", "--server", &self.admin, "--key-file", &self.key_file];
        all.extend(arguments);
        outcome(&all)
    }
}

async fn said(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    said
}

async fn unix(path: &Path, uri: &str) -> String {
    said(UnixStream::connect(path).await.unwrap(), uri).await
}

#[tokio::test]
async fn a_file_is_applied_and_read_back_and_outlives_the_process() {
    let mut served = Served::start(Folder::new(), &[]).await;
    let file = served.folder.write("f.yaml", FILE);
    let (code, out, _) = served.admin(&["diff", &file]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("+ consumers/jack/credentials/one\n"), "{out}");
    let (code, out, err) = served.admin(&["apply", "-f", &file, "--dry-run"]);
    assert_eq!((code, &*err), (0, ""), "{out}");
    assert_eq!(served.gateway.get("/up").await.status(), 404);
    let (code, out, err) = served.admin(&["apply", "-f", &file]);
    assert_eq!((code, &*err), (0, "5 changes made\n"), "{out}");
    // An answer of the Admin API means that the change is in force.
    assert_eq!(served.gateway.get("/up").await.text(), "hello");
    assert_eq!(served.admin(&["diff", &file, "--prune"]).0, 0);

    served.gateway.signal("KILL");
    served.gateway.ended().await;
    let served = Served::start(served.folder, &[]).await;
    assert_eq!(served.gateway.get("/up").await.text(), "hello");
    let (code, out, _) = served.admin(&["get", "routes"]);
    assert_eq!(code, 0, "{out}");
    assert!(out.starts_with("ID "), "{out}");
    assert!(out.contains("\nshop ") && out.ends_with("2 in all\n"), "{out}");
    assert!(served.admin(&["history"]).1.contains("created /apisix/routes/up"));
}

/// Writes a route again and again over one connection, and notes the turns that were answered, until the process is gone.
async fn write_on(address: String, round: usize, answered: Arc<AtomicUsize>) -> std::io::Result<()> {
    let mut stream = BufReader::new(TcpStream::connect(address).await?);
    for turn in 1.. {
        let body = format!("{{\"uri\": \"/{round}/{turn}\", \"plugins\": {{}}}}");
        let head = format!(
            "PUT /apisix/admin/routes/r HTTP/1.1\r\nhost: localhost\r\nx-api-key: {KEY}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &*body).as_bytes()).await?;
        let (mut status, mut length, mut line) = (String::new(), 0, String::new());
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let (name, value) = line.trim_end().split_once(": ").unwrap_or((line.trim_end(), ""));
            match name.to_ascii_lowercase().as_str() {
                "" => break,
                "content-length" => length = value.parse().unwrap(),
                name if name.starts_with("http/1.1 ") => status = name.to_owned(),
                _ => {}
            }
        }
        stream.read_exact(&mut vec![0; length]).await?;
        assert!(status.starts_with("http/1.1 20"), "{status}");
        answered.store(turn, Ordering::SeqCst);
    }
    Ok(())
}

#[tokio::test]
async fn sec_cfg_08_what_was_answered_is_there_after_each_kill() {
    let mut folder = Folder::new();
    let mut last = None;
    // Each takes its time in a build for tests: the whole number is for the long run.
    for round in 0..if cfg!(feature = "real-servers") { 200 } else { 20 } {
        let mut served = Served::start(folder, &[]).await;
        if let Some((round, least)) = last {
            let (code, out, err) = served.admin(&["get", "routes/r", "--json"]);
            assert_eq!(code, 0, "{err}");
            let found = out.split(&format!("/{round}/")).nth(1).unwrap_or_else(|| panic!("round {round}: {out}"));
            let turn: usize = found.split('"').next().unwrap().parse().unwrap();
            assert!(turn == least || turn == least + 1, "{turn} is there, {least} was answered last");
        }
        let answered = Arc::new(AtomicUsize::new(0));
        let address = served.admin.trim_start_matches("http://").split('/').next().unwrap().to_owned();
        let writing = tokio::spawn(write_on(address, round, Arc::clone(&answered)));
        while answered.load(Ordering::SeqCst) < 1 + round * 7 % 20 {
            assert!(!writing.is_finished(), "the writer gave up");
            tokio::task::yield_now().await;
        }
        served.gateway.signal("KILL");
        served.gateway.ended().await;
        let _ = writing.await.unwrap();
        last = Some((round, answered.load(Ordering::SeqCst)));
        folder = served.folder;
    }
}

#[tokio::test]
async fn items_are_written_and_rolled_back() {
    let served = Served::start(Folder::new(), &["--store", "memory"]).await;
    let route = |text: &str| {
        let plugins =
            format!("{{\"mocking\": {{\"response_example\": \"{text}\", \"content_type\": \"text/plain\"}}}}");
        served.folder.write("r.json", &format!("{{\"uri\": \"/a\", \"plugins\": {plugins}}}"))
    };
    assert_eq!(served.admin(&["put", "routes/a", &route("one")]).0, 0);
    assert_eq!(served.gateway.get("/a").await.text(), "one");
    let history = served.admin(&["--json", "history"]).1;
    let history: serde_json::Value = serde_json::from_str(&history).unwrap();
    let revision = history["list"][0]["revision"].to_string();
    assert_eq!(served.admin(&["put", "routes/a", &route("two")]).0, 0);
    assert_eq!(served.gateway.get("/a").await.text(), "two");
    let (code, out, _) = served.admin(&["rollback", &revision, "--dry-run"]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("~ /apisix/routes/a\n") && out.ends_with("nothing was changed\n"), "{out}");
    assert_eq!(served.gateway.get("/a").await.text(), "two");
    assert_eq!(served.admin(&["rollback", &revision]).0, 0);
    assert_eq!(served.gateway.get("/a").await.text(), "one");
    let patch = served.folder.write("p.yaml", "uri: /b\n");
    assert_eq!(served.admin(&["patch", "routes/a", &patch]).0, 0);
    assert_eq!(served.gateway.get("/b").await.text(), "one");
    assert_eq!(served.admin(&["delete", "routes/a"]).0, 0);
    assert_eq!(served.gateway.get("/b").await.status(), 404);
}

#[tokio::test]
async fn what_apply_says_as_json_is_what_became_of_it() {
    let served = Served::start(Folder::new(), &["--store", "memory"]).await;
    let file = served.folder.write("f.yaml", FILE);
    let told = |arguments: &[&str]| {
        let (code, out, err) = served.admin(arguments);
        (code, serde_json::from_str::<serde_json::Value>(&out).unwrap_or_else(|_| panic!("{out}{err}")))
    };
    let (code, dry) = told(&["--json", "apply", "-f", &file, "--dry-run"]);
    assert_eq!((code, &dry["applied"], &dry["made"]), (0, &false.into(), &0.into()), "{dry}");
    let (code, done) = told(&["--json", "apply", "-f", &file]);
    assert_eq!((code, &done["applied"], &done["made"]), (0, &true.into(), &5.into()), "{done}");
    let less = FILE.replace(
        "  - {id: up, uri: /up, plugins: {mocking: {response_example: hello, content_type: text/plain}}}\n",
        "",
    );
    let less = served.folder.write("less.yaml", &less);
    let (code, kept) = told(&["--json", "apply", "-f", &less]);
    assert_eq!((code, &kept["made"], &kept["not_in_file"]), (0, &0.into(), &1.into()), "{kept}");
    let (code, pruned) = told(&["--json", "apply", "-f", &less, "--prune"]);
    assert_eq!(
        (code, &pruned["made"], &pruned["removed"]),
        (0, &1.into(), &serde_json::json!(["routes/up"])),
        "{pruned}"
    );
    assert_eq!(served.gateway.get("/up").await.status(), 404);
}

#[tokio::test]
async fn a_list_of_plugins_is_not_left_out_in_silence() {
    let served = Served::start(Folder::new(), &["--store", "memory"]).await;
    let file = served.folder.write("f.yaml", &format!("plugins: [{{name: mocking}}, {{name: key-auth}}]\n{FILE}"));
    let (code, out, err) = served.admin(&["apply", "-f", &file]);
    assert_eq!((code, &*out), (1, ""), "{err}");
    assert!(err.contains("`<prefix>/plugins`") && err.contains("etcdctl"), "{err}");
    assert_eq!(served.gateway.get("/up").await.status(), 404);
}

#[tokio::test]
async fn refusals_have_their_exit_codes() {
    let served = Served::start(Folder::new(), &["--store", "memory"]).await;
    let bad = served.folder.write("bad.json", "{\"uri\": 7}");
    let (code, out, err) = served.admin(&["put", "routes/a", &bad]);
    assert_eq!((code, &*out), (1, ""), "{err}");
    assert!(err.starts_with("refused with 400: "), "{err}");
    assert_eq!(served.admin(&["delete", "routes/none"]).0, 1);
    let faulty = served.folder.write("faulty.yaml", "routes: [{id: a, uri: 7}]\n#END\n");
    assert_eq!(served.admin(&["validate", &faulty]).0, 1);
    assert_eq!(served.admin(&["apply", "-f", &faulty]).0, 1);
    let (code, _, err) =
        outcome(&["admin", "--server", &served.admin, "--key", "a-wrong-key-0000000", "get", "routes"]);
    assert_eq!(code, 1);
    assert!(err.contains("warning: every user of this machine can see --key") && err.contains("401"), "{err}");
    assert!(!err.contains("a-wrong-key"), "{err}");
    let (code, _, err) = outcome(&["admin", "--server", "http://127.0.0.1:1", "get", "routes"]);
    assert_eq!(code, 2, "{err}");
    let (code, _, err) = outcome(&["admin", "--server", "https://127.0.0.1:1", "get", "routes"]);
    assert_eq!(code, 2, "{err}");
}

#[tokio::test]
async fn the_control_api_and_probes_are_served_beside() {
    let folder = Folder::new();
    let socket = folder.path("control.sock");
    let control = format!("unix:{}", socket.display());
    let served = Served::start(folder, &["--store", "memory", "--control", &control, "--status", "127.0.0.1:0"]).await;
    let file = served.folder.write("f.yaml", FILE);
    assert_eq!(served.admin(&["apply", "-f", &file]).0, 0);
    let routes = unix(&socket, "/v1/routes").await;
    assert!(routes.contains("\"modifiedIndex\":") && routes.contains("\"key\":\"/routes/shop\""), "{routes}");
    let status = unix(&socket, "/v1/config/status").await;
    assert!(status.contains("\"place\":\"memory") && status.contains("\"stale\":false"), "{status}");
    let all = unix(&socket, "/v1/route/shop/effective?consumer=jack").await;
    assert!(all.contains("key-auth") && !all.contains("secret-of-jack"), "{all}");
    let metrics = unix(&socket, "/metrics").await;
    assert!(metrics.contains("store_revision"), "{metrics}");
    let told = served.gateway.hear("probes on http://").await;
    let probes: SocketAddr = told.trim_start_matches("probes on http://").trim_end_matches("/status").parse().unwrap();
    let ready = said(TcpStream::connect(probes).await.unwrap(), "/status/ready").await;
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
}

#[test]
fn what_does_not_go_together_is_one_clear_line() {
    let folder = Folder::new();
    let resources = folder.write("r.yaml", &format!("tollgate: {{store: {{kind: memory}}}}\n{FILE}"));
    let settings = folder.write("s.yaml", "tollgate: {role: data_plane, store: {kind: memory}, admin: {}}\n#END\n");
    let plane = folder.write("c.yaml", "tollgate: {role: control_plane, store: {kind: memory}}\n#END\n");
    let open = folder.write(
        "o.yaml",
        "tollgate: {store: {kind: memory}, admin: {listen: \"0.0.0.0:0\", keys: [{name: a, key: aaaaaaaaaaaaaaaa}]}}\n#END\n",
    );
    let alone = folder.write("a.yaml", "tollgate: {admin: {keys: [{name: a, key: aaaaaaaaaaaaaaaa}]}}\n#END\n");
    for (arguments, says) in [
        (vec!["--config", &*resources], "has 5 resources, and the configuration is in a store"),
        (vec!["--config", &settings], "a data_plane serves no Admin API"),
        (vec!["--config", &plane], "a control_plane serves the Admin API alone"),
        (vec!["--config", &open], "the Admin API does not listen on 0.0.0.0:0"),
        (vec!["--config", &alone], "the Admin API needs a store"),
        (vec!["--store", "memory", "--admin", "127.0.0.1:0"], "has no key"),
        (vec!["--store-path", "x"], "--store-path is of no use without a store"),
        (vec!["--control", "0.0.0.0:1"], "is no address for the control API"),
    ] {
        let (code, out, err) = outcome(&arguments);
        assert_eq!((code, &*out), (2, ""), "{arguments:?}: {err}");
        assert!(err.lines().last().unwrap().contains(says), "{arguments:?}: {err}");
    }
}
