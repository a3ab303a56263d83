//! Tests of the checked tree of small programs: kinds of variables, parts of topics, writes with
//! Empty.

use lot_facts::TopicFact;

use super::KnownNothing;
use super::tree::{Action, ExpressionKind, Topic, TopicPart, WhenEmpty};
use crate::compat::Compat;
use crate::diagnostic::Sink;
use crate::source::Source;
use crate::statement::{CheckedKind, publish_topic};
use crate::syntax::{Entity, parse};

/// Checks an Action that begins with `trigger` and has these statements.
fn check(trigger: &str, statements: &str) -> Action {
    let body: String = statements.lines().map(|line| format!("    {line}\n")).collect();
    let text = format!("DEFINE ACTION A\n{trigger} DO\n{body}");
    let source = Source::new(&text);
    let mut sink = Sink::new(&source);
    let tokens = crate::token::tokenize(&mut sink);
    let Some(Entity::Action(tree)) = parse::entity(tokens, &mut sink) else { panic!("no action in {text}") };
    let checked = super::action(&tree, &KnownNothing, Compat::default(), &mut sink);
    checked.unwrap_or_else(|| panic!("{text}\n{:#?}", sink.finish()))
}

/// The first statement, which is a PUBLISH TOPIC.
fn publish(action: &Action) -> &publish_topic::Checked {
    let CheckedKind::PublishTopic(publish) = &action.body[0].kind else { panic!("a publish") };
    publish
}

#[test]
fn kinds_of_variables_are_inferred() {
    for (statements, expected) in [
        ("SET x WITH 1", "x int"),
        ("SET x WITH PAYLOAD AS DOUBLE\nSET y WITH {x} * 9 / 5 + 32", "x double, y double"),
        ("SET x WITH GET TOPIC \"t\" AS DOUBLE", "x empty|double"),
        ("SET x WITH PAYLOAD", "x data"),
        ("SET x WITH \"5\"\nSET y WITH {x} + 1", "x literal, y literal"),
        ("SET x WITH PAYLOAD + 1", "x int|double|literal"),
        ("SET x WITH PAYLOAD AS INT / 2", "x int|double"),
        ("SET x WITH PAYLOAD AS INT / PAYLOAD AS INT", "x null|int|double"),
        ("SET x WITH PAYLOAD == 5 AND PAYLOAD != EMPTY", "x bool"),
        ("SET x WITH PAYLOAD AS BYTES", "x bytes"),
        ("SET x WITH GET JSON \"a\"", "x null|bool|int|double|data|json"),
        ("SET x WITH GET JSON \"a\" AS BOOL", "x bool"),
        ("SET x WITH { \"a\": PAYLOAD }", "x json"),
        ("SET x WITH TIMESTAMP \"UNIX\"\nSET y WITH TIMESTAMP", "x int, y data"),
        ("SET x WITH IF PAYLOAD > 1 THEN 1 ELSE 2.5", "x int|double"),
        ("SET x WITH IF PAYLOAD > 1 THEN 1", "x empty|int"),
        // Set on one path only, then read.
        ("IF PAYLOAD > 1 THEN\n    SET x WITH 1\nSET y WITH {x}", "x empty|int, y empty|int"),
        // Set on both paths.
        (
            "IF PAYLOAD > 1 THEN\n    SET x WITH 1\nELSE\n    SET x WITH 2.5\nSET y WITH {x}",
            "x int|double, y int|double",
        ),
        // The loop's first pass reads before it sets.
        ("LOOP\n    SET y WITH {x}\n    SET x WITH TRUE\nUNTIL TRUE", "y empty|bool, x empty|bool"),
        ("CALL ACTION B RETURN r", "r empty|null|bool|int|double|data|json|bytes|time"),
    ] {
        let action = check("ON TOPIC \"t\"", statements);
        let found: Vec<String> =
            action.variables.iter().map(|variable| format!("{} {}", variable.name, variable.kinds)).collect();
        assert_eq!(found.join(", "), expected, "{statements}");
    }
}

#[test]
fn whole_numbers_that_cannot_overflow_stay_whole() {
    // The passes of all loops together.
    let once_more = |start: &str, value: &str| {
        format!(
            "SET i WITH {start}\nLOOP\n    LOOP\n        SET i WITH {value}\n    UNTIL {{i}} > 3\nUNTIL {{i}} > 5"
        )
    };
    for (statements, expected) in [
        (once_more("0", "{i} + 1"), "i int 100001"),
        (once_more("-7", "3 - {i}"), "i int 300007"),
        (once_more("{ \"a\": 1 }", "{i} + 1"), "i literal|json"),
        (once_more("0", "{i} + 0.5"), "i int|double"),
        (once_more("0", "{i} * 2"), "i int|double"),
        (once_more("1", "{i} + {i}"), "i int|double"),
        (once_more("0", "{i} + PAYLOAD AS INT"), "i int|double"),
        (once_more("0", "{i} / 2"), "i int|double"),
        (once_more("0", "-({i} + 2) % 5"), "i int 4"),
        (once_more("0", "{i} % 0"), "i null|int|double"),
        (once_more("0", "{i} + 2 * (3 - 5 % 4)"), "i int 400004"),
        (once_more("0", "{i} + LENGTH(PAYLOAD)"), "i int 429501024467295"),
        (once_more("0", "IF PAYLOAD > 1 THEN {i} + 1 ELSE 7"), "i int 700007"),
        (once_more("0", "IF PAYLOAD > 1 THEN {i} + 1"), "i empty|int|double"),
        (once_more("0", "{i} AS INT + 1"), "i int|double"),
        // The sum of two that are bounded just so still fits, and not one more.
        (once_more("4611686018427387903", "{i} + 0"), "i int 4611686018427387903"),
        (once_more("4611686018427387904", "{i} + 0"), "i int|double"),
        (once_more("-4611686018427387904", "{i} + 0"), "i int|double"),
        (once_more("4611686018427287903", "{i} + 1"), "i int 4611686018427387903"),
        (once_more("4611686018427287904", "{i} + 1"), "i int|double"),
        (once_more("9223372036854775807", "{i} - 1"), "i int|double"),
        (once_more("0", "{i} + 9223372036854775807"), "i int|double"),
        (once_more("0", "{i} + 46116399020283"), "i int 4611686018427320283"),
        (once_more("0", "{i} + 46116399020284"), "i int|double"),
    ] {
        assert_eq!(bounds(&statements), expected, "{statements}");
    }
    for (statements, expected) in [
        ("SET i WITH 1\nSET i WITH {i} + 2\nSET i WITH {i} + 4", "i int 10"),
        // Sums and products of counters.
        (
            "SET i WITH 0\nSET s WITH 0\nLOOP\n    SET i WITH {i} + 1\n    SET s WITH {s} + {i}\nUNTIL {i} == 9\nSET a WITH {s} * {i}",
            "i int 100001, s int 10000200001, a int 1000030000300001",
        ),
        ("SET i WITH 3\nSET a WITH {i} * 4000000000000000000", "i int 3, a int|double"),
        // They grow together, faster than either is bounded.
        (
            "SET a WITH 1\nSET b WITH 1\nLOOP\n    SET a WITH {a} + {b}\n    SET b WITH {a} + {b}\nUNTIL {a} > 100",
            "a int|double, b int|double",
        ),
        (
            "SET a WITH 1\nSET b WITH 2\nLOOP\n    SET a WITH {b} + 1\n    SET b WITH {a} - 3\nUNTIL {a} > 5",
            "a int 400003, b int 400003",
        ),
        (
            "SET a WITH 1\nLOOP\n    SET b WITH {a}\n    SET a WITH {b} + 0.5\nUNTIL TRUE",
            "a int|double, b int|double",
        ),
        // Empty at first, or in between.
        ("LOOP\n    SET b WITH {a}\n    SET a WITH 1\nUNTIL TRUE", "b empty|int, a empty|int"),
        ("IF PAYLOAD > 1 THEN\n    SET a WITH 1\nSET b WITH {a} + 1", "a empty|int, b int|double"),
        (
            "SET a WITH 1\nCALL ACTION B RETURN a\nSET b WITH {a} + 1",
            "a empty|null|bool|int|double|data|json|bytes|time, b int|double|literal",
        ),
        (
            "SET a WITH 1\nIF PAYLOAD > 1 THEN\n    SET a WITH \"x\"\nSET b WITH {a} + 1",
            "a int|literal, b int|double|literal",
        ),
        (
            "SET a WITH 1\nIF PAYLOAD > 1 THEN\n    SET a WITH {a} + 2.5\nELSE\n    SET a WITH {a} + 1",
            "a int|double",
        ),
    ] {
        assert_eq!(bounds(statements), expected, "{statements}");
    }
}

/// Kinds and bounds of the variables.
fn bounds(statements: &str) -> String {
    let action = check("ON TOPIC \"t\"", statements);
    let shown = action.variables.iter().map(|variable| {
        let bound = variable.bound.map_or(String::new(), |bound| format!(" {bound}"));
        format!("{} {}{bound}", variable.name, variable.kinds)
    });
    shown.collect::<Vec<_>>().join(", ")
}

#[test]
fn topics_take_what_the_trigger_matched() {
    for (trigger, topic, expected, fact) in [
        ("ON TOPIC \"s/+/t\"", "\"out/+/x\"", "out/ L2 /x", "pattern out/+/x"),
        ("ON TOPIC \"p/+/m/+/di\"", "\"q/+/+/n\"", "q/ L2 / L4 /n", "pattern q/+/+/n"),
        ("ON TOPIC \"s/+/t\"", "\"+\"", "L2", "pattern +"),
        ("ON TOPIC \"s/#\"", "\"out/#\"", "out R2/", "pattern out/#"),
        ("ON TOPIC \"s/#\"", "\"#\"", "R2", "any"),
        ("ON TOPIC \"s/+/t\"", "\"out/+/+\"", "out/ L2 / ?", "any"),
        ("ON START", "\"out/+\"", "out/ ?", "any"),
        ("ON TOPIC \"a/+\" OR \"+/b\"", "\"o/+\"", "o/ (L2|L1)", "pattern o/+"),
        ("ON TOPIC \"a/+/x\" OR \"b/+/y\"", "\"o/+\"", "o/ L2", "pattern o/+"),
        ("ON TOPIC \"s/+\"", "\"a/\" + TOPIC POSITION 2 + \"/b\"", "a/ v /b", "pattern a/+/b"),
        ("ON TOPIC \"s/+\"", "\"a/\" + PAYLOAD + \"/b\"", "a/ v /b", "pattern a/#"),
        ("ON TOPIC \"s/+\"", "\"a-\" + PAYLOAD", "a- v", "any"),
        ("ON TOPIC \"s/+\"", "\"a/\" + 5 + \"/b\"", "a/5/b", "exact a/5/b"),
        ("ON TOPIC \"s/+\"", "\"a/x+\"", "a/x+", "any"),
        ("ON TOPIC \"s/+\"", "\"a/+\" + PAYLOAD", "a/+ v", "any"),
    ] {
        let action = check(trigger, &format!("PUBLISH TOPIC {topic} WITH 1"));
        let checked = &publish(&action).topic;
        assert_eq!(show(checked), expected, "{trigger} {topic}");
        let shown =
            serde_json::to_string(&checked.fact).unwrap().replace(['{', '}', '"'], "").replace(':', " ");
        assert_eq!(shown, fact, "{trigger} {topic}");
    }
}

#[test]
fn invalid_topic_is_omitted_from_the_facts() {
    for topic in ["\"\"", "\"a/#/b\"", "\"a\\u0000\"", "\"a+/\" + PAYLOAD", "\"a/\" + PAYLOAD + \"/#b\""] {
        let body = format!(
            "PUBLISH TOPIC {topic} WITH GET TOPIC {topic}\nKEEP TOPIC {topic} WITH 1\n\
             DELETE TOPIC {topic}\nIF TOPIC EXISTS {topic} THEN KEEP TOPIC \"k\" WITH GET TOPIC \"g\""
        );
        let facts = check("ON TOPIC \"t\"", &body).facts;
        let exact = |name: &str| [TopicFact::Exact(name.to_owned())];
        assert_eq!(
            (facts.reads.as_slice(), facts.keeps.as_slice()),
            (&exact("g")[..], &exact("k")[..]),
            "{topic}"
        );
        assert!(facts.writes.is_empty() && facts.retained_reads.is_empty(), "{topic}");
    }
}

fn show(topic: &Topic) -> String {
    let parts: Vec<String> = topic.parts.iter().map(part).collect();
    parts.join(" ")
}

fn part(part: &TopicPart) -> String {
    match part {
        TopicPart::Text(text) => text.clone(),
        TopicPart::Level(level) => format!("L{level}"),
        TopicPart::Rest { from, slash } => format!("R{from}{}", if *slash { "/" } else { "" }),
        TopicPart::ByFilter(parts) => {
            format!("({})", parts.iter().map(self::part).collect::<Vec<_>>().join("|"))
        }
        TopicPart::Missing => "?".to_owned(),
        TopicPart::Value(_) => "v".to_owned(),
    }
}

#[test]
fn a_filter_without_a_match_is_skipped_in_silence() {
    for (value, expected) in [
        ("PAYLOAD", WhenEmpty::Report),
        ("GET TOPIC \"x\"", WhenEmpty::Report),
        ("FILTER PAYLOAD USING REGEX \"a\"", WhenEmpty::Silent),
        ("FILTER PAYLOAD USING REGEX \"a\" AS INT", WhenEmpty::Silent),
        ("PAYLOAD AND_THEN FILTER USING REGEX \"a\" AND_THEN TRIM", WhenEmpty::Silent),
        ("\"x\" + FILTER PAYLOAD USING REGEX \"a\"", WhenEmpty::Report),
        ("PAYLOAD AS BYTES", WhenEmpty::Silent),
    ] {
        let action = check("ON TOPIC \"t\"", &format!("PUBLISH TOPIC \"o\" WITH {value}"));
        assert_eq!(publish(&action).when_empty, expected, "{value}");
    }
}

#[test]
fn constants_are_folded() {
    for (value, expected) in [
        ("2 * 3 + 4 / 8", "Double(6.5)"),
        ("-(2 + 3)", "Int(-5)"),
        ("\"v=\" + 1 + 2.5 + TRUE + NULL + EMPTY", "Text(\"v=12.5truenull\")"),
        ("{ \"a\": [1, \"x\", { }], \"b\": 2.0 }", "Json(\"{\\\"a\\\":[1,\\\"x\\\",{}],\\\"b\\\":2}\")"),
        ("7 AS DOUBLE", "Double(7.0)"),
        ("TIMESTAMP \"yyyy'\"", "Text(\"\")"),
    ] {
        let action = check("ON TOPIC \"t\"", &format!("PUBLISH TOPIC \"o\" WITH {value}"));
        let checked = &publish(&action).value;
        let ExpressionKind::Constant(constant) = &checked.kind else { panic!("{value}: {checked:?}") };
        assert_eq!(format!("{constant:?}"), expected, "{value}");
    }
}
