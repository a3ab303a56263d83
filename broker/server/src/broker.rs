//! What the commands and the `$SYS` tree share, on top of network and guests.

use std::ops::Deref;
use std::sync::Arc;

use lotmq_store::QuarantineRow;
use parking_lot::Mutex;

use crate::backup::Backups;
use crate::client_lines::ClientLines;
use crate::command::Commands;
use crate::guests::Hosting;
use crate::logins::Logins;
use crate::logs::Logs;
use crate::net::Net;
use crate::not_opened::NotOpened;
use crate::process::heap::Heap;
use crate::storage_watch::StorageWatch;
use crate::sys::Sys;

/// The broker as its management sees it: network, guests, and what commands and the `$SYS` tree share.
pub(crate) struct Broker {
    pub(crate) net: Arc<Net>,
    pub(crate) hosting: Arc<Hosting>,
    pub(crate) storage_watch: StorageWatch,
    pub(crate) heap: Heap,
    pub(crate) logins: Logins,
    pub(crate) client_lines: ClientLines,
    pub(crate) logs: Arc<Logs>,
    pub(crate) commands: Commands,
    pub(crate) backups: Backups,
    pub(crate) sys: Sys,
    /// Listeners that are configured and not served.
    pub(crate) not_opened: Mutex<Vec<NotOpened>>,
    /// Damaged rows of the store that were put aside, as they were when the broker started.
    pub(crate) quarantined: Vec<QuarantineRow>,
}

impl Deref for Broker {
    type Target = Hosting;

    fn deref(&self) -> &Hosting {
        &self.hosting
    }
}
