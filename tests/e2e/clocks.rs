//! Wall clocks that are wrong: at the start, as on a gateway without a battery, and set by years
//! while the broker runs. Nothing ends before its time, and nothing lasts for ever.

use std::fs;
use std::path::{Path, PathBuf};

use lotmq_client::{ConnectOptions, PropertyId, PropertyValue, Publication, QoS};
use lotmq_test_support::{Broker, WAIT_MAX, eventually, free_address, library};
use tempfile::TempDir;

use crate::{options, outbox};

/// The wall clock of a broker.
struct WallClock {
    directory: TempDir,
    library: PathBuf,
}

impl WallClock {
    /// One that is right; `None` where it cannot be set.
    fn new() -> Option<Self> {
        let clock =
            Self { directory: TempDir::new().unwrap(), library: library("faketime/libfaketimeMT.so.1")? };
        clock.shows("+0");
        Some(clock)
    }

    /// Sets it: `+5y` is five years ahead, `-10d` ten days behind, `@1970-01-01 00:00:10` stands
    /// for itself.
    fn shows(&self, time: &str) {
        let new = self.directory.path().join("new");
        fs::write(&new, time).unwrap();
        fs::rename(new, self.file()).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("time")
    }

    /// A broker that lives by it, with the route `Line` to nobody, whose messages may wait for ten
    /// minutes.
    fn broker(&self) -> Broker {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let broker = options()
            .variable("LD_PRELOAD", &text(&self.library))
            .variable("FAKETIME_TIMESTAMP_FILE", &text(&self.file()))
            .variable("FAKETIME_NO_CACHE", "1")
            .variable("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .variable("LOTMQ_ROUTES_ALLOW_LOOPBACK", "true")
            .variable("LOTMQ_MODULES_ALLOW_UNSTABLE", "true")
            .start();
        outbox::add_module(&broker);
        broker.command_ok(&outbox::route(free_address(), &["BUFFER_TTL_SEC 600"]));
        broker
    }
}

fn sleeper() -> ConnectOptions {
    ConnectOptions::v5("sleeper").clean_start(false).session_expiry(600)
}

/// A message that expires in ten minutes.
fn lasting(topic: &str) -> Publication {
    let expiry = PropertyValue::FourByte(600);
    let lasting = Publication::new(topic, topic).qos(QoS::AtLeastOnce);
    lasting.property(PropertyId::MessageExpiryInterval, expiry)
}

/// Leaves behind a session, a message in its queue, a retained one, and one in the outbox.
fn leave(broker: &Broker) {
    let mut away = broker.connect(&sleeper());
    away.subscribe_to("in/#", QoS::AtLeastOnce).unwrap();
    away.disconnect().unwrap();
    let mut client = broker.connect(&ConnectOptions::v5("there"));
    client.publish(&lasting("in/queue")).unwrap();
    client.publish(&lasting("kept").retained()).unwrap();
    client.publish(&Publication::new("out/a", "1").qos(QoS::AtLeastOnce)).unwrap();
    broker.wait_until_metric_is("lotmq_route_waiting", 1.0);
}

/// All that was left is there, with what was left of its time but for a minute; it is left behind
/// again.
fn assert_all_is_there(broker: &Broker, when: &str) {
    let mut back = broker.connect(&sleeper());
    assert!(back.session_present(), "the session, {when}");
    let message = back.receive(WAIT_MAX).unwrap().unwrap_or_else(|| panic!("the queue, {when}"));
    let left = message.properties().message_expiry_interval().unwrap();
    assert!((540..=600).contains(&left), "{left} s, {when}");
    back.disconnect().unwrap();
    let mut reader = broker.connect(&ConnectOptions::v5("reader"));
    reader.publish(&lasting("in/queue")).unwrap();
    reader.subscribe_to("kept", QoS::AtLeastOnce).unwrap();
    let kept = reader.receive(WAIT_MAX).unwrap().unwrap_or_else(|| panic!("the retained message, {when}"));
    let left = kept.properties().message_expiry_interval().unwrap();
    assert!((540..=600).contains(&left), "{left} s of the retained one, {when}");
    assert_eq!(broker.metric("lotmq_route_waiting"), Some(1.0), "the outbox, {when}");
    assert_eq!(broker.metric("lotmq_route_dead_letters"), Some(0.0), "dead letters, {when}");
    assert!(broker.metric("lotmq_route_oldest_seconds").unwrap() < 60.0, "the age of the oldest, {when}");
}

/// Waits until the broker has seen that the clock was set.
fn wait_until_seen(broker: &Broker, times: usize) {
    let told = || broker.log().text().matches("the wall clock was set").count();
    eventually("the step was seen", || (told() >= times).then_some(()));
}

#[test]
fn nothing_ends_because_the_wall_clock_is_set() {
    let Some(wall) = WallClock::new() else { return };
    let broker = wall.broker();
    leave(&broker);
    for (steps, time) in ["+5y", "-10y", "+0"].into_iter().enumerate() {
        wall.shows(time);
        wait_until_seen(&broker, steps + 1);
        assert_all_is_there(&broker, &format!("at {time}"));
    }
}

#[test]
fn a_gateway_without_a_battery_loses_nothing() {
    let Some(wall) = WallClock::new() else { return };
    let mut broker = wall.broker();
    leave(&broker);
    assert!(broker.stop().success());
    wall.shows("@1970-01-01 00:00:10");
    broker.start_again();
    assert!(broker.log().text().contains("the wall clock is behind"), "{}", broker.log().text());
    assert_all_is_there(&broker, "in 1970");
    wall.shows("+0");
    wait_until_seen(&broker, 1);
    assert_all_is_there(&broker, "when the time is known");
    broker.kill();
    broker.start_again();
    assert_all_is_there(&broker, "after the next start");
}

#[test]
fn session_expires_by_elapsed_time_despite_clock_changes() {
    let Some(wall) = WallClock::new() else { return };
    let mut broker = wall.broker();
    let brief = ConnectOptions::v5("brief").clean_start(false).session_expiry(1);
    broker.connect(&brief).disconnect().unwrap();
    wall.shows("-10y");
    let ended = || broker.metric("lotmq_sessions_expired_total").unwrap();
    eventually("the session has ended", || (ended() > 0.0).then_some(()));
    wall.shows("+0");
    wait_until_seen(&broker, 1);
    leave(&broker);
    assert!(broker.stop().success());
    // Off for an hour: what the wall clock says of that is all that is known.
    wall.shows("+1h");
    broker.start_again();
    let back = broker.connect(&sleeper());
    assert!(!back.session_present(), "ten minutes are over");
}
