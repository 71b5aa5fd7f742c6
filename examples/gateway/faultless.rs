//! `start_policy: serve_empty`: a file is not served before it is faultless (CFG-02).
use futures_util::{Stream, StreamExt as _};
use tollgate::config::FileSource;
use tollgate::gateway::{ConfigSource, Gateway, SourceError};
use tollgate::model::Snapshot;

/// A file whose content is an error until once it is faultless.
pub(crate) struct Faultless {
    pub(crate) file: FileSource,
    /// What judges it.
    pub(crate) gateway: Gateway,
}

impl ConfigSource for Faultless {
    fn watch(self) -> impl Stream<Item = Result<Snapshot, SourceError>> + Send {
        let Self { file, gateway } = self;
        let place = file.path().display().to_string();
        let mut begun = false;
        file.watch().map(move |item| {
            let snapshot = item?;
            if !begun {
                let mut findings = gateway.check(&snapshot);
                findings.retain(|finding| finding.is_error());
                if !findings.is_empty() {
                    return Err(SourceError::Document { place: place.clone(), findings });
                }
                begun = true;
            }
            Ok(snapshot)
        })
    }
}
