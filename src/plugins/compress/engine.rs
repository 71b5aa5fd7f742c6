//! An encoder at work: where it is asked to, or beside the threads that serve.
use std::io;

use bytes::{Buf as _, Bytes};
use compression_codecs::core::util::{PartialBuffer, WriteBuffer};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::coding::Encode;
use super::memory::Part;

/// What comes out goes on in pieces of at most so many bytes.
const PIECE: usize = 16 * 1024;

/// Bytes that go into the encoder at a time.
const STEP: usize = 16 * 1024;

/// An encoder that has just begun.
pub(super) struct Begun {
    pub(super) encoder: Box<dyn Encode>,
    /// Given back with the encoder.
    pub(super) _memory: Part,
    /// A step of it takes so long that it would hold up others.
    pub(super) is_slow: bool,
}

/// An encoder and what came out of it.
pub(super) struct Engine {
    begun: Begun,
    /// What came out and has not gone on, so many bytes of it.
    piece: Box<[u8]>,
    made: usize,
}

/// What it is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    Encode,
    Flush,
    Finish,
}

/// An encoder that comes back from another thread.
pub(super) struct Done {
    pub(super) engine: Engine,
    /// What is left of what it was to encode.
    pub(super) rest: Bytes,
    /// As [`Engine::work`] says it.
    pub(super) done: io::Result<bool>,
}

impl Engine {
    pub(super) fn new(begun: Begun) -> Self {
        Self { begun, piece: vec![0; PIECE].into(), made: 0 }
    }

    pub(super) fn is_full(&self) -> bool {
        self.made == self.piece.len()
    }

    /// What came out so far, if anything did.
    pub(super) fn take_piece(&mut self) -> Option<Bytes> {
        let piece = self.piece.get(..self.made).filter(|piece| !piece.is_empty())?;
        let piece = Bytes::copy_from_slice(piece);
        self.made = 0;
        Some(piece)
    }

    /// Where to work, if not here.
    pub(super) fn elsewhere(&self) -> Option<Handle> {
        self.begun.is_slow.then(|| Handle::try_current().ok()).flatten()
    }

    /// As [`Engine::work`], on a thread of its own. Whoever does not wait for it lets it go when the step is over.
    pub(super) fn beside(mut self, runtime: &Handle, order: Order, mut rest: Bytes) -> JoinHandle<Done> {
        runtime.spawn_blocking(move || {
            let done = self.work(order, &mut rest);
            Done { engine: self, rest, done }
        })
    }

    /// One step: encodes some of `rest`, behind what came out before. Whether what was asked for is done with; of a text there may
    /// be more.
    ///
    /// # Errors
    /// What the encoder raised.
    pub(super) fn work(&mut self, order: Order, rest: &mut Bytes) -> io::Result<bool> {
        let encoder = &mut self.begun.encoder;
        let mut room = WriteBuffer::new_initialized(self.piece.get_mut(self.made..).unwrap_or_default());
        let done = match order {
            Order::Encode => {
                let mut step = PartialBuffer::new(rest.get(..rest.len().min(STEP)).unwrap_or_default());
                encoder.encode(&mut step, &mut room)?;
                let taken = step.written_len();
                rest.advance(taken);
                true
            }
            Order::Flush => encoder.flush(&mut room)?,
            Order::Finish => encoder.finish(&mut room)?,
        };
        self.made += room.written_len();
        Ok(done)
    }
}
