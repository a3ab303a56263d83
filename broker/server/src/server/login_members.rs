//! Members of the login chains: those that the configuration sets up, and the chain of a listener.

use std::sync::Arc;
use std::thread::JoinHandle;

use lotmq_auth::{LoginChain, LoginMember, LoginMembers};
use lotmq_config::{Config, ListenerPlan};
use lotmq_operations::broker::Broker;
use lotmq_programs::auth_modules::asked::LoginGuests;
use lotmq_programs::auth_modules::driver;
use tracing::error;

use super::{StartError, tokens};

/// Members that the configuration sets up, and the user store, with the guests among them.
///
/// # Errors
/// [`StartError::Tokens`], [`StartError::Thread`].
pub(crate) fn configured(config: &Config) -> Result<(LoginMembers, Arc<LoginGuests>), StartError> {
    let guests = Arc::new(LoginGuests::new(config.login_guest_names()));
    let members: Vec<Arc<dyn LoginMember>> = tokens::member(config)?.into_iter().collect();
    #[cfg(test)]
    let members = members.into_iter().chain([crate::testing::tokens()]);
    Ok((LoginMembers::new(members).and_waiting(guests.members()), guests))
}

/// Starts the thread of the login guests, which are modules of the operator's tenant.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn start(broker: &Broker) -> std::io::Result<Option<JoinHandle<()>>> {
    let hosting = &broker.hosting;
    let tenants = hosting.tenants.all();
    tenants.first().map_or(Ok(None), |tenant| driver::start(hosting, tenant, &broker.login_guests))
}

/// Login chain of a listener. The configuration has refused names that are no member; if there is
/// one all the same, nobody but `root` of the default tenant logs in.
pub(crate) fn chain(members: &LoginMembers, plan: &ListenerPlan) -> LoginChain {
    members.chain(plan.login_modules.names()).unwrap_or_else(|unknown| {
        error!(listener = plan.name, reason = %unknown, "listener refuses all logins");
        LoginChain::of_nobody()
    })
}
