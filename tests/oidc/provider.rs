//! The provider's process, and what tests ask of it beside log-ins.
use std::path::Path;
use std::process::Stdio;

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::Mutex;

use super::browser::{Answer, send};

/// The secret of every client that has one.
pub(crate) const SECRET: &str = "a-secret-of-more-than-thirty-two-bytes";

/// A running provider; ends with the value.
pub(crate) struct Provider {
    pub(crate) issuer: String,
    child: Mutex<Child>,
    _stdin: ChildStdin,
}

impl Provider {
    /// Starts one whose clients may be sent back to `callbacks`, and to `logged_out` after a log-out.
    pub(crate) async fn start(callbacks: &[String], logged_out: &str, environment: &[(&str, &str)]) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/oidc");
        assert!(
            folder.join("node_modules/oidc-provider").exists(),
            "no provider in {folder:?}: `bash tests/all.sh` installs it"
        );
        let mut child = Command::new("node")
            .args(["--input-type=module", "--eval", include_str!("provider.mjs")])
            .env("PROVIDER_CALLBACKS", json!(callbacks).to_string())
            .env("PROVIDER_LOGGED_OUT", logged_out)
            .envs(environment.iter().copied())
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("node is not there: `bash tests/all.sh` installs it");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = loop {
            let line = lines.next_line().await.unwrap().expect("the provider did not start");
            if let Some(port) = line.strip_prefix("ready ") {
                break port.to_owned();
            }
        };
        let stdin = child.stdin.take().unwrap();
        Self { issuer: format!("http://127.0.0.1:{port}"), child: Mutex::new(child), _stdin: stdin }
    }

    pub(crate) fn discovery(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.issuer)
    }

    pub(crate) async fn stop(&self) {
        self.child.lock().await.kill().await.unwrap();
    }

    async fn control(&self, what: &str, body: String) -> Answer {
        let request = Request::post(format!("{}/control/{what}", self.issuer)).body(Bytes::from(body)).unwrap();
        let answer = send(request).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer
    }

    /// New keys, the old ones gone.
    pub(crate) async fn rotate(&self) {
        self.control("rotate", String::new()).await;
    }

    /// How many requests came for a path.
    pub(crate) async fn count(&self, path: &str) -> u64 {
        let counts: Value = serde_json::from_str(&self.control("counts", String::new()).await.body).unwrap();
        counts[path].as_u64().unwrap_or(0)
    }

    /// The PEM text of a public key.
    pub(crate) async fn public_key(&self, algorithm: &str) -> String {
        let keys: Value = serde_json::from_str(&self.control("keys", String::new()).await.body).unwrap();
        keys[algorithm].as_str().unwrap().to_owned()
    }

    /// A token of any content, signed with the provider's key. `token` is `{payload, header?, alg?}`.
    pub(crate) async fn sign(&self, token: Value) -> String {
        self.control("sign", token.to_string()).await.body
    }

    /// An access token for a client of its own.
    pub(crate) async fn token(&self, client: &str, scope: &str) -> String {
        let form = format!("grant_type=client_credentials&scope={scope}&client_id={client}&client_secret={SECRET}");
        let answer = self.form("/token", &form, client).await;
        let answer: Value = serde_json::from_str(&answer.body).unwrap();
        answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// Revokes a token of a client.
    pub(crate) async fn revoke(&self, client: &str, token: &str) {
        assert_eq!(self.form("/token/revocation", &format!("token={token}"), client).await.status, 200);
    }

    async fn form(&self, path: &str, form: &str, client: &str) -> Answer {
        use base64::Engine as _;
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("{client}:{SECRET}"));
        let form = form.split("&client_id").next().unwrap().to_owned();
        let request = Request::post(format!("{}{path}", self.issuer))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("authorization", format!("Basic {basic}"))
            .body(Bytes::from(form))
            .unwrap();
        send(request).await
    }
}
