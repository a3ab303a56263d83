//! CONNECT: the first packet of a connection, with all settings of the Client (§3.1).
//!
//! Not here: whether the Client may connect, and limits on Client Identifiers. `auth` and `server`
//! check those.

use crate::encode::put_properties;
use crate::error::{DecodeError, EncodeError};
use crate::property_id::PropertyId;
use crate::read::Reader;
use crate::topic_name::is_topic_name;
use crate::write::{frame, put_binary, put_string};
use crate::{PacketType, Properties, PropertyPlace, ProtocolVersion, QoS};

const RESERVED: u8 = 0b0000_0001;
const CLEAN_START: u8 = 0b0000_0010;
const WILL: u8 = 0b0000_0100;
const WILL_QOS_SHIFT: u8 = 3;
const WILL_RETAIN: u8 = 0b0010_0000;
const PASSWORD: u8 = 0b0100_0000;
const USER_NAME: u8 = 0b1000_0000;

/// A CONNECT packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// The version that the Client speaks; from Protocol Name and Protocol Level.
    pub version: ProtocolVersion,
    /// Whether to discard an existing session. Before 5.0 this is Clean Session, which also ends
    /// the new session with the connection.
    pub clean_start: bool,
    /// Seconds between packets of the Client at most; 0 turns the check off \[MQTT-3.1.2-22\].
    pub keep_alive: u16,
    /// Properties about the connection.
    pub properties: Properties<'a>,
    /// The Client Identifier; empty when the server is to assign one \[MQTT-3.1.3-6\].
    pub client_id: &'a str,
    /// Message to publish if the connection ends without a normal DISCONNECT.
    pub will: Option<Will<'a>>,
    /// The user name; may be empty.
    pub user_name: Option<&'a str>,
    /// The password, any bytes. In 5.0 also without user name.
    pub password: Option<&'a [u8]>,
}

/// The Will of a CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Will<'a> {
    /// QoS to publish it with.
    pub qos: QoS,
    /// Whether to publish it as retained.
    pub retain: bool,
    /// Its properties, Will Delay Interval included.
    pub properties: Properties<'a>,
    /// Its Topic Name, not empty and without wildcards.
    pub topic: &'a str,
    /// Its payload, at most 65 535 bytes; may be empty.
    pub payload: &'a [u8],
}

impl<'a> Connect<'a> {
    /// Reads the body of a CONNECT.
    ///
    /// # Errors
    /// [`DecodeError`] as its variants say.
    /// [`encode_connect_refusal`](crate::encode_connect_refusal) answers those that allow an
    /// answer.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let version = version(&mut reader)?;
        let flags = reader.u8()?;
        check_flags(flags, version)?;
        let keep_alive = reader.u16()?;
        let properties = Properties::parse_for(version, &mut reader, PropertyPlace::Connect)?;
        if properties.contains(PropertyId::AuthenticationData)
            && !properties.contains(PropertyId::AuthenticationMethod)
        {
            return Err(DecodeError::AuthenticationMethodMissing);
        }
        let connect = Self {
            version,
            clean_start: flags & CLEAN_START != 0,
            keep_alive,
            properties,
            client_id: reader.string()?,
            will: if flags & WILL != 0 { Some(Will::read(&mut reader, flags, version)?) } else { None },
            user_name: if flags & USER_NAME != 0 { Some(reader.string()?) } else { None },
            password: if flags & PASSWORD != 0 { Some(reader.binary()?) } else { None },
        };
        reader.finish()?;
        connect.check_client_id()?;
        Ok(connect)
    }

    /// Returns the version that a CONNECT claims, even if the rest is wrong. Returns `None` if we
    /// do not speak that version.
    #[must_use]
    pub fn peek_version(body: &[u8]) -> Option<ProtocolVersion> {
        version(&mut Reader::new(body)).ok()
    }

    /// Before 5.0 the server assigns an identifier only if the session ends with the connection
    /// \[3.1.1: MQTT-3.1.3-8\]. 3.1 has no assignment, but its Clients accept one, so the same rule
    /// holds.
    const fn check_client_id(&self) -> Result<(), DecodeError> {
        if self.client_id.is_empty() && !self.clean_start && !self.version.has_properties() {
            return Err(DecodeError::ClientIdEmpty);
        }
        Ok(())
    }

    fn flags(&self) -> u8 {
        let flag = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        let will = self
            .will
            .map_or(0, |will| WILL | will.qos.bits() << WILL_QOS_SHIFT | flag(will.retain, WILL_RETAIN));
        flag(self.clean_start, CLEAN_START)
            | will
            | flag(self.password.is_some(), PASSWORD)
            | flag(self.user_name.is_some(), USER_NAME)
    }
}

impl<'a> Will<'a> {
    fn read(reader: &mut Reader<'a>, flags: u8, version: ProtocolVersion) -> Result<Self, DecodeError> {
        let qos = QoS::from_bits(flags >> WILL_QOS_SHIFT & 0b11).ok_or(DecodeError::WillQosInvalid)?;
        let will = Self {
            qos,
            retain: flags & WILL_RETAIN != 0,
            properties: Properties::parse_for(version, reader, PropertyPlace::Will)?,
            topic: reader.string()?,
            payload: reader.binary()?,
        };
        if is_topic_name(will.topic) { Ok(will) } else { Err(DecodeError::WillTopicInvalid) }
    }
}

/// Appends a CONNECT.
///
/// # Errors
/// [`EncodeError::NotInVersion`] for a password without user name before 5.0,
/// [`EncodeError::TopicNameInvalid`] for the topic of the Will, [`EncodeError::FieldTooLong`],
/// [`EncodeError::StringContainsNul`], [`EncodeError::PropertyNotAllowed`].
pub fn encode_connect(out: &mut Vec<u8>, connect: &Connect<'_>) -> Result<(), EncodeError> {
    let version = connect.version;
    if connect.password.is_some() && connect.user_name.is_none() && !version.has_properties() {
        return Err(EncodeError::NotInVersion { packet_type: PacketType::Connect });
    }
    frame(out, PacketType::Connect.first_byte(), |out| {
        put_string(out, version.protocol_name())?;
        out.push(version.level());
        out.push(connect.flags());
        out.extend_from_slice(&connect.keep_alive.to_be_bytes());
        put_properties(out, version, connect.properties, PropertyPlace::Connect)?;
        put_string(out, connect.client_id)?;
        if let Some(will) = &connect.will {
            put_will(out, version, will)?;
        }
        if let Some(user_name) = connect.user_name {
            put_string(out, user_name)?;
        }
        connect.password.map_or(Ok(()), |password| put_binary(out, password))
    })
}

fn put_will(out: &mut Vec<u8>, version: ProtocolVersion, will: &Will<'_>) -> Result<(), EncodeError> {
    if !is_topic_name(will.topic) {
        return Err(EncodeError::TopicNameInvalid);
    }
    put_properties(out, version, will.properties, PropertyPlace::Will)?;
    put_string(out, will.topic)?;
    put_binary(out, will.payload)
}

fn version(reader: &mut Reader<'_>) -> Result<ProtocolVersion, DecodeError> {
    let name = reader.binary().map_err(|_| DecodeError::ProtocolNameInvalid)?;
    if name != b"MQTT" && name != b"MQIsdp" {
        return Err(DecodeError::ProtocolNameInvalid);
    }
    let level = reader.u8()?;
    [ProtocolVersion::V3_1, ProtocolVersion::V3_1_1, ProtocolVersion::V5]
        .into_iter()
        .find(|version| version.level() == level && version.protocol_name().as_bytes() == name)
        .ok_or(DecodeError::ProtocolLevelUnsupported { level })
}

fn check_flags(flags: u8, version: ProtocolVersion) -> Result<(), DecodeError> {
    let will_details = flags & (0b11 << WILL_QOS_SHIFT | WILL_RETAIN);
    // 3.1 left the lowest bit unused and unchecked; only from 3.1.1 on must it be 0 [MQTT-3.1.2-3].
    if flags & RESERVED != 0 && version != ProtocolVersion::V3_1 {
        return Err(DecodeError::ConnectFlagReserved);
    }
    if flags & WILL == 0 && will_details != 0 {
        return Err(DecodeError::WillFlagsWithoutWill);
    }
    if flags & PASSWORD != 0 && flags & USER_NAME == 0 && !version.has_properties() {
        return Err(DecodeError::PasswordWithoutUserName);
    }
    Ok(())
}
