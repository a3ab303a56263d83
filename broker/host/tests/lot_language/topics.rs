//! §5.4, §5.5, §6: topics of reads and writes, last values.

use crate::bench::{Bench, action, check, on_in};

/// §5.4, row by row.
#[test]
fn get_topic_extends_as_far_as_it_should() {
    for (expression, expected) in [
        ("GET TOPIC \"k/n\" + 1", "o=6"),
        ("GET TOPIC \"k/\" + {id} + \"/n\" AS INT", "o=7"),
        ("GET TOPIC \"k/\" + {id} AS INT + 1", "o=9"),
        ("GET TOPIC \"a\" + {n}", "o=12"),
        ("GET TOPIC \"a\" AS INT + GET TOPIC \"b\" AS INT", "o=14"),
        ("GET TOPIC (\"k/\" + {id})", "o=8"),
    ] {
        let body = format!("SET \"id\" WITH \"x\"\nSET \"n\" WITH 2\nPUBLISH TOPIC \"o\" WITH {expression}");
        let mut bench = Bench::new(&on_in(&body));
        for (topic, value) in [("k/n", "5"), ("k/x/n", "7.5"), ("k/x", "8"), ("a", "10"), ("b", "4")] {
            bench.send(topic, value);
        }
        assert_eq!(bench.send("in", "").published(), [expected], "{expression}");
    }
}

/// §5.5 and C20.
#[test]
fn wildcards_take_what_the_trigger_matched() {
    let program = action(
        "ON TOPIC \"s/+/t\" DO",
        "PUBLISH TOPIC \"read\" WITH GET TOPIC \"s/+/h\"\nPUBLISH TOPIC \"out/+/x\" WITH PAYLOAD",
    );
    let mut bench = Bench::new(&program);
    bench.send("s/k1/h", "60").send("s/k2/h", "70");
    assert_eq!(bench.send("s/k1/t", "5").published(), ["read=60", "out/k1/x=5"]);
    for (trigger, topic, sent, expected) in [
        ("ON TOPIC \"a/#\" DO", "x/#", "a/b/c", vec!["x/b/c=1"]),
        ("ON TOPIC \"a/#\" DO", "x/#", "a", vec!["x=1"]),
        ("ON TOPIC \"a/+/#\" DO", "x/+/#", "a/1/2/3", vec!["x/1/2/3=1"]),
        ("ON TOPIC \"a/+\" OR \"b/+/c\" DO", "x/+", "b/7/c", vec!["x/7=1"]),
        ("ON TOPIC \"a/+\" OR \"b\" DO", "x/+", "a/7", vec!["x/7=1"]),
        ("ON TOPIC \"a/+\" OR \"b\" DO", "x/+", "b", vec![]),
    ] {
        let mut bench = Bench::new(&action(trigger, &format!("PUBLISH TOPIC \"{topic}\" WITH 1")));
        assert_eq!(bench.send(sent, "").published(), expected, "{trigger} {topic} {sent}");
    }
}

#[test]
fn a_wildcard_without_a_counterpart_is_reported_and_writes_nothing() {
    let mut bench = Bench::new(&action(
        "ON TOPIC \"a/+\" DO",
        "PUBLISH TOPIC \"x/+/+\" WITH 1\nPUBLISH TOPIC \"o\" WITH 2",
    ));
    assert_eq!(bench.send("a/1", "").published(), ["o=2"]);
    assert_eq!(bench.reports(), ["error LOT605 3:5"]);
    check("PUBLISH TOPIC \"o\" WITH (GET TOPIC \"x/+\") == EMPTY", "", &["o=true"]);
}

#[test]
fn wildcards_from_data_are_never_substituted() {
    let mut bench = Bench::new(&action("ON TOPIC \"a/+\" DO", "PUBLISH TOPIC \"x/\" + PAYLOAD WITH 1"));
    assert_eq!(bench.send("a/1", "+").published(), [""; 0]);
    assert_eq!(bench.reports(), ["error LOT604 3:5"]);
    assert_eq!(bench.send("a/1", "ok").published(), ["x/ok=1"]);
}

/// §6, the table at its end (each line one fresh broker).
#[test]
fn last_values_are_read_as_the_table_says() {
    for (body, payload, expected) in [
        ("KEEP TOPIC \"s\" WITH PAYLOAD\nPUBLISH TOPIC \"o\" WITH GET TOPIC \"s\"", "4", "o=4"),
        ("PUBLISH TOPIC \"o\" WITH GET TOPIC \"in\"", "4", "o=4"),
        ("PUBLISH TOPIC \"o\" WITH (GET TOPIC \"never\" + 1)", "x", "o=1"),
        ("IF GET TOPIC \"never\" == EMPTY THEN\n    PUBLISH TOPIC \"o\" WITH \"none\"", "x", "o=none"),
    ] {
        check(body, payload, &[expected]);
    }
    let mut counter = Bench::new(&on_in(
        "KEEP TOPIC \"n\" WITH (GET TOPIC \"n\" AS INT) + 1\nPUBLISH TOPIC \"o\" WITH GET TOPIC \"n\"",
    ));
    counter.send("in", "").send("in", "").send("in", "");
    assert_eq!(counter.published(), ["o=1", "o=2", "o=3"]);
}

#[test]
fn kept_values_are_read_and_forgotten_but_not_delivered() {
    let mut bench = Bench::new(&on_in(
        "SWITCH PAYLOAD\n    CASE \"keep\" THEN\n        KEEP TOPIC \"k\" WITH 5\n    CASE \"drop\" THEN\n        DELETE TOPIC \"k\"\n    DEFAULT THEN\n        PUBLISH TOPIC \"o\" WITH \"<\" + (GET TOPIC \"k\") + \">\"",
    ));
    assert_eq!(bench.send("in", "keep").published(), [""; 0]);
    assert_eq!(bench.value("k").as_deref(), Some("5"));
    assert_eq!(bench.send("in", "read").published(), ["o=<5>"]);
    assert_eq!(bench.send("in", "drop").send("in", "read").published(), ["o=<>"]);
}

#[test]
fn retained_messages_exist_and_are_read_last() {
    let mut bench = Bench::new(&on_in(
        "PUBLISH TOPIC \"o\" WITH TOPIC EXISTS \"r/1\"\nPUBLISH TOPIC \"o\" WITH GET TOPIC \"r/1\"",
    ));
    assert_eq!(bench.send("in", "").published(), ["o=false"]);
    assert_eq!(bench.retain("r/1", "x").send("in", "").published(), ["o=true", "o=x"]);
}

#[test]
fn topics_are_built_of_parts() {
    for (statement, expected) in [
        ("PUBLISH TOPIC \"a/\" + TOPIC POSITION 1 + \"/b\" WITH 1", "a/in/b=1"),
        ("PUBLISH TOPIC \"a/\" + PAYLOAD WITH 1", "a/p=1"),
        ("PUBLISH TOPIC PAYLOAD WITH 1", "p=1"),
        ("PUBLISH TOPIC REPLACE \"id\" WITH PAYLOAD IN \"s/id/x\" WITH \"active\"", "s/p/x=active"),
        ("PUBLISH TOPIC (\"a\" + \"b\" + PAYLOAD) WITH 1", "abp=1"),
        ("PUBLISH TOPIC TOPIC POSITION 1 + \"/x/\" + PAYLOAD + \"/y\" WITH 1", "in/x/p/y=1"),
    ] {
        check(statement, "p", &[expected]);
    }
}

#[test]
fn the_topic_of_the_message_is_read_by_position() {
    let program = action(
        "ON TOPIC \"#\" DO",
        "IF TOPIC STARTS_WITH \"o\" THEN\n    SET \"own\" WITH TRUE\nELSE\n    PUBLISH TOPIC \"o\" WITH TOPIC + \"|\" + TOPIC POSITION 1 + \"|\" + TOPIC POSITION 2 + \"|\" + TOPIC POSITION (1 + 1) + \"|\" + TOPIC POSITION 9",
    );
    let mut bench = Bench::new(&program);
    assert_eq!(bench.send("a/b", "").published(), ["o=a/b|a|b|b|"]);
    assert_eq!(bench.send("/b", "").published(), ["o=/b||b|b|"]);
}
