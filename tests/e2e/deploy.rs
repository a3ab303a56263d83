//! Projects beside each other, what loading one would change, and the version before; and
//! `lotmq deploy`, which shows and asks.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use lotmq_client::{Publication, QoS};
use lotmq_test_support::{Broker, Finished, Program, WAIT_MAX};
use serde_json::json;

use crate::projects::{CELL, MODEL, ROUTE, RULE, named_rows, origins, told, upload, viewer, zip};
use crate::{LOTMQ, broker};

/// A tool at `folder`, which is the project `b`.
fn deploy(broker: &Broker, folder: &Path, more: &[&str]) -> Finished {
    let port = broker.port();
    let fixed = ["deploy", folder.to_str().unwrap(), "--name", "b", "-p", &port];
    let all: Vec<&str> = fixed.iter().chain(more).copied().collect();
    Program::run(LOTMQ, &all).unwrap()
}

#[test]
fn deploy_replaces_no_other_project_unasked() {
    let broker = broker();
    assert!(upload(&broker, "a", &zip(&[("rule.lot", RULE.as_bytes())]), " load").success());
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("models.lot"), MODEL).unwrap();
    let done = deploy(&broker, folder.path(), &[]);
    assert_eq!(done.status.code(), Some(0), "{} {}", done.stdout, done.stderr);
    assert!(done.stdout.starts_with("+ Model  Reading"), "{}", done.stdout);
    let both = [
        ("Reading".to_owned(), "b/models.lot".to_owned()),
        ("NoSecrets".to_owned(), "a/rule.lot".to_owned()),
    ];
    assert_eq!(origins(&broker), both);
    let asks = "Rules that go: NoSecrets.";
    let plan = deploy(&broker, folder.path(), &["--replace-project", "--dry-run"]);
    assert!(plan.stdout.contains(asks), "{}", plan.stdout);
    let port = broker.port();
    let by_command = |more: &[&str]| {
        Program::run(LOTMQ, &[&["cmd", "-p", &port, "-loadProject", "b"][..], more].concat()).unwrap()
    };
    for refused in [deploy(&broker, folder.path(), &["--replace-project"]), by_command(&[])] {
        assert_eq!(refused.status.code(), Some(1), "{}", refused.stdout);
        assert!(refused.stderr.contains(asks) && origins(&broker) == both, "{}", refused.stderr);
    }
    assert!(by_command(&["-beside"]).status.success() && origins(&broker) == both);
    let done = deploy(&broker, folder.path(), &["--replace-project", "--yes"]);
    assert_eq!(done.status.code(), Some(0), "{}", done.stderr);
    assert!(done.stdout.contains("- Rule   NoSecrets"), "{}", done.stdout);
    assert!(done.stdout.contains("what it denied may be allowed now"), "{}", done.stdout);
    assert_eq!(origins(&broker), both[..1]);
}

/// The command shows the changes first, and a reader who closes the pipe may have seen enough.
#[test]
fn command_runs_with_closed_output_pipe_and_returns_its_exit_code() {
    let broker = broker();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("models.lot"), MODEL).unwrap();
    let unread = |arguments: &[&str]| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let (verb, rest) = arguments.split_first().unwrap();
        let place = ["-p", &broker.port()];
        Command::new(LOTMQ).arg(verb).args(place).args(rest).stdout(writer).status().unwrap().code()
    };
    let deploy = ["deploy", folder.path().to_str().unwrap(), "--name", "b"];
    assert_eq!(unread(&deploy), Some(0));
    assert_eq!(origins(&broker), [("Reading".to_owned(), "b/models.lot".to_owned())]);
    assert_eq!(unread(&["undeploy", "b", "--yes"]), Some(0));
    assert_eq!(origins(&broker), []);
    assert_eq!(unread(&["cmd", "-removeModel Nowhere"]), Some(1));
}

#[test]
fn a_file_is_deployed_with_its_own_lines() {
    let mut broker = broker();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("two.lot");
    let program = "-- both\n\nDEFINE ACTION One\nON TOPIC \"one\" DO\n    PUBLISH TOPIC \"o\" WITH 1\n\nDEFINE ACTION Two\nON TOPIC \"two\" DO\n    PUBLISH TOPIC \"o\" WITH 1 / PAYLOAD\n";
    fs::write(&file, program).unwrap();
    let done = Program::run(LOTMQ, &["deploy", file.to_str().unwrap(), "-p", &broker.port()]).unwrap();
    assert_eq!(done.status.code(), Some(0), "{} {}", done.stdout, done.stderr);
    let line_of_error = |broker: &Broker| {
        broker.client("sender").publish(&Publication::new("two", "0").qos(QoS::AtLeastOnce)).unwrap();
        lotmq_test_support::eventually("the error", || {
            broker.command_ok("-lotDiagnostic action Two").data()["lastError"]["line"].as_u64()
        })
    };
    assert_eq!(line_of_error(&broker), 9);
    broker.stop();
    broker.start_again();
    assert_eq!(line_of_error(&broker), 9);
}

#[test]
fn compiler_warning_is_reported_once() {
    let broker = broker();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("odd.lot");
    let program =
        "\nDEFINE ACTION Odd\nON TOPIC \"odd\" DO\n    IF 1 > 2 THEN\n        PUBLISH TOPIC \"o\" WITH 1\n";
    fs::write(&file, program).unwrap();
    let port = broker.port();
    let of_file = Program::run(LOTMQ, &["deploy", file.to_str().unwrap(), "-p", &port]).unwrap();
    for done in [of_file, deploy(&broker, folder.path(), &["--yes", "--replace"])] {
        let told = format!("{}\n{}", done.stdout, done.stderr);
        assert_eq!(done.status.code(), Some(0), "{told}");
        assert_eq!(told.matches("LOT453").count(), 1, "{told}");
    }
}

#[test]
fn misspelt_variable_name_is_reported_last() {
    let broker = broker();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("slip.lot");
    let program = "DEFINE ACTION Slip\nON TOPIC \"in\" DO\n    SET \"limit\" WITH 5\n    IF PAYLOAD > {limt} THEN\n        PUBLISH TOPIC \"o\" WITH {limit}\n";
    fs::write(&file, program).unwrap();
    let path = file.to_str().unwrap();
    let port = broker.port();
    for arguments in [&["check", path][..], &["deploy", path, "-p", &port]] {
        let done = Program::run(LOTMQ, arguments).unwrap();
        assert_eq!(done.status.code(), Some(0), "{} {}", done.stdout, done.stderr);
        let last = done.stderr.lines().last().unwrap_or_default();
        let expected =
            "slip.lot:4:18: unknown variable `{limt}` is EMPTY whenever it runs: did you mean `{limit}`?";
        assert!(last.starts_with("warning: ") && last.ends_with(expected), "{}", done.stderr);
    }
}

#[test]
fn unchanged_entities_of_a_file_are_reported_as_unchanged() {
    let broker = broker();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("two.lot");
    let one = "DEFINE ACTION One\nON TOPIC \"one\" DO\n    PUBLISH TOPIC \"o\" WITH 1\n";
    let two = "\nDEFINE ACTION Two\nON TOPIC \"two\" DO\n    PUBLISH TOPIC \"o\" WITH 2\n";
    let port = broker.port();
    let deploy = |text: &str, more: &[&str]| {
        fs::write(&file, text).unwrap();
        let all = [&["deploy", file.to_str().unwrap(), "-p", &port], more].concat();
        Program::run(LOTMQ, &all).unwrap()
    };
    assert_eq!(deploy(&format!("{one}{two}"), &[]).status.code(), Some(0));
    let same = deploy(&format!("{one}{two}"), &["--diff"]);
    assert_eq!(same.status.code(), Some(0), "{}", same.stderr);
    let unchanged = ["One", "Two"].map(|name| format!("Action '{name}' is as it was: nothing has changed"));
    let expected = ["nothing changes", "= 2 unchanged", &unchanged[0], &unchanged[1]];
    assert_eq!(same.stdout.lines().collect::<Vec<_>>(), expected, "{}", same.stdout);
    let changed = deploy(&format!("{one}{}", two.replace("WITH 2", "WITH 3")), &[]);
    assert!(
        changed.stdout.contains(&unchanged[0]) && !changed.stdout.contains(&unchanged[1]),
        "{}",
        changed.stdout
    );
    // The second one is another user's.
    broker.command_ok("-addUser ann right-one");
    broker.command_ok("-changeUserSettings ann AllowedSystemConfiguration true");
    broker.command_ok("-removeAction Two");
    assert!(broker.command_as(("ann", "right-one"), &format!("-addAction {}", two.trim_start())).success());
    let refused =
        deploy(&format!("{}{}", one.replace("WITH 1", "WITH 4"), two.replace("WITH 2", "WITH 3")), &[]);
    assert_eq!(refused.status.code(), Some(1), "{} {}", refused.stdout, refused.stderr);
    let told = "1 of this file were deployed before; this one and the 0 behind it were not";
    assert!(refused.stderr.contains(told), "{}", refused.stderr);
}

#[test]
fn a_plan_of_a_file_lists_what_is_new_and_whose_it_was() {
    let broker = broker();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("two.lot");
    let one = "DEFINE ACTION One\nON TOPIC \"one\" DO\n    PUBLISH TOPIC \"o\" WITH 1\n\n";
    let two = "DEFINE ACTION Two\nON TOPIC \"two\" DO\n    PUBLISH TOPIC \"o\" WITH 2\n";
    let port = broker.port();
    let deploy = |text: &str, more: &[&str]| {
        fs::write(&file, text).unwrap();
        let done = Program::run(LOTMQ, &[&["deploy", file.to_str().unwrap(), "-p", &port], more].concat());
        let done = done.unwrap();
        assert!(done.status.success(), "{} {}", done.stdout, done.stderr);
        done.stdout
    };
    let added = deploy(&format!("{one}{two}"), &[]);
    assert!(added.contains("+ Action One ") && added.contains("+ Action Two "), "{added}");
    let changed = deploy(&format!("{one}{}", two.replace("WITH 2", "WITH 3")), &["--diff"]);
    assert!(changed.contains("+    PUBLISH TOPIC \"o\" WITH 3"), "{changed}");
    assert!(!changed.lines().any(|line| line.trim() == "+"), "no line that nobody wrote: {changed}");
    broker.command_ok("-removeAllActions");
    assert!(upload(&broker, "plant", &zip(&[("two.lot", two.as_bytes())]), " load").success());
    let plan = deploy(&two.replace("WITH 2", "WITH 4"), &["--dry-run"]);
    let told = plan.lines().find(|line| line.starts_with("~ Action Two")).unwrap_or_default();
    assert!(told.contains("of project 'plant' until now"), "{plan}");
}

#[test]
fn a_file_changes_a_rule_only_when_somebody_agrees() {
    let broker = broker();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("guard.lot");
    let rule = "DEFINE RULE Gate WITH PRIORITY 100 FOR Publish TO TOPIC \"gate/#\"\n    IF USER IS \"root\" THEN\n        ALLOW\n    ELSE\n        DENY\n";
    let deploy = |text: &str, more: &[&str]| {
        fs::write(&file, text).unwrap();
        let port = broker.port();
        Program::run(LOTMQ, &[&["deploy", file.to_str().unwrap(), "-p", &port], more].concat()).unwrap()
    };
    let is_refused = || {
        let sent = ["pub", "-p", &broker.port(), "-q", "1", "-t", "gate/1", "-m", "x"];
        Program::run(LOTMQ, &sent).unwrap().status.code() == Some(1)
    };
    let tried = deploy(rule, &["--dry-run"]);
    assert!(tried.status.success() && tried.stdout.contains("+ Rule   Gate "), "{}", tried.stdout);
    assert!(!is_refused(), "nothing was sent");
    let added = deploy(rule, &[]);
    assert!(added.status.success() && is_refused(), "{} {}", added.stdout, added.stderr);
    let same = deploy(&format!("-- why\n{rule}"), &[]);
    assert!(same.status.success() && is_refused(), "{} {}", same.stdout, same.stderr);

    let open = rule.replace("        DENY", "        ALLOW");
    let refused = deploy(&open, &[]);
    assert_eq!(refused.status.code(), Some(1), "{} {}", refused.stdout, refused.stderr);
    assert!(
        refused.stderr.contains("by which more may be allowed: Gate. Nothing was changed; --yes goes on")
    );
    assert!(refused.stdout.contains("-        DENY") && is_refused(), "{}", refused.stdout);
    let tried = deploy(&open, &["--dry-run"]);
    assert!(tried.status.success() && is_refused(), "{} {}", tried.stdout, tried.stderr);
    assert!(tried.stdout.contains("Gate. This is asked about, or needs --yes"), "{}", tried.stdout);
    let done = deploy(&open, &["--yes"]);
    assert!(done.status.success() && !is_refused(), "{} {}", done.stdout, done.stderr);
}

#[test]
fn a_root_is_no_project() {
    let broker = broker();
    let refused = Program::run(LOTMQ, &["deploy", "/", "-p", &broker.port()]).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{}", refused.stdout);
    assert!(refused.stderr.contains("/ is all of this machine"), "{}", refused.stderr);
}

#[test]
fn a_project_with_rules_goes_only_when_somebody_agrees() {
    let broker = broker();
    let port = broker.port();
    let lotmq = |arguments: &[&str]| {
        let all = [&arguments[..1], &["-p", &port], &arguments[1..]].concat();
        Program::run(LOTMQ, &all).unwrap()
    };
    let load = || {
        let archive = zip(&[("rule.lot", RULE.as_bytes()), ("model.lot", MODEL.as_bytes())]);
        assert!(upload(&broker, "site", &archive, " load").success());
    };
    load();
    let has_rule = || origins(&broker).iter().any(|(name, _)| name == "NoSecrets");
    for refused in
        [&["cmd", "-unloadProject", "site"][..], &["cmd", "--unload-project"], &["undeploy", "site"]]
    {
        let told = lotmq(refused);
        assert_eq!(told.status.code(), Some(1), "{refused:?} {} {}", told.stdout, told.stderr);
        assert!(told.stderr.contains("NoSecrets. Nothing was changed; --yes goes on"), "{}", told.stderr);
        assert!(has_rule(), "{refused:?}");
    }
    let plan = lotmq(&["undeploy", "site", "--dry-run"]);
    assert_eq!(plan.status.code(), Some(0), "{}", plan.stderr);
    let shown = ["- Rule   NoSecrets ", "- Model  Reading", "NoSecrets. This is asked about, or needs --yes"];
    assert!(shown.iter().all(|shown| plan.stdout.contains(shown)) && has_rule(), "{}", plan.stdout);
    assert_eq!(lotmq(&["undeploy", "other", "--dry-run"]).status.code(), Some(1));
    for agreed in [&["undeploy", "site", "--yes"][..], &["cmd", "-unloadProject", "site", "--yes"]] {
        let told = lotmq(agreed);
        assert_eq!(told.status.code(), Some(0), "{agreed:?} {} {}", told.stdout, told.stderr);
        assert!(!has_rule(), "{agreed:?}");
        load();
    }
    let unknown = lotmq(&["undeploy", "other"]);
    assert_eq!(unknown.status.code(), Some(1), "{}", unknown.stderr);
    assert!(unknown.stderr.contains("Project 'other' not found."), "{}", unknown.stderr);
}

#[test]
fn deploy_shows_what_changes_and_asks_before_protection_or_work_goes() {
    let broker = broker();
    let by_hand = CELL.replace("- 32", "- 0");
    broker.command_ok(&format!("-addAction {by_hand}"));
    let folder = tempfile::tempdir().unwrap();
    let (action, rule) = (folder.path().join("a.lot"), folder.path().join("rule.lot"));
    fs::write(&action, CELL).unwrap();
    fs::write(&rule, RULE).unwrap();
    for (options, code) in [(&["--dry-run"][..], 0), (&[][..], 1), (&["--yes"][..], 0)] {
        let done = deploy(&broker, folder.path(), options);
        assert_eq!(done.status.code(), Some(code), "{options:?} {} {}", done.stdout, done.stderr);
        assert!(done.stdout.contains("! Action Celsius"), "{}", done.stdout);
        assert!(done.stdout.contains("+ Rule   NoSecrets"), "{}", done.stdout);
        assert_eq!(done.stderr.contains("--yes goes on"), code == 1, "{}", done.stderr);
        let is_loaded = origins(&broker).iter().any(|(name, _)| name == "NoSecrets");
        assert_eq!(is_loaded, options == ["--yes"], "{options:?}");
    }
    // The same again changes nothing, and asks nothing.
    let again = deploy(&broker, folder.path(), &[]);
    assert_eq!(again.status.code(), Some(0), "{}", again.stderr);
    let expected = "nothing changes\n= 2 unchanged\nproject 'b' is loaded as it was: nothing has changed";
    assert_eq!(again.stdout.trim_end(), expected);

    fs::remove_file(&rule).unwrap();
    fs::write(&action, CELL.replace("5 / 9", "0.5555")).unwrap();
    let refused = deploy(&broker, folder.path(), &[]);
    assert_eq!(refused.status.code(), Some(1), "{}", refused.stdout);
    assert!(refused.stdout.contains("~ Action Celsius"), "{}", refused.stdout);
    assert!(refused.stdout.contains("what it denied may be allowed then"), "{}", refused.stdout);
    assert!(refused.stderr.contains("Rules that go: NoSecrets."), "{}", refused.stderr);
    assert!(origins(&broker).iter().any(|(name, _)| name == "NoSecrets"));
    let plan = deploy(&broker, folder.path(), &["--dry-run"]).stdout;
    assert!(plan.contains("Rules that go: NoSecrets. This is asked about, or needs --yes"), "{plan}");
    assert_eq!(deploy(&broker, folder.path(), &["-y"]).status.code(), Some(0));
    assert_eq!(origins(&broker), [("Celsius".to_owned(), "b/a.lot".to_owned())]);
    // One that does not define it any more gives it back, and says so.
    fs::write(&action, MODEL).unwrap();
    let last = deploy(&broker, folder.path(), &[]);
    assert!(last.stdout.contains("< Action Celsius"), "{}", last.stdout);
    assert!(!last.stdout.contains("- Action Celsius"), "told once: {}", last.stdout);
    assert_eq!(last.status.code(), Some(0), "{}", last.stderr);
}

#[test]
fn several_projects_are_loaded_at_once() {
    let mut broker = broker();
    let rest = format!("{ROUTE}\n{RULE}");
    assert!(upload(&broker, "a", &zip(&[("rest.lot", rest.as_bytes())]), " load").success());
    assert!(upload(&broker, "b", &zip(&[("b.lot", CELL.as_bytes())]), " load -beside").success());
    let names = |broker: &Broker| origins(broker).into_iter().map(|(name, _)| name).collect::<BTreeSet<_>>();
    let all = BTreeSet::from(["Store", "NoSecrets", "Celsius"].map(str::to_owned));
    assert_eq!(names(&broker), all);
    broker.kill();
    broker.start_again();
    assert_eq!(names(&broker), all);
    let mut client = viewer(&broker, "$SYS/Coreflux/Projects/active");
    let (_, active) = told(&mut client);
    assert_eq!((&active["status"], &active["name"]), (&json!("loaded"), &json!("b")));
    assert_eq!(active["projects"].as_array().unwrap().len(), 2, "{active}");

    // A project does not take a definition of another project that stays.
    let third = zip(&[("c.lot", format!("{CELL}\n{MODEL}").as_bytes())]);
    let loaded = upload(&broker, "c", &third, " load -beside -replace");
    assert!(!loaded.success());
    assert_eq!(loaded.code(), "EXISTS", "{loaded:?}");
    assert!(
        loaded.0["errors"][0]["message"].as_str().unwrap().contains("belongs to project 'b'"),
        "{loaded:?}"
    );
    assert_eq!(named_rows(&loaded, "removed"), [""; 0]);
    // Its own next version leaves the others alone, too.
    assert!(upload(&broker, "a", &zip(&[("rest.lot", RULE.as_bytes())]), " load -beside").success());
    assert_eq!(names(&broker), BTreeSet::from(["NoSecrets", "Celsius", "Reading"].map(str::to_owned)));
    let which = broker.command("-unloadProject");
    assert_eq!(which.message(), "Several projects are loaded: b, c, a. Name one.", "{which:?}");
    let unloaded = broker.command_ok("-unloadProject b");
    assert_eq!(named_rows(&unloaded, "removed"), ["Action Celsius"]);
    // As the original's command does: in the place of all.
    let alone = broker.command_ok("-loadProject b");
    assert_eq!(named_rows(&alone, "removed"), ["Rule NoSecrets", "Model Reading"]);
    broker.command_ok("-unloadProject");
    assert_eq!(names(&broker), BTreeSet::new());
}

#[test]
fn displaced_definition_stays_away_while_another_project_uses_its_name() {
    let broker = broker();
    broker.command_ok(&format!("-addAction {}", CELL.replace("- 32", "- 0")));
    let one = zip(&[("a.lot", CELL.as_bytes())]);
    assert!(upload(&broker, "a", &one, " load").success());
    // It ends `a` and has the name from then on.
    let loaded = upload(&broker, "b", &one, " load");
    assert_eq!(named_rows(&loaded, "givenBack"), [""; 0], "{loaded:?}");
    let other = zip(&[("m.lot", MODEL.as_bytes())]);
    let beside = upload(&broker, "a", &other, " load -beside");
    assert_eq!(named_rows(&beside, "givenBack"), [""; 0], "{beside:?}");
    assert_eq!(named_rows(&broker.command_ok("-unloadProject b"), "givenBack"), ["Action Celsius"]);
}

#[test]
fn a_plan_tells_what_would_change_and_changes_nothing() {
    let broker = broker();
    assert!(
        upload(&broker, "a", &zip(&[("a.lot", format!("{CELL}\n{RULE}").as_bytes())]), " load").success()
    );
    broker.command_ok(&format!("-addModel {MODEL}"));
    let before = origins(&broker);
    let next = format!("{}\n{ROUTE}\n{MODEL}", CELL.replace("5 / 9", "0.5"));
    let next = zip(&[("a.lot", next.as_bytes())]);
    let plan = upload(&broker, "a", &next, " load -dryRun");
    assert!(plan.success(), "{plan:?}");
    assert_eq!(plan.message(), "Project 'a' can be loaded. Nothing was changed.");
    let lists = ["added", "changed", "takesOver", "removed", "givenBack"].map(|key| named_rows(&plan, key));
    let wanted: [&[&str]; 5] =
        [&["Route Store"], &["Action Celsius"], &["Model Reading"], &["Rule NoSecrets"], &[]];
    assert_eq!(lists, wanted);
    assert_eq!(plan.data()["unchanged"], 0);
    assert_eq!(origins(&broker), before);
    // A dry run leaves the stored version alone, and the version does not become its own
    // predecessor.
    let same = broker.command_ok("-loadProject a -dryRun");
    assert_eq!(same.data()["unchanged"], 2, "{same:?}");
    assert_eq!(broker.command("-rollbackProject a").code(), "NOT_FOUND");
    let wrong = zip(&[("a.lot", b"DEFINE ACTION".as_slice())]);
    let refused = upload(&broker, "a", &wrong, " load -dryRun");
    assert!(!refused.success() && refused.message().contains("Nothing was changed"), "{refused:?}");
    assert_eq!(origins(&broker), before);
    assert_eq!(upload(&broker, "a", &next, " -dryRun").code(), "ARGUMENT_INVALID");
}

#[test]
fn a_project_goes_back_to_the_version_before_and_forth_again() {
    let mut broker = broker();
    let versions = ["1", "2"].map(|factor| zip(&[("a.lot", CELL.replace("5 / 9", factor).as_bytes())]));
    for version in &versions {
        assert!(upload(&broker, "a", version, " load").success());
    }
    // The same again is no new version.
    assert!(upload(&broker, "a", &versions[1], " load").success());
    let source = |broker: &Broker| {
        let mut client = viewer(broker, "$SYS/Coreflux/Actions/Celsius");
        client.receive(WAIT_MAX).unwrap().unwrap().text()
    };
    broker.kill();
    broker.start_again();
    for factor in ["1", "2", "1"] {
        let plan = broker.command_ok("-rollbackProject a -dryRun");
        assert_eq!(named_rows(&plan, "changed"), ["Action Celsius"]);
        let back = broker.command_ok("-rollbackProject a");
        assert_eq!(back.message(), "Project 'a' is what it was before.");
        assert_eq!(source(&broker), CELL.replace("5 / 9", factor));
    }
    broker.kill();
    broker.start_again();
    assert_eq!(source(&broker), CELL.replace("5 / 9", "1"));
    // One that is not loaded goes back as well.
    broker.command_ok("-unloadProject a");
    broker.command_ok("-rollbackProject a");
    broker.command_ok("-loadProject a");
    assert_eq!(source(&broker), CELL.replace("5 / 9", "2"));
    broker.command_ok("-unloadProject a");
    broker.command_ok("-removeProject a");
    assert_eq!(broker.command("-rollbackProject a").code(), "NOT_FOUND");
    assert!(upload(&broker, "a", &versions[0], "").success());
    assert_eq!(
        broker.command("-rollbackProject a").code(),
        "NOT_FOUND",
        "nothing is left of who was removed"
    );
}

#[test]
fn deploy_tells_which_messages_go_with_a_route_and_asks() {
    let broker = broker();
    let folder = tempfile::tempdir().unwrap();
    let route = folder.path().join("line.lot");
    let text = "DEFINE ROUTE Line WITH TYPE LOOPBACK\n    ADD EVENT Save\n        WITH SOURCE_TOPIC \"in/+\"\n        WITH FAIL \"{payload.json.fail}\"\n        WITH DESTINATION_TOPIC \"done\"\n";
    fs::write(&route, text).unwrap();
    fs::write(folder.path().join("a.lot"), CELL).unwrap();
    assert_eq!(deploy(&broker, folder.path(), &[]).status.code(), Some(0));
    let mut client = broker.client("sender");
    for fail in ["reject", "reject", "retry"] {
        let message = Publication::new("in/a", format!("{{\"fail\":\"{fail}\"}}")).qos(QoS::AtLeastOnce);
        client.publish(&message).unwrap();
    }
    broker.wait_until_metric_is("lotmq_route_dead_letters", 2.0);
    broker.wait_until_metric_is("lotmq_route_waiting", 1.0);
    fs::remove_file(&route).unwrap();
    let left = "1 waiting message(s) and 2 dead letter(s)";
    let plan = deploy(&broker, folder.path(), &["--dry-run"]);
    assert_eq!(plan.status.code(), Some(0), "{}", plan.stderr);
    let port = broker.port();
    for kept in [
        &["undeploy", "b", "-p", &port][..],
        &["cmd", "-p", &port, "-unloadProject", "b"],
        &["cmd", "-p", &port, "-removeRoute", "Line"],
    ] {
        let refused = Program::run(LOTMQ, kept).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{}", refused.stdout);
        let asks = format!("Routes that go with messages: Line ({left}). Nothing was changed; --yes goes on");
        assert!(refused.stderr.contains(&asks), "{}", refused.stderr);
    }
    let row = plan.stdout.lines().find(|line| line.starts_with("- Route  Line")).unwrap();
    assert!(row.ends_with(&format!("{left} go with it")), "{row}");
    // Nobody is there to be asked.
    let refused = deploy(&broker, folder.path(), &[]);
    let asks = format!("Routes that go with messages: Line ({left}). Nothing was changed; --yes goes on");
    assert!(refused.status.code() == Some(1) && refused.stderr.contains(&asks), "{}", refused.stderr);
    assert_eq!(broker.command_ok("-listDeadLetters Line").data()["count"], 2);
    let done = deploy(&broker, folder.path(), &["--yes"]);
    assert!(done.status.success(), "{} {}", done.stdout, done.stderr);
    assert!(!origins(&broker).iter().any(|(name, _)| name == "Line"));
    // One that has none goes unasked.
    fs::write(&route, text).unwrap();
    assert!(deploy(&broker, folder.path(), &[]).status.success());
    fs::remove_file(&route).unwrap();
    let done = deploy(&broker, folder.path(), &[]);
    assert!(
        done.status.success() && done.stdout.contains("- Route  Line"),
        "{} {}",
        done.stdout,
        done.stderr
    );
}

#[test]
fn plan_shows_differences_and_rollback_asks_before_removing_rules() {
    let broker = broker();
    let folder = tempfile::tempdir().unwrap();
    let (action, rule) = (folder.path().join("a.lot"), folder.path().join("rule.lot"));
    fs::write(&action, CELL).unwrap();
    assert_eq!(deploy(&broker, folder.path(), &[]).status.code(), Some(0));
    fs::write(&rule, RULE).unwrap();
    fs::write(&action, CELL.replace("5 / 9", "0.5555")).unwrap();
    let plan = deploy(&broker, folder.path(), &["--dry-run"]);
    let changes = |sign: char, text: &str| {
        plan.stdout.lines().any(|line| line.trim_start().starts_with(sign) && line.contains(text))
    };
    assert!(changes('-', "5 / 9") && changes('+', "0.5555"), "{}", plan.stdout);
    assert!(plan.stdout.contains("    @@ -") && !plan.stdout.contains('\u{1b}'), "{}", plan.stdout);
    let done = deploy(&broker, folder.path(), &[]);
    assert!(done.status.success() && !done.stdout.contains("@@"), "{}", done.stdout);

    let port = broker.port();
    let run = |words: &[&str]| Program::run(LOTMQ, words).unwrap();
    let rollback = |more: &[&str]| run(&[&["rollback", "b", "-p", &port], more].concat());
    let has_rule = || origins(&broker).iter().any(|(name, _)| name == "NoSecrets");
    let told = rollback(&["--dry-run"]);
    assert_eq!(told.status.code(), Some(0), "{}", told.stderr);
    let is_told = |text: &str| {
        text.contains("~ Action Celsius") && text.contains("- Rule   NoSecrets") && text.contains("@@ -")
    };
    assert!(is_told(&told.stdout), "{}", told.stdout);
    // Nobody is there to be asked.
    let asks = "Rules that go: NoSecrets. Nothing was changed; --yes goes on";
    for refused in [rollback(&[]), run(&["cmd", "-p", &port, "-rollbackProject", "b"])] {
        assert_eq!(refused.status.code(), Some(1), "{}", refused.stdout);
        assert!(refused.stderr.contains(asks) && has_rule(), "{}", refused.stderr);
    }
    let done = rollback(&["--yes"]);
    assert!(done.status.success() && !has_rule(), "{} {}", done.stdout, done.stderr);
    // A rollback that restores protection asks nothing.
    let again = run(&["cmd", "-p", &port, "-rollbackProject", "b"]);
    assert!(again.status.success() && has_rule(), "{} {}", again.stdout, again.stderr);
    let forced = run(&["cmd", "-p", &port, "--yes", "-rollbackProject", "b"]);
    assert!(forced.status.success() && !has_rule(), "{} {}", forced.stdout, forced.stderr);
    broker.command_ok("-unloadProject b");
    assert!(rollback(&[]).stdout.contains("the project is not loaded"));
    assert_eq!(run(&["rollback", "z", "-p", &port]).status.code(), Some(1));
}

#[test]
fn rule_change_is_printed_and_needs_confirmation() {
    let broker = broker();
    let folder = tempfile::tempdir().unwrap();
    let rule = folder.path().join("rule.lot");
    fs::write(&rule, RULE).unwrap();
    assert_eq!(deploy(&broker, folder.path(), &[]).status.code(), Some(0));
    let mut client = broker.connect(&lotmq_client::ConnectOptions::v5("stranger"));
    let may_publish = |client: &mut lotmq_client::Client| {
        let publication = Publication::new("closed/x", "1");
        !client.publish(&publication.qos(QoS::AtLeastOnce)).unwrap().is_failure()
    };
    assert!(!may_publish(&mut client));
    // A comment is no change of what it says.
    fs::write(&rule, format!("-- nobody\n{RULE}")).unwrap();
    assert_eq!(deploy(&broker, folder.path(), &[]).status.code(), Some(0));
    fs::write(&rule, RULE.replace("DENY", "ALLOW")).unwrap();
    let refused = deploy(&broker, folder.path(), &[]);
    assert_eq!(refused.status.code(), Some(1), "{}", refused.stdout);
    for shown in ["~ Rule   NoSecrets", "what it denied may be allowed then", "-    DENY", "+    ALLOW"] {
        assert!(refused.stdout.contains(shown), "{shown} in {}", refused.stdout);
    }
    let asks =
        "Rules that change, by which more may be allowed: NoSecrets. Nothing was changed; --yes goes on";
    assert!(refused.stderr.contains(asks), "{}", refused.stderr);
    assert!(!may_publish(&mut client), "nothing has changed");
    assert_eq!(deploy(&broker, folder.path(), &["--yes"]).status.code(), Some(0));
    assert!(may_publish(&mut client));
    let port = broker.port();
    let rollback = || Program::run(LOTMQ, &["rollback", "b", "-p", &port]).unwrap();
    // A version that only denies takes no protection away. Going back to one that allows does.
    let back = rollback();
    assert!(back.status.success() && !may_publish(&mut client), "{} {}", back.stdout, back.stderr);
    let again = rollback();
    assert!(again.status.code() == Some(1) && again.stderr.contains("Rules that change"), "{}", again.stderr);
}
