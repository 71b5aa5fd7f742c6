//! Upgrades in a host's hyper server: hyper keeps the client's connection and hands it out after the 101.
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::error::Response;
use crate::{UpgradeWish, UpgradedIo};

/// Joins the client's connection and the upstream's, once hyper has written the 101. Either side's end ends the other.
pub(super) fn join(client: OnUpgrade, wish: &UpgradeWish, response: &mut Response) {
    if response.status() != http::StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    let Some((mut upstream, early)) = response.extensions().get::<UpgradedIo>().and_then(UpgradedIo::take) else {
        return;
    };
    // hyper wants the two fields, which belong to this hop and came off the upstream's answer.
    response.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(http::header::UPGRADE, wish.0.clone());
    // The task owns both connections and ends with either of them.
    tokio::spawn(async move {
        let Ok(client) = client.await else { return };
        let mut client = TokioIo::new(client);
        if tokio::io::AsyncWriteExt::write_all(&mut client, &early).await.is_ok() {
            let _ = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
        }
    });
}
