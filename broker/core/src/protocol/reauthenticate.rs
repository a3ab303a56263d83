//! Authentication anew on a live connection (§4.12.1), and the AUTH packets of either exchange.
//!
//! An exchange has as long as the first one. One at a time, with the method of CONNECT.

use std::sync::Arc;

use lotmq_auth::{Exchange, ExchangeStep, Identity, LoginRefusal, LoginRequest, Method};
use lotmq_codec::{
    Auth, EncodeError, PacketType, PropertyBuf, PropertyId, PropertyValue, ProtocolVersion, ReasonCode,
    encode_auth,
};
use lotmq_session::Time;

use crate::arena::Span;
use crate::connection::Connection;
use crate::protocol::phase::{Again, Authentication, Open};
use crate::reason::close::CloseReason;
use crate::reason::violation::Violation;
use crate::tenant::Tenant;
use crate::turn::Turn;

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
        check_method(auth, self.method)?;
        match (auth.reason, &self.again) {
            (ReasonCode::ReAuthenticate, None) => {
                let exchange =
                    tenant.users.begin_exchange(self.method.name()).ok_or(LoginRefusal::ExchangeFailed)?;
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
    // Not the time of the turn, which is up to a tick old: a deadline would be missed by as much.
    let exchange =
        authentication.exchange(&received, (connection, &open.client.tenant), turn.core.clock.now())?;
    let method = exchange.method();
    let before = open.client.identity();
    let login = login_request(connection, before.user_name(), &open.client.client_id);
    let users = &open.client.tenant.users;
    let packet = match users.step(exchange, received.properties.authentication_data(), &login) {
        Ok(ExchangeStep::Challenge(data)) => auth(ReasonCode::ContinueAuthentication, method, &data),
        Ok(ExchangeStep::Done { identity, data }) => {
            authentication.again = None;
            let protocol_version = before.protocol_version;
            open.client.reauthenticated(connection, Identity { protocol_version, ..identity });
            auth(ReasonCode::Success, method, &data)
        }
        Err(refusal) => {
            let (client_id, user) = (&*open.client.client_id, before.user_name());
            turn.core.figures.refused_logins.count("re-authentication failed");
            turn.context.tell(|hooks| {
                hooks.authentication_refused(&open.client.tenant, connection, client_id, user, &refusal)
            });
            return Err(Violation::from(refusal).into());
        }
    };
    turn.control(&open.client, connection, |out| out.extend_from_slice(&packet));
    Ok(())
}

/// Checks that an AUTH has the method of CONNECT \[MQTT-4.12.1-1\].
pub(super) fn check_method(auth: &Auth<'_>, method: Method) -> Result<(), Violation> {
    let is_same = auth.properties.authentication_method() == Some(method.name());
    if is_same { Ok(()) } else { Err(Violation::MethodChanged) }
}

/// Encodes an AUTH of the server, with the method of CONNECT \[MQTT-4.12.0-5\].
pub(super) fn auth(reason: ReasonCode, method: Method, data: &[u8]) -> Vec<u8> {
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

/// Login of an exchange, as `auth` is asked.
pub(super) fn login_request<'a>(
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
