//! Projects as clients send them: stored, loaded as a whole, owned, there again after `kill -9`,
//! unloaded, downloaded.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Cursor, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_client::{Client, Publication, QoS};
use lotmq_test_support::{Broker, Program, Reply, WAIT_MAX};
use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::{LOTMQ, broker, next, send, watch};

pub(crate) const MODEL: &str =
    "DEFINE MODEL Reading COLLAPSED\n    ADD STRING \"press\"\n    ADD DOUBLE \"temperature\"\n";
const ACTION: &str = "DEFINE ACTION Clean\nON TOPIC \"raw/+\" DO\n    CALL ACTION Celsius WITH fahrenheit = PAYLOAD RETURN t\n    PUBLISH MODEL Reading TO \"clean/\" + TOPIC POSITION 2 WITH\n        press = TOPIC POSITION 2\n        temperature = {t}\n";
pub(crate) const CELL: &str = "DEFINE ACTION Celsius\nINPUT fahrenheit AS DOUBLE\nDO\n    SET \"c\" WITH ({fahrenheit} - 32) * 5 / 9\nRETURN\n    OUTPUT c\n";
pub(crate) const ROUTE: &str =
    "DEFINE ROUTE Store WITH TYPE LOOPBACK\n    ADD LOOPBACK_CONFIG\n        WITH MAX_ROWS 10\n";
pub(crate) const RULE: &str =
    "DEFINE RULE NoSecrets WITH PRIORITY 100 FOR Publish TO TOPIC \"closed/#\"\n    DENY\n";
const PANEL: &str = "DEFINE PANEL \"Hall\" WITH TITLE \"Hall 1\"\n\nDEFINE THEME \"Dark\"\n    SET \"TEXT\" WITH \"#ffffff\"\n";

fn notebook() -> String {
    json!([
        {"kind": 1, "language": "markdown", "value": "# Units"},
        {"kind": 2, "language": "shellscript", "value": "rm -rf /"},
        {"kind": 2, "language": "lot", "value": CELL},
    ])
    .to_string()
}

pub(crate) fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn plant() -> Vec<u8> {
    // The action comes before what it needs.
    zip(&[
        ("a-presses.lot", ACTION.as_bytes()),
        ("models.lot", MODEL.as_bytes()),
        ("sub/units.LOTNB", notebook().as_bytes()),
        ("sub/panel.lot", PANEL.as_bytes()),
        ("sub/rest.lot", format!("{ROUTE}\n{RULE}").as_bytes()),
        ("README.md", b"# Plant"),
    ])
}

pub(crate) fn upload(broker: &Broker, name: &str, archive: &[u8], rest: &str) -> Reply {
    broker.command(&format!("-addProject zip64:{} {name}{rest}", STANDARD.encode(archive)))
}

/// Somebody who sees what is told about projects.
pub(crate) fn viewer(broker: &Broker, filter: &str) -> Client {
    let mut client = broker.root("viewer");
    client.subscribe_to(filter, QoS::AtLeastOnce).unwrap();
    client
}

pub(crate) fn told(client: &mut Client) -> (String, Value) {
    let message = client.receive(WAIT_MAX).unwrap().expect("a message");
    let value = serde_json::from_slice(&message.payload).unwrap_or(Value::Null);
    (message.topic["$SYS/Coreflux/".len()..].to_owned(), value)
}

pub(crate) fn origins(broker: &Broker) -> Vec<(String, String)> {
    let listed = broker.command_ok("-listEntities");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    listed.data().as_array().unwrap().iter().map(|row| (text(&row["name"]), text(&row["origin"]))).collect()
}

/// Checks that the programs of the project work.
fn works(broker: &Broker) {
    let mut watcher = watch(broker, "clean/#");
    send(broker, "raw/a", "212");
    assert_eq!(next(&mut watcher), r#"clean/a={"press":"a","temperature":100}"#);
}

#[test]
fn a_project_is_added_loaded_kept_and_unloaded() {
    let mut broker = broker();
    let mut client = viewer(&broker, "$SYS/Coreflux/Projects/#");
    assert_eq!(told(&mut client), ("Projects/list".to_owned(), json!([])));
    assert_eq!(told(&mut client), ("Projects/active".to_owned(), json!({"status": "unloaded"})));

    let added = upload(&broker, "plant", &plant(), "");
    assert_eq!(added.message(), "Project 'plant' added successfully!", "{added:?}");
    assert_eq!((&added.0["entityType"], &added.0["entityName"]), (&json!("Project"), &json!("plant")));
    let counts = json!({"Model": 1, "Action": 2, "Route": 1, "Rule": 1, "Python": 0, "Theme": 1, "Panel": 1});
    let digest = &added.data()["sha256"];
    assert_eq!(digest.as_str().map(str::len), Some(64));
    assert_eq!(
        added.data(),
        &json!({"name": "plant", "files": 6, "sha256": digest, "owner": "root", "counts": counts})
    );
    assert_eq!(broker.command_ok("-listEntities").data(), &json!([]), "nothing runs yet");
    let (topic, list) = told(&mut client);
    assert_eq!((topic.as_str(), &list[0]["status"]), ("Projects/list", &json!("available")));
    assert_eq!((&list[0]["files"], &list[0]["source"]), (&json!(6), &json!("upload")));
    let topics = [told(&mut client).0, told(&mut client).0];
    assert_eq!(topics, ["Projects/plant/status", "Projects/plant/manifest"]);

    let loaded = broker.command_ok("-loadProject plant");
    assert_eq!(loaded.message(), "Project 'plant' loaded successfully!");
    let kinds: Vec<&str> = loaded.data()["entities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["Model", "Action", "Action", "Route", "Rule", "Theme", "Panel"]);
    let (topic, active) = told(&mut client);
    assert_eq!(
        (topic.as_str(), &active["status"], &active["name"]),
        ("Projects/active", &json!("loaded"), &json!("plant"))
    );
    let owned = [
        ("Reading", "plant/models.lot"),
        ("Clean", "plant/a-presses.lot"),
        ("Celsius", "plant/sub/units.LOTNB/3"),
        ("Store", "plant/sub/rest.lot"),
        ("NoSecrets", "plant/sub/rest.lot"),
        ("Dark", "plant/sub/panel.lot"),
        ("Hall", "plant/sub/panel.lot"),
    ]
    .map(|(name, origin)| (name.to_owned(), origin.to_owned()));
    assert_eq!(origins(&broker), owned);
    works(&broker);

    broker.kill();
    broker.start_again();
    works(&broker);
    let mut after: Vec<_> = origins(&broker);
    after.sort();
    let mut expected = owned.to_vec();
    expected.sort();
    assert_eq!(after, expected);
    let mut client = viewer(&broker, "$SYS/Coreflux/Projects/plant/#");
    let (_, status) = told(&mut client);
    let owned_counts = json!({"action": 2, "model": 1, "panel": 1, "route": 1, "rule": 1, "theme": 1});
    assert_eq!((&status["status"], &status["counts"]), (&json!("loaded"), &owned_counts));
    assert_eq!(told(&mut client).1, *broker.command_ok("-projectManifest plant").data());
    assert_eq!(status, *broker.command_ok("-projectStatus plant").data());
    let mut client = viewer(&broker, "$SYS/Coreflux/Entities/ownership");
    let cell = json!({"project": "plant", "file": "sub/units.LOTNB", "cell": 3});
    assert_eq!(told(&mut client).1["action:Celsius"], cell);

    for (command, code, message) in [
        ("-removeProject plant", "PROJECT_LOADED", "Project 'plant' is loaded; unload it first."),
        ("-unloadProject other", "NOT_FOUND", "Project 'other' not found."),
        ("-unloadProject", "", "Project 'plant' unloaded successfully!"),
        ("-unloadProject", "NOT_LOADED", "No project is loaded."),
        ("-unloadProject plant", "NOT_LOADED", "Project 'plant' is not loaded."),
    ] {
        let reply = broker.command(command);
        assert_eq!((reply.code(), reply.message()), (code, message), "{command}");
    }
    assert_eq!(broker.command_ok("-listEntities").data(), &json!([]));
    broker.kill();
    broker.start_again();
    assert_eq!(broker.command_ok("-listEntities").data(), &json!([]));
    assert_eq!(broker.command_ok("-listProjects").data()[0]["status"], "available");
    assert_eq!(broker.command_ok("-removeProject plant").message(), "Project 'plant' removed successfully!");
    assert_eq!(broker.command("-loadProject plant").message(), "Project 'plant' not found.");
    broker.kill();
    broker.start_again();
    assert_eq!(broker.command_ok("-listProjects").message(), "No projects found.");
}

#[test]
fn another_project_takes_the_place_and_what_is_added_by_hand_stays() {
    let broker = broker();
    broker
        .command_ok("-addAction DEFINE ACTION Mine\nON TOPIC \"mine\" DO\n    PUBLISH TOPIC \"out\" WITH 1");
    broker.command_ok("-addAction DEFINE ACTION Clean\nON TOPIC \"raw/+\" DO\n    PUBLISH TOPIC \"clean/x\" WITH \"by hand\"");
    let added = upload(&broker, "plant", &plant(), " load");
    assert_eq!(
        (added.success(), added.message()),
        (true, "Project 'plant' added successfully!"),
        "{added:?}"
    );
    assert_eq!(
        added.0["warnings"],
        json!([{"message": "Action 'Clean' was added by hand; project 'plant' has replaced it and gives it back when it is unloaded.", "code": "REPLACED", "file": "a-presses.lot"}])
    );
    works(&broker);
    let refused = upload(&broker, "plant", &plant(), "");
    assert_eq!(refused.code(), "PROJECT_LOADED");
    // Something of both is in the other; the rest of the first goes.
    let other = zip(&[
        ("m.lot", MODEL.as_bytes()),
        ("x.lot", b"DEFINE ACTION Echo\nON TOPIC \"echo\" DO\n    PUBLISH TOPIC \"out\" WITH PAYLOAD"),
    ]);
    upload(&broker, "other", &other, "");
    broker.command_ok("-loadProject other");
    let names: Vec<String> =
        origins(&broker).into_iter().map(|(name, origin)| format!("{name} {origin}")).collect();
    assert_eq!(names, ["Reading other/m.lot", "Mine adhoc", "Clean adhoc", "Echo other/x.lot"]);
    assert_eq!(
        upload(&broker, "plant", &plant(), "").message(),
        "Project 'plant' added successfully!",
        "it can be replaced now"
    );
    // A definition added by hand under the name of an owned one belongs to no project.
    broker.command_ok(&format!("-addModel {MODEL}"));
    broker.command_ok("-unloadProject other");
    let names: Vec<String> = origins(&broker).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["Reading", "Mine", "Clean"]);
    let copied = broker.command_ok("-duplicateProject plant \"plant 2\"");
    assert_eq!(copied.message(), "Project 'plant 2' added successfully!");
    broker.command_ok("-loadProject \"plant 2\"");
    works(&broker);
}

/// Between an old version of a project and a new one there is no moment without either.
#[test]
fn a_loaded_project_is_replaced_by_its_next_version_without_losing_a_message() {
    let broker = broker();
    let version = |number: usize| {
        let text = format!(
            "DEFINE ACTION Carry\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"out\" WITH PAYLOAD + \" {number}\"\n"
        );
        zip(&[("a.lot", text.as_bytes())])
    };
    assert!(upload(&broker, "p", &version(0), " load").success());
    let mut watcher = watch(&broker, "out");
    let mut sender = broker.client("sender");
    let is_over = AtomicBool::new(false);
    let versions = thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let mut versions = BTreeSet::new();
            for number in 0.. {
                let message = Publication::new("in", number.to_string()).qos(QoS::AtLeastOnce);
                sender.publish(&message).unwrap();
                let said = next(&mut watcher);
                let (of, version) = said.strip_prefix("out=").and_then(|text| text.split_once(' ')).unwrap();
                assert_eq!(of, number.to_string());
                versions.insert(version.to_owned());
                if version == "5" && is_over.load(Ordering::Relaxed) {
                    break;
                }
            }
            versions
        });
        for number in 1..=5 {
            let reply = upload(&broker, "p", &version(number), " load");
            assert!(reply.success(), "{reply:?}");
        }
        is_over.store(true, Ordering::Relaxed);
        sending.join().unwrap()
    });
    assert!(versions.contains("5"), "{versions:?}");
    assert_eq!(broker.command_ok("-projectStatus p").data()["counts"], json!({"action": 1}));
}

/// Unloading a project must not allow what a rule forbids, if the project had a rule of the same
/// name.
#[test]
fn a_project_replaces_no_rule_that_was_added_by_hand() {
    let broker = broker();
    broker.command_ok("-addRule DEFINE RULE Ad WITH PRIORITY 100 FOR Publish TO TOPIC \"shut\"\n    DENY");
    let archive = zip(&[(
        "r.lot",
        b"DEFINE RULE Ad WITH PRIORITY 100 FOR Publish TO TOPIC \"shut\"\n    ALLOW\n\nDEFINE RULE Own WITH PRIORITY 100 FOR Publish TO TOPIC \"own\"\n    DENY",
    )]);
    let reply = upload(&broker, "p", &archive, " load");
    assert_eq!((reply.success(), reply.code()), (false, "EXISTS"), "{reply:?}");
    assert_eq!(reply.errors()[0]["file"], "r.lot");
    let rules = || {
        let origins = origins(&broker).into_iter();
        origins.filter(|(name, _)| ["Ad", "Own"].contains(&name.as_str())).collect::<Vec<_>>()
    };
    assert_eq!(rules(), [("Ad".into(), "adhoc".into()), ("Own".into(), "p/r.lot".into())]);
    broker.command_ok("-unloadProject");
    assert_eq!(rules(), [("Ad".to_owned(), "adhoc".to_owned())]);
}

#[test]
fn project_errors_have_file_cell_and_line_and_valid_definitions_run() {
    let broker = broker();
    let cells = json!([
        {"kind": 2, "language": "lot", "value": "DEFINE ACTION Good\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"out\" WITH PAYLOAD\n"},
        {"kind": 2, "language": "lot", "value": "-- a comment\nDEFINE ACTION Bad\nON TOPIC \"in\" DO\n    PUBLISH TOPIK \"out\" WITH 1\n"},
    ]);
    let archive = zip(&[
        ("n.lotnb", cells.to_string().as_bytes()),
        ("orphan.lot", b"DEFINE MODEL Child FROM Nowhere WITH TOPIC \"c\"\n    ADD INT \"a\" WITH 1"),
        ("rule.lot", b"DEFINE RULE AllowPublishSysCommand WITH PRIORITY 100 FOR Publish\n    ALLOW"),
        ("stray.lot", b"x = 1\n\nDEFINE THEME \"T\"\n    SET \"A\" WITH \"b\""),
        ("empty.lot", b"-- nothing\n"),
    ]);
    let reply = upload(&broker, "p", &archive, " load");
    assert_eq!(reply.message(), "Project 'p' is loaded, with 3 error(s).", "{reply:?}");
    let places: Vec<(&str, &str, Option<u64>, Option<u64>)> = reply
        .errors()
        .iter()
        .map(|error| {
            let text = |key: &str| error[key].as_str().unwrap();
            (text("file"), text("code"), error["cell"].as_u64(), error["line"].as_u64())
        })
        .collect();
    assert_eq!(
        places,
        [
            ("n.lotnb", "LOT242", Some(2), Some(4)),
            ("rule.lot", "EXISTS", None, None),
            ("stray.lot", "LOT202", None, Some(1)),
        ],
        "{reply:?}"
    );
    let entities = reply.data()["entities"].as_array().unwrap();
    let rows: Vec<_> = entities
        .iter()
        .map(|row| (row["name"].as_str().unwrap(), row["success"].as_bool().unwrap()))
        .collect();
    assert_eq!(
        rows,
        [("Child", true), ("Good", true), ("Bad", false), ("AllowPublishSysCommand", false), ("T", true)]
    );
    let mut watcher = watch(&broker, "out");
    send(&broker, "in", "7");
    assert_eq!(next(&mut watcher), "out=7");
    assert_eq!(broker.command_ok("-projectStatus p").data()["status"], "loaded");
    assert_eq!(broker.command_ok("-getPendingStatus").data()[0]["missing"], json!(["Model Nowhere"]));
}

#[test]
fn invalid_project_is_rejected_and_not_stored() {
    let broker = broker();
    let project = |archive: &[u8]| format!("zip64:{} p", STANDARD.encode(archive));
    for (arguments, code, message) in [
        (
            String::new(),
            "MISSING_ARGUMENT",
            "Missing argument: source. Usage: -addProject <zip64:base64 | path> [name] [load] [-beside] [-dryRun] [-agreed <plan>] [-replace] [-keepLoaded]",
        ),
        ("zip64:* p".to_owned(), "BASE64_INVALID", "zip64 argument is not valid base64."),
        (
            format!("zip64:{}", STANDARD.encode(plant())),
            "MISSING_ARGUMENT",
            "Missing argument: name. Usage: -addProject <zip64:base64 | path> [name] [load] [-beside] [-dryRun] [-agreed <plan>] [-replace] [-keepLoaded]",
        ),
        (
            format!("zip64:{} a/b", STANDARD.encode(plant())),
            "PROJECT_NAME_INVALID",
            "Project name 'a/b' is invalid.",
        ),
        (
            format!("zip64:{} a b c", STANDARD.encode(plant())),
            "TOO_MANY_ARGUMENTS",
            "Too many arguments. Usage: -addProject <zip64:base64 | path> [name] [load] [-beside] [-dryRun] [-agreed <plan>] [-replace] [-keepLoaded]",
        ),
        (
            project(&zip(&[("../up.lot", b"")])),
            "PROJECT_INVALID",
            "Project was not added: the path '../up.lot' is not one of a file inside the project.",
        ),
        (
            project(&zip(&[("a.lot", b"x\n\xff")])),
            "PROJECT_INVALID",
            "Project was not added: 'a.lot' is not UTF-8 text: line 2, column 1.",
        ),
        (
            "https://example.com/x.git p load".to_owned(),
            "NOT_AVAILABLE",
            "Projects from git are not available yet.",
        ),
        ("/etc p".to_owned(), "PATH_FORBIDDEN", ""),
        ("../../x p".to_owned(), "PATH_FORBIDDEN", ""),
    ] {
        let reply = broker.command(&format!("-addProject {arguments}"));
        assert_eq!(reply.code(), code, "{reply:?}");
        assert!(message.is_empty() || reply.message() == message, "{reply:?}");
    }
    assert_eq!(broker.command_ok("-listProjects").message(), "No projects found.");
}

#[test]
fn a_project_comes_from_a_folder_below_the_root_and_from_nowhere_else() {
    let broker = broker();
    let root = broker.data().join("files/default");
    let folder = root.join("hall 3");
    fs::create_dir_all(folder.join("sub")).unwrap();
    fs::write(folder.join("m.lot"), MODEL).unwrap();
    fs::write(folder.join("sub/units.lotnb"), notebook()).unwrap();
    fs::write(folder.join("a.lot"), ACTION).unwrap();
    fs::write(folder.join(".hidden.lot"), "DEFINE").unwrap();
    let added = broker.command_ok("-addProject \"hall 3\" load");
    assert_eq!((&added.data()["name"], &added.data()["files"]), (&json!("hall 3"), &json!(3)));
    works(&broker);
    assert_eq!(broker.command_ok("-listProjects").data()[0]["source"], "hall 3");
    fs::write(root.join("plant.zip"), plant()).unwrap();
    let path = root.join("plant.zip");
    let added = broker.command_ok(&format!("-addProject {} load", path.display()));
    assert_eq!(added.data()["name"], "plant");
    std::os::unix::fs::symlink("/etc", folder.join("link")).unwrap();
    let reply = broker.command("-addProject \"hall 3\" again");
    assert_eq!(reply.message(), "Project was not added: the path 'link' has a link in it.");
    std::os::unix::fs::symlink("/etc", root.join("out")).unwrap();
    assert_eq!(broker.command("-addProject out x").code(), "PATH_FORBIDDEN");
    assert_eq!(broker.command("-addProject nowhere x").code(), "PATH_UNREADABLE");
}

#[test]
fn eight_megabytes_go_up_and_come_down_byte_for_byte() {
    let mut broker = broker();
    // Noise that does not compress; an xorshift is as good as any.
    let mut state = 0x9e37_79b9_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()
    })
    .take(2 << 20)
    .flatten()
    .collect();
    let archive = zip(&[("noise.bin", &noise), ("m.lot", MODEL.as_bytes())]);
    assert!(archive.len() > 8 << 20);
    assert!(upload(&broker, "big", &archive, "").success());
    broker.kill();
    broker.start_again();
    // Of QoS 0, too, the reply comes, though the download is more than may wait for a client.
    for (name, qos) in [("reader", QoS::AtLeastOnce), ("plain", QoS::AtMostOnce)] {
        let mut client = broker.root(name);
        client.subscribe_to("$SYS/Coreflux/Projects/big/download", qos).unwrap();
        client.subscribe_to("$SYS/Coreflux/Command/Output", qos).unwrap();
        let ask = Publication::new("$SYS/Coreflux/Command", "-getProject big").qos(QoS::AtLeastOnce);
        client.publish(&ask).unwrap();
        let download = client.receive(WAIT_MAX).unwrap().expect("the files come before the reply");
        assert_eq!(
            (download.topic.as_str(), download.retain),
            ("$SYS/Coreflux/Projects/big/download", false)
        );
        assert!(STANDARD.decode(&download.payload).unwrap() == archive, "byte for byte");
        let reply: Value =
            serde_json::from_slice(&client.receive(WAIT_MAX).unwrap().expect("the reply").payload).unwrap();
        assert_eq!((&reply["success"], &reply["data"]["bytes"]), (&json!(true), &json!(archive.len())));
    }
    assert_eq!(broker.command("-getProject nope").message(), "Project 'nope' not found.");
}

#[test]
fn scripts_of_a_project_are_called_owned_and_removed() {
    let (mut broker, _data) = crate::python::broker();
    let cells = json!([
        {"kind": 2, "language": "python", "scriptName": "Cell", "value": "def twice(x):\n    return float(x) * 2\n"},
        {"kind": 2, "language": "python", "value": "def f(:\n"},
        {"kind": 2, "language": "python", "value": "# Script Name: Wrong\nx = 1\ndef f(:\n"},
    ]);
    let action = "DEFINE ACTION Use\nON TOPIC \"in\" DO\n    CALL PYTHON \"Stat.half\" WITH (PAYLOAD) RETURN AS {h}\n    CALL PYTHON \"Cell.twice\" WITH ({h}) RETURN AS {t}\n    PUBLISH TOPIC \"out\" WITH {h} + \" \" + {t}\n";
    let archive = zip(&[
        ("use.lot", action.as_bytes()),
        ("stat.py", b"# Script Name: Stat\ndef half(x):\n    return float(x) / 2\n"),
        ("n.lotnb", cells.to_string().as_bytes()),
    ]);
    let reply = upload(&broker, "py", &archive, " load");
    let told: Vec<_> = reply
        .errors()
        .iter()
        .map(|error| (error["code"].as_str().unwrap(), error["cell"].as_u64(), error["line"].as_u64()))
        .collect();
    assert_eq!(
        told,
        [("SCRIPT_NAME_MISSING", Some(2), None), ("PYTHON_ERROR", Some(3), Some(3))],
        "{reply:?}"
    );
    for _ in 0..2 {
        let mut watcher = watch(&broker, "out");
        send(&broker, "in", "5");
        assert_eq!(next(&mut watcher), "out=2.5 5");
        broker.kill();
        broker.start_again();
    }
    let origins = origins(&broker);
    assert!(origins.contains(&("Cell".to_owned(), "py/n.lotnb/1".to_owned())), "{origins:?}");
    let mut client = viewer(&broker, "$SYS/Coreflux/Python/Scripts");
    assert_eq!(told_names(&mut client), ["Cell", "Stat"]);
    broker.command_ok("-unloadProject");
    assert!(told_names(&mut client).is_empty());
    broker.kill();
    broker.start_again();
    assert_eq!(broker.command_ok("-listEntities").data(), &json!([]));
}

fn told_names(client: &mut Client) -> Vec<String> {
    let (_, scripts) = told(client);
    let name = |script: &Value| script["ScriptName"].as_str().unwrap().to_owned();
    scripts.as_array().unwrap().iter().map(name).collect()
}

pub(crate) fn named_rows(reply: &Reply, key: &str) -> Vec<String> {
    let rows = reply.data()[key].as_array().cloned().unwrap_or_default();
    rows.iter()
        .map(|row| format!("{} {}", row["type"].as_str().unwrap(), row["name"].as_str().unwrap()))
        .collect()
}

#[test]
fn loading_reports_removals_and_keep_loaded_protects_other_projects() {
    let broker = broker();
    let rest = format!("{ROUTE}\n{RULE}");
    assert!(upload(&broker, "a", &zip(&[("rest.lot", rest.as_bytes())]), " load").success());
    let other = zip(&[("models.lot", MODEL.as_bytes())]);
    let spared = upload(&broker, "b", &other, " load -keepLoaded");
    assert_eq!((spared.success(), spared.code()), (false, "OTHER_LOADED"), "{spared:?}");
    assert!(spared.message().contains("removes 2 definition(s), 1 rule(s) among them"), "{spared:?}");
    assert_eq!(named_rows(&spared, "removes"), ["Rule NoSecrets", "Route Store"]);
    assert_eq!(broker.command_ok("-listProjects").data().as_array().unwrap().len(), 1, "nothing was stored");

    let loaded = upload(&broker, "b", &other, " load");
    assert!(loaded.success(), "{loaded:?}");
    assert_eq!(named_rows(&loaded, "removed"), ["Rule NoSecrets", "Route Store"]);
    assert_eq!(loaded.0["warnings"][0]["code"], "RULE_REMOVED", "{loaded:?}");
    // Its own next version is no other project.
    assert!(upload(&broker, "b", &other, " load -keepLoaded").success());
}

/// A definition that a project lacks because of a mistake stays as in the version before.
#[test]
fn a_mistake_takes_nothing_away() {
    let broker = broker();
    let archive = |rule: &str, route: &str| zip(&[("rest.lot", format!("{rule}\n{route}").as_bytes())]);
    let unsaid = |text: &str, from: &str, to: &str| text.replacen(from, to, 1);
    assert!(upload(&broker, "p", &archive(RULE, ROUTE), " load").success());
    let has_both = || {
        let rules = format!("{:?}", broker.command_ok("-listRules").data());
        rules.contains("NoSecrets")
            && format!("{:?}", broker.command_ok("-listRoutes").data()).contains("Store")
    };
    for (rule, route) in [
        (unsaid(RULE, "DENY", "DENIED"), ROUTE.to_owned()),
        (unsaid(RULE, "DEFINE RULE NoSecrets", "DEFNE RULE NoSecrets"), ROUTE.to_owned()),
        (RULE.to_owned(), unsaid(ROUTE, "TYPE", "TYP")),
        (unsaid(RULE, "NoSecrets", ""), ROUTE.to_owned()),
    ] {
        let loaded = upload(&broker, "p", &archive(&rule, &route), " load");
        assert!(!loaded.success() && has_both(), "{loaded:?}");
    }
    let loaded = upload(&broker, "p", &archive("", ROUTE), " load");
    assert_eq!(named_rows(&loaded, "removed"), ["Rule NoSecrets"], "{loaded:?}");
}

#[test]
fn displaced_definition_is_restored_even_after_a_kill() {
    const BY_HAND: &str =
        "DEFINE ACTION Celsius\nINPUT fahrenheit AS DOUBLE\nDO\n    SET \"c\" WITH 1\nRETURN\n    OUTPUT c\n";
    let mut broker = broker();
    broker.command_ok(&format!("-addAction {BY_HAND}"));
    let replaced = upload(&broker, "plant", &plant(), " load");
    assert!(replaced.0["warnings"].to_string().contains("gives it back"), "{replaced:?}");
    let source = |broker: &Broker| {
        let mut client = viewer(broker, "$SYS/Coreflux/Actions/Celsius");
        client.receive(WAIT_MAX).unwrap().unwrap().text()
    };
    assert_eq!(source(&broker), CELL);
    broker.kill();
    broker.start_again();
    assert_eq!(source(&broker), CELL, "what is displaced does nothing");
    let unloaded = broker.command_ok("-unloadProject");
    assert_eq!(named_rows(&unloaded, "givenBack"), ["Action Celsius"]);
    assert_eq!(source(&broker), BY_HAND);
    broker.kill();
    broker.start_again();
    assert_eq!(source(&broker), BY_HAND);
    assert_eq!(origins(&broker), [("Celsius".to_owned(), "adhoc".to_owned())]);

    // A version that does not define it gives it back as well; what was added by hand meanwhile
    // stays.
    upload(&broker, "plant", &plant(), " load");
    let shorter = zip(&[("models.lot", MODEL.as_bytes())]);
    let loaded = upload(&broker, "plant", &shorter, " load");
    assert_eq!(named_rows(&loaded, "givenBack"), ["Action Celsius"], "{loaded:?}");
    upload(&broker, "plant", &plant(), " load");
    broker.command_ok(&format!("-addAction {}", BY_HAND.replace("WITH 1", "WITH 2")));
    assert_eq!(named_rows(&broker.command_ok("-unloadProject"), "givenBack"), [""; 0]);
    assert!(source(&broker).contains("WITH 2"));
}

/// Of somebody else, whatever it is: without the option it is refused, with a word that names the
/// option and whose it is.
#[test]
fn deploy_takes_over_definitions_of_other_users_only_with_replace() {
    let broker = broker();
    for name in ["ann", "bob"] {
        broker.command_ok(&format!("-addUser {name} password"));
        broker.command_ok(&format!("-changeUserSettings {name} AllowedSystemConfiguration true"));
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.lot");
    fs::write(&file, format!("{MODEL}\n{RULE}")).unwrap();
    let port = broker.port();
    let deploy = |user: &str, path: &std::path::Path, more: &[&str]| {
        let fixed = ["deploy", path.to_str().unwrap(), "-p", &port, "-u", user, "-P", "password"];
        let of_project: &[&str] = if path.is_dir() { &["--name", "plant", "--replace-project"] } else { &[] };
        Program::run(LOTMQ, &fixed.iter().chain(of_project).chain(more).copied().collect::<Vec<_>>()).unwrap()
    };
    for path in [file.as_path(), folder.path()] {
        let is_done = |finished: &lotmq_test_support::Finished| finished.status.code() == Some(0);
        for user in ["ann", "ann"] {
            let done = deploy(user, path, &[]);
            assert!(is_done(&done), "{} {}", done.stdout, done.stderr);
        }
        let refused = deploy("bob", path, &[]);
        assert_eq!(refused.status.code(), Some(1), "{}", refused.stdout);
        assert!(refused.stderr.contains("belongs to user 'ann'"), "{}", refused.stderr);
        assert!(refused.stderr.contains("--replace takes over"), "{}", refused.stderr);
        let done = deploy("bob", path, &["--replace"]);
        assert!(is_done(&done), "{} {}", done.stdout, done.stderr);
        assert!(!is_done(&deploy("ann", path, &[])), "it is his now");
        for command in ["-removeModel Reading -force", "-removeRule NoSecrets -force"] {
            broker.command_ok(command);
        }
    }
}

/// A rule alone: the command would replace none without a word, so the tool says the one that
/// spares others.
#[test]
fn deploy_takes_over_no_rule_unasked() {
    let broker = broker();
    broker.command_ok("-addUser ann password");
    broker.command_ok("-changeUserSettings ann AllowedSystemConfiguration true");
    let added = broker.command_as(("ann", "password"), &format!("-addRule {RULE}"));
    assert!(added.success(), "{added:?}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rule.lot");
    fs::write(&file, RULE).unwrap();
    let refused = Program::run(LOTMQ, &["deploy", file.to_str().unwrap(), "-p", &broker.port()]).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{}", refused.stdout);
    assert!(refused.stderr.contains("Rule 'NoSecrets' belongs to user 'ann'"), "{}", refused.stderr);
}

/// A file of a project that is loaded: on its own it would be no part of that any more.
#[test]
fn project_file_is_deployed_alone_only_with_confirmation() {
    let broker = broker();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rule.lot");
    fs::write(&file, RULE).unwrap();
    let port = broker.port();
    let deploy = |path: &std::path::Path, more: &[&str]| {
        let fixed = ["deploy", path.to_str().unwrap(), "-p", &port];
        Program::run(LOTMQ, &fixed.iter().chain(more).copied().collect::<Vec<_>>()).unwrap()
    };
    assert_eq!(deploy(folder.path(), &["--name", "plant"]).status.code(), Some(0));
    let refused = deploy(&file, &[]);
    assert_eq!(refused.status.code(), Some(1), "{}", refused.stdout);
    assert!(refused.stderr.contains("Rule 'NoSecrets' is of project 'plant'"), "{}", refused.stderr);
    assert!(refused.stderr.contains("cannot be deployed until it is removed"), "{}", refused.stderr);
    let model = folder.path().join("model.lot");
    fs::write(&model, MODEL).unwrap();
    assert_eq!(deploy(folder.path(), &["--name", "plant"]).status.code(), Some(0));
    let refused = deploy(&model, &[]);
    let told = "Model 'Reading' is of project 'plant': added by hand it is no part of that any more, which takes its place again, having asked, the next time it is deployed. Deploy the folder instead. Nothing was changed; --yes goes on";
    assert!(refused.status.code() == Some(1) && refused.stderr.contains(told), "{}", refused.stderr);
    let misused = deploy(&file, &["--no-load"]);
    assert!(misused.stderr.contains("--no-load is for the project in a folder"), "{}", misused.stderr);
    assert_eq!(deploy(folder.path(), &["--name", "plant"]).status.code(), Some(0), "it is whole as before");
    let done = deploy(&file, &["--yes"]);
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
}

#[test]
fn manual_change_of_a_project_definition_warns_with_its_project() {
    let broker = broker();
    assert!(upload(&broker, "plant", &plant(), " load").success());
    let removed = "the next `lotmq deploy` or `lotmq rollback` of plant brings it back";
    let refused = "`lotmq rollback` of plant is refused until it is removed (-removeRule NoSecrets)";
    for (command, title, expected) in [
        (format!("-addAction {CELL}"), "Action 'Celsius'", "puts its own in this one's place"),
        ("-removeRoute Store".to_owned(), "Route 'Store'", removed),
        (
            format!("-addRule -replace {}", RULE.replace("PRIORITY 100", "PRIORITY 101")),
            "Rule 'NoSecrets'",
            refused,
        ),
        ("-removeAllModels".to_owned(), "Model 'Reading'", removed),
    ] {
        let reply = broker.command_ok(&command);
        let warnings = reply.0["warnings"].as_array().cloned().unwrap_or_default();
        let told: Vec<&str> = warnings
            .iter()
            .filter(|warning| warning["code"] == "OF_PROJECT")
            .filter_map(|warning| warning["message"].as_str())
            .collect();
        let starts = format!("{title} was of project 'plant'");
        assert!(matches!(told[..], [one] if one.starts_with(&starts) && one.contains(expected)), "{reply:?}");
    }
    // Another change of a definition that was added by hand gets no warning.
    assert_eq!(broker.command_ok(&format!("-addAction {CELL}")).0["warnings"], Value::Null);
    // As was told.
    let again = upload(&broker, "plant", &plant(), " load");
    assert_eq!((again.success(), again.code()), (false, "EXISTS"), "{again:?}");
    broker.command_ok("-removeRule NoSecrets");
    assert!(upload(&broker, "plant", &plant(), " load").success());
    assert!(
        origins(&broker).iter().all(|(_, origin)| origin.starts_with("plant/")),
        "{broker:?}",
        broker = origins(&broker)
    );
}

const OPEN: &str = "DEFINE RULE Open WITH PRIORITY 100 FOR Publish TO TOPIC \"vault/#\"\n    ALLOW\n";

fn is_there(broker: &Broker, name: &str) -> bool {
    origins(broker).iter().any(|(known, _)| known == name)
}

fn codes_of_warnings(reply: &Reply) -> Vec<String> {
    let warnings = reply.0["warnings"].as_array().cloned().unwrap_or_default();
    warnings.iter().map(|warning| warning["code"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn rule_that_is_removed_by_hand_does_not_come_back_when_its_project_is_unloaded() {
    let mut broker = broker();
    let project = zip(&[("r.lot", OPEN.as_bytes()), ("m.lot", MODEL.as_bytes())]);
    for command in ["-removeRule Open", "-removeAllRules"] {
        broker.command_ok(&format!("-addRule {OPEN}"));
        assert_eq!(codes_of_warnings(&upload(&broker, "p", &project, " load")), ["REPLACED"]);
        let removed = broker.command_ok(command);
        assert_eq!(codes_of_warnings(&removed), ["OF_PROJECT", "DISPLACED_REMOVED"], "{removed:?}");
        broker.kill();
        broker.start_again();
        let unloaded = broker.command_ok("-unloadProject p");
        assert_eq!(named_rows(&unloaded, "givenBack"), [""; 0], "{command}");
        assert!(!is_there(&broker, "Open"), "{command}");
    }
    // Also if it was added by hand and removed again meanwhile.
    broker.command_ok(&format!("-addRule {OPEN}"));
    upload(&broker, "p", &project, " load");
    broker.command_ok(&format!("-addRule -replace {OPEN}"));
    assert_eq!(codes_of_warnings(&broker.command_ok("-removeRule Open")), ["DISPLACED_REMOVED"]);
    broker.command_ok("-unloadProject p");
    assert!(!is_there(&broker, "Open"));
}

#[test]
fn rule_that_a_project_gives_back_is_a_warning() {
    let broker = broker();
    broker.command_ok(&format!("-addRule {OPEN}"));
    let with_rule = zip(&[("r.lot", OPEN.as_bytes()), ("m.lot", MODEL.as_bytes())]);
    let without = zip(&[("m.lot", MODEL.as_bytes())]);
    upload(&broker, "p", &with_rule, " load");
    let unloaded = broker.command_ok("-unloadProject p");
    assert_eq!(codes_of_warnings(&unloaded), ["GIVEN_BACK"], "{unloaded:?}");
    let text =
        "Rule 'Open', which was added by hand, is in force again: what it allows and denies holds again.";
    assert_eq!(unloaded.0["warnings"][0]["message"], text);
    // Nor is it lost when a version of the project does not define it any more.
    upload(&broker, "p", &with_rule, " load");
    let shorter = upload(&broker, "p", &without, " load");
    assert_eq!(named_rows(&shorter, "givenBack"), ["Rule Open"], "{shorter:?}");
    assert_eq!(codes_of_warnings(&shorter), ["GIVEN_BACK"]);
    assert!(origins(&broker).contains(&("Open".to_owned(), "adhoc".to_owned())));
    // A rule that goes is one, too.
    broker.command_ok("-removeRule Open");
    upload(&broker, "p", &with_rule, " load");
    assert_eq!(codes_of_warnings(&broker.command_ok("-unloadProject p")), ["RULE_REMOVED"]);
}

#[test]
fn displaced_definition_of_another_user_is_removed_with_force_only() {
    let broker = broker();
    broker.command_ok("-addUser ann password");
    broker.command_ok("-changeUserSettings ann AllowedSystemConfiguration true");
    let project = zip(&[("r.lot", OPEN.as_bytes()), ("m.lot", MODEL.as_bytes())]);
    assert!(broker.command_as(("ann", "password"), &format!("-addRule {OPEN}")).success());
    assert!(upload(&broker, "p", &project, " load -replace").success());
    for command in ["-removeRule Open", "-removeAllRules"] {
        assert_eq!(broker.command(command).code(), "OF_ANOTHER", "{command}");
        assert!(is_there(&broker, "Open"));
    }
    broker.command_ok("-removeRule Open -force");
    broker.command_ok("-unloadProject p");
    assert!(!is_there(&broker, "Open"));
}
