//! `-D PACKET PROPERTY VALUE`: properties of MQTT 5.0 for the packets that a tool sends, as
//! `mosquitto_pub` takes them.
//!
//! Invariant: what is kept here stands where its packet allows it, as often as it may, with a value
//! of its type. Not here: sending it.

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use lotmq_client::{PropertyBuf, PropertyId, PropertyPlace, PropertyValue};
use lotmq_terminal::Misuse;

const NAME: &str = "property";

/// The packets that can be given properties.
const PACKETS: [(&str, PropertyPlace); 5] = [
    ("connect", PropertyPlace::Connect),
    ("will", PropertyPlace::Will),
    ("publish", PropertyPlace::PublishFromClient),
    ("subscribe", PropertyPlace::Subscribe),
    ("disconnect", PropertyPlace::DisconnectFromClient),
];

/// Properties by the packet that they are for.
#[derive(Clone, Debug, Default)]
pub struct PropertyArgs {
    /// In the order of [`PACKETS`].
    lists: [PropertyBuf; PACKETS.len()],
}

impl PropertyArgs {
    /// Whether none was given.
    pub fn is_empty(&self) -> bool {
        self.lists.iter().all(|list| list.properties().is_empty())
    }

    /// The properties for a packet; none for one that cannot be given any.
    pub fn of(&self, place: PropertyPlace) -> PropertyBuf {
        let at = PACKETS.iter().position(|(_, known)| *known == place);
        at.and_then(|at| self.lists.get(at)).cloned().unwrap_or_default()
    }

    /// Refuses properties for a packet that a tool never sends.
    ///
    /// # Errors
    /// [`Misuse`] when there are such.
    pub fn refuse(&self, place: PropertyPlace, tool: &str) -> Result<(), Misuse> {
        let is_given = !self.of(place).properties().is_empty();
        if is_given { Err(Misuse(format!("-D: {tool} sends no {place}"))) } else { Ok(()) }
    }

    fn add(&mut self, words: &[&str]) -> Result<(), String> {
        let [packet, name, values @ ..] = words else { return Err(usage()) };
        let at = packet_index(packet)?;
        let place = PACKETS.get(at).map(|(_, place)| *place).ok_or_else(usage)?;
        let id = property(name, place)?;
        let list = self.lists.get_mut(at).ok_or_else(usage)?;
        if list.properties().contains(id) && !id.may_repeat_in(place) {
            return Err(format!("`{name}` stands there twice; {packet} takes one"));
        }
        list.push(id, value(id, name, values)?).map_err(|error| error.to_string())?;
        Ok(())
    }
}

fn usage() -> String {
    "expected a packet, a property and its value, as in `-D publish content-type text/plain`".to_owned()
}

fn packet_index(packet: &str) -> Result<usize, String> {
    let known = PACKETS.iter().position(|(name, _)| name.eq_ignore_ascii_case(packet));
    known.ok_or_else(|| {
        let names = PACKETS.map(|(name, _)| name).join(", ");
        format!("`{packet}` cannot be given properties; these can: {names}")
    })
}

/// The property as mosquitto names it: the words of the standard, with dashes between them.
fn property(name: &str, place: PropertyPlace) -> Result<PropertyId, String> {
    let dashed = |id: PropertyId| id.text().to_ascii_lowercase().replace(' ', "-");
    let takes = |id: &PropertyId| {
        let is_login = [PropertyId::AuthenticationMethod, PropertyId::AuthenticationData].contains(id);
        id.allowed_in(place) && !is_login
    };
    let known = PropertyId::ALL.iter().copied().find(|id| dashed(*id).eq_ignore_ascii_case(name));
    if let Some(id) = known.filter(takes) {
        return Ok(id);
    }
    let names: Vec<String> = PropertyId::ALL.iter().copied().filter(takes).map(dashed).collect();
    let what =
        if known.is_some() { format!("cannot be given to {place}") } else { "is no property".to_owned() };
    Err(format!("`{name}` {what}; {place} takes {}", names.join(", ")))
}

fn value<'a>(id: PropertyId, name: &str, values: &[&'a str]) -> Result<PropertyValue<'a>, String> {
    let one = match (id, values) {
        (PropertyId::UserProperty, [first, second]) => return Ok(PropertyValue::Utf8Pair(first, second)),
        (PropertyId::UserProperty, _) => return Err(format!("`{name}` takes a name and a value")),
        (_, [one]) => *one,
        _ => return Err(format!("`{name}` takes one value")),
    };
    if id == PropertyId::CorrelationData {
        return Ok(PropertyValue::Binary(one.as_bytes()));
    }
    if [PropertyId::ContentType, PropertyId::ResponseTopic, PropertyId::ReasonString].contains(&id) {
        return Ok(PropertyValue::Utf8(one));
    }
    let number: u32 =
        one.parse().map_err(|_| format!("`{one}` is no value of `{name}`: expected a number"))?;
    let fits = [
        u8::try_from(number).ok().map(PropertyValue::Byte),
        u16::try_from(number).ok().map(PropertyValue::TwoByte),
        Some(PropertyValue::FourByte(number)),
        Some(PropertyValue::VarInt(number)),
    ];
    // The list knows the type of each property, and its range.
    let is_taken = |value: &PropertyValue<'_>| PropertyBuf::new().push(id, *value).is_ok();
    let fitting = fits.into_iter().flatten().find(is_taken);
    fitting.ok_or_else(|| format!("`{name}` cannot be {number}"))
}

impl Args for PropertyArgs {
    fn augment_args(command: Command) -> Command {
        command.arg(
            Arg::new(NAME)
                .short('D')
                .long(NAME)
                .num_args(3..=4)
                .value_names(["PACKET", "PROPERTY", "VALUE"])
                .allow_negative_numbers(true)
                .action(ArgAction::Append)
                .help("Property of MQTT 5.0, as in -D publish content-type text/plain, -D publish user-property NAME VALUE; PACKET is connect, will, publish, subscribe or disconnect. May be given several times; implies version 5"),
        )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for PropertyArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given = Self::default();
        for words in matches.get_occurrences::<String>(NAME).into_iter().flatten() {
            let words: Vec<&str> = words.map(String::as_str).collect();
            given.add(&words).map_err(|told| {
                clap::Error::raw(ErrorKind::ValueValidation, format!("-D {}: {told}", words.join(" ")))
            })?;
        }
        Ok(given)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_read_by_their_names() {
        let mut given = PropertyArgs::default();
        assert!(given.is_empty());
        for words in [
            &["publish", "user-property", "a", "1"][..],
            &["PUBLISH", "User-Property", "a", "2"],
            &["publish", "message-expiry-interval", "60"],
            &["publish", "payload-format-indicator", "1"],
            &["connect", "receive-maximum", "7"],
            &["subscribe", "subscription-identifier", "300"],
            &["will", "will-delay-interval", "5"],
            &["disconnect", "session-expiry-interval", "0"],
        ] {
            assert_eq!(given.add(words), Ok(()), "{words:?}");
        }
        let publish = given.of(PropertyPlace::PublishFromClient);
        let pairs: Vec<_> = publish.properties().user_properties().collect();
        assert_eq!(pairs, [("a", "1"), ("a", "2")]);
        assert_eq!(publish.properties().message_expiry_interval(), Some(60));
        assert_eq!(given.of(PropertyPlace::Connect).properties().receive_maximum().get(), 7);
        assert!(
            given.refuse(PropertyPlace::Subscribe, "pub").unwrap_err().0.contains("pub sends no SUBSCRIBE")
        );
    }

    #[test]
    fn invalid_property_is_rejected_with_its_name() {
        for (words, told) in [
            (
                &["puback", "reason-string", "x"][..],
                "`puback` cannot be given properties; these can: connect, ",
            ),
            (&["publish", "colour", "red"], "`colour` is no property; PUBLISH from a client takes payload-"),
            (&["publish", "maximum-qos", "1"], "`maximum-qos` cannot be given to PUBLISH from a client"),
            (
                &["connect", "authentication-method", "x"],
                "`authentication-method` cannot be given to CONNECT",
            ),
            (&["publish", "user-property", "a"], "`user-property` takes a name and a value"),
            (&["publish", "content-type", "a", "b"], "`content-type` takes one value"),
            (&["publish", "message-expiry-interval", "soon"], "expected a number"),
            (&["publish", "payload-format-indicator", "2"], "`payload-format-indicator` cannot be 2"),
            (&["connect", "receive-maximum", "65536"], "`receive-maximum` cannot be 65536"),
        ] {
            let refused = PropertyArgs::default().add(words).unwrap_err();
            assert!(refused.contains(told), "{words:?}: {refused}");
        }
        let mut given = PropertyArgs::default();
        given.add(&["publish", "content-type", "a"]).unwrap();
        assert!(given.add(&["publish", "content-type", "b"]).unwrap_err().contains("twice"));
    }
}
