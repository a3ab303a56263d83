//! Keys of all sources, and the thread that keeps them fresh.
//!
//! Files are looked at every 2 s. A key set of the network is fetched at its period, and sooner
//! when a token names a key that is not there.
//!
//! Invariants: no caller waits for a file or the network; unknown keys cause at most one fetch in
//! the configured time; the thread ends after the store was dropped.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lotmq_config::{Jwt, KeyAddress};
use parking_lot::{Condvar, Mutex};
use tracing::{error, info, warn};

use crate::fetch::Fetcher;
use crate::key::SecretKeys;
use crate::key_error::KeyError;
use crate::key_set::KeySet;
use crate::key_source::{KeyFile, SourceKeys};
use crate::limits::{FETCH_RETRY_PAUSE, FILE_CHECK_PERIOD};

/// Keys that verify tokens. Dropping it ends its thread.
pub(crate) struct KeyStore(Arc<Shared>);

/// Reason why the keys cannot be used at a start.
#[derive(Debug, thiserror::Error)]
pub enum KeyStoreError {
    /// A source has no keys.
    #[error("{place} {fault}")]
    Source {
        /// Key of the configuration.
        setting: &'static str,
        /// The file or the address.
        place: String,
        /// Fault of the source.
        fault: KeyError,
    },
    /// The system gives no thread.
    #[error("there is no thread for the keys of tokens: {0}")]
    Thread(#[from] std::io::Error),
}

struct Shared {
    outage: Duration,
    state: Mutex<StoreState>,
    changed: Condvar,
}

struct StoreState {
    files: Vec<SourceKeys>,
    network: SourceKeys,
    /// `None` without a source on the network.
    schedule: Option<FetchSchedule>,
    is_over: bool,
}

/// Times of fetches.
#[derive(Debug)]
struct FetchSchedule {
    refresh: Duration,
    unknown_kid_pause: Duration,
    next: Instant,
    /// Begin of the last fetch.
    last: Option<Instant>,
    failures: u32,
}

impl FetchSchedule {
    fn new(config: &Jwt, now: Instant) -> Self {
        let seconds = |seconds| Duration::from_secs(u64::from(seconds));
        Self {
            refresh: seconds(config.jwks_refresh_sec),
            unknown_kid_pause: seconds(config.jwks_unknown_kid_sec),
            next: now,
            last: None,
            failures: 0,
        }
    }

    /// Brings the next fetch forward, as a token with an unknown key asks for.
    fn hurry(&mut self, now: Instant) {
        let earliest = self.last.map_or(now, |last| last + self.unknown_kid_pause);
        self.next = self.next.min(earliest.max(now));
    }

    /// Notes that a fetch begins.
    fn begins(&mut self, now: Instant) {
        self.last = Some(now);
        // Until its end sets another time.
        self.next = now + self.refresh;
    }

    /// Sets the time of the next fetch after one.
    fn ended(&mut self, is_good: bool, now: Instant) {
        self.failures = if is_good { 0 } else { self.failures.saturating_add(1) };
        let doublings = self.failures.saturating_sub(1).min(16);
        let pause = if is_good { self.refresh } else { FETCH_RETRY_PAUSE * (1 << doublings) };
        self.next = now + pause.min(self.refresh);
    }
}

/// Key of the configuration that names the source on the network.
const NETWORK: &str = "auth.jwt.jwks_url";

/// Reads the keys of all files.
fn read_files(config: &Jwt) -> Result<(Vec<KeyFile>, Vec<SourceKeys>), KeyStoreError> {
    let (mut files, mut loaded) = (KeyFile::of(config), Vec::new());
    for file in &mut files {
        let read = file.read();
        let (setting, place) = (file.setting, file.display_path());
        let mut source = SourceKeys::default();
        source.loaded(read.map_err(|fault| KeyStoreError::Source { setting, place, fault })?);
        loaded.push(source);
    }
    Ok((files, loaded))
}

/// Checks that each file of a configuration has keys, as a start does. It fetches nothing.
///
/// # Errors
/// See [`KeyStoreError`].
pub fn check_key_files(config: &Jwt) -> Result<(), KeyStoreError> {
    read_files(config).map(|_| ())
}

impl KeyStore {
    /// Reads the files, and starts the thread. It does not wait for the network: tokens are refused
    /// until the first fetch has succeeded.
    ///
    /// # Errors
    /// See [`KeyStoreError`].
    pub(crate) fn start(config: &Jwt) -> Result<Self, KeyStoreError> {
        let (files, loaded) = read_files(config)?;
        for file in files.iter().filter(|file| file.is_open_secret()) {
            warn!(
                path = file.display_path(),
                "the secret of tokens can be read by everybody on this machine; chmod 640 it, or 600"
            );
        }
        let fetcher = Fetcher::new(config).map_err(|fault| {
            let place = config.jwks_url.as_ref().map_or("", KeyAddress::text).to_owned();
            KeyStoreError::Source { setting: NETWORK, place, fault }
        })?;
        let state = StoreState {
            files: loaded,
            network: SourceKeys::default(),
            schedule: fetcher.is_some().then(|| FetchSchedule::new(config, Instant::now())),
            is_over: false,
        };
        let outage = Duration::from_secs(u64::from(config.keys_outage_sec));
        let shared = Arc::new(Shared { outage, state: Mutex::new(state), changed: Condvar::new() });
        let worker = Worker { shared: Arc::clone(&shared), files, fetcher };
        std::thread::Builder::new().name("jwt-keys".to_owned()).spawn(move || worker.work())?;
        Ok(Self(shared))
    }

    /// Keys of the sources that work, or have worked within the outage time.
    pub(crate) fn usable(&self) -> Vec<Arc<KeySet>> {
        let (state, now) = (self.0.state.lock(), Instant::now());
        let sources = state.files.iter().chain([&state.network]);
        sources.filter_map(|source| source.usable(now, self.0.outage)).cloned().collect()
    }

    /// Brings the next fetch forward; returns whether there will be one.
    pub(crate) fn hurry_fetch(&self) -> bool {
        let mut state = self.0.state.lock();
        let Some(schedule) = &mut state.schedule else { return false };
        schedule.hurry(Instant::now());
        self.0.changed.notify_all();
        true
    }
}

impl Drop for KeyStore {
    fn drop(&mut self) {
        self.0.state.lock().is_over = true;
        self.0.changed.notify_all();
    }
}

/// The thread of a store.
struct Worker {
    shared: Arc<Shared>,
    /// Files, in the order of [`StoreState::files`].
    files: Vec<KeyFile>,
    fetcher: Option<Fetcher>,
}

impl Worker {
    fn work(mut self) {
        while let Some(is_fetch_due) = self.wait() {
            self.check_files();
            if is_fetch_due {
                self.fetch();
            }
        }
        if let Some(fetcher) = self.fetcher {
            fetcher.end();
        }
    }

    /// Waits for the next look at the files or the next fetch. Returns whether a fetch is due;
    /// `None` at the end.
    fn wait(&self) -> Option<bool> {
        let look = Instant::now() + FILE_CHECK_PERIOD;
        let mut state = self.shared.state.lock();
        loop {
            let now = Instant::now();
            if state.is_over {
                return None;
            }
            if let Some(schedule) = state.schedule.as_mut().filter(|schedule| schedule.next <= now) {
                schedule.begins(now);
                return Some(true);
            }
            let has_files = !self.files.is_empty();
            if has_files && look <= now {
                return Some(false);
            }
            let fetch = state.schedule.as_ref().map(|schedule| schedule.next);
            match fetch.into_iter().chain(has_files.then_some(look)).min() {
                Some(at) => drop(self.shared.changed.wait_until(&mut state, at)),
                None => self.shared.changed.wait(&mut state),
            }
        }
    }

    fn check_files(&mut self) {
        for (number, file) in self.files.iter_mut().enumerate() {
            if file.has_changed() {
                let read = file.read();
                if let Some(source) = self.shared.state.lock().files.get_mut(number) {
                    note(source, file.setting, read, self.shared.outage);
                }
            }
        }
    }

    fn fetch(&self) {
        let Some(fetcher) = &self.fetcher else { return };
        let fetched = fetcher.fetch().and_then(|bytes| KeySet::of_jwks(&bytes, SecretKeys::Ignored));
        let mut state = self.shared.state.lock();
        if let Some(schedule) = &mut state.schedule {
            schedule.ended(fetched.is_ok(), Instant::now());
        }
        note(&mut state.network, NETWORK, fetched, self.shared.outage);
    }
}

/// Takes what a source has given, and logs a change.
fn note(source: &mut SourceKeys, name: &str, read: Result<KeySet, KeyError>, outage: Duration) {
    let (had_keys, now) = (source.usable(Instant::now(), outage).is_some(), Instant::now());
    match read {
        Ok(keys) => {
            let count = keys.len();
            let has_failed = source.loaded(keys);
            if has_failed || !had_keys {
                info!(source = name, keys = count, "keys of tokens are read");
            }
        }
        Err(fault) => {
            if !source.failed(&fault, now) {
                return;
            }
            if had_keys {
                warn!(source = name, %fault, outage_sec = outage.as_secs(), "keys of tokens are not replaced; the former ones stay for the outage time");
            } else {
                error!(source = name, %fault, "there are no keys of tokens from this source; tokens are refused");
            }
        }
    }
}

#[cfg(test)]
mod tests;
