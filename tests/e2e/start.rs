//! Starting under bad conditions: each is said in one clear line, and nothing is harmed.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use lotmq_client::{Client, ConnectOptions, Publication, QoS};
use lotmq_test_support::{BrokerOptions, Exited, Program, WAIT_MAX};

use crate::small_disk::SmallDisk;
use crate::{LOTMQ, broker, options};

/// The one line that an ended broker said; log lines apart.
fn error_line(exited: &Exited) -> String {
    let lines: Vec<&str> = exited.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(lines.len(), 1, "{}", exited.stderr);
    lines[0].to_owned()
}

#[test]
fn a_new_broker_is_healthy_and_lets_root_in() {
    let broker = broker();
    let health = broker.http("/health");
    assert_eq!((health.status, health.body.as_str()), (200, r#"{"status":"healthy"}"#));
    assert_eq!(broker.http("/nothing").status, 404);
    broker.root("root").disconnect().unwrap();
    broker.client("anyone").disconnect().unwrap();
}

#[test]
fn as_many_files_may_be_open_as_the_hard_limit_says() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("few-files");
    std::fs::write(&script, format!("#!/bin/sh\nulimit -Sn 256\nexec '{LOTMQ}' \"$@\"\n")).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
    let broker = BrokerOptions::new(script).start();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", broker.process_id())).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let [soft, hard, ..] = *line.split_whitespace().collect::<Vec<_>>() else { panic!("{line}") };
    assert_eq!(soft, hard);
    assert_ne!(soft, "256");
    let said = broker.log().expect("open_files=");
    assert!(hard == "unlimited" || said.ends_with(&format!("open_files={hard}")), "{said}");
}

#[test]
fn a_second_process_on_the_same_data_is_refused_in_one_line() {
    let mut first = broker();
    let exited = options().data(first.data()).fail();
    assert_eq!(exited.status.code(), Some(1));
    let expected = format!(
        "error: Data directory '{}' is in use by process {}.",
        first.data().display(),
        first.process_id()
    );
    assert_eq!(
        error_line(&exited).to_lowercase().trim_end_matches('.'),
        expected.to_lowercase().trim_end_matches('.')
    );
    assert!(exited.after < Duration::from_secs(5), "{:?}", exited.after);
    // The first one did not notice, and its data are whole.
    first.client("still").disconnect().unwrap();
    first.kill();
    first.start_again();
}

#[test]
fn a_port_in_use_is_said_and_other_listeners_start() {
    let occupied = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = occupied.local_addr().unwrap().to_string();
    let port = occupied.local_addr().unwrap().port().to_string();
    let broker = options()
        .listen_as_configured()
        .variable("LOTMQ_LISTENER_MQTT_BIND", "127.0.0.1,127.0.0.2")
        .variable("LOTMQ_LISTENER_MQTT_PORT", &port)
        .start();
    let said = broker.log().expect(&taken);
    assert!(said.contains("in use"), "{said}");
    assert_eq!(broker.address().to_string(), format!("127.0.0.2:{port}"));
    broker.client("served").disconnect().unwrap();

    let health = broker.http("/health");
    let body: serde_json::Value = serde_json::from_str(&health.body).unwrap();
    assert_eq!((health.status, &body["status"]), (503, &"failing".into()), "{body}");
    assert!(body["reason"].as_str().is_some_and(|reason| reason.contains(&taken)), "{body}");
    let named = &body["listeners_not_opened"][0];
    assert_eq!(named["listener"], "mqtt", "{body}");
    assert!(named["reason"].as_str().is_some_and(|reason| reason.contains(&taken)), "{body}");
    assert_eq!(broker.metric("lotmq_listeners_not_opened"), Some(1.0));

    // Neither the health port nor an address that this machine does not have is missed by clients.
    let broker = options()
        .listen_as_configured()
        .variable("LOTMQ_LISTENER_MQTT_BIND", "127.0.0.1,192.0.2.1")
        .variable("LOTMQ_LISTENER_MQTT_PORT", "0")
        .start();
    assert_eq!(broker.http("/health").status, 200);
    let broker = options().health(&taken).start();
    let said = broker.log().expect(&taken);
    assert!(said.contains("in use"), "{said}");
    broker.client("served").disconnect().unwrap();
}

/// A browser's port is no substitute for the one where devices look.
#[test]
fn the_mqtt_listener_alone_must_open() {
    let occupied = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = occupied.local_addr().unwrap().to_string();
    let port = occupied.local_addr().unwrap().port().to_string();
    let socket = tempfile::tempdir().unwrap();
    let socket = socket.path().join("mqtt.sock");
    // Named by a flag: whatever else opens.
    let by_flag = options()
        .variable("LOTMQ_LISTENER_WS_PORT", "0")
        .variable("LOTMQ_LISTENER_UNIX_PATH", socket.to_str().unwrap())
        .listen(&taken);
    // By the configuration, beside WebSocket only.
    let beside_websocket = options()
        .listen_as_configured()
        .variable("LOTMQ_LISTENER_MQTT_BIND", "127.0.0.1")
        .variable("LOTMQ_LISTENER_MQTT_PORT", &port)
        .variable("LOTMQ_LISTENER_WS_PORT", "0");
    for refused in [by_flag, beside_websocket] {
        let exited = refused.fail();
        assert_eq!(exited.status.code(), Some(1));
        let line = error_line(&exited);
        assert!(line.contains(&taken) && line.contains("in use"), "{line}");
        assert!(!exited.stdout.contains("ready"), "{}", exited.stdout);
    }
}

#[test]
fn without_any_mqtt_listener_it_ends_with_one_line() {
    let occupied = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = occupied.local_addr().unwrap().to_string();
    let exited = options().listen(&taken).fail();
    assert_eq!(exited.status.code(), Some(1));
    let line = error_line(&exited);
    assert!(line.contains(&taken) && line.contains("in use"), "{line}");
}

#[test]
fn full_disk_at_startup_is_reported_with_path_and_free_bytes() {
    let Some(disk) = SmallDisk::new() else { return };
    // Empty data directory.
    let data = disk.path().join("data");
    let exited = options().data(&data).fail();
    assert_full(&exited, &data);
}

#[test]
fn a_full_disk_harms_no_file() {
    let Some(disk) = SmallDisk::with_megabytes(64) else { return };
    let data = disk.path().join("data");
    let mut broker = options().data(&data).start();
    let mut client = broker.client("writer");
    let kept = Publication::new("kept", "safe").retained().qos(QoS::AtLeastOnce);
    assert!(!client.publish(&kept).unwrap().is_failure());
    broker.kill();
    let filler = disk.fill();
    let exited = options().data(&data).fail();
    assert_full(&exited, &data);
    std::fs::remove_file(filler).unwrap();
    broker.start_again();
    let mut reader = broker.client("reader");
    reader.subscribe_to("kept", QoS::AtMostOnce).unwrap();
    assert_eq!(reader.receive(WAIT_MAX).unwrap().unwrap().text(), "safe");
}

fn assert_full(exited: &Exited, data: &Path) {
    assert_eq!(exited.status.code(), Some(1), "{exited:?}");
    assert!(exited.after < Duration::from_secs(1), "{:?}", exited.after);
    let line = error_line(exited);
    assert!(line.contains(&data.display().to_string()) && line.contains("bytes free"), "{line}");
}

#[test]
fn a_read_only_file_system_is_named_and_harms_nothing() {
    let Some(disk) = SmallDisk::with_megabytes(64) else { return };
    let data = disk.path().join("data");
    let mut broker = options().data(&data).start();
    broker.command_ok("-setEnv SITE=north");
    broker.stop();
    disk.make_read_only(true);
    let exited = options().data(&data).fail();
    assert_eq!(exited.status.code(), Some(1));
    let line = error_line(&exited);
    assert!(line.contains(&data.display().to_string()) && line.contains("not writable"), "{line}");
    disk.make_read_only(false);
    broker.start_again();
    assert!(broker.command_ok("-listEnv").data().to_string().contains("north"));
}

#[test]
fn a_data_directory_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "not a directory").unwrap();
    let exited = options().data(&file.join("data")).fail();
    assert_eq!(exited.status.code(), Some(1));
    assert!(error_line(&exited).contains(&file.display().to_string()), "{exited:?}");
}

#[test]
fn a_file_that_is_no_store_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("lotmq.redb");
    std::fs::write(&store, vec![7; 100_000]).unwrap();
    let exited = options().data(folder.path()).fail();
    assert_eq!(exited.status.code(), Some(1));
    assert!(error_line(&exited).contains("lotmq.redb"), "{exited:?}");
    assert_eq!(std::fs::read(&store).unwrap(), vec![7; 100_000]);
}

#[test]
fn configuration_comes_from_file_environment_and_flags() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lotmq.toml");
    std::fs::write(&file, "[auth]\nanonymous = false\n[broker]\nname = 'from-file'\n").unwrap();
    let broker =
        options().argument("--config").argument(&file).variable("LOTMQ_BROKER_NAME", "from-env").start();
    let refused = Client::connect(broker.address(), &ConnectOptions::new("x")).unwrap_err();
    assert!(refused.to_string().contains("not authorized"), "{refused}");
    let mut root = broker.root("root");
    root.subscribe_to("$SYS/Coreflux/Config", QoS::AtMostOnce).unwrap();
    let config = root.receive(WAIT_MAX).unwrap().unwrap().text();
    assert!(
        config.contains(r#""Name":"from-env""#) && config.contains(r#""AnonymousLogin":false"#),
        "{config}"
    );
}

#[test]
fn an_unknown_key_in_the_file_names_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lotmq.toml");
    std::fs::write(&file, "[listener.mqtt]\nprot = 1\n").unwrap();
    let exited = options().argument("--config").argument(&file).fail();
    assert_eq!(exited.status.code(), Some(1));
    let line = error_line(&exited);
    assert!(
        line.contains("listener.mqtt.prot") && line.contains("did you mean `listener.mqtt.port`?"),
        "{line}"
    );
}

/// Few open files are few connections: who starts the broker so is told at once, and what to do.
#[test]
fn few_open_files_are_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("few-files");
    for (limit, level) in [(90, "WARN"), (1024, "INFO")] {
        std::fs::write(&script, format!("#!/bin/sh\nulimit -n {limit}\nexec '{LOTMQ}' \"$@\"\n")).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
        let broker = BrokerOptions::new(&script).start();
        let line = broker.log().expect(&format!("limit={limit} "));
        assert!(line.contains(level) && line.contains(" connections="), "{line}");
        assert_eq!(line.contains("ulimit -n"), level == "WARN", "{line}");
    }
}

#[test]
fn secure_prints_a_password_once_and_shuts_anonymous_clients_out() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let arguments = [
        "serve",
        "--secure",
        "--data",
        data.to_str().unwrap(),
        "--listen",
        "127.0.0.1:0",
        "--health",
        "127.0.0.1:0",
    ];
    let mut first = Program::start(LOTMQ, &arguments).unwrap();
    let told = first.stdout.expect("password of root");
    let password = told.rsplit(' ').next().unwrap().to_owned();
    let address = first.stdout.expect("listening mqtt ").rsplit(' ').next().unwrap().to_owned();
    Client::connect(&address, &ConnectOptions::new("x").user("root", password.as_str())).unwrap();
    for refused in [ConnectOptions::new("x"), ConnectOptions::new("x").user("root", "coreflux")] {
        assert!(Client::connect(&address, &refused).is_err());
    }
    first.kill();
    let second = Program::start(LOTMQ, &arguments).unwrap();
    let address = second.stdout.expect("listening mqtt ").rsplit(' ').next().unwrap().to_owned();
    Client::connect(&address, &ConnectOptions::new("x").user("root", password.as_str())).unwrap();
    assert!(!second.stdout.text().contains("password"), "{}", second.stdout.text());
}

#[test]
fn a_password_that_was_given_is_never_printed() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let secured = options().data(folder.path()).argument("--secure");
        let mut broker = secured.variable("LOTMQ_ROOT_PASSWORD", "from-outside").start();
        broker.connect(&ConnectOptions::new("x").user("root", "from-outside")).disconnect().unwrap();
        assert!(broker.stop().success());
        let told = broker.output().text() + &broker.log().text();
        assert!(!told.contains("from-outside") && !told.contains("shown only now"), "{told}");
    }
    let secured = options().data(folder.path()).argument("--secure");
    let broker = secured.variable("LOTMQ_ROOT_PASSWORD", "another-one").start();
    broker.log().expect("LOTMQ_ROOT_PASSWORD is not root's password and changes nothing");
}

#[test]
fn secure_does_not_start_with_the_default_password() {
    let folder = tempfile::tempdir().unwrap();
    let secured = || {
        let options = options().data(folder.path()).argument("--secure");
        options.variable("LOTMQ_ROOT_PASSWORD", "coreflux")
    };
    let is_refused = || {
        let refused = secured().fail();
        assert_eq!(refused.status.code(), Some(1));
        let told = "LOTMQ_ROOT_PASSWORD is 'coreflux', the password of every new broker";
        assert!(refused.stderr.contains(told), "{}", refused.stderr);
    };
    is_refused();
    // Nor is it kept by a root that has it.
    assert!(options().data(folder.path()).start().stop().success());
    is_refused();
    let mut broker = options().data(folder.path()).start();
    broker.command_ok("-changeUserPassword root own-of-root");
    assert!(broker.stop().success());
    // If root has a password of its own, the variable changes nothing.
    let broker = secured().start();
    broker.connect(&ConnectOptions::new("x").user("root", "own-of-root")).disconnect().unwrap();
}

#[test]
fn the_password_of_a_new_root_may_come_from_the_environment() {
    for name in ["LOTMQ_ROOT_PASSWORD", "BROKER_ROOT_PASSWORD"] {
        let mut broker = options().variable(name, "from-outside").start();
        let own = ConnectOptions::new("r").user("root", "from-outside");
        let mut root = broker.connect(&own);
        root.subscribe_to("$SYS/Coreflux/Config", QoS::AtMostOnce).unwrap();
        let config = root.receive(WAIT_MAX).unwrap().unwrap().text();
        assert!(!config.contains("defaultPassword") && !config.contains("from-outside"), "{config}");
        assert!(
            Client::connect(broker.address(), &ConnectOptions::new("x").user("root", "coreflux")).is_err()
        );
        let change = "-changeUserPassword root changed";
        root.publish(&Publication::new("$SYS/Coreflux/Command", change).qos(QoS::AtLeastOnce)).unwrap();
        let changed = ConnectOptions::new("r").user("root", "changed");
        lotmq_test_support::eventually("the new password", || {
            Client::connect(broker.address(), &changed).ok().map(drop)
        });
        // Used only when root is created.
        broker.kill();
        broker.start_again();
        broker.connect(&changed).disconnect().unwrap();
    }
}

#[test]
fn default_password_is_logged_and_published_in_config() {
    let broker = broker();
    broker.log().expect("root has the default password");
    let mut root = broker.root("root");
    root.subscribe_to("$SYS/Coreflux/Config", QoS::AtLeastOnce).unwrap();
    assert!(root.receive(WAIT_MAX).unwrap().unwrap().text().contains(r#""defaultPassword":true"#));
    broker.command_ok("-changeUserPassword root own");
    let config = lotmq_test_support::eventually("the change", || root.receive(WAIT_MAX).ok().flatten());
    assert!(!config.text().contains("defaultPassword"), "{}", config.text());
}

/// Commands reference §15 test 21.
#[test]
fn from_elsewhere_neither_the_default_password_nor_anonymous_clients_get_in() {
    let Some(outside) = own_address() else { return };
    let broker = options()
        .listen_as_configured()
        .variable("LOTMQ_LISTENER_MQTT_BIND", &format!("127.0.0.1,{outside}"))
        .variable("LOTMQ_LISTENER_MQTT_PORT", "0")
        .start();
    let up = format!("listening mqtt {outside}");
    let address = broker.output().expect(&up).rsplit(' ').next().unwrap().to_owned();
    for version in [ConnectOptions::new("x"), ConnectOptions::v5("x")] {
        let root = Client::connect(&address, &version.clone().user("root", "coreflux")).unwrap_err();
        assert!(root.to_string().contains("not authorized"), "{root}");
        assert!(Client::connect(&address, &version).is_err(), "anonymous");
    }
    let told = Client::connect(&address, &ConnectOptions::v5("x").user("root", "coreflux")).unwrap_err();
    assert!(told.to_string().contains("password"), "{told}");
    broker.command_ok("-changeUserPassword root own");
    Client::connect(&address, &ConnectOptions::new("x").user("root", "own")).unwrap();
}

#[test]
fn an_mqtt_listener_for_others_does_not_open_the_metrics_to_them() {
    let Some(outside) = own_address() else { return };
    let options = options()
        .listen_as_configured()
        .health_as_configured()
        .variable("LOTMQ_LISTENER_MQTT_BIND", &outside.to_string())
        .variable("LOTMQ_LISTENER_MQTT_PORT", "0")
        .variable("LOTMQ_ADMIN_HEALTH_PORT", "0");
    let broker = options.clone().start();
    assert_eq!(broker.http("/health").status, 200);
    let refused = broker.http("/metrics");
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("admin.bind"), "{}", refused.body);
    let broker = options.variable("LOTMQ_ADMIN_BIND", &outside.to_string()).start();
    assert_eq!(broker.http("/metrics").status, 200);
}

#[test]
fn that_everybody_may_publish_on_a_public_address_is_warned_of() {
    let said = "everybody who reaches this broker may publish";
    let open = || options().variable("LOTMQ_ANONYMOUS", "true");
    let public = open().listen("0.0.0.0:0").start();
    let line = public.log().expect(said);
    assert!(line.contains("mqtt 0.0.0.0"), "{line}");
    // With a rule, and where nobody else gets to, there is nothing to warn of.
    let mut ruled = open().listen("0.0.0.0:0").start();
    ruled.command_ok(
        "-addRule DEFINE RULE Known WITH PRIORITY 100 FOR Publish TO TOPIC \"#\"\n    IF USER IS \"root\" THEN\n        ALLOW\n    ELSE\n        DENY",
    );
    ruled.stop();
    let ruled = options().variable("LOTMQ_ANONYMOUS", "true").listen("0.0.0.0:0").data(ruled.data()).start();
    for mut quiet in [ruled, open().start(), options().listen("0.0.0.0:0").start()] {
        quiet.log().expect("root has the default password");
        assert!(quiet.stop().success());
        assert!(!quiet.log().text().contains(said), "{}", quiet.log().text());
    }
}

#[test]
fn startup_warns_of_default_access_and_secure_works_on_an_existing_store() {
    let folder = tempfile::tempdir().unwrap();
    let mut open = options().data(folder.path()).start();
    let advice = "recommended: `lotmq serve --secure`";
    open.output().expect(advice);
    for said in ["root has the default password", "anonymous clients are let in from this machine"] {
        let line = open.log().expect(said);
        assert!(line.contains("ssh -R") && line.contains("kubectl port-forward"), "{line}");
    }
    assert!(open.stop().success());
    let mut secured = options().data(folder.path()).argument("--secure").start();
    let told = secured.output().expect("password of root");
    let password = told.rsplit(' ').next().unwrap().to_owned();
    secured.connect(&ConnectOptions::new("x").user("root", password.as_str())).disconnect().unwrap();
    assert!(Client::connect(secured.address(), &ConnectOptions::new("x").user("root", "coreflux")).is_err());
    assert!(!secured.output().text().contains(advice), "{}", secured.output().text());
    assert!(secured.stop().success());
    // It was meant to be used, and is not changed again.
    let again = options().data(folder.path()).argument("--secure").start();
    again.connect(&ConnectOptions::new("x").user("root", password.as_str())).disconnect().unwrap();
    assert!(!again.output().text().contains("password"), "{}", again.output().text());
}

/// An address of this machine that is not loopback; `None`, and said so, when it has none.
fn own_address() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    // Sends nothing: it only chooses the address that would be used.
    let address =
        socket.connect("192.0.2.1:9").and_then(|()| socket.local_addr()).map(|address| address.ip());
    #[allow(clippy::print_stderr, reason = "a skipped test says so")]
    if address.is_err() {
        eprintln!("skipped: this machine has no address but loopback");
    }
    address.ok().filter(|address| !address.is_loopback())
}

#[test]
fn a_file_of_variables_is_read_behind_the_store_and_never_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(".env");
    std::fs::write(&file, "# plant\nSITE=north\nHALL='2 b'\n").unwrap();
    let broker = options()
        .data(folder.path())
        .variable("OUTSIDE", "process")
        .variable("LOTMQ_LOT_PROCESS_ENV", "OUTSIDE")
        .start();
    broker.command_ok("-setEnv SITE=south");
    let listed = broker.command_ok("-listEnv");
    let expected = serde_json::json!([{"name":"HALL","value":"2 b"},{"name":"SITE","value":"south"}]);
    assert_eq!(*listed.data(), expected);
    broker.command_ok("-addAction DEFINE ACTION Env\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"out\" WITH (GET ENV \"SITE\") + \",\" + (GET ENV \"HALL\") + \",\" + (GET ENV \"OUTSIDE\")");
    let mut client = broker.client("c");
    client.subscribe_to("out", QoS::AtMostOnce).unwrap();
    client.publish(&Publication::new("in", "x")).unwrap();
    assert_eq!(client.receive(WAIT_MAX).unwrap().unwrap().text(), "south,2 b,process");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "# plant\nSITE=north\nHALL='2 b'\n");
}

/// A user who may deploy is not root. The environment of the broker has root's password and the key
/// of all secrets.
#[test]
fn programs_see_nothing_that_configures_the_broker() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(".env"), "LOTMQ_SECRET_KEY=of-the-file\nSITE=north\n").unwrap();
    let names = ["LOTMQ_ROOT_PASSWORD", "BROKER_ROOT_PASSWORD", "LOTMQ_SECRET_KEY", "LOTMQ_LOG_DEBUG"];
    let broker = options()
        .data(folder.path())
        .variable("LOTMQ_ROOT_PASSWORD", "coreflux")
        .variable("BROKER_ROOT_PASSWORD", "coreflux")
        .variable("LOTMQ_LOG_DEBUG", "true")
        .variable("OUTSIDE", "process")
        // To list one that configures the broker does not help.
        .variable(
            "LOTMQ_LOT_PROCESS_ENV",
            "OUTSIDE,LOTMQ_ROOT_PASSWORD,BROKER_ROOT_PASSWORD,LOTMQ_SECRET_KEY",
        )
        .start();
    let sum = names.map(|name| format!("(GET ENV \"{name}\")")).join(" + ");
    broker.command_ok(&format!(
        "-addAction DEFINE ACTION Leak\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"out\" WITH \"[\" + {sum} + \"]\" + (GET ENV \"SITE\") + (GET ENV \"OUTSIDE\")"
    ));
    let mut client = broker.client("c");
    client.subscribe_to("out", QoS::AtMostOnce).unwrap();
    client.publish(&Publication::new("in", "x")).unwrap();
    assert_eq!(client.receive(WAIT_MAX).unwrap().unwrap().text(), "[]northprocess");
    assert_eq!(*broker.command_ok("-listEnv").data(), serde_json::json!([{"name":"SITE","value":"north"}]));
}

#[test]
fn decisions_are_logged_when_debug_is_on() {
    let command = Publication::new("$SYS/Coreflux/Command", "-listEntities")
        .qos(QoS::AtLeastOnce)
        .property(lotmq_client::PropertyId::ResponseTopic, lotmq_client::PropertyValue::Utf8("$SYS/x"));
    let said = "response topic not allowed";
    for (debug, is_said) in [("true", true), ("false", false)] {
        let broker = options().variable("LOTMQ_LOG_DEBUG", debug).start();
        let mut root = broker.connect(&ConnectOptions::v5("r").user("root", "coreflux"));
        root.publish(&command).unwrap();
        // Commands of one client are done in their order; the log of the second stands behind what
        // the first said.
        root.publish(&Publication::new("$SYS/Coreflux/Command", "-setEnv A=1").qos(QoS::AtLeastOnce))
            .unwrap();
        broker.log().expect("verb=\"setEnv\"");
        assert_eq!(broker.log().text().contains(said), is_said, "{}", broker.log().text());
    }
}

#[test]
fn durability_none_is_rejected_when_a_store_exists() {
    let mut first = broker();
    first.stop();
    let exited = options().data(first.data()).variable("LOTMQ_STORE_DURABILITY", "none").fail();
    let line = error_line(&exited);
    assert!(line.contains("holds a store, which `store.durability = none` does not open"), "{line}");
}

#[test]
fn the_data_directory_is_closed_to_others_and_compiled_code_tells_no_texts() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let mut broker = options().data(&data).start();
    broker.command_ok(
        "-addAction DEFINE ACTION Login\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"out\" WITH \"hardcoded-p4ssw0rd\"",
    );
    broker.stop();
    assert_eq!(mode(&data), 0o700);
    let mut files = 0;
    for folder in [data.clone(), data.join("cache")] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(mode(&path) & 0o077, 0, "{}", path.display());
            if path.extension().is_some_and(|extension| extension == "native") {
                files += 1;
                let bytes = std::fs::read(&path).unwrap();
                assert!(!bytes.windows(9).any(|window| window == b"hardcoded"), "{}", path.display());
            }
        }
    }
    assert!(files > 0);
    // One of an earlier version is closed, and that is said.
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).unwrap();
    broker.start_again();
    assert_eq!(mode(&data), 0o700);
    let log = broker.log().text();
    assert!(log.contains("the data directory was open to others"), "{log}");
}

#[test]
fn configured_paths_are_checked_before_the_data_directory_is_created() {
    let folder = tempfile::tempdir().unwrap();
    let (config, data) = (folder.path().join("lotmq.toml"), folder.path().join("data"));
    std::fs::write(&config, "[routes]\nfile_roots = [\"/nowhere/files\"]\n").unwrap();
    let checked = Program::run(LOTMQ, &["config", "check", config.to_str().unwrap()]).unwrap();
    // A start takes it as well, and warns.
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    let told = "lotmq.toml:2: `routes.file_roots`: '/nowhere/files' cannot be used: ";
    assert!(checked.stderr.contains(told), "{}", checked.stderr);
    let broker = options().variable("LOTMQ_ROUTES_FILE_ROOTS", "/nowhere/files").start();
    assert!(broker.log().text().contains("a folder for routes cannot be used"), "{}", broker.log().text());
    let wrong = folder.path().join("wrong.pem");
    std::fs::write(&wrong, "no certificate").unwrap();
    let text = format!("[listener.mqtts]\nport = 0\n[tls]\ncertificate = {wrong:?}\nkey = {wrong:?}\n");
    std::fs::write(&config, text).unwrap();
    let arguments = ["serve", "--config", config.to_str().unwrap(), "--data", data.to_str().unwrap()];
    let refused = Program::run(LOTMQ, &arguments).unwrap();
    assert!(!refused.status.success() && refused.stderr.contains("wrong.pem"), "{refused:?}");
    assert!(!data.exists(), "nothing was made for what cannot start");
}

#[test]
fn two_listeners_on_one_port_are_refused_with_the_places_of_both() {
    let folder = tempfile::tempdir().unwrap();
    let (config, data) = (folder.path().join("lotmq.toml"), folder.path().join("data"));
    let text = "[listener.mqtt]\nbind = \"0.0.0.0\"\nport = 17001\n\n[listener.ws]\nport = 17001\n";
    std::fs::write(&config, text).unwrap();
    let (config, data_text) = (config.to_str().unwrap(), data.to_str().unwrap());
    let reason =
        format!("127.0.0.1:17001 is that of `listener.mqtt.port` (file {config}:3), which is 0.0.0.0:17001");
    let checked = Program::run(LOTMQ, &["config", "check", config]).unwrap();
    assert_eq!(checked.stdout.trim(), format!("{config}:6: `listener.ws.port`: {reason}"));
    let refused = Program::run(LOTMQ, &["serve", "--config", config, "--data", data_text]).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let told = format!("error: `listener.ws.port` (file {config}:6): {reason}");
    assert!(refused.stderr.contains(&told), "{refused:?}");
    assert!(!data.exists(), "nothing was made for what cannot start");
}
