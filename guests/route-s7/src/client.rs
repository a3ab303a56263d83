//! Client of one PLC: connecting, reading items, writing, and the classes of what goes wrong.

use lot_tags::s7::S7Address;
use lotmq_guest::route::{Failure, ambient, failure, net};
use route_settings::Configuration;
use route_tags::{Device, Fault, FrameStream, Planned, Reading, StreamFault, Tag, Value};
use serde_json::json;

use crate::address;
use crate::frame::{self, Answer, Item};
use crate::limits::{PDU_BYTES, PDU_BYTES_MIN, TRIES_MS_MAX};
use crate::plan::{Items, item_bytes_max, plan};

/// How the PLC is reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Config {
    local_tsap: u16,
    remote_tsap: u16,
    connection_timeout_ms: u32,
    read_timeout_ms: u32,
    write_timeout_ms: u32,
    /// Tries behind the first, where the PLC has no resources for a request.
    retries: u32,
    retry_delay_ms: u32,
}

/// Client of one PLC.
pub(crate) struct Client {
    stream: FrameStream,
    config: Config,
    pdu_bytes: u16,
    number: u16,
}

impl Config {
    /// Reads the section `S7_CONFIG`; the host has checked it by the schema.
    pub(crate) fn read(configuration: &Configuration) -> Result<Config, Failure> {
        let section = configuration.section("S7_CONFIG");
        let number = |key: &str| section.number(key).and_then(|number| u32::try_from(number).ok());
        let cpu = section.text("CPU_TYPE")?.unwrap_or_else(|| "S71500".to_owned());
        let (local_tsap, remote_tsap) = tsaps(&cpu, number("RACK"), number("SLOT"));
        Ok(Config {
            local_tsap,
            remote_tsap,
            connection_timeout_ms: number("CONNECTION_TIMEOUT").unwrap_or(5_000),
            read_timeout_ms: number("READ_TIMEOUT").unwrap_or(1_000),
            write_timeout_ms: number("WRITE_TIMEOUT").unwrap_or(1_000),
            retries: number("RETRY_COUNT").unwrap_or(3),
            retry_delay_ms: number("RETRY_DELAY").unwrap_or(100),
        })
    }
}

/// Returns our TSAP and the PLC's. Most PLCs accept a programming device, with rack and slot in the
/// second byte.
fn tsaps(cpu: &str, rack: Option<u32>, slot: Option<u32>) -> (u16, u16) {
    let is_given = rack.is_some() || slot.is_some();
    let default_slot = match cpu {
        "S7300" | "S7400" => 2,
        "S7200" | "LOGO" => 0,
        _ => 1,
    };
    let place = (rack.unwrap_or(0) & 7) << 5 | slot.unwrap_or(default_slot) & 31;
    match cpu {
        "S7200" if !is_given => (0x1000, 0x1001),
        "LOGO" if !is_given => (0x0300, 0x0200),
        _ => (0x0100, 0x0100 | u16::try_from(place).unwrap_or(0)),
    }
}

/// Schema of the settings.
pub(crate) fn schema() -> String {
    let timeout = json!({ "type": "integer", "minimum": 1, "maximum": 86_400_000 });
    let section = json!({
        "CPU_TYPE": { "enum": ["S7200", "S7300", "S7400", "S71200", "S71500", "LOGO"] },
        "RACK": { "type": "integer", "minimum": 0, "maximum": 7 },
        "SLOT": { "type": "integer", "minimum": 0, "maximum": 31 },
        "CONNECTION_TIMEOUT": timeout,
        "READ_TIMEOUT": timeout,
        "WRITE_TIMEOUT": timeout,
        "RETRY_COUNT": { "type": "integer", "minimum": 0, "maximum": 1_000 },
        "RETRY_DELAY": { "type": "integer", "minimum": 0, "maximum": 86_400_000 }
    });
    route_tags::schema("S7_CONFIG", &section, &json!({}), &json!({}))
}

impl Client {
    /// Connects and agrees on the size of PDUs.
    pub(crate) fn connect(config: Config) -> Result<Client, Failure> {
        let stream =
            FrameStream::connect("s7", config.connection_timeout_ms).map_err(|error| failure(&error))?;
        let mut client = Client { stream, config, pdu_bytes: PDU_BYTES, number: 0 };
        let until_ms = deadline(config.connection_timeout_ms);
        let lost = |fault| Failure::Reconnect(told(fault, config.connection_timeout_ms));
        let connect = frame::connect(config.local_tsap, config.remote_tsap);
        client.stream.send(&connect, until_ms).map_err(lost)?;
        let confirmed = client.stream.receive(until_ms, frame::length).map_err(lost)?;
        if !frame::is_connected(&confirmed) {
            let reason = "the PLC refuses the connection: RACK, SLOT or CPU_TYPE may be wrong, or all of its connections are in use";
            return Err(Failure::Reconnect(reason.to_owned()));
        }
        let answer = client.ask(config.connection_timeout_ms, |number| frame::setup(number, PDU_BYTES))?;
        let agreed =
            frame::pdu_bytes(&answer.parameters).filter(|bytes| (PDU_BYTES_MIN..=PDU_BYTES).contains(bytes));
        client.pdu_bytes =
            agreed.ok_or_else(|| Failure::Reconnect("the PLC names no size of PDUs".to_owned()))?;
        Ok(client)
    }

    /// Makes a request and waits for its answer. Any error closes the connection, so that no answer
    /// counts for another request.
    fn ask(&mut self, timeout_ms: u32, request: impl Fn(u16) -> Vec<u8>) -> Result<Answer, Failure> {
        self.number = self.number.wrapping_add(1);
        let until_ms = deadline(timeout_ms);
        let lost = |fault| Failure::Reconnect(told(fault, timeout_ms));
        self.stream.send(&request(self.number), until_ms).map_err(lost)?;
        loop {
            let frame = self.stream.receive(until_ms, frame::length).map_err(lost)?;
            let answer = frame::answer(&frame).map_err(Failure::Reconnect)?;
            if answer.number == self.number {
                return Ok(answer);
            }
        }
    }
}

impl Client {
    /// Makes a request, and again after a pause as long as the PLC has no resources for it.
    fn ask_patiently(
        &mut self,
        timeout_ms: u32,
        request: impl Fn(u16) -> Vec<u8>,
    ) -> Result<Answer, Failure> {
        let until_ms = deadline(TRIES_MS_MAX);
        let mut tries = 0;
        loop {
            let answer = self.ask(timeout_ms, &request)?;
            let is_late = ambient::monotonic_ms() >= until_ms;
            if !is_passing(answer.error) || tries >= self.config.retries || is_late {
                return Ok(answer);
            }
            tries += 1;
            net::wait(&[], self.config.retry_delay_ms.max(1));
        }
    }
}

impl Device for Client {
    type Address = S7Address;
    type Request = Items;

    fn plan(&self, tags: &[Tag<S7Address>], which: &[usize]) -> Vec<Planned<Items>> {
        plan(tags, which, self.pdu_bytes)
    }

    fn read(&mut self, planned: &Planned<Items>, tags: &[Tag<S7Address>]) -> Result<Vec<Reading>, Fault> {
        let bytes_max = item_bytes_max(self.pdu_bytes);
        if planned.request.iter().any(|item| item.bytes as usize > bytes_max) {
            return Err(Fault::Refused(format!(
                "it is longer than the {bytes_max} bytes that the PLC gives at once"
            )));
        }
        let answer =
            self.ask_patiently(self.config.read_timeout_ms, |number| frame::read(number, &planned.request));
        let answer = answer.map_err(Fault::Lost)?;
        if answer.error != 0 {
            return Err(Fault::Refused(refusal(answer.error)));
        }
        let items = frame::items(&answer.data, planned.request.len());
        let items = items.ok_or_else(|| {
            Fault::Lost(Failure::Reconnect("an answer without all of its items came".to_owned()))
        })?;
        let read: Vec<(&Item, &Result<Vec<u8>, u8>)> = planned.request.iter().zip(&items).collect();
        Ok(planned.tags.iter().map(|tag| (*tag, value(&read, &tags[*tag]))).collect())
    }

    fn write(&mut self, tag: &Tag<S7Address>, value: &Value) -> Result<(), Failure> {
        let S7Address { area, block, first, bit, .. } = tag.address;
        let bytes = match bit {
            Some(_) => vec![u8::from(*value == Value::Bool(true))],
            None => address::bytes_of(&tag.address, &tag.settings, value).map_err(Failure::Reject)?,
        };
        let room = item_bytes_max(self.pdu_bytes).saturating_sub(frame::ITEM_BYTES);
        if bytes.len() > room {
            return Err(Failure::Reject(format!("{} bytes, and the PLC takes {room} at once", bytes.len())));
        }
        let item = Item { area, block, first, bytes: u32::try_from(bytes.len()).unwrap_or(u32::MAX), bit };
        let answer =
            self.ask_patiently(self.config.write_timeout_ms, |number| frame::write(number, item, &bytes))?;
        match (answer.error, answer.data.first()) {
            (0, Some(0xFF)) => Ok(()),
            (0, Some(1)) => Err(Failure::Retry(frame::item_error(1))),
            (0, Some(code)) => Err(Failure::Reject(frame::item_error(*code))),
            (0, None) => Err(Failure::Reconnect("an answer without a result came".to_owned())),
            (error, _) if is_passing(error) => Err(Failure::Retry(refusal(error))),
            (error, _) => Err(Failure::Reject(refusal(error))),
        }
    }
}

/// Value of a tag in the items that were read.
fn value(read: &[(&Item, &Result<Vec<u8>, u8>)], tag: &Tag<S7Address>) -> Result<Value, String> {
    let address = &tag.address;
    let holds = |item: &Item| {
        let is_same = item.area == address.area && item.block == address.block;
        is_same && item.first <= address.first && address.first + address.bytes <= item.first + item.bytes
    };
    let missing = || "its bytes are not in the answer".to_owned();
    let (item, bytes) = read.iter().find(|(item, _)| holds(item)).ok_or_else(missing)?;
    let bytes = bytes.as_ref().map_err(|code| frame::item_error(*code))?;
    let from = (address.first - item.first) as usize;
    let own = bytes.get(from..from + address.bytes as usize).ok_or_else(missing)?;
    address::value(address, &tag.settings, own).ok_or_else(missing)
}

/// Whether the same request may pass later: the PLC has no resources now.
fn is_passing(error: u16) -> bool {
    matches!(error >> 8, 0x82 | 0x83 | 0x85)
}

/// An error of a whole request in words.
fn refusal(error: u16) -> String {
    let words = match error >> 8 {
        0x81 => "the PLC knows no such application relation; PUT/GET may be forbidden",
        0x82 => "the PLC cannot do that in its state",
        0x83 => "the PLC has no resources",
        0x84 => "the PLC does not offer that service",
        0x85 => "the PLC reports a wrong size",
        0x87 => "access is not allowed",
        _ => "the PLC refuses it",
    };
    format!("{words} (error {error:#06x})")
}

fn deadline(timeout_ms: u32) -> u64 {
    ambient::monotonic_ms().saturating_add(timeout_ms.into())
}

fn told(fault: StreamFault, timeout_ms: u32) -> String {
    match fault {
        StreamFault::TimedOut => format!("the PLC does not answer within {timeout_ms} ms"),
        StreamFault::Broken(reason) | StreamFault::Ended(reason) => reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rack_and_slot_follow_the_type_of_the_plc() {
        for (cpu, rack, slot, expected) in [
            ("S71500", None, None, (0x0100, 0x0101)),
            ("S71200", Some(0), Some(0), (0x0100, 0x0100)),
            ("S7300", None, None, (0x0100, 0x0102)),
            ("S7400", Some(1), Some(3), (0x0100, 0x0123)),
            ("S7200", None, None, (0x1000, 0x1001)),
            ("LOGO", None, None, (0x0300, 0x0200)),
        ] {
            assert_eq!(tsaps(cpu, rack, slot), expected, "{cpu}");
        }
    }
}
