//! Either side of this module against a peer of rustls whose words are spoiled on the way.
use std::io::Write as _;
use std::sync::{Arc, LazyLock};

use bytes::{Buf as _, BytesMut};
use proptest::prelude::*;
use proptest::sample::Index;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::client::UnbufferedClientConnection;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::server::UnbufferedServerConnection;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, Connection as Peer, RootCertStore, ServerConfig, ServerConnection};

use super::session::{Connection, Session};

type Configs = (Arc<ClientConfig>, Arc<ServerConfig>);

static CONFIGS: LazyLock<[Configs; 2]> = LazyLock::new(|| [false, true].map(configs));

fn configs(tls13: bool) -> Configs {
    let versions = if tls13 { [&TLS13] } else { [&TLS12] };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let server = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(&versions).unwrap();
    let server = server.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(provider).with_protocol_versions(&versions).unwrap();
    (Arc::new(client.with_root_certificates(roots).with_no_client_auth()), Arc::new(server))
}

fn name() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

/// Our client with a server of rustls.
fn our_client(configs: &Configs) -> (Session, Peer) {
    let client = UnbufferedClientConnection::new(Arc::clone(&configs.0), name()).unwrap();
    let mut session = Session::new(Connection::Client(client));
    session.begin().unwrap();
    (session, ServerConnection::new(Arc::clone(&configs.1)).unwrap().into())
}

/// Our server with a client of rustls.
fn our_server(configs: &Configs) -> (Session, Peer) {
    let server = UnbufferedServerConnection::new(Arc::clone(&configs.1)).unwrap();
    let client = ClientConnection::new(Arc::clone(&configs.0), name()).unwrap();
    (Session::new(Connection::Server(server)), client.into())
}

/// How somebody on the way spoils what the peer says.
#[derive(Clone, Debug)]
struct Spoiled {
    flight: usize,
    at: Index,
    /// Bytes at a place that are replaced, by how many others.
    cut: usize,
    put: Vec<u8>,
}

fn spoiled() -> impl Strategy<Value = Option<Spoiled>> {
    let one = (0..5_usize, any::<Index>(), 0..40_usize, prop::collection::vec(any::<u8>(), 0..40));
    prop::option::weighted(0.8, one.prop_map(|(flight, at, cut, put)| Spoiled { flight, at, cut, put }))
}

/// A whole conversation, in memory, in pieces. What was understood, and whether it ended in peace.
fn converse(
    (mut session, mut peer): (Session, Peer),
    spoiled: Option<&Spoiled>,
    pieces: &[usize],
) -> (Vec<u8>, bool, usize) {
    let mut plain = BytesMut::new();
    let mut sizes = pieces.iter().cycle();
    let mut most_held = 0;
    for flight in 0..5 {
        let mut said = session.take_outgoing();
        while !said.is_empty() {
            let mut bytes = said.chunk();
            let count = peer.read_tls(&mut bytes).unwrap();
            said.advance(count);
            if peer.process_new_packets().is_err() {
                return (plain.to_vec(), false, most_held);
            }
        }
        if !peer.is_handshaking() {
            match flight {
                0..3 => peer.writer().write_all(&[b'x'; 3000]).unwrap(),
                3 => peer.send_close_notify(),
                _ => {}
            }
        }
        let mut heard = Vec::new();
        while peer.wants_write() {
            peer.write_tls(&mut heard).unwrap();
        }
        if let Some(Spoiled { at, cut, put, .. }) = spoiled.filter(|spoiled| spoiled.flight == flight)
            && !heard.is_empty()
        {
            let from = at.index(heard.len());
            let to = heard.len().min(from + cut);
            heard.splice(from..to, put.iter().copied());
        }
        while !heard.is_empty() && session.is_open() {
            let size = heard.len().min(*sizes.next().unwrap());
            let piece: Vec<u8> = heard.drain(..size).collect();
            session.hear(&piece, &mut plain);
            most_held = most_held.max(session.held());
            if session.is_open() && !session.agreed().is_handshaking() {
                session.say(b"amid");
            }
        }
    }
    (plain.to_vec(), session.is_at_end(), most_held)
}

proptest! {
    #[test]
    fn nothing_that_a_peer_says_panics_or_is_misunderstood(
        ours: bool, tls13: bool, spoiled in spoiled(), pieces in prop::collection::vec(1..2000_usize, 1..20),
    ) {
        let configs = &CONFIGS[usize::from(tls13)];
        let both = if ours { our_client(configs) } else { our_server(configs) };
        let (plain, clean, held) = converse(both, spoiled.as_ref(), &pieces);
        prop_assert!(plain.len() <= 9000 && plain.iter().all(|byte| *byte == b'x'));
        prop_assert!(held <= 20_000, "{held} bytes held");
        if spoiled.is_none() {
            prop_assert!(clean && plain.len() >= 3000, "{} bytes", plain.len());
        }
    }

    #[test]
    fn garbage_is_no_hello(garbage in prop::collection::vec(any::<u8>(), 0..3000), record: bool, cut in 1..3000_usize) {
        // Some of it with the head of a record, which is looked into.
        let mut said = if record { vec![22, 3, 1] } else { Vec::new() };
        said.extend(record.then(|| (garbage.len() as u16).to_be_bytes()).into_iter().flatten());
        said.extend(garbage);
        let (mut session, _) = our_server(&CONFIGS[1]);
        let mut plain = BytesMut::new();
        for piece in said.chunks(cut) {
            if session.is_open() {
                session.hear(piece, &mut plain);
            }
        }
        prop_assert!(plain.is_empty() && session.held() <= said.len() && session.agreed().is_handshaking());
    }

    #[test]
    fn a_hello_in_fragments_is_a_hello_or_none(
        sizes in prop::collection::vec(1..600_usize, 1..40), spoiled in spoiled(), tls13: bool,
    ) {
        let (mut session, mut peer) = our_server(&CONFIGS[usize::from(tls13)]);
        let mut record = Vec::new();
        peer.write_tls(&mut record).unwrap();
        let mut hello = record.split_off(5);
        if let Some(Spoiled { at, cut, put, .. }) = &spoiled {
            let from = at.index(hello.len());
            let to = hello.len().min(from + cut);
            hello.splice(from..to, put.iter().copied());
        }
        let mut sizes = sizes.iter().cycle();
        let mut plain = BytesMut::new();
        while !hello.is_empty() && session.is_open() {
            let piece: Vec<u8> = hello.drain(..hello.len().min(*sizes.next().unwrap())).collect();
            let record = [&[22, 3, 1][..], &(piece.len() as u16).to_be_bytes(), &piece].concat();
            session.hear(&record, &mut plain);
        }
        if spoiled.is_none() {
            prop_assert!(session.is_open() && !session.take_outgoing().is_empty());
        }
    }
}
