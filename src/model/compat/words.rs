//! The differences in words.

/// What a difference is in words: its name, what the reference does, what happens here, and how to have it as it was.
pub(super) struct Words(
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) Option<&'static str>,
);

pub(super) const PATHS: Words = Words(
    "path-mode",
    "matches the decoded path and forwards the target as the client sent it",
    "matches and forwards the canonical path (dots, double slashes and encodings resolved); refuses what can be read in two ways",
    Some("`tollgate.router.path_mode: compatible`"),
);
pub(super) const TRUSTED: Words = Words(
    "trusted-proxies",
    "trusts `X-Forwarded-*` of every client unless `apisix.trusted_addresses` is set",
    "trusts nobody's forwarding fields: they are written anew",
    Some("name the proxies in front of it in `tollgate.trusted_proxies`"),
);
pub(super) const FAULTS: Words = Words(
    "faulty-items",
    "leaves a faulty item out at each load, also one that was good before",
    "a start with a fault ends with exit code 2; later the version before serves on; a route that is left out answers 503",
    Some("`tollgate.start_policy: serve_valid` starts with the faultless rest"),
);
pub(super) const IDENTITY: Words = Words(
    "identity-fields",
    "passes a client's own `X-Consumer-*` and `X-Credential-*` to upstreams where no plugin identifies the caller",
    "removes a client's copies of them on every route",
    None,
);
pub(super) const GLOBAL_TWICE: Words = Words(
    "global-rule-twice",
    "runs a plugin of two global rules once, and which of them is not defined",
    "refuses the later one",
    Some("keep one of them"),
);
pub(super) const SAME_CREDENTIAL: Words = Words(
    "credential-twice",
    "of two consumers with the same key the one that was loaded last is found",
    "refuses the second one",
    Some("give each consumer a key of its own"),
);
pub(super) const ORDER: Words = Words(
    "route-order",
    "which of several routes with the same path, hosts and priority wins is not defined",
    "the one that stands first wins (in a store: the one whose id is first)",
    Some("give them a `priority`"),
);
pub(super) const FILTER_FUNC: Words = Words(
    "filter-func",
    "runs the Lua function",
    "takes the name of a predicate that the host program registers; a Lua text is a fault",
    Some("write the condition as `vars`, or register a predicate"),
);
pub(super) const BOTH_UPSTREAMS: Words = Words(
    "two-upstreams",
    "silently lets `upstream_id` win over `upstream`",
    "lets `upstream_id` win as well, with a warning",
    None,
);
pub(super) const ANY_HOST: Words = Words(
    "any-host",
    "the host `*` also matches a request without a host",
    "the host `*` matches every host that is not empty",
    Some("leave `hosts` out"),
);
pub(super) const REGEX: Words = Words(
    "regex-in-vars",
    "a regular expression that is none is false for every request",
    "a regular expression that is none is a fault of the route at load",
    None,
);
pub(super) const RETRIES: Words = Words(
    "retries-default",
    "tries every node once (`retries` is the number of nodes less one)",
    "tries one further node",
    Some("write `retries`"),
);
pub(super) const BUDGET: Words = Words(
    "retry-budget",
    "retries without a bound over all requests, and at once",
    "retries while they are no more than a share of the requests, after a short back-off",
    Some("raise `retry_budget.ratio` and set `retry_backoff.base_ms`"),
);
pub(super) const METHODS: Words = Words(
    "retry-methods",
    "sends every method but POST, PATCH and LOCK again after an upstream failed under way",
    "sends only methods again that are safe or idempotent (RFC 9110), unless nothing was sent yet",
    Some("name further ones in `retry_methods`"),
);
pub(super) const CONNECT: Words = Words(
    "connect-timeout-default",
    "waits 60 s for a connection",
    "waits 5 s for a connection",
    Some("write `timeout: {connect: 60, send: 60, read: 60}`"),
);
pub(super) const VERIFY: Words = Words(
    "tls-verify-default",
    "does not verify the upstream's certificate",
    "verifies the upstream's certificate, against `tls.ca` or the system's authorities",
    Some("`tls.verify: false`, which is warned about"),
);
pub(super) const SNI: Words = Words(
    "tls-sni",
    "names the client's host in the handshake with the upstream",
    "names the node's domain in the handshake where the client's host is passed on and `tls.sni` is not set",
    Some("write `tls.sni`"),
);
pub(super) const TWICE: Words = Words(
    "node-twice",
    "of a node that stands twice the last weight counts",
    "a node that stands twice is a fault",
    Some("write it once"),
);
pub(super) const NAMES: Words = Words(
    "names",
    "resolves a node's name while requests wait, and uses one of its addresses",
    "resolves in the background, uses all addresses, and keeps the last good answer when DNS fails",
    None,
);
pub(super) const ZERO: Words = Words(
    "zero-weights",
    "`ewma` and `least_conn` send requests to nodes of weight 0, and `chash` fails when all weights are 0",
    "a node of weight 0 gets no request, unless all are 0: then all count the same",
    None,
);
pub(super) const EWMA: Words = Words(
    "ewma-by-upstream",
    "`ewma` remembers the latency of an address across all upstreams",
    "`ewma` remembers the latency of an address in its upstream",
    None,
);
pub(super) const CHECKS: Words = Words(
    "checks-start",
    "begins to check with the first request, per worker, and with all nodes unhealthy sends to all",
    "begins to check when the upstream comes into use, once per process; when few are left `panic_threshold` decides",
    Some("`panic_threshold: 0` answers 503 with no healthy node"),
);
pub(super) const PASSIVE: Words = Words(
    "passive-alone",
    "refuses `checks` without `active`",
    "takes passive checks alone: a node comes back after `ejection_time`",
    None,
);
pub(super) const PRE_FUNCTION: Words = Words(
    "pre-function",
    "runs the Lua text of `_meta.pre_function`",
    "refuses it: there are no scripts",
    Some("write a plugin"),
);
pub(super) const BAD_FILTER: Words = Words(
    "meta-filter",
    "runs the plugin when its `_meta.filter` cannot be evaluated",
    "refuses a filter that cannot be evaluated at load",
    None,
);
pub(super) const SPLIT: Words = Words(
    "traffic-split-twice",
    "of an upstream id that stands twice in a rule the last weight counts",
    "the weights of an upstream id that stands twice add up",
    Some("write it once"),
);
pub(super) const ABORT: Words = Words(
    "abort-without-cors",
    "adds CORS headers to an answer that `fault-injection` aborts with",
    "an aborted answer carries no CORS headers",
    None,
);
pub(super) const SECRET: Words = Words(
    "secret-fails-closed",
    "uses the reference itself as the value when it cannot be resolved",
    "answers 500 on routes, and identifies nobody by such a credential, until the secret is there",
    None,
);
pub(super) const MANAGER: Words = Words(
    "secret-manager",
    "asks Vault, AWS or Google for secrets",
    "references to `vault`, `aws` and `gcp` fail closed: they are not asked yet",
    Some("provide the secrets by `env` or `file`"),
);
pub(super) const CERTIFICATE: Words = Words(
    "certificate-and-key",
    "does not look whether certificate and key belong together",
    "a certificate whose key does not belong to it is a fault",
    None,
);
pub(super) const ID_TWICE: Words = Words(
    "id-twice",
    "of two items of a kind with one id the last one wins",
    "the second one is a fault, and the first one is used",
    Some("remove one of them"),
);
pub(super) const PLUGIN_FIELDS: Words = Words(
    "plugin-fields",
    "ignores unknown fields in the blocks of most plugins",
    "an unknown field in a plugin's block is a fault",
    Some("`tollgate.unknown_fields: warn` takes the block without it"),
);
pub(super) const BODIES: Words = Words(
    "body-limit",
    "takes bodies of requests of any size",
    "answers 413 to a body of more than 16 MiB",
    Some("raise `tollgate.limits.body_bytes`"),
);
pub(super) const PRIORITIES: Words = Words(
    "equal-priorities",
    "runs plugins of equal priority in any order",
    "runs plugins of equal priority in the order of their names",
    Some("give each a `_meta.priority` of its own"),
);
pub(super) const ROOT_KEY: Words = Words(
    "root-key",
    "ignores a key that it does not know at the root of the file",
    "a key that is not known at the root is ignored, with a warning",
    None,
);
pub(super) const STREAM: Words = Words(
    "stream-routes",
    "proxies TCP and UDP where `stream_proxy` is set up",
    "reads and checks stream routes, and serves none",
    Some("keep a proxy of TCP beside it"),
);
