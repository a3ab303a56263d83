//! The threads on which passwords are checked, apart from everything that serves messages.
//!
//! Bounded: each check takes a core for about 20 ms, so many bad logins at once wait for one another and for nobody else. The threads get what the
//! others leave of the processor: somebody who guesses passwords keeps them busy all the time.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::warn;

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

    /// Runs `check` on one of the threads. False when too many wait.
    pub(crate) fn spawn(&self, check: impl FnOnce() + Send + 'static) -> bool {
        self.0.try_send(Box::new(check)).is_ok()
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
