//! Steps of a case about logins: actions of a client, and events that affect it.

use std::net::{IpAddr, SocketAddr};

use lotmq_codec::ReasonCode;
use lotmq_host::auth::{Login, PayloadFormat, Properties, Qos, Subscription, UserProperty, Will};
use lotmq_router::{topic_filter_valid, topic_name_valid};
use lotmq_server::embedded::{EmbeddedBroker, EmbeddedError, NewLogin};

use super::certificate;
use crate::keys::Keys;
use crate::properties::{KEYS as PROPERTY_KEYS, StatedProperties};

const LOGIN_KEYS: [&str; 24] = [
    "login",
    "username",
    "password",
    "password_base64",
    "endpoint",
    "listener",
    "tenant",
    "server_name",
    "certificate",
    "protocol_version",
    "clean_start",
    "keep_alive_seconds",
    "session_expiry_seconds",
    "receive_maximum",
    "packet_bytes_max",
    "topic_alias_maximum",
    "request_response_information",
    "request_problem_information",
    "will",
    "user",
    "method",
    "data",
    "data_base64",
    "session_present",
];

/// Keys that only a CONNECT of MQTT 5.0 can have.
const OF_5: [&str; 10] = [
    "session_expiry_seconds",
    "receive_maximum",
    "packet_bytes_max",
    "topic_alias_maximum",
    "request_response_information",
    "request_problem_information",
    "user",
    "method",
    "data",
    "data_base64",
];

/// Port from which a client comes that names none.
const CLIENT_PORT: u16 = 50_000;

/// Reasons why a connection ends that are no Reason Codes of MQTT 5.0, as `departure` of the
/// contract has them.
const DEPARTURES: [&str; 7] = [
    "normal",
    "session-taken-over",
    "keepalive-timeout",
    "protocol-error",
    "network-error",
    "server-shutdown",
    "administrative",
];

/// Event for a guest for logins.
#[derive(Debug)]
pub(crate) enum ClientLoginStep {
    /// A client wants in.
    Login {
        login: Box<Login>,
        session_present: bool,
        /// Method and data of an enhanced authentication.
        enhanced: Option<(String, Vec<u8>)>,
    },
    /// It goes on with its enhanced authentication.
    Step { client_id: String, data: Vec<u8> },
    /// It gives that up.
    Forget { client_id: String },
    /// The broker granted subscriptions of a client.
    Subscribed { client_id: String, subscriptions: Vec<Subscription> },
    /// Its connection is over.
    Disconnected { client_id: String, reason: String },
}

impl ClientLoginStep {
    /// Reads a step of this kind.
    pub(crate) fn read(keys: &mut Keys, kind: &str) -> Result<Self, String> {
        let client_id = keys.text(kind)?;
        Ok(match kind {
            "login" => {
                let session_present = keys.boolean("session_present")?.unwrap_or_default();
                let login = Box::new(login(keys, client_id)?);
                Self::Login { login, session_present, enhanced: enhanced(keys)? }
            }
            "step" => {
                Self::Step { client_id, data: keys.bytes(["data", "data_base64"])?.unwrap_or_default() }
            }
            "forget" => Self::Forget { client_id },
            "subscribed" => Self::Subscribed { client_id, subscriptions: subscriptions(keys)? },
            _ => Self::Disconnected { client_id, reason: departure(keys)? },
        })
    }

    /// The keys that such a step may have.
    pub(crate) fn keys(kind: &str) -> &'static [&'static str] {
        match kind {
            "login" => &LOGIN_KEYS,
            "step" => &["step", "data", "data_base64"],
            "forget" => &["forget"],
            "subscribed" => &["subscribed", "filters", "qos"],
            _ => &["disconnected", "reason"],
        }
    }

    /// Lets it happen.
    pub(crate) fn take(&self, broker: &mut EmbeddedBroker) -> Result<(), EmbeddedError> {
        match self {
            Self::Login { login, session_present, enhanced } => {
                let enhanced = enhanced.as_ref().map(|(method, data)| (method.clone(), &data[..]));
                let (login, session_present) = (Login::clone(login), *session_present);
                broker.log_in(NewLogin { login, session_present, enhanced })
            }
            Self::Step { client_id, data } => broker.go_on_to_log_in(client_id, data),
            Self::Forget { client_id } => broker.give_up_login(client_id),
            Self::Subscribed { client_id, subscriptions } => broker.were_granted(client_id, subscriptions),
            Self::Disconnected { client_id, reason } => broker.has_left(client_id, reason),
        }
    }
}

fn login(keys: &mut Keys, client_id: String) -> Result<Login, String> {
    let version = keys.number("protocol_version", 3..=5)?.unwrap_or(5);
    if version < 5
        && let Some(key) = OF_5.iter().find(|key| keys.has(key))
    {
        return Err(format!("`{key}` is of MQTT 5.0, which has `protocol_version = 5`"));
    }
    let usual_expiry = (version == 5).then_some(0);
    let certificate = keys.inner("certificate", "a certificate")?;
    Ok(Login {
        connection: 0,
        tenant: keys.optional_text("tenant")?.unwrap_or_else(|| "default".to_owned()),
        listener: keys.optional_text("listener")?.unwrap_or_else(|| "mqtt".to_owned()),
        endpoint: endpoint(keys.optional_text("endpoint")?)?,
        server_name: keys.optional_text("server_name")?,
        certificate: certificate.map(|keys| certificate::read(keys, &client_id)).transpose()?,
        protocol_version: version,
        client_id,
        clean_start: keys.boolean("clean_start")?.unwrap_or(true),
        keep_alive_seconds: keys.number("keep_alive_seconds", 0..=u16::MAX)?.unwrap_or(60),
        session_expiry_seconds: keys.number("session_expiry_seconds", 0..=u32::MAX)?.or(usual_expiry),
        receive_maximum: keys.number("receive_maximum", 1..=u16::MAX)?.unwrap_or(u16::MAX),
        packet_bytes_max: keys.number("packet_bytes_max", 1..=u32::MAX)?,
        topic_alias_maximum: keys.number("topic_alias_maximum", 0..=u16::MAX)?.unwrap_or_default(),
        request_response_information: keys.boolean("request_response_information")?.unwrap_or_default(),
        request_problem_information: keys.boolean("request_problem_information")?.unwrap_or(true),
        user: keys.optional_text("username")?,
        password: keys.bytes(["password", "password_base64"])?,
        will: keys.inner("will", "a Will")?.map(|keys| will(keys, version)).transpose()?,
        user_properties: user_properties(keys.pairs("user")?.in_order()),
    })
}

fn enhanced(keys: &mut Keys) -> Result<Option<(String, Vec<u8>)>, String> {
    let method = keys.optional_text("method")?;
    let data = keys.bytes(["data", "data_base64"])?;
    match (method, data) {
        (None, Some(_)) => Err("`data` is of an enhanced authentication, which has a `method`".to_owned()),
        (method, data) => Ok(method.map(|method| (method, data.unwrap_or_default()))),
    }
}

/// Remote address as the contract has it.
fn endpoint(said: Option<String>) -> Result<String, String> {
    let Some(said) = said else { return Ok(format!("127.0.0.1:{CLIENT_PORT}")) };
    if said == "unix" || said.parse::<SocketAddr>().is_ok() {
        return Ok(said);
    }
    match said.parse::<IpAddr>() {
        Ok(address) => Ok(SocketAddr::new(address, CLIENT_PORT).to_string()),
        Err(_) => {
            Err(format!("`endpoint` is an address as 192.0.2.7 or 192.0.2.7:5000, or `unix`, found `{said}`"))
        }
    }
}

fn will(mut keys: Keys, version: u8) -> Result<Will, String> {
    let of_5 = PROPERTY_KEYS.iter().chain(&["delay_seconds"]).find(|key| keys.has(key));
    if let Some(key) = of_5.filter(|_| version < 5) {
        return Err(format!("`will.{key}` is of MQTT 5.0, which has `protocol_version = 5`"));
    }
    let topic = keys.text("topic")?;
    topic_name_valid(&topic).map_err(|error| format!("`{topic}` is no topic: {error}"))?;
    let payload = keys.has("payload").then(|| keys.payload("payload")).transpose()?;
    let will = Will {
        topic,
        payload: payload.map(|payload| payload.to_bytes()).unwrap_or_default(),
        qos: of_contract(keys.qos()?),
        retain: keys.boolean("retain")?.unwrap_or_default(),
        delay_seconds: keys.number("delay_seconds", 0..=u32::MAX)?.unwrap_or_default(),
        properties: properties(keys.properties()?),
    };
    keys.finish(&[&["topic", "payload", "qos", "retain", "delay_seconds"], &PROPERTY_KEYS])?;
    Ok(will)
}

/// `None` where nothing is stated.
fn properties(stated: StatedProperties) -> Option<Properties> {
    if stated == StatedProperties::default() {
        return None;
    }
    let StatedProperties { user, is_utf8, response_topic, correlation_data, content_type, expiry } = stated;
    let payload_format = if is_utf8 == Some(true) { PayloadFormat::Utf8 } else { PayloadFormat::Unspecified };
    let (user_properties, expiry_seconds) = (user_properties(user), expiry);
    Some(Properties {
        payload_format,
        expiry_seconds,
        content_type,
        response_topic,
        correlation_data,
        user_properties,
    })
}

fn user_properties(pairs: Vec<(String, String)>) -> Vec<UserProperty> {
    pairs.into_iter().map(|(name, value)| UserProperty { name, value }).collect()
}

fn subscriptions(keys: &mut Keys) -> Result<Vec<Subscription>, String> {
    let qos = of_contract(keys.qos()?);
    let filters = keys.texts("filters")?;
    if filters.is_empty() {
        return Err("a step with `subscribed` lacks the key `filters`, as [\"a/#\"]".to_owned());
    }
    let subscription = |filter: String| match topic_filter_valid(&filter) {
        Ok(()) => Ok(Subscription { filter, qos }),
        Err(error) => Err(format!("`{filter}` is no topic filter: {error}")),
    };
    filters.into_iter().map(subscription).collect()
}

fn departure(keys: &mut Keys) -> Result<String, String> {
    let Some(reason) = keys.optional_text("reason")? else { return Ok("normal".to_owned()) };
    let codes = (0x80..=u8::MAX).filter_map(ReasonCode::from_byte);
    if DEPARTURES.contains(&&*reason) || codes.map(ReasonCode::text).any(|text| text == reason) {
        return Ok(reason);
    }
    Err(format!(
        "`reason` is one of {}, or the name of a reason code of MQTT 5.0 as `quota exceeded`, found `{reason}`",
        crate::keys::listed(&DEPARTURES)
    ))
}

fn of_contract(qos: lotmq_codec::QoS) -> Qos {
    match qos {
        lotmq_codec::QoS::AtMostOnce => Qos::AtMostOnce,
        lotmq_codec::QoS::AtLeastOnce => Qos::AtLeastOnce,
        lotmq_codec::QoS::ExactlyOnce => Qos::ExactlyOnce,
    }
}
