//! `batch-requests`, behind `public-api`.
use serde_json::{Value, json};

use super::rig::{Reply, Rig, letters};

async fn rig() -> Rig {
    Rig::of(include_str!("batch.yaml")).await
}

async fn batch(rig: &Rig, arguments: &[&str], batch: &Value) -> Reply {
    rig.curl("/batch", &[arguments, &["-d", &batch.to_string()]].concat()).await
}

#[tokio::test]
async fn each_request_of_a_batch_goes_through_the_gateway() {
    let rig = rig().await;
    let asked = json!({
        "query": {"page": 1}, "headers": {"X-Tenant": "blue", "X-Forwarded-For": "192.0.2.7"},
        "pipeline": [
            {"path": "/echo/first"},
            {"method": "POST", "path": "/closed/second", "query": {"page": "2"}, "headers": {"X-Tenant": "red"},
             "body": "text"},
            {"path": "/closed/third", "headers": {"apikey": "wrong"}},
            {"path": "/far/fourth"},
            {"path": "/unknown", "version": 1.1, "ssl_verify": false},
            {"path": "/batch", "method": "POST", "body": "{\"pipeline\": [{\"path\": \"/echo/x\"}]}"},
        ],
    });
    let reply = batch(&rig, &["-H", "apikey: key-of-ann", "-H", "Host: shop.test"], &asked).await;
    assert_eq!((reply.status, reply.field("content-type").as_deref()), (200, Some("application/json")));
    let answers = reply.json();
    let answers = answers.as_array().unwrap();
    let told: Vec<_> =
        answers.iter().map(|one| (one["status"].as_u64().unwrap(), one["reason"].as_str().unwrap())).collect();
    assert_eq!(
        told,
        [(200, "OK"), (200, "OK"), (401, "Unauthorized"), (403, "Forbidden"), (404, "Not Found"), (400, "Bad Request")]
    );
    let has = |index: usize, lines: &[&str]| {
        let body = answers[index]["body"].as_str().unwrap();
        lines.iter().for_each(|line| assert!(body.lines().any(|other| other == *line), "no {line:?} in {body}"));
    };
    has(0, &["GET /echo/first?page=1", "host: shop.test", "tenant: blue", "type: ", "consumer: "]);
    has(1, &["POST /echo/second?page=2", "tenant: red", "consumer: ann", "body: text"]);
    has(2, &[r#"{"message":"Invalid API key in request"}"#]);
    has(4, &[r#"{"error_msg":"404 Route Not Found"}"#]);
    assert!(answers[0]["headers"]["server"].as_str().unwrap().starts_with("nginx/"), "{}", answers[0]);
}

#[tokio::test]
async fn what_is_no_batch_is_refused_as_the_catalogue_words_it() {
    let rig = rig().await;
    let seven = json!({"pipeline": vec![json!({"path": "/echo/x"}); 7]}).to_string();
    let long = letters(2001);
    for (arguments, status, says) in [
        (&["-X", "POST"][..], 400, "no request body, you should give at least one pipeline setting"),
        (&["-d", "{"], 400, "bad request body: "),
        (&["-d", "{}"], 400, "bad request body: "),
        (&["-d", r#"{"pipeline": []}"#], 400, "bad request body: "),
        (&["-d", &seven], 400, "too many pipeline requests, 7 exceeds the maximum of 6"),
        (&["-d", &long], 413, ""),
    ] {
        let reply = rig.curl("/batch", arguments).await;
        let told = reply.json()["error_msg"].as_str().unwrap().to_owned();
        assert!(reply.status == status && told.starts_with(says), "{arguments:?}: {reply:?}");
    }
    for (path, status) in [("/batch", 404), ("/nothing", 404), ("/apisix/batch-requests", 401)] {
        assert_eq!(rig.curl(path, &[]).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn what_takes_too_long_is_told_of_in_its_place() {
    let rig = rig().await;
    rig.serve("a.txt", letters(100_000));
    let asked =
        json!({"timeout": 1500, "pipeline": [{"path": "/echo/a"}, {"path": "/slow/a.txt"}, {"path": "/echo/b"}]});
    let answers = batch(&rig, &[], &asked).await.json();
    assert_eq!(answers[0]["status"], 200);
    assert_eq!(answers[1], json!({"status": 504, "reason": "upstream timeout"}));
    assert_eq!(answers[2]["status"], 200, "each has its own time");
}
