//! Recipients of the broker's answers: protocol version, Maximum Packet Size, and whether reasons
//! are wanted in words.
//!
//! Words go with every refusal to a 5.0 Client, as a Reason String: in CONNACK and DISCONNECT
//! always, elsewhere unless it set Request Problem Information to 0 \[MQTT-3.1.2-29\]. They say
//! what is wrong with what this very Client sent, never what others have or do. The only User
//! Properties of the broker's own are those of CONNACK that grant the zstd stream.

use std::fmt::Display;
use std::num::NonZeroU32;

use lotmq_codec::{
    Connect, EncodeError, Properties, PropertyBuf, PropertyId, PropertyValue, ProtocolVersion, encode_within,
};

/// Recipient of answers, with what it can read.
#[derive(Clone, Copy, Debug)]
pub struct Recipient {
    pub(crate) version: ProtocolVersion,
    /// Its Maximum Packet Size.
    pub packet_bytes_max: u32,
    /// Whether Reason Strings are welcome in acknowledgements: Request Problem Information, which
    /// no version before 5.0 has.
    pub(crate) wants_reasons: bool,
}

impl Recipient {
    pub(crate) fn of(connect: &Connect<'_>) -> Self {
        let Connect { version, properties, .. } = connect;
        Self {
            version: *version,
            packet_bytes_max: properties.maximum_packet_size().map_or(u32::MAX, NonZeroU32::get),
            wants_reasons: version.has_properties() && properties.request_problem_information(),
        }
    }

    /// Appends a CONNACK or DISCONNECT with a reason in words, or without where it would be too
    /// large so.
    ///
    /// # Errors
    /// Those of `encode`, and [`EncodeError::PacketTooLarge`]; nothing is appended then.
    pub fn explain(
        self,
        out: &mut Vec<u8>,
        words: &dyn Display,
        encode: impl FnMut(&mut Vec<u8>, Properties<'_>) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        self.explain_with(out, words, &[], encode)
    }

    /// Appends a packet as [`explain`](Self::explain) does, with User Properties as well.
    ///
    /// # Errors
    /// As [`explain`](Self::explain).
    pub(crate) fn explain_with(
        self,
        out: &mut Vec<u8>,
        words: &dyn Display,
        user_properties: &[(Box<str>, Box<str>)],
        encode: impl FnMut(&mut Vec<u8>, Properties<'_>) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let mut list = PropertyBuf::new();
        if self.version.has_properties() {
            let words = words.to_string();
            // Leaves out a text that a property cannot hold, such as one with U+0000.
            if !words.is_empty() {
                let _ = list.push(PropertyId::ReasonString, PropertyValue::Utf8(&words));
            }
            for (name, value) in user_properties {
                let _ = list.push(PropertyId::UserProperty, PropertyValue::Utf8Pair(name, value));
            }
        }
        encode_within(out, self.packet_bytes_max, list.properties(), encode)
    }

    /// Appends an acknowledgement with a reason in words, for those who want it and take so large a
    /// packet. One that is too large without words is appended all the same: whoever sends it finds
    /// that out.
    pub(crate) fn explain_acknowledgement(
        self,
        out: &mut Vec<u8>,
        words: &dyn Display,
        mut encode: impl FnMut(&mut Vec<u8>, Properties<'_>) -> Result<(), EncodeError>,
    ) {
        let is_said = self.wants_reasons && self.explain(out, words, &mut encode).is_ok();
        if !is_said {
            encode(out, Properties::EMPTY)
                .expect("every reason that the broker chooses is one that the packet can carry");
        }
    }
}

#[cfg(test)]
mod tests {
    use lotmq_codec::{Ack, AckType, PacketId, ReasonCode, encode_ack};

    use super::*;

    #[test]
    fn words_are_for_those_who_want_them_and_take_them() {
        let said = |recipient: Recipient| {
            let mut out = Vec::new();
            recipient.explain_acknowledgement(&mut out, &"why", |out, properties| {
                let packet_id = PacketId::MIN;
                let reason = ReasonCode::NotAuthorized;
                let ack = Ack { ack_type: AckType::Puback, packet_id, reason, properties };
                encode_ack(out, recipient.version, &ack)
            });
            out
        };
        let welcome =
            Recipient { version: ProtocolVersion::V5, packet_bytes_max: u32::MAX, wants_reasons: true };
        let long = [&[0x40, 10, 0, 1, 0x87, 6, 0x1F, 0, 3][..], b"why"].concat();
        let short = [0x40, 3, 0, 1, 0x87];
        for (recipient, expected) in [
            (welcome, &long[..]),
            (Recipient { packet_bytes_max: 12, ..welcome }, &long),
            (Recipient { packet_bytes_max: 11, ..welcome }, &short),
            (Recipient { packet_bytes_max: 2, ..welcome }, &short),
            (Recipient { wants_reasons: false, ..welcome }, &short),
            (
                Recipient { version: ProtocolVersion::V3_1_1, wants_reasons: false, ..welcome },
                &[0x40, 2, 0, 1],
            ),
        ] {
            assert_eq!(said(recipient), expected, "{recipient:?}");
        }
    }
}
