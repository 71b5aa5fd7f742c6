//! The gateway: snapshot in, service out.
