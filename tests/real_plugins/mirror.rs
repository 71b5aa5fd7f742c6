//! `proxy-mirror`.
use super::peers::origin::{Origin, Step};
use super::rig::{Rig, closed_port, letters};

#[tokio::test]
async fn a_copy_goes_to_the_mirror_and_the_answer_comes_from_nginx() {
    let mirror = Origin::saying("never seen").await;
    let silent = Origin::scripted(|_| vec![Step::Request]).await;
    let (shown, unheard) = (mirror.address().to_string(), silent.address().to_string());
    let replaced = [("127.0.0.1:7002", &*shown), ("127.0.0.1:7003", &unheard), ("127.0.0.1:7009", &closed_port())];
    let rig = Rig::with(include_str!("mirror.yaml"), &replaced, &[]).await;
    let order = ["-H", "Host: shop.test", "-H", "X-Tenant: blue", "-d", "an order"];
    for (path, target) in [
        ("/same/a?b=c", "/echo/a?b=c"),
        ("/other/a?b=c", "/shadow?b=c"),
        ("/below/a?b=c", "/shadow/echo/a?b=c"),
        ("/same/a%20b", "/echo/a%20b"),
    ] {
        let before = mirror.requests().len();
        let reply = rig.curl(path, &order).await;
        assert_eq!((reply.status, reply.echoed("body"), reply.echoed("host")), (200, "an order", "shop.test"));
        mirror.wait(|seen| seen.iter().any(|one| String::from_utf8_lossy(&one.bytes).contains(target))).await;
        mirror.wait(|seen| seen.iter().filter(|one| one.bytes.ends_with(b"an order")).count() > 0).await;
        let requests = mirror.requests();
        assert_eq!(requests.len(), before + 1);
        let copy = requests.iter().find(|copy| copy.target() == target).unwrap();
        assert_eq!((copy.method(), &copy.body[..]), ("POST", &b"an order"[..]));
        assert_eq!((copy.field("host"), copy.field("x-tenant")), (Some("shop.test"), Some("blue")));
    }
    // Whoever is silent or away holds nobody up.
    let long = letters(3_000_000);
    rig.serve("long", &long);
    let upload = format!("@{}", rig.nginx.folder().join("long").display());
    for path in ["/silent/a", "/away/a"] {
        for body in ["short", &*upload] {
            let reply = rig.curl(path, &["--data-binary", body, "--max-time", "10"]).await;
            assert_eq!((reply.status, reply.echoed("request")), (200, "POST /echo/a"));
        }
    }
}
