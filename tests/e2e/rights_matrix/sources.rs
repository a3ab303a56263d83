//! Sources of users, and how a user of each logs in.

use std::time::{SystemTime, UNIX_EPOCH};

use lotmq_client::{
    Client, ClientError, ConnectOptions, Endpoint, PropertyId, PropertyValue, ReasonCode, TlsContext,
    TlsOptions,
};
use lotmq_codec::ServerPacket;
use lotmq_test_support::{Authority, Broker, BrokerOptions, TokenSigner, WAIT_MAX};
use serde_json::{Value, json};

use super::cases::{Case, Verdict};
use crate::jwt_authentication::send_auth;
use crate::options;

const SECRET: &str = "a secret of at least thirty-two bytes";

/// Source of the users of a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SourceKind {
    /// Accounts with passwords, and rules.
    Account,
    /// Certificates that name accounts, and rules.
    Certificate,
    /// Tokens with grants.
    Token,
}

impl SourceKind {
    pub(super) const ALL: [Self; 3] = [Self::Account, Self::Certificate, Self::Token];
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
        };
        let shown = |name: &&str| {
            let signed = authority.client(name);
            let (certificate, key) = (Some(signed.certificate), Some(signed.key));
            TlsContext::new(&TlsOptions { certificate, key, ..authority.trusted() }).unwrap()
        };
        let shown = ACCOUNTS.iter().map(shown).collect();
        (Self { kind, is_revoked: false, shown, _folder: folder, _authority: authority }, options.start())
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
            SourceKind::Token => Client::connect(broker.address(), &options.user("jwt", self.token(case))),
        }
    }

    /// Token of the user of a case, which is named after the case.
    fn token(&self, case: &Case) -> String {
        let is_allowed = if self.is_revoked { case.ends_allowed() } else { case.begins_allowed() };
        let grant = |permission: &str, topic: &str| json!({"permission": permission, "action": "all", "topic": topic});
        let acl = match is_allowed {
            true => vec![grant("allow", "#"), grant("allow", "$SYS/Coreflux/Rules/#")],
            false => vec![grant("deny", "x/#"), grant("allow", "#")],
        };
        let groups: Value = if is_allowed { json!(["in"]) } else { json!([]) };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let claims = json!({"sub": case.id(), "exp": now + 3_600, "groups": groups, "acl": acl});
        TokenSigner::hmac(SECRET).sign(&json!({"alg": "HS256"}), &claims)
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
