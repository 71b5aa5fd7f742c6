//! Upgrades in a host's hyper server: hyper keeps the client's connection and hands it out after the 101.
use std::time::Duration;

use bytes::Bytes;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::error::Response;
use crate::net::{Direction, Relay};
use crate::{UpgradeWish, UpgradedIo};

/// Silence both ways after which a tunnel is closed that says nothing itself, as on own listeners (security.md UPG-05).
const IDLE: Duration = Duration::from_secs(60);
/// Age at which a tunnel is closed.
const AGE: Duration = Duration::from_secs(24 * 3600);

/// Joins the client's connection and the upstream's, once hyper has written the 101. The end of either side is
/// passed on to the other.
pub(super) fn join(client: OnUpgrade, wish: &UpgradeWish, response: &mut Response) {
    if response.status() != http::StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    let Some(upgraded) = response.extensions().get::<UpgradedIo>() else { return };
    let idle = upgraded.idle_timeout().unwrap_or(IDLE);
    let Some((mut upstream, early)) = upgraded.take() else { return };
    // hyper wants the two fields, which belong to this hop and came off the upstream's answer.
    response.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(http::header::UPGRADE, wish.0.clone());
    // The task owns both connections and ends with them, with silence, or with the tunnel's age (UPG-05).
    tokio::spawn(async move {
        let Ok(client) = client.await else { return };
        let mut client = TokioIo::new(client);
        let (up, down) = (Direction::new(Bytes::new(), ()), Direction::new(early, ()));
        // How it ends is of no use to anybody here.
        let _ = Relay::new(up, down, idle, AGE).run(&mut client, &mut upstream).await;
    });
}
