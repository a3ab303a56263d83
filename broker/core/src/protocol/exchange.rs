//! Parts of authentications by several messages, before CONNACK and on live connections: AUTH
//! packets, and the facts of a login. Not here: who decides (`authenticate`, `member_steps`).

use std::sync::Arc;

use lotmq_auth::{ConnectPacket, LoginRequest, Method};
use lotmq_codec::{
    Auth, EncodeError, PropertyBuf, PropertyId, PropertyValue, ProtocolVersion, ReasonCode, encode_auth,
};

use crate::client::request::Request;
use crate::connection::Connection;
use crate::connection::refusal::refuse;
use crate::reason::close::CloseReason;
use crate::reason::violation::Violation;

/// Sends the next message of an exchange.
///
/// # Errors
/// The refusal, if it is above the Maximum Packet Size of the Client.
pub(super) fn send_challenge(
    connection: &Connection,
    request: &Request,
    method: &Method,
    data: &[u8],
) -> Result<(), CloseReason> {
    let packet = auth(ReasonCode::ContinueAuthentication, method, data);
    if packet.len() > request.recipient.packet_bytes_max as usize {
        let words = "the next message of the authentication is above the maximum packet size";
        return Err(refuse(connection, request.recipient, ReasonCode::PacketTooLarge, &words));
    }
    connection.transport.write_directly(&packet);
    Ok(())
}

/// Copy of CONNECT for members of the chain that are asked elsewhere.
pub(super) fn whole_packet(connection: &Connection, body: &[u8]) -> Arc<ConnectPacket> {
    Arc::new(ConnectPacket {
        connection: connection.number.into(),
        endpoint: connection.peer().to_string(),
        server_name: connection.transport.server_name(),
        certificate: connection.transport.client_certificate(),
        body: body.to_vec().into(),
    })
}

/// Checks that an AUTH has the method of CONNECT \[MQTT-4.12.1-1\].
pub(super) fn check_method(auth: &Auth<'_>, method: &Method) -> Result<(), Violation> {
    let is_same = auth.properties.authentication_method() == Some(method.name());
    if is_same { Ok(()) } else { Err(Violation::MethodChanged) }
}

/// Encodes an AUTH of the server, with the method of CONNECT \[MQTT-4.12.0-5\].
pub(super) fn auth(reason: ReasonCode, method: &Method, data: &[u8]) -> Vec<u8> {
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
