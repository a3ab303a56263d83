//! Properties of MQTT 5.0: read, published and answered, in both forms of a compiled program.

use lot_to_wasm::Form;
use lotmq_codec::{PropertyBuf, PropertyId, PropertyValue};
use lotmq_host::{BorrowedMessage, RunOutcome};

use crate::bench::{Bench, NOW_MS, on_in};

fn list(properties: &[(PropertyId, PropertyValue<'_>)]) -> PropertyBuf {
    let mut list = PropertyBuf::new();
    for (id, value) in properties {
        list.push(*id, *value).unwrap();
    }
    list
}

/// A message with one of everything, and with two properties of one name.
fn request() -> PropertyBuf {
    list(&[
        (PropertyId::ContentType, PropertyValue::Utf8("text/x")),
        (PropertyId::ResponseTopic, PropertyValue::Utf8("answers/1")),
        (PropertyId::CorrelationData, PropertyValue::Binary(b"\xff\x001")),
        (PropertyId::UserProperty, PropertyValue::Utf8Pair("site", "01")),
        (PropertyId::UserProperty, PropertyValue::Utf8Pair("site", "02")),
        (PropertyId::UserProperty, PropertyValue::Utf8Pair("level", "4")),
    ])
}

/// Returns the messages and reports of statements for a message.
fn run_with(form: Form, statements: &str, properties: &PropertyBuf) -> (Vec<String>, Vec<String>) {
    let mut bench = Bench::with_form(&on_in(statements), form);
    let now_ms = u64::try_from(NOW_MS).unwrap();
    bench.send_message(BorrowedMessage {
        properties: properties.properties().raw(),
        expires_at_ms: properties.properties().response_topic().map(|_| now_ms + 8_500),
        ..BorrowedMessage::new("in", b"5")
    });
    assert_eq!(bench.failures(), []);
    (bench.published(), bench.reports())
}

#[track_caller]
fn check(statements: &str, properties: &PropertyBuf, published: &[&str], reported: &[&str]) {
    for form in [Form::Linked, Form::Standalone] {
        let (is_published, is_reported) = run_with(form, statements, properties);
        assert_eq!(is_published, published, "{form:?} {statements}");
        assert_eq!(is_reported, reported, "{form:?} {statements}");
    }
}

#[test]
fn properties_of_the_message_are_values() {
    for (value, expected) in [
        ("USER PROPERTY \"site\"", "01"),
        ("USER PROPERTY \"site\" + 1", "2"),
        ("USER PROPERTY (\"le\" + \"vel\") AS INT + 1", "5"),
        ("USER PROPERTY {k}", "4"),
        ("\"<\" + USER PROPERTY \"none\" + \">\"", "<>"),
        ("RESPONSE TOPIC", "answers/1"),
        ("CONTENT TYPE AND_THEN UPPER", "TEXT/X"),
        ("MESSAGE EXPIRY", "9"),
        ("\"<\" + CORRELATION DATA", "<\u{fffd}\u{0}1"),
        ("{ \"n\": USER PROPERTY \"none\", \"s\": USER PROPERTY \"site\" }", "{\"n\":null,\"s\":\"01\"}"),
    ] {
        let statements = format!("SET \"k\" WITH \"level\"\nPUBLISH TOPIC \"o\" WITH {value}");
        check(&statements, &request(), &[&format!("o={expected}")], &[]);
    }
}

#[test]
fn missing_message_properties_are_empty() {
    let all = "IF USER PROPERTY \"site\" == EMPTY AND RESPONSE TOPIC == EMPTY AND CORRELATION DATA == EMPTY AND CONTENT TYPE == EMPTY AND MESSAGE EXPIRY == EMPTY THEN\n    PUBLISH TOPIC \"o\" WITH \"none\"";
    check(all, &PropertyBuf::new(), &["o=none"], &[]);
    check(all, &request(), &[], &[]);
}

#[test]
fn correlation_data_stays_as_it_came() {
    let mut bench = Bench::new(&on_in(
        "SET \"d\" WITH CORRELATION DATA\nIF {d} != \"x\" THEN\n    KEEP TOPIC \"k\" WITH {d}",
    ));
    let list = request();
    bench.send_message(BorrowedMessage {
        properties: list.properties().raw(),
        ..BorrowedMessage::new("in", b"")
    });
    assert_eq!(bench.bytes("k").unwrap(), b"\xff\x001");
}

#[test]
fn published_message_has_the_properties_of_its_statement() {
    for (options, expected) in [
        ("WITH USER PROPERTY \"a\" = 1", "o=5 [a: 1]"),
        ("AND USER PROPERTY \"a\" = TRUE AND FALSE WITH QOS 1", "o=5 AtLeastOnce [a: false]"),
        (
            "WITH USER PROPERTY \"a\" = 1 WITH USER PROPERTY {k} = PAYLOAD RETAIN",
            "o=5 retain [a: 1] [key: 5]",
        ),
        ("WITH USER PROPERTY \"a\" = \"\"", "o=5 [a: ]"),
        ("WITH USER PROPERTY \"a\" = EMPTY WITH USER PROPERTY \"b\" = NULL", "o=5"),
        ("WITH CONTENT TYPE CONTENT TYPE", "o=5 [ContentType text/x]"),
        ("WITH RESPONSE TOPIC \"r/\" + PAYLOAD", "o=5 [ResponseTopic r/5]"),
        ("WITH CORRELATION DATA CORRELATION DATA", "o=5 [CorrelationData \u{fffd}\u{0}1]"),
        ("WITH CORRELATION DATA PAYLOAD AS BYTES", "o=5 [CorrelationData 5]"),
        ("WITH MESSAGE EXPIRY MESSAGE EXPIRY + 1", "o=5 [MessageExpiryInterval 10]"),
        ("WITH MESSAGE EXPIRY 4294967295", "o=5 [MessageExpiryInterval 4294967295]"),
        ("WITH MESSAGE EXPIRY GET TOPIC \"none\"", "o=5"),
        ("WITH USER PROPERTY \"a\" = 1 WITH USER PROPERTIES", "o=5 [site: 01] [site: 02] [level: 4] [a: 1]"),
        (
            "WITH USER PROPERTIES WITH RESPONSE TOPIC RESPONSE TOPIC WITH CORRELATION DATA CORRELATION DATA",
            "o=5 [ResponseTopic answers/1] [CorrelationData \u{fffd}\u{0}1] [site: 01] [site: 02] [level: 4]",
        ),
    ] {
        let statements = format!("SET \"k\" WITH \"key\"\nPUBLISH TOPIC \"o\" WITH PAYLOAD {options}");
        check(&statements, &request(), &[expected], &[]);
    }
    // None of them is there to be passed on.
    check("PUBLISH TOPIC \"o\" WITH 1 WITH USER PROPERTIES", &PropertyBuf::new(), &["o=1"], &[]);
}

#[test]
fn property_that_no_packet_can_hold_is_reported_and_not_published() {
    for options in [
        "RESPONSE TOPIC \"a/+\"",
        "RESPONSE TOPIC \"\"",
        "CONTENT TYPE CORRELATION DATA",
        "USER PROPERTY CORRELATION DATA = 1",
        "MESSAGE EXPIRY 0 - 1",
        "MESSAGE EXPIRY 4294967296",
        "USER PROPERTY \"a\" = {long}",
    ] {
        let options = options.replace("PROPERTY CORRELATION DATA", "PROPERTY (CORRELATION DATA)");
        let statements = format!(
            "SET \"long\" WITH \"12345678\"\nSET \"n\" WITH 0\nLOOP\n    SET \"long\" WITH {{long}} + {{long}}\n    SET \"n\" WITH {{n}} + 1\nUNTIL {{n}} == 14\nPUBLISH TOPIC \"o\" WITH 1 WITH {options}\nPUBLISH TOPIC \"o\" WITH 2"
        );
        check(&statements, &request(), &["o=2"], &["error LOT623 9:5"]);
    }
}

#[test]
fn property_with_discouraged_characters_is_reported_and_not_published() {
    for option in [
        "USER PROPERTY \"a\" = PAYLOAD",
        "USER PROPERTY (PAYLOAD) = 1",
        "USER PROPERTY \"a\" = \"1\" + PAYLOAD WITH USER PROPERTY \"b\" = 2",
        "CONTENT TYPE PAYLOAD",
        "RESPONSE TOPIC PAYLOAD",
    ] {
        for text in ["bad\u{1}", "a\nb", "\u{80}", "\u{fdd0}"] {
            let mut bench = Bench::new(&on_in(&format!(
                "PUBLISH TOPIC \"o\" WITH 1 WITH {option}\nPUBLISH TOPIC \"o\" WITH 2"
            )));
            bench.send("in", text);
            assert_eq!(bench.published(), ["o=2"], "{option} {text:?}");
            assert_eq!(bench.reports(), ["error LOT623 3:5"], "{option} {text:?}");
        }
    }
    // Data of any kind is no text.
    let mut bench = Bench::new(&on_in("PUBLISH TOPIC \"o\" WITH 1 WITH CORRELATION DATA PAYLOAD"));
    bench.send("in", "\n");
    assert_eq!(bench.published(), ["o=1 [CorrelationData \n]"]);
}

#[test]
fn a_text_that_is_no_number_of_seconds_is_reported_and_nothing_is_published() {
    for text in ["a/#", "NaN", "", " ", "-1", "1e99", "4294967296"] {
        for form in [Form::Linked, Form::Standalone] {
            let statements =
                "PUBLISH TOPIC \"o\" WITH 1 WITH MESSAGE EXPIRY PAYLOAD\nPUBLISH TOPIC \"o\" WITH 2";
            let mut bench = Bench::with_form(&on_in(statements), form);
            bench.send("in", text);
            assert_eq!(bench.published(), ["o=2"], "{form:?} {text:?}");
            assert_eq!(bench.reports(), ["error LOT623 3:5"], "{form:?} {text:?}");
        }
    }
    for (text, seconds) in [("7", 7), ("0", 0), ("2.9", 2), ("4294967295", u32::MAX)] {
        let mut bench = Bench::new(&on_in("PUBLISH TOPIC \"o\" WITH 1 WITH MESSAGE EXPIRY PAYLOAD"));
        bench.send("in", text);
        assert_eq!(bench.published(), [format!("o=1 [MessageExpiryInterval {seconds}]")], "{text}");
        assert_eq!(bench.reports(), [""; 0], "{text}");
    }
}

#[test]
fn failed_property_expression_is_reported_at_its_statement() {
    let statements = "PUBLISH TOPIC \"o\" WITH 1 WITH MESSAGE EXPIRY PAYLOAD / 0\nPUBLISH TOPIC \"o\" WITH 2 WITH USER PROPERTY \"a\" = PAYLOAD / 0";
    check(statements, &request(), &["o=1", "o=2"], &["error LOT602 3:5", "error LOT602 4:5"]);
}

#[test]
fn a_request_is_answered_with_its_own_correlation_data() {
    check("REPLY WITH PAYLOAD * 2", &request(), &["answers/1=10 [CorrelationData \u{fffd}\u{0}1]"], &[]);
    check(
        "REPLY WITH { \"ok\": TRUE } QOS 1 WITH CONTENT TYPE \"application/json\" WITH USER PROPERTIES",
        &request(),
        &[
            "answers/1={\"ok\":true} AtLeastOnce [ContentType application/json] [CorrelationData \u{fffd}\u{0}1] [site: 01] [site: 02] [level: 4]",
        ],
        &[],
    );
    let bare = list(&[(PropertyId::ResponseTopic, PropertyValue::Utf8("r"))]);
    check("REPLY WITH 1", &bare, &["r=1"], &[]);
    check("REPLY WITH GET TOPIC \"none\"", &bare, &[], &["warning LOT603 3:5"]);
}

#[test]
fn reply_without_a_request_is_reported_and_the_run_continues() {
    let statements = "REPLY WITH 1\nPUBLISH TOPIC \"o\" WITH 2";
    check(statements, &PropertyBuf::new(), &["o=2"], &["error LOT622 3:5"]);
    let own = list(&[(PropertyId::ResponseTopic, PropertyValue::Utf8("$SYS/Coreflux/Command"))]);
    check(statements, &own, &["o=2"], &["error LOT611 3:5"]);
    // A run that was called without a message has no requester to answer.
    let mut bench =
        Bench::new("DEFINE ACTION A\nDO\n    REPLY WITH 1\n    PUBLISH TOPIC \"o\" WITH RESPONSE TOPIC\n");
    assert_eq!(bench.call(&[]), RunOutcome::Done(Vec::new()));
    assert_eq!(
        (bench.published(), bench.reports()),
        (vec![], vec!["error LOT622 3:5".to_owned(), "warning LOT603 4:5".to_owned()])
    );
}

#[test]
fn nothing_of_a_message_is_left_for_the_next() {
    let mut bench = Bench::new(&on_in("PUBLISH TOPIC \"o\" WITH \"<\" + CONTENT TYPE WITH USER PROPERTIES"));
    let list = request();
    for _ in 0..3 {
        bench.send_message(BorrowedMessage {
            properties: list.properties().raw(),
            ..BorrowedMessage::new("in", b"")
        });
        assert_eq!(bench.published(), ["o=<text/x [site: 01] [site: 02] [level: 4]"]);
        bench.send_message(BorrowedMessage::new("in", b""));
        assert_eq!(bench.published(), ["o=<"]);
    }
}
