//! End of the validity of a certificate.
//!
//! Of a client's the handshake has judged that once; a connection may outlive it, and a session of
//! TLS that is resumed is not judged again. Of our own nobody else says it in words.
//!
//! Invariant: what cannot be read has ended long ago. Not here: everything else that makes a
//! certificate good.

use crate::der::{Reader, tag};

const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The end of a certificate's validity (RFC 5280 §4.1.2.5), in milliseconds since 1970: the first
/// one at which it is not valid any more.
#[must_use]
pub fn ends_at_ms(der: &[u8]) -> u64 {
    // The second that is named is the last one.
    not_after(der).map_or(0, |seconds| (seconds + 1) * 1000)
}

fn not_after(der: &[u8]) -> Option<u64> {
    let certificate = Reader(der).expect(tag::SEQUENCE)?;
    let mut fields = Reader(Reader(certificate).expect(tag::SEQUENCE)?);
    let (first, _) = fields.next()?;
    // Version, where it is told; then serial number, algorithm, issuer.
    for _ in 0..if first == tag::VERSION { 3 } else { 2 } {
        fields.next()?;
    }
    let mut validity = Reader(fields.expect(tag::SEQUENCE)?);
    validity.next()?;
    match validity.next()? {
        (UTC_TIME, text) => {
            let year = digits(text.get(..2)?)?;
            // RFC 5280 §4.1.2.5.1.
            seconds(year + if year < 50 { 2000 } else { 1900 }, text.get(2..)?)
        }
        (GENERALIZED_TIME, text) => seconds(digits(text.get(..4)?)?, text.get(4..)?),
        _ => None,
    }
}

/// A time in seconds since 1970 as people read it: `2026-11-24 08:15:00 UTC`.
#[must_use]
pub fn text(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Howard Hinnant, "chrono-compatible low-level date algorithms": eras of 400 years that begin
    // in March.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + next;
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// Parses a time of this year, `MMDDHHMMSSZ`, to seconds since 1970.
fn seconds(year: u64, rest: &[u8]) -> Option<u64> {
    let numbers = rest.strip_suffix(b"Z").filter(|numbers| numbers.len() == 10)?;
    let mut parts = numbers.chunks(2).map(digits);
    let mut next = |range: std::ops::RangeInclusive<u64>| parts.next()?.filter(|part| range.contains(part));
    let (month, day) = (next(1..=12)?, next(1..=31)?);
    let (hour, minute, second) = (next(0..=23)?, next(0..=59)?, next(0..=60)?);
    let years = year.checked_sub(1970)?;
    // Days before this year, and before this month in it (Howard Hinnant, "chrono-compatible
    // low-level date algorithms").
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    let is_leap = leaps(year) > leaps(year - 1);
    let before_month =
        [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334][usize::try_from(month).ok()? - 1];
    let days = years * 365 + leaps(year - 1) - leaps(1969) + before_month + day - 1
        + u64::from(is_leap && month > 2);
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

fn digits(text: &[u8]) -> Option<u64> {
    text.iter()
        .try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn until(seconds: u64) -> Vec<u8> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_end_of_a_certificate_is_read() {
        for seconds in [
            946_684_799,    // 1999-12-31T23:59:59Z
            951_782_400,    // 2000-02-29
            1_735_689_600,  // 2025-01-01
            1_772_323_199,  // 2026-02-28T23:59:59Z
            1_835_395_200,  // 2028-02-29
            2_524_607_999,  // the last one as UTCTime
            2_524_608_000,  // the first one as GeneralizedTime
            4_107_542_400,  // 2100-03-01, after a February without a 29th
            64_092_211_200, // 4001-01-01
        ] {
            assert_eq!(ends_at_ms(&until(seconds)), (seconds + 1) * 1000, "{seconds}");
        }
    }

    #[test]
    fn time_is_formatted_as_readable_utc() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (951_868_799, "2000-02-29 23:59:59 UTC"),
            (1_772_323_199, "2026-02-28 23:59:59 UTC"),
            (1_795_507_445, "2026-11-24 08:04:05 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(text(seconds), expected);
        }
    }

    #[test]
    fn unreadable_certificate_counts_as_expired() {
        let der = until(4_107_542_400);
        for end in 0..der.len().min(120) {
            let _ = ends_at_ms(&der[..end]);
        }
        assert_eq!(ends_at_ms(b""), 0);
        assert_eq!(ends_at_ms(&der[..20]), 0);
        for bad in [
            "0229000000Z",
            "02290000000Z",
            "0001000000Z",
            "0100000000Z",
            "1301000000Z",
            "0101240000Z",
            "0101000000+0100",
        ] {
            let read = seconds(2028, bad.as_bytes());
            assert_eq!(read.is_some(), bad == "0229000000Z", "{bad}");
        }
    }
}
