//! Contexts: brokers with logins, each under a name, in one file of the user.
//!
//! Invariant: the file holds passwords, so it is read only if its owner alone may read it. It is
//! written with mode 0600. Options on the command line win. A login of a context goes to a broker
//! given by hand only if the context was named, too. Not here: the subcommands that change the
//! file.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use super::{ConnectArgs, Url, UsedContext, random_text};

/// Names the context of commands that connect.
const VARIABLE: &str = "LOTMQ_CONTEXT";

/// A broker and who one is there.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// URL of the broker, as [`Url`] reads it; without user, password and topic.
    pub url: String,
    /// User name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Password of the user, as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// PEM file with the authorities that are trusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cafile: Option<PathBuf>,
    /// PEM file with the certificate of this client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<PathBuf>,
    /// PEM file with the key of that certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
}

/// The file of contexts.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Contexts {
    /// Name of the context that is used when nothing else names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// The contexts by name.
    #[serde(default, rename = "context")]
    pub named: BTreeMap<String, Context>,
}

impl Contexts {
    /// Returns the path of the file: `$XDG_CONFIG_HOME/lotmq/contexts.toml`, else below
    /// `~/.config`.
    ///
    /// # Errors
    /// Neither that variable nor HOME is set.
    pub fn path() -> anyhow::Result<PathBuf> {
        let variable =
            |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let base = variable("XDG_CONFIG_HOME").or_else(|| variable("HOME").map(|home| home.join(".config")));
        let base = base.context("no place for contexts: neither XDG_CONFIG_HOME nor HOME is set")?;
        Ok(base.join("lotmq/contexts.toml"))
    }

    /// Reads the file; no file is one without contexts.
    ///
    /// # Errors
    /// When it cannot be read, is no such file, or others than its owner may read it.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error).with_context(|| format!("cannot read {shown}")),
        };
        let mode =
            file.metadata().with_context(|| format!("cannot read {shown}"))?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            bail!(
                "{shown} holds passwords and has mode {mode:04o}, so that others may use it; chmod 600 {shown}"
            );
        }
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(|| format!("cannot read {shown}"))?;
        toml::from_str(&text).map_err(|error| {
            let place = place(&text, error.span().map_or(0, |span| span.start));
            anyhow::anyhow!("{shown} is no file of contexts: {place} is not as `lotmq context add` writes it")
        })
    }

    /// Writes the file anew, with mode 0600, and its folder where there is none.
    ///
    /// # Errors
    /// When that fails; the file is then as it was.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = toml::to_string(self).context("contexts cannot be written as TOML")?;
        let folder = path.parent().context("no folder for contexts")?;
        let unfinished = folder.join(format!(".contexts-{}", random_text(8)?));
        let written = DirBuilder::new().recursive(true).mode(0o700).create(folder).and_then(|()| {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&unfinished, path)
        });
        if written.is_err() {
            // It may not be there.
            let _ = std::fs::remove_file(&unfinished);
        }
        written.with_context(|| format!("cannot write {}", path.display()))
    }

    /// The context of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(&self, name: &str) -> anyhow::Result<&Context> {
        self.named.get(name).with_context(|| {
            let known: Vec<&str> = self.named.keys().map(String::as_str).collect();
            match known.as_slice() {
                [] => format!(
                    "there is no context `{name}`; `lotmq context add {name} --url mqtt://…` makes it"
                ),
                known => format!("there is no context `{name}`; there are: {}", known.join(", ")),
            }
        })
    }
}

/// Most letters of a key that a message names.
const KEY_LETTERS_MAX: usize = 16;

/// Line of a fault in a file of contexts, with its key. The parser's own text quotes the line, in
/// which a password may stand.
fn place(text: &str, fault_at: usize) -> String {
    let before = text.bytes().take(fault_at).filter(|byte| *byte == b'\n').count();
    let line = text.lines().nth(before).unwrap_or_default();
    let key = line.split_once('=').filter(|(_, value)| !value.trim().is_empty()).map(|(key, _)| key.trim());
    let is_word = |key: &&str| {
        key.len() <= KEY_LETTERS_MAX && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    let key = key.filter(is_word).map(|key| format!(" (`{key}`)")).unwrap_or_default();
    format!("line {}{key}", before + 1)
}

impl ConnectArgs {
    /// Adds what the context says and these options do not.
    pub(crate) fn with_context(mut self) -> anyhow::Result<Self> {
        let variable = std::env::var(VARIABLE).ok();
        let Some(choice) = self.choice(variable.as_deref()) else { return Ok(self) };
        let path = match (Contexts::path(), &choice) {
            // A service may have no home; nobody has chosen a context there.
            (Err(_), Choice::Current) => return Ok(self),
            (path, _) => path?,
        };
        let contexts = Contexts::read(&path)?;
        let name = match choice {
            Choice::Named(name) => Some(name),
            Choice::Current => contexts.current.clone(),
        };
        if let Some(name) = name {
            let context = contexts.find(&name)?;
            let has_own_password = self.login.has_password();
            let gave_address = !self.has_own_address();
            self.add(context)?;
            // A password by hand, or of somebody else, is not the context's.
            let gave_login =
                context.password.is_some() && !has_own_password && self.login.password == context.password;
            self.used_context = Some(UsedContext { name, gave_address, gave_login });
        }
        Ok(self)
    }

    fn choice(&self, variable: Option<&str>) -> Option<Choice> {
        match (&self.login.context, variable) {
            (Some(name), _) => Some(Choice::Named(name.clone())),
            (None, _) if self.has_own_address() => None,
            (None, Some("")) => None,
            (None, Some(name)) => Some(Choice::Named(name.to_owned())),
            (None, None) => Some(Choice::Current),
        }
    }

    /// Whether the command line says where the broker is, or a part of it.
    fn has_own_address(&self) -> bool {
        let login = &self.login;
        login.host.is_some() || login.port.is_some() || login.url.is_some() || self.transport.unix.is_some()
    }

    fn add(&mut self, context: &Context) -> anyhow::Result<()> {
        let (login, transport) = (&mut self.login, &mut self.transport);
        let user_by_hand =
            login.username.clone().or_else(|| login.url.as_ref().and_then(|url| url.user.clone()));
        // A password belongs to its user.
        if user_by_hand.is_none() || user_by_hand == context.user {
            login.username = login.username.take().or_else(|| context.user.clone());
            let by_hand = login.url.as_ref().and_then(|url| url.password.clone());
            login.password = login.password.take().or(by_hand).or_else(|| context.password.clone());
        }
        if transport.unix.is_some() {
            return Ok(());
        }
        if login.url.is_none() {
            let url = Url::parse(&context.url).map_err(anyhow::Error::msg);
            login.url = Some(url.context("`url` of the context")?);
        }
        if transport.cafile.is_none() && !transport.tls_use_os_certs {
            transport.cafile.clone_from(&context.cafile);
        }
        if transport.cert.is_none() {
            transport.cert.clone_from(&context.cert);
            transport.key.clone_from(&context.key);
        }
        Ok(())
    }
}

/// Selection of a context: by name, or the current one.
#[derive(Debug, PartialEq)]
enum Choice {
    Named(String),
    Current,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plant() -> Context {
        Context {
            url: "mqtts://plant:8884".to_owned(),
            user: Some("ada".to_owned()),
            password: Some("pw".to_owned()),
            cafile: Some("/ca.pem".into()),
            ..Context::default()
        }
    }

    fn by_hand(set: impl FnOnce(&mut ConnectArgs)) -> ConnectArgs {
        let mut args = ConnectArgs::default();
        set(&mut args);
        args
    }

    #[test]
    fn command_line_options_override_the_context() {
        let added = |mut args: ConnectArgs| {
            args.add(&plant()).unwrap();
            let (host, port) = args.login.host_and_port(1);
            format!(
                "{host}:{port} {:?} {:?} {:?}",
                args.login.username.as_deref(),
                args.login.password.as_deref(),
                args.transport.cafile
            )
        };
        for (args, expected) in [
            (by_hand(|_| ()), r#"plant:8884 Some("ada") Some("pw") Some("/ca.pem")"#),
            (by_hand(|args| args.login.port = Some(9)), r#"plant:9 Some("ada") Some("pw") Some("/ca.pem")"#),
            (
                by_hand(|args| args.login.username = Some("eve".to_owned())),
                r#"plant:8884 Some("eve") None Some("/ca.pem")"#,
            ),
            (
                by_hand(|args| args.login.username = Some("ada".to_owned())),
                r#"plant:8884 Some("ada") Some("pw") Some("/ca.pem")"#,
            ),
            (
                by_hand(|args| args.login.password = Some("new".to_owned())),
                r#"plant:8884 Some("ada") Some("new") Some("/ca.pem")"#,
            ),
            (
                by_hand(|args| args.login.url = Some(Url::parse("mqtt://eve:x@other").unwrap())),
                r#"other:1 None None Some("/ca.pem")"#,
            ),
            (
                by_hand(|args| args.transport.cafile = Some("/mine.pem".into())),
                r#"plant:8884 Some("ada") Some("pw") Some("/mine.pem")"#,
            ),
        ] {
            assert_eq!(added(args), expected);
        }
    }

    #[test]
    fn a_broker_that_is_named_by_hand_gets_no_login_unasked() {
        let named = |name: &str| Some(Choice::Named(name.to_owned()));
        let with_context = |args: &mut ConnectArgs| args.login.context = Some("plant".to_owned());
        for (args, variable, expected) in [
            (by_hand(|_| ()), None, Some(Choice::Current)),
            (by_hand(|_| ()), Some("v"), named("v")),
            (by_hand(|_| ()), Some(""), None),
            (by_hand(with_context), Some("v"), named("plant")),
            (by_hand(|args| args.login.host = Some("h".to_owned())), Some("v"), None),
            (by_hand(|args| args.login.port = Some(1)), None, None),
            (by_hand(|args| args.transport.unix = Some("/s".into())), Some("v"), None),
            (
                by_hand(|args| {
                    with_context(args);
                    args.login.port = Some(1);
                }),
                None,
                named("plant"),
            ),
        ] {
            assert_eq!(args.choice(variable), expected, "{args:?} {variable:?}");
        }
    }
}
