//! Extended authentication: AUTH between CONNECT and CONNACK (§4.12).
//!
//! The `auth` crate decides the content and the outcome of an exchange; this module transports it.
//! The first exchange must end within the time for CONNECT and counts as half open until then. One
//! exchange at a time, one method per connection.

use std::sync::Arc;

use lotmq_auth::{Exchange, ExchangeStep};
use lotmq_codec::{Auth, Disconnect, FixedHeader, PacketType, ProtocolVersion, ReasonCode};

use super::accept::accept;
use super::exchange::{check_method, login_request, send_challenge};
use super::member_steps::member_step;
use crate::arena::Span;
use crate::client::request::Request;
use crate::connection::Connection;
use crate::connection::refusal::refuse;
use crate::protocol::phase::{Authenticating, Exchanging, Phase};
use crate::reason::close::CloseReason;
use crate::reason::violation::Violation;
use crate::turn::Turn;

impl Authenticating {
    pub(super) fn new(request: Request, exchange: Exchange) -> Box<Self> {
        let exchange = Exchanging::Users(exchange);
        Box::new(Self { request: Box::new(request), exchange, overhead: 0 })
    }

    /// Handles a packet that is not CONNECT: only AUTH and DISCONNECT may come before CONNACK
    /// \[MQTT-3.1.2-30\].
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
        check_method(&auth, &self.exchange.method())?;
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
        if let Exchanging::Member(exchange) = self.exchange {
            let mut request = *self.request;
            request.login.overhead = self.overhead;
            return member_step(connection, request, exchange, data, turn);
        }
        let Self { request, exchange: Exchanging::Users(exchange), .. } = &mut *self else {
            return Err(CloseReason::InternalError);
        };
        let login = login_request(connection, request.user_name.as_deref(), &request.client_id);
        match request.tenant.users.step(exchange, data, &login) {
            Ok(ExchangeStep::Challenge(data)) => {
                send_challenge(connection, request, &exchange.method(), &data)?;
                Ok(Phase::Authenticating(self))
            }
            Ok(ExchangeStep::Done { identity, data }) => {
                request.login.authenticated = Some((exchange.method(), data));
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
