//! Threads that execute commands, from the [queues](crate::command_queue).

pub(super) mod in_process;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use lotmq_pulse::Heartbeat;
use tracing::error;

use super::{answer, run};
use crate::broker::Broker;
use crate::limits::{COMMAND_SILENCE_MAX, COMMAND_THREADS};
use lotmq_process::this_turn;

/// Starts the threads.
///
/// # Errors
/// When the system gives none.
pub fn start(broker: &Arc<Broker>) -> std::io::Result<Vec<JoinHandle<()>>> {
    let thread = |number| {
        let broker = Arc::clone(broker);
        let name = format!("command-{number}");
        let pulse =
            broker.hosting.watchdog.pulses.add(format!("command thread {number}"), COMMAND_SILENCE_MAX);
        std::thread::Builder::new().name(name).spawn(move || serve(&broker, &pulse))
    };
    (0..COMMAND_THREADS).map(thread).collect()
}

fn serve(broker: &Arc<Broker>, pulse: &Arc<Heartbeat>) {
    this_turn::install(Arc::clone(&broker.hosting.context), None);
    pulse.install();
    while let Some(job) = broker.commands.next(pulse) {
        pulse.begins(Instant::now());
        let spared = run::spared(broker, &job);
        let ran = catch_unwind(AssertUnwindSafe(|| answer::deliver(broker, &job, run::run(broker, &job))));
        if ran.is_err() {
            error!("a command ended by a panic");
            // The turn may hold an unfinished command; a new one is clean.
            this_turn::install(Arc::clone(&broker.hosting.context), None);
            answer::deliver(broker, &job, run::panicked(broker, &job));
        }
        drop(spared);
        broker.commands.done(job.queue);
    }
    this_turn::uninstall();
}
