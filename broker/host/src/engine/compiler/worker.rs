//! Compile worker: a child process of the broker that compiles one binary and ends.
//!
//! A process can be ended at any time, and has bounds of its own; a thread that compiles has
//! neither. It gets one job, so that no binary meets the leftovers of another user's. It runs with
//! the rights of the broker: it is our code, and protects processor and memory, not secrets. Not
//! here: who starts and ends it (`parent`).

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use rustix::process::{
    Pid, Resource, Rlimit, Signal, getppid, nice, set_parent_process_death_signal, setrlimit,
};

use super::frames::{ReadJob, WorkerAnswer, read_job, write_answer};
use crate::engine::{compiling_engine, precompile};
use crate::limits::{WORKER_ERROR_BYTES_MAX, WORKER_NICE, WORKER_OPEN_FILES_MAX};
use crate::texts::cut;

/// Subcommand of the binary that runs [`worker_main`].
pub const WORKER_COMMAND: &str = "compile-worker";

/// Limits that a worker sets for itself, from its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WorkerLimits {
    /// Process that has to wait for it.
    pub(super) parent: u32,
    /// Processor time in seconds.
    pub(super) cpu_seconds: u64,
    /// Memory in bytes.
    pub(super) memory_bytes: u64,
}

impl WorkerLimits {
    /// Arguments behind [`WORKER_COMMAND`].
    pub(super) fn arguments(self) -> [String; 3] {
        [self.parent.to_string(), self.cpu_seconds.to_string(), self.memory_bytes.to_string()]
    }

    fn parse(arguments: impl Iterator<Item = OsString>) -> Option<Self> {
        let numbers: Vec<u64> =
            arguments.map(|argument| argument.to_str()?.parse().ok()).collect::<Option<_>>()?;
        let [parent, cpu_seconds, memory_bytes] = *numbers else { return None };
        Some(Self { parent: u32::try_from(parent).ok()?, cpu_seconds, memory_bytes })
    }

    /// Limits this process before it reads anything. The broker enforces the same time and ends it
    /// a bit earlier.
    fn apply(self) -> io::Result<()> {
        let limit = |resource, value| {
            // A limit that the process has already may be lower.
            let value = rustix::process::getrlimit(resource).maximum.map_or(value, |max| max.min(value));
            setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })
        };
        set_parent_process_death_signal(Some(Signal::KILL))?;
        if getppid().map(Pid::as_raw_pid) != i32::try_from(self.parent).ok() {
            return Err(io::Error::other("the broker has ended"));
        }
        limit(Resource::Core, 0)?;
        limit(Resource::Fsize, 0)?;
        limit(Resource::Nofile, WORKER_OPEN_FILES_MAX)?;
        limit(Resource::Cpu, self.cpu_seconds)?;
        limit(Resource::Data, self.memory_bytes)?;
        // A system without these compiles at the same priority as the broker.
        let _ = nice(WORKER_NICE);
        let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
        Ok(())
    }
}

/// Runs the worker, with the arguments behind [`WORKER_COMMAND`]: reads a job from standard input
/// and writes the answer to standard output.
pub fn worker_main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    match WorkerLimits::parse(arguments).ok_or_else(misused).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "compile worker: {error}");
            ExitCode::FAILURE
        }
    }
}

fn misused() -> io::Error {
    io::Error::other("it is started by the broker, and by nobody else")
}

fn run(limits: WorkerLimits) -> io::Result<()> {
    limits.apply()?;
    let job = read_job(&mut io::stdin().lock())?;
    let answer = compile(&job).map_or_else(
        |error| WorkerAnswer::Refused(cut(&format!("{error:#}"), WORKER_ERROR_BYTES_MAX).to_owned()),
        WorkerAnswer::Artifact,
    );
    write_answer(&mut io::stdout().lock(), &answer)
}

fn compile(job: &ReadJob) -> wasmtime::Result<Vec<u8>> {
    precompile(&compiling_engine(job.layout, job.tier)?, job.kind, &job.binary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_as_they_were_written() {
        let limits = WorkerLimits { parent: 7, cpu_seconds: 300, memory_bytes: 1 << 30 };
        let read = |arguments: &[&str]| WorkerLimits::parse(arguments.iter().map(OsString::from));
        let written = limits.arguments();
        assert_eq!(WorkerLimits::parse(written.into_iter().map(OsString::from)), Some(limits));
        for wrong in [&[][..], &["1", "2"], &["1", "2", "x"], &["1", "2", "3", "4"], &["-1", "2", "3"]] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }
}
