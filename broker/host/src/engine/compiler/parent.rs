//! Parent of a compile worker: starts it, exchanges frames, watches its time, ends it.
//!
//! Invariant: when [`compile_in_worker`] returns, the worker has ended and was waited for, whatever
//! happened. Not here: what the worker does (`worker`), and how many there are.

use std::io::{self, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use super::CompileJob;
use super::frames::{WorkerAnswer, read_answer, write_job};
use super::worker::{WORKER_COMMAND, WorkerLimits};
use crate::LoadError;
use crate::cache::native::Artifact;
use crate::limits::{WORKER_ERROR_BYTES_MAX, WORKER_LOOK_PAUSE};
use crate::texts::cut;

/// Processor time beyond that of the budget after which the system ends a worker, should the broker
/// not have done so.
const CPU_MARGIN: Duration = Duration::from_secs(3);

/// Time and memory that one job may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileBudget {
    /// Processor time.
    pub cpu: Duration,
    /// Time by the clock.
    pub patience: Duration,
    /// Memory of the worker in bytes.
    pub memory_bytes: u64,
}

/// Compiles in a process of its own, and returns when that has ended. Blocks for as long as the
/// budget allows.
///
/// `is_wanted` is asked every 50 ms with the processor time so far. The worker is killed when it
/// says no.
///
/// # Errors
/// The text of the compiler; [`LoadError::CompileTimeout`], [`LoadError::CompileMemory`],
/// [`LoadError::CompileGivenUp`].
pub fn compile_in_worker(
    program: &Path,
    job: &CompileJob<'_>,
    budget: &CompileBudget,
    is_wanted: &mut dyn FnMut(Duration) -> bool,
) -> Result<Artifact, LoadError> {
    let (mut worker, pipes) = Worker::start(program, budget)
        .map_err(|error| ended(format!("The system starts no process for the compiler: {error}.")))?;
    let answer = worker.exchange(job, pipes, budget, is_wanted)?;
    match answer {
        Ok(WorkerAnswer::Artifact(bytes)) => Ok(Artifact::of_worker(bytes)),
        Ok(WorkerAnswer::Refused(text)) if is_out_of_memory(&text) => Err(memory(budget)),
        Ok(WorkerAnswer::Refused(text)) => Err(failed(&text)),
        Err(error) => Err(worker.end(budget).reason(&error, budget)),
    }
}

/// Running worker. Dropping it kills the process and waits for it.
struct Worker(Child);

/// Traces of a worker that gave no answer.
struct Death {
    status: Option<ExitStatus>,
    /// Text that it wrote to standard error.
    said: String,
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It fails when the process has ended, and that is the aim.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Worker {
    /// Starts the process, with an empty environment and nothing open but its pipes: std opens all
    /// files with `CLOEXEC`.
    fn start(program: &Path, budget: &CompileBudget) -> io::Result<(Self, (ChildStdin, ChildStdout))> {
        let limits = WorkerLimits {
            parent: std::process::id(),
            cpu_seconds: (budget.cpu + CPU_MARGIN).as_secs(),
            memory_bytes: budget.memory_bytes,
        };
        let mut worker = Self(
            Command::new(program)
                .arg(WORKER_COMMAND)
                .args(limits.arguments())
                .env_clear()
                .current_dir("/")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()?,
        );
        let pipes = worker.0.stdin.take().zip(worker.0.stdout.take());
        let pipes = pipes.ok_or_else(|| io::Error::other("the process has no pipes"))?;
        Ok((worker, pipes))
    }

    /// Hands the job over and waits for the answer. The outer error is the broker's decision, the
    /// inner one that of the pipes.
    fn exchange(
        &mut self,
        job: &CompileJob<'_>,
        (mut input, mut output): (ChildStdin, ChildStdout),
        budget: &CompileBudget,
        is_wanted: &mut dyn FnMut(Duration) -> bool,
    ) -> Result<io::Result<WorkerAnswer>, LoadError> {
        let began = Instant::now();
        let (sender, answered) = sync_channel(1);
        let pump = move || {
            let answer = write_job(&mut input, job).and_then(|()| {
                drop(input);
                read_answer(&mut output)
            });
            let _ = sender.send(answer);
        };
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("compile-pipes".to_owned());
            if let Err(error) = thread.spawn_scoped(scope, pump) {
                return Ok(Err(error));
            }
            loop {
                match answered.recv_timeout(WORKER_LOOK_PAUSE) {
                    Ok(answer) => return Ok(answer),
                    Err(RecvTimeoutError::Disconnected) => {
                        return Ok(Err(io::ErrorKind::UnexpectedEof.into()));
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                }
                let cpu = self.cpu_time();
                if let Some(reason) = judged(budget, (began.elapsed(), cpu), is_wanted) {
                    // The pipes close with it, which ends the thread.
                    let _ = self.0.kill();
                    return Err(reason);
                }
            }
        })
    }

    /// Processor time so far; zero where the system does not say.
    fn cpu_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id()));
        stat.ok().as_deref().and_then(cpu_of).unwrap_or_default()
    }

    /// Ends a worker that has closed its pipes, and reads its last words.
    fn end(&mut self, budget: &CompileBudget) -> Death {
        // It is about to exit by itself, unless it closed its output on purpose.
        let deadline = Instant::now() + WORKER_LOOK_PAUSE.min(budget.patience);
        while matches!(self.0.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = self.0.kill();
        let status = self.0.wait().ok();
        Death { status, said: self.0.stderr.take().map(last_words).unwrap_or_default() }
    }
}

/// Why a job is ended; `None` while it may go on.
fn judged(
    budget: &CompileBudget,
    (elapsed, cpu): (Duration, Duration),
    is_wanted: &mut dyn FnMut(Duration) -> bool,
) -> Option<LoadError> {
    if !is_wanted(cpu) {
        return Some(LoadError::CompileGivenUp);
    }
    if cpu >= budget.cpu {
        return Some(time(budget));
    }
    (elapsed >= budget.patience).then(|| LoadError::CompileDelayed {
        message: format!(
            "Compilation has not ended within {} s, and had {} s of processor time until then. Try again when the machine has less to do.",
            budget.patience.as_secs(),
            cpu.as_secs()
        ),
    })
}

impl Death {
    /// Error of a job whose worker ended without an answer.
    fn reason(self, error: &io::Error, budget: &CompileBudget) -> LoadError {
        if is_out_of_memory(&self.said) {
            return memory(budget);
        }
        match self.status.and_then(|status| status.signal()) {
            Some(signal) if signal == rustix::process::Signal::XCPU.as_raw() => time(budget),
            Some(signal) => {
                let text = format!(
                    "The compiler was ended by signal {signal}. Try again; signal 9 may mean that the machine had no memory left."
                );
                if is_from_outside(signal) { ended(text) } else { failed(&text) }
            }
            None => {
                let said = self.said.trim();
                let why = if said.is_empty() { error.to_string() } else { cut(said, 400).to_owned() };
                failed(&format!("The compiler ended without an answer: {why}"))
            }
        }
    }
}

/// Whether a signal is one by which others end a process, and not one of a crash.
fn is_from_outside(signal: i32) -> bool {
    use rustix::process::Signal;
    [Signal::KILL, Signal::TERM, Signal::INT, Signal::HUP].iter().any(|of| of.as_raw() == signal)
}

/// Reads what a process has written that has ended.
fn last_words(from: ChildStderr) -> String {
    let mut bytes = Vec::new();
    let _ = from.take(WORKER_ERROR_BYTES_MAX as u64).read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether a text is that of an allocation which the limit of memory refused: of Rust, or of the
/// system.
fn is_out_of_memory(text: &str) -> bool {
    text.contains("memory allocation of") || text.contains("os error 12")
}

fn memory(budget: &CompileBudget) -> LoadError {
    LoadError::CompileMemory { mebibytes: budget.memory_bytes >> 20 }
}

fn time(budget: &CompileBudget) -> LoadError {
    LoadError::CompileTimeout {
        message: format!(
            "Compilation took more than {} s of processor time. Make the component smaller, or divide its largest functions.",
            budget.cpu.as_secs()
        ),
    }
}

fn ended(message: String) -> LoadError {
    LoadError::CompilerEnded { message }
}

fn failed(text: &str) -> LoadError {
    LoadError::compile_failed(text)
}

/// Time as user and in the kernel, of a line as `/proc/…/stat` has it.
fn cpu_of(stat: &str) -> Option<Duration> {
    // Behind the name, which may have anything in it, and nine more fields; user space counts in
    // hundredths of a second on all machines that we are built for.
    const BEFORE: usize = 11;
    const TICK_MS: u64 = 10;
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(BEFORE).map(|field| field.parse::<u64>().ok());
    let ticks = fields.next()??.checked_add(fields.next()??)?;
    Some(Duration::from_millis(ticks.saturating_mul(TICK_MS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: CompileBudget = CompileBudget {
        cpu: Duration::from_secs(300),
        patience: Duration::from_secs(1_800),
        memory_bytes: 1 << 30,
    };

    #[test]
    fn job_is_ended_by_its_own_time_and_not_by_that_of_others() {
        for (elapsed, cpu, is_wanted, part) in [
            (0, 0, true, None),
            (1_799, 299, true, None),
            (300, 300, true, Some("took more than 300 s of processor time. Make the component smaller")),
            (
                1_800,
                12,
                true,
                Some("not ended within 1800 s, and had 12 s of processor time until then. Try again"),
            ),
            (0, 0, false, Some("given up")),
        ] {
            let times = (Duration::from_secs(elapsed), Duration::from_secs(cpu));
            let reason = judged(&BUDGET, times, &mut |_| is_wanted).map(|reason| reason.to_string());
            assert_eq!(reason.is_some(), part.is_some(), "{reason:?}");
            assert!(
                part.is_none_or(|part| reason.as_ref().is_some_and(|it| it.contains(part))),
                "{reason:?}"
            );
        }
    }

    #[test]
    fn death_of_a_worker_is_explained_by_its_signal_and_its_last_words() {
        let death = |raw: Option<i32>, said: &str| {
            let status = raw.map(ExitStatus::from_raw);
            let error = io::ErrorKind::UnexpectedEof.into();
            Death { status, said: said.to_owned() }.reason(&error, &BUDGET)
        };
        for (raw, said, code, part, is_passing) in [
            (Some(6), "memory allocation of 8 bytes failed\n", "COMPILE_MEMORY", "more than 1024 MiB", false),
            (Some(6), "", "COMPILE_FAILED", "signal 6", false),
            (Some(11), "", "COMPILE_FAILED", "signal 11", false),
            (Some(24), "", "COMPILE_TIMEOUT", "more than 300 s", false),
            (Some(9), "", "COMPILE_FAILED", "signal 9", true),
            (Some(15), "", "COMPILE_FAILED", "signal 15", true),
            (Some(256), "compile worker: no", "COMPILE_FAILED", "compile worker: no", false),
            (None, "", "COMPILE_FAILED", "without an answer", false),
        ] {
            let reason = death(raw, said);
            let text = reason.to_string();
            assert_eq!((reason.code(), reason.is_passing()), (code, is_passing), "{text}");
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn processor_time_is_read_behind_a_name_with_anything_in_it() {
        let stat = "12 (a) b) R 1 2 3 4 5 6 7 8 9 10 70 30 0 0 20 0";
        assert_eq!(cpu_of(stat), Some(Duration::from_secs(1)));
        assert_eq!(cpu_of("12 (a) R 1 2"), None);
    }

    #[test]
    fn program_that_is_no_worker_or_is_missing_is_an_error() {
        let layout = crate::engine::MemoryLayout { kind: crate::PoolKind::Wide, memory_bytes_max: 1 << 20 };
        let (kind, tier) = (crate::BinaryKind::Component, crate::Tier::Optimised);
        let source = crate::ComponentSource::Upload;
        let job = CompileJob { binary: &[0; 100_000], kind, source, tier, layout };
        for program in ["/bin/true", "/bin/false", "/bin/echo", "/nowhere/lotmq"] {
            let error = compile_in_worker(Path::new(program), &job, &BUDGET, &mut |_| true).unwrap_err();
            assert_eq!(error.code(), "COMPILE_FAILED", "{program}: {error}");
        }
    }
}
