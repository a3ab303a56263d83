//! Connection of a route to its server.

use lotmq_guest::route::{Connection, Failure, IoError, failure, net};
use mysql_session::{Fault, Login, Session};
use route_sql::Server;
use route_sql::limits::CONNECT_MS;

use crate::fault::FaultClass as _;
use crate::limits::GRACE_S;

/// Connects and logs in.
pub(crate) fn connect(server: &Server) -> Result<Session<Connection>, Failure> {
    let tcp = net::Tcp::connect("sql", CONNECT_MS).map_err(|error| failure(&error))?;
    let patience_ms = server.timeout_s.saturating_add(GRACE_S).saturating_mul(1000);
    let connection = Connection::accepted(tcp, u32::try_from(patience_ms).unwrap_or(u32::MAX));
    let who = Login {
        user: server.user.as_deref().unwrap_or_default(),
        password: server.password.as_deref().unwrap_or_default(),
        database: server.database.as_deref(),
        is_secure: server.is_secure,
    };
    // A denial of the host is no network error.
    let mut denied = None;
    let opened = Session::open(connection, &who, server.timeout_s, |connection| {
        connection.start_tls().map_err(|error| {
            let fault = Fault::Lost(lotmq_guest::route::described(&error));
            if matches!(error, IoError::Denied(_)) {
                denied = Some(failure(&error));
            }
            fault
        })
    });
    match denied {
        Some(denied) => Err(denied),
        None => opened.map_err(Fault::of_login),
    }
}
