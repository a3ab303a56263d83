//! Request of a CONNECT for a session: what the packet asks for, within what the listener and the
//! settings grant.
//!
//! Not here: how it is read (`protocol`).

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use lotmq_auth::{ConnackTexts, Method};
use lotmq_codec::{ProtocolVersion, ReasonCode};
use lotmq_session::{SessionExpiry, Time};
use lotmq_zstd::Offer;

use crate::reason::recipient::Recipient;
use crate::tenant::Tenant;
use crate::tenant::will::WillMessage;

/// Request of a CONNECT, owned.
pub struct Request {
    /// Time at which it came, since the broker started.
    pub(crate) came: Duration,
    /// Tenant of the Client.
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) recipient: Recipient,
    pub(crate) version: ProtocolVersion,
    pub(crate) client_id: Arc<str>,
    /// Whether the broker chose the identifier \[MQTT-3.1.3-6\].
    pub(crate) is_assigned: bool,
    pub(crate) clean_start: bool,
    /// Keep Alive of this connection, in seconds; 0 for none.
    pub keep_alive: u16,
    /// Whether the broker chose it, so that CONNACK tells \[MQTT-3.2.2-21\].
    pub(crate) is_keep_alive_ours: bool,
    /// Response Information of CONNACK: only if the Client asks \[MQTT-3.1.2-28\] and the broker
    /// has any.
    pub(crate) response_information: Option<String>,
    /// Session Expiry Interval as granted.
    pub expiry: SessionExpiry,
    /// Whether it differs from what the Client asked for, so that CONNACK tells (§3.2.2.3.2).
    pub(crate) is_expiry_ours: bool,
    pub(crate) receive_maximum: u16,
    /// Number of Topic Aliases that the broker may set.
    pub(crate) topic_alias_maximum: u16,
    pub(crate) user_name: Option<Box<str>>,
    /// Answer of the login, for CONNACK.
    pub(crate) login: LoginAnswer,
    /// The zstd stream, if it is asked for.
    pub(crate) zstd: Option<Offer>,
    pub(crate) will: Option<Box<WillMessage>>,
    /// Whether bans have counted it.
    pub(crate) is_counted: bool,
    /// Connection that has the session, while what has come on it is read first.
    pub(crate) predecessor: Option<Predecessor>,
}

impl Request {
    /// Reason Code with which a member of the login chain refuses the Client. Versions without
    /// properties get "not authorized" in place of a code that they do not have.
    pub(crate) fn reason_of_member(&self) -> Option<ReasonCode> {
        let code = ReasonCode::from_byte(self.login.texts.as_ref()?.reason_code?)?;
        let is_known = self.version.has_properties() || code.connect_return_code().is_some();
        Some(if is_known { code } else { ReasonCode::NotAuthorized })
    }
}

/// Answer of a login, for CONNACK.
#[derive(Default)]
pub(crate) struct LoginAnswer {
    /// Method and last data of the exchange that has identified the Client.
    pub(crate) authenticated: Option<(Method, Vec<u8>)>,
    /// Texts of the member of the login chain that has decided.
    pub(crate) texts: Option<Box<ConnackTexts>>,
    /// Bytes below MQTT that came in an exchange with a member of the login chain.
    pub(crate) overhead: u32,
}

/// Connection of a session that another one is to take over.
pub(crate) struct Predecessor {
    /// Number of the connection.
    pub(crate) number: u32,
    /// Whether what had come on it was read.
    pub(crate) is_heard_out: Arc<AtomicBool>,
    /// Time until which that is waited for.
    pub(crate) until: Time,
}
