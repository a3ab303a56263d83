//! Plan of loading a project, as the broker reports it for `-dryRun`: shown, and asked about if it
//! removes protection or somebody's work.

mod difference;

use lotmq_terminal::{Colour, Paint, output};
use serde_json::Value;

pub(crate) use crate::cmd::{CHANGED_MEANWHILE, PLANS_MAX, is_outdated};
use lotmq_terminal::text::printable;

/// Lists of the broker's answer, with the sign and the remark of their lines.
const LISTS: [(&str, char, &str); 6] = [
    ("added", '+', ""),
    ("changed", '~', ""),
    ("movesHere", '=', ""),
    ("takesOver", '!', "was added by hand, and is given back when the project defines it no more"),
    ("givenBack", '<', "was added by hand, and is there again"),
    ("removed", '-', ""),
];

/// Prints which projects end, and what would be added, changed, taken over, given back and removed;
/// with what differs in what changes, if that is wanted.
pub(crate) fn show(reply: &Value, with_differences: bool) -> anyhow::Result<()> {
    let paint = with_differences.then(Paint::of_stdout);
    lines(reply, paint)
        .iter()
        .try_for_each(|line| output::painted_tell(&signed(line, Paint::of_stdout())))?;
    Ok(())
}

/// The line with its sign coloured.
fn signed(line: &str, paint: Paint) -> String {
    let colour = match line.get(..2) {
        Some("+ ") => Colour::Green,
        Some("- ") => Colour::Red,
        Some("~ " | "! ") => Colour::Yellow,
        Some("= " | "< ") => Colour::Dim,
        Some(_) | None => return line.to_owned(),
    };
    paint.text(colour, &line[..1]) + &line[1..]
}

/// The same as lines.
pub(crate) fn lines(reply: &Value, differences: Option<Paint>) -> Vec<String> {
    let unloads = unloads(reply).map(|name| {
        let owner = of_others(reply).find(|(other, _)| *other == name).map(|(_, owner)| owner);
        let owner = owner.map(|owner| format!(", which belongs to user '{owner}'")).unwrap_or_default();
        printable(&format!("project '{name}' would be unloaded{owner}"))
    });
    let mut lines: Vec<String> = unloads.collect();
    let ending = of_others(reply).filter(|_| reply["data"]["unloads"].is_null());
    lines.extend(
        ending.map(|(name, owner)| printable(&format!("project '{name}' belongs to user '{owner}'"))),
    );
    for (key, sign, remark) in LISTS {
        for row in rows(reply, key).filter(|row| key != "removed" || !is_given_back(reply, row)) {
            let remark = match (key, kind(row)) {
                ("removed", _) => going(row),
                ("changed", "Rule") if may_allow_more(row) => {
                    let more = Some("what it denied may be allowed then".to_owned());
                    joined([taken_out(row), administration(row), more])
                }
                ("changed", _) => joined([taken_out(row)]),
                ("added", "Rule") => {
                    let before = opens(row).next().is_some().then(|| {
                        format!(
                            "is asked before {}: what that denies may be allowed then",
                            listed(opens(row))
                        )
                    });
                    joined([administration(row), before])
                }
                ("movesHere", _) => moved(row),
                ("takesOver", "Rule") => {
                    "was added by hand with the same text, and is the project's from now on".to_owned()
                }
                _ => remark.to_owned(),
            };
            let text = format!("{sign} {:<6} {:<24} {}{remark}", kind(row), name(row), place(row));
            lines.push(printable(text.trim_end()));
            lines.extend(row["waiting"].as_str().map(|told| printable(&format!("    {told}"))));
            // Of rules it is what is asked about.
            let paint = differences.or_else(|| (kind(row) == "Rule").then(Paint::none));
            if let (Some(paint), "changed") = (paint, key) {
                lines.extend(difference::lines(row, paint));
            }
        }
    }
    let unchanged = reply["data"]["unchanged"].as_u64().unwrap_or_default();
    if lines.is_empty() {
        lines.push("nothing changes".to_owned());
    }
    if unchanged > 0 {
        lines.push(format!("= {unchanged} unchanged"));
    }
    lines
}

/// Whether what goes makes room for what was there before, by hand, which is told once.
fn is_given_back(reply: &Value, row: &Value) -> bool {
    rows(reply, "givenBack").any(|given| (kind(given), name(given)) == (kind(row), name(row)))
}

/// Whether loading would change nothing that runs.
pub(crate) fn is_empty(reply: &Value) -> bool {
    LISTS.iter().all(|(key, _, _)| rows(reply, key).next().is_none()) && unloads(reply).next().is_none()
}

/// Names of the projects that end.
fn unloads(reply: &Value) -> impl Iterator<Item = &str> {
    rows(reply, "unloads").filter_map(Value::as_str)
}

/// Names of the rules that deny what a new rule may allow, before which it is asked.
fn opens(row: &Value) -> impl Iterator<Item = &str> {
    row["opens"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// Returns the remark on a rule that may allow actions which built-in rules keep to administrators.
fn administration(row: &Value) -> Option<String> {
    row["administration"].as_str().map(|scope| format!("opens administration ({scope})"))
}

fn joined<const COUNT: usize>(parts: [Option<String>; COUNT]) -> String {
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Projects of other users that end, with their owners.
pub(crate) fn of_others(reply: &Value) -> impl Iterator<Item = (&str, &str)> {
    rows(reply, "ofOthers").filter_map(|row| Some((row["name"].as_str()?, row["owner"].as_str()?)))
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

/// Returns the remark on a definition that is taken out of a project, by hand.
fn taken_out(row: &Value) -> Option<String> {
    row["fromProject"].as_str().map(|project| format!("of project '{project}' until now"))
}

/// Returns the remark on a definition that is the same in a project that ends.
fn moved(row: &Value) -> String {
    let project = row["project"].as_str().unwrap_or_default();
    let owner = row["owner"].as_str().map(|owner| format!(", with the rights of '{owner}'"));
    format!("as it is, of project '{project}' until now{}", owner.unwrap_or_default())
}

/// Returns the remark on a definition that goes.
fn going(row: &Value) -> String {
    let of_project = row["project"].as_str().map(|project| format!("of project '{project}'"));
    let what_goes = match kind(row) {
        "Rule" => Some("what it denied may be allowed then".to_owned()),
        _ => left(row).map(|left| format!("{left} go with it")),
    };
    of_project.into_iter().chain(what_goes).collect::<Vec<_>>().join(": ")
}

/// Option with which the command of a plan does what the plan says, and nothing else.
pub(crate) fn agreed(reply: &Value) -> String {
    reply["data"]["plan"].as_str().map(|plan| format!(" -agreed {plan}")).unwrap_or_default()
}

/// Returns the changes that need consent, as text; `None` if there are none.
///
/// Rules need it if they go, change, come before rules that deny, or open administration. Projects
/// of other users need it if they end, definitions of other projects if they go. Routes need it if
/// they go with messages, or if messages wait for events that go. Definitions added by hand need it
/// if they are taken over. A text does not tell in general whether a rule allows more than before.
/// So every change of a rule counts, except one to a rule that only denies.
pub(crate) fn concern(reply: &Value, by_hand_too: bool) -> Option<String> {
    let removed = || rows(reply, "removed");
    let gone: Vec<&str> = removed().filter(|row| kind(row) == "Rule").map(name).collect();
    let routes = removed().filter_map(|row| Some(format!("{} ({})", name(row), left(row)?)));
    let routes: Vec<String> = routes.collect();
    let rules = rows(reply, "changed").filter(|row| kind(row) == "Rule");
    let changed: Vec<&str> = rules.filter(|row| may_allow_more(row)).map(name).collect();
    let taken: Vec<&str> = rows(reply, "takesOver").filter(|_| by_hand_too).map(name).collect();
    let mut parts = Vec::new();
    if !gone.is_empty() {
        parts.push(format!("Rules that go: {}.", gone.join(", ")));
    }
    if !changed.is_empty() {
        parts.push(format!("Rules that change, by which more may be allowed: {}.", changed.join(", ")));
    }
    let opening: Vec<String> = rows(reply, "added")
        .filter(|row| opens(row).next().is_some())
        .map(|row| format!("{} (before {})", name(row), listed(opens(row))))
        .collect();
    if !opening.is_empty() {
        let opening = opening.join(", ");
        parts.push(format!(
            "New rules that are asked before rules which deny, by which more may be allowed: {opening}."
        ));
    }
    let more = rows(reply, "changed").filter(|row| may_allow_more(row)).chain(rows(reply, "added"));
    let administering: Vec<String> =
        more.filter_map(|row| Some(format!("{} ({})", name(row), row["administration"].as_str()?))).collect();
    if !administering.is_empty() {
        let administering = administering.join(", ");
        parts.push(format!(
            "Rules that open administration, which is administrators' alone without them: {administering}."
        ));
    }
    let owners: Vec<String> =
        of_others(reply).map(|(name, owner)| format!("{name} (of user '{owner}')")).collect();
    if !owners.is_empty() {
        parts.push(format!("Projects of other users that end: {}.", owners.join(", ")));
    }
    let of_projects = removed().filter(|row| kind(row) != "Rule");
    let of_projects = of_projects.filter_map(|row| Some((name(row), row["project"].as_str()?)));
    let of_projects: Vec<String> =
        of_projects.map(|(name, project)| format!("{name} (of '{project}')")).collect();
    if !of_projects.is_empty() {
        parts.push(format!("Definitions of other projects that go: {}.", of_projects.join(", ")));
    }
    if !routes.is_empty() {
        parts.push(format!("Routes that go with messages: {}.", routes.join(", ")));
    }
    if !taken.is_empty() {
        parts.push(format!("Added by hand and taken over: {}.", taken.join(", ")));
    }
    for row in ["changed", "takesOver"].into_iter().flat_map(|key| rows(reply, key)) {
        if let Some(told) = row["waiting"].as_str() {
            parts.push(format!("Route {}: {told}.", name(row)));
        }
    }
    (!parts.is_empty()).then(|| printable(&parts.join(" ")))
}

/// Messages that go with a route, where there are any.
pub(crate) fn left(row: &Value) -> Option<String> {
    let count = |key: &str| row[key].as_u64().unwrap_or_default();
    let (waiting, dead) = (count("waiting"), count("deadLetters"));
    (waiting + dead > 0).then(|| format!("{waiting} waiting message(s) and {dead} dead letter(s)"))
}

/// Returns whether the changed rule of a row may allow something that it did not before. A rule
/// with the same header that only denies may not.
fn may_allow_more(row: &Value) -> bool {
    let header =
        |text: &'_ str| code(text).first().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    let only_denies = || {
        let (before, after) = (row["before"].as_str()?, row["after"].as_str()?);
        let after_code = code(after);
        let denies = matches!(after_code.as_slice(), [_, verdict] if verdict.trim() == "DENY");
        Some(denies && header(before) == header(after))
    };
    says_something_else(row) && only_denies() != Some(true)
}

/// Whether the two texts of a row differ in more than lines of comments and blanks at the ends of
/// lines. Of texts that the broker has left out, it is taken for granted.
fn says_something_else(row: &Value) -> bool {
    let (Some(before), Some(after)) = (row["before"].as_str(), row["after"].as_str()) else { return true };
    code(before) != code(after)
}

/// The lines of a text that are more than comments and blanks, without those at their ends.
fn code(text: &str) -> Vec<&str> {
    let is_code = |line: &&str| {
        let start = line.trim_start();
        !(start.is_empty() || start.starts_with("--") || start.starts_with("//"))
    };
    text.lines().filter(is_code).map(str::trim_end).collect()
}

fn rows<'a>(reply: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    reply["data"][key].as_array().into_iter().flatten()
}

fn kind(row: &Value) -> &str {
    row["type"].as_str().unwrap_or_default()
}

fn name(row: &Value) -> &str {
    row["name"].as_str().unwrap_or_default()
}

/// File, and cell of a notebook, with a blank behind it.
fn place(row: &Value) -> String {
    match (row["file"].as_str(), row["cell"].as_u64()) {
        (None, _) => String::new(),
        (Some(file), None) => format!("{file} "),
        (Some(file), Some(cell)) => format!("{file}#{cell} "),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rule_that_only_denies_is_no_concern() {
        let header = "DEFINE RULE R WITH PRIORITY 100 FOR Publish TO TOPIC \"a/#\"";
        let condition = "    IF USER IS \"ann\" THEN\n        ALLOW\n";
        for (before, after, is_concern) in [
            (format!("{header}\n{condition}"), format!("-- nobody\n{header}\n    DENY\n"), false),
            (format!("{header}\n    ALLOW\n"), format!("{header}  \n\n    DENY"), false),
            // It denies less than before: other topics, or behind other rules.
            (format!("{header}\n    DENY\n"), format!("{}\n    DENY\n", header.replace("a/#", "a/b")), true),
            (format!("{header}\n    DENY\n"), format!("{}\n    DENY\n", header.replace("100", "200")), true),
            (format!("{header}\n    DENY\n"), format!("{header}\n{condition}"), true),
            (
                format!("{header}\n{condition}"),
                format!("{header}\n{condition}    ELSE\n        DENY\n"),
                true,
            ),
        ] {
            let row = json!({ "type": "Rule", "name": "R", "before": before, "after": after });
            let reply = json!({ "data": { "changed": [row] } });
            assert_eq!(concern(&reply, false).is_some(), is_concern, "{after}");
            let shown = lines(&reply, None);
            assert_eq!(shown[0].contains("may be allowed"), is_concern, "{shown:?}");
            assert!(shown.len() > 1, "it is shown all the same");
        }
    }

    #[test]
    fn changed_rule_needs_confirmation_and_its_diff_is_printed() {
        let deny = "DEFINE RULE R\n    DENY\n";
        for (after, kind, is_concern) in [
            ("DEFINE RULE R\n    ALLOW\n", "Rule", true),
            ("-- why\nDEFINE RULE R\n\n    DENY  \n// end\n", "Rule", false),
            ("  DEFINE RULE R\n    DENY\n", "Rule", false),
            ("DEFINE RULE R\n    ALLOW\n", "Action", false),
        ] {
            let row = json!({ "type": kind, "name": "R", "before": deny, "after": after });
            let reply = json!({ "data": { "changed": [row] } });
            assert_eq!(concern(&reply, false).is_some(), is_concern, "{kind} {after}");
            assert_eq!(lines(&reply, None).len() > 1, kind == "Rule", "{after}");
        }
        let untold = json!({ "data": { "changed": [{ "type": "Rule", "name": "R" }] } });
        assert!(concern(&untold, true).is_some_and(|text| text.contains("allowed: R.")));
    }
}
