//! The HTTP/1 codec: bytes in, `http` types out, no sockets of its own.
