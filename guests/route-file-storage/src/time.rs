//! Times as texts, in UTC: with patterns of .NET in records, and of strftime in file names.

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// A time in UTC.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Time {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    milli: i64,
    /// Days since 1970-01-01, which was a Thursday.
    days: i64,
}

impl Time {
    /// Converts milliseconds since 1970 to a time. Computes the date in eras of 400 years that
    /// begin in March (Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    pub(crate) fn of(ms: i64) -> Time {
        let (days, of_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        Time {
            year: era * 400 + year_of_era + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
            hour: of_day / 3_600_000,
            minute: of_day / 60_000 % 60,
            second: of_day / 1_000 % 60,
            milli: of_day % 1_000,
            days,
        }
    }

    fn month_name(&self) -> &'static str {
        usize::try_from(self.month - 1).ok().and_then(|month| MONTHS.get(month)).copied().unwrap_or_default()
    }

    fn day_name(&self) -> &'static str {
        usize::try_from(self.days.rem_euclid(7))
            .ok()
            .and_then(|day| DAYS.get(day))
            .copied()
            .unwrap_or_default()
    }

    fn hour_of_12(&self) -> i64 {
        (self.hour + 11) % 12 + 1
    }

    /// By a pattern of .NET, such as `yyyy-MM-dd HH:mm:ss`.
    pub(crate) fn by_net(&self, pattern: &str) -> String {
        let mut text = String::new();
        let mut rest = pattern;
        while let Some(first) = rest.chars().next() {
            let behind = rest.trim_start_matches(first);
            let count = (rest.len() - behind.len()) / first.len_utf8();
            rest = match first {
                '\'' | '"' => {
                    let inside = &rest[1..];
                    let (literal, behind) = inside.split_once(first).unwrap_or((inside, ""));
                    text.push_str(literal);
                    behind
                }
                '\\' => {
                    let mut escaped = rest[1..].chars();
                    text.extend(escaped.next());
                    escaped.as_str()
                }
                // In .NET, `%` marks a single letter as a pattern.
                '%' => &rest[1..],
                _ => {
                    self.net_letters(first, count, &mut text);
                    behind
                }
            };
        }
        text
    }

    fn net_letters(&self, letter: char, count: usize, text: &mut String) {
        let number = |value: i64| format!("{value:0count$}");
        let cut = |name: &str| name.chars().take(if count == 3 { 3 } else { usize::MAX }).collect::<String>();
        let written = match letter {
            'y' if count <= 2 => number(self.year.rem_euclid(100)),
            'y' => number(self.year),
            'M' if count >= 3 => cut(self.month_name()),
            'M' => number(self.month),
            'd' if count >= 3 => cut(self.day_name()),
            'd' => number(self.day),
            'H' => number(self.hour),
            'h' => number(self.hour_of_12()),
            'm' => number(self.minute),
            's' => number(self.second),
            'f' | 'F' => format!("{:07}", self.milli * 10_000).chars().take(count).collect(),
            't' => (if self.hour < 12 { "AM" } else { "PM" }).chars().take(count).collect(),
            'K' => "Z".to_owned(),
            'z' if count >= 3 => "+00:00".to_owned(),
            'z' => format!("+{:0count$}", 0),
            other => std::iter::repeat_n(other, count).collect(),
        };
        text.push_str(&written);
    }

    /// `yyyy-MM-dd`.
    pub(crate) fn date(&self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }

    /// Formats with a pattern of strftime: numeric conversions and names. Other text stays
    /// unchanged.
    pub(crate) fn by_strftime(&self, pattern: &str) -> String {
        let mut text = String::new();
        let mut characters = pattern.chars();
        while let Some(character) = characters.next() {
            if character != '%' {
                text.push(character);
                continue;
            }
            match characters.next() {
                Some('Y') => text.push_str(&format!("{:04}", self.year)),
                Some('y') => text.push_str(&format!("{:02}", self.year.rem_euclid(100))),
                Some('m') => text.push_str(&format!("{:02}", self.month)),
                Some('d') => text.push_str(&format!("{:02}", self.day)),
                Some('H') => text.push_str(&format!("{:02}", self.hour)),
                Some('I') => text.push_str(&format!("{:02}", self.hour_of_12())),
                Some('M') => text.push_str(&format!("{:02}", self.minute)),
                Some('S') => text.push_str(&format!("{:02}", self.second)),
                Some('j') => text.push_str(&format!("{:03}", self.day_of_year())),
                Some('F') => text.push_str(&self.date()),
                Some('b') => text.extend(self.month_name().chars().take(3)),
                Some('B') => text.push_str(self.month_name()),
                Some('a') => text.extend(self.day_name().chars().take(3)),
                Some('A') => text.push_str(self.day_name()),
                Some('p') => text.push_str(if self.hour < 12 { "AM" } else { "PM" }),
                Some('%') => text.push('%'),
                Some(other) => text.extend(['%', other]),
                None => text.push('%'),
            }
        }
        text
    }

    fn day_of_year(&self) -> i64 {
        let is_leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        let february = if is_leap { 29 } else { 28 };
        let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let before = usize::try_from(self.month - 1).unwrap_or(0);
        months.iter().take(before).sum::<i64>() + self.day
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-20T09:18:25.120Z, a Friday.
    const MS: i64 = 1_795_166_305_120;

    #[test]
    fn patterns_of_net_are_known() {
        for (pattern, expected) in [
            ("yyyy-MM-dd HH:mm:ss", "2026-11-20 09:18:25"),
            ("dd/MM/yy h:m:s tt", "20/11/26 9:18:25 AM"),
            ("ddd, d MMM yyyy", "Fri, 20 Nov 2026"),
            ("dddd MMMM", "Friday November"),
            ("yyyy-MM-ddTHH:mm:ss.fffK", "2026-11-20T09:18:25.120Z"),
            ("HH'h'mm \"min\" zzz", "09h18 min +00:00"),
            ("\\y%M ff", "y11 12"),
            ("'open", "open"),
        ] {
            assert_eq!(Time::of(MS).by_net(pattern), expected, "{pattern}");
        }
        assert_eq!(Time::of(0).by_net("hh tt ddd"), "12 AM Thu");
        assert_eq!(Time::of(-1).by_net("yyyy fff"), "1969 999");
    }

    #[test]
    fn names_of_files_have_dates() {
        for (pattern, expected) in [
            ("log-%Y%m%d.csv", "log-20261120.csv"),
            ("%F_%H%M%S", "2026-11-20_091825"),
            ("%j %b %a 100%%", "324 Nov Fri 100%"),
            ("%q%", "%q%"),
        ] {
            assert_eq!(Time::of(MS).by_strftime(pattern), expected, "{pattern}");
        }
        assert_eq!(Time::of(MS).date(), "2026-11-20");
    }
}
