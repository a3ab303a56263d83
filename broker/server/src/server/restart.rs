//! Restart within the process, on a store that was made from a backup.
//!
//! The broker stops as usual, swaps the files, and starts on the ports that it had. If it cannot
//! start, it puts the former files back and runs on them. If it ends meanwhile, the next start of
//! the store does so. Not here: the swap of the files (`lotmq_changes::StagedLog`).

use std::net::SocketAddr;

use lotmq_changes::{LogArchive, Recovered, StagedLog};
use lotmq_config::Config;
use tracing::{error, info, warn};

use crate::Server;
use crate::server::StartError;
use lotmq_net::listening_socket::ListenAddress;
use lotmq_operations::backup::RestoreReport;
use lotmq_process::clock::wall_ms;

/// Former run of a broker that is started again: its addresses, and the outcome of the restore.
#[derive(Default)]
pub(crate) struct Former {
    pub(crate) addresses: Vec<(&'static str, ListenAddress)>,
    pub(crate) report: Option<RestoreReport>,
}

impl Former {
    /// Address for a listener: where the system was to choose a port, the one that it chose before.
    pub(crate) fn address(&self, listener: &str, wanted: SocketAddr) -> SocketAddr {
        let had = self.addresses.iter().filter(|(name, _)| wanted.port() == 0 && *name == listener);
        had.filter_map(|(_, address)| address.network())
            .find(|address| address.ip() == wanted.ip())
            .unwrap_or(wanted)
    }
}

/// Report of a restore after which an earlier process ended before its start was good.
pub(crate) fn interrupted(recovered: &Recovered) -> Option<RestoreReport> {
    if !recovered.restore_failed {
        return None;
    }
    let reason = "the broker ended while it started on it";
    error!(error = reason, "backup not restored, the former store is used");
    Some(RestoreReport { ended_at_ms: wall_ms(), error: Some(reason.to_owned()) })
}

/// Notes that the broker has started on its store, so that no later start goes back to the former
/// one.
pub(crate) fn started_well(archive: &dyn LogArchive) {
    if let Err(error) = archive.started_well() {
        warn!(%error, "the next start goes back to the store before the restore");
    }
}

impl Server {
    /// Stops the broker, puts the staged store in place and starts again.
    ///
    /// # Errors
    /// [`StartError`] when the broker starts neither on the new store nor on the old one.
    pub(crate) fn restart_on(self, staged: Box<dyn StagedLog>) -> Result<Self, StartError> {
        info!("stopping to restore a backup");
        let config = self.broker.hosting.config.clone();
        let addresses = self.addresses().to_vec();
        self.stop();
        let started = install_and_start(&config, staged, &addresses);
        let (server, reason) = match started {
            Ok(server) => (server, None),
            Err(reason) => {
                error!(error = reason, "backup not restored, the former store is used");
                (start(&config, &addresses, Some(reason.clone()))?, Some(reason))
            }
        };
        if reason.is_none() {
            info!("backup restored");
        }
        Ok(server)
    }
}

fn install_and_start(
    config: &Config,
    staged: Box<dyn StagedLog>,
    addresses: &[(&'static str, ListenAddress)],
) -> Result<Server, String> {
    let installed = staged.install().map_err(|error| error.to_string())?;
    start(config, addresses, None).map_err(|error| match installed.undo() {
        Ok(()) => format!("the broker does not start on it: {error}"),
        Err(undo) => {
            format!("the broker does not start on it: {error}; lotmq.redb.before-restore cannot be put back: {undo}")
        }
    })
}

fn start(
    config: &Config,
    addresses: &[(&'static str, ListenAddress)],
    error: Option<String>,
) -> Result<Server, StartError> {
    let report = RestoreReport { ended_at_ms: wall_ms(), error };
    Server::start_after(config, Former { addresses: addresses.to_vec(), report: Some(report) })
}
