//! Members of the login chains: those that the configuration sets up, and the chain of a listener.

use std::sync::Arc;

use lotmq_auth::{LoginChain, LoginMember, LoginMembers};
use lotmq_config::{Config, ListenerPlan};
use tracing::error;

use super::{StartError, tokens};

/// Members that the configuration sets up, and the user store.
///
/// # Errors
/// [`StartError::Tokens`], [`StartError::Thread`].
pub(crate) fn configured(config: &Config) -> Result<LoginMembers, StartError> {
    let members: Vec<Arc<dyn LoginMember>> = tokens::member(config)?.into_iter().collect();
    #[cfg(test)]
    let members = members.into_iter().chain([crate::testing::tokens()]);
    Ok(LoginMembers::new(members))
}

/// Login chain of a listener. The configuration has refused names that are no member; if there is
/// one all the same, nobody but `root` of the default tenant logs in.
pub(crate) fn chain(members: &LoginMembers, plan: &ListenerPlan) -> LoginChain {
    members.chain(plan.login_modules.names()).unwrap_or_else(|unknown| {
        error!(listener = plan.name, reason = %unknown, "listener refuses all logins");
        LoginChain::of_nobody()
    })
}
