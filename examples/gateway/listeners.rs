//! The listeners of traffic: opened at the start, and changed with the file, live.
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tollgate::config::FileSource;
use tollgate::gateway::{ConfigSource as _, Gateway};
use tollgate::model::{ListenAddress, Settings};
use tollgate::server::{Applied, Listener, ListenerStatus, Protocols, Server};
use tollgate::tls::Certificates;
use tollgate::{BoxError, Next};

use crate::restart::Restart;
use crate::{args, origin};

/// How often an address is tried again that could not be had.
const AGAIN: Duration = Duration::from_secs(3);

/// The listeners of traffic.
pub(crate) struct Listeners {
    server: Arc<Server>,
    certificates: Certificates,
    /// Those that flags name: they are instead of the file's.
    flags: Vec<ListenAddress>,
}

impl Listeners {
    pub(crate) fn new(server: &Arc<Server>, gateway: &Gateway, flags: &[ListenAddress]) -> Self {
        Self { server: Arc::clone(server), certificates: gateway.certificates(), flags: flags.to_vec() }
    }

    /// Opens them for the first time: one that is not to be had is the end.
    pub(crate) fn open(&self, settings: &Settings) -> Result<Vec<String>, BoxError> {
        let applied = self.server.apply(self.wanted(settings));
        let faults: Vec<_> = applied.failed.iter().map(ToString::to_string).collect();
        if !faults.is_empty() {
            return Err(faults.join("; ").into());
        }
        let addresses: Vec<_> = self.server.listeners().iter().flat_map(urls).collect();
        for address in &addresses {
            eprintln!("listening on {address}");
        }
        Ok(addresses)
    }

    /// Goes over to what the settings say now.
    pub(crate) fn change(&self, settings: &Settings) {
        tell(&self.server.apply(self.wanted(settings)));
    }

    /// Tries again, now and then, what could not be had.
    pub(crate) async fn insist(&self) {
        loop {
            tokio::time::sleep(AGAIN).await;
            if let Some(applied) = self.server.retry().filter(Applied::is_change) {
                tell(&applied);
            }
        }
    }

    /// Follows a file that has settings alone, beside a store. What it does not take is named by `restart`.
    pub(crate) async fn follow(&self, file: FileSource, gateway: &Gateway, args: &args::Serve, restart: &mut Restart) {
        let place = file.path().to_owned();
        let mut changes = std::pin::pin!(file.watch());
        while let Some(change) = changes.next().await {
            let settings = change.map_err(BoxError::from).and_then(|snapshot| {
                origin::settings_alone(&place, &snapshot, gateway)?;
                origin::with_flags(args, &snapshot.settings)
            });
            match settings {
                Ok(settings) => {
                    self.change(&settings);
                    restart.look(&settings);
                }
                Err(error) => eprintln!("{error}; the listeners before serve on"),
            }
        }
        std::future::pending().await
    }

    fn wanted(&self, settings: &Settings) -> Vec<Listener> {
        if self.flags.is_empty() {
            settings.listeners.iter().map(|spec| Listener::from_spec(spec, &self.certificates)).collect()
        } else {
            self.flags.iter().map(|address| Listener::at(address.clone()).with_protocols(Protocols::Both)).collect()
        }
    }

    /// Answers `GET /v1/listeners`.
    pub(crate) fn service(&self) -> Next {
        let server = Arc::downgrade(&self.server);
        Next::from_fn(move |_| {
            let listeners = server.upgrade().map(|server| server.listeners()).unwrap_or_default();
            let list: Vec<_> = listeners.iter().map(status).collect();
            async move { json_answer(&Value::Array(list)) }
        })
    }
}

fn json_answer(value: &Value) -> tollgate::Response {
    let mut answer = http::Response::new(format!("{value}\n").into());
    let json = http::HeaderValue::from_static("application/json");
    answer.headers_mut().insert(http::header::CONTENT_TYPE, json);
    answer
}

fn status(one: &ListenerStatus) -> Value {
    let protocols = match (one.listener.protocols, one.listener.tls.is_some()) {
        (Protocols::H1, _) => vec!["h1"],
        (Protocols::H2, true) => vec!["h2"],
        (Protocols::Both, true) => vec!["h1", "h2"],
        (Protocols::H2, false) => vec!["h2c"],
        (Protocols::Both, false) => vec!["h1", "h2c"],
    };
    let since = one.since.and_then(|since| since.duration_since(UNIX_EPOCH).ok()).map(|since| since.as_secs());
    json!({
        "address": one.listener.address.to_string(),
        "bound": one.addresses,
        "protocols": protocols,
        "tls": one.listener.tls.is_some(),
        "proxy_protocol": one.listener.proxy_protocol.is_some(),
        "connections": one.connections,
        "accepted": one.accepted,
        "refused": one.refused,
        "failed": one.failed,
        "since": since,
        "error": one.error,
    })
}

/// Where a listener is to be found.
fn urls(one: &ListenerStatus) -> Vec<String> {
    let scheme = if one.listener.tls.is_some() { "https" } else { "http" };
    match one.addresses.is_empty() {
        true => vec![one.listener.address.to_string()],
        false => one.addresses.iter().map(|address| format!("{scheme}://{address}")).collect(),
    }
}

/// What became of a change, in lines.
fn tell(applied: &Applied) {
    let mut lines = String::new();
    let mut add = |what: &str, addresses: &[ListenAddress]| {
        for address in addresses {
            let _ = writeln!(lines, "listeners: {address}: {what}");
        }
    };
    add("opened", &applied.opened);
    add("changed, for connections from now on", &applied.changed);
    add("closed", &applied.closed);
    add("kept, since what should be in its place is not to be had", &applied.kept);
    for error in &applied.failed {
        let _ = writeln!(lines, "listeners: {error}; it is tried again");
    }
    eprint!("{lines}");
}
