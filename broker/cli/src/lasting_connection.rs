//! A connection that is made again when it is lost, with pauses that double.
//!
//! Invariant: whoever comes back is who it was, in the version that it spoke. Not here: what is
//! done with the connection, subscribing and publishing again included.

use std::time::{Duration, Instant};

use lotmq_client::{Client, ClientError, ReasonCode};
use lotmq_connect::{ConnectArgs, SessionArgs};
use lotmq_terminal::output;

use crate::interruption::Interruption;

/// Longest time without a look whether a signal has come.
pub(crate) const LOOK: Duration = Duration::from_millis(200);

/// Pause before the first attempt to connect again.
const PAUSE_MIN: Duration = Duration::from_millis(500);

/// Longest pause; a connection that lasted as long counts as a good one, so that the next pause is
/// the shortest again.
const PAUSE_MAX: Duration = Duration::from_secs(8);

/// Why a broker refuses a connection that it may accept later.
const REFUSED_FOR_NOW: [ReasonCode; 4] = [
    ReasonCode::ServerUnavailable,
    ReasonCode::ServerBusy,
    ReasonCode::QuotaExceeded,
    ReasonCode::ConnectionRateExceeded,
];

/// Why a broker ends a connection that it may accept again. Not among them: that another client has
/// taken the session over, which would be taken from it in turn.
const ENDED_FOR_NOW: [ReasonCode; 10] = [
    ReasonCode::Success,
    ReasonCode::UnspecifiedError,
    ReasonCode::ServerBusy,
    ReasonCode::ServerShuttingDown,
    ReasonCode::KeepAliveTimeout,
    ReasonCode::MessageRateTooHigh,
    ReasonCode::QuotaExceeded,
    ReasonCode::AdministrativeAction,
    ReasonCode::ConnectionRateExceeded,
    ReasonCode::MaximumConnectTime,
];

/// A connection and what makes it again.
pub(crate) struct LastingConnection<'a> {
    /// The connection.
    pub(crate) client: Client,
    connect: ConnectArgs,
    session: &'a SessionArgs,
    /// Whether nothing is said on standard error.
    is_quiet: bool,
    pause: Duration,
    since: Instant,
}

impl<'a> LastingConnection<'a> {
    /// Connects for the first time, for which there is one attempt.
    ///
    /// # Errors
    /// As [`ConnectArgs::connect`].
    pub(crate) fn open(
        mut connect: ConnectArgs,
        session: &'a SessionArgs,
        is_quiet: bool,
    ) -> anyhow::Result<Self> {
        let client = connect.connect(session)?;
        connect.login.stay(&client);
        Ok(Self { client, connect, session, is_quiet, pause: PAUSE_MIN, since: Instant::now() })
    }

    /// Connects again after `error`, until the deadline or a signal; whether that came about
    /// before.
    ///
    /// # Errors
    /// `error` itself, or a later one, when it is none that another attempt may overcome.
    pub(crate) fn reopen(
        &mut self,
        error: anyhow::Error,
        deadline: Option<Instant>,
        interruption: &Interruption,
    ) -> anyhow::Result<bool> {
        let mut error = overcome(error)?;
        self.say(&format!("{}; connecting again", output::chain(&error)));
        if self.since.elapsed() >= PAUSE_MAX {
            self.pause = PAUSE_MIN;
        }
        loop {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            let is_last = left.is_some_and(|left| left <= self.pause);
            let pause = if is_last { left.unwrap_or_default() } else { self.pause };
            if !sleep(pause, interruption) || is_last {
                return Ok(false);
            }
            self.pause = PAUSE_MAX.min(self.pause * 2);
            match self.connect.connect(self.session) {
                Ok(client) => {
                    self.client = client;
                    self.since = Instant::now();
                    self.say("connected again");
                    return Ok(true);
                }
                Err(next) => {
                    error = overcome(next)?;
                    self.connect.login.debug(&output::chain(&error));
                }
            }
        }
    }

    fn say(&self, text: &str) {
        if !self.is_quiet {
            output::note(text);
        }
    }
}

/// Waits; false when a signal came meanwhile.
fn sleep(pause: Duration, interruption: &Interruption) -> bool {
    let end = Instant::now() + pause;
    while !interruption.has_come() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(LOOK));
    }
    false
}

/// The error again if another attempt may overcome it.
fn overcome(error: anyhow::Error) -> anyhow::Result<anyhow::Error> {
    match error.downcast_ref::<ClientError>() {
        Some(told) if may_pass(told) => Ok(error),
        Some(_) | None => Err(error),
    }
}

/// Whether this is a state of the broker or of the way to it, and no answer to what we are or did.
fn may_pass(error: &ClientError) -> bool {
    if let ClientError::Refused { reason, .. } = error {
        return REFUSED_FOR_NOW.contains(reason);
    }
    if let ClientError::Disconnected { reason, .. } = error {
        return ENDED_FOR_NOW.contains(reason);
    }
    matches!(
        error,
        ClientError::Unreachable { .. }
            | ClientError::Closed
            | ClientError::Timeout { .. }
            | ClientError::Io(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permanent_errors_end_the_reconnect_loop() {
        let refused = |reason| ClientError::Refused { reason, text: String::new() };
        let ended = |reason| ClientError::Disconnected { reason, text: String::new() };
        for (error, expected) in [
            (ClientError::Closed, true),
            (ClientError::Timeout { wanted: "CONNACK", after: Duration::from_secs(1) }, true),
            (ended(ReasonCode::ServerShuttingDown), true),
            (ended(ReasonCode::SessionTakenOver), false),
            (ended(ReasonCode::ProtocolError), false),
            (refused(ReasonCode::ServerBusy), true),
            (refused(ReasonCode::BadUserNameOrPassword), false),
            (ClientError::InboxFull { limit: 1, unit: "messages" }, false),
        ] {
            assert_eq!(may_pass(&error), expected, "{error}");
        }
    }
}
