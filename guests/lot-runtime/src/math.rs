//! Powers, logarithms, exponentials and trigonometry.
//!
//! The crate `libm` computes them in software, so every platform gives the same digits.
//!
//! Angles are in radians. Operands count as in [`operand`]. A result that is no finite number is
//! Null: a logarithm of 0, the arc sine of 2, a power beyond every Double.

use crate::arithmetic::operand;
use crate::number::Number;
use crate::value::Value;

/// A number that is finite; else Null.
pub(crate) fn finite(number: f64) -> Value {
    if number.is_finite() { Value::Double(number) } else { Value::Null }
}

fn of_one(value: Value, function: fn(f64) -> f64) -> Value {
    finite(function(operand(value).as_f64()))
}

/// `SIN(x)`.
pub fn sine(value: Value) -> Value {
    of_one(value, libm::sin)
}

/// `COS(x)`.
pub fn cosine(value: Value) -> Value {
    of_one(value, libm::cos)
}

/// `TAN(x)`.
pub fn tangent(value: Value) -> Value {
    of_one(value, libm::tan)
}

/// `ASIN(x)`, from −π/2 to π/2.
pub fn arc_sine(value: Value) -> Value {
    of_one(value, libm::asin)
}

/// `ACOS(x)`, from 0 to π.
pub fn arc_cosine(value: Value) -> Value {
    of_one(value, libm::acos)
}

/// `ATAN(x)`, from −π/2 to π/2.
pub fn arc_tangent(value: Value) -> Value {
    of_one(value, libm::atan)
}

/// `ATAN2(y, x)`: the angle of a point, from −π to π.
pub fn arc_tangent_of_point(y: Value, x: Value) -> Value {
    finite(libm::atan2(operand(y).as_f64(), operand(x).as_f64()))
}

/// `EXP(x)`: e to the power of x.
pub fn exponential(value: Value) -> Value {
    of_one(value, libm::exp)
}

/// `LN(x)`: the logarithm to base e.
pub fn natural_logarithm(value: Value) -> Value {
    of_one(value, libm::log)
}

/// `LOG10(x)`: the logarithm to base 10.
pub fn decimal_logarithm(value: Value) -> Value {
    of_one(value, libm::log10)
}

/// `POW(base, exponent)`. Whole numbers stay whole until they overflow, as in a product.
pub fn power(base: Value, exponent: Value) -> Value {
    let (base, exponent) = (operand(base), operand(exponent));
    if let (Number::Int(base), Number::Int(exponent)) = (base, exponent)
        && let Some(result) = u32::try_from(exponent).ok().and_then(|exponent| base.checked_pow(exponent))
    {
        return Value::Int(result);
    }
    finite(libm::pow(base.as_f64(), exponent.as_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn double(number: f64) -> Value {
        Value::Double(number)
    }

    /// Compared bit by bit: these digits are the same on every platform.
    #[test]
    fn functions_give_the_same_digits_everywhere() {
        for (result, expected) in [
            (sine(double(0.5)), 0.479425538604203),
            (cosine(double(0.5)), 0.8775825618903728),
            (tangent(double(0.5)), 0.5463024898437905),
            (arc_sine(double(0.5)), 0.5235987755982989),
            (arc_cosine(double(0.5)), 1.0471975511965979),
            (arc_tangent(double(0.5)), 0.4636476090008061),
            (arc_tangent_of_point(Value::Int(-1), Value::Int(-1)), -2.356194490192345),
            (exponential(Value::Int(1)), 2.7182818284590455),
            (natural_logarithm(Value::Int(10)), 2.302585092994046),
            (decimal_logarithm(Value::Int(1000)), 3.0),
            (power(Value::Int(2), double(0.5)), 1.4142135623730951),
            (power(Value::Int(2), Value::Int(-2)), 0.25),
            // Beyond 64 bits.
            (power(Value::Int(10), Value::Int(19)), 1e19),
            // Far from 0 the argument is still reduced exactly.
            (sine(double(1e22)), -0.8522008497671888),
        ] {
            assert_eq!(result, double(expected));
        }
    }

    #[test]
    fn powers_of_whole_numbers_are_whole() {
        for (base, exponent, expected) in [
            (2, 10, 1024),
            (-3, 3, -27),
            (0, 0, 1),
            (10, 18, 1_000_000_000_000_000_000),
            (-2, 63, i64::MIN),
            (1, i64::from(u32::MAX), 1),
        ] {
            assert_eq!(power(Value::Int(base), Value::Int(exponent)), Value::Int(expected));
        }
        assert_eq!(power(Value::data("7"), Value::data("2")), Value::Int(49));
    }

    #[test]
    fn a_result_that_is_no_finite_number_is_null() {
        for result in [
            natural_logarithm(Value::Int(0)),
            natural_logarithm(Value::Int(-1)),
            decimal_logarithm(Value::Empty),
            arc_sine(Value::Int(2)),
            arc_cosine(double(-1.5)),
            exponential(Value::Int(1000)),
            power(Value::Int(0), Value::Int(-1)),
            power(Value::Int(-8), double(0.5)),
            power(Value::Int(10), Value::Int(400)),
            sine(double(f64::INFINITY)),
        ] {
            assert_eq!(result, Value::Null);
        }
    }
}
