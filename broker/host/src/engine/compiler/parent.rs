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

/// Time and memory that a worker has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerUsage {
    /// Processor time.
    pub cpu: Duration,
    /// Resident memory in bytes.
    pub memory_bytes: u64,
}

/// Compiles in a process of its own, and returns when that has ended. Blocks for as long as the
/// budget allows.
///
/// `look` is called every 50 ms. The worker is killed when it returns an error, which becomes that
/// of the job.
///
/// # Errors
/// The text of the compiler; [`LoadError::CompileTimeout`], [`LoadError::CompileMemory`],
/// [`LoadError::CompilerEnded`]; that of `look`.
pub fn compile_in_worker(
    program: &Path,
    job: &CompileJob<'_>,
    budget: &CompileBudget,
    look: &mut dyn FnMut(WorkerUsage) -> Result<(), LoadError>,
) -> Result<Artifact, LoadError> {
    let (mut worker, pipes) = Worker::start(program, budget)
        .map_err(|error| ended(format!("The system starts no process for the compiler: {error}.")))?;
    let answer = worker.exchange(job, pipes, budget, look)?;
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
        look: &mut dyn FnMut(WorkerUsage) -> Result<(), LoadError>,
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
                if let Err(reason) = judge(budget, (began.elapsed(), self.usage()), look) {
                    // The pipes close with it, which ends the thread.
                    let _ = self.0.kill();
                    return Err(reason);
                }
            }
        })
    }

    /// Processor time and memory so far; zero where the system does not say.
    fn usage(&self) -> WorkerUsage {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id()));
        stat.ok().as_deref().and_then(usage_of).unwrap_or_default()
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

/// Checks whether a job may go on.
///
/// # Errors
/// The reason why it may not.
fn judge(
    budget: &CompileBudget,
    (elapsed, usage): (Duration, WorkerUsage),
    look: &mut dyn FnMut(WorkerUsage) -> Result<(), LoadError>,
) -> Result<(), LoadError> {
    look(usage)?;
    if usage.cpu >= budget.cpu {
        return Err(time(budget));
    }
    if elapsed < budget.patience {
        return Ok(());
    }
    let message = format!(
        "Compilation has not ended within {} s, and had {} s of processor time until then. Try again when the machine has less to do.",
        budget.patience.as_secs(),
        usage.cpu.as_secs()
    );
    Err(LoadError::CompileDelayed { message })
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

/// Reads the error output of a process that has ended.
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

/// Time as user and in the kernel, and resident memory, of a line as `/proc/…/stat` has it.
fn usage_of(stat: &str) -> Option<WorkerUsage> {
    // Fields behind the name, which may have anything in it. User space counts in hundredths of a
    // second on all machines that we are built for.
    const USER_TIME: usize = 11;
    const SYSTEM_TIME: usize = 12;
    const RESIDENT_PAGES: usize = 21;
    const TICK_MS: u64 = 10;
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let ticks = number(USER_TIME)?.checked_add(number(SYSTEM_TIME)?)?;
    let page = rustix::param::page_size() as u64;
    Some(WorkerUsage {
        cpu: Duration::from_millis(ticks.saturating_mul(TICK_MS)),
        memory_bytes: number(RESIDENT_PAGES)?.saturating_mul(page),
    })
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
            let usage = WorkerUsage { cpu: Duration::from_secs(cpu), memory_bytes: 0 };
            let look = &mut |_| if is_wanted { Ok(()) } else { Err(LoadError::CompileGivenUp) };
            let judged = judge(&BUDGET, (Duration::from_secs(elapsed), usage), look);
            let reason = judged.err().map(|reason| reason.to_string());
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
    fn usage_is_read_behind_a_name_with_anything_in_it() {
        let stat = "12 (a) b) R 1 2 3 4 5 6 7 8 9 10 70 30 0 0 20 0 1 0 99 4096 5 18446744073709551615";
        let memory_bytes = 5 * rustix::param::page_size() as u64;
        assert_eq!(usage_of(stat), Some(WorkerUsage { cpu: Duration::from_secs(1), memory_bytes }));
        assert_eq!(usage_of("12 (a) R 1 2"), None);
        let own = usage_of(&std::fs::read_to_string("/proc/self/stat").unwrap()).unwrap();
        assert!(own.memory_bytes > 1 << 20, "{own:?}");
    }

    #[test]
    fn program_that_is_no_worker_or_is_missing_is_an_error() {
        let layout = crate::engine::MemoryLayout { kind: crate::PoolKind::Wide, memory_bytes_max: 1 << 20 };
        let (kind, tier) = (crate::BinaryKind::Component, crate::Tier::Optimised);
        let source = crate::ComponentSource::Upload;
        let job = CompileJob { binary: &[0; 100_000], kind, source, tier, layout };
        for program in ["/bin/true", "/bin/false", "/bin/echo", "/nowhere/lotmq"] {
            let error = compile_in_worker(Path::new(program), &job, &BUDGET, &mut |_| Ok(())).unwrap_err();
            assert_eq!(error.code(), "COMPILE_FAILED", "{program}: {error}");
        }
    }
}
