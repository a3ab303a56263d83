use lot_facts::Kind;

use super::*;

/// Returns the completions at `|`.
fn at_mark(text: &str) -> Proposals {
    let offset = text.find('|').expect("a mark");
    proposals(&text.replacen('|', "", 1), offset)
}

#[test]
fn words_are_proposed_where_they_fit() {
    let action = "DEFINE ACTION A\nON TOPIC \"a/+\" DO\n    SET \"temp\" WITH 1\n    ";
    for (line, first, others) in [
        ("|", "SET", &["PUBLISH TOPIC", "IF", "CALL ACTION"][..]),
        ("IF {temp} > 1 THEN\n        KEEP TOPIC \"k\" WITH 1\n    |", "SET", &["ELSE", "ELSE IF"]),
        ("LOOP\n        -- c\n        SET \"x\" WITH 1\n\n    |", "SET", &["UNTIL", "LOOP"]),
        ("SWITCH {temp}\n        CASE 1 THEN\n            SET \"x\" WITH 1\n        |", "CASE", &["DEFAULT"]),
        ("SWITCH {temp}\n        CASE 1 THEN\n            |", "SET", &["CASE", "DEFAULT"]),
        ("IF |", "PAYLOAD", &["NOT"]),
        ("PUB|", "SET", &["PUBLISH MODEL"]),
        ("PUBLISH |", "TOPIC", &["MODEL"]),
        ("KEEP |", "TOPIC", &["ENV", "SECRET"]),
        ("CALL |", "ACTION", &["PYTHON", "LLM"]),
        ("IF PAYLOAD > 80 |", "THEN", &["AND", "AS"]),
        ("PUBLISH TOPIC \"x\" |", "WITH", &[]),
        ("PUBLISH TOPIC \"x\" WITH |", "PAYLOAD", &["GET TOPIC", "UPPER", "IF"]),
        ("SET \"x\" WITH PAYLOAD AS |", "INT", &["STRING", "BYTES"]),
        ("SET \"x\" WITH PAYLOAD AND_THEN |", "FILTER", &["TRIM"]),
        ("SET \"x\" WITH GET |", "TOPIC", &["JSON", "MODEL"]),
    ] {
        let found = at_mark(&format!("{action}{line}"));
        assert_eq!(found.words.first().map(String::as_str), Some(first), "{line}: {found:?}");
        assert!(others.iter().all(|other| found.words.iter().any(|word| word == other)), "{line}: {found:?}");
    }
    let plain = at_mark(&format!("{action}|")).words;
    assert!(
        !["ELSE", "CASE", "UNTIL", "OUTPUT"].iter().any(|word| plain.contains(&(*word).to_owned())),
        "{plain:?}"
    );
    assert!(!at_mark(&format!("{action}IF |")).words.contains(&"STRING".to_owned()));
    for (text, expected) in [
        ("|", &["DEFINE"][..]),
        ("DEFINE ACTION A\nDO\n    SET \"x\" WITH 1\nRETURN\n    |", &["OUTPUT"]),
        ("-- c\nDEF|", &["DEFINE"]),
        ("DEFINE |", &["ACTION", "MODEL", "RULE", "ROUTE", "PANEL", "VISU", "THEME"]),
        ("DEFINE MODEL M\n    |", &["ADD", "STORE IN", "FETCH FROM"]),
        (
            "DEFINE RULE R WITH PRIORITY 100 FOR Publish TO TOPIC \"a\"\n    |",
            &["IF", "ELSE", "ELSE IF", "ALLOW", "DENY"],
        ),
        (
            "DEFINE ACTION A\nON EVERY 5 |",
            &["MILLISECONDS", "SECONDS", "MINUTES", "HOURS", "DAYS", "WEEKS", "MONTHS", "YEARS"],
        ),
        (
            "DEFINE ACTION A\nON SILENCE OF \"t\" FOR 30 |",
            &["MILLISECONDS", "SECONDS", "MINUTES", "HOURS", "DAYS", "WEEKS", "MONTHS", "YEARS"],
        ),
        ("DEFINE ACTION A\nON SILENCE |", &["OF"]),
        ("DEFINE ACTION A\nON TOPIC \"t\" DO\n    -- see PUBLISH |", &[]),
        ("DEFINE ACTION A\nON TOPIC \"t\" DO\n    SET \"x\" WITH 1 // PUBLISH |", &[]),
        ("DEFINE ACTION A\nON TOPIC \"t\" DO\n    /* x\n    PUBLISH |", &[]),
    ] {
        assert_eq!(at_mark(text).words, expected, "{text}");
    }
    for (text, first) in [
        ("ON SILENCE OF \"t\" |", "FOR"),
        ("ON WINDOW OF \"t\" |", "EVERY"),
        ("ON EVERY WEEKEND, |", "MONDAY"),
        ("ON EVERY DAY 1, 15 |", "OF"),
        ("ON EVERY DAY 1, 15 OF |", "MONTH"),
    ] {
        let words = at_mark(&format!("DEFINE ACTION A\n{text}")).words;
        assert_eq!(words.first().map(String::as_str), Some(first), "{text}: {words:?}");
    }
    assert!(at_mark("DEFINE ROUTE R WITH TYPE |").words.contains(&"LOOPBACK".to_owned()));
    assert!(at_mark("DEFINE RULE R WITH PRIORITY 100 FOR |").words.contains(&"Publish".to_owned()));
}

#[test]
fn names_are_proposed_where_they_fit() {
    let action = "DEFINE ACTION A\nON TOPIC \"a/+\" DO\n    ";
    use Names::{Entities, Inputs, Python, Topics};
    let inputs = || Some(Inputs("Min".to_owned()));
    for (line, expected, in_string, typed) in [
        ("CALL ACTION |", Some(Entities(Kind::Action)), false, ""),
        ("CALL ACTION Min|", Some(Entities(Kind::Action)), false, "Min"),
        ("CALL ACTION \"Min|\"", Some(Entities(Kind::Action)), true, "Min"),
        ("CALL ACTION Min WITH |", inputs(), false, ""),
        ("CALL ACTION \"Min\" WITH a = 1, b|", inputs(), false, "b"),
        ("CALL ACTION Min WITH (a = MAX(1, 2), |", inputs(), false, ""),
        ("CALL ACTION Min WITH a = MAX(1, |", None, false, ""),
        ("CALL ACTION Min WITH a = 1 RETURN x, |", None, false, ""),
        ("SET \"x\" WITH |", None, false, ""),
        ("\nON SILENCE OF \"a|\"", Some(Topics), true, "a"),
        ("\nON WINDOW OF \"a|\"", Some(Topics), true, "a"),
        ("CALL PYTHON \"|\"", Some(Python), true, ""),
        ("PUBLISH MODEL |", Some(Entities(Kind::Model)), false, ""),
        ("SET \"x\" WITH GET MODEL \"M\" FROM \"|", Some(Entities(Kind::Route)), true, ""),
        ("PUBLISH TOPIC \"plant/ü|\" WITH 1", Some(Topics), true, "plant/ü"),
        ("PUBLISH MODEL M TO \"a|", Some(Topics), true, "a"),
        ("PUBLISH TOPIC \"t\" WITH \"a|\"", None, true, "a"),
        ("PUBLISH TOPIC \"t\" |WITH \"a\"", None, false, ""),
    ] {
        let text = format!("{action}{line}");
        let found = at_mark(&text);
        assert_eq!((found.names, found.in_string), (expected, in_string), "{line}");
        assert_eq!(&text[found.range], typed, "{line}");
    }
    let variables = at_mark(
        "DEFINE ACTION A\nINPUT low AS INT\nDO\n    SET \"high\" WITH {l|}\nRETURN\n    OUTPUT high\n",
    );
    assert_eq!(variables.variables, ["high", "low"]);
}

#[test]
fn definitions_are_listed_with_what_is_in_them() {
    let text = "DEFINE ACTION Sum\nINPUT a AS INT\nINPUT b\nDO\n    SET \"s\" WITH {a} + {b}\nRETURN\n    OUTPUT s\n\nDEFINE MODEL M FROM P\n    ADD OBJECT \"o\"\n        ADD INT \"i\" WITH TOPIC \"t\"\n\nDEFINE ROUTE R WITH TYPE LOOPBACK\n    ADD EVENT E\n        WITH X 1\n\nDEFINE ACTION On\nON TOPIC \"x\"\n    OR \"y\" DO\n    PUBLISH\n";
    fn told(symbols: &[Symbol], text: &str) -> String {
        let one = |symbol: &Symbol| {
            let inner = told(&symbol.children, text);
            format!("{} {} [{inner}]", &text[symbol.name_range.clone()], symbol.detail)
        };
        symbols.iter().map(one).collect::<Vec<_>>().join("; ")
    }
    assert_eq!(
        told(&outline(text), text),
        "Sum (a AS INT, b) RETURN s [a INT []; b  []; s  []; s  []]; M FROM P [o OBJECT [i INT WITH TOPIC \"t\" []]]; R TYPE LOOPBACK [E EVENT []]; On ON TOPIC \"x\" OR \"y\" []"
    );
}

#[test]
fn values_have_kinds() {
    let text = "DEFINE ACTION A\nON TOPIC \"in\" DO\n    SET \"n\" WITH PAYLOAD AS INT\n    SET \"d\" WITH {n} * 0.5\n    LOOP\n        SET \"n\" WITH 1.5\n    UNTIL TRUE\n    PUBLISH TOPIC \"t/\" + {d} WITH {n} + PAYLOAD\n";
    for (needle, expected) in [
        ("{n} *", "INT or DOUBLE"),
        ("{d}", "DOUBLE"),
        ("PAYLOAD AS", "STRING; text counts as a number when it looks like one"),
        ("* 0.5", "DOUBLE"),
        ("TRUE", "BOOL"),
        ("AS INT", "INT"),
    ] {
        let found = kinds(text, text.find(needle).unwrap() + 1, &[]).unwrap();
        assert_eq!(found.to_text(), expected, "{needle}");
    }
    assert_eq!(kinds(text, 3, &[]), None);
    for (needle, expected) in
        [("n\" WITH PAYLOAD", "INT or DOUBLE"), ("d\" WITH", "DOUBLE"), ("{d}", "DOUBLE")]
    {
        // A line that is being written hides nothing of the others.
        for text in [text.to_owned(), text.replace("    PUBLISH", "    PUBLISH TOPIC \n    PUBLISH")] {
            let found = kinds(&text, text.find(needle).unwrap(), &[]).unwrap();
            assert_eq!(found.to_text(), expected, "{needle}");
        }
    }
    let unset = "DEFINE ACTION A\nON START DO\n    SET \"x\" WITH\n    PUBLISH TOPIC \"t\" WITH 1\n";
    assert_eq!(kinds(unset, unset.find("x\"").unwrap(), &[]), None, "nothing is known of it");
}

/// Editor queries also work in the readable parts of programs with errors.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test reads its corpus")]
fn any_place_of_wrong_programs_is_answered() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/diagnostic");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "lot") {
            let text = std::fs::read_to_string(&path).unwrap();
            let places = text.char_indices().map(|(at, _)| at).step_by(5);
            count += places.filter(|at| kinds(&text, *at, &[]).is_some()).count();
        }
    }
    assert!(count > 100, "{count}");
}

#[test]
fn any_place_of_any_text_is_answered() {
    let text = "DEFINE ACTION ä\nON TOPIC \"ö\" DO\n\t{ \"x\" SET 'ü WITH {\r\n  /* -- \" */ RETURN AS {x}, y\rDEFINE MODEL\nADD \"\"";
    for cut in (0..=text.len()).filter(|cut| text.is_char_boundary(*cut)) {
        for start in (0..=cut).filter(|start| text.is_char_boundary(*start)) {
            let part = &text[start..cut];
            for offset in [0, part.len() / 2, part.len(), part.len() + 1] {
                let _ = (reference(part, offset), proposals(part, offset), kinds(part, offset, &[]));
            }
            let _ = outline(part);
        }
    }
}

/// Code in the texts about keywords, completed to programs.
fn examples() -> Vec<String> {
    let mut programs = Vec::new();
    for code in keywords().flat_map(|keyword| keyword.text.split('`').skip(1).step_by(2)) {
        let first = code.split([' ', '(']).next().unwrap_or("");
        let is_whole =
            code.contains(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()) && !code.contains('…');
        let statement = |code: &str| format!("DEFINE ACTION A\nON TOPIC \"in\" DO\n    {code}\n");
        let value = |code: &str| statement(&format!("SET \"example\" WITH {code}"));
        match first {
            _ if !is_whole => {}
            "SET" | "PUBLISH" | "KEEP" | "DELETE" | "CALL" | "TRIGGER" => programs.push(statement(code)),
            "ON" if code.ends_with(" DO") && code != "ON CLICK DO" => {
                programs.push(format!("DEFINE ACTION A\n{code}\n    PUBLISH TOPIC \"t\" WITH 1\n"));
            }
            "RANDOM" | "FILTER" | "REPLACE" | "TRIM" | "SPLIT" | "GET" | "TIMESTAMP" | "PAYLOAD" | "{x}"
            | "UPPER" | "LOWER" | "LENGTH" | "ABS" | "ROUND" | "FLOOR" | "CEIL" | "SQRT" | "SIN" | "COS"
            | "TAN" | "ASIN" | "ACOS" | "ATAN" | "ATAN2" | "EXP" | "LN" | "LOG10" | "POW" | "STDDEV"
            | "STDDEV_POP" => programs.push(value(code)),
            "DEFINE" if code.starts_with("DEFINE MODEL") => {
                programs.push(format!("{code}\n    ADD INT \"n\" WITH 1\n"))
            }
            _ => {}
        }
    }
    programs
}

#[test]
fn code_in_the_texts_about_keywords_is_lot() {
    // Placeholders for names and values in the texts, with real code.
    let stand_ins = [
        ("text", "\"t\""),
        ("number, digits", "2.5, 1"),
        ("number", "2.5"),
        ("value", "1"),
        ("(a, b)", "(1, 2)"),
        ("y, x", "1, 2"),
        ("base, exponent", "1, 2"),
    ];
    let (mut count, mut failed) = (0, Vec::new());
    for mut program in examples() {
        for (stand_in, code) in stand_ins {
            for (before, after) in
                [("(", ")"), (" ", "\n"), (" ", " WITH"), ("= ", " "), ("= ", "\n"), ("IN ", "\n")]
            {
                program =
                    program.replace(&format!("{before}{stand_in}{after}"), &format!("{before}{code}{after}"));
            }
        }
        let (entities, outside) = crate::parse(&program);
        let errors: Vec<_> = entities
            .iter()
            .flat_map(|entity| &entity.diagnostics)
            .chain(&outside)
            .filter(|found| found.severity == crate::Severity::Error)
            .collect();
        if let Some(error) = errors.first() {
            failed.push(format!("{program}{}", error.message));
        }
        count += 1;
    }
    assert_eq!(failed, Vec::<String>::new());
    assert!(count >= 40, "{count} examples");
}
