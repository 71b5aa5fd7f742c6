//! nginx as the endpoints of upstreams with checks: one that says it is not well, one that is killed, one that is taken out.
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use http::Request;
use tempfile::TempDir;
use tollgate::Body;
use tollgate::config::FileSource;
use tollgate::gateway::Gateway;
use tower::ServiceExt as _;

use super::peers::nginx::Nginx;

/// Long enough for every condition that is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// An nginx that tells its name, and is well as long as it has the file `healthz`.
fn endpoint(name: &str, status: u16) -> Nginx {
    let nginx = Nginx::start(&format!(
        "location / {{ return {status} {name}; }}\nlocation = /healthz {{ alias @DIR@/healthz; }}\n"
    ));
    be_well(&nginx, true);
    nginx
}

fn be_well(nginx: &Nginx, well: bool) {
    let file = nginx.folder().join("healthz");
    if well { fs::write(file, "well").unwrap() } else { fs::remove_file(file).unwrap() }
}

/// Probes that it has had.
fn probes(nginx: &Nginx) -> usize {
    fs::read_to_string(nginx.folder().join("access.log")).unwrap().matches("/healthz").count()
}

struct Rig {
    folder: TempDir,
    gateway: Gateway,
}

impl Rig {
    /// A gateway with an upstream of these nodes and of these lines more.
    fn new(nodes: &[&Nginx], lines: &str) -> Self {
        let rig = Self { folder: tempfile::tempdir().unwrap(), gateway: Gateway::builder().build().unwrap() };
        rig.apply(nodes, lines);
        rig
    }

    fn apply(&self, nodes: &[&Nginx], lines: &str) {
        let nodes: Vec<_> = nodes.iter().map(|nginx| format!("\"{}\": 1", nginx.address())).collect();
        let text = format!(
            "upstreams:\n  - id: u\n    nodes: {{{}}}\n{lines}routes:\n  - {{id: r, uri: /*, upstream_id: u}}\n",
            nodes.join(", ")
        );
        let file = self.folder.path().join("tollgate.yaml");
        fs::write(&file, text).unwrap();
        let loaded = FileSource::new(file).load().unwrap();
        assert!(loaded.findings.iter().all(|finding| !finding.is_error()), "{:?}", loaded.findings);
        self.gateway.apply(loaded.snapshot).unwrap();
    }

    async fn ask(&self, user: &str) -> (u16, String) {
        let request = Request::builder().uri("/").header("host", "a.test").header("x-user", user);
        let response = self.gateway.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        (head.status.as_u16(), String::from_utf8(body.buffer(1 << 20).await.unwrap().to_vec()).unwrap())
    }

    /// Who answered so many requests.
    async fn answers(&self, count: usize) -> BTreeMap<(u16, String), usize> {
        let mut answers = BTreeMap::new();
        for _ in 0..count {
            *answers.entry(self.ask("").await).or_default() += 1;
        }
        answers
    }

    /// Waits until twelve requests are answered by just these, in equal shares.
    async fn settles(&self, names: &[&str]) {
        let wanted: BTreeMap<_, _> = names.iter().map(|name| ((200, (*name).to_owned()), 12 / names.len())).collect();
        let settled = async { while self.answers(12).await != wanted {} };
        tokio::time::timeout(PATIENCE, settled).await.expect("it settles");
    }
}

const ACTIVE: &str = "    checks:\n      active:\n        http_path: /healthz\n        healthy: {interval: 1, successes: 1}\n        \
                      unhealthy: {interval: 1, http_failures: 1, tcp_failures: 1}\n";

#[tokio::test]
async fn an_endpoint_that_says_it_is_not_well_gets_nothing_until_it_is() {
    let (one, two, three) = (endpoint("one", 200), endpoint("two", 200), endpoint("three", 200));
    let rig = Rig::new(&[&one, &two, &three], ACTIVE);
    rig.settles(&["one", "two", "three"]).await;
    be_well(&two, false);
    rig.settles(&["one", "three"]).await;
    be_well(&two, true);
    rig.settles(&["one", "two", "three"]).await;
}

#[tokio::test]
async fn an_endpoint_that_is_killed_costs_no_request() {
    let (one, two, three) = (endpoint("one", 200), endpoint("two", 200), endpoint("three", 200));
    let rig = Rig::new(&[&one, &two, &three], ACTIVE);
    rig.settles(&["one", "two", "three"]).await;
    drop(two);
    let mut asked = 0;
    let settled = async {
        loop {
            let answers = rig.answers(12).await;
            asked += 12;
            assert!(answers.keys().all(|(status, name)| *status == 200 && name != "two"), "{answers:?}");
            if answers.values().all(|count| *count == 6) && asked > 600 {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, settled).await.expect("it settles");
}

#[tokio::test]
async fn what_requests_see_is_enough_and_a_removed_node_is_not_probed() {
    let (good, bad) = (endpoint("good", 200), endpoint("bad", 500));
    let passive = "    checks: {passive: {unhealthy: {http_failures: 3}}}\n";
    let rig = Rig::new(&[&good, &bad], passive);
    let answers = rig.answers(40).await;
    assert_eq!(answers[&(500, "bad".to_owned())], 3, "{answers:?}");
    assert_eq!(probes(&good) + probes(&bad), 0);
    // With probes as well it is known to be well again, and then goes out of the configuration.
    rig.apply(&[&good, &bad], ACTIVE);
    let probed = async {
        while probes(&good) < 2 || probes(&bad) < 2 {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(PATIENCE, probed).await.expect("probes come");
    rig.apply(&[&good], ACTIVE);
    let (before, other) = (probes(&bad), probes(&good));
    let more = async {
        while probes(&good) < other + 3 {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(PATIENCE, more).await.expect("probes go on");
    // One may have been under way.
    assert!(probes(&bad) <= before + 1);
}

#[tokio::test]
async fn each_user_stays_at_an_endpoint_while_it_is_well() {
    let endpoints = ["one", "two", "three"].map(|name| endpoint(name, 200));
    let nodes: Vec<&Nginx> = endpoints.iter().collect();
    let hash = format!("    type: chash\n    hash_on: header\n    key: x-user\n{ACTIVE}");
    let rig = Rig::new(&nodes, &hash);
    let mut places = BTreeMap::new();
    for user in 0..60 {
        let name = rig.ask(&user.to_string()).await.1;
        assert_eq!(rig.ask(&user.to_string()).await.1, name);
        places.insert(user, name);
    }
    be_well(&endpoints[1], false);
    let moved = async {
        loop {
            let mut at_two = 0;
            for (user, place) in &places {
                let name = rig.ask(&user.to_string()).await.1;
                at_two += usize::from(name == "two");
                assert!(place == "two" || name == *place, "who was elsewhere stays there");
            }
            if at_two == 0 {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, moved).await.expect("they move");
    be_well(&endpoints[1], true);
    let back = async {
        for (user, place) in &places {
            while rig.ask(&user.to_string()).await.1 != *place {}
        }
    };
    tokio::time::timeout(PATIENCE, back).await.expect("they come back");
}
