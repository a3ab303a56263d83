//! Plans that `lotmq deploy` shows before it acts: changes that it asks about, and changes that it
//! does not.

use std::fs;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lotmq_server::projects::text_fingerprint;
use lotmq_test_support::{Broker, Finished, Program};
use serial2::SerialPort;

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

#[test]
fn a_rule_with_the_same_text_becomes_one_of_the_project() {
    let broker = broker();
    let place = tempfile::tempdir().unwrap();
    let (folder, file) = (place.path().join("plant"), place.path().join("plant/door.lot"));
    fs::create_dir(&folder).unwrap();
    fs::write(&file, DOOR).unwrap();
    assert!(deploy(&broker, &file, &[]).status.success());
    let asked = deploy(&broker, &folder, &[]);
    assert_eq!(asked.status.code(), Some(1), "{asked:?}");
    assert!(asked.stdout.contains("was added by hand with the same text"), "{asked:?}");
    assert!(!is_open(&broker));
    let taken = deploy(&broker, &folder, &["--yes"]);
    assert!(taken.status.success(), "{taken:?}");
    let again = deploy(&broker, &folder, &[]).output().to_owned();
    assert!(again.ends_with("project 'plant' is loaded as it was: nothing has changed"), "{again}");
    assert!(!is_open(&broker));
    // Only the same text is taken over.
    broker.command_ok(&format!("-addRule {OPENER}"));
    fs::write(folder.join("opener.lot"), OPENER.replace("ALLOW", "DENY")).unwrap();
    let refused = deploy(&broker, &folder, &["--yes", "--replace"]);
    assert!(
        refused.stderr.contains("error[EXISTS]") && refused.stderr.contains("added by hand"),
        "{refused:?}"
    );
}

#[test]
fn a_deployment_is_printed_as_json() {
    let broker = broker();
    let place = tempfile::tempdir().unwrap();
    let (folder, file) = (place.path().join("plant"), place.path().join("plant/door.lot"));
    fs::create_dir(&folder).unwrap();
    fs::write(&file, DOOR).unwrap();
    let objects = |finished: &Finished| -> Vec<serde_json::Value> {
        finished.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let planned = objects(&deploy(&broker, &folder, &["--json", "--dry-run"]));
    assert_eq!(planned[0]["data"]["added"][0]["name"], "Door");
    let done = objects(&deploy(&broker, &folder, &["--json"]));
    assert_eq!((done.len(), &done[0]["success"]), (1, &true.into()), "{done:?}");
    fs::write(&file, "DEFINE RULE Door\n").unwrap();
    let wrong = deploy(&broker, &file, &["--json"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert_eq!(objects(&wrong)[0]["success"], false);
}

/// `lotmq` at a terminal of its own, whose standard output is kept aside.
pub(crate) struct AtTerminal {
    program: Child,
    far: SerialPort,
    _near: SerialPort,
}

impl AtTerminal {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let (mut far, near) = SerialPort::pair().unwrap();
        far.set_read_timeout(Duration::from_secs(20)).unwrap();
        let device = fs::read_link(format!("/proc/self/fd/{}", near.as_raw_fd())).unwrap();
        let open = || fs::File::options().read(true).write(true).open(&device).unwrap();
        let program = Command::new(LOTMQ)
            .args(arguments)
            .stdin(open())
            .stderr(open())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self { program, far, _near: near }
    }

    /// Reads the terminal up to the next question.
    pub(crate) fn question(&mut self) -> String {
        let mut text = Vec::new();
        let mut byte = [0];
        while !text.ends_with(b"[y/N]") {
            self.far.read_exact(&mut byte).unwrap();
            text.push(byte[0]);
        }
        String::from_utf8(text).unwrap()
    }

    pub(crate) fn answer(&self, text: &str) {
        self.far.write_all(text.as_bytes()).unwrap();
    }

    /// The exit code, and all that it wrote to the terminal.
    pub(crate) fn all(self) -> (Option<i32>, String) {
        let Self { program, far, _near: near } = self;
        let code = program.wait_with_output().unwrap().status.code();
        drop(near);
        let mut text = Vec::new();
        let mut part = [0; 1024];
        // The end of a terminal that nobody has open any more is an error.
        while let Ok(read) = far.read(&mut part)
            && read > 0
        {
            text.extend_from_slice(&part[..read]);
        }
        (code, String::from_utf8(text).unwrap())
    }

    /// The exit code, and what it printed.
    pub(crate) fn end(self) -> (Option<i32>, String) {
        let output = self.program.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    }
}

#[test]
fn change_during_a_question_is_asked_about_again() {
    let broker = broker();
    let port = broker.port();
    let place = tempfile::tempdir().unwrap();
    let folder = |name: &str, files: &[(&str, &str)]| {
        let folder = place.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        files.iter().for_each(|(file, text)| fs::write(folder.join(file), text).unwrap());
        folder
    };
    let window = DOOR.replace("Door", "Window").replace("door/#", "window/#");
    let both = folder("both", &[("door.lot", DOOR), ("window.lot", &window), ("a.lot", CELL)]);
    let door = folder("door", &[("door.lot", DOOR), ("a.lot", CELL)]);
    let neither = folder("neither", &[("a.lot", CELL)]);
    let put = |path: &Path| {
        let done = deploy(&broker, path, &["--name", "p", "--yes"]);
        assert!(done.status.success(), "{} {}", done.stdout, done.stderr);
    };
    let rules = || {
        let rows = origins(&broker);
        rows.into_iter().map(|(name, _)| name).filter(|name| name != "Celsius").collect::<Vec<_>>()
    };
    put(&door);
    let path = neither.to_str().unwrap();
    for (command, more) in [
        (&["deploy", path, "--name", "p", "-p", &port][..], "Rules that go: Door, Window."),
        (&["cmd", "-p", &port, "-unloadProject", "p"], "Rules that go: Door, Window."),
        (&["undeploy", "p", "-p", &port], "Rules that go: Door, Window."),
    ] {
        let mut terminal = AtTerminal::start(command);
        let asked = terminal.question();
        assert!(asked.contains("Rules that go: Door. Go on?"), "{command:?} {asked}");
        put(&both);
        terminal.answer("y\n");
        let again = terminal.question();
        assert!(again.contains("somebody has changed something meanwhile"), "{command:?} {again}");
        assert!(again.contains(more), "{command:?} {again}");
        terminal.answer("n\n");
        let (code, told) = terminal.end();
        assert_eq!(code, Some(1), "{command:?} {told}");
        assert_eq!(rules(), ["Door", "Window"], "{command:?} nothing was done");
        put(&door);
    }
    // If nothing happens meanwhile, the answer counts.
    let mut terminal = AtTerminal::start(&["deploy", path, "--name", "p", "-p", &port]);
    terminal.question();
    terminal.answer("y\n");
    let (code, told) = terminal.end();
    assert!(code == Some(0) && rules().is_empty(), "{told}");
}

#[test]
fn change_during_a_question_about_a_file_is_asked_about_again() {
    let broker = broker();
    let port = broker.port();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("door.lot");
    broker.command_ok(&format!("-addRule {DOOR}"));
    let allow = DOOR.replace("DENY", "ALLOW");
    fs::write(&file, &allow).unwrap();
    let path = file.to_str().unwrap();
    let mut terminal = AtTerminal::start(&["deploy", path, "-p", &port]);
    assert!(terminal.question().contains("may be allowed: Door. Go on?"));
    // Somebody has it protect more.
    let more = DOOR.replace("door/#", "#");
    broker.command_ok(&format!("-addRule -replaceOwn {more}"));
    terminal.answer("y\n");
    let again = terminal.question();
    assert!(again.contains("somebody has changed something meanwhile"), "{again}");
    terminal.answer("n\n");
    let (code, told) = terminal.end();
    assert!(
        code == Some(1) && told.contains("-DEFINE RULE Door WITH PRIORITY 100 FOR Publish TO TOPIC \"#\""),
        "{told}"
    );
    assert!(!is_open(&broker), "nothing was done");
    let agreed = |agreed: &str| broker.command(&format!("-addRule -replace -agreed {agreed} {allow}"));
    assert_eq!(agreed("none").code(), "CONFLICT");
    assert!(agreed(&text_fingerprint(Some(&more))).success());
    let new = DOOR.replace("Door", "New");
    assert!(broker.command(&format!("-addRule -agreed none {new}")).success());
}

#[test]
fn rollback_goes_to_the_confirmed_version() {
    let broker = broker();
    let port = broker.port();
    let folder = tempfile::tempdir().unwrap();
    let put = |text: &str| {
        fs::write(folder.path().join("door.lot"), text).unwrap();
        let done = deploy(&broker, folder.path(), &["--name", "p", "--yes"]);
        assert!(done.status.success(), "{} {}", done.stdout, done.stderr);
    };
    let open = OPENER.replace("Opener", "Door");
    put(DOOR);
    put(&open);
    let mut terminal = AtTerminal::start(&["rollback", "p", "-p", &port]);
    // Back to the one that denies: a rule changes.
    terminal.question();
    put(&open.replace("50", "60"));
    terminal.answer("y\n");
    let again = terminal.question();
    assert!(again.contains("somebody has changed something meanwhile"), "{again}");
    terminal.answer("n\n");
    let (code, told) = terminal.end();
    assert!(code == Some(1) && told.contains("PRIORITY 60"), "{told}");
}

#[test]
fn a_plan_that_was_agreed_to_is_done_or_nothing_is() {
    let broker = broker();
    let first = zip(&[("door.lot", DOOR.as_bytes())]);
    let second = zip(&[("a.lot", CELL.as_bytes())]);
    assert!(upload(&broker, "p", &first, " load -beside").success());
    let plan = upload(&broker, "p", &second, " load -beside -dryRun");
    let agreed = plan.data()["plan"].as_str().unwrap().to_owned();
    // Something of others is none of its business.
    broker.command_ok("-addAction DEFINE ACTION Other\nON TOPIC \"x\" DO\n    PUBLISH TOPIC \"y\" WITH 1");
    broker.command_ok(
        "-addRule -replace DEFINE RULE Lid WITH PRIORITY 100 FOR Publish TO TOPIC \"lid/#\"\n    DENY\n",
    );
    assert!(upload(&broker, "p", &first, " load -beside").success(), "the same once more");
    let wrong = upload(&broker, "p", &second, " load -beside -agreed 0123");
    assert_eq!(wrong.code(), "CONFLICT", "{wrong:?}");
    assert!(!is_open(&broker));
    // The rule that goes has another text now.
    let other = zip(&[("door.lot", DOOR.replace("100", "90").as_bytes())]);
    assert!(upload(&broker, "p", &other, " load -beside").success());
    assert_eq!(upload(&broker, "p", &second, &format!(" load -beside -agreed {agreed}")).code(), "CONFLICT");
    assert!(upload(&broker, "p", &first, " load -beside").success());
    assert!(upload(&broker, "p", &second, &format!(" load -beside -agreed {agreed}")).success());
    assert!(is_open(&broker));
    for (command, code) in [
        ("-unloadProject p -agreed", "MISSING_ARGUMENT"),
        ("-unloadProject p -beside", "TOO_MANY_ARGUMENTS"),
        ("-unloadProject p -agreed 0123", "CONFLICT"),
        ("-rollbackProject p -agreed 0123", "CONFLICT"),
        ("-loadProject p -agreed 0123", "CONFLICT"),
    ] {
        assert_eq!(broker.command(command).code(), code, "{command}");
    }
    assert_eq!(upload(&broker, "p", &second, " -agreed 0123").code(), "ARGUMENT_INVALID");
}

#[test]
fn removal_of_definitions_of_another_project_needs_confirmation() {
    let broker = broker();
    let archive = zip(&[("a.lot", CELL.as_bytes())]);
    assert!(upload(&broker, "b", &archive, " load").success());
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("other.lot"), CELL.replace("Celsius", "Other")).unwrap();
    let refused = deploy(&broker, folder.path(), &["--name", "a2", "--replace-project"]);
    assert_eq!(refused.status.code(), Some(1), "{} {}", refused.stdout, refused.stderr);
    assert!(refused.stdout.contains("of project 'b'"), "{}", refused.stdout);
    let told = "Definitions of other projects that go: Celsius (of 'b'). Nothing was changed; --yes goes on";
    assert!(refused.stderr.contains(told), "{}", refused.stderr);
    let done = deploy(&broker, folder.path(), &["--name", "a2", "--replace-project", "--yes"]);
    assert!(done.status.success(), "{} {}", done.stdout, done.stderr);
}

#[test]
fn a_rule_of_another_project_leads_to_an_order_without_a_gap() {
    let broker = broker();
    assert!(upload(&broker, "a", &zip(&[("door.lot", DOOR.as_bytes())]), " load").success());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("door.lot");
    fs::write(&file, DOOR).unwrap();
    let refused = deploy(&broker, folder.path(), &["--name", "a2"]);
    let told = "give the rule of 'a2' another name, deploy it beside 'a', and unload 'a' then (lotmq cmd -unloadProject a)";
    assert!(refused.stderr.contains(told) && !is_open(&broker), "{} {}", refused.stdout, refused.stderr);
    fs::write(&file, DOOR.replace("RULE Door", "RULE DoorOfA2")).unwrap();
    assert!(deploy(&broker, folder.path(), &["--name", "a2"]).status.success());
    broker.command_ok("-unloadProject a");
    assert!(!is_open(&broker));
}

/// Connections that ended without a goodbye, once all have ended.
fn lost_connections(broker: &Broker) -> Option<String> {
    broker.wait_until_metric_is("lotmq_connections", 0.0);
    let is_lost = |line: &&str| line.starts_with("lotmq_disconnects_total") && line.contains("network-error");
    broker.http("/metrics").body.lines().find(is_lost).map(str::to_owned)
}

/// A second folder with the same files, in the place of the first: nothing that runs changes, and
/// nothing is asked about.
#[test]
fn renamed_project_reports_its_definitions_as_unchanged() {
    let broker = broker();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("all.lot"), format!("{CELL}\n{RULE}")).unwrap();
    assert!(deploy(&broker, folder.path(), &["--name", "q2"]).status.success());
    let plan = deploy(&broker, folder.path(), &["--name", "q3", "--replace-project", "--dry-run"]);
    assert!(plan.status.success(), "{}", plan.stderr);
    let shown: Vec<String> =
        plan.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let expected = [
        "project 'q2' would be unloaded",
        "= Action Celsius all.lot as it is, of project 'q2' until now",
        "= Rule NoSecrets all.lot as it is, of project 'q2' until now",
    ];
    assert_eq!(shown, expected);
    let done = deploy(&broker, folder.path(), &["--name", "q3", "--replace-project"]);
    assert!(done.status.success(), "{} {}", done.stdout, done.stderr);
    assert!(!done.stdout.contains("nothing has changed"), "{}", done.stdout);
    assert!(origins(&broker).iter().all(|(_, origin)| origin == "q3/all.lot"), "{:?}", origins(&broker));
    // The plan shows a definition that differs, as for a project of one's own.
    fs::write(folder.path().join("all.lot"), format!("{CELL}\n{}", RULE.replace("DENY", "ALLOW"))).unwrap();
    let plan = deploy(&broker, folder.path(), &["--name", "q4", "--replace-project", "--dry-run"]);
    for told in ["~ Rule   NoSecrets", "-    DENY", "+    ALLOW", "may be allowed: NoSecrets. This is asked"]
    {
        assert!(plan.stdout.contains(told), "{told} in {}", plan.stdout);
    }
}

#[test]
fn definition_taken_from_another_user_is_reported_with_its_owner() {
    let broker = broker();
    broker.command_ok("-addUser ann right-one");
    broker.command_ok("-changeUserSettings ann AllowedSystemConfiguration true");
    let archive = zip(&[("a.lot", CELL.as_bytes())]);
    assert!(upload(&broker, "q2", &archive, " load").success());
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.lot"), CELL).unwrap();
    let as_ann = ["--name", "q3", "--replace-project", "--dry-run", "-u", "ann", "-P", "right-one"];
    let refused = deploy(&broker, folder.path(), &as_ann);
    let told = "Project 'q2' of user 'root' would be unloaded for it. Use --replace to do it all the same.";
    assert!(refused.status.code() == Some(1) && refused.stderr.contains(told), "{}", refused.stderr);
    let as_ann = [&as_ann[..], &["--replace"]].concat();
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
fn deploy_keeps_manually_added_rule_and_suggests_the_safe_way() {
    let broker = broker();
    broker.command_ok(&format!("-addRule {DOOR}"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("door.lot");
    fs::write(&file, DOOR.replace("100", "99")).unwrap();
    let refused = deploy(&broker, folder.path(), &["--name", "site", "--yes"]);
    assert_eq!(refused.status.code(), Some(1), "{}", refused.stdout);
    let told = "give the rule of the project another name, deploy it, and remove 'Door' then";
    assert!(refused.stderr.contains(told) && !is_open(&broker), "{}", refused.stderr);
    let plan = deploy(&broker, folder.path(), &["--name", "site", "--dry-run"]);
    assert!(!plan.stdout.contains("taken over"), "no project takes a rule over: {}", plan.stdout);
    // As it says: the door is closed all the time.
    fs::write(&file, DOOR.replace("RULE Door", "RULE DoorOfSite")).unwrap();
    assert!(deploy(&broker, folder.path(), &["--name", "site"]).status.success());
    broker.command_ok("-removeRule Door");
    assert!(!is_open(&broker));
    // By hand a rule goes when somebody has agreed, or who forces it, who is told.
    let port = broker.port();
    let remove = |more: &[&str]| {
        Program::run(LOTMQ, &[&["cmd", "-p", &port, "-removeRule", "DoorOfSite"], more].concat()).unwrap()
    };
    let refused = remove(&[]);
    assert_eq!(refused.status.code(), Some(1), "{}", refused.stdout);
    let forced = remove(&["-force"]);
    assert_eq!(forced.status.code(), Some(0), "{} {}", forced.stdout, forced.stderr);
    assert!(forced.stderr.contains("DoorOfSite"), "{}", forced.stderr);
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
    assert!(refused.stderr.contains("Use --replace to take it over."), "{}", refused.stderr);
    // Of a folder alone.
    let misused = deploy(&broker, &file, &["--name", "foo"]);
    assert_eq!(misused.status.code(), Some(2), "{}", misused.stderr);
    assert!(misused.stderr.contains("--name is for the project in a folder"), "{}", misused.stderr);
}

#[test]
fn denied_command_reports_the_required_rights() {
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
fn command_description_is_printed_once() {
    let broker = broker();
    let help = Program::run(LOTMQ, &["cmd", "-p", &broker.port(), "-help", "removeProject"]).unwrap();
    let told = "Deletes a project that is not loaded";
    assert_eq!(help.stdout.matches(told).count(), 1, "{}", help.stdout);
    assert!(help.stdout.contains("example: lotmq cmd -removeProject plant"), "{}", help.stdout);
}
