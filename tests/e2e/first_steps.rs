//! Mistakes in the first steps with the tools: passwords with blanks, a missing login, the wrong
//! port, a wrong configuration.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::{Duration, SystemTime};

use lotmq_client::ConnectOptions;
use lotmq_test_support::{Authority, Finished, Program};

use crate::{LOTMQ, broker, options};

fn lotmq(arguments: &[&str]) -> Finished {
    Program::run(LOTMQ, arguments).unwrap()
}

#[test]
fn a_password_with_blanks_is_one_argument() {
    let broker = broker();
    let port = broker.port();
    let set = ["cmd", "-p", &port, "-changeUserPassword", "root", "a \"long\" one"];
    assert_eq!(lotmq(&set).output(), "Password for user root changed successfully!");
    drop(broker.connect(&ConnectOptions::new("new").user("root", "a \"long\" one")));
    let login = ["cmd", "-p", &port, "-u", "root", "-P", "a \"long\" one"];
    let value = [&login[..], &["-setEnv", "SITE=the \"north\" hall"]].concat();
    lotmq(&value).output();
    let listed = lotmq(&[&login[..], &["--json", "-listEnv"]].concat());
    assert!(listed.output().contains(r#""value": "the \"north\" hall""#), "{}", listed.stdout);
    // Nobody is left who may log in with the password of a new broker.
    let refused = lotmq(&["cmd", "-p", &port, "-listUsers"]);
    assert_eq!(refused.status.code(), Some(3), "{}", refused.stdout);
    assert_eq!(refused.stderr.matches("bad user name or password").count(), 1, "{}", refused.stderr);
    let told = "(0x86); tried as root with the password of a new broker: give the login by -u and -P, ";
    assert!(refused.stderr.contains(told), "{}", refused.stderr);
    let refused = lotmq(&["cmd", "-p", &port, "-u", "root", "-P", "wrong", "-listUsers"]);
    assert!(!refused.stderr.contains("tried as root"), "{}", refused.stderr);
}

#[test]
fn topics_of_the_broker_are_said_to_take_a_login() {
    let broker = broker();
    let subscribe = ["sub", "-p", &broker.port(), "-t", "$SYS/Coreflux/Version", "-C", "1"];
    let refused = lotmq(&subscribe);
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stderr.ends_with("; topics of $SYS take a login, as -u root -P …"), "{}", refused.stderr);
    lotmq(&[&subscribe[..], &["-u", "root", "-P", "coreflux"]].concat()).output();
    // For a login without the right, the error names a login that has it.
    broker.command_ok("-addUser ann right-one");
    let port = broker.port();
    let ann = ["-p", &port, "-u", "ann", "-P", "right-one"];
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("all.zip");
    let take = "a user with AllowedSystemConfiguration, or a rule ";
    for (login, arguments, told) in [
        (&ann[..], &["sub", "-t", "$SYS/#", "-C", "1"][..], format!("{take}for SubscribeSys")),
        (&ann, &["sub", "-t", "$SYS/Coreflux/Rules", "-C", "1"], format!("{take}for SubscribeSys")),
        (&ann, &["pub", "-q", "1", "-t", "$SYS/foo", "-m", "x"], format!("{take}for PublishSys")),
        (&ann, &["pub", "-q", "1", "-t", "$SYS/Coreflux/Command", "-m", "-help"], format!("{take}that lets")),
        (&ann[..2], &["pub", "-q", "1", "-t", "$SYS/Coreflux/Command", "-m", "-help"], "take a login".into()),
        (&ann, &["backup", file.to_str().unwrap()], "may not take backups".into()),
    ] {
        let refused = lotmq(&[&arguments[..1], login, &arguments[1..]].concat());
        assert_eq!(refused.status.code(), Some(1), "{arguments:?} {}", refused.stderr);
        assert!(refused.stderr.contains(&told), "{arguments:?} {}", refused.stderr);
        let names_root = refused.stderr.contains("takes root") || told == "take a login";
        assert!(names_root, "{arguments:?} {}", refused.stderr);
    }
}

#[test]
fn port_of_another_protocol_is_recognised_and_reported() {
    let authority = Authority::new();
    let signed = authority.server("broker");
    let broker = options()
        .health("127.0.0.1:0")
        .variable("LOTMQ_LISTENER_WS_PORT", "0")
        .variable("LOTMQ_LISTENER_WS_BIND", "127.0.0.1")
        .variable("LOTMQ_TLS_CERTIFICATE", signed.certificate.to_str().unwrap())
        .variable("LOTMQ_TLS_KEY", signed.key.to_str().unwrap())
        .variable("LOTMQ_LISTENER_MQTTS_PORT", "0")
        .variable("LOTMQ_LISTENER_MQTTS_BIND", "127.0.0.1")
        .variable("LOTMQ_LISTENER_WSS_PORT", "off")
        .start();
    let ca = authority.file().display().to_string();
    let port = |name: &str| broker.port_of(name).to_string();
    let http = "error: an HTTP server answers there, not an MQTT server; --ws is for MQTT over WebSocket";
    let websocket = "no answer as a server of WebSocket has: ";
    let tls = "no answer as a server of TLS has";
    for (listener, options, told) in [
        ("health", &[][..], http),
        ("ws", &[], http),
        (
            "mqtts",
            &[],
            "a server of TLS answers there, and this connection is without TLS; --tls-use-os-certs, ",
        ),
        ("mqtt", &["--ws"], websocket),
        ("mqtt", &["--cafile", &ca], tls),
        ("ws", &["--cafile", &ca], tls),
        ("health", &["--cafile", &ca], tls),
    ] {
        let base = ["pub", "-h", "127.0.0.1", "-t", "a", "-m", "x", "-p", &port(listener)];
        let refused = lotmq(&[&base[..], options].concat());
        assert_eq!(refused.status.code(), Some(3), "{listener} {options:?}");
        assert!(refused.stderr.contains(told), "{listener} {options:?}: {}", refused.stderr);
    }
}

#[test]
fn a_wrong_configuration_leads_to_its_check() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let run = |arguments: &[&str], home: &str| {
        let mut command = Command::new("env");
        let surroundings = ["-u", "STATE_DIRECTORY", &format!("XDG_CONFIG_HOME={home}"), LOTMQ];
        let output = command.args(surroundings).args(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap().trim_end().to_owned();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let home = folder.path().display().to_string();
    let wrong = file("wrong.toml", "[sys]\nintervall_sec = 3\n[listener.mqtt]\nport = 70000\n");
    let (code, _, stderr) = run(&["serve", "--config", &wrong, "--data", &home], &home);
    assert_eq!(code, Some(1));
    assert!(stderr.ends_with(&format!("; `lotmq config check {wrong}` shows all 2 mistakes")), "{stderr}");
    let (code, stdout, _) = run(&["config", "check", &wrong], &home);
    assert_eq!((code, stdout.lines().count()), (Some(1), 2), "{stdout}");
    // The check also looks at the files that valid values name.
    let all = file(
        "all.toml",
        "[tls]\ncertificate = \"/nonexistent/c.pem\"\n[listener.mqtt]\nbind = \"300.1.1.1\"\n",
    );
    let (code, stdout, _) = run(&["config", "check", &all], &home);
    let told: Vec<&str> = stdout.lines().collect();
    assert!(code == Some(1) && told.len() == 2, "{stdout}");
    assert!(
        told[0].contains(":4: `listener.mqtt.bind`") && told[1].contains("/nonexistent/c.pem"),
        "{stdout}"
    );
    let twice = run(&["config", "check", &wrong, "--config", &wrong], &home);
    assert_eq!(twice.0, Some(2), "{}", twice.2);

    let certificate = Authority::new();
    let alone = certificate.file().display().to_string();
    let half = file("half.toml", &format!("[tls]\ncertificate = \"{alone}\"\n"));
    let (code, stdout, _) = run(&["config", "check", &half], &home);
    assert_eq!(code, Some(1), "{stdout}");
    assert!(stdout.ends_with("has the certificate and no private key in it; set `tls.key`"), "{stdout}");

    // The place depends on who asks, and a file may be there.
    let (_, stdout, _) = run(&["config", "check"], &home);
    let is_told = stdout.starts_with("ok; there is no configuration file /");
    assert!(is_told || stdout.starts_with("/etc/lotmq/lotmq.toml"), "{stdout}");
    std::fs::create_dir_all(folder.path().join("lotmq/lotmq.toml")).unwrap();
    let (code, _, stderr) = run(&["config", "check", &format!("{home}/lotmq/lotmq.toml")], &home);
    assert_eq!(code, Some(1));
    assert!(
        stderr.contains(&format!("cannot read configuration file {home}/lotmq/lotmq.toml: ")),
        "{stderr}"
    );
}

#[test]
fn config_check_tells_until_when_a_certificate_is_good() {
    const DAY: Duration = Duration::from_secs(86_400);
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    for (name, end, code, told) in [
        ("over", SystemTime::now() - DAY, 1, "and has expired; clients refuse it"),
        ("soon", SystemTime::now() + 7 * DAY, 0, "the certificate expires soon; it is good until"),
        ("good", SystemTime::now() + 30 * DAY, 0, ""),
    ] {
        let signed = authority.server_until(name, end);
        let (certificate, key) = (signed.certificate.display(), signed.key.display());
        let file = folder.path().join(format!("{name}.toml"));
        std::fs::write(&file, format!("[tls]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n")).unwrap();
        let path = file.to_str().unwrap();
        let checked = lotmq(&["config", "check", path]);
        let text = format!("{}\n{}", checked.stdout, checked.stderr);
        assert_eq!(checked.status.code(), Some(code), "{text}");
        let line = text.lines().find(|line| line.contains("certificate"));
        let is_told = line.is_some_and(|line| {
            line.contains(&format!("{path}:2: `tls.certificate`: ")) && line.contains(told)
        });
        assert_eq!(is_told, !told.is_empty(), "{text}");
        for (mode, is_open) in [(0o644, true), (0o640, false)] {
            std::fs::set_permissions(&signed.key, std::fs::Permissions::from_mode(mode)).unwrap();
            let warned = lotmq(&["config", "check", path]).stderr;
            let told = format!(
                "{path}:3: `tls.key`: everybody on this machine can read the private key in '{key}' (mode 644)"
            );
            assert_eq!(warned.contains(&told), is_open, "{warned}");
        }
    }
}
