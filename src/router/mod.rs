//! Which route a request belongs to: compiled match table, no I/O.
