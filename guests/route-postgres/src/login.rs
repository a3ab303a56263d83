//! Login: optional TLS, the password in the form that the server wants, and the settings of the
//! session.

use fallible_iterator::FallibleIterator as _;
use lotmq_guest::route::Failure;
use postgres_protocol::authentication::{md5_hash, sasl};
use postgres_protocol::message::backend::{AuthenticationSaslBody, Message};
use postgres_protocol::message::frontend;
use route_sql::limits::CONNECT_MS;
use route_sql::{Dialect, Server};

use crate::fault::Fault;
use crate::wire::{Incoming, Wire, no_protocol};

/// The way to authenticate with a password that is not sent.
const SCRAM: &str = "SCRAM-SHA-256";

/// Connects and logs in.
pub(crate) fn connect(server: &Server, dialect: Dialect) -> Result<Wire, Failure> {
    let mut wire = Wire::connect(CONNECT_MS)?;
    if server.is_secure {
        begin_tls(&mut wire)?;
    }
    let user = server.user.as_deref().unwrap_or(if dialect == Dialect::Crate { "crate" } else { "postgres" });
    let mut parameters = vec![
        ("user", user),
        ("client_encoding", "UTF8"),
        ("DateStyle", "ISO"),
        ("application_name", "lotmq"),
    ];
    if let Some(database) = &server.database {
        parameters.push(("database", database));
    }
    frontend::startup_message(parameters, &mut wire.out).map_err(|_| no_text("USERNAME or DATABASE"))?;
    Login { wire: &mut wire, user, password: server.password.as_deref(), scram: None }.finish()?;
    Ok(wire)
}

/// Statements that a session begins with.
pub(crate) fn settings(server: &Server, dialect: Dialect) -> String {
    let mut statements = Vec::new();
    if dialect == Dialect::Postgres {
        statements.push(format!("SET statement_timeout = {}", server.timeout_s.saturating_mul(1_000)));
        statements.push("SET bytea_output = 'hex'".to_owned());
        statements.push("SET standard_conforming_strings = on".to_owned());
    }
    if let Some(schema) = &server.schema {
        let names = schema.split(',').map(|name| dialect.name(name.trim().trim_matches('"')));
        statements.push(format!("SET search_path TO {}", names.collect::<Vec<_>>().join(", ")));
    }
    statements.join("; ")
}

fn begin_tls(wire: &mut Wire) -> Result<(), Failure> {
    frontend::ssl_request(&mut wire.out);
    match wire.byte(CONNECT_MS.into())? {
        b'S' => wire.start_tls(CONNECT_MS),
        b'N' => Err(Failure::Fatal(
            "the server has no TLS, for which USE_SSL or the connection string asks".to_owned(),
        )),
        _ => Err(no_protocol()),
    }
}

struct Login<'a> {
    wire: &'a mut Wire,
    user: &'a str,
    password: Option<&'a str>,
    scram: Option<sasl::ScramSha256>,
}

impl<'a> Login<'a> {
    fn finish(mut self) -> Result<(), Failure> {
        loop {
            let Incoming::Message(message) = self.wire.next(CONNECT_MS.into())? else {
                return Err(no_protocol());
            };
            match message {
                Message::AuthenticationOk if self.scram.is_some() => return Err(unproven()),
                Message::AuthenticationOk | Message::BackendKeyData(_) => {}
                Message::AuthenticationCleartextPassword => {
                    let password = self.password()?;
                    self.send_password(password.as_bytes())?;
                }
                Message::AuthenticationMd5Password(body) => {
                    let hash = md5_hash(self.user.as_bytes(), self.password()?.as_bytes(), body.salt());
                    self.send_password(hash.as_bytes())?;
                }
                Message::AuthenticationSasl(body) => self.begin_scram(&body)?,
                Message::AuthenticationSaslContinue(body) => {
                    let scram = self.scram.as_mut().ok_or_else(no_protocol)?;
                    scram.update(body.data()).map_err(|_| no_protocol())?;
                    frontend::sasl_response(scram.message(), &mut self.wire.out)
                        .map_err(|_| no_protocol())?;
                }
                Message::AuthenticationSaslFinal(body) => {
                    let mut scram = self.scram.take().ok_or_else(no_protocol)?;
                    scram.finish(body.data()).map_err(|_| unproven())?;
                }
                Message::AuthenticationGss
                | Message::AuthenticationKerberosV5
                | Message::AuthenticationScmCredential
                | Message::AuthenticationSspi
                | Message::AuthenticationGssContinue(_) => {
                    let reason = "the server wants another way to authenticate than with a password";
                    return Err(Failure::Fatal(reason.to_owned()));
                }
                Message::ErrorResponse(body) => return Err(Fault::of(&body, true).failure),
                Message::ReadyForQuery(_) if self.scram.is_none() => return Ok(()),
                _ => return Err(no_protocol()),
            }
        }
    }

    fn password(&self) -> Result<&'a str, Failure> {
        let reason = "the server wants a password, and SQL_CONFIG has no PASSWORD";
        self.password.ok_or_else(|| Failure::Fatal(reason.to_owned()))
    }

    fn send_password(&mut self, password: &[u8]) -> Result<(), Failure> {
        frontend::password_message(password, &mut self.wire.out).map_err(|_| no_text("PASSWORD"))
    }

    fn begin_scram(&mut self, body: &AuthenticationSaslBody) -> Result<(), Failure> {
        let mut offered = body.mechanisms();
        let has_it = offered.any(|mechanism| Ok(mechanism == SCRAM)).map_err(|_| no_protocol())?;
        if !has_it {
            let reason = "the server wants another way to authenticate than SCRAM-SHA-256";
            return Err(Failure::Fatal(reason.to_owned()));
        }
        // The host has the certificate of the server, and nothing here could be bound to it.
        let scram = sasl::ScramSha256::new(self.password()?.as_bytes(), sasl::ChannelBinding::unsupported());
        frontend::sasl_initial_response(SCRAM, scram.message(), &mut self.wire.out)
            .map_err(|_| no_protocol())?;
        self.scram = Some(scram);
        Ok(())
    }
}

fn no_text(setting: &str) -> Failure {
    Failure::Fatal(format!("SQL_CONFIG: {setting} has the character NUL in it"))
}

fn unproven() -> Failure {
    Failure::Fatal("the server has not proved that it knows the password".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_begins_with_its_settings() {
        let server =
            Server { schema: Some("plant, \"A b\",x\"y".to_owned()), timeout_s: 7, ..Server::default() };
        assert_eq!(
            settings(&server, Dialect::Postgres),
            "SET statement_timeout = 7000; SET bytea_output = 'hex'; SET standard_conforming_strings = on; SET search_path TO \"plant\", \"A b\", \"x\"\"y\""
        );
        assert_eq!(settings(&Server::default(), Dialect::Crate), "");
    }
}
