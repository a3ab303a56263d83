//! Extended authentication: AUTH between CONNECT and CONNACK, and again while the connection lives (§4.12).
//!
//! What is said in it and who comes out of it is decided by `auth`; here is how it travels. The first exchange must end within the time for CONNECT and
//! counts as half open until then; a later one has as long. One exchange at a time, one method per connection.

use std::sync::Arc;

use lotmq_auth::{Exchange, ExchangeStep, Identity, LoginRefusal, LoginRequest, Method};
use lotmq_codec::{
    Auth, Disconnect, EncodeError, FixedHeader, PacketType, PropertyBuf, PropertyId, PropertyValue,
    ProtocolVersion, ReasonCode, encode_auth,
};
use lotmq_session::Time;

use super::Open;
use super::connect::{Request, accept, refuse};
use crate::connection::Connection;
use crate::connection::close::CloseReason;
use crate::protocol::Phase;
use crate::protocol::violation::Violation;
use crate::turn::Turn;
use crate::turn::arena::Span;

/// Exchange of AUTH packets for a CONNECT that named a method, until it has identified the Client.
pub struct Authenticating {
    request: Box<Request>,
    exchange: Exchange,
}

impl Authenticating {
    pub(super) fn new(request: Request, exchange: Exchange) -> Box<Self> {
        Box::new(Self { request: Box::new(request), exchange })
    }

    /// Handles a packet that is not CONNECT: only AUTH and DISCONNECT may come before CONNACK \[MQTT-3.1.2-30\].
    pub fn go_on(
        self: Box<Self>,
        connection: &Arc<Connection>,
        turn: &mut Turn,
        header: FixedHeader,
        packet: Span,
    ) -> Result<Phase, CloseReason> {
        let body = packet.slice(usize::from(header.header_len), header.remaining_len as usize);
        match self.data(header, turn.arena.get(body)) {
            Ok(data) => self.step(connection, turn, data.as_deref()),
            Err(Stop::Violation(violation)) => {
                Err(refuse(connection, self.request.recipient, violation.reason_code(), &violation))
            }
            Err(Stop::Disconnected(reason)) => Err(CloseReason::Disconnected(reason)),
        }
    }

    /// Decodes the Client's next step in the exchange.
    fn data(&self, header: FixedHeader, body: &[u8]) -> Result<Option<Vec<u8>>, Stop> {
        let packet_type = header.check_from_client(ProtocolVersion::V5).map_err(Violation::from)?;
        if packet_type == PacketType::Disconnect {
            let disconnect = Disconnect::decode(body, ProtocolVersion::V5).map_err(Violation::from)?;
            return Err(Stop::Disconnected(disconnect.reason));
        }
        if packet_type != PacketType::Auth {
            return Err(Violation::Unexpected(packet_type).into());
        }
        let auth = Auth::decode(body).map_err(Violation::from)?;
        check_method(&auth, self.exchange.method())?;
        // [MQTT-4.12.0-3]
        if auth.reason != ReasonCode::ContinueAuthentication {
            return Err(Violation::AuthOutOfTurn.into());
        }
        Ok(auth.properties.authentication_data().map(<[u8]>::to_vec))
    }

    /// Takes the exchange one step on; accepts or refuses the CONNECT when it has ended.
    pub(super) fn step(
        mut self: Box<Self>,
        connection: &Arc<Connection>,
        turn: &mut Turn,
        data: Option<&[u8]>,
    ) -> Result<Phase, CloseReason> {
        let Self { request, exchange, .. } = &mut *self;
        let tenant = &connection.listener.tenant;
        let login = login_request(connection, request.user_name.as_deref(), &request.client_id);
        match tenant.users.step(exchange, data, &login) {
            Ok(ExchangeStep::Challenge(data)) => {
                let packet = auth(ReasonCode::ContinueAuthentication, exchange.method(), &data);
                if packet.len() > request.recipient.packet_bytes_max as usize {
                    let words = "the next message of the authentication is above the maximum packet size";
                    return Err(refuse(connection, request.recipient, ReasonCode::PacketTooLarge, &words));
                }
                connection.transport.write_directly(&packet);
                Ok(Phase::Authenticating(self))
            }
            Ok(ExchangeStep::Done { identity, data }) => {
                request.authenticated = Some((exchange.method(), data));
                accept(connection, *self.request, Ok(identity), turn)
            }
            Err(refusal) => {
                request.user_name = request.user_name.take().or(exchange.claimed_user().map(Box::from));
                accept(connection, *self.request, Err(refusal), turn)
            }
        }
    }
}

/// Reason why an exchange before CONNACK is cut off.
enum Stop {
    Violation(Violation),
    /// The Client has given up.
    Disconnected(ReasonCode),
}

impl From<Violation> for Stop {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

/// Authentication of the Client of a live connection, with a re-authentication that may be under way.
pub(crate) struct Authentication {
    method: Method,
    again: Option<Again>,
}

/// A re-authentication under way.
struct Again {
    exchange: Exchange,
    ends: Time,
}

impl Authentication {
    pub(super) fn by(method: Method) -> Self {
        Self { method, again: None }
    }

    /// The exchange that an AUTH belongs to.
    fn exchange(
        &mut self,
        auth: &Auth<'_>,
        connection: &Connection,
        now: Time,
    ) -> Result<&mut Exchange, Violation> {
        check_method(auth, self.method)?;
        match (auth.reason, &self.again) {
            (ReasonCode::ReAuthenticate, None) => {
                let users = &connection.listener.tenant.users;
                let exchange =
                    users.begin_exchange(self.method.name()).ok_or(LoginRefusal::ExchangeFailed)?;
                let ends = now.plus(connection.listener.connect_timeout());
                Ok(&mut self.again.insert(Again { exchange, ends }).exchange)
            }
            (ReasonCode::ContinueAuthentication, Some(again)) if now >= again.ends => {
                Err(LoginRefusal::ExchangeFailed.into())
            }
            (ReasonCode::ContinueAuthentication, Some(_)) => {
                Ok(&mut self.again.as_mut().expect("it was just looked at").exchange)
            }
            // A second exchange at once, or a message of none; 0x00 is for the server to say.
            _ => Err(Violation::AuthOutOfTurn),
        }
    }
}

/// Handles AUTH of a live connection: a re-authentication (§4.12.1). A Client that passes keeps its user; all else closes \[MQTT-4.12.1-2\].
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
    // Not the time of the turn, which is up to a tick old: a deadline would be missed by as much.
    let exchange = authentication.exchange(&received, connection, turn.core.clock.now())?;
    let method = exchange.method();
    let before = open.client.identity();
    let login = login_request(connection, before.user.as_deref(), &open.client.client_id);
    let users = &connection.listener.tenant.users;
    let packet = match users.step(exchange, received.properties.authentication_data(), &login) {
        Ok(ExchangeStep::Challenge(data)) => auth(ReasonCode::ContinueAuthentication, method, &data),
        Ok(ExchangeStep::Done { identity, data }) => {
            authentication.again = None;
            let protocol_version = before.protocol_version;
            open.client.reauthenticated(connection, Identity { protocol_version, ..identity });
            auth(ReasonCode::Success, method, &data)
        }
        Err(refusal) => {
            let (client_id, user) = (&*open.client.client_id, before.user.as_deref());
            turn.core.tell(|above| above.authentication_refused(connection, client_id, user, &refusal));
            return Err(Violation::from(refusal).into());
        }
    };
    turn.control(&open.client, connection, |out| out.extend_from_slice(&packet));
    Ok(())
}

/// Checks that an AUTH has the method of CONNECT \[MQTT-4.12.1-1\].
fn check_method(auth: &Auth<'_>, method: Method) -> Result<(), Violation> {
    let is_same = auth.properties.authentication_method() == Some(method.name());
    if is_same { Ok(()) } else { Err(Violation::MethodChanged) }
}

/// Encodes an AUTH of the server, with the method of CONNECT \[MQTT-4.12.0-5\].
fn auth(reason: ReasonCode, method: Method, data: &[u8]) -> Vec<u8> {
    let encode = |out: &mut Vec<u8>| -> Result<(), EncodeError> {
        let mut list = PropertyBuf::new();
        list.push(PropertyId::AuthenticationMethod, PropertyValue::Utf8(method.name()))?;
        if !data.is_empty() {
            list.push(PropertyId::AuthenticationData, PropertyValue::Binary(data))?;
        }
        encode_auth(out, ProtocolVersion::V5, &Auth { reason, properties: list.properties() })
    };
    let mut packet = Vec::new();
    encode(&mut packet)
        .expect("messages of an exchange are bounded by `auth`, and the reason is one of AUTH");
    packet
}

fn login_request<'a>(
    connection: &Connection,
    user_name: Option<&'a str>,
    client_id: &Arc<str>,
) -> LoginRequest<'a> {
    LoginRequest {
        user_name,
        password: None,
        client_id: Arc::clone(client_id),
        peer: connection.peer().for_login(),
        anonymous: connection.listener.anonymous,
        now_ms: connection.listener.core.clock.now().as_millis(),
    }
}
