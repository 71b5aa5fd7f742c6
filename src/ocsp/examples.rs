//! An authority for tests, and what it says of a certificate.
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, IsCa, KeyPair, SigningKey as _,
};
use x509_cert::der::asn1::{BitString, GeneralizedTime, Null, ObjectIdentifier, OctetString};
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_ocsp::{
    BasicOcspResponse, CertStatus, OcspGeneralizedTime, OcspResponse, ResponderId, ResponseData, RevokedInfo,
    SingleResponse, Version,
};

use super::subject::Subject;
use crate::tls::Pair;

pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
/// Authority information access: a responder at `http://a.test`.
const ACCESS: &[u8] = b"\x30\x1b\x30\x19\x06\x08\x2b\x06\x01\x05\x05\x07\x30\x01\x86\x0dhttp://a.test";

/// What is said of the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Good,
    Revoked,
    Unknown,
}

/// Who signs what is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signer {
    Issuer,
    /// Whom the issuer lets.
    Delegate,
    /// A certificate of the issuer that is for something else.
    Other,
    /// Who calls itself as the issuer.
    Stranger,
}

pub(super) struct Authority {
    params: CertificateParams,
    key: KeyPair,
    certificate: rcgen::Certificate,
    leaf: (rcgen::Certificate, KeyPair),
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let mut leaf = CertificateParams::new(["shop.test".to_owned()]).unwrap();
        leaf.custom_extensions = vec![CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], ACCESS.to_vec())];
        let leaf_key = KeyPair::generate().unwrap();
        let leaf = leaf.signed_by(&leaf_key, &rcgen::Issuer::from_params(&params, &key)).unwrap();
        Self { params, key, certificate, leaf: (leaf, leaf_key) }
    }

    /// The certificate with the authority's behind it.
    pub(super) fn pair(&self) -> Pair {
        Pair::from_pem(&(self.leaf.0.pem() + &*self.certificate.pem()), &self.leaf.1.serialize_pem()).unwrap()
    }

    pub(super) fn subject(&self) -> Subject {
        Subject::of(&self.pair(), false).unwrap()
    }

    /// What the authority itself says, for a day from `from` on.
    pub(super) fn answer(&self, said: Said, from: SystemTime) -> Vec<u8> {
        self.answer_by(Signer::Issuer, &self.subject(), said, from)
    }

    pub(super) fn answer_by(&self, signer: Signer, about: &Subject, said: Said, from: SystemTime) -> Vec<u8> {
        let time = |at: SystemTime| OcspGeneralizedTime(GeneralizedTime::from_system_time(at).unwrap());
        let one = SingleResponse {
            cert_id: about.id.clone(),
            cert_status: match said {
                Said::Good => CertStatus::Good(Null),
                Said::Revoked => {
                    CertStatus::Revoked(RevokedInfo { revocation_time: time(from), revocation_reason: None })
                }
                Said::Unknown => CertStatus::Unknown(Null),
            },
            this_update: time(from),
            next_update: Some(time(from + DAY)),
            single_extensions: None,
        };
        let data = ResponseData {
            version: Version::default(),
            responder_id: ResponderId::ByKey(OctetString::new([0; 20]).unwrap()),
            produced_at: time(from),
            responses: vec![one],
            response_extensions: None,
        };
        let own = KeyPair::generate().unwrap();
        let of_authority = |usage| {
            let mut params = CertificateParams::new(["responder.test".to_owned()]).unwrap();
            params.extended_key_usages = vec![usage];
            let issued = params.signed_by(&own, &rcgen::Issuer::from_params(&self.params, &self.key)).unwrap();
            Some(vec![x509_cert::Certificate::from_der(issued.der()).unwrap()])
        };
        let (key, certs) = match signer {
            Signer::Issuer => (&self.key, None),
            Signer::Delegate => (&own, of_authority(ExtendedKeyUsagePurpose::OcspSigning)),
            Signer::Other => (&own, of_authority(ExtendedKeyUsagePurpose::ServerAuth)),
            Signer::Stranger => {
                let stranger = self.params.self_signed(&own).unwrap();
                (&own, Some(vec![x509_cert::Certificate::from_der(stranger.der()).unwrap()]))
            }
        };
        let signature = key.sign(&data.to_der().unwrap()).unwrap();
        let basic = BasicOcspResponse {
            tbs_response_data: data,
            signature_algorithm: AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA256, parameters: None },
            signature: BitString::from_bytes(&signature).unwrap(),
            certs,
        };
        OcspResponse::successful(basic).unwrap().to_der().unwrap()
    }
}
