//! [`Greeting`]: which certificate a client is shown, and under which rules.
use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, ServerConfig};

use super::acceptor::{ACME, TlsAcceptor, Way};
use super::name::normal;
use super::{Certificate, HandshakeFault};

/// The answer to one client's hello.
///
/// Most certificates have no rules of their own, so the hello is tried under the usual ones first. One with rules shows
/// when the name has been read: then the same hello is tried once more, under its rules. Who is shown a certificate is so
/// always under its rules, whatever is changed meanwhile.
pub(crate) struct Greeting {
    acceptor: Arc<TlsAcceptor>,
    choice: Arc<Choice>,
}

/// What the hello of one connection led to, under some rules.
struct Choice {
    acceptor: Arc<TlsAcceptor>,
    way: Way,
    led_to: OnceLock<LedTo>,
}

enum LedTo {
    Certificate { shown: Arc<Certificate>, sni: Option<Arc<str>> },
    Challenge,
    OtherWay(Way),
    Nothing(HandshakeFault),
}

impl Greeting {
    pub(super) fn new(acceptor: Arc<TlsAcceptor>) -> Self {
        let choice = Choice::new(&acceptor, acceptor.usual());
        Self { acceptor, choice }
    }

    /// What a hello is tried with; `None` if that cannot be made.
    pub(crate) fn config(&self) -> Option<Arc<ServerConfig>> {
        let choice = Arc::clone(&self.choice);
        self.acceptor.config(&self.choice.way, choice).ok().map(Arc::new)
    }

    /// What it is to be tried with after it led nowhere.
    pub(crate) fn instead(&mut self) -> Option<Arc<ServerConfig>> {
        let Some(LedTo::OtherWay(way)) = self.choice.led_to.get() else { return None };
        self.choice = Choice::new(&self.acceptor, way.clone());
        self.config()
    }

    /// The alert that tells a client why nobody can be shown.
    pub(crate) fn alert(&self) -> Option<AlertDescription> {
        match self.fault()? {
            HandshakeFault::NoName | HandshakeFault::UnknownName => Some(AlertDescription::UnrecognisedName),
            HandshakeFault::Version => Some(AlertDescription::ProtocolVersion),
            _ => Some(AlertDescription::HandshakeFailure),
        }
    }

    /// Why nobody can be shown.
    pub(crate) fn fault(&self) -> Option<HandshakeFault> {
        match self.choice.led_to.get()? {
            LedTo::Nothing(fault) => Some(*fault),
            LedTo::OtherWay(_) => Some(HandshakeFault::Other),
            LedTo::Challenge => Some(HandshakeFault::Challenge),
            LedTo::Certificate { .. } => None,
        }
    }

    /// The certificate that was shown, and the name that was asked for.
    pub(crate) fn shown(&self) -> Option<(&Arc<Certificate>, Option<&Arc<str>>)> {
        match self.choice.led_to.get()? {
            LedTo::Certificate { shown, sni } => Some((shown, sni.as_ref())),
            _ => None,
        }
    }
}

impl Choice {
    fn new(acceptor: &Arc<TlsAcceptor>, way: Way) -> Arc<Self> {
        Arc::new(Self { acceptor: Arc::clone(acceptor), way, led_to: OnceLock::new() })
    }

    fn choose(&self, hello: &ClientHello<'_>) -> (LedTo, Option<Arc<CertifiedKey>>) {
        let tls = self.acceptor.tls();
        if let (Some(name), Some(mut protocols)) = (hello.server_name(), hello.alpn())
            && protocols.next() == Some(ACME)
            && protocols.next().is_none()
        {
            let Some(shown) = tls.certificates.challenge(name) else {
                return (LedTo::Nothing(HandshakeFault::UnknownName), None);
            };
            if self.way.challenge.is_none() {
                let way = Way { challenge: Some(shown), client: None, ..self.acceptor.usual() };
                return (LedTo::OtherWay(way), None);
            }
            return (LedTo::Challenge, Some(Arc::clone(shown.certified())));
        }
        let Some(name) = hello.server_name().or(tls.fallback_sni.as_deref()) else {
            return (LedTo::Nothing(HandshakeFault::NoName), None);
        };
        let found = tls.certificates.select(&normal(name), |certificate| certificate.pair_for(hello));
        let (shown, pair) = match found {
            Ok(found) => found,
            Err(fault) => return (LedTo::Nothing(fault), None),
        };
        match self.acceptor.way_of(&shown) {
            None => (LedTo::Nothing(HandshakeFault::Version), None),
            Some(way) if way == self.way => {
                let sni = hello.server_name().map(|sni| shown.share_name(sni));
                (LedTo::Certificate { shown, sni }, Some(pair))
            }
            Some(way) => (LedTo::OtherWay(way), None),
        }
    }
}

impl ResolvesServerCert for Choice {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // A client that was asked to say it again is answered by the same certificate.
        if let Some(LedTo::Certificate { shown, .. }) = self.led_to.get() {
            return shown.pair_for(&hello);
        }
        let (led_to, pair) = self.choose(&hello);
        self.led_to.set(led_to).ok().and(pair)
    }
}

/// For clients of somebody else's server: each hello is looked up under one set of rules.
struct Anybody {
    acceptor: Arc<TlsAcceptor>,
    way: Way,
}

impl ResolvesServerCert for Anybody {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Choice::new(&self.acceptor, self.way.clone()).choose(&hello).1
    }
}

impl fmt::Debug for Anybody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Anybody")
    }
}

/// A configuration for clients of any name whose certificate has no rules of its own.
pub(super) fn for_anybody(acceptor: &Arc<TlsAcceptor>) -> Result<Arc<ServerConfig>, rustls::Error> {
    under(acceptor, acceptor.usual())
}

/// A configuration with the rules that a hello leads to; `None` for the usual ones.
pub(super) fn for_hello(
    acceptor: &Arc<TlsAcceptor>,
    hello: &ClientHello<'_>,
) -> Result<Option<Arc<ServerConfig>>, rustls::Error> {
    match Choice::new(acceptor, acceptor.usual()).choose(hello).0 {
        LedTo::OtherWay(way) => under(acceptor, way).map(Some),
        _ => Ok(None),
    }
}

fn under(acceptor: &Arc<TlsAcceptor>, way: Way) -> Result<Arc<ServerConfig>, rustls::Error> {
    let resolver = Arc::new(Anybody { acceptor: Arc::clone(acceptor), way: way.clone() });
    acceptor.config(&way, resolver).map(Arc::new)
}

impl fmt::Debug for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Choice")
    }
}
