//! The options of the command line about the connection to a broker; names and meanings are those
//! of `mosquitto_pub` and `mosquitto_sub`.
//!
//! Not here: the protocol, which is `lotmq-client`'s, and what the subcommands do with a
//! connection.

mod context;
mod follow;
mod properties;
mod url;

use std::io::{BufRead as _, Read as _};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::error::ErrorKind;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use lotmq_client::{
    Client, ClientError, ConnectOptions, Endpoint, PropertyId, PropertyPlace, ProtocolVersion, QoS,
    ReasonCode, TlsContext, TlsOptions, Will,
};
use lotmq_terminal::{
    Misuse, OrMisuse as _,
    output::{chain, note},
};

pub use context::{Context, Contexts};
pub use follow::{Following, follow};
pub use properties::PropertyArgs;
pub use url::{Unquoted, Url};

/// Connection options of the command line, completed from a context.
#[derive(Clone, Debug, Default)]
pub struct ConnectArgs {
    /// Address of the broker, and the login.
    pub login: LoginArgs,
    /// Layers between the socket and MQTT.
    pub transport: TransportArgs,
    /// Longest wait for the connection, and for each acknowledgement, where somebody waits for less
    /// than usual.
    pub patience: Option<Duration>,
    /// Bytes of the largest packet that the broker may send; `None` for what the standard has. For
    /// who knows what is asked for.
    pub packet_bytes_max: Option<NonZeroU32>,
    /// Context of which user, password or broker are, if one was used.
    pub used_context: Option<UsedContext>,
}

/// A context of which something was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedContext {
    /// Its name.
    pub name: String,
    /// Whether host and port are its own.
    pub gave_address: bool,
    /// Whether the login is its own.
    pub gave_login: bool,
}

impl Args for ConnectArgs {
    fn augment_args(command: Command) -> Command {
        TransportArgs::augment_args(LoginArgs::augment_args(command))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// Here and not where a command connects, so that no command can forget the context.
impl FromArgMatches for ConnectArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut login = LoginArgs::from_arg_matches(matches)?;
        if let Some(file) = login.password_file.take() {
            let password = password_of(&file);
            login.password = Some(password.map_err(|error| clap::Error::raw(ErrorKind::Io, chain(&error)))?);
        }
        let by_hand = Self {
            login,
            transport: TransportArgs::from_arg_matches(matches)?,
            patience: None,
            packet_bytes_max: None,
            used_context: None,
        };
        by_hand.with_context().map_err(|error| clap::Error::raw(ErrorKind::ValueValidation, chain(&error)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Address of the broker, and the login.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Connection")]
pub struct LoginArgs {
    /// Name or address of the broker [default: 127.0.0.1]
    #[arg(short = 'h', long, value_parser = Unquoted(host))]
    pub host: Option<String>,
    /// Port of the broker [default: 1883, with TLS 8883, with WebSocket 80 and 443]
    #[arg(short = 'p', long)]
    pub port: Option<u16>,
    /// Broker, user and topic in one: mqtt://[user[:password]@]host[:port][/topic]; mqtts:// for
    /// TLS, ws:// and wss:// for WebSocket, where a path stands for the topic
    #[arg(short = 'L', long, value_parser = Unquoted(Url::parse))]
    pub url: Option<Url>,
    /// Context whose broker and login are used, made by `lotmq context add` [default:
    /// LOTMQ_CONTEXT, else that of `lotmq context use`, and none where -h, -p, -L or --unix names a
    /// broker]
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// User name
    #[arg(short = 'u', long)]
    pub username: Option<String>,
    /// Password; whoever lists the processes of this machine sees it there
    #[arg(short = 'P', long = "pw", visible_alias = "password")]
    pub password: Option<String>,
    /// Read the password from the first line of this file; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "password")]
    pub password_file: Option<PathBuf>,
    /// Client identifier [default: lotmq- and random characters]
    #[arg(short = 'i', long)]
    pub id: Option<String>,
    /// Begin of the client identifier; random characters follow
    #[arg(short = 'I', long, conflicts_with = "id")]
    pub id_prefix: Option<String>,
    /// Protocol version: 31, 311 or 5 [default: 5, and 311 with a broker that does not know it;
    /// bench: 311]
    #[arg(short = 'V', long, value_parser = version)]
    pub protocol_version: Option<Version>,
    /// Option or tool that needs version 5, if one does.
    #[arg(skip)]
    pub version_5_for: Option<String>,
    /// Seconds of silence after which a sign of life is sent; 0 for none
    #[arg(short = 'k', long, default_value_t = 60)]
    pub keepalive: u16,
    /// Say on standard error what happens
    #[arg(short = 'd', long)]
    pub debug: bool,
}

/// Layers between the socket and MQTT.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "TLS, WebSocket, zstd, Unix socket")]
pub struct TransportArgs {
    /// Use TLS; PEM file with the authorities that are trusted
    #[arg(long, value_name = "FILE")]
    pub cafile: Option<PathBuf>,
    /// Use TLS; trust the authorities of the system, as with mqtts:// and wss:// when nothing else
    /// is said
    #[arg(long, conflicts_with = "cafile")]
    pub tls_use_os_certs: bool,
    /// Use TLS; PEM file with the certificate of this client
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// PEM file with the key of that certificate, not encrypted
    // A text in PEM begins with dashes: so it is taken for a wrong path, which is not shown.
    #[arg(long, value_name = "FILE", requires = "cert", allow_hyphen_values = true)]
    pub key: Option<PathBuf>,
    /// Do not check that the broker's certificate is for its name; who signed it is checked all the
    /// same
    #[arg(long)]
    pub insecure: bool,
    /// Use TLS; protocol to ask for, as `mqtt`
    #[arg(long, value_name = "PROTOCOL")]
    pub tls_alpn: Option<String>,
    /// Use WebSocket, at the path /mqtt
    #[arg(long, conflicts_with = "zstd")]
    pub ws: bool,
    /// The zstd stream.
    #[command(flatten)]
    pub zstd: ZstdArgs,
    /// File of a Unix socket, instead of host and port
    #[arg(long, value_name = "FILE", conflicts_with_all = ["host", "port", "url", "ws"])]
    pub unix: Option<PathBuf>,
}

/// The zstd stream.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "TLS, WebSocket, zstd, Unix socket")]
pub struct ZstdArgs {
    /// Ask for the zstd stream transport of lotmq, and go on without where the broker does not have
    /// it; implies version 5
    #[arg(long)]
    pub zstd: bool,
    /// Milliseconds for which what is sent is collected; with --zstd also by the broker
    #[arg(long, value_name = "MS", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub flush_ms: u16,
}

/// Most bytes of a password, as of a field in CONNECT, and of the end of its line.
const PASSWORD_BYTES_MAX: u64 = 65_535 + 2;

/// The password in the first line of a file, or of standard input for `-`.
///
/// # Errors
/// When it cannot be read, or is empty.
pub fn password_of(file: &Path) -> anyhow::Result<String> {
    let mut line = String::new();
    if file.as_os_str() == "-" {
        let input = std::io::stdin().lock();
        let read = input.take(PASSWORD_BYTES_MAX).read_line(&mut line);
        read.context("cannot read the password from standard input")?;
    } else {
        let cannot_read = || format!("cannot read {}", file.display());
        let file = std::fs::File::open(file).with_context(cannot_read)?;
        std::io::BufReader::new(file.take(PASSWORD_BYTES_MAX))
            .read_line(&mut line)
            .with_context(cannot_read)?;
    }
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    anyhow::ensure!(!line.is_empty(), "the password is empty");
    Ok(line)
}

impl TransportArgs {
    /// Whether an option asks for TLS.
    fn wants_tls(&self) -> bool {
        self.cafile.is_some() || self.tls_use_os_certs || self.cert.is_some() || self.tls_alpn.is_some()
    }

    fn tls(&self) -> anyhow::Result<TlsContext> {
        let options = TlsOptions {
            authorities: self.cafile.clone(),
            certificate: self.cert.clone(),
            key: self.key.clone(),
            ignores_name: self.insecure,
            alpn: self.tls_alpn.iter().cloned().collect(),
        };
        TlsContext::new(&options).context("TLS")
    }
}

/// A session that outlives its connection, and a Will.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Session and will")]
pub struct SessionArgs {
    /// Keep the session: subscriptions and missed messages wait for the same client identifier, for
    /// ever unless -x says how long
    #[arg(short = 'c', long, requires = "id")]
    pub disable_clean_session: bool,
    /// Seconds that the session outlives the connection; needs version 5. `-1` for ever
    #[arg(short = 'x', long, allow_negative_numbers = true)]
    pub session_expiry_interval: Option<i64>,
    /// Topic of a message that the broker publishes when this client is lost
    #[arg(long)]
    pub will_topic: Option<String>,
    /// Payload of that message
    #[arg(long, requires = "will_topic")]
    pub will_payload: Option<String>,
    /// QoS of that message
    #[arg(long, value_parser = qos, default_value = "0")]
    pub will_qos: Quality,
    /// Keep that message for later subscribers
    #[arg(long, requires = "will_topic")]
    pub will_retain: bool,
    /// Properties of packets.
    #[command(flatten)]
    pub properties: PropertyArgs,
}

/// A QoS on the command line.
pub type Quality = QoS;

/// A protocol version on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(pub ProtocolVersion);

/// A name or address alone: what else is written into it has an option of its own.
fn host(text: &str) -> Result<String, String> {
    if text.contains("://") {
        // It may hold a password.
        return Err("a URL is for -L, as in -L mqtt://host".to_owned());
    }
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match text.split_once(':') {
        Some((host, port)) if is_port(port) && !host.is_empty() => {
            Err(format!("the port is for -p, as in -h {host} -p {port}"))
        }
        Some(_) | None => Ok(text.to_owned()),
    }
}

fn version(text: &str) -> Result<Version, String> {
    let number = text.trim_start_matches("mqttv").trim_start_matches('v');
    match number {
        "31" | "3.1" | "3" => Ok(Version(ProtocolVersion::V3_1)),
        "311" | "3.1.1" | "4" => Ok(Version(ProtocolVersion::V3_1_1)),
        "5" | "50" | "5.0" => Ok(Version(ProtocolVersion::V5)),
        _ => Err("versions are 31, 311 and 5".to_owned()),
    }
}

/// A version as the standards call it.
fn version_name(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::V3_1 => "MQTT 3.1",
        ProtocolVersion::V3_1_1 => "MQTT 3.1.1",
        ProtocolVersion::V5 => "MQTT 5.0",
    }
}

/// Reads a QoS.
///
/// # Errors
/// A sentence for the user when the text is none.
pub fn qos(text: &str) -> Result<Quality, String> {
    text.parse().ok().and_then(QoS::from_bits).ok_or_else(|| "QoS is 0, 1 or 2".to_owned())
}

impl ConnectArgs {
    /// Whether nothing of the connection leaves this machine: a Unix socket, or an address of
    /// loopback. A name may stand for any address.
    pub fn stays_on_this_machine(&self) -> bool {
        let (host, _) = self.login.host_and_port(0);
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
        let is_loopback = address.is_ok_and(|address| address.to_canonical().is_loopback());
        self.transport.unix.is_some() || is_loopback || host.eq_ignore_ascii_case("localhost")
    }

    /// Whether it goes through TLS, to a broker whose name is checked.
    pub fn is_encrypted(&self) -> bool {
        self.has_tls() && !self.transport.insecure
    }
}

impl LoginArgs {
    /// Host and port: of the options, else of the URL, else `usual`.
    fn host_and_port(&self, usual: u16) -> (&str, u16) {
        let url = self.url.as_ref();
        let host = self.host.as_deref().or(url.map(|url| url.host.as_str())).unwrap_or("127.0.0.1");
        (host, self.port.or(url.and_then(|url| url.port)).unwrap_or(usual))
    }

    /// Whether a password was given, by an option or in the URL.
    fn has_password(&self) -> bool {
        self.password.is_some() || self.url.as_ref().is_some_and(|url| url.password.is_some())
    }

    /// Chooses version 5, without which there is no `option`, where no version was chosen.
    ///
    /// # Errors
    /// [`Misuse`] when another one was.
    pub fn needs_version_5(&mut self, option: &str) -> Result<(), Misuse> {
        self.version_5_for.get_or_insert_with(|| option.to_owned());
        match self.protocol_version.get_or_insert(Version(ProtocolVersion::V5)) {
            Version(ProtocolVersion::V5) => Ok(()),
            Version(ProtocolVersion::V3_1 | ProtocolVersion::V3_1_1) => {
                Err(Misuse(format!("{option} needs version 5; leave -V out or give -V 5")))
            }
        }
    }

    /// The version that was chosen, else `usual`.
    pub fn version_or(&self, usual: ProtocolVersion) -> ProtocolVersion {
        self.protocol_version.map_or(usual, |version| version.0)
    }

    /// Returns the options of CONNECT and of the zstd stream. Without a chosen protocol version it
    /// takes `usual`.
    ///
    /// # Errors
    /// [`Misuse`] if options contradict one another; an error if the system has no random numbers
    /// for an identifier.
    pub fn options(mut self, zstd: ZstdArgs, usual: ProtocolVersion) -> anyhow::Result<ConnectOptions> {
        if zstd.zstd {
            self.needs_version_5("--zstd")?;
        }
        let mut options = ConnectOptions::new(self.client_id()?)
            .version(self.version_or(usual))
            .keep_alive(self.keepalive)
            .flush_ms(zstd.flush_ms);
        if zstd.zstd {
            options = options.zstd();
        }
        let url = self.url.as_ref();
        let url_user = || url.and_then(|url| url.user.clone());
        let url_password = || url.and_then(|url| url.password.clone());
        options.user_name = self.username.clone().or_else(url_user);
        options.password = self.password.clone().or_else(url_password).map(String::into_bytes);
        if options.password.is_some() && options.user_name.is_none() && options.version != ProtocolVersion::V5
        {
            let told = "a password needs a user name before version 5; add -u";
            return Err(Misuse(told.to_owned()).into());
        }
        Ok(options)
    }

    /// Connects as this Client and in its version from now on.
    pub fn stay(&mut self, client: &Client) {
        self.id = Some(client.client_id().to_owned());
        self.protocol_version = Some(Version(client.version()));
    }

    /// Says something with `-d`.
    pub fn debug(&self, text: &str) {
        if self.debug {
            note(text);
        }
    }

    fn client_id(&self) -> anyhow::Result<String> {
        if let Some(id) = &self.id {
            return Ok(id.clone());
        }
        let prefix = self.id_prefix.as_deref().unwrap_or("lotmq-");
        Ok(format!("{prefix}{}", random_text(8)?))
    }
}

impl ConnectArgs {
    /// Returns the endpoint of the broker.
    ///
    /// # Errors
    /// [`Misuse`] if options contradict one another; an error if they name files that cannot be
    /// used.
    pub fn endpoint(&self) -> anyhow::Result<Endpoint> {
        let has_tls = self.has_tls();
        if self.transport.insecure && !has_tls {
            return Err(Misuse("--insecure is about TLS, which nothing here asks for".to_owned()).into());
        }
        if let Some(path) = &self.transport.unix {
            let endpoint = Endpoint::unix(path);
            return if has_tls { Ok(endpoint.tls(&self.transport.tls()?)) } else { Ok(endpoint) };
        }
        let is_websocket = self.is_websocket();
        let usual = match (has_tls, is_websocket) {
            (false, false) => 1883,
            (true, false) => 8883,
            (false, true) => 80,
            (true, true) => 443,
        };
        let (host, port) = self.login.host_and_port(usual);
        let mut endpoint = Endpoint::tcp(host, port);
        if is_websocket {
            let url = self.login.url.as_ref().filter(|url| url.scheme.is_websocket());
            let path = url.and_then(|url| url.tail.as_deref());
            endpoint = endpoint.compressed_websocket(&format!("/{}", path.unwrap_or("mqtt")));
        }
        if has_tls {
            endpoint = endpoint.tls(&self.transport.tls()?);
        }
        Ok(endpoint)
    }

    fn has_tls(&self) -> bool {
        self.transport.wants_tls() || self.login.url.as_ref().is_some_and(|url| url.scheme.has_tls())
    }

    fn is_websocket(&self) -> bool {
        self.transport.ws || self.login.url.as_ref().is_some_and(|url| url.scheme.is_websocket())
    }

    /// The versions to try, the first one first: those that nothing on the command line rules out;
    /// and what needs 5.0, if anything does.
    fn versions(&self, session: &SessionArgs) -> Result<(Vec<ProtocolVersion>, Option<String>), Misuse> {
        let mut login = self.login.clone();
        if session.session_expiry_interval.is_some() {
            login.needs_version_5("-x")?;
        }
        if self.transport.zstd.zstd {
            login.needs_version_5("--zstd")?;
        }
        if !session.properties.is_empty() {
            login.needs_version_5("-D")?;
        }
        let versions = match login.protocol_version {
            Some(chosen) => vec![chosen.0],
            None => vec![ProtocolVersion::V5, ProtocolVersion::V3_1_1],
        };
        Ok((versions, login.version_5_for))
    }

    /// Returns the options of CONNECT, with this protocol version if none was chosen.
    fn options(&self, session: &SessionArgs, version: ProtocolVersion) -> anyhow::Result<ConnectOptions> {
        let login = self.login.clone();
        let mut options =
            login.options(self.transport.zstd, version)?.clean_start(!session.disable_clean_session);
        if let Some(patience) = self.patience {
            options.connect_timeout = options.connect_timeout.min(patience);
            options.reply_timeout = options.reply_timeout.min(patience);
        }
        options.properties = session.properties.of(PropertyPlace::Connect);
        if let Some(bytes) = self.packet_bytes_max {
            options = options.largest_packet(bytes);
        }
        let has_expiry = options.properties.properties().contains(PropertyId::SessionExpiryInterval);
        let expiry = match session.session_expiry_interval {
            Some(_) if has_expiry => {
                return Err(Misuse(
                    "-x and -D connect session-expiry-interval say the same; give one".to_owned(),
                )
                .into());
            }
            None if has_expiry => None,
            Some(-1) => Some(u32::MAX),
            Some(seconds) => Some(u32::try_from(seconds).or_misuse("-x")?),
            // As before 5.0, where a session that is kept has no end of its own.
            None => {
                (session.disable_clean_session && options.version == ProtocolVersion::V5).then_some(u32::MAX)
            }
        };
        if let Some(seconds) = expiry {
            options = options.session_expiry(seconds);
        }
        let will_properties = session.properties.of(PropertyPlace::Will);
        if let Some(topic) = &session.will_topic {
            let mut will = Will::new(topic, session.will_payload.clone().unwrap_or_default());
            (will.qos, will.retain) = (session.will_qos, session.will_retain);
            will.properties = will_properties;
            options = options.will(will);
        } else if !will_properties.properties().is_empty() {
            return Err(Misuse("-D will needs a will; give --will-topic".to_owned()).into());
        }
        Ok(options)
    }

    /// Connects, in 5.0 where the broker knows it and nothing else was chosen.
    ///
    /// # Errors
    /// [`Misuse`] for the options, [`ClientError`] for the broker.
    pub fn connect(&self, session: &SessionArgs) -> anyhow::Result<Client> {
        let endpoint = self.endpoint()?;
        let client = self.log_in(&endpoint, session).map_err(|error| self.with_its_context(error))?;
        let present = if client.session_present() { ", session resumed" } else { "" };
        let zstd = if client.has_zstd() { ", zstd" } else { "" };
        self.login.debug(&format!("connected to {endpoint} as `{}`{present}{zstd}", client.client_id()));
        Ok(client)
    }
}

impl ConnectArgs {
    /// The error of a connection, with the context that broker or login are of.
    fn with_its_context(&self, error: anyhow::Error) -> anyhow::Error {
        let Some(UsedContext { name, gave_address, gave_login }) = &self.used_context else { return error };
        let told = match error.downcast_ref() {
            Some(ClientError::Refused {
                reason: ReasonCode::BadUserNameOrPassword | ReasonCode::NotAuthorized,
                ..
            }) if *gave_login => format!(
                "{error}; the login is that of context `{name}`, which `lotmq context add {name} --replace …` writes anew"
            ),
            Some(ClientError::Unreachable { .. }) if *gave_address => {
                format!("{error}; the broker is that of context `{name}`")
            }
            Some(_) | None => return error,
        };
        error.context(told)
    }

    fn log_in(&self, endpoint: &Endpoint, session: &SessionArgs) -> anyhow::Result<Client> {
        let (versions, version_5_for) = self.versions(session)?;
        let mut first_error = None;
        for version in versions {
            let error = match Client::connect_at(endpoint, &self.options(session, version)?) {
                Ok(client) => return Ok(client),
                Err(error) => error,
            };
            if !may_speak_older(&error) {
                return Err(error.into());
            }
            self.login.debug(&format!("no connection in {}: {error}", version_name(version)));
            first_error.get_or_insert(error);
        }
        let error = first_error.expect("at least one version was tried");
        Err(match version_5_for {
            Some(what) => without_version_5(error, &what),
            None => error.into(),
        })
    }
}

/// The error of a broker that answers no CONNECT of 5.0, which something needs.
fn without_version_5(error: ClientError, what: &str) -> anyhow::Error {
    let is_refused =
        matches!(error, ClientError::Refused { reason: ReasonCode::UnsupportedProtocolVersion, .. });
    let told = if is_refused {
        format!("the broker does not speak MQTT 5.0, which {what} needs")
    } else if error.is_closed() {
        format!("{error}; possibly it does not speak MQTT 5.0, which {what} needs")
    } else {
        return error.into();
    };
    anyhow::Error::from(error).context(told)
}

/// Whether this may be how a broker of an older version answers a CONNECT of 5.0: by its own return
/// code, or by closing without one.
fn may_speak_older(error: &ClientError) -> bool {
    let is_its_code = matches!(
        error,
        ClientError::Refused { reason: ReasonCode::UnsupportedProtocolVersion, .. }
            | ClientError::Malformed(_)
    );
    is_its_code || error.is_closed()
}

/// Random lower-case letters and digits without those that look alike: 5 bits each.
///
/// # Errors
/// When the system has no random numbers.
pub fn random_text(length: usize) -> anyhow::Result<String> {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = vec![0u8; length];
    getrandom::fill(&mut bytes).context("the system has no random numbers")?;
    Ok(bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_qos_are_read_as_mosquitto_reads_them() {
        for (text, expected) in [
            ("mqttv31", Some(ProtocolVersion::V3_1)),
            ("311", Some(ProtocolVersion::V3_1_1)),
            ("mqttv311", Some(ProtocolVersion::V3_1_1)),
            ("5", Some(ProtocolVersion::V5)),
            ("mqttv5", Some(ProtocolVersion::V5)),
            ("6", None),
        ] {
            assert_eq!(version(text).ok().map(|version| version.0), expected, "{text}");
        }
        assert_eq!(qos("2"), Ok(QoS::ExactlyOnce));
        assert_eq!(qos("3"), Err("QoS is 0, 1 or 2".to_owned()));
    }

    #[test]
    fn options_win_over_the_url() {
        let url = Url::parse("mqtt://ada:pw@broker:2883/a/b").unwrap();
        let login = LoginArgs { url: Some(url), id: Some("x".to_owned()), ..LoginArgs::default() };
        let mut args = ConnectArgs { login, ..ConnectArgs::default() };
        let address = |args: &ConnectArgs| args.endpoint().unwrap().to_string();
        assert_eq!(address(&args), "broker:2883");
        let options = args.options(&SessionArgs::default(), ProtocolVersion::V5).unwrap();
        assert_eq!(
            (options.user_name.as_deref(), options.password.as_deref()),
            (Some("ada"), Some(&b"pw"[..]))
        );
        args.login.host = Some("::1".to_owned());
        assert_eq!(address(&args), "[::1]:2883");
        args.login.port = Some(1);
        args.login.username = Some("eve".to_owned());
        assert_eq!(address(&args), "[::1]:1");
        let options = args.options(&SessionArgs::default(), ProtocolVersion::V5).unwrap();
        assert_eq!(options.user_name.as_deref(), Some("eve"));
    }

    #[test]
    fn ports_follow_the_transport() {
        let of = |text: &str| {
            let url = Some(Url::parse(text).unwrap());
            let login = LoginArgs { url, ..LoginArgs::default() };
            ConnectArgs { login, ..ConnectArgs::default() }.endpoint().map(|endpoint| endpoint.to_string())
        };
        assert_eq!(of("mqtt://h").unwrap(), "h:1883");
        assert_eq!(of("ws://h").unwrap(), "h:80");
        assert_eq!(of("ws://h:5000/path").unwrap(), "h:5000");
        let unix = TransportArgs { unix: Some("/run/x".into()), ..TransportArgs::default() };
        let args = ConnectArgs { transport: unix, ..ConnectArgs::default() };
        assert_eq!(args.endpoint().unwrap().to_string(), "/run/x");
    }

    #[test]
    fn password_alone_needs_version_5() {
        let args = LoginArgs { password: Some("p".to_owned()), ..LoginArgs::default() };
        let older = args.clone().options(ZstdArgs::default(), ProtocolVersion::V3_1_1);
        assert!(older.unwrap_err().to_string().contains("add -u"));
        assert!(args.options(ZstdArgs::default(), ProtocolVersion::V5).is_ok());
    }

    #[test]
    fn version_5_is_tried_first_and_nothing_else_where_it_is_needed() {
        const NEWEST: ProtocolVersion = ProtocolVersion::V5;
        let expiring = SessionArgs { session_expiry_interval: Some(60), ..SessionArgs::default() };
        let mut args = ConnectArgs::default();
        assert_eq!(args.versions(&SessionArgs::default()).unwrap().0, [NEWEST, ProtocolVersion::V3_1_1]);
        assert_eq!(args.versions(&expiring).unwrap().0, [NEWEST]);
        args.login.protocol_version = Some(Version(ProtocolVersion::V3_1_1));
        assert_eq!(args.versions(&SessionArgs::default()).unwrap().0, [ProtocolVersion::V3_1_1]);
        assert!(args.versions(&expiring).unwrap_err().to_string().contains("-x needs version 5"));
        args.transport.zstd.zstd = true;
        let told = args.versions(&SessionArgs::default()).unwrap_err().to_string();
        assert!(told.contains("--zstd needs version 5"), "{told}");
    }

    #[test]
    fn a_kept_session_has_no_end_unless_one_is_given() {
        let mut session = SessionArgs { disable_clean_session: true, ..SessionArgs::default() };
        let expiry = |session: &SessionArgs| {
            let options = ConnectArgs::default().options(session, ProtocolVersion::V5).unwrap();
            options.properties.properties().session_expiry_interval()
        };
        assert_eq!(expiry(&session), Some(u32::MAX));
        session.session_expiry_interval = Some(60);
        assert_eq!(expiry(&session), Some(60));
        assert_eq!(expiry(&SessionArgs::default()), None);
    }

    #[test]
    fn client_ids_are_random_behind_their_prefix() {
        let args = LoginArgs { id_prefix: Some("dev-".to_owned()), ..LoginArgs::default() };
        let (first, second) = (args.client_id().unwrap(), args.client_id().unwrap());
        assert!(first.starts_with("dev-") && first.len() == 12 && first != second);
    }
}
