//! The block.
use http::Method;
use serde::Deserialize;

/// Options of `proxy-cache`. All are optional.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ProxyCacheConfig {
    /// Where answers are kept: `disk` or `memory`. Default `disk`.
    pub cache_strategy: CacheStrategy,
    /// The zone, 1–100 characters: of `tollgate.cache_zones`, or `disk_cache_one` or `memory_cache`. Default
    /// `disk_cache_one`, with the strategy `memory` `memory_cache`.
    pub cache_zone: Option<String>,
    /// Parts of the key, beside scheme, host and method: texts and variables. At least one; `$request_method` is refused.
    /// Default `["$host", "$request_uri"]`.
    pub cache_key: Vec<String>,
    /// Methods that are answered out of the cache: `GET`, `HEAD`, `POST`. A HEAD is answered by what is kept of a GET and is
    /// never kept itself. A POST is then a question that changes nothing; its body, up to 64 KiB, is part of the key, and a longer
    /// one passes. Default `["GET", "HEAD"]`.
    pub cache_method: Vec<CacheMethod>,
    /// Statuses that are kept, 200–599; 206 and 304 never are. Default `[200, 301, 404]`.
    pub cache_http_status: Vec<u16>,
    /// Texts and variables: where one of them is neither empty nor `0`, what is kept is not used. Default none.
    pub cache_bypass: Vec<String>,
    /// Texts and variables: where one of them is neither empty nor `0`, the answer is not kept. Default none.
    pub no_cache: Vec<String>,
    /// How long answers are fresh, in seconds, 1 and up; of a zone on disk those only that do not say so themselves. Default
    /// 300, on disk the zone's `cache_ttl`.
    pub cache_ttl: Option<u32>,
    /// Whether `Cache-Control` of requests counts, and of a zone in memory also the lifetime that answers tell. Default
    /// `false`.
    pub cache_control: bool,
    /// Whether `Cache-Control` and `Expires` come off answers to clients. Default `false`.
    pub hide_cache_headers: bool,
    /// Whether each caller has answers of its own, unless `cache_key` has `$consumer_group_id`. Default `true`.
    pub consumer_isolation: bool,
    /// Whether answers with `Set-Cookie` are kept, cookie and all. Default `false`.
    pub cache_set_cookie: bool,
    /// The longest body that a zone in memory keeps, in bytes, 1 and up; at most a quarter of the zone, or of 256 MiB. Default
    /// 67108864 (64 MiB).
    pub max_resp_body_size: u64,
    /// Addresses and networks of clients that may `PURGE`. Default `["127.0.0.0/8", "::1"]`.
    pub purge_from: Vec<String>,
    /// For how many seconds an answer that is over is given away while it is fetched anew, where it says nothing of that
    /// itself. Default 0.
    pub stale_while_revalidate: u32,
    /// For how many seconds an answer that is over is given away when the upstream is away or answers 500, 502, 503 or 504,
    /// where it says nothing of that itself. Default 0.
    pub stale_if_error: u32,
    /// How long a request waits for another one that fetches the same, in milliseconds, up to 600000; 0 for not at all.
    /// Default 5000.
    pub collapse_timeout_ms: u32,
    /// The field that tells clients what the cache did. Default `Apisix-Cache-Status`.
    pub status_header: String,
}

/// Where answers are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum CacheStrategy {
    /// On disk.
    #[default]
    Disk,
    /// In memory.
    Memory,
}

/// A method that may be answered out of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum CacheMethod {
    /// `GET`.
    Get,
    /// `POST`.
    Post,
    /// `HEAD`.
    Head,
}

impl Default for ProxyCacheConfig {
    fn default() -> Self {
        Self {
            cache_strategy: CacheStrategy::default(),
            cache_zone: None,
            cache_key: ["$host", "$request_uri"].map(str::to_owned).into(),
            cache_method: vec![CacheMethod::Get, CacheMethod::Head],
            cache_http_status: vec![200, 301, 404],
            cache_bypass: Vec::new(),
            no_cache: Vec::new(),
            cache_ttl: None,
            cache_control: false,
            hide_cache_headers: false,
            consumer_isolation: true,
            cache_set_cookie: false,
            max_resp_body_size: 64 << 20,
            purge_from: ["127.0.0.0/8", "::1"].map(str::to_owned).into(),
            stale_while_revalidate: 0,
            stale_if_error: 0,
            collapse_timeout_ms: 5000,
            status_header: "Apisix-Cache-Status".to_owned(),
        }
    }
}

impl ProxyCacheConfig {
    /// The defaults of a zone in memory.
    pub fn memory() -> Self {
        Self { cache_strategy: CacheStrategy::Memory, ..Self::default() }
    }

    /// The name of the zone.
    pub fn zone(&self) -> &str {
        self.cache_zone.as_deref().unwrap_or(self.cache_strategy.standard_zone())
    }
}

impl CacheStrategy {
    /// The zone that is meant where none is named.
    pub(in super::super) fn standard_zone(self) -> &'static str {
        match self {
            Self::Disk => "disk_cache_one",
            Self::Memory => "memory_cache",
        }
    }

    /// As it is written.
    pub(in super::super) fn as_str(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Memory => "memory",
        }
    }
}

impl CacheMethod {
    /// The method.
    pub(super) fn method(self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Post => Method::POST,
            Self::Head => Method::HEAD,
        }
    }
}
