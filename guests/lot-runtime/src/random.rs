//! RANDOM (§5.2), shaped from 64 random bits of the host.

use crate::arithmetic::operand;
use crate::number::Number;
use crate::value::Value;

/// `RANDOM INT BETWEEN a AND b`: includes both ends, and swaps them if `a` is greater. The bias is
/// below 2^-64 × span.
pub fn int_between(bits: u64, a: Value, b: Value) -> Value {
    let whole = |value: Value| match operand(value) {
        Number::Int(number) => number,
        Number::Double(number) => number as i64,
    };
    let (a, b) = (whole(a), whole(b));
    let (low, high) = (a.min(b), a.max(b));
    let span = (i128::from(high) - i128::from(low) + 1) as u128;
    // At most 2^64 × 2^64 - 1: fits.
    let offset = (u128::from(bits) * span) >> 64;
    Value::Int((i128::from(low) + offset as i128) as i64)
}

/// `RANDOM DOUBLE BETWEEN a AND b`: from the lower end to below the upper. Swaps the ends if `a` is
/// greater.
pub fn double_between(bits: u64, a: Value, b: Value) -> Value {
    let (a, b) = (operand(a).as_f64(), operand(b).as_f64());
    let (low, high) = (a.min(b), a.max(b));
    let unit = (bits >> 11) as f64 / (1u64 << 53) as f64;
    let number = low + unit * (high - low);
    // Rounding may reach the upper end, which is not part of the range.
    Value::Double(number.min(high.next_down()).max(low))
}

/// `RANDOM UUID`: version 4, lower case.
pub fn uuid(high: u64, low: u64) -> Value {
    let high = (high & !0xF000) | 0x4000;
    let low = (low & !(0b11 << 62)) | (0b10 << 62);
    let mut out = String::with_capacity(36);
    for index in 0..32 {
        if matches!(index, 8 | 12 | 16 | 20) {
            out.push('-');
        }
        let word = if index < 16 { high } else { low };
        let digit = (word >> (60 - 4 * (index % 16))) as u32 & 15;
        out.extend(char::from_digit(digit, 16));
    }
    Value::data(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_int_ranges_are_reached() {
        for (bits, a, b, expected) in [
            (0, 1, 6, 1),
            (u64::MAX, 1, 6, 6),
            (u64::MAX, 6, 1, 6),
            (0, 6, 1, 1),
            (0, i64::MIN, i64::MAX, i64::MIN),
            (u64::MAX, i64::MIN, i64::MAX, i64::MAX),
            (u64::MAX / 2, 5, 5, 5),
        ] {
            assert_eq!(int_between(bits, Value::Int(a), Value::Int(b)), Value::Int(expected));
        }
    }

    #[test]
    fn the_upper_end_of_double_ranges_is_not_reached() {
        assert_eq!(double_between(0, Value::Int(1), Value::Int(2)), Value::Double(1.0));
        let Value::Double(number) = double_between(u64::MAX, Value::Int(1), Value::Int(2)) else { panic!() };
        assert!(number < 2.0 && number > 1.999, "{number}");
        assert_eq!(double_between(7, Value::Int(3), Value::Int(3)), Value::Double(3.0));
    }

    #[test]
    fn uuids_are_version_4() {
        assert_eq!(uuid(u64::MAX, u64::MAX), Value::data("ffffffff-ffff-4fff-bfff-ffffffffffff"));
        assert_eq!(uuid(0x0123_4567_89ab_cdef, 0), Value::data("01234567-89ab-4def-8000-000000000000"));
    }
}
