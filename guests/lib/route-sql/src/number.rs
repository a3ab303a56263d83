//! Numbers as texts.

/// Returns whether a text is a number in SQL syntax: digits, with an optional sign, point and
/// exponent.
pub(crate) fn is_number(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_is_right = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !digits.is_empty() && is_digits(digits)
    });
    is_digits(whole) && is_digits(fraction) && !(whole.is_empty() && fraction.is_empty()) && exponent_is_right
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_from_what_is_none() {
        for text in ["0", "-5", "+5", "21.5", ".5", "5.", "1e9", "1.5E-7", "123456789012345678901234567890"] {
            assert!(is_number(text), "{text}");
        }
        for text in
            ["", "-", ".", "e5", "1e", "1e+", "--1", "1 ", " 1", "0x1f", "1;", "NaN", "1.2.3", "1,5", "١"]
        {
            assert!(!is_number(text), "{text}");
        }
    }
}
