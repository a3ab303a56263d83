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

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The code for an error that ends the program.
pub(crate) fn of_error(error: &anyhow::Error) -> Exit {
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Encode(_) | ClientError::TooLarge { .. }) => Exit::Usage,
        Some(_) => Exit::NoBroker,
        None => Exit::Failure,
    }
}
