//! `lotmq run`: runs a LoT program without a broker and prints what it publishes.

pub(crate) mod offline;
pub(crate) mod program;
mod services;

use std::io::BufRead as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use lot_to_wasm::Form;
use serde_json::json;

use crate::exit::Exit;
use crate::output;
use crate::project::Project;
use crate::publish::seconds;
use offline::{Happening, Offline, Start};
use program::Program;

/// Run a LoT program without a broker and print what it publishes.
///
/// As in: lotmq run heater.lot --in plant/t=31. Definitions trigger one another as in the broker; time stands still but for --for.
///
/// Exit codes: 0 it ran, 1 the program has errors or a run failed, 2 wrong usage.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// LoT file, notebook (.lotnb) or folder of both; `-` is standard input
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// A message that arrives; may be given several times, they arrive in order
    #[arg(long = "in", value_name = "TOPIC=PAYLOAD", value_parser = assignment)]
    messages: Vec<(String, String)>,
    /// Messages from standard input too, TOPIC=PAYLOAD on each line
    #[arg(short = 'l', long)]
    stdin_line: bool,
    /// Call an action after the messages; inputs as a JSON object
    #[arg(long = "call", value_name = "ACTION[=JSON]")]
    calls: Vec<String>,
    /// Let so many seconds pass after the messages; timers fire at once, without waiting
    #[arg(long = "for", value_name = "SECONDS", default_value_t = 0.0, value_parser = seconds)]
    seconds: f64,
    /// Print JSON: one object for each published message, one line each
    #[arg(long)]
    json: bool,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((topic, _)) if topic.is_empty() || topic.contains(['+', '#']) => {
            Err("a message needs a topic without wildcards".to_owned())
        }
        Some((topic, payload)) => Ok((topic.to_owned(), payload.to_owned())),
        None => Err("expected TOPIC=PAYLOAD".to_owned()),
    }
}

pub(crate) fn run(args: &RunArgs) -> anyhow::Result<Exit> {
    let compiled = Project::read(&args.path)?.compile(Form::Linked)?;
    if compiled.has_diagnostics() {
        output::note(&compiled.to_text());
    }
    if !compiled.succeeded() {
        return Ok(Exit::Failure);
    }
    let program = Program::compile(&offline::engine()?, compiled)?;
    let mut offline = Offline::start(&program, Start::here_and_now())?;
    let mut printer = Printer { json: args.json, has_failed: false };
    let mut feed = |offline: &mut Offline| -> anyhow::Result<()> {
        offline.settle(&mut |happening| printer.show(&happening))
    };
    feed(&mut offline)?;
    for (topic, payload) in args.all_messages()? {
        offline.publish(&topic, payload.as_bytes());
        feed(&mut offline)?;
    }
    for call in &args.calls {
        let (name, inputs) = call.split_once('=').unwrap_or((call.as_str(), "{}"));
        offline
            .call(name, serde_json::from_str(inputs).context("inputs of --call are not a JSON object")?)?;
        feed(&mut offline)?;
    }
    let mut left = Duration::from_secs_f64(args.seconds);
    while let Some(passed) = offline.pass_time(left) {
        left -= passed;
        feed(&mut offline)?;
    }
    Ok(if printer.has_failed { Exit::Failure } else { Exit::Success })
}

impl RunArgs {
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

/// Prints what happens as it happens.
struct Printer {
    json: bool,
    has_failed: bool,
}

impl Printer {
    fn show(&mut self, happening: &Happening<'_>) -> anyhow::Result<()> {
        match happening {
            Happening::Published { action, topic, payload, retain } => {
                let text = String::from_utf8_lossy(payload);
                let line = if self.json {
                    json!({"action": action, "topic": topic, "payload": text, "retain": retain}).to_string()
                } else {
                    format!("{topic} {text}")
                };
                output::line(&line)?;
            }
            Happening::Returned { action, outputs } => output::line(&format!("{action} returned {outputs}"))?,
            Happening::Reported { action, is_error, place, text } => {
                let severity = if *is_error { "error" } else { "warning" };
                output::note(&format!("{severity}: {action}{place}: {text}"));
                self.has_failed |= *is_error;
            }
        }
        Ok(())
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
