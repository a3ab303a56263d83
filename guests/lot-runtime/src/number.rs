//! Numbers as text: `num(s)` and the printing of numbers (§4).

use std::cmp::Ordering;
use std::fmt::Write;

/// A number of either kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Double(f64),
}

impl Number {
    /// A moment as a number: seconds since 1970, with a fraction where it has one.
    pub fn of_time(ms: i64) -> Number {
        if ms % 1000 == 0 { Number::Int(ms / 1000) } else { Number::Double(ms as f64 / 1000.0) }
    }

    /// As floating point; whole numbers beyond 2^53 are rounded.
    pub fn as_f64(self) -> f64 {
        match self {
            Number::Int(number) => number as f64,
            Number::Double(number) => number,
        }
    }
}

/// Parses a number (§4): surrounding ASCII space, a sign, digits with an optional `.` and exponent.
/// Whole numbers that fit into 64 bits are `Int`, others `Double`.
pub fn parse(text: &str) -> Option<Number> {
    let text = text.trim_ascii();
    let bytes = text.as_bytes();
    let (negative, digits) = match bytes.first()? {
        b'-' => (true, bytes.get(1..)?),
        b'+' => (false, bytes.get(1..)?),
        _ => (false, bytes),
    };
    if let Some(number) = parse_short_int(digits) {
        return Some(Number::Int(if negative { -number } else { number }));
    }
    if let Some(number) = parse_short_decimal(digits) {
        return Some(Number::Double(if negative { -number } else { number }));
    }
    if !looks_decimal(digits) {
        return None;
    }
    if let Ok(number) = text.parse::<i64>() {
        return Some(Number::Int(number));
    }
    text.parse::<f64>().ok().map(Number::Double)
}

/// Returns the number for a foreign text in new JSON. Returns `None` if the number would lose
/// information, as in names that look like numbers. Such texts have leading zeros, a `+`, more
/// digits than a double has, or a value above the largest double.
pub fn reading(text: &str) -> Option<Number> {
    let digits = text.trim_ascii().trim_start_matches('-').as_bytes();
    if matches!(digits, [b'0', b'0'..=b'9', ..] | [b'+', ..]) {
        return None;
    }
    let number = parse(text)?;
    match number {
        Number::Int(_) => Some(number),
        Number::Double(double) => {
            (double.is_finite() && significant_digits(text) <= READING_DIGITS_MAX).then_some(number)
        }
    }
}

/// Returns the number of significant digits of a decimal: without an exponent and leading zeros.
pub fn significant_digits(text: &str) -> usize {
    let mantissa = text.bytes().take_while(|byte| !matches!(byte, b'e' | b'E'));
    mantissa.filter(u8::is_ascii_digit).skip_while(|digit| *digit == b'0').count()
}

/// Whether a text is nothing but digits behind an optional sign.
pub fn is_whole(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Order of two whole numbers of any length.
pub fn order_whole(a: &str, b: &str) -> Ordering {
    let parts = |text: &'_ str| {
        let digits = text.trim_start_matches(['-', '+', '0']).len();
        let digits = &text[text.len() - digits..];
        (text.starts_with('-') && !digits.is_empty(), digits.to_owned())
    };
    let ((a_negative, a), (b_negative, b)) = (parts(a), parts(b));
    let by_size = a.len().cmp(&b.len()).then_with(|| a.cmp(&b));
    match (a_negative, b_negative) {
        (false, false) => by_size,
        (true, true) => by_size.reverse(),
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
    }
}

/// Digits that distinguish any double from its neighbours.
const READING_DIGITS_MAX: usize = 17;

/// 1 to 18 digits, which always fit.
fn parse_short_int(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut number = 0i64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number * 10 + i64::from(digit);
    }
    Some(number)
}

/// Parses up to 15 digits with a point, as sensors send them. The digits as a whole number and the
/// power of ten are exact doubles, so their quotient is the nearest double.
fn parse_short_decimal(bytes: &[u8]) -> Option<f64> {
    const DIGITS_MAX: usize = 15;
    const POWERS: [f64; DIGITS_MAX + 1] =
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    if bytes.len() < 2 || bytes.len() > DIGITS_MAX + 1 {
        return None;
    }
    let mut whole = 0i64;
    let mut places = None;
    for (index, byte) in bytes.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            whole = whole * 10 + i64::from(digit);
        } else if *byte == b'.' && places.is_none() {
            places = Some(bytes.len() - 1 - index);
        } else {
            return None;
        }
    }
    Some(whole as f64 / POWERS.get(places?)?)
}

/// Returns whether the bytes are `digits[.digits][e[±]digits]`. Rejects `inf`, `nan` and lone
/// points, which Rust's parser accepts.
fn looks_decimal(bytes: &[u8]) -> bool {
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = digits(0);
    let mut at = whole;
    let mut fraction = 0;
    if bytes.get(at) == Some(&b'.') {
        fraction = digits(at + 1);
        at += 1 + fraction;
    }
    if whole + fraction == 0 {
        return false;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        at += 1;
        if matches!(bytes.get(at), Some(b'+' | b'-')) {
            at += 1;
        }
        let exponent = digits(at);
        if exponent == 0 {
            return false;
        }
        at += exponent;
    }
    at == bytes.len()
}

/// Appends a whole number.
pub fn append_int(out: &mut String, number: i64) {
    let mut buffer = [0u8; 20];
    let mut at = buffer.len();
    let mut rest = number.unsigned_abs();
    loop {
        at -= 1;
        buffer[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        out.push('-');
    }
    out.extend(buffer[at..].iter().map(|&byte| char::from(byte)));
}

/// Decimal places that the quick way of [`append_double`] tries.
const QUICK_PLACES: [f64; 7] = [1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6];

/// Appends the shortest text that reads back as the same number. It has no exponent from 1e-5 to
/// 1e15 and no trailing `.0` (OD-13). Appends `null` for NaN and infinity.
pub fn append_double(out: &mut String, number: f64) {
    if !number.is_finite() {
        out.push_str("null");
    } else if !append_quickly(out, number) {
        let size = number.abs();
        // Writing to a String cannot fail.
        let _ =
            if (1e-5..=1e15).contains(&size) { write!(out, "{number}") } else { write!(out, "{number:e}") };
    }
}

/// Appends a number with few decimal places and at most 15 digits. The first scale at which it is
/// whole gives the shortest text, because doubles distinguish all decimals of up to 15 digits.
fn append_quickly(out: &mut String, number: f64) -> bool {
    if number != 0.0 && number.abs() < 1e-5 {
        return false;
    }
    for (places, scale) in QUICK_PLACES.iter().enumerate() {
        let scaled = number * scale;
        if scaled.abs() >= 1e15 {
            return false;
        }
        let whole = scaled as i64;
        if whole as f64 == scaled && whole as f64 / scale == number {
            append_scaled(out, whole, places);
            return true;
        }
    }
    false
}

fn append_scaled(out: &mut String, scaled: i64, places: usize) {
    // Rounding of the product can hide the first scale at which the number is whole.
    let (mut scaled, mut places) = (scaled, places);
    while places > 0 && scaled % 10 == 0 {
        scaled /= 10;
        places -= 1;
    }
    if places == 0 {
        return append_int(out, scaled);
    }
    let scale = 10i64.pow(places as u32);
    if scaled < 0 {
        out.push('-');
    }
    append_int(out, (scaled / scale).abs());
    out.push('.');
    let mut fraction = (scaled % scale).abs();
    let mut divisor = scale / 10;
    while divisor > 0 {
        out.push(char::from(b'0' + (fraction / divisor) as u8));
        fraction %= divisor;
        divisor /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_decimals_are_read_as_std_reads_them() {
        let mut number = 1u64;
        for round in 0..20_000u64 {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(round);
            let digits = (number >> 11) % 10u64.pow(1 + (round % 15) as u32);
            let mut text = format!("{digits:02}");
            text.insert((number % (text.len() as u64 + 1)) as usize, '.');
            let expected = text.parse::<f64>().unwrap();
            assert_eq!(parse(&text), Some(Number::Double(expected)), "{text}");
            assert_eq!(parse(&format!("-{text}")), Some(Number::Double(-expected)), "-{text}");
        }
    }

    #[test]
    fn texts_are_read_as_numbers() {
        for (text, expected) in [
            ("10", Some(Number::Int(10))),
            (" -7 ", Some(Number::Int(-7))),
            ("+3", Some(Number::Int(3))),
            ("5.0", Some(Number::Double(5.0))),
            (".5", Some(Number::Double(0.5))),
            ("5.", Some(Number::Double(5.0))),
            ("1e3", Some(Number::Double(1000.0))),
            ("9223372036854775807", Some(Number::Int(i64::MAX))),
            ("-9223372036854775808", Some(Number::Int(i64::MIN))),
            ("9223372036854775808", Some(Number::Double(9_223_372_036_854_775_808.0))),
            ("", None),
            ("-", None),
            (".", None),
            ("+ 3", None),
            ("--3", None),
            ("1,5", None),
            ("0x10", None),
            ("inf", None),
            ("NaN", None),
            ("true", None),
            ("1e", None),
            ("12C", None),
        ] {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn doubles_print_shortest() {
        for (number, expected) in [
            (77.0, "77"),
            (-0.0, "0"),
            (2.5, "2.5"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1.0 / 3.0, "0.3333333333333333"),
            (-1.25, "-1.25"),
            (-0.5, "-0.5"),
            (0.00001, "0.00001"),
            (0.000001, "1e-6"),
            (1e15, "1000000000000000"),
            (-1e15, "-1000000000000000"),
            (1.000000000000001e15, "1.000000000000001e15"),
            (999_999_999_999_999.0, "999999999999999"),
            (123_456_789.125, "123456789.125"),
            (1.5e300, "1.5e300"),
            (f64::NAN, "null"),
            (f64::INFINITY, "null"),
            (100.0, "100"),
            (0.07, "0.07"),
            (1.005, "1.005"),
        ] {
            let mut out = String::new();
            append_double(&mut out, number);
            assert_eq!(out, expected);
            if number.is_finite() {
                assert_eq!(out.parse::<f64>().unwrap(), number);
            }
        }
    }

    #[test]
    fn the_quick_way_prints_what_the_standard_library_prints() {
        let mut bits = 0x9E37_79B9_7F4A_7C15u64;
        for _ in 0..20_000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let number = (bits >> 40) as f64 / [1.0, 10.0, 1000.0, 7.0][(bits & 3) as usize];
            let mut out = String::new();
            if append_quickly(&mut out, number) {
                assert_eq!(out, format!("{number}"));
            }
        }
    }
}
