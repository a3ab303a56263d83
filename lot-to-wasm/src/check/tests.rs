//! The checked tree of small programs: kinds of variables, parts of topics, what a write does with Empty.

use super::KnownNothing;
use super::tree::{Action, ExpressionKind, StatementKind, Topic, TopicPart, WhenEmpty};
use crate::compat::Compat;
use crate::diagnostic::Sink;
use crate::source::Source;
use crate::syntax::{Entity, parse};

/// Checks an Action that begins with `trigger` and has these statements.
fn check(trigger: &str, statements: &str) -> Action {
    let body: String = statements.lines().map(|line| format!("    {line}\n")).collect();
    let text = format!("DEFINE ACTION A\n{trigger} DO\n{body}");
    let source = Source::new(&text);
    let mut sink = Sink::new(&source);
    let tokens = crate::token::tokenize(&mut sink, true);
    let Some(Entity::Action(tree)) = parse::entity(tokens, &mut sink) else { panic!("no action in {text}") };
    let checked = super::action(&tree, &KnownNothing, Compat::default(), &mut sink);
    checked.unwrap_or_else(|| panic!("{text}\n{:#?}", sink.finish()))
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
        // Overflow makes a Double of it, so a counter is not an Int for ever.
        ("SET i WITH 0\nLOOP\n    SET i WITH {i} + 1\nUNTIL {i} > 3", "i int|double"),
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
        ("ON TOPIC \"s/+\"", "\"a/x+\"", "a/x+", "exact a/x+"),
        ("ON TOPIC \"s/+\"", "\"a/+\" + PAYLOAD", "a/+ v", "pattern a/#"),
    ] {
        let action = check(trigger, &format!("PUBLISH TOPIC {topic} WITH 1"));
        let StatementKind::PublishTopic { topic: checked, .. } = &action.body[0].kind else {
            panic!("a publish")
        };
        assert_eq!(show(checked), expected, "{trigger} {topic}");
        let shown =
            serde_json::to_string(&checked.fact).unwrap().replace(['{', '}', '"'], "").replace(':', " ");
        assert_eq!(shown, fact, "{trigger} {topic}");
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
        let StatementKind::PublishTopic { when_empty, .. } = action.body[0].kind else { panic!("a publish") };
        assert_eq!(when_empty, expected, "{value}");
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
        let StatementKind::PublishTopic { value: checked, .. } = &action.body[0].kind else {
            panic!("a publish")
        };
        let ExpressionKind::Constant(constant) = &checked.kind else { panic!("{value}: {checked:?}") };
        assert_eq!(format!("{constant:?}"), expected, "{value}");
    }
}
