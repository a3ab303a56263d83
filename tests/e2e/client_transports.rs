//! `lotmq pub`, `sub` and `cmd` through every transport.

use lotmq_test_support::{Authority, Program};

use crate::{LOTMQ, options};

#[test]
fn the_command_line_speaks_every_transport() {
    let authority = Authority::new();
    let signed = authority.server("broker");
    let device = authority.client("device");
    let socket = authority.path("mqtt.sock");
    let text = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let broker = options()
        .variable("LOTMQ_TLS_CERTIFICATE", &text(&signed.certificate))
        .variable("LOTMQ_TLS_KEY", &text(&signed.key))
        .variable("LOTMQ_TLS_CLIENT_CA", &text(&authority.file()))
        .variable("LOTMQ_LISTENER_MQTTS_PORT", "0")
        .variable("LOTMQ_LISTENER_MQTTS_CLIENT_CERTIFICATE", "required")
        .variable("LOTMQ_LISTENER_WSS_PORT", "0")
        .variable("LOTMQ_LISTENER_WS_PORT", "0")
        .variable("LOTMQ_LISTENER_UNIX_PATH", &text(&socket))
        .start();
    let (ca, cert, key) = (text(&authority.file()), text(&device.certificate), text(&device.key));
    let shown = ["--cafile", &ca, "--cert", &cert, "--key", &key].map(str::to_owned);
    let port = |name: &str| broker.port_of(name).to_string();
    let owned =
        |arguments: &[&str]| arguments.iter().map(|&argument| argument.to_owned()).collect::<Vec<_>>();
    let mutual =
        [&owned(&["-h", "localhost", "-p", &port("mqtts"), "--tls-alpn", "mqtt"])[..], &shown].concat();
    let by_url = [&owned(&["-L", &format!("mqtts://localhost:{}", port("mqtts"))])[..], &shown].concat();
    for way in [
        owned(&["--unix", &text(&socket)]),
        mutual,
        by_url,
        owned(&["-L", &format!("ws://127.0.0.1:{}", port("ws"))]),
        owned(&["-L", &format!("ws://127.0.0.1:{}/mqtt", port("ws"))]),
        owned(&["--ws", "-h", "127.0.0.1", "-p", &port("ws")]),
        owned(&["-L", &format!("wss://localhost:{}", port("wss")), "--cafile", &ca]),
    ] {
        let run = |verb: &str, more: &[&str]| {
            let arguments: Vec<&str> = [verb]
                .into_iter()
                .chain(way.iter().map(String::as_str))
                .chain(more.iter().copied())
                .collect();
            Program::run(LOTMQ, &arguments).unwrap()
        };
        run("pub", &["-t", "t", "-r", "-q", "1", "-m", "hello"]).output();
        assert_eq!(run("sub", &["-t", "t", "-C", "1"]).output(), "hello", "{way:?}");
        assert!(run("cmd", &["-listUsers"]).output().contains("root"), "{way:?}");
    }
    let failed = Program::run(
        LOTMQ,
        &[
            "pub",
            "-L",
            &format!("mqtts://localhost:{}", port("mqtts")),
            "-t",
            "t",
            "-m",
            "x",
            "--cafile",
            &ca,
        ],
    );
    let failed = failed.unwrap();
    assert!(!failed.status.success());
    assert!(failed.stderr.contains("CertificateRequired"), "{}", failed.stderr);
}

#[test]
fn server_names_are_verified_unless_insecure_is_set() {
    let authority = Authority::new();
    let signed = authority.server("broker");
    let broker = options()
        .variable("LOTMQ_TLS_CERTIFICATE", signed.certificate.to_str().unwrap())
        .variable("LOTMQ_TLS_KEY", signed.key.to_str().unwrap())
        .variable("LOTMQ_LISTENER_MQTTS_PORT", "0")
        .variable("LOTMQ_LISTENER_MQTTS_BIND", "127.0.0.2")
        .variable("LOTMQ_LISTENER_WSS_PORT", "off")
        .start();
    let (port, ca) = (broker.port_of("mqtts").to_string(), authority.file());
    let base =
        ["pub", "-h", "127.0.0.2", "-p", &port, "--cafile", ca.to_str().unwrap(), "-t", "t", "-m", "x"];
    let refused = Program::run(LOTMQ, &base).unwrap();
    assert!(!refused.status.success() && refused.stderr.contains("not valid for name"), "{}", refused.stderr);
    let any_name: Vec<&str> = base.iter().copied().chain(["--insecure"]).collect();
    Program::run(LOTMQ, &any_name).unwrap().output();
    // The command still checks the authority of the certificate.
    let other_authority = Authority::new();
    let stranger = other_authority.file();
    let other: Vec<&str> = any_name
        .iter()
        .map(|&argument| if argument == ca.to_str().unwrap() { stranger.to_str().unwrap() } else { argument })
        .collect();
    assert!(!Program::run(LOTMQ, &other).unwrap().status.success());
}
