//! `lotmq config`: every key, its value, and where that comes from; what is wrong with a
//! configuration.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use lotmq_config::{
    Config, ConfigFile, DataDirectory, Key, Mistake, Sources, Surroundings, ValueOrigin, default_path,
    unknown_variables,
};
use lotmq_server::LocalZone;
use lotmq_server::preflight::{self, RefusedAtStart};
use lotmq_terminal::{Exit, output};
use serde_json::{Map, Value, json};

/// Show the configuration, or check it.
///
/// As in: lotmq config show --origin, or: lotmq config check lotmq.toml.
///
/// Exit codes: 0 nothing is wrong, 1 something is, 2 wrong usage.
#[derive(Args, Debug)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print every key with its value, as `lotmq serve` would see it
    ///
    /// Settings made with $SYS/Coreflux/Config/New are in the data directory. The running broker
    /// shows them on the topic $SYS/Coreflux/Config.
    ///
    /// Exit codes: 0 printed, 1 the configuration is wrong or cannot be read, 2 wrong usage.
    Show(ShowArgs),
    /// Say what is wrong with the configuration: every mistake, with its file and line
    ///
    /// As in: lotmq config check lotmq.toml. The environment is checked, too, since `lotmq serve`
    /// reads it. Certificates and keys are read as at a start, and no two listeners may want one
    /// port; whether other programs have a port is not looked at.
    ///
    /// Exit codes: 0 nothing is wrong, 1 something is, 2 wrong usage.
    Check(ConfigCheckArgs),
}

#[derive(Args, Debug)]
struct ShowArgs {
    /// Say also where each value comes from
    #[arg(long)]
    origin: bool,
    /// Leave out keys that have their default
    #[arg(long)]
    changed: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Args, Debug)]
struct ConfigCheckArgs {
    /// Print JSON: one object for each mistake and warning, one line each, and one with the outcome
    #[arg(long)]
    json: bool,
    /// Configuration file, as with --config
    #[arg(value_name = "FILE", conflicts_with = "config")]
    file: Option<PathBuf>,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Paths of configuration and data.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct PlaceArgs {
    /// Configuration file [default: /etc/lotmq/lotmq.toml for root, else
    /// ~/.config/lotmq/lotmq.toml, if it exists]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Data directory [default: /var/lib/lotmq for root, else ~/.local/state/lotmq]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

impl PlaceArgs {
    /// The configuration of file, environment and these flags; warns of variables that mean
    /// nothing.
    pub(crate) fn load(&self, flags: Vec<(&'static str, &'static str, String)>) -> anyhow::Result<Config> {
        warn_of_unknown_variables();
        self.read(flags)
    }

    /// The same without warnings.
    pub(crate) fn read(&self, flags: Vec<(&'static str, &'static str, String)>) -> anyhow::Result<Config> {
        let sources = self.sources(flags)?;
        Config::load(sources.clone()).map_err(|error| {
            let file = sources.file.as_ref().map(|file| format!(" {}", file.path.display()));
            let file = file.unwrap_or_default();
            let (mistakes, refused) = all_wrong(&sources);
            let count = mistakes.len() + refused.len();
            let text = error.to_string();
            let gap = if text.contains('\n') { "\n" } else { "; " };
            let mistakes = if count == 1 { "1 mistake".to_owned() } else { format!("all {count} mistakes") };
            let told = format!("{text}{gap}`lotmq config check{file}` shows {mistakes}");
            anyhow::Error::from(error).context(told)
        })
    }

    /// The same without the values that cannot be used, for callers that read the rest again.
    pub(crate) fn read_usable(
        &self,
        flags: Vec<(&'static str, &'static str, String)>,
    ) -> anyhow::Result<Config> {
        let sources = self.sources(flags)?;
        let mut usable = Config::without_mistakes(&sources);
        usable.data = sources.data;
        Ok(usable)
    }

    /// File, environment, these flags and the data directory.
    pub(crate) fn sources(
        &self,
        flags: Vec<(&'static str, &'static str, String)>,
    ) -> anyhow::Result<Sources> {
        let surroundings = Surroundings::of_process();
        let file = match &self.config {
            Some(path) => Some(ConfigFile::read(path)?),
            None => ConfigFile::read_default(&surroundings)?,
        };
        let data = DataDirectory::find(self.data.as_deref(), &surroundings);
        Ok(Sources { flags, file, data, environment: surroundings.environment, ..Sources::default() })
    }
}

pub(crate) fn warn_of_unknown_variables() {
    for (name, nearest) in unknown_variables(&Surroundings::of_process().environment) {
        let hint = if nearest.is_empty() { String::new() } else { format!("; did you mean {nearest}?") };
        output::note(&format!("warning: environment variable {name} means nothing to lotmq{hint}"));
    }
}

pub(crate) fn config(args: &ConfigArgs) -> anyhow::Result<Exit> {
    match &args.command {
        ConfigCommand::Show(args) => show(args),
        ConfigCommand::Check(args) => {
            let given = args.file.clone().or_else(|| args.place.config.clone());
            check(&PlaceArgs { config: given, ..args.place.clone() }, args.json)
        }
    }
}

fn show(args: &ShowArgs) -> anyhow::Result<Exit> {
    let config = args.place.load(Vec::new())?;
    let text = if args.json { as_json(&config, args) } else { as_text(&config, args) };
    output::tell(&text)?;
    Ok(Exit::Success)
}

/// All that is wrong with a configuration: what stands in it, and what it names.
fn all_wrong(sources: &Sources) -> (Vec<Mistake>, Vec<RefusedAtStart>) {
    let mistakes = Config::mistakes(sources);
    let mut refused = preflight::refused(&Config::without_mistakes(sources));
    // A port may be another one without the mistakes.
    refused.retain(|refused| mistakes.is_empty() || !refused.key.ends_with("port"));
    (mistakes, refused)
}

/// Renders the problem with the value of a key, behind the place of the key.
fn placed(config: &Config, RefusedAtStart { key, reason }: &RefusedAtStart) -> String {
    match config.origin(key) {
        ValueOrigin::File { path, line: Some(line) } => {
            format!("{}:{line}: `{key}`: {reason}", path.display())
        }
        origin @ (ValueOrigin::Default
        | ValueOrigin::File { .. }
        | ValueOrigin::Stored
        | ValueOrigin::Environment(_)
        | ValueOrigin::Flag(_)) => format!("`{key}` ({origin}): {reason}"),
    }
}

/// The outcome of a check as JSON: an object for each mistake and each warning, and one with the
/// outcome.
fn check_as_json(sources: &Sources) -> anyhow::Result<Exit> {
    let (mistakes, refused) = all_wrong(sources);
    let (config, file) = (
        Config::without_mistakes(sources),
        sources.file.as_ref().map(|file| file.path.display().to_string()),
    );
    for Mistake { line, error } in &mistakes {
        let file = line.and(file.as_ref());
        let object = json!({"severity": "error", "file": file, "line": line, "message": error.to_string()});
        output::tell(&object.to_string())?;
    }
    let warned = preflight::warned(&config);
    let of_values = refused.iter().map(|found| ("error", found));
    for (severity, RefusedAtStart { key, reason }) in
        of_values.chain(warned.iter().map(|found| ("warning", found)))
    {
        let (file, line) = match config.origin(key) {
            ValueOrigin::File { path, line } => (Some(path.display().to_string()), *line),
            ValueOrigin::Default
            | ValueOrigin::Stored
            | ValueOrigin::Environment(_)
            | ValueOrigin::Flag(_) => (None, None),
        };
        let object = json!({"severity": severity, "file": file, "line": line, "key": key, "message": reason});
        output::tell(&object.to_string())?;
    }
    let success = mistakes.is_empty() && refused.is_empty();
    output::tell(&json!({"success": success, "file": file}).to_string())?;
    Ok(if success { Exit::Success } else { Exit::Failure })
}

fn check(place: &PlaceArgs, as_json: bool) -> anyhow::Result<Exit> {
    warn_of_unknown_variables();
    let sources = place.sources(Vec::new())?;
    if as_json {
        return check_as_json(&sources);
    }
    let file = sources.file.as_ref().map(|file| file.path.display().to_string());
    let (mistakes, refused) = all_wrong(&sources);
    for Mistake { line, error } in &mistakes {
        output::tell(&match (line, &file) {
            // The place stands in front already.
            (Some(line), Some(file)) => {
                let text = error.to_string();
                let text = text.replacen(&format!(" (file {file}:{line})"), "", 1);
                format!("{file}:{line}: {}", text.strip_prefix(&format!("{file} is ")).unwrap_or(&text))
            }
            _ => error.to_string(),
        })?;
    }
    let config = Config::without_mistakes(&sources);
    for found in &refused {
        output::tell(&placed(&config, found))?;
    }
    for found in preflight::warned(&config) {
        output::note(&format!("warning: {}", placed(&config, &found)));
    }
    if !mistakes.is_empty() || !refused.is_empty() {
        return Ok(Exit::Failure);
    }
    if let Some(fault) = LocalZone::of_process().fault {
        output::note(&format!("warning: {fault}: timers go by UTC"));
    }
    output::tell(&match (file, default_path(&Surroundings::of_process())) {
        (Some(file), _) => format!("{file}: ok"),
        (None, Some(path)) => format!("ok; there is no configuration file {}", path.display()),
        (None, None) => {
            "ok; there is no configuration file, and no folder where one is looked for".to_owned()
        }
    })?;
    Ok(Exit::Success)
}

/// The keys that are shown, with their values and where these come from.
fn entries<'a>(
    config: &'a Config,
    args: &ShowArgs,
) -> impl Iterator<Item = (String, Value, &'a ValueOrigin)> {
    let only_changed = args.changed;
    let default = Config::default();
    let is_shown = move |key: &Key, value: &Value| !only_changed || key.get(&default) != *value;
    config
        .entries()
        .filter(move |(key, value, _)| is_shown(key, value))
        .map(|(key, value, origin)| (key.path.to_owned(), value, origin))
}

fn as_text(config: &Config, args: &ShowArgs) -> String {
    let data =
        ("data directory".to_owned(), config.data.path.display().to_string(), config.data.origin.to_owned());
    let zone = LocalZone::of_process();
    let zone = ("time zone".to_owned(), zone.name(), zone.origin.to_owned());
    let keys = entries(config, args).map(|(key, value, origin)| (key, value.to_string(), origin.to_string()));
    let rows: Vec<(String, String, String)> = keys.chain([data, zone]).collect();
    let name_width = rows.iter().map(|row| row.0.len()).max().unwrap_or(0);
    let value_width = rows.iter().map(|row| row.1.len()).max().unwrap_or(0);
    let lines: Vec<String> = rows
        .iter()
        .map(|(name, value, origin)| {
            if args.origin {
                format!("{name:<name_width$}  {value:<value_width$}  {origin}")
            } else {
                format!("{name:<name_width$}  {value}")
            }
        })
        .collect();
    lines.join("\n")
}

fn as_json(config: &Config, args: &ShowArgs) -> String {
    let show = |value: Value, origin: String| {
        if args.origin { json!({"value": value, "origin": origin}) } else { value }
    };
    let mut object: Map<String, Value> =
        entries(config, args).map(|(key, value, origin)| (key, show(value, origin.to_string()))).collect();
    let path = Value::String(config.data.path.display().to_string());
    object.insert("data".to_owned(), show(path, config.data.origin.to_owned()));
    let zone = LocalZone::of_process();
    object.insert("time_zone".to_owned(), show(Value::String(zone.name()), zone.origin.to_owned()));
    format!("{:#}", Value::Object(object))
}
