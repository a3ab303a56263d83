//! Tests that one mistake gives one error with the right fix: programs with all their diagnostics.

mod bodies;
mod habits;
mod newcomer;
mod texts;

use lot_to_wasm::diagnostic::{Fix, Severity};
use lot_to_wasm::{CompileOptions, Diagnostic, check_project};

use crate::corpus::{mend, mend_all};

fn check(text: &str) -> Vec<Diagnostic> {
    check_project(&[text], &CompileOptions::default()).remove(0).all_diagnostics()
}

/// Returns the diagnostics of a program: per diagnostic its code and line, and the line as the fix
/// leaves it, or the suggestion where there is no fix. A mistake that is reported once has a row
/// for each of its fixes.
fn said(text: &str) -> Vec<String> {
    let mut rows: Vec<(u32, String)> = check(text).iter().flat_map(|found| rows_of(text, found)).collect();
    rows.sort_by_key(|(line, _)| *line);
    rows.into_iter().map(|(_, row)| row).collect()
}

fn rows_of(text: &str, found: &Diagnostic) -> Vec<(u32, String)> {
    let line = found.span.start.line;
    if found.fix.is_none() {
        let place = format!("{} {line}", found.code);
        return vec![(
            line,
            found.suggestions.first().map_or(place.clone(), |hint| format!("{place}: {hint}")),
        )];
    }
    let row = |(number, fix): (usize, &Fix)| {
        let mended = mend(text, fix);
        let first = fix.span.start.line as usize - 1;
        let count = fix.replacement.split('\n').count();
        let lines: Vec<&str> = mended.split('\n').skip(first).take(count).map(str::trim_end).collect();
        let line = if number == 0 { line } else { fix.span.start.line };
        (line, format!("{} {line} => {}", found.code, lines.join("\n")))
    };
    found.fixes().enumerate().map(row).collect()
}

/// A text with these statements in an action, in front of another one that can be called.
fn around(body: &str) -> String {
    let lines: String = body.split_inclusive('\n').map(|line| format!("    {line}")).collect();
    let callee = "DEFINE ACTION B\nINPUT first\nDO\n    SET \"o\" WITH {first}\nRETURN\n    OUTPUT o\n";
    format!("DEFINE ACTION A\nON TOPIC \"a/+\" DO\n{lines}\n{callee}")
}

/// Iterates over the programs of the tables with their diagnostics.
fn rows() -> impl Iterator<Item = (String, &'static [&'static str])> {
    let bodies = bodies::BODIES
        .iter()
        .chain(habits::HABITS)
        .chain(newcomer::BODIES)
        .map(|(body, expected)| (around(body), *expected));
    bodies.chain(
        texts::TEXTS
            .iter()
            .chain(habits::TEXTS)
            .chain(newcomer::TEXTS)
            .map(|(text, expected)| ((*text).to_owned(), *expected)),
    )
}

#[test]
fn a_mistake_is_reported_once_with_the_fix_that_is_right() {
    let wrong: Vec<String> = rows()
        .filter(|(text, expected)| said(text) != *expected)
        .map(|(text, expected)| format!("{:?} instead of {expected:?} about\n{text}", said(&text)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn fixes_lead_to_a_program_without_errors() {
    let mut mended = 0;
    for (mut text, _) in rows() {
        let errors = |text: &str| {
            let mut found = check(text);
            found.retain(|found| found.severity == Severity::Error);
            found
        };
        if !errors(&text).iter().all(|error| error.fix.is_some()) {
            continue;
        }
        for _ in 0..20 {
            let Some(error) = errors(&text).into_iter().find(|error| error.fix.is_some()) else { break };
            text = mend_all(&text, &error);
        }
        assert!(errors(&text).is_empty(), "{:?} in\n{text}", said(&text));
        mended += 1;
    }
    assert!(mended > 50, "only {mended} of the programs have fixes for all that is wrong");
}

#[test]
fn a_line_that_is_broken_in_two_is_one_mistake() {
    let text = r#"DEFINE ACTION A
ON TOPIC "a/+" DO
    SET "x" WITH GET JSON "v" IN PAYLOAD AS DOUBLE
    IF {x} > 1 AND NOT {x} == 7 THEN
        KEEP TOPIC "k" WITH {x} * 2 + 1
    ELSE IF PAYLOAD CONTAINS "b" THEN
        SWITCH {x}
            CASE 1, 2 THEN
                DELETE TOPIC "k"
    CALL ACTION B WITH first = {x}, second = 2 RETURN r
    LOOP
        SET "x" WITH {x} + 1
    UNTIL {x} > 9
    PUBLISH TOPIC "b" WITH {r} + {x}
"#;
    let lines: Vec<&str> = text.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        for ((at, _), deeper) in line.match_indices(' ').skip(indent).zip([4, 8, 13].into_iter().cycle()) {
            let rest = format!("{}{}", " ".repeat(indent + deeper), line[at..].trim_start());
            let mut broken = lines.clone();
            broken.splice(index..=index, [&line[..at], rest.as_str()]);
            let broken = broken.join("\n") + "\n";
            let mut found = check(&broken);
            found.retain(|found| found.severity == Severity::Error);
            assert!(found.len() < 2, "{:?} about\n{broken}", said(&broken));
        }
    }
}

#[test]
fn valid_program_that_resembles_a_mistake_is_accepted() {
    for body in [
        "SET t WITH 4\nSET x WITH GET TOPIC t/2\nKEEP TOPIC \"k\" WITH {x}",
        "SET not WITH 4\nSET x WITH not IS EMPTY\nKEEP TOPIC \"k\" WITH {x}",
        "IF PAYLOAD > 1 THEN SET x WITH IF PAYLOAD > 2 THEN {\n    \"a\": 1\n} ELSE 1\nKEEP TOPIC \"k\" WITH {x}",
        "SWITCH PAYLOAD\n    CASE {\n        \"a\": 1\n    } THEN\n        KEEP TOPIC \"k\" WITH 1",
        "IF PAYLOAD == {\n    \"a\": 1\n} THEN\n    KEEP TOPIC \"k\" WITH 1",
        "IF PAYLOAD IN [\n    1,\n    2\n] THEN\n    KEEP TOPIC \"k\" WITH 1",
        "IF PAYLOAD > 1 THEN PUBLISH TOPIC \"a\" WITH {\n    \"a\": 1\n}\nELSE KEEP TOPIC \"k\" WITH {\n}",
        "IF PAYLOAD > 1 THEN IF PAYLOAD > 2 THEN KEEP TOPIC \"k\" WITH 1\nELSE KEEP TOPIC \"k\" WITH 2",
        "IF PAYLOAD > 1 THEN\n    KEEP TOPIC \"k\" WITH 1 /* a\n b */\n\n-- c\nELSE\n  KEEP TOPIC \"k\" WITH \"\u{201c}\u{a0}\u{201d}\"",
        "SET x WITH \"a\"\n    + \"b\"\n   + \"c\"\nKEEP TOPIC \"k\"\n WITH {x}",
        "PUBLISH MODEL M TO \"m\" WITH\n    a = TOPIC,\n    b = 1,\n    c = 2\nPUBLISH MODEL M TO \"m\" WITH a = 1,\nKEEP TOPIC \"k\" WITH 1",
        "SWITCH TOPIC\n    CASE TOPIC\n        IF PAYLOAD > 1 THEN\n            KEEP TOPIC \"k\" WITH 1",
        "SET a WITH 1\nSET b WITH 2\nSET x WITH a/b\nKEEP TOPIC \"k\" WITH {x}",
        // Programs that follow the suggestions.
        "IF (PAYLOAD > 1) != (PAYLOAD < 5) THEN\n    KEEP TOPIC \"k\" WITH 1",
        "IF PAYLOAD < 1 OR PAYLOAD > 5 THEN\n    KEEP TOPIC \"k\" WITH 1",
        "IF PAYLOAD MATCHES REGEX \"^-?[0-9.]+$\" THEN\n    KEEP TOPIC \"k\" WITH FILTER PAYLOAD USING REGEX \"^.{3}\"",
        "KEEP TOPIC \"k\" WITH FLOOR(PAYLOAD / 3)\nKEEP TOPIC \"l\" WITH PAYLOAD - (-3)",
        "KEEP TOPIC \"k\" WITH IF PAYLOAD == EMPTY THEN 0 ELSE PAYLOAD\nKEEP TOPIC \"l\" WITH MIN(MAX(PAYLOAD, 0), 9)",
        "KEEP TOPIC \"k\" WITH TIMESTAMP \"yyyy-MM-dd\" + TIMESTAMP \"HOUR\"\nKEEP TOPIC \"l\" WITH LENGTH([1] AS ARRAY)",
        "KEEP TOPIC \"state/n\" WITH (GET TOPIC \"state/n\" AS INT) + 1",
        "CALL ACTION B WITH first = 1\nKEEP TOPIC \"k\" WITH SPLIT PAYLOAD USING \";\"\nKEEP TOPIC \"l\" WITH REPLACE \"a\" WITH \"b\" IN PAYLOAD",
        "KEEP TOPIC \"k\" WITH GET TOPIC (\"x/\" + LOWER(PAYLOAD))\nKEEP TOPIC \"l\" WITH (GET TOPIC \"x/\") + LOWER(PAYLOAD)",
    ] {
        let text = around(body);
        let errors: Vec<String> = said(&text);
        let severe = check(&text).iter().any(|found| found.severity == Severity::Error);
        assert!(!severe, "{errors:?} about\n{text}");
    }
}

#[test]
fn stored_definition_is_accepted_although_new_ones_are_rejected() {
    let rule = "DEFINE RULE R WITH PRIORITY 100 FOR Publish TO TOPIC \"x/*\"\n    DENY\n";
    let route = "DEFINE ROUTE R WITH TYPE MQTT_BRIDGE\n    ADD SOURCE_CONFIG\n        WITH BROKER SELF\n    ADD DESTINATION_CONFIG\n        WITH HOST \"h\"\n        WITH USE_TSL TRUE\n    ADD MAPPING m\n        WITH SOURCE_TOPIC \"a\"\n";
    let event = |number: usize| format!("    ADD EVENT E{number}\n        WITH SOURCE_TOPIC \"a/#\"\n");
    let events: String = (0..=lot_to_wasm::limits::TAKERS_MAX).map(event).collect();
    let many = format!("DEFINE ROUTE R WITH TYPE LOOPBACK\n{events}");
    for text in [rule, route, &many] {
        for is_stored in [false, true] {
            let options = CompileOptions { is_stored, ..CompileOptions::default() };
            let compiled = lot_to_wasm::compile(text, &options).entities.remove(0);
            assert_eq!(compiled.output.is_some(), is_stored, "{:?}", compiled.diagnostics);
            assert_eq!(compiled.diagnostics.len(), 1);
        }
    }
}
