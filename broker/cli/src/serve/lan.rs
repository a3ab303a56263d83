//! `lotmq serve --lan`: a first start that serves a local network over TLS, with a certificate and
//! a user of its own.
//!
//! Invariants: listeners without TLS stay on loopback, and no client is let in without a password;
//! a configuration that says otherwise is an error that names the key. Passwords are printed once
//! and stored as hashes. Not here: the password of `root` (`serve`).

mod addresses;
mod files;

use std::path::{Path, PathBuf};

use anyhow::bail;
use lotmq_config::{AnonymousLogin, BUILT_IN_MODULE, Config, Durability, Port, ValueOrigin};
use lotmq_connect::random_text;
use lotmq_process::clock::wall_ms;
use lotmq_server::{CommandUser, Server, execute_command};
use lotmq_terminal::output;

pub(crate) use addresses::Reachable;
use files::LanFiles;
pub(crate) use files::is_for;

const FLAG: &str = "--lan";

/// Listener that other machines reach.
const LISTENER: &str = "mqtts";

/// User that is made for devices.
const USER: &str = "lan";

/// Fewest characters of the password of that user: 100 bits.
const PASSWORD_CHARS: usize = 20;

/// Code of a refusal to add a user that exists.
const USER_EXISTS: &str = "USER_EXISTS";

/// Files for the local network, and names of this machine in it.
pub(super) struct Lan {
    files: LanFiles,
    reachable: Reachable,
    /// SHA-256 of the authority's certificate.
    fingerprint: String,
    /// File that says that the user was made and shown.
    marker: PathBuf,
    password_chars: usize,
}

/// Folder of the files of `--lan`.
fn folder(config: &Config) -> PathBuf {
    config.data.path.join("lan")
}

/// Returns the settings that `--lan` adds to a configuration: flag, key, value.
///
/// # Errors
/// A key of the configuration contradicts `--lan`.
pub(super) fn settings(config: &Config) -> anyhow::Result<Vec<(&'static str, &'static str, String)>> {
    check(config)?;
    let certificate = std::path::absolute(LanFiles::of(folder(config)).certificate())?;
    let mut settings = vec![
        (FLAG, "tls.certificate", certificate.display().to_string()),
        (FLAG, "auth.anonymous", "false".to_owned()),
    ];
    let is_default = |key: &str| *config.origin(key) == ValueOrigin::Default;
    if is_default("listener.mqtts.bind") {
        let all = if Reachable::of_machine().has_ipv6 { "0.0.0.0,::" } else { "0.0.0.0" };
        settings.push((FLAG, "listener.mqtts.bind", all.to_owned()));
    }
    if is_default("listener.wss.port") {
        // A certificate alone would open port 443.
        settings.push((FLAG, "listener.wss.port", "off".to_owned()));
    }
    Ok(settings)
}

/// Refuses a configuration that contradicts `--lan`.
fn check(config: &Config) -> anyhow::Result<()> {
    for key in ["tls.certificate", "tls.key"] {
        let origin = config.origin(key);
        if *origin != ValueOrigin::Default {
            bail!(
                "--lan makes a certificate of its own, but `{key}` ({origin}) names another one; start without --lan, or remove the key"
            );
        }
    }
    if config.anonymous_login() == AnonymousLogin::Everywhere {
        let origin = config.origin("auth.anonymous");
        bail!(
            "--lan lets nobody in without a password, but `auth.anonymous` ({origin}) is true; remove the key"
        );
    }
    if config.store.durability == Durability::None {
        let origin = config.origin("store.durability");
        bail!("--lan stores a user, but `store.durability` ({origin}) is none; remove the key");
    }
    let mqtts = &config.listener.mqtts;
    if mqtts.port == Port::Off {
        let origin = config.origin("listener.mqtts.port");
        bail!("--lan listens with TLS, but `listener.mqtts.port` ({origin}) is off; remove the key");
    }
    let bound = mqtts.bind.addresses();
    let origin = config.origin("listener.mqtts.bind");
    if *origin != ValueOrigin::Default && bound.iter().all(|address| address.to_canonical().is_loopback()) {
        bail!(
            "--lan serves other machines, but `listener.mqtts.bind` ({origin}) has loopback addresses only; remove the key"
        );
    }
    let modules = mqtts.auth_modules.as_ref().unwrap_or(&config.auth.modules).names();
    if !modules.iter().any(|name| **name == *BUILT_IN_MODULE) {
        let origin = config.origin("auth.modules");
        bail!(
            "--lan makes a user, but the login modules of listener {LISTENER} ({origin}) leave out `{BUILT_IN_MODULE}`; add it"
        );
    }
    let has_tls = |listener: &str| ["mqtts", "wss", "quic"].contains(&listener);
    let open = config.public_addresses().into_iter().find(|(listener, _)| !has_tls(listener));
    if let Some((listener, address)) = open {
        let origin = config.origin(&format!("listener.{listener}.bind"));
        bail!(
            "--lan keeps listeners without TLS on this machine, but listener {listener} ({origin}) is at {address}; bind it to 127.0.0.1"
        );
    }
    Ok(())
}

impl Lan {
    /// Makes or renews the files, before the broker starts.
    ///
    /// # Errors
    /// See [`LanFiles::prepare`].
    pub(super) fn prepare(config: &Config) -> anyhow::Result<Self> {
        let folder = std::path::absolute(folder(config))?;
        let marker = folder.join("user");
        let (files, reachable) = (LanFiles::of(folder), Reachable::of_machine());
        let fingerprint = files.prepare(&reachable, wall_ms())?;
        let password_chars = PASSWORD_CHARS.max(config.auth.password_chars_min as usize);
        Ok(Self { files, reachable, fingerprint, marker, password_chars })
    }

    /// Makes the user at the first start, and prints what clients need.
    ///
    /// # Errors
    /// The listener could not be opened, the user could not be made, or standard output takes no
    /// more.
    pub(super) fn announce(&self, server: &Server) -> anyhow::Result<()> {
        let network = |(name, address): &(&'static str, lotmq_server::ListenAddress)| {
            address.network().filter(|_| *name == LISTENER)
        };
        let Some(opened) = server.addresses().iter().find_map(network) else {
            bail!(
                "listener {LISTENER} could not be opened, and --lan serves nothing else to other machines; the log above says why. LOTMQ_LISTENER_MQTTS_PORT sets another port"
            );
        };
        let made = self.make_user(server)?;
        output::tell(&self.text(opened.port(), made.as_deref()))?;
        if made.is_some() {
            self.files.write(&self.marker, &format!("{USER}\n"))?;
        }
        Ok(())
    }

    /// Makes the user; returns its password. `None` if that was done before, or others have made
    /// it.
    fn make_user(&self, server: &Server) -> anyhow::Result<Option<String>> {
        if self.marker.exists() {
            return Ok(None);
        }
        let password = random_text(self.password_chars)?;
        let root = CommandUser { tenant: "default", user: "root" };
        let command = format!("-addUser {USER} {password}");
        let reply = execute_command(server, root, &command, &mut std::io::sink())?;
        match reply.code() {
            None => Ok(Some(password)),
            Some(USER_EXISTS) => Ok(None),
            Some(_) => bail!("user {USER} could not be made: {}", reply.message),
        }
    }

    fn text(&self, port: u16, password: Option<&str>) -> String {
        let host = self.reachable.preferred();
        let ca = self.files.authority();
        let more = self.reachable.names.iter().cloned();
        let more = more.chain(self.reachable.addresses.iter().skip(1).map(ToString::to_string));
        let more: Vec<String> = more.take(6).collect();
        let more = if more.is_empty() { String::new() } else { format!(" (also: {})", more.join(", ")) };
        let shown = password.unwrap_or("PASSWORD");
        let login = match password {
            Some(password) => format!("user {USER}, password (shown only now): {password}"),
            None => format!(
                "user {USER}, password as shown at the first start; if it is lost: lotmq cmd -u root -P PASSWORD -changeUserPassword {USER} NEW"
            ),
        };
        format!(
            "
MQTT over TLS for the network: {host} port {port}{more}
copy to each client: {ca}
SHA-256 fingerprint of that authority: {fingerprint}
{login}

mosquitto:
  mosquitto_pub -h {host} -p {port} --cafile ca.pem -u {USER} -P {shown} -t test/hello -m hello
Python, paho-mqtt:
  client = paho.mqtt.client.Client(paho.mqtt.client.CallbackAPIVersion.VERSION2)
  client.tls_set(ca_certs=\"ca.pem\")
  client.username_pw_set(\"{USER}\", \"{shown}\")
  client.connect(\"{host}\", {port})
MQTT Explorer:
  Protocol mqtt://, Host {host}, Port {port}, Validate certificate on, Encryption (tls) on,
  Username {USER}, Password {shown}, Advanced > Certificates > Server Certificate (CA): ca.pem

more users, on this machine: lotmq cmd -u root -P PASSWORD -addUser NAME PASSWORD
",
            ca = display(&ca),
            fingerprint = self.fingerprint,
        )
    }
}

fn display(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use lotmq_config::{ConfigFile, Sources};

    use super::*;

    #[test]
    fn contradictions_name_the_key_and_its_place() {
        for (text, told) in [
            ("[tls]\ncertificate = \"a.pem\"\n", "`tls.certificate` (file lotmq.toml:2)"),
            ("[auth]\nanonymous = true\n", "`auth.anonymous` (file lotmq.toml:2) is true"),
            ("[store]\ndurability = \"none\"\n", "`store.durability` (file lotmq.toml:2) is none"),
            ("[listener.mqtts]\nport = \"off\"\n", "`listener.mqtts.port` (file lotmq.toml:2) is off"),
            ("[listener.mqtts]\nbind = \"127.0.0.1\"\n", "`listener.mqtts.bind` (file lotmq.toml:2)"),
            ("[listener.mqtt]\nbind = \"0.0.0.0\"\n", "listener mqtt (file lotmq.toml:2) is at 0.0.0.0:1883"),
            ("[listener.ws]\nbind = \"0.0.0.0\"\n", "listener ws (file lotmq.toml:2) is at 0.0.0.0:5000"),
            ("[auth]\nmodules = [\"other\"]\n", "leave out `builtin`"),
        ] {
            let file = ConfigFile { path: "lotmq.toml".into(), text: text.to_owned() };
            let config = Config::without_mistakes(&Sources { file: Some(file), ..Sources::default() });
            let error = settings(&config).unwrap_err().to_string();
            assert!(error.starts_with("--lan ") && error.contains(told), "{text}: {error}");
        }
    }

    #[test]
    fn a_listener_that_is_configured_keeps_its_addresses() {
        let file = |text: &str| ConfigFile { path: "lotmq.toml".into(), text: text.to_owned() };
        let keys = |text: &str| -> Vec<&str> {
            let config = Config::without_mistakes(&Sources { file: Some(file(text)), ..Sources::default() });
            settings(&config).unwrap().into_iter().map(|(_, key, _)| key).collect()
        };
        let all = ["tls.certificate", "auth.anonymous", "listener.mqtts.bind", "listener.wss.port"];
        assert_eq!(keys(""), all);
        assert_eq!(keys("[listener.mqtts]\nbind = \"192.0.2.1\"\n[listener.wss]\nport = 8443\n"), all[..2]);
    }
}
