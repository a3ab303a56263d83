//! The format of `lotmq sub -F`: text with `%` placeholders and `\` escapes, as `mosquitto_sub` has
//! them.

use std::io::IsTerminal as _;

use jiff::Timestamp;
use lotmq_client::{Message, PropertyId};
use serde_json::{Map, Value, json};

use super::pretty::pretty;
use lotmq_terminal::text::printable_lines;

/// A format, read and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    parts: Vec<Part>,
    /// Whether a terminal shows it, to which a message must give no orders.
    is_shown: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
}

/// Part of a message that a placeholder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    TopicAlias,
    ContentType,
    CorrelationData,
    ExpiryInterval,
    PayloadFormat,
    IsoTime,
    JsonLine,
    JsonPretty,
    PayloadLength,
    PacketId,
    Payload,
    PayloadPretty,
    UserProperties,
    Qos,
    Retain,
    ResponseTopic,
    SubscriptionIds,
    Topic,
    UnixTime,
    HexLower,
    HexUpper,
}

const FIELDS: [(char, Field); 20] = [
    ('A', Field::TopicAlias),
    ('C', Field::ContentType),
    ('D', Field::CorrelationData),
    ('E', Field::ExpiryInterval),
    ('F', Field::PayloadFormat),
    ('I', Field::IsoTime),
    ('j', Field::JsonLine),
    ('J', Field::JsonPretty),
    ('l', Field::PayloadLength),
    ('m', Field::PacketId),
    ('p', Field::Payload),
    ('P', Field::UserProperties),
    ('q', Field::Qos),
    ('r', Field::Retain),
    ('R', Field::ResponseTopic),
    ('S', Field::SubscriptionIds),
    ('t', Field::Topic),
    ('U', Field::UnixTime),
    ('x', Field::HexLower),
    ('X', Field::HexUpper),
];

impl Format {
    /// Without `-F`: payload, with `-v` after its topic and a blank.
    pub(crate) fn plain(with_topic: bool) -> Self {
        let mut parts = Vec::new();
        if with_topic {
            parts.extend([Part::Field(Field::Topic), Part::Text(" ".to_owned())]);
        }
        parts.extend([Part::Field(Field::Payload), Part::Text("\n".to_owned())]);
        Self { parts, is_shown: false }
    }

    /// The same without the line break at its end.
    pub(crate) fn without_line_break(mut self) -> Self {
        if let Some(Part::Text(text)) = self.parts.last_mut()
            && text.ends_with('\n')
        {
            text.pop();
        }
        self
    }

    /// The same where it goes to a terminal: control characters of messages are shown as `?`, those
    /// of the format stay.
    pub(crate) fn shown(self) -> Self {
        Self { is_shown: std::io::stdout().is_terminal(), ..self }
    }

    /// The same with JSON over several lines: payloads, and what `%j` stands for.
    pub(crate) fn pretty(mut self) -> Self {
        for part in &mut self.parts {
            match part {
                Part::Field(field @ Field::Payload) => *field = Field::PayloadPretty,
                Part::Field(field @ Field::JsonLine) => *field = Field::JsonPretty,
                Part::Field(_) | Part::Text(_) => {}
            }
        }
        self
    }

    /// Reads a format; a line break is added at its end, as `mosquitto_sub` does.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut chars = text.chars();
        while let Some(char) = chars.next() {
            match char {
                '%' => match chars.next() {
                    Some('%') => literal.push('%'),
                    Some(letter) => {
                        parts.push(Part::Text(std::mem::take(&mut literal)));
                        parts.push(Part::Field(field(letter)?));
                    }
                    None => return Err("`%` at the end; write `%%` for a percent sign".to_owned()),
                },
                '\\' => literal.push(escape(chars.next())?),
                other => literal.push(other),
            }
        }
        literal.push('\n');
        parts.push(Part::Text(literal));
        parts.retain(|part| *part != Part::Text(String::new()));
        Ok(Self { parts, is_shown: false })
    }

    /// The bytes to print for a message that arrived at `now`.
    pub(crate) fn render(&self, message: &Message, now: Timestamp) -> Vec<u8> {
        let mut out = Vec::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Field(Field::Payload) => self.add(&mut out, &message.payload),
                Part::Field(Field::PayloadPretty) => match pretty(&message.payload) {
                    Some(text) => self.add(&mut out, text.as_bytes()),
                    None => self.add(&mut out, &message.payload),
                },
                Part::Field(field) => self.add(&mut out, show(*field, message, now).as_bytes()),
            }
        }
        out
    }

    /// Adds what a message has.
    fn add(&self, out: &mut Vec<u8>, value: &[u8]) {
        if !self.is_shown {
            return out.extend_from_slice(value);
        }
        let text = String::from_utf8_lossy(value);
        let lines: Vec<String> = printable_lines(&text).collect();
        out.extend_from_slice(lines.join("\n").as_bytes());
        if text.ends_with('\n') {
            out.push(b'\n');
        }
    }
}

fn field(letter: char) -> Result<Field, String> {
    let known = FIELDS.iter().find(|(known, _)| *known == letter);
    known.map(|(_, field)| *field).ok_or_else(|| format!("`%{letter}` is no placeholder"))
}

fn escape(letter: Option<char>) -> Result<char, String> {
    Ok(match letter {
        Some('\\') => '\\',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('0') => '\0',
        Some('a') => '\u{7}',
        Some('e') => '\u{1b}',
        Some('v') => '\u{b}',
        Some(other) => return Err(format!("`\\{other}` is no escape")),
        None => return Err("`\\` at the end; write `\\\\` for a backslash".to_owned()),
    })
}

fn show(field: Field, message: &Message, now: Timestamp) -> String {
    let properties = message.properties();
    let owned = |text: Option<&str>| text.unwrap_or_default().to_owned();
    match field {
        Field::TopicAlias => properties.topic_alias().map(|alias| alias.to_string()).unwrap_or_default(),
        Field::ContentType => owned(properties.content_type()),
        Field::CorrelationData => {
            String::from_utf8_lossy(properties.correlation_data().unwrap_or_default()).into_owned()
        }
        Field::ExpiryInterval => {
            properties.message_expiry_interval().map(|seconds| seconds.to_string()).unwrap_or_default()
        }
        Field::PayloadFormat => u8::from(properties.payload_is_utf8()).to_string(),
        Field::IsoTime => iso_time(now),
        Field::JsonLine => Value::Object(json_of(message, now)).to_string(),
        Field::JsonPretty => format!("{:#}", Value::Object(json_of(message, now))),
        Field::PayloadLength => message.payload.len().to_string(),
        Field::PacketId => message.packet_id.map_or(0, |packet_id| packet_id.get()).to_string(),
        Field::Payload | Field::PayloadPretty => message.text(),
        Field::UserProperties => properties
            .user_properties()
            .map(|(name, value)| format!("{name}:{value}"))
            .collect::<Vec<_>>()
            .join(" "),
        Field::Qos => message.qos.bits().to_string(),
        Field::Retain => u8::from(message.retain).to_string(),
        Field::ResponseTopic => owned(properties.response_topic()),
        Field::SubscriptionIds => {
            let ids: Vec<String> = message.subscription_ids().iter().map(u32::to_string).collect();
            ids.join(" ")
        }
        Field::Topic => message.topic.clone(),
        Field::UnixTime => format!("{}.{:09}", now.as_second(), now.subsec_nanosecond()),
        Field::HexLower => data_encoding::HEXLOWER.encode(&message.payload),
        Field::HexUpper => data_encoding::HEXUPPER.encode(&message.payload),
    }
}

fn iso_time(now: Timestamp) -> String {
    now.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%dT%H:%M:%S%z").to_string()
}

/// The keys of `mosquitto_sub -F %j`.
fn json_of(message: &Message, now: Timestamp) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("tst".to_owned(), json!(iso_time(now)));
    object.insert("topic".to_owned(), json!(message.topic));
    object.insert("qos".to_owned(), json!(message.qos.bits()));
    object.insert("retain".to_owned(), json!(u8::from(message.retain)));
    object.insert("payloadlen".to_owned(), json!(message.payload.len()));
    if let Some(packet_id) = message.packet_id {
        object.insert("mid".to_owned(), json!(packet_id.get()));
    }
    let properties = properties_of(message);
    if !properties.is_empty() {
        object.insert("properties".to_owned(), Value::Object(properties));
    }
    let text = message.text();
    object.insert("payload".to_owned(), serde_json::from_str(&text).unwrap_or(Value::String(text)));
    object
}

/// The properties of the message, named as `mosquitto_sub -F %j` names them.
fn properties_of(message: &Message) -> Map<String, Value> {
    let properties = message.properties();
    let mut object = Map::new();
    if properties.contains(PropertyId::PayloadFormatIndicator) {
        object.insert("payload-format-indicator".to_owned(), json!(u8::from(properties.payload_is_utf8())));
    }
    let ids = message.subscription_ids();
    let correlation = properties.correlation_data().map(|data| String::from_utf8_lossy(data));
    for (name, value) in [
        ("message-expiry-interval", properties.message_expiry_interval().map(Value::from)),
        ("content-type", properties.content_type().map(Value::from)),
        ("response-topic", properties.response_topic().map(Value::from)),
        ("correlation-data", correlation.map(Value::from)),
        ("subscription-identifier", ids.first().map(|id| json!(id))),
        ("topic-alias", properties.topic_alias().map(|alias| json!(alias.get()))),
    ] {
        value.map(|value| object.insert(name.to_owned(), value));
    }
    let mut pairs = Map::new();
    for (name, value) in properties.user_properties() {
        pairs.insert(name.to_owned(), json!(value));
    }
    if !pairs.is_empty() {
        object.insert("user-properties".to_owned(), Value::Object(pairs));
    }
    object
}

#[cfg(test)]
mod tests {
    use lotmq_client::{PacketId, PropertyBuf, PropertyValue, QoS};

    use super::*;

    fn message() -> Message {
        let mut properties = PropertyBuf::new();
        properties.push(PropertyId::ContentType, PropertyValue::Utf8("text/plain")).unwrap();
        properties.push(PropertyId::UserProperty, PropertyValue::Utf8Pair("a", "b")).unwrap();
        properties.push(PropertyId::SubscriptionIdentifier, PropertyValue::VarInt(7)).unwrap();
        Message {
            topic: "t/1".to_owned(),
            payload: b"{\"v\":1}\xab".to_vec(),
            qos: QoS::AtLeastOnce,
            retain: true,
            dup: false,
            packet_id: PacketId::new(9),
            properties,
        }
    }

    #[test]
    fn placeholders_are_filled_in() {
        let now = Timestamp::new(1_700_000_000, 5).unwrap();
        for (format, expected) in [
            ("%t %q%r %l %m", "t/1 11 8 9\n"),
            ("%%\\t[%C] %P %S", "%\t[text/plain] a:b 7\n"),
            ("%x %X", "7b2276223a317dab 7B2276223A317DAB\n"),
            ("%U", "1700000000.000000005\n"),
            ("[%R%E%D]%F", "[]0\n"),
            ("", "\n"),
        ] {
            let rendered = Format::parse(format).unwrap().render(&message(), now);
            assert_eq!(String::from_utf8_lossy(&rendered), expected, "{format}");
        }
    }

    #[test]
    fn payload_is_printed_as_it_is() {
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(Format::plain(false).render(&message(), now), b"{\"v\":1}\xab\n");
        let of_one_line = Format::plain(true).without_line_break();
        assert_eq!(of_one_line.render(&message(), now), b"t/1 {\"v\":1}\xab");
        // As with mosquitto_sub, a break that the format has itself stays.
        let twice = Format::parse("%l\\n").unwrap().without_line_break();
        assert_eq!(twice.render(&message(), now), b"8\n");
    }

    #[test]
    fn a_message_gives_no_orders_to_a_terminal() {
        let mut message = message();
        message.payload = b"a\x1b[31m\xc2\x9b\tb\r\nc\n".to_vec();
        let format = Format { is_shown: true, ..Format::parse("\\e[1m%p\\e[0m").unwrap() };
        let text = String::from_utf8(format.render(&message, Timestamp::UNIX_EPOCH)).unwrap();
        assert_eq!(text, "\u{1b}[1ma?[31m?\tb\nc\n\u{1b}[0m\n");
    }

    #[test]
    fn json_holds_json_payloads_as_such() {
        let mut message = message();
        message.payload.pop();
        let line = Format::parse("%j").unwrap().render(&message, Timestamp::UNIX_EPOCH);
        let value: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(value["payload"]["v"], 1);
        assert_eq!((value["mid"].as_u64(), value["retain"].as_u64()), (Some(9), Some(1)));
        let expected = json!({
            "content-type": "text/plain",
            "subscription-identifier": 7,
            "user-properties": {"a": "b"}
        });
        assert_eq!(value["properties"], expected);
        let pretty = Format::parse("%t %p").unwrap().pretty().render(&message, Timestamp::UNIX_EPOCH);
        assert_eq!(String::from_utf8_lossy(&pretty), "t/1 {\n  \"v\": 1\n}\n");
    }

    #[test]
    fn wrong_formats_are_refused() {
        for (format, expected) in [
            ("%z", "`%z` is no placeholder"),
            ("\\q", "`\\q` is no escape"),
            ("a%", "`%` at the end; write `%%` for a percent sign"),
        ] {
            assert_eq!(Format::parse(format), Err(expected.to_owned()));
        }
    }
}
