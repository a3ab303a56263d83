//! Ownership as users see it: what another one has added is not removed in passing.

use std::net::TcpListener;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_client::{Publication, QoS};
use lotmq_test_support::{Broker, Reply, WAIT_MAX, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::module_routes::accept;
use crate::projects::zip;
use crate::{assets, modules, next, python, send, watch};

/// Kind of a removable definition: its title, the command that adds `Mine`, and the verbs that
/// remove it and all of its kind.
struct Kind {
    title: &'static str,
    add: String,
    remove: &'static str,
    remove_all: Option<&'static str>,
}

fn kinds() -> Vec<Kind> {
    let kind = |title, add: &str, remove, remove_all| Kind { title, add: add.to_owned(), remove, remove_all };
    let project = STANDARD.encode(zip(&[("a.lot", b"DEFINE MODEL M COLLAPSED\n    ADD STRING \"a\"")]));
    let module = format!("-addModule mine -world action -on in wasm64:{}", modules::scale());
    vec![
        kind(
            "Action",
            "-addAction DEFINE ACTION Mine\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"out\" WITH 1",
            "-removeAction Mine",
            Some("-removeAllActions"),
        ),
        kind(
            "Model",
            "-addModel DEFINE MODEL Mine COLLAPSED\n    ADD STRING \"a\"",
            "-removeModel Mine",
            Some("-removeAllModels"),
        ),
        kind(
            "Route",
            "-addRoute DEFINE ROUTE Mine WITH TYPE LOOPBACK\n    ADD LOOPBACK_CONFIG\n        WITH DELAY 1",
            "-removeRoute Mine",
            Some("-removeAllRoutes"),
        ),
        kind(
            "Rule",
            "-addRule DEFINE RULE Mine WITH PRIORITY 100 FOR Subscribe TO TOPIC \"x\"\n    IF USER IS \"eve\" THEN\n        ALLOW\n    ELSE\n        DENY",
            "-removeRule Mine",
            Some("-removeAllRules"),
        ),
        kind(
            "Theme",
            "-addTheme DEFINE THEME \"Mine\"\n    SET \"BACKGROUND\" WITH \"#101010\"",
            "-removeTheme Mine",
            Some("-removeAllThemes"),
        ),
        kind("Panel", "-addPanel DEFINE PANEL \"Mine\"\n    WITH TITLE \"Mine\"", "-removePanel Mine", None),
        kind(
            "Python script",
            "-addPython # Script Name: Mine\ndef f():\n    return 1\n",
            "-removePython Mine",
            Some("-removeAllPythonScripts"),
        ),
        kind("Module", &module, "-removeModule mine", None),
        kind("Project", &format!("-addProject zip64:{project} Mine"), "-removeProject Mine", None),
    ]
}

pub(crate) fn ask(broker: &Broker, user: &str, command: &str) -> Reply {
    broker.command_as((user, "password"), command)
}

pub(crate) fn done(broker: &Broker, user: &str, command: &str) {
    let reply = ask(broker, user, command);
    assert!(reply.success(), "{user}: {command}: {reply:?}");
}

pub(crate) fn with_users() -> (Broker, TempDir) {
    let (broker, data) = python::broker();
    for user in ["ann", "bob"] {
        broker.command_ok(&format!("-addUser {user} password"));
        broker.command_ok(&format!("-changeUserSettings {user} AllowedSystemConfiguration true"));
    }
    (broker, data)
}

#[test]
fn removing_a_definition_of_another_user_requires_force() {
    let (broker, _data) = with_users();
    for Kind { title, add, remove, .. } in kinds() {
        done(&broker, "ann", &add);
        let name = if title == "Module" { "mine" } else { "Mine" };
        let refused = ask(&broker, "bob", remove);
        assert_eq!(refused.code(), "OF_ANOTHER", "{refused:?}");
        let message = format!("{title} '{name}' belongs to user 'ann'. Use -force to do it all the same.");
        assert_eq!(refused.message(), message);
        assert_eq!(broker.command(remove).code(), "OF_ANOTHER", "root says so, too: {title}");
        done(&broker, "ann", remove);
        assert!(!ask(&broker, "ann", remove).success(), "{title} was there, and is gone now");
        done(&broker, "ann", &add);
        done(&broker, "bob", &format!("{remove} -force"));
        done(&broker, "bob", &add);
        let (verb, _) = remove.split_once(' ').unwrap();
        done(&broker, "ann", &format!("{verb} -Force {name}"));
    }
}

#[test]
fn a_module_of_another_user_is_switched_by_who_says_so() {
    let (broker, _data) = with_users();
    done(&broker, "ann", &format!("-addModule mine -world action -on in wasm64:{}", modules::scale()));
    for verb in ["-disableModule", "-enableModule"] {
        let refused = ask(&broker, "bob", &format!("{verb} mine"));
        let message = "Module 'mine' belongs to user 'ann'. Use -force to do it all the same.";
        assert_eq!((refused.code(), refused.message()), ("OF_ANOTHER", message), "{verb}");
        done(&broker, "ann", &format!("{verb} mine"));
        done(&broker, "bob", &format!("{verb} mine -force"));
    }
    assert_eq!(ask(&broker, "bob", "-disableModule none").code(), "MODULE_NOT_FOUND");
}

#[test]
fn removing_all_definitions_of_another_user_requires_force() {
    let (broker, _data) = with_users();
    for Kind { title, add, remove_all, .. } in kinds() {
        let Some(remove_all) = remove_all else { continue };
        done(&broker, "ann", &add);
        done(&broker, "bob", &add.replace("Mine", "His"));
        done(&broker, "bob", &add.replace("Mine", "HisToo"));
        let refused = ask(&broker, "ann", remove_all);
        assert_eq!(refused.code(), "OF_ANOTHER", "{refused:?}");
        let others = json!([{ "name": "His", "owner": "bob" }, { "name": "HisToo", "owner": "bob" }]);
        let mut told = refused.data()["ofOthers"].as_array().unwrap().clone();
        told.sort_by_key(ToString::to_string);
        assert_eq!(Value::from(told), others, "{title}");
        assert_eq!(refused.data()["count"], 2);
        assert_eq!(ask(&broker, "bob", remove_all).code(), "OF_ANOTHER", "none of {title} is gone");
        done(&broker, "ann", &format!("{remove_all} -force"));
        done(&broker, "ann", remove_all);
        done(&broker, "ann", &add);
        done(&broker, "ann", remove_all);
    }
}

/// Of a user who was removed nothing is left that somebody would have to be asked for.
#[test]
fn definition_of_a_removed_user_is_removable_without_force() {
    let (broker, _data) = with_users();
    for Kind { add, .. } in kinds() {
        done(&broker, "ann", &add);
    }
    broker.command_ok("-removeUser ann");
    for Kind { remove, .. } in kinds() {
        done(&broker, "bob", remove);
    }
}

/// Three ways to a model of the name: over the one that is nobody's now, behind its removal by
/// others, and where the former owner had removed it.
#[test]
fn a_later_user_of_a_name_gets_nothing_that_models_of_the_former_one_remember() {
    let (mut broker, _data) = with_users();
    let model = |option: &str| {
        format!(
            "-addModel {option}DEFINE MODEL Badge COLLAPSED WITH TOPIC \"out\"\n    ADD STRING \"last\" WITH TOPIC \"in\" AS TRIGGER\n    ADD STRING \"all\" WITH (all + last)"
        )
    };
    let said = |broker: &Broker, text: &str| {
        let mut watcher = watch(broker, "out");
        send(broker, "in", text);
        next(&mut watcher)
    };
    for before in [&[][..], &["-removeModel Badge"]] {
        for by_owner in [true, false] {
            done(&broker, "ann", &model(""));
            assert_eq!(said(&broker, "7"), r#"out={"last":"7","all":"7"}"#);
            assert_eq!(said(&broker, "8"), r#"out={"last":"8","all":"78"}"#);
            let remove = |broker: &Broker| {
                before.iter().for_each(|it| drop(broker.command_ok(&format!("{it} -force"))))
            };
            if by_owner {
                remove(&broker);
            }
            broker.command_ok("-removeUser ann");
            if !by_owner {
                remove(&broker);
            }
            broker.command_ok("-addUser ann password");
            broker.command_ok("-changeUserSettings ann AllowedSystemConfiguration true");
            broker.kill();
            broker.start_again();
            done(&broker, "ann", &model("-replace "));
            assert_eq!(said(&broker, "9"), r#"out={"last":"9","all":"9"}"#, "{before:?} {by_owner}");
            done(&broker, "ann", "-removeModel Badge");
            done(&broker, "ann", &model(""));
            assert_eq!(said(&broker, "1"), r#"out={"last":"1","all":"91"}"#, "what is one's own stays");
            broker.command_ok("-removeUser ann");
            broker.command_ok("-removeModel Badge");
            broker.command_ok("-addUser ann password");
            broker.command_ok("-changeUserSettings ann AllowedSystemConfiguration true");
        }
    }
}

/// The memory of a model lasts as long as the model, whoever owns it.
#[test]
fn a_model_that_is_nobodys_remembers_over_a_restart() {
    let (mut broker, _data) = with_users();
    done(
        &broker,
        "ann",
        "-addModel DEFINE MODEL Doors COLLAPSED WITH TOPIC \"out\"\n    ADD STRING \"id\" WITH TOPIC \"in\" AS TRIGGER\n    ADD INT \"n\" WITH (n + 1)",
    );
    let said = |broker: &Broker, text: &str| {
        let mut watcher = watch(broker, "out");
        send(broker, "in", text);
        next(&mut watcher)
    };
    assert_eq!(said(&broker, "a"), r#"out={"id":"a","n":1}"#);
    broker.command_ok("-removeUser ann");
    broker.stop();
    broker.start_again();
    assert_eq!(said(&broker, "b"), r#"out={"id":"b","n":2}"#);
}

/// Users of what a module does, other than its owner, are not given code by whoever may add
/// modules.
#[test]
fn code_that_runs_for_others_comes_from_administrators() {
    let (broker, _data) = with_users();
    broker.command_ok("-addUser eve password");
    for scope in
        ["CommandCall", "ModuleManagementCreation", "AssetManagementCreation", "AssetManagementUpdate"]
    {
        broker.command_ok(&format!(
            "-addRule DEFINE RULE Eve{scope} WITH PRIORITY 5 FOR {scope}\n    IF USER IS \"eve\" THEN\n        ALLOW\n"
        ));
    }
    let module = |name: &str, more: &str| {
        format!("-addModule {name} -world action -on in {more} -grantAll wasm64:{}", modules::scale())
    };
    // One of her own is hers to replace, with its instance.
    done(&broker, "eve", &module("hers", ""));
    done(&broker, "eve", "-install hers -name her-asset");
    done(&broker, "eve", &module("hers", "-replace -version 2"));
    done(&broker, "ann", "-install hers -name his-asset");
    let refused = |user: &str, command: &str, message: &str| {
        let reply = ask(&broker, user, command);
        assert_eq!((reply.code(), reply.message()), ("RUNS_FOR_OTHERS", message), "{command:.60}");
    };
    // Another deployer does not put code there.
    broker.command_ok("-addUser dan password");
    for scope in ["CommandCall", "ModuleManagementCreation"] {
        broker.command_ok(&format!(
            "-addRule DEFINE RULE Dan{scope} WITH PRIORITY 5 FOR {scope}\n    IF USER IS \"dan\" THEN\n        ALLOW\n"
        ));
    }
    let by_others = "Asset 'her-asset' and 1 more runs module 'hers' with the rights of 'eve', so an administrator puts code there.";
    refused("dan", &module("hers", "-replace -force -version 3"), by_others);
    // An administrator needs `-force` for a module of another user, however it comes.
    let in_parts =
        format!("-addModule hers -world action -on in -replace -size 9 -sha256 {}", "0".repeat(64));
    for command in [&*module("hers", "-replace -version 3"), &*in_parts, "-rollbackModule hers"] {
        let reply = ask(&broker, "bob", command);
        let says = "Module 'hers' belongs to user 'eve'. Use -force to do it all the same.";
        assert_eq!((reply.code(), reply.message()), ("OF_ANOTHER", says), "{command:.60}");
    }
    done(&broker, "bob", &module("hers", "-replace -force -version 3"));
    // Root, whom no rule binds, is followed by nobody else.
    broker.command_ok("-install hers -name roots-asset");
    let by_root =
        "Asset 'roots-asset' runs module 'hers' with the rights of 'root', so root alone puts code there.";
    refused("ann", &module("hers", "-replace -version 4"), by_root);
    broker.command_ok(&module("hers", "-replace -force -version 4"));
    // Nor is what a route waits for.
    done(
        &broker,
        "ann",
        "-addRoute DEFINE ROUTE Later WITH TYPE WASM\n    ADD WASM_CONFIG\n        WITH MODULE \"later\"",
    );
    let route =
        "Route 'Later' runs module 'later' with the rights of 'ann', so an administrator puts code there.";
    refused("eve", &module("later", ""), route);
    // Nor by a name that an asset is given.
    let put = |command: &str| {
        let reply = ask(&broker, "eve", command);
        assert_eq!((reply.code(), reply.message()), ("RUNS_FOR_OTHERS", route), "{command}");
    };
    done(&broker, "eve", &module("own", ""));
    put("-install own -name later");
    done(&broker, "eve", "-install own -name free");
    put("-asset-name-set free later");
}

/// Only the owner decides what an asset does with the owner's rights, whatever others may do with
/// assets.
#[test]
fn asset_manager_cannot_configure_assets_of_other_users() {
    let (broker, _data) = with_users();
    broker.command_ok("-addUser eve password");
    for scope in ["CommandCall", "AssetManagementUpdate"] {
        broker.command_ok(&format!(
            "-addRule DEFINE RULE Eve{scope} WITH PRIORITY 5 FOR {scope}\n    IF USER IS \"eve\" THEN\n        ALLOW\n"
        ));
    }
    let module = format!("-addModule m -world action -on in -grantAll wasm64:{}", modules::scale());
    done(&broker, "ann", &module);
    broker.command_ok("-install m -name roots");
    let cases = [
        ("eve", "m", "Asset 'm' runs with the rights of 'ann', so an administrator sets"),
        ("eve", "roots", "Asset 'roots' runs with the rights of 'root', so root alone sets"),
        ("bob", "roots", "Asset 'roots' runs with the rights of 'root', so root alone sets"),
    ];
    for (user, asset, says) in cases {
        for (command, sets) in [
            (format!("-assetConfigSave {asset} -force 2"), "the configuration"),
            (format!("-assetPolicySet {asset} topics default -force"), "the policy 'topics'"),
        ] {
            let reply = ask(&broker, user, &command);
            let expected = format!("{says} {sets} of asset '{asset}'.");
            assert_eq!((reply.code(), reply.message()), ("RUNS_FOR_OTHERS", &*expected), "{user} {command}");
        }
        done(&broker, user, &format!("-assetPolicySet {asset} restart never -force"));
    }
    for (user, asset) in [("ann", "m"), ("bob", "m"), ("root", "roots")] {
        let (save, narrow) =
            (format!("-assetConfigSave {asset} -force 2"), format!("-assetPolicySet {asset} topics a/#"));
        for command in [save, format!("{narrow} -force")] {
            let reply = if user == "root" { broker.command(&command) } else { ask(&broker, user, &command) };
            assert!(reply.success(), "{user} {command}: {reply:?}");
        }
    }
}

/// The next user of an owner's name does not get the former version of a module, with its
/// configuration.
#[test]
fn a_former_version_of_a_removed_user_is_nobodys() {
    let (mut broker, data) = with_users();
    let module = |more: &str| {
        format!("-addModule m -world action -on in {more} -grantAll wasm64:{}", modules::scale())
    };
    done(&broker, "ann", &module("-config \"\\\"hidden\\\"\""));
    done(&broker, "ann", &module("-replace -version 2"));
    broker.command_ok("-removeUser ann");
    broker.command_ok("-addUser ann password");
    broker.command_ok("-changeUserSettings ann AllowedSystemConfiguration true");
    broker.kill();
    broker.start_again();
    let _kept = &data;
    let reply = ask(&broker, "ann", "-rollbackModule m");
    assert_eq!(
        reply.message(),
        "Module 'm' rolled back without the -config of its former owner successfully!"
    );
}

/// Messages that wait for a route go out with the right that its owner has then.
#[test]
fn waiting_messages_need_the_current_read_right_of_the_owner() {
    let (broker, _data) = with_users();
    done(
        &broker,
        "ann",
        "-addRoute DEFINE ROUTE Out WITH TYPE LOOPBACK\n    ADD EVENT Send\n        WITH SOURCE_TOPIC \"hidden/+\"\n        WITH DESTINATION_TOPIC \"seen\"\n",
    );
    done(&broker, "ann", "-stop Out");
    let send = |text: &str| {
        let message = Publication::new("hidden/a", text).qos(QoS::AtLeastOnce);
        broker.root("").publish(&message).unwrap();
    };
    send("waits");
    let rule = "-addRule DEFINE RULE Hidden WITH PRIORITY 100 FOR Subscribe TO TOPIC \"hidden/#\"\n    IF USER IS \"ann\" THEN\n        DENY\n    ELSE\n        ALLOW\n";
    broker.command_ok(rule);
    let mut seen = broker.root("watcher");
    seen.subscribe_to("seen", QoS::AtMostOnce).unwrap();
    done(&broker, "ann", "-run Out");
    let letters = || broker.command_ok("-listDeadLetters Out").data()["letters"].clone();
    let letter = eventually("a dead letter", || letters().get(0).cloned());
    assert_eq!(letter["reason"], "the owner of the route may not read this topic any more");
    broker.command_ok("-removeRule Hidden");
    send("live");
    assert_eq!(seen.receive(WAIT_MAX).unwrap().unwrap().text(), "live");
    done(&broker, "ann", "-replayDeadLetters Out");
    assert_eq!(seen.receive(WAIT_MAX).unwrap().unwrap().text(), "waits");
}

/// There may be passwords in it, and a route says where they go.
#[test]
fn a_configuration_is_for_routes_of_its_owner_alone() {
    let (far, elsewhere) =
        (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let (address, there) = (far.local_addr().unwrap(), elsewhere.local_addr().unwrap());
    let broker = assets::at_home().start();
    broker.command_ok("-addUser ann password");
    broker.command_ok("-changeUserSettings ann AllowedSystemConfiguration true");
    broker.command_ok(&assets::echo("-grant endpoint:127.0.0.1:*"));
    let config = json!({"sections": {"ECHO_CONFIG": {"HOW": format!("to={there}")}}});
    broker.command_ok(&format!("-asset-config-save echo {config}"));
    let route = assets::line_of("echo", address)
        .replace("    ADD EVENT", "        WITH ALLOW_HOSTS \"127.0.0.1:*\"\n    ADD EVENT");
    let reply = broker.command_as(("ann", "password"), &route);
    assert_eq!(reply.0["warnings"][0]["code"], "CONFIG_OF_ANOTHER", "{reply:?}");
    let (_stream, _lines) = accept(&far);
    broker.command_ok("-removeRoute Line -force");
    assert_eq!(broker.command_ok(&route).0["warnings"], Value::Null);
    let (_stream, _lines) = accept(&elsewhere);
}

/// Modules and their instances of users who may add some are not all that there may be.
#[test]
fn a_user_who_is_no_administrator_leaves_some_to_others() {
    let (broker, _data) = with_users();
    for name in ["eve", "mia"] {
        broker.command_ok(&format!("-addUser {name} password"));
        for scope in ["CommandCall", "ModuleManagementCreation", "AssetManagementCreation"] {
            broker.command_ok(&format!(
                "-addRule DEFINE RULE {name}{scope} WITH PRIORITY 5 FOR {scope}\n    IF USER IS \"{name}\" THEN\n        ALLOW\n"
            ));
        }
    }
    let scale = modules::scale();
    let fill = |user: &str, command: &dyn Fn(usize) -> String| {
        (0..100_usize)
            .find_map(|number| {
                let reply = ask(&broker, user, &command(number));
                (!reply.success()).then(|| (number, reply.code().to_owned(), reply.message().to_owned()))
            })
            .expect("there is a bound")
    };
    let quota = |count: usize, message: String| (count, "QUOTA_EXCEEDED".to_owned(), message);
    let modules_of = |user: &'static str| {
        let scale = &scale;
        move |number: usize| {
            format!("-addModule {user}-{number} -world action -on in -grantAll wasm64:{scale}")
        }
    };
    let told = |user: &str, count: usize, what: &str| {
        format!("User '{user}' has {count} {what}; others leave {count} of 64 to one user.")
    };
    assert_eq!(fill("eve", &modules_of("eve")), quota(48, told("eve", 48, "modules")));
    assert_eq!(fill("mia", &modules_of("mia")), quota(12, told("mia", 12, "modules")));
    done(&broker, "eve", &format!("{} -replace", modules_of("eve")(7)));
    let instances_of =
        |user: &'static str| move |number: usize| format!("-install {user}-0 -name {user}-as-{number}");
    assert_eq!(fill("eve", &instances_of("eve")), quota(48, told("eve", 48, "installed assets")));
    // Administrators are not held to a share, and have the rest.
    let (count, _, message) = fill("ann", &modules_of("ann"));
    assert_eq!((count, &*message), (4, "Tenant 'default' already stores 64 modules."));
    done(&broker, "ann", "-install mia-0 -name last-asset");
}
