//! Scaling between the number in a device and the number in a message (routes reference §5.2).

use crate::{DataType, Number, Value};

/// Conversion between the number in the device and the one in a message.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    factor: Number,
    offset: Number,
    places: Option<u32>,
}

impl Scale {
    /// published = raw × `factor` + `offset`, with at most so many places.
    pub fn new(factor: Number, offset: Number, places: Option<u32>) -> Scale {
        Scale { factor, offset, places }
    }

    pub(crate) fn published(&self, raw: Number) -> Number {
        let scaled = raw.times(self.factor).plus(self.offset);
        self.places.map_or(scaled, |places| scaled.rounded(places))
    }

    /// The value in the device for a published number; `None` when the type cannot hold it.
    #[allow(clippy::cast_possible_truncation, reason = "the nearest float of 32 bits is meant")]
    pub fn raw(&self, published: Number, kind: DataType) -> Option<Value> {
        let shifted = published.plus(self.offset.negated());
        match kind.range() {
            Some((least, most)) => {
                let whole = shifted.divided_whole(self.factor)?;
                (least..=most).contains(&whole).then_some(Value::Whole(whole))
            }
            None => {
                let double = shifted.to_double() / self.factor.to_double();
                let is_single = kind == DataType::Float32;
                let value = if is_single { Value::Single(double as f32) } else { Value::Double(double) };
                let fits = if is_single { (double as f32).is_finite() } else { double.is_finite() };
                fits.then_some(value)
            }
        }
    }
}
