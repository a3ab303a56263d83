//! Ctrl-C, SIGTERM, the end of the terminal and that of whoever reads the output, for subcommands
//! that go on until they are ended and have something to put in order then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{SignalKind, signal};

/// Flag that SIGINT, SIGTERM or SIGHUP has come, or that nobody reads standard output any more.
#[derive(Clone, Debug)]
pub(crate) struct Interruption(Arc<AtomicBool>);

impl Interruption {
    /// Catches them from now on; a second signal ends the process at once.
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
        // Only pipes, sockets and terminals have a reader who can leave; the system takes no others
        // here.
        #[expect(
            deprecated,
            reason = "its successor is unsafe code; standard output stays open as long as the process"
        )]
        let stdout = AsyncFd::with_interest(std::io::stdout(), Interest::ERROR).ok();
        drop(guard);
        let wait = move || {
            runtime.block_on(async {
                let (mut signals, mut has_reader) = (0, true);
                loop {
                    tokio::select! {
                        _ = interrupt.recv() => signals += 1,
                        _ = terminate.recv() => signals += 1,
                        _ = hang_up.recv() => signals += 1,
                        () = reader_gone(stdout.as_ref()), if has_reader => has_reader = false,
                    }
                    if signals == 2 {
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

/// Waits until whoever reads standard output has gone.
async fn reader_gone(stdout: Option<&AsyncFd<std::io::Stdout>>) {
    match stdout {
        Some(stdout) if stdout.ready(Interest::ERROR).await.is_ok() => {}
        Some(_) | None => std::future::pending().await,
    }
}
