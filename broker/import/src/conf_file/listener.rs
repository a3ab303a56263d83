//! Listeners: those of mosquitto, of any number, as the ones of lotmq, one of each kind.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::Gathered;
use crate::line::{ConfLine, split_word};
use crate::settings::{TomlSettings, quoted};

/// Kinds of listeners of lotmq, by whether they have TLS and WebSocket.
const SECTIONS: [(bool, bool, &str); 4] = [
    (false, false, "listener.mqtt"),
    (true, false, "listener.mqtts"),
    (false, true, "listener.ws"),
    (true, true, "listener.wss"),
];

/// Listener with its options.
#[derive(Debug)]
pub(super) struct ListenerConf {
    file: PathBuf,
    line: usize,
    port: u16,
    /// Address, or path of a Unix socket for port 0; `None` for all addresses.
    bind: Option<String>,
    is_websocket: bool,
    certificate: Option<String>,
    key: Option<String>,
    authorities: Option<String>,
    requires_certificate: bool,
    user_from: Option<&'static str>,
    min_version: Option<&'static str>,
}

impl ListenerConf {
    pub(super) fn new(file: &Path, line: usize, port: u16) -> Self {
        Self {
            file: file.to_owned(),
            line,
            port,
            bind: None,
            is_websocket: false,
            certificate: None,
            key: None,
            authorities: None,
            requires_certificate: false,
            user_from: None,
            min_version: None,
        }
    }

    /// A line `listener PORT [ADDRESS]`.
    pub(super) fn of_line(file: &Path, line: ConfLine<'_>, collected: &mut Gathered) -> Self {
        let (port, bind) = split_word(line.rest);
        let number = port.parse().unwrap_or_else(|_| {
            collected.remark(file, line.number, format!("{port:?} is no port; 1883 is taken"));
            1883
        });
        let bind = Some(bind.to_owned()).filter(|bind| !bind.is_empty());
        Self { bind, ..Self::new(file, line.number, number) }
    }

    /// Whether a word is about a listener.
    pub(super) fn knows(word: &str) -> bool {
        [
            "bind_address",
            "cafile",
            "certfile",
            "keyfile",
            "port",
            "protocol",
            "require_certificate",
            "tls_version",
            "use_identity_as_username",
            "use_subject_as_username",
        ]
        .contains(&word)
    }

    /// Takes an option.
    ///
    /// # Errors
    /// The reason why it has no equal.
    pub(super) fn option(&mut self, word: &str, value: &str) -> Result<(), String> {
        let text = || Some(value.to_owned());
        match word {
            "port" => self.port = value.parse().map_err(|_| format!("{value:?} is no port"))?,
            "bind_address" => self.bind = text(),
            "protocol" if value == "websockets" => self.is_websocket = true,
            "protocol" if value == "mqtt" => {}
            "protocol" => return Err(format!("protocol {value:?} has no equal")),
            "cafile" => self.authorities = text(),
            "certfile" => self.certificate = text(),
            "keyfile" => self.key = text(),
            "require_certificate" => self.requires_certificate = value == "true",
            "use_identity_as_username" if value == "true" => self.user_from = Some("common-name"),
            "use_subject_as_username" if value == "true" => self.user_from = Some("subject"),
            "tls_version" if value == "tlsv1.3" => self.min_version = Some("1.3"),
            _ => {}
        }
        Ok(())
    }

    fn section(&self) -> &'static str {
        let is_same = |(tls, websocket, _): &&(bool, bool, &str)| {
            *tls == self.certificate.is_some() && *websocket == self.is_websocket
        };
        SECTIONS.iter().find(is_same).map_or("listener.mqtt", |(_, _, section)| section)
    }

    /// Addresses in TOML; the reason where they are none.
    fn addresses(&self) -> Result<Vec<String>, String> {
        let Some(bind) = &self.bind else { return Ok(vec![quoted("0.0.0.0"), quoted("::")]) };
        match bind.parse::<IpAddr>() {
            Ok(address) => Ok(vec![quoted(&address.to_string())]),
            Err(_) => Err(format!("{bind:?} is no IP address; the listener is left out")),
        }
    }
}

/// Writes the settings of all listeners.
pub(super) fn write(listeners: &[ListenerConf], settings: &mut TomlSettings, collected: &mut Gathered) {
    for listener in listeners {
        if let Err(reason) = write_one(listener, settings) {
            collected.remark(&listener.file, listener.line, reason);
        }
    }
    if !listeners.is_empty() && !settings.has("listener.mqtt") {
        settings.set_text("listener.mqtt", "port", "off");
    }
}

fn write_one(listener: &ListenerConf, settings: &mut TomlSettings) -> Result<(), String> {
    if let (0, Some(path)) = (listener.port, &listener.bind) {
        settings.set_text("listener.unix", "path", path);
        return Ok(());
    }
    let section = listener.section();
    let addresses = listener.addresses()?;
    let port = listener.port.to_string();
    let mut all: Vec<String> = Vec::new();
    if let Some(known) = settings.get(section, "port") {
        if known != port {
            return Err(format!(
                "lotmq has one [{section}], here with port {known}: port {port} is left out"
            ));
        }
        let bound = settings.get(section, "bind").unwrap_or_default();
        all.extend(bound.trim_matches(['[', ']']).split(", ").map(str::to_owned));
    }
    all.extend(addresses);
    all.dedup();
    settings.set(section, "port", port);
    settings.set(section, "bind", format!("[{}]", all.join(", ")));
    tls(listener, section, settings)
}

/// Files of TLS, of which lotmq has one set.
fn tls(listener: &ListenerConf, section: &'static str, settings: &mut TomlSettings) -> Result<(), String> {
    let Some(certificate) = &listener.certificate else { return Ok(()) };
    let known = settings.get("tls", "certificate").map(str::to_owned);
    if known.is_some_and(|known| known != quoted(certificate)) {
        return Err("lotmq has one certificate for all listeners: the first one is taken".to_owned());
    }
    settings.set_text("tls", "certificate", certificate);
    if let Some(key) = &listener.key {
        settings.set_text("tls", "key", key);
    }
    if let Some(version) = listener.min_version {
        settings.set_text("tls", "min_version", version);
    }
    if !listener.requires_certificate {
        return Ok(());
    }
    let Some(authorities) = &listener.authorities else {
        return Err("require_certificate needs a cafile; capath has no equal".to_owned());
    };
    settings.set_text("tls", "client_ca", authorities);
    settings.set_text(section, "client_certificate", "required");
    if let Some(part) = listener.user_from {
        settings.set_text(section, "user_from_certificate", part);
    }
    Ok(())
}
