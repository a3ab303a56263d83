//! Standard output and standard error, with failures of the former as errors instead of panics.

use std::io::{self, Write as _};

/// Standard output takes no more.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output: {0}")]
pub struct StdoutError(#[from] io::Error);

/// Writes a line to standard output and flushes it, so that a pipe sees it at once.
///
/// # Errors
/// When standard output takes no more.
pub fn line(text: &str) -> Result<(), StdoutError> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.write_all(b"\n")?;
    Ok(stdout.flush()?)
}

/// The same for a command that is to be carried out, and whose exit code is to say whether it was, when nobody reads what it says about it.
///
/// # Errors
/// When standard output takes no more, but not because its reader has gone.
pub fn tell(text: &str) -> Result<(), StdoutError> {
    line(text).or_else(|error| if error.0.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) })
}

/// Writes bytes to standard output and flushes them.
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
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes an error.
pub fn error(text: &str) {
    note(&format!("error: {text}"));
}

/// The error and what caused it, in one line; a cause that the text before it names already is left out.
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
    fn causes_are_told_once() {
        let cause = || io::Error::other("disk on fire");
        let error = Err::<(), _>(cause()).context("cannot read x").unwrap_err();
        assert_eq!(chain(&error), "cannot read x: disk on fire");
        let error = Err::<(), _>(cause()).context("cannot read x: disk on fire").unwrap_err();
        assert_eq!(chain(&error), "cannot read x: disk on fire");
    }
}
