//! [`AcmeSettings`]: where certificates are ordered, `tollgate.acme`.
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Sensitive;
use super::check::shape::{Field, List, Rule, Shape, Struct, Text, text};
use super::check::walk::Walk;

/// The authority that certificates of `ssls` with `acme: true` come from, `tollgate.acme`. **Extension.**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AcmeSettings {
    /// Address (`https`) of its directory. Required.
    pub directory: String,
    /// Whether its terms of service are agreed to, which they have to be. Required.
    pub terms_agreed: bool,
    /// Where certificates, their keys and the account are kept. Several gateways may share it. Required.
    pub folder: PathBuf,
    /// Whom it may write to, as `mailto:` URIs. Default nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contact: Vec<String>,
    /// Certificates to verify the directory's server against, as PEM. Default: the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// An account elsewhere that ours is bound to. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eab: Option<AcmeBinding>,
    /// Challenges that may be used, best first. Default `tls-alpn-01`, then `http-01`.
    #[serde(default = "both")]
    pub challenges: Vec<AcmeChallenge>,
    /// Which share of a certificate's life is left when it is renewed, 0.05–0.95. Default 0.33. An authority that says when
    /// (RFC 9773) is followed.
    #[serde(default = "a_third")]
    pub renew_before: f64,
    /// The kind of keys. Default `ecdsa`.
    #[serde(default)]
    pub key_type: AcmeKeyType,
    /// One of the authority's profiles of certificates. Default: its own choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
}

/// An account elsewhere that ours is bound to (RFC 8555 §7.3.4).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AcmeBinding {
    /// The id of its key. Required.
    pub kid: String,
    /// The key in base64url as the authority gave it, or `$env://NAME`. Required.
    pub key: Sensitive,
}

/// How an authority sees that a name is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum AcmeChallenge {
    /// It asks over HTTP on port 80.
    #[serde(rename = "http-01")]
    Http01,
    /// It opens a TLS connection to port 443.
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
}

/// The kind of keys of certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum AcmeKeyType {
    /// ECDSA over P-256.
    #[default]
    Ecdsa,
    /// RSA of 2048 bits.
    Rsa,
}

fn both() -> Vec<AcmeChallenge> {
    vec![AcmeChallenge::TlsAlpn01, AcmeChallenge::Http01]
}

const fn a_third() -> f64 {
    0.33
}

const DIRECTORY: Rule = Rule {
    holds: |text| text.strip_prefix("https://").is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/')),
    expects: "an `https` address, such as https://acme-v02.api.letsencrypt.org/directory",
};

const CONTACT: Rule =
    Rule { holds: |text| text.starts_with("mailto:") && text.contains('@'), expects: "`mailto:` and an address" };

pub(crate) const ACME: Shape = Shape::Struct(
    &Struct::new(&[
        Field::required("directory", Shape::Text(Text { min: 9, max: 2048, rule: Some(&DIRECTORY) })),
        Field::required("terms_agreed", Shape::Bool),
        Field::required("folder", text(4096)),
        Field::new(
            "contact",
            Shape::List(&List {
                of: Shape::Text(Text { min: 1, max: 320, rule: Some(&CONTACT) }),
                min: 0,
                max: 16,
                unique: true,
            }),
        ),
        Field::new("ca", Shape::Text(Text { min: 128, max: 65_536, rule: Some(&Rule::PEM) })),
        Field::new(
            "eab",
            Shape::Struct(&Struct::new(&[Field::required("kid", text(1024)), Field::required("key", text(4096))])),
        ),
        Field::new(
            "challenges",
            Shape::List(&List { of: Shape::Word(&["http-01", "tls-alpn-01"]), min: 1, max: 2, unique: true }),
        ),
        Field::new("renew_before", Shape::Above(0.0)),
        Field::new("key_type", Shape::Word(&["ecdsa", "rsa"])),
        Field::new("profile", text(256)),
    ])
    .with_rule(bounds),
);

fn bounds<'v>(acme: &'v Map<String, Value>, walk: &mut Walk<'_, 'v>) {
    if acme.get("terms_agreed") == Some(&Value::Bool(false)) {
        walk.under("terms_agreed", |walk| {
            walk.error("is false", "read the authority's terms of service, and write `true` if you agree");
        });
    }
    let share = acme.get("renew_before").and_then(Value::as_f64);
    if share.is_some_and(|share| !(0.05..=0.95).contains(&share)) {
        walk.under("renew_before", |walk| {
            walk.error("is not from 0.05 to 0.95", "write which share of a certificate's life is left, such as 0.33");
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::model::{AcmeChallenge, AcmeKeyType, ReadOptions, read};

    fn faults(acme: &serde_json::Value, ssls: &serde_json::Value) -> Vec<String> {
        let read = read(&json!({"tollgate": {"acme": acme}, "ssls": ssls}), &ReadOptions::default());
        read.errors().map(ToString::to_string).collect()
    }

    #[test]
    fn little_is_required() {
        let acme = json!({"directory": "https://acme.test/dir", "terms_agreed": true, "folder": "/var/lib/x"});
        let read = read(&json!({"tollgate": {"acme": acme}}), &ReadOptions::default());
        assert_eq!(read.errors().count(), 0);
        let acme = read.snapshot.settings.acme.clone().unwrap();
        assert_eq!(acme.challenges, [AcmeChallenge::TlsAlpn01, AcmeChallenge::Http01]);
        assert_eq!((acme.key_type, acme.renew_before), (AcmeKeyType::Ecdsa, 0.33));
    }

    #[test]
    fn what_no_authority_takes_is_refused() {
        let whole = json!({"directory": "https://acme.test/dir", "terms_agreed": true, "folder": "/var/lib/x"});
        for (field, value) in [
            ("directory", json!("http://acme.test/dir")),
            ("terms_agreed", json!(false)),
            ("contact", json!(["ops@shop.test"])),
            ("challenges", json!([])),
            ("challenges", json!(["dns-01"])),
            ("renew_before", json!(30)),
            ("key_type", json!("dsa")),
            ("ca", json!("no PEM")),
        ] {
            let mut acme = whole.clone();
            acme[field] = value.clone();
            let faults = faults(&acme, &json!([]));
            assert!(faults.len() == 1 && faults[0].contains(field), "{field} {value}: {faults:?}");
        }
    }

    #[test]
    fn wildcards_are_refused_with_the_reason() {
        let acme = json!({"directory": "https://acme.test/dir", "terms_agreed": true, "folder": "/var/lib/x"});
        let ssl = |name: &str| json!([{"id": "wild", "acme": true, "snis": ["shop.test", name]}]);
        assert_eq!(faults(&acme, &ssl("www.shop.test")), [""; 0]);
        let faults = faults(&acme, &ssl("*.shop.test"));
        assert!(faults.len() == 1 && faults[0].contains("dns-01"), "{faults:?}");
    }
}
