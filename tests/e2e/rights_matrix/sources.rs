//! Sources of users, and how a user of each logs in.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use lotmq_client::{
    Client, ClientError, ConnectOptions, Endpoint, PropertyId, PropertyValue, ReasonCode, TlsContext,
    TlsOptions,
};
use lotmq_codec::ServerPacket;
use lotmq_test_support::{Authority, Broker, BrokerOptions, TokenSigner, WAIT_MAX, eventually};
use serde_json::{Value, json};

use super::cases::{Case, Verdict};
use crate::jwt_authentication::send_auth;
use crate::options;

const SECRET: &str = "a secret of at least thirty-two bytes";

/// The guest whose passwords are rights.
const GUEST: &[u8] = include_bytes!("../../guests/auth-grants/prebuilt/auth-grants.wasm");

/// Source of the users of a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SourceKind {
    /// Accounts with passwords, and rules.
    Account,
    /// Certificates that name accounts, and rules.
    Certificate,
    /// Tokens with grants.
    Token,
    /// Users of a login guest, with grants that it replaces.
    Guest,
}

impl SourceKind {
    pub(super) const ALL: [Self; 4] = [Self::Account, Self::Certificate, Self::Token, Self::Guest];

    /// Whether the users are accounts, whose rights come from rules.
    pub(super) fn has_accounts(self) -> bool {
        matches!(self, Self::Account | Self::Certificate)
    }
}

/// Names of the accounts, one for each verdict.
pub(super) const ACCOUNTS: [&str; 3] = ["allowed", "denied", "revoked"];

/// Account of a verdict.
fn account(verdict: Verdict) -> usize {
    match verdict {
        Verdict::Allowed => 0,
        Verdict::Denied => 1,
        Verdict::Revoked => 2,
    }
}

/// A source with the secrets of its users.
pub(super) struct Source {
    pub(super) kind: SourceKind,
    /// Whether users that lose their right have lost it.
    pub(super) is_revoked: bool,
    /// Certificates of the accounts.
    shown: Vec<TlsContext>,
    /// Files of keys.
    _folder: tempfile::TempDir,
    _authority: Authority,
    /// Listener at which the guest fetches its orders.
    orders: TcpListener,
    guest: Option<TcpStream>,
}

impl Source {
    /// The source, and a broker that knows it. Clients of 3.1.1 have a window of one message.
    pub(super) fn start(kind: SourceKind) -> (Self, Broker) {
        let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
        let secret = folder.path().join("secret");
        std::fs::write(&secret, SECRET).unwrap();
        let options = options().variable("LOTMQ_LIMITS_SEND_WINDOW", "1");
        let options = match kind {
            SourceKind::Account => options,
            SourceKind::Certificate => with_certificates(options, &authority),
            SourceKind::Token => options
                .variable("LOTMQ_AUTH_MODULES", "jwt,builtin")
                .variable("LOTMQ_AUTH_JWT_SECRET_FILE", secret.to_str().unwrap()),
            SourceKind::Guest => options
                .variable("LOTMQ_AUTH_MODULES", "grants,builtin")
                .variable("LOTMQ_ROUTES_ALLOW_LOOPBACK", "true"),
        };
        let shown = |name: &&str| {
            let signed = authority.client(name);
            let (certificate, key) = (Some(signed.certificate), Some(signed.key));
            TlsContext::new(&TlsOptions { certificate, key, ..authority.trusted() }).unwrap()
        };
        let shown = ACCOUNTS.iter().map(shown).collect();
        let orders = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut source = Self {
            kind,
            is_revoked: false,
            shown,
            _folder: folder,
            _authority: authority,
            orders,
            guest: None,
        };
        let broker = options.start();
        if kind == SourceKind::Guest {
            source.install_guest(&broker);
            source.started(&broker);
        }
        (source, broker)
    }

    fn install_guest(&self, broker: &Broker) {
        let port = self.orders.local_addr().unwrap().port();
        let config = json!({"endpoints": {"orders": {"HOST": "127.0.0.1", "PORT": port}}});
        let guest = BASE64_STANDARD.encode(GUEST);
        broker.command_ok(&format!(
            "-addModule grants -world auth -net 127.0.0.1:{port} -config {config} wasm64:{guest}"
        ));
    }

    /// Waits until the source is there, when the broker has started.
    pub(super) fn started(&mut self, broker: &Broker) {
        if self.kind != SourceKind::Guest {
            return;
        }
        self.guest = Some(self.orders.accept().unwrap().0);
        let options = ConnectOptions::new("probe").user("probe", "{}");
        eventually("the guest is open", || Client::connect(broker.address(), &options).ok());
    }

    /// Has the guest replace the principals of these users, and waits until it has.
    pub(super) fn replace(&mut self, broker: &Broker, cases: &[Case]) {
        let guest = self.guest.as_ref().expect("the guest is open");
        let lines = || broker.command_ok("-listLogLines module grants 5").0.to_string();
        let order = |case: &Case| format!("{} {}\n", case.id(), self.rights(case));
        let orders: String = cases.iter().map(order).chain(["?\n".to_owned()]).collect();
        (&*guest).write_all(orders.as_bytes()).unwrap();
        let done = format!("\"{} sessions\"", cases.len());
        eventually(&done, || lines().contains(&done).then_some(()));
    }

    /// Logs the user of a case in.
    pub(super) fn log_in(
        &self,
        broker: &Broker,
        case: &Case,
        options: ConnectOptions,
    ) -> Result<Client, ClientError> {
        let account = account(case.verdict);
        match self.kind {
            SourceKind::Account => Client::connect(broker.address(), &options.user(ACCOUNTS[account], "pw")),
            SourceKind::Certificate => {
                let port = broker.port_of("mqtts");
                let endpoint = Endpoint::tcp("127.0.0.1", port).tls(&self.shown[account]);
                Client::connect_at(&endpoint, &options)
            }
            SourceKind::Token if case.is_v5 => {
                let options =
                    options.property(PropertyId::AuthenticationMethod, PropertyValue::Utf8("JWT")).property(
                        PropertyId::AuthenticationData,
                        PropertyValue::Binary(self.token(case).as_bytes()),
                    );
                Client::connect(broker.address(), &options)
            }
            SourceKind::Guest => {
                let options = options.user(case.id(), self.rights(case).to_string());
                Client::connect(broker.address(), &options)
            }
            SourceKind::Token => Client::connect(broker.address(), &options.user("jwt", self.token(case))),
        }
    }

    /// Token of the user of a case, which is named after the case.
    fn token(&self, case: &Case) -> String {
        let grant = |(permission, topic): &(&str, &str)| json!({"permission": permission, "action": "all", "topic": topic});
        let acl: Vec<Value> = self.grants(case).iter().map(grant).collect();
        let groups = self.groups(case);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let claims = json!({"sub": case.id(), "exp": now + 3_600, "groups": groups, "acl": acl});
        TokenSigner::hmac(SECRET).sign(&json!({"alg": "HS256"}), &claims)
    }

    /// Password for the guest: the rights of the user of a case.
    fn rights(&self, case: &Case) -> Value {
        json!({"groups": self.groups(case), "grants": self.grants(case)})
    }

    fn is_allowed(&self, case: &Case) -> bool {
        if self.is_revoked { case.ends_allowed() } else { case.begins_allowed() }
    }

    /// Effects and filters of the grants.
    fn grants(&self, case: &Case) -> &'static [(&'static str, &'static str)] {
        match self.is_allowed(case) {
            true => &[("allow", "#"), ("allow", "$SYS/Coreflux/Rules/#")],
            false => &[("deny", "x/#"), ("allow", "#")],
        }
    }

    fn groups(&self, case: &Case) -> Value {
        if self.is_allowed(case) { json!(["in"]) } else { json!([]) }
    }

    /// Authenticates a live Client of 5.0 again, by a token with the rights of now.
    pub(super) fn authenticate_again(&self, client: &mut Client, case: &Case) {
        let token = self.token(case);
        send_auth(client, ReasonCode::ReAuthenticate, Some(&token));
        loop {
            let packet = client.connection().receive(WAIT_MAX).unwrap().expect("AUTH");
            let packet = packet.decode().unwrap();
            if let ServerPacket::Auth(auth) = packet {
                return assert_eq!(auth.reason, ReasonCode::Success, "{case:?}");
            }
            assert!(matches!(packet, ServerPacket::Publish(_)), "{case:?}: {packet:?}");
        }
    }
}

fn with_certificates(options: BrokerOptions, authority: &Authority) -> BrokerOptions {
    let signed = authority.server("broker");
    options
        .variable("LOTMQ_TLS_CERTIFICATE", signed.certificate.to_str().unwrap())
        .variable("LOTMQ_TLS_KEY", signed.key.to_str().unwrap())
        .variable("LOTMQ_TLS_CLIENT_CA", authority.file().to_str().unwrap())
        .variable("LOTMQ_LISTENER_MQTTS_PORT", "0")
        .variable("LOTMQ_LISTENER_MQTTS_BIND", "127.0.0.1")
        .variable("LOTMQ_LISTENER_MQTTS_CLIENT_CERTIFICATE", "required")
        .variable("LOTMQ_LISTENER_MQTTS_USER_FROM_CERTIFICATE", "common-name")
        .variable("LOTMQ_LISTENER_WSS_PORT", "off")
}
