//! What `lotmq deploy` says of a plan before it does it: what is asked about, and what is not.

use std::fs;
use std::path::Path;

use lotmq_test_support::{Broker, Finished, Program};

use crate::projects::{CELL, RULE, origins, upload, zip};
use crate::{LOTMQ, broker};

const DOOR: &str = "DEFINE RULE Door WITH PRIORITY 100 FOR Publish TO TOPIC \"door/#\"\n    DENY\n";
const OPENER: &str = "DEFINE RULE Opener WITH PRIORITY 50 FOR Publish TO TOPIC \"door/#\"\n    ALLOW\n";

fn deploy(broker: &Broker, path: &Path, more: &[&str]) -> Finished {
    let port = broker.port();
    Program::run(LOTMQ, &[&["deploy", path.to_str().unwrap(), "-p", &port], more].concat()).unwrap()
}

/// Whether a stranger may open the door.
fn is_open(broker: &Broker) -> bool {
    let sent = ["pub", "-p", &broker.port(), "-q", "1", "-t", "door/1", "-m", "open"];
    Program::run(LOTMQ, &sent).unwrap().status.success()
}

/// Connections that ended without a goodbye, once all have ended.
fn lost_connections(broker: &Broker) -> Option<String> {
    broker.wait_until_metric_is("lotmq_connections", 0.0);
    let is_lost = |line: &&str| line.starts_with("lotmq_disconnects_total") && line.contains("network-error");
    broker.http("/metrics").body.lines().find(is_lost).map(str::to_owned)
}

/// A second folder with the same files, in the place of the first: nothing that runs changes, and nothing is asked about.
#[test]
fn the_same_under_another_name_is_shown_as_that() {
    let broker = broker();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("all.lot"), format!("{CELL}\n{RULE}")).unwrap();
    assert!(deploy(&broker, folder.path(), &["--name", "q2"]).status.success());
    let plan = deploy(&broker, folder.path(), &["--name", "q3", "--replace-project", "--dry-run"]);
    assert!(plan.status.success(), "{}", plan.stderr);
    let shown: Vec<String> =
        plan.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let expected = [
        "project 'q2' is unloaded",
        "= Action Celsius all.lot as it is, of project 'q2' until now",
        "= Rule NoSecrets all.lot as it is, of project 'q2' until now",
    ];
    assert_eq!(shown, expected);
    let done = deploy(&broker, folder.path(), &["--name", "q3", "--replace-project"]);
    assert!(done.status.success(), "{} {}", done.stdout, done.stderr);
    assert!(!done.stdout.contains("nothing has changed"), "{}", done.stdout);
    assert!(origins(&broker).iter().all(|(_, origin)| origin == "q3/all.lot"), "{:?}", origins(&broker));
    // What says something else is shown, as one's own.
    fs::write(folder.path().join("all.lot"), format!("{CELL}\n{}", RULE.replace("DENY", "ALLOW"))).unwrap();
    let plan = deploy(&broker, folder.path(), &["--name", "q4", "--replace-project", "--dry-run"]);
    for told in ["~ Rule   NoSecrets", "-    DENY", "+    ALLOW", "may be allowed: NoSecrets. This is asked"]
    {
        assert!(plan.stdout.contains(told), "{told} in {}", plan.stdout);
    }
}

#[test]
fn what_was_another_users_says_so_when_it_moves() {
    let broker = broker();
    broker.command_ok("-addUser ann right-one");
    broker.command_ok("-changeUserSettings ann AllowedSystemConfiguration true");
    let archive = zip(&[("a.lot", CELL.as_bytes())]);
    assert!(upload(&broker, "q2", &archive, " load").success());
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.lot"), CELL).unwrap();
    let as_ann = ["--name", "q3", "--replace-project", "--dry-run", "-u", "ann", "-P", "right-one"];
    let plan = deploy(&broker, folder.path(), &as_ann);
    let told = "as it is, of project 'q2' until now, with the rights of 'root'";
    assert!(plan.stdout.contains(told), "{} {}", plan.stdout, plan.stderr);
    fs::write(folder.path().join("a.lot"), CELL.replace("5 / 9", "0.5")).unwrap();
    let plan = deploy(&broker, folder.path(), &as_ann);
    assert!(plan.stdout.contains("(it is user 'root's: what differs is not shown)"), "{}", plan.stdout);
    assert!(!plan.stdout.contains("5 / 9"), "{}", plan.stdout);
}

#[test]
fn a_new_rule_before_one_that_denies_is_asked_about() {
    let broker = broker();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("door.lot"), DOOR).unwrap();
    let first = deploy(&broker, folder.path(), &["--name", "site"]);
    assert!(first.status.success() && !is_open(&broker), "{} {}", first.stdout, first.stderr);
    let opener = folder.path().join("opener.lot");
    let asks = "New rules that are asked before rules which deny, by which more may be allowed: Opener (before Door).";
    for harmless in [OPENER.replace("50", "200"), OPENER.replace("door/#", "window/#")] {
        fs::write(&opener, &harmless).unwrap();
        let plan = deploy(&broker, folder.path(), &["--name", "site", "--dry-run"]);
        assert!(plan.status.success() && !plan.stdout.contains(asks), "{harmless} {}", plan.stdout);
    }
    fs::write(&opener, OPENER).unwrap();
    let plan = deploy(&broker, folder.path(), &["--name", "site", "--dry-run"]);
    let line = "is asked before Door: what that denies may be allowed then";
    for told in [line, &format!("{asks} This is asked about, or needs --yes")] {
        assert!(plan.stdout.contains(told), "{told} in {}", plan.stdout);
    }
    // Of a folder and of a file.
    for refused in [deploy(&broker, folder.path(), &["--name", "site"]), deploy(&broker, &opener, &[])] {
        assert_eq!(refused.status.code(), Some(1), "{} {}", refused.stdout, refused.stderr);
        assert!(refused.stderr.contains(&format!("{asks} Nothing was changed; --yes goes on")));
        assert!(!is_open(&broker));
    }
    let done = deploy(&broker, folder.path(), &["--name", "site", "--yes"]);
    assert!(done.status.success() && is_open(&broker), "{} {}", done.stdout, done.stderr);
}

#[test]
fn a_rule_by_hand_stays_and_the_safe_way_is_told() {
    let broker = broker();
    broker.command_ok(&format!("-addRule {DOOR}"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("door.lot");
    fs::write(&file, DOOR).unwrap();
    let refused = deploy(&broker, folder.path(), &["--name", "site", "--yes"]);
    assert_eq!(refused.status.code(), Some(1), "{}", refused.stdout);
    let told = "give the rule of the project another name, deploy it, and remove 'Door' then";
    assert!(refused.stdout.contains(told) && !is_open(&broker), "{}", refused.stdout);
    // As it says: the door is closed all the time.
    fs::write(&file, DOOR.replace("RULE Door", "RULE DoorOfSite")).unwrap();
    assert!(deploy(&broker, folder.path(), &["--name", "site"]).status.success());
    broker.command_ok("-removeRule Door");
    assert!(!is_open(&broker));
}

#[test]
fn options_are_named_as_the_tool_has_them() {
    let broker = broker();
    broker.command_ok("-addUser ann right-one");
    broker.command_ok("-changeUserSettings ann AllowedSystemConfiguration true");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.lot");
    fs::write(&file, CELL).unwrap();
    assert!(deploy(&broker, folder.path(), &["--name", "pb"]).status.success());
    let as_ann = ["--name", "pb", "--yes", "-u", "ann", "-P", "right-one"];
    let refused = deploy(&broker, folder.path(), &as_ann);
    assert_eq!(refused.status.code(), Some(1), "{}", refused.stderr);
    assert!(refused.stdout.contains("Use --replace to take it over."), "{}", refused.stdout);
    // Of a folder alone.
    let misused = deploy(&broker, &file, &["--name", "foo"]);
    assert_eq!(misused.status.code(), Some(2), "{}", misused.stderr);
    assert!(misused.stderr.contains("--name is for the project in a folder"), "{}", misused.stderr);
}

#[test]
fn who_may_not_send_commands_is_told_who_may() {
    let broker = broker();
    broker.command_ok("-addUser joe right-one");
    let port = broker.port();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.lot");
    fs::write(&file, CELL).unwrap();
    let file = file.to_str().unwrap();
    let login = ["-p", &port, "-u", "joe", "-P", "right-one"];
    let lost_before = lost_connections(&broker);
    for command in [
        &["status"][..],
        &["top", "clients"],
        &["routes"],
        &["deploy", file],
        &["rollback", "site"],
        &["undeploy", "site"],
        &["cmd", "-listEntities"],
    ] {
        let (first, rest) = command.split_first().unwrap();
        let refused = Program::run(LOTMQ, &[&[*first], &login[..], rest].concat()).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{command:?} {}", refused.stderr);
        let told = "that takes root, a user with AllowedSystemConfiguration, or a rule that lets this one";
        assert!(refused.stderr.contains(told), "{command:?} {}", refused.stderr);
    }
    assert_eq!(lost_connections(&broker), lost_before, "they all said goodbye");
}

#[test]
fn the_explanation_of_a_command_is_told_once() {
    let broker = broker();
    let help = Program::run(LOTMQ, &["cmd", "-p", &broker.port(), "-help", "removeProject"]).unwrap();
    let told = "Deletes a project that is not loaded";
    assert_eq!(help.stdout.matches(told).count(), 1, "{}", help.stdout);
    assert!(help.stdout.contains("example: -removeProject plant"), "{}", help.stdout);
}
