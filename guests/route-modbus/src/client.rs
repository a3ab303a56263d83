//! Client of units: requests, replies, retries, and the handling of silent units.
//!
//! `rmodbus` encodes requests. This file decodes replies: the parser of that crate (0.13) panics on
//! a short reply, and does not know the gateway exceptions 0x0A and 0x0B.

use lot_tags::modbus::ModbusArea;
use lotmq_guest::route::{Failure, Level, ambient, log, net};
use rmodbus::ErrorKind;
use rmodbus::client::ModbusRequest;
use route_tags::{Device, Fault, Planned, Reading, Tag, TagSettings, Value};

use crate::address::Address;
use crate::config::Config;
use crate::limits::TRIES_MS_MAX;
use crate::line::{Line, LineFault};
use crate::plan::{Span, plan};
use crate::units::Units;

/// Client of the units of one line.
pub(crate) struct Client {
    line: Box<dyn Line>,
    config: Config,
    units: Units,
    /// Whether a reply came in the name of another unit.
    has_other_units: bool,
}

/// Reason why a request was not answered with what it asked for.
#[derive(Debug)]
enum Refusal {
    /// The unit refuses it: an exception by its code.
    Exception(u8),
    /// The unit does not answer.
    Silent(String),
    /// Another route has the line.
    Busy(String),
    /// Nobody answers.
    Lost(Failure),
}

type Make<'a> = &'a dyn Fn(&mut ModbusRequest, &mut Vec<u8>) -> Result<(), ErrorKind>;

impl Client {
    pub(crate) fn new(line: Box<dyn Line>, config: Config) -> Self {
        Self { line, config, units: Units::default(), has_other_units: false }
    }

    /// Names the units of all tags.
    pub(crate) fn know_units(&mut self, units: impl IntoIterator<Item = u8>) {
        units.into_iter().for_each(|unit| self.units.know(unit));
    }

    /// Makes a request and retries it. Returns the reply after its function code. A broadcast has
    /// no reply.
    fn ask(&mut self, unit: u8, timeout_ms: u32, make: Make<'_>) -> Result<Vec<u8>, Refusal> {
        let began_ms = ambient::monotonic_ms();
        // The others behind the same line wait meanwhile.
        let retries = if self.units.is_silent(unit) { 0 } else { self.config.retries };
        let mut tries = 0;
        loop {
            let refusal = match self.attempt(unit, timeout_ms, make) {
                Ok(reply) => {
                    self.units.answered(unit);
                    return Ok(reply);
                }
                Err(refusal) => refusal,
            };
            let is_late = ambient::monotonic_ms().saturating_sub(began_ms) >= TRIES_MS_MAX;
            let is_worth_a_try = match &refusal {
                Refusal::Exception(code) => is_busy(*code) || is_away(*code),
                Refusal::Silent(_) => true,
                Refusal::Busy(_) | Refusal::Lost(_) => false,
            };
            if tries >= retries || is_late || !is_worth_a_try {
                return Err(self.given_up(unit, refusal));
            }
            tries += 1;
            pause(self.config.retry_delay_ms);
        }
    }

    fn attempt(&mut self, unit: u8, timeout_ms: u32, make: Make<'_>) -> Result<Vec<u8>, Refusal> {
        pause(self.config.pause_ms);
        let transaction = self.line.next_transaction();
        let mut request = ModbusRequest::new(unit, self.line.framing());
        request.tr_id = transaction;
        let mut frame = Vec::new();
        let made = make(&mut request, &mut frame);
        made.map_err(|error| Refusal::Silent(format!("the request cannot be made: {error}")))?;
        let reply = match self.line.is_everybody(unit) {
            true => self.line.tell_all(&frame, timeout_ms).map(|()| vec![unit, request.func.byte()]),
            false => {
                self.line.exchange(&frame, transaction, timeout_ms).map(|reply| self.of_unit(unit, reply))
            }
        };
        let told = match reply.map(|reply| parted(unit, request.func.byte(), &reply)) {
            Ok(Ok(reply)) => return reply.map_err(Refusal::Exception),
            Ok(Err(reason)) | Err(LineFault::Broken(reason) | LineFault::Ended(reason)) => reason,
            Err(LineFault::Busy(reason)) => return Err(Refusal::Busy(reason)),
            Err(LineFault::TimedOut) => format!("unit {unit} does not answer within {timeout_ms} ms"),
        };
        // Its reply may still come, and is not to be taken for another one's.
        self.line.renew().map_err(|failure| Refusal::Lost(because(&told, failure)))?;
        Err(Refusal::Silent(told))
    }

    /// Returns the reply of a unit. Over TCP a reply from 0 or 255 counts as its own; the log notes
    /// that once.
    fn of_unit(&mut self, unit: u8, mut reply: Vec<u8>) -> Vec<u8> {
        let Some(from) = reply.first_mut().filter(|from| **from != unit && self.line.is_any_unit(**from))
        else {
            return reply;
        };
        if !std::mem::replace(&mut self.has_other_units, true) {
            let message = format!("unit {unit} answers as unit {from}: its answers are accepted");
            log(Level::Warn, &message);
        }
        *from = unit;
        reply
    }

    /// Handles the end of all tries. A silent unit is skipped for a while. If no unit answers, the
    /// connection counts as lost.
    fn given_up(&mut self, unit: u8, refusal: Refusal) -> Refusal {
        let reason = match &refusal {
            Refusal::Silent(reason) => reason.clone(),
            Refusal::Exception(code) if is_away(*code) => format!("unit {unit}: {}", exception(*code)),
            Refusal::Exception(_) => {
                self.units.answered(unit);
                return refusal;
            }
            Refusal::Busy(_) | Refusal::Lost(_) => return refusal,
        };
        match self.units.was_silent(unit, ambient::monotonic_ms()) {
            true => Refusal::Silent(reason),
            false => Refusal::Lost(Failure::Reconnect(reason)),
        }
    }

    fn read_span(&mut self, span: Span) -> Result<Vec<u8>, Fault> {
        if self.units.is_left_alone(span.unit, ambient::monotonic_ms()) {
            return Err(Fault::Skipped);
        }
        let reply = self.ask(span.unit, self.config.read_timeout_ms, &|request, frame| {
            let (first, count) = (span.first, span.count);
            match span.area {
                ModbusArea::Coil => request.generate_get_coils(first, count, frame),
                ModbusArea::DiscreteInput => request.generate_get_discretes(first, count, frame),
                ModbusArea::InputRegister => request.generate_get_inputs(first, count, frame),
                ModbusArea::HoldingRegister => request.generate_get_holdings(first, count, frame),
            }
        });
        let reply = reply.map_err(|refusal| match refusal {
            Refusal::Exception(code) if is_busy(code) => Fault::Unavailable(exception(code)),
            Refusal::Exception(code) => Fault::Refused(exception(code)),
            Refusal::Silent(reason) | Refusal::Busy(reason) => Fault::Unavailable(reason),
            Refusal::Lost(failure) => Fault::Lost(failure),
        })?;
        let count = usize::from(span.count);
        let expected = if span.area.is_bits() { count.div_ceil(8) } else { count * 2 };
        match reply.split_first() {
            Some((length, bytes)) if usize::from(*length) == expected && bytes.len() == expected => {
                Ok(bytes.to_vec())
            }
            _ => Err(Fault::Refused(format!("{} bytes came where {expected} were asked for", reply.len()))),
        }
    }

    fn write_bytes(&mut self, tag: &Tag<Address>, value: &Value) -> Result<(), Failure> {
        let Address { unit, area, first, bit, .. } = tag.address;
        if self.units.is_left_alone(unit, ambient::monotonic_ms()) {
            return Err(Failure::Reject(format!("unit {unit} does not answer, others do")));
        }
        let timeout_ms = self.config.write_timeout_ms;
        let written = if area.is_bits() {
            let bits: Vec<u8> = bits_of(value);
            self.ask(unit, timeout_ms, &|request, frame| match bits[..] {
                [bit] => request.generate_set_coil(first, bit, frame),
                _ => request.generate_set_coils_bulk(first, &bits, frame),
            })
        } else {
            let bytes = match bit {
                Some(bit) => self.with_bit(&tag.address, bit, value)?,
                None => tag.address.registers_of(&tag.settings, value).map_err(Failure::Reject)?,
            };
            let registers: Vec<u16> =
                bytes.as_chunks::<2>().0.iter().map(|bytes| u16::from_be_bytes(*bytes)).collect();
            self.ask(unit, timeout_ms, &|request, frame| match registers[..] {
                [register] => request.generate_set_holding(first, register, frame),
                _ => request.generate_set_holdings_bulk(first, &registers, frame),
            })
        };
        written.map(|_| ()).map_err(|refusal| refused_write(unit, refusal))
    }

    /// The register of a bit as it is, with that bit.
    fn with_bit(&mut self, address: &Address, bit: u8, value: &Value) -> Result<Vec<u8>, Failure> {
        let Address { unit, area, first, .. } = *address;
        let read = self.read_span(Span { unit, area, first, count: 1 }).map_err(|fault| match fault {
            Fault::Refused(reason) => Failure::Reject(reason),
            Fault::Unavailable(reason) => Failure::Retry(reason),
            Fault::Skipped => Failure::Retry(format!("unit {unit} does not answer")),
            Fault::Lost(failure) => failure,
        })?;
        let register = read.iter().fold(0, |register, byte| register << 8 | u16::from(*byte));
        let mask = 1_u16 << bit;
        let register = if *value == Value::Bool(true) { register | mask } else { register & !mask };
        Ok(register.to_be_bytes().to_vec())
    }
}

impl Device for Client {
    type Address = Address;
    type Request = Span;

    fn plan(&self, tags: &[Tag<Address>], which: &[usize]) -> Vec<Planned<Span>> {
        plan(tags, which, self.config.gap, self.config.registers_max)
    }

    fn read(&mut self, planned: &Planned<Span>, tags: &[Tag<Address>]) -> Result<Vec<Reading>, Fault> {
        let bytes = self.read_span(planned.request)?;
        let value = |tag: &Tag<Address>| value_of(&planned.request, &bytes, &tag.address, &tag.settings);
        let missing = || "its bytes are not in the reply".to_owned();
        Ok(planned.tags.iter().map(|tag| (*tag, value(&tags[*tag]).ok_or_else(missing))).collect())
    }

    fn write(&mut self, tag: &Tag<Address>, value: &Value) -> Result<(), Failure> {
        self.write_bytes(tag, value)
    }
}

/// Value of a tag in the reply to a request.
fn value_of(span: &Span, bytes: &[u8], address: &Address, settings: &TagSettings) -> Option<Value> {
    let from = usize::from(address.first.checked_sub(span.first)?);
    let count = usize::from(address.count);
    if !span.area.is_bits() {
        return address.of_registers(settings, bytes.get(from * 2..(from + count) * 2)?);
    }
    let bit = |at: usize| bytes.get(at / 8).map(|byte| byte >> (at % 8) & 1 == 1);
    let bits: Vec<bool> = (from..from + count).map(bit).collect::<Option<_>>()?;
    address.of_bits(settings, &bits)
}

fn bits_of(value: &Value) -> Vec<u8> {
    match value {
        Value::List(values) => values.iter().flat_map(bits_of).collect(),
        _ => vec![u8::from(*value == Value::Bool(true))],
    }
}

/// Returns the reply after its function code, or its exception code. Returns an error if it is no
/// reply to that function of that unit.
fn parted(unit: u8, function: u8, reply: &[u8]) -> Result<Result<Vec<u8>, u8>, String> {
    match reply {
        [from, answered, rest @ ..] if *from == unit && *answered == function => Ok(Ok(rest.to_vec())),
        [from, answered, code, ..] if *from == unit && *answered == function | 0x80 => Ok(Err(*code)),
        [from, answered, ..] => Err(format!(
            "unit {unit} was asked for function {function}, and {from} has answered with {answered}"
        )),
        _ => Err("a reply without a function came".to_owned()),
    }
}

/// Whether the unit asks to be asked later.
fn is_busy(code: u8) -> bool {
    matches!(code, 5 | 6)
}

/// Returns whether a gateway reports the unit as away.
fn is_away(code: u8) -> bool {
    matches!(code, 0x0A | 0x0B)
}

/// An exception in words, Modbus Application Protocol 1.1b3, §7.
fn exception(code: u8) -> String {
    let words = match code {
        1 => "illegal function",
        2 => "illegal data address",
        3 => "illegal data value",
        4 => "device failure",
        5 => "acknowledged, and not done yet",
        6 => "device busy",
        8 => "memory parity error",
        0x0A => "gateway path unavailable",
        0x0B => "gateway target does not answer",
        _ => return format!("exception {code}"),
    };
    format!("{words} (exception {code})")
}

/// The class of failure that it is for a message.
fn refused_write(unit: u8, refusal: Refusal) -> Failure {
    match refusal {
        Refusal::Exception(code @ (1..=3)) => Failure::Reject(exception(code)),
        Refusal::Exception(code) => Failure::Retry(exception(code)),
        // To wait would hold up what is sent to other units.
        Refusal::Silent(reason) => Failure::Reject(format!("{reason}; other units than {unit} do")),
        Refusal::Busy(reason) => Failure::Retry(reason),
        Refusal::Lost(failure) => failure,
    }
}

fn because(reason: &str, failure: Failure) -> Failure {
    match failure {
        Failure::Reconnect(then) => Failure::Reconnect(format!("{reason}; {then}")),
        other => other,
    }
}

fn pause(ms: u32) {
    if ms > 0 {
        net::wait(&[], ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_taken_apart() {
        for (reply, expected) in [
            (&[1, 3, 2, 0, 7][..], Ok(Ok(vec![2, 0, 7]))),
            (&[1, 0x83, 2], Ok(Err(2))),
            (&[1, 3], Ok(Ok(vec![]))),
            (&[2, 3, 2, 0, 7], Err("unit 1 was asked for function 3, and 2 has answered with 3".to_owned())),
            (&[1, 4, 2, 0, 7], Err("unit 1 was asked for function 3, and 1 has answered with 4".to_owned())),
            (&[1], Err("a reply without a function came".to_owned())),
        ] {
            assert_eq!(parted(1, 3, reply), expected, "{reply:?}");
        }
    }
}
