//! Standard output and standard error, with failures of the former as errors instead of panics.
//!
//! All texts of all tools go through here and are [escaped], since any of them may quote a broker,
//! a backup, a file name or a certificate.
//! Only [`bytes`] writes what it gets, for payloads and for files that another program reads.

use std::io::{self, IsTerminal as _, Write as _};

use crate::paint::escaped_but_colours;
use crate::text::escaped;

/// Clears the screen and puts the cursor into its corner, ECMA-48 §8.3.21 and §8.3.39.
const CLEAR: &[u8] = b"\x1b[H\x1b[2J";

/// Standard output takes no more.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output: {0}")]
pub struct StdoutError(#[from] io::Error);

/// Writes a line to standard output and flushes it, so that a pipe sees it at once.
///
/// # Errors
/// When standard output takes no more.
pub fn line(text: &str) -> Result<(), StdoutError> {
    bytes(format!("{}\n", escaped(text)).as_bytes())
}

/// Writes a line with colours of [`Paint`](crate::Paint). Quoted text can at most choose one of
/// these colours, unless the caller has made it [`printable`](crate::text::printable).
///
/// # Errors
/// Standard output takes no more.
pub fn painted_line(text: &str) -> Result<(), StdoutError> {
    bytes(format!("{}\n", escaped_but_colours(text)).as_bytes())
}

/// Clears the screen where standard output is a terminal.
///
/// # Errors
/// When standard output takes no more.
pub fn clear_screen() -> Result<(), StdoutError> {
    if io::stdout().is_terminal() { bytes(CLEAR) } else { Ok(()) }
}

/// The same for a command that is to be carried out, and whose exit code is to say whether it was,
/// when nobody reads what it says about it.
///
/// # Errors
/// When standard output takes no more, but not because its reader has gone.
pub fn tell(text: &str) -> Result<(), StdoutError> {
    unless_reader_has_gone(line(text))
}

/// Does the same with colours, as [`painted_line`].
///
/// # Errors
/// As [`tell`].
pub fn painted_tell(text: &str) -> Result<(), StdoutError> {
    unless_reader_has_gone(painted_line(text))
}

fn unless_reader_has_gone(written: Result<(), StdoutError>) -> Result<(), StdoutError> {
    written.or_else(|error| if error.0.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) })
}

/// Writes bytes to standard output as they are, and flushes them: for payloads and files that
/// another program reads.
///
/// # Errors
/// When standard output takes no more.
pub fn bytes(bytes: &[u8]) -> Result<(), StdoutError> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    Ok(stdout.flush()?)
}

/// Writes a line to standard error. There is nobody to tell when that fails.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", escaped(text));
}

/// Writes a question to standard error, without an end of the line.
pub fn ask(text: &str) {
    let _ = write!(io::stderr().lock(), "{}", escaped(text));
}

/// Writes a line over the one before, where standard error is a terminal. `is_last` ends it.
pub fn progress(text: &str, is_last: bool) {
    let mut stderr = io::stderr().lock();
    if stderr.is_terminal() {
        let _ = write!(stderr, "\r{}{}", escaped(text), if is_last { "\n" } else { "" });
    }
}

/// Writes an error.
pub fn error(text: &str) {
    note(&format!("error: {text}"));
}

/// The error and what caused it, in one line; a cause that the text before it names already is left
/// out.
pub fn chain(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |line, cause| match line.as_str() {
        "" => cause,
        line if line.contains(&cause) => line.to_owned(),
        line => format!("{line}: {cause}"),
    })
}

/// Whether standard output was closed by its reader.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<StdoutError>().is_some_and(|error| error.0.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn only_our_own_reader_may_have_seen_enough() {
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_broken_pipe(&StdoutError(broken()).into()));
        assert!(!is_broken_pipe(&broken().into()), "a socket that the broker closed");
        assert!(!is_broken_pipe(&StdoutError(io::Error::from(io::ErrorKind::StorageFull)).into()));
    }

    #[test]
    fn error_causes_are_printed_once() {
        let cause = || io::Error::other("disk on fire");
        let error = Err::<(), _>(cause()).context("cannot read x").unwrap_err();
        assert_eq!(chain(&error), "cannot read x: disk on fire");
        let error = Err::<(), _>(cause()).context("cannot read x: disk on fire").unwrap_err();
        assert_eq!(chain(&error), "cannot read x: disk on fire");
    }
}
