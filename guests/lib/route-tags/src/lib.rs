//! Tags of industrial routes: the part that all machine protocols share, from the settings of a tag
//! to its message.
//!
//! A connector implements [`Device`] for its protocol and hands the calls of the host to a
//! [`Plant`]. It polls mappings when they are due, merges tags into requests, scales values,
//! publishes changes, and writes values to tags. Not here: frames and addresses of any protocol.

mod drive;
pub mod limits;
mod number;
mod payload;
mod planned;
mod poll;
mod scale;
mod schema;
mod stream;
mod tag;
mod ticks;
mod value;

pub use drive::{Device, Fault, Plant, RouteTags};
pub use lot_tags::{DataType, TagShape};
pub use number::Number;
pub use planned::{Planned, Reading};
pub use scale::Scale;
pub use schema::schema;
pub use stream::{FrameStream, StreamFault};
pub use tag::{Tag, TagSettings};
pub use value::{Value, text_of_bytes};
