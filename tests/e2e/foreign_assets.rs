//! Assets of several users: the owner of a module goes on with it, its code is theirs, and policies
//! of administrators are bounds.

use lotmq_client::{Publication, QoS};
use lotmq_test_support::{Broker, WAIT_MAX};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::modules;
use crate::ownership::{ask, done, with_users};

/// A broker with two administrators, `ann` and `bob`, and with `eve`, who deploys and is none.
fn with_deployer() -> (Broker, TempDir) {
    let (broker, data) = with_users();
    broker.command_ok("-addUser eve password");
    for scope in SCOPES {
        broker.command_ok(&format!(
            "-addRule DEFINE RULE Eve{scope} WITH PRIORITY 5 FOR {scope}\n    IF USER IS \"eve\" THEN\n        ALLOW\n"
        ));
    }
    (broker, data)
}

const SCOPES: [&str; 8] = [
    "CommandCall",
    "ModuleManagementCreation",
    "ModuleManagementRemove",
    "RouteManagementCreation",
    "RouteManagementRemove",
    "AssetManagementCreation",
    "AssetManagementUpdate",
    "AssetManagementRemove",
];

/// Nobody keeps a version in use by installing it: the owner replaces it, and what others run of it
/// waits until they start it.
#[test]
fn the_owner_of_a_module_replaces_it_though_others_run_it() {
    let (mut broker, _data) = with_deployer();
    let module = |more: &str| {
        format!("-addModule hers -world action -on in {more} -grant read:in wasm64:{}", modules::scale())
    };
    done(&broker, "eve", &module("-version 1"));
    let state = |broker: &Broker, name: &str| {
        let listed = broker.command_ok("-list");
        let assets = listed.data().as_array().unwrap().clone();
        let asset = assets.into_iter().find(|asset| asset["name"] == name).unwrap();
        (asset["state"].as_str().unwrap().to_owned(), asset["version"].as_str().unwrap().to_owned())
    };
    let of = |state: &str, version: &str| (state.to_owned(), version.to_owned());
    for (owner, name) in [("ann", "anns"), ("root", "roots"), ("eve", "own")] {
        let ask = |command: &str| match owner {
            "root" => broker.command(command),
            user => ask(&broker, user, command),
        };
        assert!(ask(&format!("-install hers -name {name}")).success(), "{name}");
    }
    for name in ["anns", "roots", "own"] {
        broker.command_ok(&format!("-run {name} -force"));
    }
    for (command, version) in [
        (module("-replace -version 2"), "2"),
        ("-rollbackModule hers".to_owned(), "1"),
        ("-grantModule hers -grant write:out".to_owned(), "1"),
    ] {
        let mut errors = broker.root("errors");
        errors.subscribe_to("$SYS/Coreflux/Modules/anns/Error", QoS::AtMostOnce).unwrap();
        let reply = ask(&broker, "eve", &command);
        let warnings = reply.0["warnings"].to_string();
        assert!(reply.success(), "{reply:?}");
        for name in ["anns", "roots"] {
            assert!(warnings.contains(&format!("Asset '{name}' of another user was stopped")), "{warnings}");
            assert_eq!(state(&broker, name), of("stopped", version), "{command:.40}");
        }
        assert_eq!(state(&broker, "own"), of("running", version), "{command:.40}");
        let told = errors.receive(WAIT_MAX).unwrap().expect("the owner is told").text();
        assert!(told.contains("INSTANCE_NOT_FOLLOWED") && told.contains("-run anns"), "{told}");
        broker.stop();
        broker.start_again();
        assert_eq!(state(&broker, "anns"), of("stopped", version), "over a restart");
        for name in ["anns", "roots"] {
            broker.command_ok(&format!("-run {name} -force"));
            assert_eq!(state(&broker, name), of("running", version));
        }
    }
}

/// The component of a module is for its owner and administrators; its configuration is masked for
/// others already.
#[test]
fn module_uploader_cannot_download_modules_of_other_users() {
    let (broker, _data) = with_deployer();
    done(&broker, "ann", &format!("-addModule m -world action -on in wasm64:{}", modules::scale()));
    let reply = ask(&broker, "eve", "-getModule m");
    assert_eq!(reply.code(), "PERMISSION_DENIED");
    assert_eq!(reply.message(), "Module 'm' is sent to its owner and to administrators.");
    // Those are only refused because they are not subscribed.
    for user in ["ann", "bob"] {
        assert_ne!(ask(&broker, user, "-getModule m").code(), "PERMISSION_DENIED", "{user}");
    }
}

/// A policy that an administrator sets for another user's asset is a bound, also over removing and
/// adding it.
#[test]
fn the_owner_of_an_asset_does_not_take_back_what_an_administrator_has_bounded() {
    let (mut broker, _data) = with_deployer();
    let module = format!("-addModule m -world action -on in -grantAll wasm64:{}", modules::scale());
    done(&broker, "eve", &module);
    let route = "-addRoute DEFINE ROUTE R WITH TYPE LOOPBACK\n    ADD LOOPBACK_CONFIG\n        WITH DELAY 1\n    ADD EVENT E\n        WITH SOURCE_TOPIC \"a/b\"\n";
    done(&broker, "eve", route);
    done(&broker, "eve", "-install m -name i");
    for name in ["m", "R", "i"] {
        // Without a bound it is the owner's own business.
        done(&broker, "eve", &format!("-assetPolicySet {name} topics a/#"));
        done(&broker, "eve", &format!("-assetPolicySet {name} topics default"));
        done(&broker, "bob", &format!("-assetPolicySet {name} topics a/#,b -force"));
        done(&broker, "bob", &format!("-assetPolicySet {name} memory 8 -force"));
        for (value, is_taken) in [
            ("#", false),
            ("a/#,c", false),
            ("a/x", true),
            ("none", true),
            ("a/#,b", true),
            ("default", true),
        ] {
            let reply = ask(&broker, "eve", &format!("-assetPolicySet {name} topics {value}"));
            let code = if is_taken { "" } else { "POLICY_OF_ADMINISTRATOR" };
            assert_eq!(reply.code(), code, "{name} {value}");
        }
        assert_eq!(policies(&broker, name)["topics"], json!(["a/#", "b"]), "{name}");
        assert_eq!(policies(&broker, name)["setByAdministrator"]["memory"], 8, "{name}");
        done(&broker, "eve", &format!("-assetPolicySet {name} memory 4"));
        assert!(!ask(&broker, "eve", &format!("-assetPolicySet {name} memory 9")).success());
    }
    // Removing and adding it does not help, nor does a restart.
    done(&broker, "eve", "-uninstall i -force");
    done(&broker, "eve", "-removeModule m -force");
    done(&broker, "eve", "-removeRoute R");
    broker.stop();
    broker.start_again();
    done(&broker, "eve", &module);
    done(&broker, "eve", route);
    done(&broker, "eve", "-install m -name free");
    done(&broker, "eve", "-asset-name-set free i");
    for name in ["m", "R", "i"] {
        let now = policies(&broker, name);
        assert_eq!((&now["memory"], &now["topics"]), (&8.into(), &json!(["a/#", "b"])), "{name}");
    }
    // Administrators take it back, there or gone.
    done(&broker, "bob", "-assetPolicySet m topics default -force");
    done(&broker, "eve", "-assetPolicySet m topics #");
    done(&broker, "eve", "-uninstall i -force");
    done(&broker, "eve", "-removeRoute R");
    for name in ["i", "R"] {
        assert_eq!(
            ask(&broker, "eve", &format!("-assetPolicySet {name} memory default")).code(),
            "NOT_FOUND"
        );
        for policy in ["memory", "topics"] {
            done(&broker, "bob", &format!("-assetPolicySet {name} {policy} default"));
        }
        assert_eq!(
            ask(&broker, "bob", &format!("-assetPolicySet {name} memory default")).code(),
            "NOT_FOUND"
        );
    }
    done(&broker, "eve", route);
    assert_eq!(policies(&broker, "R")["memory"], Value::Null);
}

/// Policies of an asset, as `-list` shows them.
fn policies(broker: &Broker, name: &str) -> Value {
    let listed = broker.command_ok("-list");
    let assets = listed.data().as_array().unwrap();
    assets.iter().find(|asset| asset["name"] == name).unwrap()["policies"].clone()
}

/// Policies of an asset that nobody has bounded.
fn unbounded() -> Value {
    json!({ "restart": "on-failure", "autostart": true })
}

fn add_module(name: &str) -> String {
    format!("-addModule {name} -world action -on in -grantAll wasm64:{}", modules::scale())
}

/// A bound goes with the asset that is renamed. A bound that eve leaves behind applies to nobody
/// else.
#[test]
fn bound_moves_with_a_rename_and_holds_for_no_other_user() {
    let (mut broker, _data) = with_deployer();
    done(&broker, "eve", &add_module("m"));
    done(&broker, "eve", "-install m -name i");
    done(&broker, "bob", "-assetPolicySet i topics none -force");
    for (from, to) in [("i", "anns"), ("anns", "anns-2"), ("anns-2", "back")] {
        done(&broker, "eve", &format!("-assetNameSet {from} {to}"));
    }
    assert_eq!(policies(&broker, "back")["topics"], json!([]));
    assert_eq!(ask(&broker, "eve", "-assetPolicySet back topics #").code(), "POLICY_OF_ADMINISTRATOR");
    done(&broker, "eve", "-uninstall back");
    done(&broker, "bob", &add_module("anns"));
    done(&broker, "bob", "-install anns -name anns-2");
    done(&broker, "bob", "-install anns -name back");
    for name in ["anns", "anns-2", "back"] {
        assert_eq!(policies(&broker, name), unbounded(), "{name}");
    }
    // Nor does it end for eve because somebody else had the name meanwhile.
    done(&broker, "bob", "-uninstall back");
    broker.stop();
    broker.start_again();
    done(&broker, "eve", "-install m -name back");
    assert_eq!(policies(&broker, "back")["topics"], json!([]));
    // Of a route it is the same.
    let route = "-addRoute DEFINE ROUTE R WITH TYPE LOOPBACK\n    ADD LOOPBACK_CONFIG\n        WITH DELAY 1\n    ADD EVENT E\n        WITH SOURCE_TOPIC \"a/b\"\n";
    done(&broker, "eve", route);
    done(&broker, "bob", "-assetPolicySet R topics none -force");
    done(&broker, "eve", "-removeRoute R");
    done(&broker, "bob", route);
    assert_eq!(policies(&broker, "R"), unbounded());
    done(&broker, "bob", "-removeRoute R");
    done(&broker, "eve", route);
    for _ in 0..2 {
        assert_eq!(policies(&broker, "R")["topics"], json!([]));
        broker.kill();
        broker.start_again();
    }
}

/// The bounds of a module hold for its instances; those of an instance hold besides.
#[test]
fn bound_of_a_module_holds_for_its_instances() {
    let (mut broker, _data) = with_deployer();
    done(&broker, "eve", &add_module("m"));
    done(&broker, "eve", "-install m -name before");
    done(&broker, "bob", "-assetPolicySet before topics a/#,b -force");
    done(&broker, "bob", "-assetPolicySet m topics a/x/#,c -force");
    done(&broker, "bob", "-assetPolicySet m memory 8 -force");
    done(&broker, "eve", "-install m -name after");
    let check = |broker: &Broker| {
        for (name, topics) in [("before", json!(["a/x/#"])), ("after", json!(["a/x/#", "c"]))] {
            let now = policies(broker, name);
            assert_eq!((&now["topics"], &now["memory"]), (&topics, &json!(8)), "{name}");
        }
    };
    check(&broker);
    let wider = ask(&broker, "eve", "-assetPolicySet after topics #");
    assert_eq!(wider.code(), "POLICY_OF_ADMINISTRATOR");
    done(&broker, "eve", "-assetPolicySet after topics a/x/y");
    done(&broker, "eve", "-assetPolicySet after topics default");
    done(&broker, "eve", "-assetNameSet after other");
    done(&broker, "eve", "-assetNameSet other after");
    broker.stop();
    broker.start_again();
    check(&broker);
    // It is not only shown: what starts the instance is narrowed at once.
    let mut client = broker.root("client");
    client.subscribe_to("$SYS/Coreflux/Assets/after", QoS::AtMostOnce).unwrap();
    done(&broker, "bob", "-run after -force");
    client.publish(&Publication::new("in", "1")).unwrap();
    let refused = std::iter::from_fn(|| client.receive(WAIT_MAX).unwrap())
        .map(|message| serde_json::from_slice::<Value>(&message.payload).unwrap())
        .find(|status| status["refusedByPolicy"] == 1);
    assert!(refused.is_some());
    // It ends for all of them with the bound of the module.
    done(&broker, "bob", "-assetPolicySet m topics default -force");
    assert_eq!(policies(&broker, "before")["topics"], json!(["a/#", "b"]));
    assert_eq!(policies(&broker, "after")["topics"], Value::Null);
}

/// Names differ by case: each of these is an asset of its own.
#[test]
fn bound_of_a_route_is_not_that_of_a_name_in_other_case() {
    let (broker, _data) = with_deployer();
    for name in ["Rt", "rt"] {
        done(
            &broker,
            "eve",
            &format!(
                "-addRoute DEFINE ROUTE {name} WITH TYPE LOOPBACK\n    ADD LOOPBACK_CONFIG\n        WITH DELAY 1\n    ADD EVENT E\n        WITH SOURCE_TOPIC \"a/b\"\n"
            ),
        );
    }
    done(&broker, "bob", "-assetPolicySet Rt topics none -force");
    assert_eq!(policies(&broker, "Rt")["topics"], json!([]));
    assert_eq!(policies(&broker, "rt"), unbounded());
    assert_eq!(ask(&broker, "bob", "-assetPolicySet RT topics none -force").code(), "NOT_FOUND");
}
