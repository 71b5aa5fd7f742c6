//! Variables of the TLS handshake, as nginx names them. Certificates are read when somebody asks.
use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::TlsInfo;
use crate::router::{Value, VarName};

/// What a handshake knows of a variable.
pub(super) fn variable<'a>(handshake: &'a TlsInfo, name: &VarName) -> Option<Value<'a>> {
    let client = handshake.client.as_ref();
    match name {
        VarName::SslServerName => Some(Value::from(&**handshake.sni.as_ref()?)),
        VarName::SslProtocol => Some(Value::from(handshake.version)),
        VarName::SslCipher => Some(Value::from(in_openssl(handshake.cipher))),
        VarName::SslSessionReused => Some(Value::from(if handshake.resumed { "r" } else { "." })),
        VarName::SslClientVerify => Some(Value::from(match client {
            None => "NONE",
            Some(client) if client.verified => "SUCCESS",
            Some(_) => "FAILED",
        })),
        VarName::SslClientRawCert => Some(Value::from(pem(&client?.certificate))),
        VarName::SslClientEscapedCert => Some(Value::from(escaped(&pem(&client?.certificate)))),
        #[cfg(feature = "tls")]
        name => of_certificate(&client?.certificate, name),
        #[cfg(not(feature = "tls"))]
        _ => None,
    }
}

/// A cipher suite by OpenSSL's name: those of TLS 1.3 have the IANA's.
fn in_openssl(cipher: &'static str) -> &'static str {
    match cipher {
        "TLS13_AES_256_GCM_SHA384" => "TLS_AES_256_GCM_SHA384",
        "TLS13_AES_128_GCM_SHA256" => "TLS_AES_128_GCM_SHA256",
        "TLS13_CHACHA20_POLY1305_SHA256" => "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384" => "ECDHE-ECDSA-AES256-GCM-SHA384",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" => "ECDHE-ECDSA-AES128-GCM-SHA256",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256" => "ECDHE-ECDSA-CHACHA20-POLY1305",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384" => "ECDHE-RSA-AES256-GCM-SHA384",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" => "ECDHE-RSA-AES128-GCM-SHA256",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256" => "ECDHE-RSA-CHACHA20-POLY1305",
        other => other,
    }
}

fn pem(certificate: &[u8]) -> String {
    let mut text = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in BASE64_STANDARD.encode(certificate).as_bytes().chunks(64) {
        text.extend(line.iter().map(|byte| char::from(*byte)));
        text.push('\n');
    }
    text + "-----END CERTIFICATE-----\n"
}

/// As part of a URI: what fits into a field of a message.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 64);
    for byte in text.bytes() {
        match byte {
            b'-' | b'.' | b'_' | b'~' => escaped.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => escaped.push(char::from(byte)),
            byte => drop(write!(escaped, "%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(feature = "tls")]
fn of_certificate(certificate: &[u8], name: &VarName) -> Option<Value<'static>> {
    use x509_parser::prelude::{FromDer as _, X509Certificate};
    if *name == VarName::SslClientFingerprint {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, certificate);
        return Some(Value::from(hex(digest.as_ref(), |text, byte| write!(text, "{byte:02x}"))));
    }
    let (_, read) = X509Certificate::from_der(certificate).ok()?;
    match name {
        VarName::SslClientSDn => distinguished_name(read.subject()).map(Value::from),
        VarName::SslClientIDn => distinguished_name(read.issuer()).map(Value::from),
        VarName::SslClientSerial => {
            let serial = read.raw_serial();
            // A first zero only says that the number is none below zero.
            let serial = serial.strip_prefix(&[0]).filter(|rest| !rest.is_empty()).unwrap_or(serial);
            Some(Value::from(hex(serial, |text, byte| write!(text, "{byte:02X}"))))
        }
        _ => None,
    }
}

#[cfg(feature = "tls")]
fn hex(bytes: &[u8], digits: impl Fn(&mut String, u8) -> std::fmt::Result) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = digits(&mut text, *byte);
    }
    text
}

/// A name as RFC 2253 writes it, last part first. `None` if a part of it is no text.
#[cfg(feature = "tls")]
fn distinguished_name(name: &x509_parser::x509::X509Name<'_>) -> Option<String> {
    let mut text = String::new();
    let sets: Vec<_> = name.iter_rdn().collect();
    for (place, set) in sets.iter().rev().enumerate() {
        if place > 0 {
            text.push(',');
        }
        for (place, part) in set.iter().enumerate() {
            if place > 0 {
                text.push('+');
            }
            let _ = write!(text, "{}=", kind(part.attr_type()));
            escape_part(part.as_str().ok()?, &mut text);
        }
    }
    Some(text)
}

/// The short name of a kind of part, as OpenSSL has it, else its number.
#[cfg(feature = "tls")]
fn kind(oid: &x509_parser::der_parser::Oid<'_>) -> String {
    let number = oid.to_id_string();
    match number.as_str() {
        "1.2.840.113549.1.9.1" => "emailAddress".to_owned(),
        "0.9.2342.19200300.100.1.1" => "UID".to_owned(),
        "0.9.2342.19200300.100.1.25" => "DC".to_owned(),
        _ => x509_parser::objects::oid2abbrev(oid, x509_parser::objects::oid_registry()).map_or(number, str::to_owned),
    }
}

/// RFC 2253 §2.4. Control characters have no place in a field of a message.
#[cfg(feature = "tls")]
fn escape_part(part: &str, text: &mut String) {
    let last = part.chars().count().saturating_sub(1);
    for (place, character) in part.chars().enumerate() {
        match character {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => text.extend(['\\', character]),
            '#' if place == 0 => text.extend(['\\', '#']),
            ' ' if place == 0 || place == last => text.extend(['\\', ' ']),
            control if control.is_control() => {
                let mut bytes = [0; 4];
                for byte in control.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(text, "\\{byte:02X}");
                }
            }
            plain => text.push(plain),
        }
    }
}

#[cfg(feature = "tls")]
#[cfg(test)]
mod tests {
    use std::process::Command;

    use rcgen::{CertificateParams, DnType, KeyPair, SerialNumber};

    use super::*;
    use crate::TlsClient;

    fn certificate() -> rcgen::Certificate {
        let mut params = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CountryName, "DE");
        params.distinguished_name.push(DnType::OrganizationName, "#Bücher, \"Söhne\" + Co ");
        params.distinguished_name.push(DnType::CommonName, "jack;x");
        params.distinguished_name.push(DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]), "j@a.test");
        params.serial_number = Some(SerialNumber::from_slice(&[0x00, 0xab, 0x0c]));
        params.self_signed(&KeyPair::generate().unwrap()).unwrap()
    }

    fn told(name: &str, client: Option<TlsClient>) -> Option<String> {
        let handshake = TlsInfo {
            sni: Some("a.test".into()),
            version: "TLSv1.3",
            cipher: "TLS13_AES_256_GCM_SHA384",
            client,
            ..TlsInfo::default()
        };
        variable(&handshake, &VarName::parse(name)).map(|value| match value {
            Value::Text(text) => String::from_utf8(text.into_owned()).unwrap(),
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn a_connection_without_a_client_certificate() {
        for (name, value) in [
            ("ssl_server_name", Some("a.test")),
            ("ssl_protocol", Some("TLSv1.3")),
            ("ssl_cipher", Some("TLS_AES_256_GCM_SHA384")),
            ("ssl_session_reused", Some(".")),
            ("ssl_client_verify", Some("NONE")),
            ("ssl_client_s_dn", None),
            ("ssl_client_raw_cert", None),
            ("ssl_client_fingerprint", None),
        ] {
            assert_eq!(told(name, None).as_deref(), value, "{name}");
        }
    }

    #[test]
    fn a_client_certificate_is_told_as_openssl_tells_it() {
        let certificate = certificate();
        let client = || Some(TlsClient::new(&**certificate.der(), true));
        assert_eq!(told("ssl_client_verify", client()).unwrap(), "SUCCESS");
        let subject = "emailAddress=j@a.test,CN=jack\\;x,O=\\#Bücher\\, \\\"Söhne\\\" \\+ Co\\ ,C=DE";
        assert_eq!(told("ssl_client_s_dn", client()).unwrap(), subject);
        assert_eq!(told("ssl_client_i_dn", client()).unwrap(), subject);
        assert_eq!(told("ssl_client_serial", client()).unwrap(), "AB0C");
        assert_eq!(told("ssl_client_raw_cert", client()).unwrap(), certificate.pem().replace("\r\n", "\n"));
        let escaped = told("ssl_client_escaped_cert", client()).unwrap();
        assert!(escaped.starts_with("-----BEGIN%20CERTIFICATE-----%0A") && escaped.is_ascii(), "{escaped}");
        let fingerprint = told("ssl_client_fingerprint", client()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cert.pem");
        std::fs::write(&file, certificate.pem()).unwrap();
        let Ok(asked) =
            Command::new("openssl").args(["x509", "-noout", "-fingerprint", "-sha1", "-in"]).arg(file).output()
        else {
            assert_eq!(fingerprint.len(), 40);
            return;
        };
        let said = String::from_utf8(asked.stdout).unwrap().to_ascii_lowercase().replace(':', "");
        assert_eq!(said.trim().rsplit_once('=').unwrap().1, fingerprint);
    }

    #[test]
    fn what_is_no_certificate_has_no_name() {
        let client = || Some(TlsClient::new(&b"garbage"[..], false));
        assert_eq!(told("ssl_client_verify", client()).unwrap(), "FAILED");
        assert_eq!(told("ssl_client_s_dn", client()), None);
    }
}
