//! Protection that nobody loses unasked: projects and rules of others, rules that open
//! administration, groups that are filled before a rule names them.

use std::fs;
use std::path::Path;

use lotmq_test_support::{Broker, Finished, Program, Reply};
use serde_json::{Value, json};

use crate::deploy_questions::AtTerminal;
use crate::projects::{CELL, upload, zip};
use crate::{LOTMQ, broker};

const DOOR: &str = "DEFINE RULE Door WITH PRIORITY 100 FOR Publish TO TOPIC \"door/#\"\n    DENY\n";
const OPENER: &str = "DEFINE RULE Opener WITH PRIORITY 50 FOR Publish TO TOPIC \"door/#\"\n    ALLOW\n";
const ADM: [&str; 4] = ["-u", "adm", "-P", "s3cret-adm"];

/// A broker with a second administrator.
fn with_adm() -> Broker {
    let broker = broker();
    broker.command_ok("-addUser adm s3cret-adm");
    broker.command_ok("-changeUserSettings adm AllowedSystemConfiguration true");
    broker
}

fn lotmq(broker: &Broker, arguments: &[&str]) -> Finished {
    let (verb, rest) = arguments.split_first().unwrap();
    Program::run(LOTMQ, &[&[*verb, "-p", &broker.port()], rest].concat()).unwrap()
}

fn deploy(broker: &Broker, path: &Path, more: &[&str]) -> Finished {
    lotmq(broker, &[&["deploy", path.to_str().unwrap()], more].concat())
}

/// Whether a stranger may open the door.
fn is_open(broker: &Broker) -> bool {
    lotmq(broker, &["pub", "-q", "1", "-t", "door/1", "-m", "open"]).status.success()
}

fn warnings(reply: &Reply) -> &[Value] {
    reply.0["warnings"].as_array().map_or(&[], Vec::as_slice)
}

#[test]
fn unloading_a_project_of_another_user_requires_force() {
    let broker = with_adm();
    let as_adm = |command: &str| broker.command_as(("adm", "s3cret-adm"), command);
    let archive = zip(&[("door.lot", DOOR.as_bytes())]);
    assert!(upload(&broker, "pa", &archive, " load").success());
    let refused = as_adm("-unloadProject pa");
    let message = "Project 'pa' belongs to user 'root'. Use -force to do it all the same.";
    assert_eq!((refused.code(), refused.message()), ("OF_ANOTHER", message));
    let others = json!([{ "name": "pa", "owner": "root" }]);
    assert_eq!(as_adm("-unloadProject pa -dryRun").data()["ofOthers"], others);
    let own = "-addProject zip64:UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA== mine";
    for loading in ["load", "load -dryRun"] {
        let refused = as_adm(&format!("{own} {loading}"));
        assert_eq!((refused.code(), &refused.data()["ofOthers"]), ("OF_ANOTHER", &others), "{loading}");
    }
    assert!(as_adm(&format!("{own} load -beside")).success());
    assert_eq!(as_adm("-loadProject mine").code(), "OF_ANOTHER");

    let refused = lotmq(&broker, &[&["undeploy", "pa", "--yes"], &ADM[..]].concat());
    let told = "belongs to user 'root'. Use --force to do it all the same.";
    assert!(refused.status.code() == Some(1) && refused.stderr.contains(told), "{}", refused.stderr);
    let plan = lotmq(&broker, &[&["undeploy", "pa", "--dry-run"], &ADM[..]].concat());
    for told in
        ["project 'pa' belongs to user 'root'", "Projects of other users that end: pa (of user 'root')."]
    {
        assert!(plan.stdout.contains(told), "{told} in {}", plan.stdout);
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.lot"), CELL).unwrap();
    let replacing = [&["--name", "other", "--replace-project"], &ADM[..]].concat();
    let refused = deploy(&broker, folder.path(), &[&replacing[..], &["--yes"]].concat());
    assert!(refused.stderr.contains("Project 'pa' of user 'root' would be unloaded"), "{}", refused.stderr);
    let plan = deploy(&broker, folder.path(), &[&replacing[..], &["--replace", "--dry-run"]].concat());
    let told = "project 'pa' would be unloaded, which belongs to user 'root'";
    assert!(plan.stdout.contains(told), "{} {}", plan.stdout, plan.stderr);
    assert!(!is_open(&broker), "nothing was done");

    // An answer to the question, which names the owner, is enough.
    let port = broker.port();
    let mut terminal = AtTerminal::start(&[&["undeploy", "pa", "-p", &port], &ADM[..]].concat());
    let asked = terminal.question();
    assert!(asked.contains("Projects of other users that end: pa (of user 'root')."), "{asked}");
    terminal.answer("y\n");
    let (code, told) = terminal.end();
    assert!(code == Some(0) && is_open(&broker), "{told}");
    broker.command_ok("-loadProject pa -beside");
    let done = deploy(&broker, folder.path(), &[&replacing[..], &["--replace", "--yes"]].concat());
    assert!(done.status.success() && is_open(&broker), "{} {}", done.stdout, done.stderr);
    broker.command_ok("-unloadProject other -force");
}

#[test]
fn a_rule_that_opens_administration_is_asked_about() {
    let broker = broker();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("grab.lot");
    for (header, scope) in
        [("5 FOR CommandCall", "CommandCall"), ("100 FOR SystemConfiguration", "SystemConfiguration")]
    {
        fs::write(&file, format!("DEFINE RULE Grab WITH PRIORITY {header}\n    ALLOW\n")).unwrap();
        let asks = format!(
            "Rules that open administration, which is administrators' alone without them: Grab ({scope})."
        );
        for refused in [deploy(&broker, folder.path(), &["--name", "p"]), deploy(&broker, &file, &[])] {
            assert_eq!(refused.status.code(), Some(1), "{} {}", refused.stdout, refused.stderr);
            assert!(refused.stderr.contains(&asks), "{}", refused.stderr);
            assert!(
                refused.stdout.contains(&format!("opens administration ({scope})")),
                "{}",
                refused.stdout
            );
        }
        let anybody = lotmq(&broker, &["cmd", "-u", "", "-setSecret", "A", "b"]);
        assert!(!anybody.status.success(), "{}", anybody.stdout);
    }
    // Behind the built-in rule, which denies all others, nobody asks it.
    fs::write(&file, "DEFINE RULE Grab WITH PRIORITY 100 FOR CommandCall\n    ALLOW\n").unwrap();
    let done = deploy(&broker, folder.path(), &["--name", "p"]);
    assert!(done.status.success(), "{} {}", done.stdout, done.stderr);
}

#[test]
fn a_rule_that_comes_while_a_file_is_asked_about_is_asked_about_too() {
    let broker = broker();
    let port = broker.port();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new.lot");
    // The first one is there when the second one comes.
    let lid = DOOR.replace("Door", "Lid").replace("door/#", "door/lid");
    fs::write(&file, format!("{lid}\n{OPENER}")).unwrap();
    broker.command_ok(&format!("-addRule {DOOR}"));
    let path = file.to_str().unwrap();
    let mut terminal = AtTerminal::start(&["deploy", path, "-p", &port]);
    let asked = terminal.question();
    assert!(asked.contains("Opener (before Door). Go on?"), "{asked}");
    broker.command_ok(&format!("-addRule {}", DOOR.replace("Door", "More")));
    terminal.answer("y\n");
    let again = terminal.question();
    assert!(again.contains("somebody has changed something meanwhile"), "{again}");
    // The lid of this file is there already.
    assert!(again.contains("Opener (before Door, Lid, More). Go on?"), "{again}");
    assert!(!is_open(&broker), "it was not deployed");
    terminal.answer("y\n");
    let (code, told) = terminal.end();
    assert!(code == Some(0) && is_open(&broker), "{told}");
    let again = deploy(&broker, &file, &[]);
    assert!(
        again.status.success() && again.stdout.contains("nothing has changed"),
        "{} {}",
        again.stdout,
        again.stderr
    );
}

#[test]
fn first_rule_for_a_group_reports_its_existing_members() {
    let broker = broker();
    for user in ["ann", "eve"] {
        broker.command_ok(&format!("-addUser {user} s3cret-pw"));
        broker.command_ok(&format!("-addUserToGroup {user} deployers"));
    }
    broker.command_ok("-changeUserSettings eve Chief yes");
    broker.command_ok("-changeUserSettings ann Chief no");
    let rule = "DEFINE RULE Deployers WITH PRIORITY 100 FOR ActionManagementCreation\n    IF USER IN GROUP \"deployers\" OR USER HAS Chief THEN\n        ALLOW\n";
    let of_group =
        "Rule 'Deployers' is the first that names group 'deployers', in which are already: ann, eve.";
    let of_property = "Rule 'Deployers' is the first that names property 'Chief', which have already: eve.";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deployers.lot");
    fs::write(&file, rule).unwrap();
    let by_file = deploy(&broker, &file, &["--yes"]);
    broker.command_ok("-removeRule Deployers");
    let archive = zip(&[("deployers.lot", rule.as_bytes())]);
    let plan = upload(&broker, "p", &archive, " load -dryRun");
    let loaded = upload(&broker, "p", &archive, " load");
    let named = broker.command(&format!("-addRule {}", rule.replace("Deployers", "Again")));
    for told in [of_group, of_property] {
        assert!(by_file.stdout.contains(told), "{}", by_file.stdout);
        for reply in [&plan, &loaded] {
            let is_told = |warning: &&Value| warning["message"] == told;
            let found = warnings(reply).iter().find(is_told);
            assert_eq!(found.map(|found| &found["code"]), Some(&json!("HELD_ALREADY")), "{reply:?}");
        }
    }
    assert!(warnings(&named).iter().all(|warning| warning["code"] != "HELD_ALREADY"), "{named:?}");
}

#[test]
fn a_rule_goes_by_command_only_when_somebody_agrees() {
    let broker = broker();
    let asks = |names: &str| format!("Rules that go, by which what they denied may be allowed: {names}.");
    for rule in [DOOR.to_owned(), DOOR.replace("Door", "Window").replace("door/#", "window/#")] {
        broker.command_ok(&format!("-addRule {rule}"));
    }
    for (command, names) in
        [(&["cmd", "-removeRule", "Door"][..], "Door"), (&["cmd", "-removeAllRules"], "Door, Window")]
    {
        let refused = lotmq(&broker, command);
        assert_eq!(refused.status.code(), Some(1), "{command:?} {}", refused.stdout);
        let told = format!("{} Nothing was changed; --yes goes on", asks(names));
        assert!(refused.stderr.contains(&told) && !is_open(&broker), "{command:?} {}", refused.stderr);
    }
    let unknown = lotmq(&broker, &["cmd", "-removeRule", "Nope"]);
    assert!(unknown.stderr.contains("NOT_FOUND"), "{}", unknown.stderr);
    let done = lotmq(&broker, &["cmd", "--yes", "-removeRule", "Door"]);
    assert!(done.status.success() && is_open(&broker), "{}", done.stderr);
    // A command with `-force` asks nothing.
    let forced = lotmq(&broker, &["cmd", "--remove-rule Window -force"]);
    assert!(forced.status.success(), "{}", forced.stderr);
    broker.command_ok(&format!("-addRule {DOOR}"));
    let removed = broker.command_ok("-removeAllRules");
    assert_eq!((&removed.data()["removed"], &removed.data()["count"]), (&json!(["Door"]), &json!(1)));
    assert!(lotmq(&broker, &["cmd", "-removeAllRules"]).status.success(), "there is none to ask about");
}
