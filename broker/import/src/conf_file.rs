//! `mosquitto.conf`, and the files that it names.

mod listener;

use std::path::{Path, PathBuf};

use crate::limits::IMPORT_FILES_MAX;
use crate::line::{ConfLine, lines, split_word};
use crate::settings::TomlSettings;
use crate::{Gathered, access_file, dynamic_security, password_file, text_of};
use listener::ListenerConf;

/// Words that need no equal: lotmq does so anyway, or the setting is about mosquitto's own process.
const NEEDLESS: [&str; 22] = [
    "allow_duplicate_messages",
    "allow_zero_length_clientid",
    "auto_id_prefix",
    "autosave_interval",
    "autosave_on_changes",
    "check_retain_source",
    "clientid_prefixes",
    "connection_messages",
    "log_dest",
    "log_facility",
    "log_timestamp",
    "log_timestamp_format",
    "log_type",
    "persistence_file",
    "pid_file",
    "queue_qos0_messages",
    "retain_expiry_interval",
    "set_tcp_nodelay",
    "sys_interval",
    "upgrade_outgoing_qos",
    "user",
    "websockets_log_level",
];

/// Words of a bridge, behind its `connection`.
const OF_BRIDGE: [&str; 22] = [
    "address",
    "addresses",
    "cleansession",
    "clientid",
    "idle_timeout",
    "keepalive_interval",
    "local_cleansession",
    "local_clientid",
    "local_password",
    "local_username",
    "notification_topic",
    "notifications",
    "notifications_local_only",
    "password",
    "remote_clientid",
    "remote_password",
    "remote_username",
    "restart_timeout",
    "round_robin",
    "start_type",
    "topic",
    "username",
];

/// Configuration while its lines are read.
struct Conf {
    settings: TomlSettings,
    listeners: Vec<ListenerConf>,
    anonymous: Option<bool>,
    is_bridge: bool,
    /// The plugin whose options follow is `dynamic_security`.
    is_dynamic_security: bool,
    files: usize,
}

pub(crate) fn read(path: &Path, text: &str, collected: &mut Gathered) {
    let mut conf = Conf {
        settings: TomlSettings::default(),
        listeners: Vec::new(),
        anonymous: None,
        is_bridge: false,
        is_dynamic_security: false,
        files: 1,
    };
    conf.read(path, text, collected);
    let Conf { mut settings, listeners, anonymous, .. } = conf;
    // Without a listener mosquitto serves this machine only, and everybody there.
    let anonymous = anonymous.or(if listeners.is_empty() { None } else { Some(false) });
    if let Some(anonymous) = anonymous {
        settings.set("auth", "anonymous", anonymous);
    }
    listener::write(&listeners, &mut settings, collected);
    collected.settings = Some(settings);
}

impl Conf {
    fn read(&mut self, path: &Path, text: &str, collected: &mut Gathered) {
        for line in lines(text) {
            match line.word {
                "connection" => {
                    self.is_bridge = true;
                    let told = format!(
                        "bridge {:?}: write a route of type MQTT_BRIDGE, see docs/routes/mqtt-bridge.md",
                        line.rest
                    );
                    collected.remark(path, line.number, told);
                }
                "listener" => {
                    self.is_bridge = false;
                    self.listeners.push(ListenerConf::of_line(path, line, collected));
                }
                word if self.is_bridge && (OF_BRIDGE.contains(&word) || word.starts_with("bridge_")) => {}
                "include_dir" => self.include(path, line, collected),
                "password_file" | "acl_file" => self.file(path, line, collected),
                "plugin" | "auth_plugin" | "global_plugin" => self.plugin(path, line, collected),
                word if word.starts_with("plugin_opt_") || word.starts_with("auth_opt_") => {
                    self.plugin_option(path, line, collected);
                }
                _ => self.setting(path, line, collected),
            }
        }
    }

    /// Listener that options without a `listener` before them are about.
    fn listener(&mut self, path: &Path, number: usize) -> &mut ListenerConf {
        if self.listeners.is_empty() {
            self.listeners.push(ListenerConf::new(path, number, 1883));
        }
        self.listeners.last_mut().expect("one was added")
    }

    fn setting(&mut self, path: &Path, line: ConfLine<'_>, collected: &mut Gathered) {
        let ConfLine { number, word, rest } = line;
        let value = match word {
            "allow_anonymous" => {
                self.anonymous = Some(rest == "true");
                Ok(())
            }
            "per_listener_settings" if rest == "true" => {
                Err("users and permissions of all listeners are taken together".to_owned())
            }
            "per_listener_settings" => Ok(()),
            "max_packet_size" | "message_size_limit" => {
                self.number(rest, "max_packet_size", 1_024..=268_435_460)
            }
            "max_queued_messages" => self.number(rest, "queue_messages", 1..=100_000_000),
            "max_queued_bytes" => self.number(rest, "queue_bytes", 1_024..=1 << 40),
            "max_inflight_messages" => self.number(rest, "send_window", 1..=32_767),
            "max_keepalive" => self.number(rest, "keep_alive_max_sec", 0..=65_535),
            "max_connections" if rest == "-1" => Ok(()),
            "max_connections" => self.number(rest, "connections", 1..=100_000_000),
            "persistent_client_expiration" => self.expiry(rest),
            "persistence" if rest == "true" => Ok(()),
            "persistence" => Err("lotmq stores sessions and retained messages in any case".to_owned()),
            "persistence_location" => Err("`lotmq serve --data DIR` names the data directory".to_owned()),
            "retain_available" if rest == "true" => Ok(()),
            word if NEEDLESS.contains(&word) => Ok(()),
            word if ListenerConf::knows(word) => self.listener(path, number).option(word, rest),
            word => Err(format!("`{word}` has no equal")),
        };
        if let Err(reason) = value {
            collected.remark(path, number, reason);
        }
    }

    fn number(
        &mut self,
        text: &str,
        key: &'static str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<(), String> {
        let number = text.parse::<u64>().ok().filter(|number| range.contains(number));
        let wrong = || {
            format!(
                "limits.{key} takes {} to {}, not {text:?}; its default stays",
                range.start(),
                range.end()
            )
        };
        self.settings.set("limits", key, number.ok_or_else(wrong)?);
        Ok(())
    }

    /// A number with `h`, `d`, `w`, `m` (months) or `y`.
    fn expiry(&mut self, text: &str) -> Result<(), String> {
        let days = |count: &str, factor: u32| count.trim().parse::<u32>().ok()?.checked_mul(factor);
        let last = text.chars().next_back().unwrap_or_default();
        let count = &text[..text.len() - last.len_utf8().min(text.len())];
        let value = match last {
            'h' => days(count, 1).map(|hours| format!("{hours}h")),
            'd' => days(count, 1).map(|days| format!("{days}d")),
            'w' => days(count, 7).map(|days| format!("{days}d")),
            'm' => days(count, 30).map(|days| format!("{days}d")),
            'y' => days(count, 365).map(|days| format!("{days}d")),
            _ => None,
        };
        let value = value.ok_or_else(|| format!("{text:?} is no time such as 14d"))?;
        self.settings.set_text("limits", "session_expiry_max", &value);
        Ok(())
    }

    fn include(&mut self, path: &Path, line: ConfLine<'_>, collected: &mut Gathered) {
        let folder = resolved(path, line.rest);
        let names = std::fs::read_dir(&folder).map(|entries| {
            let mut names: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
            names.retain(|name| name.extension().is_some_and(|end| end == "conf"));
            names.sort();
            names
        });
        let names = match names {
            Ok(names) => names,
            Err(error) => {
                let told = format!("cannot read {}: {error}", folder.display());
                return collected.remark(path, line.number, told);
            }
        };
        for name in names {
            if self.files >= IMPORT_FILES_MAX {
                let told =
                    format!("more than {IMPORT_FILES_MAX} files are included; the others are left out");
                return collected.remark(path, line.number, told);
            }
            self.files += 1;
            match text_of(&name) {
                Ok(text) => self.read(&name, &text, collected),
                Err(error) => collected.remark(path, line.number, error.to_string()),
            }
        }
    }

    fn file(&self, path: &Path, line: ConfLine<'_>, collected: &mut Gathered) {
        let file = resolved(path, line.rest);
        match text_of(&file) {
            Ok(text) if line.word == "acl_file" => access_file::read(&file, &text, collected),
            Ok(text) => password_file::read(&file, &text, collected),
            Err(error) => collected.remark(path, line.number, error.to_string()),
        }
    }

    fn plugin(&mut self, path: &Path, line: ConfLine<'_>, collected: &mut Gathered) {
        // `global_plugin NAME PATH` has a name in front.
        self.is_dynamic_security = line.rest.contains("dynamic_security");
        if !self.is_dynamic_security {
            let told =
                format!("plugin {:?} has no equal; guests for logins are in docs/sdk/auth.md", line.rest);
            collected.remark(path, line.number, told);
        }
    }

    fn plugin_option(&mut self, path: &Path, line: ConfLine<'_>, collected: &mut Gathered) {
        if !self.is_dynamic_security || !line.word.ends_with("_config_file") {
            return;
        }
        let file = resolved(path, split_word(line.rest).0);
        let read = text_of(&file).and_then(|text| dynamic_security::read(&file, &text, collected));
        if let Err(error) = read {
            collected.remark(path, line.number, error.to_string());
        }
    }
}

/// Path that a configuration names: as it is, or else beside the configuration.
fn resolved(conf: &Path, named: &str) -> PathBuf {
    let (named, beside) = (Path::new(named), conf.parent().unwrap_or(Path::new("")));
    if named.is_absolute() || named.exists() { named.to_owned() } else { beside.join(named) }
}
