//! Double of the interface `messages`: records the messages of a guest for its test.

use std::cell::RefCell;

pub use super::bindings::lotmq::guest::messages::WriteError;
use super::bindings::lotmq::guest::{message_properties::Properties, types::Qos};
use crate::testing::with;

/// A message that a guest has published.
#[derive(Clone, Debug)]
pub struct WrittenMessage {
    /// Its topic.
    pub topic: String,
    /// Its payload.
    pub payload: Vec<u8>,
    /// Its quality of service.
    pub qos: Qos,
    /// Whether it is retained.
    pub retain: bool,
    /// Its properties of MQTT 5.0.
    pub properties: Properties,
}

thread_local! {
    static PUBLISHED: RefCell<Vec<WrittenMessage>> = RefCell::default();
}

/// Takes the recorded messages.
pub(super) fn take() -> Vec<WrittenMessage> {
    PUBLISHED.take()
}

pub fn publish(topic: &str, payload: &[u8], qos: Qos, retain: bool) -> Result<(), WriteError> {
    publish_with(topic, payload, qos, retain, &Properties::default())
}

pub fn publish_with(
    topic: &str,
    payload: &[u8],
    qos: Qos,
    retain: bool,
    properties: &Properties,
) -> Result<(), WriteError> {
    checked(topic)?;
    let (topic, payload, properties) = (topic.to_owned(), payload.to_vec(), properties.clone());
    let publication = WrittenMessage { topic, payload, qos, retain, properties };
    PUBLISHED.with_borrow_mut(|published| published.push(publication));
    Ok(())
}

pub fn keep(topic: &str, payload: &[u8]) -> Result<(), WriteError> {
    checked(topic)?;
    with(|host| drop(host.values.insert(topic.to_owned(), payload.to_vec())));
    Ok(())
}

pub fn forget(topic: &str) -> Result<(), WriteError> {
    checked(topic)?;
    with(|host| drop(host.values.remove(topic)));
    Ok(())
}

fn checked(topic: &str) -> Result<(), WriteError> {
    if topic.is_empty() || topic.contains(['+', '#', '\0']) { Err(WriteError::InvalidTopic) } else { Ok(()) }
}
