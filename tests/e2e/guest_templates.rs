//! Templates of `lotmq guest new`, of every type: the own tests pass on this machine, the guest
//! builds and verifies, and the guest for logins is uploaded.
//!
//! Further tests use the doubles of the host that the tests of the templates do not use.

use std::path::{Path, PathBuf};

use lotmq_test_support::Broker;

use crate::guest_tutorial::{compiles_guests, run};
use crate::options;

/// Tests that are added to those of a type, as items of its module of tests.
const ACTION: &str = r#"
    #[test]
    fn others_are_called_as_the_test_says() {
        use lotmq_guest::action::testing::{CurrentMessage, published_models, set_action, set_model, set_module, set_python, set_rows};
        use lotmq_guest::action::{Argument, Value, actions, current_message, models, modules, python, rows};

        let input = |name: &str, number| Argument { name: name.to_owned(), value: Value::Integer(number) };
        let refused = actions::call("Double", &[input("n", 1)]).unwrap_err();
        assert_eq!((&*refused.code, &*refused.message), ("CALL_NOT_ALLOWED", "this definition may not call 'Double'"));
        set_action("Double", |inputs| match inputs[0].value {
            // One calls another one.
            Value::Integer(number) => actions::call("Add", &[Argument { name: "n".to_owned(), value: Value::Integer(2 * number) }]),
            _ => Err(error("INPUT", "n must be a number")),
        });
        set_action("Add", |inputs| Ok(vec![inputs[0].value.clone()]));
        assert!(matches!(actions::call("Double", &[input("n", 4)]).unwrap()[..], [Value::Integer(8)]));

        assert_eq!(modules::call("calc.scale", &[]).unwrap_err().code, "CALL_NOT_ALLOWED");
        set_module("calc", |inputs| Ok(inputs.iter().map(|input| Value::Text(input.name.clone())).collect()));
        let inputs = modules::call("calc.scale", &[input("raw", 1)]).unwrap();
        assert!(matches!(&inputs[..], [Value::Text(first), Value::Text(second)] if first == "$function" && second == "raw"));
        assert_eq!(modules::call("calc", &[input("$function", 1)]).unwrap_err().code, "INPUT_RESERVED");

        assert_eq!(python::call("Script.mean", &[], 0, 0).unwrap_err().code, "CALL_NOT_ALLOWED");
        set_python("Script.mean", |values| Value::Text(values.len().to_string()));
        assert!(matches!(&python::call("Script.mean", &[Value::Null], 0, 0).unwrap()[..], [Value::Text(text)] if text == "1"));

        assert_eq!(rows::select("Db", "{}", &[], 0, 0).unwrap_err().code, "CALL_NOT_ALLOWED");
        set_rows("Db", |query, _| Value::Json(format!("[{query}]")));
        assert!(matches!(&rows::select("Db", "{}", &[], 0, 0).unwrap()[..], [Value::Json(text)] if text == "[{}]"));

        assert_eq!(models::publish("Part", "parts/1", &[]).unwrap_err().code, "CALL_NOT_ALLOWED");
        set_model("Part");
        assert_eq!(models::publish("Part", "parts/#", &[]).unwrap_err().code, "LOT604");
        models::publish("Part", "parts/1", &[input("id", 1)]).unwrap();
        let written = published_models();
        assert_eq!((&*written[0].model, &*written[0].topic, written[0].assignments.len()), ("Part", "parts/1", 1));
        assert!(published_models().is_empty());

        assert!((current_message::get_qos(), current_message::get_retain()) == (None, false));
        lotmq_guest::action::testing::set_current_message(Some(CurrentMessage { retain: true, ..CurrentMessage::default() }.user_property("k", "v")));
        assert_eq!((current_message::get_retain(), current_message::get_user_property("k")), (true, Some("v".to_owned())));
        assert!(current_message::get_response_topic().is_none() && current_message::get_received_ms() == Some(0));
    }
"#;

const RULE: &str = r#"
    #[test]
    fn a_message_says_more_than_its_payload() {
        use lotmq_guest::rule::current_message;
        use lotmq_guest::rule::testing::{CurrentMessage, set_current_message};

        assert!(current_message::get_user_properties().is_empty());
        set_current_message(Some(CurrentMessage::default().user_property("k", "1").user_property("k", "2")));
        assert_eq!(current_message::get_user_property("k").as_deref(), Some("1"));
        assert_eq!(current_message::get_user_properties().len(), 2);
        set_current_message(None);
        assert!(current_message::get_qos().is_none());
    }
"#;

const AUTH: &str = r#"
    #[test]
    fn clients_that_are_logged_in_are_changed() {
        use lotmq_guest::auth::testing::{Intervention, interventions, set_sessions};
        use lotmq_guest::auth::{NOT_AUTHORIZED, Selector, revoke, update};

        assert_eq!(revoke(&Selector::User("device-1".to_owned()), NOT_AUTHORIZED, Some("gone")), 1);
        set_sessions(0);
        assert_eq!(update(&Selector::Connection(7), &device("device-2")), 0);
        let done = interventions();
        assert!(matches!(&done[0], Intervention::Revoked { whom: Selector::User(user), reason_code: NOT_AUTHORIZED, reason: Some(reason) } if user == "device-1" && reason == "gone"));
        assert!(matches!(&done[1], Intervention::Updated { whom: Selector::Connection(7), principal } if principal.user == "device-2"));
        assert!(interventions().is_empty());
    }
"#;

/// A new guest of a type, with further tests.
fn new_guest(broker: &Broker, place: &Path, kind: &str, tests: &str) -> PathBuf {
    let (_, folder) = run(broker, place, &format!("lotmq guest new my-{kind} -t {kind}\ncd my-{kind}"));
    let source = folder.join("src/lib.rs");
    let text = std::fs::read_to_string(&source).unwrap();
    let (text, end) = text.trim_end().split_at(text.trim_end().len() - 1);
    assert_eq!(end, "}", "the tests stand at the end");
    std::fs::write(&source, format!("{text}{tests}}}\n")).unwrap();
    folder
}

#[test]
fn guest_from_each_template_passes_its_tests_and_is_deployed() {
    if !compiles_guests() {
        return;
    }
    let broker = options().variable("LOTMQ_MODULES_ALLOW_UNSTABLE", "true").start();
    let place = tempfile::tempdir().unwrap();
    let mut is_first = true;
    for (kind, tests, passed, told) in [
        ("action", ACTION, 2, "asks for write:scaled/#"),
        ("rule", RULE, 2, "asks for read:plant/locked"),
        ("route", "", 2, "asks for endpoint:127.0.0.1:*"),
        ("auth", AUTH, 3, "asks for secret-read:DEVICE_TOKEN"),
    ] {
        let folder = new_guest(&broker, place.path(), kind, tests);
        // Built from nothing, as who makes a first guest does.
        let shared = "export CARGO_TARGET_DIR=../target\nunset CARGO_BUILD_BUILD_DIR\n";
        let (written, _) = run(&broker, &folder, &format!("{shared}lotmq guest test\nlotmq guest verify"));
        // The first build compiles the dependencies for all guests, and reports it.
        for told in [
            "compiling for this machine; the first time this takes minutes",
            "compiling for WebAssembly; the first time this takes minutes",
            "Compiling wit-bindgen v",
        ] {
            assert_eq!(written.contains(told), is_first, "{told}: {written}");
        }
        is_first = false;
        assert!(!folder.join("target/release").exists() && place.path().join("target/release").is_dir());
        assert!(written.contains(&format!("test result: ok. {passed} passed; 0 failed")), "{written}");
        assert!(written.contains(&format!("fits world {kind}\n")) && written.contains(told), "{written}");
        if kind == "auth" {
            assert!(
                written.contains("ok    cases.test.toml: others are not judged\n3 passed, 0 failed\n"),
                "{written}"
            );
        }
        if kind == "route" {
            // Its far side is that of the cases, and the one that was recorded is played.
            assert!(
                written.contains("ok    cases.test.toml: what the far side said once\n2 passed, 0 failed\n"),
                "{written}"
            );
        }
        let without = "lotmq guest test --no-native -n nobody && exit 1\nmv cases.test.toml cases.kept\nlotmq guest test --no-native\nmv cases.kept cases.test.toml";
        let (written, _) = run(&broker, &folder, &format!("{shared}{without}"));
        for told in [
            "0 passed, 0 failed\nerror: no case has 'nobody' in its name\n",
            "passed: it is a guest of its type; there are no cases\n",
            "cases stand in files that end with .test.toml, in . or tests; how to write them is in docs/sdk/testing.md",
        ] {
            assert!(written.contains(told), "{told}: {written}");
        }
    }
    let folder = place.path().join("my-auth");
    let (written, _) =
        run(&broker, &folder, "lotmq guest deploy --grant-all --version 1.0\nlotmq guest list");
    for told in [
        "Module 'my-auth' added successfully!",
        "granted secret-read:DEVICE_TOKEN",
        "auth.modules of the configuration does not list it",
    ] {
        assert!(written.contains(told), "{told}: {written}");
    }
    let info = broker.command_ok("-moduleInfo my-auth");
    let told = ["world", "state", "version"].map(|name| info.data()[name].as_str().unwrap());
    assert_eq!(told, ["auth", "enabled", "1.0"]);
    let listed = written.lines().find(|line| line.starts_with("my-auth ")).unwrap();
    assert!(listed.contains("auth") && listed.contains("enabled"), "{listed}");
    // It keeps nobody out.
    broker.client("device-1").ping().unwrap();
}
