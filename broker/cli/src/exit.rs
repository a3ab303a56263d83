//! Exit codes, the same for every subcommand.

use std::process::ExitCode;

use lotmq_client::ClientError;

/// How a subcommand ended. `--help` of each says what the codes mean there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
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

/// What is wrong with a command line, where only we can tell and not clap.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Misuse(pub(crate) String);

/// Words for [`Misuse`].
pub(crate) trait OrMisuse<T> {
    /// The error becomes one of usage; `what` is said before it.
    ///
    /// # Errors
    /// The one that there was.
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

/// The code for an error that ends the program.
pub(crate) fn of_error(error: &anyhow::Error) -> Exit {
    if error.is::<Misuse>() {
        return Exit::Usage;
    }
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Encode(_) | ClientError::TooLarge { .. }) => Exit::Usage,
        Some(_) => Exit::NoBroker,
        None => Exit::Failure,
    }
}
