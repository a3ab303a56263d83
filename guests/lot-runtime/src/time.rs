//! Time as text (§5.2), proleptic Gregorian: UTC, or with the offset of local time.

mod format;
mod parse;

pub use format::append_iso;
pub(crate) use format::append_pattern;
pub use parse::parse;

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// An instant in its parts, on clocks that are ahead of UTC by an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: i64,
    /// 1 to 12.
    pub(crate) month: u32,
    /// 1 to 31.
    pub(crate) day: u32,
    /// 0 (Sunday) to 6.
    pub(crate) weekday: u32,
    pub(crate) hour: u32,
    pub(crate) minute: u32,
    pub(crate) second: u32,
    pub(crate) ms: u32,
    /// How far the clocks are ahead of UTC.
    pub(crate) offset_minutes: i32,
}

impl Civil {
    /// The parts of an instant on clocks that are ahead of UTC by an offset.
    pub(crate) fn local(ms: i64, offset_seconds: i32) -> Self {
        let shifted = ms.saturating_add(i64::from(offset_seconds) * 1000);
        Self { offset_minutes: offset_seconds / 60, ..Self::from_ms(shifted) }
    }

    /// Splits an instant in milliseconds since 1970-01-01 into its parts, in UTC. After H. Hinnant,
    /// "chrono-compatible low-level date algorithms".
    pub(crate) fn from_ms(ms: i64) -> Self {
        let days = ms.div_euclid(DAY_MS);
        let of_day = ms.rem_euclid(DAY_MS);
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        Self {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month: month as u32,
            day: (day_of_year - (153 * shifted_month + 2) / 5 + 1) as u32,
            weekday: (days + 4).rem_euclid(7) as u32,
            hour: (of_day / 3_600_000) as u32,
            minute: (of_day / 60_000 % 60) as u32,
            second: (of_day / 1000 % 60) as u32,
            ms: (of_day % 1000) as u32,
            offset_minutes: 0,
        }
    }

    /// Days from 1970-01-01 to a date; `None` for a date that does not exist.
    fn days(year: i64, month: u32, day: u32) -> Option<i64> {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = match month {
            2 => 28 + u32::from(leap),
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        if day == 0 || day > length {
            return None;
        }
        let year = year - i64::from(month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let shifted_month = i64::from(if month > 2 { month - 3 } else { month + 9 });
        let day_of_year = (153 * shifted_month + 2) / 5 + i64::from(day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        Some(era * 146_097 + day_of_era - 719_468)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_days_are_inverse() {
        for days in (-800_000..800_000).step_by(37) {
            let civil = Civil::from_ms(days * DAY_MS);
            assert_eq!(Civil::days(civil.year, civil.month, civil.day), Some(days));
        }
        assert_eq!(Civil::days(2026, 2, 29), None);
        assert_eq!(Civil::days(2000, 2, 29), Some(11_016));
        assert_eq!(Civil::days(2026, 13, 1), None);
    }
}
