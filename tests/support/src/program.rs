//! Other people's programs: started, fed, waited for.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::{Lines, WAIT_MAX};

/// Set by `scripts/test`, which has installed everything: then a missing program is a failure
/// instead of a skipped test.
const REQUIRE_ALL: &str = "LOTMQ_TEST_REQUIRE_ALL";

/// A running program; it is killed when this is dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    name: String,
    /// Lines that it writes to standard output.
    pub stdout: Lines,
    /// Lines that it writes to standard error.
    pub stderr: Lines,
}

/// A program that has ended.
#[derive(Debug)]
pub struct Finished {
    /// Its exit status.
    pub status: ExitStatus,
    /// Text that it wrote to standard output.
    pub stdout: String,
    /// Text that it wrote to standard error.
    pub stderr: String,
}

impl Program {
    /// Starts a program with these arguments; `None`, with a note, when it is not installed.
    ///
    /// # Panics
    /// When it is not installed although everything should be ([`REQUIRE_ALL`] is set).
    pub fn start(name: impl AsRef<Path>, arguments: &[&str]) -> Option<Self> {
        Self::start_with_input(name, arguments, "")
    }

    /// The same with this text on standard input.
    ///
    /// # Panics
    /// As [`Program::start`].
    pub fn start_with_input(name: impl AsRef<Path>, arguments: &[&str], input: &str) -> Option<Self> {
        let (program, mut stdin) = Self::start_with_open_input(name, arguments)?;
        // A program that ends without reading everything is judged by its exit status.
        let _ = stdin.write_all(input.as_bytes());
        Some(program)
    }

    /// The same with a standard input that stays open until what is given beside it is dropped.
    ///
    /// # Panics
    /// As [`Program::start`].
    pub fn start_with_open_input(name: impl AsRef<Path>, arguments: &[&str]) -> Option<(Self, ChildStdin)> {
        let name = name.as_ref();
        let mut command = Command::new(name);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => return missing(&format!("{}: {error}", name.display())),
        };
        let stdin = child.stdin.take().unwrap();
        let stdout = Lines::collect(child.stdout.take().unwrap());
        let stderr = Lines::collect(child.stderr.take().unwrap());
        Some((Self { child, name: name.display().to_string(), stdout, stderr }, stdin))
    }

    /// Runs a program to its end.
    ///
    /// # Panics
    /// As [`Program::start`] and [`Program::wait`].
    pub fn run(name: impl AsRef<Path>, arguments: &[&str]) -> Option<Finished> {
        Self::start(name, arguments).map(Self::wait)
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// When it does not end within [`WAIT_MAX`].
    pub fn wait(mut self) -> Finished {
        let deadline = Instant::now() + WAIT_MAX;
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if Instant::now() > deadline => panic!(
                    "{} does not end; it said:\n{}\n{}",
                    self.name,
                    self.stdout.text(),
                    self.stderr.text()
                ),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        // Both streams end with the process.
        self.stdout.wait_for_end();
        self.stderr.wait_for_end();
        Finished { status, stdout: self.stdout.text(), stderr: self.stderr.text() }
    }

    /// Number of its process.
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Stops it for the time being, so that its connections stay open and nobody answers.
    pub fn freeze(&self) -> Frozen {
        let process = self.process_id().to_string();
        Program::run("kill", &["-STOP", &process]).unwrap();
        Frozen(process)
    }

    /// Kills it as `kill -9` does, and waits for its end.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A program that stands still until this is dropped.
pub struct Frozen(String);

impl Drop for Frozen {
    fn drop(&mut self) {
        Program::run("kill", &["-CONT", &self.0]).unwrap();
    }
}

impl Finished {
    /// Standard output of a program that succeeded.
    ///
    /// # Panics
    /// When it failed, with what it said.
    pub fn output(&self) -> &str {
        assert!(self.status.success(), "{}:\n{}\n{}", self.status, self.stdout, self.stderr);
        &self.stdout
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A Python that has paho-mqtt: `$LOTMQ_TEST_PYTHON`, or `python3`; `None`, with a note, without
/// one.
///
/// # Panics
/// When there is none although everything should be installed.
pub fn python_with_paho() -> Option<PathBuf> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = PYTHON.get_or_init(|| python_with("paho.mqtt.client"));
    found.clone().or_else(|| missing("python3 with paho-mqtt"))
}

/// The same that has `websockets`, an implementation of WebSocket with compression.
///
/// # Panics
/// As [`python_with_paho`].
pub fn python_with_websockets() -> Option<PathBuf> {
    python_with("websockets.extensions.permessage_deflate").or_else(|| missing("python3 with websockets"))
}

/// The same that has a module of this name, as those with which servers of other protocols are
/// made.
///
/// # Panics
/// As [`python_with_paho`].
pub fn python_with_module(module: &str) -> Option<PathBuf> {
    python_with(module).or_else(|| missing(&format!("python3 with {module}")))
}

fn python_with(module: &str) -> Option<PathBuf> {
    let candidates = [std::env::var_os("LOTMQ_TEST_PYTHON"), Some("python3".into())];
    // Only finds it: an import may take a second of processor time.
    let find = "import importlib.util, sys; sys.exit(not all(map(importlib.util.find_spec, sys.argv[1].split(', '))))";
    let has_module = |python: &PathBuf| {
        Command::new(python)
            .args(["-c", find, module])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    candidates.into_iter().flatten().map(PathBuf::from).find(has_module)
}

/// Shared library of the distribution, by its path below the directory of libraries; `None`, with a
/// note, when it is not installed.
///
/// # Panics
/// As [`Program::start`].
pub fn library(name: &str) -> Option<PathBuf> {
    let of_machine = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let places = [of_machine.as_str(), "/usr/lib64", "/usr/lib"];
    let found = places.iter().map(|place| Path::new(place).join(name)).find(|path| path.exists());
    found.or_else(|| missing(name))
}

fn missing<T>(what: &str) -> Option<T> {
    assert!(std::env::var_os(REQUIRE_ALL).is_none(), "not installed: {what}");
    eprintln!("skipped, not installed: {what}");
    None
}
