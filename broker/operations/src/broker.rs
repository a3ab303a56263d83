//! Broker: the state that commands and the `$SYS` tree share, on top of network and guests.

use std::sync::Arc;

use lotmq_auth::LoginMembers;
use lotmq_changes::QuarantineRow;

use crate::backup::Backups;
use crate::command_queue::Commands;
use crate::logins::Logins;
use crate::logs::Logs;
use crate::logs::client_lines::ClientLines;
use crate::system_state::Sys;
use crate::uploads::Uploads;
use lotmq_core::Core;
use lotmq_core::tenant::Tenant;
use lotmq_net::Net;
use lotmq_programs::auth_modules::asked::LoginGuests;
use lotmq_programs::{HasPrograms as _, Hosting};

/// The broker as this crate sees it: network, guests, and what commands and the `$SYS` tree
/// share.
pub struct Broker {
    /// Data path.
    pub core: Arc<Core>,
    /// Network side.
    pub net: Arc<Net>,
    /// Hosting of programs and routes.
    pub hosting: Arc<Hosting>,
    /// Queue of logins.
    pub logins: Logins,
    /// Members of the login chains of all listeners.
    pub login_members: LoginMembers,
    /// Modules that login chains ask.
    pub login_guests: Arc<LoginGuests>,
    /// Counts of log lines about single Clients.
    pub client_lines: ClientLines,
    /// Log lines for topics.
    pub logs: Arc<Logs>,
    /// Queue of commands.
    pub commands: Commands,
    /// Backups and restores.
    pub backups: Backups,
    /// Uploads that are under way.
    pub uploads: Uploads,
    /// State of the `$SYS` tree.
    pub sys: Sys,
    /// Damaged rows of the store that were put aside, as they were when the broker started.
    pub quarantined: Vec<QuarantineRow>,
}

impl Broker {
    /// Whether nothing happens but by the clock: all shards rest, no command runs, no definition
    /// waits for a silence or for the end of a window, and no kept value for the store.
    ///
    /// Every event that ends this state wakes the housekeeper.
    pub fn rests(&self) -> bool {
        let is_watched = |tenant: &Arc<Tenant>| {
            let programs = tenant.programs();
            programs.guests.needs_rounds() || programs.variables.has_unsaved()
        };
        self.net.rests() && self.commands.waiting() == 0 && !self.hosting.tenants.all().iter().any(is_watched)
    }
}
