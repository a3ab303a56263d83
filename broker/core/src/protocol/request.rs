//! Reading of a CONNECT to the request for a session.

use std::num::NonZeroU16;
use std::sync::Arc;

use lotmq_changes::ROUTE_CLIENT_IDS;
use lotmq_codec::{Connect, ProtocolVersion, ReasonCode};
use lotmq_config::ListenerLimits;
use lotmq_session::SessionExpiry;
use lotmq_zstd::Offer;

use super::bounds;
use super::discouraged;
use crate::client::request::{LoginAnswer, Request};
use crate::connection::Connection;
use crate::limits::Limit;
use crate::reason::Discouraged;
use crate::reason::recipient::Recipient;
use crate::tenant::Tenant;
use crate::tenant::will::{WillMessage, WillTopicRefused};
use crate::turn::Turn;

/// Reason why a CONNECT is refused before the Client is identified.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum ConnectRefusal {
    #[error("an empty client identifier needs a clean session")]
    ClientIdEmpty,
    #[error("the client identifier is one of the broker's own")]
    ClientIdReserved,
    #[error(transparent)]
    WillTopic(#[from] WillTopicRefused),
    #[error(transparent)]
    Discouraged(#[from] Discouraged),
    #[error("{}", _0.sentence())]
    Limit(Limit),
}

impl ConnectRefusal {
    pub(super) fn reason_code(self, version: ProtocolVersion) -> ReasonCode {
        let reason = match self {
            Self::ClientIdEmpty | Self::ClientIdReserved => ReasonCode::ClientIdentifierNotValid,
            Self::WillTopic(_) => ReasonCode::TopicNameInvalid,
            Self::Discouraged(place) => place.reason_code(),
            Self::Limit(limit) => limit.reason(),
        };
        if version.has_properties() || reason.connect_return_code().is_some() {
            return reason;
        }
        // The remaining reasons concern the Will, for which 3.1.1 has no code. Without any answer
        // the Client assumes a network failure and comes back.
        ReasonCode::NotAuthorized
    }
}

/// Holds a CONNECT to the limits of its listener.
fn check_bounds(limits: &ListenerLimits, connect: &Connect<'_>) -> Result<(), Limit> {
    bounds::user_properties(limits, connect.properties)?;
    let mut count = connect.properties.user_properties().count();
    if let Some(will) = &connect.will {
        bounds::topic(limits, will.topic)?;
        bounds::user_properties(limits, will.properties)?;
        count += will.properties.user_properties().count();
    }
    if count > limits.connect_user_properties as usize {
        return Err(Limit::ConnectUserProperties);
    }
    Ok(())
}

/// Reads a CONNECT.
///
/// # Errors
/// [`ConnectRefusal`].
pub(super) fn read(
    tenant: &Arc<Tenant>,
    connection: &Connection,
    turn: &Turn,
    connect: &Connect<'_>,
) -> Result<Request, ConnectRefusal> {
    discouraged::in_connect(&turn.core.settings, connect)?;
    check_bounds(&connection.listener.limits, connect).map_err(ConnectRefusal::Limit)?;
    let version = connect.version;
    let properties = &connect.properties;
    let is_assigned = connect.client_id.is_empty();
    if is_assigned && !version.has_properties() && !connect.clean_start {
        return Err(ConnectRefusal::ClientIdEmpty);
    }
    if connect.client_id.starts_with(ROUTE_CLIENT_IDS) {
        return Err(ConnectRefusal::ClientIdReserved);
    }
    let client_id: Arc<str> =
        if is_assigned { turn.core.assigned_client_id().into() } else { connect.client_id.into() };
    let will = connect.will.as_ref().map(|will| WillMessage::new(will, &client_id)).transpose()?;
    let maximum = turn.core.settings.session_expiry_max;
    let wanted = properties.session_expiry_interval();
    let recipient = Recipient::of(connect);
    let offered = turn.core.settings.response_information.as_ref();
    let response_information = offered
        .filter(|_| version.has_properties() && properties.request_response_information())
        .and_then(|prefix| prefix.with(&client_id));
    let keep_alive = keep_alive(connect, turn.core.settings.keep_alive_max);
    let expiry = SessionExpiry::from_connect(version, connect.clean_start, wanted, maximum);
    Ok(Request {
        came: turn.core.clock.elapsed(),
        tenant: Arc::clone(tenant),
        recipient,
        version,
        client_id,
        is_assigned,
        response_information,
        clean_start: connect.clean_start,
        keep_alive,
        is_keep_alive_ours: keep_alive != connect.keep_alive,
        expiry,
        is_expiry_ours: expiry.seconds() != wanted.unwrap_or(0),
        receive_maximum: properties.receive_maximum().get(),
        topic_alias_maximum: properties.topic_alias_maximum(),
        user_name: connect.user_name.map(Into::into),
        login: LoginAnswer::default(),
        zstd: Offer::read(properties.user_properties()),
        will: will.map(Box::new),
        is_counted: false,
        predecessor: None,
    })
}

/// Keep Alive that holds: the Client's, or the broker's maximum where the Client's is longer and
/// the version lets the broker say so.
fn keep_alive(connect: &Connect<'_>, maximum: Option<NonZeroU16>) -> u16 {
    let wanted = connect.keep_alive;
    match maximum {
        Some(maximum) if connect.version.has_properties() && (wanted == 0 || wanted > maximum.get()) => {
            maximum.get()
        }
        _ => wanted,
    }
}
