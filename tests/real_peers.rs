//! nginx and wrk as the other tests use them.
#![cfg(test)]
#![cfg(feature = "real-servers")]
mod peers;

use peers::client::Client;
use peers::nginx::Nginx;
use peers::wrk;

#[tokio::test]
async fn nginx_serves_and_ends_with_its_value() {
    let nginx = Nginx::start("location /file { alias @DIR@/file; }\nlocation / { return 200 \"from nginx\"; }");
    std::fs::write(nginx.folder().join("file"), "from a file").unwrap();
    let mut client = Client::connect(nginx.address()).await;
    client.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(client.answer().await.text(), "from nginx");
    client.send("GET /file HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(client.answer().await.text(), "from a file");
    let address = nginx.address();
    drop(nginx);
    assert!(std::net::TcpStream::connect(address).is_err(), "nginx is still there");
}

#[tokio::test]
async fn wrk_counts_what_it_got() {
    let nginx = Nginx::start("location /good { return 200 x; }\nlocation /bad { return 503; }");
    let good = wrk::run(&format!("http://{}/good", nginx.address()), 4, 1).await;
    assert!(good.requests > 0 && good.p99_us > 0, "{good:?}");
    assert_eq!((good.refused, good.socket_errors), (0, 0));
    let bad = wrk::run(&format!("http://{}/bad", nginx.address()), 4, 1).await;
    assert!(bad.refused > 0, "{bad:?}");
}
