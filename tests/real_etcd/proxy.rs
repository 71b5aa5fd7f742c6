//! A way to etcd that can be cut.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What becomes of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// They pass.
    Open,
    /// They vanish, and connections stay.
    Hole,
    /// Connections are closed.
    Cut,
}

/// A TCP proxy in front of one port.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    /// With how often it was cut: connections end with the next time, however short it is.
    way: watch::Sender<(Way, u32)>,
    /// Connections that were taken.
    pub(crate) taken: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let way = watch::Sender::new((Way::Open, 0));
        let taken = Arc::new(AtomicUsize::new(0));
        let (ways, count) = (way.clone(), Arc::clone(&taken));
        let task = tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                count.fetch_add(1, SeqCst);
                if ways.borrow().0 == Way::Cut {
                    continue;
                }
                let far = TcpStream::connect(("127.0.0.1", port)).await;
                let Ok(far) = far else { continue };
                let (near_in, near_out) = near.into_split();
                let (far_in, far_out) = far.into_split();
                tokio::spawn(pass(near_in, far_out, ways.subscribe()));
                tokio::spawn(pass(far_in, near_out, ways.subscribe()));
            }
        });
        Self { port: own, way, taken, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn set(&self, way: Way) {
        self.way.send_modify(|(now, cuts)| {
            *now = way;
            *cuts += u32::from(way == Way::Cut);
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.set(Way::Cut);
        self.task.abort();
    }
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut way: watch::Receiver<(Way, u32)>,
) {
    let born = way.borrow().1;
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let read = tokio::select! {
            _ = way.wait_for(|(_, cuts)| *cuts > born) => return,
            read = from.read(&mut bytes) => read,
        };
        let Ok(count @ 1..) = read else { return };
        let open = way.borrow().0 == Way::Open;
        if open && to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
