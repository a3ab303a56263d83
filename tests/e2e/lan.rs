//! `lotmq serve --lan`: from the first start to clients of the network that trust its authority.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use lotmq_client::{Client, ClientError, ConnectOptions, Endpoint, Publication, QoS, TlsContext, TlsOptions};
use lotmq_test_support::{Authority, Broker, BrokerOptions, Program, WAIT_MAX, python_with_paho};

use crate::{LOTMQ, options};

fn lan() -> BrokerOptions {
    options().argument("--lan").variable("LOTMQ_LISTENER_MQTTS_PORT", "0")
}

/// Text behind `label` in the output of a broker.
fn told(broker: &Broker, label: &str) -> String {
    let line = broker.output().expect(label);
    line.split_once(label).unwrap().1.trim().to_owned()
}

/// Connects over TLS, as a client that has a copy of the authority.
fn connect(broker: &Broker, context: &TlsContext, options: &ConnectOptions) -> Result<Client, ClientError> {
    let endpoint = Endpoint::tcp("localhost", broker.port_of("mqtts")).tls(context);
    Client::connect_at(&endpoint, options)
}

fn trusting(authority: &Path) -> TlsContext {
    let authorities = Some(authority.to_owned());
    TlsContext::new(&TlsOptions { authorities, ..TlsOptions::default() }).unwrap()
}

fn is_refused(connected: Result<Client, ClientError>) -> bool {
    matches!(connected, Err(ClientError::Refused { .. }))
}

#[test]
fn first_start_serves_the_network_and_second_start_shows_no_password() {
    let mut broker = lan().start();
    broker.output().expect("ready");
    let folder = broker.data().join("lan");
    let authority = folder.join("ca.pem");
    let password = told(&broker, "user lan, password (shown only now): ");
    let of_root = told(&broker, "password of root (shown only now): ");
    assert_eq!((password.len(), of_root.len()), (20, 20));
    assert!(broker.listener("mqtts").starts_with("0.0.0.0:"));
    assert!(broker.address().ip().is_loopback());
    for file in ["ca.pem", "ca.key", "broker.pem", "user"] {
        let mode = std::fs::metadata(folder.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }

    let context = trusting(&authority);
    let user = ConnectOptions::v5("device").user("lan", password.as_str());
    let mut client = connect(&broker, &context, &user).unwrap();
    client.subscribe_to("test/#", QoS::AtLeastOnce).unwrap();
    client.publish(&Publication::new("test/hello", "hello").qos(QoS::AtLeastOnce)).unwrap();
    assert_eq!(client.receive(WAIT_MAX).unwrap().unwrap().text(), "hello");
    assert!(is_refused(connect(&broker, &context, &ConnectOptions::v5("nobody"))));
    assert!(is_refused(Client::connect(broker.address(), &ConnectOptions::v5("nobody here either"))));
    let of_stranger = Authority::new().context();
    let refused = connect(&broker, &of_stranger, &user).unwrap_err();
    assert!(refused.to_string().contains("invalid peer certificate"), "{refused}");
    let added = ["cmd", "-p", &broker.port(), "-u", "root", "-P", &of_root, "-addUser", "ann", "a long one"];
    Program::run(LOTMQ, &added).unwrap().output();
    connect(&broker, &context, &ConnectOptions::v5("ann").user("ann", "a long one")).unwrap();

    broker.stop();
    let logged = broker.log().text();
    assert!(!logged.contains(&password) && !logged.contains(&of_root), "no password is logged");
    broker.start_again();
    broker.output().expect("ready");
    let shown = broker.output().text();
    assert!(shown.contains("user lan, password as shown at the first start"), "{shown}");
    assert!(!shown.contains(&password) && !shown.contains("shown only now"), "{shown}");
    connect(&broker, &context, &user).unwrap();
}

/// A user pastes them in the folder of `ca.pem`.
#[test]
fn printed_lines_for_clients_work() {
    let broker = lan().start();
    broker.output().expect("ready");
    let folder = broker.data().join("lan");
    let shown = broker.output().text();
    let password = told(&broker, "user lan, password (shown only now): ");
    let mut watcher = connect(
        &broker,
        &trusting(&folder.join("ca.pem")),
        &ConnectOptions::v5("w").user("lan", password.as_str()),
    )
    .unwrap();
    watcher.subscribe_to("test/hello", QoS::AtMostOnce).unwrap();

    let fingerprint = told(&broker, "SHA-256 fingerprint of that authority: ");
    let printed = ["x509", "-in", "ca.pem", "-noout", "-fingerprint", "-sha256"];
    if let Ok(output) = Command::new("openssl").args(printed).current_dir(&folder).output() {
        assert!(String::from_utf8_lossy(&output.stdout).trim().ends_with(&format!("={fingerprint}")));
    }
    let line = shown.lines().find(|line| line.trim().starts_with("mosquitto_pub")).unwrap().trim();
    if Program::run("mosquitto_pub", &["--help"]).is_some() {
        let output = Command::new("sh").args(["-c", line]).current_dir(&folder).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(watcher.receive(WAIT_MAX).unwrap().unwrap().text(), "hello");
    }
    if let Some(python) = python_with_paho() {
        let lines: Vec<&str> = shown.lines().map(str::trim).filter(|it| it.starts_with("client")).collect();
        assert_eq!(lines.len(), 4);
        let script = format!(
            "import paho.mqtt.client\n{}\nclient.loop_start()\nclient.publish('test/hello', 'from paho', 1).wait_for_publish(20)\nclient.disconnect()\n",
            lines.join("\n")
        );
        let output = Command::new(python).args(["-c", &script]).current_dir(&folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(watcher.receive(WAIT_MAX).unwrap().unwrap().text(), "from paho");
    }
}

#[test]
fn contradictions_are_errors_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    for (variable, value, told) in [
        ("LOTMQ_TLS_CERTIFICATE", "other.pem", "`tls.certificate` (environment LOTMQ_TLS_CERTIFICATE)"),
        ("LOTMQ_ANONYMOUS", "true", "`auth.anonymous`"),
        ("LOTMQ_LISTENER_MQTTS_PORT", "off", "`listener.mqtts.port`"),
        ("LOTMQ_LISTENER_WS_BIND", "0.0.0.0", "listener ws"),
    ] {
        let data = folder.path().join(variable);
        let port =
            if variable.ends_with("WS_BIND") { ("LOTMQ_LISTENER_WS_PORT", "0") } else { (variable, value) };
        let exited = lan().data(&data).variable(variable, value).variable(port.0, port.1).fail();
        assert_eq!(exited.status.code(), Some(1), "{variable}");
        let error = exited.stderr.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
        assert!(error.starts_with("error: --lan ") && error.contains(told), "{variable}: {}", exited.stderr);
        assert!(!data.exists(), "{variable}");
    }
}

#[test]
fn a_port_in_use_ends_the_start() {
    let occupied = TcpListener::bind("127.0.0.2:0").unwrap();
    let port = occupied.local_addr().unwrap().port().to_string();
    let exited = lan()
        .variable("LOTMQ_LISTENER_MQTTS_BIND", "127.0.0.2,0.0.0.0")
        .variable("LOTMQ_LISTENER_MQTTS_PORT", &port)
        .fail();
    assert_eq!(exited.status.code(), Some(1));
    assert!(exited.stderr.contains("error: listener mqtts could not be opened"), "{}", exited.stderr);
    assert!(exited.stderr.contains(&format!("port {port} is in use")), "{}", exited.stderr);
}
