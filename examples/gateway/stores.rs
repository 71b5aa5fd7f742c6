//! The store of the configuration, opened and followed.
use std::sync::Arc;
use std::time::Duration;

use tollgate::BoxError;
use tollgate::gateway::Gateway;
use tollgate::model::{KeyringFormat, Settings, StoreKind, StoreSettings};
use tollgate::plugin::SecretFields;
use tollgate::plugins::prometheus::Metrics;
use tollgate::store::{
    DiskStore, EtcdStore, HistoryBounds, Keyring, LocalCopy, MemoryStore, Mirror, MirrorOptions, MirrorStatus, Sealing,
    Store, Traffic,
};

/// How often it is looked whether the local copy can be written.
const COPY_LOOK: Duration = Duration::from_secs(1);

/// Opens the store that the settings name, and begins to follow it. Must be called inside of the runtime.
pub(crate) fn follow(settings: &Settings, store: &StoreSettings, gateway: &Gateway) -> Result<Mirror, BoxError> {
    let keyring = keyring(settings)?;
    let bounds = HistoryBounds { changes: store.history.changes, bytes: store.history.bytes as u64 };
    let opened: Arc<dyn Store> = match store.kind {
        StoreKind::Memory => Arc::new(MemoryStore::new()),
        StoreKind::Disk => Arc::new(DiskStore::open_with(&store.path, bounds)?),
        StoreKind::Etcd => {
            let mut etcd = store.etcd.clone();
            if let Some(password) = &etcd.password {
                etcd.password = Some(resolved("tollgate.store.etcd.password", password.expose())?.into());
            }
            Arc::new(EtcdStore::new(&etcd)?)
        }
        other => return Err(format!("a store of the kind {other:?} is not known here").into()),
    };
    let default_copy = (store.kind == StoreKind::Etcd).then(|| "tollgate.last-good".into());
    let copy = store.local_copy.clone().or(default_copy).map(|path| LocalCopy::new(path, keyring.clone()));
    if let Some(warning) = copy.as_ref().and_then(LocalCopy::warning) {
        eprintln!("{warning}");
    }
    let mut options = MirrorOptions::new(Arc::new(settings.clone()));
    options.sealing = Arc::new(Sealing::new(keyring, SecretFields::from(&gateway.registry())));
    options.copy = copy;
    Ok(Mirror::start(opened, options))
}

/// How long a start waits for a store that may come late, where something else can be done then.
pub(crate) fn patience(store: &StoreSettings) -> Duration {
    let tries = store.etcd.startup_retry.saturating_add(1);
    store.etcd.timeout().saturating_mul(tries).min(Duration::from_secs(90))
}

fn keyring(settings: &Settings) -> Result<Option<Keyring>, BoxError> {
    if settings.keyring.is_empty() {
        return Ok(None);
    }
    let keys = settings.keyring.iter().map(|key| resolved("tollgate.keyring", key.expose()));
    let keyring = Keyring::new(keys.collect::<Result<Vec<_>, _>>()?)?;
    Ok(Some(keyring.compatible(settings.keyring_format == KeyringFormat::Apisix)))
}

/// A setting as written, or the value of the variable that it names. Secret managers stand in the store itself.
pub(crate) fn resolved(setting: &str, text: &str) -> Result<String, BoxError> {
    match text.split_once("://") {
        Some((scheme, name)) if scheme.eq_ignore_ascii_case("$env") => {
            std::env::var(name).map_err(|_| format!("{setting}: the variable `{name}` is not set").into())
        }
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("$secret") => {
            Err(format!("{setting}: secret managers stand in the store; write the value, or `$env://NAME`").into())
        }
        _ => Ok(text.to_owned()),
    }
}

/// Says, each time that it changes, whether the local copy can be written. Never ends.
pub(crate) async fn tell_copy(mirror: &Mirror) {
    let mut told = None;
    loop {
        let status = mirror.status();
        if status.copy_error != told {
            match &status.copy_error {
                Some(error) => {
                    eprintln!("{}: no local copy: {error}; a start without the store may fail", status.place)
                }
                None => eprintln!("{}: the local copy is written again", status.place),
            }
            told = status.copy_error;
        }
        tokio::time::sleep(COPY_LOOK).await;
    }
}

/// Adds what is known of the store to the metrics.
pub(crate) fn measure(metrics: &Metrics, mirror: &Mirror) {
    let gauge = |name: &'static str, says: &'static str, read: fn(&MirrorStatus) -> f64| {
        let mirror = mirror.clone();
        metrics.gauge(name, says, move || read(&mirror.status()));
    };
    gauge("store_revision", "The store's revision that this process knows of.", |status| {
        status.revision.unwrap_or(0) as f64
    });
    gauge("store_items", "Items in the store.", |status| status.entries as f64);
    gauge("store_rejected_items", "Items in the store that cannot be read.", |status| status.rejected as f64);
    gauge("store_copy_failed", "Whether the local copy could not be written or read last: 0 or 1.", |status| {
        f64::from(u8::from(status.copy_error.is_some()))
    });
    gauge("store_stale_seconds", "For how long nothing was heard of the store; 0 while its watch stands.", |status| {
        status.stale_since.and_then(|since| since.elapsed().ok()).map_or(0.0, |since| since.as_secs_f64())
    });
    gauge("store_full_reads_total", "Reads of the whole store.", |status| status.loads as f64);
    gauge("store_full_reads_without_change_total", "Of these, those that changed nothing.", |status| {
        status.unchanged_loads as f64
    });
    gauge("store_changes_total", "Transactions that the store told of.", |status| status.batches as f64);
    if mirror.status().traffic.is_none() {
        return;
    }
    let traffic = |name: &'static str, says: &'static str, read: fn(Traffic) -> u64| {
        let mirror = mirror.clone();
        metrics.gauge(name, says, move || mirror.store().traffic().map_or(0, read) as f64);
    };
    traffic("store_connections", "Connections to the store that are open.", |traffic| traffic.open);
    traffic("store_reconnects_total", "Connections to the store that replaced one that had failed.", |traffic| {
        traffic.reconnects
    });
    traffic("store_watches_total", "Watches of the store that were begun.", |traffic| traffic.watches);
    traffic("store_received_bytes_total", "Bytes that came from the store.", |traffic| traffic.bytes_in);
    traffic("store_sent_bytes_total", "Bytes that went to the store.", |traffic| traffic.bytes_out);
}
