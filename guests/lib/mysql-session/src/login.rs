//! The login: what both sides are able to, TLS, and who the route is.

use std::io::{Read, Write};

use mysql_common::auth::plugins::client_ed25519::ClientEd25519;
use mysql_common::auth::plugins::mysql_native_password::scramble_native;
use mysql_common::auth::plugins::{ChallengeResponsePlugin, Context};
use mysql_common::constants::{CapabilityFlags, MariadbCapabilities};
use mysql_common::io::ParseBuf;
use mysql_common::packets::{AuthPlugin, AuthSwitchRequest, HandshakePacket, HandshakeResponse, SslRequest};

use crate::fault::{Fault, broken};
use crate::limits::{LOGIN_STEPS_MAX, PACKET_BYTES_MAX};
use crate::sha2::{CachingSha2, Secret};
use crate::wire::{Wire, bytes_of};

/// Our capabilities. Results end in the form that all servers know.
const ABLE: CapabilityFlags = CapabilityFlags::CLIENT_PROTOCOL_41
    .union(CapabilityFlags::CLIENT_LONG_PASSWORD)
    .union(CapabilityFlags::CLIENT_LONG_FLAG)
    .union(CapabilityFlags::CLIENT_TRANSACTIONS)
    .union(CapabilityFlags::CLIENT_SECURE_CONNECTION)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA)
    .union(CapabilityFlags::CLIENT_CONNECT_WITH_DB)
    .union(CapabilityFlags::CLIENT_MULTI_RESULTS)
    .union(CapabilityFlags::CLIENT_PS_MULTI_RESULTS);

/// Version of a server from which on there is utf8mb4, which all have that are met.
const VERSION: (u16, u16, u16) = (8, 0, 0);

/// Bytes of what a password is mixed with, but for Ed25519.
const NONCE_BYTES: usize = 20;

/// Credentials of a login.
pub struct Login<'a> {
    /// User.
    pub user: &'a str,
    /// Password; may be empty.
    pub password: &'a str,
    /// Database, if there is to be one.
    pub database: Option<&'a str>,
    /// Whether TLS is asked for.
    pub is_secure: bool,
}

/// Facts about the server, known from the login.
#[derive(Debug)]
pub(crate) struct Welcome {
    pub(crate) is_mariadb: bool,
    /// Whether columns say more than MySQL's do.
    pub(crate) is_extended: bool,
}

/// Logs in.
pub(crate) fn login<S: Read + Write>(
    wire: &mut Wire<S>,
    login: &Login<'_>,
    start_tls: impl FnOnce(&S) -> Result<(), Fault>,
) -> Result<Welcome, Fault> {
    let packet = wire.receive()?;
    if packet.first() == Some(&0xff) {
        return Err(Fault::parse(&packet));
    }
    let handshake: HandshakePacket<'_> = ParseBuf(&packet).parse(()).map_err(broken)?;
    // MariaDB does not say that it is MySQL.
    let is_mariadb = !handshake.capabilities().contains(CapabilityFlags::CLIENT_LONG_PASSWORD);
    let mut extended = MariadbCapabilities::empty();
    let mut able = ABLE & (handshake.capabilities() | CapabilityFlags::CLIENT_LONG_PASSWORD);
    if is_mariadb {
        extended =
            handshake.mariadb_ext_capabilities() & MariadbCapabilities::MARIADB_CLIENT_EXTENDED_METADATA;
        able.remove(CapabilityFlags::CLIENT_LONG_PASSWORD);
    }
    if login.is_secure {
        able.insert(CapabilityFlags::CLIENT_SSL);
        secure(wire, &handshake, able, extended, start_tls)?;
    }
    // Others are what the server switches to.
    let plugin = match handshake.auth_plugin() {
        Some(AuthPlugin::CachingSha2Password) => AuthPlugin::CachingSha2Password,
        Some(_) | None => AuthPlugin::MysqlNativePassword,
    };
    let nonce: Vec<u8> = handshake.nonce().into_iter().take(NONCE_BYTES).collect();
    let mut method = Method::new(&plugin, nonce, login)?;
    let shown = method.first()?;
    let response = HandshakeResponse::new(
        Some(shown),
        VERSION,
        Some(login.user.as_bytes()),
        login.database.map(str::as_bytes),
        Some(plugin),
        able,
        None,
        u32::try_from(PACKET_BYTES_MAX).unwrap_or(u32::MAX),
    );
    wire.send(&bytes_of(&response.with_mariadb_ext_capabilities(extended)))?;
    authenticate(wire, method, login)?;
    Ok(Welcome { is_mariadb, is_extended: !extended.is_empty() })
}

fn secure<S: Read + Write>(
    wire: &mut Wire<S>,
    handshake: &HandshakePacket<'_>,
    able: CapabilityFlags,
    extended: MariadbCapabilities,
    start_tls: impl FnOnce(&S) -> Result<(), Fault>,
) -> Result<(), Fault> {
    if !handshake.capabilities().contains(CapabilityFlags::CLIENT_SSL) {
        return Err(Fault::Lost("the server has no TLS".to_owned()));
    }
    const UTF8MB4: u8 = 45;
    let largest = u32::try_from(PACKET_BYTES_MAX).unwrap_or(u32::MAX);
    let request = SslRequest::new(able, largest, UTF8MB4).with_mariadb_capabilities(extended);
    wire.send(&bytes_of(&request))?;
    // Anybody could have sent bytes before TLS.
    if !wire.is_quiet() {
        return Err(broken("it speaks before TLS"));
    }
    start_tls(wire.stream())
}

/// Exchanges messages until the server accepts the login.
fn authenticate<'a, S: Read + Write>(
    wire: &mut Wire<S>,
    mut method: Method<'a>,
    login: &'a Login<'a>,
) -> Result<(), Fault> {
    for _ in 0..LOGIN_STEPS_MAX {
        let packet = wire.receive()?;
        let answer = match packet.split_first() {
            Some((0x00, _)) => {
                wire.open();
                return Ok(());
            }
            Some((0xff, _)) => return Err(Fault::parse(&packet)),
            Some((0x01, challenge)) => method.next(challenge)?,
            Some((0xfe, [])) => return Err(refused("mysql_old_password")),
            Some((0xfe, _)) => {
                let asked: AuthSwitchRequest<'_> = ParseBuf(&packet).parse(()).map_err(broken)?;
                let plugin = asked.auth_plugin().into_owned();
                method = Method::new(&plugin, asked.plugin_data().to_vec(), login)?;
                Some(method.first()?)
            }
            Some(_) | None => return Err(broken("a login that is none")),
        };
        if let Some(answer) = answer {
            wire.send(&answer)?;
        }
    }
    Err(broken("a login without an end"))
}

/// Way to prove who the route is.
struct Method<'a> {
    way: Way,
    nonce: Vec<u8>,
    login: &'a Login<'a>,
}

/// The ways that there are. The library's own list of them would bring what no login needs.
enum Way {
    Native,
    Ed25519,
    Sha2(CachingSha2),
    /// The password itself.
    Clear,
}

impl<'a> Method<'a> {
    fn new(plugin: &AuthPlugin<'_>, nonce: Vec<u8>, login: &'a Login<'a>) -> Result<Self, Fault> {
        let way = match plugin {
            AuthPlugin::MysqlNativePassword => Way::Native,
            AuthPlugin::Ed25519 => Way::Ed25519,
            AuthPlugin::CachingSha2Password => Way::Sha2(CachingSha2::default()),
            AuthPlugin::MysqlClearPassword if login.is_secure => Way::Clear,
            AuthPlugin::MysqlClearPassword
            | AuthPlugin::MysqlOldPassword
            | AuthPlugin::Sha256Password
            | AuthPlugin::Parsec
            | AuthPlugin::Other(_) => return Err(refused(&String::from_utf8_lossy(plugin.as_bytes()))),
        };
        Ok(Method { way, nonce, login })
    }

    fn first(&mut self) -> Result<Vec<u8>, Fault> {
        let (nonce, password) = (&self.nonce, self.login.password);
        match &self.way {
            Way::Native => {
                let mix = scramble_native(nonce, password.as_bytes());
                Ok(mix.map(|mix| mix.to_vec()).unwrap_or_default())
            }
            Way::Sha2(_) => CachingSha2::first(nonce, password),
            Way::Clear => Ok([password.as_bytes(), &[0]].concat()),
            Way::Ed25519 => {
                let signed = ClientEd25519::default().run(Who { password, nonce }, nonce).map_err(broken)?;
                Ok(signed.data().map(<[u8]>::to_vec).unwrap_or_default())
            }
        }
    }

    fn next(&mut self, challenge: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let secret = Secret { nonce: &self.nonce, password: self.login.password };
        match &mut self.way {
            Way::Sha2(way) => way.next(challenge, &secret, self.login.is_secure),
            Way::Native | Way::Ed25519 | Way::Clear => Err(broken("a login that is none")),
        }
    }
}

fn refused(method: &str) -> Fault {
    Fault::Rejected(format!(
        "the server asks for a login by {method}; there are mysql_native_password, caching_sha2_password and ed25519, and with USE_SSL mysql_clear_password"
    ))
}

struct Who<'a> {
    password: &'a str,
    nonce: &'a [u8],
}

impl Context for Who<'_> {
    fn pass(&self) -> &[u8] {
        self.password.as_bytes()
    }

    fn is_ipc_transport(&self) -> bool {
        false
    }

    fn is_tls_transport(&self) -> bool {
        false
    }

    fn scramble(&self) -> &[u8] {
        self.nonce
    }

    fn server_key_pem(&self) -> Option<&[u8]> {
        None
    }
}
