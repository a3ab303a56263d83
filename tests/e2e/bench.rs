//! `lotmq bench` against a real broker: every message arrives, and the figures are there.

use lotmq_test_support::{Authority, Broker, Program};
use serde_json::Value;

use crate::{LOTMQ, broker, options};

#[test]
fn every_scenario_counts_what_it_sends() {
    let broker = broker();
    let (port, pid) = (broker.port(), broker.process_id().to_string());
    for (scenario, qos, version, publishers, subscribers) in [
        ("pair", "0", "311", 3, 3),
        ("pair", "2", "5", 3, 3),
        ("fan-in", "1", "311", 3, 1),
        ("fan-out", "1", "5", 1, 3),
        ("single", "0", "311", 3, 3),
    ] {
        let arguments =
            ["bench", scenario, "-p", &port, "--pid", &pid, "-q", qos, "-V", version, "-n", "3", "-t", "0.2"];
        let run = Program::run(LOTMQ, &[&arguments[..], &["--json"]].concat()).unwrap();
        assert_eq!(run.status.code(), Some(0), "{scenario}: {}", run.stderr);
        let figures: Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(
            (&figures["publishers"], &figures["subscribers"]),
            (&publishers.into(), &subscribers.into())
        );
        assert_eq!(figures["lost"], 0, "{scenario}");
        assert!(figures["delivered"].as_u64() > Some(0), "{scenario}: {figures}");
        assert!(figures["latencyUs"]["p50"].as_u64() <= figures["latencyUs"]["max"].as_u64(), "{figures}");
    }
}

#[test]
fn connections_are_counted_and_refusals_too() {
    let broker = broker();
    let (port, pid) = (broker.port(), broker.process_id().to_string());
    // A password takes long to check without optimisation, and longer beside other tests.
    let run = |more: &[&str]| {
        let arguments = ["bench", "connect", "-p", &port, "--pid", &pid, "-n", "3", "-t", "2", "--json"];
        let run = Program::run(LOTMQ, &[&arguments[..], more].concat()).unwrap();
        assert_eq!(run.status.code(), Some(0), "{}", run.stderr);
        serde_json::from_str::<Value>(&run.stdout).unwrap()
    };
    let figures = run(&[]);
    assert!(figures["delivered"].as_u64() > Some(0) && figures["refused"] == 0, "{figures}");
    let figures = run(&["-u", "nobody", "-P", "wrong", "-r", "100"]);
    assert!(figures["refused"].as_u64() > Some(0), "{figures}");
    assert_eq!(figures["refused"], figures["delivered"]);
    let arguments = ["bench", "connect", "-p", &port, "-n", "2", "-t", "0.3", "-V", "5", "-r", "20"];
    let text = Program::run(LOTMQ, &arguments).unwrap().stdout;
    assert!(text.contains("connections/s answered"), "{text}");
}

#[test]
fn many_connections_are_kept_and_written_to_one_by_one() {
    let broker = broker();
    let (port, pid) = (broker.port(), broker.process_id().to_string());
    let arguments = [
        "bench",
        "connections",
        "-p",
        &port,
        "--pid",
        &pid,
        "-n",
        "300",
        "-t",
        "0.5",
        "-r",
        "2000",
        "-q",
        "1",
    ];
    let run = Program::run(LOTMQ, &[&arguments[..], &["--json"]].concat()).unwrap();
    let figures: Value = serde_json::from_str(run.output()).unwrap();
    assert_eq!((&figures["publishers"], &figures["subscribers"]), (&1.into(), &300.into()));
    assert!(figures["delivered"].as_u64() > Some(0) && figures["lost"] == 0, "{figures}");
    assert!(figures["brokerBytesPerConnection"].as_f64() > Some(0.0), "{figures}");
    let run = Program::run(LOTMQ, &arguments).unwrap();
    assert!(run.output().contains("bytes for each connection"), "{}", run.stdout);
    // 10,000 and one connections are too many for a test; where they would come from is another
    // matter.
    let refused = Program::run(LOTMQ, &["bench", "pair", "-p", &port, "-n", "10001"]).unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(refused.stderr.contains("at most 10000"), "{}", refused.stderr);
}

#[test]
fn bench_accepts_a_rate_and_reports_mistakes() {
    let broker = broker();
    let port = broker.port();
    let run =
        Program::run(LOTMQ, &["bench", "-p", &port, "-n", "2", "-t", "1", "-r", "200", "--json"]).unwrap();
    let figures: Value = serde_json::from_str(&run.stdout).unwrap();
    let delivered = figures["delivered"].as_u64().unwrap();
    assert!(delivered > 0 && figures["lost"] == 0, "{figures}");
    let text = Program::run(LOTMQ, &["bench", "fan-in", "-p", &port, "-n", "2", "-t", "0.1"]).unwrap();
    assert!(
        text.stdout.contains("messages/s delivered") && text.stdout.contains("median"),
        "{}",
        text.stdout
    );
    let nobody = Program::run(LOTMQ, &["bench", "-p", "1"]).unwrap();
    assert_eq!(nobody.status.code(), Some(3), "{}", nobody.stderr);
}

/// A broker with a listener of each kind, to which clients come that trust this authority; a
/// certificate of theirs is required where TLS is without WebSocket.
fn with_every_listener(authority: &Authority) -> Broker {
    let signed = authority.server("broker");
    options()
        .variable("LOTMQ_TLS_CERTIFICATE", signed.certificate.to_str().unwrap())
        .variable("LOTMQ_TLS_KEY", signed.key.to_str().unwrap())
        .variable("LOTMQ_TLS_CLIENT_CA", authority.file().to_str().unwrap())
        .variable("LOTMQ_LISTENER_MQTTS_PORT", "0")
        .variable("LOTMQ_LISTENER_MQTTS_CLIENT_CERTIFICATE", "required")
        .variable("LOTMQ_LISTENER_WSS_PORT", "0")
        .variable("LOTMQ_LISTENER_WS_PORT", "0")
        .variable("LOTMQ_LISTENER_UNIX_PATH", authority.path("mqtt.sock").to_str().unwrap())
        .start()
}

#[test]
fn every_scenario_runs_over_every_transport() {
    let authority = Authority::new();
    let broker = with_every_listener(&authority);
    let device = authority.client("device");
    let (ca, socket) = (authority.file(), authority.path("mqtt.sock"));
    let [ca, socket, cert, key] =
        [&ca, &socket, &device.certificate, &device.key].map(|path| path.to_str().unwrap());
    let [mqtts, wss, ws] = [("mqtts", ""), ("wss", ""), ("ws", "/mqtt")]
        .map(|(scheme, path)| format!("{scheme}://localhost:{}{path}", broker.port_of(scheme)));
    let zstd = broker.port();
    for way in [
        &["-L", &mqtts, "--cafile", ca, "--cert", cert, "--key", key][..],
        &["-L", &wss, "--cafile", ca, "--insecure"],
        &["-L", &ws],
        &["--unix", socket],
        &["-p", &zstd, "--zstd"],
    ] {
        for scenario in ["pair", "fan-in", "fan-out", "connect"] {
            let base = ["bench", scenario, "-n", "2", "-t", "0.2", "-q", "1", "--json"];
            let run = Program::run(LOTMQ, &[&base[..], way].concat()).unwrap();
            assert_eq!(run.status.code(), Some(0), "{scenario} {way:?}: {}", run.stderr);
            let figures: Value = serde_json::from_str(&run.stdout).unwrap();
            assert_eq!((&figures["lost"], &figures["refused"]), (&0.into(), &0.into()), "{scenario} {way:?}");
            assert!(figures["delivered"].as_u64() > Some(0), "{scenario} {way:?}: {figures}");
            let has_handshakes = scenario == "connect" && way.contains(&"--cafile");
            assert_eq!(figures["tlsHandshakes"].is_object(), has_handshakes, "{scenario} {way:?}: {figures}");
        }
    }
}

#[test]
fn handshakes_are_full_ones_unless_they_are_to_be_resumed() {
    let authority = Authority::new();
    let broker = with_every_listener(&authority);
    let (ca, url) = (authority.file(), format!("wss://localhost:{}", broker.port_of("wss")));
    let run = |more: &[&str]| {
        let base = ["bench", "connect", "-L", &url, "--cafile", ca.to_str().unwrap(), "-n", "2", "-t", "1"];
        Program::run(LOTMQ, &[&base[..], more].concat()).unwrap()
    };
    let resumed_by_broker = || broker.metric("lotmq_tls_handshakes_resumed_total").unwrap();
    let figures: Value = serde_json::from_str(run(&["--json"]).output()).unwrap();
    assert_eq!((&figures["tlsHandshakes"]["resumed"], resumed_by_broker()), (&0.into(), 0.0), "{figures}");
    assert_eq!(figures["tlsHandshakes"]["full"], figures["delivered"]);
    let figures: Value = serde_json::from_str(run(&["--json", "--tls-resume"]).output()).unwrap();
    let [full, resumed] = ["full", "resumed"].map(|kind| figures["tlsHandshakes"][kind].as_u64().unwrap());
    // Each of the two clients begins with a full one.
    assert!(resumed > 0 && full <= 2 && Some(full + resumed) == figures["delivered"].as_u64(), "{figures}");
    assert!(resumed_by_broker() >= resumed as f64);
    let text = run(&["--tls-resume"]);
    assert!(
        text.output().contains("TLS handshakes: ") && text.stdout.contains(" resumed"),
        "{}",
        text.stdout
    );
}

#[test]
fn bench_reports_wrong_transport_options() {
    let authority = Authority::new();
    let broker = with_every_listener(&authority);
    let (port, ca) = (broker.port(), authority.file());
    let mqtts = format!("mqtts://localhost:{}", broker.port_of("mqtts"));
    for (arguments, code, told) in [
        (&["connect", "-p", &port, "--tls-resume"][..], 2, "about TLS"),
        (&["pair", "-L", &mqtts, "--cafile", ca.to_str().unwrap(), "--tls-resume"], 2, "is for connect"),
        (&["pair", "-p", &port, "--insecure"], 2, "about TLS"),
        // Without the certificate that the listener wants; with an authority that did not sign the
        // broker's.
        (&["pair", "-L", &mqtts, "--cafile", ca.to_str().unwrap()], 3, "CertificateRequired"),
        (&["pair", "-L", &mqtts], 3, "invalid peer certificate"),
    ] {
        let run = Program::run(LOTMQ, &[&["bench"], arguments].concat()).unwrap();
        assert_eq!(run.status.code(), Some(code), "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains(told), "{arguments:?}: {}", run.stderr);
    }
}
