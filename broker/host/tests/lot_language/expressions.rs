//! §18.2 and the tables of §4 and §5: one expression, one result.

use lot_to_wasm::Compat;

use crate::bench::{Bench, NOW_MS, check, on_in};

/// Publishes the value of an expression with a = 7 and b = 2 (Int), s = "x" (text of the program)
/// and the payload.
fn value(expression: &str, payload: &str) -> Vec<String> {
    let body = format!(
        "SET \"a\" WITH 7\nSET \"b\" WITH 2\nSET \"s\" WITH \"x\"\nPUBLISH TOPIC \"o\" WITH {expression}"
    );
    let mut bench = Bench::new(&on_in(&body));
    bench.send("in", payload).published()
}

fn check_value(expression: &str, payload: &str, expected: &str) {
    assert_eq!(value(expression, payload), [format!("o={expected}")], "{expression} with {payload:?}");
}

/// §18.2, row by row.
#[test]
fn the_expression_table_holds() {
    for (expression, payload, expected) in [
        ("{a} + {b} * 2", "", "11"),
        ("({a} + {b}) / 2", "", "4.5"),
        ("{a} / {b}", "", "3.5"),
        ("{a} % {b}", "", "1"),
        ("\"v=\" + {a} + {b}", "", "v=72"),
        ("{a} + {b} + \"v\"", "", "9v"),
        ("PAYLOAD + 1", "10", "11"),
        ("PAYLOAD + 1", "ab", "ab1"),
        ("PAYLOAD * 9 / 5 + 32", "25", "77"),
        ("PAYLOAD AS INT", "12.9", "12"),
        ("PAYLOAD AS BOOL", "ON", "true"),
        ("PAYLOAD AS DOUBLE", "abc", "0"),
        ("GET JSON \"a.b\" IN PAYLOAD AS DOUBLE", "{\"a\":{\"b\":1.5}}", "1.5"),
        ("GET JSON \"zz\" IN PAYLOAD AS INT", "{}", "0"),
        ("GET JSON \"zz\" IN PAYLOAD AS STRING", "{}", "null"),
        ("GET JSON \"l[1]\" IN PAYLOAD", "{\"l\":[4,5]}", "5"),
        ("FILTER PAYLOAD USING REGEX \"[0-9]+\"", "t=42C 7", "42"),
        ("PAYLOAD AND_THEN FILTER USING REGEX \"[ 0-9]+\" AND_THEN TRIM", "a 42 b", "42"),
        ("REPLACE \" \" WITH \"_\" IN PAYLOAD", "a b c", "a_b_c"),
        ("TRIM PAYLOAD", "  q ", "q"),
        ("NOT PAYLOAD == \"a\" AND 1 < 2", "b", "true"),
        ("PAYLOAD CONTAINS \"er\"", "error", "true"),
        ("PAYLOAD STARTS_WITH \"e\"", "error", "true"),
        ("IF {a} > 5 THEN \"hi\" ELSE \"lo\"", "", "hi"),
        ("PAYLOAD == \"True\"", "true", "false"),
        ("PAYLOAD == TRUE", "True", "true"),
        ("PAYLOAD == \"5\"", "5.0", "false"),
        ("PAYLOAD == 5", "5.0", "true"),
        ("PAYLOAD > \"4\"", "5.0", "true"),
        ("{unset} == EMPTY", "", "true"),
        ("{ \"x\": {a}, \"y\": {s}, \"z\": [1, {b}] }", "", "{\"x\":7,\"y\":\"x\",\"z\":[1,2]}"),
        ("\"A\" + TOPIC POSITION 9", "", "A"),
    ] {
        check_value(expression, payload, expected);
    }
}

/// §4, explicit casts: each cell of the table that a payload or literal can reach.
#[test]
fn casts_follow_the_table() {
    for (expression, payload, expected) in [
        ("7 AS INT", "", "7"),
        ("7 AS DOUBLE", "", "7"),
        ("7 AS BOOL", "", "true"),
        ("0 AS BOOL", "", "false"),
        ("7 AS STRING + 1", "", "71"),
        ("7 AS ARRAY", "", "[7]"),
        ("7 AS OBJECT AS STRING", "", "null"),
        ("1700000000 AS TIMESTAMP", "", "2023-11-14T22:13:20.000Z"),
        ("1700000000123 AS TIMESTAMP", "", "2023-11-14T22:13:20.123Z"),
        ("-2.9 AS INT", "", "-2"),
        ("(0.5 AS BOOL)", "", "true"),
        ("PAYLOAD AS INT", "-12.9", "-12"),
        ("PAYLOAD AS BOOL", "2", "true"),
        ("PAYLOAD AS BOOL", "yes", "true"),
        ("PAYLOAD AS BOOL", "nope", "false"),
        ("PAYLOAD AS INT", "abc", "0"),
        ("PAYLOAD AS STRING", "abc", "abc"),
        ("PAYLOAD AS JSON", "{ \"a\" : [ 1 ] }", "{\"a\":[1]}"),
        ("PAYLOAD AS ARRAY", "[1, 2]", "[1,2]"),
        ("PAYLOAD AS OBJECT", "[1, 2]", "[1,2]"),
        ("PAYLOAD AS OBJECT", "{\"a\":[1]}", "{\"a\":[1]}"),
        ("PAYLOAD AS ARRAY", "{\"a\":[1]}", "{\"a\":[1]}"),
        ("[1, PAYLOAD] AS OBJECT", "2", "[1,2]"),
        ("PAYLOAD AS OBJECT AS STRING", "7", "null"),
        ("PAYLOAD AS OBJECT AS STRING", "nope", "null"),
        ("PAYLOAD AS TIMESTAMP", "2026-01-15 10:30:00", "2026-01-15T10:30:00.000Z"),
        ("PAYLOAD AS TIMESTAMP AS STRING", "soon", "null"),
        ("PAYLOAD AS TIMESTAMP AS INT", "2023-11-14T22:13:20.123Z", "1700000000"),
        ("PAYLOAD AS TIMESTAMP AS DOUBLE", "2023-11-14T22:13:20.123Z", "1700000000.123"),
        ("PAYLOAD AS TIMESTAMP AS BOOL", "0", "true"),
        ("PAYLOAD AS TIMESTAMP AS STRING", "0", "1970-01-01T00:00:00.000Z"),
        ("PAYLOAD AS TIMESTAMP AS ARRAY", "0", "[\"1970-01-01T00:00:00.000Z\"]"),
        ("PAYLOAD AS TIMESTAMP AS OBJECT AS STRING", "0", "null"),
        ("PAYLOAD AS TIMESTAMP AS JSON", "0", "1970-01-01T00:00:00.000Z"),
        ("PAYLOAD AS TIMESTAMP AS TIMESTAMP", "0", "1970-01-01T00:00:00.000Z"),
        ("-(3 AS TIMESTAMP)", "", "-3"),
        ("(PAYLOAD AS TIMESTAMP) - (1 AS TIMESTAMP)", "1970-01-01T00:00:03.500Z", "2.5"),
        ("PAYLOAD AS INT", "null", "0"),
        ("NULL AS INT", "", "0"),
        ("NULL AS DOUBLE", "", "0"),
        ("NULL AS BOOL", "", "false"),
        ("NULL AS STRING", "", "null"),
        ("TRUE AS INT", "", "1"),
        ("TRUE AS DOUBLE + 0.5", "", "1.5"),
        ("FALSE AS STRING", "", "false"),
        // Empty stays Empty in every cast (OD-14), and counts as 0 in arithmetic, as nothing in a
        // text.
        ("(GET TOPIC \"never\" AS INT) == EMPTY", "", "true"),
        ("(GET TOPIC \"never\" AS DOUBLE) == EMPTY", "", "true"),
        ("(GET TOPIC \"never\" AS BOOL) == EMPTY", "", "true"),
        ("(GET TOPIC \"never\" AS STRING) == EMPTY", "", "true"),
        ("(GET TOPIC \"never\" AS JSON) == EMPTY", "", "true"),
        ("(GET TOPIC \"never\" AS TIMESTAMP) == EMPTY", "", "true"),
        ("(GET TOPIC \"never\" AS INT) + 1", "", "1"),
        ("(GET TOPIC \"never\" AS DOUBLE) * 2.5 + 1", "", "1"),
        ("\"<\" + GET TOPIC \"never\" AS INT + \">\"", "", "<>"),
    ] {
        check_value(expression, payload, expected);
    }
}

/// §4, implicit coercion.
#[test]
fn operands_are_coerced() {
    for (expression, payload, expected) in [
        ("\"5\" + 1", "", "51"),
        ("PAYLOAD + 1", "Hi", "Hi1"),
        ("PAYLOAD + PAYLOAD", "2.5", "5"),
        ("PAYLOAD - 1", "abc", "-1"),
        ("PAYLOAD * \"3\"", "2", "6"),
        ("(PAYLOAD AS STRING) + 1", "2", "21"),
        ("{a} + 0.5", "", "7.5"),
        ("{a} - 0.5", "", "6.5"),
        ("{a} * 1.0", "", "7"),
        ("0.1 + 0.2", "", "0.30000000000000004"),
        ("8 / {b}", "", "4"),
        ("-7 % {b}", "", "-1"),
        ("7.5 % {b}", "", "1.5"),
        ("9223372036854775807 + {a}", "", "9.223372036854776e18"),
        ("-{a}", "", "-7"),
        ("-PAYLOAD", "4", "-4"),
        ("{a} == \"7\"", "", "true"),
        ("PAYLOAD IN [\"on\", \"off\"]", "off", "true"),
        ("PAYLOAD IN [1, 2]", "2.0", "true"),
        ("PAYLOAD IN [\"1\", \"2\"]", "2.0", "false"),
        // As `PAYLOAD AS JSON == EMPTY OR PAYLOAD AS JSON == 1`.
        ("PAYLOAD AS JSON IN [EMPTY, 1]", "null", "true"),
        ("PAYLOAD AS JSON IN [\"x\", EMPTY]", "null", "true"),
        ("PAYLOAD AS JSON IN [EMPTY, 1]", "2", "false"),
        ("PAYLOAD AS JSON IN [NULL, {unset}]", "null", "true"),
        ("{unset} IN [NULL]", "", "false"),
        ("PAYLOAD == 5 OR PAYLOAD == \"x\"", "x", "true"),
        ("PAYLOAD == EMPTY", "", "true"),
        ("NULL == EMPTY", "", "true"),
        ("\"\" == EMPTY", "", "true"),
        ("{a} == EMPTY", "", "false"),
        ("PAYLOAD != EMPTY", "x", "true"),
        ("PAYLOAD IS NOT EMPTY", "x", "true"),
        ("PAYLOAD < \"10\"", "9", "true"),
        ("PAYLOAD < \"b\"", "a", "true"),
        ("PAYLOAD >= 5", "5", "true"),
        ("PAYLOAD <= 4", "5", "false"),
        ("NOT PAYLOAD", "on", "false"),
        ("PAYLOAD ENDS_WITH \"or\"", "error", "true"),
        ("PAYLOAD NOT CONTAINS \"x\"", "error", "true"),
        ("PAYLOAD MATCHES REGEX \"^e.*r$\"", "error", "true"),
        ("PAYLOAD MATCHES REGEX \"(?<=a)b\"", "ab", "true"),
        ("PAYLOAD MATCHES REGEX \"(?<=a)b\"", "cb", "false"),
        ("TRUE AND FALSE OR TRUE", "", "true"),
        ("1.5 > {a}", "", "false"),
    ] {
        check_value(expression, payload, expected);
    }
}

/// §4, canonical text, and OD-13.
#[test]
fn values_print_canonically() {
    for (expression, payload, expected) in [
        ("77.0", "", "77"),
        ("2.50", "", "2.5"),
        ("0.00001", "", "0.00001"),
        ("0.000001", "", "1e-6"),
        ("100000 * 10000000000.0", "", "1000000000000000"),
        ("1000000000000000.0", "", "1000000000000000"),
        ("[1000000000000000.0, PAYLOAD]", "1e15", "[1000000000000000,1000000000000000]"),
        ("1000000000000001.0", "", "1.000000000000001e15"),
        ("TRUE", "", "true"),
        ("NULL", "", "null"),
        ("{ \"b\": 1.0, \"a\": [ TRUE, NULL, \"q\\\"\" ] }", "", "{\"b\":1,\"a\":[true,null,\"q\\\"\"]}"),
        ("{ \"n\": PAYLOAD }", "7", "{\"n\":7}"),
        ("{ \"n\": PAYLOAD }", "007", "{\"n\":\"007\"}"),
        ("{ \"n\": GET JSON \"v\" IN PAYLOAD }", "{\"v\":\"7\"}", "{\"n\":\"7\"}"),
        ("APPEND([], TRIM (GET JSON \"v\" IN PAYLOAD))", "{\"v\":\" 5e3 \"}", "[\"5e3\"]"),
        ("{ \"n\": PAYLOAD }", "x\"y", "{\"n\":\"x\\\"y\"}"),
        ("{ \"n\": PAYLOAD AS STRING }", "7", "{\"n\":\"7\"}"),
        ("{ \"n\": GET TOPIC \"never\" }", "", "{\"n\":null}"),
        ("{ \"n\": PAYLOAD AS JSON }", "[1, {\"a\": 2}]", "{\"n\":[1,{\"a\":2}]}"),
        ("{ \"n\": {a} * 0.5, \"m\": { \"k\": {s} } }", "", "{\"n\":3.5,\"m\":{\"k\":\"x\"}}"),
        ("[ PAYLOAD, {a} ]", "z", "[\"z\",7]"),
    ] {
        check_value(expression, payload, expected);
    }
}

/// §5.2: GET JSON.
#[test]
fn json_members_keep_their_kind() {
    let document = r#"{"a":{"b":"t","n":"5"},"a.b":9,"l":[{"k":1},[2,3]],"e":"","z":null,"t":true}"#;
    for (expression, expected) in [
        ("GET JSON \"a.b\" IN PAYLOAD", "9"),
        ("GET JSON \"a.n\" IN PAYLOAD + 1", "6"),
        ("GET JSON \"l[0].k\"", "1"),
        ("GET JSON \"l.1.0\" IN PAYLOAD", "2"),
        ("GET JSON \"l\" IN PAYLOAD", "[{\"k\":1},[2,3]]"),
        ("GET JSON \"z\" IN PAYLOAD", "null"),
        ("GET JSON \"none\" IN PAYLOAD", "null"),
        ("GET JSON \"none\" IN PAYLOAD AS BOOL", "false"),
        ("GET JSON \"none\" IN PAYLOAD AS DOUBLE", "0"),
        ("GET JSON \"t\" IN PAYLOAD AS INT", "1"),
        ("(GET JSON \"e\" IN PAYLOAD) == EMPTY", "true"),
        ("GET JSON \"k\" IN (GET JSON \"l[0]\" IN PAYLOAD)", "1"),
    ] {
        check_value(expression, document, expected);
    }
    check_value("GET JSON \"\" IN PAYLOAD", "[1, 2]", "[1,2]");
    check_value("GET JSON \"a\" IN PAYLOAD", "not json", "null");
    check_value("GET JSON \"a\" IN PAYLOAD", "{\"a\":1", "null");
    // A member of what is Empty is Null, whether that is known when it is compiled or not.
    check_value("\"<\" + {unset.a} + \">\"", "", "<null>");
    check("SET x = {x}\nPUBLISH TOPIC \"o\" WITH {x.a[0]}", "", &["o=null"]);
    check(
        "SET \"j\" WITH PAYLOAD\nPUBLISH TOPIC \"o\" WITH {j.a.l[1]} + \"/\" + {j.none}",
        r#"{"a":{"l":[1,2]}}"#,
        &["o=2/null"],
    );
}

#[test]
fn paths_may_be_computed() {
    for (expression, expected) in [
        ("GET JSON \"a[\" + {one} + \"].v\" IN PAYLOAD", "8"),
        ("GET JSON (\"a\" + \"[0].\" + \"v\") IN PAYLOAD", "7"),
        ("GET JSON (IF {one} == 1 THEN \"n\" ELSE \"a\") + 1", "6"),
        ("PAYLOAD JSON (\"n\")", "5"),
        // A whole path: the sum is that of the member.
        ("GET JSON \"n\" + {one}", "6"),
        ("GET JSON \"a[\" + 7 + \"]\"", "null"),
    ] {
        let body = format!("SET \"one\" WITH 1\nPUBLISH TOPIC \"o\" WITH {expression}");
        check(&body, r#"{"a":[{"v":7},{"v":8}],"n":5}"#, &[&format!("o={expected}")]);
    }
}

/// §5.3: transforms.
#[test]
fn transforms_change_text() {
    for (expression, payload, expected) in [
        ("FILTER PAYLOAD USING REGEX \"t=(?<value>[0-9]+)\"", "t=42C", "42"),
        ("FILTER PAYLOAD USING REGEX \"t=([0-9]+)\"", "t=42C", "t=42"),
        ("FILTER PAYLOAD USING REGEX \"(?<=t=)[0-9]+\"", "t=42C", "42"),
        ("FILTER PAYLOAD USING REGEX \"(?<=t=)(?<value>[0-9])[0-9]\"", "t=42C", "4"),
        ("FILTER PAYLOAD USING REGEX \"\\d+\" + 1", "t=42C", "43"),
        ("FILTER PAYLOAD USING CSV \"2\"", "a,b,c", "b"),
        ("REPLACE \"\" WITH \"_\" IN PAYLOAD", "a b", "a b"),
        ("REPLACE \"x\" WITH PAYLOAD IN \"a x\"", "7", "a 7"),
        ("REPLACE(PAYLOAD, \"a\", \"b\")", "banana", "bbnbnb"),
        ("SPLIT PAYLOAD USING \";\" AT 2", "a;b;c", "b"),
        ("SPLIT PAYLOAD USING \";\"", "a;b", "[\"a\",\"b\"]"),
        ("PAYLOAD AND_THEN UPPER AND_THEN REPLACE \"A\" WITH \"o\"", "banana", "BoNoNo"),
        ("UPPER(PAYLOAD)", "aé", "AÉ"),
        ("LOWER(PAYLOAD)", "AÉ", "aé"),
        ("LENGTH(PAYLOAD)", "né", "2"),
        ("LENGTH(PAYLOAD AS JSON)", "[1,2,3]", "3"),
        ("ABS(-7)", "", "7"),
        ("ROUND(PAYLOAD)", "2.5", "3"),
        ("ROUND(PAYLOAD, 1)", "2.55", "2.6"),
        ("FLOOR(PAYLOAD)", "-2.1", "-3"),
        ("CEIL(PAYLOAD)", "2.1", "3"),
        ("SQRT(PAYLOAD)", "9", "3"),
        ("MIN(PAYLOAD, {a}, {b})", "5", "2"),
        ("MAX(PAYLOAD, {a}, {b})", "5", "7"),
        ("MIN(PAYLOAD)", "5", "5"),
        ("MAX(PAYLOAD)", "abc", "0"),
        ("MAX({unset})", "", "0"),
        ("MIN({unset}, PAYLOAD, GET JSON \"x\" IN PAYLOAD)", "5", "5"),
        ("MAX(GET JSON \"x\" IN PAYLOAD, {unset}, PAYLOAD)", "-5", "-5"),
        ("MAX({unset}, {unset})", "", "0"),
        ("APPEND(PAYLOAD, {a})", "[1]", "[1,7]"),
        ("APPEND({unset}, PAYLOAD)", "x", "[\"x\"]"),
        ("APPEND(APPEND(PAYLOAD, 1), \"1\")", "[]", "[1,\"1\"]"),
        ("LAST(PAYLOAD, 2)", "[1, 2, 3]", "[2,3]"),
        ("LAST(PAYLOAD, {unset})", "[1, 2, 3]", "[]"),
        ("SUM(PAYLOAD) + 1", "[1, 2, 3]", "7"),
        ("SUM({unset})", "", "0"),
        ("SUM(PAYLOAD)", "[1, null, 2]", "3"),
        ("SUM([GET JSON \"x\" IN PAYLOAD, 4])", "{}", "4"),
        ("MEAN(PAYLOAD)", "[1, null, 2, null]", "1.5"),
        ("MEAN(PAYLOAD)", "[null]", "null"),
        ("MEAN(PAYLOAD)", "[1, 2]", "1.5"),
        ("MEAN(LAST(APPEND(PAYLOAD, 9), 2))", "[1, 2]", "5.5"),
        ("MEAN(PAYLOAD)", "[]", "null"),
        ("{a} IN APPEND(PAYLOAD, 7)", "[1]", "true"),
        ("STDDEV(PAYLOAD)", "[1, null, 5, 3]", "2"),
        ("STDDEV_POP(PAYLOAD)", "[1, 3]", "1"),
        ("STDDEV(PAYLOAD)", "7", "null"),
        ("STDDEV_POP(PAYLOAD)", "7", "0"),
        ("STDDEV_POP({unset})", "", "null"),
        ("ROUND(STDDEV(APPEND(PAYLOAD, 1000000000002)) + 1, 3)", "[1000000000000]", "2.414"),
        ("SIN(PAYLOAD)", "0.5", "0.479425538604203"),
        ("COS(PAYLOAD) + 1", "0", "2"),
        ("TAN(PAYLOAD)", "0", "0"),
        ("ACOS(PAYLOAD)", "-1", "3.141592653589793"),
        ("ASIN(PAYLOAD)", "2", "null"),
        ("ATAN2(PAYLOAD, -1)", "-1", "-2.356194490192345"),
        ("EXP(LN(PAYLOAD))", "1", "1"),
        ("LN(PAYLOAD)", "0", "null"),
        ("LOG10(PAYLOAD)", "1e-3", "-3"),
        ("POW(PAYLOAD, 3) + 1", "-2", "-7"),
        ("POW(PAYLOAD, 0.5)", "2", "1.4142135623730951"),
        ("POW(PAYLOAD, 63)", "2", "9.223372036854776e18"),
        ("POW({unset}, {unset})", "", "1"),
        ("POW(0, PAYLOAD)", "-1", "null"),
        ("COS(PAYLOAD)", "abc", "1"),
    ] {
        check_value(expression, payload, expected);
    }
    for expression in [
        "FILTER PAYLOAD USING REGEX \"[0-9]+\"",
        "FILTER PAYLOAD USING CSV \"9\"",
        "SPLIT PAYLOAD USING \";\" AT 9",
    ] {
        assert_eq!(value(expression, "none"), [""; 0], "{expression}: nothing is published (OD-24)");
    }
}

/// §5.2: TIMESTAMP.
#[test]
fn timestamp_renders_in_utc() {
    for (expression, expected) in [
        ("TIMESTAMP", "2026-01-15T10:30:00.123Z".to_owned()),
        ("TIMESTAMP \"ISO\"", "2026-01-15T10:30:00.123Z".to_owned()),
        ("TIMESTAMP WITH \"UTC\"", "2026-01-15 10:30:00".to_owned()),
        ("TIMESTAMP \"UNIX\"", (NOW_MS / 1000).to_string()),
        ("TIMESTAMP \"UNIX-MS\"", NOW_MS.to_string()),
        ("TIMESTAMP \"UNIX_MS\" - 1", (NOW_MS - 1).to_string()),
        ("TIMESTAMP \"HOUR\" + 1", "11".to_owned()),
        ("TIMESTAMP \"WEEKDAY\"", "4".to_owned()),
        ("TIMESTAMP \"yyyy-MM-dd'T'HH:mm:ss.fff zzz\"", "2026-01-15T10:30:00.123 +00:00".to_owned()),
        ("TIMESTAMP \"dddd, d MMMM yy h:mm tt\"", "Thursday, 15 January 26 10:30 AM".to_owned()),
    ] {
        check_value(expression, "", &expected);
    }
}

/// Ours: LOCAL TIMESTAMP. The broker of the bench is in Nepal.
#[test]
fn local_timestamp_renders_in_the_local_time_zone() {
    for (expression, expected) in [
        ("LOCAL TIMESTAMP", "2026-01-15T16:15:00.123+05:45"),
        ("LOCAL TIMESTAMP \"ISO\"", "2026-01-15T16:15:00.123+05:45"),
        ("LOCAL TIMESTAMP WITH \"yyyy-MM-dd HH:mm\"", "2026-01-15 16:15"),
        ("LOCAL TIMESTAMP \"HOUR\" + 1", "17"),
        ("\"at \" + LOCAL TIMESTAMP \"HH:mm:ss zzz\" AND_THEN UPPER", "AT 16:15:00 +05:45"),
        ("\"x\" + TIMESTAMP \"HH\" + LOCAL TIMESTAMP \"HH\"", "x1016"),
    ] {
        check_value(expression, "", expected);
    }
}

/// Ours: TIMESTAMP … OF, LOCAL TIMESTAMP … OF.
#[test]
fn timestamp_of_a_value_renders_the_given_time() {
    for (expression, payload, expected) in [
        ("LOCAL TIMESTAMP \"yyyy-MM-dd HH:mm\" OF PAYLOAD", "2026-01-15T18:30:00Z", "2026-01-16 00:15"),
        ("LOCAL TIMESTAMP OF PAYLOAD", "1768473000", "2026-01-15T16:15:00.000+05:45"),
        ("LOCAL TIMESTAMP \"DAY\" OF (TIMESTAMP \"UNIX\" - 86400) + 1", "", "15"),
        ("LOCAL TIMESTAMP \"HH\" OF PAYLOAD AS TIMESTAMP", "1768473000123", "16"),
        ("LOCAL TIMESTAMP \"HH:mm\" OF GET JSON \"t\" IN PAYLOAD", "{\"t\":0}", "05:30"),
        ("\"at \" + LOCAL TIMESTAMP \"HH\" OF {a} + \"h\"", "", "at 05h"),
        ("TIMESTAMP OF PAYLOAD", "2026-01-15 11:30:00.5+01:00", "2026-01-15T10:30:00.500Z"),
        ("TIMESTAMP \"UNIX\" OF PAYLOAD", "2026-01-15T10:30:00Z", "1768473000"),
        ("TIMESTAMP \"UNIX-MS\" OF PAYLOAD + 1", "1969-12-31T23:59:59.999Z", "0"),
        ("TIMESTAMP WITH \"UTC\" OF PAYLOAD", "0", "1970-01-01 00:00:00"),
        ("TIMESTAMP \"WEEKDAY\" OF TIMESTAMP", "", "4"),
        ("LOCAL TIMESTAMP \"HH\" OF PAYLOAD", "soon", "null"),
        ("TIMESTAMP \"UNIX\" OF PAYLOAD", "soon", "null"),
        ("(TIMESTAMP \"UNIX\" OF (GET JSON \"t\" IN PAYLOAD)) == EMPTY", "{}", "true"),
    ] {
        check_value(expression, payload, expected);
    }
    assert_eq!(value("LOCAL TIMESTAMP \"HH\" OF GET TOPIC \"never\"", ""), [""; 0]);
}

/// A value that takes the name LOCAL, or stands before one that takes TIMESTAMP, is none.
#[test]
fn names_are_no_local_time() {
    let source = on_in(
        "CALL ACTION Called WITH LOCAL = 1, TIMESTAMP = 2 RETURN AS {sum}\nPUBLISH TOPIC \"o\" WITH {sum}",
    );
    let called = "DEFINE ACTION Called\nINPUT LOCAL AS INT\nINPUT TIMESTAMP AS INT\nDO\n    SET \"sum\" WITH {LOCAL} + {TIMESTAMP}\nRETURN\n    OUTPUT sum\n";
    assert_eq!(Bench::new(&format!("{called}{source}")).send("in", "x").published(), ["o=3"]);
}

/// OD-21: the switch.
#[test]
fn utc_is_iso_where_the_switch_says_so() {
    for (utc_as_iso, expected) in [(false, "o=2026-01-15 10:30:00"), (true, "o=2026-01-15T10:30:00.123Z")] {
        let compat = Compat { utc_as_iso, ..Compat::default() };
        let model = "DEFINE MODEL M COLLAPSED WITH TOPIC \"m\"\n    ADD STRING \"t\" WITH TOPIC \"in\" AS TRIGGER\n    ADD TIMESTAMP \"at\" WITH TIMESTAMP \"UTC\"\n";
        let source = format!("{}{model}", on_in("PUBLISH TOPIC \"o\" WITH TIMESTAMP \"UTC\""));
        let shown = format!("m={{\"t\":\"x\",\"at\":\"{}\"}}", &expected[2..]);
        assert_eq!(Bench::compatible(&source, compat).send("in", "x").published(), [expected, &shown]);
    }
}

/// §5.2: RANDOM.
#[test]
fn random_values_stay_in_their_range() {
    let number = |expression: &str| -> f64 {
        value(expression, "").first().and_then(|line| line.strip_prefix("o=")?.parse().ok()).unwrap()
    };
    for (expression, low, high, whole) in [
        ("RANDOM INT BETWEEN 1 AND 6", 1.0, 6.0, true),
        ("RANDOM INT BETWEEN 6 AND 1", 1.0, 6.0, true),
        ("RANDOM BETWEEN 1 AND 6", 1.0, 6.0, true),
        ("RANDOM DOUBLE BETWEEN 1 AND 2", 1.0, 2.0, false),
        ("RANDOM BETWEEN 1.5 AND 2", 1.5, 2.0, false),
        ("RANDOM INT BETWEEN 1 AND 6 + 100", 101.0, 106.0, true),
    ] {
        let number = number(expression);
        assert!((low..=high).contains(&number), "{expression}: {number}");
        assert_eq!(number.fract() == 0.0, whole, "{expression}: {number}");
    }
    let uuid = value("RANDOM UUID", "").concat();
    assert_eq!((uuid.len(), uuid.as_bytes()[16]), (38, b'4'), "{uuid}");
}

#[test]
fn numbers_that_a_double_would_round_are_compared_as_texts() {
    let json = |a: &str, b: &str| format!("{{\"a\":{a},\"b\":{b}}}");
    let is = "(GET JSON \"a\") == (GET JSON \"b\")";
    for (a, b, expected) in [
        ("\"12345678901234567890\"", "\"12345678901234567891\"", "false"),
        ("\"12345678901234567890\"", "\"12345678901234567890\"", "true"),
        ("\"1234567890123456\"", "\"1234567890123456.0\"", "false"),
        ("\"7\"", "\"7.0\"", "true"),
        ("9007199254740993", "9007199254740992", "false"),
    ] {
        check_value(is, &json(a, b), expected);
    }
}

#[test]
fn absent_value_is_contained_in_no_text() {
    for condition in [
        "PAYLOAD CONTAINS GET TOPIC \"none\"",
        "PAYLOAD STARTS_WITH GET TOPIC \"none\"",
        "PAYLOAD ENDS_WITH (GET JSON \"none\" IN \"{}\")",
        "(GET TOPIC \"none\") IN PAYLOAD",
        "(GET TOPIC \"none\") IN \"abc\"",
    ] {
        check_value(&format!("IF {condition} THEN \"yes\" ELSE \"no\""), "payload", "no");
    }
    check_value("IF PAYLOAD CONTAINS \"\" THEN \"yes\" ELSE \"no\"", "payload", "yes");
}
