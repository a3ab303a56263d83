//! `lotmq undeploy`: removes what a project brought, after having asked where rules go with it.

use std::time::Duration;

use clap::Args;
use lotmq_client::Client;
use lotmq_connect::{ConnectArgs, random_text};
use lotmq_terminal::{Exit, output, seconds};
use serde_json::Value;

use crate::cmd::{connect_as_root, exchange, quoted, render_reply};
use crate::confirmation::is_confirmed;

/// Remove what a project brought to a broker.
///
/// As in: lotmq undeploy plant. It asks before rules go, since what they denied may be allowed then. What was added by hand and taken over by the project is there again.
///
/// The project stays stored: lotmq cmd -loadProject NAME -beside brings it back, lotmq cmd -removeProject NAME removes it, too. lotmq cmd -listProjects names them. Without -u it is sent as root, as by `lotmq cmd`.
///
/// Exit codes: 0 done, 1 it was not agreed to or the broker says no, 2 wrong usage, 3 no broker or no reply.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub(crate) struct UndeployArgs {
    /// Name of the project
    name: String,
    /// Do not ask before rules go
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
    if !args.yes && !may_go(&mut client, Some(&args.name), timeout)? {
        return Ok(Exit::Failure);
    }
    let command = format!("-unloadProject {}", quoted(&args.name));
    let reply = exchange(&mut client, &command, &random_text(12)?, timeout)?;
    client.disconnect()?;
    let Some(reply) = reply else {
        output::error(&format!("no reply within {} s", args.timeout));
        return Ok(Exit::NoBroker);
    };
    output::line(render_reply(&reply).trim_end())?;
    Ok(if reply["success"] == true { Exit::Success } else { Exit::Failure })
}

/// Whether a command of `lotmq cmd` may be sent: it does not unload a project, no rule goes with that, or somebody has agreed.
pub(crate) fn may_be_sent(client: &mut Client, command: &str, timeout: Duration) -> anyhow::Result<bool> {
    let mut words = command.split_whitespace();
    let verb = words.next().unwrap_or_default().replace(['-', '_'], "");
    if !verb.eq_ignore_ascii_case("unloadProject") {
        return Ok(true);
    }
    let name = command.split_once(char::is_whitespace).map(|(_, name)| name.trim().trim_matches('"'));
    may_go(client, name.filter(|name| !name.is_empty()), timeout)
}

/// Whether what a project brought may go, of the one that is loaded where none is named: there is no rule among it, or somebody has agreed.
fn may_go(client: &mut Client, project: Option<&str>, timeout: Duration) -> anyhow::Result<bool> {
    let listed = exchange(client, "-listEntities", &random_text(12)?, timeout)?;
    // What is wrong is told by the command itself.
    let Some(listed) = listed else { return Ok(true) };
    let rules = rules_of(&listed, project);
    if rules.is_empty() {
        return Ok(true);
    }
    let concern = format!("Rules that go, and what they denied may be allowed then: {}.", rules.join(", "));
    let is_agreed = is_confirmed(&format!("{concern} Go on?"))?;
    if !is_agreed {
        output::note(&format!("{concern} Nothing was changed; --yes goes on"));
    }
    Ok(is_agreed)
}

/// Names of the rules that a project has brought, of any where none is named.
fn rules_of<'a>(listed: &'a Value, project: Option<&str>) -> Vec<&'a str> {
    let of_project = |entity: &Value| {
        let of = entity["origin"].as_str().and_then(|origin| Some(origin.split_once('/')?.0));
        of.is_some_and(|of| project.is_none_or(|project| project == of))
    };
    let entities = listed["data"].as_array().into_iter().flatten();
    let rules = entities.filter(|entity| entity["type"] == "Rule" && of_project(entity));
    rules.filter_map(|rule| rule["name"].as_str()).collect()
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
}
