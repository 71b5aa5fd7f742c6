//! The registry's entry.
use std::sync::Arc;

use super::shelf::Shelf;
use super::{LdapAuth, LdapAuthConfig, LdapAuthCredential, LdapAuthLayer};
use crate::PluginLayer;
use crate::plugin::{AuthPlugin, Authenticate, BuildContext, Caveat, ConfigError, Plugin, SchemaOf, Stage};
use crate::plugins::consumer_auth::{forwarded, required};

/// Longer names are nobody's.
const MAX_NAME: usize = 4096;

/// Builds [`LdapAuth`] out of configuration. Blocks with the same directory ask it as one, also across reloads.
#[derive(Debug, Default)]
pub struct LdapAuthPlugin {
    directories: Shelf,
}

impl Plugin for LdapAuthPlugin {
    const NAME: &'static str = "ldap-auth";
    const STAGE: Stage = Stage::Authenticate;
    const PRIORITY: i32 = 2540;
    type Config = LdapAuthConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<LdapAuthConfig>().or_else(|| of.credential::<LdapAuthCredential>())
    }

    fn caveats(&self, config: &LdapAuthConfig) -> Vec<Caveat> {
        let open = match (config.use_tls, config.tls_verify) {
            (false, _) => Some((
                "use_tls",
                "is off: passwords cross the network in clear",
                "set it to `true`, and `tls_verify` with it, unless the way to the directory is your own",
            )),
            (true, false) => Some((
                "tls_verify",
                "is off: whoever is on the way can pose as the directory and read passwords",
                "set it to `true`, and give the system the root certificate",
            )),
            (true, true) => None,
        };
        let open = open.map(|(field, message, mend)| Caveat::new(field, message, mend));
        open.into_iter().chain(forwarded(config.hide_credentials)).collect()
    }

    fn build(&self, config: LdapAuthConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(LdapAuthLayer::of(LdapAuth::with_shelf(config, cx.consumers(), &self.directories)?).into())
    }
}

impl AuthPlugin for LdapAuthPlugin {
    const UNIQUE: &'static str = "user_dn";
    type Credential = LdapAuthCredential;
    type Secret = ();

    fn credential(&self, block: LdapAuthCredential) -> Result<(Vec<u8>, ()), ConfigError> {
        required(Self::NAME, "user_dn", &block.user_dn, MAX_NAME)?;
        Ok((block.user_dn.into_bytes(), ()))
    }

    fn authenticator(
        &self,
        config: LdapAuthConfig,
        cx: &BuildContext<'_>,
    ) -> Result<Arc<dyn Authenticate>, ConfigError> {
        Ok(Arc::new(LdapAuth::with_shelf(config, cx.consumers(), &self.directories)?))
    }
}
