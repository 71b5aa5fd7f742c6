//! Where the configuration comes from: a file, a store, or nowhere (the demo).
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tollgate::BoxError;
use tollgate::config::FileSource;
use tollgate::gateway::Gateway;
use tollgate::model::{AdminKey, AdminRole, EtcdSettings, Role, Settings, Snapshot, StoreKind, StoreSettings};

use crate::args::{Serve, StoreForm};

/// Where the configuration comes from.
pub(crate) enum Origin {
    /// Built in.
    Demo,
    /// A file, as it was read first.
    File(PathBuf, Box<Snapshot>),
    /// A store; the settings are the file's.
    Store,
}

/// Looks at flags and file. The settings have in them what flags say.
pub(crate) fn find(args: &Serve, gateway: &Gateway) -> Result<(Origin, Settings), BoxError> {
    let loaded = match &args.config {
        Some(path) => Some((path, FileSource::new(path).load()?.snapshot)),
        None => None,
    };
    let file = loaded.as_ref().map(|(_, snapshot)| Arc::clone(&snapshot.settings)).unwrap_or_default();
    let settings = with_flags(args, &file)?;
    if settings.store.is_none() {
        if settings.admin.is_some() {
            return Err("the Admin API needs a store: set `tollgate.store`, or say --store".into());
        }
        return Ok(match loaded {
            Some((path, snapshot)) => (Origin::File(path.clone(), Box::new(snapshot)), settings),
            None => (Origin::Demo, settings),
        });
    }
    if settings.role == Role::DataPlane && settings.admin.is_some() {
        return Err("a data_plane serves no Admin API: remove `tollgate.admin`, or change `tollgate.role`".into());
    }
    if settings.role == Role::ControlPlane && settings.admin.is_none() {
        return Err("a control_plane serves the Admin API alone: set `tollgate.admin`, or say --admin".into());
    }
    if let Some((path, snapshot)) = &loaded {
        settings_alone(path, snapshot, gateway)?;
    }
    Ok((Origin::Store, settings))
}

/// A file's settings, and what flags say instead.
pub(crate) fn with_flags(args: &Serve, settings: &Settings) -> Result<Settings, BoxError> {
    let mut settings = settings.clone();
    flags(args, &mut settings)?;
    Ok(settings)
}

fn flags(args: &Serve, settings: &mut Settings) -> Result<(), BoxError> {
    let form = args.store.or((!args.etcd.is_empty()).then_some(StoreForm::Etcd));
    let form = form.or((args.admin.is_some() && settings.store.is_none()).then_some(StoreForm::Disk));
    if let Some(form) = form {
        settings.store.get_or_insert_with(StoreSettings::default).kind = match form {
            StoreForm::Disk => StoreKind::Disk,
            StoreForm::Memory => StoreKind::Memory,
            StoreForm::Etcd => StoreKind::Etcd,
        };
    }
    if let Some(store) = &mut settings.store {
        if let Some(path) = &args.store_path {
            store.path.clone_from(path);
        }
        if !args.etcd.is_empty() {
            store.etcd = EtcdSettings { host: args.etcd.clone(), ..store.etcd.clone() };
        }
    } else if args.store_path.is_some() {
        return Err("--store-path is of no use without a store: say --store disk".into());
    }
    if let Some(address) = args.admin {
        settings.admin.get_or_insert_default().listen = address;
    }
    if let Some(path) = &args.admin_key_file {
        let Some(admin) = &mut settings.admin else {
            return Err("--admin-key-file is of no use without the Admin API: say --admin".into());
        };
        let key = read_key(path)?;
        admin.keys.push(AdminKey { name: "key-file".to_owned(), key: key.into(), role: AdminRole::Admin });
    }
    Ok(())
}

/// The key in a file: its one line.
pub(crate) fn read_key(path: &Path) -> Result<String, BoxError> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: cannot be read: {error}", path.display()))?;
    let key = text.trim();
    if key.is_empty() || key.contains(char::is_whitespace) {
        return Err(format!("{}: holds no key: write it in one line, without blanks", path.display()).into());
    }
    Ok(key.to_owned())
}

/// With a store, a file has settings and nothing else: resources in it would silently not be served.
pub(crate) fn settings_alone(path: &Path, snapshot: &Snapshot, gateway: &Gateway) -> Result<(), BoxError> {
    let place = path.display();
    let lists = [
        snapshot.routes.len(),
        snapshot.services.len(),
        snapshot.upstreams.len(),
        snapshot.consumers.len(),
        snapshot.credentials.len(),
        snapshot.consumer_groups.len(),
        snapshot.plugin_configs.len(),
        snapshot.global_rules.len(),
        snapshot.plugin_metadata.len(),
        snapshot.plugins.as_ref().map_or(0, |plugins| plugins.len()),
        snapshot.protos.len(),
        snapshot.secrets.len(),
        snapshot.ssls.len(),
        snapshot.stream_routes.len(),
    ];
    let resources = lists.iter().sum::<usize>();
    if resources > 0 {
        return Err(format!(
            "{place}: has {resources} resources, and the configuration is in a store: put them there once by `gateway admin \
             apply -f {place}`, and leave nothing but `tollgate` in the file"
        )
        .into());
    }
    let settings = Snapshot {
        settings: Arc::clone(&snapshot.settings),
        rejected: snapshot.rejected.clone(),
        ..Snapshot::default()
    };
    let findings = gateway.check(&settings);
    let errors: Vec<_> = findings.iter().filter(|finding| finding.is_error()).map(ToString::to_string).collect();
    if errors.is_empty() { Ok(()) } else { Err(format!("{place}: {}", errors.join("; ")).into()) }
}
