//! Numbers between a device and a message: exact decimals, so that 3 × 0.1 is `0.3` and 64 bits
//! lose no digit.

use std::fmt;

/// A number: exact as a decimal, or a float where it has more digits or places than that can hold.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    /// `mantissa` / 10^`places`.
    Exact {
        /// All digits.
        mantissa: i128,
        /// How many of them are behind the point.
        places: u32,
    },
    /// A float, which may be infinite or not a number.
    Float(f64),
}

/// Places behind the point that a decimal has at most; 10^36 still fits into its mantissa.
const PLACES_MAX: u32 = 36;

/// Digits of a text that is read as a decimal.
const DIGITS_MAX: usize = 30;

impl Number {
    /// One.
    pub const ONE: Number = Number::Exact { mantissa: 1, places: 0 };
    /// Zero.
    pub const ZERO: Number = Number::Exact { mantissa: 0, places: 0 };

    /// A whole number.
    pub fn whole(number: i128) -> Number {
        Number::Exact { mantissa: number, places: 0 }
    }

    /// The decimal that is the shortest text of a float.
    pub fn of_double(number: f64) -> Number {
        Number::parse(&format!("{number:e}")).unwrap_or(Number::Float(number))
    }

    /// The decimal that is the shortest text of a float of 32 bits.
    pub fn of_single(number: f32) -> Number {
        Number::parse(&format!("{number:e}")).unwrap_or(Number::Float(number.into()))
    }

    /// Parses a number: digits with optional point, sign and exponent. Returns `None` for other
    /// texts, such as `inf`.
    pub fn parse(text: &str) -> Option<Number> {
        let text = text.trim();
        let (digits, exponent) = match text.split_once(['e', 'E']) {
            Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let unsigned = digits.strip_prefix(['-', '+']).unwrap_or(digits);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let are_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if !are_digits(whole) || !are_digits(fraction) || whole.len() + fraction.len() == 0 {
            return None;
        }
        let float = || text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Number::Float);
        if whole.len() + fraction.len() > DIGITS_MAX {
            return float();
        }
        let size = format!("{whole}{fraction}").parse::<i128>().ok()?;
        let mantissa = if digits.starts_with('-') { -size } else { size };
        let places = i64::try_from(fraction.len()).ok()? - i64::from(exponent);
        let exact = match u32::try_from(places) {
            Ok(places) if places <= PLACES_MAX => Some(Number::Exact { mantissa, places }),
            Ok(_) => None,
            Err(_) => power(u32::try_from(-places).ok()?)
                .and_then(|power| mantissa.checked_mul(power))
                .map(Number::whole),
        };
        exact.or_else(float)
    }

    /// The nearest float.
    #[allow(clippy::cast_precision_loss, reason = "the nearest float is what is wanted")]
    pub fn to_double(self) -> f64 {
        match self {
            Number::Exact { mantissa, places: 0 } => mantissa as f64,
            // The text of a decimal is read as its nearest float.
            Number::Exact { .. } => self.to_string().parse().unwrap_or(f64::NAN),
            Number::Float(number) => number,
        }
    }

    /// Whether it is zero.
    pub fn is_zero(self) -> bool {
        match self {
            Number::Exact { mantissa, .. } => mantissa == 0,
            Number::Float(number) => number == 0.0,
        }
    }

    /// It times a factor.
    pub fn times(self, factor: Number) -> Number {
        let exact = || {
            let (Number::Exact { mantissa, places }, Number::Exact { mantissa: by, places: more }) =
                (self, factor)
            else {
                return None;
            };
            let places = places.checked_add(more).filter(|places| *places <= PLACES_MAX)?;
            Some(Number::Exact { mantissa: mantissa.checked_mul(by)?, places })
        };
        exact().unwrap_or_else(|| Number::Float(self.to_double() * factor.to_double()))
    }

    /// It and another one.
    pub fn plus(self, other: Number) -> Number {
        let exact = || {
            let places = self.places()?.max(other.places()?);
            let mantissa = self.mantissa_at(places)?.checked_add(other.mantissa_at(places)?)?;
            Some(Number::Exact { mantissa, places })
        };
        exact().unwrap_or_else(|| Number::Float(self.to_double() + other.to_double()))
    }

    /// It with the other sign.
    pub fn negated(self) -> Number {
        match self {
            Number::Exact { mantissa, places } => mantissa
                .checked_neg()
                .map_or(Number::Float(-self.to_double()), |mantissa| Number::Exact { mantissa, places }),
            Number::Float(number) => Number::Float(-number),
        }
    }

    /// Divides and rounds to the nearest whole number, halves away from zero. Returns `None` if no
    /// whole number fits.
    #[allow(clippy::cast_possible_truncation, reason = "the range is checked")]
    pub fn divided_whole(self, by: Number) -> Option<i128> {
        if let (Number::Exact { mantissa, places }, Number::Exact { mantissa: divisor, places: of_divisor }) =
            (self, by)
            && let (Some(over), Some(under)) = (power(of_divisor), power(places))
            && let (Some(over), Some(under)) = (mantissa.checked_mul(over), divisor.checked_mul(under))
        {
            return rounded_quotient(over, under);
        }
        let quotient = (self.to_double() / by.to_double()).round();
        (quotient.abs() < 1e38).then_some(quotient as i128)
    }

    /// It with at most so many places behind the point; halves are rounded away from zero.
    pub fn rounded(self, places: u32) -> Number {
        match self {
            Number::Exact { mantissa, places: has } if has > places => power(has - places)
                .and_then(|divisor| rounded_quotient(mantissa, divisor))
                .map_or(self, |mantissa| Number::Exact { mantissa, places }),
            Number::Exact { .. } => self,
            Number::Float(number) => {
                // A float without a point in it is whole.
                let text = format!("{number:.*}", usize::try_from(places).unwrap_or(0));
                if number.abs() < 1e15 { Number::parse(&text).unwrap_or(self) } else { self }
            }
        }
    }

    fn places(self) -> Option<u32> {
        match self {
            Number::Exact { places, .. } => Some(places),
            Number::Float(_) => None,
        }
    }

    fn mantissa_at(self, wanted: u32) -> Option<i128> {
        match self {
            Number::Exact { mantissa, places } => mantissa.checked_mul(power(wanted.checked_sub(places)?)?),
            Number::Float(_) => None,
        }
    }
}

/// 10 to this power, where it fits.
fn power(exponent: u32) -> Option<i128> {
    10_i128.checked_pow(exponent)
}

fn rounded_quotient(over: i128, under: i128) -> Option<i128> {
    let (quotient, rest) = (over.checked_div(under)?, over.checked_rem(under)?);
    let is_half = rest.unsigned_abs() >= under.unsigned_abs() - rest.unsigned_abs();
    let away = if (over < 0) == (under < 0) { 1 } else { -1 };
    Some(if is_half && rest != 0 { quotient + away } else { quotient })
}

/// Formats a decimal without trailing zeros, and a float as the shortest text that reads back, with
/// an exponent if very large or small. Writes `null` for a float that is not finite, as in JSON.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Number::Float(number) if !number.is_finite() => f.write_str("null"),
            Number::Float(number) if number == 0.0 || (1e-5..1e15).contains(&number.abs()) => {
                write!(f, "{number}")
            }
            Number::Float(number) => write!(f, "{number:e}"),
            Number::Exact { mut mantissa, mut places } => {
                while places > 0 && mantissa % 10 == 0 {
                    mantissa /= 10;
                    places -= 1;
                }
                let Some(divisor) = power(places).filter(|_| places > 0) else {
                    return write!(f, "{mantissa}");
                };
                let (sign, size) = (if mantissa < 0 { "-" } else { "" }, mantissa.unsigned_abs());
                let divisor = divisor.unsigned_abs();
                let width = usize::try_from(places).unwrap_or(0);
                write!(f, "{sign}{}.{:0width$}", size / divisor, size % divisor)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text).unwrap()
    }

    #[test]
    fn texts_are_read_and_written() {
        for (text, expected) in [
            ("21.50", "21.5"),
            ("-0.05", "-0.05"),
            ("+7", "7"),
            (".5", "0.5"),
            ("5.", "5"),
            ("1e3", "1000"),
            ("1.5e-3", "0.0015"),
            ("18446744073709551615", "18446744073709551615"),
            ("-0", "0"),
            ("1e300", "1e300"),
            ("1e-300", "1e-300"),
        ] {
            assert_eq!(number(text).to_string(), expected, "{text}");
        }
        for text in ["", "-", ".", "1e", "inf", "NaN", "0x1", "1,5", "1 2", "--1", "e5", "true", "1e400"] {
            assert!(Number::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn decimals_are_exact() {
        assert_eq!(Number::whole(3).times(number("0.1")).to_string(), "0.3");
        assert_eq!(
            Number::whole(u64::MAX.into()).times(number("0.001")).to_string(),
            "18446744073709551.615"
        );
        assert_eq!(number("0.1").plus(number("0.2")).to_string(), "0.3");
        assert_eq!(Number::of_single(0.1).to_string(), "0.1");
        assert_eq!(Number::of_double(-2.5).to_string(), "-2.5");
        assert_eq!(Number::of_single(f32::NAN).to_string(), "null");
        assert_eq!(Number::of_double(1e-300).times(number("10")).to_string(), "1e-299");
    }

    #[test]
    fn quotients_and_places_are_rounded_away_from_zero() {
        for (over, under, expected) in [
            ("21.5", "0.1", 215),
            ("2.5", "1", 3),
            ("-2.5", "1", -3),
            ("-2.4", "1", -2),
            ("1", "3", 0),
            ("2", "-3", -1),
        ] {
            assert_eq!(number(over).divided_whole(number(under)), Some(expected), "{over}/{under}");
        }
        assert_eq!(number("1").divided_whole(Number::ZERO), None);
        for (text, places, expected) in
            [("2.345", 2, "2.35"), ("-2.345", 2, "-2.35"), ("2.3", 2, "2.3"), ("2.5", 0, "3")]
        {
            assert_eq!(number(text).rounded(places).to_string(), expected, "{text}");
        }
        assert_eq!(Number::Float(1.0 / 3.0).rounded(2).to_string(), "0.33");
    }
}
