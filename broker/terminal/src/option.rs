//! Values of options that several subcommands have.

/// Reads a span of time, from 0 to a day: seconds as `1.5`, or with a unit as `500ms`, `2s`, `5m`
/// and `1h`.
///
/// # Errors
/// A sentence for the user when the text is no span of time, or one outside of that range.
pub fn seconds(text: &str) -> Result<f64, String> {
    const UNITS: [(&str, f64); 4] = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let of_unit = UNITS.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, *seconds)));
    let (number, unit) = of_unit.unwrap_or((text, 1.0));
    let number: f64 =
        number.trim_end().parse().map_err(|_| "expected seconds as 1.5, or 500ms, 2s, 5m".to_owned())?;
    let value = number * unit;
    if (0.0..=86_400.0).contains(&value) { Ok(value) } else { Err("expected 0 to 86400 seconds".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time_are_seconds_or_have_a_unit() {
        for (text, expected) in [
            ("1.5", Some(1.5)),
            ("500ms", Some(0.5)),
            ("2s", Some(2.0)),
            ("5m", Some(300.0)),
            ("1 h", Some(3600.0)),
            ("0", Some(0.0)),
            ("25h", None),
            ("-1", None),
            ("x", None),
            ("s", None),
            ("NaN", None),
        ] {
            assert_eq!(seconds(text).ok(), expected, "{text}");
        }
    }
}
