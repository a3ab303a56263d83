//! Models (§9), PUBLISH MODEL (§8.6), and the rows of the catalogue that consist of them.

use lot_to_wasm::{Compat, Form, ModelOutput};

use crate::bench::Bench;

/// Sends messages to a program; what it publishes.
fn check(source: &str, messages: &[(&str, &str)], expected: &[&str]) {
    let mut bench = Bench::new(source);
    for (topic, payload) in messages {
        bench.send(topic, payload);
    }
    assert_eq!(bench.published(), expected, "{source}\n{:?} {:?}", bench.reports(), bench.failures());
}

/// Publishes an instance of the first model of `models` for a message on `in`.
fn publish(models: &str, assignments: &str, payload: &str) -> Bench {
    let name = models.split_whitespace().nth(2).unwrap();
    let source = format!(
        "{models}DEFINE ACTION P\nON TOPIC \"in\" DO\n    PUBLISH MODEL {name} TO \"o\" WITH {assignments}\n"
    );
    let mut bench = Bench::new(&source);
    bench.send("in", payload);
    bench
}

const C13: &str = r#"DEFINE MODEL St COLLAPSED WITH TOPIC "st" WITH RETAIN AND QOS1
    ADD STRING "mode" WITH TOPIC "mode" AS TRIGGER
    ADD INT "n" WITH TOPIC "count" AS TRIGGER
"#;

#[test]
fn c13_two_triggers_retain_and_qos() {
    let expected =
        ["st={\"mode\":null,\"n\":3} AtLeastOnce retain", "st={\"mode\":\"run\",\"n\":3} AtLeastOnce retain"];
    check(C13, &[("count", "3"), ("mode", "run")], &expected);
}

#[test]
fn c14_model_with_a_topic_for_each_field() {
    check(
        r#"DEFINE MODEL E WITH TOPIC "e"
    ADD DOUBLE "w" WITH TOPIC "raw/w" AS TRIGGER
    ADD DOUBLE "kw" WITH (w / 1000)
    ADD STRING "s" WITH IF w > 500 THEN "busy" ELSE "idle"
"#,
        &[("raw/w", "600")],
        &["e/w=600", "e/kw=0.6", "e/s=busy", "e={\"w\":600,\"kw\":0.6,\"s\":\"busy\"}"],
    );
}

#[test]
fn c15_counter_by_self_reference() {
    check(
        r#"DEFINE MODEL C COLLAPSED WITH TOPIC "cnt/+"
    ADD STRING "last" WITH TOPIC "in/+" AS TRIGGER
    ADD INT "n" WITH (n + 1)
"#,
        &[("in/a", "x"), ("in/a", "y"), ("in/b", "z")],
        &[
            "cnt/a={\"last\":\"x\",\"n\":1}",
            "cnt/a={\"last\":\"y\",\"n\":2}",
            "cnt/b={\"last\":\"z\",\"n\":1}",
        ],
    );
}

#[test]
fn switches_read_models_as_the_original_does() {
    let model = "DEFINE MODEL E WITH TOPIC \"e\"\n    ADD INT \"w\" WITH TOPIC \"raw\" AS TRIGGER\n    ADD STRING \"s\" WITH TOPIC \"never\"\n    ADD BOOL \"b\" WITH TOPIC \"never\"\n    ADD INT \"n\" WITH (n + 1)\n    ADD OBJECT \"o\"\n";
    let output = |model_output| Compat { model_output, ..Compat::default() };
    let object = |n| format!("e={{\"w\":{n},\"s\":null,\"b\":null,\"n\":{n},\"o\":null}}");
    let fields = |n| [format!("e/w={n}"), format!("e/n={n}")];
    let zeros = Compat { empty_as_zero_value: true, ..output(ModelOutput::Json) };
    let filled = |n| format!("e={{\"w\":{n},\"s\":\"\",\"b\":false,\"n\":{n},\"o\":null}}");
    for (compat, expected) in [
        (Compat::default(), [&fields(1)[..], &[object(1)], &fields(2), &[object(2)]].concat()),
        (output(ModelOutput::Fields), [fields(1), fields(2)].concat()),
        (output(ModelOutput::Json), vec![object(1), object(2)]),
        (zeros, vec![filled(1), filled(2)]),
    ] {
        let mut bench = Bench::compatible(model, compat);
        bench.send("raw", "1").send("raw", "2");
        assert_eq!(bench.published(), expected, "{compat:?}");
    }
    let schema = "DEFINE MODEL R COLLAPSED\n    ADD STRING \"id\"\n    ADD DOUBLE \"v\"\n    ADD \"x\"\nDEFINE ACTION P\nON TOPIC \"in\" DO\n    PUBLISH MODEL R TO \"o\" WITH id = PAYLOAD\n";
    let mut bench = Bench::compatible(schema, zeros);
    assert_eq!(bench.send("in", "a").published(), ["o={\"id\":\"a\",\"v\":0,\"x\":null}"]);
}

#[test]
fn c16_inheritance_and_override() {
    let models = r#"DEFINE MODEL Pump FROM Base
    ADD STRING "kind" WITH "pump"
    ADD DOUBLE "flow"
DEFINE MODEL Base COLLAPSED
    ADD STRING "id"
    ADD STRING "kind" WITH "base"
"#;
    let mut bench = publish(models, "id = \"p1\", flow = \"3.5\"", "");
    assert_eq!(bench.published(), [r#"o={"id":"p1","kind":"pump","flow":3.5}"#]);
}

#[test]
fn c17_nested_object_and_dotted_assignment() {
    let models = r#"DEFINE MODEL Ev COLLAPSED
    ADD STRING "id"
    ADD OBJECT "m"
        ADD DOUBLE "want"
        ADD DOUBLE "got"
        ADD DOUBLE "pct" WITH (m.got / m.want * 100)
"#;
    let mut bench = publish(models, "id = \"a\", m.want = 4, m.got = 3", "");
    assert_eq!(bench.published(), [r#"o={"id":"a","m":{"want":4,"got":3,"pct":75}}"#]);
    let mut bench = publish(models, "id = \"a\", m = PAYLOAD", r#"{"want":8,"got":2,"z":1}"#);
    assert_eq!(bench.published(), [r#"o={"id":"a","m":{"want":8,"got":2,"pct":25}}"#]);
}

#[test]
fn c18_collection() {
    let models = r#"DEFINE MODEL Batch COLLAPSED
    ADD STRING "dev"
    ADD COLLECTION "rs" OF Rd
DEFINE MODEL Rd
    ADD DOUBLE "v"
"#;
    for (assignment, payload, expected) in [
        ("rs = PAYLOAD", r#"[{"v":"1"},{"v":2,"z":9}]"#, r#"[{"v":1},{"v":2}]"#),
        ("rs = PAYLOAD", "nothing", "[]"),
        ("rs[0].v = 1, rs[1].v = PAYLOAD", "2.5", r#"[{"v":1},{"v":2.5}]"#),
        ("rs = PAYLOAD", "[{}]", r#"[{"v":null}]"#),
    ] {
        let mut bench = publish(models, &format!("dev = \"d\", {assignment}"), payload);
        assert_eq!(bench.published(), [format!("o={{\"dev\":\"d\",\"rs\":{expected}}}")], "{assignment}");
    }
    let mut bench = publish(models, "dev = \"d\"", "");
    assert_eq!(bench.published(), [r#"o={"dev":"d","rs":[]}"#]);
}

#[test]
fn publish_model_casts_and_keeps_the_order_of_fields() {
    check(
        r#"DEFINE MODEL R COLLAPSED
    ADD STRING "unit" WITH "C"
    ADD STRING "id"
    ADD DOUBLE "v"
DEFINE ACTION P
ON TOPIC "raw/+" DO
    PUBLISH MODEL R TO "clean/" + TOPIC POSITION 2 WITH
        id = TOPIC POSITION 2
        v = PAYLOAD AS DOUBLE
"#,
        &[("raw/a", "7.5")],
        &[r#"clean/a={"unit":"C","id":"a","v":7.5}"#],
    );
}

#[test]
fn publish_model_evaluates_siblings_after_assignments() {
    let models = r#"DEFINE MODEL B QOS2 RETAIN
    ADD DOUBLE "bmi" WITH (w / h)
    ADD DOUBLE "w"
    ADD DOUBLE "h" WITH 2
    ADD STRING "note" WITH "none"
"#;
    for (assignments, expected) in [
        ("w = 3", r#"{"bmi":1.5,"w":3,"h":2,"note":"none"}"#),
        ("\"w\" = \"8\", h = 4, note = PAYLOAD", r#"{"bmi":2,"w":8,"h":4,"note":"hi"}"#),
        ("note = NULL, bmi = 9", r#"{"bmi":9,"w":null,"h":2,"note":null}"#),
        ("note = GET TOPIC \"never\", w = 2", r#"{"bmi":1,"w":2,"h":2,"note":null}"#),
    ] {
        let mut bench = publish(models, assignments, "hi");
        assert_eq!(bench.published(), [format!("o={expected} ExactlyOnce retain")], "{assignments}");
    }
}

#[test]
fn errors_of_a_model_end_the_run() {
    let mut bench = Bench::new(
        "DEFINE ACTION P\nON TOPIC \"in\" DO\n    PUBLISH MODEL Gone TO \"o\" WITH a = 1\n    PUBLISH TOPIC \"x\" WITH 1\n",
    );
    bench.send("in", "");
    assert_eq!(bench.published(), [""; 0]);
    let failures = bench.failures();
    assert_eq!(failures[0].code, "LOT621");
    assert!(failures[0].message.contains("model `Gone` failed"), "{failures:?}");
    assert_eq!((failures[0].line, failures[0].column), (3, 5));
}

#[test]
fn wildcards_name_instances() {
    for (model, messages, expected) in [
        (
            r#"DEFINE MODEL M COLLAPSED WITH TOPIC "out/+"
    ADD DOUBLE "t" WITH TOPIC "s/+/t" AS TRIGGER
    ADD DOUBLE "h" WITH TOPIC "s/+/h"
"#,
            vec![("s/a/h", "40"), ("s/b/h", "50"), ("s/a/t", "20")],
            vec![r#"out/a={"t":20,"h":40}"#],
        ),
        (
            r#"DEFINE MODEL M COLLAPSED WITH TOPIC "out/{id}/x"
    ADD DOUBLE "t" WITH TOPIC "s/{site}/{id}/t" AS TRIGGER
    ADD DOUBLE "h" WITH TOPIC "h/{id}/{site}"
    ADD STRING "p" WITH TOPIC POSITION 3
"#,
            vec![("h/i/s1", "4"), ("s/s1/i/t", "2")],
            vec![r#"out/i/x={"t":2,"h":4,"p":"i"}"#],
        ),
        (
            r#"DEFINE MODEL M COLLAPSED WITH TOPIC "all"
    ADD STRING "t" WITH TOPIC "s/+" AS TRIGGER
"#,
            vec![("s/a", "1"), ("s/b", "2")],
            vec![r#"all={"t":"1"}"#, r#"all={"t":"2"}"#],
        ),
    ] {
        check(model, &messages, &expected);
    }
}

#[test]
fn every_message_fires_and_the_last_values_are_read() {
    check(C13, &[("mode", "a"), ("mode", "a")], &["st={\"mode\":\"a\",\"n\":null} AtLeastOnce retain"; 2]);
}

#[test]
fn received_json_is_split() {
    for (model, topic, payload, expected) in [
        (
            "DEFINE MODEL X WITH TOPIC \"m/+/d\"\n",
            "m/1/d",
            r#"{"id":7,"p":{"x":1}}"#,
            vec!["m/1/d/id=7", "m/1/d/p/x=1"],
        ),
        (
            "DEFINE MODEL X WITH TOPIC \"m\"\n    ADD INT \"n\"\n    ADD OBJECT \"p\"\n        ADD STRING \"x\"\n",
            "m",
            r#"{"n":"7.9","p":{"x":1.50},"l":[1, {"a":2}],"u":true}"#,
            vec!["m/n=7", "m/p/x=1.5", "m/l=[1,{\"a\":2}]", "m/u=true"],
        ),
        ("DEFINE MODEL X WITH TOPIC \"m\"\n", "m", "no json", vec![]),
        ("DEFINE MODEL X WITH TOPIC \"m\"\n", "m", "[1]", vec![]),
    ] {
        check(model, &[(topic, payload)], &expected);
    }
}

#[test]
fn names_of_received_members_are_levels_of_topics_as_far_as_topics_can_have_them() {
    let mut bench = Bench::new("DEFINE MODEL X WITH TOPIC \"m\"\n");
    // Slashes part levels, as nested objects do, and a level may be empty.
    let slashes = r#"{"a/b":1,"a":{"b":2,"":3},"":4,"/":5," ":6,"ü":7}"#;
    let expected = ["m/a/b=1", "m/a/b=2", "m/a/=3", "m/=4", "m//=5", "m/ =6", "m/ü=7"];
    assert_eq!(bench.send("m", slashes).published(), expected);
    assert_eq!(bench.reports(), [""; 0]);
    // The report names the invalid topics, and the others are published.
    let invalid = r##"{"a":1,"b+":2,"#":3,"c":{"d\u0000":4,"e":5}}"##;
    assert_eq!(bench.send("m", invalid).published(), ["m/a=1", "m/c/e=5"]);
    assert_eq!(bench.reports(), ["error LOT604 1:1"; 3]);
    let told = bench.messages();
    assert!(told[0].contains("written to 'm/b+': topic name contains the wildcard `+`"), "{told:?}");
    assert!(told[1].contains("written to 'm/#': topic name contains the wildcard `#`"), "{told:?}");
    assert!(told[2].contains("written to 'm/c/d\\0': topic contains U+0000"), "{told:?}");
    let long = format!("{{\"{}\":1,\"b\":2}}", "x".repeat(70_000));
    assert_eq!(bench.send("m", &long).published(), ["m/b=2"]);
    assert_eq!(bench.reports(), ["error LOT604 1:1"]);
}

#[test]
fn received_json_that_cannot_be_split_is_reported() {
    let mut bench = Bench::new("DEFINE MODEL X WITH TOPIC \"m\"\n");
    let nested = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    let deepest = format!("m{}=1", "/a".repeat(128));
    assert_eq!(bench.send("m", nested(128)).published(), [deepest]);
    assert_eq!(bench.reports(), [""; 0]);
    for payload in [&*nested(129), &nested(2000), "{\"a\":1", " {\"a\":1} x"] {
        assert_eq!(bench.send("m", payload).published(), [""; 0], "{payload}");
        assert_eq!(bench.reports(), ["error LOT618 1:1"], "{payload}");
    }
    // Beside one another there may be as many as a run may write.
    let many: Vec<String> = (0..2000).map(|n| format!("\"k{n}\":{{\"v\":{n}}}")).collect();
    let published = bench.send("m", format!("{{{}}}", many.join(","))).published();
    assert_eq!((published.len(), &*published[1999]), (2000, "m/k1999/v=1999"));
}

#[test]
fn a_streaming_model_splits_what_others_write_and_not_its_own() {
    check(
        r#"DEFINE MODEL A WITH TOPIC "a"
    ADD INT "n" WITH TOPIC "in" AS TRIGGER
"#,
        &[("in", "1"), ("a", r#"{"n":"5","m":2}"#)],
        &["a/n=1", "a={\"n\":1}", "a/n=5", "a/m=2"],
    );
}

#[test]
fn v1_spellings_of_models() {
    for (fields, payload, expected) in [
        (r#"ADD "v" WITH TOPIC "in" AS TRIGGER"#, "5", r#"{"v":5}"#),
        (r#"ADD "v" WITH TOPIC "in" AS TRIGGER"#, "true", r#"{"v":true}"#),
        (r#"ADD "v" WITH TOPIC "in" AS TRIGGER"#, "on", r#"{"v":"on"}"#),
        (r#"ADD FLOAT "v" WITH TOPIC "in" AS TRIGGER"#, "5", r#"{"v":5}"#),
        (
            "ADD STRING \"v\" WITH TOPIC \"in\" AS TRIGGER\n    ADD INT \"ok\" WITH IF v EQUALS \"on\" THEN 1 ELSE 0",
            "on",
            r#"{"v":"on","ok":1}"#,
        ),
        (
            "ADD STRING \"v\" WITH TOPIC \"in\" AS TRIGGER\n    ADD OBJECT \"m\" WITH { \"k\": TOPIC \"in\",\n        \"j\": \"x\" }",
            "7",
            r#"{"v":"7","m":{"k":7,"j":"x"}}"#,
        ),
        (
            "ADD STRING \"v\" WITH TOPIC \"in\" AS TRIGGER\n    ADD STRING \"w\" WITH (\n        IF v == \"a\" THEN \"first\"\n        ELSE \"other\"\n    )",
            "b",
            r#"{"v":"b","w":"other"}"#,
        ),
        (
            "ADD STRING \"v\" WITH TOPIC \"in\" AS TRIGGER\n    ADD STRING \"p\" WITH REPLACE \"+\" WITH TOPIC POSITION 1 IN \"+\"",
            "b",
            r#"{"v":"b","p":"in"}"#,
        ),
        (
            "ADD STRING \"v\" WITH TOPIC \"in\" AS TRIGGER\n    ADD OBJECT \"o\",\n        ADD INT \"a\" WITH 1,\n        ADD INT \"b\" WITH o.a + 1,",
            "b",
            r#"{"v":"b","o":{"a":1,"b":2}}"#,
        ),
        (
            "ADD OBJECT \"v\" WITH TOPIC \"in\" AS TRIGGER\n    ADD ARRAY \"l\" WITH [1, v.a]\n    ADD ARRAY \"n\"\n        ADD INT \"x\" WITH v.a",
            "{\"a\": 3}",
            r#"{"v":{"a":3},"l":[1,3],"n":[{"x":3}]}"#,
        ),
        // §9.2, §15: JSON in a field of type OBJECT or ARRAY is embedded, whichever of the two it
        // is.
        (
            "ADD OBJECT \"p\" WITH TOPIC \"in\" AS TRIGGER\n    ADD OBJECT \"l\" WITH [1, {\"k\": 2}]\n    ADD INT \"one\" WITH p[0]",
            "[1, 2]",
            r#"{"p":[1,2],"l":[1,{"k":2}],"one":1}"#,
        ),
        (r#"ADD ARRAY "p" WITH TOPIC "in" AS TRIGGER"#, "{\"a\": 1}", r#"{"p":{"a":1}}"#),
        (
            "ADD BOOL \"v\" WITH TOPIC \"in\" AS TRIGGER\n    ADD TIMESTAMP \"t\" WITH TIMESTAMP \"UTC\"\n    ADD TIMESTAMP \"e\" WITH 0",
            "on",
            r#"{"v":true,"t":"2026-01-15 10:30:00","e":"1970-01-01T00:00:00.000Z"}"#,
        ),
    ] {
        let source = format!("DEFINE MODEL V COLLAPSED WITH TOPIC \"o\"\n    {fields}\n");
        check(&source, &[("in", payload)], &[&format!("o={expected}")]);
    }
}

#[test]
fn fields_without_a_value_are_null_or_not_published() {
    check(
        r#"DEFINE MODEL E WITH TOPIC "e"
    ADD INT "w" WITH TOPIC "w" AS TRIGGER
    ADD INT "none" WITH TOPIC "never"
    ADD STRING "json" WITH (GET JSON "x" IN PAYLOAD)
    ADD OBJECT "o"
        ADD STRING "free"
"#,
        &[("w", "1")],
        &["e/w=1", "e={\"w\":1,\"none\":null,\"json\":null,\"o\":{\"free\":null}}"],
    );
}

#[test]
fn counters_of_models_with_topics_live_in_their_topics() {
    check(
        r#"DEFINE MODEL N WITH TOPIC "n"
    ADD STRING "run" WITH TOPIC "run" AS TRIGGER
    ADD INT "n" WITH (IF run EQUALS "on" THEN (n + 1) ELSE 0)
"#,
        &[("run", "on"), ("n/n", "41"), ("run", "on")],
        &[
            "n/run=on",
            "n/n=1",
            "n={\"run\":\"on\",\"n\":1}",
            "n/run=on",
            "n/n=42",
            "n={\"run\":\"on\",\"n\":42}",
        ],
    );
}

#[test]
fn models_trigger_what_follows() {
    check(
        r#"DEFINE ACTION A
ON TOPIC "a" DO
    PUBLISH TOPIC "b" WITH PAYLOAD
DEFINE MODEL M COLLAPSED WITH TOPIC "m"
    ADD INT "v" WITH TOPIC "b" AS TRIGGER
DEFINE ACTION C
ON TOPIC "m" DO
    PUBLISH TOPIC "c" WITH (GET JSON "v" IN PAYLOAD) + 1
"#,
        &[("a", "1")],
        &["b=1", "m={\"v\":1}", "c=2"],
    );
}

#[test]
fn keep_is_another_word_for_retain() {
    for options in
        ["KEEP WITH TOPIC \"k\"", "WITH TOPIC \"k\" WITH KEEP", "WITH TOPIC \"k\" WITH RETAIN AND KEEP"]
    {
        check(
            &format!("DEFINE MODEL K COLLAPSED {options}\n    ADD INT \"v\" WITH TOPIC \"in\" AS TRIGGER\n"),
            &[("in", "1")],
            &["k={\"v\":1} retain"],
        );
    }
}

#[test]
fn the_standalone_form_of_a_model_runs_alike() {
    let mut bench = Bench::with_form(C13, Form::Standalone);
    assert_eq!(bench.send("count", "3").published(), ["st={\"mode\":null,\"n\":3} AtLeastOnce retain"]);
}
