//! `body-transformer`, `echo`, `error-page`, `degraphql` and `data-mask`.
use serde_json::json;

use super::peers::within;
use super::rig::{Rig, closed_port, letters};

async fn rig() -> Rig {
    Rig::with(include_str!("transform.yaml"), &[("127.0.0.1:7009", &closed_port())], &[]).await
}

const JSON: [&str; 2] = ["-H", "Content-Type: application/json"];

#[tokio::test]
async fn bodies_of_every_format_become_what_the_template_says() {
    let rig = rig().await;
    rig.serve("note.txt", "a <note>");
    let file = format!("file=@{}", rig.nginx.folder().join("note.txt").display());
    let order = r#"{"id": "<7>", "items": [{"name": "pen & ink"}, {"name": 5}]}"#;
    let soap =
        "<s:Envelope xmlns:s=\"x\"><s:Body><city>Ulm</city><day>1</day><day>2</day><none/></s:Body></s:Envelope>";
    for (path, arguments, body) in [
        (
            "/orders",
            &[&JSON[..], &["-d", order]].concat()[..],
            "<order><id>&lt;7&gt;</id><item>pen &amp; ink</item><item>5</item></order>",
        ),
        ("/orders?id=8", &[], "<order><id>8</id></order>"),
        ("/orders", &["-d", "id=9&x=y"], "<order><id>9</id></order>"),
        ("/raw", &["-d", "say \"hi\""], r#"{"body": "say \"hi\"", "by": "127.0.0.1"}"#),
        ("/soap", &["-d", soap], r#"{"city": "Ulm", "days": ["1","2"], "none": ""}"#),
        ("/form", &["-d", "name=Ann+Lee"], r#"{"name": "Ann Lee"}"#),
        ("/parts", &["-F", "name=Ann", "-F", &file], "Ann sends note.txt: a <note>"),
    ] {
        let reply = rig.curl(path, arguments).await;
        assert_eq!((reply.status, reply.echoed("body")), (200, body), "{path} {arguments:?}");
        assert_eq!(reply.echoed("length"), body.len().to_string());
    }
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused() {
    let rig = rig().await;
    for (path, arguments) in [
        ("/orders", &[&JSON[..], &["-d", "{\"id\""]].concat()[..]),
        ("/soap", &["-d", "<a"]),
        ("/soap", &["-d", "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>"]),
    ] {
        let reply = rig.curl(path, arguments).await;
        let message = reply.json()["message"].as_str().unwrap().to_owned();
        assert!(reply.status == 400 && message.starts_with("request body decode: "), "{arguments:?}: {reply:?}");
    }
    let missing = rig.curl("/parts", &["-F", "name=Ann"]).await;
    let message = missing.json()["message"].as_str().unwrap().to_owned();
    assert!(missing.status == 503 && message.starts_with("request template rendering: "), "{missing:?}");
    let long = format!("id={}", letters(1000));
    assert_eq!(rig.says("/orders", &["-d", &long]).await, (413, String::new()));
    assert_eq!(rig.asked("/echo"), 0);
}

#[tokio::test]
async fn answers_are_made_anew_before_other_plugins_see_them() {
    let rig = rig().await;
    let weather = rig.curl("/weather", &["--compressed"]).await;
    assert_eq!(
        (weather.json(), weather.field("content-type").as_deref()),
        (json!({"degrees": "5", "status": 200}), Some("application/json"))
    );
    assert_eq!(weather.field("content-length").unwrap(), weather.body.len().to_string());
    assert_eq!(
        rig.curl("/weather", &["-I"]).await.field("content-length"),
        None,
        "nobody knows it before the body is made"
    );
    assert_eq!(rig.curl("/order-status", &[]).await.text(), "<status n=\"5\">ok &amp; done</status>");
}

#[tokio::test]
async fn an_echo_stands_around_answers_and_in_their_place() {
    let rig = rig().await;
    let around = rig.curl("/around/status/200", &[]).await;
    assert_eq!((around.text(), around.field("x-seen-by").as_deref()), ("before fine after", Some("echo")));
    assert_eq!(around.field("content-length"), None);
    let missing = rig.curl("/around/status/404", &[]).await;
    assert_eq!((missing.status, missing.text()), (404, "before not here after"));
    assert_eq!(rig.says("/instead/status/200", &[]).await, (200, "the body".to_owned()));
}

#[tokio::test]
async fn errors_of_the_gateway_have_pages_and_those_of_nginx_keep_theirs() {
    let rig = rig().await;
    let unknown = rig.curl("/unknown", &[]).await;
    assert_eq!((unknown.status, unknown.text()), (404, "<h1>There is no such page</h1>"));
    assert_eq!(unknown.field("content-type").as_deref(), Some("text/html"));
    let away = rig.curl("/away", &[]).await;
    assert_eq!((away.status, away.text()), (502, "away for a moment"));
    assert_eq!(away.field("content-type").as_deref(), Some("text/plain"));
    assert_eq!(rig.says("/pages/status/404", &[]).await, (404, "not here".to_owned()));
    assert_eq!(rig.says("/pages/status/503", &[]).await, (503, "away".to_owned()));
}

#[tokio::test]
async fn a_plain_request_becomes_a_query() {
    let rig = rig().await;
    let get = rig.curl("/people?id=7&other=1", &[]).await;
    let query = "query=query+%28%24id%3A+ID%21%29+%7B+person%28id%3A+%24id%29+%7B+name+%7D+%7D";
    assert_eq!(get.echoed("request"), format!("GET /echo?{query}&variables=%7B%22id%22%3A%227%22%7D"));
    let post = rig.curl("/people", &[&JSON[..], &["-d", r#"{"id": 7, "other": 1}"#]].concat()).await;
    assert_eq!((post.echoed("request"), post.echoed("type")), ("POST /echo", "application/json"));
    let sent: serde_json::Value = serde_json::from_str(post.echoed("body")).unwrap();
    assert_eq!(sent, json!({"query": "query ($id: ID!) { person(id: $id) { name } }", "variables": {"id": 7}}));
    for (arguments, status) in [
        (&["-d", "{"][..], 400),
        (&["-d", "[]"], 400),
        (&["-X", "POST"], 400),
        (&["-X", "PUT", "-d", "{}"], 405),
        (&["-I"], 405),
    ] {
        let reply = rig.curl("/people", arguments).await;
        assert_eq!((reply.status, reply.body.len()), (status, 0), "{arguments:?}");
    }
}

#[tokio::test]
async fn the_access_log_shows_what_is_left_and_nginx_gets_all() {
    let log = tempfile::tempdir().unwrap();
    let file = log.path().join("access.log");
    let rig = Rig::with(
        include_str!("transform.yaml"),
        &[("127.0.0.1:7009", &closed_port())],
        &["--access-log", file.to_str().unwrap()],
    )
    .await;
    let target = "/masked?email=a@b&page=1&name=Ann&card=1234567890123456&email=c";
    let reply = rig.curl(target, &["-e", "http://shop.test/?secret=1"]).await;
    assert_eq!(reply.echoed("request"), format!("GET {}", target.replace("/masked", "/echo")));
    within(|| "a line in the log".to_owned(), async {
        while !std::fs::read_to_string(&file).unwrap_or_default().ends_with('\n') {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let line = std::fs::read_to_string(&file).unwrap();
    assert!(line.contains("\"GET /masked?page=1&name=nobody&card=****3456 HTTP/1.1\" 200 "), "{line}");
    assert!(line.contains(" \"http://shop.test/\" "), "{line}");
}
