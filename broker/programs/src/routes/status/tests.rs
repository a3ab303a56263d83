use std::time::Duration;

use super::*;
use crate::limits::ROUTE_DELIVERY_BOUNDS;

#[test]
fn status_has_the_fields_of_the_reference_in_order() {
    let start = Timestamp::from_second(1_795_166_305).unwrap();
    let mut status = RouteStatus::new(start);
    status.connection_is(0, Connection::Connected, start);
    for _ in 0..12 {
        status.messages_came(1);
    }
    status.passed(12, start);
    let now = start + SignedDuration::from_secs(90);
    let text = status
        .to_json(("PLC1", "MODBUS_TCP"), &RunnerFacts { dead_letters: 3, ..RunnerFacts::default() }, now)
        .to_string();
    assert_eq!(
        text,
        r#"{"name":"PLC1","type":"MODBUS_TCP","connection":"Connected","health":"Green","#.to_owned()
            + r#""errors":{"total":0,"consecutive":0,"rate":0.0},"messages":{"total":12,"succeeded":12,"failed":0,"received":0},"#
            + r#""deadLetters":3,"deadLettersDropped":0,"lastActivity":"2026-11-20T09:18:25.000Z","lastSuccess":"2026-11-20T09:18:25.000Z","lastError":null,"lastErrorIsOver":false,"#
            + r#""uptime":"00:01:30","connectedSince":"2026-11-20T09:18:25.000Z","timestamp":"2026-11-20T09:19:55.000Z","#
            + r#""waiting":0,"waitingBytes":0,"shed":0,"oldestSeconds":null,"deliveredPerSecond":0.1,"receivedPerSecond":0.0,"latencyMs":0}"#
    );
}

#[test]
fn health_follows_the_errors_and_the_absence() {
    let start = Timestamp::UNIX_EPOCH;
    let mut status = RouteStatus::new(start);
    assert_eq!(status.health(&[], start + SignedDuration::from_secs(30)), "Green");
    assert_eq!(status.health(&[], start + SignedDuration::from_secs(61)), "Red");
    status.connection_is(0, Connection::Connected, start);
    for (failures, expected) in [(2, "Green"), (3, "Yellow"), (10, "Yellow"), (11, "Red")] {
        while status.errors < failures {
            status.failed(1, "no", start);
        }
        assert_eq!(status.health(&[], start), expected, "{failures}");
    }
    assert_eq!(status.health(&[], start + RECENT), "Green", "that was long ago");
    for _ in 0..20 {
        status.passed(1, start);
    }
    assert_eq!(status.health(&[], start), "Green");
}

#[test]
fn recent_failures_are_reported_with_their_event() {
    let start = Timestamp::UNIX_EPOCH;
    let mut status = RouteStatus::new(start);
    status.connection_is(0, Connection::Connected, start);
    let event = Addressee::Event("Put".into());
    for _ in 0..4 {
        status.event_failed(&event, 1, "no such column", start);
    }
    status.passed(1, start);
    status.event_passed(&event, start);
    let told = status.failed_lately(start).unwrap();
    assert!(told.ends_with("within a minute: event `Put`: no such column"), "{told}");
}

#[test]
fn rates_are_those_of_the_last_minute() {
    let start = Timestamp::UNIX_EPOCH;
    let after = |seconds| start + SignedDuration::from_secs(seconds);
    let mut status = RouteStatus::new(start);
    assert_eq!(status.rates(start), Rates::default());
    status.passed(100, after(5));
    status.deliveries.latency.observe(ROUTE_DELIVERY_BOUNDS, Duration::from_millis(15), 100);
    status.deliveries.brought += 7;
    let rates = |delivered_per_second, received_per_second, latency_ms| Rates {
        delivered_per_second,
        received_per_second,
        latency_ms,
    };
    assert_eq!(status.rates(after(10)), rates(10.0, 0.7, Some(15)));
    for second in 10..=30 {
        status.mark_pace(after(second));
    }
    // Nothing since the mark of the 20th second.
    assert_eq!(status.rates(after(35)), rates(0.0, 0.0, None));
}

fn event(name: &str) -> Addressee {
    Addressee::Event(name.into())
}

fn waits(name: &str, seconds: i64) -> [EventWait; 1] {
    [(event(name), SignedDuration::from_secs(seconds))]
}

#[test]
fn route_is_not_green_while_messages_wait_unanswered() {
    let start = Timestamp::UNIX_EPOCH;
    let mut status = RouteStatus::new(start);
    status.connection_is(0, Connection::Connected, start);
    assert_eq!(status.health(&waits("A", 30), start), "Green");
    assert_eq!(status.health(&waits("A", 31), start), "Yellow");
    assert_eq!(status.health(&waits("A", 301), start), "Red");
    assert_eq!(status.unanswered(&waits("A", 10), start), None);
    let told = status.unanswered(&waits("A", 11), start);
    assert_eq!(told.as_deref(), Some("event `A`: nothing has passed for 11 s"));
    status.passed(1, start);
    status.event_passed(&event("A"), start);
    assert_eq!(status.health(&waits("A", 3600), start), "Green", "a backlog passes");
    let later = start + SignedDuration::from_secs(31);
    assert_eq!((status.health(&waits("A", 31), later), status.health(&[], later)), ("Yellow", "Green"));
}

#[test]
fn route_that_connects_for_too_long_is_not_green() {
    let start = Timestamp::UNIX_EPOCH;
    let status = RouteStatus::new(start);
    let told = |seconds| {
        let now = start + SignedDuration::from_secs(seconds);
        (status.health(&[], now), status.unanswered(&[], now))
    };
    assert_eq!((told(10), told(30).0), (("Green", None), "Green"));
    assert_eq!(
        told(31),
        ("Yellow", Some("it has been connecting for 31 s, and has no answer yet".to_owned()))
    );
    assert_eq!(told(61).0, "Red");
}

#[test]
fn success_of_one_event_does_not_clear_errors_of_another() {
    let start = Timestamp::UNIX_EPOCH;
    let mut status = RouteStatus::new(start);
    status.connection_is(0, Connection::Connected, start);
    status.event_failed(&event("B"), 0, "no such table", start);
    status.passed(1, start);
    status.event_passed(&event("A"), start);
    assert_eq!(status.reason().as_deref(), Some("event `B`: no such table"));
    assert!(!status.last_error_is_over());
    let after = |seconds| start + SignedDuration::from_secs(seconds);
    for (seconds, expected) in [(30, "Green"), (31, "Yellow"), (61, "Red")] {
        let now = after(seconds);
        status.event_passed(&event("A"), now);
        assert_eq!(status.health(&waits("B", seconds), now), expected, "{seconds}");
    }
    assert_eq!(status.health(&[], after(61)), "Green", "nothing of it waits any more");
    status.event_passed(&event("B"), after(62));
    assert_eq!((status.reason(), status.last_error_is_over()), (None, true));
    assert_eq!(status.health(&waits("B", 62), after(62)), "Green");
    let refused = || Some(("B".to_owned(), "B: QUERY cannot be prepared: no b".to_owned()));
    assert!(status.paths_are(BTreeMap::new(), refused(), start), "it is news");
    assert!(!status.paths_are(BTreeMap::new(), refused(), start));
    status.event_passed(&event("A"), after(63));
    assert_eq!((status.trouble(), status.health(&[], after(63))), (refused().map(|it| it.1), "Yellow"));
    status.event_passed(&event("B"), after(64));
    assert_eq!((status.trouble(), status.health(&[], after(64))), (None, "Green"));
}

#[test]
fn failures_followed_by_success_do_not_affect_health() {
    let start = Timestamp::UNIX_EPOCH;
    let mut status = RouteStatus::new(start);
    status.connection_is(0, Connection::Connected, start);
    (0..20).for_each(|_| status.event_failed(&event("A"), 0, "no", start));
    assert_eq!(status.health(&[], start), "Red");
    status.event_passed(&event("B"), start);
    assert_eq!(status.health(&[], start), "Red", "another event");
    status.event_passed(&event("A"), start);
    assert_eq!(status.health(&[], start), "Green");
    (0..20).for_each(|_| status.event_failed(&event("A"), 1, "no", start));
    status.event_passed(&event("A"), start);
    assert_eq!(status.health(&[], start), "Red", "they were given up");
    status.passed(1, start);
    let told = "19 of the last 20 operations failed within a minute: event `A`: no";
    assert_eq!((status.trouble(), status.failed_lately(start).as_deref()), (None, Some(told)));
    assert_eq!(status.failed_lately(start + RECENT), None);
    assert_eq!(status.health(&[], start + RECENT), "Green");
}

#[test]
fn a_tag_without_a_value_is_seen_as_long_as_it_has_none() {
    let start = Timestamp::UNIX_EPOCH;
    let mut status = RouteStatus::new(start);
    status.connection_is(0, Connection::Connected, start);
    status.failed(0, "M/A: no", start);
    status.brought(start);
    let told = FailingTags::read(br#"{"failing":1,"reasons":{"M/A":"no"}}"#, str::to_owned);
    status.failing_tags = told.map(Arc::new);
    let seen = |status: &RouteStatus| {
        let trouble = status.trouble();
        (status.health(&[], start), trouble, status.last_error_is_over())
    };
    assert_eq!(seen(&status), ("Yellow", Some("1 tag has no value: M/A: no".to_owned()), false));
    let row = status.to_json(("R", "MODBUS_TCP"), &RunnerFacts::default(), start);
    assert_eq!(row["tags"], json!({ "failing": 1, "reasons": { "M/A": "no" } }));
    status.failing_tags = FailingTags::read(br#"{"failing":0}"#, str::to_owned).map(Arc::new);
    assert_eq!(seen(&status), ("Green", None, true));
    status.failing_tags =
        FailingTags::read(br#"{"failing":1,"reasons":{"M/A":"no"}}"#, str::to_owned).map(Arc::new);
    // A write that was rejected besides does not hide it.
    status.event_failed(&event("W"), 1, "too large", start);
    let both = status.trouble().unwrap();
    assert!(both.ends_with("too large; 1 tag has no value: M/A: no"), "{both}");
}

#[test]
fn stopped_route_is_red_with_its_reason() {
    let start = Timestamp::UNIX_EPOCH;
    let mut status = RouteStatus::new(start);
    status.connection_is(0, Connection::Connected, start);
    status.failed(0, "no", start);
    assert_eq!(
        (status.health(&[], start), status.reason().as_deref()),
        ("Green", Some("no")),
        "it is tried again"
    );
    status.passed(1, start);
    assert_eq!(status.reason().as_deref(), None);
    status.connection_is(0, Connection::Reconnecting, start);
    assert_eq!((status.health(&[], start), status.reason().as_deref()), ("Yellow", Some("no")));
    status.connection_is(0, Connection::Disconnected, start);
    assert_eq!((status.health(&[], start), status.reason().as_deref()), ("Red", Some("no")));
}

#[test]
fn uptime_includes_days_from_the_first_full_day() {
    for (seconds, expected) in [(0, "00:00:00"), (86_399, "23:59:59"), (93_784, "1.02:03:04")] {
        assert_eq!(uptime(SignedDuration::from_secs(seconds)), expected);
    }
}

#[test]
fn how_often_it_is_tried_to_connect_says_nothing_of_the_health() {
    let start = Timestamp::UNIX_EPOCH;
    let after = |seconds| start + SignedDuration::from_secs(seconds);
    for instances in [1, 16, 64] {
        let mut status = RouteStatus::new(start);
        status.instances_are(instances);
        (0..instances).for_each(|instance| status.connection_is(instance, Connection::Connected, start));
        for second in 0..=60 {
            for instance in 0..instances {
                status.is_away_for("refused", after(second));
                status.connection_is(instance, Connection::Reconnecting, after(second));
            }
            let seen = (status.health(&[], after(second)), status.reason());
            assert_eq!(seen, ("Yellow", Some("refused".to_owned())), "{instances} {second}");
        }
        assert_eq!(status.health(&[], after(61)), "Red");
        status.connection_is(0, Connection::Connected, after(62));
        assert_eq!(status.health(&[], after(62)), "Green");
        (0..5).for_each(|_| status.failed(0, "a run failed", after(62)));
        assert_eq!(status.health(&[], after(62)), "Yellow");
        status.brought(after(62));
        assert_eq!((status.health(&[], after(62)), status.reason()), ("Green", None));
    }
}

#[test]
fn dropped_message_does_not_hide_the_connection_error() {
    let start = Timestamp::UNIX_EPOCH;
    let mut status = RouteStatus::new(start);
    status.connection_is(0, Connection::Connected, start);
    status.is_away_for("connection refused", start);
    status.connection_is(0, Connection::Reconnecting, start);
    status.event_failed(&event("A"), 1, "it waited for too long", start);
    assert_eq!(status.reason().as_deref(), Some("connection refused"));
    assert_eq!(status.trouble().as_deref(), Some("connection refused"));
    assert_eq!(status.last_error(), Some("it waited for too long"));
    status.connection_is(0, Connection::Connected, start);
    assert_eq!(status.reason().as_deref(), Some("event `A`: it waited for too long"));
    status.is_doubtful(start);
    assert_eq!(status.reason().as_deref(), Some("it waited for too long"), "an outage of its own");
}

#[test]
fn runs_that_fail_are_red_after_a_minute_however_seldom_they_are_tried() {
    let start = Timestamp::UNIX_EPOCH;
    let after = |seconds| start + SignedDuration::from_secs(seconds);
    let mut status = RouteStatus::new(start);
    status.connection_is(0, Connection::Connected, start);
    status.run_failed("no answer", false, start);
    assert_eq!(status.health(&[], after(60)), "Green");
    status.run_failed("no answer", true, after(61));
    let seen = (status.health(&[], after(61)), status.connection().word(), status.reason());
    assert_eq!(seen, ("Red", "Reconnecting", Some("no answer".to_owned())));
    status.brought(after(62));
    let seen = (status.health(&[], after(62)), status.connection().word(), status.reason());
    assert_eq!(seen, ("Green", "Connected", None));
}

#[test]
fn reconnecting_route_is_connected_after_a_successful_delivery() {
    let start = Timestamp::UNIX_EPOCH;
    let after = |seconds| start + SignedDuration::from_secs(seconds);
    let mut status = RouteStatus::new(start);
    status.connection_is(0, Connection::Connected, start);
    status.connection_is(0, Connection::Reconnecting, start);
    for second in [10, 30, 61] {
        status.is_unproven(0);
        assert_eq!((status.connection(), status.unproven()), (Connection::Reconnecting, 1), "{second}");
        status.connection_is(0, Connection::Reconnecting, after(second));
        assert_eq!(status.unproven(), 0);
    }
    assert_eq!(status.health(&[], after(61)), "Red");
    status.is_unproven(0);
    status.passed(1, after(62));
    assert_eq!((status.connection(), status.health(&[], after(62))), (Connection::Connected, "Green"));
    assert_eq!(status.deliveries.reconnects, 1);
}

#[test]
fn automatic_restarts_are_counted_separately_from_ordered_reconnects() {
    let start = Timestamp::UNIX_EPOCH;
    let mut status = RouteStatus::new(start);
    // It is tried until it is there.
    status.connection_is(0, Connection::Reconnecting, start);
    status.connection_is(0, Connection::Connected, start);
    let counts = |status: &RouteStatus| (status.deliveries.reconnects, status.deliveries.restarts);
    assert_eq!(counts(&status), (0, 0));
    status.begins_anew(start);
    status.connection_is(0, Connection::Connected, start);
    assert_eq!(counts(&status), (1, 0), "ordered");
    for _ in 0..2 {
        status.connection_is(0, Connection::Reconnecting, start);
    }
    status.connection_is(0, Connection::Connected, start);
    assert_eq!(counts(&status), (2, 1), "lost");
    for restarts in 2..4 {
        status.connection_is(0, Connection::Reconnecting, start);
        status.is_unproven(0);
        assert_eq!(counts(&status), (2, restarts), "open, and lost again at once");
    }
    status.connection_is(0, Connection::Connected, start);
    assert_eq!(counts(&status), (3, 3), "and heard of");
    status.connection_is(0, Connection::Disconnected, start);
    status.begins_anew(start);
    status.connection_is(0, Connection::Connected, start);
    assert_eq!(counts(&status), (4, 3), "people have corrected it");
}

#[test]
fn refused_write_is_the_status_reason_for_five_minutes() {
    let start = Timestamp::UNIX_EPOCH;
    let mut status = RouteStatus::new(start);
    status.connection_is(0, Connection::Connected, start);
    status.write_is_refused("not granted", start);
    status.run_failed("cannot publish: not granted", false, start);
    let seen = (status.health(&[], start), status.reason(), status.last_error());
    assert_eq!(seen, ("Red", Some("not granted".to_owned()), Some("not granted")));
    let later = start + SignedDuration::from_mins(4);
    status.write_is_still_refused(later);
    status.brought(later + SignedDuration::from_mins(4));
    assert_eq!(status.health(&[], later + SignedDuration::from_mins(4)), "Red", "something else passes");
    status.brought(later + SignedDuration::from_mins(5));
    assert_eq!(status.health(&[], later + SignedDuration::from_mins(5)), "Green");
    status.write_is_refused("not granted", later);
    status.begins_anew(later);
    status.connection_is(0, Connection::Connected, later + SignedDuration::from_secs(1));
    assert_eq!((status.reason(), status.health(&[], later)), (None, "Green"));
}

#[test]
fn other_errors_are_reported_together_with_a_refused_write() {
    let start = Timestamp::UNIX_EPOCH;
    let after = |seconds| start + SignedDuration::from_secs(seconds);
    let mut status = RouteStatus::new(start);
    status.connection_is(0, Connection::Connected, start);
    status.event_failed(&event("A"), 0, "no such table", start);
    status.write_is_refused("not granted", after(1));
    let seen = (status.reason(), status.last_error());
    assert_eq!(seen, (Some("not granted; event `A`: no such table".to_owned()), Some("not granted")));
    status.event_failed(&event("B"), 0, "no such column", after(2));
    status.write_is_still_refused(after(3));
    let seen = (status.reason(), status.last_error());
    assert_eq!(seen, (Some("event `B`: no such column; not granted".to_owned()), Some("no such column")));
    for name in ["A", "B"] {
        status.passed(1, after(4));
        status.event_passed(&event(name), after(4));
    }
    let seen = (status.reason(), status.last_error());
    assert_eq!(seen, (Some("not granted".to_owned()), Some("not granted")), "the others are over");
    status.run_failed("no answer", false, after(5));
    let seen = (status.reason(), status.last_error());
    assert_eq!(seen, (Some("no answer; not granted".to_owned()), Some("no answer")));
    status.passed(1, after(6));
    let query = Some(("B".to_owned(), "B: QUERY cannot be prepared: no b".to_owned()));
    status.paths_are(BTreeMap::new(), query, after(7));
    let told = "B: QUERY cannot be prepared: no b";
    let seen = (status.trouble(), status.last_error());
    assert_eq!(seen, (Some(format!("{told}; not granted")), Some(told)));
}

#[test]
fn refused_write_is_listed_before_its_consequences() {
    let start = Timestamp::UNIX_EPOCH;
    let after = |minutes| start + SignedDuration::from_mins(minutes);
    let mut status = RouteStatus::new(start);
    status.connection_is(0, Connection::Connected, start);
    status.write_is_refused("not granted", after(1));
    // The guest has ended its reader, and never tries again.
    status.connection_is(0, Connection::Disconnected, after(2));
    status.failed(1, "no answer", after(9));
    assert_eq!(status.reason(), Some("not granted; no answer".to_owned()));
}

#[test]
fn another_version_is_not_judged_by_what_the_one_before_failed_at() {
    let start = Timestamp::UNIX_EPOCH;
    let mut status = RouteStatus::new(start);
    (0..4).for_each(|_| status.broke("its text was wrong", start));
    status.begins_anew(start);
    assert_eq!((status.health(&[], start), status.reason()), ("Green", None), "it connects");
    status.connection_is(0, Connection::Connected, start);
    assert_eq!((status.health(&[], start), status.failed_lately(start)), ("Green", None));
    assert_eq!((status.last_error(), status.last_error_is_over()), (Some("its text was wrong"), true));

    // That it is stopped makes no error one of now, and ends none.
    status.stopped_is(true);
    status.begins_anew(start);
    assert!(status.last_error_is_over());
    status.stopped_is(false);
    status.begins_anew(start);
    status.connection_is(0, Connection::Connected, start);
    status.event_failed(&event("A"), 0, "no table", start);
    status.stopped_is(true);
    status.begins_anew(start);
    assert!(!status.last_error_is_over());
    status.stopped_is(false);
    status.begins_anew(start);
    assert!(status.last_error_is_over() && status.reason().is_none());
}
