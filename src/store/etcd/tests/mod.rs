//! The store against a server that lies, in every way that can be told from the truth (security.md CFG-03).
mod fake;
mod hostile;
mod model;
