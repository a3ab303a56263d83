//! Hints for subcommands and options that other brokers and package managers have and we do not.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Words that are tried as subcommands, and the way there is.
const SUBCOMMANDS: &[(&[&str], &str)] = &[
    (
        &["user", "users", "adduser", "useradd"],
        "users: lotmq cmd -addUser NAME 'a password', lotmq cmd -listUsers; a lost password of root: lotmq passwd",
    ),
    (
        &["password", "changepassword"],
        "lotmq cmd -changeUserPassword NAME 'a password'; a lost one of root: lotmq passwd",
    ),
    (
        &["log", "logs", "journal"],
        "the broker logs to standard error, as a service to journalctl -u lotmq; lotmq watch shows errors and denials live",
    ),
    (
        &["start", "broker", "server", "up"],
        "lotmq serve starts the broker; the service: systemctl start lotmq",
    ),
    (&["stop", "down", "kill"], "Ctrl-C or SIGTERM ends lotmq serve; the service: systemctl stop lotmq"),
    (&["restart"], "the service: systemctl restart lotmq"),
    (
        &["reload"],
        "SIGHUP, or systemctl reload lotmq, has certificates read again; the configuration takes a restart",
    ),
    (
        &["install", "uninstall", "update", "upgrade", "remove"],
        "that is the business of the package: docs/install.md; data is in what lotmq config show calls the data directory",
    ),
    (&["clients", "connections", "sessions"], "lotmq top clients, or all of them: lotmq cmd -listClients"),
    (&["info", "health", "stats"], "lotmq status"),
    (
        &["rules", "acl", "actions", "models", "entities"],
        "lotmq cmd -listEntities, lotmq cmd -listRules; all commands: lotmq cmd -help",
    ),
    (&["listen"], "lotmq sub -t 'topic/#', or what the whole broker does: lotmq watch"),
];

/// The way there is, for what the command line, these `arguments`, asks for.
pub(crate) fn of(error: &clap::Error, arguments: &[String]) -> Option<String> {
    let named = |kind: ContextKind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        Some(_) | None => None,
    };
    if error.kind() == ErrorKind::InvalidSubcommand {
        let word = named(ContextKind::InvalidSubcommand)?.to_ascii_lowercase();
        return SUBCOMMANDS
            .iter()
            .find(|(words, _)| words.contains(&&*word))
            .map(|(_, hint)| (*hint).to_owned());
    }
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let argument = named(ContextKind::InvalidArg)?;
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let before = words.iter().position(|word| *word == argument).and_then(|at| words.get(at.checked_sub(1)?));
    if argument.starts_with('-') {
        return of_option(&words, argument).map(str::to_owned);
    }
    let is_truth = ["true", "false"].contains(&argument);
    match (words.first().copied()?, before) {
        (_, Some(option)) if is_truth && option.starts_with('-') => {
            Some(format!("{option} stands alone; without it, it is not so"))
        }
        ("serve", _) if argument.parse::<u16>().is_ok() => Some(format!(
            "the port is a part of the address: --listen 127.0.0.1:{argument} for this machine only, --listen 0.0.0.0:{argument} for all addresses"
        )),
        ("sub", _) => Some(format!("topics are given with -t: lotmq sub -t '{argument}'")),
        ("pub" | "request", _) => {
            let (tool, topic) = (words.first()?, argument);
            Some(format!("topic and payload have options: lotmq {tool} -t '{topic}' -m 'a payload'"))
        }
        ("deploy", _) => Some(
            "one folder or file at a time; what several files define together is a folder, whose name is that of the project".to_owned(),
        ),
        _ => None,
    }
}

fn of_option(words: &[&str], option: &str) -> Option<&'static str> {
    match words {
        ["serve", ..] => of_serve(option),
        ["sub" | "request", ..] if option == "--json" => Some(
            "-F %j prints an object of JSON for each message, with topic, payload, QoS and properties; --pretty prints JSON over several lines",
        ),
        ["context", "add", ..] if ["-p", "--port", "-h", "--host"].contains(&option) => {
            Some("the broker of a context is one URL: -L mqtt://127.0.0.1:1883, or mqtts:// for TLS")
        }
        ["restore", ..] if option == "--dry-run" => Some(
            "a restore has no trial; what a backup holds is said by its file manifest.json (unzip -p FILE manifest.json)",
        ),
        _ => None,
    }
}

fn of_serve(option: &str) -> Option<&'static str> {
    Some(match option.split('=').next().unwrap_or_default() {
        "-p" | "--port" | "-h" | "--host" | "--bind" => {
            "address and port are one option: --listen 127.0.0.1:1883 for this machine only, --listen 0.0.0.0:1883 for all addresses"
        }
        "-c" => "the configuration file is --config FILE, of keys as in docs/configuration.md",
        "-v" | "--verbose" | "--debug" => {
            "more is logged with LOTMQ_LOG_DEBUG=true, or log.debug in the configuration"
        }
        "-d" | "--daemon" => "it stays in the foreground, as systemd wants it; the packages have a unit",
        _ => return None,
    })
}
