//! CONNECT: who connects, and how that is found out.
//!
//! A password that is not remembered is checked elsewhere (`login`); the connection reads nothing
//! meanwhile.

use std::sync::Arc;

use lotmq_auth::{
    Certificate, ChainLogin, ConnectPacket, Exchange, LoginRefusal, LoginRequest, LoginStep, Method,
};
use lotmq_codec::{Connect, FixedHeader, PacketType, ReasonCode, encode_connect_refusal};

use super::accept::accept;
use super::banned::check_request;
use super::exchange::whole_packet;
use super::login::{check_later, check_source};
use super::member_steps::challenge;
use super::request::{ConnectRefusal, read};
use crate::arena::Span;
use crate::client::request::Request;
use crate::connection::Connection;
use crate::connection::peer::Certified;
use crate::connection::refusal::refuse;
use crate::protocol::phase::{Authenticating, Login, Phase};
use crate::reason::close::CloseReason;
use crate::reason::recipient::Recipient;
use crate::reason::violation::Violation;
use crate::tenant::Tenant;
use crate::turn::Turn;
use crate::turn::broker_hooks::{LoginDecision, LoginOutcome};

/// Handles the first packet of a connection.
pub fn begin(
    tenant: &Arc<Tenant>,
    connection: &Arc<Connection>,
    turn: &mut Turn,
    header: FixedHeader,
    packet: Span,
) -> Result<Phase, CloseReason> {
    if header.packet_type() != PacketType::Connect {
        // Closed without an answer [MQTT-3.1.0-1].
        return Err(Violation::Unexpected(header.packet_type()).into());
    }
    let body = packet.slice(usize::from(header.header_len), header.remaining_len as usize);
    let body = turn.arena.get(body);
    let connect = match Connect::decode(body) {
        Ok(connect) => connect,
        Err(error) => {
            let mut answer = Vec::new();
            if encode_connect_refusal(&mut answer, body, error) {
                connection.transport.write_directly(&answer);
            }
            connection.listener.refused(&connection.peer(), (CloseReason::Refused.word(), &error));
            return Err(CloseReason::Refused);
        }
    };
    // Rejects a header that the version, known only now, does not allow [MQTT-1.5.5-1].
    if let Err(error) = header.check_from_client(connect.version) {
        return Err(refuse(connection, Recipient::of(&connect), ReasonCode::MalformedPacket, &error));
    }
    let mut request = match read(tenant, connection, turn, &connect) {
        Ok(request) => request,
        Err(refusal) => {
            if let ConnectRefusal::Limit(limit) = refusal {
                connection.listener.limit_reached(limit, &connection.peer());
            }
            let reason = refusal.reason_code(connect.version);
            return Err(refuse(connection, Recipient::of(&connect), reason, &refusal));
        }
    };
    let admitted = check_request(connection, &request, turn);
    if let Err(refusal) = admitted.and_then(|()| check_source(connection, &connect, turn)) {
        return accept(connection, request, Err(refusal), turn);
    }
    if connection.transport.certificate_ends_ms().is_some_and(|end| end <= turn.core.clock.wall_ms()) {
        return accept(connection, request, Err(LoginRefusal::CertificateExpired), turn);
    }
    let certified = connection.transport.certified();
    if let Some(name) = connect.properties.authentication_method() {
        let data = connect.properties.authentication_data();
        match begin_method(connection, &request, name, data, certified.as_ref()) {
            Ok(Begun::Exchange(exchange)) => {
                let data = data.map(<[u8]>::to_vec);
                return Authenticating::new(request, exchange).step(connection, turn, data.as_deref());
            }
            Ok(Begun::OneMessage(method)) => request.login.authenticated = Some((method, Vec::new())),
            Err((reason, words)) => return Err(refuse(connection, request.recipient, reason, &words)),
        }
    }
    let packet = connection.listener.login_chain.needs_packet().then(|| whole_packet(connection, body));
    match login_step(connection, &request, &connect, packet, certified.as_ref(), turn.wall_ms()) {
        LoginStep::Admitted(identity) => accept(connection, request, Ok(identity), turn),
        LoginStep::Refused(refusal) => accept(connection, request, Err(refusal), turn),
        // A chain asks on a login thread alone.
        LoginStep::Ask(_) => accept(connection, request, Err(LoginRefusal::CheckFailed), turn),
        LoginStep::Verify(pending) => Ok(Phase::LoggingIn(check_later(connection, request, pending, turn))),
    }
}

/// Beginning of an authentication by the method that CONNECT names.
enum Begun {
    /// Messages of the method go to and fro.
    Exchange(Exchange),
    /// The chain decides about the data of CONNECT, which are a token or the first message of a
    /// method of a member.
    OneMessage(Method),
}

/// Looks for the part of the broker that knows the method, and returns the refusal if none does.
fn begin_method(
    connection: &Connection,
    request: &Request,
    name: &str,
    data: Option<&[u8]>,
    certified: Option<&Certified>,
) -> Result<Begun, (ReasonCode, &'static str)> {
    if certified.is_some() {
        let words = "the client certificate says who the client is, no other method is taken";
        return Err((ReasonCode::BadAuthenticationMethod, words));
    }
    let chain = &connection.listener.login_chain;
    let is_bearer = |method: &Method| method.is_bearer() && chain.takes(method);
    if let Some(method) = Method::by_name(name).filter(is_bearer) {
        if data.is_none() {
            let words = "authentication method JWT needs the token in Authentication Data of CONNECT";
            return Err((ReasonCode::NotAuthorized, words));
        }
        return Ok(Begun::OneMessage(method));
    }
    let exchange = request.tenant.users.begin_exchange(name).filter(|_| chain.has_built_in());
    let of_member = || Some(Method::OfMember(name.into())).filter(|method| chain.takes(method));
    let unknown =
        (ReasonCode::BadAuthenticationMethod, "authentication method is not known or not turned on");
    exchange.map(Begun::Exchange).or_else(|| of_member().map(Begun::OneMessage)).ok_or(unknown)
}

/// First step of a login, as the chain of the listener decides.
fn login_step(
    connection: &Connection,
    request: &Request,
    connect: &Connect<'_>,
    packet: Option<Arc<ConnectPacket>>,
    certified: Option<&Certified>,
    wall_ms: u64,
) -> LoginStep {
    let method = request.login.authenticated.as_ref().map(|(method, _)| method.clone());
    let token = connect.properties.authentication_data().filter(|_| method.is_some());
    let login = LoginRequest {
        user_name: connect.user_name,
        password: if method.is_some() { token } else { connect.password },
        client_id: Arc::clone(&request.client_id),
        peer: connection.peer().for_login(),
        anonymous: connection.listener.anonymous,
        now_ms: connection.listener.core.clock.now().as_millis(),
    };
    let certificate = certified.map(|certified| match certified {
        Certified::User(name) => Certificate::Of(name),
        Certified::Nobody => Certificate::OfNobody,
    });
    let login = ChainLogin {
        request: login,
        method,
        exchange: None,
        certificate,
        tenant: &request.tenant.name,
        is_default_tenant: request.tenant.number == 0,
        listener: connection.listener.name,
        wall_ms,
        packet,
    };
    connection.listener.login_chain.begin(&request.tenant.users, login)
}

/// Goes on with a login whose password was checked.
pub fn finish(connection: &Arc<Connection>, login: Login, turn: &mut Turn) -> Result<Phase, CloseReason> {
    let LoginOutcome { decided, mut connack } = login.take_outcome();
    let mut request = *login.request;
    let decided = match decided {
        LoginDecision::Challenge(message) => return challenge(connection, Box::new(request), message),
        LoginDecision::Admitted(identity) => Ok(identity),
        LoginDecision::Refused(refusal) => Err(refusal),
    };
    let data = connack.as_mut().and_then(|texts| texts.data.take());
    if let (Some((_, of_method)), Some(data)) = (&mut request.login.authenticated, data) {
        *of_method = data;
    }
    request.login.texts = connack.or(request.login.texts);
    accept(connection, request, decided, turn)
}
