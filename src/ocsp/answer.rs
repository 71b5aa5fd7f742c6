//! What a responder answered, judged (RFC 6960 §3.2). Pure.
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_cert::der::asn1::{AnyRef, BitStringRef, ContextSpecific};
use x509_cert::der::oid::AssociatedOid as _;
use x509_cert::der::{Decode as _, Error, Reader, SliceReader, TagNumber};
use x509_ocsp::{BasicOcspResponse, CertStatus, OcspResponse, OcspResponseStatus, ResponseData};

use super::subject::Subject;

/// How far a responder's clock may be from ours.
const SKEW: Duration = Duration::from_secs(5 * 60);
/// How long an answer holds that does not say it.
const UNSAID: Duration = Duration::from_secs(60 * 60);
/// Longer than this no answer is believed, as by the rules for public authorities.
const LONGEST: Duration = Duration::from_secs(10 * 24 * 60 * 60);
/// `id-kp-OCSPSigning`.
const OCSP_SIGNING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x09];

/// An answer that can be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) der: Vec<u8>,
    /// From when to when it holds.
    pub(super) from: SystemTime,
    pub(super) until: SystemTime,
}

/// Why an answer is not shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("the answer does not parse")]
    Unread,
    #[error("the responder says {0:?}")]
    Status(OcspResponseStatus),
    #[error("the answer is about another certificate")]
    Other,
    #[error("the answer is not signed by the issuer, nor by whom it lets answer")]
    Signature,
    #[error("the answer is of another time")]
    Time,
    #[error("the certificate was revoked")]
    Revoked,
    #[error("the responder does not know the certificate")]
    Unknown,
}

/// Why a question brought nothing to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unanswered {
    pub(super) reason: String,
    /// The issuer itself says so, and of now: what it said before does not hold any more.
    pub(super) revoked: bool,
}

impl Unanswered {
    pub(super) fn new(reason: impl ToString) -> Self {
        Self { reason: reason.to_string(), revoked: false }
    }
}

impl From<Refused> for Unanswered {
    fn from(refused: Refused) -> Self {
        Self { revoked: refused == Refused::Revoked, ..Self::new(refused) }
    }
}

impl From<Error> for Refused {
    fn from(_: Error) -> Self {
        Self::Unread
    }
}

impl Answer {
    /// Judges what came about `subject`. Who signed it does not count where the certificate says so.
    pub(super) fn judge(der: &[u8], subject: &Subject, now: SystemTime) -> Result<Self, Refused> {
        let response = OcspResponse::from_der(der)?;
        if response.response_status != OcspResponseStatus::Successful {
            return Err(Refused::Status(response.response_status));
        }
        let bytes = response.response_bytes.ok_or(Refused::Unread)?;
        if bytes.response_type != BasicOcspResponse::OID {
            return Err(Refused::Unread);
        }
        let signed = Signed::read(bytes.response.as_bytes())?;
        if !subject.skip_verify {
            signed.verify(&subject.issuer, now)?;
        }
        let said = ResponseData::from_der(signed.said)?;
        let one = said.responses.iter().find(|one| subject.is(&one.cert_id)).ok_or(Refused::Other)?;
        let from = one.this_update.0.to_system_time();
        let until = one.next_update.map_or(from + UNSAID, |until| until.0.to_system_time());
        let is_of_now = from <= now + SKEW && until > now && now <= from + LONGEST;
        match one.cert_status {
            _ if !is_of_now => Err(Refused::Time),
            CertStatus::Good(_) => Ok(Self { der: der.to_vec(), from, until: until.min(from + LONGEST) }),
            CertStatus::Revoked(_) => Err(Refused::Revoked),
            CertStatus::Unknown(_) => Err(Refused::Unknown),
        }
    }
}

/// A signed answer in its parts, as they were signed: encoded anew, they might be other bytes.
struct Signed<'a> {
    said: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
    /// Certificates that came with it.
    others: Vec<&'a [u8]>,
}

impl<'a> Signed<'a> {
    fn read(der: &'a [u8]) -> Result<Self, Error> {
        let whole = AnyRef::from_der(der)?;
        let mut reader = SliceReader::new(whole.value())?;
        let said = reader.tlv_bytes()?;
        let algorithm = AnyRef::from_der(reader.tlv_bytes()?)?.value();
        let signature = BitStringRef::from_der(reader.tlv_bytes()?)?.as_bytes().unwrap_or_default();
        let mut others = Vec::new();
        if !reader.is_finished() {
            let list = ContextSpecific::<AnyRef<'a>>::decode_explicit(&mut reader, TagNumber::N0)?;
            let list = list.map_or(&[][..], |list| list.value.value());
            let mut list = SliceReader::new(list)?;
            while !list.is_finished() {
                others.push(list.tlv_bytes()?);
            }
        }
        reader.finish(Self { said, algorithm, signature, others })
    }

    /// The issuer itself, or somebody whom it has given a certificate for answering.
    fn verify(&self, issuer: &CertificateDer<'_>, now: SystemTime) -> Result<(), Refused> {
        if self.is_by(issuer) {
            return Ok(());
        }
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        let anchor = anchor_from_trusted_cert(issuer).map_err(|_| Refused::Signature)?;
        let now = UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).unwrap_or_default());
        // A responder's bag of certificates is not searched without end.
        for other in self.others.iter().take(4) {
            let other = CertificateDer::from(*other);
            let Ok(delegate) = EndEntityCert::try_from(&other) else { continue };
            let anchors = std::slice::from_ref(&anchor);
            let usage = KeyUsage::required(OCSP_SIGNING);
            let is_delegate = delegate.verify_for_usage(algorithms.all, anchors, &[], now, usage, None, None).is_ok();
            if is_delegate && self.is_by(&other) {
                return Ok(());
            }
        }
        Err(Refused::Signature)
    }

    fn is_by(&self, signer: &CertificateDer<'_>) -> bool {
        let Ok(signer) = EndEntityCert::try_from(signer) else { return false };
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        let fitting = algorithms.all.iter().filter(|algorithm| *algorithm.signature_alg_id() == *self.algorithm);
        let mut fitting = fitting.map(|algorithm| signer.verify_signature(*algorithm, self.said, self.signature));
        fitting.any(|verified| verified.is_ok())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::super::examples::{Authority, DAY, Said, Signer};
    use super::*;

    /// Whole seconds, as answers have them.
    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(UNIX_EPOCH.elapsed().unwrap().as_secs())
    }

    #[test]
    fn what_the_issuer_or_its_delegate_says_of_now_is_taken() {
        let (authority, now) = (Authority::new(), now());
        let subject = authority.subject();
        let judge = |signer, said, from| {
            let der = authority.answer_by(signer, &subject, said, from);
            Answer::judge(&der, &subject, now).map(|answer| (answer.from, answer.until))
        };
        for signer in [Signer::Issuer, Signer::Delegate] {
            assert_eq!(judge(signer, Said::Good, now), Ok((now, now + DAY)), "{signer:?}");
            assert_eq!(judge(signer, Said::Revoked, now), Err(Refused::Revoked));
            assert_eq!(judge(signer, Said::Unknown, now), Err(Refused::Unknown));
        }
        for signer in [Signer::Other, Signer::Stranger] {
            assert_eq!(judge(signer, Said::Good, now), Err(Refused::Signature), "{signer:?}");
            assert_eq!(judge(signer, Said::Revoked, now), Err(Refused::Signature), "nobody else revokes");
        }
        assert_eq!(judge(Signer::Issuer, Said::Good, now - DAY), Err(Refused::Time), "it is over");
        assert_eq!(judge(Signer::Issuer, Said::Revoked, now - DAY), Err(Refused::Time));
        assert_eq!(judge(Signer::Issuer, Said::Good, now + 2 * SKEW), Err(Refused::Time), "it is to come");
        assert!(judge(Signer::Issuer, Said::Good, now + SKEW).is_ok(), "clocks differ");
    }

    #[test]
    fn where_the_signer_does_not_count_all_else_does() {
        let (authority, now) = (Authority::new(), now());
        let subject = Subject { skip_verify: true, ..authority.subject() };
        let judge = |said, from| {
            let der = authority.answer_by(Signer::Stranger, &subject, said, from);
            Answer::judge(&der, &subject, now).map(|answer| answer.from)
        };
        assert_eq!(judge(Said::Good, now), Ok(now));
        assert_eq!(judge(Said::Good, now - DAY), Err(Refused::Time));
        let other = authority.answer_by(Signer::Issuer, &Authority::new().subject(), Said::Good, now);
        assert_eq!(Answer::judge(&other, &subject, now), Err(Refused::Other));
    }

    #[test]
    fn an_answer_about_another_certificate_says_nothing() {
        let (authority, other) = (Authority::new(), Authority::new());
        let der = authority.answer_by(Signer::Issuer, &other.subject(), Said::Good, now());
        assert_eq!(Answer::judge(&der, &authority.subject(), now()), Err(Refused::Other));
    }

    static AUTHORITY: LazyLock<(Authority, Subject)> = LazyLock::new(|| {
        let authority = Authority::new();
        let subject = authority.subject();
        (authority, subject)
    });
    static ANSWER: LazyLock<Vec<u8>> =
        LazyLock::new(|| AUTHORITY.0.answer_by(Signer::Delegate, &AUTHORITY.1, Said::Revoked, now()));

    proptest! {
        #[test]
        fn any_bytes_are_refused(der in proptest::collection::vec(any::<u8>(), 0..512)) {
            prop_assert!(Answer::judge(&der, &AUTHORITY.1, now()).is_err());
        }

        /// Whatever is changed, cut off or put in between: nothing makes "good" of what was signed as "revoked".
        #[test]
        fn no_change_of_bytes_turns_what_was_signed(
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
            cut in any::<Option<proptest::sample::Index>>(),
            more in proptest::collection::vec(any::<u8>(), 0..8),
        ) {
            let mut der = ANSWER.clone();
            for (place, byte) in changes {
                let place = place.index(der.len());
                der[place] = byte;
            }
            if let Some(cut) = cut {
                der.truncate(cut.index(der.len()));
            }
            der.extend(more);
            prop_assert!(Answer::judge(&der, &AUTHORITY.1, now()).is_err());
        }
    }
}
