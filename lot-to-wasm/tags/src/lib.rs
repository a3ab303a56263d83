//! Tags of machines as texts say them: their types, and their addresses in the words of Modbus, S7 and OPC UA.
//!
//! The compiler tells by it what can be no address before a device is asked, and the connectors read by it what they ask for. Not here: what a device has at an address, which only
//! the device knows, and how values are encoded (`guests/lib/route-tags`).

mod kind;
pub mod modbus;
pub mod opcua;
pub mod s7;

pub use kind::DataType;

/// What of a tag an address has to fit.
#[derive(Clone, Copy, Debug)]
pub struct TagShape {
    /// `DATA_TYPE`.
    pub kind: DataType,
    /// `LENGTH`: values of an array, or characters of a text.
    pub length: Option<usize>,
    /// Whether it is written as well.
    pub is_written: bool,
}
