//! Why there is no TLS, in one word.
use std::io;

/// A stable reason for the logs. What may be wrong with a certificate is told apart, since it is what operators look for.
pub(in crate::upstream) fn reason(error: &io::Error) -> &'static str {
    #[cfg(feature = "tls")]
    if let Some(error) = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>()) {
        return of_tls(error);
    }
    of_socket(error.kind())
}

/// Whether TLS said so, not the socket.
#[cfg(feature = "client")]
pub(in crate::upstream) fn is_of_tls(error: &io::Error) -> bool {
    #[cfg(feature = "tls")]
    return error.get_ref().is_some_and(|error| error.is::<rustls::Error>());
    #[cfg(not(feature = "tls"))]
    {
        let _ = error;
        false
    }
}

fn of_socket(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => "tls_closed",
        _ => "tls_failed",
    }
}

#[cfg(feature = "tls")]
fn of_tls(error: &rustls::Error) -> &'static str {
    use rustls::{AlertDescription, CertificateError, Error};
    match error {
        Error::InvalidCertificate(error) => match error {
            CertificateError::UnknownIssuer => "tls_unknown_issuer",
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => "tls_certificate_expired",
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => "tls_wrong_name",
            _ => "tls_bad_certificate",
        },
        Error::NoApplicationProtocol => "tls_wrong_protocol",
        Error::AlertReceived(AlertDescription::NoApplicationProtocol) => "tls_wrong_protocol",
        Error::AlertReceived(_) => "tls_alert",
        _ => "tls_failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "tls")]
    #[test]
    fn what_is_wrong_with_a_certificate_is_told_apart() {
        use rustls::{CertificateError, Error};
        let said = |error: Error| reason(&io::Error::new(io::ErrorKind::InvalidData, error));
        assert_eq!(said(CertificateError::Expired.into()), "tls_certificate_expired");
        assert_eq!(said(CertificateError::NotValidForName.into()), "tls_wrong_name");
        assert_eq!(said(CertificateError::UnknownIssuer.into()), "tls_unknown_issuer");
        assert_eq!(said(CertificateError::BadSignature.into()), "tls_bad_certificate");
        assert_eq!(said(Error::HandshakeNotComplete), "tls_failed");
    }

    #[test]
    fn a_socket_that_ends_amid_the_handshake_is_told_apart() {
        assert_eq!(reason(&io::ErrorKind::UnexpectedEof.into()), "tls_closed");
        assert_eq!(reason(&io::ErrorKind::BrokenPipe.into()), "tls_failed");
    }
}
