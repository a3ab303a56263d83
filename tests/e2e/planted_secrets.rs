//! Secrets of every kind in a running broker, used well and badly: no output has any of them.
//!
//! Outputs are the log at its finest level, all topics below `$SYS` as a user without special
//! rights may be allowed to read them, replies, metrics, health, the audit trail, and the dumps and
//! reports of the command line. Two places have some by design. The text of a definition shows its
//! passwords to its owner and to administrators. The store has the values of secrets encrypted, and
//! texts of definitions as they are. See `hidden_secrets` for secrets that cannot be parsed.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_client::{Client, ConnectOptions, PropertyId, PropertyValue, Publication, QoS, ReasonCode};
use lotmq_test_support::{Broker, BrokerOptions, TokenSigner, WAIT_MAX, free_port};
use ring::digest;
use serde_json::json;

use crate::jwt_authentication::send_auth;
use crate::{LOTMQ, options};

/// Bytes of a secret that no output may have in a row.
const WINDOW_BYTES: usize = 10;

/// All kinds of secrets that are planted.
const KINDS: &[&str] = &[
    "wrong password of root",
    "password of an account",
    "new password",
    "wrong password",
    "password in a command with a wrong verb",
    "password in a command with too many words",
    "password in a command without its end",
    "password of an account that exists",
    "password by a user without the right",
    "value of a secret",
    "value of a secret without a name",
    "shared secret of tokens",
    "password of a route",
    "password in a connection string",
    "configuration of a module",
    "token of an installation",
    "token of a license",
    "password in place of a token",
    "data of an authentication method",
    "first password of root",
    "key of a listener",
];

/// The secret of a kind: letters that occur nowhere else.
fn secret(kind: &str) -> String {
    assert!(KINDS.contains(&kind), "{kind}");
    let hash = digest::digest(&digest::SHA256, kind.as_bytes());
    STANDARD.encode(hash).replace(['+', '/', '='], "q")
}

/// Forms in which an output may have a part of a secret.
fn forms(secret: &[u8]) -> Vec<String> {
    let plain = secret.windows(WINDOW_BYTES).map(|window| String::from_utf8_lossy(window).into_owned());
    let start = &secret[..WINDOW_BYTES];
    let numbers = start.iter().map(u8::to_string).collect::<Vec<_>>();
    let hex: String = start.iter().map(|byte| format!("{byte:02x}")).collect();
    let encoded = STANDARD.encode(start)[..WINDOW_BYTES].to_owned();
    plain.chain([numbers.join(", "), numbers.join(","), hex, encoded]).collect()
}

#[track_caller]
fn assert_hidden(place: &str, output: &str, secrets: &[(String, String)]) {
    for (kind, secret) in secrets {
        if let Some(form) = forms(secret.as_bytes()).iter().find(|form| output.contains(*form)) {
            let at = output.find(form).unwrap_or_default();
            let around: String = output[..at].chars().rev().take(300).collect();
            let around: String = around.chars().rev().collect();
            panic!("{place} has '{form}' of the {kind}, behind: {around}");
        }
    }
}

/// Secrets that a test has made, with their kinds.
struct Planted {
    broker: Broker,
    /// Key of tokens, which the broker reads.
    signer: TokenSigner,
    secrets: Vec<(String, String)>,
    /// Messages to a user who may read all topics below `$SYS`, and has no other right.
    reader: Client,
    /// Replies to the commands.
    replies: String,
    _folder: tempfile::TempDir,
}

fn start(folder: &Path) -> BrokerOptions {
    let key = folder.join("jwt.secret");
    std::fs::write(&key, secret("shared secret of tokens")).unwrap();
    options()
        .variable("LOTMQ_LOG", "trace")
        .variable("LOTMQ_AUTH_SCRAM_SHA_256", "true")
        .variable("LOTMQ_AUTH_MODULES", "jwt,builtin")
        .variable("LOTMQ_AUTH_JWT_SECRET_FILE", key.to_str().unwrap())
}

impl Planted {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let broker = start(folder.path()).start();
        broker.command_ok("-addUser reader pw");
        broker.command_ok(
            "-addRule DEFINE RULE Read WITH PRIORITY 5 FOR SubscribeSys TO TOPIC \"$SYS/#\"\n    IF USER IS \"reader\" THEN\n        ALLOW\n",
        );
        broker.command_ok("-addTraceLog everything trace");
        let mut reader = broker.connect(&ConnectOptions::v5("reader").user("reader", "pw"));
        assert!(!reader.subscribe_to("$SYS/#", QoS::AtLeastOnce).unwrap().is_failure());
        let secrets = KINDS.iter().map(|kind| ((*kind).to_owned(), secret(kind))).collect();
        let signer = TokenSigner::hmac(secret("shared secret of tokens"));
        Self { broker, signer, secrets, reader, replies: String::new(), _folder: folder }
    }

    /// Gives a command, whose reply is kept.
    fn command(&mut self, text: &str) {
        let reply = self.broker.command(text);
        writeln!(self.replies, "{}", reply.0).unwrap();
    }

    /// A token, whose claims and signature are secrets.
    fn token(&mut self, kind: &str, user: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let claims = json!({"sub": user, "exp": now + 3_600, "jti": kind});
        let token = self.signer.sign(&json!({"alg": "HS256"}), &claims);
        let signature = token.rsplit('.').next().unwrap().to_owned();
        self.secrets.push((kind.to_owned(), signature));
        token
    }

    fn plant_commands(&mut self) {
        let of = secret;
        for command in [
            format!("-addUser ann {}", of("password of an account")),
            format!("-changeUserPassword ann {}", of("new password")),
            format!("-adUser eve {}", of("password in a command with a wrong verb")),
            format!("-addUser eve {} and more words", of("password in a command with too many words")),
            format!("-addUser eve \"{}", of("password in a command without its end")),
            format!("-addUser ann {}", of("password of an account that exists")),
            format!("-setSecret PUMP={}", of("value of a secret")),
            format!("-setSecret {}", of("value of a secret without a name")),
            format!("-installWithToken scale {}", of("token of an installation")),
            format!("-loadLicense {}", of("token of a license")),
            format!(
                "-addModule scale -config {{\"password\":\"{}\"}} AGFzbQ==",
                of("configuration of a module")
            ),
        ] {
            self.command(&command);
        }
        let without_right = self.broker.command_as(
            ("ann", &of("new password")),
            &format!("-addUser eve {}", of("password by a user without the right")),
        );
        writeln!(self.replies, "{}", without_right.0).unwrap();
    }

    /// Hashes of mosquitto, right and wrong, by which a password can be guessed.
    fn plant_hashes(&mut self) {
        let hash = "I1wC5h9KsLwpfBJjnXbd9kNU4937luUhZ0Rvg3hjjxyXeNkNYFZtgli0HqfhOXcHF+FVUTYtLOudv0GDtchH6g==";
        self.secrets.push(("imported hash".to_owned(), hash.to_owned()));
        self.command(&format!("-importUser bob $7$101$ZjklghzZficO+EZQ${hash}"));
        self.command(&format!("-importUser eve $7$x$ZjklghzZficO+EZQ${hash}"));
    }

    /// Routes whose far sides are away.
    fn plant_routes(&mut self) {
        let port = free_port();
        let password = secret("password of a route");
        let config = format!(
            "WITH SERVER \"127.0.0.1\"\n        WITH PORT {port}\n        WITH DATABASE \"plant\"\n        WITH USERNAME \"plant\"\n        WITH PASSWORD \"{password}\""
        );
        let string = secret("password in a connection string");
        let string = format!("WITH CONNECTION_STRING \"postgres://app:{string}@127.0.0.1:{port}/plant\"");
        for (name, settings) in [("Db", config), ("Text", string)] {
            let event = format!(
                "ADD EVENT Line\n        WITH SOURCE_TOPIC \"report/{name}\"\n        WITH QUERY \"INSERT INTO t VALUES (1)\""
            );
            self.command(&format!(
                "-addRoute DEFINE ROUTE {name} WITH TYPE POSTGRESQL\n    ADD SQL_CONFIG\n        {settings}\n    {event}\n"
            ));
            let message = Publication::new(format!("report/{name}"), "x").qos(QoS::AtLeastOnce);
            self.broker.root("sender").publish(&message).unwrap();
            self.command(&format!("-checkRouteConnection {name}"));
        }
    }

    fn plant_logins(&mut self) {
        let passwords = [
            ("ann", secret("new password")),
            ("ann", secret("wrong password")),
            ("jwt", secret("password in place of a token")),
            ("press-7", self.token("token in the password", "press-7")),
            ("ann", self.token("token of an account", "ann")),
        ];
        for (user, password) in passwords {
            drop(Client::connect(self.broker.address(), &ConnectOptions::v5("c").user(user, password)));
        }
        let good = self.token("token in authentication data", "press-7");
        let other = self.token("token of another user", "press-8");
        for (method, data) in [
            ("JWT", good.clone()),
            ("JWT", secret("data of an authentication method")),
            ("SCRAM-SHA-256", format!("n,,n=ann,r={}", secret("data of an authentication method"))),
            ("none", secret("data of an authentication method")),
        ] {
            let options = by_method(method, data.as_bytes());
            if let Ok(mut client) = Client::connect(self.broker.address(), &options) {
                authenticate_again(&mut client, &good);
                authenticate_again(&mut client, &other);
                assert!(client.connection().wait_closed(WAIT_MAX).unwrap());
            }
        }
    }

    /// Reports that operators read.
    fn list(&mut self) {
        let day = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
        for verb in [
            "-listUsers",
            "-listSecrets",
            "-listEnv",
            "-listClients",
            "-listSessions",
            "-listConnections",
            "-listBans",
            "-listTraceLogs",
            "-listModules",
            "-list",
            "-brokerStatus",
            "-connectionStatus",
            "-listDeadLetters",
            "-listEntities",
            "-auditStatus",
            "-listRules",
        ] {
            self.command(verb);
        }
        self.command(&format!("-auditQuery {day}"));
        self.command("-listLogLines");
    }

    /// Messages to the reader, up to a barrier.
    fn topics(&mut self) -> String {
        let mut text = String::new();
        self.reader.subscribe_to("end", QoS::AtLeastOnce).unwrap();
        self.broker.root("last").publish(&Publication::new("end", "x").qos(QoS::AtLeastOnce)).unwrap();
        loop {
            let message = self.reader.receive(WAIT_MAX).unwrap().expect("the last message");
            writeln!(text, "{}: {}", message.topic, message.text()).unwrap();
            if message.topic == "end" {
                return text;
            }
        }
    }
}

fn by_method(method: &str, data: &[u8]) -> ConnectOptions {
    ConnectOptions::v5("m")
        .property(PropertyId::AuthenticationMethod, PropertyValue::Utf8(method))
        .property(PropertyId::AuthenticationData, PropertyValue::Binary(data))
}

/// Sends a token by AUTH, and waits for the answer.
fn authenticate_again(client: &mut Client, token: &str) {
    send_auth(client, ReasonCode::ReAuthenticate, Some(token));
    client.connection().receive(WAIT_MAX).unwrap().expect("an answer");
}

/// Output of the command line, whatever it says.
fn run(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let output = Command::new(LOTMQ).args(arguments).envs(variables.iter().copied()).output().unwrap();
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Bytes of all files below a folder, as text.
fn files(folder: &Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        // Native code is shared with other tests, and has nothing of this one.
        if path.is_dir() && !path.is_symlink() {
            text.push_str(&files(&path));
        } else if path.is_file() {
            text.push_str(&String::from_utf8_lossy(&std::fs::read(&path).unwrap()));
        }
    }
    text
}

/// Bytes of the files of an archive, as text.
fn entries(archive: &Path) -> String {
    let mut zip = zip::ZipArchive::new(std::fs::File::open(archive).unwrap()).unwrap();
    let mut all = Vec::new();
    for at in 0..zip.len() {
        zip.by_index(at).unwrap().read_to_end(&mut all).unwrap();
    }
    String::from_utf8_lossy(&all).into_owned()
}

#[test]
fn planted_secrets_are_in_no_output() {
    let mut planted = Planted::start();
    planted.plant_commands();
    planted.plant_hashes();
    planted.plant_routes();
    planted.plant_logins();
    planted.list();
    let topics = planted.topics();
    assert!(topics.contains("Log/Traces/everything") && topics.contains("DEFINE ROUTE Db"), "{topics}");
    let Planted { mut broker, secrets, replies, .. } = planted;
    let root = secret("wrong password of root");
    let metrics = broker.http("/metrics").body + &broker.http("/health").body;
    let port = broker.port();
    let status = run(&["status", "-p", &port, "-u", "root", "-P", &root], &[]);
    let key = format!("-----BEGIN PRIVATE KEY-----\n{}\n", secret("key of a listener"));
    let first = secret("first password of root");
    let variables = [("LOTMQ_ROOT_PASSWORD", &*first), ("LOTMQ_TLS_KEY", &*key)];
    let config = run(&["config", "show", "--origin"], &variables);
    let backup = broker.data().with_extension("backup");
    let told = run(&["backup", backup.to_str().unwrap(), "-p", &port], &[]);
    let backup = entries(&backup);
    broker.stop();
    assert!(broker.log().text().contains("TRACE"), "the finest level is on");
    for (place, output) in [
        ("the log", broker.log().text()),
        ("standard output", broker.output().text()),
        ("a topic", topics),
        ("metrics or health", metrics),
        ("lotmq status", status),
        ("lotmq config show", config),
        ("lotmq backup", told),
    ] {
        assert_hidden(place, &output, &secrets);
    }
    // Texts of definitions are stored as they are, and the hash of a user is. Warnings about a text
    // quote it to its author.
    let is_stored = ["password of a route", "password in a connection string", "imported hash"];
    let hidden: Vec<_> = secrets.into_iter().filter(|(kind, _)| !is_stored.contains(&&**kind)).collect();
    assert_hidden("a reply", &replies, &hidden);
    assert!(backup.contains("DEFINE ROUTE Db"), "texts of definitions are in a backup");
    assert_hidden("a backup", &backup, &hidden);
    assert_hidden("the data directory", &files(broker.data()), &hidden);
}
