//! Making native code of a module on a thread of its own, so that a command gives it up when it takes too long or is cancelled.
//!
//! The engine has no way to end a compilation. One that waits for its turn is dropped when nobody wants it any more; one that has begun goes on to its end, which
//! the bounds of a component bound, keeps its place among those of its tenant until then, and its result is thrown away.
//!
//! Bounds: [`UserPlaces`](crate::management::command_queue::UserPlaces) count the threads; what they compile at once is bounded by their permits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use lotmq_pulse::goes_on;

use super::parts;
use crate::guests::compile::Loader;
use crate::guests::policies::Policies;
use crate::limits::MODULE_COMPILE_PATIENCE;
use crate::management::command::add_entity::refused;
use crate::management::command::reply::Refusal;
use crate::management::command::verb::Call;
use crate::management::module_catalog::Module;
use crate::management::modules::{self, CompiledModule};

/// Period at which the end of the wait is looked for.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// Mark for the thread: dropped by whoever waits for it, it says that nobody does any more.
struct Wanted(Arc<AtomicBool>);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Makes native code of the module of a command, within policies.
///
/// # Errors
/// When it does not compile, takes too long, or its upload is cancelled.
pub(in crate::management::command) fn compile(
    call: &Call<'_>,
    module: Module,
    policies: Policies,
) -> Result<CompiledModule, Refusal> {
    let place = call.broker.commands.compile_place(call.tenant, call.identity);
    let place = place.map_err(|reason| Refusal::new("BUSY", reason.to_string()))?;
    if let Some(upload) = &call.job.upload {
        parts::tell_compiling(call, &module.name, upload);
    }
    let upload = call.job.upload.as_ref();
    // What an upload has reserved stays so until its bytes are gone.
    let (hosting, room) = (Arc::clone(&call.broker.hosting), upload.map(|upload| Arc::clone(&upload.room)));
    let (sender, answer) = sync_channel(1);
    let is_given_up = Arc::<AtomicBool>::default();
    let _wanted = Wanted(Arc::clone(&is_given_up));
    let work = move || {
        let _held = (place, room);
        let permit = hosting.compile_permits.permit_unless(&is_given_up, module.bytes.len());
        let Ok(_permit) = permit else { return };
        let loader = Loader { has_first_look: true, permits: None, ..hosting.loader() };
        // Who asked may have given up.
        let _ = sender.send(modules::compile(loader, module, &policies));
    };
    let began = Instant::now();
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
        if began.elapsed() >= MODULE_COMPILE_PATIENCE {
            let seconds = MODULE_COMPILE_PATIENCE.as_secs();
            let message = format!("Compilation took longer than {seconds} s.");
            return Err(Refusal::new("COMPILE_TIMEOUT", message));
        }
        goes_on(Instant::now());
    }
}
