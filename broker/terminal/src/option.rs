//! Values of options that several subcommands have.

/// Reads a span of time in seconds, from 0 to a day.
///
/// # Errors
/// A sentence for the user when the text is no number, or one outside of that range.
pub fn seconds(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "expected seconds".to_owned())?;
    if (0.0..=86_400.0).contains(&value) { Ok(value) } else { Err("expected 0 to 86400 seconds".to_owned()) }
}
