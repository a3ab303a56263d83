//! Threads that compile, behind the open listeners, what a start has left without native code; and
//! one that logs how far they are.
//!
//! A stop ends the worker processes, and waits for no compilation in this process: its code is put
//! in nowhere. Not here: what is left without code (`late_code` of `programs`), and in which order
//! it is compiled (`cold_start` there).

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use tracing::info;

use crate::server::limits::COLD_START_THREADS_MAX;
use lotmq_operations::broker::Broker;
use lotmq_programs::cold_start::{DeferredCompile, NextStep, Pass};
use lotmq_programs::late_code::Compiling;

/// Pause between two lines of the log.
const LOG_PAUSE: Duration = Duration::from_secs(5);

/// Cores of the machine for each thread that compiles: the others serve clients.
const CORES_PER_THREAD: usize = 2;

/// Starts the threads; none where nothing is left to compile.
///
/// # Errors
/// When the system gives no thread.
pub(super) fn start(broker: &Arc<Broker>) -> io::Result<Vec<JoinHandle<()>>> {
    if broker.hosting.cold_start.is_over() {
        return Ok(Vec::new());
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let compilers = (cores / CORES_PER_THREAD).clamp(1, COLD_START_THREADS_MAX);
    let mut threads = Vec::with_capacity(compilers + 1);
    for _ in 0..compilers {
        let broker = Arc::clone(broker);
        threads.push(Builder::new().name("cold start".to_owned()).spawn(move || compile(&broker))?);
    }
    let broker = Arc::clone(broker);
    threads.push(Builder::new().name("cold start log".to_owned()).spawn(move || log_progress(&broker))?);
    Ok(threads)
}

/// Ends the threads that have ended by now: the stop has ended their worker processes. One that
/// compiles in this process is left.
pub(super) fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads.into_iter().filter(JoinHandle::is_finished) {
        // A panic there has been reported by the thread itself.
        let _ = thread.join();
    }
}

/// Compiles until nothing is left.
fn compile(broker: &Broker) {
    while let Some(job) = broker.hosting.cold_start.next() {
        if job.is_wanted() {
            carry_out(broker, job);
        }
        broker.hosting.cold_start.ended();
    }
}

/// Compiles one program, and puts its code in between two changes by commands.
fn carry_out(broker: &Broker, mut job: Box<dyn DeferredCompile>) {
    let (began, name, pass) = (Instant::now(), job.name(), job.pass());
    // The outcome of a panic is that of a program that does not compile; the panic itself is in the
    // log.
    let _ = catch_unwind(AssertUnwindSafe(|| job.compile()));
    let _changes = broker.commands.changes.lock();
    if broker.hosting.cold_start.is_stopping() {
        return;
    }
    let seconds = began.elapsed().as_secs();
    match job.put_in() {
        NextStep::Retry(job) => broker.hosting.cold_start.push_later(job),
        NextStep::Optimise(second) => {
            info!(definition = name, is_optimised = false, seconds, "compilation ended");
            broker.hosting.cold_start.push(second);
        }
        NextStep::Done => {
            info!(definition = name, is_optimised = pass != Pass::First, seconds, "compilation ended");
        }
    }
}

/// Logs every few seconds what is still being compiled.
fn log_progress(broker: &Broker) {
    let began = Instant::now();
    let told = |seconds| {
        if let Some(compiling) = Compiling::now(&broker.hosting) {
            let (left, all, names) = (compiling.left, compiling.all, compiling.names.join(", "));
            info!(
                left,
                all,
                definitions = names,
                seconds,
                "compiling definitions; messages for them wait, and rules among them deny"
            );
        }
    };
    told(0);
    while !broker.hosting.cold_start.wait_until_over(LOG_PAUSE) {
        told(began.elapsed().as_secs());
    }
    if !broker.hosting.cold_start.is_stopping() {
        info!(seconds = began.elapsed().as_secs(), "all definitions of the start are compiled and optimised");
    }
}
