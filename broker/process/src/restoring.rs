//! Progress of a start before any port is open, in the log: compiling without cached native code
//! may take minutes after an upgrade.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::{info, warn};

/// Pause between two lines.
const TOLD_PAUSE: Duration = Duration::from_secs(5);

/// The definition that is being restored.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Current {
    kind: String,
    name: String,
    /// How many were before it.
    done: usize,
}

/// Progress of the restoration of definitions; lines stop when it is dropped.
pub struct Restoring {
    current: Arc<Mutex<Option<Current>>>,
    _ends: SyncSender<()>,
}

impl Restoring {
    /// Of so many definitions.
    pub fn of(all: usize) -> Self {
        let began = Instant::now();
        Self::told(TOLD_PAUSE, move |Current { kind, name, done }| {
            let seconds = began.elapsed().as_secs();
            info!(
                kind,
                definition = name,
                done,
                all,
                seconds,
                "restoring definitions; ports open when that is done"
            );
        })
    }

    fn told(pause: Duration, tell: impl Fn(&Current) + Send + 'static) -> Self {
        let current = Arc::<Mutex<Option<Current>>>::default();
        let (ends, ended) = sync_channel::<()>(0);
        let watched = Arc::clone(&current);
        let watch = move || {
            while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                if let Some(current) = &*watched.lock() {
                    tell(current);
                }
            }
        };
        if let Err(error) = std::thread::Builder::new().name("restoring".to_owned()).spawn(watch) {
            warn!(%error, "no thread tells how far the start has come");
        }
        Self { current, _ends: ends }
    }

    /// The next definition is begun.
    pub fn begins(&self, kind: &str, name: &str) {
        let mut current = self.current.lock();
        let done = current.as_ref().map_or(0, |current| current.done + 1);
        *current = Some(Current { kind: kind.to_owned(), name: name.to_owned(), done });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn slow_restore_step_is_reported_until_it_is_done() {
        let (sender, told) = channel();
        let restoring =
            Restoring::told(Duration::from_millis(1), move |current| drop(sender.send(current.clone())));
        restoring.begins("module", "first");
        restoring.begins("action", "second");
        let second = Current { kind: "action".to_owned(), name: "second".to_owned(), done: 1 };
        assert!(told.iter().any(|current| current == second), "it is told again and again");
        drop(restoring);
        assert!(told.iter().all(|current| current == second), "and the teller ends");
    }
}
