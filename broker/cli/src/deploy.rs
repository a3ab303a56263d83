//! `lotmq deploy`: checks a program here and uploads it to a broker.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use lot_to_wasm::Form;
use lotmq_client::Client;
use lotmq_connect::{ConnectArgs, random_text};
use lotmq_project::{AddCommand, Project};
use lotmq_server::runs_route_type;
use lotmq_terminal::{Exit, output, seconds};
use serde_json::Value;

use crate::cmd::{connect_as_root, exchange, quoted, render_reply};

/// Upload a program or a project to a broker.
///
/// A folder becomes the project of its name, and is loaded in one step in the place of its former version; another project that is loaded is replaced
/// only when told so. Of a file, what it defines is added as by hand. What belongs to other users is taken over only when told so. Nothing is sent while there are
/// errors. Without -u it is sent as root, as by `lotmq cmd`.
///
/// Exit codes: 0 done, 1 the program has errors or the broker says no, 2 wrong usage, 3 no broker or no reply.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub(crate) struct DeployArgs {
    /// Folder, LoT file, notebook (.lotnb) or Python script
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Name of the project, instead of the folder's
    #[arg(long)]
    name: Option<String>,
    /// Take the place of another project that is loaded; without this it is asked about, or refused where nobody can be asked
    #[arg(long)]
    replace_project: bool,
    /// Take over definitions, scripts and projects of other users; without this it is asked about, or refused where nobody can be asked. They act with your
    /// rights from then on, and what waits for them is dropped
    #[arg(long)]
    replace: bool,
    /// Store the project, but do not load it
    #[arg(long)]
    no_load: bool,
    /// Seconds to wait for each reply
    #[arg(long, default_value_t = 180.0, value_parser = seconds)]
    timeout: f64,
    #[command(flatten)]
    connect: ConnectArgs,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

pub(crate) fn deploy(args: &DeployArgs) -> anyhow::Result<Exit> {
    let compiled = Project::read(&args.path)?.compile(Form::Linked, runs_route_type)?;
    if compiled.has_diagnostics() || compiled.has_idle_routes() {
        output::note(&compiled.to_text());
    }
    if !compiled.succeeded() {
        return Ok(Exit::Failure);
    }
    let is_folder = args.path.is_dir();
    let commands = if is_folder { Vec::new() } else { compiled.commands() };
    let mut broker = Broker { client: connect_as_root(&args.connect)?, timeout: args.timeout };
    let mut options = Options { takes_over: args.replace, replaces_project: args.replace_project };
    let exit = if is_folder {
        project(&mut broker, args, options)?
    } else {
        add_all(&mut broker, &commands, &mut options)?
    };
    broker.client.disconnect()?;
    Ok(exit)
}

/// What somebody has agreed to, by an option or at the terminal.
#[derive(Clone, Copy)]
struct Options {
    /// What belongs to other users is replaced.
    takes_over: bool,
    /// Another project that is loaded is replaced.
    replaces_project: bool,
}

impl Options {
    /// Whether to try again what was refused: it can be agreed to, was not yet, and somebody does.
    fn are_extended(&mut self, refused: &Value) -> anyhow::Result<bool> {
        let has = |code: &str| {
            let errors = refused.get("errors").and_then(Value::as_array).into_iter().flatten();
            errors.filter_map(|error| error.get("code")?.as_str()).any(|found| found == code)
        };
        let (agreed, question, option) = if has("OTHER_LOADED") && !self.replaces_project {
            (&mut self.replaces_project, "Replace it?", "--replace-project takes its place")
        } else if has("OF_ANOTHER") && !self.takes_over {
            (
                &mut self.takes_over,
                "Take over what belongs to others?",
                "--replace takes over what belongs to others",
            )
        } else {
            return Ok(false);
        };
        *agreed = is_confirmed(question)?;
        if !*agreed {
            output::note(&format!("nothing of it was changed; {option}"));
        }
        Ok(*agreed)
    }
}

fn project(broker: &mut Broker, args: &DeployArgs, options: Options) -> anyhow::Result<Exit> {
    let (archive, name) = lotmq_server::projects::pack(&args.path)?;
    let name = quoted(args.name.as_ref().unwrap_or(&name));
    let archive = STANDARD.encode(archive);
    let mut options = options;
    loop {
        let load = match (args.no_load, options.replaces_project) {
            (true, _) => "",
            (false, true) => " load",
            (false, false) => " load -keepLoaded",
        };
        let replace = if options.takes_over { " -replace" } else { "" };
        let sent = broker.send(&format!("-addProject zip64:{archive} {name}{load}{replace}"))?;
        let Some(reply) = sent else { return Ok(Exit::NoBroker) };
        let exit = shown(&reply)?;
        if exit == Exit::Success || !options.are_extended(&reply)? {
            return Ok(exit);
        }
    }
}

/// One after the other, up to the first that is refused.
fn add_all(broker: &mut Broker, commands: &[AddCommand], options: &mut Options) -> anyhow::Result<Exit> {
    for command in commands {
        loop {
            let Some(reply) = broker.send(&command.to_text(options.takes_over))? else {
                return Ok(Exit::NoBroker);
            };
            if shown(&reply)? == Exit::Success {
                break;
            }
            if !options.are_extended(&reply)? {
                return Ok(Exit::Failure);
            }
        }
    }
    Ok(Exit::Success)
}

/// What somebody at the terminal answers; no where nobody is.
fn is_confirmed(question: &str) -> anyhow::Result<bool> {
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Ok(false);
    }
    output::note(&format!("{question} [y/N]"));
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
}

/// Where commands go.
struct Broker {
    client: Client,
    timeout: f64,
}

impl Broker {
    /// The reply; `None` after having said that none came.
    fn send(&mut self, command: &str) -> anyhow::Result<Option<Value>> {
        let timeout = Duration::from_secs_f64(self.timeout);
        let reply = exchange(&mut self.client, command, &random_text(12)?, timeout)?;
        if reply.is_none() {
            output::error(&format!("no reply within {} s", self.timeout));
        }
        Ok(reply)
    }
}

fn shown(reply: &Value) -> anyhow::Result<Exit> {
    let is_done = reply.get("success").and_then(Value::as_bool).unwrap_or(false);
    output::line(render_reply(reply).trim_end())?;
    Ok(if is_done { Exit::Success } else { Exit::Failure })
}
