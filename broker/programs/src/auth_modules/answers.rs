//! Logins as a guest gets them, and its answers as the login chain takes them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_auth::{
    AlternativeKind, Claims, ClientCertificate, ConnackTexts, Grant, GrantActions, GrantEffect, GrantList,
    GrantRefusal, LoginRefusal, MemberAnswer, MemberDenial, MemberReplied, SessionBounds, WaitingLogin,
};
use lotmq_codec::{Connect, DecodeError, ProtocolVersion, QoS};
use lotmq_host::auth::{
    Acceptance, Actions, AlternativeName, Answer, Certificate, Denial, Effect, Login, PayloadFormat,
    Permission, Principal, Properties, Qos, SessionLimits, UserProperty, Will,
};

/// Reason Code "Bad User Name or Password".
const BAD_USER_NAME_OR_PASSWORD: u8 = 0x86;

/// Reason Code "Server unavailable".
const SERVER_UNAVAILABLE: u8 = 0x88;

/// Reason Code "Server busy".
const SERVER_BUSY: u8 = 0x89;

/// Characters of a line in PEM (RFC 7468 §2).
const PEM_LINE: usize = 64;

/// The login as a guest of world `auth` gets it.
///
/// # Errors
/// [`DecodeError`] if the packet is none, which its connection has checked.
pub(super) fn login(asked: &WaitingLogin) -> Result<Login, DecodeError> {
    let packet = &asked.packet;
    let connect = Connect::decode(&packet.body)?;
    let properties = connect.properties;
    let has_properties = connect.version.has_properties();
    Ok(Login {
        connection: packet.connection,
        tenant: asked.tenant.to_string(),
        listener: asked.listener.to_string(),
        endpoint: packet.endpoint.clone(),
        server_name: packet.server_name.clone(),
        certificate: packet.certificate.as_ref().map(certificate),
        protocol_version: connect.version.level(),
        client_id: connect.client_id.to_owned(),
        clean_start: connect.clean_start,
        keep_alive_seconds: connect.keep_alive,
        session_expiry_seconds: has_properties
            .then(|| properties.session_expiry_interval().unwrap_or_default()),
        receive_maximum: properties.receive_maximum().get(),
        packet_bytes_max: properties.maximum_packet_size().map(std::num::NonZeroU32::get),
        topic_alias_maximum: properties.topic_alias_maximum(),
        request_response_information: properties.request_response_information(),
        request_problem_information: properties.request_problem_information(),
        user: asked.user_name.as_deref().map(str::to_owned),
        password: connect.password.map(<[u8]>::to_vec),
        will: connect.will.as_ref().map(|sent| will(sent, connect.version)),
        user_properties: user_properties(properties),
    })
}

fn will(will: &lotmq_codec::Will<'_>, version: ProtocolVersion) -> Will {
    let properties = will.properties;
    let of_message = || Properties {
        payload_format: match properties.payload_is_utf8() {
            true => PayloadFormat::Utf8,
            false => PayloadFormat::Unspecified,
        },
        expiry_seconds: properties.message_expiry_interval(),
        content_type: properties.content_type().map(str::to_owned),
        response_topic: properties.response_topic().map(str::to_owned),
        correlation_data: properties.correlation_data().map(<[u8]>::to_vec),
        user_properties: user_properties(properties),
    };
    Will {
        topic: will.topic.to_owned(),
        payload: will.payload.to_vec(),
        qos: guest_qos(will.qos),
        retain: will.retain,
        delay_seconds: properties.will_delay_interval(),
        properties: version.has_properties().then(of_message),
    }
}

fn user_properties(properties: lotmq_codec::Properties<'_>) -> Vec<UserProperty> {
    let owned = |(name, value): (&str, &str)| UserProperty { name: name.to_owned(), value: value.to_owned() };
    properties.user_properties().map(owned).collect()
}

/// Quality of service as the contract has it.
pub(super) fn guest_qos(qos: QoS) -> Qos {
    match qos {
        QoS::AtMostOnce => Qos::AtMostOnce,
        QoS::AtLeastOnce => Qos::AtLeastOnce,
        QoS::ExactlyOnce => Qos::ExactlyOnce,
    }
}

fn certificate(shown: &ClientCertificate) -> Certificate {
    let named = |(kind, name): &(AlternativeKind, String)| {
        let name = name.clone();
        match kind {
            AlternativeKind::Dns => AlternativeName::Dns(name),
            AlternativeKind::Email => AlternativeName::Email(name),
            AlternativeKind::Uri => AlternativeName::Uri(name),
        }
    };
    Certificate {
        subject: shown.subject.clone(),
        issuer: shown.issuer.clone(),
        alternative_names: shown.alternative_names.iter().map(named).collect(),
        serial: shown.serial.clone(),
        not_after_ms: i64::try_from(shown.ends_ms).unwrap_or(i64::MAX),
        fingerprint: shown.fingerprint().to_vec(),
        pem: pem(&shown.der),
    }
}

fn pem(der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in encoded.as_bytes().chunks(PEM_LINE) {
        text.extend(line.iter().map(|&byte| char::from(byte)));
        text.push('\n');
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

/// The answer for the login chain. A challenge is one to a step of an authentication alone.
pub(super) fn replied(answer: Answer, is_step: bool) -> MemberReplied {
    match answer {
        Answer::Challenge(data) if is_step => {
            MemberReplied { answer: MemberAnswer::Challenge(data), connack: None }
        }
        Answer::Continue => MemberReplied { answer: MemberAnswer::Continue, connack: None },
        Answer::Challenge(_) => {
            let reason = "its answer is a challenge, to a login without enhanced authentication";
            MemberReplied { answer: MemberAnswer::Fail(reason.to_owned()), connack: None }
        }
        Answer::Allow(acceptance) => {
            let Acceptance { principal, reason, user_properties, data } = acceptance;
            match claims(principal) {
                Ok(claims) => MemberReplied {
                    answer: MemberAnswer::Allow(claims),
                    connack: texts(None, reason, user_properties, data.filter(|_| is_step)),
                },
                Err(unusable) => MemberReplied { answer: MemberAnswer::Fail(unusable), connack: None },
            }
        }
        Answer::Deny(Denial { reason_code, reason, user_properties, log }) => {
            let refusal = match reason_code {
                BAD_USER_NAME_OR_PASSWORD => LoginRefusal::BadCredentials,
                // An outage is no failed password.
                SERVER_UNAVAILABLE | SERVER_BUSY => LoginRefusal::CheckFailed,
                _ => LoginRefusal::DeniedByMember,
            };
            MemberReplied {
                answer: MemberAnswer::Deny(MemberDenial { reason: log, refusal }),
                connack: texts(Some(reason_code), reason, user_properties, None),
            }
        }
    }
}

fn texts(
    reason_code: Option<u8>,
    reason: Option<String>,
    user_properties: Vec<UserProperty>,
    data: Option<Vec<u8>>,
) -> Option<Box<ConnackTexts>> {
    if reason_code.is_none() && reason.is_none() && user_properties.is_empty() && data.is_none() {
        return None;
    }
    let user_properties = user_properties.into_iter().map(|user| (user.name.into(), user.value.into()));
    let (reason, user_properties) = (reason.map(Into::into), user_properties.collect());
    Some(Box::new(ConnackTexts { reason_code, reason, user_properties, data }))
}

/// Claims of a principal; an error is for people.
pub(super) fn claims(principal: Principal) -> Result<Claims, String> {
    let Principal { user, groups, properties, permission, expires_ms, limits } = principal;
    if limits.messages_per_second == Some(0) {
        return Err("its answer sets limits.messages-per-second to 0, and it has to be at least 1".to_owned());
    }
    if let Some(limit) = unsupported_limit(&limits) {
        return Err(format!("its answer sets limits.{limit}, which this broker does not hold a session to"));
    }
    let grants = match permission {
        Permission::Rules => None,
        Permission::Grants(grants) => {
            let grants = grants.iter().map(grant).collect::<Result<Vec<_>, _>>();
            Some(grants.and_then(GrantList::new).map_err(|refusal| refusal.to_string())?)
        }
    };
    // A time before 1970 is over as well.
    let valid_until_ms = expires_ms.map(|end| u64::try_from(end).unwrap_or_default());
    Ok(Claims {
        user,
        groups: groups.into_iter().collect(),
        properties: properties.into_iter().map(|property| (property.name, property.value)).collect(),
        grants,
        valid_until_ms,
        bounds: SessionBounds {
            session_expiry_sec: limits.session_expiry_seconds,
            messages_per_sec: limits.messages_per_second,
            subscriptions: limits.subscriptions,
        },
    })
}

fn grant(grant: &lotmq_host::auth::Grant) -> Result<Grant, GrantRefusal> {
    let effect = match grant.effect {
        Effect::Allow => GrantEffect::Allow,
        Effect::Deny => GrantEffect::Deny,
    };
    // The host refuses a grant without actions.
    let actions = match (grant.actions.contains(Actions::PUBLISH), grant.actions.contains(Actions::SUBSCRIBE))
    {
        (true, false) => GrantActions::Publish,
        (false, true) => GrantActions::Subscribe,
        _ => GrantActions::All,
    };
    let qos_max = match grant.qos_max {
        Qos::AtMostOnce => 0,
        Qos::AtLeastOnce => 1,
        Qos::ExactlyOnce => 2,
    };
    let made = Grant::new(effect, actions, &grant.filter)?.up_to_qos(qos_max)?;
    Ok(if grant.retain { made } else { made.without_retain() })
}

/// Name of a limit that is set, and that sessions are not held to.
fn unsupported_limit(limits: &SessionLimits) -> Option<&'static str> {
    let SessionLimits {
        session_expiry_seconds: _,
        packet_bytes,
        queued_messages,
        queued_bytes,
        messages_per_second: _,
        subscriptions: _,
        connections,
    } = limits;
    [
        ("packet-bytes", packet_bytes.is_some()),
        ("queued-messages", queued_messages.is_some()),
        ("queued-bytes", queued_bytes.is_some()),
        ("connections", connections.is_some()),
    ]
    .into_iter()
    .find_map(|(name, is_set)| is_set.then_some(name))
}
