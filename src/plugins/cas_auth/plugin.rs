//! The registry's entry.
use super::shelf::Shelf;
use super::{CasAuth, CasAuthConfig, CasAuthLayer};
use crate::PluginLayer;
use crate::plugin::{BuildContext, Caveat, ConfigError, Plugin, SchemaOf, Stage};
use crate::plugins::callout::Callouts;

/// Builds [`CasAuth`] from configuration. Sessions and connections outlive reloads.
#[derive(Debug, Default)]
pub struct CasAuthPlugin {
    callouts: Callouts,
    shelf: Shelf,
}

impl Plugin for CasAuthPlugin {
    const NAME: &'static str = "cas-auth";
    const STAGE: Stage = Stage::Access;
    const PRIORITY: i32 = 2597;
    const SECRET_FIELDS: &'static [&'static str] = &["cookie.secret"];
    type Config = CasAuthConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<CasAuthConfig>()
    }

    fn caveats(&self, config: &CasAuthConfig) -> Vec<Caveat> {
        let doubts = [
            (
                config.idp_uri.starts_with("http://"),
                "idp_uri",
                "is asked without TLS: whoever is on the way can say who a user is",
                "write an `https` URL",
            ),
            (
                config.cas_callback_uri.starts_with('/'),
                "cas_callback_uri",
                "is a path: the service is then told by `Host`, so that a ticket for another service of the server counts here \
                 when the route takes any host",
                "write an absolute URL, or give the route its `hosts`",
            ),
            (
                !config.cookie.secure,
                "cookie.secure",
                "is off: browsers send the session over plain HTTP too",
                "leave it out where clients come by HTTPS",
            ),
        ];
        let doubtful = doubts.into_iter().filter(|(doubtful, ..)| *doubtful);
        doubtful.map(|(_, field, message, mend)| Caveat::new(field, message, mend)).collect()
    }

    fn build(&self, config: CasAuthConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(CasAuthLayer::of(CasAuth::with(&config, cx.bodies(), &self.callouts, &self.shelf)?).into())
    }
}
