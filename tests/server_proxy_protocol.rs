//! The PROXY protocol on listeners: whose headers are taken, and what they change.
#![cfg(feature = "server")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]
mod support;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proptest::prelude::*;
use support::{Raw, wait_until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tollgate::server::{Limits, Listener, ProxyProtocol, Server};
use tollgate::{Body, ConnectInfo, Next};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Tells who is connected to what, and by whom.
fn teller(limits: Limits) -> Server {
    Server::builder().limits(limits).serve(|info: ConnectInfo| {
        let local = info.local.map_or("-".to_owned(), |local| local.to_string());
        let proxy = info.proxy().map_or("-".to_owned(), |proxy| proxy.ip().to_string());
        let told = format!("{} {local} {proxy}", info.peer);
        Next::from_fn(move |_| {
            let told = told.clone();
            async move { http::Response::new(Body::from(told)) }
        })
    })
}

fn listening(proxy: ProxyProtocol) -> (Server, SocketAddr) {
    let server = teller(Limits::default());
    let listener = Listener::new(([127, 0, 0, 1], 0).into()).with_proxy_protocol(proxy);
    let address = server.listen(listener).unwrap();
    (server, address)
}

/// A header of version 2.
fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, rest].concat()
}

fn crc32c(bytes: &[u8]) -> u32 {
    let bits = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 })
    };
    !bytes.iter().fold(!0, bits)
}

/// 192.0.2.9:1000 to 192.0.2.1:443.
const V4: [u8; 12] = [192, 0, 2, 9, 192, 0, 2, 1, 0x03, 0xe8, 0x01, 0xbb];

/// What a connection that begins so is answered; nothing when it is closed.
async fn answer(address: SocketAddr, header: &[u8], at_once: bool) -> Option<String> {
    let mut client = Raw::connect(address).await;
    let bytes = [header, b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"].concat();
    if at_once {
        client.send(bytes).await;
    } else {
        for byte in bytes {
            // It may be closed meanwhile.
            if client.stream.write_all(&[byte]).await.is_err() {
                return None;
            }
            tokio::task::yield_now().await;
        }
    }
    let text = String::from_utf8_lossy(&client.rest().await).into_owned();
    text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

#[tokio::test]
async fn headers_say_whose_connection_it_is() {
    let (_server, address) = listening(ProxyProtocol::default());
    let by = "127.0.0.1";
    let own = |told: &str| told.starts_with("127.0.0.1:") && told.ends_with(&format!("{address} -"));
    let passed_on = format!("192.0.2.9:1000 192.0.2.1:443 {by}");
    let v6 =
        [&[0x20, 0x01, 0x0d, 0xb8][..], &[0; 11], &[9, 0x20, 0x01, 0x0d, 0xb8], &[0; 11], &[1, 0x03, 0xe8, 0x01, 0xbb]]
            .concat();
    let v6_told = format!("[2001:db8::9]:1000 [2001:db8::1]:443 {by}");
    let fields = [&V4[..], &[0x01, 0, 2, b'h', b'2', 0x04, 0, 0, 0x20, 0, 1, 7]].concat();
    let mut summed = binary(0x21, 0x11, &[&V4[..], &[0x04, 0, 1, 0, 0x03, 0, 4, 0, 0, 0, 0]].concat());
    let sum = crc32c(&summed).to_be_bytes();
    let at = summed.len() - 4;
    summed[at..].copy_from_slice(&sum);
    let longest = [&V4[..], &[0x04, 0x0f, 0xf1], &[0; 4081]].concat();
    let told: [(Vec<u8>, &str); 10] = [
        (b"PROXY TCP4 192.0.2.9 192.0.2.1 1000 443\r\n".to_vec(), &passed_on),
        (b"PROXY TCP6 2001:db8::9 2001:db8::1 1000 443\r\n".to_vec(), &v6_told),
        (b"PROXY TCP6 2001:db8::9 2001:db8:0:0:0:0:0:1 1000 443\r\n".to_vec(), &v6_told),
        (binary(0x21, 0x11, &V4), &passed_on),
        (binary(0x21, 0x11, &fields), &passed_on),
        (summed.clone(), &passed_on),
        (binary(0x21, 0x11, &longest), &passed_on),
        (binary(0x21, 0x21, &v6), &v6_told),
        (b"PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n".to_vec(), "255.255.255.255:65535 0.0.0.0:0 127.0.0.1"),
        (b"PROXY TCP6 :: ::1 1 2\r\n".to_vec(), "[::]:1 [::1]:2 127.0.0.1"),
    ];
    for (header, wanted) in &told {
        for at_once in [true, false] {
            assert_eq!(answer(address, header, at_once).await.as_deref(), Some(*wanted), "{header:?} {at_once}");
        }
    }
    // The balancer's own connections, and those of which it does not say whose they are.
    let owns: [Vec<u8>; 7] = [
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN ffff:f...f:ffff whatever 1\r\n".to_vec(),
        binary(0x20, 0x00, &[]),
        binary(0x20, 0x11, &V4),
        binary(0x21, 0x00, &[]),
        binary(0x21, 0x00, &[0x04, 0, 1, 0]),
        binary(0x21, 0x31, &[7; 216]),
    ];
    for header in &owns {
        let told = answer(address, header, true).await.unwrap();
        assert!(own(&told), "{header:?} {told}");
    }
    let mut bad_sum = summed;
    bad_sum[at] ^= 1;
    let refused: [Vec<u8>; 22] = [
        Vec::new(),
        b"PROXY \r\n".to_vec(),
        b"PROXY TCP4\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.9 192.0.2.1 1000\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.9 192.0.2.1 1000 443 5\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.9 192.0.2.1 1000 65536\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.9 192.0.2.1 +100 443\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.9 192.0.2.1 0100 443\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.09 192.0.2.1 1000 443\r\n".to_vec(),
        b"PROXY TCP4  192.0.2.9 192.0.2.1 1000 443\r\n".to_vec(),
        b"PROXY TCP4 2001:db8::9 192.0.2.1 1000 443\r\n".to_vec(),
        b"PROXY TCP6 192.0.2.9 192.0.2.1 1000 443\r\n".to_vec(),
        b"PROXY UDP4 192.0.2.9 192.0.2.1 1000 443\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.9 192.0.2.1 1000 443\n".to_vec(),
        b"proxy TCP4 192.0.2.9 192.0.2.1 1000 443\r\n".to_vec(),
        format!("PROXY UNKNOWN {}\r\n", "x".repeat(100)).into_bytes(),
        binary(0x11, 0x11, &V4),
        binary(0x22, 0x11, &V4),
        binary(0x21, 0x12, &V4),
        binary(0x21, 0x11, &V4[..11]),
        bad_sum,
        binary(0x21, 0x11, &[&V4[..], &[0x04, 0, 9, 0]].concat()),
    ];
    for header in &refused {
        assert_eq!(answer(address, header, true).await, None, "{:?}", String::from_utf8_lossy(header));
    }
    let too_long = [SIGNATURE, &[0x21, 0x11, 0x10, 0x01]].concat();
    assert_eq!(answer(address, &too_long, true).await, None);
}

#[tokio::test]
async fn headers_of_strangers_are_not_believed() {
    let stranger = ProxyProtocol::default();
    let only = |network: &str| {
        let mut proxy = stranger.clone();
        proxy.from = vec![network.parse().unwrap()];
        proxy
    };
    let (server, address) = listening(only("10.0.0.0/8"));
    assert_eq!(answer(address, b"PROXY TCP4 192.0.2.9 192.0.2.1 1000 443\r\n", true).await, None);
    wait_until("it is counted", || server.listeners()[0].failed == 1).await;
    let (_server, address) = listening(only("10.0.0.0/8").with_from("127.0.0.0/8".parse().unwrap()));
    assert!(answer(address, b"PROXY TCP4 192.0.2.9 192.0.2.1 1000 443\r\n", true).await.is_some());
    // Optional, it is no request either.
    let (_server, address) = listening(only("10.0.0.0/8").with_optional(true));
    assert!(answer(address, b"PROXY TCP4 192.0.2.9 192.0.2.1 1000 443\r\n", true).await.unwrap().contains("400"));
    assert!(answer(address, b"", true).await.unwrap().starts_with("127.0.0.1:"));
}

#[tokio::test]
async fn a_header_may_be_optional() {
    let (_server, address) = listening(ProxyProtocol::default().with_optional(true));
    for at_once in [true, false] {
        assert!(answer(address, b"", at_once).await.unwrap().starts_with("127.0.0.1:"));
        let told = answer(address, b"PROXY TCP4 192.0.2.9 192.0.2.1 1000 443\r\n", at_once).await.unwrap();
        assert_eq!(told, "192.0.2.9:1000 192.0.2.1:443 127.0.0.1");
        let told = answer(address, &binary(0x21, 0x11, &V4), at_once).await.unwrap();
        assert_eq!(told, "192.0.2.9:1000 192.0.2.1:443 127.0.0.1");
    }
    // What begins as a header does, for a while.
    let mut client = Raw::connect(address).await;
    client.send("P").await;
    tokio::task::yield_now().await;
    client.send("ROPFIND / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn the_beginning_of_an_optional_header_that_nothing_follows_ends_at_once() {
    let proxy = ProxyProtocol::default().with_optional(true).with_timeout(Duration::from_secs(3600));
    let (server, address) = listening(proxy);
    for begin in [&b"P"[..], b"PROXY", &SIGNATURE[..1], &SIGNATURE[..11]] {
        let mut client = Raw::connect(address).await;
        client.send(begin).await;
        wait_until("it is looked at", || server.connections() == 1).await;
        tokio::task::yield_now().await;
        client.stream.shutdown().await.unwrap();
        assert!(client.ends().await);
        wait_until("it is gone", || server.connections() == 0).await;
    }
    assert_eq!(server.listeners()[0].failed, 4);
}

#[tokio::test(start_paused = true)]
async fn a_header_has_its_time_and_none_is_waited_for_in_a_drain() {
    let (server, address) = listening(ProxyProtocol::default());
    let mut silent = Raw::connect(address).await;
    let mut torn = Raw::connect(address).await;
    torn.send("PROXY TCP4 192.0").await;
    // The clock runs on by itself when nothing else is to be done.
    assert!(silent.ends().await && torn.ends().await);
    wait_until("they are gone", || server.connections() == 0).await;
    assert_eq!(server.listeners()[0].failed, 2);

    let (server, address) = listening(ProxyProtocol::default().with_timeout(Duration::from_secs(600)));
    let mut silent = Raw::connect(address).await;
    wait_until("it arrives", || server.connections() == 1).await;
    let begun = tokio::time::Instant::now();
    server.drain(Duration::from_secs(300)).await;
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert!(silent.ends().await);
}

#[tokio::test]
async fn sec_lim_11_connections_that_arrive_count_and_so_do_the_clients_that_they_are_for() {
    let mut limits = Limits::default();
    limits.max_connections = 4;
    limits.max_connections_per_ip = Some(1);
    let server = teller(limits);
    let listener = Listener::new(([127, 0, 0, 1], 0).into()).with_proxy_protocol(ProxyProtocol::default());
    let address = server.listen(listener).unwrap();
    let mut first = Raw::connect(address).await;
    first.send(format!("PROXY TCP4 192.0.2.9 192.0.2.1 1 443\r\n{GET}")).await;
    assert_eq!(first.answer().await.status, 200);
    let mut same = Raw::connect(address).await;
    same.send(format!("PROXY TCP4 192.0.2.9 192.0.2.1 2 443\r\n{GET}")).await;
    assert!(same.ends().await, "the client has one");
    let mut other = Raw::connect(address).await;
    other.send(format!("PROXY TCP4 192.0.2.10 192.0.2.1 2 443\r\n{GET}")).await;
    assert_eq!(other.answer().await.status, 200);
    let _arriving = (Raw::connect(address).await, Raw::connect(address).await);
    wait_until("they arrive", || server.connections() == 4 || server.listeners()[0].refused > 1).await;
    assert!(server.connections() <= 4);
}

#[tokio::test]
async fn a_unix_socket_takes_headers_as_well() {
    let server = teller(Limits::default());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    server.open(Listener::unix(&path).with_proxy_protocol(ProxyProtocol::default())).unwrap();
    let mut stream = UnixStream::connect(&path).await.unwrap();
    let request = "PROXY TCP4 192.0.2.9 192.0.2.1 1000 443\r\nGET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.ends_with("192.0.2.9:1000 192.0.2.1:443 127.0.0.1"), "{text}");
    let optional = ProxyProtocol::default().with_optional(true);
    let refused = server.open(Listener::unix(folder.path().join("t")).with_proxy_protocol(optional)).unwrap_err();
    assert!(refused.to_string().contains("cannot be optional"), "{refused}");
}

fn addresses() -> impl Strategy<Value = (IpAddr, IpAddr)> {
    prop_oneof![
        any::<([u8; 4], [u8; 4])>().prop_map(|(client, server)| (client.into(), server.into())),
        any::<([u16; 8], [u16; 8])>().prop_map(|(client, server)| (client.into(), server.into())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// What is written by the rules comes out as it was meant, and what follows it is read as a request: no byte more is taken.
    #[test]
    fn a_header_is_read_and_nothing_behind_it(
        (client, server) in addresses(), ports in any::<(u16, u16)>(), text in any::<bool>(), more in 0_usize..300,
    ) {
        let is_v4 = client.is_ipv4();
        let header = if text {
            let kind = if is_v4 { "TCP4" } else { "TCP6" };
            format!("PROXY {kind} {client} {server} {} {}\r\n", ports.0, ports.1).into_bytes()
        } else {
            let octets = |ip: IpAddr| match ip { IpAddr::V4(ip) => ip.octets().to_vec(), IpAddr::V6(ip) => ip.octets().to_vec() };
            let mut rest = [octets(client), octets(server)].concat();
            rest.extend(ports.0.to_be_bytes());
            rest.extend(ports.1.to_be_bytes());
            if more >= 3 {
                rest.push(0x04);
                rest.extend(u16::try_from(more - 3).unwrap().to_be_bytes());
                rest.extend(vec![0xaa; more - 3]);
            }
            binary(0x21, if is_v4 { 0x11 } else { 0x21 }, &rest)
        };
        let wanted = format!("{} {} 127.0.0.1", SocketAddr::new(client, ports.0), SocketAddr::new(server, ports.1));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let told = runtime.block_on(async {
            let (_server, address) = listening(ProxyProtocol::default());
            answer(address, &header, true).await
        });
        prop_assert_eq!(told, Some(wanted));
    }

    /// Whatever comes, the connection ends or is answered, and the server lives.
    #[test]
    fn any_bytes_at_all_harm_nobody(
        begin in prop_oneof![Just(&b""[..]), Just(&b"PROXY "[..]), Just(&b"PROXY TCP4 "[..]), Just(SIGNATURE)],
        bytes in proptest::collection::vec(any::<u8>(), 0..200), optional in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (server, address) = listening(ProxyProtocol::default().with_optional(optional));
            let mut hostile = Raw::connect(address).await;
            let _ = hostile.stream.write_all(&[begin, &bytes].concat()).await;
            hostile.stream.shutdown().await.unwrap_or_default();
            hostile.rest().await;
            wait_until("it is gone", || server.connections() == 0).await;
            assert!(answer(address, b"PROXY UNKNOWN\r\n", true).await.is_some());
        });
    }
}
