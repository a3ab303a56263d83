//! `lotmq store warm`: what is stored is compiled before a broker of a new version starts.
//!
//! An upgrade is a cache without the code of what is stored.

use std::fs;

use lotmq_test_support::{Finished, Program};
use serde_json::Value;

use crate::LOTMQ;
use crate::cold_start::{Cold, add_scale, cold, slow};

fn warm(cold: &Cold, more: &[&str]) -> Finished {
    let data = cold.broker.data().to_str().unwrap();
    let arguments = [&["store", "warm", "--json", "--data", data], more].concat();
    Program::start(LOTMQ, &arguments).unwrap().wait()
}

/// Lines of a run: of each program its name and result, and the numbers at the end.
fn read(ran: &Finished) -> (Vec<(String, String)>, Value) {
    let mut lines: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let numbers = lines.pop().unwrap_or_else(|| panic!("{}", ran.stderr));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (lines.iter().map(|line| (text(&line["name"]), text(&line["outcome"]))).collect(), numbers)
}

fn outcome(ran: &Finished, name: &str) -> String {
    let (programs, _) = read(ran);
    let found = programs.into_iter().find(|(known, _)| known == name);
    found.unwrap_or_else(|| panic!("no {name}: {}{}", ran.stdout, ran.stderr)).1
}

const ACTION: &str =
    "-addAction DEFINE ACTION Doubles\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"out\" WITH PAYLOAD * 2\n";

const RULE: &str = "-addRule DEFINE RULE Mine WITH PRIORITY 7 FOR Publish TO TOPIC \"mine/#\"\n    IF USER IS \"root\" THEN\n        ALLOW\n    ELSE\n        DENY\n";

#[test]
fn store_warm_compiles_code_that_the_next_broker_start_uses() {
    let mut cold = Cold::start(cold());
    cold.add(&add_scale(&slow(crate::modules::SCALE)));
    cold.broker.command_ok(ACTION);
    cold.broker.command_ok(RULE);
    for is_running in [true, false] {
        if !is_running {
            assert!(cold.broker.stop().success());
        }
        cold.forget_code();
        let first = warm(&cold, &[]);
        assert_eq!(first.status.code(), Some(0), "{}{}", first.stdout, first.stderr);
        for name in ["scale", "Doubles", "Mine"] {
            assert_eq!(outcome(&first, name), "compiled", "{}", first.stdout);
        }
        let (_, numbers) = read(&first);
        assert_eq!((&numbers["failed"], &numbers["left"]), (&0.into(), &0.into()), "{numbers}");
        let second = warm(&cold, &[]);
        assert_eq!(outcome(&second, "scale"), "cached");
        assert_eq!(read(&second).1["compiled"], 0, "{}", second.stdout);
        if is_running {
            assert!(cold.broker.stop().success());
        }
        cold.broker.start_again();
        assert_eq!(cold.health().0, 200, "nothing is left to compile");
        assert_eq!(cold.broker.command_ok("-moduleInfo scale").data()["state"], "enabled");
        assert!(!cold.broker.data().join("warm").exists(), "the copy is removed");
    }
}

#[test]
fn store_warm_reports_modules_left_after_the_timeout() {
    let cold = Cold::start(cold());
    cold.add(&add_scale(&slow(crate::modules::SCALE)));
    cold.forget_code();
    let ran = warm(&cold, &["--timeout", "0"]);
    assert_eq!(ran.status.code(), Some(1), "{}", ran.stdout);
    assert!(read(&ran).1["left"].as_u64() >= Some(1), "{}", ran.stdout);
    assert_eq!(cold.health().0, 200, "the broker does not notice");
}

#[test]
fn store_warm_reports_an_unreachable_broker_and_a_missing_store() {
    let cold = Cold::start(cold());
    fs::remove_file(cold.broker.data().join("snapshot.sock")).unwrap();
    let ran = warm(&cold, &[]);
    assert_eq!(ran.status.code(), Some(1), "{}", ran.stdout);
    assert!(
        ran.stderr.contains("is in use by process") && ran.stderr.contains("earlier version"),
        "{}",
        ran.stderr
    );
    let empty = tempfile::tempdir().unwrap();
    let data = empty.path().to_str().unwrap();
    let ran = Program::run(LOTMQ, &["store", "warm", "--data", data]).unwrap();
    assert_eq!(ran.output(), "0 compiled, 0 were there, 0 failed, 0 left");
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0);
}
