//! A double of a CAS server, written from the CAS protocol specification 3.0 (§2.1, §2.3.3, §2.5 and its appendices):
//! it is none, and shows nothing about how servers differ from that text. Whoever comes to log in is `ann`, without
//! being asked.
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// Ends with the value.
pub(super) struct CasServer {
    address: SocketAddr,
    tickets: Arc<Mutex<Tickets>>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Tickets {
    issued: u32,
    /// Those that nobody has asked about yet, with their services.
    fresh: HashMap<String, String>,
}

impl CasServer {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tickets = Arc::new(Mutex::new(Tickets::default()));
        let shared = Arc::clone(&tickets);
        let accepting = tokio::spawn(async move {
            // dropped with this task, and the connections with it
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { address, tickets, accepting }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A ticket for this service.
    pub(super) fn ticket(&self, service: &str) -> String {
        self.tickets.lock().unwrap().issue(service)
    }

    /// What the server posts to a service when the user of a ticket logs out.
    pub(super) fn announcement(ticket: &str) -> String {
        let xml = format!(
            "<samlp:LogoutRequest xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\" ID=\"LR-1\" Version=\"2.0\" \
             IssueInstant=\"2026-01-01T00:00:00Z\"><saml:NameID xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\">\
             @NOT_USED@</saml:NameID><samlp:SessionIndex>{ticket}</samlp:SessionIndex></samlp:LogoutRequest>"
        );
        form_urlencoded::Serializer::new(String::new()).append_pair("logoutRequest", &xml).finish()
    }
}

impl Drop for CasServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Tickets {
    fn issue(&mut self, service: &str) -> String {
        self.issued += 1;
        let ticket = format!("ST-{}-double", self.issued);
        self.fresh.insert(ticket.clone(), service.to_owned());
        ticket
    }

    /// The answer about a ticket, which is then used up.
    fn validate(&mut self, ticket: &str, service: &str) -> String {
        let inside = match self.fresh.remove(ticket) {
            Some(issued) if issued == service => {
                "<cas:authenticationSuccess>\n<cas:user>ann</cas:user>\n<cas:attributes><cas:groups>dev</cas:groups>\
                 <cas:groups>ops</cas:groups></cas:attributes>\n</cas:authenticationSuccess>"
            }
            Some(_) => {
                "<cas:authenticationFailure code=\"INVALID_SERVICE\">another service</cas:authenticationFailure>"
            }
            None => "<cas:authenticationFailure code=\"INVALID_TICKET\">not recognized</cas:authenticationFailure>",
        };
        format!("<cas:serviceResponse xmlns:cas=\"http://www.yale.edu/tp/cas\">\n{inside}\n</cas:serviceResponse>\n")
    }
}

async fn serve(mut stream: TcpStream, tickets: Arc<Mutex<Tickets>>) {
    let mut seen = Vec::new();
    while stream.read_buf(&mut seen).await.unwrap_or(0) > 0 {
        if !seen.ends_with(b"\r\n\r\n") {
            continue;
        }
        let head = String::from_utf8_lossy(&seen).into_owned();
        seen.clear();
        let target = head.split(' ').nth(1).unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let field = |name: &str| {
            let mut fields = form_urlencoded::parse(query.as_bytes());
            fields.find(|(found, _)| found == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
        };
        let answer = match path {
            "/cas/login" => {
                let service = field("service");
                let ticket = tickets.lock().unwrap().issue(&service);
                let joint = if service.contains('?') { '&' } else { '?' };
                format!("HTTP/1.1 302 Found\r\nlocation: {service}{joint}ticket={ticket}\r\ncontent-length: 0\r\n\r\n")
            }
            "/cas/serviceValidate" => {
                let body = tickets.lock().unwrap().validate(&field("ticket"), &field("service"));
                format!("HTTP/1.1 200 OK\r\ncontent-type: text/xml\r\ncontent-length: {}\r\n\r\n{body}", body.len())
            }
            _ => "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned(),
        };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
