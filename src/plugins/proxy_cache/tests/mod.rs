//! The layer over an end, with time of its own.
mod answers;
mod blocks;
mod callers;
mod freshness;
mod kept;
mod keys;
mod purges;
mod rig;
mod waiting;
