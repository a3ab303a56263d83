//! The core's shared state: clock, log, settings, counters, sums and tables that the turns of all
//! threads use.
//!
//! Not here: what one tenant has (`tenant`), and what the broker is beside its data path
//! (`lotmq_server`).

mod slots;

use std::num::NonZeroU16;
use std::sync::Arc;

use lotmq_auth::{AnonymousLogin, Identity};
use lotmq_changes::{Ids, Log};
use lotmq_config::{Authority, Config, Limits, OnFull, SessionExpiryMax, TopicPrefix};
use lotmq_session::SessionExpiry;
use parking_lot::Mutex;

use crate::clock::Clock;
use crate::counters::Counters;
use crate::durable::changes::Turns;
use crate::durable::ended_runs::EndedRuns;
use crate::durable::storage::Storage;
use crate::durable::store_failure::StoreFailure;
use crate::figures::AllFigures;
use crate::hashing::Hashing;
use crate::limits::unfinished::Unfinished;
use crate::limits::{LimitsReached, LogLines};
use crate::shares::feeding::Feeding;
use crate::shares::owned_sum::OwnedSum;
use slots::Slots;

/// Shared state of the core.
pub struct Core {
    /// Sources of randomness.
    pub entropy: Entropy,
    /// Settings of the data path.
    pub settings: Settings,
    /// Clock.
    pub clock: Arc<dyn Clock>,
    /// Log of durable changes.
    pub log: Arc<dyn Log>,
    /// Source of the numbers that durable changes carry.
    pub ids: Arc<Ids>,
    /// Progress of the turns of all threads.
    pub turns: Turns,
    /// Storage space, as it was last seen.
    pub storage: Storage,
    /// Counters.
    pub counters: Counters,
    /// Figures that each thread writes for itself.
    pub figures: Arc<AllFigures>,
    /// Log lines about packets without memory: one a second.
    pub memory_lines: LogLines<1>,
    /// Counters of limits that were reached.
    pub limits: LimitsReached,
    /// Slots of sessions in the tables of threads.
    pub slots: Slots,
    /// Promised runs that have ended.
    pub ended_runs: Arc<EndedRuns>,
    /// Messages published on threads without Clients that are on their way to the disk.
    pub feeding: Mutex<Feeding>,
    /// Bytes of output that waits for clients which do not read.
    pub output_bytes: OwnedSum,
    /// Bytes of messages that wait in memory for clients whose sessions end with their connections.
    pub queued_bytes: OwnedSum,
    /// Bytes of the topics of aliases that were set towards clients.
    pub alias_bytes: Unfinished,
}

impl Core {
    /// Shared state of a broker that has just opened its log; `ids` goes on with the numbers in it.
    pub fn new(
        config: &Config,
        (log, ids): (Arc<dyn Log>, Arc<Ids>),
        clock: Arc<dyn Clock>,
        entropy: Entropy,
    ) -> Self {
        Self {
            entropy,
            settings: Settings::of(config),
            clock,
            log,
            ids,
            turns: Turns::default(),
            storage: Storage::default(),
            counters: Counters::default(),
            figures: Arc::default(),
            memory_lines: LogLines::default(),
            limits: LimitsReached::default(),
            slots: Slots::default(),
            ended_runs: Arc::default(),
            feeding: Mutex::default(),
            output_bytes: OwnedSum::default(),
            queued_bytes: OwnedSum::default(),
            alias_bytes: Unfinished::default(),
        }
    }

    /// Assigned Client Identifier, drawn from 128 random bits so that it is unique
    /// \[MQTT-3.2.2-16\].
    pub(crate) fn assigned_client_id(&self) -> String {
        let mut random = [0_u8; 16];
        if !(self.entropy.random)(&mut random) {
            // Without entropy the session numbers still make it unique in this store.
            let number = self.ids.next_session().0;
            random[..8].copy_from_slice(&number.to_be_bytes());
        }
        format!("auto-{}", data_encoding::HEXLOWER.encode(&random))
    }

    /// Failure because of which nothing can be stored at the moment.
    pub fn store_failure(&self) -> Option<StoreFailure> {
        self.log.failure().map(StoreFailure::from)
    }

    /// Failure because of which nothing is stored for clients at the moment.
    pub fn refuses_to_store(&self) -> Option<StoreFailure> {
        self.store_failure()
            .or_else(|| self.storage.is_reserved(&*self.log).then_some(StoreFailure::Reserved))
    }
}

/// Sources of randomness, which whoever makes the core provides.
pub struct Entropy {
    /// Fills an identifier with random bits; false without entropy.
    pub random: fn(&mut [u8; 16]) -> bool,
    /// Hash function for tables whose order is visible from outside.
    pub hashing: Hashing,
}

/// Settings of the data path from the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Policy for logins without a user name.
    pub anonymous: AnonymousLogin,
    /// Whether passwords of other machines have to come over TLS.
    pub passwords_need_tls: bool,
    /// Longest time for which a session outlives its connection.
    pub session_expiry_max: SessionExpiry,
    /// Longest time for which an anonymous session outlives its connection; not longer than the
    /// other.
    pub anonymous_session_expiry_max: SessionExpiry,
    /// Whether Clients may use code points that the standards advise against.
    pub takes_discouraged: bool,
    /// Policy for a message to a session that has no room for it.
    pub on_full: OnFull,
    /// Longest Keep Alive of 5.0 Clients in seconds; `None` without a bound.
    pub keep_alive_max: Option<NonZeroU16>,
    /// Response Information for 5.0 Clients that ask for it.
    pub response_information: Option<TopicPrefix>,
    /// Whether a kept value is a retained message, too.
    pub keep_visible_retained: bool,
    /// Rights that programs have.
    pub authority: Authority,
    /// Limits of the broker, and of a listener without limits of its own.
    pub limits: Limits,
}

impl Settings {
    fn of(config: &Config) -> Self {
        let limits = &config.limits;
        let expiry = |maximum: SessionExpiryMax| {
            maximum.seconds().map_or(SessionExpiry::NEVER, SessionExpiry::from_seconds)
        };
        let session_expiry_max = expiry(limits.session_expiry_max);
        Self {
            anonymous: match config.anonymous_login() {
                lotmq_config::AnonymousLogin::Off => AnonymousLogin::Refused,
                lotmq_config::AnonymousLogin::LoopbackOnly => AnonymousLogin::FromLoopback,
                lotmq_config::AnonymousLogin::Everywhere => AnonymousLogin::FromEverywhere,
            },
            passwords_need_tls: config.auth.passwords_need_tls,
            session_expiry_max,
            anonymous_session_expiry_max: expiry(limits.anonymous_session_expiry_max).min(session_expiry_max),
            takes_discouraged: config.mqtt.control_characters,
            on_full: limits.on_full,
            keep_alive_max: NonZeroU16::new(limits.keep_alive_max_sec),
            response_information: config.mqtt.response_information.clone(),
            keep_visible_retained: config.compat.keep_visible_retained,
            authority: config.lot.authority,
            limits: limits.clone(),
        }
    }

    /// Longest time for which a session of this identity outlives its connection.
    pub(crate) fn session_expiry_max_of(&self, identity: &Identity) -> SessionExpiry {
        let max = match identity.user() {
            Some(_) => self.session_expiry_max,
            None => self.anonymous_session_expiry_max,
        };
        let of_member = identity.principal.session_bounds().session_expiry_sec;
        of_member.map_or(max, |of_member| max.min(SessionExpiry::from_seconds(of_member)))
    }
}
