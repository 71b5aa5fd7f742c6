//! The decision, and the layer.
use http::StatusCode;

use super::policies::Policies;
use super::question::Asker;
use super::{CedarConfig, CedarPlugin};
use crate::error::reject;
use crate::plugin::{ConfigError, Gate, GateLayer, Plugin as _};
use crate::plugins::checks::final_status;
use crate::{Exchange, Response};

const NAME: &str = CedarPlugin::NAME;

/// [`Cedar`] as a layer.
pub type CedarLayer = GateLayer<Cedar>;

/// One block of `cedar`, compiled.
#[derive(Debug)]
pub struct Cedar {
    policies: Policies,
    asker: Asker,
    status: StatusCode,
    message: String,
}

impl Cedar {
    /// Compiles a block.
    ///
    /// # Errors
    /// [`ConfigError`] that names the field, and for texts the line and column.
    pub fn new(config: CedarConfig) -> Result<Self, ConfigError> {
        Ok(Self {
            policies: Policies::compile(&config)
                .map_err(|(field, reason)| ConfigError::invalid(NAME, field, reason))?,
            asker: Asker::new(NAME, &config)?,
            status: final_status(NAME, "rejected_code", config.rejected_code)?,
            message: config.rejected_msg.unwrap_or_else(|| "Access Denied".to_owned()),
        })
    }
}

impl Gate for Cedar {
    fn check<B>(&self, request: &mut http::Request<B>) -> Result<(), Response> {
        let denied = || reject(self.status, NAME, &self.message);
        let question = self.asker.question(request).map_err(|unasked| {
            tell(&*unasked, "the policies cannot be asked");
            denied()
        })?;
        let verdict = self.policies.judge(&question);
        verdict.broken.iter().for_each(|error| tell(error, "a policy cannot be worked out"));
        if let Some(exchange) = request.extensions().get::<Exchange>() {
            exchange.set_policies(verdict.by);
        }
        if verdict.allows { Ok(()) } else { Err(denied()) }
    }
}

fn tell(error: &(dyn std::error::Error + 'static), what: &str) {
    #[cfg(feature = "tracing")]
    tracing::warn!(plugin = NAME, error, "{what}");
    #[cfg(not(feature = "tracing"))]
    let _ = (error, what);
}
