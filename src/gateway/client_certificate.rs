//! Whether a request may come by the TLS connection that it came by (router.md §8, security.md TLS-02).
use crate::TlsInfo;
use crate::error::Error;
use crate::tls::Edition;

/// Judges a request of a connection whose handshake is known.
///
/// `paths` are the one that is matched and the one that conditions see; a path is exempt when both are.
///
/// The rules of the configuration that routes the request decide, of which the connection may have seen others:
/// 1. where its own certificate demands one of the client that it has not shown, only exempt paths are served (400); one that
///    was verified under other rules than there are now is to come again (421);
/// 2. a host whose certificate is another one, and demands one of the client, is not served here (421): the client may
///    come again by a connection of its own, of which it shall not be spared the handshake by naming another host in it.
pub(super) fn judge(
    certificates: &Edition,
    handshake: &TlsInfo,
    host: Option<&str>,
    paths: [&[u8]; 2],
) -> Result<(), Error> {
    if !certificates.demands_of_clients() {
        return Ok(());
    }
    if let Some(own) = certificates.get(&handshake.certificate)
        && !paths.iter().all(|path| own.admits(handshake.client.as_ref(), path))
    {
        let was_verified = handshake.client.as_ref().is_some_and(|client| client.verified);
        return Err(if was_verified { Error::Misdirected } else { Error::BadRequest("client_certificate") });
    }
    let other = host.and_then(|host| certificates.guarding(host));
    match other {
        Some(other) if other.client().is_some() && *other.id() != *handshake.certificate => Err(Error::Misdirected),
        _ => Ok(()),
    }
}
