//! §8: statements.

use crate::bench::{Bench, action, check, on_in};

/// §8.1.
#[test]
fn set_overwrites() {
    check("SET \"c\" WITH 0\nSET \"c\" TO {c} + 1\nPUBLISH TOPIC \"o\" WITH {c}", "", &["o=1"]);
    check("SET c = 1\nSET {c} AS {c} + 1\nPUBLISH TOPIC \"o\" WITH {c}", "", &["o=2"]);
    check(
        "IF PAYLOAD == 1 THEN\n    SET \"x\" WITH \"in\"\nPUBLISH TOPIC \"o\" WITH \"<\" + {x} + \">\"",
        "1",
        &["o=<in>"],
    );
    // Kinds and provenance travel with the value.
    check(
        "SET \"x\" WITH PAYLOAD\nSET \"y\" WITH \"5\"\nPUBLISH TOPIC \"o\" WITH ({x} + 1) + \"|\" + ({y} + 1)",
        "5",
        &["o=6|51"],
    );
}

/// §8.2.
#[test]
fn publish_takes_options() {
    for (statement, expected) in [
        ("PUBLISH TOPIC \"o\" WITH 1", "o=1"),
        ("PUBLISH TOPIC \"o\" WITH 1 AND RETAIN", "o=1 retain"),
        ("PUBLISH TOPIC \"o\" WITH 1 AND QOS 1 RETAIN", "o=1 AtLeastOnce retain"),
        ("PUBLISH TOPIC \"o\" WITH 1 WITH QOS2", "o=1 ExactlyOnce"),
        ("PUBLISH TOPIC \"o\" WITH { \"t\": {t}, \"ok\": TRUE }", "o={\"t\":2.5,\"ok\":true}"),
        ("PUBLISH TOPIC \"o\" WITH \"\"", "o="),
    ] {
        check(&format!("SET \"t\" WITH 2.5\n{statement}"), "", &[expected]);
    }
}

#[test]
fn empty_values_are_not_written() {
    let mut bench = Bench::new(&on_in(
        "PUBLISH TOPIC \"o\" WITH GET TOPIC \"never\"\nKEEP TOPIC \"k\" WITH GET TOPIC \"never\"\nKEEP ENV \"E\" WITH EMPTY\nPUBLISH TOPIC \"p\" WITH PAYLOAD",
    ));
    assert_eq!(bench.send("in", "").published(), ["p="]);
    assert_eq!(bench.reports(), ["warning LOT603 3:5", "warning LOT603 4:5", "warning LOT603 5:5"]);
    assert_eq!((bench.value("k"), bench.environment("E")), (None, None));
}

/// §8.3.
#[test]
fn if_takes_the_first_true_branch() {
    let program = on_in(
        "IF PAYLOAD > 80 THEN\n    PUBLISH TOPIC \"l\" WITH \"HIGH\"\nELSE IF PAYLOAD > 60 THEN\n    PUBLISH TOPIC \"l\" WITH \"NORMAL\"\nELSE\n    PUBLISH TOPIC \"l\" WITH \"LOW\"",
    );
    let mut bench = Bench::new(&program);
    for (payload, expected) in [("85", "l=HIGH"), ("80", "l=NORMAL"), ("60", "l=LOW")] {
        assert_eq!(bench.send("in", payload).published(), [expected], "{payload}");
        assert_eq!(bench.reports(), [""; 0]);
    }
    // Compared as text, with a diagnostic, not aborted.
    assert_eq!(bench.send("in", "abc").published(), ["l=HIGH"]);
    assert_eq!(bench.reports(), ["warning LOT601 3:5"]);
    check(
        "IF PAYLOAD == EMPTY THEN SET \"x\" WITH 0 ELSE SET \"x\" WITH 1\nPUBLISH TOPIC \"o\" WITH {x}",
        "",
        &["o=0"],
    );
}

/// §8.4.
#[test]
fn switch_takes_the_first_equal_case() {
    let mut bench = Bench::new(&on_in(
        "SWITCH PAYLOAD\n    CASE \"on\" THEN\n        PUBLISH TOPIC \"o\" WITH 1\n    CASE \"off\" THEN\n        PUBLISH TOPIC \"o\" WITH 0\n    DEFAULT THEN\n        PUBLISH TOPIC \"o\" WITH -1",
    ));
    for (payload, expected) in [("on", "o=1"), ("off", "o=0"), ("On", "o=-1")] {
        assert_eq!(bench.send("in", payload).published(), [expected], "{payload}");
    }
    let mut bench = Bench::new(&on_in(
        "SWITCH PAYLOAD\n    CASE 1, 2 THEN\n        PUBLISH TOPIC \"o\" WITH \"low\"\n    CASE \"x\"\n        PUBLISH TOPIC \"o\" WITH \"x\"",
    ));
    for (payload, expected) in [("2.0", vec!["o=low"]), ("x", vec!["o=x"]), ("3", vec![])] {
        assert_eq!(bench.send("in", payload).published(), expected, "{payload}");
    }
    // Equality is that of `==`, so with EMPTY emptiness is asked for (§4).
    let mut bench = Bench::new(&on_in(
        "SWITCH GET JSON \"a\"\n    CASE 1, EMPTY THEN\n        PUBLISH TOPIC \"o\" WITH \"nothing\"\n    DEFAULT THEN\n        PUBLISH TOPIC \"o\" WITH \"other\"",
    ));
    for (payload, expected) in [("{}", "o=nothing"), ("{\"a\":\"\"}", "o=nothing"), ("{\"a\":2}", "o=other")]
    {
        assert_eq!(bench.send("in", payload).published(), [expected], "{payload}");
    }
}

/// §8.5.
#[test]
fn loop_runs_until_its_condition_holds() {
    check(
        "SET \"i\" WITH 0\nLOOP\n    SET \"i\" WITH {i} + 1\n    PUBLISH TOPIC \"n\" WITH {i}\nUNTIL {i} == 3",
        "",
        &["n=1", "n=2", "n=3"],
    );
}

#[test]
fn loops_nest_and_share_the_budget() {
    check(
        "SET \"i\" WITH 0\nSET \"n\" WITH 0\nLOOP\n    SET \"i\" WITH {i} + 1\n    SET \"j\" WITH 0\n    LOOP\n        SET \"j\" WITH {j} + 1\n        SET \"n\" WITH {n} + 1\n    UNTIL {j} == 10\nUNTIL {i} == 10\nPUBLISH TOPIC \"o\" WITH {n}",
        "",
        &["o=100"],
    );
    let mut bench = Bench::new(&on_in(
        "PUBLISH TOPIC \"o\" WITH 1\nLOOP\n    SET \"x\" WITH 1\nUNTIL FALSE\nPUBLISH TOPIC \"o\" WITH 2",
    ));
    // The effects before the error are carried out (OD-30).
    assert_eq!(bench.send("in", "").published(), ["o=1"]);
    let [error] = bench.failures().try_into().unwrap();
    assert_eq!((error.code.as_str(), error.line, error.column), ("LOT608", 6, 5));
    assert_eq!(bench.send("in", "").published(), ["o=1"], "the instance lives on");
}

#[test]
fn for_each_goes_through_an_array_in_order() {
    for (list, payload, expected) in [
        (
            "PAYLOAD",
            "[1, \"a\", null, [2], {\"b\": 3}]",
            &["0=1", "1=a", "2=null", "3=[2]", "4={\"b\":3}"][..],
        ),
        ("GET JSON \"rows\" IN PAYLOAD", "{\"rows\":[4,5]}", &["0=4", "1=5"]),
        ("SPLIT PAYLOAD USING \";\"", "x;y", &["0=x", "1=y"]),
        ("[7, PAYLOAD]", "8", &["0=7", "1=8"]),
        ("PAYLOAD", "[]", &[]),
        ("PAYLOAD", "{\"a\":1}", &[]),
        ("PAYLOAD", "[1,", &[]),
        ("PAYLOAD", "7", &[]),
        ("GET TOPIC \"never\"", "7", &[]),
    ] {
        let body = format!(
            "FOR EACH {{x}} WITH INDEX {{i}} IN {list} DO\n    PUBLISH TOPIC \"\" + {{i}} WITH {{x}}"
        );
        check(&body, payload, expected);
    }
}

#[test]
fn for_each_with_a_name_goes_through_an_object_in_order() {
    for (object, payload, expected) in [
        (
            "PAYLOAD",
            r#"{"b": 1, "a": "x", "n": null, "l": [2], "o": {"k": 3}, "b": 4, "07": true, "\u0041\"": ""}"#,
            &["0b=1", "1a=x", "2n=null", "3l=[2]", "4o={\"k\":3}", "5b=4", "607=true", "7A\"="][..],
        ),
        ("PAYLOAD AS OBJECT", "{\"a\":1}", &["0a=1"]),
        ("GET JSON \"o\" IN PAYLOAD", "{\"o\":{\"p\":4}}", &["0p=4"]),
        ("{\"k\": PAYLOAD}", "8", &["0k=8"]),
        ("PAYLOAD", "{}", &[]),
        ("PAYLOAD", "[1,2]", &[]),
        ("PAYLOAD", "{\"a\":1", &[]),
        ("PAYLOAD", "7", &[]),
        ("GET TOPIC \"never\"", "7", &[]),
    ] {
        let body = format!(
            "FOR EACH {{v}} WITH NAME {{n}} WITH INDEX {{i}} IN {object} DO\n    PUBLISH TOPIC \"\" + {{i}} + {{n}} WITH {{v}}"
        );
        check(&body, payload, expected);
    }
}

#[test]
fn names_of_members_are_texts_as_strings_of_json_are() {
    check(
        "FOR EACH {v} WITH NAME {n} IN PAYLOAD DO\n    PUBLISH TOPIC \"o\" WITH [{n}, {n} + 1, {n} == 7]",
        r#"{"7":0,"x":0}"#,
        &["o=[\"7\",8,true]", "o=[\"x\",\"x1\",false]"],
    );
}

#[test]
fn passes_over_an_object_count_against_the_budget_of_loops() {
    let members: Vec<String> = (0..400).map(|number| format!("\"m{number}\":{number}")).collect();
    let body = "FOR EACH {a} WITH NAME {n} IN PAYLOAD DO\n    FOR EACH {b} WITH NAME {m} IN PAYLOAD DO\n        SET \"c\" WITH {c} + 1\nPUBLISH TOPIC \"o\" WITH {c}";
    let mut bench = Bench::new(&on_in(body));
    let payload = |count: usize| format!("{{{}}}", members[..count].join(","));
    assert_eq!(bench.send("in", payload(300)).published(), ["o=90000"]);
    assert_eq!(bench.send("in", payload(400)).published(), [""; 0]);
    let [error] = bench.failures().try_into().unwrap();
    assert_eq!((error.code.as_str(), error.line, error.column), ("LOT608", 4, 9));
}

#[test]
fn the_list_of_for_each_is_evaluated_once_and_its_variables_stay() {
    check(
        "SET \"all\" WITH PAYLOAD\nFOR EACH {x} WITH INDEX {i} IN {all} DO\n    SET \"all\" WITH \"[]\"\n    SET \"n\" WITH {n} + {x}\nPUBLISH TOPIC \"o\" WITH {n} + \" \" + {x} + \" \" + {i}",
        "[1, 2, 4]",
        &["o=7 4 2"],
    );
    check(
        "FOR EACH {x} WITH INDEX {i} IN PAYLOAD DO\n    SET \"n\" WITH {x}\nPUBLISH TOPIC \"o\" WITH \"<\" + {x} + {i} + {n} + \">\"",
        "[]",
        &["o=<>"],
    );
}

#[test]
fn passes_of_for_each_count_against_the_budget_of_loops() {
    let hundred = format!("[{}1]", "1,".repeat(99));
    let nested = |depth: usize| {
        let mut body = String::new();
        for level in 0..depth {
            body += &format!("{}FOR EACH {{x{level}}} IN PAYLOAD DO\n", "    ".repeat(level));
        }
        body + &format!(
            "{}SET \"n\" WITH {{n}} + {{x0}}\nPUBLISH TOPIC \"o\" WITH {{n}}",
            "    ".repeat(depth)
        )
    };
    let mut bench = Bench::new(&on_in(&nested(2)));
    assert_eq!(bench.send("in", &hundred).published(), ["o=10000"]);
    let mut bench = Bench::new(&on_in(&nested(3)));
    assert_eq!(bench.send("in", &hundred).published(), [""; 0]);
    let [error] = bench.failures().try_into().unwrap();
    assert_eq!((error.code.as_str(), error.line, error.column), ("LOT608", 4, 9));
}

/// Bodies of machine instructions are written several times: whichever copy is the last, passes are
/// counted alike.
#[test]
fn loops_on_numbers_end_after_any_number_of_passes() {
    for (point, end) in [(".0", ">= {passes}.0"), ("", "== {passes}"), ("", "> {passes}.0 - 1")] {
        for passes in [1, 2, 3, 4, 5, 8, 9, 99_999, 100_000] {
            let end = end.replace("{passes}", &passes.to_string());
            check(
                &format!(
                    "SET \"i\" WITH 0{point}\nSET \"odd\" WITH 0{point}\nLOOP\n    SET \"i\" WITH {{i}} + 1{point}\n    IF {{odd}} == 0 THEN\n        SET \"odd\" WITH 1{point}\n    ELSE\n        SET \"odd\" WITH 0{point}\nUNTIL {{i}} {end}\nPUBLISH TOPIC \"o\" WITH {{i}} + \" \" + {{odd}}"
                ),
                "",
                &[&format!("o={passes} {}", passes % 2)],
            );
        }
        let mut bench = Bench::new(&on_in(&format!(
            "SET \"i\" WITH 0{point}\nLOOP\n    SET \"i\" WITH {{i}} + 1{point}\nUNTIL {{i}} > 100000{point}\nPUBLISH TOPIC \"o\" WITH 1",
        )));
        assert_eq!(bench.send("in", "").published(), [""; 0]);
        let [error] = bench.failures().try_into().unwrap();
        assert_eq!(error.code, "LOT608");
    }
}

/// Whether a counter is a machine number or may overflow, values are those of §4.
#[test]
fn counters_count_as_whole_numbers_do() {
    for (start, step, passes, expected) in [
        ("0", "{i} + 1", 100_000, "100000"),
        ("0", "{i} - 3", 7, "-21"),
        ("5", "-{i}", 3, "-5"),
        ("5", "1 - {i}", 2, "5"),
        ("-7", "({i} - 4) % 5", 2, "0"),
        ("-8", "{i} % -1", 1, "0"),
        ("0", "IF {i} > 2 THEN {i} - 2 ELSE {i} + 2", 3, "2"),
        ("0", "{i} + LENGTH(\"añ\") * 2", 3, "12"),
        ("1", "{i} * 3", 4, "81"),
        ("1", "{i} / 2", 2, "0.25"),
        ("1", "{i} + 0.5", 2, "2"),
        ("3.5", "{i} + 1", 1, "4.5"),
        // To the end of 64 bits, and beyond.
        ("9223372036854775806", "{i} + 1", 1, "9223372036854775807"),
        ("9223372036854775806", "{i} + 1", 2, "9.223372036854776e18"),
        ("-9223372036854775807", "{i} - 1", 1, "-9223372036854775808"),
        ("-9223372036854775807", "{i} - 1", 2, "-9.223372036854776e18"),
        ("4611686018427387903", "{i} + 4611686018427387904", 1, "9223372036854775807"),
        ("4611686018427387904", "{i} + 4611686018427387904", 1, "9.223372036854776e18"),
        ("4611686018427287903", "{i} + 1", 100_000 - 1, "4611686018427387902"),
        ("0", "{i} + 46116399020283", 99_999, "4611593785629279717"),
        // Not a number, or Empty, on some way.
        ("0", "IF {i} > 1 THEN {i} + \"\" ELSE {i} + 1", 4, "2"),
        ("0", "{i} + PAYLOAD", 2, "14"),
    ] {
        check(
            &format!(
                "SET \"i\" WITH {start}\nSET \"n\" WITH 0\nLOOP\n    SET \"i\" WITH {step}\n    SET \"n\" WITH {{n}} + 1\nUNTIL {{n}} == {passes}\nKEEP TOPIC \"k\" WITH {{i}}\nPUBLISH TOPIC \"o\" WITH {{i}}\nPUBLISH TOPIC \"p\" WITH ({{i}} AS STRING) + \" \" + GET TOPIC \"k\""
            ),
            "7",
            &[&format!("o={expected}"), &format!("p={expected} {expected}")],
        );
    }
}

/// Whole numbers beside doubles are compared as doubles, which are further apart from 2^53 on.
#[test]
fn counters_compare_as_whole_numbers_do() {
    for (condition, expected) in [
        ("{i} == 9007199254740993", true),
        ("{i} == 9007199254740992", false),
        ("{i} == 9007199254740992.0", true),
        ("{i} > 9007199254740992", true),
        ("{i} > 9007199254740992.0", false),
        ("{i} >= 9007199254740992.0", true),
        ("{i} < 9007199254740994.0", true),
        ("NOT {i} > 9007199254740993", true),
        ("NOT {i} <= 9007199254740993", false),
        ("{i} == \"9007199254740993\"", true),
        ("{i} IN [1, 9007199254740993]", true),
        ("{i} % 10 == 3", true),
        ("{i} - 9007199254740993", false),
        ("{i} == EMPTY", false),
        ("{i} CONTAINS \"0993\"", true),
        ("{i} * 2 == 18014398509481986", true),
        // Too large for a machine number.
        ("{i} * 2000 > 18014398509481984000.0", false),
    ] {
        check(
            &format!(
                "SET \"i\" WITH 9007199254740990\nLOOP\n    SET \"i\" WITH {{i}} + 1\nUNTIL {{i}} > 9007199254740992\nPUBLISH TOPIC \"o\" WITH IF {condition} THEN TRUE ELSE FALSE"
            ),
            "",
            &[&format!("o={expected}")],
        );
    }
}

/// Texts of the program are compared in place, byte by byte.
#[test]
fn equality_with_a_text_sees_every_byte() {
    for length in 0..=34 {
        let text: String = ('a'..='z').cycle().take(length).collect();
        let program = format!(
            "IF PAYLOAD == \"{text}\" THEN\n    PUBLISH TOPIC \"a\" WITH 1\nSET \"t\" WITH TRIM PAYLOAD\nSWITCH {{t}}\n    CASE \"no\", \"{text}\" THEN\n        PUBLISH TOPIC \"b\" WITH 1\n    CASE 7 THEN\n        PUBLISH TOPIC \"c\" WITH 1\n    DEFAULT THEN\n        PUBLISH TOPIC \"d\" WITH 1"
        );
        check(&program, &text, &["a=1", "b=1"]);
        for changed in 0..length {
            let mut other = text.clone().into_bytes();
            other[changed] ^= 0x20;
            check(&program, std::str::from_utf8(&other).unwrap(), &["d=1"]);
        }
        check(&program, &format!("{text}x"), &["d=1"]);
    }
    check("IF PAYLOAD != \"on\" THEN\n    PUBLISH TOPIC \"a\" WITH 1", "off", &["a=1"]);
    check(
        "SWITCH PAYLOAD\n    CASE \"x\" THEN\n        PUBLISH TOPIC \"a\" WITH 1\n    CASE 7 THEN\n        PUBLISH TOPIC \"b\" WITH 1",
        "7.0",
        &["b=1"],
    );
}

/// §8.8 with §7.7.
#[test]
fn call_action_returns_values() {
    let program = format!(
        "DEFINE ACTION Avg\nINPUT a AS DOUBLE\nINPUT b AS DOUBLE\nDO\n    SET \"m\" WITH ({{a}} + {{b}}) / 2\nRETURN\n    OUTPUT m\n{}",
        on_in(
            "CALL ACTION Avg WITH a = 2, b = 4 RETURN m\nPUBLISH TOPIC \"o\" WITH {m}\nCALL ACTION Avg WITH a = PAYLOAD\nPUBLISH TOPIC \"r\" WITH RESULT"
        )
    );
    let mut bench = Bench::new(&program);
    assert_eq!(bench.send("in", "9").published(), ["o=3", "r=4.5"]);
}

#[test]
fn callees_see_the_message_and_their_effects_keep_order() {
    let program = format!(
        "DEFINE ACTION Note\nDO\n    PUBLISH TOPIC \"n/\" + TOPIC POSITION 1 WITH PAYLOAD + \"!\"\n{}",
        on_in("PUBLISH TOPIC \"a\" WITH 1\nCALL ACTION Note\nPUBLISH TOPIC \"b\" WITH 2")
    );
    assert_eq!(Bench::new(&program).send("in", "p").published(), ["a=1", "n/in=p!", "b=2"]);
}

#[test]
fn an_error_in_a_callee_ends_the_caller() {
    let program = format!(
        "DEFINE ACTION Bad\nDO\n    LOOP\n        SET \"x\" WITH 1\n    UNTIL FALSE\n{}",
        on_in("PUBLISH TOPIC \"a\" WITH 1\nCALL ACTION Bad\nPUBLISH TOPIC \"b\" WITH 2")
    );
    let mut bench = Bench::new(&program);
    assert_eq!(bench.send("in", "").published(), ["a=1"]);
    let [error] = bench.failures().try_into().unwrap();
    assert_eq!((error.code.as_str(), error.line, error.column), ("LOT610", 4, 5));
    assert_eq!(error.message, "called action `Bad` failed: the run exceeded 100000 loop passes");
}

/// §8.2: ENV and SECRET.
#[test]
fn settings_are_kept_and_deleted() {
    let mut bench = Bench::new(&on_in(
        "KEEP ENV \"E\" WITH PAYLOAD\nKEEP SECRET \"S\" WITH \"s\" + PAYLOAD\nPUBLISH TOPIC \"o\" WITH GET ENV \"E\" + GET SECRET \"S\"",
    ));
    assert_eq!(bench.send("in", "1").published(), ["o=1s1"]);
    assert_eq!((bench.environment("E"), bench.secret("S")), (Some("1".into()), Some("s1".into())));
    let mut bench = Bench::new(&on_in(
        "DELETE SECRET \"S\"\nDELETE ENV \"E\"\nPUBLISH TOPIC \"o\" WITH \"<\" + GET SECRET \"S\" + \">\"",
    ));
    assert_eq!(bench.set_secret("S", "x").send("in", "1").published(), ["o=<>"]);
    assert_eq!(bench.reports(), ["error LOT606 5:34"]);
    assert_eq!(bench.secret("S"), None);
}

/// §5.3, Binary.
#[test]
fn bytes_pass_untouched() {
    let mut bench = Bench::new(&action(
        "ON TOPIC \"b\" DO",
        "SET \"x\" WITH PAYLOAD AS BYTES\nKEEP TOPIC \"k\" WITH {x}\nPUBLISH TOPIC \"o\" WITH LENGTH(PAYLOAD)",
    ));
    assert_eq!(bench.send("b", [0, 255, 128]).published(), ["o=3"]);
    assert_eq!(bench.value("k").as_deref(), Some("\0\u{fffd}\u{fffd}"));
    bench.send("b", "");
    assert_eq!(bench.value("k").as_deref(), Some("\0\u{fffd}\u{fffd}"), "no bytes are not stored");
}

#[test]
fn binary_payload_passes_unchanged_after_a_text_comparison() {
    let mut bench = Bench::new(&on_in(
        "SET x WITH PAYLOAD\nIF {x} CONTAINS \"a\" THEN\n    KEEP TOPIC \"k\" WITH {x}\nPUBLISH TOPIC \"o\" WITH LENGTH(GET TOPIC \"k\")",
    ));
    assert_eq!(bench.send("in", [0xff, b'a']).published(), ["o=2"]);
    assert_eq!(bench.bytes("k"), Some(vec![0xff, b'a']));
}

#[test]
fn binary_value_becomes_text_when_passed_to_another_action() {
    let callee =
        "DEFINE ACTION Echo\nINPUT a\nDO\n    SET b WITH PAYLOAD\nRETURN\n    OUTPUT a\n    OUTPUT b\n";
    let caller = on_in("CALL ACTION Echo WITH a = PAYLOAD RETURN a, b\nPUBLISH TOPIC \"o\" WITH {a} + {b}");
    let mut bench = Bench::new(&format!("{callee}{caller}"));
    assert_eq!(bench.send("in", [0xff, b'a']).published(), ["o=\u{fffd}a\u{fffd}a"]);
}
