//! Configuration of a guest before it is sent: whether the guest's schema takes it, and where in
//! `guest.toml` what is wrong stands.

use anyhow::ensure;
use lotmq_runner::Embedding;
use lotmq_terminal::{Misuse, output};
use serde_json::{Value, json};
use toml::de::{DeTable, DeValue};

use super::folder::GuestFolder;

/// Table of `guest.toml` with the configuration.
const TABLE: &str = "config";

/// Lines at which settings stand, each by its names from the outermost table to it.
#[derive(Debug, Default)]
pub(super) struct ConfigLines {
    /// Line of the table itself; 0 where there is none.
    table: usize,
    settings: Vec<(Vec<String>, usize)>,
}

impl ConfigLines {
    /// Reads where the settings of a `guest.toml` stand.
    pub(super) fn read(text: &str) -> Self {
        let Ok(file) = DeTable::parse(text) else { return Self::default() };
        let line_of = |at: usize| text.get(..at).map_or(0, |before| before.matches('\n').count()) + 1;
        let mut lines = Self::default();
        let config = file.get_ref().iter().find(|(name, _)| &**name.get_ref() == TABLE);
        if let Some((name, config)) = config {
            lines.table = line_of(name.span().start);
            collect(config.get_ref(), &mut Vec::new(), &line_of, &mut lines.settings);
        }
        lines
    }

    /// Line of the setting that a problem is about, or of the table in which one is missing.
    fn of(&self, problem: &str) -> usize {
        let is_about = |(path, _): &&(Vec<String>, usize)| {
            let (name, above) = path.split_last().map_or(("", &[][..]), |(name, above)| (name, above));
            problem.starts_with(&format!("{}{name} is ", Embedding::config_place(above)))
        };
        let is_within =
            |(path, _): &&(Vec<String>, usize)| problem.starts_with(&Embedding::config_place(path));
        let found = self.settings.iter().find(is_about);
        let found =
            found.or_else(|| self.settings.iter().filter(is_within).max_by_key(|(path, _)| path.len()));
        found.map_or(self.table, |(_, line)| *line)
    }
}

/// Adds the lines of what is in a value.
fn collect(
    value: &DeValue<'_>,
    path: &mut Vec<String>,
    line_of: &impl Fn(usize) -> usize,
    found: &mut Vec<(Vec<String>, usize)>,
) {
    let members: Vec<(String, usize, &DeValue<'_>)> = match value {
        DeValue::Table(table) => {
            let members = table.iter();
            members
                .map(|(name, value)| (name.get_ref().to_string(), name.span().start, value.get_ref()))
                .collect()
        }
        DeValue::Array(items) => {
            let items = items.iter().enumerate();
            items.map(|(at, item)| (at.to_string(), item.span().start, item.get_ref())).collect()
        }
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => return,
    };
    for (name, at, value) in members {
        path.push(name);
        found.push((path.clone(), line_of(at)));
        collect(value, path, line_of, found);
        path.pop();
    }
}

/// Checks the configuration in the `guest.toml` of a guest by the schema that the guest brings.
/// Without a configuration it only warns: a module that is installed has its own.
///
/// # Errors
/// Every setting that does not fit, with its line.
pub(super) fn check(guest: &GuestFolder, component: &[u8]) -> anyhow::Result<()> {
    let file = guest.below("guest.toml").display().to_string();
    let given = guest.config.clone();
    let problems = Embedding::config_problems(component, given.as_ref().unwrap_or(&json!({})))?;
    if given.is_none() && guest.config_lines.table == 0 {
        for problem in problems {
            output::note(&format!("warning: {file} has no configuration, and {problem}"));
        }
        return Ok(());
    }
    let told = |problem: &String| format!("{file}:{}: {problem}", guest.config_lines.of(problem));
    ensure!(problems.is_empty(), problems.iter().map(told).collect::<Vec<_>>().join("\n"));
    Ok(())
}

/// Checks a configuration that is given as an option.
///
/// # Errors
/// Every setting that does not fit.
pub(super) fn check_option(config: &Value, component: &[u8]) -> anyhow::Result<()> {
    let problems = Embedding::config_problems(component, config)?;
    let problems: Vec<String> = problems.iter().map(|problem| format!("--config: {problem}")).collect();
    if problems.is_empty() { Ok(()) } else { Err(Misuse(problems.join("\n")).into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_at_the_line_of_its_setting() {
        let text = "name = \"a\"\n\n[config]\nrate = 1\nsites = [\n  \"x\",\n  2,\n]\n\n[config.server]\nport = \"x\"\n\n[config.sections.LINE_CONFIG]\nBAUD = 1\n";
        let lines = ConfigLines::read(text);
        for (problem, line) in [
            ("rate is 'x', which is not integer", 4),
            ("rates is missing", 3),
            ("site 1 is '2', which is not string", 3),
            ("sites: 1 is '2', which is not string", 7),
            ("server: port is 'x', which is not integer", 11),
            ("server: host is missing", 10),
            ("LINE_CONFIG: BAUD is 'x', which is not integer", 14),
            ("LINE_CONFIG: RATE is missing", 13),
        ] {
            assert_eq!(lines.of(problem), line, "{problem}");
        }
        assert_eq!(ConfigLines::read("name = \"a\"\n").of("rate is missing"), 0);
    }
}
