//! Rows of routes: GET MODEL (§8.7) and FETCH FROM (§9.8). The route is a stub; with a real one:
//! `tests/e2e/rows.rs`.

use crate::bench::{Bench, on_in};

fn compared(column: &str, operator: &str, position: usize) -> String {
    format!(r#"{{"column":"{column}","operator":"{operator}","value":{position}}}"#)
}

/// Checks the query of a condition, with its values.
#[test]
fn get_model_asks_what_it_says() {
    let and = format!(r#"{{"and":[{},{}]}}"#, compared("a", "==", 0), compared("b", "==", 1));
    let or = format!(
        r#"{{"or":[{},{{"and":[{},{}]}}]}}"#,
        compared("a", ">", 0),
        compared("b", "==", 1),
        compared("c", "<", 2)
    );
    let not = format!(r#"{{"not":{}}}"#, compared("a", "contains", 0));
    for (query, question, parameters) in [
        ("", String::new(), "[]"),
        ("LIMIT 1", r#","limit":1"#.to_owned(), "[]"),
        (
            "ORDER BY t DESC LIMIT 2",
            r#","order":{"column":"t","descending":true},"limit":2"#.to_owned(),
            "[]",
        ),
        (
            "WHERE a EQUALS 1 AND b EQUALS 2 LIMIT 1",
            format!(r#","limit":1,"where":{and}"#),
            "[Integer(1), Integer(2)]",
        ),
        (
            "WHERE a > PAYLOAD + 1 OR b EQUALS \"k\" AND c < 2",
            format!(r#","where":{or}"#),
            "[Integer(6), Text(\"k\"), Integer(2)]",
        ),
        ("WHERE a NOT CONTAINS PAYLOAD", format!(r#","where":{not}"#), "[Text(\"5\")]"),
        (
            "WHERE m.id IN [1, PAYLOAD]",
            format!(r#","where":{}"#, compared("m.id", "in", 0)),
            "[Json(\"[1,5]\")]",
        ),
        ("WHERE a IS NOT NULL", format!(r#","where":{}"#, compared("a", "!=", 0)), "[Null]"),
        ("WHERE t >= (0 AS TIMESTAMP)", format!(r#","where":{}"#, compared("t", ">=", 0)), "[Time(0)]"),
    ] {
        let body =
            format!("SET \"r\" WITH GET MODEL \"M\" FROM \"Db\" {query}\nPUBLISH TOPIC \"o\" WITH {{r}}");
        let mut bench = Bench::new(&on_in(&body));
        assert_eq!(bench.rows("{\"v\":7}").send("in", "5").published(), ["o={\"v\":7}"], "{query}");
        assert_eq!(bench.asked(), [format!(r#"{{"model":"M"{question}}} {parameters}"#)], "{query}");
        assert_eq!(bench.reports(), [""; 0], "{query}");
    }
}

/// The table of results: an object, an array, nothing; and what programs do with them.
#[test]
fn rows_are_json_values() {
    let source = on_in(
        "SET \"r\" WITH GET MODEL M FROM Db WHERE id EQUALS PAYLOAD\nIF {r} == NULL THEN\n    PUBLISH TOPIC \"o\" WITH \"none\"\nELSE\n    PUBLISH TOPIC \"o\" WITH (GET JSON \"v\" IN {r} AS DOUBLE) + 1\n    PUBLISH TOPIC \"second\" WITH GET JSON \"[1].v\" IN {r}\n    PUBLISH TOPIC \"at\" WITH (GET JSON \"at\" IN {r} AS TIMESTAMP) AS INT",
    );
    let mut bench = Bench::new(&source);
    let row = r#"{"v":1.5,"at":"2026-01-15T10:30:00.123Z"}"#;
    assert_eq!(bench.rows(row).send("in", "1").published(), ["o=2.5", "second=null", "at=1768473000"]);
    assert_eq!(bench.rows(r#"[{"v":1},{"v":2}]"#).send("in", "1").published(), ["o=1", "second=2", "at=0"]);
    assert_eq!(bench.rows("").send("in", "1").published(), ["o=none"]);
    assert_eq!(bench.reports(), [""; 0]);
}

/// §8.7: what goes wrong is Null and a record, and the run goes on.
#[test]
fn a_route_that_is_missing_gives_null_and_a_record() {
    let mut bench = Bench::new(&on_in(
        "SET \"r\" WITH GET MODEL \"M\" FROM \"None\"\nPUBLISH TOPIC \"o\" WITH {r}\nPUBLISH TOPIC \"p\" WITH (GET MODEL \"M\" FROM \"None\" LIMIT 1)",
    ));
    assert_eq!(bench.send("in", "x").published(), ["o=null", "p=null"]);
    assert_eq!(bench.reports(), ["error ROUTE_UNKNOWN 3:18", "error ROUTE_UNKNOWN 5:29"]);
}

/// Several queries in one expression keep their own values: the last does not replace the first.
#[test]
fn several_questions_in_one_expression() {
    let mut bench = Bench::new(&on_in(
        "PUBLISH TOPIC \"o\" WITH { \"a\": GET JSON \"v\" IN (GET MODEL \"A\" FROM \"Db\"), \"b\": GET MODEL \"B\" FROM \"Db\" WHERE x EQUALS (GET JSON \"v\" IN (GET MODEL \"C\" FROM \"Db\")) }",
    ));
    assert_eq!(bench.rows(r#"{"v":[1]}"#).send("in", "").published(), [r#"o={"a":[1],"b":{"v":[1]}}"#]);
    assert_eq!(
        bench.asked(),
        [
            r#"{"model":"A"} []"#.to_owned(),
            r#"{"model":"C"} []"#.to_owned(),
            format!(r#"{{"model":"B","where":{}}} [Json("[1]")]"#, compared("x", "==", 0)),
        ]
    );
}

const MACHINE: &str = r#"DEFINE MODEL Machine COLLAPSED WITH TOPIC "machines/+"
    ADD STRING "site"
    ADD STRING "id" WITH TOPIC POSITION 2
    ADD DOUBLE "limit"
    ADD DOUBLE "t" WITH TOPIC "raw/+" AS TRIGGER
    ADD BOOL "hot" WITH (t > limit)
    ADD OBJECT "owner"
        ADD STRING "name"
    FETCH FROM "Db" WITH TABLE "machines" WHEN id EQUALS {id} LIMIT 5
"#;

/// §9.8: columns fill the fields without a source, in their types, before what is computed of them.
#[test]
fn a_row_fills_the_fields_without_a_source() {
    let mut bench = Bench::new(MACHINE);
    bench.rows(r#"{"id":"other","site":7,"limit":"80","owner":{"name":"ann"},"hot":false}"#);
    assert_eq!(
        bench.send("raw/m1", "81").published(),
        [r#"machines/m1={"site":"7","id":"m1","limit":80,"t":81,"hot":true,"owner":{"name":"ann"}}"#]
    );
    let question = format!(r#"{{"table":"machines","limit":1,"where":{}}}"#, compared("id", "==", 0));
    assert_eq!(bench.asked(), [format!(r#"{question} [Text("m1")]"#)]);
    assert_eq!(
        bench.rows("").send("raw/m1", "81").published(),
        [r#"machines/m1={"site":null,"id":"m1","limit":null,"t":81,"hot":false,"owner":{"name":null}}"#]
    );
    // A number that is compared with nothing.
    assert_eq!(bench.reports(), ["warning LOT601 6:5"]);
}

/// Assigned fields of `PUBLISH MODEL` win over the row, and select it.
#[test]
fn assigned_fields_are_not_filled() {
    let mut bench = Bench::new(&format!(
        "DEFINE MODEL Part\n    ADD STRING \"id\"\n    ADD STRING \"key\" WITH (id + \"-x\")\n    ADD STRING \"name\"\n    ADD INT \"stock\"\n    FETCH FROM \"Db\" WHEN id EQUALS key\n    FETCH FROM \"Db\" WITH TABLE \"names\" WHEN stock EQUALS stock\n{}",
        on_in("PUBLISH MODEL Part TO \"o\" WITH id = PAYLOAD, name = \"screw\"")
    ));
    bench.rows(r#"{"id":"row","name":"row","stock":3}"#);
    assert_eq!(
        bench.send("in", "p1").published(),
        [r#"o={"id":"p1","key":"p1-x","name":"screw","stock":3}"#]
    );
    let by = |column: &str| compared(column, "==", 0);
    assert_eq!(
        bench.asked(),
        [
            format!(r#"{{"model":"Part","limit":1,"where":{}}} [Text("p1-x")]"#, by("id")),
            format!(r#"{{"table":"names","limit":1,"where":{}}} [Integer(3)]"#, by("stock")),
        ]
    );
}

/// A field may ask as well; what its WHERE names are fields.
#[test]
fn a_field_may_be_rows() {
    let mut bench = Bench::new(
        "DEFINE MODEL Oven COLLAPSED WITH TOPIC \"ovens\"\n    ADD ARRAY \"before\" WITH GET MODEL \"Oven\" FROM \"Db\" WHERE before EQUALS key LIMIT 2\n    ADD STRING \"key\" WITH (v + \"!\")\n    ADD INT \"v\" WITH TOPIC \"raw\" AS TRIGGER\n",
    );
    bench.rows(r#"[{"v":1},{"v":2}]"#);
    assert_eq!(
        bench.send("raw", "3").published(),
        [r#"ovens={"before":[{"v":1},{"v":2}],"key":"3!","v":3}"#]
    );
    let question = format!(r#"{{"model":"Oven","limit":2,"where":{}}}"#, compared("before", "==", 0));
    assert_eq!(bench.asked(), [format!(r#"{question} [Text("3!")]"#)]);
}
