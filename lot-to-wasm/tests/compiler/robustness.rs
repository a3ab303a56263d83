//! No text makes the compiler panic, recurse without bound or run away; JSON and explanations have
//! their public shape.

use lot_to_wasm::{CompileOptions, compile, fuzz_compile};
use proptest::prelude::*;

/// Pieces that programs are made of, so that random texts get past the first word.
const PIECES: &[&str] = &[
    "DEFINE ACTION A\n",
    "DEFINE MODEL M COLLAPSED\n",
    "DEFINE RULE R WITH PRIORITY 100 FOR Publish TO TOPIC \"a/#\"\n",
    "DEFINE ROUTE R WITH TYPE MQTT_BRIDGE\n",
    "DEFINE PANEL \"P\"\n",
    "DEFINE THEME \"T\"\n",
    "ON TOPIC \"a/+/#\" DO\n",
    "ON EVERY 5 SECONDS DO\n",
    "ON START DO\n",
    "DO\n",
    "INPUT a AS INT\n",
    "RETURN\n",
    "    OUTPUT a\n",
    "    ",
    "\n",
    "\t",
    "        ",
    "SET x WITH ",
    "PUBLISH TOPIC \"o/+\" WITH ",
    "KEEP TOPIC \"k/{x}\" WITH ",
    "IF ",
    " THEN",
    "ELSE IF ",
    "ELSE",
    "SWITCH PAYLOAD\n",
    "CASE \"a\", 1 THEN\n",
    "DEFAULT\n",
    "LOOP\n",
    "UNTIL ",
    "CALL ACTION A WITH a = 1 RETURN x\n",
    "CALL MODULE \"m.f\" WITH (a = ",
    "MODULE \"m\"",
    "    ALLOW\n",
    "{x}",
    "{x.a[0]}",
    "PAYLOAD",
    "TOPIC POSITION 2",
    "GET TOPIC \"a/\" + ",
    "GET JSON \"a.b\" IN ",
    "TIMESTAMP \"ISO\"",
    "RANDOM INT BETWEEN 1 AND 6",
    " + ",
    " - ",
    " * ",
    " / ",
    " % ",
    " == ",
    " AND ",
    " OR ",
    " NOT ",
    " IS EMPTY",
    " AS INT",
    " AS BYTES",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "{ \"a\": ",
    ",",
    "\"text\"",
    "\"",
    "'q'",
    "1",
    "2.5",
    "1e400",
    "9223372036854775807",
    "FILTER PAYLOAD USING REGEX \"(a)+\"",
    "REPLACE \"a\" WITH ",
    " IN ",
    "TRIM ",
    " AND_THEN TRIM",
    "-- c\n",
    "/* c */",
    "/*",
    "ADD STRING \"s\" WITH ",
    "ADD OBJECT \"o\"\n",
    "STORE IN \"R\" WHEN ",
    "WITH QUERY \"\n",
    "ADD EVENT e\n",
    "WITH KEY ",
    "ALLOW\n",
    "DENY\n",
    "USER IS \"u\"",
    "ADD COMPONENT \"c\"\n",
    "ON CLICK DO\n",
    "ä€😀",
    "\u{0}",
    "\\u12",
    "MIN(",
    "END IF\n",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_compile_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        fuzz_compile(&bytes);
    }

    #[test]
    fn texts_of_pieces_compile_or_are_refused(pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..60)) {
        fuzz_compile(pieces.concat().as_bytes());
    }

    #[test]
    fn damaged_programs_compile_or_are_refused(seed in any::<u64>(), cuts in 1usize..6) {
        let mut text = PROGRAM.as_bytes().to_vec();
        let mut state = seed;
        for _ in 0..cuts {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = (state >> 33) as usize % text.len().max(1);
            match state % 3 {
                0 if at < text.len() => { text.remove(at); }
                0 | 1 => text.insert(at, b"({[\"\n \tA0+-"[(state >> 20) as usize % 11]),
                _ => text.truncate(at),
            }
        }
        fuzz_compile(&text);
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test reads its corpus")]
fn corpus_of_the_fuzzer_replays() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fuzz/corpus/compile");
    let mut replayed = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        fuzz_compile(text.as_bytes());
        for (end, _) in text.char_indices().step_by(7) {
            fuzz_compile(&text.as_bytes()[..end]);
        }
        replayed += 1;
    }
    assert!(replayed >= 5, "the corpus is there");
}

const PROGRAM: &str = r#"DEFINE ACTION Use
ON TOPIC "p/+/x" DO
    SET "i" WITH 0
    LOOP
        SET "i" WITH {i} + 1
        IF PAYLOAD > 80 THEN
            PUBLISH TOPIC "lvl/+" WITH { "a": {i}, "b": [1, GET TOPIC "k/" + {i} + "/n" AS INT] } AND RETAIN
        ELSE IF PAYLOAD IS EMPTY THEN KEEP TOPIC "s" WITH TIMESTAMP
        ELSE
            SWITCH TOPIC POSITION 2
                CASE "a", "b" THEN
                    PUBLISH TOPIC "o" WITH FILTER PAYLOAD USING REGEX "(?<=t=)\d+" AND_THEN TRIM
    UNTIL {i} >= 3
    CALL ACTION MinMax
        WITH a = (GET JSON "x" IN PAYLOAD AS DOUBLE), b = 10
        RETURN l, h
    PUBLISH TOPIC "r" WITH {l} + ".." + {h}
"#;

#[test]
fn a_program_of_too_many_statements_is_refused_with_its_place() {
    let program = |count: usize| {
        format!("DEFINE ACTION A\nON START DO\n{}", "    KEEP TOPIC \"a\" WITH 1\n".repeat(count))
    };
    let compilation = compile(&program(6_000), &CompileOptions::default());
    let diagnostics = compilation.all_diagnostics();
    assert_eq!(diagnostics.len(), 1, "{diagnostics:?}");
    let entry =
        serde_json::to_value(lot_to_wasm::diagnostic::json::Entry::from(&diagnostics[0])).expect("JSON");
    assert_eq!((&entry["code"], &entry["line"]), (&"LOT503".into(), &5003.into()), "{entry}");
    assert!(compile(&program(300), &CompileOptions::default()).succeeded());
}

#[test]
fn hostile_nesting_is_refused_without_recursion() {
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("{\"a\":", "}"),
        ("-", ""),
        ("NOT ", ""),
        ("IF 1 THEN ", ""),
        ("TRIM ", ""),
        ("GET TOPIC (", ")"),
        ("GET TOPIC ", ""),
        ("GET JSON ", ""),
        ("GET JSON \"a\" IN ", ""),
        ("GET JSON \"a\" FROM ", ""),
        ("GET ENV ", ""),
        ("GET SECRET ", ""),
        ("GET MODEL M WHERE ", ""),
        ("PAYLOAD JSON ", ""),
        ("TOPIC EXISTS ", ""),
        ("TOPIC POSITION ", ""),
        ("TOPIC POSITION (", ")"),
        ("USING TRIM ", ""),
        ("USING ", ""),
        ("UPPER(", ")"),
        ("MIN(1, ", ")"),
        ("ROUND ", ""),
        ("RANDOM ", ""),
        ("RANDOM BETWEEN ", ""),
        ("RANDOM INT BETWEEN 1 AND ", ""),
        ("TIMESTAMP ", ""),
        ("REPLACE ", ""),
        ("SPLIT ", ""),
        ("FILTER ", ""),
        ("{", "}"),
        ("{a.", "}"),
        ("a(", ")"),
    ] {
        for count in [10, 100, 10_000] {
            let value = format!("{}1{}", open.repeat(count), close.repeat(count));
            fuzz_compile(format!("DEFINE ACTION A\nON START DO\n    SET x WITH {value}\n").as_bytes());
        }
    }
    for operator in [" + ", " AND ", " AS INT AS ", " AND_THEN TRIM", " == ", "."] {
        let value = format!("1{}", format!("{operator}1").repeat(10_000));
        fuzz_compile(format!("DEFINE ACTION A\nON START DO\n    SET x WITH {value}\n").as_bytes());
    }
    let mut blocks = "DEFINE ACTION A\nON START DO\n".to_owned();
    for depth in 1..400 {
        blocks.push_str(&format!("{}IF 1 THEN\n", "    ".repeat(depth)));
    }
    fuzz_compile(blocks.as_bytes());
    let line = format!("DEFINE ACTION A\nON START DO\n    {}SET x WITH 1\n", "IF 1 THEN ".repeat(5_000));
    fuzz_compile(line.as_bytes());
    fuzz_compile(
        format!("DEFINE RULE R WITH PRIORITY 1 FOR Connect\n    IF {}", "NOT (".repeat(5_000)).as_bytes(),
    );
    fuzz_compile(
        format!(
            "DEFINE MODEL M\n{}",
            (1..300).map(|depth| format!("{}ADD OBJECT \"o\"\n", "    ".repeat(depth))).collect::<String>()
        )
        .as_bytes(),
    );
}

#[test]
fn reply_and_json_have_the_shape_of_the_reference() {
    let text = "DEFINE ACTION Hot\nON TOPIC \"s\" DO\n    SET \"t\" WITH PAYLOAD\n    IF {t} > 30\n        PUBLISH TOPIC \"o\" WITH {t}\n";
    let compilation = compile(text, &CompileOptions::default());
    let entity = &compilation.entities[0];
    assert!(entity.output.is_none());
    let first = &entity.diagnostics[0];
    assert_eq!(
        lot_to_wasm::diagnostic::json::reply_message(first),
        "Parsing error: expected THEN after IF condition, found the end of the line (4,16)\nSuggestions: write: IF {t} > 30 THEN"
    );
    let entry = serde_json::to_value(lot_to_wasm::diagnostic::json::Entry::from(first)).expect("JSON");
    assert_eq!(
        entry,
        serde_json::json!({
            "severity": "error", "code": "LOT203", "message": "expected THEN after IF condition, found the end of the line",
            "line": 4, "column": 16, "endLine": 4, "endColumn": 17,
            "sourceLines": ["    IF {t} > 30"], "suggestions": ["write: IF {t} > 30 THEN"], "expected": ["THEN"]
        })
    );
}

#[test]
fn at_most_twenty_errors_are_reported() {
    let lines: String = (0..30).map(|index| format!("    SET x{index} 5\n")).collect();
    let compilation = compile(&format!("DEFINE ACTION A\nON START DO\n{lines}"), &CompileOptions::default());
    assert_eq!(compilation.entities[0].diagnostics.len(), 20);
}

#[test]
fn a_bad_entity_does_not_prevent_the_others() {
    let text = "DEFINE ACTION A\nON START DO\n    SET x 5\nDEFINE ACTION B\nON START DO\n    PUBLISH TOPIC \"o\" WITH 1\n";
    let compilation = compile(text, &CompileOptions::default());
    let outcomes: Vec<(&str, bool, u32)> = compilation
        .entities
        .iter()
        .map(|entity| (entity.name.as_str(), entity.output.is_some(), entity.lines_before))
        .collect();
    assert_eq!(outcomes, [("A", false, 0), ("B", true, 3)]);
    assert_eq!(
        &text[compilation.entities[1].range.clone()],
        "DEFINE ACTION B\nON START DO\n    PUBLISH TOPIC \"o\" WITH 1\n"
    );
}

#[test]
fn a_rule_of_endless_conditions_is_refused_without_recursion() {
    let rule = |conditions: String| {
        format!("DEFINE RULE R WITH PRIORITY 100 FOR Connect\n    IF {conditions} THEN\n        ALLOW\n")
    };
    let chain = |of: &str| vec!["USER IS \"a\""; 50_000].join(of);
    for conditions in
        [chain(" OR "), chain(" AND "), "NOT ".repeat(50_000) + "USER IS \"a\"", "(".repeat(50_000)]
    {
        let compilation = compile(&rule(conditions), &CompileOptions::default());
        assert!(!compilation.succeeded());
    }
    let nested = "IF USER IS \"a\" THEN ".repeat(50_000);
    let text = format!("DEFINE RULE R WITH PRIORITY 100 FOR Connect\n    {nested}ALLOW\n");
    assert!(!compile(&text, &CompileOptions::default()).succeeded());
}
