//! The core's shared state: clock, store, settings, counters, sums and tables that the turns of all threads use.
//!
//! Not here: what one tenant has (`tenant`), and what the broker is beside its data path (`broker`).

mod above;

use std::num::NonZeroU16;
use std::sync::{Arc, OnceLock, Weak};

use lotmq_auth::Identity;
use lotmq_config::{Config, OnFull};
use lotmq_session::SessionExpiry;
use lotmq_store::Store;

pub(crate) use above::Above;

use crate::absences::Absences;
use crate::changes::Turns;
use crate::clock::Clock;
use crate::counters::Counters;
use crate::ended_runs::EndedRuns;
use crate::endings::Endings;
use crate::limits::LimitsReached;
use crate::net::unfinished::Unfinished;
use crate::numbers::Numbers;
use crate::storage::Storage;
use crate::store_failure::StoreFailure;
use crate::triggers::GuestRunner;

/// See the module's documentation.
pub(crate) struct Core {
    /// The broker above, from its start on.
    pub(crate) above: OnceLock<Weak<dyn Above>>,
    /// Fills an identifier with random bits; false without entropy.
    pub(crate) random: fn(&mut [u8; 16]) -> bool,
    /// Starts what messages start.
    pub(crate) guest_runner: &'static dyn GuestRunner,
    pub(crate) settings: Settings,
    pub(crate) clock: Box<dyn Clock>,
    pub(crate) store: Store,
    pub(crate) turns: Turns,
    /// Whether there is room in it.
    pub(crate) storage: Storage,
    pub(crate) counters: Counters,
    pub(crate) limits: LimitsReached,
    pub(crate) numbers: Numbers,
    pub(crate) absences: Absences,
    pub(crate) endings: Endings,
    pub(crate) ended_runs: Arc<EndedRuns>,
    /// What waits for clients that do not read.
    pub(crate) output_bytes: Unfinished,
    /// Messages that wait in memory, for clients whose sessions end with their connections.
    pub(crate) queued_bytes: Unfinished,
    /// Topics of aliases that were set towards clients.
    pub(crate) alias_bytes: Unfinished,
    /// As it was when the broker started.
    pub(crate) config: Config,
}

impl Core {
    /// An identifier for a Client that named none; unique, as it is drawn from 128 random bits \[MQTT-3.2.2-16\].
    pub(crate) fn assigned_client_id(&self) -> String {
        let mut random = [0_u8; 16];
        if !(self.random)(&mut random) {
            // Without entropy the session numbers still make it unique in this store.
            let number = self.store.next_session_id().0;
            random[..8].copy_from_slice(&number.to_be_bytes());
        }
        format!("auto-{}", data_encoding::HEXLOWER.encode(&random))
    }

    /// Why nothing can be stored at the moment.
    pub(crate) fn store_failure(&self) -> Option<StoreFailure> {
        self.store.failure().map(StoreFailure::from)
    }

    /// Why nothing that clients want stored is, at the moment.
    pub(crate) fn refuses_to_store(&self) -> Option<StoreFailure> {
        self.store_failure()
            .or_else(|| self.storage.is_reserved(&self.store).then_some(StoreFailure::Reserved))
    }
}

/// What the data path needs of the configuration.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) session_expiry_max: SessionExpiry,
    /// The same for those who came without a name; not longer.
    pub(crate) anonymous_session_expiry_max: SessionExpiry,
    /// Whether Clients may use code points that the standards advise against.
    pub(crate) takes_discouraged: bool,
    /// What becomes of a message for a session that has no room for it.
    pub(crate) on_full: OnFull,
    /// Longest Keep Alive of 5.0 Clients in seconds; `None` when it is theirs to choose.
    pub(crate) keep_alive_max: Option<NonZeroU16>,
}

impl Settings {
    /// How long a session of somebody outlives its connection, at most.
    pub(crate) fn session_expiry_max_of(&self, identity: &Identity) -> SessionExpiry {
        match identity.user {
            Some(_) => self.session_expiry_max,
            None => self.anonymous_session_expiry_max,
        }
    }
}
