//! `lotmq import`: users, permissions and settings of another broker.
//!
//! Not here: what they become (`lotmq_import`).

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use lotmq_client::Client;
use lotmq_connect::{ConnectArgs, random_text};
use lotmq_import::Import;
use lotmq_terminal::text::{escaped, printable};
use lotmq_terminal::{Exit, output, seconds};

use super::{connect_within, exchange, is_success, quoted, render_reply};

/// Take over users, permissions and settings of another broker.
///
/// As in: lotmq import mosquitto /etc/mosquitto/mosquitto.conf --output moved.
///
/// Exit codes: 0 done, 1 the file cannot be read, an output file exists or the broker refused
/// something, 2 wrong usage, 3 no broker.
#[derive(Args, Debug)]
pub(crate) struct TakeOverArgs {
    #[command(subcommand)]
    from: ForeignBroker,
}

#[derive(Debug, Subcommand)]
enum ForeignBroker {
    /// Take over what files of mosquitto say
    ///
    /// As in: lotmq import mosquitto /etc/mosquitto/mosquitto.conf, and with users and rules in a
    /// running broker: lotmq import mosquitto /etc/mosquitto/mosquitto.conf --apply.
    ///
    /// The file is a mosquitto.conf, a password file, an ACL file or the JSON of dynamic_security.
    /// Files that a mosquitto.conf names are read as well. The command prints users without their
    /// hashes, rules in LoT, a lotmq.toml and what has no equal, with file and line.
    ///
    /// Exit codes: 0 done, 1 the file cannot be read, an output file exists or the broker refused
    /// something, 2 wrong usage, 3 no broker.
    #[command(disable_help_flag = true)]
    Mosquitto(MosquittoArgs),
}

#[derive(Args, Debug)]
struct MosquittoArgs {
    /// File of mosquitto
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Write rules.lot, lotmq.toml and remarks.txt into this folder, instead of printing them
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Add the users and the rules to a running broker. Settings are for its configuration file
    #[arg(long)]
    apply: bool,
    /// Seconds to wait for each reply
    #[arg(long, default_value_t = 60.0, value_parser = seconds)]
    timeout: f64,
    #[command(flatten)]
    connect: ConnectArgs,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

pub(crate) fn import(args: &TakeOverArgs) -> anyhow::Result<Exit> {
    let ForeignBroker::Mosquitto(args) = &args.from;
    let import = lotmq_import::read(&args.file)?;
    match &args.output {
        Some(folder) => write(folder, &import)?,
        None => output::tell(&escaped(&render(&import)))?,
    }
    if !args.apply {
        return Ok(Exit::Success);
    }
    let mut client = connect_within(&args.connect, args.timeout)?;
    let exit = apply(&mut client, &import, Duration::from_secs_f64(args.timeout));
    // With what is done or wrong by now, it costs nothing that the broker may be gone.
    client.disconnect().ok();
    exit
}

/// All parts, for people.
fn render(import: &Import) -> String {
    let mut text = String::new();
    let parts = [
        ("USERS", users(import)),
        ("RULES (rules.lot)", import.rules.clone()),
        ("SETTINGS (lotmq.toml)", import.settings.clone()),
        ("WITHOUT AN EQUAL", remarks(import)),
    ];
    for (title, part) in parts {
        if !part.is_empty() {
            text.push_str(&format!("{title}\n\n{}\n\n", part.trim_end()));
        }
    }
    if text.is_empty() { "there is nothing to take over".to_owned() } else { text.trim_end().to_owned() }
}

fn users(import: &Import) -> String {
    let user = |user: &lotmq_import::ImportedUser| match user.groups.len() {
        0 => format!("{}\n", user.name),
        _ => format!("{} ({})\n", user.name, user.groups.join(", ")),
    };
    import.users.iter().map(user).collect()
}

fn remarks(import: &Import) -> String {
    let mut text: String = import.remarks.iter().map(|remark| format!("{remark}\n")).collect();
    if import.further_remarks > 0 {
        text.push_str(&format!("and {} more\n", import.further_remarks));
    }
    text
}

/// Writes the parts into files of a folder, none of which may be there.
fn write(folder: &Path, import: &Import) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let remarks = remarks(import);
    for (name, text) in
        [("rules.lot", &import.rules), ("lotmq.toml", &import.settings), ("remarks.txt", &remarks)]
    {
        if text.is_empty() {
            continue;
        }
        let path = folder.join(name);
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        written.with_context(|| format!("cannot write {}", path.display()))?;
        output::tell(&format!("{} is written", path.display()))?;
    }
    Ok(())
}

/// Adds users and rules to a broker, and goes on after a refusal.
fn apply(client: &mut Client, import: &Import, timeout: Duration) -> anyhow::Result<Exit> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for user in &import.users {
        let (name, shown) = (quoted(&user.name), format!("user {}", user.name));
        commands.push((shown.clone(), format!("-importUser {name} {}", user.hash)));
        for group in &user.groups {
            commands.push((shown.clone(), format!("-addUserToGroup {name} {}", quoted(group))));
        }
    }
    if !import.rules.is_empty() {
        commands.push(("rules".to_owned(), format!("-addRule -replaceOwn {}", import.rules)));
    }
    let mut refused = 0;
    for (what, command) in &commands {
        let Some(reply) = exchange(client, command, &random_text(12)?, timeout)? else {
            output::note(&format!("{}: no reply", printable(what)));
            return Ok(Exit::NoBroker);
        };
        if !is_success(&reply) {
            refused += 1;
            output::note(&format!("{}: {}", printable(what), render_reply(&reply).trim_end()));
        }
    }
    output::tell(&format!("{} of {} commands are done", commands.len() - refused, commands.len()))?;
    Ok(if refused == 0 { Exit::Success } else { Exit::Failure })
}
