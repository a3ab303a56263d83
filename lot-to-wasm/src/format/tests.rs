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
        ("SET \"x\" WITH 5-{ y }", "SET \"x\" WITH 5-{y}"),
        (
            "SET \"x\" WITH GET JSON \"a.b\" IN PAYLOAD AS DOUBLE/2",
            "SET \"x\" WITH GET JSON \"a.b\" IN PAYLOAD AS DOUBLE / 2",
        ),
        ("SET \"x\" WITH {\"a\" :1 ,\"b\":{y}}", "SET \"x\" WITH {\"a\": 1, \"b\": {y}}"),
        ("SET \"x\" WITH 1 /*one*/+ 2", "SET \"x\" WITH 1 /*one*/ + 2"),
        ("SET \"x\" WITH 1   -- one   ", "SET \"x\" WITH 1   -- one"),
        ("SET \"x\" WITH 1// one", "SET \"x\" WITH 1// one"),
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

/// Were each comment to look for its neighbours, this would take 10^10 steps, and the runner would give the test up.
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
fn unsure(text: &str, path: &std::path::Path) {
    let (entities, _) = parse(text);
    for entity in entities {
        let slice = &text[entity.range];
        if format(slice) == Err(FormatError::Unsure) {
            let mut page = Page::default();
            page.entity(slice);
            panic!("{}:\n{slice}\nbecomes\n{}", path.display(), page.text);
        }
    }
}

/// Every program of the corpus: the same tree, and nothing more to do the second time.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test reads its corpus")]
fn the_corpus_keeps_its_meaning() {
    let mut open = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus"))];
    let mut formatted_count = 0;
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        if path.extension().is_none_or(|extension| extension != "lot") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        match format(&text) {
            Ok(formatted) => {
                assert_eq!(format(&formatted).as_ref(), Ok(&formatted), "{}", path.display());
                formatted_count += 1;
            }
            Err(FormatError::Invalid(errors)) => assert!(!errors.is_empty()),
            Err(FormatError::Unsure) => unsure(&text, &path),
        }
    }
    assert!(formatted_count > 50, "{formatted_count}");
}
