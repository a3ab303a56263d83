//! Ctrl-C, SIGTERM and the end of the terminal, for subcommands that go on until they are ended and have something to put in order then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

/// Flag that SIGINT, SIGTERM or SIGHUP has come.
#[derive(Clone, Debug)]
pub(crate) struct Interruption(Arc<AtomicBool>);

impl Interruption {
    /// Catches them from now on; a second one ends the process at once.
    ///
    /// # Errors
    /// When the system gives no thread, or does not let us listen.
    pub(crate) fn catch() -> anyhow::Result<Self> {
        let has_come = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&has_come);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .context("cannot wait for signals")?;
        let guard = runtime.enter();
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for signals")?;
        let mut terminate = signal(SignalKind::terminate()).context("cannot wait for signals")?;
        let mut hang_up = signal(SignalKind::hangup()).context("cannot wait for signals")?;
        drop(guard);
        let wait = move || {
            runtime.block_on(async {
                for round in 0..2 {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                        _ = hang_up.recv() => {}
                    }
                    if round == 1 {
                        // As the shell tells of a program that SIGINT ended.
                        std::process::exit(130);
                    }
                    flag.store(true, Ordering::Release);
                }
            });
        };
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(wait)
            .context("cannot start a thread for signals")?;
        Ok(Self(has_come))
    }

    /// None ever comes to what it is for: Ctrl-C and the like end the process at once.
    pub(crate) fn never() -> Self {
        Self(Arc::default())
    }

    /// Whether one has come.
    pub(crate) fn has_come(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
