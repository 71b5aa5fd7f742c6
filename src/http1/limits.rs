//! Limits of heads and of what surrounds body bytes.

/// Limits of a message head.
///
/// [`HeadLimits::request`] and [`HeadLimits::response`] are the two sets of defaults (security.md §8 and UP-02).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeadLimits {
    /// Bytes of the first line without its line end; at most 65,534, which is what a URI can hold. Default 8,192. Over
    /// it a request is answered 414 (LIM-01).
    pub request_line_bytes: usize,
    /// Bytes of all field lines together. Default 32,768, of a response 65,536. Over it: 431 (LIM-02), or 502.
    pub header_bytes: usize,
    /// Bytes of one field line without its line end. Default 8,192, of a response 65,536. Over it: 431, or 502.
    pub field_bytes: usize,
    /// Number of field lines; at most 10,000. Default 100, of a response 200. Over it: 431, or 502.
    pub header_count: usize,
    /// Takes a bare LF as a line end in heads (H1-08). Default `false`: hops differ in reading it.
    pub allow_bare_lf: bool,
}

impl HeadLimits {
    /// The defaults for requests.
    pub const fn request() -> Self {
        Self {
            request_line_bytes: 8 * 1024,
            header_bytes: 32 * 1024,
            field_bytes: 8 * 1024,
            header_count: 100,
            allow_bare_lf: false,
        }
    }

    /// The defaults for responses.
    pub const fn response() -> Self {
        Self {
            request_line_bytes: 8 * 1024,
            header_bytes: 64 * 1024,
            field_bytes: 64 * 1024,
            header_count: 200,
            allow_bare_lf: false,
        }
    }

    /// Bytes of the longest head that passes: a reader that holds more without a head can stop.
    pub const fn head_bytes(&self) -> usize {
        self.request_line_bytes.saturating_add(self.header_bytes).saturating_add(6)
    }
}

/// Limits of what a [`Decoder`](super::Decoder) reads beside the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecoderLimits {
    /// Bytes of all chunk extensions of a message together. Default 4,096 (H1-16).
    pub extension_bytes: u32,
    /// Bytes of the trailer section. Default 32,768.
    pub trailer_bytes: u32,
    /// Number of trailer fields. Default 100.
    pub trailer_count: u32,
    /// Hand trailers on. `false` for requests, where they are read, checked and dropped (H1-17).
    pub keep_trailers: bool,
}

impl DecoderLimits {
    /// The defaults for request bodies.
    pub const fn request() -> Self {
        Self { extension_bytes: 4096, trailer_bytes: 32 * 1024, trailer_count: 100, keep_trailers: false }
    }

    /// The defaults for response bodies.
    pub const fn response() -> Self {
        Self { extension_bytes: 4096, trailer_bytes: 64 * 1024, trailer_count: 200, keep_trailers: true }
    }
}
