//! A list of properties that we write ourselves.

use super::{Properties, PropertyValue};
use crate::error::EncodeError;
use crate::property_id::{PropertyId, PropertyPlace};

/// Owned, growing list of properties; [`PropertyBuf::properties`] lends it to an encoder.
///
/// `push` checks values against the table; the encoders check places and repeats. Keep one list and
/// [`clear`](Self::clear) it to write many packets without allocating.
///
/// ```
/// use lotmq_codec::{PropertyBuf, PropertyId, PropertyValue};
///
/// let mut list = PropertyBuf::new();
/// list.push(PropertyId::ReceiveMaximum, PropertyValue::TwoByte(100))?;
/// list.push(PropertyId::UserProperty, PropertyValue::Utf8Pair("site", "north"))?;
/// assert_eq!(list.properties().receive_maximum().get(), 100);
/// # Ok::<(), lotmq_codec::EncodeError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct PropertyBuf {
    raw: Vec<u8>,
    present: u64,
}

impl PropertyBuf {
    /// An empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self { raw: Vec::new(), present: 0 }
    }

    /// Appends a property.
    ///
    /// # Errors
    /// [`EncodeError::PropertyValueInvalid`] if the value is outside the property's type or range,
    /// [`EncodeError::FieldTooLong`] above 65,535 bytes, [`EncodeError::StringContainsNul`].
    /// Nothing is appended then.
    pub fn push(&mut self, id: PropertyId, value: PropertyValue<'_>) -> Result<&mut Self, EncodeError> {
        let start = self.raw.len();
        self.raw.push(id.value());
        if let Err(error) = value.write(id, &mut self.raw) {
            self.raw.truncate(start);
            return Err(error);
        }
        self.present |= id.bit();
        Ok(self)
    }

    /// Appends the properties of `list` for which `keep` is true, unchanged and in order.
    pub fn extend(&mut self, list: Properties<'_>, mut keep: impl FnMut(PropertyId) -> bool) -> &mut Self {
        let mut iter = list.iter();
        while let Some((id, bytes)) = iter.next_raw() {
            if keep(id) {
                self.raw.extend_from_slice(bytes);
                self.present |= id.bit();
            }
        }
        self
    }

    /// The list, for an encoder.
    #[must_use]
    pub fn properties(&self) -> Properties<'_> {
        Properties::from_parts(&self.raw, self.present)
    }

    /// Empties the list and keeps its memory.
    pub fn clear(&mut self) {
        self.raw.clear();
        self.present = 0;
    }
}

impl From<Properties<'_>> for PropertyBuf {
    /// Copies a list out of its packet, so that it may outlive it.
    fn from(list: Properties<'_>) -> Self {
        Self { raw: list.raw().to_vec(), present: list.present() }
    }
}

impl Properties<'_> {
    /// Refuses a property that `place` does not allow, or a repeat that it does not.
    pub(crate) fn check(self, place: PropertyPlace) -> Result<(), EncodeError> {
        let mut seen = 0;
        let mut iter = self.iter();
        while let Some((id, _)) = iter.next_raw() {
            let repeated = seen & id.bit() != 0;
            if !id.allowed_in(place) || repeated && !id.may_repeat_in(place) {
                return Err(EncodeError::PropertyNotAllowed { id, place });
            }
            seen |= id.bit();
        }
        Ok(())
    }
}
