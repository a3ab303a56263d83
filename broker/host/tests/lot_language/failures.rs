//! Run-time errors: each is reported with its place and ends at most the run.

use crate::bench::{Bench, on_in};
use lotmq_host::RunOutcome;
use lotmq_host::limits::{WRITE_BYTES_PER_RUN_MAX, WRITES_PER_RUN_MAX};

#[test]
fn operands_that_are_no_numbers_are_reported_where_they_are() {
    let mut bench = Bench::new(&on_in(
        "PUBLISH TOPIC \"o\" WITH PAYLOAD * 2\nSET \"x\" WITH 1 / (PAYLOAD AS INT)\nPUBLISH TOPIC \"o\" WITH {x}",
    ));
    assert_eq!(bench.send("in", "abc").published(), ["o=0", "o=null"]);
    assert_eq!(bench.reports(), ["warning LOT601 3:5", "error LOT602 4:5", "warning LOT612 4:5"]);
    assert_eq!(bench.send("in", "2").published(), ["o=4", "o=0.5"]);
    assert_eq!(bench.reports(), [""; 0]);
}

#[test]
fn members_behind_the_equal_one_are_not_looked_at() {
    let mut bench = Bench::new(&on_in(
        "IF PAYLOAD IN [\"a\", PAYLOAD % 60] THEN\n    PUBLISH TOPIC \"o\" WITH 1\nSWITCH PAYLOAD\n    CASE \"a\", PAYLOAD % 60 THEN\n        PUBLISH TOPIC \"o\" WITH 2",
    ));
    assert_eq!(bench.send("in", "a").published(), ["o=1", "o=2"]);
    assert_eq!(bench.reports(), [""; 0]);
    assert_eq!(bench.send("in", "b").published(), [""; 0]);
    assert_eq!(bench.reports(), ["warning LOT601 3:5", "warning LOT601 5:5"]);
}

#[test]
fn a_run_does_not_hear_of_another_ones_faults() {
    let mut bench =
        Bench::new(&on_in("IF PAYLOAD > 5 THEN\n    PUBLISH TOPIC \"o\" WITH (GET TOPIC \"never\")"));
    bench.send("in", "abc");
    assert_eq!(bench.reports(), ["warning LOT601 3:5", "warning LOT603 4:9"]);
    bench.send("in", "6");
    assert_eq!(bench.reports(), ["warning LOT603 4:9"]);
}

#[test]
fn warnings_are_reported_at_doubled_counts_and_errors_each_time() {
    let program = on_in(
        "IF PAYLOAD > 50 THEN\n    SET \"x\" WITH 1\nSET \"y\" WITH PAYLOAD * 2\nSET \"z\" WITH 1 / {y}",
    );
    let mut bench = Bench::new(&program);
    for count in 1..=20_u32 {
        bench.send("in", "abc");
        let warnings = ["warning LOT601 3:5", "warning LOT601 5:5"];
        let expected = if count.is_power_of_two() { &warnings[..] } else { &[] };
        let (reports, errors): (Vec<_>, Vec<_>) =
            bench.reports().into_iter().partition(|report| report.starts_with("warning"));
        assert_eq!(reports, expected, "run {count}");
        assert_eq!(errors, ["error LOT602 6:5"], "run {count}");
    }
}

#[test]
fn writing_to_the_system_tree_is_refused() {
    let mut bench = Bench::new(&on_in("PUBLISH TOPIC PAYLOAD WITH 1\nPUBLISH TOPIC \"o\" WITH 2"));
    assert_eq!(bench.send("in", "$SYS/x").published(), ["o=2"]);
    assert_eq!(bench.reports(), ["error LOT611 3:5"]);
}

#[test]
fn one_write_too_many_ends_the_run() {
    let mut bench = Bench::new(&on_in(
        "SET \"i\" WITH 0\nLOOP\n    SET \"i\" WITH {i} + 1\n    PUBLISH TOPIC \"o\" WITH {i}\nUNTIL {i} >= 20000\nPUBLISH TOPIC \"never\" WITH 1",
    ));
    for _ in 0..2 {
        let published = bench.send("in", "").published();
        assert_eq!((published.len(), published.last().map(String::as_str)), (10_000, Some("o=10000")));
        let [error] = bench.failures().try_into().unwrap();
        assert_eq!((error.code.as_str(), error.line, error.column), ("LOT609", 6, 9));
        let mib = WRITE_BYTES_PER_RUN_MAX >> 20;
        let text =
            format!("the run has written all that it may: {WRITES_PER_RUN_MAX} messages, or {mib} MiB");
        assert_eq!(&*error.message, text);
        assert_eq!(bench.reports(), [""; 0]);
    }
}

#[test]
fn an_action_that_calls_itself_for_ever_says_so_once() {
    let rec = "DEFINE ACTION Rec\nDO\n    CALL ACTION Rec\n";
    let mut bench = Bench::new(&format!("{}\n{rec}", on_in("CALL ACTION Rec")));
    bench.send("in", "");
    let [error] = bench.failures().try_into().unwrap();
    let cause = "calls are nested deeper than 16: 'Rec' was not called";
    assert_eq!(error.message, format!("called action `Rec` failed: {cause}"));
}

#[test]
fn memory_of_a_run_is_given_back() {
    let mut bench = Bench::new(&on_in(
        "SET \"i\" WITH 0\nSET \"t\" WITH \"\"\nLOOP\n    SET \"t\" WITH {t} + PAYLOAD\n    SET \"i\" WITH {i} + 1\nUNTIL {i} >= 200\nPUBLISH TOPIC \"o\" WITH LENGTH({t})",
    ));
    // Each run takes about 2 MB for the texts on the way; 200 of them are far beyond the 64 MB of
    // an instance.
    let payload = "x".repeat(100);
    for _ in 0..200 {
        assert_eq!(bench.send("in", &payload).published(), ["o=20000"]);
    }
}

#[test]
fn patterns_outlive_runs() {
    let mut bench = Bench::new(&on_in(
        "PUBLISH TOPIC \"o\" WITH FILTER PAYLOAD USING REGEX \"(a|b)*c{2,5}[0-9]+\"\nPUBLISH TOPIC \"p\" WITH PAYLOAD MATCHES REGEX \"^x+y?$\"",
    ));
    for round in 0..50 {
        let payload = format!("{}abcc{round}", "ab".repeat(round * 40));
        assert_eq!(
            bench.send("in", &payload).published(),
            [format!("o={payload}"), "p=false".to_owned()],
            "round {round}"
        );
    }
}

#[test]
fn a_long_search_is_not_made_on_a_thread_that_others_wait_for() {
    let program = on_in(r#"PUBLISH TOPIC "o" WITH FILTER PAYLOAD USING REGEX "(?=a)((a|aa)+)+\1$""#);
    let text = format!("{}b", "a".repeat(60));
    let mut bench = Bench::new(&program);
    assert_eq!(bench.send_in_slice("in", text.as_bytes()), RunOutcome::SliceExpired);
    // Elsewhere it may take its time.
    let mut bench = Bench::new(&program);
    assert_eq!(bench.send("in", &text).published(), [""; 0]);
    assert_eq!(bench.reports(), ["error PATTERN 3:28"]);
    assert_eq!(bench.send_in_slice("in", b"aaaa"), RunOutcome::Done(Vec::new()));
}
