//! What is asked about: a certificate, whoever issued it, and whom it names to ask.
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use http::Uri;
use rustls::pki_types::CertificateDer;
use x509_cert::der::Encode as _;
use x509_cert::der::asn1::{Any, Null, ObjectIdentifier, OctetString};
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_ocsp::{CertId, OcspRequest, Request, TbsRequest};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::tls::Pair;

const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
/// The access method of a responder (RFC 5280 §4.2.2.1).
const OCSP: &str = "1.3.6.1.5.5.7.48.1";
/// Features that a server has to have for a certificate (RFC 7633).
const TLS_FEATURE: &str = "1.3.6.1.5.5.7.1.24";
/// `SEQUENCE { INTEGER 5 }`, `status_request`, as it stands among other features, too.
const STATUS_REQUEST: [u8; 3] = [2, 1, 5];

/// A certificate that names a responder.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    /// Where to ask.
    pub(super) responder: Uri,
    /// What to ask about.
    pub(super) id: CertId,
    /// Who issued it, and may answer.
    pub(super) issuer: CertificateDer<'static>,
    /// Whether anybody may.
    pub(super) skip_verify: bool,
}

/// Why there is nothing to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unasked {
    /// That is usual: some authorities have no responders any more.
    #[error("the certificate names no responder")]
    NoResponder,
    #[error("the responder that the certificate names has no http address")]
    Address,
    #[error("the chain does not have the certificate's issuer")]
    NoIssuer,
    #[error("the certificate does not parse")]
    Unread,
}

impl Subject {
    pub(super) fn of(pair: &Pair, skip_verify: bool) -> Result<Self, Unasked> {
        let leaf = pair.chain().first().ok_or(Unasked::Unread)?;
        let (_, certificate) = X509Certificate::from_der(leaf).map_err(|_| Unasked::Unread)?;
        let responder = responder(&certificate)?;
        let issuer = pair.chain().get(1).ok_or(Unasked::NoIssuer)?.clone().into_owned();
        let (_, issued_by) = X509Certificate::from_der(&issuer).map_err(|_| Unasked::Unread)?;
        if issued_by.subject().as_raw() != certificate.issuer().as_raw() {
            return Err(Unasked::NoIssuer);
        }
        let hash = |bytes: &[u8]| OctetString::new(digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref());
        let key = &issued_by.public_key().subject_public_key.data;
        let id = || {
            Ok::<_, x509_cert::der::Error>(CertId {
                hash_algorithm: AlgorithmIdentifierOwned { oid: SHA1, parameters: Some(Null.into()) },
                issuer_name_hash: hash(issued_by.subject().as_raw())?,
                issuer_key_hash: hash(key)?,
                serial_number: SerialNumber::new(certificate.raw_serial())?,
            })
        };
        let id = id().map_err(|_| Unasked::Unread)?;
        Ok(Self { responder, id, issuer, skip_verify })
    }

    /// The question, in DER.
    pub(super) fn question(&self) -> Result<Vec<u8>, x509_cert::der::Error> {
        let one = Request { req_cert: self.id.clone(), single_request_extensions: None };
        let asked = TbsRequest { request_list: vec![one], ..TbsRequest::default() };
        OcspRequest { tbs_request: asked, optional_signature: None }.to_der()
    }

    /// Whether an answer is about this certificate. Hashes by SHA-1 may be named with or without a parameter.
    pub(super) fn is(&self, other: &CertId) -> bool {
        let no_parameter = other.hash_algorithm.parameters.as_ref().is_none_or(Any::is_null);
        other.hash_algorithm.oid == SHA1
            && no_parameter
            && other.issuer_name_hash == self.id.issuer_name_hash
            && other.issuer_key_hash == self.id.issuer_key_hash
            && other.serial_number == self.id.serial_number
    }
}

fn responder(certificate: &X509Certificate<'_>) -> Result<Uri, Unasked> {
    let access = certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityInfoAccess(access) => Some(access),
        _ => None,
    });
    let mut addresses = access.into_iter().flat_map(|access| &access.accessdescs).filter_map(|description| {
        match &description.access_location {
            GeneralName::URI(uri) if description.access_method.to_id_string() == OCSP => Some(*uri),
            _ => None,
        }
    });
    let address: Uri = addresses.next().ok_or(Unasked::NoResponder)?.parse().map_err(|_| Unasked::Address)?;
    let is_web = matches!(address.scheme_str(), Some("http" | "https")) && address.host().is_some();
    if is_web { Ok(address) } else { Err(Unasked::Address) }
}

fn must_staple(certificate: &X509Certificate<'_>) -> bool {
    let features = certificate.extensions().iter().find(|extension| extension.oid.to_id_string() == TLS_FEATURE);
    features.is_some_and(|features| features.value.windows(3).any(|feature| feature == STATUS_REQUEST))
}

/// Whether clients may refuse the certificate without a stapled answer (RFC 7633).
pub fn needs_staple(pair: &Pair) -> bool {
    let leaf = pair.chain().first().and_then(|leaf| X509Certificate::from_der(leaf).ok());
    leaf.is_some_and(|(_, certificate)| must_staple(&certificate))
}
