//! The upstream side over real sockets, against origins that do what a test tells them.
#![cfg(feature = "client")]

#[cfg(test)]
#[path = "upstream/exchange.rs"]
mod exchange;
#[cfg(test)]
#[path = "upstream/support.rs"]
mod support;
