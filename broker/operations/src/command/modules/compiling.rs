//! Making native code of a module on a thread of its own, so that a command gives it up when it is
//! cancelled.
//!
//! The thread waits for a place, then for a worker process that compiles. It waits for neither if
//! the code cache has the code. The worker is killed
//! within 100 ms when nobody wants its result any more: the upload was cancelled, the user was
//! removed, or the broker stops. It has bounds of processor time, of time by the clock, and of
//! memory. Meanwhile the status of the module says that it is compiled.
//!
//! Bounds: [`UserPlaces`](crate::command_queue::UserPlaces) count the threads; the
//! workers are in [`CompileWorkers`](lotmq_programs::compile_workers::CompileWorkers).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use lotmq_changes::TenantId;
use lotmq_pulse::goes_on;

use super::parts;
use crate::command::add_entity::refused;
use crate::command::reply::Refusal;
use crate::command::verb::Call;
use crate::components;
use crate::limits::MODULE_COMPILE_REPORT_PAUSE;
use crate::module_catalog::Module;
use crate::modules::{self, CompiledModule};
use lotmq_codes::Code;
use lotmq_programs::compile::Loader;
use lotmq_programs::compile_places::CompilePlace;
use lotmq_programs::compile_workers::CompileFor;
use lotmq_programs::policies::Policies;
use lotmq_programs::{DeployError, Hosting};

/// Period at which the end of the wait is looked for.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// Mark for the thread: dropped by whoever waits for it, it says that nobody does any more.
struct Wanted(Arc<AtomicBool>);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Place of the component of a module.
pub(in crate::command) enum ComponentPlace {
    /// It came with the command, and is to be stored.
    Uploaded(Bytes),
    /// It is stored, and read when its turn has come.
    Stored,
}

impl ComponentPlace {
    /// Waits for the place of a worker process; `None` where none is needed, because the code cache
    /// has the code or no worker compiles.
    fn place<'a>(
        &self,
        (hosting, tenant): (&Hosting, TenantId),
        module: &Module,
        compile_for: CompileFor<'a>,
    ) -> Result<Option<CompilePlace<'a>>, DeployError> {
        let engine = &hosting.engine;
        let is_compiled = match self {
            ComponentPlace::Uploaded(component) => engine.is_cached(component),
            ComponentPlace::Stored => components::is_compiled((&*hosting.archive, engine), tenant, module)?,
        };
        if is_compiled { Ok(None) } else { Ok(compile_for.module_place()?) }
    }
}

/// Makes native code of the module of a command, within policies.
///
/// # Errors
/// When it does not compile, takes too long, or its upload is cancelled.
pub(in crate::command) fn compile(
    call: &Call<'_>,
    (module, component): (Module, ComponentPlace),
    policies: Policies,
) -> Result<CompiledModule, Refusal> {
    let place = call.commands.compile_place(call.tenant, call.identity);
    let place = place.map_err(|reason| Refusal::new(Code::Busy, reason.to_string()))?;
    let upload = call.job.upload.as_ref();
    let name = Arc::clone(&module.name);
    if upload.is_some() {
        parts::tell_compiling(call, &name, Duration::ZERO);
    }
    // The reservation of an upload stays until its bytes are gone.
    let tenant = call.tenant.id;
    let (hosting, room) = (Arc::clone(call.hosting), upload.map(|upload| Arc::clone(&upload.room)));
    let (sender, answer) = sync_channel(1);
    let is_given_up = Arc::<AtomicBool>::default();
    let _wanted = Wanted(Arc::clone(&is_given_up));
    let (of_tenant, identity) = (Arc::clone(call.tenant), Arc::clone(&call.job.caller.identity));
    let work = move || {
        let _held = (place, room);
        let compile_for =
            CompileFor::user(&hosting.compile_workers, &of_tenant, &identity).until(&is_given_up);
        let worker = component.place((&hosting, tenant), &module, compile_for);
        let compiled = worker.and_then(|worker| {
            let loader = hosting.loader_for(compile_for.at(worker.as_ref())).for_owners_in(&of_tenant);
            let loader = Loader { has_first_look: true, ..loader };
            match component {
                ComponentPlace::Stored => {
                    let component = components::read(&*hosting.archive, tenant, &module)?;
                    modules::compile(loader, module, &component, &policies)
                }
                ComponentPlace::Uploaded(component) => {
                    let compiled = modules::compile(loader, module, &component, &policies)?;
                    Ok(compiled.with_uploaded(component))
                }
            }
        });
        // Nobody hears it when it was given up.
        let _ = sender.send(compiled);
    };
    let began = Instant::now();
    let mut told = Duration::ZERO;
    std::thread::Builder::new().name("compile".to_owned()).spawn(work).map_err(|error| {
        Refusal::new(Code::CompileFailed, format!("The system gives no thread to compile it: {error}."))
    })?;
    loop {
        match answer.recv_timeout(LOOK_PAUSE) {
            Ok(compiled) => return compiled.map_err(refused),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Refusal::new(Code::CompileFailed, "The compiler ended by a panic."));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        if upload.is_some_and(|upload| upload.ending.is_cancelled()) {
            return Err(parts::cancelled(call));
        }
        if call.commands.is_stopping() {
            return Err(Refusal::new(Code::Stopping, "The broker is stopping."));
        }
        let waited = began.elapsed();
        if waited >= told + MODULE_COMPILE_REPORT_PAUSE {
            told = waited;
            parts::tell_compiling(call, &name, waited);
        }
        goes_on(Instant::now());
    }
}
