//! Authentication by a method of a member of the login chain, such as a guest: each message of the
//! Client goes to the member, which answers later with a challenge or a decision.
//!
//! A message takes the way of a password to the thread of logins. Nothing is read before CONNACK
//! meanwhile; a live connection goes on with the rights that it has. Not here: exchanges of the
//! user store (`authenticate`) and tokens (`bearer`).

use std::sync::Arc;

use lotmq_auth::{
    ChainLogin, ConnectPacket, LoginRefusal, LoginRequest, LoginStep, MemberChallenge, MemberExchange, Method,
};
use lotmq_codec::{
    Auth, Connect, Properties, PropertyBuf, PropertyId, PropertyValue, ProtocolVersion, ReasonCode,
    encode_connect, fixed_header,
};

use super::accept::accept;
use super::exchange::{login_request, send_challenge, whole_packet};
use super::login::check_later;
use crate::client::request::Request;
use crate::connection::Connection;
use crate::protocol::phase::{Again, Authenticating, Exchanging, Open, Phase};
use crate::reason::close::CloseReason;
use crate::reason::violation::Violation;
use crate::tenant::Tenant;
use crate::turn::Turn;
use crate::turn::broker_hooks::Outcome;

/// Sends the message of a member, and waits for the answer of the Client.
pub(super) fn challenge(
    connection: &Connection,
    request: Box<Request>,
    challenge: MemberChallenge,
) -> Result<Phase, CloseReason> {
    let MemberChallenge { exchange, data } = challenge;
    send_challenge(connection, &request, &exchange.method(), &data)?;
    let exchange = Exchanging::Member(exchange);
    let overhead = request.login.overhead;
    Ok(Phase::Authenticating(Box::new(Authenticating { request, exchange, overhead })))
}

/// Asks the member about the next message of the Client.
pub(super) fn member_step(
    connection: &Arc<Connection>,
    request: Request,
    exchange: MemberExchange,
    data: Option<&[u8]>,
    turn: &mut Turn,
) -> Result<Phase, CloseReason> {
    let login = LoginRequest {
        password: data,
        ..login_request(connection, request.user_name.as_deref(), &request.client_id)
    };
    match begin_step(connection, &request.tenant, login, exchange) {
        LoginStep::Verify(pending) => Ok(Phase::LoggingIn(check_later(connection, request, pending, turn))),
        LoginStep::Refused(refusal) => accept(connection, request, Err(refusal), turn),
        // A chain decides on a login thread alone.
        LoginStep::Admitted(_) | LoginStep::Ask(_) => {
            accept(connection, request, Err(LoginRefusal::CheckFailed), turn)
        }
    }
}

/// First step of a login whose data go on with an exchange of a member.
fn begin_step(
    connection: &Connection,
    tenant: &Tenant,
    request: LoginRequest<'_>,
    exchange: MemberExchange,
) -> LoginStep {
    let (method, packet) = (exchange.method(), Arc::clone(exchange.packet()));
    let login =
        ChainLogin { exchange: Some(exchange), ..chain_login(connection, tenant, request, method, packet) };
    connection.listener.login_chain.begin(&tenant.users, login)
}

fn chain_login<'a>(
    connection: &'a Connection,
    tenant: &'a Tenant,
    request: LoginRequest<'a>,
    method: Method,
    packet: Arc<ConnectPacket>,
) -> ChainLogin<'a> {
    ChainLogin {
        request,
        method: Some(method),
        exchange: None,
        certificate: None,
        tenant: &tenant.name,
        is_default_tenant: tenant.number == 0,
        listener: connection.listener.name,
        wall_ms: connection.listener.core.clock.wall_ms(),
        packet: Some(packet),
    }
}

/// Begins an authentication anew on a live connection, or goes on with it. `under_way` is what the
/// connection had before.
///
/// # Errors
/// The violation, if the AUTH does not fit to what is under way, or the refusal.
pub(super) fn again(
    connection: &Arc<Connection>,
    open: &Open,
    turn: &Turn,
    auth: &Auth<'_>,
    method: Method,
    under_way: Option<Again>,
) -> Result<Again, Violation> {
    let (client, data) = (&open.client, auth.properties.authentication_data());
    let identity = client.identity();
    let login =
        LoginRequest { password: data, ..login_request(connection, identity.user_name(), &client.client_id) };
    let step = match (auth.reason, under_way) {
        (ReasonCode::ReAuthenticate, None) => {
            let packet = whole_packet(connection, &connect_of(open, identity.user_name(), &method));
            let login = chain_login(connection, &client.tenant, login, method, packet);
            connection.listener.login_chain.begin(&client.tenant.users, login)
        }
        (ReasonCode::ContinueAuthentication, Some(Again::Steps { exchange, ends })) => {
            // Not the time of the turn, which is up to a tick old.
            if turn.core.clock.now() >= ends {
                return Err(LoginRefusal::ExchangeFailed.into());
            }
            begin_step(connection, &client.tenant, login, exchange)
        }
        _ => return Err(Violation::AuthOutOfTurn),
    };
    let outcome = Outcome::default();
    match step {
        LoginStep::Verify(pending) => {
            let outcome = Arc::clone(&outcome);
            turn.context.tell(|hooks| hooks.check_password(&client.tenant, connection, pending, outcome));
        }
        LoginStep::Refused(refusal) => return Err(refusal.into()),
        // A chain decides on a login thread alone.
        LoginStep::Admitted(_) | LoginStep::Ask(_) => return Err(LoginRefusal::CheckFailed.into()),
    }
    Ok(Again::Check(outcome))
}

/// Body of a CONNECT with the facts of a live connection, as its member gets it again. Password,
/// Will and properties of the first one are not kept.
fn connect_of(open: &Open, user_name: Option<&str>, method: &Method) -> Vec<u8> {
    let state = open.client.state.lock();
    let mut properties = PropertyBuf::new();
    let method = PropertyValue::Utf8(method.name());
    // The name came in a CONNECT, so it fits.
    let is_named = properties.push(PropertyId::AuthenticationMethod, method).is_ok();
    let connect = Connect {
        version: ProtocolVersion::V5,
        clean_start: state.clean_start,
        keep_alive: state.keep_alive_seconds,
        properties: if is_named { properties.properties() } else { Properties::EMPTY },
        client_id: &open.client.client_id,
        will: None,
        user_name,
        password: None,
    };
    let mut packet = Vec::new();
    if encode_connect(&mut packet, &connect).is_err() {
        return Vec::new();
    }
    let header = fixed_header(&packet, u32::MAX).ok().flatten();
    packet.split_off(header.map_or(packet.len(), |header| usize::from(header.header_len)))
}
