//! Lists of 5.0 properties: [`Properties`] is a validated one as received, [`PropertyBuf`] one that we write (§2.2.2).
//!
//! What a property is and where it may stand: `property_id`.

mod buf;
mod list;
mod value;

pub use buf::PropertyBuf;
pub use list::{Properties, PropertyIter, UserProperties};
pub use value::PropertyValue;
