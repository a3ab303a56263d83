//! Broken secrets: each reader of a secret gets one that it cannot parse, and nothing of it appears
//! in any output.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_client::{Client, ConnectOptions, QoS};
use lotmq_test_support::{Authority, Broker, BrokerOptions, WAIT_MAX, eventually, free_port};

use crate::{LOTMQ, options};

/// Bytes of a secret that no output may have in a row.
const WINDOW_BYTES: usize = 8;

/// Body of a private key: 120 bytes in base64, none of which is real.
fn body() -> String {
    STANDARD.encode((7..127).collect::<Vec<u8>>())
}

/// The same body in forms that lose its line breaks, its end, or its alphabet.
fn broken_keys() -> Vec<(&'static str, String)> {
    let (begin, body, end) = ("-----BEGIN PRIVATE KEY-----", body(), "-----END PRIVATE KEY-----");
    vec![
        ("blanks for line breaks", format!("{begin} {body} {end}")),
        ("no line breaks", format!("{begin}{body}{end}")),
        ("escaped line breaks", format!(r"{begin}\n{body}\n{end}\n")),
        ("no end", format!("{begin}\n{body}\n")),
        ("no base64", format!("{begin}\n!{body}\n{end}\n")),
        ("no key in it", format!("{begin}\n{body}\n{end}\n")),
        ("another label", format!("-----BEGIN {body}-----\n{body}\n{end}\n")),
    ]
}

/// Forms in which a library may print a part of a secret.
fn forms(window: &[u8]) -> Vec<String> {
    let joined = |separator: &str, byte: &dyn Fn(&u8) -> String| {
        window.iter().map(byte).collect::<Vec<_>>().join(separator)
    };
    let hex = |byte: &u8| format!("{byte:02x}");
    // The letters of base64 that these bytes alone decide.
    let encoded = (0..3).map(|before| {
        let bytes = [&[0; 2][..before], window].concat();
        STANDARD.encode(&bytes)[(before * 8).div_ceil(6)..bytes.len() * 8 / 6].to_owned()
    });
    let mut forms = vec![
        String::from_utf8_lossy(window).into_owned(),
        joined(", ", &u8::to_string),
        joined(",", &u8::to_string),
        joined(" ", &u8::to_string),
        joined("", &hex),
        joined(" ", &hex),
    ];
    forms.extend(encoded);
    forms
}

#[track_caller]
fn assert_hidden(case: &str, secret: &str, output: &str) {
    let (output, lower) = (output, output.to_ascii_lowercase());
    for window in secret.as_bytes().windows(WINDOW_BYTES) {
        for form in forms(window) {
            let is_shown = output.contains(&form) || lower.contains(&form);
            assert!(!is_shown, "{case}: the output has '{form}' of the secret: {output}");
        }
    }
}

/// Standard output and standard error of a command line tool.
fn run(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let output = Command::new(LOTMQ).args(arguments).envs(variables.iter().copied()).output().unwrap();
    assert!(!output.status.success(), "{arguments:?}");
    [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).join("\n")
}

fn with_tls(authority: &Authority, key: &str) -> BrokerOptions {
    let signed = authority.server("broker");
    options()
        .listen_as_configured()
        .variable("LOTMQ_LISTENER_MQTT_PORT", "0")
        .variable("LOTMQ_TLS_CERTIFICATE", signed.certificate.to_str().unwrap())
        .variable("LOTMQ_TLS_KEY", key)
}

fn written(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

#[test]
fn a_broken_key_of_a_listener_is_not_printed() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    for (form, key) in broken_keys() {
        let path = written(folder.path(), "key.pem", &key);
        // In a file, and where the path of the file belongs.
        for setting in [path.to_str().unwrap(), &key] {
            let failed = with_tls(&authority, setting).fail();
            let told = format!("{}\n{}", failed.stdout, failed.stderr);
            assert!(told.contains("error: "), "{form}: {told}");
            assert_hidden(form, &body(), &told);
            let signed = authority.server("broker");
            let variables =
                [("LOTMQ_TLS_CERTIFICATE", signed.certificate.to_str().unwrap()), ("LOTMQ_TLS_KEY", setting)];
            assert_hidden(form, &body(), &run(&["config", "check"], &variables));
        }
    }
}

#[test]
fn a_broken_secret_of_the_command_line_is_not_printed() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let certificate = authority.client("ann").certificate;
    let certificate = certificate.to_str().unwrap();
    let publishes = ["-h", "127.0.0.1", "-p", "1", "-t", "a", "-m", "b"];
    for (form, key) in broken_keys() {
        let path = written(folder.path(), "key.pem", &key);
        for key in [path.to_str().unwrap(), &key] {
            let tls = ["pub", "--cert", certificate, "--key", key, "--cafile", certificate];
            let told = run(&[&tls[..], &publishes].concat(), &[]);
            assert_hidden(form, &body(), &told);
        }
    }
    let secret = "swordfish-and-chips";
    for arguments in [
        &["pub", "-L", "mqtt://ann:swordfish-and-chips/1@127.0.0.1/t", "-m", "b"][..],
        &["pub", "-L", "mqt://ann:swordfish-and-chips@127.0.0.1/t", "-m", "b"],
        &["sub", "-h", "mqtt://ann:swordfish-and-chips@127.0.0.1", "-t", "a"],
        &["lsp", "--broker", "mqtt://ann:swordfish-and-chips/1@127.0.0.1"],
        &["context", "add", "plant", "--url", "mqtt://ann:swordfish-and-chips/1@127.0.0.1"],
        &["context", "add", "plant", "--url", "mqtt://ann:swordfish-and-chips@127.0.0.1"],
    ] {
        let home = [("XDG_CONFIG_HOME", folder.path().to_str().unwrap())];
        assert_hidden(&format!("{arguments:?}"), secret, &run(arguments, &home));
    }
}

#[test]
fn a_broken_file_with_a_password_is_not_quoted() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("lotmq")).unwrap();
    let secret = "swordfish-and-chips";
    let home = [("XDG_CONFIG_HOME", folder.path().to_str().unwrap())];
    for text in [
        "[context.a]\nurl = \"mqtt://h\"\npassword = \"swordfish-and-chips\n",
        "[context.a]\nurl = \"mqtt://h\"\npassword = swordfish-and-chips\n",
        "[context.a]\nurl = \"mqtt://h\"\npassword \"swordfish-and-chips\"\n",
        "[context.a]\nurl = \"mqtt://h\"\nswordfish-and-chips\n",
        "[context.a]\nurl = \"mqtt://h\"\nuser = [\"swordfish-and-chips\"]\n",
        "context = \"swordfish-and-chips\"\n",
    ] {
        written(folder.path(), "lotmq/contexts.toml", text);
        assert_hidden(text, secret, &run(&["context", "list"], &home));
    }
    for text in [
        "[auth]\nroot_password = swordfish-and-chips\n",
        "[auth]\nroot_password = \"swordfish-and-chips\n",
        "[auth]\nroot_password \"swordfish-and-chips\"\n",
        "[auth]\nroot_password = \"swordfish-and-chips\"\n",
        "[auth]\nswordfish-and-chips\n",
        "auth = \"swordfish-and-chips\"\n",
        "auth = [\"swordfish-and-chips\"]\n",
        "[[users]]\nname = \"ann\"\npassword = \"swordfish-and-chips\"\n",
    ] {
        let file = written(folder.path(), "lotmq.toml", text);
        let file = file.to_str().unwrap();
        let data = folder.path().join("data");
        assert_hidden(text, secret, &run(&["config", "check", "--config", file], &[]));
        let serve = ["serve", "--config", file, "--data", data.to_str().unwrap()];
        assert_hidden(text, secret, &run(&serve, &[]));
    }
}

#[test]
fn a_broken_key_of_the_store_is_not_printed() {
    let (key, broken) = ("0123456789abcdef".repeat(4), |key: &str| format!("{key}!"));
    for key in [broken(&key), key[..40].to_owned()] {
        let failed = options().variable("LOTMQ_SECRET_KEY", &key).fail();
        assert_hidden("LOTMQ_SECRET_KEY", &key, &format!("{}\n{}", failed.stdout, failed.stderr));
        let folder = tempfile::tempdir().unwrap();
        written(folder.path(), "secret.key", &key);
        let failed = options().data(folder.path()).fail();
        assert_hidden("secret.key", &key, &format!("{}\n{}", failed.stdout, failed.stderr));
    }
}

/// A route that serves with a key of a secret, which is its text or taken for its path, and one
/// whose connection string is a secret.
fn routes(port: u16, key: &str, string: &str) -> String {
    format!(
        "DEFINE ROUTE Hook WITH TYPE REST_API
    ADD REST_API_CONFIG
        WITH SERVER_PORT {port}
        WITH SERVER_BIND \"127.0.0.1\"
        WITH SERVER_CERT_PATH \"certs/a.pem\"
        WITH {key} GET SECRET \"K\"
    ADD EVENT Hook
        WITH METHOD \"POST\"
        WITH ENDPOINT \"/hook\"
        WITH DESTINATION_TOPIC \"hook/in\"

DEFINE ROUTE Db WITH TYPE {string}
    ADD EVENT Line
        WITH SOURCE_TOPIC \"report\"
        WITH QUERY \"INSERT INTO t VALUES (1)\"
"
    )
}

#[test]
fn a_broken_secret_of_a_route_is_not_printed() {
    let authority = Authority::new();
    let broker = options().start();
    let certificates = broker.data().join("files/default/certs");
    std::fs::create_dir_all(&certificates).unwrap();
    std::fs::copy(authority.server("a").certificate, certificates.join("a.pem")).unwrap();
    let mut topics = broker.root("topics");
    for topic in ["$SYS/Coreflux/Routes/#", "$SYS/Coreflux/Assets/#", "$SYS/Coreflux/Logs/#"] {
        topics.subscribe_to(topic, QoS::AtMostOnce).unwrap();
    }
    let mut told = String::new();
    let string = "POSTGRESQL\n    ADD SQL_CONFIG\n        WITH CONNECTION_STRING GET SECRET \"S\"";
    let (port, secret) = (free_port(), "swordfish-and-chips");
    broker.command_ok(&format!("-setSecret S=postgres://app:{secret}/1@127.0.0.1:x/plant"));
    let keys = broken_keys().into_iter().flat_map(|(form, key)| {
        ["SERVER_KEY", "SERVER_KEY_PATH"].map(|setting| (form, setting, key.clone()))
    });
    for (form, setting, key) in keys {
        broker.command_ok(&format!("-setSecret K={key}"));
        let added = broker.command(&format!("-addRoute {}", routes(port, setting, string)));
        write!(told, "{form}: {} ", added.0).unwrap();
        eventually(form, || {
            let listed = broker.command("-listRoutes").0.to_string();
            let faults = ["is damaged", "cannot be used", "holds no private key", "has a text in PEM"];
            let is_told = faults.iter().any(|fault| listed.contains(fault));
            told.push_str(&listed);
            is_told.then_some(())
        });
        broker.command("-removeRoute Hook");
        broker.command("-removeRoute Db");
    }
    // The last message of the topics is this one.
    topics.subscribe_to("end", QoS::AtMostOnce).unwrap();
    topics.send_publish(&lotmq_client::Publication::new("end", "")).unwrap();
    while let Some(message) = topics.receive(WAIT_MAX).unwrap() {
        write!(told, "{}: {} ", message.topic, message.text()).unwrap();
        if message.topic == "end" {
            break;
        }
    }
    told.push_str(&broker.log().text());
    assert_hidden("keys of routes", &body(), &told);
    assert_hidden("connection strings", secret, &told);
}

const OWNERS_ROUTE: &str = "DEFINE ROUTE Db WITH TYPE POSTGRESQL
    ADD SQL_CONFIG
        WITH SERVER \"127.0.0.1\"
        WITH DATABASE \"plant\"
        WITH USERNAME \"plant\"
        WITH PASSWORD \"swordfish\"
    ADD EVENT Line
        WITH SOURCE_TOPIC \"report\"
        WITH QUERY \"INSERT INTO t VALUES (1)\"";

/// A broker with a user `ann`, who may add routes, and an author, who may read the topics of
/// routes.
fn with_owner_and_author() -> Broker {
    let broker = options().start();
    for user in ["ann", "author"] {
        broker.command_ok(&format!("-addUser {user} pw"));
        broker.command_ok(&format!("-addUserToGroup {user} readers"));
    }
    for (name, scope, who) in [
        ("Commands", "CommandCall", "USER IS \"ann\""),
        ("Routes", "RouteManagementCreation", "USER IS \"ann\""),
        ("Replies", "SubscribeSys TO TOPIC \"$SYS/Coreflux/Command/Output\"", "USER IS \"ann\""),
        ("Read", "SubscribeSys TO TOPIC \"$SYS/Coreflux/Routes/#\"", "USER IN GROUP \"readers\""),
    ] {
        broker.command_ok(&format!(
            "-addRule DEFINE RULE {name} WITH PRIORITY 5 FOR {scope}\n    IF {who} THEN\n        ALLOW"
        ));
    }
    broker
}

/// Source of the route, as a client gets it next.
fn source(client: &mut Client) -> String {
    eventually("the source", || {
        let message = client.receive(WAIT_MAX).unwrap()?;
        (message.topic == "$SYS/Coreflux/Routes/Db" && !message.payload.is_empty()).then(|| message.text())
    })
}

#[test]
fn password_in_the_text_of_a_route_is_for_its_owner_and_administrators() {
    let broker = with_owner_and_author();
    let reader = |user: &str, password: &str| {
        let mut client = broker.connect(&ConnectOptions::new("").user(user, password));
        client.subscribe_to("$SYS/Coreflux/Routes/#", QoS::AtLeastOnce).unwrap();
        client
    };
    let users = [("ann", "pw"), ("root", "coreflux"), ("author", "pw")];
    let mut live = users.map(|(user, password)| reader(user, password));
    let added = broker.command_as(("ann", "pw"), &format!("-addRoute {OWNERS_ROUTE}"));
    assert!(added.success(), "{added:?}");
    let masked = OWNERS_ROUTE.replace("swordfish", "****");
    let expected = [OWNERS_ROUTE, OWNERS_ROUTE, masked.as_str()];
    assert_eq!(live.each_mut().map(source), expected, "when it is added");
    let later = users.map(|(user, password)| source(&mut reader(user, password)));
    assert_eq!(later, expected, "for a later subscription");
    // Another owner of the name: the text is no longer that of the first.
    let taken = broker.command(&format!("-addRoute -replace {OWNERS_ROUTE}"));
    assert!(taken.success(), "{taken:?}");
    assert_eq!(source(&mut reader("ann", "pw")), masked);
    // A member of a group may hand its messages to another one, and programs to everybody.
    let mut shared = broker.root("shared");
    shared.subscribe_to("$share/g/$SYS/Coreflux/Routes/Db", QoS::AtLeastOnce).unwrap();
    broker.command_ok("-addAction DEFINE ACTION Copy\nON TOPIC \"$SYS/Coreflux/Routes/Db\" DO\n    PUBLISH TOPIC \"copy\" WITH PAYLOAD\n");
    let mut copies = broker.client("copies");
    copies.subscribe_to("copy", QoS::AtLeastOnce).unwrap();
    broker.command_ok(&format!("-addRoute -replace {OWNERS_ROUTE}"));
    assert_eq!(source(&mut shared), masked);
    let copy = copies.receive(WAIT_MAX).unwrap().map(|message| message.text());
    assert_eq!(copy, Some(masked));
}
