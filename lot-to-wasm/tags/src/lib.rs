//! Tags of machines in text form: their types, and their addresses in the syntax of Modbus, S7 and
//! OPC UA.
//!
//! The compiler uses it to report impossible addresses before a device is asked; the connectors use
//! it to read addresses. Not here: the contents of an address, which only the device knows, and the
//! encoding of values (`guests/lib/route-tags`).

mod kind;
pub mod modbus;
pub mod opcua;
pub mod s7;

pub use kind::DataType;

/// Properties of a tag that its address must fit.
#[derive(Clone, Copy, Debug)]
pub struct TagShape {
    /// `DATA_TYPE`.
    pub kind: DataType,
    /// `LENGTH`: values of an array, or characters of a text.
    pub length: Option<usize>,
    /// Whether it is written as well.
    pub is_written: bool,
}
