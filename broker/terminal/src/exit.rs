//! Exit codes, the same for every subcommand.

use std::process::ExitCode;

/// How a subcommand ended. `--help` of each says what the codes mean there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Success = 0,
    /// It was tried and failed, or the answer is no.
    Failure = 1,
    /// The command line makes no sense; clap uses the same code.
    Usage = 2,
    /// The broker could not be reached, refused the connection or did not answer.
    NoBroker = 3,
    /// The time given with `-W` is over; the code of `mosquitto_sub`.
    TimeOver = 27,
}

/// Misuse of the command line that clap cannot detect.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Misuse(pub String);

/// Conversion of an error into [`Misuse`].
pub trait OrMisuse<T> {
    /// Turns the error into one of usage, with `what` before its text.
    ///
    /// # Errors
    /// The error of `self`, with `what` before its text.
    fn or_misuse(self, what: &str) -> Result<T, Misuse>;
}

impl<T, E: std::fmt::Display> OrMisuse<T> for Result<T, E> {
    fn or_misuse(self, what: &str) -> Result<T, Misuse> {
        self.map_err(|error| Misuse(format!("{what}: {error}")))
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
