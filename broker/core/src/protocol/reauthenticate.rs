//! Authentication anew on a live connection (§4.12.1), and the AUTH packets of either exchange.
//!
//! An exchange has as long as the first one. One at a time, with the method of CONNECT. A token is
//! checked on another thread, and the connection goes on meanwhile with the rights that it had.

use std::sync::Arc;

use lotmq_auth::{Exchange, ExchangeStep, Identity, LoginRefusal, MemberChallenge, Method};
use lotmq_codec::{Auth, PacketType, ReasonCode};
use lotmq_session::Time;

use super::accept::{changed, login_end};
use super::bearer::{check_again, check_begin};
use super::exchange::{auth, check_method, login_request};
use super::member_steps::again;
use crate::arena::Span;
use crate::client::rights::take_identity;
use crate::connection::Connection;
use crate::protocol::phase::{Again, Authentication, Open};
use crate::reason::close::CloseReason;
use crate::reason::violation::Violation;
use crate::tenant::Tenant;
use crate::turn::Turn;
use crate::turn::broker_hooks::{LoginDecision, LoginOutcome};

impl Authentication {
    /// Authentication that has identified the Client by this method.
    pub(super) fn by(method: Method) -> Self {
        Self { method, again: None }
    }

    /// The exchange that an AUTH belongs to.
    fn exchange(
        &mut self,
        auth: &Auth<'_>,
        (connection, tenant): (&Connection, &Tenant),
        now: Time,
    ) -> Result<&mut Exchange, Violation> {
        match (auth.reason, &self.again) {
            (ReasonCode::ReAuthenticate, None) => {
                let exchange =
                    tenant.users.begin_exchange(self.method.name()).ok_or(LoginRefusal::ExchangeFailed)?;
                let ends = now.plus(connection.listener.connect_timeout());
                self.again = Some(Again::Exchange { exchange, ends });
            }
            (ReasonCode::ContinueAuthentication, Some(Again::Exchange { ends, .. })) if now >= *ends => {
                return Err(LoginRefusal::ExchangeFailed.into());
            }
            (ReasonCode::ContinueAuthentication, Some(Again::Exchange { .. })) => {}
            // A second exchange at once, or a message of none; 0x00 is for the server to say.
            _ => return Err(Violation::AuthOutOfTurn),
        }
        match &mut self.again {
            Some(Again::Exchange { exchange, .. }) => Ok(exchange),
            Some(Again::Check(_) | Again::Steps { .. }) | None => Err(Violation::AuthOutOfTurn),
        }
    }

    /// Takes the outcome of the check of a message, once it is known.
    fn take_checked(&mut self) -> Option<LoginOutcome> {
        let Some(Again::Check(outcome)) = &self.again else { return None };
        let checked = outcome.lock().take()?;
        self.again = None;
        Some(checked)
    }
}

/// Handles AUTH of a live connection: a re-authentication (§4.12.1). A Client that passes keeps its
/// user; all else closes \[MQTT-4.12.1-2\].
pub(super) fn handle(
    connection: &Arc<Connection>,
    open: &mut Open,
    turn: &mut Turn,
    body: Span,
) -> Result<(), CloseReason> {
    let received = Auth::decode(turn.arena.get(body))?;
    // [MQTT-4.12.0-7]
    let authentication = open
        .rare
        .as_mut()
        .and_then(|rare| rare.authentication.as_mut())
        .ok_or(Violation::Unexpected(PacketType::Auth))?;
    let method = authentication.method.clone();
    check_method(&received, &method)?;
    if matches!(method, Method::OfMember(_)) {
        let under_way = authentication.again.take();
        let again = again(connection, open, turn, &received, method, under_way);
        return match again {
            Ok(again) => {
                open.set_again(again);
                Ok(())
            }
            Err(violation) => Err(failed(connection, open, turn, violation)),
        };
    }
    if method.is_bearer() {
        check_begin(&received, authentication.again.as_ref())?;
        return match check_again(connection, open, turn, method, &received) {
            Ok(again) => {
                open.set_again(again);
                Ok(())
            }
            Err(refusal) => Err(refused(connection, open, turn, refusal)),
        };
    }
    // Not the time of the turn, which is up to a tick old: a deadline would be missed by as much.
    let exchange =
        authentication.exchange(&received, (connection, &open.client.tenant), turn.core.clock.now())?;
    let before = open.client.identity();
    let login = login_request(connection, before.user_name(), &open.client.client_id);
    let users = &open.client.tenant.users;
    match users.step(exchange, received.properties.authentication_data(), &login) {
        Ok(ExchangeStep::Challenge(data)) => {
            let packet = auth(ReasonCode::ContinueAuthentication, &method, &data);
            turn.control(&open.client, connection, |out| out.extend_from_slice(&packet));
            Ok(())
        }
        Ok(ExchangeStep::Done { identity, data }) => {
            authentication.again = None;
            passed(connection, open, turn, identity, &data)
        }
        Err(refusal) => Err(refused(connection, open, turn, refusal)),
    }
}

/// Goes on with a re-authentication whose message was checked; nothing happens without one.
///
/// # Errors
/// The end of the connection, if the message was refused.
pub(crate) fn finish(
    connection: &Arc<Connection>,
    open: &mut Open,
    turn: &mut Turn,
) -> Result<(), CloseReason> {
    let authentication = open.rare.as_mut().and_then(|rare| rare.authentication.as_mut());
    let Some(LoginOutcome { decided, connack }) = authentication.and_then(Authentication::take_checked)
    else {
        return Ok(());
    };
    match decided {
        LoginDecision::Admitted(identity) => {
            let data = connack.and_then(|texts| texts.data).unwrap_or_default();
            passed(connection, open, turn, identity, &data)
        }
        LoginDecision::Refused(refusal) => Err(refused(connection, open, turn, refusal)),
        LoginDecision::Challenge(MemberChallenge { exchange, data }) => {
            let packet = auth(ReasonCode::ContinueAuthentication, &exchange.method(), &data);
            let recipient = open.client.recipient_on(connection);
            if recipient.is_none_or(|it| packet.len() > it.packet_bytes_max as usize) {
                return Err(refused(connection, open, turn, LoginRefusal::ExchangeFailed));
            }
            turn.control(&open.client, connection, |out| out.extend_from_slice(&packet));
            let ends = turn.core.clock.now().plus(connection.listener.connect_timeout());
            open.set_again(Again::Steps { exchange, ends });
            Ok(())
        }
    }
}

/// Lets a Client go on that has proved its user again, with the rights and the end of the new
/// login.
fn passed(
    connection: &Arc<Connection>,
    open: &mut Open,
    turn: &mut Turn,
    identity: Identity,
    data: &[u8],
) -> Result<(), CloseReason> {
    let identity = match changed(connection, identity, true, turn) {
        Ok(identity) => identity,
        Err(refusal) => return Err(refused(connection, open, turn, refusal)),
    };
    let before = open.client.identity();
    let users = &open.client.tenant.users;
    if !before.is_same_user(&identity) || !users.is_current(&identity) {
        return Err(refused(connection, open, turn, LoginRefusal::NameNotAllowed));
    }
    if !identity.principal.is_valid_at(turn.core.clock.wall_ms()) {
        return Err(refused(connection, open, turn, LoginRefusal::CredentialsExpired));
    }
    let identity = Identity { protocol_version: before.protocol_version, ..identity };
    {
        let mut state = open.client.state.lock();
        if state.is_on(connection) {
            take_identity(&open.client, &mut state, turn, identity);
        }
    }
    rights_changed(connection, open, turn);
    let method = open.rare.as_ref().and_then(|rare| rare.authentication.as_ref());
    if let Some(method) = method.map(|by| by.method.clone()) {
        let packet = auth(ReasonCode::Success, &method, data);
        turn.control(&open.client, connection, |out| out.extend_from_slice(&packet));
    }
    Ok(())
}

/// Reports a re-authentication that broke a rule or was refused; the reason to close the
/// connection.
fn failed(connection: &Connection, open: &Open, turn: &mut Turn, violation: Violation) -> CloseReason {
    if let Violation::NotAuthenticated(refusal) = violation {
        return refused(connection, open, turn, refusal);
    }
    violation.into()
}

/// Goes on with the rights of a new principal, and with the end of its login.
pub(crate) fn rights_changed(connection: &Arc<Connection>, open: &mut Open, turn: &mut Turn) {
    // A topic was allowed by the rights of before.
    open.allowed = None;
    let end = login_end(connection, &open.client, turn);
    if end.is_some() || open.rare.is_some() {
        open.rare.get_or_insert_default().login_ends = end;
    }
    if let Some(end) = end {
        turn.timers.watch(connection.place, end.at);
    }
}

/// Counts and reports a re-authentication that failed; the reason to close the connection.
fn refused(connection: &Connection, open: &Open, turn: &mut Turn, refusal: LoginRefusal) -> CloseReason {
    let (client_id, user) = (&*open.client.client_id, open.client.user_name());
    turn.core.figures.refused_logins.count("re-authentication failed");
    turn.context.tell(|hooks| {
        hooks.authentication_refused(&open.client.tenant, connection, client_id, user, &refusal);
    });
    Violation::from(refusal).into()
}
