//! Errors, and their classes of failure.
//!
//! A server error has a number and a severity. The numbers are from "Database Engine errors" in
//! Microsoft's reference; those of Azure SQL from its list of transient errors.

use lotmq_guest::route::Failure;

use crate::limits::VALUE_BYTES_MAX;

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    /// The server refused.
    Server { number: i32, severity: u8, message: String },
    /// The connection is gone, or the server does not answer.
    Lost(String),
    /// Received bytes violate the protocol.
    Broken(String),
    /// A received value exceeds the limit.
    Oversize,
    /// A statement took longer than it may, and was given up.
    TooSlow(u64),
    /// The message can never pass.
    Rejected(String),
    /// The definition does not fit this server.
    Fatal(String),
}

/// Temporary server errors: a deadlock, a lock, no room or memory, a database that is not ready or
/// read-only, a busy Azure.
const PASSING: [i32; 55] = [
    601, 617, 669, 671, 701, 802, 845, 921, 922, 923, 924, 926, 927, 942, 952, 978, 1101, 1105, 1204, 1205,
    1221, 1222, 1807, 3906, 3935, 3960, 3961, 3966, 8628, 8645, 8651, 8902, 9002, 9020, 10922, 10928, 10929,
    10930, 10936, 14355, 18401, 20041, 33115, 39110, 40501, 40544, 41301, 41302, 41305, 41325, 41823, 41839,
    41840, 49918, 49919,
];

/// The server ends, has ended the session, or is another one by now.
const AWAY: [i32; 22] = [
    596, 976, 983, 4221, 6005, 18056, 40143, 40166, 40197, 40540, 40549, 40550, 40551, 40552, 40553, 40613,
    40671, 40903, 42108, 42109, 45168, 49920,
];

/// Login errors that only an operator can correct: wrong user, password or client address.
const LOGIN: [i32; 18] = [
    17892, 18452, 18456, 18461, 18462, 18463, 18464, 18465, 18466, 18467, 18468, 18470, 18471, 18486, 18487,
    18488, 40531, 40532,
];

/// Errors of outdated table definitions: unknown column, no such table.
const STALE: [i32; 2] = [207, 208];

/// Errors of a statement with any values: missing database, table, column, function or right, and
/// syntax.
const OF_STATEMENT: [i32; 15] =
    [102, 105, 156, 195, 207, 208, 229, 230, 262, 297, 911, 916, 2812, 4121, 4902];

/// A text that is no time.
const NO_TIME: [i32; 4] = [241, 242, 295, 8114];

/// A table, and a column, that is there already.
const THERE_ALREADY: [i32; 2] = [2714, 2705];

impl Fault {
    fn number(&self) -> i32 {
        match self {
            Fault::Server { number, .. } => *number,
            Fault::Lost(_)
            | Fault::Broken(_)
            | Fault::Oversize
            | Fault::TooSlow(_)
            | Fault::Rejected(_)
            | Fault::Fatal(_) => 0,
        }
    }

    /// Whether it may come of what is remembered of tables.
    pub(crate) fn is_stale(&self) -> bool {
        STALE.contains(&self.number())
    }

    /// Whether a text may be a time with a zone where none is taken.
    pub(crate) fn is_of_a_time(&self) -> bool {
        NO_TIME.contains(&self.number())
    }

    pub(crate) fn is_there_already(&self) -> bool {
        THERE_ALREADY.contains(&self.number())
    }

    /// Returns whether the connection is unusable.
    pub(crate) fn is_of_the_connection(&self) -> bool {
        matches!(self, Fault::Lost(_) | Fault::Broken(_) | Fault::Oversize)
            || matches!(self, Fault::Server { severity: 20.., .. })
    }

    /// Whether it is a message that is refused, and the connection goes on.
    pub(crate) fn is_refusal(&self) -> bool {
        !self.is_of_the_connection() && matches!(self.clone().of_statement(false), Failure::Reject(_))
    }

    /// Its class where it came of a login.
    pub(crate) fn of_login(self) -> Failure {
        let text = self.text();
        match self {
            Fault::Server { number, .. } if LOGIN.contains(&number) => Failure::Fatal(text),
            Fault::Rejected(_) | Fault::Fatal(_) => Failure::Fatal(text),
            Fault::Server { .. }
            | Fault::Lost(_)
            | Fault::Broken(_)
            | Fault::Oversize
            | Fault::TooSlow(_) => Failure::Reconnect(text),
        }
    }

    /// Returns the class of an error of a statement. An error that holds for every message rejects
    /// none: they wait as for a server that is away. If messages are part of the statement
    /// (`is_raw`), one of them may be the cause.
    pub(crate) fn of_statement(self, is_raw: bool) -> Failure {
        let text = self.text();
        match self {
            Fault::Server { number, .. } if !is_raw && OF_STATEMENT.contains(&number) => {
                Failure::Reconnect(format!("{text}: so it is for every message; they wait"))
            }
            Fault::Lost(_) | Fault::Broken(_) => Failure::Reconnect(text),
            Fault::Oversize | Fault::Rejected(_) => Failure::Reject(text),
            Fault::TooSlow(_) => Failure::Retry(text),
            Fault::Fatal(_) => Failure::Fatal(text),
            Fault::Server { number, .. } if PASSING.contains(&number) => Failure::Retry(text),
            Fault::Server { number, .. } if AWAY.contains(&number) => Failure::Reconnect(text),
            Fault::Server { severity: 20.., .. } => Failure::Reconnect(text),
            // Of the server and what it has, and not of the statement.
            Fault::Server { severity: 17..=19, .. } => Failure::Retry(text),
            Fault::Server { .. } => Failure::Reject(text),
        }
    }

    fn text(&self) -> String {
        match self {
            Fault::Server { number, message, .. } => format!("{number}: {message}"),
            Fault::Lost(reason) | Fault::Rejected(reason) | Fault::Fatal(reason) => reason.clone(),
            Fault::Oversize => format!("a value of the answer has more than {VALUE_BYTES_MAX} bytes"),
            Fault::TooSlow(seconds) => {
                format!("the statement took longer than {seconds} s (QUERY_TIMEOUT) and was given up")
            }
            Fault::Broken(reason) => format!("what the server says is not of its protocol: {reason}"),
        }
    }
}

/// Returns the fault for bytes that violate the protocol.
pub(crate) fn broken(reason: impl std::fmt::Display) -> Fault {
    Fault::Broken(reason.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(failure: &Failure) -> &'static str {
        match failure {
            Failure::Retry(_) => "retry",
            Failure::Reconnect(_) => "reconnect",
            Failure::Reject(_) => "reject",
            Failure::Fatal(_) => "fatal",
        }
    }

    #[test]
    fn errors_have_the_class_that_their_number_means() {
        for (number, severity, of_statement, of_login) in [
            (2627, 14, "reject", "reconnect"),
            (2601, 14, "reject", "reconnect"),
            (245, 16, "reject", "reconnect"),
            (8114, 16, "reject", "reconnect"),
            (8115, 16, "reject", "reconnect"),
            (8152, 16, "reject", "reconnect"),
            (2628, 16, "reject", "reconnect"),
            (547, 16, "reject", "reconnect"),
            (515, 16, "reject", "reconnect"),
            (102, 15, "reconnect", "reconnect"),
            (208, 16, "reconnect", "reconnect"),
            (229, 14, "reconnect", "reconnect"),
            (50000, 16, "reject", "reconnect"),
            (1205, 13, "retry", "reconnect"),
            (1222, 16, "retry", "reconnect"),
            (3960, 16, "retry", "reconnect"),
            (9002, 17, "retry", "reconnect"),
            (3906, 16, "retry", "reconnect"),
            (49918, 16, "retry", "reconnect"),
            (8623, 17, "retry", "reconnect"),
            (40613, 17, "reconnect", "reconnect"),
            (6005, 14, "reconnect", "reconnect"),
            (596, 21, "reconnect", "reconnect"),
            (823, 24, "reconnect", "reconnect"),
            (18456, 14, "reject", "fatal"),
            (18488, 14, "reject", "fatal"),
            (40615, 14, "reject", "reconnect"),
            (4060, 11, "reject", "reconnect"),
            (18401, 14, "retry", "reconnect"),
        ] {
            let fault = Fault::Server { number, severity, message: "m".to_owned() };
            let classes = (class(&fault.clone().of_statement(false)), class(&fault.of_login()));
            assert_eq!(classes, (of_statement, of_login), "{number}");
        }
        let missing = Fault::Server { number: 208, severity: 16, message: "m".to_owned() };
        assert_eq!(class(&missing.of_statement(true)), "reject", "a message may name the table");
    }
}
