//! Users, rights, tokens that run out, TLS, and what etcd refuses.
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tollgate::model::{EtcdSettings, EtcdTls};
use tollgate::store::{EtcdStore, Store, StoreError, Transaction};

use super::behaviour::{commit, load, put};
use super::follower::Follower;
use super::server::{Etcd, V34, V35, Version};

fn login(etcd: &Etcd, user: &str, password: &str) -> EtcdSettings {
    EtcdSettings { user: Some(user.to_owned()), password: Some(password.into()), ..etcd.settings() }
}

/// A server with the users `root`, `writer` and `reader`, whose passwords are their names.
fn guarded(version: Version, arguments: &[&str]) -> Etcd {
    let etcd = Etcd::start_with(version, arguments);
    guard(&etcd);
    etcd
}

fn guard(etcd: &Etcd) {
    for arguments in [
        "user add root:root",
        "user add writer:writer",
        "user add reader:reader",
        "role add write",
        "role add read",
        "role grant-permission --prefix write readwrite /apisix/",
        "role grant-permission --prefix read read /apisix/",
        "user grant-role root root",
        "user grant-role writer write",
        "user grant-role reader read",
        "auth enable",
    ] {
        etcd.ctl(arguments.split(' '));
    }
}

fn refused(result: Result<impl Sized, StoreError>) -> String {
    match result {
        Err(error @ StoreError::Refused { .. }) => error.to_string(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was taken"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_reads_and_watches_and_does_not_write() {
    for version in [V34, V35] {
        let etcd = guarded(version, &[]);
        let writer: Arc<dyn Store> = Arc::new(EtcdStore::new(&login(&etcd, "writer", "writer")).unwrap());
        commit(&writer, [put("routes/1", "{}")]).await;
        let reader = EtcdStore::new(&login(&etcd, "reader", "reader")).unwrap();
        let mut follower = Follower::new(&reader).await;
        commit(&writer, [put("routes/2", "{}")]).await;
        follower.until("the change", |follower| follower.value("routes/2").is_some()).await;
        let edits = vec![put("routes/3", "{}")];
        let message = refused(reader.commit(Transaction { edits, ..Transaction::default() }).await);
        assert!(message.contains("permission denied") && message.contains("role"), "{message}");
        for (settings, expected) in [
            (etcd.settings(), "set `user` and `password`"),
            (login(&etcd, "reader", "canary"), "set the right `user` and `password`"),
        ] {
            let message = refused(EtcdStore::new(&settings).unwrap().load().await);
            assert!(message.contains(expected) && !message.contains("canary"), "{message}");
        }
        assert!(follower.errors.is_empty(), "{:?}", follower.errors);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_ran_out_is_replaced() {
    for version in [V34, V35] {
        let mut etcd = guarded(version, &["--auth-token-ttl=1"]);
        let store = EtcdStore::new(&login(&etcd, "writer", "writer")).unwrap();
        let shared: Arc<dyn Store> = Arc::new(store.clone());
        commit(&shared, [put("routes/1", "{}")]).await;
        let mut follower = Follower::new(&store).await;
        // etcd's clock: the token lives for a second, and is looked for every second.
        tokio::time::sleep(Duration::from_secs(3)).await;
        commit(&shared, [put("routes/2", "{}")]).await;
        follower.until("the change", |follower| follower.value("routes/2").is_some()).await;
        // A watch that begins anew does so with a token that is not known any more.
        tokio::time::sleep(Duration::from_secs(3)).await;
        etcd.restart();
        follower.catch_up().await;
        let mut late = Follower::new(&store).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        late.catch_up().await;
        commit(&shared, [put("routes/3", "{}")]).await;
        follower.until("the change", |follower| follower.value("routes/3").is_some()).await;
        late.until("the change", |follower| follower.value("routes/3").is_some()).await;
        let refused = follower.errors.iter().any(|error| matches!(error, StoreError::Refused { .. }));
        assert!(!refused, "{:?}", follower.errors);
        assert_eq!(follower.resyncs, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_begins_with_an_old_token_logs_in_anew() {
    for version in [V34, V35] {
        let etcd = guarded(version, &["--auth-token-ttl=1"]);
        let store = EtcdStore::new(&login(&etcd, "reader", "reader")).unwrap();
        let revision = store.load().await.unwrap().revision;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let mut watch = store.watch(revision + 1);
        let next = tokio::spawn(async move { std::future::poll_fn(|cx| watch.as_mut().poll_next(cx)).await });
        let writer: Arc<dyn Store> = Arc::new(EtcdStore::new(&login(&etcd, "writer", "writer")).unwrap());
        commit(&writer, [put("routes/1", "{}")]).await;
        assert!(matches!(next.await.unwrap(), Some(Ok(_))));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_logs_in_anew_by_itself_after_a_restart_that_forgot_its_token() {
    for version in [V34, V35] {
        let mut etcd = guarded(version, &[]);
        let reader = EtcdStore::new(&login(&etcd, "reader", "reader")).unwrap();
        let mut follower = Follower::new(&reader).await;
        etcd.kill();
        follower.until("the loss of the server", |follower| follower.errors.len() > 1).await;
        etcd.restart();
        // Nobody but the watch uses the reader's log-in.
        let writer: Arc<dyn Store> = Arc::new(EtcdStore::new(&login(&etcd, "writer", "writer")).unwrap());
        commit(&writer, [put("routes/1", "{}")]).await;
        follower.until("the change", |follower| follower.value("routes/1").is_some()).await;
        let refused = follower.errors.iter().any(|error| matches!(error, StoreError::Refused { .. }));
        assert!(!refused, "{:?}", follower.errors);
        assert_eq!(follower.resyncs, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_are_no_fault_where_the_server_knows_none() {
    for version in [V34, V35] {
        let etcd = Etcd::start(version);
        let store = EtcdStore::new(&login(&etcd, "writer", "writer")).unwrap();
        let shared: Arc<dyn Store> = Arc::new(store.clone());
        commit(&shared, [put("routes/1", "{}")]).await;
        assert_eq!(load(&shared).await.entries.len(), 1);
        let mut follower = Follower::new(&store).await;
        // Until it does.
        guard(&etcd);
        commit(&shared, [put("routes/2", "{}")]).await;
        follower.until("the change", |follower| follower.value("routes/2").is_some()).await;
        assert_eq!(Follower::new(&store).await.state.len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_etcd_refuses_is_told_with_the_mend() {
    for version in [V34, V35] {
        let etcd = Etcd::start_with(version, &["--quota-backend-bytes=20000000", "--max-txn-ops=200"]);
        let store: Arc<dyn Store> = Arc::new(etcd.store());
        let edits = |count: usize| (0..count).map(|at| put(&format!("routes/{at}"), "{}")).collect();
        let transaction = |count| Transaction { edits: edits(count), ..Transaction::default() };
        store.commit(transaction(200)).await.unwrap();
        let message = refused(store.commit(transaction(201)).await);
        assert!(message.contains("--max-txn-ops"), "{message}");
        let large = vec![put("protos/1", vec![b'x'; 5 << 20])];
        let message = refused(store.commit(Transaction { edits: large, ..Transaction::default() }).await);
        assert!(message.contains("--max-request-bytes"), "{message}");
        let message = loop {
            let edits = vec![put("protos/1", vec![b'x'; 3 << 20])];
            match store.commit(Transaction { edits, ..Transaction::default() }).await {
                Ok(_) => {}
                Err(error @ StoreError::Refused { .. }) => break error.to_string(),
                Err(error) => panic!("{error}"),
            }
        };
        assert!(message.contains("alarm disarm"), "{message}");
        assert_eq!(load(&store).await.entries.len(), 201, "it still reads");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_both_sides_show_who_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let authority = || {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let (ours, other) = (authority(), authority());
    let signed = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &ours).unwrap();
        (cert.pem(), key.serialize_pem())
    };
    let (cert, key) = signed("etcd.test");
    let (client_cert, client_key) = signed("client.test");
    let ca = file("ca.pem", &ours.pem());
    let arguments = [
        format!("--cert-file={}", file("cert.pem", &cert).display()),
        format!("--key-file={}", file("key.pem", &key).display()),
        format!("--trusted-ca-file={}", ca.display()),
        "--client-cert-auth".to_owned(),
    ];
    for version in [V34, V35] {
        let etcd = Etcd::start_with(version, &arguments.each_ref().map(|text| &**text));
        let tls = EtcdTls {
            ca: Some(ca.clone()),
            cert: Some(file("client.pem", &client_cert)),
            key: Some(file("client.key", &client_key)),
            sni: Some("etcd.test".to_owned()),
            ..EtcdTls::default()
        };
        let host = vec![format!("https://127.0.0.1:{}", etcd.port)];
        let store = |tls: EtcdTls| {
            EtcdStore::new(&EtcdSettings { host: host.clone(), tls, startup_retry: 0, ..etcd.settings() }).unwrap()
        };
        let good: Arc<dyn Store> = Arc::new(store(tls.clone()));
        let mut follower = Follower::new(&store(tls.clone())).await;
        commit(&good, [put("routes/1", "{}")]).await;
        follower.until("the change", |follower| follower.value("routes/1").is_some()).await;
        store(EtcdTls { ca: None, verify: false, ..tls.clone() }).load().await.unwrap();
        for (tls, expected) in [
            (EtcdTls { sni: None, ..tls.clone() }, "not valid for"),
            (EtcdTls { ca: Some(file("other.pem", &other.pem())), ..tls.clone() }, "invalid peer certificate"),
            (EtcdTls { cert: None, key: None, ..tls.clone() }, ""),
        ] {
            let error = store(tls).load().await.unwrap_err();
            assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
            assert!(error.to_string().contains(expected), "{error}");
        }
        let missing = EtcdTls { ca: Some(folder.path().join("none.pem")), ..tls };
        let error = EtcdStore::new(&EtcdSettings { host: host.clone(), tls: missing, ..etcd.settings() }).unwrap_err();
        assert!(error.to_string().contains("tls.ca"), "{error}");
    }
}
