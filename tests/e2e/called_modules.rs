//! Modules of world `action` that Actions call with `CALL MODULE`.

use lotmq_client::{Client, Publication, QoS};
use lotmq_test_support::{Broker, Program, WAIT_MAX, eventually};
use serde_json::{Value, json};

use crate::modules::{compiled, scale};
use crate::{LOTMQ, broker};

/// An Action that calls something for each message on `in`, and publishes `{r}` on `out`.
fn caller(call: &str) -> String {
    format!("DEFINE ACTION Caller\nON TOPIC \"in\" DO\n    {call}\n    PUBLISH TOPIC \"out\" WITH {{r}}\n")
}

fn add_caller(broker: &Broker, call: &str) {
    broker.command_ok(&format!("-addAction -replace {}", caller(call)));
}

/// Returns the output for a message, or the error of the run.
fn called(broker: &Broker, payload: &str) -> String {
    let mut client = broker.root("");
    client.subscribe_to("out", QoS::AtLeastOnce).unwrap();
    client.subscribe_to("$SYS/Coreflux/Actions/Caller/Error", QoS::AtLeastOnce).unwrap();
    let at_first: Option<String> = drained(&mut client);
    client.publish(&Publication::new("in", payload).qos(QoS::AtLeastOnce)).unwrap();
    loop {
        let message = client.receive(WAIT_MAX).unwrap().expect("an answer or an error");
        if message.topic == "out" {
            return message.text();
        }
        if Some(message.text()) != at_first {
            let told: Value = serde_json::from_str(&message.text()).unwrap();
            return told.to_string();
        }
    }
}

/// The record of an error that is there already.
fn drained(client: &mut Client) -> Option<String> {
    client.subscribe_to("$SYS/Coreflux/Version", QoS::AtMostOnce).unwrap();
    let mut found = None;
    loop {
        let message = client.receive(WAIT_MAX).unwrap().expect("the version is retained");
        if message.topic.ends_with("/Version") {
            return found;
        }
        found = Some(message.text());
    }
}

#[test]
fn an_action_calls_a_module_and_one_of_its_functions() {
    let mut broker = broker();
    broker.command_ok(&format!("-addModule scale -world action -grantAll wasm64:{}", scale()));
    add_caller(&broker, "CALL MODULE \"scale.scale\" WITH (raw = PAYLOAD AS DOUBLE) RETURN AS {r}");
    assert_eq!(called(&broker, "215"), "21.5");
    let info = broker.command_ok("-moduleInfo scale");
    assert_eq!(info.data()["usedBy"], json!([{ "type": "Action", "name": "Caller" }]));
    assert_eq!(info.data()["calls"], 1);
    broker.kill();
    broker.start_again();
    assert_eq!(called(&broker, "30"), "3");
    add_caller(&broker, "CALL MODULE \"scale\" WITH raw = 50\n    SET \"r\" WITH RESULT");
    assert_eq!(called(&broker, ""), "5");
    let refused = broker.command("-removeModule scale");
    assert_eq!(refused.code(), "IN_USE");
    assert!(refused.message().contains("is used by action 'Caller'"), "{}", refused.message());
    let port = broker.port();
    let remove = |name: &str, options: &[&str]| {
        let arguments = [&["guest", "remove", name, "-p", &port], options].concat();
        Program::run(LOTMQ, &arguments).unwrap().status.code()
    };
    let asked = [remove("scale", &[]), remove("scale", &["--yes"]), remove("scale", &["--yes", "--force"])];
    assert_eq!(asked, [Some(1), Some(1), Some(0)]);
    // An action that was compiled elsewhere is a module like any other.
    let limits = "DEFINE ACTION Limits\nINPUT a AS INT\nINPUT b AS INT\nDO\n    PUBLISH TOPIC \"seen\" WITH PAYLOAD\nRETURN\n    OUTPUT b\n    OUTPUT a\n";
    broker.command_ok(&format!("-addModule limits -world action -topics seen wasm64:{}", compiled(limits)));
    add_caller(
        &broker,
        "CALL MODULE \"limits\" WITH (a = 1, b = 2) RETURN x, y\n    SET \"r\" WITH {x} + \"..\" + {y}",
    );
    let mut watcher = broker.root("watcher");
    watcher.subscribe_to("seen", QoS::AtLeastOnce).unwrap();
    assert_eq!(called(&broker, "the message"), "2..1");
    assert_eq!(watcher.receive(WAIT_MAX).unwrap().unwrap().text(), "the message");
}

#[test]
fn failure_of_a_called_module_is_an_error_of_the_run() {
    let broker = broker();
    let add =
        |options: &str| format!("-addModule scale -world action -grantAll {options} wasm64:{}", scale());
    let call = |call: &str, part: &str| {
        add_caller(&broker, call);
        let told = called(&broker, "1");
        assert!(told.contains(part), "{call}: {told}");
    };
    let scaled = "CALL MODULE \"scale.scale\" WITH raw = 1 RETURN AS {r}";
    call(scaled, "LOT624");
    call(scaled, "CALL MODULE \\\"scale.scale\\\" failed: module 'scale' is not installed");
    broker.command_ok(&add("-disabled"));
    call(scaled, "module 'scale' is disabled");
    broker.command_ok("-enableModule scale");
    call(scaled, "0.1");
    call("CALL MODULE \"scale.other\" RETURN AS {r}", "there is no function 'other'");
    call("CALL MODULE \"scale\" RETURN AS {r}", "input 'raw' must be a number");
    call("CALL MODULE \"scale\" WITH raw = 1 RETURN r, s", "module `scale` did not return 2 values");
    call("CALL MODULE \"scale\" WITH (\"$function\" = 1) RETURN r", "no input has the name '$function'");
    broker.command_ok("-removeModule scale -force");
    // A trap is that of the module, and the caller says so.
    let work = "        SET \"t\" WITH \"a\" + {i} + \"b\" + {i} + \"c\"\n".repeat(10);
    let long = format!(
        "DEFINE ACTION Long\nDO\n    SET \"i\" WITH 0\n    LOOP\n        SET \"i\" WITH {{i}} + 1\n{work}    UNTIL FALSE\n"
    );
    broker.command_ok(&format!("-addModule scale -world action -time 20 wasm64:{}", compiled(&long)));
    call("CALL MODULE \"scale\"\n    SET \"r\" WITH 1", "the run took longer than 20 ms");
    assert_eq!(broker.command_ok("-moduleInfo scale").data()["traps"], 1);
}

#[test]
fn a_module_that_traps_in_calls_has_failed_and_is_tried_again_after_pauses() {
    let broker = broker();
    let work = "        SET \"t\" WITH \"a\" + {i} + \"b\" + {i} + \"c\"\n".repeat(10);
    let long = format!(
        "DEFINE ACTION Long\nINPUT n AS INT\nDO\n    SET \"i\" WITH 0\n    LOOP\n        SET \"i\" WITH {{i}} + 1\n{work}    UNTIL {{i}} > {{n}}\nRETURN\n    OUTPUT i\n"
    );
    broker.command_ok(&format!("-addModule long -world action -time 20 wasm64:{}", compiled(&long)));
    add_caller(&broker, "CALL MODULE \"long\" WITH n = PAYLOAD AS INT RETURN AS {r}");
    assert_eq!(called(&broker, "1"), "2");
    for _ in 0..5 {
        let told = called(&broker, "1000000");
        assert!(told.contains("the run took longer than 20 ms"), "{told}");
    }
    let info = broker.command_ok("-moduleInfo long").data().clone();
    assert_eq!((&info["state"], &info["traps"]), (&json!("failed"), &json!(5)), "{info}");
    let told = broker.command_ok("-lotDiagnostic module long").data()["lastError"].clone();
    assert_eq!((&told["code"], &told["count"]), (&json!("GUEST_TIME"), &json!(5)), "{told}");
    // At the end of the first pause a call tries it; whoever came before gets no time of it.
    let answer = eventually("the module is called again", || {
        Some(called(&broker, "2"))
            .filter(|told| !told.contains("'long' has failed: it trapped 5 times, and pauses"))
    });
    assert_eq!(answer, "3");
    assert_eq!(broker.command_ok("-moduleInfo long").data()["state"], "enabled");
}

#[test]
fn calls_of_modules_and_actions_that_go_round_end() {
    let broker = broker();
    let round = "DEFINE ACTION Round\nDO\n    CALL ACTION Back\n";
    broker.command_ok("-addAction DEFINE ACTION Back\nDO\n    CALL MODULE \"round\"\n");
    broker
        .command_ok(&format!("-addModule round -world action -grant action:Back wasm64:{}", compiled(round)));
    add_caller(&broker, "CALL MODULE \"round\"\n    SET \"r\" WITH 1");
    let told = called(&broker, "");
    assert!(told.contains("calls are nested deeper than 16"), "{told}");
    // A module needs a grant for another one.
    let other = "DEFINE ACTION Other\nDO\n    CALL MODULE \"last\" RETURN AS {r}\nRETURN\n    OUTPUT r\n";
    let last = "DEFINE ACTION Last\nDO\n    SET \"r\" WITH \"done\"\nRETURN\n    OUTPUT r\n";
    broker.command_ok(&format!("-addModule last -world action wasm64:{}", compiled(last)));
    let add = |grant: &str| {
        broker.command_ok(&format!(
            "-addModule other -world action -replace {grant} wasm64:{}",
            compiled(other)
        ));
    };
    add_caller(&broker, "CALL MODULE \"other\" RETURN AS {r}");
    add("-grant action:last");
    let told = called(&broker, "");
    assert!(told.contains("may not call module 'last'"), "{told}");
    add("-grant module:last");
    assert_eq!(called(&broker, ""), "done");
}

#[test]
fn a_module_is_called_as_far_as_its_owner_and_the_rules_say() {
    let broker = broker();
    for user in ["ann", "bob"] {
        broker.command_ok(&format!("-addUser {user} pw"));
    }
    broker.command_ok("-changeUserSettings ann AllowedSystemConfiguration true");
    for (priority, scope) in [(5, "CommandCall"), (100, "ActionManagementCreation")] {
        broker.command_ok(&format!(
            "-addRule DEFINE RULE Bob{scope} WITH PRIORITY {priority} FOR {scope}\n    IF USER IS \"bob\" THEN\n        ALLOW\n"
        ));
    }
    let add = |user: &str, command: &str| {
        let added = broker.command_as((user, "pw"), command);
        assert!(added.success(), "{command:.40}: {added:?}");
    };
    add("ann", &format!("-addModule scale -world action -grantAll wasm64:{}", scale()));
    let call = caller("CALL MODULE \"scale.scale\" WITH raw = 7 RETURN AS {r}");
    add("ann", &format!("-addAction {call}"));
    assert_eq!(called(&broker, ""), "0.7000000000000001");
    add("bob", &format!("-addAction -replace {call}"));
    let told = called(&broker, "");
    assert!(told.contains("module 'scale' belongs to another user"), "{told}");
}
