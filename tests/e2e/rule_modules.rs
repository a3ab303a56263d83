//! Modules of world `rule`, asked by Rules with `IF MODULE`: what they decide, and that whatever is
//! wrong with one denies.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_client::{Client, ConnectOptions, Publication, QoS};
use lotmq_test_support::{Broker, Program, WAIT_MAX, eventually};
use serde_json::{Value, json};

use crate::modules::{compiled, component};
use crate::{LOTMQ, broker};

/// The example `rule-guard`.
pub(crate) const GUARD: &[u8] = include_bytes!("../../sdk/examples/rule-guard/prebuilt/rule-guard.wasm");

/// A Rule that says what the module says.
pub(crate) const GUARDED: &str = "-addRule DEFINE RULE Guarded WITH PRIORITY 100 FOR Publish TO TOPIC \"plant/#\"\n    IF MODULE \"guard\" THEN\n        ALLOW\n";

fn guard() -> String {
    component(GUARD)
}

pub(crate) fn add_guard(options: &str) -> String {
    format!("-addModule guard -world rule {options} wasm64:{}", guard())
}

fn may(client: &mut Client, topic: &str, payload: &str) -> bool {
    !client.publish(&Publication::new(topic, payload).qos(QoS::AtLeastOnce)).unwrap().is_failure()
}

fn client(broker: &Broker, id: &str) -> Client {
    broker.connect(&ConnectOptions::v5(id))
}

fn info(broker: &Broker) -> Value {
    broker.command_ok("-moduleInfo guard").data().clone()
}

/// The last error record of a definition.
fn error_of(broker: &Broker, kind_and_name: &str) -> Value {
    let mut watcher = broker.root("");
    watcher.subscribe_to(&format!("$SYS/Coreflux/{kind_and_name}/Error"), QoS::AtMostOnce).unwrap();
    serde_json::from_str(&watcher.receive(WAIT_MAX).unwrap().expect("a record").text()).unwrap()
}

#[test]
fn a_module_decides_where_a_rule_asks_it_by_what_it_reads_and_remembers() {
    let mut broker = broker();
    let added = broker.command_ok(&add_guard("-grantAll -version 1"));
    assert_eq!((&added.data()["world"], &added.data()["usedBy"]), (&json!("rule"), &json!([])));
    assert_eq!(added.data()["granted"], json!(["read:plant/locked", "state"]));
    broker.command_ok(GUARDED);
    assert_eq!(info(&broker)["usedBy"], json!([{ "type": "Rule", "name": "Guarded" }]));
    let mut one = client(&broker, "one");
    // It is asked for each message, though nothing but the payload differs.
    assert!(may(&mut one, "plant/a", "small"));
    assert!(may(&mut one, "plant/a", "small"));
    assert_eq!(info(&broker)["calls"], 2);
    // Its DENY is that of the Rule, which has no ELSE, and the rule of a new broker behind it
    // allows.
    assert!(!may(&mut one, "plant/a", &"x".repeat(65)));
    assert!(may(&mut one, "elsewhere", &"x".repeat(65)), "the Rule says which topics");
    // The module reads this topic, though nobody else does.
    let mut root = broker.root("root");
    assert!(may(&mut root, "plant/locked", "true"));
    assert!(!may(&mut one, "plant/a", "small"));
    assert!(may(&mut root, "plant/locked", "false"));
    assert!(may(&mut one, "plant/a", "small"));
    // The memory of the module outlives the broker: three of ten questions were counted.
    assert!(broker.stop().success());
    broker.start_again();
    broker.command_ok(
        "-addRule DEFINE RULE Last WITH PRIORITY 101 FOR Publish TO TOPIC \"plant/#\"\n    DENY\n",
    );
    let mut one = client(&broker, "one");
    let said: Vec<bool> = (0..8).map(|_| may(&mut one, "plant/a", "small")).collect();
    assert_eq!(said, [true, true, true, true, true, true, true, false], "then it says nothing");
    assert!(may(&mut client(&broker, "two"), "plant/a", "small"));
    // Groups, and the configuration.
    broker.command_ok("-addUser ann pw");
    broker.command_ok("-addUserToGroup ann ops");
    broker.command_ok(&add_guard("-grantAll -replace -config 3"));
    let mut ann = broker.connect(&ConnectOptions::v5("ann").user("ann", "pw"));
    assert!(may(&mut ann, "plant/a", "long") && !may(&mut client(&broker, "three"), "plant/a", "long"));
}

#[test]
fn a_rule_denies_whatever_is_wrong_with_its_module() {
    let broker = broker();
    broker.command_ok(GUARDED);
    let mut one = client(&broker, "one");
    assert!(!may(&mut one, "plant/a", "x"), "there is none");
    let error = error_of(&broker, "Rules/Guarded");
    assert!(error.to_string().contains("module `guard`: module 'guard' is not installed"), "{error}");
    broker.command_ok(&add_guard("-grantAll"));
    assert!(may(&mut one, "plant/a", "x"));
    broker.command_ok("-disableModule guard");
    assert!(!may(&mut one, "plant/a", "x"));
    broker.command_ok("-enableModule guard");
    assert!(may(&mut one, "plant/a", "x"));
    assert!(!may(&mut one, "plant/a", "error"), "an error of its own");
    assert!(may(&mut one, "plant/a", "x"));
    assert!(!may(&mut one, "plant/a", "panic"));
    let error = error_of(&broker, "Modules/guard").to_string();
    assert!(error.contains("GUEST_PANIC") && error.contains("plant/a"), "{error}");
    assert!(may(&mut one, "plant/a", "x"), "one trap is none of the others' business");
    assert!(!may(&mut one, "plant/a", "loop"));
    let error = error_of(&broker, "Modules/guard").to_string();
    assert!(error.contains("GUEST_TIME"), "{error}");
    assert!(may(&mut one, "plant/a", "x"));
    let refused = broker.command("-removeModule guard");
    assert_eq!(refused.code(), "IN_USE");
    assert!(refused.message().contains("is used by rule 'Guarded'"), "{}", refused.message());
    broker.command_ok("-removeModule guard -force");
    assert!(!may(&mut one, "plant/a", "x"));
    // One of another world is not asked.
    broker
        .command_ok(&format!("-addModule guard -world action -on raw/# wasm64:{}", crate::modules::scale()));
    assert!(!may(&mut one, "plant/a", "x"));
    let error = error_of(&broker, "Rules/Guarded").to_string();
    assert!(error.contains("is not of world 'rule'"), "{error}");
}

#[test]
fn a_module_that_goes_on_trapping_is_not_asked_and_comes_back() {
    let broker = broker();
    broker.command_ok(&add_guard("-grantAll"));
    broker.command_ok(GUARDED);
    let mut watcher = broker.root("watcher");
    watcher.subscribe_to("$SYS/Coreflux/Modules/guard", QoS::AtLeastOnce).unwrap();
    let port = broker.port();
    let mut logs = Program::start(LOTMQ, &["guest", "logs", "guard", "-f", "-p", &port]).unwrap();
    let is_told = |logs: &Program, part: &str| {
        let told = logs.stderr.wait_for(part, |line| line.contains(part).then_some(()));
        assert!(told.is_some(), "{part}: {}", logs.stderr.text());
    };
    is_told(&logs, "following guard");
    let mut one = client(&broker, "one");
    for trap in ["panic", "loop", "panic", "loop"] {
        assert!(!may(&mut one, "plant/a", trap));
        assert!(may(&mut one, "plant/a", "x"), "what is well in between takes no trap back");
    }
    // The fifth.
    assert!(!may(&mut one, "plant/a", "panic"));
    let told = error_of(&broker, "Rules/Guarded").to_string();
    assert!(told.contains("the guest gave up"), "{told}");
    // The text of the panic is the line before, and is not told again.
    let gave_up = |line: &str| line.contains("the guest gave up").then(|| line.to_owned());
    let gave_up = logs.stdout.wait_for("the panic", gave_up).unwrap();
    assert!(gave_up.contains("the guest gave up (panic or abort) (GUEST_PANIC)"), "{gave_up}");
    assert!(logs.stdout.text().contains("one wanted it"), "{}", logs.stdout.text());
    // Pauses become longer, until the topic tells of one, and meanwhile it is not run.
    let mut state_is = |one: &mut Client, wanted: &str, payload: &str| {
        eventually("the topic tells of it", || {
            may(one, "plant/a", payload);
            let told = watcher.receive(Duration::from_millis(20)).unwrap()?.text();
            (serde_json::from_str::<Value>(&told).unwrap()["state"] == wanted).then_some(())
        });
    };
    state_is(&mut one, "failed", "panic");
    eventually("the rule says why it denies", || {
        may(&mut one, "plant/a", "panic");
        let told = error_of(&broker, "Rules/Guarded").to_string();
        told.contains("module 'guard' has failed: it trapped 5 times, and pauses").then_some(())
    });
    // By itself, with the first question behind a pause.
    state_is(&mut one, "enabled", "x");
    is_told(&logs, "guard is failed: it has trapped too often");
    is_told(&logs, "guard is enabled");
    logs.kill();
    assert_eq!(info(&broker)["state"], "enabled");
    // By command, at once.
    eventually("it comes to that", || {
        may(&mut one, "plant/a", "loop");
        (info(&broker)["state"] == "failed").then_some(())
    });
    let mut two = client(&broker, "two");
    broker.command_ok("-enableModule guard");
    assert!(may(&mut two, "plant/a", "x"));
}

#[test]
fn a_module_of_world_rule_has_what_such_a_module_can_have() {
    let broker = broker();
    for (options, code, part) in [
        ("-grant write:a", "GRANT_INVALID", "'write:a' means nothing for a module of world 'rule'"),
        ("-grant env-read:A", "GRANT_INVALID", "means nothing"),
        ("-grant action:A", "GRANT_INVALID", "means nothing"),
        ("-memory 17", "ARGUMENT_INVALID", "-memory takes a number from 1 to 16"),
        ("-time 6", "ARGUMENT_INVALID", "-time takes a number from 1 to 5"),
    ] {
        let refused = broker.command(&add_guard(options));
        assert_eq!(refused.code(), code, "{options}");
        assert!(refused.message().contains(part), "{options}: {}", refused.message());
    }
    let scale = crate::modules::scale();
    let refused = broker.command(&format!("-addModule guard -world rule wasm64:{scale}"));
    assert_eq!(refused.code(), "IMPORT_FORBIDDEN");
    let refused = broker.command(&format!("-addModule guard -world route wasm64:{scale}"));
    assert_eq!(refused.code(), "WORLD_UNSTABLE");
    // Nothing of what it asks for: it denies, because the state is full, and says what is missing.
    let added = broker.command_ok(&add_guard("-on a/# -net h:1"));
    let warnings = added.0["warnings"].to_string();
    assert!(warnings.contains("NOT_GRANTED") && warnings.contains("-on means nothing"), "{warnings}");
    let granting = "-grantModule guard -grant read:plant/locked -grant state grants it";
    assert!(
        warnings.contains("Rules that ask it deny wherever it wants that.") && warnings.contains(granting),
        "{warnings}"
    );
    let added = broker.command_ok(GUARDED).0["warnings"].to_string();
    assert!(added.contains("NOT_GRANTED") && added.contains(granting), "{added}");
    let mut one = client(&broker, "one");
    assert!(!may(&mut one, "plant/a", "x"));
    let error = error_of(&broker, "Rules/Guarded").to_string();
    let full = "no more clients fit; it wanted 'read:plant/locked', 'state', which it was not granted";
    assert!(error.contains(full), "a state without a grant is full, and says why: {error}");
    // A value that the module may not read does not count as unlocked.
    broker.command_ok("-grantModule guard -grant state");
    assert!(!may(&mut one, "plant/a", "x"));
    let error = error_of(&broker, "Rules/Guarded").to_string();
    assert!(error.contains("it wanted 'read:plant/locked', which it was not granted"), "{error}");
    let error = error_of(&broker, "Modules/guard").to_string();
    assert!(error.contains("GRANT_MISSING"), "{error}");
    let granted = broker.command_ok("-grantModule guard -grant read:plant/locked");
    assert_eq!(granted.data()["granted"], json!(["read:plant/locked", "state"]));
    assert!(may(&mut one, "plant/a", "x"));
    // Topics are to be read only.
    let added = broker.command_ok(&add_guard("-replace -topics plant/# -grant state"));
    assert_eq!(added.data()["granted"], json!(["read:plant/#", "state"]));
    assert!(may(&mut one, "plant/a", "x"));
    // A broken upload leaves the module in place.
    for broken in [STANDARD.encode(b"\0asm\x0d\0\x01\0broken"), scale.clone()] {
        let refused =
            broker.command(&format!("-addModule guard -world rule -replace -grantAll wasm64:{broken}"));
        assert!(!refused.success());
        assert!(may(&mut one, "plant/a", "x"));
    }
    let other = broker.command(&format!("-addModule guard -world action -replace wasm64:{scale}"));
    assert_eq!(other.code(), "WORLD_MISMATCH");
    broker.command_ok("-rollbackModule guard");
    assert_eq!(info(&broker)["granted"], json!(["read:plant/locked", "state"]), "as the version before had");
    assert!(may(&mut one, "plant/a", "x"));
}

#[test]
fn a_rule_that_asks_what_is_no_module_of_its_world_is_added_with_a_warning() {
    let broker = broker();
    let scale = crate::modules::scale();
    let added = broker.command_ok(GUARDED).0["warnings"].to_string();
    let denies = "module 'guard' is not installed; the rule denies where it asks it";
    assert!(added.contains("MODULE_MISSING") && added.contains(denies), "{added}");
    broker.command_ok(&add_guard("-grantAll -disabled"));
    broker.command_ok(&format!("-addModule scale -world action wasm64:{scale}"));
    let again = GUARDED.replace("-addRule", "-addRule -replace");
    for (name, reason) in [
        ("guard", "module 'guard' is disabled; the rule"),
        ("gaurd", "module 'gaurd' is not installed, did you mean guard?; the rule"),
        ("scale", "module 'scale' is not of world 'rule'; the rule"),
    ] {
        let added = broker.command_ok(&again.replace("\"guard\"", &format!("\"{name}\"")));
        let told = added.0["warnings"].to_string();
        assert!(told.contains("MODULE_MISSING") && told.contains(reason), "{told}");
        // Grants are of no use to what is of another world.
        assert!(!told.contains("NOT_GRANTED"), "{told}");
    }
    broker.command_ok("-enableModule guard");
    let added = broker.command_ok(&again).0["warnings"].to_string();
    assert!(!added.contains("MODULE_MISSING"), "{added}");
    let calls = "-addAction DEFINE ACTION Calls\nON TOPIC \"in\" DO\n    CALL MODULE \"guard\"\n";
    let told = broker.command_ok(calls).0["warnings"].to_string();
    assert!(told.contains("module 'guard' is not of world 'action'; what calls it fails"), "{told}");
}

#[test]
fn only_root_adds_what_decides_unless_it_is_signed() {
    let broker = broker();
    broker.command_ok("-addUser ann pw");
    broker.command_ok("-changeUserSettings ann AllowedSystemConfiguration true");
    broker.command_ok(&add_guard("-grantAll"));
    broker.command_ok(&add_guard("-grantAll -replace"));
    let ann = ("ann", "pw");
    let commands =
        ["-rollbackModule guard -force", "-grantModule guard -grant state -force"].map(str::to_owned);
    for command in [add_guard("-grantAll -replace")].into_iter().chain(commands) {
        assert_eq!(broker.command_as(ann, &command).code(), "PERMISSION_DENIED", "{command:.40}");
    }
    let scale = crate::modules::scale();
    let added = broker.command_as(ann, &format!("-addModule scale -world action wasm64:{scale}"));
    assert!(added.success(), "{}", added.message());
}

#[test]
fn a_rule_compiled_from_lot_is_a_module_and_asks_no_other_one() {
    let broker = broker();
    let inner = "DEFINE RULE Inner WITH PRIORITY 100 FOR Publish\n    IF CLIENTID STARTS_WITH \"a\" AND GET TOPIC \"open\" IS \"yes\" THEN\n        ALLOW\n    ELSE IF CLIENTID STARTS_WITH \"z\" THEN\n        DENY\n";
    broker.command_ok(&format!("-addModule guard -world rule -topics open wasm64:{}", compiled(inner)));
    broker.command_ok(GUARDED);
    broker.command_ok(
        "-addRule DEFINE RULE Last WITH PRIORITY 101 FOR Publish TO TOPIC \"plant/#\"\n    DENY\n",
    );
    let (mut a, mut b) = (client(&broker, "a1"), client(&broker, "b1"));
    assert!(!may(&mut a, "plant/a", "x"));
    assert!(may(&mut b, "open", "yes"));
    assert!(may(&mut a, "plant/a", "x") && !may(&mut b, "plant/a", "x"));
    let asks =
        "DEFINE RULE Inner WITH PRIORITY 100 FOR Publish\n    IF MODULE \"guard\" THEN\n        ALLOW\n";
    let refused = broker.command(&format!("-addModule second -world rule wasm64:{}", compiled(asks)));
    assert_eq!(refused.code(), "IMPORT_FORBIDDEN");
    assert!(refused.message().contains("lotmq:guest/rule-modules@"), "{}", refused.message());
}

#[test]
fn connections_and_subscriptions_are_decided_by_modules_too() {
    let broker = broker();
    let connects = "DEFINE RULE Inner WITH PRIORITY 100 FOR Connect\n    IF CLIENTID STARTS_WITH \"thief\" THEN\n        DENY\n    ELSE\n        ALLOW\n";
    broker.command_ok(&format!("-addModule doors -world rule wasm64:{}", compiled(connects)));
    for scope in ["Connect", "Subscribe"] {
        broker.command_ok(&format!(
            "-addRule DEFINE RULE By{scope} WITH PRIORITY 100 FOR {scope}\n    IF MODULE \"doors\" THEN\n        ALLOW\n"
        ));
    }
    let thief = Client::connect(broker.address().to_string(), &ConnectOptions::v5("thief1"));
    assert!(thief.is_err());
    let mut honest = client(&broker, "honest");
    honest.subscribe_to("a/#", QoS::AtMostOnce).unwrap();
    may(&mut broker.root("r"), "a/1", "x");
    assert_eq!(honest.receive(WAIT_MAX).unwrap().unwrap().text(), "x");
    broker.command_ok("-disableModule doors");
    assert!(Client::connect(broker.address().to_string(), &ConnectOptions::v5("honest2")).is_err());
    // The broker decides about a subscription again with each message.
    may(&mut broker.root("r"), "a/1", "denied");
    assert!(honest.receive(Duration::from_millis(50)).unwrap().is_none());
    broker.command_ok("-enableModule doors");
    may(&mut broker.root("r"), "a/1", "y");
    assert_eq!(honest.receive(WAIT_MAX).unwrap().unwrap().text(), "y");
}

/// The broker does not know which groups a module looks at. So a user manager joins none while a
/// rule asks a module.
#[test]
fn a_user_manager_joins_no_group_while_a_rule_asks_a_module() {
    let broker = broker();
    broker.command_ok("-addUser manager password");
    broker.command_ok("-changeUserSettings manager AllowedUserManagement true");
    let join =
        |group: &str| broker.command_as(("manager", "password"), &format!("-addUserToGroup manager {group}"));
    assert!(join("before").success());
    broker.command_ok(&add_guard("-grantAll"));
    broker.command_ok(GUARDED);
    let refused = join("ops");
    assert!(!refused.success() && refused.message().contains("rules name it"), "{refused:?}");
}

/// The memory of a removed module is gone with the answer. After a crash the next module of its
/// name does not find it.
#[test]
fn the_memory_of_a_removed_module_is_gone_before_the_answer() {
    let mut broker = broker();
    broker.command_ok(&add_guard("-grantAll"));
    broker.command_ok(GUARDED);
    assert!(may(&mut client(&broker, "one"), "plant/a", "small"));
    let kept = |broker: &Broker| broker.command_ok("-listKept $LOT/#").data().to_string().contains("guard");
    eventually("it remembers", || kept(&broker).then_some(()));
    broker.command_ok("-removeModule guard -force");
    broker.kill();
    broker.start_again();
    assert!(!kept(&broker));
}
