//! Recorded traffic: messages from a broker with their times, one JSON object on each line.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use lotmq_codec::QoS;
use lotmq_router::topic_name_valid;
use lotmq_server::embedded::{Arriving, ClientIdentity};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::keys::listed;
use crate::properties::{CORRELATION_KEYS, KEYS, StatedProperties, TextOrBase64, is_utf8, payload_format};

/// A message that was delivered.
#[derive(Debug, PartialEq)]
pub struct Recorded {
    /// When it came.
    pub at: Timestamp,
    /// Its topic.
    pub topic: String,
    /// Its payload.
    pub payload: Vec<u8>,
    /// It was there before: it gives its topic a value and triggers nothing.
    pub retained: bool,
    /// Quality of service with which it comes.
    pub qos: QoS,
    /// Client that sent the message, if the file has it: a broker does not send it to subscribers.
    pub from: Option<ClientIdentity>,
    /// Its properties of MQTT 5.0.
    pub properties: StatedProperties,
}

/// As it is written.
#[derive(Serialize)]
struct Line {
    at: String,
    topic: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    /// Instead of `payload`, where it is no UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    retained: bool,
    #[serde(skip)]
    qos: QoS,
    #[serde(skip)]
    from: Option<ClientIdentity>,
    #[serde(flatten)]
    properties: Map<String, Value>,
}

/// Properties of a message as members of a JSON object, those that it has.
pub(crate) fn properties_as_json(properties: &StatedProperties) -> Map<String, Value> {
    let StatedProperties { user, is_utf8, response_topic, correlation_data, content_type, expiry } =
        properties;
    let mut members = Map::new();
    let mut member = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
    if !user.is_empty() {
        member("user", user.iter().map(|(name, value)| json!([name, value])).collect());
    }
    response_topic.iter().for_each(|topic| member("response_topic", json!(topic)));
    if let Some(data) = correlation_data {
        match std::str::from_utf8(data) {
            Ok(text) => member("correlation_data", json!(text)),
            Err(_) => member("correlation_base64", json!(BASE64_STANDARD.encode(data))),
        }
    }
    content_type.iter().for_each(|text| member("content_type", json!(text)));
    expiry.iter().for_each(|seconds| member("expiry", json!(seconds)));
    is_utf8.iter().for_each(|it| member("payload_format", json!(payload_format(*it))));
    members
}

/// Reads properties as a recording has them.
fn properties_of(mut members: Map<String, Value>) -> anyhow::Result<StatedProperties> {
    let mut text = |name: &str| match members.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(anyhow!("`{name}` is a text in quotes, found {other}")),
    };
    let (response_topic, content_type) = (text("response_topic")?, text("content_type")?);
    let [of_text, of_base64] = CORRELATION_KEYS;
    let data = TextOrBase64 { names: CORRELATION_KEYS, text: text(of_text)?, base64: text(of_base64)? };
    let format = text("payload_format")?;
    let expiry = members.remove("expiry").map(|value| {
        let seconds = value.as_u64().and_then(|seconds| u32::try_from(seconds).ok());
        seconds.with_context(|| format!("`expiry` is a number of seconds, found {value}"))
    });
    let user = members.remove("user").map(user_properties).transpose()?;
    let stated = StatedProperties {
        user: user.unwrap_or_default(),
        is_utf8: format.as_deref().map(is_utf8).transpose().map_err(anyhow::Error::msg)?,
        response_topic,
        correlation_data: data.read().map_err(anyhow::Error::msg)?,
        content_type,
        expiry: expiry.transpose()?,
    };
    stated.encoded().context("no message has these properties")?;
    Ok(stated)
}

/// User Properties: pairs in their order, or values by name.
fn user_properties(value: Value) -> anyhow::Result<Vec<(String, String)>> {
    let wrong =
        |found: &Value| anyhow!("`user` is a list of pairs as [[\"name\", \"value\"]], found {found} in it");
    let owned = |name: &Value, value: &Value| Some((name.as_str()?.to_owned(), value.as_str()?.to_owned()));
    match value {
        Value::Array(pairs) => {
            let pair = |found: &Value| match found.as_array().map(Vec::as_slice) {
                Some([name, value]) => owned(name, value).ok_or_else(|| wrong(found)),
                _ => Err(wrong(found)),
            };
            pairs.iter().map(pair).collect()
        }
        Value::Object(members) => {
            let pair = |(name, value): (String, Value)| match value {
                Value::String(text) => Ok((name, text)),
                other @ (Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::Array(_)
                | Value::Object(_)) => Err(wrong(&other)),
            };
            members.into_iter().map(pair).collect()
        }
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => Err(wrong(&other)),
    }
}

impl Line {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let value = serde_json::from_str(text).context("expected a message as JSON, in one line")?;
        let Value::Object(mut members) = value else {
            bail!("expected a message as {{\"at\": …, \"topic\": …, \"payload\": …}}, found {value}");
        };
        let mut text = |name: &str| match members.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(anyhow!("`{name}` is a text in quotes, found {other}")),
        };
        let (at, topic) = (text("at")?, text("topic")?);
        let (payload, base64) = (text("payload")?, text("base64")?);
        let (user, client_id) = (text("username")?, text("client_id")?);
        if let Some(name) = [(&user, "username"), (&client_id, "client_id")]
            .into_iter()
            .find_map(|(value, name)| value.as_deref().is_some_and(str::is_empty).then_some(name))
        {
            bail!("`{name}` is empty");
        }
        let is_named = user.is_some() || client_id.is_some();
        let from = is_named.then(|| ClientIdentity::of(user, client_id, None));
        let qos = members.remove("qos").unwrap_or_else(|| 0.into());
        let number = qos.as_u64().and_then(|number| u8::try_from(number).ok());
        let qos =
            number.and_then(QoS::from_bits).with_context(|| format!("`qos` is 0, 1 or 2, found {qos}"))?;
        let retained = match members.remove("retained") {
            None => false,
            Some(Value::Bool(retained)) => retained,
            Some(other) => bail!("`retained` is true or false, found {other}"),
        };
        let properties: Map<_, _> = KEYS.iter().filter_map(|key| members.remove_entry(*key)).collect();
        if let Some(unknown) = members.keys().next() {
            bail!(
                "a message has no `{unknown}`, but `at`, `topic`, `payload` or `base64`, `qos`, `retained`, `username`, `client_id`, and of properties {}",
                listed(&KEYS)
            );
        }
        let at = at.context("the message lacks `at`, the time at which it came")?;
        let topic = topic.context("the message lacks its `topic`")?;
        Ok(Self { at, topic, payload, base64, retained, qos, from, properties })
    }
}

impl Recorded {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let Line { at, topic, payload, base64, retained, qos, from, properties } = Line::parse(text)?;
        let at = at.parse().with_context(|| format!("`{at}` is no time"))?;
        topic_name_valid(&topic).with_context(|| format!("`{topic}` is no topic"))?;
        let payload = match (payload, base64) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(text)) => BASE64_STANDARD.decode(text).context("`base64` is none")?,
            (Some(_), Some(_)) | (None, None) => bail!("expected either `payload` or `base64`"),
        };
        let properties = properties_of(properties)?;
        Ok(Self { at, topic, payload, retained, qos, from, properties })
    }

    fn to_line(&self) -> serde_json::Result<String> {
        let text = std::str::from_utf8(&self.payload).ok();
        serde_json::to_string(&Line {
            at: self.at.to_string(),
            topic: self.topic.clone(),
            payload: text.map(str::to_owned),
            base64: text.is_none().then(|| BASE64_STANDARD.encode(&self.payload)),
            retained: self.retained,
            qos: self.qos,
            from: None,
            properties: properties_as_json(&self.properties),
        })
    }
}

impl Recorded {
    /// Does something with the message as it arrives.
    pub(crate) fn with_message<T>(
        &self,
        take: impl FnOnce(&Arriving<'_>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let properties = self.properties.encoded().context("no message has these properties")?;
        take(&Arriving {
            qos: self.qos,
            properties: properties.properties(),
            ..Arriving::new(&self.topic, &self.payload)
        })
    }
}

/// Reads a recording line by line.
///
/// # Errors
/// When the file cannot be read; of a line, with its number, when it is no message.
pub fn read(path: &Path) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Recorded>>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let path = path.to_owned();
    let lines = BoundedLines { file: BufReader::new(file) }.enumerate();
    Ok(lines.filter(|(_, line)| line.as_ref().map_or(true, |line| !line.trim().is_empty())).map(
        move |(number, line)| {
            let place = || format!("{}:{}", path.display(), number + 1);
            line.map_err(anyhow::Error::from).and_then(|line| Recorded::parse(&line)).with_context(place)
        },
    ))
}

/// Bytes of a line: the largest message in base64, and its other keys.
const LINE_BYTES_MAX: u64 = 512 << 20;

/// Lines of a file, which end with an error where one is too long.
struct BoundedLines {
    file: BufReader<File>,
}

impl Iterator for BoundedLines {
    type Item = std::io::Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = String::new();
        match self.file.by_ref().take(LINE_BYTES_MAX).read_line(&mut line) {
            Ok(0) => None,
            Ok(bytes) if bytes as u64 == LINE_BYTES_MAX => {
                Some(Err(std::io::Error::other(format!("the line has more than {LINE_BYTES_MAX} bytes"))))
            }
            Ok(_) => {
                line.truncate(line.trim_end_matches(['\r', '\n']).len());
                Some(Ok(line))
            }
            Err(error) => Some(Err(error)),
        }
    }
}

/// A recording that is being made. Each message is in the file before the next one is waited for.
pub(crate) struct Recorder {
    file: File,
    path: String,
}

impl Recorder {
    /// Begins a recording in a new file, so that none is lost by mistake.
    pub(crate) fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create_new(path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self { file, path: path.display().to_string() })
    }

    pub(crate) fn write(&mut self, recorded: &Recorded) -> anyhow::Result<()> {
        let line = recorded.to_line()? + "\n";
        self.file.write_all(line.as_bytes()).with_context(|| format!("cannot write {}", self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_as_they_were() {
        for (payload, retained) in
            [(&b"81.5"[..], false), (b"", true), (b"\xff\x00", false), ("ä\"\n".as_bytes(), true)]
        {
            let at = Timestamp::from_millisecond(1_768_473_000_123).unwrap();
            let (topic, payload) = ("a/b".to_owned(), payload.to_vec());
            let properties = StatedProperties {
                user: vec![("b".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())],
                is_utf8: Some(!retained),
                response_topic: retained.then(|| "r/t".to_owned()),
                correlation_data: Some(payload.clone()),
                content_type: retained.then(|| "text/plain".to_owned()),
                expiry: retained.then_some(60),
            };
            let qos = QoS::AtMostOnce;
            let recorded = Recorded { at, topic, payload, retained, qos, from: None, properties };
            let line = recorded.to_line().unwrap();
            assert!(!line.contains('\n'), "{line}");
            assert_eq!(Recorded::parse(&line).unwrap(), recorded);
        }
    }

    #[test]
    fn invalid_recorded_message_is_rejected() {
        let at = "\"at\":\"2026-01-15T10:30:00Z\"";
        for (line, part) in [
            (format!("{{{at},\"topic\":\"a\"}}"), "either `payload` or `base64`"),
            (format!("{{{at},\"topic\":\"a\",\"payload\":\"\",\"base64\":\"\"}}"), "either"),
            (format!("{{{at},\"topic\":\"a/#\",\"payload\":\"\"}}"), "`a/#` is no topic"),
            (format!("{{{at},\"topic\":\"a\",\"base64\":\"?\"}}"), "`base64` is none"),
            (format!("{{{at},\"topic\":\"a\",\"payload\":\"\",\"dup\":1}}"), "a message has no `dup`"),
            (format!("{{{at},\"topic\":\"a\",\"payload\":\"\",\"qos\":3}}"), "`qos` is 0, 1 or 2, found 3"),
            (format!("{{{at},\"topic\":\"a\",\"payload\":\"\",\"username\":\"\"}}"), "`username` is empty"),
            (format!("{{{at},\"topic\":\"a\",\"payload\":\"\",\"user\":[[\"a\"]]}}"), "found [\"a\"] in it"),
            (format!("{{{at},\"topic\":\"a\",\"payload\":\"\",\"user\":{{\"a\":1}}}}"), "found 1 in it"),
            (format!("{{{at},\"topic\":\"a\",\"payload\":\"\",\"expiry\":-1}}"), "`expiry` is a number"),
            (
                format!("{{{at},\"topic\":\"a\",\"payload\":\"\",\"correlation_base64\":\"?\"}}"),
                "is no base64",
            ),
            (
                format!("{{{at},\"topic\":\"a\",\"payload\":\"\",\"response_topic\":\"a/#\"}}"),
                "no message has these properties",
            ),
            (format!("{{{at},\"topic\":\"a\",\"payload\":\"\",\"payload_format\":\"x\"}}"), "found `x`"),
            (format!("{{{at},\"topic\":5,\"payload\":\"\"}}"), "`topic` is a text in quotes, found 5"),
            (
                format!("{{{at},\"topic\":\"a\",\"payload\":\"\",\"retained\":1}}"),
                "`retained` is true or false",
            ),
            (format!("{{{at},\"payload\":\"\"}}"), "lacks its `topic`"),
            ("{\"topic\":\"a\",\"payload\":\"\"}".to_owned(), "lacks `at`"),
            ("[1]".to_owned(), "found [1]"),
            ("now".to_owned(), "expected a message as JSON"),
        ] {
            let error = format!("{:#}", Recorded::parse(&line).unwrap_err());
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
