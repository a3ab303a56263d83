//! Messages here and records there, each made of the other.

use bytes::Bytes;
use lotmq_guest::route::{Arrival, Delivery, PayloadFormat, Properties, UserProperty};

use crate::config::{Inward, Outward};
use crate::records::Record;

/// Headers for the MQTT attributes of a message besides its user properties.
const TOPIC: &str = "mqtt.topic";
const CONTENT_TYPE: &str = "mqtt.content-type";
const RESPONSE_TOPIC: &str = "mqtt.response-topic";
const CORRELATION_DATA: &str = "mqtt.correlation-data";

/// A delivery as a record. Its offset is given where its batch is made.
pub(crate) fn record_of(delivery: &Delivery, outward: &Outward) -> Record {
    let key = outward.key.as_ref().map(|key| key.filled(delivery)).filter(|key| !key.is_empty());
    Record {
        offset: 0,
        timestamp: delivery.received_ms,
        key: key.map(Bytes::from),
        value: Some(Bytes::copy_from_slice(&delivery.message.payload)),
        headers: headers_of(delivery),
    }
}

fn headers_of(delivery: &Delivery) -> Vec<(String, Option<Bytes>)> {
    let text = |name: &str, value: &str| (name.to_owned(), Some(Bytes::copy_from_slice(value.as_bytes())));
    let mut headers = vec![text(TOPIC, &delivery.message.topic)];
    let Some(properties) = &delivery.properties else { return headers };
    headers.extend(properties.content_type.iter().map(|value| text(CONTENT_TYPE, value)));
    headers.extend(properties.response_topic.iter().map(|value| text(RESPONSE_TOPIC, value)));
    let data = properties.correlation_data.iter();
    headers.extend(data.map(|data| (CORRELATION_DATA.to_owned(), Some(Bytes::copy_from_slice(data)))));
    headers.extend(properties.user_properties.iter().map(|property| text(&property.name, &property.value)));
    headers
}

/// Converts a record to a message of this broker. The user properties hold its origin.
pub(crate) fn arrival_of(record: &Record, inward: &Inward, partition: i32) -> Result<Arrival, String> {
    let topic = inward.destination.filled(record.key.as_deref());
    let topic = topic.map_err(|reason| format!("its key {reason}"))?.into_owned();
    let payload = record.value.as_ref().map(|value| value.to_vec()).unwrap_or_default();
    let mut properties = Properties { payload_format: PayloadFormat::Unspecified, ..Properties::default() };
    for (name, value) in &record.headers {
        let value = value.as_deref().unwrap_or_default();
        let text = std::str::from_utf8(value).ok().filter(|text| is_text(text)).map(str::to_owned);
        match (&**name, text) {
            (TOPIC, _) => {}
            (CONTENT_TYPE, text) => properties.content_type = text,
            (RESPONSE_TOPIC, text) => properties.response_topic = text.filter(|topic| is_topic(topic)),
            (CORRELATION_DATA, _) => {
                properties.correlation_data = Some(value.to_vec()).filter(|data| data.len() <= TEXT_BYTES_MAX)
            }
            (name, Some(value)) if is_text(name) => add(&mut properties, name, value),
            // MQTT has no place for it.
            (_, _) => {}
        }
    }
    add(&mut properties, "kafka.topic", inward.topic.clone());
    add(&mut properties, "kafka.partition", partition.to_string());
    add(&mut properties, "kafka.offset", record.offset.to_string());
    add(&mut properties, "kafka.timestamp", record.timestamp.to_string());
    let key = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok()).filter(|key| is_text(key));
    if let Some(key) = key {
        add(&mut properties, "kafka.key", key.to_owned());
    }
    Ok(Arrival { topic, payload, qos: inward.qos, retain: inward.retain, properties: Some(properties) })
}

fn add(properties: &mut Properties, name: &str, value: String) {
    properties.user_properties.push(UserProperty { name: name.to_owned(), value });
}

/// Bytes of a text of MQTT.
const TEXT_BYTES_MAX: usize = 65_535;

/// Whether MQTT can carry a text \[MQTT-1.5.4-2\].
fn is_text(text: &str) -> bool {
    text.len() <= TEXT_BYTES_MAX && !text.contains('\0')
}

fn is_topic(topic: &str) -> bool {
    !topic.is_empty() && !topic.contains(['+', '#'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use lotmq_guest::route::{QoS, Template};
    use route_settings::TopicPattern;

    fn inward(destination: &str) -> Inward {
        let destination = TopicPattern::new(destination).unwrap();
        Inward { topic: "t".to_owned(), destination, qos: QoS::AtLeastOnce, retain: false }
    }

    #[test]
    fn a_message_is_the_same_behind_a_record() {
        let mut delivery = lotmq_guest::route::testing::delivery("plant/oven", "81");
        let properties = Properties {
            content_type: Some("text/plain".to_owned()),
            response_topic: Some("answer".to_owned()),
            correlation_data: Some(vec![0, 255]),
            user_properties: vec![UserProperty { name: "a".to_owned(), value: "1".to_owned() }],
            ..Properties::default()
        };
        delivery.properties = Some(properties.clone());
        let outward = Outward { topic: "t".to_owned(), key: Some(Template::plain("KEY", "oven")) };
        let record = record_of(&delivery, &outward);
        assert_eq!((record.key.as_deref(), record.value.as_deref()), (Some(&b"oven"[..]), Some(&b"81"[..])));
        assert_eq!(record.headers[0], (TOPIC.to_owned(), Some(Bytes::from("plant/oven"))));
        let arrival = arrival_of(&record, &inward("back/+"), 3).unwrap();
        assert_eq!((&*arrival.topic, &*arrival.payload), ("back/oven", &b"81"[..]));
        let back = arrival.properties.unwrap();
        assert_eq!(
            (back.content_type, back.response_topic),
            (properties.content_type, properties.response_topic)
        );
        assert_eq!(back.correlation_data, properties.correlation_data);
        let names: Vec<&str> = back.user_properties.iter().map(|property| &*property.name).collect();
        assert_eq!(
            names,
            ["a", "kafka.topic", "kafka.partition", "kafka.offset", "kafka.timestamp", "kafka.key"]
        );
    }

    #[test]
    fn what_mqtt_cannot_carry_is_left_out() {
        let header = |name: &str, value: &'static [u8]| (name.to_owned(), Some(Bytes::from_static(value)));
        let headers = vec![
            header("bytes", &[0xff]),
            header("n\0l", b"x"),
            header(RESPONSE_TOPIC, b"a/+"),
            ("none".to_owned(), None),
        ];
        let record = Record { headers, key: Some(Bytes::from_static(&[0xff])), ..Record::default() };
        let arrival = arrival_of(&record, &inward("a"), 0).unwrap();
        assert!(arrival.payload.is_empty());
        let properties = arrival.properties.unwrap();
        assert_eq!(properties.response_topic, None);
        assert_eq!(properties.user_properties[0].name, "none");
        assert_eq!(properties.user_properties.len(), 5);
        assert_eq!(arrival_of(&record, &inward("a/+"), 0).unwrap_err(), "its key is not UTF-8");
    }
}
