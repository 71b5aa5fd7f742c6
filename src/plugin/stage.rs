//! Where in a chain a plugin stands.

/// The place of a plugin, outermost first (plugins/index.md, "From phases to stages").
///
/// A request passes the stages from top to bottom, its response from bottom to top. Inside one stage global rules stand
/// outside of the route's plugins, then higher priorities outside of lower ones, then names in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Sees every request first and every answer last: metrics, logs, traces.
    Observe,
    /// Shapes answers, also those of inner plugins: response rewriting, compression.
    Respond,
    /// Before the caller is known: client address, request id, CORS, body checks.
    Edge,
    /// Finds out who calls.
    Authenticate,
    /// Changes the request: path, headers, body. The last stage that may change the path.
    Rewrite,
    /// Decides about the final request: access lists, limits, caches.
    Access,
    /// Last touches before the upstream.
    Forward,
}
