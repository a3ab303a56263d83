//! Deliveries as two lists: `wit/guest/unstable-route-batches.wit`.

use super::{
    LentAddressee, LentDelivery, LentTag, PlaceholderValues, Qos, Value,
    bindings::lotmq::guest::message_properties::{PayloadFormat, Properties, UserProperty},
};
use crate::batch::BatchLists;

/// Numbers with which a delivery begins.
const HEAD_NUMBERS: usize = 11;
const RETAIN: u32 = 4;
const HAS_PROPERTIES: u32 = 8;
const HAS_PLACEHOLDERS: u32 = 16;

/// The lists of a batch.
pub(super) fn lists(batch: &[LentDelivery<'_>]) -> BatchLists {
    let bytes = batch.iter().map(|it| it.texts().iter().map(|text| text.len()).sum::<usize>()).sum();
    let mut lists = BatchLists::with_capacity(batch.len() * HEAD_NUMBERS, bytes);
    for delivery in batch {
        add(&mut lists, delivery);
    }
    lists
}

impl<'a> LentDelivery<'a> {
    /// The texts that each delivery has, in their order.
    fn texts(&self) -> [&'a [u8]; 5] {
        let (name, tag) = match self.to {
            LentAddressee::Event(name) | LentAddressee::Mapping(name) | LentAddressee::Table(name) => {
                (name, "")
            }
            LentAddressee::Tag(LentTag { mapping, tag }) => (mapping, tag),
        };
        let message = &self.message;
        let (topic, client_id) = (message.topic.as_bytes(), message.client_id.as_bytes());
        [name.as_bytes(), tag.as_bytes(), topic, message.payload, client_id]
    }
}

fn add(lists: &mut BatchLists, delivery: &LentDelivery<'_>) {
    let LentDelivery { sequence, to, message, properties, received_ms, placeholders } = delivery;
    lists.wide(*sequence);
    lists.wide(received_ms.cast_unsigned());
    let qos = match message.qos {
        Qos::AtMostOnce => 0,
        Qos::AtLeastOnce => 1,
        Qos::ExactlyOnce => 2,
    };
    let flag = |is: bool, flag: u32| if is { flag } else { 0 };
    lists.number(
        qos + flag(message.retain, RETAIN)
            + flag(properties.is_some(), HAS_PROPERTIES)
            + flag(!placeholders.is_empty(), HAS_PLACEHOLDERS),
    );
    lists.number(match to {
        LentAddressee::Event(_) => 0,
        LentAddressee::Mapping(_) => 1,
        LentAddressee::Tag(_) => 2,
        LentAddressee::Table(_) => 3,
    });
    delivery.texts().into_iter().for_each(|text| lists.part(text));
    if let Some(properties) = properties {
        add_properties(lists, properties);
    }
    if !placeholders.is_empty() {
        add_placeholders(lists, placeholders);
    }
}

fn add_properties(lists: &mut BatchLists, properties: &Properties) {
    let Properties {
        payload_format,
        expiry_seconds,
        content_type,
        response_topic,
        correlation_data,
        user_properties,
    } = properties;
    let there = [
        *payload_format == PayloadFormat::Utf8,
        expiry_seconds.is_some(),
        content_type.is_some(),
        response_topic.is_some(),
        correlation_data.is_some(),
    ];
    lists.number(there.iter().rev().fold(0, |bits, is_there| bits * 2 + u32::from(*is_there)));
    expiry_seconds.iter().for_each(|seconds| lists.number(*seconds));
    let texts = [content_type, response_topic].into_iter().flatten().map(String::as_bytes);
    texts.chain(correlation_data.as_deref()).for_each(|part| lists.part(part));
    lists.length(user_properties.len());
    for UserProperty { name, value } in user_properties {
        lists.part(name.as_bytes());
        lists.part(value.as_bytes());
    }
}

fn add_placeholders(lists: &mut BatchLists, placeholders: &[PlaceholderValues]) {
    lists.length(placeholders.len());
    for PlaceholderValues { setting, values } in placeholders {
        lists.part(setting.as_bytes());
        lists.length(values.len());
        values.iter().for_each(|value| add_value(lists, value));
    }
}

fn add_value(lists: &mut BatchLists, value: &Value) {
    lists.number(match value {
        Value::Empty => 0,
        Value::Null => 1,
        Value::Boolean(_) => 2,
        Value::Integer(_) => 3,
        Value::Double(_) => 4,
        Value::Text(_) => 5,
        Value::Json(_) => 6,
        Value::Bytes(_) => 7,
        Value::Time(_) => 8,
    });
    match value {
        Value::Empty | Value::Null => {}
        Value::Boolean(is) => lists.number((*is).into()),
        Value::Integer(number) | Value::Time(number) => lists.wide(number.cast_unsigned()),
        Value::Double(number) => lists.wide(number.to_bits()),
        Value::Text(text) | Value::Json(text) => lists.part(text.as_bytes()),
        Value::Bytes(bytes) => lists.part(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::LentMessage;

    #[test]
    fn a_batch_is_laid_out_as_the_contract_says() {
        let user = UserProperty { name: "u".to_owned(), value: "vv".to_owned() };
        let properties = Properties {
            payload_format: PayloadFormat::Utf8,
            expiry_seconds: Some(9),
            content_type: None,
            response_topic: Some("r/t".to_owned()),
            correlation_data: Some(vec![0, 255]),
            user_properties: vec![user],
        };
        let values = vec![
            Value::Empty,
            Value::Boolean(true),
            Value::Integer(-1),
            Value::Double(1.0),
            Value::Text("xy".to_owned()),
            Value::Time(1 << 32),
        ];
        let message = LentMessage {
            topic: "a/b",
            payload: b"pay",
            qos: Qos::ExactlyOnce,
            retain: true,
            client_id: "c",
        };
        let plain =
            LentMessage { topic: "t", payload: b"", qos: Qos::AtMostOnce, retain: false, client_id: "" };
        let batch = [
            LentDelivery {
                sequence: (1 << 32) + 2,
                to: LentAddressee::Tag(LentTag { mapping: "m", tag: "tag" }),
                message,
                properties: Some(properties),
                received_ms: -1,
                placeholders: vec![PlaceholderValues { setting: "Q".to_owned(), values }],
            },
            LentDelivery {
                sequence: 3,
                to: LentAddressee::Mapping("map"),
                message: plain,
                properties: None,
                received_ms: 4,
                placeholders: Vec::new(),
            },
        ];
        let lists = lists(&batch);
        let (numbers, bytes) = lists.as_slices();
        let all = u32::MAX;
        let first = [2, 1, all, all, 2 + 4 + 8 + 16, 2, 1, 3, 3, 3, 1, 1 + 2 + 8 + 16, 9, 3, 2, 1, 1, 2];
        let placeholders = [1, 1, 6, 0, 2, 1, 3, all, all, 4, 0, 0x3ff0_0000, 5, 2, 8, 0, 1];
        let second = [3, 0, 4, 0, 0, 1, 3, 0, 1, 0, 0];
        assert_eq!(numbers, [&first[..], &placeholders, &second].concat());
        assert_eq!(bytes, [&b"mtaga/bpaycr/t"[..], &[0, 255], b"uvvQxymapt"].concat());
    }
}
