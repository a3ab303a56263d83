//! `lotmq run`: runs a LoT program without a broker and prints what it publishes.

use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use lot_to_wasm::Form;
use lotmq_connect::{Unquoted, Url};
use lotmq_project::Project;
use lotmq_runner::{ClientIdentity, Embedding, NamedModule, Player, Program, Start, read_recording};
use lotmq_server::runs_route_type;
use lotmq_terminal::{Exit, output, seconds};

use crate::arriving::ArrivingArgs;

/// Run a LoT program without a broker and print what it publishes.
///
/// As in: lotmq run heater.lot --in plant/t=31. Definitions trigger one another as in the broker;
/// time stands still but for --for.
///
/// Messages come from an anonymous client `lotmq-run`, unless --username or --id say otherwise;
/// rules decide about them as in a new broker, and denials are reported. Definitions act with the
/// rights of `root`.
///
/// Routes are not connected without --network: what would have gone to the other side of one is
/// told, and goes nowhere.
///
/// With --record it runs beside a broker, on what arrives there, and writes that to a file; with
/// --replay it runs on such a file at once, by the clock of the recording.
///
/// Exit codes: 0 it ran, 1 the program has errors or a run failed, 2 wrong usage, 3 the broker of
/// --record could not be reached or refused the connection.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// LoT file, notebook (.lotnb) or folder of both; `-` is standard input. With --record it may
    /// be left out: nothing runs, what arrives is recorded
    #[arg(value_name = "PATH", required_unless_present = "record")]
    path: Option<PathBuf>,
    /// A message that arrives; may be given several times, they arrive in order
    #[arg(long = "in", value_name = "TOPIC=PAYLOAD", value_parser = assignment)]
    messages: Vec<(String, String)>,
    /// Messages from standard input too, TOPIC=PAYLOAD on each line
    #[arg(short = 'l', long)]
    stdin_line: bool,
    #[command(flatten)]
    arriving: ArrivingArgs,
    /// A component that is there as a module: NAME=FILE.wasm, or NAME=FILE.wasm:OPTIONS with
    /// options of `lotmq cmd -addModule`, such as -grant write:out/#; may be given several times.
    /// If the options grant nothing, it is granted all that it asks for
    #[arg(long = "module", value_name = "NAME=FILE[:OPTIONS]", value_parser = NamedModule::parse)]
    modules: Vec<NamedModule>,
    /// User of the client that messages come from, whom rules are asked about
    #[arg(short = 'u', long, value_parser = name)]
    username: Option<String>,
    /// A group of that user; may be given several times
    #[arg(long = "group", value_name = "GROUP", requires = "username")]
    groups: Vec<String>,
    /// Identifier of the client that messages come from [default: the user name, else lotmq-run]
    #[arg(short = 'i', long, value_parser = name)]
    id: Option<String>,
    /// Call an action after the messages; inputs as a JSON object
    #[arg(long = "call", value_name = "ACTION[=JSON]")]
    calls: Vec<String>,
    /// Run beside a broker, and record in a new FILE what arrives there; what the program publishes
    /// is printed, not sent
    #[arg(long, value_name = "FILE", requires = "broker", conflicts_with_all = ["messages", "stdin_line", "calls", "replay"])]
    record: Option<PathBuf>,
    /// The broker of --record, and what to subscribe to:
    /// mqtt://[user[:password]@]host[:port][/filter]; without a filter to everything
    #[arg(long, value_name = "URL", requires = "record", value_parser = Unquoted(Url::parse))]
    broker: Option<Url>,
    /// End the recording after this many messages
    #[arg(short = 'C', long, requires = "record")]
    count: Option<u64>,
    /// Messages of a recording, each at its time, without waiting; they come after those of --in
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// Let so many seconds pass after the messages; timers fire at once, without waiting. With
    /// --record the seconds after which it ends
    #[arg(long = "for", value_name = "SECONDS", default_value_t = 0.0, value_parser = seconds)]
    seconds: f64,
    /// Connect routes to what their text names, whatever is there; without it nothing is connected,
    /// and what would have gone to a route is told
    #[arg(long)]
    network: bool,
    /// Print JSON: one object for each published message, one line each
    #[arg(long)]
    json: bool,
}

/// Why routes are not connected, as it is told of each.
pub(crate) const NO_NETWORK: &str = "--network connects it";

pub(crate) fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((topic, _)) if topic.is_empty() || topic.contains(['+', '#']) => {
            Err("a message needs a topic without wildcards".to_owned())
        }
        Some((topic, payload)) => Ok((topic.to_owned(), payload.to_owned())),
        None => Err("expected TOPIC=PAYLOAD".to_owned()),
    }
}

pub(crate) fn run(args: &RunArgs) -> anyhow::Result<Exit> {
    let project = args.path.as_deref().map_or_else(|| Ok(Project::empty()), Project::read)?;
    let mut compiled = project.compile(Form::Linked, runs_route_type)?;
    compiled.warn_of_cycles();
    if compiled.has_diagnostics() {
        output::note(&compiled.to_text());
    }
    if !compiled.succeeded() {
        return Ok(Exit::Failure);
    }
    let embedding = Embedding::new()?;
    let embedding = if args.network { embedding } else { embedding.without_network(NO_NETWORK) };
    let program = Program::compile(&embedding, compiled)?;
    let program = program.with_modules(&embedding, &args.modules, Path::new(""))?;
    if let (Some(file), Some(broker)) = (&args.record, &args.broker) {
        let mut player = Player::start(&embedding, &program, Start::here_and_now(), args.json)?;
        args.name_client(&mut player)?;
        let time = (args.seconds > 0.0).then(|| Duration::from_secs_f64(args.seconds));
        player.record(broker, file, args.count, time)?;
        return Ok(player.exit());
    }
    let mut recording =
        args.replay.as_deref().map(read_recording).transpose()?.into_iter().flatten().peekable();
    let first = recording.peek().and_then(|first| first.as_ref().ok());
    let start = first.map_or_else(Start::here_and_now, |first| Start::here_at(first.at));
    let mut player = Player::start(&embedding, &program, start, args.json)?;
    args.name_client(&mut player)?;
    let sent = args.arriving.sent();
    for (topic, payload) in args.all_messages()? {
        player.publish(&topic, payload.as_bytes(), &sent)?;
    }
    for recorded in recording {
        player.replay(&recorded?)?;
    }
    for call in &args.calls {
        let (name, inputs) = call.split_once('=').unwrap_or((call.as_str(), "{}"));
        player.call(name, serde_json::from_str(inputs).context("inputs of --call are not a JSON object")?)?;
    }
    player.pass(Duration::from_secs_f64(args.seconds))?;
    Ok(player.exit())
}

fn name(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("a name is not empty".to_owned()) } else { Ok(text.to_owned()) }
}

impl RunArgs {
    fn name_client(&self, player: &mut Player) -> anyhow::Result<()> {
        if self.username.is_none() && self.id.is_none() {
            return Ok(());
        }
        let client = ClientIdentity::of(self.username.clone(), self.id.clone(), None);
        player.publishes_as(client, &self.groups)
    }

    fn all_messages(&self) -> anyhow::Result<Vec<(String, String)>> {
        let mut messages = self.messages.clone();
        if self.stdin_line {
            for line in std::io::stdin().lock().lines() {
                let line = line.context("cannot read standard input")?;
                messages.push(assignment(&line).map_err(|error| anyhow::anyhow!("`{line}`: {error}"))?);
            }
        }
        Ok(messages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_topic_and_payload() {
        let owned = |topic: &str, payload: &str| Ok((topic.to_owned(), payload.to_owned()));
        assert_eq!(assignment("a/b=1=2"), owned("a/b", "1=2"));
        assert_eq!(assignment("a="), owned("a", ""));
        for wrong in ["a", "=1", "a/+=1", "#=1"] {
            assert!(assignment(wrong).is_err(), "{wrong}");
        }
    }
}
