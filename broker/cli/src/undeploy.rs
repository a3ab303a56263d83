//! `lotmq undeploy`: removes what a project brought, after having asked where rules go with it.

use std::time::Duration;

use clap::Args;
use lotmq_client::Client;
use lotmq_connect::{ConnectArgs, random_text};
use lotmq_terminal::{Exit, output, seconds};
use serde_json::Value;

use crate::cmd::{connect_as_root, exchange, quoted, render_reply};
use crate::columns::printable;
use crate::confirmation::is_confirmed;
use crate::deploy::plan::left;

/// Remove what a project brought to a broker.
///
/// As in: lotmq undeploy plant, or to see what would go: lotmq undeploy plant --dry-run. It asks before rules go, since what they denied may be allowed then, and before routes go with messages that wait for them. What was added by hand and taken over by the project is there again.
///
/// The project stays stored: lotmq cmd -loadProject NAME -beside brings it back, lotmq cmd -removeProject NAME removes it, too. lotmq cmd -listProjects names them. Without -u it is sent as root, as by `lotmq cmd`.
///
/// Exit codes: 0 done, 1 it was not agreed to or the broker says no, 2 wrong usage, 3 no broker or no reply.
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
    let timeout = Duration::from_secs_f64(args.timeout);
    let mut client = connect_as_root(&args.connect)?;
    let exit = if args.dry_run {
        show_what_goes(&mut client, &args.name, timeout)
    } else {
        unload(&mut client, args)
    };
    // With what is done or wrong by now, it costs nothing that the broker may be gone.
    client.disconnect().ok();
    exit
}

fn unload(client: &mut Client, args: &UndeployArgs) -> anyhow::Result<Exit> {
    let timeout = Duration::from_secs_f64(args.timeout);
    if !args.yes && !may_go(client, Some(&args.name), timeout)? {
        return Ok(Exit::Failure);
    }
    let command = format!("-unloadProject {}", quoted(&args.name));
    let Some(reply) = exchange(client, &command, &random_text(12)?, timeout)? else {
        output::error(&format!("no reply within {} s", args.timeout));
        return Ok(Exit::NoBroker);
    };
    output::tell(render_reply(&reply).trim_end())?;
    Ok(if reply["success"] == true { Exit::Success } else { Exit::Failure })
}

/// Shows the definitions of a project that is loaded, and what would be asked about.
fn show_what_goes(client: &mut Client, project: &str, timeout: Duration) -> anyhow::Result<Exit> {
    let Some(listed) = exchange(client, "-listEntities", &random_text(12)?, timeout)? else {
        output::error(&format!("no reply within {} s", timeout.as_secs_f64()));
        return Ok(Exit::NoBroker);
    };
    let rows: Vec<&Value> = of_project(&listed, Some(project)).collect();
    if rows.is_empty() {
        output::error(&format!("nothing of a project '{}' is loaded", printable(project)));
        return Ok(Exit::Failure);
    }
    for row in rows {
        let text = |key: &str| printable(row[key].as_str().unwrap_or_default());
        output::tell(&format!("- {:<6} {:<24} {}", text("type"), text("name"), text("origin")))?;
    }
    if let Some(concern) = concern(client, Some(project), timeout)? {
        output::tell(&format!("{concern} This is asked about, or needs --yes"))?;
    }
    Ok(Exit::Success)
}

/// Whether a command of `lotmq cmd` may be sent: it does not unload a project or remove routes, nothing that is asked about goes with that, or somebody has agreed.
pub(crate) fn may_be_sent(client: &mut Client, command: &str, timeout: Duration) -> anyhow::Result<bool> {
    let verb = command.split_whitespace().next().unwrap_or_default().replace(['-', '_'], "");
    let name = command.split_once(char::is_whitespace).map(|(_, name)| name.trim().trim_matches('"'));
    let name = name.filter(|name| !name.is_empty());
    match (&*verb.to_ascii_lowercase(), name) {
        ("unloadproject", project) => may_go(client, project, timeout),
        ("removeroute" | "removeallroutes", name) => {
            let is_all = verb.eq_ignore_ascii_case("removeallroutes");
            let listed = exchange(client, "-listRoutes", &random_text(12)?, timeout)?.unwrap_or_default();
            let is_meant = |route: &Value| is_all || name.is_some_and(|name| route["name"] == name);
            agreed(routes_that_go(&left_in(&listed, is_meant)))
        }
        _ => Ok(true),
    }
}

/// Whether what a project brought may go, of the one that is loaded where none is named: nothing is asked about, or somebody has agreed.
fn may_go(client: &mut Client, project: Option<&str>, timeout: Duration) -> anyhow::Result<bool> {
    let concern = concern(client, project, timeout)?;
    agreed(concern)
}

/// Whether somebody agrees to what there is to say, if anything.
fn agreed(concern: Option<String>) -> anyhow::Result<bool> {
    let Some(concern) = concern else { return Ok(true) };
    let is_agreed = is_confirmed(&format!("{concern} Go on?"))?;
    if !is_agreed {
        output::note(&format!("{concern} Nothing was changed; --yes goes on"));
    }
    Ok(is_agreed)
}

fn routes_that_go(routes: &[String]) -> Option<String> {
    (!routes.is_empty()).then(|| format!("Routes that go with messages: {}.", routes.join(", ")))
}

/// What is asked about before a project goes: its rules, and its routes with messages. `None` if there is nothing of that; what is wrong is told by the command itself.
fn concern(client: &mut Client, project: Option<&str>, timeout: Duration) -> anyhow::Result<Option<String>> {
    let mut ask = |command: &str| exchange(client, command, &random_text(12)?, timeout);
    let (Some(listed), Some(routes)) = (ask("-listEntities")?, ask("-listRoutes")?) else { return Ok(None) };
    let rules = rules_of(&listed, project);
    let is_of = |route: &Value| {
        route["project"].as_str().is_some_and(|of| project.is_none_or(|project| project == of))
    };
    let mut parts = Vec::new();
    if !rules.is_empty() {
        parts.push(format!("Rules that go, and what they denied may be allowed then: {}.", rules.join(", ")));
    }
    parts.extend(routes_that_go(&left_in(&routes, is_of)));
    Ok((!parts.is_empty()).then(|| parts.join(" ")))
}

/// The definitions that a project has brought, any where none is named.
fn of_project<'a>(listed: &'a Value, project: Option<&str>) -> impl Iterator<Item = &'a Value> {
    let of_project = move |entity: &&Value| {
        let of = entity["origin"].as_str().and_then(|origin| Some(origin.split_once('/')?.0));
        of.is_some_and(|of| project.is_none_or(|project| project == of))
    };
    listed["data"].as_array().into_iter().flatten().filter(of_project)
}

/// Names of the rules among them.
fn rules_of<'a>(listed: &'a Value, project: Option<&str>) -> Vec<&'a str> {
    let rules = of_project(listed, project).filter(|entity| entity["type"] == "Rule");
    rules.filter_map(|rule| rule["name"].as_str()).collect()
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
    fn rules_are_those_of_the_project() {
        let listed = json!({ "data": [
            { "type": "Rule", "name": "A", "origin": "site/rules.lot" },
            { "type": "Rule", "name": "B", "origin": "other/rules.lot" },
            { "type": "Rule", "name": "C", "origin": "by hand" },
            { "type": "Action", "name": "D", "origin": "site/a.lot" },
        ] });
        assert_eq!(rules_of(&listed, Some("site")), ["A"]);
        assert_eq!(rules_of(&listed, None), ["A", "B"]);
    }

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
}
