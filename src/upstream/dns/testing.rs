//! A name server for tests, over UDP and TCP.
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, SOA, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

/// How it behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mood {
    Answers,
    /// Over UDP it says that there is more than it can say there.
    Truncates,
    /// It says SERVFAIL.
    Fails,
    FailsFor(RecordType),
    FailsAbout(&'static str),
    Silent,
}

/// Runs until it is dropped.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    zone: Arc<Zone>,
    _tasks: JoinSet<()>,
}

struct Zone {
    records: Mutex<Vec<Record>>,
    mood: Mutex<Mood>,
    asked: Mutex<usize>,
}

impl Server {
    pub(super) async fn start() -> Self {
        let zone =
            Arc::new(Zone { records: Mutex::default(), mood: Mutex::new(Mood::Answers), asked: Mutex::default() });
        // Both sockets need the same port, which somebody else may have for one of them.
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        let (of_udp, of_tcp) = (Arc::clone(&zone), Arc::clone(&zone));
        tasks.spawn(async move {
            let mut buffer = [0; 4096];
            loop {
                let (length, from) = udp.recv_from(&mut buffer).await.unwrap();
                if let Some(answer) = of_udp.answer(&buffer[..length], false) {
                    udp.send_to(&answer, from).await.unwrap();
                }
            }
        });
        tasks.spawn(async move {
            loop {
                let (mut stream, _) = tcp.accept().await.unwrap();
                let mut question = vec![0; stream.read_u16().await.unwrap().into()];
                stream.read_exact(&mut question).await.unwrap();
                if let Some(answer) = of_tcp.answer(&question, true) {
                    stream.write_u16(answer.len().try_into().unwrap()).await.unwrap();
                    stream.write_all(&answer).await.unwrap();
                }
            }
        });
        Self { address, zone, _tasks: tasks }
    }

    pub(super) fn put(&self, record: &Record) {
        self.zone.records.lock().unwrap().push(record.clone());
    }

    pub(super) fn clear(&self) {
        self.zone.records.lock().unwrap().clear();
    }

    pub(super) fn set(&self, mood: Mood) {
        *self.zone.mood.lock().unwrap() = mood;
    }

    /// How many questions have come.
    pub(super) fn asked(&self) -> usize {
        *self.zone.asked.lock().unwrap()
    }
}

impl Zone {
    fn answer(&self, question: &[u8], over_tcp: bool) -> Option<Vec<u8>> {
        *self.asked.lock().unwrap() += 1;
        let question = Message::from_vec(question).unwrap();
        let query = question.queries[0].clone();
        let mood = *self.mood.lock().unwrap();
        let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
        answer.add_query(query.clone());
        let fails = match mood {
            Mood::Silent => return None,
            Mood::Fails => true,
            Mood::FailsFor(record_type) => query.query_type() == record_type,
            Mood::FailsAbout(about) => *query.name() == name(about),
            Mood::Answers | Mood::Truncates => false,
        };
        if fails {
            answer.metadata.response_code = ResponseCode::ServFail;
        } else if mood == Mood::Truncates && !over_tcp {
            answer.metadata.truncation = true;
        } else {
            let records = self.records.lock().unwrap();
            let of_name: Vec<_> = records.iter().filter(|record| record.name == *query.name()).collect();
            let wanted = [query.query_type(), RecordType::CNAME];
            answer
                .add_answers(of_name.iter().filter(|record| wanted.contains(&record.record_type())).copied().cloned());
            if answer.answers.is_empty() {
                let soa = SOA::new(name("test."), name("test."), 1, 60, 60, 60, 11);
                answer.add_authority(Record::from_rdata(name("test."), 3600, RData::SOA(soa)));
            }
            if of_name.is_empty() {
                answer.metadata.response_code = ResponseCode::NXDomain;
            }
        }
        Some(answer.to_vec().unwrap())
    }
}

fn name(text: &str) -> Name {
    Name::from_str(text).unwrap()
}

pub(super) fn a(host: &str, ttl: u32, address: [u8; 4]) -> Record {
    Record::from_rdata(name(host), ttl, RData::A(A(Ipv4Addr::from(address))))
}

pub(super) fn aaaa(host: &str, ttl: u32, address: &str) -> Record {
    Record::from_rdata(name(host), ttl, RData::AAAA(AAAA(address.parse().unwrap())))
}

pub(super) fn cname(host: &str, ttl: u32, target: &str) -> Record {
    Record::from_rdata(name(host), ttl, RData::CNAME(CNAME(name(target))))
}

/// Priority, weight and port of a service.
pub(super) fn srv(service: &str, ttl: u32, (priority, weight, port): (u16, u16, u16), target: &str) -> Record {
    Record::from_rdata(name(service), ttl, RData::SRV(SRV::new(priority, weight, port, name(target))))
}
