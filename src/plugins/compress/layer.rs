//! The code around the chain.
use std::sync::Arc;

use smallvec::SmallVec;

use super::Coding;
use super::answer::Asked;
use super::engine::Begun;
use super::memory::Memory;
use super::rules::{Rules, Written};
use crate::plugin::{Around, AroundLayer, ConfigError};
use crate::{Next, Request, Response};

/// Compresses answers in one coding: what `gzip`, `brotli` and `zstd` are compiled to.
#[derive(Debug)]
pub struct Compress(Offer);

/// [`Compress`] around a service.
pub type CompressLayer = AroundLayer<Compress>;

/// A coding, and when it may be taken.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    pub(super) coding: Arc<dyn Coding>,
    pub(super) rules: Arc<Rules>,
    pub(super) memory: Memory,
}

impl Offer {
    /// Begins a body, if there is room for its encoder.
    pub(super) fn begin(&self, length: Option<u64>) -> Option<Begun> {
        let part = self.memory.take(self.coding.cost(length))?;
        Some(Begun { encoder: self.coding.begin(length), _memory: part, is_slow: self.coding.is_slow() })
    }
}

/// Request extension: a layer further out compresses.
#[derive(Clone, Copy)]
struct FurtherOut;

/// Response extension: what layers further in offer.
#[derive(Clone, Default)]
struct Offers(SmallVec<[Offer; 2]>);

impl Compress {
    /// # Errors
    /// What is wrong with the rules.
    pub(crate) fn new(plugin: &'static str, coding: impl Coding, rules: Written) -> Result<Self, ConfigError> {
        let rules = Rules::compile(plugin, rules)?;
        Ok(Self(Offer { coding: Arc::new(coding), rules: Arc::new(rules), memory: Memory::default() }))
    }

    #[cfg(test)]
    pub(super) fn begin(&self, length: Option<u64>) -> Option<Begun> {
        self.0.begin(length)
    }

    /// With its encoders in that memory. Default: one of its own, of 256 MiB.
    #[must_use]
    pub fn within(mut self, memory: Memory) -> Self {
        self.0.memory = memory;
        self
    }
}

impl Around for Compress {
    async fn handle(self: Arc<Self>, mut request: Request, next: Next) -> Response {
        let asked = Asked::of(&request);
        let is_outermost = request.extensions_mut().insert(FurtherOut).is_none();
        let mut response = next.run(request).await;
        if !is_outermost {
            response.extensions_mut().get_or_insert_default::<Offers>().0.push(self.0.clone());
            return response;
        }
        match response.extensions_mut().remove::<Offers>() {
            None => asked.answer(std::iter::once(&self.0), response),
            Some(Offers(inner)) => asked.answer(inner.iter().chain([&self.0]), response),
        }
    }
}
