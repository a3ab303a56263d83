//! Schedules as cron writes them, `0 5 * * *`, as the trigger that means the same.

use super::calendar::WEEKDAYS;

/// Names of days in cron, which begins with Sunday, as numbers from 0.
const DAY_NAMES: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// Times of day that are written out.
const TIMES_SHOWN_MAX: usize = 6;

/// Returns the trigger behind `ON` for a schedule of five fields, or of six that begin with the
/// seconds `0`. `None` for schedules that no trigger can express, such as single months.
pub(super) fn trigger(schedule: &str) -> Option<String> {
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    let [minute, hour, day, month, weekday] = match fields[..] {
        [minute, hour, day, month, weekday] | ["0", minute, hour, day, month, weekday] => {
            [minute, hour, day, month, weekday].map(|field| if field == "?" { "*" } else { field })
        }
        _ => return None,
    };
    let is_every_day = day == "*" && weekday == "*";
    match (minute, hour) {
        _ if month != "*" => None,
        ("*", "*") if is_every_day => Some("EVERY 1 MINUTE".to_owned()),
        (_, "*") if is_every_day && minute.starts_with("*/") => interval(minute, 60, ["MINUTE", "MINUTES"]),
        ("0", _) if is_every_day && hour.starts_with("*/") => interval(hour, 24, ["HOUR", "HOURS"]),
        ("0", "*") if is_every_day => Some("EVERY 1 HOUR".to_owned()),
        _ => Some(format!("EVERY {} AT {}", days(day, weekday)?, times(minute, hour)?)),
    }
}

/// `*/n`, where the whole is a multiple of n: cron begins anew with each whole.
fn interval(field: &str, whole: u32, [one, several]: [&str; 2]) -> Option<String> {
    let step: u32 = field.strip_prefix("*/")?.parse().ok()?;
    let is_even = step > 0 && step < whole && whole.is_multiple_of(step);
    is_even.then(|| format!("EVERY {step} {}", if step == 1 { one } else { several }))
}

fn times(minute: &str, hour: &str) -> Option<String> {
    let minute: u32 = minute.parse().ok().filter(|minute| *minute < 60)?;
    let hours = numbers(hour, 23, |text| text.parse().ok())?;
    let times: Vec<String> = hours.iter().map(|hour| format!("\"{hour:02}:{minute:02}\"")).collect();
    (times.len() <= TIMES_SHOWN_MAX).then(|| times.join(", "))
}

fn days(day: &str, weekday: &str) -> Option<String> {
    if weekday == "*" {
        return match day {
            "*" => Some("DAY".to_owned()),
            "L" => Some("DAY LAST OF MONTH".to_owned()),
            _ => {
                let days = numbers(day, 31, |text| text.parse().ok().filter(|day| *day > 0))?;
                let days: Vec<String> = days.iter().map(u32::to_string).collect();
                Some(format!("DAY {} OF MONTH", days.join(", ")))
            }
        };
    }
    let number = |text: &str| {
        let named = DAY_NAMES.iter().position(|name| text.eq_ignore_ascii_case(name));
        named.map_or_else(|| text.parse().ok(), |day| u32::try_from(day).ok())
    };
    // 7 is Sunday, too; of ours Monday is the first.
    let mut days: Vec<u32> = numbers(weekday, 7, number)?.iter().map(|day| (day + 6) % 7).collect();
    days.sort_unstable();
    days.dedup();
    let words = match (day, &days[..]) {
        ("*", [0, 1, 2, 3, 4]) => vec!["WEEKDAY"],
        ("*", [5, 6]) => vec!["WEEKEND"],
        ("*", [0, 1, 2, 3, 4, 5, 6]) => vec!["DAY"],
        ("*", days) => days.iter().map(|day| WEEKDAYS.get(*day as usize).copied()).collect::<Option<_>>()?,
        // Cron takes either of them, and a trigger has one.
        _ => return None,
    };
    Some(words.join(", "))
}

/// The numbers of a list with ranges, `1-3,5`, none above `max`.
fn numbers(field: &str, max: u32, number: impl Fn(&str) -> Option<u32>) -> Option<Vec<u32>> {
    let mut numbers = Vec::new();
    for part in field.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last).filter(|last| *last <= max)?);
        numbers.extend(first..=last);
    }
    (!numbers.is_empty()).then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_of_cron_are_triggers_that_mean_the_same() {
        for (schedule, expected) in [
            ("0 5 * * *", "EVERY DAY AT \"05:00\""),
            ("0 0 5 * * ?", "EVERY DAY AT \"05:00\""),
            ("30 6,18 * * *", "EVERY DAY AT \"06:30\", \"18:30\""),
            ("15 8-10 * * 1-5", "EVERY WEEKDAY AT \"08:15\", \"09:15\", \"10:15\""),
            ("0 7 * * MON,fri", "EVERY MONDAY, FRIDAY AT \"07:00\""),
            ("0 7 * * 0,6", "EVERY WEEKEND AT \"07:00\""),
            ("0 7 * * 7", "EVERY SUNDAY AT \"07:00\""),
            ("0 7 * * 0-6", "EVERY DAY AT \"07:00\""),
            ("0 6 1,15 * *", "EVERY DAY 1, 15 OF MONTH AT \"06:00\""),
            ("0 6 L * *", "EVERY DAY LAST OF MONTH AT \"06:00\""),
            ("* * * * *", "EVERY 1 MINUTE"),
            ("*/5 * * * *", "EVERY 5 MINUTES"),
            ("0 * * * *", "EVERY 1 HOUR"),
            ("0 */6 * * *", "EVERY 6 HOURS"),
        ] {
            assert_eq!(trigger(schedule).as_deref(), Some(expected), "{schedule}");
        }
        for schedule in [
            "",
            "5",
            "0 5 * *",
            "0 5 * 1 *",
            "*/7 * * * *",
            "*/0 * * * *",
            "0 */5 * * *",
            "60 5 * * *",
            "0 24 * * *",
            "0 5 0 * *",
            "0 5 13 * 5",
            "0 5 * * 8",
            "0 5 * * x",
            "0 * 1 * *",
            "0 5 4294967295-4294967295 * *",
            "30 0 5 * * *",
        ] {
            assert_eq!(trigger(schedule), None, "{schedule}");
        }
    }
}
