//! Lists of 5.0 properties: [`Properties`] is a received list after validation, [`PropertyBuf`] a
//! list that we write (§2.2.2).
//!
//! The module `property_id` lists the properties and the packets that may carry them.

mod buf;
mod list;
mod value;

pub use buf::PropertyBuf;
pub use list::{Properties, PropertyIter, UserProperties};
pub use value::PropertyValue;
