//! Rows of the LoT reference §7.3 (months, years) and §7.4, with real zones.

use lot_facts::{Days, MonthDays};
use proptest::prelude::*;

use super::*;

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

fn utc(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn at(text: &str) -> TimeOfDay {
    let time: Time = text.parse().unwrap();
    let part = |n: i8| u8::try_from(n).unwrap();
    TimeOfDay { hour: part(time.hour()), minute: part(time.minute()), second: part(time.second()) }
}

/// The next instants after `after` as local texts with offset.
fn next_four(days: Days, time: &str, after: &str, zone_name: &str) -> Vec<String> {
    next_four_of(&CalendarDays::Week(days), &[time], after, zone_name)
}

fn next_four_of(days: &CalendarDays, times: &[&str], after: &str, zone_name: &str) -> Vec<String> {
    let zone = zone(zone_name);
    let times: Vec<TimeOfDay> = times.iter().map(|time| at(time)).collect();
    let mut after = utc(after);
    let mut found = Vec::new();
    for _ in 0..4 {
        after = next_on(days, &times, after, &zone).unwrap();
        found.push(after.to_zoned(zone.clone()).strftime("%a %d %H:%M:%S%:z").to_string());
    }
    found
}

#[test]
fn days_of_the_week_come_in_local_time() {
    for (days, time, after, zone_name, expected) in [
        (
            Days::DAILY,
            "12:00:00",
            "2026-12-23T10:59:00Z",
            "Europe/Berlin",
            [
                "Wed 23 12:00:00+01:00",
                "Thu 24 12:00:00+01:00",
                "Fri 25 12:00:00+01:00",
                "Sat 26 12:00:00+01:00",
            ],
        ),
        (
            Days::WEEKDAY,
            "18:00:00",
            "2026-11-20T17:59:50Z",
            "UTC",
            [
                "Fri 20 18:00:00+00:00",
                "Mon 23 18:00:00+00:00",
                "Tue 24 18:00:00+00:00",
                "Wed 25 18:00:00+00:00",
            ],
        ),
        (
            Days::WEEKEND,
            "00:00:00",
            "2026-11-20T17:59:50Z",
            "UTC",
            [
                "Sat 21 00:00:00+00:00",
                "Sun 22 00:00:00+00:00",
                "Sat 28 00:00:00+00:00",
                "Sun 29 00:00:00+00:00",
            ],
        ),
        (
            Days::only(0),
            "06:30:15",
            "2026-11-23T06:30:15Z", // the instant itself is past
            "UTC",
            [
                "Mon 30 06:30:15+00:00",
                "Mon 07 06:30:15+00:00",
                "Mon 14 06:30:15+00:00",
                "Mon 21 06:30:15+00:00",
            ],
        ),
    ] {
        assert_eq!(next_four(days, time, after, zone_name), expected, "{days:?} {time} after {after}");
    }
}

#[test]
fn skipped_local_time_runs_at_the_next_instant_that_exists() {
    for (zone_name, time, after, expected) in [
        // 29 March 2026, 02:00 to 03:00.
        ("Europe/Berlin", "02:30:00", "2026-03-28T12:00:00Z", "Sun 29 03:00:00+02:00"),
        ("Europe/Berlin", "02:00:00", "2026-03-28T12:00:00Z", "Sun 29 03:00:00+02:00"),
        ("Europe/Berlin", "02:59:59", "2026-03-28T12:00:00Z", "Sun 29 03:00:00+02:00"),
        ("Europe/Berlin", "03:00:00", "2026-03-28T12:00:00Z", "Sun 29 03:00:00+02:00"),
        ("Europe/Berlin", "01:59:59", "2026-03-28T12:00:00Z", "Sun 29 01:59:59+01:00"),
        // 8 March 2026.
        ("America/New_York", "02:15:00", "2026-03-07T12:00:00Z", "Sun 08 03:00:00-04:00"),
        // Half an hour: 4 October 2026, 02:00 to 02:30.
        ("Australia/Lord_Howe", "02:10:00", "2026-10-03T12:00:00Z", "Sun 04 02:30:00+11:00"),
        // Midnight does not exist: 6 September 2026, 00:00 to 01:00.
        ("America/Santiago", "00:00:00", "2026-09-05T12:00:00Z", "Sun 06 01:00:00-03:00"),
        // A whole day does not exist: 30 December 2011.
        ("Pacific/Apia", "18:00:00", "2011-12-30T05:00:00Z", "Sat 31 00:00:00+14:00"),
    ] {
        assert_eq!(next_four(Days::DAILY, time, after, zone_name)[0], expected, "{zone_name} {time}");
    }
}

#[test]
fn repeated_local_time_runs_once_the_first_time() {
    for (zone_name, time, after, expected) in [
        // 25 October 2026, 03:00 back to 02:00.
        (
            "Europe/Berlin",
            "02:30:00",
            "2026-10-24T12:00:00Z",
            ["Sun 25 02:30:00+02:00", "Mon 26 02:30:00+01:00"],
        ),
        // Asked between the two: the first is past, so the next day comes.
        (
            "Europe/Berlin",
            "02:30:00",
            "2026-10-25T00:45:00Z",
            ["Mon 26 02:30:00+01:00", "Tue 27 02:30:00+01:00"],
        ),
        (
            "America/New_York",
            "01:00:00",
            "2026-10-31T12:00:00Z",
            ["Sun 01 01:00:00-04:00", "Mon 02 01:00:00-05:00"],
        ),
    ] {
        assert_eq!(
            next_four(Days::DAILY, time, after, zone_name)[..2],
            expected,
            "{zone_name} after {after}"
        );
    }
}

#[test]
fn once_is_local_unless_the_text_has_an_offset() {
    let date = CalendarDate { year: 2026, month: 12, day: 24 };
    let berlin = zone("Europe/Berlin");
    for (offset_minutes, expected) in [
        (None, "2026-12-24T17:00:00Z"),
        (Some(0), "2026-12-24T18:00:00Z"),
        (Some(330), "2026-12-24T12:30:00Z"),
        (Some(-300), "2026-12-24T23:00:00Z"),
    ] {
        let found = once(OnceAt { date, time: at("18:00:00"), offset_minutes }, &berlin);
        assert_eq!(found, Some(utc(expected)), "{offset_minutes:?}");
    }
    let no_such_day = CalendarDate { year: 2026, month: 2, day: 30 };
    assert_eq!(once(OnceAt { date: no_such_day, time: at("18:00:00"), offset_minutes: None }, &berlin), None);
}

#[test]
fn months_are_counted_from_the_arming_date_and_clamped() {
    for (armed, months, expected) in [
        (
            "2026-01-31T08:00:00[Europe/Berlin]",
            1,
            ["2026-02-28 08:00", "2026-03-31 08:00", "2026-04-30 08:00", "2026-05-31 08:00"],
        ),
        (
            "2024-02-29T08:00:00[UTC]",
            12,
            ["2025-02-28 08:00", "2026-02-28 08:00", "2027-02-28 08:00", "2028-02-29 08:00"],
        ),
        (
            "2026-01-29T02:30:00[Europe/Berlin]",
            2,
            // 29 March 02:30 does not exist.
            ["2026-03-29 03:00", "2026-05-29 02:30", "2026-07-29 02:30", "2026-09-29 02:30"],
        ),
    ] {
        let armed: Zoned = armed.parse().unwrap();
        let mut after = armed.timestamp();
        for expected in expected {
            after = next_months(&armed, months, after).unwrap();
            let local = after.to_zoned(armed.time_zone().clone()).strftime("%Y-%m-%d %H:%M").to_string();
            assert_eq!(local, expected, "{armed}");
        }
    }
}

#[test]
fn months_that_were_missed_are_skipped() {
    let armed: Zoned = "2026-01-31T08:00:00[UTC]".parse().unwrap();
    assert_eq!(next_months(&armed, 1, utc("2026-06-15T00:00:00Z")), Some(utc("2026-06-30T08:00:00Z")));
    assert_eq!(next_months(&armed, 5, utc("2026-06-30T08:00:00Z")), Some(utc("2026-11-30T08:00:00Z")));
    assert_eq!(next_months(&armed, 1, utc("1999-01-01T00:00:00Z")), Some(utc("2026-02-28T08:00:00Z")));
    assert_eq!(next_months(&armed, u32::MAX, utc("2026-06-15T00:00:00Z")), None, "beyond the year 9999");
}

#[test]
fn several_times_of_day_come_in_order() {
    let daily = CalendarDays::Week(Days::DAILY);
    assert_eq!(
        next_four_of(&daily, &["06:00:00", "14:00:00", "22:00:00"], "2026-11-20T14:00:00Z", "UTC"),
        ["Fri 20 22:00:00+00:00", "Sat 21 06:00:00+00:00", "Sat 21 14:00:00+00:00", "Sat 21 22:00:00+00:00"]
    );
    // Both of the first day are skipped by the clock, which makes one instant of them.
    assert_eq!(
        next_four_of(&daily, &["02:15:00", "02:45:00"], "2026-03-28T22:00:00Z", "Europe/Berlin"),
        ["Sun 29 03:00:00+02:00", "Mon 30 02:15:00+02:00", "Mon 30 02:45:00+02:00", "Tue 31 02:15:00+02:00"]
    );
    // Both are repeated, and the first ones count.
    assert_eq!(
        next_four_of(&daily, &["02:15:00", "02:45:00"], "2026-10-24T22:00:00Z", "Europe/Berlin"),
        ["Sun 25 02:15:00+02:00", "Sun 25 02:45:00+02:00", "Mon 26 02:15:00+01:00", "Mon 26 02:45:00+01:00"]
    );
}

#[test]
fn days_of_the_month_leave_out_months_without_them() {
    let month = |days: &[u8], last| CalendarDays::Month(MonthDays { days: days.to_vec(), last });
    for (days, after, expected) in [
        (
            month(&[1, 15], false),
            "2026-01-01T06:00:00Z",
            ["Thu 15 06:00:00", "Sun 01 06:00:00", "Sun 15 06:00:00", "Sun 01 06:00:00"],
        ),
        (
            month(&[31], false),
            "2026-03-31T06:00:00Z",
            ["Sun 31 06:00:00", "Fri 31 06:00:00", "Mon 31 06:00:00", "Sat 31 06:00:00"],
        ),
        (
            month(&[], true),
            "2028-01-31T06:00:00Z",
            ["Tue 29 06:00:00", "Fri 31 06:00:00", "Sun 30 06:00:00", "Wed 31 06:00:00"],
        ),
        (
            month(&[30], true),
            "2026-01-30T06:00:00Z",
            ["Sat 31 06:00:00", "Sat 28 06:00:00", "Mon 30 06:00:00", "Tue 31 06:00:00"],
        ),
    ] {
        let found = next_four_of(&days, &["06:00:00"], after, "UTC");
        let found: Vec<&str> = found.iter().map(|text| text.trim_end_matches("+00:00")).collect();
        assert_eq!(found, expected, "{days:?}");
    }
    assert_eq!(
        next_on(&month(&[], false), &[at("06:00:00")], utc("2026-01-01T00:00:00Z"), &zone("UTC")),
        None
    );
}

proptest! {
    /// In every zone the instants ascend, are at most a bit over a week apart, and have the local
    /// time asked for unless that is skipped.
    #[test]
    fn calendar_ascends_in_every_zone(
        name in prop::sample::select(vec![
            "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Kolkata",
            "Africa/Casablanca", "Pacific/Apia", "Asia/Gaza", "UTC",
        ]),
        second in 1_000_000_000_i64..2_000_000_000,
        bits in 1_u8..128, hour in 0_u8..24, minute in 0_u8..60,
    ) {
        let zone = zone(name);
        let days = Days(std::array::from_fn(|day| bits & (1 << day) != 0));
        let time = TimeOfDay { hour, minute, second: 0 };
        let mut after = Timestamp::from_second(second).unwrap();
        for _ in 0..20 {
            let next = next_on(&CalendarDays::Week(days), &[time], after, &zone).unwrap();
            prop_assert!(next > after);
            prop_assert!(next.duration_since(after).as_hours() <= 8 * 24 + 24);
            let local = zone.to_datetime(next);
            let wanted = local.date().to_datetime(local_time(time).unwrap());
            if local != wanted {
                // It jumped: just before, the local time was smaller by more than that moment.
                let before = zone.to_datetime(next.checked_sub(SignedDuration::from_nanos(1)).unwrap());
                prop_assert!(local.duration_since(before).as_millis() > 1, "{} is no jump", local);
            }
            after = next;
        }
    }
}
