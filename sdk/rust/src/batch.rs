//! Batch of deliveries as received. Its texts can be read in place, in the lists of
//! `route-batches`.

use super::{
    Addressee, Delivery, Failure, Message, PayloadFormat, PlaceholderValues, Properties, QoS, TagName,
    UserProperty, Value,
};

/// Batch of deliveries as received: the input of
/// [`Route::deliver_batch`](super::Route::deliver_batch).
#[derive(Debug)]
pub struct DeliveryBatch(Came);

/// In which form it came.
#[derive(Debug)]
enum Came {
    Records(Vec<Delivery>),
    Lists { numbers: Vec<u32>, bytes: Vec<u8> },
}

impl DeliveryBatch {
    pub(super) fn of_lists(numbers: Vec<u32>, bytes: Vec<u8>) -> DeliveryBatch {
        DeliveryBatch(Came::Lists { numbers, bytes })
    }

    /// Returns the deliveries. Their topics and payloads borrow from the batch and need no memory
    /// of their own. A second call returns deliveries from records without properties and
    /// placeholders.
    ///
    /// # Errors
    /// `Fatal` for a malformed batch, which only a broker with another contract sends.
    pub fn deliveries(&mut self) -> Result<Vec<DeliveryRef<'_>>, Failure> {
        match &mut self.0 {
            Came::Records(deliveries) => Ok(deliveries.iter_mut().map(DeliveryRef::of).collect()),
            Came::Lists { numbers, bytes } => Ok(deliveries(numbers, bytes)?),
        }
    }

    /// The deliveries with texts of their own; the memory of the batch is free afterwards.
    ///
    /// # Errors
    /// As for [`deliveries`](DeliveryBatch::deliveries).
    pub fn into_deliveries(self) -> Result<Vec<Delivery>, Failure> {
        match self.0 {
            Came::Records(deliveries) => Ok(deliveries),
            Came::Lists { numbers, bytes } => {
                Ok(deliveries(&numbers, &bytes)?.into_iter().map(DeliveryRef::into_owned).collect())
            }
        }
    }
}

impl From<Vec<Delivery>> for DeliveryBatch {
    fn from(deliveries: Vec<Delivery>) -> DeliveryBatch {
        DeliveryBatch(Came::Records(deliveries))
    }
}

/// A delivery whose topic, payload and names lie in its [`DeliveryBatch`].
#[derive(Clone, Debug)]
pub struct DeliveryRef<'a> {
    /// Rises from message to message of the definition, by one or more; the same after a retry.
    pub sequence: u64,
    /// Part of the definition that takes the delivery.
    pub to: AddresseeRef<'a>,
    /// The message.
    pub message: DeliveredMessage<'a>,
    /// Its properties of MQTT 5.0; none when it has none.
    pub properties: Option<Properties>,
    /// When the broker received it, in milliseconds since 1970-01-01 UTC.
    pub received_ms: i64,
    /// Values of the placeholders in that event or mapping, for each setting with placeholders.
    pub placeholders: Vec<PlaceholderValues>,
}

/// Target of a delivery; see [`Addressee`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AddresseeRef<'a> {
    /// The event of this name.
    Event(&'a str),
    /// The mapping of this name.
    Mapping(&'a str),
    /// A tag of a mapping.
    Tag {
        /// Name of the mapping.
        mapping: &'a str,
        /// Name of the tag.
        tag: &'a str,
    },
    /// The table of this name.
    Table(&'a str),
}

/// The message of a delivery; see [`Message`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeliveredMessage<'a> {
    /// Topic Name.
    pub topic: &'a str,
    /// Payload.
    pub payload: &'a [u8],
    /// Quality of service.
    pub qos: QoS,
    /// RETAIN flag.
    pub retain: bool,
    /// Client Identifier of the publisher.
    pub client_id: &'a str,
}

impl<'a> DeliveryRef<'a> {
    /// Borrows the parts of a delivery. Moves properties and placeholder values out of it.
    fn of(delivery: &'a mut Delivery) -> DeliveryRef<'a> {
        let Delivery { sequence, to, message, properties, received_ms, placeholders } = delivery;
        let to = match to {
            Addressee::Event(name) => AddresseeRef::Event(name),
            Addressee::Mapping(name) => AddresseeRef::Mapping(name),
            Addressee::Tag(TagName { mapping, tag }) => AddresseeRef::Tag { mapping, tag },
            Addressee::Table(name) => AddresseeRef::Table(name),
        };
        let Message { topic, payload, qos, retain, client_id } = message;
        DeliveryRef {
            sequence: *sequence,
            to,
            message: DeliveredMessage { topic, payload, qos: *qos, retain: *retain, client_id },
            properties: properties.take(),
            received_ms: *received_ms,
            placeholders: std::mem::take(placeholders),
        }
    }

    /// The same with texts of its own.
    pub fn into_owned(self) -> Delivery {
        let DeliveryRef { sequence, to, message, properties, received_ms, placeholders } = self;
        let to = match to {
            AddresseeRef::Event(name) => Addressee::Event(name.to_owned()),
            AddresseeRef::Mapping(name) => Addressee::Mapping(name.to_owned()),
            AddresseeRef::Tag { mapping, tag } => {
                Addressee::Tag(TagName { mapping: mapping.to_owned(), tag: tag.to_owned() })
            }
            AddresseeRef::Table(name) => Addressee::Table(name.to_owned()),
        };
        let DeliveredMessage { topic, payload, qos, retain, client_id } = message;
        let (topic, payload, client_id) = (topic.to_owned(), payload.to_owned(), client_id.to_owned());
        let message = Message { topic, payload, qos, retain, client_id };
        Delivery { sequence, to, message, properties, received_ms, placeholders }
    }
}

/// Numbers with which a delivery begins.
const HEAD_NUMBERS: usize = 11;
/// Bits of a message's flags: RETAIN, and the parts that follow its head.
const RETAIN: u32 = 4;
const HAS_PROPERTIES: u32 = 8;
const HAS_PLACEHOLDERS: u32 = 16;
/// Bits of the properties that are there.
const UTF8: u32 = 1;
const EXPIRY: u32 = 2;
const CONTENT_TYPE: u32 = 4;
const RESPONSE_TOPIC: u32 = 8;
const CORRELATION_DATA: u32 = 16;

/// Why two lists are no batch; only a broker with another contract sends such.
#[derive(Clone, Copy, Debug, PartialEq)]
enum MalformedBatch {
    /// The numbers end within a delivery.
    NumbersEnd,
    /// The bytes end before a length.
    BytesEnd,
    /// Bytes are left after the last delivery.
    BytesLeft(usize),
    /// A text is no UTF-8.
    NotUtf8,
    /// Unknown number for the QoS, the target, the properties or the kind of a value.
    Unknown(u32),
}

impl From<MalformedBatch> for Failure {
    fn from(malformed: MalformedBatch) -> Failure {
        Failure::Fatal(match malformed {
            MalformedBatch::NumbersEnd => {
                "the broker's batch is malformed: its numbers end within a delivery".to_owned()
            }
            MalformedBatch::BytesEnd => {
                "the broker's batch is malformed: its bytes end within a delivery".to_owned()
            }
            MalformedBatch::BytesLeft(bytes) => {
                format!("the broker's batch is malformed: {bytes} bytes are left behind its last delivery")
            }
            MalformedBatch::NotUtf8 => "the broker's batch is malformed: a text is no UTF-8".to_owned(),
            MalformedBatch::Unknown(number) => {
                format!("the broker's batch is malformed: {number} means nothing in its place")
            }
        })
    }
}

/// The deliveries of a batch.
fn deliveries<'a>(numbers: &'a [u32], bytes: &'a [u8]) -> Result<Vec<DeliveryRef<'a>>, MalformedBatch> {
    let mut reader = Reader { numbers, bytes };
    let mut deliveries = Vec::with_capacity(numbers.len() / HEAD_NUMBERS);
    while !reader.numbers.is_empty() {
        deliveries.push(reader.delivery()?);
    }
    match reader.bytes.len() {
        0 => Ok(deliveries),
        left => Err(MalformedBatch::BytesLeft(left)),
    }
}

/// Unread rest of the lists.
struct Reader<'a> {
    numbers: &'a [u32],
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn delivery(&mut self) -> Result<DeliveryRef<'a>, MalformedBatch> {
        let (head, rest) =
            self.numbers.split_first_chunk::<HEAD_NUMBERS>().ok_or(MalformedBatch::NumbersEnd)?;
        self.numbers = rest;
        let [sequence, sequence_high, received, received_high, how, kind, lengths @ ..] = *head;
        let [name, tag, topic, payload, client_id] = lengths;
        let (name, tag, topic) = (self.text(name)?, self.text(tag)?, self.text(topic)?);
        let (payload, client_id) = (self.take(payload)?, self.text(client_id)?);
        let to = match kind {
            0 => AddresseeRef::Event(name),
            1 => AddresseeRef::Mapping(name),
            2 => AddresseeRef::Tag { mapping: name, tag },
            3 => AddresseeRef::Table(name),
            _ => return Err(MalformedBatch::Unknown(kind)),
        };
        let qos = match how & !(RETAIN | HAS_PROPERTIES | HAS_PLACEHOLDERS) {
            0 => QoS::AtMostOnce,
            1 => QoS::AtLeastOnce,
            2 => QoS::ExactlyOnce,
            _ => return Err(MalformedBatch::Unknown(how)),
        };
        let message = DeliveredMessage { topic, payload, qos, retain: how & RETAIN != 0, client_id };
        let properties = if how & HAS_PROPERTIES != 0 { Some(self.properties()?) } else { None };
        let placeholders = if how & HAS_PLACEHOLDERS != 0 { self.placeholders()? } else { Vec::new() };
        let (sequence, received_ms) = (wide(sequence, sequence_high), wide(received, received_high) as i64);
        Ok(DeliveryRef { sequence, to, message, properties, received_ms, placeholders })
    }

    fn properties(&mut self) -> Result<Properties, MalformedBatch> {
        let there = self.number()?;
        if there >= CORRELATION_DATA * 2 {
            return Err(MalformedBatch::Unknown(there));
        }
        let has = |bit: u32| there & bit != 0;
        Ok(Properties {
            payload_format: if has(UTF8) { PayloadFormat::Utf8 } else { PayloadFormat::Unspecified },
            expiry_seconds: if has(EXPIRY) { Some(self.number()?) } else { None },
            content_type: if has(CONTENT_TYPE) { Some(self.next_text()?.to_owned()) } else { None },
            response_topic: if has(RESPONSE_TOPIC) { Some(self.next_text()?.to_owned()) } else { None },
            correlation_data: if has(CORRELATION_DATA) { Some(self.next_part()?.to_owned()) } else { None },
            user_properties: self.some(|reader| {
                let (name, value) = (reader.number()?, reader.number()?);
                let (name, value) = (reader.text(name)?.to_owned(), reader.text(value)?.to_owned());
                Ok(UserProperty { name, value })
            })?,
        })
    }

    fn placeholders(&mut self) -> Result<Vec<PlaceholderValues>, MalformedBatch> {
        self.some(|reader| {
            let setting = reader.next_text()?.to_owned();
            Ok(PlaceholderValues { setting, values: reader.some(Reader::value)? })
        })
    }

    fn value(&mut self) -> Result<Value, MalformedBatch> {
        Ok(match self.number()? {
            0 => Value::Empty,
            1 => Value::Null,
            2 => match self.number()? {
                is @ 0..=1 => Value::Boolean(is == 1),
                number => return Err(MalformedBatch::Unknown(number)),
            },
            3 => Value::Integer(self.wide()? as i64),
            4 => Value::Double(f64::from_bits(self.wide()?)),
            5 => Value::Text(self.next_text()?.to_owned()),
            6 => Value::Json(self.next_text()?.to_owned()),
            7 => Value::Bytes(self.next_part()?.to_owned()),
            8 => Value::Time(self.wide()? as i64),
            kind => return Err(MalformedBatch::Unknown(kind)),
        })
    }

    /// Reads a count and then as many items, each of which takes at least one number.
    fn some<T>(
        &mut self,
        mut one: impl FnMut(&mut Self) -> Result<T, MalformedBatch>,
    ) -> Result<Vec<T>, MalformedBatch> {
        let count = self.number()? as usize;
        if count > self.numbers.len() {
            return Err(MalformedBatch::NumbersEnd);
        }
        (0..count).map(|_| one(self)).collect()
    }

    fn number(&mut self) -> Result<u32, MalformedBatch> {
        let (number, rest) = self.numbers.split_first().ok_or(MalformedBatch::NumbersEnd)?;
        self.numbers = rest;
        Ok(*number)
    }

    fn wide(&mut self) -> Result<u64, MalformedBatch> {
        Ok(wide(self.number()?, self.number()?))
    }

    fn next_part(&mut self) -> Result<&'a [u8], MalformedBatch> {
        let length = self.number()?;
        self.take(length)
    }

    fn next_text(&mut self) -> Result<&'a str, MalformedBatch> {
        let length = self.number()?;
        self.text(length)
    }

    fn take(&mut self, length: u32) -> Result<&'a [u8], MalformedBatch> {
        let (taken, rest) = self.bytes.split_at_checked(length as usize).ok_or(MalformedBatch::BytesEnd)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn text(&mut self, length: u32) -> Result<&'a str, MalformedBatch> {
        std::str::from_utf8(self.take(length)?).map_err(|_| MalformedBatch::NotUtf8)
    }
}

fn wide(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: u32 = u32::MAX;

    /// The example of the host's test `a_batch_is_laid_out_as_the_contract_says`.
    fn example() -> (Vec<u32>, Vec<u8>) {
        let first = [2, 1, ALL, ALL, 2 + 4 + 8 + 16, 2, 1, 3, 3, 3, 1, 1 + 2 + 8 + 16, 9, 3, 2, 1, 1, 2];
        let placeholders = [1, 1, 6, 0, 2, 1, 3, ALL, ALL, 4, 0, 0x3ff0_0000, 5, 2, 8, 0, 1];
        let second = [3, 0, 4, 0, 0, 1, 3, 0, 1, 0, 0];
        let bytes = [&b"mtaga/bpaycr/t"[..], &[0, 255], b"uvvQxymapt"].concat();
        ([&first[..], &placeholders, &second].concat(), bytes)
    }

    #[test]
    fn a_batch_is_read_as_the_contract_says() {
        let (numbers, bytes) = example();
        let mut read = deliveries(&numbers, &bytes).unwrap().into_iter();
        let first = read.next().unwrap();
        assert_eq!((first.sequence, first.received_ms), ((1 << 32) + 2, -1));
        assert_eq!(first.to, AddresseeRef::Tag { mapping: "m", tag: "tag" });
        let message = DeliveredMessage {
            topic: "a/b",
            payload: b"pay",
            qos: QoS::ExactlyOnce,
            retain: true,
            client_id: "c",
        };
        assert_eq!(first.message, message);
        let said = format!("{:?} {:?}", first.properties.as_ref().unwrap(), first.placeholders);
        let properties = Properties {
            payload_format: PayloadFormat::Utf8,
            expiry_seconds: Some(9),
            content_type: None,
            response_topic: Some("r/t".to_owned()),
            correlation_data: Some(vec![0, 255]),
            user_properties: vec![UserProperty { name: "u".to_owned(), value: "vv".to_owned() }],
        };
        let values = vec![
            Value::Empty,
            Value::Boolean(true),
            Value::Integer(-1),
            Value::Double(1.0),
            Value::Text("xy".to_owned()),
            Value::Time(1 << 32),
        ];
        let placeholders = vec![PlaceholderValues { setting: "Q".to_owned(), values }];
        assert_eq!(said, format!("{properties:?} {placeholders:?}"));
        let second = read.next().unwrap().into_owned();
        assert!(matches!(&second.to, Addressee::Mapping(name) if name == "map"));
        assert_eq!((second.sequence, &*second.message.topic, second.message.payload.len()), (3, "t", 0));
        assert!(read.next().is_none() && second.properties.is_none() && second.placeholders.is_empty());
    }

    #[test]
    fn malformed_batch_is_rejected_with_the_reason() {
        let (numbers, bytes) = example();
        let changed = |index: usize, number: u32| {
            let mut changed = numbers.clone();
            changed[index] = number;
            deliveries(&changed, &bytes).map(|read| read.len())
        };
        assert_eq!(deliveries(&[], &[]).map(|read| read.len()), Ok(0));
        for (index, number, expected) in [
            (4, 3, MalformedBatch::Unknown(3)),
            (4, 32, MalformedBatch::Unknown(32)),
            (5, 4, MalformedBatch::Unknown(4)),
            (9, ALL, MalformedBatch::BytesEnd),
            (8, 12, MalformedBatch::NotUtf8),
            (11, 32, MalformedBatch::Unknown(32)),
            (15, ALL, MalformedBatch::NumbersEnd),
            (21, 9, MalformedBatch::Unknown(9)),
            (23, 2, MalformedBatch::Unknown(2)),
        ] {
            assert_eq!(changed(index, number), Err(expected), "number {index} is {number}");
        }
        let longer = [&bytes[..], b"xy"].concat();
        assert_eq!(deliveries(&numbers, &longer).map(|read| read.len()), Err(MalformedBatch::BytesLeft(2)));
    }

    #[test]
    fn foreign_lists_are_refused_or_read_and_never_more() {
        let (numbers, bytes) = example();
        // Each prefix, and each number and byte in another's place.
        for end in 0..numbers.len() {
            let _ = deliveries(&numbers[..end], &bytes);
        }
        for end in 0..bytes.len() {
            assert!(deliveries(&numbers, &bytes[..end]).is_err(), "{end} bytes");
        }
        for index in 0..numbers.len() {
            for number in [0, 1, 2, 3, 7, 31, 255, 1 << 16, ALL >> 1, ALL] {
                let mut changed = numbers.clone();
                changed[index] = number;
                let _ = deliveries(&changed, &bytes);
            }
        }
        // Lists of a generator with small numbers, as lengths and kinds are.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut read = 0;
        for _ in 0..200_000 {
            let numbers: Vec<u32> = (0..next() % 40).map(|_| (next() % 4) as u32).collect();
            let bytes: Vec<u8> = (0..next() % 40).map(|_| next() as u8 & 0x9f).collect();
            read += deliveries(&numbers, &bytes).map_or(0, |read| read.len());
        }
        assert!(read > 0, "none of them was a batch");
    }
}
