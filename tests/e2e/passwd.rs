//! `lotmq passwd`: the way back for whoever has lost a password, while the broker is stopped; and
//! the password that new data begins with.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use lotmq_client::{Client, ConnectOptions};
use lotmq_test_support::{Broker, Finished, Program};

use crate::{LOTMQ, options};

fn passwd(arguments: &[&str], data: &Path, input: &str) -> Finished {
    let all = [&["passwd"], arguments, &["--data", data.to_str().unwrap()]].concat();
    Program::start_with_input(LOTMQ, &all, input).unwrap().wait()
}

fn gets_in(broker: &Broker, user: &str, password: &str) -> bool {
    Client::connect(broker.address(), &ConnectOptions::new("x").user(user, password)).is_ok()
}

#[test]
fn a_forgotten_password_of_root_is_replaced_while_the_broker_is_stopped() {
    let data = tempfile::tempdir().unwrap();
    let mut broker = options().data(data.path()).start();
    broker.command_ok("-addUser ann right-one");
    broker.command_ok("-addUserToGroup ann shift");
    broker.command_ok("-changeUserPassword root forgotten-one");
    let running = passwd(&["--password-file", "-"], data.path(), "a new long one\n");
    assert_eq!(running.status.code(), Some(1), "{}", running.stdout);
    assert!(running.stderr.contains("lotmq cmd -changeUserPassword root NEW"), "{}", running.stderr);
    broker.stop();

    let file = data.path().join("new.txt");
    fs::write(&file, "a new long one\nof two lines\n").unwrap();
    for (arguments, input, code, told) in [
        (
            &["bob", "--password-file", "-"][..],
            "a new long one\n",
            1,
            "there is no user 'bob'; there are: ann, root",
        ),
        (&["--password-file", "-"], "\n", 1, "the password is empty"),
        (&[], "", 2, "--password-file FILE"),
        (&["root", "a new long one"], "", 2, "unexpected argument"),
    ] {
        let refused = passwd(arguments, data.path(), input);
        assert_eq!(refused.status.code(), Some(code), "{arguments:?} {}", refused.stderr);
        assert!(refused.stderr.contains(told), "{told} in {}", refused.stderr);
    }
    let changed = passwd(&["root", "--password-file", file.to_str().unwrap()], data.path(), "");
    assert!(changed.output().starts_with("The password of root in "), "{}", changed.stderr);
    assert!(!(changed.stdout.clone() + &changed.stderr).contains("a new long one"));

    let broker = options().data(data.path()).start();
    assert!(gets_in(&broker, "root", "a new long one") && gets_in(&broker, "ann", "right-one"));
    assert!(!gets_in(&broker, "root", "forgotten-one") && !gets_in(&broker, "root", "coreflux"));
    let root = ("root", "a new long one");
    let users = broker.command_as(root, "-listUsers").data().to_string();
    assert!(users.contains("shift"), "what else there is of users stays: {users}");
    let today = jiff::Timestamp::now().to_string()[..10].to_owned();
    let audit = broker.command_as(root, &format!("-auditQuery {today}|passwd")).data().to_string();
    assert!(audit.contains("\"passwd\"") && audit.contains("offline"), "{audit}");
    assert!(!audit.contains("a new long one"));
}

#[test]
fn passwords_are_as_long_as_the_configuration_asks_for_at_the_first_start_too() {
    let data = tempfile::tempdir().unwrap();
    let nowhere = data.path().join("nothing");
    let missing = passwd(&["--password-file", "-"], &nowhere, "a new long one\n");
    assert!(
        missing.status.code() == Some(1) && missing.stderr.contains("there is no store in"),
        "{}",
        missing.stderr
    );
    assert!(!nowhere.exists(), "nothing is made");

    let with = |password: &str| {
        options()
            .variable("LOTMQ_AUTH_PASSWORD_CHARS_MIN", "8")
            .variable("LOTMQ_ROOT_PASSWORD", password)
            .data(data.path())
    };
    let refused = with("abc").fail();
    assert_eq!(refused.status.code(), Some(1));
    let told = "LOTMQ_ROOT_PASSWORD has fewer than 8 characters, which `auth.password_chars_min` asks of every password";
    assert!(refused.stderr.contains(told), "{}", refused.stderr);
    let mut broker = with("abcdefgh").start();
    assert!(gets_in(&broker, "root", "abcdefgh"));
    broker.stop();
    let short = passwd(&["--password-file", "-"], data.path(), "short\n");
    assert!(short.stderr.contains("fewer than 8 characters"), "{}", short.stderr);
    // Of data that are there it changes nothing, whatever it is.
    let broker = with("abc").start();
    assert!(gets_in(&broker, "root", "abcdefgh"));
}

/// As any other user, who sees nothing of the directory.
#[test]
fn passwd_reports_permission_denied_instead_of_missing_store() {
    let data = tempfile::tempdir().unwrap();
    assert!(options().data(data.path()).start().stop().success());
    if !rustix::process::geteuid().is_root() {
        // The owner of the folder can take away their own access to it.
        fs::set_permissions(data.path(), fs::Permissions::from_mode(0o000)).unwrap();
    }
    let mut command = Command::new(LOTMQ);
    command.args(["passwd", "--password-file", "-", "--data", data.path().to_str().unwrap()]);
    // Root's own configuration is none that it could read.
    command.env("HOME", "/nonexistent").env_remove("XDG_CONFIG_HOME");
    if rustix::process::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It may end before it has read that.
    let _ = child.stdin.take().unwrap().write_all(b"a new long one\n");
    let refused = child.wait_with_output().unwrap();
    fs::set_permissions(data.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let told = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{told}");
    assert!(told.contains("cannot be opened: Permission denied") && told.contains("sudo -u lotmq"), "{told}");
}
