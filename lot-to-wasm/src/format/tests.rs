use std::path::{Path, PathBuf};

use super::*;

#[test]
fn lines_are_indented_by_their_depth() {
    let text = "\u{feff}\n\nDEFINE ACTION A\r\nON TOPIC \"a\" DO\r\n  IF PAYLOAD>1 THEN\r\n     SET \"x\" WITH 1\r\n  ELSE\r\n\tSET \"x\" WITH 2\r\n\r\n\r\n  PUBLISH TOPIC \"b\"\r\n       WITH {x}  \r\nDEFINE ACTION B\nON START DO\n    LOG \"x\"\n";
    let text = text.replace("    LOG \"x\"\n", "    KEEP TOPIC \"k\" WITH 1\n\n\n");
    assert_eq!(
        format(&text).unwrap(),
        "DEFINE ACTION A\nON TOPIC \"a\" DO\n    IF PAYLOAD > 1 THEN\n        SET \"x\" WITH 1\n    ELSE\n        SET \"x\" WITH 2\n\n    PUBLISH TOPIC \"b\"\n         WITH {x}\n\nDEFINE ACTION B\nON START DO\n    KEEP TOPIC \"k\" WITH 1\n"
    );
}

#[test]
fn tokens_are_spaced() {
    for (line, expected) in [
        ("SET \"x\" WITH 1+2*3", "SET \"x\" WITH 1 + 2 * 3"),
        ("SET \"x\" WITH  - 1", "SET \"x\" WITH - 1"),
        ("SET \"x\" WITH (  1 +-2 )", "SET \"x\" WITH (1 + -2)"),
        ("SET \"x\" WITH 5-{ y }", "SET \"x\" WITH 5 - {y}"),
        ("SET \"x\" WITH 2-3 -4- 5", "SET \"x\" WITH 2 - 3 - 4 - 5"),
        ("SET \"x\" WITH {y}-(-1)-\"2\"- -3", "SET \"x\" WITH {y} - (-1) - \"2\" - -3"),
        ("SET \"x\" WITH [-1,-{y}]", "SET \"x\" WITH [-1, -{y}]"),
        ("SET \"x\" WITH GET JSON \"a\" IN {y} AS INT-1", "SET \"x\" WITH GET JSON \"a\" IN {y} AS INT - 1"),
        (
            "SET \"x\" WITH GET JSON \"a.b\" IN PAYLOAD AS DOUBLE/2",
            "SET \"x\" WITH GET JSON \"a.b\" IN PAYLOAD AS DOUBLE / 2",
        ),
        ("SET \"x\" WITH {\"a\" :1 ,\"b\":{y}}", "SET \"x\" WITH {\"a\": 1, \"b\": {y}}"),
        ("SET \"x\" WITH 1 /*one*/+ 2", "SET \"x\" WITH 1 /*one*/ + 2"),
        ("SET \"x\" WITH 1   -- one   ", "SET \"x\" WITH 1   -- one"),
        ("SET \"x\" WITH 1// one", "SET \"x\" WITH 1// one"),
        (
            "SET \"x\" WITH (1\n        +2\n        -{y}*3)",
            "SET \"x\" WITH (1\n        + 2\n        - {y} * 3)",
        ),
        ("SET \"x\" WITH [1,\n        -2]", "SET \"x\" WITH [1,\n        -2]"),
        ("SET \"x\" WITH \"a  +b\"", "SET \"x\" WITH \"a  +b\""),
    ] {
        let head = "DEFINE ACTION A\nON START DO\n    SET \"y\" WITH 1\n    ";
        assert_eq!(
            format(&format!("{head}{line}")).as_deref(),
            Ok(&*format!("{head}{expected}\n")),
            "{line}"
        );
    }
}

#[test]
fn lists_in_triggers_are_spaced() {
    for (line, expected) in [
        (
            "ON EVERY MONDAY ,WEEKEND  AT \"06:00\",\"14:00\" DO",
            "ON EVERY MONDAY, WEEKEND AT \"06:00\", \"14:00\" DO",
        ),
        ("ON EVERY DAY 1,LAST OF  MONTH DO", "ON EVERY DAY 1, LAST OF MONTH DO"),
        (
            "ON SILENCE  OF \"a\" OR \"b\",\"c\" FOR 30  SECONDS DO",
            "ON SILENCE OF \"a\" OR \"b\", \"c\" FOR 30 SECONDS DO",
        ),
        (
            "ON WINDOW  OF JSON \"a[0].b\"  IN \"c\" ,\"d\" LAST 5 MINUTES  EVERY 10 SECONDS DO",
            "ON WINDOW OF JSON \"a[0].b\" IN \"c\", \"d\" LAST 5 MINUTES EVERY 10 SECONDS DO",
        ),
    ] {
        let of = |line| format!("DEFINE ACTION A\n{line}\n    PUBLISH TOPIC \"o\" WITH 1\n");
        assert_eq!(format(&of(line)).as_deref(), Ok(&*of(expected)), "{line}");
    }
}

/// Only the tree shows what a `-` is part of. If spaces would change that, the text keeps its
/// spacing.
#[test]
fn a_minus_in_a_name_stays() {
    let payload = "DEFINE ACTION A\nON TOPIC \"a\" DO\n    PUBLISH TOPIC \"b\" WITH PAYLOAD-1\n";
    assert_eq!(format(payload).as_deref(), Ok(&*payload.replace("PAYLOAD-1", "PAYLOAD - 1")));
    let route = "DEFINE ROUTE R WITH TYPE MQTT-BRIDGE\n    ADD SOURCE_CONFIG\n        WITH BROKER SELF\n";
    let name = "DEFINE ACTION press-2-b\nON START DO\n    SET \"x\" WITH 2-1\n";
    for text in [route, name] {
        assert_eq!(format(text).as_deref(), Ok(text));
    }
}

#[test]
fn routes_are_formatted() {
    let text = "DEFINE ROUTE R WITH TYPE LOOPBACK\r\n\tADD LOOPBACK_CONFIG  \r\n\t  WITH MAX_ROWS   '10' // rows\r\n\r\n\r\n  -- saving\r\n\tADD EVENT \"Save\"\r\n\t\tWITH SOURCE_TOPIC \"a/+\"\r\n\t\tWITH DESTINATION_TOPIC  \"b/\"+RANDOM UUID\r\n\tSTORE Db WITH TABLE_NAME   \"t\"";
    let formatted = "DEFINE ROUTE R WITH TYPE LOOPBACK\n    ADD LOOPBACK_CONFIG\n        WITH MAX_ROWS '10' // rows\n\n    -- saving\n    ADD EVENT \"Save\"\n        WITH SOURCE_TOPIC \"a/+\"\n        WITH DESTINATION_TOPIC \"b/\" + RANDOM UUID\n    STORE Db WITH TABLE_NAME \"t\"\n";
    assert_eq!(format(text).as_deref(), Ok(formatted));
    assert_eq!(format(formatted).as_deref(), Ok(formatted));
}

#[test]
fn comments_stay_with_what_they_are_about() {
    let text = "-- the file\n\n\n  // the action\nDEFINE ACTION A\n-- the trigger\nON START DO\n-- first\n  IF 1 > 0 THEN\n    SET \"x\" WITH 1\n    -- the end of the block\n  -- otherwise\n  ELSE\n    SET \"x\" WITH 2\n    /* of\n  two lines   */\n  SET \"y\" WITH 1\n  -- last\n-- behind\n";
    assert_eq!(
        format(text).unwrap(),
        "-- the file\n\n// the action\nDEFINE ACTION A\n-- the trigger\nON START DO\n    -- first\n    IF 1 > 0 THEN\n        SET \"x\" WITH 1\n        -- the end of the block\n    -- otherwise\n    ELSE\n        SET \"x\" WITH 2\n        /* of\n  two lines   */\n    SET \"y\" WITH 1\n    -- last\n-- behind\n"
    );
}

/// Were each comment to look for its neighbours, this would take 10^10 steps, and the runner would
/// give the test up.
#[test]
fn a_hundred_thousand_lines_of_comments_are_formatted_at_once() {
    let comments = |indentation| format!("{:indentation$}--\n", "").repeat(50_000);
    let text = |first, second| {
        let (first, second) = (comments(first), comments(second));
        format!("DEFINE ACTION A\nON START DO\n{first}    SET \"x\" WITH 1\n{second}    SET \"x\" WITH 2\n")
    };
    assert!(format(&text(1, 9)) == Ok(text(4, 4)));
}

#[test]
fn a_text_with_errors_is_left_alone() {
    let Err(FormatError::Invalid(errors)) = format("DEFINE ACTION A\nON START DO\n    SET\n") else {
        panic!()
    };
    assert_eq!(errors[0].span.start.line, 3);
    assert_eq!(format(""), Ok(String::new()));
    assert_eq!(format("-- nothing\n\n\n").as_deref(), Ok("-- nothing\n"));
}

/// Says where a tree has changed.
fn unsure(text: &str, path: &Path) -> ! {
    let (entities, _) = parse(text);
    let formatted = written(text, &pieces_of(text, &entities), Minus::Operator);
    panic!("{}:\n{text}\nbecomes\n{formatted}", path.display());
}

/// The programs of the corpus that have no errors, with their paths.
#[expect(clippy::disallowed_methods, reason = "a test reads its corpus")]
fn corpus() -> Vec<(PathBuf, String)> {
    let mut open = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus"))];
    let mut programs = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "lot") {
            let text = std::fs::read_to_string(&path).unwrap();
            if !matches!(format(&text), Err(FormatError::Invalid(_))) {
                programs.push((path, text));
            }
        }
    }
    programs.sort();
    assert!(programs.len() > 50, "{}", programs.len());
    programs
}

/// Every program of the corpus: the same tree, and nothing more to do the second time.
#[test]
fn the_corpus_keeps_its_meaning() {
    for (path, text) in corpus() {
        let Ok(formatted) = format(&text) else { unsure(&text, &path) };
        assert_eq!(format(&formatted).as_ref(), Ok(&formatted), "{}", path.display());
    }
}

/// The comments of a text, found without the formatter's or the compiler's help.
fn comments_in(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    let mut word = "";
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' | '\'' => {
                let mut escaped = false;
                let mut ends = rest.char_indices().skip(1).filter(|(_, c)| {
                    let ends = *c == first && !escaped;
                    escaped = *c == '\\' && !escaped;
                    ends
                });
                ends.next().expect(word).0 + 1
            }
            '/' if rest.starts_with("/*") => rest.find("*/").unwrap() + 2,
            '-' | '/' if rest.starts_with("--") || rest.starts_with("//") => {
                rest.find(['\n', '\r']).unwrap_or(rest.len())
            }
            c => c.len_utf8(),
        };
        word = &rest[..length];
        if word.starts_with("/*") || word.starts_with("--") || word.starts_with("//") {
            found.push(word.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"));
        }
        rest = &rest[length..];
    }
    found
}

/// Comments of every shape at every boundary of tokens in the corpus: all of them survive in order,
/// the tree is the same, and there is nothing more to do the second time.
#[test]
fn comments_survive_wherever_they_stand() {
    let shapes = [" /* Q */ ", "/*Q*/", " /* Q\n  q */ ", " -- Q\n", "\n        // Q\n", "/*Q*//*R*/ -- S\n"];
    let mut formatted_count = 0;
    for (path, text) in corpus() {
        let pieces = pieces_of(&text, &parse(&text).0);
        let boundaries = pieces.iter().flat_map(|piece| [piece.range.start, piece.range.end]);
        for (number, at) in boundaries.chain([text.len()]).enumerate() {
            // Another shape for each boundary, and another second one somewhere else.
            let second = pieces.get(number * 7 % pieces.len()).map_or(0, |piece| piece.range.end);
            let mut commented = text.clone();
            let mut places = [(at, number), (second, number / shapes.len())];
            places.sort_unstable();
            for (at, shape) in places.into_iter().rev() {
                commented.insert_str(at, shapes[shape % shapes.len()]);
            }
            let formatted = match format(&commented) {
                Ok(formatted) => formatted,
                // The line ends in the middle of a statement.
                Err(FormatError::Invalid(_)) => continue,
                Err(FormatError::Unsure) => unsure(&commented, &path),
            };
            formatted_count += 1;
            assert_eq!(comments_in(&formatted), comments_in(&commented), "{commented}\nbecomes\n{formatted}");
            assert!(trees(&parse(&formatted).0).eq(trees(&parse(&commented).0)), "{commented}");
            assert_eq!(format(&formatted).as_ref(), Ok(&formatted), "of\n{commented}");
        }
    }
    assert!(formatted_count > 2_000, "{formatted_count}");
}

#[test]
fn comments_in_front_of_code_and_inside_brackets_stay() {
    let text = r#"DEFINE ACTION A
ON START DO
    IF (1 > 0)AND({a}== 2)THEN
      /* one */ SET "a" WITH 1 /* two
      lines */ SET "b" WITH 2
    PUBLISH TOPIC "t" WITH {
      "a": 1, -- first
      /* c2 */ "b": [
      2
      ],
      // last
    "c": 3
        }
    PUBLISH TOPIC "u" WITH (
        -- inside
        1)
        -- before the value
        AND RETAIN
    IF 1 > 0 THEN
        SET "c" WITH"x"
    -- of the action
-- of B
DEFINE ACTION B
ON START DO
    SET "c" WITH 1
    -- the last of B

-- behind
"#;
    let expected = r#"DEFINE ACTION A
ON START DO
    IF (1 > 0) AND ({a} == 2) THEN
        /* one */ SET "a" WITH 1 /* two
      lines */
        SET "b" WITH 2
    PUBLISH TOPIC "t" WITH {
        "a": 1, -- first
        /* c2 */ "b": [
            2
        ],
        // last
        "c": 3
    }
    PUBLISH TOPIC "u" WITH (
        -- inside
        1)
        -- before the value
        AND RETAIN
    IF 1 > 0 THEN
        SET "c" WITH "x"
    -- of the action

-- of B
DEFINE ACTION B
ON START DO
    SET "c" WITH 1
    -- the last of B

-- behind
"#;
    assert_eq!(format(text).as_deref(), Ok(expected));
}
