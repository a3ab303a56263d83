//! Signals of a service manager.

use std::future::pending;
use std::time::Instant;

use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::server::Server;
use lotmq_process::service_manager::ServiceManager;

/// Event for which a running broker waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    End,
    Restart,
}

/// Signals of a service manager, caught from its creation on: one that comes before
/// [`Server::wait`] is not lost, and does not kill.
pub struct Signals {
    runtime: tokio::runtime::Runtime,
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Catches SIGTERM, SIGINT and SIGHUP in this process.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn catch() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let guard = runtime.enter();
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let hang_up = signal(SignalKind::hangup())?;
        drop(guard);
        Ok(Self { runtime, terminate, interrupt, hang_up })
    }

    /// Waits for SIGTERM or SIGINT, or for a restart that the broker asks for; handles each SIGHUP
    /// meanwhile, and gives the service manager signs of life.
    pub(crate) fn wait(
        &mut self,
        server: &Server,
        manager: &ServiceManager,
        on_hang_up: &dyn Fn(),
    ) -> Awaited {
        self.runtime.block_on(async {
            let mut looks = manager.look_period().map(interval);
            if let Some(looks) = &mut looks {
                looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            }
            loop {
                tokio::select! {
                    // All of them only listen: none loses anything when another one wins.
                    _ = self.terminate.recv() => return Awaited::End,
                    _ = self.interrupt.recv() => return Awaited::End,
                    () = server.broker.backups.asked() => return Awaited::Restart,
                    _ = self.hang_up.recv() => {
                        server.reread_certificates();
                        on_hang_up();
                    }
                    () = due(looks.as_mut()) => manager.look(&server.broker.hosting.watchdog, Instant::now()),
                }
            }
        })
    }
}

/// The next look at the threads is due; never without an interval.
async fn due(looks: Option<&mut Interval>) {
    match looks {
        Some(looks) => {
            looks.tick().await;
        }
        None => pending().await,
    }
}

/// Makes a write beyond the process' limit on file sizes fail, as on a full disk, where it would
/// end the process by a signal.
///
/// # Errors
/// When the system does not let us.
pub fn survive_file_size_limit() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _guard = runtime.enter();
    // The default action stays disabled after the listener is dropped.
    signal(SignalKind::from_raw(Number::XFSZ.as_raw())).map(drop)
}
