//! Values of compiled programs: cells of 16 bytes in this memory. They have the layout of the
//! variant `value` of the WIT package in the canonical ABI, so lists of values cross to the host
//! unchanged.

#![allow(unsafe_code, reason = "cells are addressed by programs that the compiler made")]

use crate::value::{Origin, Value};
use crate::{json, list};

/// Case numbers of the variant `value`.
mod tag {
    pub(super) const EMPTY: u8 = 0;
    pub(super) const NULL: u8 = 1;
    pub(super) const BOOL: u8 = 2;
    pub(super) const INT: u8 = 3;
    pub(super) const DOUBLE: u8 = 4;
    pub(super) const TEXT: u8 = 5;
    pub(super) const JSON: u8 = 6;
    pub(super) const BYTES: u8 = 7;
    pub(super) const TIME: u8 = 8;
}

/// Text of the program.
const ORIGIN_LITERAL: u8 = 0;
/// Text that is data.
const ORIGIN_DATA: u8 = 1;
/// Data that is unchecked: perhaps not UTF-8.
const ORIGIN_RAW: u8 = 2;
/// Data that was a string in JSON.
const ORIGIN_QUOTED: u8 = 3;
/// Digits of a number in JSON that no number type holds.
const ORIGIN_DIGITS: u8 = 4;

/// Of JSON: an array that [`append`](Ref::append) has made.
const APPENDED: u8 = 1;
/// JSON that [`append`](Ref::append) made from such an array, without its closing bracket, so that
/// the next member is written after it.
const OPEN: u8 = 2;

/// A value in memory.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct Cell {
    tag: u8,
    /// Origin of a text, or whether an array is open. Padding for the canonical ABI.
    origin: u8,
    padding: [u8; 6],
    /// Number, or address (low half) and length (high half) of text.
    bits: u64,
}

/// The address of a cell.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Ref(*mut Cell);

/// Address (low half) and length (high half) of bytes.
pub(crate) type Pair = u64;

/// Result of `payload` for a value that must not be written.
pub(crate) const NOTHING: Pair = u64::MAX;

/// Address and length of bytes.
pub(crate) fn pair(bytes: &[u8]) -> Pair {
    bytes.as_ptr() as usize as u64 | (bytes.len() as u64) << 32
}

fn bytes_of(bits: Pair) -> &'static [u8] {
    bytes_at(bits as u32, (bits >> 32) as u32)
}

/// Bytes that a program names by address and length.
pub(crate) fn bytes_at(address: u32, length: u32) -> &'static [u8] {
    // SAFETY: the compiler passes only parts of its constants, of host arguments and of results of
    // this module. None of them changes while a run can read it. Runs end before their memory is
    // used again.
    unsafe { std::slice::from_raw_parts(address as usize as *const u8, length as usize) }
}

/// Text that a program names by address and length: a constant, or a `string` from the host.
pub(crate) fn text_at(address: u32, length: u32) -> &'static str {
    // SAFETY: constants are UTF-8 by construction, and the canonical ABI guarantees it for strings.
    unsafe { std::str::from_utf8_unchecked(bytes_at(address, length)) }
}

impl Ref {
    /// Reads the value. Data that is not UTF-8 is read as bytes.
    pub(crate) fn get(self) -> Value {
        // SAFETY: programs pass addresses of cells only, see above; nothing else refers to them
        // during the call.
        let cell = unsafe { &mut *self.0 };
        match cell.tag {
            tag::NULL => Value::Null,
            tag::BOOL => Value::Bool(cell.bits as u8 != 0),
            tag::INT => Value::Int(cell.bits as i64),
            tag::DOUBLE => Value::Double(f64::from_bits(cell.bits)),
            tag::TEXT => cell.text(),
            tag::JSON if cell.is_open() => list::closed(cell.content()),
            tag::JSON => Value::Json(cell.content()),
            tag::BYTES => Value::Bytes(bytes_of(cell.bits)),
            tag::TIME => Value::Time(cell.bits as i64),
            tag::EMPTY.. => Value::Empty,
        }
    }

    /// Returns the payload to send for the value: bytes as received, else the canonical text;
    /// `NOTHING` for Empty.
    pub(crate) fn payload(self) -> Pair {
        // SAFETY: as in `get`.
        let cell = unsafe { *self.0 };
        match cell.tag {
            tag::EMPTY => NOTHING,
            tag::BYTES if cell.bits >> 32 == 0 => NOTHING,
            tag::JSON if cell.is_open() => pair(self.get().text().as_bytes()),
            tag::TEXT | tag::JSON | tag::BYTES => cell.bits,
            _ => pair(self.get().text().as_bytes()),
        }
    }

    /// Data of which it is not yet known whether it is UTF-8.
    pub(crate) fn raw(address: u32, length: u32) -> Self {
        let bits = u64::from(address) | u64::from(length) << 32;
        Cell { tag: tag::TEXT, origin: ORIGIN_RAW, padding: [0; 6], bits }.store()
    }

    /// Copies a value from the host; its texts are data. Foreign JSON stays JSON only if it is
    /// valid. Else it becomes a text, which is quoted inside new JSON.
    pub(crate) fn adopt(self) -> Self {
        // SAFETY: as in `get`.
        let cell = unsafe { *self.0 };
        if cell.tag == tag::JSON {
            return json::from_outside(cell.content()).into();
        }
        Cell { origin: ORIGIN_DATA, ..cell }.store()
    }

    /// A cell that may cross to the host, which takes no text but UTF-8, and whole JSON. A number
    /// that is kept as digits crosses as JSON, so that the other side does not take it for a
    /// string.
    pub(crate) fn crossing(self) -> Self {
        // SAFETY: as in `get`.
        let cell = unsafe { *self.0 };
        match (cell.tag, cell.origin) {
            (tag::TEXT, ORIGIN_RAW) | (tag::JSON, OPEN) => self.get().into(),
            (tag::TEXT, ORIGIN_DIGITS) => Cell { tag: tag::JSON, origin: 0, ..cell }.store(),
            _ => self,
        }
    }

    /// The list with a value behind its last member.
    pub(crate) fn append(self, value: Value) -> Self {
        // SAFETY: as in `get`.
        let cell = unsafe { *self.0 };
        let is_appended = cell.tag == tag::JSON && cell.origin == APPENDED;
        let (origin, list) = if cell.is_open() || is_appended {
            let list = if is_appended { list::open(self.get()) } else { cell.content() };
            (OPEN, list::append_open(list, value))
        } else {
            (APPENDED, list::append(self.get(), value).text())
        };
        Cell { tag: tag::JSON, origin, padding: [0; 6], bits: pair(list.as_bytes()) }.store()
    }

    /// Moves the texts of `count` cells at this address, whose addresses count from `base`.
    pub(crate) fn relocate(self, count: u32, base: u32) {
        // SAFETY: the compiler lays out the cells at the start of its constants.
        let cells = unsafe { std::slice::from_raw_parts_mut(self.0, count as usize) };
        for cell in cells.iter_mut().filter(|cell| matches!(cell.tag, tag::TEXT | tag::JSON | tag::BYTES)) {
            cell.bits = cell.bits.wrapping_add(u64::from(base));
        }
    }

    /// The cell at an address that the compiler or the host passed.
    pub(crate) fn at(address: u32) -> Self {
        Ref(address as usize as *mut Cell)
    }

    /// Its address.
    pub(crate) fn address(self) -> u32 {
        self.0 as usize as u32
    }

    /// Stores values as cells; address and number of a list of their addresses.
    pub(crate) fn store_list(values: Vec<Value>) -> Pair {
        let list: Vec<u32> = values.into_iter().map(|value| Ref::from(value).address()).collect();
        let list = Box::leak(list.into_boxed_slice());
        list.as_ptr() as usize as u64 | (list.len() as u64) << 32
    }

    /// The cells whose addresses are stored one after the other at an address.
    pub(crate) fn list(address: u32, count: u32) -> impl Iterator<Item = Ref> {
        // SAFETY: the compiler stores exactly `count` addresses of cells there.
        let list = unsafe { std::slice::from_raw_parts(address as usize as *const u32, count as usize) };
        list.iter().map(|address| Ref::at(*address))
    }
}

impl Cell {
    fn store(self) -> Ref {
        Ref(Box::leak(Box::new(self)))
    }

    fn is_open(self) -> bool {
        self.tag == tag::JSON && self.origin == OPEN
    }

    /// The text of a text or of JSON.
    fn content(self) -> &'static str {
        text_at(self.bits as u32, (self.bits >> 32) as u32)
    }

    fn text(&mut self) -> Value {
        let origin = match self.origin {
            ORIGIN_LITERAL => Origin::Literal,
            ORIGIN_QUOTED => Origin::Quoted,
            ORIGIN_DIGITS => Origin::Digits,
            ORIGIN_RAW => {
                let bytes = bytes_of(self.bits);
                // Bytes that are not UTF-8 stay as they came: neither a copy nor a comparison may
                // change them.
                let Ok(text) = std::str::from_utf8(bytes) else { return Value::Bytes(bytes) };
                self.origin = ORIGIN_DATA;
                return Value::Text(text, Origin::Data);
            }
            _ => Origin::Data,
        };
        Value::Text(self.content(), origin)
    }
}

impl From<Value> for Ref {
    fn from(value: Value) -> Self {
        let text = |tag, origin, text: &str| (tag, origin, pair(text.as_bytes()));
        let (tag, origin, bits) = match value {
            Value::Empty => (tag::EMPTY, 0, 0),
            Value::Null => (tag::NULL, 0, 0),
            Value::Bool(truth) => (tag::BOOL, 0, u64::from(truth)),
            Value::Int(number) => (tag::INT, 0, number as u64),
            Value::Double(number) => (tag::DOUBLE, 0, number.to_bits()),
            Value::Text(content, Origin::Literal) => text(tag::TEXT, ORIGIN_LITERAL, content),
            Value::Text(content, Origin::Data) => text(tag::TEXT, ORIGIN_DATA, content),
            Value::Text(content, Origin::Quoted) => text(tag::TEXT, ORIGIN_QUOTED, content),
            Value::Text(content, Origin::Digits) => text(tag::TEXT, ORIGIN_DIGITS, content),
            Value::Json(content) => text(tag::JSON, 0, content),
            Value::Bytes(bytes) => (tag::BYTES, 0, pair(bytes)),
            Value::Time(ms) => (tag::TIME, 0, ms as u64),
        };
        Cell { tag, origin, padding: [0; 6], bits }.store()
    }
}
