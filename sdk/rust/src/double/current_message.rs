//! Double of the interface `current-message`. A test sets the message of a run or question; the
//! default is none.

use std::cell::RefCell;

use super::bindings::lotmq::guest::message_properties::{PayloadFormat, Properties, UserProperty};
use super::bindings::lotmq::guest::types::Qos;

/// Message attributes beyond topic and payload.
#[derive(Clone, Debug)]
pub struct CurrentMessage {
    /// Quality of service with which it arrived.
    pub qos: Qos,
    /// RETAIN flag with which it arrived.
    pub retain: bool,
    /// When the broker received it, in milliseconds since 1970-01-01 UTC.
    pub received_ms: i64,
    /// User of the publisher.
    pub user: Option<String>,
    /// Its properties of MQTT 5.0.
    pub properties: Properties,
}

/// Quality of service 0, received in 1970, without properties.
impl Default for CurrentMessage {
    fn default() -> Self {
        let properties = Properties {
            payload_format: PayloadFormat::Unspecified,
            expiry_seconds: None,
            content_type: None,
            response_topic: None,
            correlation_data: None,
            user_properties: Vec::new(),
        };
        CurrentMessage { qos: Qos::AtMostOnce, retain: false, received_ms: 0, user: None, properties }
    }
}

impl CurrentMessage {
    /// Appends a User Property.
    #[must_use]
    pub fn user_property(mut self, name: &str, value: &str) -> Self {
        let property = UserProperty { name: name.to_owned(), value: value.to_owned() };
        self.properties.user_properties.push(property);
        self
    }
}

thread_local! {
    static CURRENT: RefCell<Option<CurrentMessage>> = const { RefCell::new(None) };
}

pub(super) fn set(message: Option<CurrentMessage>) {
    CURRENT.set(message);
}

fn of<T>(read: impl FnOnce(&CurrentMessage) -> T) -> Option<T> {
    CURRENT.with_borrow(|current| current.as_ref().map(read))
}

fn property<T>(read: impl FnOnce(&Properties) -> Option<T>) -> Option<T> {
    of(|message| read(&message.properties)).flatten()
}

pub fn get_qos() -> Option<Qos> {
    of(|message| message.qos)
}

pub fn get_retain() -> bool {
    of(|message| message.retain).unwrap_or_default()
}

pub fn get_received_ms() -> Option<i64> {
    of(|message| message.received_ms)
}

pub fn get_user() -> Option<String> {
    of(|message| message.user.clone()).flatten()
}

pub fn get_properties() -> Properties {
    of(|message| message.properties.clone()).unwrap_or_else(|| CurrentMessage::default().properties)
}

pub fn get_user_properties() -> Vec<UserProperty> {
    get_properties().user_properties
}

pub fn get_user_property(name: &str) -> Option<String> {
    let mut all = get_user_properties().into_iter();
    all.find(|property| property.name == name).map(|property| property.value)
}

pub fn get_payload_format() -> PayloadFormat {
    get_properties().payload_format
}

pub fn get_expiry_seconds() -> Option<u32> {
    property(|properties| properties.expiry_seconds)
}

pub fn get_content_type() -> Option<String> {
    property(|properties| properties.content_type.clone())
}

pub fn get_response_topic() -> Option<String> {
    property(|properties| properties.response_topic.clone())
}

pub fn get_correlation_data() -> Option<Vec<u8>> {
    property(|properties| properties.correlation_data.clone())
}
