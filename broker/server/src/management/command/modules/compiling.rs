//! Making native code of a module on a thread of its own, so that a command gives it up when it takes too long or is cancelled.
//!
//! The engine has no way to end a compilation. One that waits for its turn is dropped when nobody wants it any more; one that has begun goes on to its end, which
//! the bounds of a component bound, keeps its place among those of its tenant until then, and its result is thrown away.
//!
//! It has a bound of processor time, so that a busy machine refuses nothing, and a longer one of time on the clock. While it goes on, the status of the module says so.
//!
//! Bounds: [`UserPlaces`](crate::management::command_queue::UserPlaces) count the threads; what they compile at once is bounded by their permits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use lotmq_pulse::goes_on;

use super::parts;
use crate::guests::DeployError;
use crate::guests::compile::Loader;
use crate::guests::policies::Policies;
use crate::limits::{MODULE_COMPILE_PATIENCE, MODULE_COMPILE_TIME_MAX, MODULE_COMPILE_TOLD_PAUSE};
use crate::management::command::add_entity::refused;
use crate::management::command::reply::Refusal;
use crate::management::command::verb::Call;
use crate::management::components;
use crate::management::module_catalog::Module;
use crate::management::modules::{self, CompiledModule};
use crate::process::usage::ThreadTime;

/// Period at which the end of the wait is looked for.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// Mark for the thread: dropped by whoever waits for it, it says that nobody does any more.
struct Wanted(Arc<AtomicBool>);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Progress of a compilation.
#[derive(Clone, Copy, Debug)]
struct Progress {
    /// Time since it was asked for.
    waited: Duration,
    /// Whether its turn has come.
    has_begun: bool,
    /// Processor time that it has had, where the system tells.
    cpu: Option<Duration>,
}

impl Progress {
    /// Why it is given up, and what helps; `None` while it may go on.
    fn gives_up(self) -> Option<String> {
        let (time, patience) = (MODULE_COMPILE_TIME_MAX.as_secs(), MODULE_COMPILE_PATIENCE.as_secs());
        if self.cpu.is_some_and(|cpu| cpu >= MODULE_COMPILE_TIME_MAX) {
            return Some(format!(
                "Compilation took more than {time} s of processor time. Make the component smaller."
            ));
        }
        // Where the processor's time is not known, that on the clock stands for it.
        if self.has_begun && self.cpu.is_none() && self.waited >= MODULE_COMPILE_TIME_MAX {
            return Some(format!(
                "Compilation took longer than {time} s. Make the component smaller, or try again when the machine has less to do."
            ));
        }
        if self.waited < MODULE_COMPILE_PATIENCE {
            return None;
        }
        let why = match (self.has_begun, self.cpu) {
            (true, Some(cpu)) => format!("had {} s of processor time until then", cpu.as_secs()),
            (true, None) => "was slow".to_owned(),
            (false, _) => "waited for its turn behind others".to_owned(),
        };
        Some(format!(
            "Compilation has not ended within {patience} s, and {why}. Try again when the machine has less to do."
        ))
    }
}

/// Where the component of a module is.
pub(in crate::management::command) enum ComponentPlace {
    /// It came with the command, and is to be stored.
    Uploaded(Bytes),
    /// It is stored, and read when its turn has come.
    Stored,
}

/// Makes native code of the module of a command, within policies.
///
/// # Errors
/// When it does not compile, takes too long, or its upload is cancelled.
pub(in crate::management::command) fn compile(
    call: &Call<'_>,
    (module, component): (Module, ComponentPlace),
    policies: Policies,
) -> Result<CompiledModule, Refusal> {
    let place = call.broker.commands.compile_place(call.tenant, call.identity);
    let place = place.map_err(|reason| Refusal::new("BUSY", reason.to_string()))?;
    let upload = call.job.upload.as_ref();
    let name = Arc::clone(&module.name);
    if upload.is_some() {
        parts::tell_compiling(call, &name, Duration::ZERO);
    }
    // What an upload has reserved stays so until its bytes are gone.
    let tenant = call.tenant.id;
    let (hosting, room) = (Arc::clone(&call.broker.hosting), upload.map(|upload| Arc::clone(&upload.room)));
    let (sender, answer) = sync_channel(1);
    let is_given_up = Arc::<AtomicBool>::default();
    let _wanted = Wanted(Arc::clone(&is_given_up));
    let time_of_work = Arc::<OnceLock<Option<ThreadTime>>>::default();
    let time_of_thread = Arc::clone(&time_of_work);
    let work = move || {
        let _held = (place, room);
        let permit = hosting.compile_permits.permit_unless(&is_given_up, module.component_bytes);
        let Ok(_permit) = permit else { return };
        time_of_thread.get_or_init(ThreadTime::of_this_thread);
        let loader = Loader { has_first_look: true, permits: None, ..hosting.loader() };
        // Who asked may have given up.
        let _ = sender.send(match component {
            ComponentPlace::Stored => components::read(&hosting.store, tenant, &module)
                .map_err(DeployError::from)
                .and_then(|component| modules::compile(loader, module, &component, &policies)),
            ComponentPlace::Uploaded(component) => {
                let compiled = modules::compile(loader, module, &component, &policies);
                compiled.map(|compiled| compiled.with_uploaded(component))
            }
        });
    };
    let began = Instant::now();
    let mut told = Duration::ZERO;
    std::thread::Builder::new().name("compile".to_owned()).spawn(work).map_err(|error| {
        Refusal::new("COMPILE_FAILED", format!("The system gives no thread to compile it: {error}."))
    })?;
    loop {
        match answer.recv_timeout(LOOK_PAUSE) {
            Ok(compiled) => return compiled.map_err(refused),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Refusal::new("COMPILE_FAILED", "The compiler ended by a panic."));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        if upload.is_some_and(|upload| upload.ending.is_cancelled()) {
            return Err(parts::cancelled(call));
        }
        if call.broker.commands.is_stopping() {
            return Err(Refusal::new("STOPPING", "The broker is stopping."));
        }
        let waited = began.elapsed();
        let of_work = time_of_work.get();
        let cpu = of_work.and_then(|time| time.as_ref()?.read());
        if let Some(message) = (Progress { waited, has_begun: of_work.is_some(), cpu }).gives_up() {
            return Err(Refusal::new("COMPILE_TIMEOUT", message));
        }
        if waited >= told + MODULE_COMPILE_TOLD_PAUSE {
            told = waited;
            parts::tell_compiling(call, &name, waited);
        }
        goes_on(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compilation_is_given_up_by_its_own_time_and_not_by_that_of_others() {
        let seconds = Duration::from_secs;
        for (waited, has_begun, cpu, part) in [
            (0, false, None, None),
            (299, true, None, None),
            (300, true, None, Some("took longer than 300 s. Make")),
            (1_000, true, Some(299), None),
            (1_799, false, None, None),
            (
                301,
                true,
                Some(300),
                Some("took more than 300 s of processor time. Make the component smaller."),
            ),
            (
                1_800,
                true,
                Some(12),
                Some("not ended within 1800 s, and had 12 s of processor time until then. Try again"),
            ),
            (
                1_800,
                false,
                None,
                Some("not ended within 1800 s, and waited for its turn behind others. Try again"),
            ),
        ] {
            let progress = Progress { waited: seconds(waited), has_begun, cpu: cpu.map(seconds) };
            let told = progress.gives_up();
            let is_expected = match (&told, part) {
                (Some(told), Some(part)) => told.contains(part),
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            };
            assert!(is_expected, "{progress:?}: {told:?}");
        }
    }
}
