//! Names as nodes, through a gateway whose name server is Knot: records come, go and move under load, the server dies and
//! comes back, names fail first. A missing Knot fails the tests.
#![cfg(test)]
#![cfg(all(feature = "real-servers", feature = "dns", feature = "server"))]
mod peers;

#[path = "dns/rig.rs"]
mod rig;

#[path = "dns/moves.rs"]
mod moves;
#[path = "dns/outages.rs"]
mod outages;
#[path = "dns/services.rs"]
mod services;
