//! `lotmq guest` beside what the tutorial shows: what it refuses, and what a guest says.

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use lotmq_client::{ConnectOptions, Publication, QoS};
use lotmq_test_support::{Broker, Program, WAIT_MAX, eventually, free_port};
use serde_json::{Value, json};

use crate::guest_tutorial::compiles_guests;
use crate::modules::{compiled, component, scale, with_manifest};
use crate::{LOTMQ, broker, options};

/// Runs `lotmq guest` in a folder; what it writes, and its exit code.
pub(crate) fn guest(folder: &Path, arguments: &str) -> (String, Option<i32>) {
    let script = format!("cd '{}'; '{LOTMQ}' guest {arguments} 2>&1", folder.display());
    let finished = Program::run("sh", &["-c", &script]).unwrap();
    (finished.stdout, finished.status.code())
}

/// The same with cargo at work, which takes as long as it does.
pub(crate) fn guest_with_cargo(folder: &Path, arguments: &[&str]) -> (String, Option<i32>) {
    let output = Command::new(LOTMQ).arg("guest").args(arguments).current_dir(folder).output().unwrap();
    let [told, noted] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    (told + &noted, output.status.code())
}

#[test]
fn invalid_guest_is_rejected_with_the_reason() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    std::fs::write(folder.join("core.wasm"), b"\0asm\x01\0\0\0").unwrap();
    std::fs::write(folder.join("guest.toml"), "name = \"a\"\ntype = \"action\"\nlang = \"rust\"\nonn = []\n")
        .unwrap();
    std::fs::create_dir(folder.join("there")).unwrap();
    std::fs::create_dir(folder.join("other")).unwrap();
    let other = "name = \"a\"\ntype = \"action\"\nlang = \"rust\"\ntarget = \"wasm32-wasip1\"\n";
    std::fs::write(folder.join("other/guest.toml"), other).unwrap();
    for (arguments, part, code) in [
        ("new Heater", "`Heater` is no name of a guest", 2),
        ("new ../x", "is no name of a guest", 2),
        ("new there", "cannot create the folder there", 1),
        ("new heater -t auth --lang python", "a guest of type auth is made in Rust only", 2),
        ("new heater -t model", "invalid value 'model'", 2),
        ("build there", "there/guest.toml is not there", 1),
        ("build", "unknown field `onn`", 1),
        (
            "build other",
            "`wasm32-wasip1` is no target of guests: `wasm32-unknown-unknown` or `wasm32-wasip2`",
            1,
        ),
        ("verify nothing.wasm", "cannot read nothing.wasm", 1),
        ("verify /dev/zero", "/dev/zero has more than 67108864 bytes, which no broker takes", 1),
        ("verify guest.toml", "(COMPILE_FAILED)", 1),
        ("verify core.wasm", "component is required. (NOT_A_COMPONENT)", 1),
        ("deploy --file core.wasm", "a component is required", 1),
        ("deploy --file Core.1.wasm", "Core.1.wasm names no module: `Core.1` is no name of a guest", 2),
        ("logs Nobody", "is no name of a guest", 2),
        ("list -p 1", "", 3),
        ("rollback x -p 1", "", 3),
    ] {
        let (told, found) = guest(folder, arguments);
        assert!(told.contains(part) && found == Some(code), "{arguments}: {found:?} {told}");
    }
    assert!(!folder.join("heater").exists());
}

/// The example with the crate `uuid`.
const TAG: &[u8] = include_bytes!("../../sdk/examples/action-uuid/prebuilt/action-uuid.wasm");

#[test]
fn crates_have_random_numbers_of_the_broker() {
    let broker = broker();
    let module = component(TAG);
    broker.command_ok(&format!("-addModule tag -world action -on orders/# -grantAll wasm64:{module}"));
    let mut client = broker.client("");
    client.subscribe_to("tagged/#", QoS::AtMostOnce).unwrap();
    let mut tag = || {
        client.publish(&Publication::new("orders/1", "bolts")).unwrap();
        let told = client.receive(WAIT_MAX).unwrap().unwrap().text();
        let (tag, order) = told.split_once(' ').unwrap();
        assert_eq!((tag.len(), tag.as_bytes()[14], order), (36, b'4', "bolts"));
        tag.to_owned()
    };
    assert_ne!(tag(), tag());
}

#[test]
fn a_component_from_elsewhere_is_looked_at_and_deployed_with_what_is_granted() {
    let broker = broker();
    let place = tempfile::tempdir().unwrap();
    let component = base64::engine::general_purpose::STANDARD.decode(scale()).unwrap();
    std::fs::write(place.path().join("scale.wasm"), component).unwrap();
    let (told, code) = guest(place.path(), "verify scale.wasm --json");
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((told["world"].as_str(), code), (Some("action"), Some(0)));
    assert_eq!(told["asks"], serde_json::json!(["read:raw/#", "write:scaled/#", "env-read:SCALE", "state"]));
    let deploy = format!("deploy --file scale.wasm --on raw/# -p {}", broker.port());
    let (told, code) = guest(place.path(), &deploy);
    assert!(told.contains("the module is scale, after its file; --name gives it another name"), "{told}");
    assert!(told.contains("nothing was deployed: give --grant-all") && code == Some(1), "{told}");
    assert_eq!(broker.command("-moduleInfo scale").code(), "MODULE_NOT_FOUND");
    let (told, code) =
        guest(place.path(), &format!("{deploy} --grant write:scaled/# --config '{{\"a b\": \"\\\"x\"}}'"));
    assert!(
        told.contains("granted write:scaled/#\n") && told.contains("(NOT_GRANTED)") && code == Some(0),
        "{told}"
    );
    let (told, code) = guest(place.path(), &format!("{deploy} --grant-all"));
    assert!(told.contains("now is granted read:raw/#, env-read:SCALE, state") && code == Some(0), "{told}");
    let (told, code) = guest(place.path(), &format!("list --json -p {}", broker.port()));
    assert_eq!(
        (serde_json::from_str::<Value>(&told).unwrap()["name"].as_str(), code),
        (Some("scale"), Some(0))
    );
    // Types of routes that come with the broker are for who asks for them.
    for (option, is_shown) in [("", false), ("--shipped", true)] {
        let (told, code) = guest(place.path(), &format!("list {option} -p {}", broker.port()));
        let is_there = told.contains("\nPOSTGRESQL               route   shipped");
        assert!(is_there == is_shown && code == Some(0), "{told}");
    }
    for (verb, state) in [("disable", "disabled"), ("enable", "enabled")] {
        let (told, code) = guest(place.path(), &format!("{verb} scale -p {}", broker.port()));
        assert_eq!(code, Some(0), "{told}");
        let (told, _) = guest(place.path(), &format!("list -p {}", broker.port()));
        assert!(told.contains(&format!("scale                    action  {state}")), "{told}");
    }
    // Nobody can be asked here.
    let (told, code) = guest(place.path(), &format!("remove scale -p {} </dev/null", broker.port()));
    assert!(told.contains("nothing was removed") && told.contains("--yes") && code == Some(1), "{told}");
    broker.command_ok("-addAction DEFINE ACTION Uses\nON TOPIC \"a\" DO\n    CALL MODULE \"scale\"\n");
    let remove = format!("remove scale --yes -p {}", broker.port());
    let (told, code) = guest(place.path(), &remove);
    assert!(told.contains("Use --force.") && code == Some(1), "{told}");
    // With `--force` the command does not ask.
    let forced = format!("remove scale --force -p {} </dev/null", broker.port());
    let (told, code) = guest(place.path(), &forced);
    assert!(told.contains("'scale' removed") && code == Some(0), "{told}");
    let (told, code) = guest(place.path(), &remove);
    assert!(told.contains("MODULE_NOT_FOUND") && code == Some(1), "{told}");
    let (told, code) = guest(place.path(), &format!("logs other -p {}", broker.port()));
    assert!(told.contains("MODULE_NOT_FOUND") && code == Some(1), "{told}");
}

#[test]
fn deploying_again_keeps_the_configuration_that_somebody_has_set() {
    let (broker, place) = (broker(), tempfile::tempdir().unwrap());
    std::fs::write(place.path().join("scale.wasm"), BASE64.decode(scale()).unwrap()).unwrap();
    let deploy = |more: &str| {
        let deploy = "deploy --file scale.wasm --name scale --on raw/# --grant-all";
        let (told, code) = guest(place.path(), &format!("{deploy} {more} -p {}", broker.port()));
        assert_eq!(code, Some(0), "{told}");
        told
    };
    let configured = || broker.command_ok("-asset-config-load scale").data().clone();
    assert!(!deploy("--config 0.5").contains("CONFIG_KEPT"));
    assert_eq!(configured(), 0.5);
    broker.command_ok("-asset-config-save scale 2");
    assert!(!deploy("").contains("CONFIG_KEPT"), "nothing else was wanted");
    assert_eq!(configured(), 2);
    assert!(!deploy("--config 3").contains("CONFIG_KEPT"));
    assert_eq!(configured(), 3);
    // With `-keepConfig`, the broker warns only if the configuration in the command differs from
    // the kept one.
    let keeping = |config: &str| {
        broker.command_ok(&format!(
            "-addModule scale -world action -on raw/# -grantAll -replace -keepConfig -config {config} wasm64:{}",
            scale()
        ))
    };
    assert_eq!(keeping("3").0.get("warnings"), None);
    let told = keeping("7").0["warnings"].to_string();
    assert!(told.contains("CONFIG_KEPT") && told.contains("lotmq guest deploy --config"), "{told}");
    assert_eq!(configured(), 3);
    // The command alone says all that there is, as before; and nobody keeps what was another's.
    let add = format!(
        "-addModule scale -world action -on raw/# -grantAll -replace -keepConfig -config 4 wasm64:{}",
        scale()
    );
    broker.command_ok("-addUser ann password");
    broker.command_ok("-changeUserSettings ann AllowedSystemConfiguration true");
    let refused = broker.command_as(("ann", "password"), &add);
    assert_eq!(
        (refused.code(), refused.message()),
        ("OF_ANOTHER", "Module 'scale' belongs to user 'root'. Use -force to do it all the same.")
    );
    assert_eq!(configured(), 3);
    let added = broker.command_as(("ann", "password"), &add.replace("-replace", "-replace -force"));
    assert!(added.0["warnings"].to_string().contains("CONFIG_NOT_KEPT"), "{added:?}");
    assert_eq!(configured(), 4);
    let own = format!("-addModule scale -world action -on raw/# -grantAll -replace wasm64:{}", scale());
    assert_eq!(broker.command(&own).code(), "OF_ANOTHER");
    let deploy = format!("deploy --file scale.wasm --name scale --on raw/# --grant-all -p {}", broker.port());
    let (told, code) = guest(place.path(), &deploy);
    assert!(told.contains("belongs to user 'ann'. Use -force") && told.contains("--force puts"), "{told}");
    assert_eq!((code, configured()), (Some(1), json!(4)));
    let (told, code) = guest(place.path(), &format!("{deploy} --force"));
    assert!(told.contains("OWNER_CHANGED") && code == Some(0), "{told}");
    assert_eq!(broker.command(&own).code(), "");
    assert_eq!(configured(), json!({}));
}

/// Tests the rules of the page on modules. With them an author may add a module and read its log,
/// and without them nothing.
#[test]
fn authors_add_modules_and_read_their_logs_with_the_rules_of_the_page() {
    let (broker, place) = (broker(), tempfile::tempdir().unwrap());
    std::fs::write(place.path().join("scale.wasm"), BASE64.decode(scale()).unwrap()).unwrap();
    broker.command_ok("-addUser ann password");
    broker.command_ok("-addUserToGroup ann authors");
    let of_ann = format!("-p {} -u ann -P password", broker.port());
    let deploy = format!("deploy --file scale.wasm --name scale --on raw/# --grant-all {of_ann}");
    let (told, code) = guest(place.path(), &deploy);
    assert!(told.contains("may not send commands") && code == Some(1), "{told}");
    let page = include_str!("../../docs/sdk/modules.md");
    let (_, rules) = page.split_once("```lot authors.lot\n").unwrap();
    let rules: Vec<&str> = rules.split_once("```").unwrap().0.split("\n\n").collect();
    for rule in &rules {
        broker.command_ok(&format!("-addRule {rule}"));
    }
    let (told, code) = guest(place.path(), &deploy);
    assert!(told.contains("added successfully") && code == Some(0), "{told}");
    let mut sender = broker.client("sender");
    sender.publish(&Publication::new("raw/a", "warm").qos(QoS::AtLeastOnce)).unwrap();
    let errors = || guest(place.path(), &format!("logs scale {of_ann}"));
    let found = eventually("the error", || {
        let (told, code) = errors();
        assert_eq!(code, Some(0), "{told}");
        told.contains("NOT_A_NUMBER").then_some(told)
    });
    assert!(found.contains("'warm' on 'raw/a' is not a number"), "{found}");
    broker.command_ok("-removeRule AuthorsReadModules");
    let (told, code) = errors();
    assert!(
        told.contains("a rule of scope SubscribeSys lets this user read it") && code != Some(0),
        "{told}"
    );
    broker.command_ok("-removeRule AuthorsAdd");
    let (told, code) = guest(place.path(), &deploy);
    assert!(told.contains("PERMISSION_DENIED") && code == Some(1), "{told}");
}

#[test]
fn module_info_masks_secrets_in_the_configuration() {
    let broker = broker();
    let config = r#"{"limit":3,"api_key":"k3y","far":{"password":"pw","token":{"secret":"T"}}}"#;
    broker.command_ok(&format!(
        "-addModule scale -world action -on raw/# -grantAll -config {config} wasm64:{}",
        scale()
    ));
    let info = broker.command_ok("-moduleInfo scale");
    let shown = json!({"limit":3,"api_key":"****","far":{"password":"****","token":{"secret":"T"}}});
    assert_eq!(info.data()["configuration"], shown);
    assert_eq!(info.data()["configurationBytes"], config.len());
}

#[test]
fn the_configuration_of_a_module_is_not_for_everybody() {
    let broker = broker();
    let add = format!(
        "-addModule scale -world action -on raw/# -grantAll -config {{\"limit\":\"l1mit\"}} wasm64:{}",
        scale()
    );
    broker.command_ok(&add);
    broker.command_ok(&add.replace("-world", "-replace -world"));
    broker.command_ok("-addUser ann password");
    broker.command_ok("-addUserToGroup ann readers");
    for scope in
        ["CommandCall", "PublishSys TO TOPIC \"$SYS/#\"", "SubscribeSys TO TOPIC \"$SYS/Coreflux/#\""]
    {
        let name: String = scope.chars().take_while(|sign| sign.is_alphabetic()).collect();
        broker.command_ok(&format!(
            "-addRule DEFINE RULE Readers{name} WITH PRIORITY 5 FOR {scope}\n    IF USER IN GROUP \"readers\" THEN\n        ALLOW\n"
        ));
    }
    let mut listener = broker.connect(&ConnectOptions::new("listener").user("ann", "password"));
    for topic in ["$SYS/Coreflux/Modules/#", "$SYS/Coreflux/Audit/#", "$SYS/Coreflux/Assets/#"] {
        listener.subscribe_to(topic, QoS::AtLeastOnce).unwrap();
    }
    let told = |command: &str| {
        let reply = broker.command_as(("ann", "password"), command);
        let text = reply.0.to_string();
        assert!(!text.contains("l1mit"), "{command}: {text}");
        (reply.success(), text)
    };
    // Commands for everybody who may command. They show only the size of the configuration.
    for command in [
        "-moduleInfo scale",
        "-listModules",
        "-list",
        "-listAvailable",
        "-assetSchema scale",
        "-assetDefaultConfig scale",
        "-assetHelp scale",
    ] {
        assert!(told(command).0, "{command}: {}", told(command).1);
    }
    let info = broker.command_as(("ann", "password"), "-moduleInfo scale");
    assert_eq!(info.data()["configurationBytes"], 17);
    assert_eq!(info.data().get("configuration"), None);
    // Commands that need a right of their own.
    for command in [
        "-getModule scale",
        "-rollbackModule scale",
        "-disableModule scale",
        "-assetConfigSave scale",
        "-auditQuery",
        "-backup",
    ] {
        let (succeeded, text) = told(command);
        assert!(!succeeded, "{command}: {text}");
    }
    broker.command_ok("-disableModule scale");
    broker.command_ok("-enableModule scale");
    // The last of what is told of it.
    broker.command_ok("-removeModule scale");
    loop {
        let message = listener.receive(WAIT_MAX).unwrap().expect("it is told that it was removed");
        assert!(!message.text().contains("l1mit"), "{}: {}", message.topic, message.text());
        if message.topic == "$SYS/Coreflux/Modules/scale" && message.payload.is_empty() {
            break;
        }
    }
}

#[test]
fn languages_are_named_as_people_name_them() {
    let place = tempfile::tempdir().unwrap();
    for (name, is_named, source) in [
        ("one", "rs", "src/lib.rs"),
        ("two", "javascript", "guest.js"),
        ("three", "js", "guest.js"),
        ("four", "py", "guest.py"),
    ] {
        let (told, code) = guest(place.path(), &format!("new {name} --lang {is_named}"));
        assert!(code == Some(0) && place.path().join(name).join(source).is_file(), "{told}");
    }
    let manifest = place.path().join("two/guest.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    assert!(text.contains("lang = \"js\""), "{text}");
    std::fs::write(&manifest, text.replace("lang = \"js\"", "lang = \"javascript\"")).unwrap();
    // It is read, and then the tools of the language are not to be got.
    let (told, code) = guest(place.path(), "build two --no-install");
    assert!(!told.contains("unknown variant") && code == Some(1), "{told}");
    let (told, code) = guest(place.path(), "new five --lang go");
    assert!(told.contains("invalid value 'go'") && code == Some(2), "{told}");
}

#[test]
fn mistakes_in_guest_toml_have_their_line_and_what_was_meant() {
    let place = tempfile::tempdir().unwrap();
    let (told, code) = guest(place.path(), "new one --lang js");
    assert!(code == Some(0), "{told}");
    let manifest = place.path().join("one/guest.toml");
    for (text, expected) in [
        (
            "name = \"one\"\ntype = \"acton\"\nlang = \"js\"\n",
            &["line 2, column 8", "unknown word `acton`", "did you mean `action`?"][..],
        ),
        ("name = \"one\"\ntype = \"action\"\n", &["guest.toml: `lang` is missing"]),
        (
            "name = \"one\"\ntype = \"action\"\nlang = \"js\"\non = \"raw/#\"\n",
            &["line 4, column 6", "expected a list: [\"raw/#\"]"],
        ),
        (
            "name = \"one\"\ntype = \"action\"\nlang = \"js\"\non = [\"a\", \"raw/#/x\"]\n",
            &["line 4, column 12", "'raw/#/x' is no topic filter"],
        ),
        (
            "name = \"one\"\ntype = \"action\"\nlang = \"js\"\naks = []\n",
            &["line 4, column 1", "unknown field `aks`", "did you mean `asks`?"],
        ),
    ] {
        std::fs::write(&manifest, text).unwrap();
        let (told, code) = guest(place.path(), "build one --no-install");
        assert_eq!(code, Some(1), "{told}");
        for part in expected {
            assert!(told.contains(part), "{part} in {told}");
        }
    }
}

#[test]
fn an_example_is_made_with_the_sdk_and_a_component_comes_back_as_it_was_sent() {
    let place = tempfile::tempdir().unwrap();
    let (told, code) = guest(place.path(), "new station --example points");
    assert!(code == Some(0) && told.contains("station: a guest of type route"), "{told}");
    for (file, part) in [
        ("Cargo.toml", "lotmq-guest = { path = \"lotmq-guest\""),
        ("guest.toml", "name = \"station\""),
        ("src/lib.rs", "export_route!"),
        ("lotmq-guest/Cargo.toml", "name = \"lotmq-guest\""),
        ("cases.test.toml", "a point is polled"),
        ("station.lot", "WITH MODULE \"station\""),
    ] {
        let text = std::fs::read_to_string(place.path().join("station").join(file)).unwrap();
        assert!(text.contains(part), "{file}: {text}");
    }
    let (told, code) = guest(place.path(), "new other --example points -t action");
    assert!(code == Some(2) && told.contains("cannot be used with"), "{told}");

    let broker = broker();
    let added = broker.command_ok(&format!("-addModule scale -world action -on raw/# wasm64:{}", scale()));
    assert!(added.0["warnings"].to_string().contains("NOT_GRANTED"), "{added:?}");
    let (told, code) = guest(place.path(), &format!("download scale -p {}", broker.port()));
    assert!(code == Some(0) && told.starts_with("scale.wasm: "), "{told}");
    assert_eq!(BASE64.encode(std::fs::read(place.path().join("scale.wasm")).unwrap()), scale());
    let (told, code) = guest(place.path(), &format!("download scale -p {}", broker.port()));
    assert!(told.contains("scale.wasm exists; --force overwrites it") && code == Some(1), "{told}");
    std::fs::write(place.path().join("scale.wasm"), "mine").unwrap();
    let (told, code) = guest(place.path(), &format!("download scale --force -p {}", broker.port()));
    assert!(told.contains("sha256") && code == Some(0), "{told}");
    assert_ne!(std::fs::read(place.path().join("scale.wasm")).unwrap(), b"mine");
    let (told, code) = guest(place.path(), &format!("download nobody -p {}", broker.port()));
    assert!(code == Some(1) && told.contains("nobody"), "{told}");
    // Why it does not do what it is to do is the first thing that is said of it.
    let (told, _) = guest(place.path(), &format!("logs scale -p {}", broker.port()));
    assert!(
        told.contains("was not granted it; lotmq cmd -grantModule scale -grant 'read:raw/#' -grant 'write:scaled/#' -grant env-read:SCALE -grant state grants it"),
        "{told}"
    );
}

#[test]
fn messages_missed_by_a_disabled_module_are_counted() {
    let broker = broker();
    broker.command_ok(&format!("-addModule scale -world action -on raw/# -grantAll wasm64:{}", scale()));
    let missed = || broker.command_ok("-moduleInfo scale").data()["missed"].as_u64();
    let mut client = broker.client("");
    let mut send = |topic: &str| {
        client.publish(&Publication::new(topic, "1").qos(QoS::AtLeastOnce)).unwrap();
    };
    send("raw/a");
    broker.command_ok("-disableModule scale");
    send("raw/a");
    send("raw/b");
    send("other");
    assert_eq!(missed(), Some(2));
    let figure = || {
        broker
            .metric("lotmq_definition_missed_total{tenant=\"default\",kind=\"Module\",definition=\"scale\"}")
    };
    assert_eq!(figure(), Some(2.0));
    broker.command_ok("-enableModule scale");
    send("raw/a");
    assert_eq!(missed(), Some(2));
}

#[test]
fn logs_are_followed_over_a_restart_and_tell_the_state_of_the_module() {
    let port = free_port().to_string();
    let mut broker = options().listen(&format!("127.0.0.1:{port}")).start();
    broker.command_ok(&format!("-addModule scale -world action -on raw/# -grantAll wasm64:{}", scale()));
    let mut logs = Program::start(LOTMQ, &["guest", "logs", "scale", "-f", "-p", &port]).unwrap();
    let is_told = |part: &'static str| {
        let told = logs.stderr.wait_for(part, |line| line.contains(part).then_some(()));
        assert!(told.is_some(), "{part}: {}", logs.stderr.text());
    };
    let is_said = |part: &'static str| {
        let said = logs.stdout.wait_for(part, |line| line.contains(part).then_some(()));
        assert!(said.is_some(), "{part}: {}", logs.stdout.text());
    };
    let send = |broker: &Broker, payload: &str| crate::send(broker, "raw/a", payload);
    is_told("following scale");
    send(&broker, "warm");
    is_said("'warm' on 'raw/a' is not a number");
    broker.stop();
    broker.start_again();
    is_told("connected again");
    eventually("the new subscription", || {
        send(&broker, "hot");
        logs.stdout.text().contains("'hot' on 'raw/a' is not a number").then_some(())
    });
    broker.command_ok("-disableModule scale");
    is_told("scale is disabled: lotmq guest enable starts it again");
    broker.command_ok("-enableModule scale");
    is_told("scale is enabled");
    logs.kill();
}

#[test]
fn logs_are_in_the_order_of_their_times() {
    let broker = broker();
    broker.command_ok(&format!("-addModule scale -world action -on raw/# -grantAll wasm64:{}", scale()));
    let port = broker.port();
    let mut logs = Program::start(LOTMQ, &["guest", "logs", "scale", "-f", "-p", &port]).unwrap();
    let begun = logs.stderr.wait_for("it follows", |line| line.contains("following scale").then_some(()));
    assert!(begun.is_some(), "{}", logs.stderr.text());
    // Each is a line of its log, and an error, which come by ways of their own.
    const COUNT: usize = 30;
    for number in 0..COUNT {
        crate::send(&broker, "raw/a", &format!("hot-{number}"));
    }
    let last = format!("'hot-{}' on 'raw/a'", COUNT - 1);
    let said = logs.stdout.wait_for("the last", |line| line.contains(&last).then_some(()));
    assert!(said.is_some(), "{}", logs.stdout.text());
    let text = logs.stdout.text();
    let times: Vec<_> = text.lines().filter_map(|line| line.split_once(' ')).map(|(time, _)| time).collect();
    let in_order: Vec<jiff::Timestamp> = times.iter().map(|time| time.parse().unwrap()).collect();
    assert!(in_order.is_sorted() && text.contains("readings could not be read"), "{text}");
    logs.kill();
}

#[test]
fn verify_warns_of_grants_impossible_in_the_world() {
    const UP: &str = "DEFINE ACTION Up\nON TOPIC \"raw/+\" DO\n    PUBLISH TOPIC \"up\" WITH 1\n";
    let place = tempfile::tempdir().unwrap();
    let asking = with_manifest(&compiled(UP), r#"{"asks":["file-read:/data","state"]}"#);
    let component = base64::engine::general_purpose::STANDARD.decode(asking).unwrap();
    std::fs::write(place.path().join("asking.wasm"), component).unwrap();
    let (told, code) = guest(place.path(), "verify asking.wasm");
    assert!(
        told.contains("asks for file-read:/data, which no module of world action can have")
            && code == Some(0),
        "{told}"
    );
    let (told, _) = guest(place.path(), "verify --json asking.wasm");
    assert_eq!(
        serde_json::from_str::<Value>(&told).unwrap()["cannotHave"],
        json!(["file-read:/data"]),
        "{told}"
    );
}

#[test]
fn a_large_component_is_deployed_in_parts() {
    let broker = broker();
    let place = tempfile::tempdir().unwrap();
    let mut component = base64::engine::general_purpose::STANDARD.decode(scale()).unwrap();
    // A custom section of 9 MiB, so that no command has room for it.
    let section = [&[4][..], b"void", &vec![7; 9 << 20]].concat();
    component.push(0);
    let mut len = section.len();
    while len >= 128 {
        component.push(u8::try_from(len % 128).unwrap() | 128);
        len /= 128;
    }
    component.push(u8::try_from(len).unwrap());
    component.extend_from_slice(&section);
    std::fs::write(place.path().join("large.wasm"), &component).unwrap();
    let deploy = format!("deploy --file large.wasm --name large --on raw/# --grant-all -p {}", broker.port());
    for done in ["added", "replaced"] {
        let (told, code) = guest(place.path(), &deploy);
        let wanted = format!("Module 'large' {done} successfully!");
        assert!(told.contains(&wanted) && code == Some(0), "{told}");
    }
    assert_eq!(broker.command_ok("-moduleInfo large").data()["bytes"], component.len());
    let (told, code) = guest(place.path(), &format!("rollback large -p {}", broker.port()));
    assert_eq!(code, Some(0), "{told}");
}

#[test]
fn module_log_lines_are_published_to_subscribers() {
    let broker = broker();
    broker.command_ok(&format!("-addModule scale -world action -on raw/# -grantAll wasm64:{}", scale()));
    let mut client = broker.root("reader");
    client.subscribe_to("$SYS/Coreflux/Modules/scale/Log", QoS::AtLeastOnce).unwrap();
    for _ in 0..2 {
        client.publish(&Publication::new("raw/s1", "hot")).unwrap();
    }
    for count in 1..=2 {
        let message = client.receive(WAIT_MAX).unwrap().unwrap();
        let line: Value = serde_json::from_slice(&message.payload).unwrap();
        assert_eq!(line["text"], format!("{count} readings could not be read so far"));
        assert_eq!((line["level"].as_str(), message.retain), (Some("warn"), false));
    }
}

#[test]
fn suppressed_log_lines_are_counted_without_a_later_line() {
    const LINES: u64 = 150;
    let broker = broker();
    broker.command_ok(&format!("-addModule scale -world action -on raw/# -grantAll wasm64:{}", scale()));
    let mut client = broker.root("reader");
    client.subscribe_to("$SYS/Coreflux/Modules/scale/Log", QoS::AtLeastOnce).unwrap();
    for _ in 0..LINES {
        client.publish(&Publication::new("raw/s1", "hot").qos(QoS::AtLeastOnce)).unwrap();
    }
    let mut told = 0;
    while told < LINES {
        let message = client.receive(WAIT_MAX).unwrap().expect("each line is told, or counted as missing");
        let line: Value = serde_json::from_slice(&message.payload).unwrap();
        let is_own = line["text"] == "too many lines at once";
        told += u64::from(!is_own) + line["suppressed"].as_u64().unwrap_or_default();
    }
    assert_eq!(told, LINES);
}

#[test]
fn log_lines_of_a_rule_module_are_published_to_subscribers() {
    let broker = broker();
    broker.command_ok(&crate::rule_modules::add_guard("-grantAll"));
    broker.command_ok(crate::rule_modules::GUARDED);
    let locked = Publication::new("plant/locked", "true").qos(QoS::AtLeastOnce).retained();
    broker.client("locks").publish(&locked).unwrap();
    let mut client = broker.root("reader");
    client.subscribe_to("$SYS/Coreflux/Modules/guard/Log", QoS::AtLeastOnce).unwrap();
    broker.client("asks").publish(&Publication::new("plant/a", "x").qos(QoS::AtLeastOnce)).unwrap();
    let message = client.receive(WAIT_MAX).unwrap().unwrap();
    let line: Value = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!(
        (line["level"].as_str(), &line["text"]),
        (Some("info"), &json!("asks is denied: the plant is locked"))
    );
}

/// A guest that tells of itself in every way there is.
const TELLS: &str = r##"
use lotmq_guest::action::{Action, Message, QoS, RunError, publish};
use lotmq_guest::{eprintln, println};

lotmq_guest::manifest!("write:out");

struct Tells;

impl Action for Tells {
    fn on_message(message: Message) -> Result<(), RunError> {
        println!("{} bytes", message.payload.len());
        eprintln!();
        tracing::warn!(sensor = "s1", count = 2, "seldom");
        publish("out", b"before", QoS::AtMostOnce, false)?;
        let empty: [u8; 0] = [];
        println!("{}", empty[message.payload.len()]);
        Ok(())
    }
}

lotmq_guest::export_action!(Tells);
"##;

#[test]
fn prints_panics_and_events_reach_the_log_with_their_text() {
    if !compiles_guests() {
        return;
    }
    let broker = broker();
    let place = tempfile::tempdir().unwrap();
    guest(place.path(), "new tells");
    let folder = place.path().join("tells");
    std::fs::write(folder.join("src/lib.rs"), TELLS).unwrap();
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    let tracing =
        "features = [\"action\", \"tracing\"] }\ntracing = { version = \"0.1\", default-features = false }";
    let manifest = manifest.replace("features = [\"action\"] }", tracing);
    std::fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    let build = Command::new(LOTMQ).args(["guest", "build"]).current_dir(&folder).output().unwrap();
    assert!(build.status.success(), "{}", String::from_utf8_lossy(&build.stderr));
    let arguments =
        format!("deploy --file target/tells.wasm --name tells --on in --grant-all -p {}", broker.port());
    let (told, code) = guest(&folder, &arguments);
    assert_eq!(code, Some(0), "{told}");
    let mut client = broker.root("reader");
    client.subscribe_to("$SYS/Coreflux/Modules/tells/Log", QoS::AtLeastOnce).unwrap();
    client.subscribe_to("out", QoS::AtLeastOnce).unwrap();
    client.publish(&Publication::new("in", "abc")).unwrap();
    let mut receive = || client.receive(WAIT_MAX).unwrap().unwrap();
    for (level, part) in [("info", "3 bytes"), ("warn", ""), ("warn", "seldom sensor=s1 count=2")] {
        let line: Value = serde_json::from_slice(&receive().payload).unwrap();
        assert_eq!((line["level"].as_str(), line["text"].as_str()), (Some(level), Some(part)));
    }
    assert_eq!(receive().text(), "before", "what was written before a panic is carried out");
    let line: Value = serde_json::from_slice(&receive().payload).unwrap();
    let text = line["text"].as_str().unwrap();
    assert!(text.contains("src/lib.rs:16") && text.contains("the len is 0 but the index is 3"), "{text}");
    assert!(!text.contains(place.path().to_str().unwrap()), "no path of the machine is in it: {text}");
    assert_eq!(line["level"], "error");
    let (told, _) = guest(place.path(), &format!("logs tells -p {}", broker.port()));
    assert!(
        told.contains("the guest gave up (panic or abort): ")
            && told.contains("src/lib.rs:16")
            && told.contains("the index is 3"),
        "{told}"
    );
}

/// A guest that asks a crate for the time, which asks JavaScript as it is by default.
const DATES: &str = r#"//! An action with the time.

use lotmq_guest::action::{Action, Message, QoS, RunError, publish};

struct Dates;

impl Action for Dates {
    fn on_message(message: Message) -> Result<(), RunError> {
        publish(&message.topic, chrono::Utc::now().to_rfc3339().as_bytes(), QoS::AtMostOnce, false)?;
        Ok(())
    }
}

lotmq_guest::export_action!(Dates);
"#;

#[test]
fn a_crate_that_is_built_for_browsers_is_named_with_the_feature_to_switch_off() {
    if !compiles_guests() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    guest(place.path(), "new dates");
    let folder = place.path().join("dates");
    std::fs::write(folder.join("src/lib.rs"), DATES).unwrap();
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    let with_chrono = "features = [\"action\"] }\nchrono = \"0.4\"";
    std::fs::write(folder.join("Cargo.toml"), manifest.replace("features = [\"action\"] }", with_chrono))
        .unwrap();
    let (told, code) = guest_with_cargo(&folder, &["build"]);
    #[allow(clippy::print_stderr, reason = "a skipped test says so")]
    if told.contains("failed to get `chrono`") || told.contains("failed to download") {
        eprintln!("skipped: cargo reaches no registry");
        return;
    }
    let named = "a crate is built for browsers and imports what no broker has (wasm-bindgen): \
                 chrono has feature `wasmbind`: write chrono = { version = \"…\", default-features = false, features = [";
    assert!(told.contains(named) && code == Some(1), "{told}");
    // The advice of the error helps.
    let (_, features) = told.split_once(named).unwrap();
    let (features, _) = features.split_once(']').unwrap();
    let without =
        format!("chrono = {{ version = \"0.4\", default-features = false, features = [{features}] }}");
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    std::fs::write(folder.join("Cargo.toml"), manifest.replace("chrono = \"0.4\"", &without)).unwrap();
    let (told, code) = guest_with_cargo(&folder, &["build"]);
    assert!(code == Some(0), "{told}");
}
