//! Triggers by the clock and by silence, offline in virtual time and in a broker.

use std::time::{Duration, Instant};

use lotmq_client::{Client, ConnectOptions, Publication, QoS};
use lotmq_test_support::{Broker, Finished, Program, WAIT_MAX, eventually};

use crate::{LOTMQ, broker, next, send, watch};

/// Longer than any silence of these tests.
const A_WHILE: Duration = Duration::from_millis(1200);

const SHIFTS: &str = r#"DEFINE ACTION Shift
ON EVERY DAY AT "06:00", "14:00", "22:00" DO
    PUBLISH TOPIC "shift" WITH TIMESTAMP "HOUR"
DEFINE ACTION Invoices
ON EVERY DAY 1, LAST OF MONTH AT "07:00" DO
    PUBLISH TOPIC "invoices" WITH TIMESTAMP "DAY"
DEFINE ACTION Clean
ON EVERY MONDAY, WEEKEND AT "08:00" DO
    PUBLISH TOPIC "clean" WITH TIMESTAMP "WEEKDAY"
"#;

const LOST: &str = r#"DEFINE ACTION Lost
ON SILENCE OF "plant/+/beat" OR "gate" FOR 30 SECONDS DO
    PUBLISH TOPIC "lost/" + TOPIC POSITION 2 WITH TOPIC + " was " + PAYLOAD
"#;

fn lotmq_test(program: &str, cases: &str) -> Finished {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("p.lot"), program).unwrap();
    std::fs::write(folder.path().join("p.test.toml"), cases).unwrap();
    Program::start(LOTMQ, &["test", folder.path().to_str().unwrap()]).unwrap().wait()
}

pub(crate) fn passes(program: &str, cases: &str, count: usize) {
    let run = lotmq_test(program, cases);
    assert!(run.stdout.ends_with(&format!("{count} passed, 0 failed")), "{}{}", run.stdout, run.stderr);
}

#[test]
fn several_times_and_days_are_tested_offline() {
    let cases = r#"
        [[case]]
        name = "three shifts, the last of a month and the first of the next"
        at = "2026-02-27T21:00:00Z"
        when = [{ pass = "36h" }]
        then = [
            { topic = "shift", payload = 22 },
            { topic = "shift", payload = 6 },
            { topic = "invoices", payload = 28 },
            { topic = "clean", contains = "" },
            { topic = "shift", payload = 14 },
            { topic = "shift", payload = 22 },
            { topic = "shift", payload = 6 },
            { topic = "invoices", payload = 1 },
            { topic = "clean", contains = "" },
        ]
        [[case]]
        name = "a night in which the clock goes forward"
        at = "2026-03-28T21:30:00Z"
        zone = "Europe/Berlin"
        when = [{ pass = "9h" }]
        then = [{ topic = "shift", contains = "" }, { topic = "clean", contains = "" }]
    "#;
    passes(SHIFTS, cases, 2);
}

#[test]
fn silence_is_tested_offline() {
    let cases = r#"
        [[case]]
        name = "once for each topic, and again when it was heard anew"
        when = [
            { topic = "plant/a/beat", payload = 1 },
            { pass = "10s" },
            { topic = "plant/b/beat", payload = 2 },
            { topic = "gate", payload = "open" },
            { pass = "15s" },
            { topic = "plant/a/beat", payload = 3 },
            { pass = "20s" },
            { pass = "10min" },
            { topic = "plant/b/beat", payload = "" },
            { pass = "29s" },
            { pass = "1s" },
        ]
        then = [
            { topic = "lost/b", payload = "plant/b/beat was 2" },
            { topic = "lost/", payload = "gate was open" },
            { topic = "lost/a", payload = "plant/a/beat was 3" },
            { topic = "lost/b", payload = "plant/b/beat was " },
        ]
        [[case]]
        name = "a topic that is named is missed though it never was there"
        when = [{ pass = "29s" }, { pass = "1s" }]
        then = [{ topic = "lost/", payload = "gate was " }]
    "#;
    passes(LOST, cases, 2);
    let arguments = ["run", "-", "--in", "plant/a/beat=7", "--for", "31"];
    let run = Program::start_with_input(LOTMQ, &arguments, LOST).unwrap().wait();
    assert_eq!(run.output(), "lost/ gate was \nlost/a plant/a/beat was 7");
}

pub(crate) fn add(broker: &Broker, name: &str, trigger: &str, body: &str) {
    broker.command_ok(&format!("-addAction DEFINE ACTION {name}\n{trigger} DO\n    {body}\n"));
}

#[test]
fn several_times_of_day_are_listed_in_the_diagnostic() {
    let broker = broker();
    add(&broker, "Shift", r#"ON EVERY DAY AT "06:00", "14:00""#, r#"PUBLISH TOPIC "o" WITH 1"#);
    let reply = format!("{:?}", broker.command_ok("-lotDiagnostic action Shift"));
    assert!(reply.contains("06:00:00") && reply.contains("14:00:00"), "{reply}");
}

#[test]
fn a_broker_tells_silence_once_until_the_topic_is_heard_anew() {
    let broker = broker();
    let mut watcher = watch(&broker, "lost/#");
    let body = r#"PUBLISH TOPIC "lost/" + TOPIC POSITION 2 WITH PAYLOAD"#;
    add(&broker, "Lost", r#"ON SILENCE OF "plant/+/beat" FOR 600 MILLISECONDS"#, body);
    assert!(watcher.receive(A_WHILE).unwrap().is_none(), "nothing was heard yet");
    let mut sender = broker.client("sender");
    let mut sent_at = Instant::now();
    for number in 0..10 {
        std::thread::sleep(Duration::from_millis(60));
        sent_at = Instant::now();
        sender.publish(&Publication::new("plant/a/beat", number.to_string())).unwrap();
    }
    assert_eq!(next(&mut watcher), "lost/a=9");
    assert!(sent_at.elapsed() >= Duration::from_millis(600), "{:?}", sent_at.elapsed());
    send(&broker, "plant/b/beat", "x");
    assert_eq!(next(&mut watcher), "lost/b=x");
    assert!(watcher.receive(A_WHILE).unwrap().is_none(), "once");
    send(&broker, "plant/b/beat", "y");
    assert_eq!(next(&mut watcher), "lost/b=y");
    // Messages of the program itself count as well.
    add(&broker, "Beat", r#"ON TOPIC "start""#, r#"PUBLISH TOPIC "plant/c/beat" WITH PAYLOAD"#);
    send(&broker, "start", "z");
    assert_eq!(next(&mut watcher), "lost/c=z");
    // A new version has heard nothing.
    send(&broker, "plant/b/beat", "w");
    add(&broker, "Lost", r#"ON SILENCE OF "other/+" FOR 600 MILLISECONDS"#, body);
    assert!(watcher.receive(A_WHILE).unwrap().is_none(), "it begins anew");
}

#[test]
fn a_topic_that_is_named_counts_from_the_start_of_the_broker() {
    let mut broker = broker();
    let trigger = r#"ON SILENCE OF "gate" FOR 2 SECONDS"#;
    add(&broker, "Lost", trigger, r#"PUBLISH TOPIC "lost" WITH TOPIC + PAYLOAD"#);
    let mut watcher = watch(&broker, "lost");
    assert_eq!(next(&mut watcher), "lost=gate");
    broker.kill();
    broker.start_again();
    let mut watcher = watch(&broker, "lost");
    assert_eq!(next(&mut watcher), "lost=gate");
    assert!(watcher.receive(A_WHILE).unwrap().is_none(), "once");
}

#[test]
fn silence_during_a_broker_outage_is_reported_once_after_restart() {
    let mut broker = broker();
    add(
        &broker,
        "Lost",
        r#"ON SILENCE OF "plant/+/beat" FOR 4 SECONDS"#,
        r#"PUBLISH TOPIC "lost" WITH TOPIC"#,
    );
    send(&broker, "plant/a/beat", "1");
    // Longer than what changes is kept at once.
    std::thread::sleep(Duration::from_millis(2_500));
    broker.kill();
    broker.start_again();
    let mut watcher = watch(&broker, "lost");
    assert_eq!(next(&mut watcher), "lost=plant/a/beat");
    // The broker does not report a silence again.
    std::thread::sleep(Duration::from_millis(2_500));
    broker.stop();
    broker.start_again();
    let mut watcher = watch(&broker, "lost");
    assert!(watcher.receive(Duration::from_secs(5)).unwrap().is_none(), "once");
}

#[test]
fn silence_is_reported_only_to_owners_with_read_right() {
    let broker = broker();
    broker.command_ok("-addUser ann password");
    broker.command_ok("-changeUserSettings ann AllowedSystemConfiguration true");
    broker.command_ok(
        "-addRule DEFINE RULE Secret WITH PRIORITY 10 FOR Subscribe TO TOPIC \"secret/#\"\n    IF USER IS \"ann\" THEN\n        DENY\n    ELSE\n        ALLOW",
    );
    let mut watcher = watch(&broker, "lost/#");
    let action = |name: &str| {
        format!(
            "-addAction DEFINE ACTION {name}\nON SILENCE OF \"secret/+\" OR \"secret/named\" OR \"open\" FOR 400 MILLISECONDS DO\n    PUBLISH TOPIC \"lost/{name}\" WITH TOPIC + PAYLOAD\n"
        )
    };
    let reply = broker.command_as(("ann", "password"), &action("Ann"));
    assert!(reply.success(), "{reply:?}");
    send(&broker, "secret/x", "1");
    assert_eq!(next(&mut watcher), "lost/Ann=open");
    assert!(watcher.receive(A_WHILE).unwrap().is_none(), "the others are not for ann");
    broker.command_ok(&action("Root"));
    send(&broker, "secret/x", "2");
    let mut told = [(); 3].map(|()| next(&mut watcher));
    told.sort();
    assert_eq!(told, ["lost/Root=open", "lost/Root=secret/named", "lost/Root=secret/x2"]);
}

#[test]
fn an_action_watches_so_many_topics_and_says_when_they_are_more() {
    let broker = broker();
    add(&broker, "Lost", r#"ON SILENCE OF "many/+" FOR 1 HOUR"#, r#"PUBLISH TOPIC "lost" WITH TOPIC"#);
    let mut root = broker.root("reader");
    root.subscribe_to("$SYS/Coreflux/Actions/Lost/Error", QoS::AtMostOnce).unwrap();
    let mut sender = broker.client("sender");
    for number in 0..10_000 {
        sender.publish(&Publication::new(format!("many/{number}"), "x")).unwrap();
    }
    sender.publish(&Publication::new("many/0", "x").qos(QoS::AtLeastOnce)).unwrap();
    assert!(root.receive(A_WHILE).unwrap().is_none(), "there is room for these");
    sender.publish(&Publication::new("many/more", "x").qos(QoS::AtLeastOnce)).unwrap();
    let error = root.receive(WAIT_MAX).unwrap().expect("an error record").text();
    assert!(error.contains("SILENCE_LIMIT") && error.contains("10000 others"), "{error}");
}

const MINUTES: &str = r#"DEFINE ACTION Minute
ON WINDOW OF JSON "temp" IN "plant/+/data" EVERY 1 MINUTE DO
    PUBLISH TOPIC "minute/" + TOPIC POSITION 2 WITH WINDOW MEAN + " of " + WINDOW COUNT + ", " + WINDOW BAD + " bad"
    IF WINDOW MAX > 80 THEN
        PUBLISH TOPIC "alarm" WITH { "max": WINDOW MAX, "last": WINDOW LAST }
DEFINE ACTION Sliding
ON WINDOW OF "flow" LAST 30 SECONDS EVERY 10 SECONDS DO
    PUBLISH TOPIC "sliding" WITH WINDOW SUM
DEFINE ACTION Three
ON WINDOW OF "count/+" EVERY 3 MESSAGES DO
    PUBLISH TOPIC "three/+" WITH PAYLOAD
DEFINE ACTION Last
ON WINDOW OF "last" LAST 2 MESSAGES DO
    PUBLISH TOPIC "lowest" WITH WINDOW MIN
"#;

#[test]
fn windows_are_tested_offline() {
    let cases = r#"
        [[case]]
        name = "a window of time closes by the clock, for each topic, and an empty one is not told"
        when = [
            { topic = "plant/a/data", payload = { temp = 20 } },
            { topic = "plant/a/data", payload = { temp = 90 } },
            { topic = "plant/b/data", payload = { temp = "7.5" } },
            { topic = "plant/a/data", payload = { t = 1 } },
            { topic = "plant/a/data", payload = "broken" },
            { pass = "1min" },
            { pass = "5min" },
        ]
        then = [
            { topic = "minute/a", payload = "55 of 2, 2 bad" },
            { topic = "alarm", payload = { max = 90, last = 90 } },
            { topic = "minute/b", payload = "7.5 of 1, 0 bad" },
        ]
        [[case]]
        name = "a sliding one has what came in the last 30 seconds"
        when = [
            { topic = "flow", payload = 1 },
            { pass = "10s" },
            { topic = "flow", payload = 2 },
            { pass = "10s" },
            { pass = "10s" },
            { pass = "10s" },
            { pass = "10s" },
        ]
        then = [
            { topic = "sliding", payload = 1 },
            { topic = "sliding", payload = 3 },
            { topic = "sliding", payload = 3 },
            { topic = "sliding", payload = 2 },
        ]
        [[case]]
        name = "of messages"
        when = [
            { topic = "count/a", payload = 1 },
            { topic = "count/b", payload = 5 },
            { topic = "count/a", payload = 2 },
            { topic = "count/a", payload = "none" },
            { topic = "count/a", payload = 6 },
            { topic = "last", payload = 1 },
            { topic = "last", payload = 2 },
            { topic = "last", payload = 3 },
        ]
        then = [
            { topic = "three/a", contains = '"count":3,"sum":9,"mean":3,"min":1,"max":6,"last":6,"bad":1,"start":"20' },
            { topic = "lowest", payload = 1 },
            { topic = "lowest", payload = 1 },
            { topic = "lowest", payload = 2 },
        ]
    "#;
    passes(MINUTES, cases, 3);
    let arguments = ["run", "-", "--in", "flow=7", "--for", "10"];
    let run = Program::start_with_input(LOTMQ, &arguments, MINUTES).unwrap().wait();
    assert_eq!(run.output(), "sliding 7");
}

/// A client whose session outlives its connection: a window may close while nobody is connected,
/// before the broker stops or as soon as it is back.
fn lasting() -> ConnectOptions {
    ConnectOptions::v5("watcher").clean_start(false).session_expiry(3600)
}

/// Takes the next message for good: the broker has read that it was taken.
fn take(watcher: &mut Client) -> String {
    let message = next(watcher);
    watcher.ping().unwrap();
    message
}

#[test]
fn windows_close_by_the_timer_and_go_on_after_a_restart() {
    let mut broker = broker();
    let body = r#"PUBLISH TOPIC "w/" + TOPIC POSITION 2 WITH WINDOW SUM + " of " + WINDOW COUNT QOS 1"#;
    add(&broker, "Time", r#"ON WINDOW OF "t/+" EVERY 2 SECONDS"#, body);
    add(&broker, "Messages", r#"ON WINDOW OF "m/+" EVERY 4 MESSAGES"#, body);
    let mut watcher = broker.connect(&lasting());
    watcher.subscribe_to("w/#", QoS::AtLeastOnce).unwrap();
    send(&broker, "t/a", "1");
    assert_eq!(take(&mut watcher), "w/a=1 of 1");
    for payload in ["1", "2", "3"] {
        send(&broker, "m/b", payload);
    }
    // The broker stores the oldest changes first. A command that removes kept values waits until
    // all of them are on the disk.
    send(&broker, "m/mark", "1");
    eventually("the windows are kept", || {
        broker.command_ok("-listKept $LOT/Window/Messages/#").0.to_string().contains("m/mark").then_some(())
    });
    broker.command_ok("-removeKept nothing/#");
    drop(watcher);
    broker.kill();
    broker.start_again();
    let mut watcher = broker.connect(&lasting());
    send(&broker, "m/b", "4");
    assert_eq!(take(&mut watcher), "w/b=10 of 4");
    send(&broker, "t/a", "2");
    send(&broker, "m/b", "5");
    drop(watcher);
    broker.stop();
    broker.start_again();
    let mut watcher = broker.connect(&lasting());
    assert_eq!(take(&mut watcher), "w/a=2 of 1", "its end came meanwhile, or comes");
    // The same again as a new version goes on, another trigger begins anew.
    add(&broker, "Messages", r#"ON WINDOW OF "m/+" EVERY 4 MESSAGES"#, body);
    for payload in ["6", "7", "8"] {
        send(&broker, "m/b", payload);
    }
    assert_eq!(take(&mut watcher), "w/b=26 of 4");
    send(&broker, "m/b", "9");
    add(&broker, "Messages", r#"ON WINDOW OF "m/+" EVERY 2 MESSAGES"#, body);
    send(&broker, "m/b", "1");
    send(&broker, "m/b", "1");
    assert_eq!(take(&mut watcher), "w/b=2 of 2");
}

#[test]
fn windows_that_end_during_shutdown_are_reported_after_restart() {
    let mut broker = broker();
    let body = r#"PUBLISH TOPIC "w/" + TOPIC POSITION 2 WITH WINDOW SUM QOS 1"#;
    add(&broker, "Time", r#"ON WINDOW OF "t/+" EVERY 1 SECONDS"#, body);
    // The broker waits for its end, a second or so, and meanwhile a window ends.
    let slow = "SET \"i\" WITH 0\n    LOOP\n        SET \"i\" WITH {i} + 1\n        SET \"a\" WITH GET TOPIC \"a/1\"\n        SET \"b\" WITH GET TOPIC \"a/2\"\n        \
                SET \"c\" WITH GET TOPIC \"a/3\"\n    UNTIL {i} == 99999";
    add(&broker, "Slow", r#"ON TOPIC "slow""#, slow);
    let mut watcher = broker.connect(&lasting());
    watcher.subscribe_to("w/#", QoS::AtLeastOnce).unwrap();
    for round in 1..=3 {
        send(&broker, "slow", "1");
        send(&broker, "t/a", &round.to_string());
        drop(watcher);
        broker.stop();
        broker.start_again();
        watcher = broker.connect(&lasting());
        assert_eq!(take(&mut watcher), format!("w/a={round}"));
    }
}

#[test]
fn windows_need_the_read_right_of_the_owner_and_report_non_numbers() {
    let broker = broker();
    broker.command_ok("-addUser ann password");
    broker.command_ok("-changeUserSettings ann AllowedSystemConfiguration true");
    broker.command_ok(
        "-addRule DEFINE RULE Secret WITH PRIORITY 10 FOR Subscribe TO TOPIC \"secret/#\"\n    IF USER IS \"ann\" THEN\n        DENY\n    ELSE\n        ALLOW",
    );
    let mut watcher = watch(&broker, "told/#");
    let action = |name: &str| {
        format!(
            "-addAction DEFINE ACTION {name}\nON WINDOW OF \"secret/+\", \"open\" EVERY 2 MESSAGES DO\n    PUBLISH TOPIC \"told/{name}\" WITH TOPIC + \" \" + WINDOW SUM\n"
        )
    };
    let reply = broker.command_as(("ann", "password"), &action("Ann"));
    assert!(reply.success(), "{reply:?}");
    for payload in ["1", "2"] {
        send(&broker, "secret/x", payload);
        send(&broker, "open", payload);
    }
    assert_eq!(next(&mut watcher), "told/Ann=open 3");
    broker.command_ok(&action("Root"));
    for payload in ["1", "bad", "worse", "2"] {
        send(&broker, "secret/x", payload);
    }
    assert_eq!(next(&mut watcher), "told/Root=secret/x 3");
    let reply = format!("{:?}", broker.command_ok("-lotDiagnostic action Root"));
    assert!(reply.contains("no number for the window") && reply.contains("WINDOW_VALUE"), "{reply}");
    let reply = format!("{:?}", broker.command_ok("-lotDiagnostic action Ann"));
    assert!(reply.contains("ON WINDOW OF") && !reply.contains("no number"), "{reply}");
}

#[test]
fn an_action_has_windows_of_so_many_topics_and_says_when_they_are_more() {
    let broker = broker();
    add(&broker, "Many", r#"ON WINDOW OF "many/+" EVERY 1 HOUR"#, r#"PUBLISH TOPIC "told" WITH TOPIC"#);
    let mut root = broker.root("reader");
    root.subscribe_to("$SYS/Coreflux/Actions/Many/Error", QoS::AtMostOnce).unwrap();
    let mut sender = broker.client("sender");
    for number in 0..1_000 {
        sender.publish(&Publication::new(format!("many/{number}"), "1")).unwrap();
    }
    sender.publish(&Publication::new("many/0", "1").qos(QoS::AtLeastOnce)).unwrap();
    assert!(root.receive(A_WHILE).unwrap().is_none(), "there is room for these");
    sender.publish(&Publication::new("many/more", "1").qos(QoS::AtLeastOnce)).unwrap();
    let error = root.receive(WAIT_MAX).unwrap().expect("an error record").text();
    assert!(error.contains("WINDOW_LIMIT") && error.contains("1000 others"), "{error}");
}
