//! Errors of a server, and their classes of failure by SQLSTATE.

use fallible_iterator::FallibleIterator as _;
use lotmq_guest::route::Failure;
use postgres_protocol::message::backend::ErrorResponseBody;

use crate::limits::ERROR_CHARACTERS_MAX;

/// Error, with the code that the server reported.
#[derive(Debug)]
pub(crate) struct Fault {
    /// SQLSTATE; empty where there is none.
    pub(crate) code: String,
    /// The message of the server, in its language.
    pub(crate) message: String,
    pub(crate) failure: Failure,
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Fault {
        Fault { code: String::new(), message: String::new(), failure }
    }
}

/// Error of an insert that would change a row twice, as an upsert of two messages for the same row.
pub(crate) const SAME_ROW_TWICE: &str = "21000";

/// Errors of a statement with any values: missing schema, table, column, function, type or right,
/// and syntax.
const OF_STATEMENT: [&str; 11] =
    ["42P01", "42703", "42501", "3F000", "42883", "42704", "42601", "42P02", "42P18", "42702", "42809"];

impl Fault {
    /// Classifies an error of the server. `is_login`: the session has just begun.
    pub(crate) fn of(body: &ErrorResponseBody, is_login: bool) -> Fault {
        let (mut code, mut message, mut detail) = (String::new(), String::new(), String::new());
        let mut fields = body.fields();
        while let Ok(Some(field)) = fields.next() {
            let value = String::from_utf8_lossy(field.value_bytes()).into_owned();
            match field.type_() {
                b'C' => code = value,
                b'M' => message = value,
                b'D' => detail = value,
                _ => {}
            }
        }
        let behind = if detail.is_empty() { String::new() } else { format!(": {detail}") };
        let told: String = format!("{message}{behind}").chars().take(ERROR_CHARACTERS_MAX).collect();
        let told = format!("{told} (SQLSTATE {code})");
        let failure = if is_login { login(&code, told) } else { class(&code, told) };
        Fault { code, message, failure }
    }

    /// Returns the class of an error of a statement. An error that holds for every message rejects
    /// none: they wait as for a server that is away. If messages are part of the statement
    /// (`is_raw`), one of them may be the cause.
    pub(crate) fn of_statement(self, is_raw: bool) -> Failure {
        match self.failure {
            Failure::Reject(reason) if !is_raw && OF_STATEMENT.contains(&self.code.as_str()) => {
                Failure::Reconnect(format!("{reason}: so it is for every message; they wait"))
            }
            failure => failure,
        }
    }

    /// Returns whether to prepare a statement again: a column has another type, or a proxy has
    /// switched to another server connection. Unsupported features share the code of the former,
    /// and are rejected again.
    pub(crate) fn is_stale(&self) -> bool {
        matches!(self.code.as_str(), "26000" | "0A000")
    }

    /// Returns whether a rejected message may pass with the current column types. A statement keeps
    /// its parameter types from when it was prepared.
    pub(crate) fn may_come_of_types(&self) -> bool {
        matches!(self.failure, Failure::Reject(_)) && self.code != SAME_ROW_TWICE
    }
}

/// The class of what goes wrong before a route has begun.
fn login(code: &str, told: String) -> Failure {
    match (code, code.get(..2).unwrap_or_default()) {
        // Operators change `pg_hba.conf` and the list of databases at the server, without this
        // route in mind. A retry locks nobody out.
        ("28000", _) | (_, "3D") => Failure::Reconnect(told),
        // Login and its method: only an operator can change that here.
        (_, "28" | "42" | "22") => Failure::Fatal(told),
        _ => Failure::Reconnect(told),
    }
}

/// The class of what goes wrong with a statement.
fn class(code: &str, told: String) -> Failure {
    match (code, code.get(..2).unwrap_or_default()) {
        // The server ends, or has cut this session.
        ("57P01" | "57P02" | "57P03" | "57P04" | "57P05", _) => Failure::Reconnect(told),
        // Connection errors, a standby that accepts no writes, and conflicts of a session's state.
        (_, "08" | "25" | "28" | "3D" | "26") => Failure::Reconnect(told),
        // Exhausted resources, conflicts with others, objects in use, cancellations, and internal
        // errors of the system or of foreign servers.
        (_, "53" | "40" | "55" | "57" | "58" | "HV" | "XX" | "F0") => Failure::Retry(told),
        // A peer that sends no code is no PostgreSQL server.
        (_, "") => Failure::Reconnect(told),
        _ => Failure::Reject(told),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_classes() {
        let name = |failure| match failure {
            Failure::Retry(_) => "retry",
            Failure::Reconnect(_) => "reconnect",
            Failure::Reject(_) => "reject",
            Failure::Fatal(_) => "fatal",
        };
        for (code, in_login, in_session) in [
            ("28P01", "fatal", "reconnect"),
            ("28000", "reconnect", "reconnect"),
            ("3D000", "reconnect", "reconnect"),
            ("53300", "reconnect", "retry"),
            ("57P03", "reconnect", "reconnect"),
            ("57P01", "reconnect", "reconnect"),
            ("57014", "reconnect", "retry"),
            ("08006", "reconnect", "reconnect"),
            ("25006", "reconnect", "reconnect"),
            ("40001", "reconnect", "retry"),
            ("40P01", "reconnect", "retry"),
            ("53100", "reconnect", "retry"),
            ("55P03", "reconnect", "retry"),
            ("22P02", "fatal", "reject"),
            ("23505", "reconnect", "reject"),
            ("42P01", "fatal", "reject"),
            ("P0001", "reconnect", "reject"),
            ("0A000", "reconnect", "reject"),
            ("", "reconnect", "reconnect"),
        ] {
            assert_eq!(name(login(code, String::new())), in_login, "{code}");
            assert_eq!(name(class(code, String::new())), in_session, "{code}");
        }
    }

    #[test]
    fn what_is_wrong_with_the_statement_rejects_no_message() {
        for (code, bound, raw) in [
            ("42P01", true, false),
            ("42703", true, false),
            ("42501", true, false),
            ("3F000", true, false),
            ("42804", false, false),
            ("22P02", false, false),
            ("23505", false, false),
        ] {
            let fault = || Fault {
                code: code.to_owned(),
                message: String::new(),
                failure: class(code, String::new()),
            };
            for (is_raw, waits) in [(false, bound), (true, raw)] {
                let failure = fault().of_statement(is_raw);
                assert_eq!(matches!(failure, Failure::Reconnect(_)), waits, "{code} {is_raw}");
            }
        }
    }
}
