use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::fixture::{World, action};
use crate::registry::RegistryOptions;

mod deviations;

const MINUTE: WindowExtent = WindowExtent::Time { last_ms: 60_000, every_ms: 60_000, from_ms: 0 };

fn trigger(filters: &[&str], extent: WindowExtent) -> Trigger {
    let filters = filters.iter().map(|filter| (*filter).to_owned()).collect();
    Trigger::Window { filters, path: None, extent }
}

fn watch(world: &World) -> Arc<WindowWatch> {
    let definition = world.registry.get(crate::definition::DefinitionKind::Action, "W").unwrap();
    Arc::clone(world.registry.window(definition.id).unwrap())
}

fn world(extent: WindowExtent) -> World {
    let mut world = World::new();
    world.add(action("W", trigger(&["t/+"], extent)));
    world
}

fn closed(world: &World) -> Vec<String> {
    let watch = watch(world);
    watch.close_due(world.now);
    let next = || watch.next_closed(world.now);
    std::iter::from_fn(next)
        .map(|closed| format!("{} {}", closed.topic, String::from_utf8(closed.figures).unwrap()))
        .collect()
}

#[test]
fn time_window_closes_by_the_clock_and_empty_windows_are_skipped() {
    let mut world = world(MINUTE);
    let watch = watch(&world);
    for payload in ["1", "5", "warm", "3"] {
        watch.take("t/a", payload.as_bytes(), 0);
    }
    watch.take("t/b", b"7.5", 0);
    assert_eq!(closed(&world), [""; 0]);
    // The world begins at a full minute.
    assert_eq!(world.registry.next_timeout(world.now), Some(Duration::from_secs(60)));
    world.pass(60);
    assert_eq!(
        closed(&world),
        [
            r#"t/a {"count":3,"sum":9,"mean":3,"min":1,"max":5,"last":3,"bad":1,"start":"2026-11-20T09:00:00+00:00","end":"2026-11-20T09:01:00+00:00","stddev":2,"stddev_pop":1.632993161855452}"#,
            r#"t/b {"count":1,"sum":7.5,"mean":7.5,"min":7.5,"max":7.5,"last":7.5,"bad":0,"start":"2026-11-20T09:00:00+00:00","end":"2026-11-20T09:01:00+00:00","stddev":null,"stddev_pop":0}"#
        ]
    );
    assert!(watch.table.lock().topics.is_empty());
    world.pass(60);
    assert_eq!(closed(&world), [""; 0]);
}

#[test]
fn windows_begin_at_multiples_of_their_length_in_local_time() {
    let (hour, day) = (3_600_000, 86_400_000);
    for (zone, wall, every_ms, from_ms, rest) in [
        ("UTC", "2026-11-20T09:00:20Z", 60_000, 0, 40),
        ("Europe/Berlin", "2026-11-20T21:30:00Z", day, 0, 90 * 60),
        ("UTC", "2026-11-20T09:00:00Z", 7 * day, 0, 2 * 86_400 + 15 * 3600),
        ("Asia/Kolkata", "2026-11-20T09:00:00Z", hour, 0, 30 * 60),
        ("Europe/Berlin", "2026-11-20T09:00:00Z", 8 * hour, 6 * hour, 4 * 3600),
        ("Europe/Berlin", "2026-11-20T04:00:00Z", 8 * hour, 6 * hour, 3600),
        ("UTC", "2026-11-20T09:00:00Z", 7 * day, 6 * hour, 2 * 86_400 + 21 * 3600),
    ] {
        let mut world = World::loading(RegistryOptions::new(TimeZone::get(zone).unwrap()));
        world.now.wall = wall.parse().unwrap();
        world.add(action("W", trigger(&["t"], WindowExtent::Time { last_ms: every_ms, every_ms, from_ms })));
        let timeout = watch(&world).next_timeout(world.now.elapsed);
        assert_eq!(timeout, Some(Duration::from_secs(rest)), "{zone} {wall}");
    }
}

#[test]
fn shifts_begin_at_their_time_of_day_on_days_on_which_clocks_change_too() {
    let hour = 3_600_000;
    let shift = WindowExtent::Time { last_ms: 8 * hour, every_ms: 8 * hour, from_ms: 6 * hour };
    for (wall, expected) in [
        (
            "2026-10-24T12:00:00Z",
            [
                "2026-10-24T14:00:00+02:00 2026-10-24T22:00:00+02:00",
                "2026-10-24T22:00:00+02:00 2026-10-25T06:00:00+01:00",
                "2026-10-25T06:00:00+01:00 2026-10-25T14:00:00+01:00",
                "2026-10-25T14:00:00+01:00 2026-10-25T22:00:00+01:00",
            ],
        ),
        (
            "2026-03-28T13:00:00Z",
            [
                "2026-03-28T14:00:00+01:00 2026-03-28T22:00:00+01:00",
                "2026-03-28T22:00:00+01:00 2026-03-29T06:00:00+02:00",
                "2026-03-29T06:00:00+02:00 2026-03-29T14:00:00+02:00",
                "2026-03-29T14:00:00+02:00 2026-03-29T22:00:00+02:00",
            ],
        ),
    ] {
        let mut world = World::loading(RegistryOptions::new(TimeZone::get("Europe/Berlin").unwrap()));
        world.now.wall = wall.parse().unwrap();
        world.add(action("W", trigger(&["t/a"], shift)));
        let mut told = Vec::new();
        for _ in 0..33 {
            watch(&world).take("t/a", b"1", 0);
            world.pass(3_600);
            told.extend(ends(&closed(&world)));
        }
        let shown: Vec<String> = told.iter().map(|(start, end)| format!("{start} {end}")).collect();
        assert_eq!(shown, expected, "{wall}");
    }
}

#[test]
fn a_clock_that_is_set_makes_one_window_longer_or_shorter_by_half() {
    for step in [-400 * 86_400, -25, -5, 5, 25, 400 * 86_400] {
        let mut world = world(MINUTE);
        world.now.wall += SignedDuration::from_secs(step);
        let mut ends = vec![0];
        for second in 1..400 {
            world.pass(1);
            watch(&world).take("t/a", b"1", 0);
            if !closed(&world).is_empty() {
                ends.push(second);
            }
        }
        let lengths: Vec<u64> = ends.windows(2).map(|ends| ends[1] - ends[0]).collect();
        assert!(lengths.iter().all(|length| (30..=90).contains(length)), "{step}: {lengths:?}");
        assert!(lengths[2..].iter().all(|length| *length == 60), "{step}: {lengths:?}");
    }
}

#[test]
fn a_sliding_window_of_time_has_the_last_steps() {
    let mut world = world(WindowExtent::Time { last_ms: 30_000, every_ms: 10_000, from_ms: 0 });
    let mut told = Vec::new();
    for payload in ["1", "2", "3", "4", "", "", ""] {
        if !payload.is_empty() {
            watch(&world).take("t/a", payload.as_bytes(), 0);
        }
        world.pass(10);
        told.push(closed(&world).concat());
    }
    let sums: Vec<Option<&str>> =
        told.iter().map(|told| told.split(r#""sum":"#).nth(1)?.split(',').next()).collect();
    assert_eq!(sums, [Some("1"), Some("3"), Some("6"), Some("9"), Some("7"), Some("4"), None]);
    assert!(watch(&world).table.lock().topics.is_empty(), "what has no message is forgotten");
}

#[test]
fn windows_of_messages_close_with_one_of_them() {
    let sums = |last, every| {
        let world = world(WindowExtent::Messages { last, every });
        let watch = watch(&world);
        let sums = (1..=6).map(|number: u32| match watch.take("t/a", number.to_string().as_bytes(), 0) {
            Sampled::Closed(figures) => {
                serde_json::from_slice::<serde_json::Value>(&figures).unwrap()["sum"].as_u64().unwrap()
            }
            Sampled::Counted | Sampled::Bad | Sampled::Refused => 0,
        });
        sums.collect::<Vec<u64>>()
    };
    assert_eq!(sums(3, 3), [0, 0, 6, 0, 0, 15]);
    assert_eq!(sums(3, 1), [1, 3, 6, 9, 12, 15]);
    assert_eq!(sums(4, 2), [0, 3, 0, 10, 0, 18]);
    assert_eq!(sums(1, 1), [1, 2, 3, 4, 5, 6]);
}

/// Returns start and end of the reported windows.
fn ends(told: &[String]) -> Vec<(String, String)> {
    let of = |told: &String| {
        let figures: serde_json::Value = serde_json::from_str(&told[told.find('{').unwrap()..]).unwrap();
        let text = |name: &str| figures[name].as_str().unwrap().to_owned();
        (text("start"), text("end"))
    };
    told.iter().map(of).collect()
}

#[test]
fn no_window_ends_before_it_began_whatever_the_clock_is_set_to() {
    let sliding = WindowExtent::Time { last_ms: 180_000, every_ms: 60_000, from_ms: 0 };
    for extent in [MINUTE, sliding, WindowExtent::Messages { last: 40, every: 40 }] {
        for step in [-86_400, -45, 86_400] {
            let mut world = world(extent);
            let mut told = Vec::new();
            for second in 0..400 {
                if second == 100 {
                    world.now.wall += SignedDuration::from_secs(step);
                }
                world.pass(1);
                let now_ms = u64::try_from(world.now.wall.as_millisecond()).unwrap();
                if let Sampled::Closed(figures) = watch(&world).take("t/a", b"1", now_ms) {
                    told.push(String::from_utf8(figures).unwrap());
                }
                told.extend(closed(&world));
            }
            let ends = ends(&told);
            assert!(ends.len() > 4);
            for (start, end) in ends {
                let at = |text: &str| text.parse::<Timestamp>().unwrap();
                assert!(at(&start) <= at(&end), "{extent:?} {step}: {start} to {end}");
            }
        }
    }
}

#[test]
fn windows_say_from_when_to_when_in_local_time_over_a_change_of_the_clocks() {
    let mut world = World::loading(RegistryOptions::new(TimeZone::get("Europe/Berlin").unwrap()));
    world.now.wall = "2026-10-24T20:30:00Z".parse().unwrap();
    let day = WindowExtent::Time { last_ms: 86_400_000, every_ms: 86_400_000, from_ms: 0 };
    world.add(action("W", trigger(&["t/a"], day)));
    let mut told = Vec::new();
    for _ in 0..60 {
        watch(&world).take("t/a", b"1", 0);
        world.pass(3_600);
        told.extend(ends(&closed(&world)));
    }
    let shown: Vec<String> = told.iter().map(|(start, end)| format!("{start} {end}")).collect();
    assert_eq!(
        shown,
        [
            // The first one begins with the action, and the second one has 25 hours: the clocks go
            // back in it.
            "2026-10-24T22:30:00+02:00 2026-10-25T00:00:00+02:00",
            "2026-10-25T00:00:00+02:00 2026-10-26T00:00:00+01:00",
            "2026-10-26T00:00:00+01:00 2026-10-27T00:00:00+01:00",
        ]
    );
}

#[test]
fn a_sliding_window_over_a_change_of_the_clocks_says_when_it_began() {
    for (wall, last_days, expected) in [
        ("2026-10-24T20:30:00Z", 2, "2026-10-25T00:00:00+02:00 2026-10-27T00:00:00+01:00"),
        ("2026-03-28T20:30:00Z", 2, "2026-03-29T00:00:00+01:00 2026-03-31T00:00:00+02:00"),
    ] {
        let mut world = World::loading(RegistryOptions::new(TimeZone::get("Europe/Berlin").unwrap()));
        world.now.wall = wall.parse().unwrap();
        let days = WindowExtent::Time { last_ms: last_days * 86_400_000, every_ms: 86_400_000, from_ms: 0 };
        world.add(action("W", trigger(&["t/a"], days)));
        let mut told = Vec::new();
        for _ in 0..60 {
            watch(&world).take("t/a", b"1", 0);
            world.pass(3_600);
            told.extend(ends(&closed(&world)));
        }
        let (start, end) = told.pop().unwrap();
        assert_eq!(format!("{start} {end}"), expected);
    }
    // Steps of an hour end each hour that passes, also where one comes twice.
    let mut world = World::loading(RegistryOptions::new(TimeZone::get("Europe/Berlin").unwrap()));
    world.now.wall = "2026-10-24T22:00:00Z".parse().unwrap();
    let hours = WindowExtent::Time { last_ms: 3 * 3_600_000, every_ms: 3_600_000, from_ms: 0 };
    world.add(action("W", trigger(&["t/a"], hours)));
    let mut told = Vec::new();
    for _ in 0..4 {
        watch(&world).take("t/a", b"1", 0);
        world.pass(3_600);
        told.extend(ends(&closed(&world)));
    }
    let (start, end) = told.pop().unwrap();
    assert_eq!(format!("{start} {end}"), "2026-10-25T01:00:00+02:00 2026-10-25T03:00:00+01:00");
}

#[test]
fn ends_of_sliding_windows_and_of_windows_of_messages() {
    let mut sliding = world(WindowExtent::Time { last_ms: 30_000, every_ms: 10_000, from_ms: 0 });
    let mut told = Vec::new();
    for _ in 0..4 {
        watch(&sliding).take("t/a", b"1", 0);
        sliding.pass(10);
        told.extend(ends(&closed(&sliding)));
    }
    let seconds = |text: &str| text[17..19].to_owned();
    let told: Vec<(String, String)> =
        told.iter().map(|(start, end)| (seconds(start), seconds(end))).collect();
    let expected = [("00", "10"), ("00", "20"), ("00", "30"), ("10", "40")];
    assert_eq!(told, expected.map(|(start, end)| (start.to_owned(), end.to_owned())));

    let messages = world(WindowExtent::Messages { last: 4, every: 2 });
    let of = |at_ms| match watch(&messages).take("t/a", b"1", at_ms) {
        Sampled::Closed(figures) => ends(&[String::from_utf8(figures).unwrap()]),
        Sampled::Counted | Sampled::Bad | Sampled::Refused => Vec::new(),
    };
    let told: Vec<(String, String)> =
        [1_000, 2_500, 3_000, 4_000, 5_000, 6_000].into_iter().flat_map(of).collect();
    let expected = [("01", "02"), ("01", "04"), ("03", "06")];
    let told: Vec<(&str, &str)> = told.iter().map(|(start, end)| (&start[17..19], &end[17..19])).collect();
    assert_eq!(told, expected);
}

#[test]
fn ends_are_those_of_before_a_restart() {
    let mut before = world(MINUTE);
    watch(&before).take("t/a", b"1", 0);
    before.pass(20);
    watch(&before).take("t/a", b"2", 0);
    watch(&before).save_some(before.now);
    let mut after = restarted(&before, MINUTE, 1_000);
    let first = ("2026-11-20T09:00:00+00:00".to_owned(), "2026-11-20T09:01:00+00:00".to_owned());
    assert_eq!(ends(&closed(&after)), [first]);
    watch(&after).take("t/a", b"1", 0);
    after.pass(60);
    // 1,020 seconds after nine is the beginning of a minute.
    let second = ("2026-11-20T09:17:00+00:00".to_owned(), "2026-11-20T09:18:00+00:00".to_owned());
    assert_eq!(ends(&closed(&after)), [second]);
}

#[test]
fn ends_in_the_hour_that_is_skipped_or_comes_twice() {
    let minute = 60_000;
    for (wall, (every_ms, from_ms), expected) in [
        // An end in the skipped hour moves to the jump.
        (
            "2026-03-28T23:00:00Z",
            (120 * minute, 0),
            [
                "2026-03-29T00:00:00+01:00 2026-03-29T03:00:00+02:00",
                "2026-03-29T03:00:00+02:00 2026-03-29T04:00:00+02:00",
                "2026-03-29T04:00:00+02:00 2026-03-29T06:00:00+02:00",
            ],
        ),
        (
            "2026-03-28T17:30:00Z",
            (480 * minute, 150 * minute),
            [
                "2026-03-28T18:30:00+01:00 2026-03-29T03:00:00+02:00",
                "2026-03-29T03:00:00+02:00 2026-03-29T10:30:00+02:00",
                "2026-03-29T10:30:00+02:00 2026-03-29T18:30:00+02:00",
            ],
        ),
        // Two ends at one jump are one.
        (
            "2026-03-29T00:30:00Z",
            (45 * minute, 0),
            [
                "2026-03-29T01:30:00+01:00 2026-03-29T03:00:00+02:00",
                "2026-03-29T03:00:00+02:00 2026-03-29T03:45:00+02:00",
                "2026-03-29T03:45:00+02:00 2026-03-29T04:30:00+02:00",
            ],
        ),
        // An end in the repeated hour is at its first pass.
        (
            "2026-10-24T16:30:00Z",
            (480 * minute, 150 * minute),
            [
                "2026-10-24T18:30:00+02:00 2026-10-25T02:30:00+02:00",
                "2026-10-25T02:30:00+02:00 2026-10-25T10:30:00+01:00",
                "2026-10-25T10:30:00+01:00 2026-10-25T18:30:00+01:00",
            ],
        ),
        (
            "2026-10-25T01:20:00Z",
            (480 * minute, 150 * minute),
            [
                "2026-10-25T02:20:00+01:00 2026-10-25T10:30:00+01:00",
                "2026-10-25T10:30:00+01:00 2026-10-25T18:30:00+01:00",
                "2026-10-25T18:30:00+01:00 2026-10-26T02:30:00+01:00",
            ],
        ),
        // Steps that an hour is a multiple of end as time passes.
        (
            "2026-10-25T00:30:00Z",
            (30 * minute, 0),
            [
                "2026-10-25T02:30:00+02:00 2026-10-25T02:00:00+01:00",
                "2026-10-25T02:00:00+01:00 2026-10-25T02:30:00+01:00",
                "2026-10-25T02:30:00+01:00 2026-10-25T03:00:00+01:00",
            ],
        ),
    ] {
        // Timers may be late, and the clock on the wall a millisecond behind.
        for late_ms in [-1, 0, 3] {
            let mut world = World::loading(RegistryOptions::new(TimeZone::get("Europe/Berlin").unwrap()));
            world.now.wall = wall.parse().unwrap();
            let extent = WindowExtent::Time { last_ms: every_ms, every_ms, from_ms };
            world.add(action("W", trigger(&["t/a"], extent)));
            world.now.wall += SignedDuration::from_millis(late_ms);
            let mut shown = Vec::new();
            while shown.len() < 3 {
                watch(&world).take("t/a", b"1", 0);
                world.pass(300);
                shown.extend(ends(&closed(&world)).iter().map(|(start, end)| format!("{start} {end}")));
            }
            assert_eq!(shown, expected, "{wall} {late_ms}");
        }
    }
}

#[test]
fn sliding_windows_that_begin_in_the_hour_that_is_skipped_or_comes_twice() {
    let hour = 3_600_000;
    for (wall, expected) in [
        ("2026-03-28T19:00:00Z", "2026-03-28T22:00:00+01:00 2026-03-29T03:00:00+02:00"),
        ("2026-03-28T19:00:00Z", "2026-03-29T03:00:00+02:00 2026-03-29T06:00:00+02:00"),
        ("2026-10-24T20:00:00Z", "2026-10-25T02:00:00+02:00 2026-10-25T06:00:00+01:00"),
    ] {
        let mut world = World::loading(RegistryOptions::new(TimeZone::get("Europe/Berlin").unwrap()));
        world.now.wall = wall.parse().unwrap();
        let extent = WindowExtent::Time { last_ms: 4 * hour, every_ms: 2 * hour, from_ms: 0 };
        world.add(action("W", trigger(&["t/a"], extent)));
        let mut told = Vec::new();
        for _ in 0..20 {
            watch(&world).take("t/a", b"1", 0);
            world.pass(1_800);
            told.extend(ends(&closed(&world)));
        }
        let shown: Vec<String> = told.iter().map(|(start, end)| format!("{start} {end}")).collect();
        assert!(shown.iter().any(|shown| shown == expected), "{expected}: {shown:#?}");
    }
}

/// Start and end of the windows that close within a day of Berlin, each told when it does.
fn told_in_the_night(wall: &str, extent: WindowExtent, restarts: bool) -> Vec<(String, String)> {
    let zone = || RegistryOptions::new(TimeZone::get("Europe/Berlin").unwrap());
    let mut world = World::loading(zone());
    world.now.wall = wall.parse().unwrap();
    world.add(action("W", trigger(&["t/a"], extent)));
    let mut told = Vec::new();
    let until = world.now.wall + SignedDuration::from_hours(24);
    while world.now.wall < until {
        watch(&world).take("t/a", b"1", 0);
        let next = watch(&world).next_timeout(world.now.elapsed).unwrap();
        world.pass(next.as_secs());
        told.extend(ends(&closed(&world)));
        if restarts {
            watch(&world).save_all();
            let mut after = World::loading(zone());
            world.registry.values().each_kept(|topic, kept| {
                after.registry.values().restore_kept(kept.keeper, topic, kept.payload);
            });
            after.now.wall = world.now.wall;
            after.add(action("W", trigger(&["t/a"], extent)));
            after.registry.finish_loading(after.now);
            world = after;
        }
    }
    told
}

/// Their starts are ends of those that do not slide, of as many steps before.
#[test]
fn sliding_windows_begin_where_their_first_step_does_as_clocks_change() {
    let minute = 60_000;
    for wall in ["2026-03-28T18:07:00Z", "2026-10-24T18:07:00Z"] {
        for every in [7, 25, 30, 45, 50, 90, 100, 120, 150] {
            let every_ms = every * minute;
            let steps = WindowExtent::Time { last_ms: every_ms, every_ms, from_ms: 0 };
            let steps: Vec<String> =
                told_in_the_night(wall, steps, false).into_iter().map(|it| it.1).collect();
            for (count, restarts) in [(2, false), (3, false), (5, true)] {
                let extent = WindowExtent::Time { last_ms: count * every_ms, every_ms, from_ms: 0 };
                let told = told_in_the_night(wall, extent, restarts);
                let count = usize::try_from(count).unwrap();
                assert_eq!(told.iter().map(|it| &it.1).collect::<Vec<_>>(), steps.iter().collect::<Vec<_>>());
                let full = told.iter().enumerate().skip(count);
                let starts: Vec<_> =
                    full.map(|(at, (start, end))| (start, &steps[at - count], end)).collect();
                let wrong: Vec<_> = starts.iter().filter(|(start, expected, _)| start != expected).collect();
                assert!(wrong.is_empty(), "{count} of {every} minutes: {wrong:#?}");
                assert!(starts.len() > 2, "some close in that night");
            }
        }
    }
}

#[test]
fn ends_are_not_a_millisecond_off_after_a_restart() {
    // The two clocks do not change their millisecond together.
    for (elapsed_us, wall_us) in [(900, 100), (100, 900), (500, 500)] {
        let mut before = World::loading(RegistryOptions::new(TimeZone::UTC));
        before.now.elapsed += Duration::from_micros(elapsed_us);
        before.now.wall += SignedDuration::from_micros(wall_us);
        before.add(action("W", trigger(&["t/+"], MINUTE)));
        before.now.elapsed += Duration::from_micros(20_000_400);
        before.now.wall += SignedDuration::from_micros(20_000_400);
        watch(&before).take("t/a", b"1", 0);
        watch(&before).close_due(before.now);
        watch(&before).save_all();
        let mut after = restarted(&before, MINUTE, 10);
        after.now.wall += SignedDuration::from_micros(70);
        after.pass(31);
        let told = ends(&closed(&after));
        assert_eq!(told[0].1, "2026-11-20T09:01:00+00:00", "{elapsed_us} {wall_us}");
    }
}

#[test]
fn there_are_so_many_topics_and_so_many_steps() {
    let world = world(MINUTE);
    let few = topics_max(WindowExtent::Messages { last: 1_000, every: 1 });
    assert_eq!((few, topics_max(MINUTE)), (100, 1_000));
    let watch = watch(&world);
    for number in 0..1_000 {
        assert_eq!(watch.take(&format!("t/{number}"), b"1", 0), Sampled::Counted);
    }
    assert_eq!(watch.take("t/more", b"1", 0), Sampled::Refused);
    assert_eq!(watch.take("t/0", b"1", 0), Sampled::Counted);
    assert_eq!(watch.take_trouble(), WindowTrouble { refused: 1, ..WindowTrouble::default() });
    assert_eq!(watch.take_trouble(), WindowTrouble::default());
}

#[test]
fn a_topic_with_a_window_has_so_many_bytes() {
    let world = world(MINUTE);
    let watch = watch(&world);
    let longest = "t".repeat(WATCHED_TOPIC_BYTES_MAX);
    assert_eq!(watch.take(&longest, b"1", 0), Sampled::Counted);
    assert_eq!(watch.take(&format!("{longest}t"), b"1", 0), Sampled::Refused);
}

#[test]
fn undelivered_window_is_retried_and_the_oldest_is_dropped_when_full() {
    let mut world = world(MINUTE);
    let watch = watch(&world);
    watch.take("t/a", b"1", 0);
    world.pass(60);
    watch.close_due(world.now);
    let first = watch.next_closed(world.now).unwrap();
    watch.tell_again_at(first.clone(), world.now.elapsed + Duration::from_secs(1));
    assert_eq!(watch.next_closed(world.now), None);
    assert_eq!(watch.next_timeout(world.now.elapsed), Some(Duration::from_secs(1)));
    world.pass(1);
    assert_eq!(watch.next_closed(world.now), Some(first));
    for number in 0..=WINDOWS_WAITING_MAX {
        watch.table.lock().close(format!("t/{number}").as_str().into(), Vec::new());
    }
    assert_eq!(watch.take_trouble().lost, 1);
    assert_eq!(&*watch.next_closed(world.now).unwrap().topic, "t/1");
}

/// The world after a restart that took so long: its kept values are those of the one before.
fn restarted(before: &World, extent: WindowExtent, seconds: i64) -> World {
    restarted_at(before, extent, before.now.wall + SignedDuration::from_secs(seconds))
}

/// The same, with a restart at this instant.
fn restarted_at(before: &World, extent: WindowExtent, wall: Timestamp) -> World {
    let mut world = World::loading(RegistryOptions::new(TimeZone::UTC));
    before.registry.values().each_kept(|topic, kept| {
        world.registry.values().restore_kept(kept.keeper, topic, kept.payload);
    });
    world.now.wall = wall;
    world.add(action("W", trigger(&["t/+"], extent)));
    world.registry.finish_loading(world.now);
    world
}

#[test]
fn an_end_that_is_late_moves_no_other_one() {
    const LENGTH: WindowExtent = WindowExtent::Time { last_ms: 20_000, every_ms: 20_000, from_ms: 0 };
    for late in [1, 9, 12, 19, 20, 33] {
        // Because the timers were late, and because the broker was away.
        for is_away in [false, true] {
            let mut world = world(LENGTH);
            watch(&world).take("t/a", b"1", 0);
            watch(&world).save_all();
            if is_away {
                world = restarted(&world, LENGTH, 20 + late);
            } else {
                world.pass(20 + late.cast_unsigned());
            }
            assert_eq!(closed(&world).len(), 1);
            watch(&world).take("t/a", b"1", 0);
            let next = watch(&world).next_timeout(world.now.elapsed).unwrap();
            assert_eq!(next.as_secs(), 20 - late.cast_unsigned() % 20, "{late} {is_away}");
            world.pass(next.as_secs());
            let (start, end) = ends(&closed(&world)).remove(0);
            let at = |text: String| text[14..19].to_owned();
            let expected = if late < 20 { ("00:20", "00:40") } else { ("00:40", "01:00") };
            assert_eq!((&*at(start), &*at(end)), expected, "{late} {is_away}");
        }
    }
}

#[test]
fn windows_go_on_after_a_restart() {
    let mut before = world(MINUTE);
    watch(&before).take("t/a", b"1", 0);
    before.pass(20);
    watch(&before).take("t/a", b"2", 0);
    watch(&before).save_some(before.now);
    // The end of the window has not come yet.
    let mut after = restarted(&before, MINUTE, 10);
    watch(&after).take("t/a", b"3", 0);
    assert_eq!(watch(&after).next_timeout(after.now.elapsed), Some(Duration::from_secs(30)));
    after.pass(30);
    assert!(closed(&after)[0].contains(r#""sum":6"#));
    assert_eq!(after.registry.values().figures().keep_topics, 1, "what was told is forgotten");
    // It came meanwhile.
    let after = restarted(&before, MINUTE, 1_000);
    assert!(closed(&after)[0].contains(r#""sum":3"#));
    assert_eq!(closed(&after), [""; 0]);
    // The clock was set back.
    let after = restarted(&before, MINUTE, -86_400);
    assert_eq!(watch(&after).next_timeout(after.now.elapsed), Some(Duration::from_secs(40)));
    // Another trigger has other windows.
    let after = restarted(&before, WindowExtent::Messages { last: 3, every: 3 }, 10);
    assert!(watch(&after).table.lock().topics.is_empty());
    assert_eq!(after.registry.values().figures().keep_topics, 0);
}

#[test]
fn a_sliding_window_grows_older_while_the_broker_is_down() {
    let extent = WindowExtent::Time { last_ms: 30_000, every_ms: 10_000, from_ms: 0 };
    let mut before = world(extent);
    watch(&before).take("t/a", b"1", 0);
    before.pass(10);
    assert_eq!(closed(&before).len(), 1);
    watch(&before).take("t/a", b"2", 0);
    watch(&before).save_all();
    let mut after = restarted(&before, extent, 25);
    assert!(closed(&after)[0].contains(r#""sum":3"#), "the end that has passed");
    after.pass(10);
    assert!(closed(&after)[0].contains(r#""sum":2"#), "the first one is older than 30 seconds by now");
    after.pass(10);
    assert_eq!(closed(&after).len(), 0, "both are");
}

#[test]
fn a_new_version_goes_on_and_who_removes_it_forgets() {
    let mut world = world(WindowExtent::Messages { last: 3, every: 3 });
    watch(&world).take("t/a", b"1", 0);
    world.add(action("W", trigger(&["t/+"], WindowExtent::Messages { last: 3, every: 3 })));
    watch(&world).take("t/a", b"2", 0);
    assert!(matches!(watch(&world).take("t/a", b"3", 0), Sampled::Closed(_)));
    watch(&world).take("t/a", b"4", 0);
    watch(&world).save_all();
    assert_eq!(world.registry.values().figures().keep_topics, 1);
    world.add(action("W", Trigger::Start));
    assert_eq!(world.registry.values().figures().keep_topics, 0);
    world.add(action("W", trigger(&["t/+"], MINUTE)));
    watch(&world).take("t/a", b"4", 0);
    watch(&world).save_all();
    assert_eq!(world.registry.values().figures().keep_topics, 2);
    world.remove("W");
    assert_eq!(world.registry.values().figures().keep_topics, 0);
}

proptest! {
    #[test]
    fn agrees_with_a_plain_list(
        numbers in prop::collection::vec(-100i32..100, 1..60),
        steps in 1u64..6,
        every in 1u64..4,
    ) {
        let world = world(WindowExtent::Messages { last: steps * every, every });
        let watch = watch(&world);
        for (at, number) in numbers.iter().enumerate() {
            let taken = watch.take("t/a", number.to_string().as_bytes(), 0);
            let count = at + 1;
            if count % usize::try_from(every).unwrap() > 0 {
                prop_assert_eq!(taken, Sampled::Counted);
                continue;
            }
            let first = count.saturating_sub(usize::try_from(steps * every).unwrap());
            let window: Vec<f64> = numbers[first..count].iter().map(|number| f64::from(*number)).collect();
            let Sampled::Closed(figures) = taken else { panic!("it has closed") };
            let figures: serde_json::Value = serde_json::from_slice(&figures).unwrap();
            let figure = |name: &str| figures[name].as_f64().unwrap();
            prop_assert_eq!(figure("count"), window.len() as f64);
            prop_assert_eq!(figure("sum"), window.iter().sum::<f64>());
            prop_assert_eq!(figure("min"), window.iter().copied().fold(f64::INFINITY, f64::min));
            prop_assert_eq!(figure("max"), window.iter().copied().fold(f64::NEG_INFINITY, f64::max));
            prop_assert_eq!(figure("last"), window[window.len() - 1]);
        }
    }
}

/// Event in the life of windows of twenty seconds.
#[derive(Debug, Clone)]
enum Happening {
    /// So many milliseconds pass until the timers are looked at.
    Pass(u64),
    /// The changes are saved.
    Save,
    /// The broker is killed, and starts again after so many milliseconds.
    Restart(u64),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (1u64..25_000).prop_map(Happening::Pass),
        2 => (1u64..90_000).prop_map(Happening::Pass),
        2 => Just(Happening::Save),
        1 => (0u64..90_000).prop_map(Happening::Restart),
        1 => (0u64..40_000_000).prop_map(Happening::Restart),
    ]
}

proptest! {
    /// However late timers are, and however long the broker is away, windows have their ends and
    /// their length, but for the first one, which begins with the Action.
    #[test]
    fn windows_have_their_length_however_late_they_are_closed(
        happenings in prop::collection::vec(happening(), 1..60),
        begins_ms in 0i64..20_000,
    ) {
        const LENGTH: WindowExtent = WindowExtent::Time { last_ms: 20_000, every_ms: 20_000, from_ms: 0 };
        let mut world = World::new();
        world.now.wall += SignedDuration::from_millis(begins_ms);
        // A window begins with the Action, and with a start that finds nothing kept.
        let mut began = vec![world.now.wall];
        world.add(action("W", trigger(&["t/+"], LENGTH)));
        for happening in happenings {
            match happening {
                Happening::Pass(ms) => {
                    world.now.elapsed += Duration::from_millis(ms);
                    world.now.wall += SignedDuration::from_millis(signed(ms));
                }
                Happening::Save => watch(&world).save_all(),
                Happening::Restart(ms) => {
                    let wall = world.now.wall + SignedDuration::from_millis(signed(ms));
                    world = restarted_at(&world, LENGTH, wall);
                    began.push(wall);
                }
            }
            for (start, end) in ends(&closed(&world)) {
                let (start, end): (Timestamp, Timestamp) = (start.parse().unwrap(), end.parse().unwrap());
                prop_assert_eq!(end.as_millisecond() % 20_000, 0, "{} to {}", start, end);
                if !began.contains(&start) {
                    prop_assert_eq!((end - start).get_seconds(), 20, "{} to {}", start, end);
                }
                prop_assert!(end <= world.now.wall);
            }
            watch(&world).take("t/a", b"1", 0);
        }
    }
}

#[test]
fn windows_that_have_closed_leave_nothing_to_be_kept() {
    let world = world(WindowExtent::Messages { last: 2, every: 2 });
    let watch = watch(&world);
    for number in 0..2_001 {
        watch.take("t/a", b"1", number);
        watch.take(&format!("t/{}", number / 2), b"1", number);
    }
    let table = watch.table.lock();
    assert_eq!((table.topics.len(), table.changed.len()), (2, 2), "those that are open");
}
