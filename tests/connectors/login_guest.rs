//! Brokers that ask a guest of world `auth` about logins.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use lotmq_client::{Client, ClientError, ReasonCode};
use lotmq_test_support::{Broker, BrokerOptions};
use serde_json::Value as Json;

/// A guest, as operators upload it.
pub(crate) struct Guest {
    pub(crate) name: &'static str,
    pub(crate) component: &'static [u8],
}

impl Guest {
    /// Adds the guest, or puts it in the place of the one that is there. It may reach a server.
    pub(crate) fn install(&self, broker: &Broker, server: &str, config: &Json) {
        let Guest { name, component } = self;
        let (config, bytes) = (quoted(&config.to_string()), BASE64_STANDARD.encode(component));
        broker.command_ok(&format!(
            "-addModule {name} -world auth -replace -net {server} -config {config} wasm64:{bytes}"
        ));
    }
}

/// Options of a broker that asks these members, bans nobody, and lets nobody wait after failures.
pub(crate) fn options(members: &str) -> BrokerOptions {
    crate::options()
        .variable("LOTMQ_AUTH_MODULES", members)
        .variable("LOTMQ_AUTH_BAN_CONNECTS_PER_MIN", "0")
        .variable("LOTMQ_LIMITS_LOGIN_WAIT_MAX_SEC", "0")
}

/// A text with blanks, as an argument of a command.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\\\""))
}

/// Reason code of a login that is refused.
pub(crate) fn refused(login: Result<Client, ClientError>) -> ReasonCode {
    match login {
        Err(ClientError::Refused { reason, .. }) => reason,
        Ok(_) => panic!("the client is let in"),
        Err(error) => panic!("{error}"),
    }
}
