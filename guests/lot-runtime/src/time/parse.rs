//! Reading ISO date-times, for `AS TIMESTAMP`.

use super::{Civil, DAY_MS};

/// Parses `yyyy-MM-dd`, optionally with `T` or a space and `HH:mm[:ss[.fff…]]`, and optionally with
/// `Z` or an offset `±HH[[:]mm]`. Returns milliseconds. The letters may be lower case (RFC 3339,
/// §5.6). Without a zone the time is UTC.
pub fn parse(text: &str) -> Option<i64> {
    let mut reader = Reader { bytes: text.trim().as_bytes() };
    let year = reader.number(4)?;
    reader.take(b'-')?;
    let month = reader.number(2)?;
    reader.take(b'-')?;
    let day = reader.number(2)?;
    let mut ms = Civil::days(year, month as u32, day as u32)? * DAY_MS;
    if reader.bytes.is_empty() {
        return Some(ms);
    }
    reader.take_one_of(b"Tt ")?;
    ms += reader.time_of_day()? - reader.offset()?;
    reader.bytes.is_empty().then_some(ms)
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn number(&mut self, digits: usize) -> Option<i64> {
        let (number, rest) = self.bytes.split_at_checked(digits)?;
        self.bytes = rest;
        number
            .iter()
            .try_fold(0i64, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        self.bytes = self.bytes.strip_prefix(&[byte])?;
        Some(())
    }

    fn take_one_of(&mut self, letters: &[u8]) -> Option<()> {
        letters.iter().find_map(|letter| self.take(*letter))
    }

    fn time_of_day(&mut self) -> Option<i64> {
        let hour = self.number(2)?;
        self.take(b':')?;
        let minute = self.number(2)?;
        let second = if self.take(b':').is_some() { self.number(2)? } else { 0 };
        let fraction = if self.take(b'.').is_some() { self.fraction()? } else { 0 };
        (hour < 24 && minute < 60 && second < 60)
            .then_some(((hour * 60 + minute) * 60 + second) * 1000 + fraction)
    }

    /// Digits of a second's fraction, in milliseconds; further digits are cut off.
    fn fraction(&mut self) -> Option<i64> {
        let digits = self.bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (fraction, rest) = self.bytes.split_at_checked(digits)?;
        self.bytes = rest;
        let ms = (0..3)
            .fold(0, |ms, place| ms * 10 + fraction.get(place).map_or(0, |byte| i64::from(byte - b'0')));
        (digits > 0).then_some(ms)
    }

    fn offset(&mut self) -> Option<i64> {
        if self.bytes.is_empty() || self.take_one_of(b"Zz").is_some() {
            return Some(0);
        }
        let sign = if self.take(b'-').is_some() { -1 } else { self.take(b'+').map(|()| 1)? };
        let hours = self.number(2)?;
        // `+01:00`, `+0100` and `+01` are in use.
        let has_colon = self.take(b':').is_some();
        let minutes = if self.bytes.is_empty() && !has_colon { 0 } else { self.number(2)? };
        (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes) * 60_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_times_are_read() {
        for (text, expected) in [
            ("1970-01-01", Some(0)),
            ("2026-01-15T10:30:00.123Z", Some(1_768_473_000_123)),
            ("2026-01-15 10:30:00", Some(1_768_473_000_000)),
            ("2026-01-15T11:30+01:00", Some(1_768_473_000_000)),
            ("2026-01-15T10:30:00.1239999Z", Some(1_768_473_000_123)),
            ("2026-01-15T11:30:00+0100", Some(1_768_473_000_000)),
            ("2026-01-15 11:30:00+01", Some(1_768_473_000_000)),
            ("2026-01-15 09:30:00.5-01", Some(1_768_473_000_500)),
            ("2026-01-15t10:30:00z", Some(1_768_473_000_000)),
            ("2026-01-15T10:30:00-23:59", Some(1_768_559_340_000)),
            ("2026-01-15T10:30:00+24:00", None),
            ("2026-01-15T10:30:00+01:60", None),
            ("2026-01-15T10:30:00+99:99", None),
            ("2026-01-15T10:30:00+01:", None),
            ("2026-01-15T10:30:00+1", None),
            ("2026-02-30", None),
            ("2026-01-15T25:00:00", None),
            ("2026-01-15T10:30:00x", None),
            ("15-01-2026", None),
            ("", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
