//! Tokens are signed by another library than the one that verifies them.
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderValue, Request};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::KeyPair;
use serde_json::{Value, json};

use super::*;
use crate::model::ConsumerSpec;
use crate::plugin::{AuthPlugin as _, Plugin as _};
use crate::request::{Consumer, Consumers};

const NOW: u64 = 1_700_000_000;
const SECRET: &str = "a secret of at least thirty-two bytes";

fn hs(key: &str) -> JwtAuthCredential {
    JwtAuthCredential { key: key.to_owned(), secret: Some(SECRET.into()), ..Default::default() }
}

fn public(key: &str, algorithm: JwtAlgorithm, pem: &str) -> JwtAuthCredential {
    JwtAuthCredential { key: key.to_owned(), algorithm, public_key: Some(pem.to_owned()), ..Default::default() }
}

/// A gate that knows the consumers `of-<key>`.
fn gate(config: JwtAuthConfig, blocks: Vec<JwtAuthCredential>) -> JwtAuth {
    let visitor = Consumer::new(&ConsumerSpec { username: "visitor".into(), ..ConsumerSpec::default() });
    let mut builder = Consumers::builder().consumer(&visitor, []).unwrap();
    for block in blocks {
        let name = format!("of-{}", block.key);
        let consumer = Consumer::new(&ConsumerSpec { username: name.into(), ..ConsumerSpec::default() });
        builder = builder.consumer(&consumer, [JwtAuthPlugin.to_credential(block).unwrap()]).unwrap();
    }
    JwtAuth::new(config, Arc::new(builder.build())).unwrap()
}

fn sign(algorithm: Algorithm, claims: &Value, key: &EncodingKey) -> String {
    jsonwebtoken::encode(&Header::new(algorithm), claims, key).unwrap()
}

fn hs_token(claims: &Value) -> String {
    sign(Algorithm::HS256, claims, &EncodingKey::from_secret(SECRET.as_bytes()))
}

/// A token with any header and claims, signed with the secret by HS256 whatever the header says.
fn raw_token(header: &str, claims: &str) -> String {
    let message = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = aws_lc_rs::hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
}

fn with(token: &str) -> Request<()> {
    Request::builder().uri("/").header("authorization", token).body(()).unwrap()
}

/// The consumer's name, or the message of a 401.
fn judged(gate: &JwtAuth, mut request: Request<()>) -> Result<String, String> {
    match gate.check_at(&mut request, NOW) {
        Ok(()) => Ok(Consumer::of(&request).unwrap().name().to_string()),
        Err(answer) => {
            assert_eq!(answer.status(), 401);
            assert_eq!(answer.headers()["www-authenticate"], "Bearer realm=\"jwt\"");
            let body: Value = serde_json::from_slice(answer.body().as_bytes().unwrap()).unwrap();
            Err(body["message"].as_str().unwrap().to_owned())
        }
    }
}

fn unverified() -> Result<String, String> {
    Err("failed to verify jwt".to_owned())
}

#[test]
fn every_algorithm_verifies_what_others_sign() {
    use JwtAlgorithm as A;
    let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
    let p256 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let p384 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let p521 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap();
    let ed = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let rsa_key = || EncodingKey::from_rsa_pem(rsa.serialize_pem().as_bytes()).unwrap();
    let curve = |pair: &KeyPair| EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
    let claims = json!({"key": "k"});
    for (ours, pair, token) in [
        (A::RS256, &rsa, sign(Algorithm::RS256, &claims, &rsa_key())),
        (A::RS384, &rsa, sign(Algorithm::RS384, &claims, &rsa_key())),
        (A::RS512, &rsa, sign(Algorithm::RS512, &claims, &rsa_key())),
        (A::PS256, &rsa, sign(Algorithm::PS256, &claims, &rsa_key())),
        (A::PS384, &rsa, sign(Algorithm::PS384, &claims, &rsa_key())),
        (A::PS512, &rsa, sign(Algorithm::PS512, &claims, &rsa_key())),
        (A::ES256, &p256, sign(Algorithm::ES256, &claims, &curve(&p256))),
        (A::ES384, &p384, sign(Algorithm::ES384, &claims, &curve(&p384))),
        (A::ES512, &p521, es512(&claims, &p521)),
        (
            A::EdDSA,
            &ed,
            sign(Algorithm::EdDSA, &claims, &EncodingKey::from_ed_pem(ed.serialize_pem().as_bytes()).unwrap()),
        ),
    ] {
        let gate = gate(JwtAuthConfig::default(), vec![public("k", ours, &pair.public_key_pem())]);
        assert_eq!(judged(&gate, with(&token)), Ok("of-k".to_owned()), "{ours:?}");
        // One changed character of the signature, and of the claims.
        let at = token.rfind('.').unwrap();
        for place in [at + 5, at - 5] {
            let mut changed = token.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            assert!(judged(&gate, with(std::str::from_utf8(&changed).unwrap())).is_err(), "{ours:?} {place}");
        }
    }
    for (ours, theirs) in [(A::HS256, Algorithm::HS256), (A::HS384, Algorithm::HS384), (A::HS512, Algorithm::HS512)] {
        let gate = gate(JwtAuthConfig::default(), vec![JwtAuthCredential { algorithm: ours, ..hs("k") }]);
        let token = |secret: &str| sign(theirs, &claims, &EncodingKey::from_secret(secret.as_bytes()));
        assert_eq!(judged(&gate, with(&token(SECRET))), Ok("of-k".to_owned()), "{ours:?}");
        assert_eq!(judged(&gate, with(&token("another"))), unverified(), "{ours:?}");
    }
}

fn es512(claims: &Value, pair: &KeyPair) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES512"}"#);
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P521_SHA512_FIXED_SIGNING, &pair.serialize_der()).unwrap();
    let signature = key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[test]
fn the_example_of_rfc_7515_a_1_verifies() {
    let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
        eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
        dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let secret = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ+EstJQLr/T+1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow==";
    let block = JwtAuthCredential { secret: Some(secret.into()), base64_secret: true, ..hs("joe") };
    let gate = gate(JwtAuthConfig { key_claim_name: "iss".to_owned(), ..Default::default() }, vec![block]);
    assert!(gate.check_at(&mut with(token), 1_300_819_379).is_ok());
    assert!(gate.check_at(&mut with(token), 1_300_819_380).is_err(), "it has expired");
}

#[test]
fn sec_auth_02_the_consumers_algorithm_is_the_only_one() {
    let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let pem = pair.public_key_pem();
    let gate = gate(JwtAuthConfig::default(), vec![hs("hs"), public("es", JwtAlgorithm::ES256, &pem)]);
    let claims = json!({"key": "es"});
    // The public key as a secret.
    for secret in [pem.as_bytes(), pem.trim().as_bytes(), pem::parse(&pem).unwrap().contents()] {
        let token = sign(Algorithm::HS256, &claims, &EncodingKey::from_secret(secret));
        assert_eq!(judged(&gate, with(&token)), unverified());
    }
    let right = sign(Algorithm::ES256, &claims, &EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap());
    assert_eq!(judged(&gate, with(&right)), Ok("of-es".to_owned()));
    // The right signature under a header that says otherwise.
    let longer = sign(Algorithm::HS512, &json!({"key": "hs"}), &EncodingKey::from_secret(SECRET.as_bytes()));
    assert_eq!(judged(&gate, with(&longer)), unverified());
    for alg in [r#""none""#, r#""nOnE""#, r#""hs256""#, r#""""#, r#""ES256""#] {
        let token = raw_token(&format!(r#"{{"alg":{alg}}}"#), r#"{"key":"hs"}"#);
        assert_eq!(judged(&gate, with(&token)), unverified(), "{alg}");
        let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
        assert_eq!(judged(&gate, with(&unsigned)), unverified(), "{alg}");
    }
    for header in [r"{}", r#"{"alg":["HS256"]}"#, r#"{"alg":null}"#, r#"{"alg":"HS256","alg":"HS256"}"#, "[]", "1"] {
        let token = raw_token(header, r#"{"key":"hs"}"#);
        assert_eq!(judged(&gate, with(&token)), Err("JWT token invalid".to_owned()), "{header}");
    }
}

#[test]
fn sec_auth_03_keys_come_from_the_configuration_alone() {
    let gate = gate(JwtAuthConfig::default(), vec![hs("k")]);
    let claims = r#"{"key":"k"}"#;
    for extra in [
        r#""kid":"../../dev/null""#,
        r#""jku":"http://127.0.0.1:1/keys""#,
        r#""x5u":"http://127.0.0.1:1/keys""#,
        r#""jwk":{"kty":"oct","k":"AA"}"#,
    ] {
        let token = raw_token(&format!(r#"{{"alg":"HS256",{extra}}}"#), claims);
        assert_eq!(judged(&gate, with(&token)), Ok("of-k".to_owned()), "they mean nothing: {extra}");
    }
    let jwk = format!(r#"{{"alg":"HS256","jwk":{{"kty":"oct","k":"{}"}}}}"#, URL_SAFE_NO_PAD.encode("mine"));
    let message = [jwk.as_str(), claims].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"mine");
    let tag = URL_SAFE_NO_PAD.encode(aws_lc_rs::hmac::sign(&key, message.as_bytes()));
    assert_eq!(judged(&gate, with(&format!("{message}.{tag}"))), unverified());
    for crit in [r#""crit":["b64"],"b64":false"#, r#""crit":["exp"]"#, r#""crit":[]"#] {
        let token = raw_token(&format!(r#"{{"alg":"HS256",{crit}}}"#), claims);
        assert_eq!(judged(&gate, with(&token)), unverified(), "{crit}");
    }
}

#[test]
fn what_is_no_token_is_told_by_its_message() {
    let gate = gate(JwtAuthConfig::default(), vec![hs("k")]);
    let good = hs_token(&json!({"key": "k"}));
    let malformed = "JWT token invalid";
    let signature = good.rsplit_once('.').unwrap().1;
    for (token, message) in [
        (String::new(), malformed),
        ("Bearer ".to_owned(), malformed),
        ("Basic YTpi".to_owned(), malformed),
        ("a.b.c".to_owned(), malformed),
        ("..".to_owned(), malformed),
        (format!("{good}.x"), malformed),
        (format!("{good}="), malformed),
        (format!("{good} "), malformed),
        (good.replacen('.', "..", 1), malformed),
        (good.trim_end_matches(signature).trim_end_matches('.').to_owned(), malformed),
        (raw_token(r#"{"alg":"HS256"}"#, "[]"), malformed),
        (raw_token(r#"{"alg":"HS256"}"#, r#"{"key":"k","key":"k"}"#), malformed),
        (raw_token(r#"{"alg":"HS256"}"#, &format!(r#"{{"key":"k","x":"{}"}}"#, "x".repeat(8192))), malformed),
        (hs_token(&json!({})), "missing user key in JWT token"),
        (hs_token(&json!({"key": null})), "missing user key in JWT token"),
        (hs_token(&json!({"key": 1})), "Invalid user key in JWT token"),
        (hs_token(&json!({"key": ["k"]})), "Invalid user key in JWT token"),
        (hs_token(&json!({"key": "K"})), "Invalid user key in JWT token"),
        (hs_token(&json!({"key": ""})), "Invalid user key in JWT token"),
    ] {
        assert_eq!(judged(&gate, with(&token)), Err(message.to_owned()), "{token}");
    }
    let mut binary = with("x");
    binary.headers_mut().insert("authorization", HeaderValue::from_bytes(b"Bearer \xff").unwrap());
    assert_eq!(judged(&gate, binary), Err(malformed.to_owned()));
    let none = Request::builder().uri("/").body(()).unwrap();
    assert_eq!(judged(&gate, none), Err("Missing JWT token in request".to_owned()));
}

#[test]
fn sec_auth_04_times_hold_when_they_are_there_and_must_be_when_listed() {
    let (exp, nbf) = (TimeClaim::Exp, TimeClaim::Nbf);
    for (required, grace, claims, holds) in [
        (&[][..], 0, json!({}), true),
        (&[], 0, json!({"exp": NOW + 1, "nbf": NOW}), true),
        (&[], 0, json!({"exp": NOW}), false),
        (&[], 0, json!({"nbf": NOW + 1}), false),
        (&[], 0, json!({"exp": NOW as f64 + 0.5}), true),
        (&[], 0, json!({"exp": (NOW + 9).to_string()}), false),
        (&[], 0, json!({"nbf": null}), false),
        (&[], 5, json!({"exp": NOW - 4, "nbf": NOW + 5}), true),
        (&[], 5, json!({"exp": NOW - 5}), false),
        (&[], 5, json!({"nbf": NOW + 6}), false),
        (&[exp], 0, json!({"nbf": NOW}), false),
        (&[exp], 0, json!({"exp": NOW + 1}), true),
        (&[exp], 0, json!({"exp": NOW + 1, "nbf": NOW + 1}), false),
        (&[nbf, exp], 0, json!({"exp": NOW + 1}), false),
        (&[nbf, exp], 0, json!({"exp": NOW + 1, "nbf": 0}), true),
        (&[], 0, json!({"exp": -1}), false),
        (&[], u64::MAX, json!({"exp": 0}), true),
    ] {
        let mut claims = claims;
        let config = JwtAuthConfig { claims_to_verify: required.to_vec(), ..Default::default() };
        let gate = gate(config, vec![JwtAuthCredential { lifetime_grace_period: grace, ..hs("k") }]);
        claims["key"] = json!("k");
        let wanted = if holds { Ok("of-k".to_owned()) } else { unverified() };
        assert_eq!(judged(&gate, with(&hs_token(&claims))), wanted, "{required:?} {grace} {claims}");
    }
}

/// A request with tokens in header, query and cookie.
fn request(header: Option<&str>, query: Option<&str>, cookie: Option<&str>) -> Request<()> {
    let target = query.map_or("/?a=1".to_owned(), |token| format!("/?a=1&jwt={token}"));
    let mut request = Request::builder().uri(target);
    if let Some(token) = header {
        request = request.header("authorization", token);
    }
    if let Some(token) = cookie {
        request = request.header("cookie", format!("a=1; jwt={token}; b=2"));
    }
    request.body(()).unwrap()
}

#[test]
fn sec_auth_04_places_are_tried_in_order_and_hidden_where_used() {
    let one = hs_token(&json!({"key": "one"}));
    let bearer = format!("bEARER {one}");
    let two = hs_token(&json!({"key": "two"}));
    let blocks = || vec![hs("one"), hs("two")];
    let config =
        JwtAuthConfig { hide_credentials: true, anonymous_consumer: Some("visitor".into()), ..Default::default() };
    let hiding = gate(config, blocks());
    for (given, consumer, left) in [
        ((Some(&*one), None, None), "of-one", (false, "/?a=1", None)),
        ((Some(&*bearer), Some(&*two), None), "of-one", (false, "query", None)),
        ((None, Some(&*two), Some(&*one)), "of-two", (false, "/?a=1", Some("cookie"))),
        ((None, None, Some(&*one)), "of-one", (false, "/?a=1", Some("a=1; b=2"))),
        ((Some("x"), Some(&*one), Some(&*one)), "visitor", (false, "/?a=1", Some("a=1; b=2"))),
    ] {
        let mut request = request(given.0, given.1, given.2);
        let (target, cookie) = (request.uri().to_string(), request.headers().get("cookie").cloned());
        hiding.check_at(&mut request, NOW).unwrap();
        assert_eq!(&**Consumer::of(&request).unwrap().name(), consumer);
        assert_eq!(request.headers().contains_key("authorization"), left.0);
        assert_eq!(request.uri().to_string(), if left.1 == "query" { &target } else { left.1 });
        let wanted = if left.2 == Some("cookie") { cookie } else { left.2.map(|text| text.parse().unwrap()) };
        assert_eq!(request.headers().get("cookie").cloned(), wanted);
    }
    // The same with one place for all.
    let strict = gate(JwtAuthConfig { one_location: true, ..Default::default() }, blocks());
    assert_eq!(judged(&strict, request(None, None, Some(&one))), Ok("of-one".to_owned()));
    for given in [(Some(&*one), Some(&*one), None), (None, Some(&*one), Some(&*two)), (Some("x"), None, Some(&*one))] {
        assert_eq!(judged(&strict, request(given.0, given.1, given.2)), Err("JWT token invalid".to_owned()));
    }
    // Two in one place are never taken.
    let lax = gate(JwtAuthConfig::default(), blocks());
    let twice = format!("{one}&jwt={one}");
    assert_eq!(judged(&lax, request(None, Some(&twice), None)), Err("JWT token invalid".to_owned()));
    let mut two_fields = request(Some(&one), None, None);
    two_fields.headers_mut().append("authorization", HeaderValue::from_static("x"));
    assert_eq!(lax.check_at(&mut two_fields, NOW).unwrap_err().status(), 400);
}

#[test]
fn claims_are_left_to_others_when_asked_for() {
    let headers = [("x-mail", "mail"), ("x-roles", "roles"), ("x-none", "none"), ("x-bad", "bad")];
    let config = JwtAuthConfig {
        store_in_ctx: true,
        claims_to_headers: headers.map(|(header, claim)| (header.to_owned(), claim.to_owned())).into(),
        anonymous_consumer: Some("visitor".to_owned()),
        ..Default::default()
    };
    let gate = gate(config, vec![hs("k")]);
    let token = hs_token(&json!({"key": "k", "mail": "a@b.test", "roles": ["x", 1], "none": null, "bad": "a\r\nb"}));
    let mut request = with(&token);
    for (header, _) in headers {
        request.headers_mut().insert(header, HeaderValue::from_static("spoofed"));
    }
    let mut anonymous = request.clone();
    gate.check_at(&mut request, NOW).unwrap();
    assert_eq!(request.headers()["x-mail"], "a@b.test");
    assert_eq!(request.headers()["x-roles"], r#"["x",1]"#);
    assert!(!request.headers().contains_key("x-none") && !request.headers().contains_key("x-bad"));
    let claims = request.extensions().get::<JwtClaims>().unwrap();
    assert_eq!(claims.get("mail"), Some(&json!("a@b.test")));
    assert!(!format!("{claims:?}").contains("a@b.test"));
    #[cfg(feature = "cache")]
    {
        // the token's own claims may stand in them, by which answers are then told apart
        let told = request.extensions().get::<crate::request::CallerFields>().unwrap();
        assert_eq!(told.names().count(), headers.len());
    }

    anonymous.headers_mut().remove("authorization");
    gate.check_at(&mut anonymous, NOW).unwrap();
    assert!(headers.iter().all(|(header, _)| !anonymous.headers().contains_key(*header)));
    assert!(anonymous.extensions().get::<JwtClaims>().is_none());
}

#[test]
fn what_a_block_leaves_open_is_warned_of() {
    let fields = |config: &JwtAuthConfig| {
        JwtAuthPlugin.caveats(config).into_iter().map(|caveat| caveat.field).collect::<Vec<_>>()
    };
    assert_eq!(fields(&JwtAuthConfig::default()), ["claims_to_verify", "hide_credentials"]);
    let strict = JwtAuthConfig { claims_to_verify: vec![TimeClaim::Exp], hide_credentials: true, ..Default::default() };
    assert_eq!(fields(&strict), [""; 0]);
}

#[test]
fn blocks_that_cannot_work_are_refused_by_field() {
    let empty = Arc::new(Consumers::builder().build());
    let field = |config| JwtAuth::new(config, Arc::clone(&empty)).unwrap_err().field().to_owned();
    let config = JwtAuthConfig::default;
    assert_eq!(field(JwtAuthConfig { header: String::new(), ..config() }), "header");
    assert_eq!(field(JwtAuthConfig { query: String::new(), ..config() }), "query");
    assert_eq!(field(JwtAuthConfig { cookie: String::new(), ..config() }), "cookie");
    assert_eq!(field(JwtAuthConfig { key_claim_name: String::new(), ..config() }), "key_claim_name");
    let twice = vec![TimeClaim::Exp, TimeClaim::Exp];
    assert_eq!(field(JwtAuthConfig { claims_to_verify: twice, ..config() }), "claims_to_verify");
    for header in ["a b", "Host", "Transfer-Encoding", "X-Consumer-Username", "x-credential-identifier"] {
        let claims_to_headers = [(header.to_owned(), "sub".to_owned())].into();
        assert_eq!(field(JwtAuthConfig { claims_to_headers, ..config() }), format!("claims_to_headers.{header}"));
    }

    let p384 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap().public_key_pem();
    let small = "-----BEGIN PUBLIC KEY-----\nMFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf\n\
        9Cnzj4p4WGeKLs1Pt8QuKUpRKfFLfRYC9AIKjbJTWit+CqvjWYzvQwECAwEAAQ==\n-----END PUBLIC KEY-----\n";
    for (block, field, says) in [
        (JwtAuthCredential { key: String::new(), ..hs("") }, "key", "required"),
        (JwtAuthCredential { secret: None, ..hs("k") }, "secret", "required when using HS based algorithms"),
        (JwtAuthCredential { base64_secret: true, ..hs("k") }, "secret", "not in base64 format"),
        (JwtAuthCredential { secret: Some((&*p384).into()), ..hs("k") }, "secret", "PEM"),
        (JwtAuthCredential { exp: 0, ..hs("k") }, "exp", "is 0"),
        (JwtAuthCredential { algorithm: JwtAlgorithm::ES256, ..hs("k") }, "public_key", "required when using ES256"),
        (public("k", JwtAlgorithm::ES256, &p384), "public_key", "its curve"),
        (public("k", JwtAlgorithm::EdDSA, &p384), "public_key", "its kind"),
        (public("k", JwtAlgorithm::ES256, "nonsense"), "public_key", "no PEM"),
        (public("k", JwtAlgorithm::RS256, small), "public_key", "2,048 bits"),
    ] {
        let error = JwtAuthPlugin.credential(block).unwrap_err();
        assert_eq!(error.field(), field);
        assert!(error.to_string().contains(says) && !error.to_string().contains(SECRET), "{error}");
    }
}
