//! The plugin as a layer, block by block; over sockets it is tried beside the others that judge bodies.
mod bodies;
mod config;
mod discriminators;
mod media;
mod parameters;
mod paths;
mod remote;
mod support;
