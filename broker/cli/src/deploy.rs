//! `lotmq deploy`: checks a program here and uploads it to a broker.

mod file_plan;
pub(crate) mod plan;

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use lot_to_wasm::Form;
use lotmq_client::Client;
use lotmq_connect::{ConnectArgs, random_text};
use lotmq_project::{AddCommand, Compiled, Project};
use lotmq_server::runs_route_type;
use lotmq_terminal::{Exit, Misuse, output, seconds};
use serde_json::Value;

use file_plan::FilePlan;

use crate::check::tell_slips;
use crate::cmd::{
    connect_within, exchange, is_success, quoted, render_reply, render_reply_about, show_reply,
};
use crate::confirmation::is_confirmed;
use crate::pasteable::pasteable;
use lotmq_terminal::text::printable;

/// Upload a program or a project to a broker.
///
/// As in: lotmq deploy plant, or to see what would change: lotmq deploy plant --dry-run, or of one
/// file: lotmq deploy overheat.lot.
///
/// A folder becomes the project of its name. It is loaded in one step in the place of its former
/// version, beside other projects that are loaded. First it says what would change, rules with what
/// differs in them. It asks before a rule goes or changes, and before a definition added by hand is
/// taken over. It also asks before a new rule that opens administration or comes before one that
/// denies. The definitions of a file are added as by hand and replace those of the same name. It
/// says what changes, too, and asks before a rule does. Definitions of other users are taken over
/// with --replace or on request only. Nothing is sent while there are errors. Without -u it is sent
/// as root, as by `lotmq cmd`.
///
/// To go back: lotmq rollback NAME deploys the version before, lotmq undeploy NAME removes what the
/// project brought, and behind that lotmq cmd -removeProject NAME the project itself. lotmq cmd
/// -listProjects names them.
///
/// Exit codes: 0 done, 1 the program has errors or the broker says no, 2 wrong usage, 3 no broker
/// or no reply.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub(crate) struct DeployArgs {
    /// Folder, LoT file, notebook (.lotnb) or Python script
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Name of the project, instead of the folder's
    #[arg(long)]
    name: Option<String>,
    /// Say what would change, and change nothing
    #[arg(long, conflicts_with = "no_load")]
    dry_run: bool,
    /// Show what differs in the definitions that change, too; --dry-run shows it alone
    #[arg(long)]
    diff: bool,
    /// Do not ask before a rule goes, changes, comes before one that denies or opens
    /// administration, a route goes with messages, or what was added by hand is taken over
    #[arg(long, short = 'y')]
    yes: bool,
    /// Take the place of all projects that are loaded, instead of being loaded beside them; of
    /// those of other users with --replace only
    #[arg(long)]
    replace_project: bool,
    /// Take over definitions, scripts and projects of other users; without this it is asked about,
    /// or refused where nobody can be asked. They act with your rights from then on, and what waits
    /// for them is dropped
    #[arg(long)]
    replace: bool,
    /// Store the project, but do not load it
    #[arg(long)]
    no_load: bool,
    /// Print JSON, one object each line: diagnostics as of `lotmq check --json`, replies of the
    /// broker, and with --dry-run the plan
    #[arg(long)]
    json: bool,
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
    let is_root = args.path.canonicalize().is_ok_and(|path| path.parent().is_none());
    anyhow::ensure!(
        !is_root,
        "{} is all of this machine; give the folder of the project, which is . where one is in it",
        args.path.display()
    );
    let project = Project::read(&args.path)?;
    let is_folder = args.path.is_dir();
    let of_projects = [
        ("--no-load", args.no_load),
        ("--replace-project", args.replace_project),
        ("--name", args.name.is_some()),
    ];
    if let Some((option, _)) = of_projects.into_iter().find(|(_, is_given)| *is_given && !is_folder) {
        return Err(Misuse(format!(
            "{option} is for the project in a folder, and this is a file, whose definitions are added one by one"
        ))
        .into());
    }
    let compiled = project.compile(Form::Linked, runs_route_type)?;
    if compiled.has_diagnostics() || compiled.has_idle_routes() {
        if args.json {
            compiled.to_json().try_for_each(|object| output::tell(&object.to_string()))?;
        } else {
            output::note(&pasteable(&compiled.to_text()));
        }
    }
    if compiled.is_wrong() {
        return Ok(Exit::Failure);
    }
    if !compiled.succeeded() {
        output::note("scripts were not checked here; the broker checks them before it takes them");
    }
    let commands = if is_folder { Vec::new() } else { compiled.commands() };
    let client = connect_within(&args.connect, args.timeout)?;
    let mut broker = Broker { client, timeout: args.timeout, compiled };
    let exit = if is_folder { deploy_project(&mut broker, args) } else { file(&mut broker, args, &commands) };
    broker.client.disconnect().ok();
    let exit = exit?;
    if exit == Exit::Success && !args.json {
        tell_slips(&broker.compiled);
    }
    Ok(exit)
}

/// Whether to try again what was refused because it belongs to others: they are not taken over yet,
/// and somebody agrees to it.
fn is_to_be_taken_over(takes_over: &mut bool, refused: &Value) -> anyhow::Result<bool> {
    let errors = refused.get("errors").and_then(Value::as_array).into_iter().flatten();
    let is_of_another =
        errors.filter_map(|error| error.get("code")?.as_str()).any(|code| code == "OF_ANOTHER");
    if !is_of_another || *takes_over {
        return Ok(false);
    }
    *takes_over = is_confirmed("Take over what belongs to others?")?;
    if !*takes_over {
        output::note("nothing of it was changed; --replace takes over what belongs to others");
    }
    Ok(*takes_over)
}

fn deploy_project(broker: &mut Broker, args: &DeployArgs) -> anyhow::Result<Exit> {
    let (archive, name) = lotmq_server::projects::pack(&args.path)?;
    let name = quoted(args.name.as_ref().unwrap_or(&name));
    let archive = STANDARD.encode(archive);
    let mut takes_over = args.replace;
    let load = match (args.no_load, args.replace_project) {
        (true, _) => "",
        (false, true) => " load",
        (false, false) => " load -beside",
    };
    // Uploaded twice: first for what would change, then for that and nothing else.
    let (mut plan, mut plans) = (None, 0);
    loop {
        let replace = if takes_over { " -replace" } else { "" };
        let of_plan = match &plan {
            Some(plan) => plan::agreed(plan),
            None if args.no_load => String::new(),
            None => " -dryRun".to_owned(),
        };
        let sent = broker.send(&format!("-addProject zip64:{archive} {name}{load}{replace}{of_plan}"))?;
        let Some(reply) = sent else { return Ok(Exit::NoBroker) };
        let changes_nothing = plan.as_ref().is_some_and(plan::is_empty);
        if !args.json && changes_nothing && is_success(&reply) && reply["warnings"].is_null() {
            let name = printable(name.trim_matches('"'));
            output::tell(&format!("project '{name}' is loaded as it was: nothing has changed"))?;
            return Ok(Exit::Success);
        }
        if plan.is_some() && plan::is_outdated(&reply) && plans < plan::PLANS_MAX {
            output::note(plan::CHANGED_MEANWHILE);
            plan = None;
            continue;
        }
        if plan.is_some() || args.no_load || !is_success(&reply) {
            let exit = args.show(&reply, &render_reply(&reply))?;
            if exit == Exit::Success || !is_to_be_taken_over(&mut takes_over, &reply)? {
                if exit != Exit::Success && plan.is_some() && !changes_nothing {
                    output::note("nothing of what is listed above was changed");
                }
                return Ok(exit);
            }
            continue;
        }
        plans += 1;
        args.show_plan(&reply)?;
        if args.dry_run {
            return told_of_concern(args, &reply);
        }
        if !is_agreed_to(args, &reply)? {
            return Ok(Exit::Failure);
        }
        plan = Some(reply);
    }
}

/// Ends a dry run with what would be asked about.
fn told_of_concern(args: &DeployArgs, plan: &Value) -> anyhow::Result<Exit> {
    if let Some(concern) = plan::concern(plan, !args.replace).filter(|_| !args.json) {
        output::tell(&format!("{concern} This is asked about, or needs --yes"))?;
    }
    Ok(Exit::Success)
}

/// Whether what would change may: nothing of it has to be asked about, or somebody has agreed.
fn is_agreed_to(args: &DeployArgs, plan: &Value) -> anyhow::Result<bool> {
    let Some(concern) = plan::concern(plan, !args.replace) else {
        return Ok(true);
    };
    let is_agreed = args.yes || is_confirmed(&format!("{concern} Go on?"))?;
    if !is_agreed {
        output::note(&format!("{concern} Nothing was changed; --yes goes on"));
    }
    Ok(is_agreed)
}

/// Adds the definitions of a file, as by hand. Plans anew if somebody else has changed what the
/// user agreed to.
fn file(broker: &mut Broker, args: &DeployArgs, commands: &[AddCommand]) -> anyhow::Result<Exit> {
    for _ in 1..plan::PLANS_MAX {
        if let Some(exit) = file_as_planned(broker, args, commands)? {
            return Ok(exit);
        }
        output::note(plan::CHANGED_MEANWHILE);
    }
    Ok(Exit::Failure)
}

/// Does the same once; `None` if something has changed meanwhile. It asks before a definition
/// leaves its project.
fn file_as_planned(
    broker: &mut Broker,
    args: &DeployArgs,
    commands: &[AddCommand],
) -> anyhow::Result<Option<Exit>> {
    let Some(listed) = broker.send("-listEntities")? else { return Ok(Some(Exit::NoBroker)) };
    let known = listed.get("data").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let of_projects: Vec<(usize, String, String)> = commands
        .iter()
        .enumerate()
        .filter_map(|(place, command)| {
            let (kind, name) = command.entity()?;
            let entity = known.iter().find(|entity| entity["type"] == kind && entity["name"] == name)?;
            let (project, _) = entity["origin"].as_str()?.split_once('/')?;
            let project = printable(project);
            // No project takes the place of a rule that was added by hand.
            let then = match kind {
                "Rule" => "which cannot be deployed until it is removed",
                _ => "which takes its place again, having asked, the next time it is deployed",
            };
            let told = format!("{kind} '{name}' is of project '{project}': added by hand it is no part of that any more, {then}.");
            Some((place, project, told))
        })
        .collect();
    let projects = of_projects.iter().map(|(place, project, _)| (*place, project.clone())).collect();
    let mut planned = file_plan::of(&mut broker.client, commands, known, &projects)?;
    // A definition that is taken over, or leaves a project, changes at least its owner.
    planned.unchanged.retain(|unchanged| !projects.contains_key(unchanged));
    if args.replace {
        planned.unchanged.clear();
    }
    let plan = &planned.plan;
    let of_projects: Vec<String> = of_projects.into_iter().map(|(_, _, told)| told).collect();
    if args.dry_run || args.diff || !plan::is_empty(plan) {
        args.show_plan(plan)?;
    }
    if args.dry_run {
        if !args.json {
            of_projects.iter().try_for_each(|told| output::tell(told))?;
        }
        return told_of_concern(args, plan).map(Some);
    }
    if !is_agreed_to(args, plan)? {
        return Ok(Some(Exit::Failure));
    }
    if args.yes {
        of_projects.iter().for_each(|told| output::note(told));
    } else if !of_projects.is_empty() {
        let concern = format!("{} Deploy the folder instead.", of_projects.join(" "));
        if !is_confirmed(&format!("{concern} Go on all the same?"))? {
            output::note(&format!("{concern} Nothing was changed; --yes goes on"));
            return Ok(Some(Exit::Failure));
        }
    }
    add_all(broker, commands, &planned, args)
}

/// Sends one command after the other, up to the first that is refused. `None` if the refusal shows
/// that the plan is outdated. Unchanged definitions are sent, too: their lines in the file may
/// differ, and errors refer to those.
fn add_all(
    broker: &mut Broker,
    commands: &[AddCommand],
    planned: &FilePlan,
    args: &DeployArgs,
) -> anyhow::Result<Option<Exit>> {
    let (mut done, mut takes_over) = (0, args.replace);
    for (place, command) in commands.iter().enumerate() {
        loop {
            let agreed = planned.replaced.get(&place).map(String::as_str);
            let Some(reply) = broker.send(&command.to_text(takes_over, agreed))? else {
                return Ok(Some(Exit::NoBroker));
            };
            if plan::is_outdated(&reply) {
                return Ok(None);
            }
            match command.entity().filter(|_| planned.unchanged.contains(&place)) {
                Some((kind, name)) if !args.json && is_success(&reply) && reply["warnings"].is_null() => {
                    output::tell(&format!("{kind} '{}' is as it was: nothing has changed", printable(name)))?;
                }
                Some(_) | None => {
                    args.show(&reply, &render_reply_about(&reply, command.place()))?;
                }
            }
            if is_success(&reply) {
                done += 1;
                break;
            }
            if !is_to_be_taken_over(&mut takes_over, &reply)? {
                let left = commands.len() - place - 1;
                if done + left > 0 {
                    output::note(&format!(
                        "{done} of this file were deployed before; this one and the {left} behind it were not"
                    ));
                }
                return Ok(Some(Exit::Failure));
            }
        }
    }
    Ok(Some(Exit::Success))
}

/// Broker that the commands are sent to.
struct Broker {
    client: Client,
    timeout: f64,
    /// Diagnostics of the programs that were shown here already.
    compiled: Compiled,
}

impl Broker {
    /// The reply, without the warnings that were told here; `None` after having said that none
    /// came.
    fn send(&mut self, command: &str) -> anyhow::Result<Option<Value>> {
        let timeout = Duration::from_secs_f64(self.timeout);
        let mut reply = exchange(&mut self.client, command, &random_text(12)?, timeout)?;
        if reply.is_none() {
            output::error(&format!("no reply within {} s", self.timeout));
        }
        reply.iter_mut().for_each(name_option_of_tool);
        if let Some(warnings) = reply.as_mut().and_then(|reply| reply.get_mut("warnings")) {
            let new = warnings.as_array().into_iter().flatten();
            let new: Vec<Value> = new.filter(|warning| !self.compiled.has_told(warning)).cloned().collect();
            *warnings = if new.is_empty() { Value::Null } else { new.into() };
        }
        Ok(reply)
    }
}

/// The option of the broker's command under the name that it has here.
pub(crate) fn name_option_of_tool(reply: &mut Value) {
    let errors = reply.get_mut("errors").and_then(Value::as_array_mut).into_iter().flatten();
    for error in errors.filter(|error| error["code"] == "OF_ANOTHER") {
        if let Some(message) = error["message"].as_str() {
            error["message"] = message.replace("Use -replace to", "Use --replace to").into();
        }
    }
}

impl DeployArgs {
    /// Shows a reply, as it was rendered or as JSON.
    fn show(&self, reply: &Value, rendered: &str) -> anyhow::Result<Exit> {
        if !self.json {
            return show_reply(reply, rendered);
        }
        output::tell(&reply.to_string())?;
        Ok(if is_success(reply) { Exit::Success } else { Exit::Failure })
    }

    /// Shows what would change. As JSON it is the answer to a dry run alone, with what would be
    /// asked about.
    fn show_plan(&self, plan: &Value) -> anyhow::Result<()> {
        if !self.json {
            return plan::show(plan, self.diff || self.dry_run);
        }
        if self.dry_run {
            let mut plan = plan.clone();
            plan["concern"] = plan::concern(&plan, !self.replace).into();
            output::tell(&plan.to_string())?;
        }
        Ok(())
    }
}
