//! `lotmq serve`: starts the broker and waits until it is told to stop.

mod lan;
mod reload;

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use clap::Args;
use lotmq_config::{Config, Secret};
use lotmq_connect::random_text;
use lotmq_server::{Server, Signals};
use lotmq_terminal::{Exit, output};

use crate::config_show::{PlaceArgs, warn_of_unknown_variables};
use crate::{log, open_files};
use lan::Lan;
pub(crate) use lan::{Reachable, is_for};
use reload::Reload;

/// Log filter for `log.debug`.
const DEBUG: &str = "info,client=debug,command=debug,lotmq=debug,lotmq_core=debug,lotmq_server=debug";

/// Start the broker. It needs no configuration.
///
/// Without configuration it listens on loopback only: MQTT on port 1883, MQTT over WebSocket on
/// port 5000, health and metrics on port 9100.
///
/// As in: lotmq serve --data ./data --listen 127.0.0.1:1883. SIGHUP makes it read changed
/// certificates again; of the configuration it says which keys have changed and take a restart.
///
/// lotmq serve --lan prints the passwords and the fingerprint of its authority at the first start,
/// and what to paste into clients. Its files are in the folder lan of the data directory.
///
/// Exit codes: 0 stopped by SIGTERM or SIGINT, 1 it could not start, 2 wrong usage.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Address and port of the MQTT listener; port 0 takes any free one
    #[arg(long, value_name = "ADDR:PORT", value_parser = address)]
    pub(crate) listen: Option<SocketAddr>,
    /// Address and port of GET /health and GET /metrics; port 0 takes any free one
    #[arg(long, value_name = "ADDR:PORT", value_parser = address)]
    pub(crate) health: Option<SocketAddr>,
    /// No anonymous clients while it runs (for good: auth.anonymous = false); where root has the
    /// password of every new broker it gets a random one, printed once
    #[arg(long)]
    pub(crate) secure: bool,
    /// Serve the local network: MQTT over TLS at port 8883 of all addresses, with a certificate and
    /// a user that the first start makes; without TLS this machine alone. Includes --secure
    #[arg(long)]
    pub(crate) lan: bool,
    /// The demo has its own ports, beside those of a broker that may be running.
    #[arg(skip)]
    pub(crate) is_demo: bool,
}

/// Reads `ADDR:PORT`; names and `localhost` are looked up, an address in front of the port may be
/// left out.
fn address(text: &str) -> Result<SocketAddr, String> {
    let full = if text.starts_with(':') { format!("127.0.0.1{text}") } else { text.to_owned() };
    if text.parse::<u16>().is_ok() {
        return Err(format!(
            "expected ADDR:PORT: 127.0.0.1:{text} is for this machine only, 0.0.0.0:{text} for all addresses"
        ));
    }
    let mut found = full.to_socket_addrs().map_err(|error| format!("expected ADDR:PORT: {error}"))?;
    found.next().ok_or_else(|| "the name has no address".to_owned())
}

pub(crate) fn serve(args: &ServeArgs) -> anyhow::Result<Exit> {
    let mut config = args.config()?;
    let made = args.make_root_password(&mut config)?;
    let _log = log::start(if config.log.debug { DEBUG } else { "info" }, config.log.format)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), data = %config.data.path.display(), "lotmq starts");
    match open_files::raise() {
        Ok(limit) => tracing::info!(open_files = limit, "files and connections that may be open"),
        Err(error) => tracing::warn!(%error, "the limit of open files stays as it is"),
    }
    if let Err(error) = lotmq_server::survive_file_size_limit() {
        tracing::warn!(%error, "a write beyond the limit on the size of files would end the process");
    }
    let lan = if args.lan { Some(Lan::prepare(&config)?) } else { None };
    let data = config.data.path.display().to_string();
    let is_new = if config.store_path().exists() { "" } else { "new " };
    let server = Server::start(&config)?;
    let signals = Signals::catch()?;
    for (name, address) in server.addresses() {
        output::tell(&format!("listening {name} {address}"))?;
    }
    output::tell(&format!("{is_new}data in {data}"))?;
    tell_root_password(&server, made.as_ref(), config.initial_root_password.as_ref())?;
    if let Some(Err(error)) = lan.map(|lan| lan.announce(&server)) {
        server.stop();
        return Err(error);
    }
    if let Some(advice) = server.advice() {
        output::tell(advice)?;
    }
    output::tell("ready")?;
    let reload = Arc::new(Reload::new(args.clone(), config));
    server.wait(signals, &|| Reload::look_on_thread(&reload))?;
    Ok(Exit::Success)
}

/// Shows the password that was made for root, if root has got it. One that was given is known to
/// whoever gave it, and does not belong into a log; that it is not root's is said.
fn tell_root_password(
    server: &Server,
    made: Option<&Secret>,
    initial: Option<&Secret>,
) -> anyhow::Result<()> {
    if let Some(made) = made {
        if server.is_password_of_root(made) {
            output::tell(&format!("password of root (shown only now): {}", made.reveal()))?;
        }
    } else if initial.is_some_and(|given| !server.is_password_of_root(given)) {
        tracing::warn!(
            "LOTMQ_ROOT_PASSWORD is not root's password and changes nothing: it is that of new data alone; `lotmq cmd -changeUserPassword root NEW` changes it"
        );
    }
    Ok(())
}

impl ServeArgs {
    /// Makes a password for root where `--secure` or `--lan` asks for one and none is given, and
    /// returns it.
    fn make_root_password(&self, config: &mut Config) -> anyhow::Result<Option<Secret>> {
        if !self.is_secure() || config.initial_root_password.is_some() {
            return Ok(None);
        }
        let made = Secret::new(random_text(20)?);
        config.initial_root_password = Some(made.clone());
        Ok(Some(made))
    }

    /// Whether `root` gets a password of its own, and nobody is let in without one.
    fn is_secure(&self) -> bool {
        self.secure || self.lan
    }

    /// The configuration with these flags on top; warns of variables that mean nothing.
    pub(crate) fn config(&self) -> anyhow::Result<Config> {
        warn_of_unknown_variables();
        self.read()
    }

    /// Settings of these flags: flag, key, value.
    ///
    /// # Errors
    /// `--lan` contradicts the configuration, or that cannot be read.
    pub(crate) fn settings(&self) -> anyhow::Result<Vec<(&'static str, &'static str, String)>> {
        let mut flags = Vec::new();
        if let Some(listen) = self.listen {
            flags.push(("--listen", "listener.mqtt.bind", listen.ip().to_string()));
            flags.push(("--listen", "listener.mqtt.port", listen.port().to_string()));
        }
        if let Some(health) = self.health {
            flags.push(("--health", "admin.bind", health.ip().to_string()));
            flags.push(("--health", "admin.health_port", health.port().to_string()));
        }
        if self.is_demo {
            flags.push(("demo", "listener.ws.port", "off".to_owned()));
        }
        if self.secure && !self.lan {
            flags.push(("--secure", "auth.anonymous", "false".to_owned()));
        }
        if self.lan {
            // A port of TLS that is set needs the certificate, which `--lan` adds.
            let settings = lan::settings(&self.place.read_usable(flags.clone())?)?;
            flags.extend(settings);
        }
        Ok(flags)
    }

    /// The same without warnings.
    fn read(&self) -> anyhow::Result<Config> {
        let flags = self.settings()?;
        let mut config = self.place.read(flags)?;
        if self.listen.is_some() {
            // The health port follows the MQTT listener's configuration, not that flag, which opens
            // nothing else to the network.
            config.health_fallback = Some(self.place.read_usable(Vec::new())?.listener.mqtt.bind);
        }
        config.replaces_default_password = self.is_secure();
        // The file that runs, also when an upgrade has put another one in its place.
        config.compile_worker = Some("/proc/self/exe".into());
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_may_leave_the_host_out() {
        for (text, expected) in [("0.0.0.0:1", "0.0.0.0:1"), (":7", "127.0.0.1:7"), ("[::1]:2", "[::1]:2")] {
            assert_eq!(address(text).map(|address| address.to_string()), Ok(expected.to_owned()));
        }
        for wrong in ["1883", "127.0.0.1", "127.0.0.1:x", ""] {
            assert!(address(wrong).unwrap_err().starts_with("expected ADDR:PORT"), "{wrong}");
        }
    }

    #[test]
    fn flags_win_and_secure_makes_a_password() {
        let args = ServeArgs {
            listen: Some("127.0.0.1:0".parse().unwrap()),
            health: Some("127.0.0.2:5".parse().unwrap()),
            secure: true,
            ..ServeArgs::default()
        };
        let mut config = args.config().unwrap();
        assert_eq!(config.mqtt_addresses(), ["127.0.0.1:0".parse().unwrap()]);
        assert_eq!(config.health_addresses(), ["127.0.0.2:5".parse().unwrap()]);
        assert_eq!(config.anonymous_login(), lotmq_config::AnonymousLogin::Off);
        let made = args.make_root_password(&mut config).unwrap();
        assert_eq!(made.map(|made| made.reveal().len()), Some(20));
        assert!(args.make_root_password(&mut config).unwrap().is_none(), "one that is given stays");
    }

    #[test]
    fn listen_opens_nothing_but_mqtt() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("lotmq.toml");
        let mut args = ServeArgs { listen: Some("0.0.0.0:7".parse().unwrap()), ..ServeArgs::default() };
        args.place.config = Some(file.clone());
        for (text, health) in [
            ("", ["127.0.0.1:9100", "[::1]:9100"].as_slice()),
            ("[listener.mqtt]\nbind = \"127.0.0.3\"\n", &["127.0.0.3:9100"]),
            ("[admin]\nbind = \"127.0.0.4\"\nhealth_port = 5\n", &["127.0.0.4:5"]),
        ] {
            std::fs::write(&file, text).unwrap();
            let config = args.config().unwrap();
            assert_eq!(config.mqtt_addresses(), ["0.0.0.0:7".parse().unwrap()]);
            let expected: Vec<SocketAddr> = health.iter().map(|address| address.parse().unwrap()).collect();
            assert_eq!(config.health_addresses(), expected, "{text}");
        }
    }
}
