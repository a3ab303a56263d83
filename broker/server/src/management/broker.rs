//! Broker: the state that commands and the `$SYS` tree share, on top of network and guests.

use std::sync::Arc;

use lotmq_auth::LoginMembers;
use lotmq_changes::QuarantineRow;

use crate::guests::{HasPrograms as _, Hosting};
use crate::management::backup::Backups;
use crate::management::command_queue::Commands;
use crate::management::logins::Logins;
use crate::management::logs::Logs;
use crate::management::logs::client_lines::ClientLines;
use crate::management::system_state::Sys;
use crate::management::uploads::Uploads;
use lotmq_core::Core;
use lotmq_core::tenant::Tenant;
use lotmq_net::Net;

/// The broker as its management sees it: network, guests, and what commands and the `$SYS` tree
/// share.
pub(crate) struct Broker {
    pub(crate) core: Arc<Core>,
    pub(crate) net: Arc<Net>,
    pub(crate) hosting: Arc<Hosting>,
    pub(crate) logins: Logins,
    /// Members of the login chains of all listeners.
    pub(crate) login_members: LoginMembers,
    pub(crate) client_lines: ClientLines,
    pub(crate) logs: Arc<Logs>,
    pub(crate) commands: Commands,
    pub(crate) backups: Backups,
    pub(crate) uploads: Uploads,
    pub(crate) sys: Sys,
    /// Damaged rows of the store that were put aside, as they were when the broker started.
    pub(crate) quarantined: Vec<QuarantineRow>,
}

impl Broker {
    /// Whether nothing happens but by the clock: all shards rest, no command runs, no definition
    /// waits for a silence or for the end of a window, and no kept value for the store.
    ///
    /// Every event that ends this state wakes the housekeeper.
    pub(crate) fn rests(&self) -> bool {
        let is_watched = |tenant: &Arc<Tenant>| {
            let programs = tenant.programs();
            programs.guests.needs_rounds() || programs.variables.has_unsaved()
        };
        self.net.rests() && self.commands.waiting() == 0 && !self.hosting.tenants.all().iter().any(is_watched)
    }
}
