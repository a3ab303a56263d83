//! Packets of a Client, byte by byte as the standards write them.

/// A protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// 3.1.1
    V4,
    /// 5.0
    V5,
}

pub(crate) const BOTH: [Version; 2] = [Version::V4, Version::V5];

/// A packet: fixed header and body.
pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let mut left = body.len();
    loop {
        let byte = (left % 128) as u8;
        left /= 128;
        out.push(if left > 0 { byte | 0x80 } else { byte });
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(body);
    out
}

/// A string or binary field with its length.
pub(crate) fn field(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    let mut out = u16::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
    out.extend_from_slice(bytes);
    out
}

/// A property list: its length and its bytes.
pub(crate) fn properties(bytes: &[u8]) -> Vec<u8> {
    // As a packet without its first byte.
    packet(0, bytes)[1..].to_vec()
}

fn optional_properties(version: Version, bytes: &[u8]) -> Vec<u8> {
    if version == Version::V5 { properties(bytes) } else { Vec::new() }
}

/// User Property.
pub(crate) fn user_property(name: &str, value: &str) -> Vec<u8> {
    [vec![0x26], field(name), field(value)].concat()
}

/// A property with four bytes.
pub(crate) fn four(id: u8, value: u32) -> Vec<u8> {
    [vec![id], value.to_be_bytes().to_vec()].concat()
}

/// A property with two bytes.
pub(crate) fn two(id: u8, value: u16) -> Vec<u8> {
    [vec![id], value.to_be_bytes().to_vec()].concat()
}

#[derive(Clone, Debug)]
struct Will {
    topic: String,
    payload: String,
    qos: u8,
    retain: bool,
    properties: Vec<u8>,
}

/// A CONNECT.
#[derive(Clone, Debug)]
pub(crate) struct Connect {
    pub(crate) version: Version,
    id: String,
    clean: bool,
    keep_alive: u16,
    properties: Vec<u8>,
    will: Option<Will>,
    user: Option<(String, String)>,
}

impl Connect {
    /// Clean, without keep alive, session ends with the connection.
    pub(crate) fn new(version: Version, id: &str) -> Self {
        Self {
            version,
            id: id.to_owned(),
            clean: true,
            keep_alive: 0,
            properties: Vec::new(),
            will: None,
            user: None,
        }
    }

    /// A session that stays, in the way of the version; an existing one is resumed.
    pub(crate) fn kept(version: Version, id: &str) -> Self {
        let kept = Self::new(version, id).clean(false);
        if version == Version::V5 { kept.property(&four(0x11, 1000)) } else { kept }
    }

    pub(crate) fn clean(mut self, clean: bool) -> Self {
        self.clean = clean;
        self
    }

    pub(crate) fn keep_alive(mut self, seconds: u16) -> Self {
        self.keep_alive = seconds;
        self
    }

    /// Adds encoded properties; 5.0.
    pub(crate) fn property(mut self, encoded: &[u8]) -> Self {
        self.properties.extend_from_slice(encoded);
        self
    }

    pub(crate) fn will(mut self, topic: &str, payload: &str, qos: u8, retain: bool) -> Self {
        let (topic, payload) = (topic.to_owned(), payload.to_owned());
        self.will = Some(Will { topic, payload, qos, retain, properties: Vec::new() });
        self
    }

    /// Adds encoded properties of the Will; 5.0.
    pub(crate) fn will_property(mut self, encoded: &[u8]) -> Self {
        self.will.as_mut().unwrap().properties.extend_from_slice(encoded);
        self
    }

    pub(crate) fn user(mut self, name: &str, password: &str) -> Self {
        self.user = Some((name.to_owned(), password.to_owned()));
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut flags = u8::from(self.clean) << 1;
        if let Some(will) = &self.will {
            flags |= 0x04 | will.qos << 3 | u8::from(will.retain) << 5;
        }
        if self.user.is_some() {
            flags |= 0xC0;
        }
        let level = if self.version == Version::V5 { 5 } else { 4 };
        let mut body = field("MQTT");
        body.extend([level, flags]);
        body.extend(self.keep_alive.to_be_bytes());
        body.extend(optional_properties(self.version, &self.properties));
        body.extend(field(&self.id));
        if let Some(will) = &self.will {
            body.extend(optional_properties(self.version, &will.properties));
            body.extend(field(&will.topic));
            body.extend(field(&will.payload));
        }
        if let Some((name, password)) = &self.user {
            body.extend(field(name));
            body.extend(field(password));
        }
        packet(0x10, &body)
    }
}

/// A CONNECT as the test says: protocol name, level, flags, no keep alive, and what follows.
pub(crate) fn connect(name: &str, level: u8, flags: u8, rest: &[u8]) -> Vec<u8> {
    let mut body = field(name);
    body.extend([level, flags, 0, 0]);
    body.extend_from_slice(rest);
    packet(0x10, &body)
}

/// A PUBLISH. `flags` are the low four bits: DUP 8, QoS 2 and 4, RETAIN 1.
pub(crate) fn publish_with(
    version: Version,
    flags: u8,
    topic: &str,
    id: u16,
    encoded_properties: &[u8],
    payload: impl AsRef<[u8]>,
) -> Vec<u8> {
    let mut body = field(topic);
    if flags & 0b0110 != 0 {
        body.extend(id.to_be_bytes());
    }
    body.extend(optional_properties(version, encoded_properties));
    body.extend_from_slice(payload.as_ref());
    packet(0x30 | flags, &body)
}

/// A PUBLISH without properties; `id` counts only above QoS 0.
pub(crate) fn publish(version: Version, qos: u8, topic: &str, id: u16, payload: &str) -> Vec<u8> {
    publish_with(version, qos << 1, topic, id, &[], payload)
}

/// A retained PUBLISH at QoS 1.
pub(crate) fn retain(version: Version, topic: &str, id: u16, payload: &str) -> Vec<u8> {
    publish_with(version, 0b0011, topic, id, &[], payload)
}

/// A SUBSCRIBE with options bytes.
pub(crate) fn subscribe_with(
    version: Version,
    id: u16,
    encoded_properties: &[u8],
    filters: &[(&str, u8)],
) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.extend(optional_properties(version, encoded_properties));
    for (filter, options) in filters {
        body.extend(field(filter));
        body.push(*options);
    }
    packet(0x82, &body)
}

/// A SUBSCRIBE to one filter.
pub(crate) fn subscribe(version: Version, id: u16, filter: &str, qos: u8) -> Vec<u8> {
    subscribe_with(version, id, &[], &[(filter, qos)])
}

pub(crate) fn unsubscribe(version: Version, id: u16, filters: &[&str]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.extend(optional_properties(version, &[]));
    filters.iter().for_each(|filter| body.extend(field(filter)));
    packet(0xA2, &body)
}

fn ack(first: u8, id: u16) -> Vec<u8> {
    packet(first, &id.to_be_bytes())
}

pub(crate) fn puback(id: u16) -> Vec<u8> {
    ack(0x40, id)
}

pub(crate) fn pubrec(id: u16) -> Vec<u8> {
    ack(0x50, id)
}

pub(crate) fn pubrel(id: u16) -> Vec<u8> {
    ack(0x62, id)
}

pub(crate) fn pubcomp(id: u16) -> Vec<u8> {
    ack(0x70, id)
}

pub(crate) const PINGREQ: [u8; 2] = [0xC0, 0];

/// DISCONNECT as both versions know it: normal.
pub(crate) const DISCONNECT: [u8; 2] = [0xE0, 0];
