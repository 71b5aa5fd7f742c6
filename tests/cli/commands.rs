//! `validate`, `explain`, and what ends with one clear line and exit code 2.
use std::net::TcpListener;

use super::process::{Folder, Gateway, leading_to, outcome};

const FAULTY: &str = "\
routes:
  - id: good
    uri: /good
    upstream: {nodes: {\"127.0.0.1:1\": 1}}
  - id: typo
    uri: /typo
    upstreem_id: u
    upstream_id: u
  - id: weight
    uri: /weight
    upstream: {nodes: {\"127.0.0.1:1\": heavy}}
  - id: plugin
    uri: /plugin
    plugins: {unheard-of: {}}
    upstream_id: u
  - id: expression
    uri: /expression
    vars: [[uri, \"~~\", \"(\"]]
    upstream_id: u
upstreams:
  - id: u
    nodes: {\"127.0.0.1:1\": 1}
#END
";

#[test]
fn validate_prints_every_fault_with_its_place_and_exits_1() {
    let folder = Folder::new();
    let file = folder.write("faulty.yaml", FAULTY);
    let (code, out, err) = outcome(&["validate", &file]);
    assert_eq!((code, &*err), (1, ""), "{out}");
    for says in [
        "error: line 7: route `typo`, field upstreem_id: is not a field that is known here; did you mean `upstream_id`?",
        "route `weight`, field upstream.nodes",
        "route `plugin`, field plugins.unheard-of: unknown plugin `unheard-of`",
        "route `expression`, field vars: ",
    ] {
        assert!(out.contains(says), "{says} is not in {out}");
    }
    assert!(out.ends_with("faulty.yaml: 4 faults, 0 warnings\n"), "{out}");
}

#[test]
fn validate_exits_0_for_a_good_file_and_warns() {
    let folder = Folder::new();
    let file = folder.write("good.json", r#"{"routes": [{"id": "r", "uri": "/", "upstream_id": "gone"}]}"#);
    let (code, out, err) = outcome(&["validate", &file]);
    assert_eq!((code, &*err), (0, ""), "{out}");
    assert!(out.contains("warning: ") && out.contains("`gone`"), "{out}");
    assert!(out.ends_with("good.json: 0 faults, 1 warnings\n"), "{out}");
}

#[test]
fn validate_tells_differences_from_apisix_where_it_is_asked_to() {
    let folder = Folder::new();
    let text = "routes: [{id: r, uri: /, upstream_id: u}]\nupstreams: [{id: u, nodes: {\"a.test:80\": 1}}]\n#END\n";
    let file = folder.write("a.yaml", text);
    let (code, out, _) = outcome(&["validate", "--compat", &file]);
    assert_eq!(code, 0, "{out}");
    for says in [
        "document: path-mode\n  APISIX:   ",
        "upstream `u`, field timeout.connect: connect-timeout-default\n",
        "  as it was: write `timeout: {connect: 60, send: 60, read: 60}`\n",
        "upstream `u`, field nodes: names\n",
        "a.yaml: 6 differences from Apache APISIX\n",
    ] {
        assert!(out.contains(says), "{says} is not in {out}");
    }
    assert!(!outcome(&["validate", &file]).1.contains("APISIX"));
}

#[test]
fn explain_names_the_candidates_and_why_each_fails() {
    let folder = Folder::new();
    let file = folder.write(
        "a.yaml",
        "\
routes:
  - {id: beta, uri: /v1/*, priority: 9, vars: [[http_x_ring, ==, beta]], upstream_id: u}
  - {id: posts, uri: /v1/*, methods: [POST], upstream_id: u}
  - {id: all, uri: /*, upstream_id: u}
upstreams: [{id: u, nodes: {\"127.0.0.1:1\": 1}}]
#END
",
    );
    let (code, out, err) = outcome(&["explain", &file, "GET", "http://api.test/v1/x"]);
    assert_eq!((code, &*err), (0, ""), "{out}");
    let at = |text: &str| out.find(text).unwrap_or_else(|| panic!("{text} is not in {out}"));
    assert!(at("beta") < at("posts") && at("posts") < at("all"), "{out}");
    assert!(out.contains("methods") && out.contains("http_x_ring"), "{out}");
    assert!(out.ends_with("route all wins\n"), "{out}");
    let (code, out, _) = outcome(&["explain", &file, "GET", "http://api.test/v1/x", "-H", "x-ring: beta"]);
    assert_eq!(code, 0);
    assert!(out.ends_with("route beta wins\n"), "{out}");
}

/// Exit code 2, nothing on standard output and one line that says all of `says`.
fn refused(arguments: &[&str], says: &[&str]) {
    let (code, out, err) = outcome(arguments);
    assert_eq!((code, &*out), (2, ""), "{arguments:?}: {err}");
    assert_eq!(err.lines().count(), 1, "{arguments:?}: {err}");
    for says in says {
        assert!(err.contains(says), "{arguments:?}: {says} is not in {err}");
    }
}

#[test]
fn wrong_arguments_end_with_one_line_and_code_2() {
    refused(&["--confg", "a.yaml"], &["--confg"]);
    refused(&["--listen", "nowhere"], &["--listen", "nowhere"]);
    refused(&["--workers", "0"], &["--workers"]);
    refused(&["--drain-seconds", "soon"], &["--drain-seconds"]);
    refused(&["validate"], &["<FILE>"]);
    refused(&["explain", "a.yaml", "GET"], &["<URL>"]);
    refused(&["serve-me"], &["serve-me"]);
}

#[test]
fn help_and_version_are_no_faults() {
    let (code, out, err) = outcome(&["--help"]);
    assert_eq!((code, &*err), (0, ""));
    assert!(out.contains("--config") && out.contains("--drain-seconds") && out.contains("validate"), "{out}");
    assert_eq!(outcome(&["--version"]).0, 0);
}

#[test]
fn files_that_cannot_be_read_end_with_one_line_and_code_2() {
    let folder = Folder::new();
    let nowhere = folder.path("nowhere.yaml").display().to_string();
    for arguments in [&["--config", &nowhere][..], &["validate", &nowhere], &["explain", &nowhere, "GET", "/"]] {
        refused(arguments, &["nowhere.yaml", "cannot be read"]);
    }
    let torn = folder.write("torn.yaml", "routes: [\n");
    refused(&["--config", &torn], &["torn.yaml, line "]);
    let directory = folder.path("").display().to_string();
    refused(&["--config", &directory], &["cannot be read"]);
    let good = folder.write("good.yaml", "routes: []\n#END\n");
    refused(&["--config", &good, "--access-log", &format!("{directory}/no/folder.log")], &["folder.log"]);
}

#[test]
fn a_port_in_use_ends_with_one_line_and_code_2() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    refused(&["--listen", &address], &[&address, "in use"]);
}

#[test]
fn cfg_02_a_first_start_with_any_fault_is_refused() {
    let folder = Folder::new();
    let file = folder.write("faulty.yaml", FAULTY);
    let (code, out, err) = outcome(&["--config", &file, "--listen", "127.0.0.1:0"]);
    assert_eq!((code, &*out), (2, ""), "{err}");
    assert!(!err.contains("listening"), "{err}");
    assert!(err.contains("route `typo`") && err.contains("route `expression`"), "{err}");
    assert!(err.lines().last().unwrap().ends_with("4 faults, not started"), "{err}");
}

#[tokio::test]
async fn a_start_policy_can_serve_what_is_valid() {
    let folder = Folder::new();
    let file = folder.write("faulty.yaml", &FAULTY.replace("#END", "tollgate: {start_policy: serve_valid}\n#END"));
    let gateway = Gateway::start(&["--config", &file]).await;
    // Left-out routes fail closed; the good one is tried.
    for (path, status) in [("/typo", 503), ("/plugin", 503), ("/good", 502), ("/other", 404)] {
        assert_eq!(gateway.get(path).await.status(), status, "{path}");
    }
}

#[tokio::test]
async fn a_start_policy_can_wait_for_a_faultless_file() {
    let folder = Folder::new();
    let policy = |text: &str| text.replace("#END", "tollgate: {start_policy: serve_empty}\n#END");
    let file = folder.write("a.yaml", &policy(FAULTY));
    let gateway = Gateway::start(&["--config", &file]).await;
    let told = gateway.hear("the configuration before serves on").await;
    assert!(told.contains("route `typo`"), "{told}");
    assert_eq!(gateway.get("/good").await.status(), 404);
    let good = "routes: [{id: good, uri: /good, upstream: {nodes: {\"127.0.0.1:1\": 1}}}]\n#END\n";
    folder.write("a.yaml", &policy(good));
    gateway.hear("revision 2 in force, 1 routes").await;
    assert_eq!(gateway.get("/good").await.status(), 502);
    // From then on faulty items are left out, as ever.
    folder.write("a.yaml", &policy(FAULTY));
    gateway.hear("route typo: left out").await;
    assert_eq!(gateway.get("/good").await.status(), 502);
}

#[tokio::test]
async fn without_arguments_it_serves_a_demo_and_says_what_to_try() {
    let gateway = Gateway::start(&[]).await;
    gateway.hear("curl").await;
    assert_eq!(gateway.get("/hello/Ada").await.text(), "Hello, Ada! This is tollgate.\n");
    assert!(gateway.get("/echo/x").await.text().contains("\"method\": \"GET\""));
}

#[tokio::test]
async fn listeners_come_from_the_file_unless_a_flag_names_some() {
    let folder = Folder::new();
    let origin = super::peers::origin::Origin::saying("net").await;
    let settings = "tollgate:\n  listeners: [{address: \"127.0.0.1:0\"}]\n  workers: 1\n#END";
    let file = folder.write("a.yaml", &leading_to(origin.address()).replace("#END", settings));
    let gateway = Gateway::start_exactly(&["--config", &file]).await;
    assert_eq!(gateway.get("/").await.text(), "net");
    let gateway = Gateway::start_exactly(&["--config", &file, "--listen", "127.0.0.1:0", "--listen", "[::1]:0"]).await;
    gateway.hear("listening on http://[::1]:").await;
    assert_eq!(gateway.get("/").await.text(), "net");
}
