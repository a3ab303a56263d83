//! Classes of failure of errors.
//!
//! A server error has a number and an SQLSTATE. The numbers are from MySQL's reference of error
//! messages. Numbers above 1900 that are marked as MariaDB's are from MariaDB's reference.

use lotmq_guest::route::Failure;
use mysql_session::Fault;
use route_sql::UnknownName;

/// Temporary server errors: a lock, a full disk, a read-only server.
const PASSING: [u16; 36] = [
    1015, 1020, 1021, 1023, 1026, 1030, 1037, 1038, 1041, 1099, 1114, 1180, 1192, 1194, 1195, 1196, 1197,
    1203, 1205, 1206, 1213, 1223, 1226, 1290, 1297, 1317, 1412, 1614, 1637, 1792, 1836, 3024, 3100, 3101,
    3572, // MariaDB: longer than max_statement_time.
    1969,
];

/// The server ends, or has ended the connection.
const AWAY: [u16; 7] = [1053, 1077, 1078, 1079, 1927, 3169, 4031];

/// Login errors that only an operator can correct here: wrong user or credentials. Operators change
/// the allowed addresses and databases at the server, without this route in mind.
const LOGIN: [u16; 12] = [1045, 1251, 1275, 1403, 1524, 1698, 1820, 1862, 3032, 3118, 3159, 4151];

/// Errors of outdated statements or table definitions: unknown column, no such table, statements to
/// prepare again.
const STALE: [u16; 5] = [BAD_FIELD, NO_SUCH_TABLE, 1243, 1461, 1615];

/// A column that is not there.
const BAD_FIELD: u16 = 1054;

/// A table that is not there.
const NO_SUCH_TABLE: u16 = 1146;

/// Errors of a statement with any values: missing database, table, column, function or right, and
/// syntax.
const OF_STATEMENT: [u16; 14] =
    [1044, 1046, 1049, 1051, 1054, 1064, 1109, 1142, 1143, 1146, 1227, 1305, 1370, 1356];

/// A packet that is larger than the server takes.
const PACKET_TOO_LARGE: u16 = 1153;

/// A text that is no time, or no number.
const INCORRECT_VALUE: u16 = 1292;

/// A column that is there already.
const DUPLICATE_COLUMN: u16 = 1060;

/// Meaning of an error for a route.
pub(crate) trait FaultClass: Sized {
    /// Whether it may come of what is remembered of statements and tables.
    fn is_stale(&self) -> bool;

    /// Returns the name that the server does not know, if that is the error.
    fn unknown_name(&self) -> Option<UnknownName>;

    /// Whether a value was not what its column takes, as a time with a zone.
    fn is_of_a_value(&self) -> bool;

    fn is_duplicate_column(&self) -> bool;

    /// Whether it is a message that is refused, and the connection goes on.
    fn is_refusal(&self) -> bool;

    /// Its class where it came of a login.
    fn of_login(self) -> Failure;

    /// Returns the class of an error of a statement. An error that holds for every message rejects
    /// none: they wait as for a server that is away. If messages are part of the statement
    /// (`is_raw`), one of them may be the cause.
    fn of_statement(self, is_raw: bool) -> Failure;
}

impl FaultClass for Fault {
    fn is_stale(&self) -> bool {
        STALE.contains(&self.code())
    }

    fn unknown_name(&self) -> Option<UnknownName> {
        match self.code() {
            BAD_FIELD => Some(UnknownName::Column(self.text())),
            NO_SUCH_TABLE => Some(UnknownName::Table(self.text())),
            _ => None,
        }
    }

    fn is_of_a_value(&self) -> bool {
        self.code() == INCORRECT_VALUE
    }

    fn is_duplicate_column(&self) -> bool {
        self.code() == DUPLICATE_COLUMN
    }

    fn is_refusal(&self) -> bool {
        !self.is_of_the_connection() && matches!(self.clone().of_statement(false), Failure::Reject(_))
    }

    fn of_login(self) -> Failure {
        let is_for_people = LOGIN.contains(&self.code())
            || matches!(&self, Fault::Server { state, .. } if state.starts_with("28"));
        let text = self.text();
        match self {
            Fault::Server { .. } if is_for_people => Failure::Fatal(text),
            Fault::Rejected(_) => Failure::Fatal(text),
            Fault::Server { .. } | Fault::Lost(_) | Fault::Broken(_) | Fault::Oversize => {
                Failure::Reconnect(text)
            }
        }
    }

    fn of_statement(self, is_raw: bool) -> Failure {
        let text = self.text();
        match &self {
            Fault::Server { code, .. } if !is_raw && OF_STATEMENT.contains(code) => {
                Failure::Reconnect(format!("{text}: so it is for every message; they wait"))
            }
            Fault::Lost(_) | Fault::Broken(_) => Failure::Reconnect(text),
            Fault::Oversize | Fault::Rejected(_) => Failure::Reject(text),
            Fault::Server { code, .. } if *code == PACKET_TOO_LARGE => Failure::Reject(text),
            Fault::Server { code, .. } if AWAY.contains(code) => Failure::Reconnect(text),
            Fault::Server { code, .. } if PASSING.contains(code) => Failure::Retry(text),
            Fault::Server { state, .. } => match state.get(..2) {
                Some("08") => Failure::Reconnect(text),
                // Rolled back; interrupted.
                Some("40" | "70") => Failure::Retry(text),
                _ => Failure::Reject(text),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(code: u16, state: &str) -> Fault {
        Fault::Server { code, state: state.to_owned(), message: "m".to_owned() }
    }

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
        for (code, state, of_statement, of_login) in [
            (1062, "23000", "reject", "reconnect"),
            (1366, "22007", "reject", "reconnect"),
            (1406, "22001", "reject", "reconnect"),
            (1048, "23000", "reject", "reconnect"),
            (1452, "23000", "reject", "reconnect"),
            (4025, "23000", "reject", "reconnect"),
            (3819, "HY000", "reject", "reconnect"),
            (1364, "HY000", "reject", "reconnect"),
            (1064, "42000", "reconnect", "reconnect"),
            (1146, "42S02", "reconnect", "reconnect"),
            (1142, "42000", "reconnect", "reconnect"),
            (1153, "08S01", "reject", "reconnect"),
            (1205, "HY000", "retry", "reconnect"),
            (1213, "40001", "retry", "reconnect"),
            (1969, "70100", "retry", "reconnect"),
            (1317, "70100", "retry", "reconnect"),
            (1290, "HY000", "retry", "reconnect"),
            (1114, "HY000", "retry", "reconnect"),
            (1053, "08S01", "reconnect", "reconnect"),
            (1047, "08S01", "reconnect", "reconnect"),
            (1927, "70100", "reconnect", "reconnect"),
            (4031, "HY000", "reconnect", "reconnect"),
            (1045, "28000", "reject", "fatal"),
            (1044, "42000", "reconnect", "reconnect"),
            (1049, "42000", "reconnect", "reconnect"),
            (1130, "", "reject", "reconnect"),
            (1040, "08004", "reconnect", "reconnect"),
        ] {
            let fault = server(code, state);
            let classes = (class(&fault.clone().of_statement(false)), class(&fault.of_login()));
            assert_eq!(classes, (of_statement, of_login), "{code}");
        }
        assert_eq!(
            class(&server(1146, "42S02").of_statement(true)),
            "reject",
            "a message may name the table"
        );
    }
}
