//! `lotmq context`: brokers with logins under names, so that nobody writes them at each command.

mod terminal;

use std::io::IsTerminal as _;
use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, Subcommand};
use lotmq_connect::{Context, Contexts, Url, password_of};
use lotmq_terminal::{Exit, Misuse, output};

pub(crate) use terminal::read_hidden;

/// Keep brokers with their logins under names.
///
/// As in: lotmq context add plant --url mqtts://plant.example --user ada, then: lotmq sub --context
/// plant -t '#'. They are in $XDG_CONFIG_HOME/lotmq/contexts.toml, passwords included, which nobody
/// but its owner may read. Every command that connects takes --context NAME, else LOTMQ_CONTEXT,
/// else what `lotmq context use` chose; what it is given by hand wins, and where -h, -p, -L or
/// --unix names a broker, no context is used but that of --context.
///
/// Exit codes: 0 done, 1 no such context, or its file cannot be used, 2 wrong usage.
#[derive(Args, Debug)]
pub(crate) struct ContextArgs {
    #[command(subcommand)]
    command: ContextCommand,
}

#[derive(Debug, Subcommand)]
enum ContextCommand {
    /// Add a context
    ///
    /// As in: lotmq context add plant --url mqtts://plant.example --user ada. The password of the
    /// user is asked for on the terminal.
    ///
    /// Exit codes: 0 added, 1 there is one of this name, or the file cannot be used, 2 wrong usage.
    Add(AddArgs),
    /// Print the contexts; a star stands before the one in use
    ///
    /// Exit codes: 0 printed, 1 the file cannot be used, 2 wrong usage.
    List,
    /// Use a context for commands that name none
    ///
    /// As in: lotmq context use plant. Without a name no context is used from now on.
    ///
    /// Exit codes: 0 done, 1 no such context, or the file cannot be used, 2 wrong usage.
    Use {
        /// The context
        name: Option<String>,
    },
    /// Remove a context
    ///
    /// Exit codes: 0 removed, 1 no such context, or the file cannot be used, 2 wrong usage.
    Remove {
        /// The context
        name: String,
    },
}

#[derive(Args, Debug)]
struct AddArgs {
    /// Name of the context: letters, digits, `-`, `_` and `.`
    #[arg(value_parser = context_name)]
    name: String,
    /// Broker, as in mqtt://host[:port]; mqtts:// for TLS, ws:// and wss:// for WebSocket
    #[arg(long)]
    url: String,
    /// User name
    #[arg(long)]
    user: Option<String>,
    /// Read the password from the first line of this file; `-` is standard input
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// The same as --password-file -
    #[arg(long, requires = "user", conflicts_with = "password_file")]
    password_stdin: bool,
    /// PEM file with the authorities that are trusted
    #[arg(long, value_name = "FILE")]
    cafile: Option<PathBuf>,
    /// PEM file with the certificate of this client
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// PEM file with the key of that certificate, not encrypted
    #[arg(long, value_name = "FILE", requires = "cert", allow_hyphen_values = true)]
    key: Option<PathBuf>,
    /// Take the place of a context of this name
    #[arg(long)]
    replace: bool,
}

pub(crate) fn context(args: &ContextArgs) -> anyhow::Result<Exit> {
    let path = Contexts::path()?;
    let mut contexts = Contexts::read(&path)?;
    match &args.command {
        ContextCommand::Add(args) => args.add(&mut contexts)?,
        ContextCommand::List => return list(&contexts),
        ContextCommand::Use { name } => {
            name.as_ref().map(|name| contexts.find(name)).transpose()?;
            contexts.current.clone_from(name);
        }
        ContextCommand::Remove { name } => {
            contexts.find(name)?;
            contexts.named.remove(name);
            contexts.current.take_if(|current| current == name);
        }
    }
    contexts.write(&path)?;
    Ok(Exit::Success)
}

fn list(contexts: &Contexts) -> anyhow::Result<Exit> {
    if contexts.named.is_empty() {
        output::note("there is no context; lotmq context add NAME --url mqtt://host adds one");
    }
    let width = contexts.named.keys().map(String::len).max().unwrap_or(0);
    for (name, context) in &contexts.named {
        let star = if contexts.current.as_ref() == Some(name) { '*' } else { ' ' };
        let user = context.user.as_ref().map(|user| format!(" as {user}")).unwrap_or_default();
        output::line(&format!("{star} {name:<width$}  {}{user}", context.url))?;
    }
    Ok(Exit::Success)
}

fn context_name(name: &str) -> Result<String, String> {
    let fits = |char: char| char.is_ascii_alphanumeric() || "-_.".contains(char);
    if !name.is_empty() && name.len() <= 64 && name.chars().all(fits) {
        Ok(name.to_owned())
    } else {
        Err("a name has 1 to 64 letters, digits, `-`, `_` and `.`".to_owned())
    }
}

impl AddArgs {
    fn add(&self, contexts: &mut Contexts) -> anyhow::Result<()> {
        if !self.replace && contexts.named.contains_key(&self.name) {
            bail!("there is a context `{0}`; --replace takes its place", self.name);
        }
        let url = Url::parse(&self.url).map_err(|told| {
            let meant = format!("mqtt://{}", self.url);
            let is_host = !self.url.contains("://") && Url::parse(&meant).is_ok();
            let hint = if is_host { format!("; did you mean {meant}?") } else { String::new() };
            // Other parts of a URL have options of their own here.
            let told = if self.url.contains("://") {
                &*told
            } else {
                "expected mqtt://host[:port], or mqtts://, ws://, wss://"
            };
            Misuse(format!("--url: {told}{hint}"))
        })?;
        if url.user.is_some() || url.password.is_some() {
            return Err(Misuse("--url names the broker only; give the user with --user".to_owned()).into());
        }
        if url.topic().is_some() {
            return Err(Misuse("--url names the broker only; a context has no topic".to_owned()).into());
        }
        let absolute = |file: &Option<PathBuf>| file.as_ref().map(std::path::absolute).transpose();
        let context = Context {
            url: self.url.clone(),
            user: self.user.clone(),
            password: self.password()?,
            cafile: absolute(&self.cafile)?,
            cert: absolute(&self.cert)?,
            key: absolute(&self.key)?,
        };
        contexts.named.insert(self.name.clone(), context);
        Ok(())
    }

    fn password(&self) -> anyhow::Result<Option<String>> {
        let Some(user) = &self.user else { return Ok(None) };
        let standard_input = self.password_stdin.then(|| PathBuf::from("-"));
        if let Some(file) = self.password_file.as_ref().or(standard_input.as_ref()) {
            return password_of(file).map(Some);
        }
        if !std::io::stdin().is_terminal() {
            let told = "there is no terminal to ask for the password; give it with --password-file FILE, or - for standard input";
            return Err(Misuse(told.to_owned()).into());
        }
        let password = read_hidden(&format!("password of {user}: "))?;
        let password = password.trim_end_matches(['\r', '\n']);
        if password.is_empty() {
            bail!("the password is empty");
        }
        Ok(Some(password.to_owned()))
    }
}
