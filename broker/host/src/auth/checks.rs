//! Checks of what an authentication guest answers, before anybody acts on it.

use super::{Acceptance, Actions, Answer, Denial, Grant, Permission, Principal, UserProperty};
use crate::limits::{
    AUTH_GRANTS_MAX, AUTH_GROUPS_MAX, AUTH_PROPERTIES_MAX, AUTH_TEXT_BYTES_MAX, MQTT_TEXT_BYTES_MAX,
};
use lotmq_codec::{PacketType, ReasonCode};
use lotmq_router::topic_filter_valid;

/// Why an answer cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unusable {
    /// A text that no packet holds.
    #[error("{what} is longer than 65,535 bytes or has a NUL in it")]
    Text {
        /// Name of the text.
        what: &'static str,
    },
    /// A name without which there is nobody.
    #[error("the user has no name")]
    Nobody,
    /// More than a packet or the broker holds.
    #[error("there are more than {max} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        max: usize,
    },
    /// A reason code that does not belong there.
    #[error("0x{code:02X} is no reason code of a failed {packet}")]
    ReasonCode {
        /// The code.
        code: u8,
        /// The packet.
        packet: &'static str,
    },
    /// A Topic Filter that is none.
    #[error("'{filter}' is no Topic Filter")]
    Filter {
        /// The invalid filter.
        filter: String,
    },
    /// A grant that is about nothing.
    #[error("the grant of '{filter}' names no action")]
    NoAction {
        /// Its filter.
        filter: String,
    },
}

/// Checks an answer.
pub(super) fn answer(answer: &Answer) -> Result<(), Unusable> {
    match answer {
        Answer::Continue => Ok(()),
        Answer::Challenge(data) => binary("the challenge", data),
        Answer::Allow(Acceptance { principal, reason, user_properties, data }) => {
            self::principal(principal)?;
            data.as_deref().map_or(Ok(()), |data| binary("the Authentication Data", data))?;
            shown(reason.as_deref(), user_properties)
        }
        Answer::Deny(Denial { reason_code, reason, user_properties, log }) => {
            failure(*reason_code, PacketType::Connack, "CONNACK")?;
            text("the text for the log", log)?;
            shown(reason.as_deref(), user_properties)
        }
    }
}

/// Checks a principal.
pub(super) fn principal(principal: &Principal) -> Result<(), Unusable> {
    let Principal { user, groups, properties, permission, .. } = principal;
    if user.is_empty() {
        return Err(Unusable::Nobody);
    }
    text("the name of the user", user)?;
    at_most(AUTH_GROUPS_MAX, "groups", groups.len())?;
    groups.iter().try_for_each(|group| text("the name of a group", group))?;
    at_most(AUTH_PROPERTIES_MAX, "properties", properties.len())?;
    for property in properties {
        text("the name of a property", &property.name)?;
        text("the value of a property", &property.value)?;
    }
    let grants = match permission {
        Permission::Rules => &[],
        Permission::Grants(grants) => grants.as_slice(),
    };
    at_most(AUTH_GRANTS_MAX, "grants", grants.len())?;
    grants.iter().try_for_each(grant)?;
    let bytes = user.len()
        + groups.iter().map(String::len).sum::<usize>()
        + properties.iter().map(|property| property.name.len() + property.value.len()).sum::<usize>()
        + grants.iter().map(|grant| grant.filter.len()).sum::<usize>();
    at_most(AUTH_TEXT_BYTES_MAX, "bytes of text in the principal", bytes)
}

fn grant(grant: &Grant) -> Result<(), Unusable> {
    let filter = || grant.filter.clone();
    topic_filter_valid(&grant.filter).map_err(|_| Unusable::Filter { filter: filter() })?;
    if grant.actions == Actions::empty() {
        return Err(Unusable::NoAction { filter: filter() });
    }
    Ok(())
}

/// Checks what CONNACK shows the client.
fn shown(reason: Option<&str>, user_properties: &[UserProperty]) -> Result<(), Unusable> {
    reason.map_or(Ok(()), |reason| text("the Reason String", reason))?;
    let mut bytes = 0;
    for UserProperty { name, value } in user_properties {
        text("the name of a User Property", name)?;
        text("the value of a User Property", value)?;
        bytes += name.len() + value.len();
    }
    at_most(AUTH_TEXT_BYTES_MAX, "bytes of User Properties", bytes)
}

/// Checks that a reason code means a failure, and is allowed in a packet of this type.
pub(super) fn failure(
    code: u8,
    packet_type: PacketType,
    packet: &'static str,
) -> Result<ReasonCode, Unusable> {
    let known = ReasonCode::from_byte(code);
    let fits = |reason: &ReasonCode| reason.is_failure() && reason.allowed_in(packet_type);
    known.filter(fits).ok_or(Unusable::ReasonCode { code, packet })
}

/// Checks a text that stands in a packet.
pub(super) fn text(what: &'static str, text: &str) -> Result<(), Unusable> {
    if text.len() > MQTT_TEXT_BYTES_MAX || text.contains('\0') {
        return Err(Unusable::Text { what });
    }
    Ok(())
}

fn binary(what: &'static str, data: &[u8]) -> Result<(), Unusable> {
    at_most(MQTT_TEXT_BYTES_MAX, what, data.len())
}

fn at_most(max: usize, what: &'static str, count: usize) -> Result<(), Unusable> {
    if count > max { Err(Unusable::TooMany { what, max }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::super::{Effect, Property, Qos, SessionLimits};
    use super::*;

    fn grant_of(filter: &str, actions: Actions) -> Grant {
        let filter = filter.to_owned();
        Grant { effect: Effect::Allow, actions, filter, qos_max: Qos::ExactlyOnce, retain: true }
    }

    fn ann() -> Principal {
        let limits = SessionLimits {
            session_expiry_seconds: None,
            packet_bytes: None,
            queued_messages: None,
            queued_bytes: None,
            messages_per_second: None,
            subscriptions: None,
            connections: None,
        };
        let permission = Permission::Grants(vec![grant_of("a/#", Actions::PUBLISH)]);
        let property = Property { name: "Line".into(), value: "7".into() };
        let (groups, properties) = (vec!["staff".into()], vec![property]);
        Principal { user: "ann".into(), groups, properties, permission, expires_ms: None, limits }
    }

    #[test]
    fn a_principal_can_be_carried_out_or_is_refused_with_the_reason() {
        let grants = |grants| Principal { permission: Permission::Grants(grants), ..ann() };
        let long = "x".repeat(MQTT_TEXT_BYTES_MAX + 1);
        let all = Actions::PUBLISH | Actions::SUBSCRIBE;
        for (principal, expected) in [
            (ann(), ""),
            (Principal { user: String::new(), ..ann() }, "the user has no name"),
            (Principal { user: "a\0".into(), ..ann() }, "the name of the user is longer"),
            (Principal { groups: vec![long.clone()], ..ann() }, "the name of a group is longer"),
            (Principal { groups: vec!["g".into(); 101], ..ann() }, "there are more than 100 groups"),
            (
                Principal { properties: vec![Property { name: "p".into(), value: long }], ..ann() },
                "the value of a property is longer",
            ),
            (grants(vec![grant_of("a/#/b", all)]), "'a/#/b' is no Topic Filter"),
            (grants(vec![grant_of("", all)]), "'' is no Topic Filter"),
            (grants(vec![grant_of("a", Actions::empty())]), "the grant of 'a' names no action"),
            (grants(vec![grant_of("a", all); 1_001]), "there are more than 1000 grants"),
            (grants(vec![grant_of(&"x".repeat(60_000), all); 5]), "there are more than 262144 bytes of text"),
        ] {
            let found = super::principal(&principal).err().map_or(String::new(), |error| error.to_string());
            assert!(found.starts_with(expected) && found.is_empty() == expected.is_empty(), "{found}");
        }
    }

    #[test]
    fn a_denial_has_a_reason_code_of_connack() {
        for (reason_code, is_usable) in
            [(0x00, false), (0x86, true), (0x87, true), (0x98, false), (0xFF, false)]
        {
            let denial =
                Denial { reason_code, reason: None, user_properties: Vec::new(), log: String::new() };
            assert_eq!(answer(&Answer::Deny(denial)).is_ok(), is_usable, "{reason_code}");
        }
        assert!(failure(0x98, PacketType::Disconnect, "DISCONNECT").is_ok());
    }

    #[test]
    fn login_answer_must_fit_into_an_mqtt_packet() {
        let shows = |reason: Option<&str>, value: &str, count| {
            let user_property = UserProperty { name: "n".into(), value: value.into() };
            let reason = reason.map(str::to_owned);
            let user_properties = vec![user_property; count];
            answer(&Answer::Allow(Acceptance { principal: ann(), reason, user_properties, data: None }))
        };
        let long = "x".repeat(MQTT_TEXT_BYTES_MAX);
        assert_eq!(shows(Some("welcome"), "v", 2), Ok(()));
        assert_eq!(shows(Some(&long), &long, 3), Ok(()));
        assert_eq!(shows(Some("a\0"), "v", 1), Err(Unusable::Text { what: "the Reason String" }));
        assert!(matches!(shows(None, &long, 5), Err(Unusable::TooMany { .. })));
        assert!(answer(&Answer::Challenge(vec![0; MQTT_TEXT_BYTES_MAX + 1])).is_err());
    }
}
