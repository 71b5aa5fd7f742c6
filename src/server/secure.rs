//! From a socket to one with TLS: the handshake of a listener.
use std::sync::Arc;

use rustls::{AlertDescription, HandshakeKind, ProtocolVersion, ServerConfig};

use crate::connect::TlsInfo;
use crate::net::tls::{Accepted, Greet, accept};
use crate::net::{Io, Sweep, Transport};
use crate::tls::{Greeting, HandshakeFault, TlsAcceptor};

/// A connection whose handshake is over.
pub(super) struct Secured {
    pub(super) io: Arc<Io>,
    pub(super) handshake: Arc<TlsInfo>,
    /// What the client is to speak (ALPN); `None` when it offered nothing.
    pub(super) protocol: Option<Vec<u8>>,
}

/// Makes the handshake. There is no limit on its time in here (LIM-05): whoever gives up notes it by
/// [`TlsAcceptor::counters`].
pub(super) async fn secure(
    transport: Transport,
    tls: &Arc<TlsAcceptor>,
    sweep: &Sweep,
) -> Result<Secured, HandshakeFault> {
    let done = handshake(transport, tls, sweep).await;
    match &done {
        Ok(secured) => tls.counters().succeeded(secured.handshake.resumed),
        Err(fault) => tls.counters().failed(*fault),
    }
    done
}

async fn handshake(transport: Transport, tls: &Arc<TlsAcceptor>, sweep: &Sweep) -> Result<Secured, HandshakeFault> {
    let mut greeting = tls.greeting();
    let accepted = accept(transport, Greeter(&mut greeting), tls.turns()).await;
    let accepted = match (accepted, greeting.fault()) {
        (Ok(accepted), None) => accepted,
        (Ok(accepted), Some(fault)) => {
            accepted.close();
            return Err(fault);
        }
        (Err(_), Some(fault)) => return Err(fault),
        (Err(error), None) => return Err(HandshakeFault::of(&error)),
    };
    let handshake = match told(&accepted, &greeting) {
        Ok(handshake) => Arc::new(handshake),
        Err(fault) => {
            accepted.close();
            return Err(fault);
        }
    };
    let protocol = accepted.agreed().alpn_protocol().map(<[u8]>::to_vec);
    Ok(Secured { io: accepted.into_io(sweep), handshake, protocol })
}

/// What the handshake told. The client's certificate is judged by the rules that it was made under, a resumed session's, too.
fn told(accepted: &Accepted, greeting: &Greeting) -> Result<TlsInfo, HandshakeFault> {
    let agreed = accepted.agreed();
    let (shown, sni) = greeting.shown().ok_or(HandshakeFault::Other)?;
    let client = match shown.client() {
        None => None,
        Some(rules) => {
            let client = shown.judge_client(agreed.peer_certificates().unwrap_or_default());
            if !client.as_ref().is_some_and(|client| client.verified) && !rules.has_exempt_paths() {
                return Err(HandshakeFault::ClientCertificate);
            }
            client
        }
    };
    Ok(TlsInfo {
        sni: sni.cloned(),
        certificate: shown.shared_id(),
        version: match agreed.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        },
        cipher: agreed.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or_default(),
        resumed: agreed.handshake_kind() == Some(HandshakeKind::Resumed),
        client,
    })
}

struct Greeter<'a>(&'a mut Greeting);

impl Greet for Greeter<'_> {
    fn first(&mut self) -> Option<Arc<ServerConfig>> {
        self.0.config()
    }

    fn instead(&mut self) -> Option<Arc<ServerConfig>> {
        self.0.instead()
    }

    fn alert(&self) -> Option<AlertDescription> {
        self.0.alert()
    }
}

#[cfg(test)]
mod tests;
