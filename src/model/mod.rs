//! Resources as plain data: what an operator writes. No async, no tower.
