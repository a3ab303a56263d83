//! §18.1: the catalogue of small programs, those that consist of Actions and need no route, script,
//! model or rule.
//!
//! Not here: C10 (CALL PYTHON), which is in `tests/e2e`; because what they need is not compiled
//! yet, C11 (CALL MCP, LLM, AGENT), C12 (TRIGGER), C13 to C19 (models), C22 to C24 (rules). C25 is
//! a parse error and belongs to `lot-to-wasm`'s corpus. C01's and C02's times of firing are the
//! business of `definitions`; here they run.

use lot_to_wasm::Form;
use lotmq_host::Event;

use crate::bench::{Bench, client, departure};

#[test]
fn c01_on_start_with_a_kept_default() {
    let mut bench = Bench::new(
        r#"DEFINE ACTION Init
ON START DO
    KEEP TOPIC "cfg/limit" WITH 50
    PUBLISH TOPIC "sys/up" WITH "yes"
DEFINE ACTION Read
ON TOPIC "go" DO
    PUBLISH TOPIC "limit" WITH GET TOPIC "cfg/limit" AS INT
"#,
    );
    assert_eq!(bench.happen(&Event::Start).published(), ["sys/up=yes"]);
    assert_eq!(bench.send("go", "").published(), ["limit=50"]);
}

#[test]
fn c02_on_timestamp() {
    let mut bench = Bench::new(
        r#"DEFINE ACTION Noon
ON TIMESTAMP "12:00:00" DO
    PUBLISH TOPIC "bell" WITH "noon"
DEFINE ACTION Once
ON TIMESTAMP "24-12-2026 18:00:00" DO
    PUBLISH TOPIC "bell" WITH "eve"
"#,
    );
    assert_eq!(bench.happen(&Event::Timer).published(), ["bell=noon", "bell=eve"]);
}

#[test]
fn c03_on_connect_and_on_disconnect() {
    let mut bench = Bench::new(
        r#"DEFINE ACTION In
ON CONNECT DO
    PUBLISH TOPIC "log/in" WITH { "c": CLIENTID, "u": USER, "clean": CLEANSESSION }
DEFINE ACTION Out
ON DISCONNECT DO
    PUBLISH TOPIC "log/out/" + CLIENTID WITH DISCONNECTREASON
"#,
    );
    bench.happen(&Event::Connected(client("k9", Some("bob"))));
    assert_eq!(bench.published(), [r#"log/in={"c":"k9","u":"bob","clean":true}"#]);
    bench.happen(&Event::Disconnected(departure("k9", "normal")));
    assert_eq!(bench.published(), ["log/out/k9=normal"]);
}

#[test]
fn c04_switch() {
    let mut bench = Bench::new(
        r#"DEFINE ACTION Lamp
ON TOPIC "lamp/cmd" DO
    SWITCH PAYLOAD
        CASE "on", "1" THEN
            PUBLISH TOPIC "lamp" WITH 1
        CASE "off" THEN
            PUBLISH TOPIC "lamp" WITH 0
        DEFAULT THEN
            PUBLISH TOPIC "lamp/err" WITH PAYLOAD
"#,
    );
    for (payload, expected) in [("on", "lamp=1"), ("1", "lamp=1"), ("off", "lamp=0"), ("x", "lamp/err=x")] {
        assert_eq!(bench.send("lamp/cmd", payload).published(), [expected]);
    }
}

#[test]
fn c05_loop_building_a_text() {
    let mut bench = Bench::new(
        r#"DEFINE ACTION Stars
ON TOPIC "n" DO
    SET "i" WITH 0
    SET "t" WITH ""
    LOOP
        SET "t" WITH {t} + "*"
        SET "i" WITH {i} + 1
    UNTIL {i} >= PAYLOAD
    PUBLISH TOPIC "stars" WITH {t}
"#,
    );
    for (payload, expected) in [("3", "stars=***"), ("0", "stars=*")] {
        assert_eq!(bench.send("n", payload).published(), [expected]);
    }
}

#[test]
fn c06_if_chain_with_blank_line_and_comment() {
    let mut bench = Bench::new(
        r#"DEFINE ACTION Lvl
ON TOPIC "v" DO
    IF PAYLOAD > 80 THEN
        PUBLISH TOPIC "lvl" WITH "high"

    // middle
    ELSE IF PAYLOAD > 60 AND NOT PAYLOAD == 70 THEN
        PUBLISH TOPIC "lvl" WITH "mid"
    ELSE
        PUBLISH TOPIC "lvl" WITH "low"
"#,
    );
    for (payload, expected) in [("81", "lvl=high"), ("61", "lvl=mid"), ("70", "lvl=low"), ("5", "lvl=low")] {
        assert_eq!(bench.send("v", payload).published(), [expected]);
    }
}

#[test]
fn c07_get_json_nested_array_missing() {
    let mut bench = Bench::new(
        r#"DEFINE ACTION J
ON TOPIC "j" DO
    SET "n" WITH (GET JSON "d.list[1].n" IN PAYLOAD AS INT)
    SET "x" WITH (GET JSON "d.none" IN PAYLOAD AS STRING)
    PUBLISH TOPIC "o" WITH {n} + ":" + {x}
"#,
    );
    for (payload, expected) in [(r#"{"d":{"list":[{"n":1},{"n":2}]}}"#, "o=2:null"), ("not json", "o=0:null")]
    {
        assert_eq!(bench.send("j", payload).published(), [expected]);
    }
}

#[test]
fn c08_env() {
    let mut bench = Bench::new(
        r#"DEFINE ACTION S
ON TOPIC "go" DO
    KEEP ENV "RUNS" WITH (GET ENV "RUNS" AS INT) + 1
    PUBLISH TOPIC "runs" WITH GET ENV "RUNS"
"#,
    );
    assert_eq!(bench.send("go", "").send("go", "").published(), ["runs=1", "runs=2"]);
}

#[test]
fn c09_callable_with_several_outputs() {
    let mut bench = Bench::new(
        r#"DEFINE ACTION MinMax
INPUT a AS DOUBLE
INPUT b AS DOUBLE
DO
    SET "lo" WITH IF {a} < {b} THEN {a} ELSE {b}
    SET "hi" WITH IF {a} < {b} THEN {b} ELSE {a}
RETURN
    OUTPUT lo
    OUTPUT hi
DEFINE ACTION Use
ON TOPIC "p" DO
    CALL ACTION MinMax
        WITH a = (GET JSON "x" IN PAYLOAD AS DOUBLE), b = 10
        RETURN l, h
    PUBLISH TOPIC "r" WITH {l} + ".." + {h}
"#,
    );
    assert_eq!(bench.send("p", r#"{"x":12}"#).published(), ["r=10..12"]);
}

/// Without the route; that its event runs once, with this payload, is its own test.
#[test]
fn c12_trigger_a_route_event() {
    let mut bench = Bench::new(
        "DEFINE ACTION Fire\nON TOPIC \"dev/+/save\" DO\n    TRIGGER \"Save\" TO PlantDb WITH PAYLOAD\n    TRIGGER \"Wake\" TO PlantDb\n    PUBLISH TOPIC \"o\" WITH 1\n    TRIGGER \"Save\" TO PlantDb WITH GET TOPIC \"never\"\n",
    );
    assert_eq!(bench.send("dev/a/save", "5").published(), ["o=1"]);
    assert_eq!(bench.reports(), ["error LOT616 3:5", "error LOT616 4:5", "warning LOT603 6:5"]);
    bench.add_event("PlantDb", "Save");
    let triggered = ["$SYS/Coreflux/Routes/PlantDb/Events/Save=5", "o=1"];
    assert_eq!(bench.send("dev/a/save", "5").published(), triggered);
    assert_eq!(bench.reports(), ["error LOT616 4:5", "warning LOT603 6:5"]);
    bench.add_event("PlantDb", "Wake");
    let triggered = [triggered[0], "$SYS/Coreflux/Routes/PlantDb/Events/Wake=", triggered[1]];
    assert_eq!(bench.send("dev/a/save", "5").published(), triggered);
}

#[test]
fn c20_wildcards_in_get_topic_and_publish_topic() {
    let mut bench = Bench::new(
        r#"DEFINE ACTION W
ON TOPIC "p/+/m/+/di" DO
    PUBLISH TOPIC "q/+/+/n" WITH (GET TOPIC "q/+/+/n" + 1)
"#,
    );
    bench.send("p/a/m/7/di", "x").send("p/a/m/7/di", "x");
    assert_eq!(bench.published(), ["q/a/7/n=1", "q/a/7/n=2"]);
}

#[test]
fn c21_binary_pass_through() {
    let program = r#"DEFINE ACTION B
ON TOPIC "bin/in" DO
    PUBLISH TOPIC "bin/out" WITH PAYLOAD AS BYTES
DEFINE ACTION L
ON TOPIC "bin/out" DO
    PUBLISH TOPIC "n" WITH LENGTH(PAYLOAD)
"#;
    let mut bench = Bench::new(program);
    assert_eq!(bench.send("bin/in", [0, 0xFF, 0x80]).published(), ["bin/out=\0\u{fffd}\u{fffd}", "n=3"]);
    assert_eq!(bench.send("bin/in", "").published(), [""; 0]);
    assert_eq!(bench.reports(), [""; 0]);
}

/// §18.4, Interaction, without the route.
#[test]
fn actions_trigger_one_another() {
    let mut bench = Bench::new(
        r#"DEFINE ACTION A
ON TOPIC "a" DO
    PUBLISH TOPIC "b" WITH PAYLOAD
DEFINE ACTION B
ON TOPIC "b" DO
    KEEP TOPIC "n" WITH (GET TOPIC "n" AS INT) + 1
    PUBLISH TOPIC "c" WITH GET TOPIC "n"
"#,
    );
    bench.send("a", "x").send("a", "x").send("a", "x");
    assert_eq!(bench.published(), ["b=x", "c=1", "b=x", "c=2", "b=x", "c=3"]);
    assert_eq!(bench.value("n").as_deref(), Some("3"));
}

#[test]
fn standalone_components_run_as_well() {
    let program = r#"DEFINE ACTION P
ON TOPIC "a/+/b" DO
    SET "v" WITH PAYLOAD AS DOUBLE * 1.5
    PUBLISH TOPIC "x/+" WITH "v=" + {v}
"#;
    let mut bench = Bench::with_form(program, Form::Standalone);
    assert_eq!(bench.send("a/cell7/b", "3").published(), ["x/cell7=v=4.5"]);
}
