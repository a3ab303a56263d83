//! `lotmq context`: brokers with their logins under names, and the commands that use them.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lotmq_test_support::Broker;

use crate::{LOTMQ, broker, demo_broker};

/// A user with a folder for configuration of its own.
struct User {
    home: tempfile::TempDir,
}

/// Exit code, standard output and standard error.
type Ended = (i32, String, String);

impl User {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    fn file(&self) -> PathBuf {
        self.home.path().join("lotmq/contexts.toml")
    }

    fn run_with(&self, variable: Option<&str>, arguments: &[&str], input: &str) -> Ended {
        let mut command = Command::new(LOTMQ);
        command.args(arguments).env("XDG_CONFIG_HOME", self.home.path()).env_remove("LOTMQ_CONTEXT");
        command.envs(variable.map(|name| ("LOTMQ_CONTEXT", name)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A program that does not read it ends all the same.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim_end().to_owned();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with(None, arguments, "")
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let (code, stdout, stderr) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {stdout}{stderr}");
        stdout
    }

    fn add(&self, name: &str, broker: &Broker, password: &str) {
        let url = format!("mqtt://127.0.0.1:{}", broker.port());
        let arguments = ["context", "add", name, "--url", &url, "--user", "root", "--password-stdin"];
        let (code, _, stderr) = self.run_with(None, &arguments, &format!("{password}\n"));
        assert_eq!(code, 0, "{stderr}");
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_url_of_a_context_is_that_of_a_broker_alone() {
    let user = User::new();
    let (code, _, stderr) = user.run(&["context", "add", "x", "--url", "127.0.0.1"]);
    assert_eq!(code, 2, "{stderr}");
    let told =
        "--url: expected mqtt://host[:port], or mqtts://, ws://, wss://; did you mean mqtt://127.0.0.1?";
    assert!(stderr.contains(told), "{stderr}");
    let (code, stdout, stderr) = user.run(&["context", "list"]);
    assert!(
        code == 0 && stdout.is_empty() && stderr.contains("there is no context; lotmq context add"),
        "{stderr}"
    );
}

#[test]
fn commands_use_the_broker_and_login_of_a_context() {
    let (plant, other, user) = (demo_broker(), broker(), User::new());
    user.add("plant", &plant, "coreflux");
    user.add("other", &other, "coreflux");
    assert_eq!((mode(&user.file()), mode(user.file().parent().unwrap())), (0o600, 0o700));
    let list = ["cmd", "-listEntities"];
    let has_demo = |told: &Ended| (told.0, told.1.contains("HeatAlarm"));
    assert_eq!(has_demo(&user.run(&["cmd", "--context", "plant", "-listEntities"])), (0, true));
    assert_eq!(has_demo(&user.run(&["cmd", "--context", "other", "-listEntities"])), (0, false));
    assert_eq!(has_demo(&user.run_with(Some("plant"), &list, "")), (0, true));
    user.ok(&["context", "use", "plant"]);
    assert_eq!(has_demo(&user.run(&list)), (0, true));
    assert_eq!(has_demo(&user.run_with(Some("other"), &list, "")), (0, false), "the variable wins");
    // Options by hand win. A broker that is named by hand gets no login of the context in use.
    assert_eq!(
        has_demo(&user.run(&["cmd", "--context", "plant", "-p", &other.port(), "-listEntities"])),
        (0, false)
    );
    assert_eq!(user.run(&["cmd", "--context", "plant", "-P", "wrong", "-listEntities"]).0, 3);
    let refused = user.run(&["sub", "-p", &plant.port(), "-t", "$SYS/Coreflux/Version", "-W", "0.1"]);
    assert_eq!(refused.0, 1, "nobody and not root asked: {}", refused.2);
    assert_eq!(user.run(&["sub", "-t", "$SYS/Coreflux/Version", "-C", "1"]).0, 0, "root asked");
    for tool in [&["pub", "-t", "a", "-m", "x", "-r", "-q", "1"][..], &["sub", "-t", "a", "-C", "1"]] {
        user.ok(&[&[tool[0], "--context", "other"], &tool[1..]].concat());
    }
    let urls = [plant.port(), other.port()].map(|port| format!("mqtt://127.0.0.1:{port} as root"));
    assert_eq!(user.ok(&["context", "list"]), format!("  other  {}\n* plant  {}", urls[1], urls[0]));
    user.ok(&["context", "remove", "plant"]);
    assert_eq!(user.ok(&["context", "list"]), format!("  other  {}", urls[1]));
    user.ok(&["context", "use", "other"]);
    user.ok(&["context", "use"]);
    assert!(!user.ok(&["context", "list"]).contains('*'));
}

#[test]
fn a_file_that_others_may_read_is_refused() {
    let (broker, user) = (broker(), User::new());
    user.add("plant", &broker, "coreflux");
    for wrong in [0o640, 0o604, 0o660] {
        std::fs::set_permissions(user.file(), std::fs::Permissions::from_mode(wrong)).unwrap();
        for (arguments, code) in [
            (&["cmd", "--context", "plant", "-listUsers"][..], 2),
            (&["context", "list"], 1),
            (&["context", "remove", "plant"], 1),
        ] {
            let (ended, stdout, stderr) = user.run(arguments);
            assert_eq!(ended, code, "{stderr}");
            assert!(stdout.is_empty() && stderr.contains(&format!("has mode {wrong:04o}")), "{stderr}");
            assert!(stderr.contains("chmod 600") && !stderr.contains("coreflux"), "{stderr}");
        }
    }
    std::fs::set_permissions(user.file(), std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(user.file(), "[context.a]\nurk = 1\n").unwrap();
    let (code, _, stderr) = user.run(&["context", "list"]);
    assert!(
        code == 1 && stderr.contains("contexts.toml is no file of contexts") && stderr.contains("urk"),
        "{stderr}"
    );
}

#[test]
fn every_command_reads_the_password_from_a_file() {
    let (broker, user) = (broker(), User::new());
    broker.command_ok("-addUser ann \"a long password\"");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "a long password\r\nand no more of it\n").unwrap();
    let (port, path) = (broker.port(), file.path().to_str().unwrap());
    let published = ["pub", "-p", &port, "-u", "ann", "-t", "a", "-q", "1", "-m", "b"];
    user.ok(&[&published[..], &["--password-file", path]].concat());
    user.ok(&[&published[..], &["--password", "a long password"]].concat());
    let lines = ["pub", "-p", &port, "-u", "ann", "-t", "a", "-q", "1", "-l", "--password-file", "-"];
    let (code, _, stderr) = user.run_with(None, &lines, "a long password\nthe first line\n");
    assert_eq!(code, 0, "{stderr}");
    for (more, code, told) in [
        (&["--password-file", "/nowhere"][..], 1, "cannot read /nowhere: No such file"),
        (&["--password-file", "/dev/null"], 1, "the password is empty"),
        (&["--password-file", path, "-P", "x"], 2, "cannot be used with"),
        (&["-P", "another one"], 3, "bad user name or password"),
    ] {
        let (ended, _, stderr) = user.run(&[&published[..], more].concat());
        assert!(ended == code && stderr.contains(told), "{more:?}: {ended} {stderr}");
    }
}

#[test]
fn contexts_that_make_no_sense_are_refused() {
    let user = User::new();
    for (arguments, code, told) in [
        (
            &["cmd", "--context", "nope", "-listUsers"][..],
            2,
            "there is no context `nope`; `lotmq context add nope",
        ),
        (&["context", "use", "nope"], 1, "there is no context `nope`"),
        (&["context", "remove", "nope"], 1, "there is no context `nope`"),
        (&["context", "add", "a b", "--url", "mqtt://h"], 2, "a name has 1 to 64 letters"),
        (&["context", "add", "a", "--url", "http://h"], 2, "--url: expected mqtt://"),
        (&["context", "add", "a", "--url", "mqtt://u:p@h"], 2, "give the user with --user"),
        (&["context", "add", "a", "--url", "mqtt://h/t"], 2, "a context has no topic"),
        (
            &["context", "add", "a", "--url", "mqtt://h", "--user", "u"],
            2,
            "give it with --password-file FILE",
        ),
        (
            &["context", "add", "a", "--url", "mqtt://h", "--user", "u", "--password-stdin"],
            1,
            "the password is empty",
        ),
        (
            &["context", "add", "a", "--url", "mqtt://h", "--user", "u", "--password-file", "/nowhere"],
            1,
            "cannot read /nowhere: No such file",
        ),
    ] {
        let (ended, _, stderr) = user.run(arguments);
        assert_eq!(ended, code, "{arguments:?}: {stderr}");
        assert!(stderr.contains(told), "{arguments:?}: {stderr}");
        assert!(!user.file().exists(), "{arguments:?}");
    }
    user.ok(&["context", "add", "a", "--url", "mqtt://h"]);
    let (code, _, stderr) = user.run(&["context", "add", "a", "--url", "mqtt://i"]);
    assert!(code == 1 && stderr.contains("there is a context `a`; --replace takes its place"), "{stderr}");
    user.ok(&["context", "add", "a", "--url", "mqtt://i", "--replace"]);
    let (code, _, stderr) = user.run(&["cmd", "--context", "b", "-listUsers"]);
    assert!(code == 2 && stderr.contains("there are: a"), "{stderr}");
}

#[test]
fn rejected_login_or_address_names_its_context() {
    let (mut broker, user) = (broker(), User::new());
    user.add("plant", &broker, "not this one");
    user.ok(&["context", "use", "plant"]);
    for arguments in
        [&["cmd", "-listUsers"][..], &["sub", "-t", "a"], &["status"], &["pub", "-t", "a", "-m", "b"]]
    {
        let (code, _, stderr) = user.run(arguments);
        assert!(
            code != 0 && stderr.contains("the login is that of context `plant`"),
            "{arguments:?} {stderr}"
        );
    }
    let (_, _, stderr) = user.run(&["cmd", "-u", "root", "-P", "wrong", "-p", &broker.port(), "-listUsers"]);
    assert!(!stderr.contains("plant"), "{stderr}");
    // A login by hand is not the login of the context, and not root's of a new broker.
    for login in [&["-u", "root", "-P", "wrong"][..], &["-P", "wrong"]] {
        let (code, _, stderr) = user.run(&[&["cmd"], login, &["-listUsers"]].concat());
        assert_eq!(code, 3, "{stderr}");
        assert!(!stderr.contains("plant") && !stderr.contains("tried as root"), "{stderr}");
    }
    broker.stop();
    let (code, _, stderr) = user.run(&["cmd", "-listUsers"]);
    assert!(code == 3 && stderr.contains("the broker is that of context `plant`"), "{stderr}");
    // A port by hand makes it another address.
    let port = lotmq_test_support::free_port().to_string();
    let (code, _, stderr) = user.run(&["pub", "--context", "plant", "-p", &port, "-t", "a", "-m", "b"]);
    assert!(code == 3 && !stderr.contains("plant"), "{stderr}");
}

/// A terminal on which `script` runs a command; what it shows.
fn on_a_terminal(user: &User, command: &str, typed: &str) -> Option<String> {
    let mut script = Command::new("script");
    script.args(["-qec", command, "/dev/null"]).env("XDG_CONFIG_HOME", user.home.path());
    script.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = script.spawn().ok()?;
    let mut shown = String::new();
    let mut stdout = child.stdout.take().unwrap();
    let mut byte = [0];
    while !shown.ends_with("password of root: ") && stdout.read(&mut byte).unwrap() > 0 {
        shown.push(char::from(byte[0]));
    }
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(typed.as_bytes()).unwrap();
    stdout.read_to_string(&mut shown).unwrap();
    assert!(child.wait().unwrap().success(), "{shown}");
    Some(shown)
}

#[test]
fn the_password_is_asked_for_and_does_not_show() {
    let (broker, user) = (broker(), User::new());
    let command = format!("{LOTMQ} context add plant --url mqtt://127.0.0.1:{} --user root", broker.port());
    let Some(shown) = on_a_terminal(&user, &command, "coreflux\n") else { return };
    assert!(shown.contains("password of root: ") && !shown.contains("coreflux"), "{shown}");
    assert_eq!(user.run(&["cmd", "--context", "plant", "-listUsers"]).0, 0);
}

/// As a service is started: nobody has chosen a context there, and there is no place for one.
#[test]
fn commands_work_without_a_home_until_a_context_is_named() {
    let without_home = |arguments: &[&str]| {
        let mut command = Command::new(LOTMQ);
        command.args(arguments).env_clear();
        String::from_utf8(command.output().unwrap().stderr).unwrap()
    };
    let nobody = ["pub", "-t", "a", "-m", "x"];
    let told = without_home(&nobody);
    assert!(!told.contains("contexts"), "{told}");
    let told = without_home(&[&nobody[..], &["--context", "plant"]].concat());
    assert!(told.contains("no place for contexts: neither XDG_CONFIG_HOME nor HOME is set"), "{told}");
}
