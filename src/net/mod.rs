//! Sockets without buffers of their own, and the one sweep behind their deadlines.
