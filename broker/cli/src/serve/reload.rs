//! Report on the configuration after SIGHUP: lists each changed key, because the running broker
//! reads none again.
//!
//! Invariant: the same text is logged once, however often a file is written. Not here:
//! certificates, which are read again (`lotmq_server`).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lotmq_config::Config;
use lotmq_server::preflight::port_given_twice;
use lotmq_terminal::output::chain;
use parking_lot::Mutex;
use tracing::{info, warn};

use super::ServeArgs;

/// Texts that are remembered as told; a file that says ever new things is told anew behind that.
const TOLD_MAX: usize = 256;

/// Keys of one look that are told by name.
const KEYS_MAX: usize = 20;

/// Configuration of the running broker, and what was told of the one that a restart would have.
pub(super) struct Reload {
    args: ServeArgs,
    running: Config,
    told: Mutex<BTreeSet<String>>,
    /// Whether a look was asked for that has not begun.
    is_asked: AtomicBool,
}

/// Key whose value a restart would change.
struct Change {
    key: &'static str,
    running: String,
    configured: String,
}

impl Reload {
    pub(super) fn new(args: ServeArgs, running: Config) -> Self {
        Self { args, running, told: Mutex::default(), is_asked: AtomicBool::new(false) }
    }

    /// Looks on a thread of its own: a file may be on a disk that does not answer.
    pub(super) fn look_on_thread(this: &Arc<Self>) {
        let of_thread = Arc::clone(this);
        let looking =
            std::thread::Builder::new().name("lotmq-reload".to_owned()).spawn(move || of_thread.look());
        if let Err(error) = looking {
            warn!(%error, "the configuration is not looked at");
        }
    }

    /// Looks at the configuration. One thread does so at a time, and looks again if others have
    /// asked for it meanwhile: the file may have changed after it was read.
    fn look(&self) {
        self.is_asked.store(true, Ordering::SeqCst);
        while self.is_asked.load(Ordering::SeqCst) {
            // The thread that holds the lock checks again after it has released the lock.
            let Some(mut told) = self.told.try_lock() else { return };
            if self.is_asked.swap(false, Ordering::SeqCst) {
                self.look_once(&mut told);
            }
        }
    }

    fn look_once(&self, told: &mut BTreeSet<String>) {
        if told.len() >= TOLD_MAX {
            told.clear();
        }
        let read = self.args.read().map_err(|error| chain(&error));
        let refused = |configured: Config| match port_given_twice(&configured) {
            Some(told) => Err(told),
            None => Ok(configured),
        };
        match read.and_then(refused) {
            Err(error) => {
                if told.insert(error.clone()) {
                    warn!(
                        error,
                        "the configuration is wrong and would stop the next start; the broker runs on with what it has"
                    );
                }
            }
            Ok(configured) => self.tell(&configured, told),
        }
    }

    fn tell(&self, configured: &Config, told: &mut BTreeSet<String>) {
        let changes = changes(&self.running, configured);
        let mut left = 0_usize;
        for (number, Change { key, running, configured }) in changes.iter().enumerate() {
            if !told.insert(format!("{key} = {configured}")) {
                continue;
            }
            if number < KEYS_MAX {
                warn!(key, running, configured, "changed in the configuration, and takes a restart");
            } else {
                left += 1;
            }
        }
        if left > 0 {
            info!(count = left, "more keys have changed; `lotmq config show --origin` prints all");
        }
    }
}

fn changes(running: &Config, configured: &Config) -> Vec<Change> {
    let changed = configured.entries().filter_map(|(key, value, _)| {
        let before = key.get(running);
        (before != value).then(|| Change {
            key: key.path,
            running: before.to_string(),
            configured: value.to_string(),
        })
    });
    let mut changes: Vec<Change> = changed.collect();
    if running.data.path != configured.data.path {
        let shown = |config: &Config| config.data.path.display().to_string();
        changes.push(Change { key: "data", running: shown(running), configured: shown(configured) });
    }
    changes
}
