//! `lotmq undeploy`: removes what a project brought, after having asked where rules go with it.

use std::time::Duration;

use clap::Args;
use lotmq_client::Client;
use lotmq_connect::{ConnectArgs, random_text};
use lotmq_server::is_seed;
use lotmq_terminal::{Exit, output, seconds};
use serde_json::Value;

use crate::cmd::{connect_within, exchange, is_success, quoted, render_reply, show_reply};
use crate::confirmation::is_confirmed;
use crate::deploy::plan::{self, left};
use crate::rollback::is_agreed_to;
use lotmq_terminal::text::printable;

/// Most rules that a question names.
const RULES_SHOWN_MAX: usize = 50;

/// Remove what a project brought to a broker.
///
/// As in: lotmq undeploy plant, or to see what would go: lotmq undeploy plant --dry-run. It asks
/// before rules go, since what they denied may be allowed then, and before routes go with messages
/// that wait for them. Definitions added by hand that the project has taken over are there again.
///
/// The project stays stored: lotmq cmd -loadProject NAME -beside brings it back, lotmq cmd
/// -removeProject NAME removes it, too. lotmq cmd -listProjects names them. Without -u it is sent
/// as root, as by `lotmq cmd`.
///
/// Exit codes: 0 done, 1 it was not agreed to or the broker says no, 2 wrong usage, 3 no broker or
/// no reply.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub(crate) struct UndeployArgs {
    /// Name of the project
    name: String,
    /// Say what would go, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask before rules go, or routes with messages
    #[arg(long, short = 'y')]
    yes: bool,
    /// Remove what a project of another user brought; without this it is asked about, or refused
    /// where nobody can be asked
    #[arg(long)]
    force: bool,
    /// Seconds to wait for each reply
    #[arg(long, default_value_t = 15.0, value_parser = seconds)]
    timeout: f64,
    #[command(flatten)]
    connect: ConnectArgs,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

pub(crate) fn undeploy(args: &UndeployArgs) -> anyhow::Result<Exit> {
    let mut client = connect_within(&args.connect, args.timeout)?;
    let exit = unload(&mut client, args);
    // With what is done or wrong by now, it costs nothing that the broker may be gone.
    client.disconnect().ok();
    exit
}

fn unload(client: &mut Client, args: &UndeployArgs) -> anyhow::Result<Exit> {
    let timeout = Duration::from_secs_f64(args.timeout);
    let mut send = |command: &str| -> anyhow::Result<Option<Value>> {
        let reply = exchange(client, command, &random_text(12)?, timeout)?;
        if reply.is_none() {
            output::error(&format!("no reply within {} s", args.timeout));
        }
        Ok(reply)
    };
    let command = format!("-unloadProject {}", quoted(&args.name));
    let mut plans = 0;
    loop {
        plans += 1;
        let mut agreed = if args.force { " -force".to_owned() } else { String::new() };
        if !args.yes || args.dry_run {
            let Some(told) = send(&format!("{command} -dryRun"))? else { return Ok(Exit::NoBroker) };
            if !is_success(&told) {
                return shown(&told);
            }
            if args.dry_run {
                plan::show(&told, false)?;
                if let Some(concern) = plan::concern(&told, true) {
                    output::tell(&format!("{concern} This is asked about, or needs --yes"))?;
                }
                return Ok(Exit::Success);
            }
            if !may_go(&told)? {
                return Ok(Exit::Failure);
            }
            agreed = as_agreed(&told);
        }
        let Some(reply) = send(&format!("{command}{agreed}"))? else { return Ok(Exit::NoBroker) };
        if !plan::is_outdated(&reply) || plans >= plan::PLANS_MAX {
            return shown(&reply);
        }
        output::note(plan::CHANGED_MEANWHILE);
    }
}

fn shown(reply: &Value) -> anyhow::Result<Exit> {
    show_reply(reply, &render_reply(reply).replace("Use -force to", "Use --force to"))
}

/// Options with which the command does what somebody has agreed to: who was told whose the project
/// is has agreed to that, too.
fn as_agreed(told: &Value) -> String {
    let force = if plan::of_others(told).next().is_some() { " -force" } else { "" };
    format!("{force}{}", plan::agreed(told))
}

/// Whether what goes may: nothing of it is asked about, or it was shown and somebody has agreed.
fn may_go(told: &Value) -> anyhow::Result<bool> {
    if plan::concern(told, true).is_some() {
        plan::lines(told, None).iter().for_each(|line| output::note(line));
    }
    is_agreed_to(told, false, true)
}

/// A command of `lotmq cmd` as it may be sent: as it is where it does not unload a project or
/// remove rules or routes, else for the plan of which nothing is asked about or that somebody has
/// agreed to; `None` where nobody has.
pub(crate) fn agreed_command(
    client: &mut Client,
    command: String,
    timeout: Duration,
) -> anyhow::Result<Option<String>> {
    let verb = command.split_whitespace().next().unwrap_or_default().replace(['-', '_'], "");
    let name = command.split_once(char::is_whitespace).map(|(_, name)| name.trim().trim_matches('"'));
    let is_planned = || {
        let mut words = command.split_whitespace();
        words.any(|word| ["-dryRun", "-agreed"].iter().any(|option| word.eq_ignore_ascii_case(option)))
    };
    let is_forced = command.split_whitespace().any(|word| word.eq_ignore_ascii_case("-force"));
    match (&*verb.to_ascii_lowercase(), name.filter(|name| !name.is_empty())) {
        ("unloadproject", _) if !is_planned() => {
            let told = exchange(client, &format!("{command} -dryRun"), &random_text(12)?, timeout)?;
            // The real command reports its own errors.
            let Some(told) = told.filter(|told| told["success"] == true) else { return Ok(Some(command)) };
            Ok(may_go(&told)?.then(|| format!("{command}{}", as_agreed(&told))))
        }
        ("removerule" | "removeallrules", name) => {
            let is_all = verb.eq_ignore_ascii_case("removeallrules");
            let listed = exchange(client, "-listRules", &random_text(12)?, timeout)?.unwrap_or_default();
            let is_meant =
                |rule: &str| if is_all { !is_seed(rule) } else { name.is_some_and(|it| is_named(it, rule)) };
            Ok(agreed(rules_that_go(&listed, is_meant), is_forced)?.then_some(command))
        }
        ("removeroute" | "removeallroutes", name) => {
            let is_all = verb.eq_ignore_ascii_case("removeallroutes");
            let listed = exchange(client, "-listRoutes", &random_text(12)?, timeout)?.unwrap_or_default();
            let is_meant = |route: &Value| is_all || name.is_some_and(|name| route["name"] == name);
            Ok(agreed(routes_that_go(&left_in(&listed, is_meant)), is_forced)?.then_some(command))
        }
        _ => Ok(Some(command)),
    }
}

/// Returns whether the user agrees to the concern, if there is one. With `is_forced` it only prints
/// the concern.
fn agreed(concern: Option<String>, is_forced: bool) -> anyhow::Result<bool> {
    let Some(concern) = concern else { return Ok(true) };
    if is_forced {
        output::note(&concern);
        return Ok(true);
    }
    let is_agreed = is_confirmed(&format!("{concern} Go on?"))?;
    if !is_agreed {
        output::note(&format!("{concern} Nothing was changed; --yes goes on"));
    }
    Ok(is_agreed)
}

/// Whether the arguments of a command name this one, among its options.
fn is_named(arguments: &str, name: &str) -> bool {
    let option = |words: &str| words.trim().trim_start_matches('-').eq_ignore_ascii_case("force");
    let Some((before, behind)) = arguments.split_once(name) else { return false };
    [before, behind]
        .iter()
        .all(|rest| rest.trim_matches([' ', '"']).is_empty() || option(rest.trim_matches('"')))
}

/// The rules that go, but the built-in ones, which stay.
fn rules_that_go(listed: &Value, is_meant: impl Fn(&str) -> bool) -> Option<String> {
    let rows = listed["data"].as_array().into_iter().flatten().filter(|rule| rule["origin"] != "builtin");
    let names: Vec<&str> =
        rows.filter_map(|rule| rule["name"].as_str()).filter(|name| is_meant(name)).collect();
    let shown = printable(&names.get(..RULES_SHOWN_MAX).unwrap_or(&names).join(", "));
    let more = match names.len().saturating_sub(RULES_SHOWN_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let which = "Rules that go, by which what they denied may be allowed";
    (!names.is_empty()).then(|| format!("{which}: {shown}{more}."))
}

fn routes_that_go(routes: &[String]) -> Option<String> {
    (!routes.is_empty()).then(|| format!("Routes that go with messages: {}.", routes.join(", ")))
}

/// Names of the routes that are meant, with the messages that go with them, where there are any.
fn left_in(listed: &Value, is_meant: impl Fn(&Value) -> bool) -> Vec<String> {
    let rows = listed["data"].as_array().into_iter().flatten().filter(|route| is_meant(route));
    rows.filter_map(|row| Some(format!("{} ({})", row["name"].as_str()?, left(row)?))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn routes_with_messages_are_those_of_the_project() {
        let routes = json!({ "data": [
            { "name": "A", "project": "site", "waiting": 2, "deadLetters": 1 },
            { "name": "B", "project": "site", "waiting": 0, "deadLetters": 0 },
            { "name": "C", "project": "other", "waiting": 1, "deadLetters": 0 },
            { "name": "D", "project": null, "waiting": 1, "deadLetters": 0 },
        ] });
        let of_site = left_in(&routes, |route| route["project"] == "site");
        assert_eq!(of_site, ["A (2 waiting message(s) and 1 dead letter(s))"]);
        assert_eq!(left_in(&routes, |_| true).len(), 3);
        assert_eq!(routes_that_go(&[]), None);
    }

    #[test]
    fn rules_that_go_are_those_that_are_meant() {
        let rules = json!({ "data": [
            { "name": "AllowRuleRemove", "origin": "builtin" },
            { "name": "A", "origin": "adhoc" },
            { "name": "B", "origin": "plant/b.lot" },
        ] });
        let told = |is_meant: &dyn Fn(&str) -> bool| rules_that_go(&rules, is_meant).unwrap_or_default();
        assert!(told(&|_| true).ends_with("allowed: A, B."));
        for (arguments, is_meant) in [
            ("A", true),
            ("\"A\"", true),
            ("A -force", true),
            ("-Force \"A\"", true),
            ("AA", false),
            ("B A", false),
        ] {
            assert_eq!(
                !told(&|name| name == "A" && is_named(arguments, name)).is_empty(),
                is_meant,
                "{arguments}"
            );
        }
    }
}
