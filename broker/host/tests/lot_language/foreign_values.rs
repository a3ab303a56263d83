//! Values that others send: numbers with many digits, bytes that are not UTF-8, offsets of times.

use crate::bench::{Bench, on_in};

/// Evaluates an expression for a payload.
fn value(expression: &str, payload: impl Into<Vec<u8>>) -> String {
    let mut bench = Bench::new(&on_in(&format!("PUBLISH TOPIC \"o\" WITH {expression}")));
    let published = bench.send("in", payload.into()).published();
    published.concat().strip_prefix("o=").unwrap().to_owned()
}

#[test]
fn whole_numbers_beyond_64_bits_keep_their_digits() {
    const A: &str = "18446744073709551615";
    const B: &str = "18446744073709551614";
    let payload = format!("\u{feff}{{\"a\":{A},\"b\":{B},\"l\":[{B}],\"h\":1e400}}");
    for (expression, expected) in [
        ("GET JSON \"a\" IN PAYLOAD", A.to_owned()),
        ("(GET JSON \"a\" IN PAYLOAD AS STRING)", A.to_owned()),
        ("{\"id\": GET JSON \"a\" IN PAYLOAD}", format!("{{\"id\":{A}}}")),
        ("(GET JSON \"a\" IN PAYLOAD) == (GET JSON \"b\" IN PAYLOAD)", "false".to_owned()),
        ("(GET JSON \"a\" IN PAYLOAD) > (GET JSON \"b\" IN PAYLOAD)", "true".to_owned()),
        ("(GET JSON \"a\" IN PAYLOAD) IN (GET JSON \"l\" IN PAYLOAD)", "false".to_owned()),
        ("LAST(GET JSON \"l\" IN PAYLOAD, 1)", format!("[{B}]")),
        ("{\"h\": GET JSON \"h\" IN PAYLOAD}", "{\"h\":1e400}".to_owned()),
    ] {
        assert_eq!(value(expression, payload.as_str()), expected, "{expression}");
    }
}

#[test]
fn small_fractions_stay_numbers_in_json() {
    for number in ["0.06666666666666667", "-0.30000000000000004", "0.00012345678901234"] {
        assert_eq!(value("{\"p\": PAYLOAD}", number), format!("{{\"p\":{number}}}"));
        assert_eq!(value("APPEND([1], PAYLOAD)", number), format!("[1,{number}]"));
    }
    assert_eq!(value("[PAYLOAD]", "123456789012345678901"), "[\"123456789012345678901\"]");
}

#[test]
fn bytes_that_are_not_utf_8_are_equal_to_the_same_bytes_only() {
    for expression in ["PAYLOAD == GET TOPIC \"pin\"", "PAYLOAD IN GET TOPIC \"pin\""] {
        let mut bench = Bench::new(&on_in(&format!("PUBLISH TOPIC \"o\" WITH {expression}")));
        bench.send("pin", *b"pin\xff");
        assert_eq!(bench.send("in", *b"pin\xfe").published(), ["o=false"], "{expression}");
        assert_eq!(bench.send("in", *b"pin\xff").published(), ["o=true"], "{expression}");
        assert_eq!(bench.send("in", "pin\u{fffd}").published(), ["o=false"], "{expression}");
    }
}

#[test]
fn offsets_of_times_are_those_of_the_standards() {
    for (text, expected) in [
        ("2026-01-05T11:00:00+01:00", "2026-01-05T10:00:00.000Z"),
        ("2026-01-05 11:00:00+01", "2026-01-05T10:00:00.000Z"),
        ("2026-01-05t10:00:00z", "2026-01-05T10:00:00.000Z"),
        ("2026-01-05T10:00:00+99:99", "null"),
        ("2026-01-05T10:00:00+01:60", "null"),
    ] {
        assert_eq!(value("((PAYLOAD AS TIMESTAMP) AS STRING)", text), expected, "{text}");
    }
}
