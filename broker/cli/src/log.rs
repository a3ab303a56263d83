//! Log lines of `serve` and `demo`: to standard error, chosen by `LOTMQ_LOG`, and to the broker's
//! own topics, as far as somebody reads those.
//!
//! Lines about Clients that come, go or are refused may be as many as these are. They wait for
//! [`DELAY`] and leave together, with one system call instead of one each on the threads that serve
//! Clients. Every other line leaves at once, after those that wait, so their order is kept.

#[cfg(test)]
mod collected;
mod json;
mod line;

use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;
use std::thread::Thread;
use std::time::Duration;

use lotmq_config::LogFormat;
use lotmq_server::log_topics;
use lotmq_terminal::output::note;
use parking_lot::Mutex;
use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

/// How long a line about a Client may wait.
const DELAY: Duration = Duration::from_millis(20);

/// Bytes that may wait; who adds the line that exceeds it writes them. Five hundred lines share a
/// system call then, and the memory stays.
const WAITING_BYTES_MAX: usize = 64 << 10;

/// Writes out what still waits when it is dropped, at the end of the program.
#[must_use = "lines that wait are lost without it"]
pub(crate) struct Log(Arc<Lines>);

/// Starts logging. `default` holds when `LOTMQ_LOG` is not set or not understood, as in `info` or
/// `warn,lotmq_server=debug`.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn start(default: &str, format: LogFormat) -> io::Result<Log> {
    let wanted = std::env::var("LOTMQ_LOG").ok().filter(|text| !text.is_empty());
    let filter = wanted
        .as_deref()
        .map(EnvFilter::try_new)
        .and_then(|parsed| parsed.inspect_err(|error| note(&format!("LOTMQ_LOG is ignored: {error}"))).ok());
    let lines = Arc::new(Lines::default());
    let writer = {
        let lines = Arc::clone(&lines);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || lines.write_for_ever())?
    };
    let to_standard_error = tracing_subscriber::fmt::layer()
        .with_writer(StandardError { lines: Arc::clone(&lines), writer: writer.thread().clone() });
    let to_standard_error = match format {
        LogFormat::Text => to_standard_error
            .with_ansi(io::stderr().is_terminal())
            .fmt_fields(line::CutFields)
            .event_format(line::LineFormat::default())
            .boxed(),
        LogFormat::Json => to_standard_error.with_ansi(false).event_format(json::JsonFormat).boxed(),
    };
    let to_standard_error = to_standard_error.with_filter(filter.unwrap_or_else(|| EnvFilter::new(default)));
    let started = tracing_subscriber::registry().with(to_standard_error).with(log_topics()).try_init();
    debug_assert!(started.is_ok(), "logging is started once");
    Ok(Log(lines))
}

/// Whether a line is about a Client that came, went or was refused.
fn is_of_client(metadata: &Metadata<'_>) -> bool {
    metadata.target() == "client"
}

impl Drop for Log {
    fn drop(&mut self) {
        write_out(&mut self.0.waiting.lock());
    }
}

/// The lines that wait. The lock is held while they are written, so that nothing overtakes them.
#[derive(Default)]
struct Lines {
    waiting: Mutex<Vec<u8>>,
}

impl Lines {
    fn write_for_ever(&self) {
        loop {
            std::thread::park();
            std::thread::sleep(DELAY);
            write_out(&mut self.waiting.lock());
        }
    }
}

/// There is nobody to tell when standard error takes nothing.
fn write_out(waiting: &mut Vec<u8>) {
    let _ = io::stderr().write_all(waiting);
    waiting.clear();
}

struct StandardError {
    lines: Arc<Lines>,
    writer: Thread,
}

/// Takes one line.
struct LineWriter<'a> {
    to: &'a StandardError,
    may_wait: bool,
}

impl<'a> MakeWriter<'a> for StandardError {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter { to: self, may_wait: false }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> LineWriter<'a> {
        LineWriter { to: self, may_wait: is_of_client(metadata) }
    }
}

impl Write for LineWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let lines = &self.to.lines;
        let mut waiting = lines.waiting.lock();
        let is_first = waiting.is_empty();
        waiting.extend_from_slice(line);
        if !self.may_wait || waiting.len() > WAITING_BYTES_MAX {
            write_out(&mut waiting);
        } else if is_first {
            self.to.writer.unpark();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
