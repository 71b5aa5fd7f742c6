use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

use super::*;
use crate::error::{Request, Response};
use crate::model::ConsumerSpec;
use crate::plugin::{AroundLayer, AuthPlugin as _, Authenticate as _};
use crate::request::{Consumer, Consumers};
use crate::{Body, Next, PluginLayer};

fn consumers(plugin: &BasicAuthPlugin, logins: &[(&str, &str)]) -> Arc<Consumers> {
    let mut builder = Consumers::builder();
    for (name, password) in logins {
        let consumer = Consumer::new(&ConsumerSpec { username: (*name).into(), ..ConsumerSpec::default() });
        let login = plugin.to_credential(BasicAuthCredential::new(*name, *password)).unwrap();
        builder = builder.consumer(&consumer, [login]).unwrap();
    }
    Arc::new(builder.build())
}

fn auth(config: BasicAuthConfig, logins: &[(&str, &str)]) -> BasicAuth {
    let plugin = BasicAuthPlugin::default();
    BasicAuth::new(config, consumers(&plugin, logins), &plugin).unwrap()
}

fn with(values: &[&[u8]]) -> Request {
    let mut request = Request::new(Body::empty());
    for value in values {
        request.headers_mut().append("authorization", HeaderValue::from_bytes(value).unwrap());
    }
    request
}

fn login(text: &[u8]) -> Vec<u8> {
    format!("Basic {}", STANDARD.encode(text)).into_bytes()
}

/// The name of who was identified, or status and message.
async fn judged(auth: &BasicAuth, mut request: Request) -> Result<String, (u16, String)> {
    match auth.authenticate(&mut request).await {
        Ok(()) => Ok(Consumer::of(&request).unwrap().name().to_string()),
        Err(answer) => Err((answer.status().as_u16(), message(&answer))),
    }
}

fn message(answer: &Response) -> String {
    let body: serde_json::Value = serde_json::from_slice(answer.body().as_bytes().unwrap()).unwrap();
    body["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn logins_are_judged_byte_for_byte() {
    let auth = auth(BasicAuthConfig::default(), &[("acme", "pass:word "), ("b", "x")]);
    let malformed = Err("Invalid authorization in request");
    let wrong = Err("Invalid user authorization");
    let giant = login(&[&b"acme:"[..], &[b'x'; 50_000]].concat());
    for (values, wanted) in [
        (vec![], Err("Missing authorization in request")),
        (vec![login(b"acme:pass:word ")], Ok("acme")),
        (vec![login(b"b:x")], Ok("b")),
        (vec![login(b"acme:pass:word")], wrong),
        (vec![login(b"acme:pass")], wrong),
        (vec![login(b"ACME:pass:word ")], wrong),
        (vec![login(b"b:pass:word ")], wrong),
        (vec![login(b"nobody:x")], wrong),
        (vec![login(b"acme:")], wrong),
        (vec![login(b":")], wrong),
        (vec![login(b"acme\xff:x")], wrong),
        (vec![giant], wrong),
        (vec![login(b"acme")], malformed),
        (vec![b"Basic !!!".to_vec()], malformed),
        (vec![b"Bearer abc".to_vec()], malformed),
        (vec![b"Basic \xff".to_vec()], malformed),
        (vec![vec![]], malformed),
    ] {
        let request = with(&values.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let found = judged(&auth, request).await;
        let found = found.as_deref().map_err(|(status, message)| {
            assert_eq!(*status, 401);
            message.as_str()
        });
        assert_eq!(found, wanted, "{values:?}");
    }
}

#[tokio::test]
async fn sec_auth_05_two_fields_are_400_even_for_the_anonymous() {
    let config = BasicAuthConfig { anonymous_consumer: Some("b".to_owned()), ..Default::default() };
    let auth = auth(config, &[("acme", "p"), ("b", "x")]);
    let twice = login(b"acme:p");
    assert_eq!(judged(&auth, with(&[&twice, &twice])).await.unwrap_err().0, 400);
    assert_eq!(judged(&auth, with(&[])).await.unwrap(), "b");
}

#[tokio::test]
async fn the_layer_challenges_hides_and_goes_on() {
    let end = Next::from_fn(|request: Request| async move {
        assert!(!request.headers().contains_key("authorization"));
        Response::new(Body::from(request.headers()["x-consumer-username"].to_str().unwrap().to_owned()))
    });
    let config = BasicAuthConfig { hide_credentials: true, realm: "shop".to_owned(), ..Default::default() };
    let chain = PluginLayer::from(AroundLayer::of(auth(config, &[("acme", "p")]))).wrap(end);
    let answer = chain.run(with(&[&login(b"acme:p")])).await;
    assert_eq!(answer.body().as_bytes().unwrap(), b"acme");
    let answer = chain.run(with(&[&login(b"acme:q")])).await;
    assert_eq!(
        (answer.status().as_u16(), answer.headers()["www-authenticate"].as_bytes()),
        (401, &b"Basic realm=\"shop\""[..])
    );
}

#[test]
fn sec_auth_01_what_is_kept_is_of_no_use_elsewhere() {
    // Keyed digests are what is compared, of a type whose comparison takes the same time whatever differs.
    let (plugin, other) = (BasicAuthPlugin::default(), BasicAuthPlugin::default());
    let consumers = consumers(&plugin, &[("acme", "p")]);
    let judged_by =
        |plugin: &BasicAuthPlugin| BasicAuth::new(BasicAuthConfig::default(), Arc::clone(&consumers), plugin);
    let judged = |auth: BasicAuth| {
        let mut request = with(&[&login(b"acme:p")]);
        futures_util::FutureExt::now_or_never(auth.authenticate(&mut request)).unwrap().is_ok()
    };
    assert!(judged(judged_by(&plugin).unwrap()));
    assert!(judged(judged_by(&plugin.clone()).unwrap()));
    assert!(!judged(judged_by(&other).unwrap()));
}

#[test]
fn blocks_that_cannot_work_are_refused_by_field() {
    let refused = |name: &str, password: &str| {
        let block = BasicAuthCredential::new(name, password);
        BasicAuthPlugin::default().credential(block).unwrap_err().field().to_owned()
    };
    assert_eq!(refused("", "p"), "username");
    assert_eq!(refused("a:b", "p"), "username");
    assert_eq!(refused("a", ""), "password");
    assert_eq!(refused("a", "$argon2d$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$AAAA"), "password");
    assert_eq!(refused("a", "$argon2id$nonsense"), "password");
}

#[test]
fn sec_secr_01_nothing_of_a_password_is_printed() {
    let plugin = BasicAuthPlugin::default();
    let block = BasicAuthCredential::new("acme", "canary-password");
    let mut printed = format!("{block:?}");
    printed += &format!("{:?}", plugin.credential(block).unwrap().1);
    printed += &format!("{plugin:?}");
    assert!(!printed.contains("canary"), "{printed}");
}

#[cfg(feature = "password-hash")]
mod hashes {
    use super::*;

    /// Of `secret`, with the smallest parameters.
    const ARGON2: &str = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$";
    const SCRYPT: &str = "$scrypt$ln=1,r=1,p=1$c29tZXNhbHQ$";

    fn hashed() -> [String; 2] {
        use argon2::password_hash::CustomizedPasswordHasher as _;
        let argon2 = argon2::Argon2::default();
        let params = argon2::Params::new(8, 1, 1, None).unwrap();
        let one = argon2.hash_password_customized(b"secret", b"somesalt", Some("argon2id"), None, params).unwrap();
        let params = scrypt::Params::new(1, 1, 1).unwrap();
        let scrypt = scrypt::Scrypt::default();
        let other = scrypt::phc::PasswordHash::new(
            &argon2::password_hash::CustomizedPasswordHasher::<argon2::password_hash::phc::PasswordHash>::hash_password_customized(
                &scrypt, b"secret", b"somesalt", None, None, params,
            )
            .unwrap()
            .to_string(),
        );
        [one.to_string(), other.unwrap().to_string()]
    }

    #[tokio::test]
    async fn hashed_passwords_are_taken_and_remembered() {
        let [argon2, scrypt] = hashed();
        assert!(argon2.starts_with(ARGON2) && scrypt.starts_with(SCRYPT), "{argon2} {scrypt}");
        let auth = auth(BasicAuthConfig::default(), &[("a", &argon2), ("s", &scrypt), ("clear", "secret")]);
        for name in ["a", "s", "clear"] {
            for _ in 0..2 {
                let right = login(format!("{name}:secret").as_bytes());
                assert_eq!(judged(&auth, with(&[&right])).await.unwrap(), name);
                let wrong = login(format!("{name}:Secret").as_bytes());
                assert_eq!(judged(&auth, with(&[&wrong])).await.unwrap_err().0, 401);
            }
        }
        // What was configured is no password.
        let phc = login(format!("a:{argon2}").as_bytes());
        assert_eq!(judged(&auth, with(&[&phc])).await.unwrap_err().0, 401);
    }

    #[test]
    fn sec_auth_07_a_hash_is_paid_once_and_every_failure_costs_one() {
        use super::super::password::{Judge, Verdict};
        let judge = Judge::default();
        let clear = judge.keep(&"secret".into()).unwrap();
        assert!(matches!(judge.look(None, b"x"), Verdict::Wrong), "no hash is configured, none is worked out");
        let kept = judge.keep(&hashed()[0].as_str().into()).unwrap();
        for (password, presented) in [(None, b"secret"), (Some(&clear), b"Secret"), (Some(&kept), b"Secret")] {
            let Verdict::Open(question) = judge.look(password, presented) else { panic!("{password:?}") };
            assert!(!futures_util::FutureExt::now_or_never(judge.hashing.answer(question)).unwrap().unwrap());
        }
        assert!(matches!(judge.look(Some(&clear), b"secret"), Verdict::Right));
        let Verdict::Open(question) = judge.look(Some(&kept), b"secret") else { panic!("not known yet") };
        assert!(futures_util::FutureExt::now_or_never(judge.hashing.answer(question)).unwrap().unwrap());
        assert!(matches!(judge.look(Some(&kept), b"secret"), Verdict::Right));
    }

    #[test]
    fn hashes_that_would_cost_the_machine_are_refused() {
        let plugin = BasicAuthPlugin::default();
        let refused = |hash: &str| plugin.credential(BasicAuthCredential::new("a", hash)).unwrap_err().to_string();
        let output = "AAAAAAAAAAAAAAAAAAAAAA";
        for hash in [
            format!("$argon2id$v=19$m=1000000,t=1,p=1$c29tZXNhbHQ${output}"),
            format!("$argon2id$v=19$m=1024,t=1000,p=1$c29tZXNhbHQ${output}"),
            format!("$scrypt$ln=30,r=8,p=1$c29tZXNhbHQ${output}"),
        ] {
            assert!(refused(&hash).contains("256 MiB"), "{hash}");
        }
        assert!(refused("$argon2id$v=19$m=8,t=1,p=1").contains("without salt"));
    }
}
