//! `lotmq rollback`: goes back to the version of a project that was stored before, after having
//! said what that changes.

use std::time::Duration;

use clap::Args;
use lotmq_client::Client;
use lotmq_connect::{ConnectArgs, random_text};
use lotmq_terminal::{Exit, output, seconds};
use serde_json::Value;

use crate::cmd::{connect_within, exchange, is_success, quoted, render_reply, show_reply};
use crate::confirmation::is_confirmed;
use crate::deploy::{name_option_of_tool, plan};

/// Go back to the version of a project that was stored before.
///
/// As in: lotmq rollback plant, or to see what that changes: lotmq rollback plant --dry-run.
///
/// First it says what would change, with what differs in each definition, and asks before a rule
/// goes or changes or what was added by hand is taken over. The two versions change places: a
/// second rollback undoes the first. A project that is not loaded is stored as it was, and not
/// loaded.
///
/// Exit codes: 0 done, 1 it was not agreed to or the broker says no, 2 wrong usage, 3 no broker or
/// no reply.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub(crate) struct RollbackArgs {
    /// Name of the project
    name: String,
    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask before a rule of the project goes or changes or what was added by hand is taken
    /// over
    #[arg(long, short = 'y')]
    yes: bool,
    /// Take over definitions and scripts of other users
    #[arg(long)]
    replace: bool,
    /// Seconds to wait for each reply
    #[arg(long, default_value_t = 180.0, value_parser = seconds)]
    timeout: f64,
    #[command(flatten)]
    connect: ConnectArgs,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

pub(crate) fn rollback(args: &RollbackArgs) -> anyhow::Result<Exit> {
    let mut client = connect_within(&args.connect, args.timeout)?;
    let exit = go_back(&mut client, args);
    // With what is done or wrong by now, it costs nothing that the broker may be gone.
    client.disconnect().ok();
    exit
}

fn go_back(client: &mut Client, args: &RollbackArgs) -> anyhow::Result<Exit> {
    let timeout = Duration::from_secs_f64(args.timeout);
    let replace = if args.replace { " -replace" } else { "" };
    let command = format!("-rollbackProject {}{replace}", quoted(&args.name));
    let mut plans = 0;
    loop {
        let Some(told) = sent(client, &format!("{command} -dryRun"), timeout)? else {
            return Ok(Exit::NoBroker);
        };
        plans += 1;
        if !is_success(&told) {
            return show_reply(&told, &render_reply(&told));
        }
        if is_loaded(&told) {
            plan::show(&told, true)?;
        } else {
            output::tell("the project is not loaded: nothing that runs changes")?;
        }
        if args.dry_run {
            if let Some(concern) = plan::concern(&told, !args.replace) {
                output::tell(&format!("{concern} This is asked about, or needs --yes"))?;
            }
            return Ok(Exit::Success);
        }
        if !is_agreed_to(&told, args.yes, !args.replace)? {
            return Ok(Exit::Failure);
        }
        let command = format!("{command}{}", plan::agreed(&told));
        let Some(reply) = sent(client, &command, timeout)? else { return Ok(Exit::NoBroker) };
        if plan::is_outdated(&reply) && plans < plan::PLANS_MAX {
            output::note(plan::CHANGED_MEANWHILE);
            continue;
        }
        return show_reply(&reply, &render_reply(&reply));
    }
}

/// Whether a command is one that loads a project, or a version of it, and not only says what that
/// would change.
fn is_meant_by(command: &str) -> bool {
    let mut words = command.split_whitespace();
    let verb = words.next().unwrap_or_default().replace(['-', '_'], "").to_ascii_lowercase();
    let has = |wanted: &str| words.clone().any(|word| word.eq_ignore_ascii_case(wanted));
    let loads = match &*verb {
        "loadproject" | "rollbackproject" => true,
        "addproject" => has("load"),
        _ => false,
    };
    loads && !has("-dryRun") && !has("-agreed")
}

/// A command of `lotmq cmd` as it may be sent: as it is where it does not load a project or an
/// earlier version of it, else for the plan that takes no protection away or that somebody has
/// agreed to; `None` where nobody has.
pub(crate) fn agreed_command(
    client: &mut Client,
    command: String,
    timeout: Duration,
) -> anyhow::Result<Option<String>> {
    if !is_meant_by(&command) {
        return Ok(Some(command));
    }
    let told = exchange(client, &format!("{command} -dryRun"), &random_text(12)?, timeout)?;
    // The real command reports its own errors.
    let Some(told) = told.filter(is_success) else { return Ok(Some(command)) };
    let takes_over = command.split_whitespace().any(|word| word.eq_ignore_ascii_case("-replace"));
    if plan::concern(&told, !takes_over).is_some() {
        plan::lines(&told, None).iter().for_each(|line| output::note(line));
    }
    let is_agreed = is_agreed_to(&told, false, !takes_over)?;
    Ok(is_agreed.then(|| format!("{command}{}", plan::agreed(&told))))
}

/// Whether nothing of it has to be asked about, or somebody has agreed.
pub(crate) fn is_agreed_to(told: &Value, is_forced: bool, by_hand_too: bool) -> anyhow::Result<bool> {
    let Some(concern) = plan::concern(told, by_hand_too) else { return Ok(true) };
    let is_agreed = is_forced || is_confirmed(&format!("{concern} Go on?"))?;
    if !is_agreed {
        output::note(&format!("{concern} Nothing was changed; --yes goes on"));
    }
    Ok(is_agreed)
}

fn is_loaded(told: &Value) -> bool {
    told["data"].get("unchanged").is_some()
}

/// The reply; `None` after having said that none came.
fn sent(client: &mut Client, command: &str, timeout: Duration) -> anyhow::Result<Option<Value>> {
    let mut reply = exchange(client, command, &random_text(12)?, timeout)?;
    reply.iter_mut().for_each(name_option_of_tool);
    if reply.is_none() {
        output::error(&format!("no reply within {} s", timeout.as_secs_f64()));
    }
    Ok(reply)
}
