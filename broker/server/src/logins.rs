//! The threads on which passwords are checked, apart from everything that serves messages.
//!
//! Bounded: each check takes a core for about 20 ms, so many bad logins at once wait for one another and for nobody else. The threads get what the
//! others leave of the processor: somebody who guesses passwords keeps them busy all the time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::{error, warn};

/// Checks that may wait. Beyond this a CONNECT is refused as one of a busy server.
const WAITING_MAX: usize = 4096;

type Check = Box<dyn FnOnce() + Send>;

/// See the module's documentation. The threads end when it is dropped.
pub(crate) struct Logins(SyncSender<Check>);

impl Logins {
    /// Starts `threads` threads.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub(crate) fn start(threads: usize) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING_MAX);
        let receiver = Arc::new(Mutex::new(receiver));
        for number in 0..threads {
            let receiver = Arc::clone(&receiver);
            std::thread::Builder::new().name(format!("login-{number}")).spawn(move || work(&receiver))?;
        }
        Ok(Self(sender))
    }

    /// Runs `check` on one of the threads, and `panicked` when it ends by a panic. False when too many wait.
    pub(crate) fn spawn(
        &self,
        check: impl FnOnce() + Send + 'static,
        panicked: impl FnOnce() + Send + 'static,
    ) -> bool {
        let contained = move || {
            if catch_unwind(AssertUnwindSafe(check)).is_err() {
                error!("the check of a password ended by a panic");
                panicked();
            }
        };
        self.0.try_send(Box::new(contained)).is_ok()
    }
}

/// A tenth of the share of a thread that serves messages. With less, nobody could log in on a machine whose cores are all busy.
const NICE: i32 = 10;

fn work(receiver: &Mutex<Receiver<Check>>) {
    // On Linux this is that of the calling thread; lowering it is always allowed.
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        warn!(%error, "passwords are checked with the same priority as everything else");
    }
    loop {
        let check = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match check {
            Ok(check) => check(),
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_a_check_is_told_and_ends_nothing_else() {
        let logins = Logins::start(1).unwrap();
        let (sender, receiver) = sync_channel(2);
        let say = |word: &'static str| {
            let sender = sender.clone();
            move || sender.send(word).unwrap()
        };
        assert!(logins.spawn(|| panic!("on purpose"), say("panicked")));
        assert!(logins.spawn(say("checked"), say("no")));
        drop(sender);
        drop(logins);
        assert_eq!(receiver.iter().collect::<Vec<_>>(), ["panicked", "checked"]);
    }
}
